//! What stands for an event id: 16 bytes as two words, equal where the trimmed texts are.
//!
//! Event ids are compared with each other, on their own side alone. So a text of at most 15 bytes stands for itself: its
//! bytes, the first in the lowest byte of the first word, and its length in the top byte of the second. For a longer one
//! stands its digest, SHA-256 under the label of texts and the tag `event_id`, with the top bit of the second word set:
//! 127 bits of it are left. Zero words are no event id.

use numpy::{PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::digest::{head_of, TASK_ROWS, TEXT_LABEL};
use crate::key::{Key, KEY_BYTES};
use crate::messages::Messages;
use crate::normalise::trim;
use crate::rows::{bad, in_row_order, matrix};
use crate::text::Texts;

const TAG: &str = "event_id";
const LENGTH_SHIFT: u32 = 120;
const DIGEST_BIT: u64 = 1 << 63;

/// An event id.
enum Id<'t> {
    None,
    /// It stands for itself, in this word.
    Itself(u128),
    /// These bytes, more than 15.
    Long(&'t [u8]),
    /// What was appended to the buffer, more than 15 bytes.
    LongMade,
}

/// The word of a text of at most 15 bytes.
fn itself(text: &[u8]) -> Option<u128> {
    let mut word = [0; KEY_BYTES];
    word[..KEY_BYTES - 1].get_mut(..text.len())?.copy_from_slice(text);
    Some(u128::from_le_bytes(word) | (text.len() as u128) << LENGTH_SHIFT)
}

/// The words of n event ids, where `id` gives one or appends its text to the empty buffer.
fn ids_of<'py, 't, F>(py: Python<'py>, count: usize, id: F) -> PyResult<Bound<'py, PyArray2<u64>>>
where
    F: Fn(usize, &mut Vec<u8>) -> Id<'t> + Sync,
{
    let head = head_of(TEXT_LABEL, TAG)?;
    let mut ids: Vec<Key> = vec![[0; 2]; count];
    py.detach(|| {
        ids.par_chunks_mut(TASK_ROWS).enumerate().for_each(|(task, ids)| {
            let (mut messages, mut made, mut digested) = (Messages::new(&head), Vec::new(), Vec::new());
            for index in 0..ids.len() {
                made.clear();
                let long = match id(task * TASK_ROWS + index, &mut made) {
                    Id::None => continue,
                    Id::Itself(word) => {
                        ids[index] = [word as u64, (word >> 64) as u64];
                        continue;
                    }
                    Id::Long(text) => text,
                    Id::LongMade => &made,
                };
                messages.add(long, index, ids);
                digested.push(index);
            }
            messages.finish(ids);
            digested.into_iter().for_each(|index| ids[index][1] |= DIGEST_BIT);
        });
    });
    matrix(py, ids.into_flattened(), 2)
}

/// What stands for event ids that are texts (offsets n + 1, data, valid n): n × 2 words; zero for null and empty ones.
#[pyfunction]
fn text_ids<'py>(
    py: Python<'py>,
    offsets: PyReadonlyArray1<'py, i32>,
    data: PyReadonlyArray1<'py, u8>,
    valid: PyReadonlyArray1<'py, bool>,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let texts = Texts::new(&offsets, &data, &valid)?;
    ids_of(py, texts.len(), |index, _| match texts.text(index).flatten().map(trim) {
        None | Some("") => Id::None,
        Some(text) => itself(text.as_bytes()).map_or(Id::Long(text.as_bytes()), Id::Itself),
    })
}

/// The eight digits of a number below 10^8, the first in the lowest byte: split in halves, all in one word, three times.
fn eight_digits(number: u64) -> u64 {
    let split = |parts: u64, tens: u64, quotients: u64, bits: u32| quotients + ((parts - quotients * tens) << bits);
    let fours = split(number, 10_000, number / 10_000, 32);
    let twos = split(fours, 100, ((fours * 5243) >> 19) & 0x7f_0000_007f, 16);
    split(twos, 10, ((twos * 103) >> 10) & 0x000f_000f_000f_000f, 8)
}

/// A number as it is written.
fn decimal<'t>(value: i64, made: &mut Vec<u8>) -> Id<'t> {
    let (mut digits, half) = ([0; 19], 100_000_000);
    if (1..half as i64 * 10_000_000).contains(&value) {
        let (high, low) = (value as u64 / half, value as u64 % half);
        let digits = u128::from(eight_digits(high)) | u128::from(eight_digits(low)) << 64;
        let leading = digits.trailing_zeros() / 8;
        let ascii = digits + u128::from_le_bytes([b'0'; KEY_BYTES]);
        return Id::Itself(ascii >> (8 * leading) | u128::from(16 - leading) << LENGTH_SHIFT);
    }
    let (mut first, mut rest) = (digits.len(), value.unsigned_abs());
    while first == digits.len() || rest > 0 {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    made.extend_from_slice(if value < 0 { b"-" } else { b"" });
    made.extend_from_slice(&digits[first..]);
    itself(made).map_or(Id::LongMade, Id::Itself)
}

/// What stands for event ids that are whole numbers, as `text_ids` of these in decimal: n × 2 words; zero where not
/// valid.
#[pyfunction]
fn number_ids<'py>(
    py: Python<'py>,
    values: PyReadonlyArray1<'py, i64>,
    valid: PyReadonlyArray1<'py, bool>,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (values, valid) = (in_row_order(&values, "values")?, in_row_order(&valid, "valid")?);
    if values.len() != valid.len() {
        return Err(bad("each value is valid or not"));
    }
    ids_of(py, values.len(), |index, made| match valid[index] {
        true => decimal(values[index], made),
        false => Id::None,
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(text_ids, module)?)?;
    module.add_function(wrap_pyfunction!(number_ids, module)?)
}
