//! GF(2^128) = GF(2)[x] / (x^128 + x^7 + x^2 + x + 1), bit i of a block being the coefficient of x^i.
//!
//! Products by carry-less multiplication where the processor has it, by integer multiplication elsewhere. Both paths
//! take constant time.

use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::rows::{bad, in_row_order, matrix, pairs, pairs_mut};

/// A field element, its low word first.
pub(crate) type Block = [u64; 2];

const STRIDE: usize = 5;
/// Every fifth bit, from each of the five offsets on.
const COMBS: [u128; STRIDE] = [comb(0), comb(1), comb(2), comb(3), comb(4)];
/// Elements that are multiplied side by side.
const SIDE: usize = 4;
/// Elements of one task.
const TASK: usize = 4096;

const fn comb(offset: usize) -> u128 {
    let mut mask = 0;
    let mut bit = offset;
    while bit < 128 {
        mask |= 1 << bit;
        bit += STRIDE;
    }
    mask
}

/// A sum of products that is not reduced yet: of the low halves, of a low and a high one, of the high halves.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum {
    low: u128,
    middle: u128,
    high: u128,
}

impl Sum {
    fn add(&mut self, low: u128, middle: u128, high: u128) {
        self.low ^= low;
        self.middle ^= middle;
        self.high ^= high;
    }

    pub(crate) fn join(&mut self, other: &Sum) {
        self.add(other.low, other.middle, other.high);
    }

    pub(crate) fn reduce(&self) -> u128 {
        let low = self.low ^ self.middle << 64;
        let high = self.high ^ self.middle >> 64;
        let folded = high ^ high >> 127 ^ high >> 126 ^ high >> 121; // what the shifts below push out comes back
        low ^ folded ^ folded << 1 ^ folded << 2 ^ folded << 7
    }
}

/// The carry-less product, by integer products of bits that lie five apart: thirteen ones do not reach the next.
fn carryless(left: u64, right: u64) -> u128 {
    let mut out = 0;
    for (i, left_comb) in COMBS.iter().enumerate() {
        for (j, right_comb) in COMBS.iter().enumerate() {
            let product = u128::from(left & *left_comb as u64) * u128::from(right & *right_comb as u64);
            out ^= product & COMBS[(i + j) % STRIDE];
        }
    }
    out
}

fn add_products_portable<const N: usize>(sums: &mut [Sum; N], blocks: &[Block; N], power: Block) {
    for (sum, block) in sums.iter_mut().zip(blocks) {
        let middle = carryless(block[0], power[1]) ^ carryless(block[1], power[0]);
        sum.add(carryless(block[0], power[0]), middle, carryless(block[1], power[1]));
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "pclmulqdq,sse2")]
unsafe fn add_products_native<const N: usize>(sums: &mut [Sum; N], blocks: &[Block; N], power: Block) {
    use std::arch::x86_64::{__m128i, _mm_clmulepi64_si128, _mm_set_epi64x, _mm_xor_si128};
    // SAFETY: both types are 16 bytes of plain data
    let word = |value: __m128i| unsafe { std::mem::transmute::<__m128i, u128>(value) };
    let right = _mm_set_epi64x(power[1] as i64, power[0] as i64);
    for (sum, block) in sums.iter_mut().zip(blocks) {
        let left = _mm_set_epi64x(block[1] as i64, block[0] as i64);
        let middle =
            _mm_xor_si128(_mm_clmulepi64_si128::<0x10>(left, right), _mm_clmulepi64_si128::<0x01>(left, right));
        sum.add(
            word(_mm_clmulepi64_si128::<0x00>(left, right)),
            word(middle),
            word(_mm_clmulepi64_si128::<0x11>(left, right)),
        );
    }
}

pub(crate) fn add_products<const N: usize>(sums: &mut [Sum; N], blocks: &[Block; N], power: Block) {
    #[cfg(target_arch = "x86_64")]
    if crate::instructions::instructions().pclmulqdq {
        // SAFETY: the instruction is there.
        return unsafe { add_products_native(sums, blocks, power) };
    }
    add_products_portable(sums, blocks, power);
}

pub(crate) fn block_of(value: u128) -> Block {
    [value as u64, (value >> 64) as u64]
}

type AddProducts = fn(&mut [Sum; SIDE], &[Block; SIDE], Block);

/// out += factor · values, element by element.
fn multiply_add(out: &mut [Block], values: &[Block], factor: Block, add_products: AddProducts) {
    for (out, values) in out.chunks_mut(SIDE).zip(values.chunks(SIDE)) {
        let mut held = [[0u64; 2]; SIDE];
        held[..values.len()].copy_from_slice(values);
        let mut sums = [Sum::default(); SIDE];
        add_products(&mut sums, &held, factor);
        for (out, sum) in out.iter_mut().zip(&sums) {
            let product = block_of(sum.reduce());
            *out = [out[0] ^ product[0], out[1] ^ product[1]];
        }
    }
}

/// b + a·Δ for n × 2 words each of a and b and one Δ of 16 bytes: n × 2 words.
#[pyfunction]
fn gf128_multiply_add<'py>(
    py: Python<'py>,
    a: PyReadonlyArray2<'py, u64>,
    delta: &[u8],
    b: PyReadonlyArray2<'py, u64>,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (shape, other) = (a.as_array().dim(), b.as_array().dim());
    let delta: [u8; 16] = delta.try_into().map_err(|_| bad("delta is 16 bytes"))?;
    if shape != other || shape.1 != 2 {
        return Err(bad("a and b are n × 2 words each"));
    }
    let (a, mut out) = (in_row_order(&a, "a")?, in_row_order(&b, "b")?.to_vec());
    let factor = block_of(u128::from_le_bytes(delta));
    py.detach(|| {
        let tasks = pairs_mut(&mut out).par_chunks_mut(TASK).zip(pairs(a).par_chunks(TASK));
        tasks.for_each(|(out, values)| multiply_add(out, values, factor, add_products::<SIDE>));
    });
    matrix(py, out, 2)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(gf128_multiply_add, module)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Shift and add, bit by bit.
    pub(crate) fn slow(left: u128, right: u128) -> u128 {
        let mut out = 0;
        for bit in (0..128).rev() {
            out = (out << 1) ^ ((out >> 127) * 0b1000_0111);
            out ^= (right >> bit & 1) * left;
        }
        out
    }

    pub(crate) fn value(number: u64) -> u128 {
        let word =
            |seed: u64| (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed << 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        u128::from(word(number + 1)) << 64 | u128::from(word(number + 77))
    }

    #[test]
    fn products_equal_shift_and_add_on_both_paths() {
        let edges = [0, 1, 2, u128::MAX, 1 << 127, 1 << 64, (1 << 64) - 1, 1 << 120 | 1 << 126];
        let values: Vec<u128> = edges.into_iter().chain((0..40).map(value)).collect();
        for &left in &values {
            for &right in &values {
                let mut sums = [Sum::default(); 1];
                add_products_portable(&mut sums, &[block_of(left)], block_of(right));
                assert_eq!(sums[0].reduce(), slow(left, right));
                let mut sums = [Sum::default(); 1];
                add_products(&mut sums, &[block_of(left)], block_of(right));
                assert_eq!(sums[0].reduce(), slow(left, right));
            }
        }
    }

    #[test]
    fn whole_arrays_are_multiplied_alike_on_both_paths() {
        for count in [0, 1, 3, 4, 9] {
            let values: Vec<Block> = (0..count).map(|number| block_of(value(number))).collect();
            let start: Vec<Block> = (0..count).map(|number| block_of(value(number + 50))).collect();
            let expected: Vec<Block> =
                (0..count).map(|number| block_of(value(number + 50) ^ slow(value(number), value(99)))).collect();
            for path in [add_products::<SIDE>, add_products_portable::<SIDE>] {
                let mut out = start.clone();
                multiply_add(&mut out, &values, block_of(value(99)), path);
                assert_eq!(out, expected);
            }
        }
    }
}
