//! The arrays that Python hands over and is given, how a malformed argument is refused, and how tasks share rows.

use numpy::ndarray::{Array2, Dimension};
use numpy::{Element, IntoPyArray, PyArray2, PyReadonlyArray, PyReadwriteArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::ops::Range;

pub(crate) fn bad(what: &'static str) -> PyErr {
    PyValueError::new_err(what)
}

fn not_in_row_order(what: &str) -> PyErr {
    PyValueError::new_err(format!("{what} must be contiguous, in row order"))
}

/// The elements of an array in row order.
///
/// `as_slice` alone takes an array in column order too, whose elements would be read as those of other rows.
pub(crate) fn in_row_order<'a, T: Element, D: Dimension>(
    array: &'a PyReadonlyArray<'_, T, D>,
    what: &'static str,
) -> PyResult<&'a [T]> {
    match array.as_slice() {
        Ok(elements) if array.is_c_contiguous() => Ok(elements),
        _ => Err(not_in_row_order(what)),
    }
}

/// As `in_row_order`, to be written.
pub(crate) fn in_row_order_mut<'a, T: Element, D: Dimension>(
    array: &'a mut PyReadwriteArray<'_, T, D>,
    what: &'static str,
) -> PyResult<&'a mut [T]> {
    if !array.is_c_contiguous() {
        return Err(not_in_row_order(what));
    }
    array.as_slice_mut().map_err(|_| not_in_row_order(what))
}

/// Elements for Python, as rows of `width` > 0.
pub(crate) fn matrix<T: Element>(py: Python<'_>, elements: Vec<T>, width: usize) -> PyResult<Bound<'_, PyArray2<T>>> {
    let matrix = Array2::from_shape_vec((elements.len() / width, width), elements);
    Ok(matrix.map_err(|error| PyValueError::new_err(error.to_string()))?.into_pyarray(py))
}

/// Cuts `count` rows into runs of about `most`, never between a row and the one before that it belongs to.
pub(crate) fn whole_runs(count: usize, most: usize, belongs: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let (mut runs, mut start) = (Vec::new(), 0usize);
    while start < count {
        let mut end = start.saturating_add(most).min(count);
        while end < count && belongs(end) {
            end += 1;
        }
        runs.push(start..end);
        start = end;
    }
    runs
}

/// The runs of equal neighbours among `rows` of `of`, one after the other.
pub(crate) fn runs<T: PartialEq>(of: &[T], rows: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = rows.start;
    of[rows].chunk_by(|one, other| one == other).map(move |run| {
        start += run.len();
        start - run.len()..start
    })
}

/// Adds a row to columns.
pub(crate) fn push<const N: usize>(columns: &mut [Vec<i64>; N], row: [i64; N]) {
    columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
}

/// Columns of equal length that tasks made, in one.
pub(crate) fn joined<const N: usize>(parts: Vec<[Vec<i64>; N]>) -> [Vec<i64>; N] {
    let length = parts.iter().map(|part| part[0].len()).sum();
    let mut out = std::array::from_fn(|_| Vec::with_capacity(length));
    for part in parts {
        out.iter_mut().zip(part).for_each(|(out, part): (&mut Vec<i64>, _)| out.extend(part));
    }
    out
}

/// Words by twos; a last odd one is left out.
pub(crate) fn pairs(words: &[u64]) -> &[[u64; 2]] {
    words.as_chunks().0
}

/// Words by twos, to be written; a last odd one is left out.
pub(crate) fn pairs_mut(words: &mut [u64]) -> &mut [[u64; 2]] {
    words.as_chunks_mut().0
}
