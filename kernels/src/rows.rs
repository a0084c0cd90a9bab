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
