//! Keyless digests of people and rows: SHA-256 under a label of its own, cut to 16 bytes.
//!
//! `row_keys` names a row: (weight class, tree level, node, person).

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

pub const KEY_BYTES: usize = 16;
const ROW_LABEL: &[u8] = b"cleanroom/row/v1";
/// Rows that one task digests: some tens of microseconds of work.
const TASK_ROWS: usize = 1024;

/// SHA-256(label ‖ class ‖ level ‖ node i64 little endian ‖ person), the first 16 bytes.
fn row_key(class: u8, level: u8, node: i64, person: &[u8], out: &mut [u8]) {
    let mut hash = Sha256::new();
    hash.update(ROW_LABEL);
    hash.update([class, level]);
    hash.update(node.to_le_bytes());
    hash.update(person);
    out.copy_from_slice(&hash.finalize()[..KEY_BYTES]);
}

/// Keys of rows: person n × 16 bytes, level n, node n; returns n × 16 bytes.
#[pyfunction]
fn row_keys<'py>(
    py: Python<'py>,
    person: PyReadonlyArray2<'py, u8>,
    weight_class: u8,
    level: PyReadonlyArray1<'py, u8>,
    node: PyReadonlyArray1<'py, i64>,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let shape = person.as_array().dim();
    let (person, level, node) = match (person.as_slice(), level.as_slice(), node.as_slice()) {
        (Ok(person), Ok(level), Ok(node)) => (person, level, node),
        _ => return Err(PyValueError::new_err("person, level and node must be contiguous")),
    };
    if shape.1 != KEY_BYTES || level.len() != shape.0 || node.len() != shape.0 {
        return Err(PyValueError::new_err("person is n × 16 bytes, level and node have n entries"));
    }
    let mut out = vec![0u8; person.len()];
    py.detach(|| {
        out.par_chunks_mut(TASK_ROWS * KEY_BYTES)
            .zip(person.par_chunks(TASK_ROWS * KEY_BYTES))
            .zip(level.par_chunks(TASK_ROWS).zip(node.par_chunks(TASK_ROWS)))
            .for_each(|((out, person), (level, node))| {
                let rows = out.chunks_exact_mut(KEY_BYTES).zip(person.chunks_exact(KEY_BYTES));
                for ((out, person), (&level, &node)) in rows.zip(level.iter().zip(node)) {
                    row_key(weight_class, level, node, person, out);
                }
            });
    });
    let keys = Array2::from_shape_vec(shape, out).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(keys.into_pyarray(py))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(row_keys, module)?)
}
