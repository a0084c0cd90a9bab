//! Rows of words behind keys of 16 bytes: two words of a key, whose order is that of the bytes, then what it has. Rows
//! that have only zeros are padding.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::key::{key_of_words, words_of_key, KEY_BYTES, KEY_WORDS};
use crate::rows::{bad, in_row_order, matrix};

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
        for (key, words) in keys.as_chunks::<KEY_BYTES>().0.iter().zip(words.chunks_exact(width)) {
            rows.extend(words_of_key(key));
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

/// About as many bins as there are keys, by the bits of their first words below those that all of them share, and where
/// the next key of each goes.
struct Bins {
    least: u64,
    shift: u32,
    next: Vec<u32>,
    count: usize,
}

impl Bins {
    /// Those of keys with these first words; None where many fall into one.
    fn of(keys: impl Iterator<Item = u64> + Clone) -> Option<Self> {
        let (mut least, mut most, mut count) = (u64::MAX, 0, 0usize);
        for high in keys.clone() {
            (least, most, count) = (least.min(high), most.max(high), count + 1);
        }
        let range = most.saturating_sub(least);
        let shift = (u64::BITS - range.leading_zeros()).saturating_sub(count.max(1).ilog2());
        let mut next = vec![0u32; (range >> shift) as usize + 1];
        keys.for_each(|high| next[((high - least) >> shift) as usize] += 1);
        let mut sum = 0;
        for start in &mut next {
            if *start > CROWD {
                return None;
            }
            sum += std::mem::replace(start, sum);
        }
        Some(Bins { least, shift, next, count })
    }

    /// The place of a key, which is taken then.
    fn take(&mut self, high: u64) -> usize {
        let next = &mut self.next[((high - self.least) >> self.shift) as usize];
        *next += 1;
        *next as usize - 1
    }
}

/// The words of one or several parts of rows, at least one, and the words of a row.
fn all_checked<'a>(parts: &'a [PyReadonlyArray2<'_, u64>]) -> PyResult<(Vec<&'a [u64]>, usize)> {
    let parts = parts.iter().map(checked).collect::<PyResult<Vec<_>>>()?;
    let width = parts.first().map_or(0, |&(_, width)| width);
    let rows = parts.iter().map(|(words, _)| words.len() / width.max(1)).sum::<usize>();
    if width == 0 || parts.iter().any(|part| part.1 != width) || rows > u32::MAX as usize {
        return Err(bad("parts of fewer than 2^32 rows of one number of words expected"));
    }
    Ok((parts.into_iter().map(|(words, _)| words).collect(), width))
}

/// Spreads places by their keys' first words; None where many fall into one bin.
fn spread(places: impl Iterator<Item = Place> + Clone) -> Option<Vec<Place>> {
    let mut bins = Bins::of(places.clone().map(|(high, _)| high))?;
    let mut out = vec![(0, 0); bins.count];
    places.for_each(|place| out[bins.take(place.0)] = place);
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

/// Rows, spread by their keys' first words like places, then put in order; None where many share a bin.
fn spread_rows<'a>(rows: impl Iterator<Item = &'a [u64]> + Clone, width: usize) -> Option<Vec<u64>> {
    let mut bins = Bins::of(rows.clone().map(|row| row[0]))?;
    let mut out = vec![0u64; bins.count * width];
    rows.for_each(|row| out[bins.take(row[0]) * width..][..width].copy_from_slice(row));
    let key = |rows: &[u64], at: usize| (rows[at * width], rows[at * width + 1]);
    for end in 1..bins.count {
        let mut at = end;
        while at > 0 && key(&out, at) < key(&out, at - 1) {
            let (before, own) = out[(at - 1) * width..(at + 1) * width].split_at_mut(width);
            before.swap_with_slice(own);
            at -= 1;
        }
    }
    Some(out)
}

/// The rows of some parts that `taken` has, in the order of their keys; None where two keys are equal.
fn in_order(parts: &[&[u64]], width: usize, taken: impl Fn(&[u64]) -> bool) -> Option<Vec<u64>> {
    /// Of a width that the compiler knows.
    fn known<const WIDTH: usize>(parts: &[&[u64]], taken: impl Fn(&[u64]) -> bool) -> Option<Vec<u64>> {
        let rows = parts.iter().flat_map(|part| part.as_chunks::<WIDTH>().0.iter().map(|row| row.as_slice()));
        spread_rows(rows.filter(|row| taken(row)), WIDTH)
    }
    let rows = parts.iter().flat_map(|part| part.chunks_exact(width)).filter(|row| taken(row));
    let found = match width {
        3 => known::<3>(parts, &taken),
        4 => known::<4>(parts, &taken),
        _ => spread_rows(rows.clone(), width),
    };
    let ordered = found.or_else(|| {
        let all: Vec<u64> = rows.flatten().copied().collect();
        let places = all.chunks_exact(width).enumerate().map(|(number, row)| (row[0], number as u32));
        let order = in_key_order(places, |number| all[number as usize * width + 1])?;
        let rows = order.iter().flat_map(|&(_, number)| &all[number as usize * width..][..width]);
        Some(rows.copied().collect())
    })?;
    let mut keys = ordered.chunks_exact(width).map(|row| &row[..KEY_WORDS]);
    let distinct = keys.next().is_none_or(|first| {
        let mut before = first;
        keys.all(|key| std::mem::replace(&mut before, key) != key)
    });
    distinct.then_some(ordered)
}

const EQUAL: &str = "two rows have one key";

/// Rows n × (2 + k), of one or several parts, in the order of their keys.
#[pyfunction]
fn keyed_in_order<'py>(py: Python<'py>, parts: Vec<PyReadonlyArray2<'py, u64>>) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (parts, width) = all_checked(&parts)?;
    let found = py.detach(|| in_order(&parts, width, |_| true));
    matrix(py, found.ok_or_else(|| bad(EQUAL))?, width)
}

/// Looks at all of a row, so that padding takes as long.
fn is_real(row: &[u64]) -> bool {
    row[KEY_WORDS..].iter().fold(0, |all, word| all | word) != 0
}

type Split<'py> = (Bound<'py, PyArray2<u8>>, Bound<'py, PyArray2<u64>>);

/// Keys and words of rows.
fn split(rows: &[u64], width: usize) -> (Vec<u8>, Vec<u64>) {
    let behind = width - KEY_WORDS;
    let count = rows.len() / width;
    let (mut keys, mut values) = (vec![0u8; count * KEY_BYTES], vec![0u64; count * behind]);
    let out = keys.par_chunks_mut(TASK * KEY_BYTES).zip(values.par_chunks_mut(TASK * behind));
    out.zip(rows.par_chunks(TASK * width)).for_each(|((keys, values), rows)| {
        let out = keys.as_chunks_mut::<KEY_BYTES>().0.iter_mut().zip(values.chunks_exact_mut(behind));
        for ((key, value), row) in out.zip(rows.chunks_exact(width)) {
            let (head, words) = row.split_at(KEY_WORDS);
            *key = key_of_words(&[head[0], head[1]]);
            value.copy_from_slice(words);
        }
    });
    (keys, values)
}

/// Rows n × (2 + k), of one or several parts, without padding, in the order of their keys: keys m × 16 bytes and words
/// m × k.
#[pyfunction]
fn split_in_order<'py>(py: Python<'py>, parts: Vec<PyReadonlyArray2<'py, u64>>) -> PyResult<Split<'py>> {
    let (parts, width) = all_checked(&parts)?;
    let found = py.detach(|| in_order(&parts, width, is_real).map(|rows| split(&rows, width)));
    let (keys, values) = found.ok_or_else(|| bad(EQUAL))?;
    Ok((matrix(py, keys, KEY_BYTES)?, matrix(py, values, width - KEY_WORDS)?))
}

/// Rows n × (2 + k) without padding, as they come: keys m × 16 bytes and words m × k.
#[pyfunction]
fn split_as_is<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Split<'py>> {
    let (words, width) = checked(&rows)?;
    let (keys, values) = py.detach(|| {
        let real: Vec<u64> = words.chunks_exact(width).filter(|row| is_real(row)).flatten().copied().collect();
        split(&real, width)
    });
    Ok((matrix(py, keys, KEY_BYTES)?, matrix(py, values, width - KEY_WORDS)?))
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
