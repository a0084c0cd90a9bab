//! The hashes of the oblivious PRF by vector OLE (ePrint 2022/320): inputs to field elements, field elements to outputs.
//!
//! Both are SHA-256 after a first block of 64 bytes that binds session and bucket, so that one compression hashes an
//! input and one or few make each part of an output. The arithmetic between them is `gf128_multiply_add`.
//! `protocols/oprf_vole.py` tells the protocol and `tools/slow/oprf_vole.py` computes the same.

use numpy::{PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;
use sha2::compress256;
use sha2::digest::generic_array::{typenum::U64, GenericArray};

use crate::rows::{bad, in_row_order, matrix};

const INPUT: usize = 26;
const PREFIX: usize = 64;
/// 64-bit words of a field element.
const WORDS: usize = 2;
/// Bytes of an output that the equality test is run on.
const TARGET: usize = 8;
const DIGEST: usize = 32;
const PART_TARGET: u8 = 0;
const PART_MASKS: u8 = 1;
/// Hashes that one task makes: some hundreds of microseconds of work.
const TASK: usize = 1024;

type State = [u32; 8];
type Block = GenericArray<u8, U64>;

const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// SHA-256 after its first block.
struct Prefixed(State);

impl Prefixed {
    fn new(prefix: &[u8]) -> PyResult<Self> {
        if prefix.len() != PREFIX {
            return Err(bad("a hash prefix is 64 bytes"));
        }
        let mut state = INITIAL;
        compress256(&mut state, std::slice::from_ref(Block::from_slice(prefix)));
        Ok(Self(state))
    }

    /// The digest of the prefix and the first `used` bytes of the block, at most 55. The rest of the block is lost.
    fn digest(&self, block: &mut Block, used: usize) -> [u8; DIGEST] {
        block[used] = 0x80;
        block[used + 1..PREFIX - 8].fill(0);
        block[PREFIX - 8..].copy_from_slice(&(8 * (PREFIX + used) as u64).to_be_bytes());
        let mut state = self.0;
        compress256(&mut state, std::slice::from_ref(block));
        let mut out = [0u8; DIGEST];
        for (out, word) in out.chunks_exact_mut(4).zip(state) {
            out.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    /// An input's field element: the first 16 bytes of its digest.
    fn point(&self, input: &[u8], out: &mut [u64]) {
        let mut block = Block::default();
        block[..INPUT].copy_from_slice(input);
        let digest = self.digest(&mut block, INPUT);
        for (out, bytes) in out.iter_mut().zip(digest.chunks_exact(8)) {
            let mut word = [0u8; 8];
            word.copy_from_slice(bytes);
            *out = u64::from_le_bytes(word);
        }
    }

    /// Target ‖ masks of one element in its bin: SHA-256(prefix ‖ bin ‖ element ‖ part ‖ counter), each part cut.
    fn output(&self, bin: u64, element: &[u64], out: &mut [u8]) {
        let (target, masks) = out.split_at_mut(TARGET);
        for (part, out) in [(PART_TARGET, target), (PART_MASKS, masks)] {
            for (counter, out) in out.chunks_mut(DIGEST).enumerate() {
                let mut block = Block::default();
                for (bytes, word) in block.chunks_exact_mut(8).zip([bin, element[0], element[1]]) {
                    bytes.copy_from_slice(&word.to_le_bytes());
                }
                block[24] = part;
                block[25..29].copy_from_slice(&(counter as u32).to_le_bytes());
                out.copy_from_slice(&self.digest(&mut block, 29)[..out.len()]);
            }
        }
    }
}

/// Field elements of inputs k × 26 bytes under a prefix of 64 bytes; returns k × 2 words.
#[pyfunction]
fn oprf_vole_points<'py>(
    py: Python<'py>,
    prefix: &[u8],
    inputs: PyReadonlyArray2<'py, u8>,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (count, width) = inputs.as_array().dim();
    let inputs = in_row_order(&inputs, "inputs")?;
    if width != INPUT {
        return Err(bad("inputs are 26 bytes each"));
    }
    let hash = Prefixed::new(prefix)?;
    let mut out = vec![0u64; WORDS * count];
    py.detach(|| {
        out.par_chunks_mut(WORDS * TASK).zip(inputs.par_chunks(INPUT * TASK)).for_each(|(out, inputs)| {
            for (out, input) in out.chunks_exact_mut(WORDS).zip(inputs.chunks_exact(INPUT)) {
                hash.point(input, out);
            }
        });
    });
    matrix(py, out, WORDS)
}

/// Outputs of field elements k × 2 words in their bins under a prefix of 64 bytes; returns k × size bytes.
#[pyfunction]
fn oprf_vole_outputs<'py>(
    py: Python<'py>,
    prefix: &[u8],
    bins: PyReadonlyArray1<'py, i64>,
    elements: PyReadonlyArray2<'py, u64>,
    size: usize,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let (count, words) = elements.as_array().dim();
    let (bins, elements) = (in_row_order(&bins, "bins")?, in_row_order(&elements, "elements")?);
    if words != WORDS || bins.len() != count {
        return Err(bad("elements are 2 words each, and as many bins expected"));
    }
    if size <= TARGET || size % 8 != 0 || size > 1 << 20 {
        return Err(bad("an output is a multiple of 8 bytes above 8"));
    }
    let hash = Prefixed::new(prefix)?;
    let mut out = vec![0u8; size * count];
    py.detach(|| {
        out.par_chunks_mut(size * TASK).zip(elements.par_chunks(WORDS * TASK).zip(bins.par_chunks(TASK))).for_each(
            |(out, (elements, bins))| {
                let each = out.chunks_exact_mut(size).zip(elements.chunks_exact(WORDS).zip(bins));
                for (out, (element, &bin)) in each {
                    hash.output(bin as u64, element, out);
                }
            },
        );
    });
    matrix(py, out, size)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(oprf_vole_points, module)?)?;
    module.add_function(wrap_pyfunction!(oprf_vole_outputs, module)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn points_and_outputs_are_sha_256() {
        let prefix: Vec<u8> = (0..PREFIX as u8).collect();
        let hash = Prefixed::new(&prefix).unwrap();
        let input: Vec<u8> = (100..100 + INPUT as u8).collect();
        let mut point = [0u64; WORDS];
        hash.point(&input, &mut point);
        let digest = Sha256::new().chain_update(&prefix).chain_update(&input).finalize();
        assert_eq!(point.map(u64::to_le_bytes).as_flattened(), &digest[..16]);

        let element = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210u64];
        let mut out = [0u8; 8 + 8 * 5];
        hash.output(77, &element, &mut out);
        let part = |part: u8, counter: u32| {
            Sha256::new()
                .chain_update(&prefix)
                .chain_update(77u64.to_le_bytes())
                .chain_update(element.map(u64::to_le_bytes).as_flattened())
                .chain_update([part])
                .chain_update(counter.to_le_bytes())
                .finalize()
        };
        assert_eq!(out[..8], part(0, 0)[..8]);
        assert_eq!(out[8..40], part(1, 0)[..]);
        assert_eq!(out[40..], part(1, 1)[..8]);
    }
}
