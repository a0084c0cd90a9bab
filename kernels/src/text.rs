//! Columns of text as Arrow lays them out: offsets into one run of bytes, and which entries are not null.

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

pub struct Texts<'a> {
    offsets: &'a [i32],
    data: &'a [u8],
    valid: &'a [bool],
    /// All entries in one, if that is UTF-8: checked in one go, which is much faster than one by one.
    whole: Option<&'a str>,
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
        let (first, last) = (offsets[0] as usize, offsets[valid.len()] as usize);
        Ok(Texts { offsets, data, valid, whole: std::str::from_utf8(&data[first..last]).ok() })
    }

    pub fn len(&self) -> usize {
        self.valid.len()
    }

    /// The bytes of an entry, or None where it is null.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let bytes = &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize];
        self.valid[index].then_some(bytes)
    }

    /// The text of an entry, None inside where it is not UTF-8; None where it is null.
    pub fn text(&self, index: usize) -> Option<Option<&'a str>> {
        let within = |place: usize| (self.offsets[place] - self.offsets[0]) as usize;
        match self.whole {
            // what begins or ends inside a character is no text
            Some(whole) => self.valid[index].then(|| whole.get(within(index)..within(index + 1))),
            None => self.get(index).map(|bytes| std::str::from_utf8(bytes).ok()),
        }
    }

    /// Whether every entry is seen to be UTF-8 without a look at each; a null one with other bytes may hide it.
    fn is_utf8(&self) -> bool {
        let begins =
            |&offset: &i32| self.whole.is_some_and(|whole| whole.is_char_boundary((offset - self.offsets[0]) as usize));
        self.whole.is_some_and(str::is_ascii) || self.offsets.iter().all(begins)
    }
}

/// Whether all texts (offsets n + 1, data, valid n) are known to be UTF-8; if not, some may be none.
#[pyfunction]
fn is_utf8(
    offsets: PyReadonlyArray1<'_, i32>,
    data: PyReadonlyArray1<'_, u8>,
    valid: PyReadonlyArray1<'_, bool>,
) -> PyResult<bool> {
    Ok(Texts::new(&offsets, &data, &valid)?.is_utf8())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(is_utf8, module)?)
}
