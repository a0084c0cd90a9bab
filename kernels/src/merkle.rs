//! The Merkle root of a list of rows, padded to a public length, every leaf blinded by a keyed hash of its index.
//!
//! Tree of RFC 9162, section 2.1.1, over SHA-256: a leaf is hashed behind 0x00, an inner node behind 0x01. Sixteen
//! leaves, and sixteen pairs of nodes, are hashed at once.

use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::hmac::Mac;
use crate::lanes::{compress, digest_of, digests, pad, spread, Digest, BLOCK_BYTES, DIGEST_BYTES, LANES, START};
use crate::rows::{bad, in_row_order};

/// Leaves of a subtree that one thread hashes at a time: a power of two, so that subtrees are nodes of the whole tree.
const SUBTREE: usize = 1024;
const LABEL: &[u8] = b"cleanroom/merkle/v1";
const KEY_BYTES: usize = 16;

/// The salts of the sixteen leaves from `first` on.
fn salts(mac: &Mac, first: u64) -> [Digest; LANES] {
    let messages: [[u8; LABEL.len() + 8]; LANES] = std::array::from_fn(|lane| {
        let mut message = [0; LABEL.len() + 8];
        message[..LABEL.len()].copy_from_slice(LABEL);
        message[LABEL.len()..].copy_from_slice(&(first + lane as u64).to_le_bytes());
        message
    });
    mac.tags(&messages.each_ref().map(|message| message.as_slice()))
}

/// A list of rows that can be encoded one by one.
trait Encoded: Sync {
    fn count(&self) -> usize;
    /// Bytes of the longest row.
    fn longest(&self) -> usize;
    /// Appends row `index` < count.
    fn encode(&self, index: usize, out: &mut Vec<u8>);
}

fn longest_between(offsets: &[usize]) -> usize {
    offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}

/// Rows as they are.
struct Plain<'a> {
    data: &'a [u8],
    offsets: Vec<usize>,
}

impl Encoded for Plain<'_> {
    fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    fn longest(&self) -> usize {
        longest_between(&self.offsets)
    }

    fn encode(&self, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.data[self.offsets[index]..self.offsets[index + 1]]);
    }
}

/// key ‖ value i64 …, little endian.
struct Valued<'a> {
    keys: &'a [u8],
    values: &'a [i64],
    columns: usize,
}

impl Encoded for Valued<'_> {
    fn count(&self) -> usize {
        self.keys.len() / KEY_BYTES
    }

    fn longest(&self) -> usize {
        KEY_BYTES + 8 * self.columns
    }

    fn encode(&self, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.keys[index * KEY_BYTES..(index + 1) * KEY_BYTES]);
        let values = &self.values[index * self.columns..(index + 1) * self.columns];
        out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
}

/// key ‖ (target u32, weight i64) …, little endian.
struct Weighted<'a> {
    keys: &'a [u8],
    indptr: Vec<usize>,
    target: &'a [i32],
    weight: &'a [i64],
}

impl Encoded for Weighted<'_> {
    fn count(&self) -> usize {
        self.indptr.len() - 1
    }

    fn longest(&self) -> usize {
        KEY_BYTES + 12 * longest_between(&self.indptr)
    }

    fn encode(&self, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.keys[index * KEY_BYTES..(index + 1) * KEY_BYTES]);
        for place in self.indptr[index]..self.indptr[index + 1] {
            out.extend_from_slice(&self.target[place].to_le_bytes());
            out.extend_from_slice(&self.weight[place].to_le_bytes());
        }
    }
}

/// Messages of sixteen leaves, which hold salts: wiped, and with room for the longest row, so that none moves.
type Messages = [Zeroizing<Vec<u8>>; LANES];

/// 0x00 ‖ salt ‖ (0x01 ‖ row, or 0x00 for padding), of up to sixteen leaves from `first` on; row 0 is leaf `origin`.
fn leaves(
    mac: &Mac,
    rows: &impl Encoded,
    origin: u64,
    first: usize,
    count: usize,
    scratch: &mut Messages,
) -> [Digest; LANES] {
    for (lane, (message, salt)) in scratch.iter_mut().zip(salts(mac, origin.wrapping_add(first as u64))).enumerate() {
        message.clear();
        message.push(0);
        message.extend_from_slice(&salt);
        if first + lane < rows.count() {
            message.push(1);
            rows.encode(first + lane, message);
        } else {
            message.push(0);
        }
    }
    digests(&START, 0, &scratch.each_ref().map(|message| message.as_slice())[..count])
}

/// 0x01 ‖ left ‖ right, for up to sixteen pairs.
fn nodes(pairs: &[Digest]) -> [Digest; LANES] {
    const LENGTH: usize = 65;
    let (mut heads, mut tails) = ([[0; BLOCK_BYTES]; LANES], [[0; BLOCK_BYTES]; LANES]);
    for ((head, tail), pair) in heads.iter_mut().zip(&mut tails).zip(pairs.chunks_exact(2)) {
        head[0] = 1;
        head[1..33].copy_from_slice(&pair[0]);
        head[33..].copy_from_slice(&pair[1][..31]);
        tail[0] = pair[1][31];
        pad(tail, 1, LENGTH);
    }
    let mut states = spread(&START);
    compress(&mut states, &heads);
    compress(&mut states, &tails);
    std::array::from_fn(|lane| digest_of(&states, lane))
}

/// Pairs neighbours level by level; a last one without a neighbour moves up as it is, which is RFC 9162's split.
fn root_of(mut level: Vec<Digest>) -> Option<Digest> {
    while level.len() > 1 {
        let (mut above, pairs) = (Vec::with_capacity(level.len().div_ceil(2)), level.len() / 2);
        for chunk in level[..2 * pairs].chunks(2 * LANES) {
            above.extend_from_slice(&nodes(chunk)[..chunk.len() / 2]);
        }
        above.extend_from_slice(&level[2 * pairs..]);
        level = above;
    }
    level.first().copied()
}

fn rising<T: Copy + TryInto<usize>>(offsets: &[T], end: usize) -> Option<Vec<usize>> {
    let offsets = offsets.iter().map(|&offset| offset.try_into().ok()).collect::<Option<Vec<_>>>()?;
    (offsets.is_sorted() && offsets.first() == Some(&0) && offsets.last() == Some(&end)).then_some(offsets)
}

/// The node over `padded` leaves, of which the first are the rows; `origin` is the number of the first in its tree.
fn top(mac: &Mac, rows: &impl Encoded, padded: usize, origin: u64) -> Option<Digest> {
    const HEAD: usize = 2 + DIGEST_BYTES;
    let room = HEAD + rows.longest();
    let scratch = || -> Messages { std::array::from_fn(|_| Zeroizing::new(Vec::with_capacity(room))) };
    let tops = (0..padded.div_ceil(SUBTREE))
        .into_par_iter()
        .map_init(scratch, |scratch, subtree| {
            let (first, end) = (subtree * SUBTREE, ((subtree + 1) * SUBTREE).min(padded));
            let mut level = Vec::with_capacity(end - first);
            for at in (first..end).step_by(LANES) {
                let count = LANES.min(end - at);
                level.extend_from_slice(&leaves(mac, rows, origin, at, count, scratch)[..count]);
            }
            root_of(level)
        })
        .collect::<Option<Vec<_>>>()?;
    root_of(tops)
}

/// `top` under a key of 32 bytes, as Python takes it.
fn root<'py>(
    py: Python<'py>,
    key: &[u8],
    rows: &impl Encoded,
    padded: usize,
    origin: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(key.try_into().map_err(|_| bad("the blinding key is 32 bytes"))?);
    if padded == 0 || rows.count() > padded {
        return Err(bad("padded is at least 1 and at least the number of rows"));
    }
    match py.detach(|| top(&Mac::new(&key), rows, padded, origin)) {
        Some(root) => Ok(PyBytes::new(py, &root)),
        None => Err(bad("a tree has at least one leaf")),
    }
}

/// The root over rows that lie one after the other: row i is data[offsets[i]..offsets[i + 1]].
#[pyfunction]
fn merkle_root<'py>(
    py: Python<'py>,
    key: &[u8],
    data: PyReadonlyArray1<'py, u8>,
    offsets: PyReadonlyArray1<'py, u64>,
    padded: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let (data, offsets) = (in_row_order(&data, "data")?, in_row_order(&offsets, "offsets")?);
    let offsets =
        rising(offsets, data.len()).ok_or_else(|| bad("offsets must rise from 0 to the length of the data"))?;
    root(py, key, &Plain { data, offsets }, padded, 0)
}

/// The root over rows of a key and m values, each key ‖ value i64 …: keys n × 16, values n × m.
#[pyfunction]
fn valued_root<'py>(
    py: Python<'py>,
    key: &[u8],
    keys: PyReadonlyArray2<'py, u8>,
    values: PyReadonlyArray2<'py, i64>,
    padded: usize,
    origin: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let (count, columns) = (values.shape()[0], values.shape()[1]);
    if keys.shape() != [count, KEY_BYTES] {
        return Err(bad("keys are n × 16 bytes, values n × m"));
    }
    let (keys, values) = (in_row_order(&keys, "keys")?, in_row_order(&values, "values")?);
    root(py, key, &Valued { keys, values, columns }, padded, origin)
}

/// The root over rows of a key and its weights, each key ‖ (target u32, weight i64) …: keys n × 16, indptr n + 1.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // Python's call has them by position
fn weighted_root<'py>(
    py: Python<'py>,
    key: &[u8],
    keys: PyReadonlyArray2<'py, u8>,
    indptr: PyReadonlyArray1<'py, i64>,
    target: PyReadonlyArray1<'py, i32>,
    weight: PyReadonlyArray1<'py, i64>,
    padded: usize,
    origin: u64,
) -> PyResult<Bound<'py, PyBytes>> {
    let shape = [indptr.len().wrapping_sub(1), KEY_BYTES];
    if keys.shape() != shape || target.len() != weight.len() {
        return Err(bad("keys are n × 16 bytes, indptr has n + 1 entries, each target one weight"));
    }
    let (keys, indptr) = (in_row_order(&keys, "keys")?, in_row_order(&indptr, "indptr")?);
    let (target, weight) = (in_row_order(&target, "target")?, in_row_order(&weight, "weight")?);
    let indptr = rising(indptr, target.len()).ok_or_else(|| bad("indptr must rise from 0 to the number of weights"))?;
    root(py, key, &Weighted { keys, indptr, target, weight }, padded, origin)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(merkle_root, module)?)?;
    module.add_function(wrap_pyfunction!(valued_root, module)?)?;
    module.add_function(wrap_pyfunction!(weighted_root, module)?)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wipe::look::freed_with;

    fn recursive(leaves: &[Digest]) -> Digest {
        match leaves {
            [single] => *single,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                nodes(&[recursive(&leaves[..split]), recursive(&leaves[split..])])[0]
            }
        }
    }

    #[test]
    fn level_by_level_equals_the_definition_of_rfc_9162() {
        let leaves: Vec<Digest> = (0..70u8).map(|index| digests(&START, 0, &[&[index; 33]])[0]).collect();
        for count in 1..leaves.len() {
            assert_eq!(root_of(leaves[..count].to_vec()).unwrap(), recursive(&leaves[..count]));
        }
        assert_eq!(root_of(Vec::new()), None);
    }

    #[test]
    fn salts_are_wiped() {
        let (mac, values) = (Mac::new(b"a key of thirty-two bytes, as is"), [7i64; 40]);
        let rows = Valued { keys: &[9; 20 * KEY_BYTES], values: &values, columns: 2 };
        for salt in salts(&mac, 0) {
            assert_eq!(freed_with(&salt, || top(&mac, &rows, 20, 0)), 0);
        }
        let indptr = (0..=20).map(|row: usize| row * row / 2).collect();
        let rows = Weighted { keys: &[9; 20 * KEY_BYTES], indptr, target: &[3; 200], weight: &[5; 200] };
        for salt in salts(&mac, 0) {
            assert_eq!(freed_with(&salt, || top(&mac, &rows, 20, 0)), 0);
        }
    }
}
