//! The hashes of the oblivious PRF by vector OLE (ePrint 2022/320): inputs to field elements, field elements to outputs.
//!
//! Both are SHA-256 after a prefix of one block, so that one compression hashes an input and one or few make each part of
//! an output. The arithmetic between them is `gf128_multiply_add`.
//! `protocols/oprf_vole.py` tells the protocol and `tools/slow/oprf_vole.py` computes the same.

use numpy::{PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::cuckoo::word_at;
use crate::lanes::{digests, pad, State, BLOCK_BYTES, LANES};
use crate::oprf::{check_size, prefixed, write_outputs, INPUT, NUMBER};
use crate::rows::{bad, in_row_order, matrix};

/// 64-bit words of a field element.
const WORDS: usize = 2;
/// Hashes that one task makes: some hundreds of microseconds of work.
const TASK: usize = 1024;

/// Field elements of inputs: the first 16 bytes of SHA-256(prefix ‖ input).
fn points(prefixed: &State, inputs: &[u8], out: &mut [u64]) {
    for (out, inputs) in out.chunks_mut(LANES * WORDS).zip(inputs.chunks(LANES * INPUT)) {
        let mut messages = [&[][..]; LANES];
        messages.iter_mut().zip(inputs.chunks_exact(INPUT)).for_each(|(message, input)| *message = input);
        let digests = digests(prefixed, BLOCK_BYTES, &messages[..inputs.len() / INPUT]);
        for (out, digest) in out.chunks_exact_mut(WORDS).zip(digests) {
            out.copy_from_slice(&[word_at(&digest, 0), word_at(&digest, 8)]);
        }
    }
}

/// Target ‖ masks of elements in their bins: SHA-256(prefix ‖ bin ‖ element ‖ part ‖ counter), each part cut.
fn outputs(prefixed: &State, bins: &[i64], elements: &[u64], size: usize, out: &mut [u8]) {
    const AT: usize = 8 + 8 * WORDS;
    let each = elements.chunks(LANES * WORDS).zip(bins.chunks(LANES));
    for (out, (elements, bins)) in out.chunks_mut(LANES * size).zip(each) {
        let mut blocks = Zeroizing::new([[0u8; BLOCK_BYTES]; LANES]);
        for (block, (element, bin)) in blocks.iter_mut().zip(elements.chunks_exact(WORDS).zip(bins)) {
            for (bytes, word) in block.chunks_exact_mut(8).zip([*bin as u64, element[0], element[1]]) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            pad(block, AT + NUMBER, BLOCK_BYTES + AT + NUMBER);
        }
        write_outputs(prefixed, &mut blocks, AT, size, out);
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
    let prefixed = prefixed(prefix)?;
    let mut out = vec![0u64; WORDS * count];
    py.detach(|| {
        let tasks = out.par_chunks_mut(WORDS * TASK).zip(inputs.par_chunks(INPUT * TASK));
        tasks.for_each(|(out, inputs)| points(&prefixed, inputs, out));
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
    check_size(size)?;
    let prefixed = prefixed(prefix)?;
    let mut out = vec![0u8; size * count];
    py.detach(|| {
        let tasks = elements.par_chunks(WORDS * TASK).zip(bins.par_chunks(TASK));
        out.par_chunks_mut(size * TASK)
            .zip(tasks)
            .for_each(|(out, (elements, bins))| outputs(&prefixed, bins, elements, size, out));
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
        let prefix: Vec<u8> = (0..BLOCK_BYTES as u8).collect();
        let prefixed = prefixed(&prefix).unwrap();
        let input: Vec<u8> = (100..100 + INPUT as u8).collect();
        let mut point = [0u64; WORDS];
        points(&prefixed, &input, &mut point);
        let digest = Sha256::new().chain_update(&prefix).chain_update(&input).finalize();
        assert_eq!(point.map(u64::to_le_bytes).as_flattened(), &digest[..16]);

        let element = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210u64];
        let mut out = [0u8; 8 + 8 * 5];
        outputs(&prefixed, &[77], &element, out.len(), &mut out);
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
