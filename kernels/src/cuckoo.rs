//! Cuckoo hashing with three distinct bins a key: positions, and a placement by augmenting paths.
//!
//! A placement is a perfect matching of rows to bins found breadth first, so it fails only where none exists.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::lanes::{compress, digest_of, pad, spread, Block, Digest, BLOCK_BYTES, LANES, START};
use crate::rows::{bad, in_row_order, matrix};

const LABEL: &[u8; 7] = b"bins/v1";
const KEY_BYTES: usize = 16;
const SEED_BYTES: usize = 32;
const BEFORE_KEY: usize = LABEL.len() + SEED_BYTES;
pub(crate) const CHOICES: usize = 3;
const EMPTY: u32 = u32::MAX;
/// Rows that one task hashes: some tens of microseconds of work.
const TASK_ROWS: usize = 1024;

/// The high word of a 64 × 64 bit product: a uniform word mapped to [0, range) with a bias below range / 2^64.
pub(crate) fn reduce(word: u64, range: u64) -> u64 {
    ((u128::from(word) * u128::from(range)) >> 64) as u64
}

/// The 64-bit word at a byte offset of a digest.
pub(crate) fn word_at(digest: &[u8], offset: usize) -> u64 {
    let mut word = [0u8; 8];
    word.copy_from_slice(&digest[offset..offset + 8]);
    u64::from_le_bytes(word)
}

/// Three distinct bins: each is uniform among those that the earlier ones left.
fn bins_of(digest: &Digest, n_bins: u64) -> [i64; CHOICES] {
    let first = reduce(word_at(digest, 0), n_bins);
    let mut second = reduce(word_at(digest, 8), n_bins - 1);
    second += u64::from(second >= first);
    let mut third = reduce(word_at(digest, 16), n_bins - 2);
    third += u64::from(third >= first.min(second));
    third += u64::from(third >= first.max(second));
    [first as i64, second as i64, third as i64]
}

/// A message under a seed, but for the key: label, seed and key are 55 bytes, so that they and their padding are a block.
fn block_under(seed: &[u8; SEED_BYTES]) -> Block {
    let mut block = [0; BLOCK_BYTES];
    block[..LABEL.len()].copy_from_slice(LABEL);
    block[LABEL.len()..BEFORE_KEY].copy_from_slice(seed);
    pad(&mut block, BEFORE_KEY + KEY_BYTES, BEFORE_KEY + KEY_BYTES);
    block
}

/// The bins of keys, sixteen hashed at once; `blocks` are as `block_under` made them but for their keys.
fn write_bins(blocks: &mut [Block; LANES], keys: &[u8], n_bins: u64, out: &mut [i64]) {
    for (keys, out) in keys.chunks(LANES * KEY_BYTES).zip(out.chunks_mut(LANES * CHOICES)) {
        for (block, key) in blocks.iter_mut().zip(keys.chunks_exact(KEY_BYTES)) {
            block[BEFORE_KEY..BEFORE_KEY + KEY_BYTES].copy_from_slice(key);
        }
        let mut states = spread(&START);
        compress(&mut states, blocks);
        for (lane, out) in out.chunks_exact_mut(CHOICES).enumerate() {
            out.copy_from_slice(&bins_of(&digest_of(&states, lane), n_bins));
        }
    }
}

/// The three bins of each key: keys n × 16 bytes, seed 32 bytes, n_bins >= 3; returns n × 3.
#[pyfunction]
fn bin_positions<'py>(
    py: Python<'py>,
    keys: PyReadonlyArray2<'py, u8>,
    seed: &[u8],
    n_bins: u64,
) -> PyResult<Bound<'py, PyArray2<i64>>> {
    let (rows, width) = keys.as_array().dim();
    let keys = in_row_order(&keys, "keys")?;
    let seed = match seed.try_into() {
        Ok(seed) if width == KEY_BYTES => seed,
        _ => return Err(bad("keys are n × 16 bytes and the seed is 32 bytes")),
    };
    if !(CHOICES as u64..u64::from(EMPTY)).contains(&n_bins) {
        return Err(bad("the number of bins is between 3 and 2^32 - 2"));
    }
    let (block, mut out) = (block_under(seed), vec![0i64; rows * CHOICES]);
    py.detach(|| {
        out.par_chunks_mut(TASK_ROWS * CHOICES).zip(keys.par_chunks(TASK_ROWS * KEY_BYTES)).for_each(|(out, keys)| {
            write_bins(&mut [block; LANES], keys, n_bins, out);
        });
    });
    matrix(py, out, CHOICES)
}

/// Matches every row to one of its bins; None where no such matching exists.
fn place(positions: &[u32], n_bins: usize) -> Option<Vec<u32>> {
    let mut occupant = vec![EMPTY; n_bins];
    // visited[bin] is the row whose search saw the bin last, so that it needs no clearing.
    let mut visited = vec![EMPTY; n_bins];
    let mut queue: Vec<(u32, u32)> = Vec::new(); // (bin, index in the queue of the bin it was reached from)
    for (row, bins) in positions.chunks_exact(CHOICES).enumerate() {
        let row = row as u32;
        queue.clear();
        let mut free = None;
        for &bin in bins {
            if visited[bin as usize] != row {
                visited[bin as usize] = row;
                queue.push((bin, EMPTY));
                if occupant[bin as usize] == EMPTY {
                    free = Some(queue.len() - 1);
                    break;
                }
            }
        }
        let mut head = 0;
        while free.is_none() {
            let &(bin, _) = queue.get(head)?;
            let holder = occupant[bin as usize] as usize;
            for &next in &positions[holder * CHOICES..(holder + 1) * CHOICES] {
                if visited[next as usize] != row {
                    visited[next as usize] = row;
                    queue.push((next, head as u32));
                    if occupant[next as usize] == EMPTY {
                        free = Some(queue.len() - 1);
                        break;
                    }
                }
            }
            head += 1;
        }
        let mut node = free?;
        loop {
            let (bin, parent) = queue[node];
            if parent == EMPTY {
                occupant[bin as usize] = row;
                break;
            }
            occupant[bin as usize] = occupant[queue[parent as usize].0 as usize];
            node = parent as usize;
        }
    }
    Some(occupant)
}

type Placement<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<u8>>);

/// Places rows in bins: positions n × 3 in [0, n_bins). Returns the row in each bin (-1: empty) and which of the
/// row's three positions the bin is (0 where empty); None if no placement exists.
#[pyfunction]
fn cuckoo_place<'py>(
    py: Python<'py>,
    positions: PyReadonlyArray2<'py, i64>,
    n_bins: usize,
) -> PyResult<Option<Placement<'py>>> {
    let (rows, width) = positions.as_array().dim();
    let positions = in_row_order(&positions, "positions")?;
    if width != CHOICES || n_bins >= EMPTY as usize || rows >= EMPTY as usize {
        return Err(bad("positions are n × 3, rows and bins fewer than 2^32 - 1"));
    }
    if positions.iter().any(|&bin| bin < 0 || bin as usize >= n_bins) {
        return Err(bad("a position is outside [0, n_bins)"));
    }
    let placed = py.detach(|| {
        let narrow: Vec<u32> = positions.iter().map(|&bin| bin as u32).collect();
        let occupant = place(&narrow, n_bins)?;
        let mut row_of = vec![-1i64; n_bins];
        let mut choice_of = vec![0u8; n_bins];
        for (bin, &row) in occupant.iter().enumerate().filter(|(_, &row)| row != EMPTY) {
            row_of[bin] = i64::from(row);
            let bins = &narrow[row as usize * CHOICES..(row as usize + 1) * CHOICES];
            choice_of[bin] = bins.iter().position(|&other| other as usize == bin)? as u8;
        }
        Some((row_of, choice_of))
    });
    Ok(placed.map(|(row_of, choice_of)| (row_of.into_pyarray(py), choice_of.into_pyarray(py))))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(bin_positions, module)?)?;
    module.add_function(wrap_pyfunction!(cuckoo_place, module)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_distinct_even_in_the_smallest_table() {
        for index in 0..200u8 {
            let mut bins = [0; CHOICES];
            write_bins(&mut [block_under(&[7; SEED_BYTES]); LANES], &[index; KEY_BYTES], 3, &mut bins);
            bins.sort_unstable();
            assert_eq!(bins, [0, 1, 2]);
        }
    }

    #[test]
    fn a_row_moves_others_out_of_its_way() {
        let positions = [0, 1, 2, 0, 1, 2, 0, 1, 2];
        assert!(place(&positions, 3).is_some());
        let crowded = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2];
        assert!(place(&crowded, 4).is_none());
    }
}
