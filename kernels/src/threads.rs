//! How many threads the kernels share: one pool for the whole process.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The most that a caller may ask for; no machine that this runs on has more cores.
const MAX_THREADS: usize = 1024;

/// Makes the pool with this many threads. It is made once in a process, by this or by the first kernel that uses it:
/// later calls are refused unless they ask for the number that there is.
#[pyfunction]
fn set_threads(count: usize) -> PyResult<()> {
    if !(1..=MAX_THREADS).contains(&count) {
        return Err(PyValueError::new_err(format!("1 to {MAX_THREADS} threads")));
    }
    let made = rayon::ThreadPoolBuilder::new().num_threads(count).build_global();
    let present = rayon::current_num_threads();
    match made {
        _ if present == count => Ok(()),
        Err(_) => Err(PyValueError::new_err(format!("the kernels already run on {present} threads"))),
        Ok(()) => Err(PyValueError::new_err(format!("{count} threads could not be started"))),
    }
}

/// Threads of the pool, which is made with the default number if there is none.
#[pyfunction]
fn threads() -> usize {
    rayon::current_num_threads()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("MAX_THREADS", MAX_THREADS)?;
    module.add_function(wrap_pyfunction!(set_threads, module)?)?;
    module.add_function(wrap_pyfunction!(threads, module)?)
}
