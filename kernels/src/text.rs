//! Columns of text as Arrow lays them out: offsets into one run of bytes, and which entries are not null.

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::PyResult;

pub struct Texts<'a> {
    offsets: &'a [i32],
    data: &'a [u8],
    valid: &'a [bool],
}

impl<'a> Texts<'a> {
    /// Checks a column: n + 1 offsets that do not decrease and stay inside the data, n flags.
    pub fn new(
        offsets: &'a PyReadonlyArray1<'_, i32>,
        data: &'a PyReadonlyArray1<'_, u8>,
        valid: &'a PyReadonlyArray1<'_, bool>,
    ) -> PyResult<Self> {
        let (offsets, data, valid) = match (offsets.as_slice(), data.as_slice(), valid.as_slice()) {
            (Ok(offsets), Ok(data), Ok(valid)) => (offsets, data, valid),
            _ => return Err(PyValueError::new_err("offsets, data and valid must be contiguous")),
        };
        let inside = match (offsets.first(), offsets.last()) {
            (Some(&first), Some(&last)) => first >= 0 && usize::try_from(last).is_ok_and(|last| last <= data.len()),
            _ => false,
        };
        if !inside || offsets.len() != valid.len() + 1 || !offsets.is_sorted() {
            return Err(PyValueError::new_err("offsets must be n + 1 increasing positions inside the data"));
        }
        Ok(Texts { offsets, data, valid })
    }

    pub fn len(&self) -> usize {
        self.valid.len()
    }

    /// The bytes of an entry, or None where it is null.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let bytes = &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize];
        self.valid[index].then_some(bytes)
    }
}
