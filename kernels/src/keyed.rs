//! Rows of words behind keys of 16 bytes: two words of a key, whose order is that of the bytes, then what it has. Rows
//! that have only zeros are padding.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::digest::KEY_BYTES;
use crate::rows::{bad, in_row_order, matrix};

pub(crate) const KEY_WORDS: usize = KEY_BYTES / 8;
/// Rows that one task copies.
const TASK: usize = 1 << 12;
/// Rows that may share the bits by which they are spread before all are compared: digests never come near it.
const CROWD: u32 = 64;

/// Where a row is, behind the first word of its key.
pub(crate) type Place = (u64, u32);

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
            rows.extend(key.chunks_exact(8).map(|half| half.try_into().map_or(0, u64::from_be_bytes)));
            rows.extend_from_slice(words);
        }
        rows
    });
    matrix(py, rows, KEY_WORDS + width)
}

fn checked<'a>(rows: &'a PyReadonlyArray2<'_, u64>) -> PyResult<(&'a [u64], usize)> {
    let (count, width) = rows.as_array().dim();
    if width <= KEY_WORDS || count > u32::MAX as usize {
        return Err(bad("fewer than 2^32 rows of at least three words expected"));
    }
    Ok((in_row_order(rows, "rows")?, width))
}

/// Spreads places by the bits below those that all of them share, into about as many bins as there are places; None
/// where many fall into one.
fn spread(places: impl Iterator<Item = Place> + Clone) -> Option<Vec<Place>> {
    let (mut least, mut most, mut count) = (u64::MAX, 0, 0usize);
    for (high, _) in places.clone() {
        (least, most, count) = (least.min(high), most.max(high), count + 1);
    }
    if count == 0 {
        return Some(Vec::new());
    }
    let shift = (u64::BITS - (most - least).leading_zeros()).saturating_sub(count.ilog2());
    let bin = |high: u64| ((high - least) >> shift) as usize;
    let mut starts = vec![0u32; bin(most) + 1];
    places.clone().for_each(|(high, _)| starts[bin(high)] += 1);
    let mut sum = 0;
    for start in &mut starts {
        if *start > CROWD {
            return None;
        }
        sum += std::mem::replace(start, sum);
    }
    let mut out = vec![(0, 0); count];
    for place in places {
        let at = &mut starts[bin(place.0)];
        out[*at as usize] = place;
        *at += 1;
    }
    Some(out)
}

/// Places in the order of their keys, whose second words `low` has; None where two keys are equal. Fast for digests.
pub(crate) fn in_key_order(
    places: impl Iterator<Item = Place> + Clone,
    low: impl Fn(u32) -> u64 + Sync,
) -> Option<Vec<Place>> {
    let compared = |one: Place, other: Place| one.0.cmp(&other.0).then_with(|| low(one.1).cmp(&low(other.1)));
    let order = match spread(places.clone()) {
        Some(mut order) => {
            for end in 1..order.len() {
                let (place, mut at) = (order[end], end);
                while at > 0 && compared(place, order[at - 1]).is_lt() {
                    order[at] = order[at - 1];
                    at -= 1;
                }
                order[at] = place;
            }
            order
        }
        None => {
            let mut order: Vec<Place> = places.collect();
            order.par_sort_unstable_by(|&one, &other| compared(one, other));
            order
        }
    };
    let equal = |pair: &[Place]| compared(pair[0], pair[1]).is_eq();
    (!order.windows(2).any(equal)).then_some(order)
}

/// The places of the rows that `taken` has, in the order of their keys; None where two keys are equal.
fn in_order(rows: &[u64], width: usize, taken: impl Fn(&[u64]) -> bool + Clone) -> Option<Vec<Place>> {
    let taken = rows.chunks_exact(width).enumerate().filter(|(_, row)| taken(row));
    in_key_order(taken.map(|(number, row)| (row[0], number as u32)), |number| rows[number as usize * width + 1])
}

const EQUAL: &str = "two rows have one key";

/// Rows n × (2 + k) in the order of their keys.
#[pyfunction]
fn keyed_in_order<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (words, width) = checked(&rows)?;
    let found = py.detach(|| {
        let order = in_order(words, width, |_| true)?;
        let mut out = vec![0u64; words.len()];
        out.par_chunks_mut(TASK * width).zip(order.par_chunks(TASK)).for_each(|(out, order)| {
            for (row, &(_, number)) in out.chunks_exact_mut(width).zip(order) {
                row.copy_from_slice(&words[number as usize * width..][..width]);
            }
        });
        Some(out)
    });
    matrix(py, found.ok_or_else(|| bad(EQUAL))?, width)
}

/// Looks at all of a row, so that padding takes as long.
fn is_real(row: &[u64]) -> bool {
    row[KEY_WORDS..].iter().fold(0, |all, word| all | word) != 0
}

type Split<'py> = (Bound<'py, PyArray2<u8>>, Bound<'py, PyArray2<u64>>);

/// The rows whose places `order` finds, as keys and words.
fn split<'py>(
    py: Python<'py>,
    rows: &PyReadonlyArray2<'py, u64>,
    order: impl Fn(&[u64], usize) -> Option<Vec<Place>> + Sync,
) -> PyResult<Split<'py>> {
    let (words, width) = checked(rows)?;
    let behind = width - KEY_WORDS;
    let found = py.detach(|| {
        let order = order(words, width)?;
        let (mut keys, mut values) = (vec![0u8; order.len() * KEY_BYTES], vec![0u64; order.len() * behind]);
        let out = keys.par_chunks_mut(TASK * KEY_BYTES).zip(values.par_chunks_mut(TASK * behind));
        out.zip(order.par_chunks(TASK)).for_each(|((keys, values), order)| {
            let out = keys.chunks_exact_mut(KEY_BYTES).zip(values.chunks_exact_mut(behind));
            for ((key, value), &(_, number)) in out.zip(order) {
                let (head, words) = words[number as usize * width..][..width].split_at(KEY_WORDS);
                key.chunks_exact_mut(8).zip(head).for_each(|(half, word)| half.copy_from_slice(&word.to_be_bytes()));
                value.copy_from_slice(words);
            }
        });
        Some((keys, values))
    });
    let (keys, values) = found.ok_or_else(|| bad(EQUAL))?;
    Ok((matrix(py, keys, KEY_BYTES)?, matrix(py, values, behind)?))
}

/// Rows n × (2 + k) without padding, in the order of their keys: keys m × 16 bytes and words m × k.
#[pyfunction]
fn split_in_order<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Split<'py>> {
    split(py, &rows, |words, width| in_order(words, width, is_real))
}

/// Rows n × (2 + k) without padding, as they come: keys m × 16 bytes and words m × k.
#[pyfunction]
fn split_as_is<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Split<'py>> {
    split(py, &rows, |words, width| {
        let real = words.chunks_exact(width).enumerate().filter(|(_, row)| is_real(row));
        Some(real.map(|(number, row)| (row[0], number as u32)).collect())
    })
}

/// Which of rows n × (2 + k) are no padding.
#[pyfunction]
fn real_rows<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Bound<'py, PyArray1<bool>>> {
    let (words, width) = checked(&rows)?;
    let real: Vec<bool> = py.detach(|| words.chunks_exact(width).map(is_real).collect());
    Ok(real.into_pyarray(py))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(keyed_rows, module)?)?;
    module.add_function(wrap_pyfunction!(keyed_in_order, module)?)?;
    module.add_function(wrap_pyfunction!(split_in_order, module)?)?;
    module.add_function(wrap_pyfunction!(split_as_is, module)?)?;
    module.add_function(wrap_pyfunction!(real_rows, module)?)
}
