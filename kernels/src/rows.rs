//! Reading the arrays that Python hands over.

use numpy::ndarray::Dimension;
use numpy::{Element, PyReadonlyArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The elements of an array in row order.
///
/// `as_slice` alone takes an array in column order too, whose elements would be read as those of other rows.
pub(crate) fn in_row_order<'a, T: Element, D: Dimension>(
    array: &'a PyReadonlyArray<'_, T, D>,
    what: &'static str,
) -> PyResult<&'a [T]> {
    match array.as_slice() {
        Ok(elements) if array.is_c_contiguous() => Ok(elements),
        _ => Err(PyValueError::new_err(format!("{what} must be contiguous, in row order"))),
    }
}

/// Words by twos; a last odd one is left out.
pub(crate) fn pairs(words: &[u64]) -> &[[u64; 2]] {
    // SAFETY: two words in a row are one array of two; the alignment is the same.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len() / 2) }
}

/// Words by twos, to be written; a last odd one is left out.
pub(crate) fn pairs_mut(words: &mut [u64]) -> &mut [[u64; 2]] {
    // SAFETY: as in `pairs`, and the borrow is the only one.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() / 2) }
}
