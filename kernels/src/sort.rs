//! Rows of 64-bit words in lexicographic order.

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;

fn sorted<const WORDS: usize>(words: &[u64]) -> Vec<u64> {
    let mut rows = vec![[0u64; WORDS]; words.len() / WORDS];
    for (row, words) in rows.iter_mut().zip(words.chunks_exact(WORDS)) {
        row.copy_from_slice(words);
    }
    rows.par_sort_unstable();
    rows.into_flattened()
}

/// Rows n × k (k from 2 to 8), sorted by their words from the first to the last.
#[pyfunction]
fn sort_rows<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let shape = rows.as_array().dim();
    let words = rows.as_slice().map_err(|_| PyValueError::new_err("rows must be contiguous"))?;
    let sort = match shape.1 {
        2 => sorted::<2>,
        3 => sorted::<3>,
        4 => sorted::<4>,
        5 => sorted::<5>,
        6 => sorted::<6>,
        7 => sorted::<7>,
        8 => sorted::<8>,
        _ => return Err(PyValueError::new_err("rows have from 2 to 8 words")),
    };
    let out = py.detach(|| sort(words));
    let out = Array2::from_shape_vec(shape, out).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(out.into_pyarray(py))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(sort_rows, module)?)
}
