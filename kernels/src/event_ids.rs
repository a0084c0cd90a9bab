//! What stands for an event id: 16 bytes as two words, equal where the trimmed texts are.
//!
//! Event ids are compared with each other, on their own side alone, so most stand for themselves, told apart by the top
//! byte of the second word:
//!
//! - 16: a whole number of 64 bits, or the text that is that number in decimal. The first word is the number.
//! - 1 to 15: any other text of so many bytes, the first in the lowest byte of the first word.
//! - 128 and above: a longer text's digest, SHA-256 under the label of texts and the tag `event_id`, of which the top bit
//!   of the second word is set: 127 bits are left.
//!
//! Zero words are no event id.

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
const TEXT_BYTES: usize = KEY_BYTES - 1;
const NUMBER: u64 = 16 << 56;
const DIGEST: u64 = 1 << 63;

/// The words of a number.
fn number(value: i64) -> Key {
    [value as u64, NUMBER]
}

/// The number that a text is in decimal, if it is written as numbers are: no sign but a minus, no leading zeros.
fn number_in(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = text == "0" || digits.as_bytes().first().is_some_and(|first| (b'1'..=b'9').contains(first));
    plain.then(|| text.parse().ok())?
}

/// The words of a text of at most 15 bytes.
fn itself(text: &[u8]) -> Option<Key> {
    let mut bytes = [0; KEY_BYTES];
    bytes[..TEXT_BYTES].get_mut(..text.len())?.copy_from_slice(text);
    bytes[TEXT_BYTES] = text.len() as u8;
    let word = u128::from_le_bytes(bytes);
    Some([word as u64, (word >> 64) as u64])
}

/// What stands for event ids that are texts (offsets n + 1, data, valid n): n × 2 words; zero for null and empty ones.
#[pyfunction]
fn text_ids<'py>(
    py: Python<'py>,
    offsets: PyReadonlyArray1<'py, i32>,
    data: PyReadonlyArray1<'py, u8>,
    valid: PyReadonlyArray1<'py, bool>,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (texts, head) = (Texts::new(&offsets, &data, &valid)?, head_of(TEXT_LABEL, TAG)?);
    let mut ids: Vec<Key> = vec![[0; 2]; texts.len()];
    py.detach(|| {
        ids.par_chunks_mut(TASK_ROWS).enumerate().for_each(|(task, ids)| {
            let (mut messages, mut digested) = (Messages::new(&head), Vec::new());
            for index in 0..ids.len() {
                match texts.text(task * TASK_ROWS + index).flatten().map(trim) {
                    None | Some("") => {}
                    Some(text) => match number_in(text).map(number).or_else(|| itself(text.as_bytes())) {
                        Some(id) => ids[index] = id,
                        None => {
                            messages.add(text.as_bytes(), index, ids);
                            digested.push(index);
                        }
                    },
                }
            }
            messages.finish(ids);
            digested.into_iter().for_each(|index| ids[index][1] |= DIGEST);
        });
    });
    matrix(py, ids.into_flattened(), 2)
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
    let id = |(&value, &valid): (&i64, &bool)| number(value).map(|word| word * u64::from(valid));
    let ids: Vec<Key> = py.detach(|| values.iter().zip(valid).map(id).collect());
    matrix(py, ids.into_flattened(), 2)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(text_ids, module)?)?;
    module.add_function(wrap_pyfunction!(number_ids, module)?)
}
