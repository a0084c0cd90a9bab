//! The Expand-Convolute code of Raghuraman, Rindal and Tanguy (ePrint 2023/882): rate 1/2, systematic, binary.
//!
//! The dual encoder maps a vector (a ‖ b) of 2n elements to a + B·(C'·(C·b)), n elements of which each sums the same
//! positions as every other vector's: it is linear over GF(2) and acts alike on each bit of an element. C and C' are
//! convolutions over a window of 25 positions: the farthest one is always added, the others by random bits; what runs
//! over the end goes back to the start. B sums 21 positions: one in each of eleven equal parts and ten anywhere. All
//! coefficients and positions come from AES-128 under a public key in counter mode; branches and table look-ups depend
//! on them alone, never on the vector. `protocols/silent_vole.py` says why these parameters.

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128Enc, Block};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadwriteArray1, PyReadwriteArray2};
use pyo3::prelude::*;
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::rows::{bad, in_row_order_mut, matrix, pairs_mut};

/// Positions that a convolution looks back.
const WINDOW: usize = 25;
const PASSES: u64 = 2;
/// Positions of a row of B that lie in parts of their own, and those that lie anywhere.
const REGULAR: usize = 11;
const UNIFORM: usize = 10;
/// Consecutive positions whose sixteen sums stand in one table.
const GROUP: usize = 4;
const SUMS: usize = 1 << GROUP;
/// Tables that a window reaches into: whole groups before the current one.
const REACH: usize = 7;
const TABLES: usize = 8;
/// Outputs of one task of the expander; their sums stay in the first cache.
const TASK: usize = 1024;
/// Words that one block of the public stream holds.
const WORDS: usize = 4;
const STREAM_BLOCKS: usize = 64;
const MIN_SIZE: usize = 64;
const MAX_SIZE: usize = 1 << 24;

/// What a vector consists of.
trait Element: Copy + Default + Send + Sync + Zeroize {
    fn add(&mut self, other: Self);
    /// The element where `bit` is one, else zero.
    fn times(self, bit: u32) -> Self;
    /// Overwrites elements with zeros for good.
    fn wipe(elements: &mut [Self]);
}

impl Element for u8 {
    #[inline(always)]
    fn add(&mut self, other: Self) {
        *self ^= other;
    }

    #[inline(always)]
    fn times(self, bit: u32) -> Self {
        self & 0u8.wrapping_sub(bit as u8)
    }

    fn wipe(elements: &mut [Self]) {
        elements.zeroize();
    }
}

impl Element for [u64; 2] {
    #[inline(always)]
    fn add(&mut self, other: Self) {
        self[0] ^= other[0];
        self[1] ^= other[1];
    }

    #[inline(always)]
    fn times(self, bit: u32) -> Self {
        let mask = 0u64.wrapping_sub(u64::from(bit));
        [self[0] & mask, self[1] & mask]
    }

    fn wipe(elements: &mut [Self]) {
        elements.as_flattened_mut().zeroize();
    }
}

/// The public stream: 32-bit words by domain and number.
struct Stream {
    cipher: Aes128Enc,
}

impl Stream {
    /// Words of the domain, `first` (a multiple of four) and those after it.
    fn fill(&self, domain: u64, first: usize, words: &mut [u32]) {
        let mut number = (first / WORDS) as u64;
        let mut blocks = [Block::default(); STREAM_BLOCKS];
        for words in words.chunks_mut(STREAM_BLOCKS * WORDS) {
            let blocks = &mut blocks[..words.len().div_ceil(WORDS)];
            for block in blocks.iter_mut() {
                *block = (u128::from(number) | u128::from(domain) << 64).to_le_bytes().into();
                number += 1;
            }
            self.cipher.encrypt_blocks(blocks);
            for (words, block) in words.chunks_mut(WORDS).zip(blocks.iter()) {
                for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
                    *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                }
            }
        }
    }
}

/// The sixteen sums of four consecutive elements: bit j of an index stands for element j.
fn sums_of<E: Element>(group: &[E]) -> [E; SUMS] {
    let mut sums = [E::default(); SUMS];
    for (j, element) in group.iter().enumerate() {
        for index in 0..1 << j {
            sums[1 << j | index] = sums[index];
            sums[1 << j | index].add(*element);
        }
    }
    sums
}

/// Both convolutions, one after the other, in place.
fn convolve<E: Element>(stream: &Stream, vector: &mut [E]) {
    if !vector.is_empty() {
        (0..PASSES).for_each(|pass| convolve_once(stream, pass, vector));
    }
}

/// One convolution, in place; the length is a multiple of four, and of at least two windows.
fn convolve_once<E: Element>(stream: &Stream, domain: u64, vector: &mut [E]) {
    let size = vector.len();
    let mut tables = Zeroizing::new(vec![[E::default(); SUMS]; TABLES]);
    let mut words = [0u32; STREAM_BLOCKS * WORDS];
    for first in (0..size + WINDOW.next_multiple_of(GROUP)).step_by(GROUP) {
        let at = first % words.len();
        if at == 0 {
            stream.fill(domain, first, &mut words);
        }
        let group = first / GROUP;
        let mut current = [E::default(); GROUP];
        let beyond = first >= size;
        let target = if beyond { first - size } else { first };
        for row in 0..GROUP {
            // bit k of the window stands for position `first + row - 25 + k`, bit 0 is always one
            let window = (words[at + row] & ((1 << WINDOW) - 1) | 1) << (row + 3);
            let mut sum = vector[target + row];
            for back in 0..REACH {
                let index = (window >> (GROUP * back)) as usize % SUMS;
                sum.add(tables[(group + TABLES - REACH + back) % TABLES][index]);
            }
            for (before, element) in current[..row].iter().enumerate() {
                sum.add(element.times(window >> (GROUP * REACH + before) & 1));
            }
            if !beyond {
                current[row] = sum;
            }
            if !beyond || target + row < WINDOW {
                vector[target + row] = sum;
            }
        }
        tables[group % TABLES] = sums_of(&current);
    }
}

/// The positions of b that B sums for the outputs `first..first + positions.len()`, one of each row in each tap.
fn positions(stream: &Stream, tap: usize, first: usize, size: usize, positions: &mut [u32]) {
    let part = size / REGULAR;
    let (start, range) = if tap < REGULAR { (tap * part, part) } else { (0, size) };
    stream.fill(PASSES + tap as u64, first, positions);
    for position in positions.iter_mut() {
        *position = (start + ((u64::from(*position) * range as u64) >> 32) as usize) as u32;
    }
}

fn gather<E: Element>(out: &mut [E], from: &[E], positions: &[u32]) {
    for (out, &position) in out.iter_mut().zip(positions) {
        out.add(from[position as usize]);
    }
}

/// Encodes two vectors of 2n elements to n each, and overwrites them with zeros. The second one may be empty.
fn encode<E: Element, F: Element>(key: &[u8; 16], one: &mut [E], other: &mut [F]) -> (Vec<E>, Vec<F>) {
    let stream = Stream { cipher: Aes128Enc::new(key.into()) };
    let size = one.len() / 2;
    let (kept, summed) = one.split_at_mut(size);
    let (other_kept, other_summed) = other.split_at_mut(other.len() / 2);
    rayon::join(|| convolve(&stream, summed), || convolve(&stream, other_summed));
    let mut out = (kept.to_vec(), other_kept.to_vec());
    // an empty vector has as many chunks as the other one
    let chunks = size.div_ceil(TASK);
    let others: Vec<&mut [F]> =
        out.1.chunks_mut(TASK).chain(std::iter::repeat_with(|| &mut [][..])).take(chunks).collect();
    out.0.par_chunks_mut(TASK).zip(others).enumerate().for_each(|(task, (out, other))| {
        let mut words = [0u32; TASK];
        for tap in 0..REGULAR + UNIFORM {
            let words = &mut words[..out.len()];
            positions(&stream, tap, task * TASK, size, words);
            gather(out, summed, words);
            gather(other, other_summed, words);
        }
    });
    E::wipe(one);
    F::wipe(other);
    out
}

fn key_of(key: &[u8]) -> PyResult<[u8; 16]> {
    key.try_into().map_err(|_| bad("the code's key is 16 bytes"))
}

/// The words of a vector of 2n elements.
fn words_in<'a>(vector: &'a mut PyReadwriteArray2<'_, u64>) -> PyResult<&'a mut [u64]> {
    let (elements, width) = vector.as_array().dim();
    if elements % (2 * GROUP) != 0 || !(MIN_SIZE..=MAX_SIZE).contains(&(elements / 2)) {
        return Err(bad("a vector has 2n elements, n a multiple of 4 from 64 to 2^24"));
    }
    if width != 2 {
        return Err(bad("a vector is 2n × 2 words"));
    }
    in_row_order_mut(vector, "a vector")
}

/// Encodes 2n × 2 words to n × 2 words under a key of 16 bytes. The vector is overwritten with zeros.
#[pyfunction]
fn expand_convolute<'py>(
    py: Python<'py>,
    key: &[u8],
    mut vector: PyReadwriteArray2<'py, u64>,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let key = key_of(key)?;
    let words = words_in(&mut vector)?;
    let (out, _) = py.detach(|| encode::<_, u8>(&key, pairs_mut(words), &mut []));
    matrix(py, out.into_flattened(), 2)
}

/// Encodes 2n × 2 words and 2n bytes to n × 2 words and n bytes under a key of 16 bytes. Both vectors are overwritten
/// with zeros.
#[pyfunction]
#[allow(clippy::type_complexity)] // two arrays
fn expand_convolute_with_bytes<'py>(
    py: Python<'py>,
    key: &[u8],
    mut vector: PyReadwriteArray2<'py, u64>,
    mut bytes: PyReadwriteArray1<'py, u8>,
) -> PyResult<(Bound<'py, PyArray2<u64>>, Bound<'py, PyArray1<u8>>)> {
    let key = key_of(key)?;
    let words = words_in(&mut vector)?;
    let bytes = in_row_order_mut(&mut bytes, "the bytes")?;
    if bytes.len() != words.len() / 2 {
        return Err(bad("as many bytes as elements"));
    }
    let (out, out_bytes) = py.detach(|| encode(&key, pairs_mut(words), bytes));
    Ok((matrix(py, out.into_flattened(), 2)?, out_bytes.into_pyarray(py)))
}

/// Encodes two vectors of 2n × 2 words to n × 2 words each under a key of 16 bytes. Both are overwritten with zeros.
#[pyfunction]
#[allow(clippy::type_complexity)] // two arrays
fn expand_convolute_pair<'py>(
    py: Python<'py>,
    key: &[u8],
    mut one: PyReadwriteArray2<'py, u64>,
    mut other: PyReadwriteArray2<'py, u64>,
) -> PyResult<(Bound<'py, PyArray2<u64>>, Bound<'py, PyArray2<u64>>)> {
    let key = key_of(key)?;
    let (one, other) = (words_in(&mut one)?, words_in(&mut other)?);
    if one.len() != other.len() {
        return Err(bad("two vectors of equal length"));
    }
    let (out, other_out) = py.detach(|| encode(&key, pairs_mut(one), pairs_mut(other)));
    Ok((matrix(py, out.into_flattened(), 2)?, matrix(py, other_out.into_flattened(), 2)?))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(expand_convolute, module)?)?;
    module.add_function(wrap_pyfunction!(expand_convolute_pair, module)?)?;
    module.add_function(wrap_pyfunction!(expand_convolute_with_bytes, module)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wipe::look::freed_with;

    const KEY: [u8; 16] = *b"a key of 16 byte";

    fn word(stream: &Stream, domain: u64, number: usize) -> u32 {
        let mut words = [0u32; WORDS];
        stream.fill(domain, number / WORDS * WORDS, &mut words);
        words[number % WORDS]
    }

    /// Row by row, from the definition.
    fn slow<E: Element>(vector: &[E]) -> Vec<E> {
        let stream = Stream { cipher: Aes128Enc::new(&KEY.into()) };
        let size = vector.len() / 2;
        let mut right = vector[size..].to_vec();
        for pass in 0..PASSES {
            let mut done = Vec::new();
            for row in 0..size + WINDOW {
                let bits = word(&stream, pass, row) | 1;
                let mut sum = right[row % size];
                for k in 0..WINDOW {
                    if let Some(&element) = (row + k).checked_sub(WINDOW).and_then(|position| done.get(position)) {
                        sum.add(E::times(element, bits >> k & 1));
                    }
                }
                if row < size {
                    done.push(sum);
                }
                right[row % size] = sum;
            }
        }
        (0..size)
            .map(|row| {
                let mut sum = vector[row];
                for tap in 0..21u64 {
                    let (start, range) = if tap < 11 { (tap as usize * (size / 11), size / 11) } else { (0, size) };
                    let offset = (u64::from(word(&stream, 2 + tap, row)) * range as u64) >> 32;
                    sum.add(right[start + offset as usize]);
                }
                sum
            })
            .collect()
    }

    fn words(count: usize) -> Vec<[u64; 2]> {
        (0..count as u64).map(|number| [number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 5, number << 32 | 77]).collect()
    }

    #[test]
    fn the_encoder_follows_its_definition() {
        for size in [64, 68, 100, 1024, 1500] {
            let vector = words(2 * size);
            let bytes: Vec<u8> = vector.iter().map(|word| (word[0] >> 40) as u8).collect();
            let (mut spent, mut spent_bytes) = (vector.clone(), bytes.clone());
            assert_eq!(encode(&KEY, &mut spent, &mut spent_bytes), (slow(&vector), slow(&bytes)));
            assert!(spent.iter().all(|element| *element == [0, 0]) && spent_bytes.iter().all(|&byte| byte == 0));
            assert_eq!(encode::<_, u8>(&KEY, &mut vector.clone(), &mut []), (slow(&vector), vec![]));
        }
    }

    #[test]
    fn nothing_secret_is_left_on_the_heap() {
        let mut vector = vec![[0u64; 2]; 256];
        vector[130] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
        let mut needle = vector[130][0].to_le_bytes().to_vec();
        needle.extend(vector[130][1].to_le_bytes());
        assert_eq!(freed_with(&needle, || encode::<_, u8>(&KEY, &mut vector, &mut [])), 0);
    }
}
