//! Lookups as rows of one width, as they are kept: two words of the key, then a word a weight, with the target in its
//! upper half and the weight in its lower one. Words that no weight needs are zero.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::key::{words_of_key, KEY_BYTES, KEY_WORDS};
use crate::rows::{bad, in_row_order, matrix};

fn word_of(target: i32, weight: i64) -> u64 {
    u64::from(target as u32) << 32 | u64::from(weight as i32 as u32)
}

fn weight_of(word: u64) -> (i32, i64) {
    ((word >> 32) as i32, i64::from(word as i32))
}

/// Lookups (keys n × 16 bytes; indptr n + 1, target, weight) as rows n × (2 + `most`) words. None has more than `most`
/// weights, and no weight is larger than `bound`, which is below 2^31.
#[pyfunction]
fn packed_lookups<'py>(
    py: Python<'py>,
    keys: PyReadonlyArray2<'py, u8>,
    indptr: PyReadonlyArray1<'py, i64>,
    target: PyReadonlyArray1<'py, i32>,
    weight: PyReadonlyArray1<'py, i64>,
    most: usize,
    bound: u64,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (count, key_bytes) = keys.as_array().dim();
    let (keys, indptr) = (in_row_order(&keys, "keys")?, in_row_order(&indptr, "indptr")?);
    let (target, weight) = (in_row_order(&target, "target")?, in_row_order(&weight, "weight")?);
    let ends = (indptr.first(), indptr.last());
    let held = (Some(&0), Some(&(weight.len() as i64)));
    if key_bytes != KEY_BYTES || indptr.len() != count + 1 || target.len() != weight.len() || ends != held {
        return Err(bad("keys are n × 16 bytes, indptr has n + 1 places from 0 to the number of weights"));
    }
    if most == 0 || bound > i32::MAX as u64 {
        return Err(bad("a lookup has a weight, of less than 2^31"));
    }
    let few = |pair: &[i64]| (0..=most as i64).contains(&pair[1].wrapping_sub(pair[0]));
    if !indptr.is_sorted() || !indptr.windows(2).all(few) || !weight.iter().all(|weight| weight.unsigned_abs() <= bound)
    {
        return Err(bad("a lookup has more weights, or a larger one, than is allowed"));
    }
    let width = KEY_WORDS + most;
    let rows = py.detach(|| {
        let mut rows = vec![0u64; count * width];
        let (keys, _) = keys.as_chunks::<KEY_BYTES>();
        for ((row, key), own) in rows.chunks_exact_mut(width).zip(keys).zip(indptr.windows(2)) {
            let (head, words) = row.split_at_mut(KEY_WORDS);
            head.copy_from_slice(&words_of_key(key));
            let own = own[0] as usize..own[1] as usize;
            for (word, (&target, &weight)) in words.iter_mut().zip(target[own.clone()].iter().zip(&weight[own])) {
                *word = word_of(target, weight);
            }
        }
        rows
    });
    matrix(py, rows, width)
}

type Weights<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<i64>>);

/// The words behind the keys of such rows, n × k, as indptr n + 1, target and weight.
#[pyfunction]
fn unpacked_lookups<'py>(py: Python<'py>, words: PyReadonlyArray2<'py, u64>) -> PyResult<Weights<'py>> {
    let (count, width) = words.as_array().dim();
    let words = in_row_order(&words, "words")?;
    if width == 0 {
        return Err(bad("words n × k with k at least one expected"));
    }
    let (indptr, target, weight) = py.detach(|| {
        let mut indptr = Vec::with_capacity(count + 1);
        indptr.push(0i64);
        let mut sum = 0;
        for row in words.chunks_exact(width) {
            sum += row.iter().filter(|&&word| word != 0).count() as i64;
            indptr.push(sum);
        }
        let (mut target, mut weight) = (Vec::with_capacity(sum as usize), Vec::with_capacity(sum as usize));
        for &word in words.iter().filter(|&&word| word != 0) {
            let (own_target, own_weight) = weight_of(word);
            target.push(own_target);
            weight.push(own_weight);
        }
        (indptr, target, weight)
    });
    Ok((indptr.into_pyarray(py), target.into_pyarray(py), weight.into_pyarray(py)))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(packed_lookups, module)?)?;
    module.add_function(wrap_pyfunction!(unpacked_lookups, module)?)
}
