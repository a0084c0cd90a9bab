//! Rows of words behind keys of 16 bytes: two words of a key, whose order is that of the bytes, then what it has.

use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::digest::KEY_BYTES;
use crate::rows::{bad, in_row_order, matrix};
use crate::sort::{in_key_order, Keyed};

const KEY_WORDS: usize = KEY_BYTES / 8;
/// Rows that one task copies.
const TASK: usize = 1 << 12;

/// Rows n × (2 + k) of keys n × 16 bytes and their words n × k.
#[pyfunction]
fn keyed_rows<'py>(
    py: Python<'py>,
    keys: PyReadonlyArray2<'py, u8>,
    words: PyReadonlyArray2<'py, u64>,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (count, width) = words.as_array().dim();
    if keys.as_array().dim() != (count, KEY_BYTES) || width == 0 {
        return Err(bad("keys are n × 16 bytes, words n × k with k at least one"));
    }
    let (keys, words) = (in_row_order(&keys, "keys")?, in_row_order(&words, "words")?);
    let rows = py.detach(|| {
        let mut rows = Vec::with_capacity(count * (KEY_WORDS + width));
        for (key, words) in keys.chunks_exact(KEY_BYTES).zip(words.chunks_exact(width)) {
            let key = Keyed::of(key, 0);
            rows.extend_from_slice(&[key.high, key.low]);
            rows.extend_from_slice(words);
        }
        rows
    });
    matrix(py, rows, KEY_WORDS + width)
}

/// Places of rows of `width` words that `taken` has, in the order of their keys; None where two keys are equal.
fn places(rows: &[u64], width: usize, taken: impl Fn(&[u64]) -> bool) -> Option<Vec<Keyed>> {
    let all = rows.chunks_exact(width).enumerate().filter(|(_, row)| taken(row));
    in_key_order(all.map(|(item, row)| Keyed { high: row[0], low: row[1], item: item as u32 }).collect())
}

fn checked<'a>(rows: &'a PyReadonlyArray2<'_, u64>) -> PyResult<(&'a [u64], usize)> {
    let (count, width) = rows.as_array().dim();
    if width <= KEY_WORDS || count > u32::MAX as usize {
        return Err(bad("fewer than 2^32 rows of at least three words expected"));
    }
    Ok((in_row_order(rows, "rows")?, width))
}

const EQUAL: &str = "two rows have one key";

/// Rows n × (2 + k) in the order of their keys.
#[pyfunction]
fn keyed_in_order<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (words, width) = checked(&rows)?;
    let found = py.detach(|| {
        let order = places(words, width, |_| true)?;
        let mut out = vec![0u64; words.len()];
        out.par_chunks_mut(TASK * width).zip(order.par_chunks(TASK)).for_each(|(out, order)| {
            for (row, place) in out.chunks_exact_mut(width).zip(order) {
                row.copy_from_slice(&words[place.item as usize * width..][..width]);
            }
        });
        Some(out)
    });
    let out = found.ok_or_else(|| bad(EQUAL))?;
    matrix(py, out, width)
}

type Split<'py> = (Bound<'py, PyArray2<u8>>, Bound<'py, PyArray2<u64>>);

/// Rows n × (2 + k) in the order of their keys, without those that have only zeros behind them: keys m × 16 bytes and
/// words m × k.
#[pyfunction]
fn split_in_order<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Split<'py>> {
    let (words, width) = checked(&rows)?;
    let behind = width - KEY_WORDS;
    let found = py.detach(|| {
        let order = places(words, width, |row| row[KEY_WORDS..].iter().any(|&word| word != 0))?;
        let (mut keys, mut values) = (vec![0u8; order.len() * KEY_BYTES], vec![0u64; order.len() * behind]);
        let out = keys.par_chunks_mut(TASK * KEY_BYTES).zip(values.par_chunks_mut(TASK * behind));
        out.zip(order.par_chunks(TASK)).for_each(|((keys, values), order)| {
            let out = keys.chunks_exact_mut(KEY_BYTES).zip(values.chunks_exact_mut(behind));
            for ((key, value), place) in out.zip(order) {
                place.write(key);
                value.copy_from_slice(&words[place.item as usize * width + KEY_WORDS..][..behind]);
            }
        });
        Some((keys, values))
    });
    let (keys, values) = found.ok_or_else(|| bad(EQUAL))?;
    Ok((matrix(py, keys, KEY_BYTES)?, matrix(py, values, behind)?))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(keyed_rows, module)?)?;
    module.add_function(wrap_pyfunction!(keyed_in_order, module)?)?;
    module.add_function(wrap_pyfunction!(split_in_order, module)?)
}
