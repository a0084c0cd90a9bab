//! The Merkle root of a list of rows, padded to a public length, every leaf blinded by a keyed hash of its index.
//!
//! Tree of RFC 9162, section 2.1.1, over SHA-256: a leaf is hashed behind 0x00, an inner node behind 0x01.

use numpy::{PyReadonlyArray1, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::wipe::{redacted, Wiped};

type Hash = [u8; 32];

/// Leaves of a subtree that one thread hashes at a time: a power of two, so that subtrees are nodes of the whole tree.
const SUBTREE: usize = 1024;
const BLOCK: usize = 64;
const LABEL: &[u8] = b"cleanroom/merkle/v1";

/// HMAC-SHA-256 (RFC 2104) with both pads hashed once.
struct Mac {
    inner: Wiped<Sha256>,
    outer: Wiped<Sha256>,
}

redacted!(Mac);

impl Mac {
    fn new(key: &[u8; 32]) -> Self {
        let mut pad = Zeroizing::new([0x36; BLOCK]);
        pad.iter_mut().zip(key).for_each(|(pad, key)| *pad ^= key);
        let inner = Wiped::new(Sha256::new().chain_update(pad.as_slice()));
        pad.iter_mut().for_each(|pad| *pad ^= 0x36 ^ 0x5c);
        Mac { inner, outer: Wiped::new(Sha256::new().chain_update(pad.as_slice())) }
    }

    fn salt(&self, index: u64) -> Hash {
        let mut inner = Wiped::new(self.inner.clone());
        inner.update(LABEL);
        inner.update(index.to_le_bytes());
        let mut outer = Wiped::new(self.outer.clone());
        outer.update(inner.finalize_reset());
        outer.finalize_reset().into()
    }
}

fn leaf(salt: &Hash, row: Option<&[u8]>) -> Hash {
    let state = Sha256::new().chain_update([0]).chain_update(salt);
    match row {
        Some(row) => state.chain_update([1]).chain_update(row).finalize().into(),
        None => state.chain_update([0]).finalize().into(),
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Pairs neighbours level by level; a last one without a neighbour moves up as it is, which is RFC 9162's split.
fn root_of(mut level: Vec<Hash>) -> Option<Hash> {
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node(left, right),
                [single, ..] => *single,
                [] => [0; 32],
            })
            .collect();
    }
    level.first().copied()
}

fn checked_offsets(offsets: &[u64], data: usize) -> Option<Vec<usize>> {
    let offsets = offsets.iter().map(|&offset| usize::try_from(offset).ok()).collect::<Option<Vec<_>>>()?;
    let ordered = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
    (ordered && offsets.first() == Some(&0) && offsets.last() == Some(&data)).then_some(offsets)
}

#[pyfunction]
fn merkle_root<'py>(
    py: Python<'py>,
    key: &[u8],
    data: PyReadonlyArray1<'py, u8>,
    offsets: PyReadonlyArray1<'py, u64>,
    padded: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let key: Zeroizing<[u8; 32]> =
        Zeroizing::new(key.try_into().map_err(|_| PyValueError::new_err("the blinding key is 32 bytes"))?);
    if padded == 0 || offsets.len() > padded.saturating_add(1) {
        return Err(PyValueError::new_err("padded is at least 1 and at least the number of rows"));
    }
    let data = data.as_slice().map_err(|_| PyValueError::new_err("data must be contiguous"))?;
    let offsets = offsets.as_slice().map_err(|_| PyValueError::new_err("offsets must be contiguous"))?;
    let offsets = checked_offsets(offsets, data.len())
        .ok_or_else(|| PyValueError::new_err("offsets must rise from 0 to the length of the data"))?;
    let root = py.detach(|| {
        let mac = Mac::new(&key);
        let row = |index: usize| match (offsets.get(index), offsets.get(index + 1)) {
            (Some(&start), Some(&stop)) => Some(&data[start..stop]),
            _ => None,
        };
        let tops = (0..padded.div_ceil(SUBTREE))
            .into_par_iter()
            .map(|subtree| {
                let indices = subtree * SUBTREE..((subtree + 1) * SUBTREE).min(padded);
                root_of(indices.map(|index| leaf(&mac.salt(index as u64), row(index))).collect())
            })
            .collect::<Option<Vec<_>>>()?;
        root_of(tops)
    });
    match root {
        Some(root) => Ok(PyBytes::new(py, &root)),
        None => Err(PyValueError::new_err("a tree has at least one leaf")),
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(merkle_root, module)?)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wipe::look::{dropped, holds};

    fn recursive(leaves: &[Hash]) -> Hash {
        match leaves {
            [single] => *single,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node(&recursive(&leaves[..split]), &recursive(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_blinding_key_s_states_are_wiped() {
        let key = *b"a key of thirty-two bytes, as is";
        // what the states hold of the key: eight words in the machine's order
        let state = |pad: u8| -> [u32; 8] {
            let mut block = [pad; BLOCK];
            block.iter_mut().zip(&key).for_each(|(byte, key)| *byte ^= key);
            let mut state = sha256_start();
            sha2::compress256(&mut state, &[block.into()]);
            state
        };
        let (before, after) = dropped(Mac::new(&key));
        for pad in [0x36, 0x5c] {
            let state = state(pad).map(u32::to_ne_bytes).concat();
            assert!(holds(&before, &state));
        }
        assert!(after.iter().all(|&byte| byte == 0));
        assert_eq!(format!("{:?}", Mac::new(&key)), "Mac(..)");
    }

    /// FIPS 180-4, section 5.3.3.
    fn sha256_start() -> [u32; 8] {
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19]
    }

    #[test]
    fn level_by_level_equals_the_definition_of_rfc_9162() {
        let leaves: Vec<Hash> = (0..70u8).map(|index| leaf(&[index; 32], None)).collect();
        for count in 1..leaves.len() {
            assert_eq!(root_of(leaves[..count].to_vec()).unwrap(), recursive(&leaves[..count]));
        }
        assert_eq!(root_of(Vec::new()), None);
    }
}
