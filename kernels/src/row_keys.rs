//! Keys of rows: keyless digests of (weight class, tree level, node, person), cut to 16 bytes.

use numpy::{PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::key::{key_of_words, Key, KEY_BYTES};
use crate::lanes::{keys_framed, Framed, Framing, LANES};
use crate::rows::{bad, in_row_order, matrix};

/// Rows that one task digests: some tens of microseconds of work.
const TASK: usize = 1024;

/// SHA-256(label ‖ class ‖ level ‖ node i64 little endian ‖ person), the first 16 bytes.
struct Row;

impl Framed for Row {
    const HEAD: [u32; 4] = [0x636c_6561, 0x6e72_6f6f, 0x6d2f_726f, 0x772f_7631]; // cleanroom/row/v1
    const BYTES: usize = 16 + 10 + KEY_BYTES;
}

/// Keys in the making, sixteen at once.
pub(crate) struct Sixteen {
    class: u8,
    words: Framing,
    held: usize,
}

impl Sixteen {
    /// Keys of one weight class.
    pub(crate) fn new(class: u8) -> Self {
        Sixteen { class, words: [[0; LANES]; 7], held: 0 }
    }

    /// Adds a row; returns the keys of the last sixteen when there are as many.
    pub(crate) fn add(&mut self, level: u8, node: i64, person: &[u8; KEY_BYTES]) -> Option<[Key; LANES]> {
        let (node, person) = (node.swap_bytes() as u64, u128::from_be_bytes(*person));
        let first = u32::from_be_bytes([self.class, level, 0, 0]);
        let own = [
            first | (node >> 48) as u32,
            (node >> 16) as u32,
            (node << 16) as u32 | (person >> 112) as u32,
            (person >> 80) as u32,
            (person >> 48) as u32,
            (person >> 16) as u32,
            (person << 16) as u32 | 0x8000,
        ];
        self.words.iter_mut().zip(own).for_each(|(words, word)| words[self.held] = word);
        self.held += 1;
        (self.held == LANES).then(|| self.hashed())
    }

    /// The keys of what waits, call it after the last row: as many as are left of sixteen, and others behind them.
    pub(crate) fn hashed(&mut self) -> [Key; LANES] {
        self.held = 0;
        keys_framed::<Row>(&self.words)
    }
}

/// Keys in the making, in the order in which their rows are added.
pub(crate) struct RowKeys<'a> {
    keys: Sixteen,
    out: std::slice::ChunksMut<'a, [u8; KEY_BYTES]>,
}

impl<'a> RowKeys<'a> {
    /// Keys of one weight class; `out` is as long as there are rows.
    pub(crate) fn new(class: u8, out: &'a mut [[u8; KEY_BYTES]]) -> Self {
        RowKeys { keys: Sixteen::new(class), out: out.chunks_mut(LANES) }
    }

    pub(crate) fn add(&mut self, level: u8, node: i64, person: &[u8; KEY_BYTES]) {
        if let Some(found) = self.keys.add(level, node, person) {
            self.write(&found);
        }
    }

    /// Hashes what waits: call it after the last row.
    pub(crate) fn finish(&mut self) {
        let last = self.keys.hashed();
        self.write(&last);
    }

    fn write(&mut self, found: &[Key; LANES]) {
        for (out, key) in self.out.next().unwrap_or_default().iter_mut().zip(found) {
            *out = key_of_words(key);
        }
    }
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
    let (person, level, node) =
        (in_row_order(&person, "person")?, in_row_order(&level, "level")?, in_row_order(&node, "node")?);
    if shape.1 != KEY_BYTES || level.len() != shape.0 || node.len() != shape.0 {
        return Err(bad("person is n × 16 bytes, level and node have n entries"));
    }
    let (person, _) = person.as_chunks::<KEY_BYTES>();
    let mut keys = vec![[0u8; KEY_BYTES]; person.len()];
    py.detach(|| {
        let rows = person.par_chunks(TASK).zip(level.par_chunks(TASK).zip(node.par_chunks(TASK)));
        keys.par_chunks_mut(TASK).zip(rows).for_each(|(out, (person, (level, node)))| {
            let mut keys = RowKeys::new(weight_class, out);
            for (person, (&level, &node)) in person.iter().zip(level.iter().zip(node)) {
                keys.add(level, node, person);
            }
            keys.finish();
        });
    });
    matrix(py, keys.into_flattened(), KEY_BYTES)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(row_keys, module)?)
}
