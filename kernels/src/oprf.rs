//! What the oblivious PRFs `kkrt` and `oprf_vole` share: inputs, the prefix of every hash, and the form of an output.
//!
//! A prefix is one block of SHA-256 that binds session and bucket, so it is compressed once. An output is
//! target ‖ masks, each part made of SHA-256 digests that end in part ‖ counter, sixteen outputs at once.

use pyo3::prelude::*;
use std::ops::Range;

use crate::lanes::{compress, compress_one, digest_of, spread, Block, State, DIGEST_BYTES, LANES, START};
use crate::rows::bad;

/// Bytes of an input.
pub(crate) const INPUT: usize = 26;
/// Bytes of part ‖ counter.
pub(crate) const NUMBER: usize = 5;
/// Bytes of an output that the equality test is run on.
const TARGET: usize = 8;
const MAX_SIZE: usize = 1 << 20;
const PART_TARGET: u8 = 0;
const PART_MASKS: u8 = 1;

/// The state after a prefix.
pub(crate) fn prefixed(prefix: &[u8]) -> PyResult<State> {
    let block: &Block = prefix.try_into().map_err(|_| bad("a hash prefix is 64 bytes"))?;
    let mut state = START;
    compress_one(&mut state, block);
    Ok(state)
}

pub(crate) fn check_size(size: usize) -> PyResult<()> {
    if size <= TARGET || size % 8 != 0 || size > MAX_SIZE {
        return Err(bad("an output is a multiple of 8 bytes above 8"));
    }
    Ok(())
}

/// Writes up to sixteen outputs of `size` bytes: target ‖ masks, digests of `state` and a block each, which is padded and
/// whose part ‖ counter begins at byte `at`.
pub(crate) fn write_outputs(state: &State, blocks: &mut [Block; LANES], at: usize, size: usize, out: &mut [u8]) {
    write_part(state, blocks, (at, PART_TARGET), size, 0..TARGET, out);
    write_part(state, blocks, (at, PART_MASKS), size, TARGET..size, out);
}

fn write_part(
    state: &State,
    blocks: &mut [Block; LANES],
    (at, part): (usize, u8),
    size: usize,
    place: Range<usize>,
    out: &mut [u8],
) {
    for (counter, start) in place.clone().step_by(DIGEST_BYTES).enumerate() {
        for block in blocks.iter_mut() {
            block[at] = part;
            block[at + 1..at + NUMBER].copy_from_slice(&(counter as u32).to_le_bytes());
        }
        let mut states = spread(state);
        compress(&mut states, blocks);
        for (lane, out) in out.chunks_exact_mut(size).enumerate() {
            let out = &mut out[start..place.end.min(start + DIGEST_BYTES)];
            out.copy_from_slice(&digest_of(&states, lane)[..out.len()]);
        }
    }
}
