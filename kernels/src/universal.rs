//! A universal hash of bit planes: polynomial evaluation in GF(2^128) = GF(2)[x] / (x^128 + x^7 + x^2 + x + 1), bit i
//! of a block being the coefficient of x^i.
//!
//! The hash of a plane's blocks b_0 … b_{n-1} under the key χ is Σ χ^(n-1-t)·b_t. It is linear over GF(2), and two
//! planes that differ have one hash for at most n - 1 of the 2^128 keys. Products are added up before they are
//! reduced, once for each plane. Both paths take constant time.

use rayon::prelude::*;

/// 128 positions of a plane.
pub(crate) type Block = [u64; 2];

/// x^128 modulo the polynomial.
const TAIL: u64 = 0b1000_0111;
const STRIDE: usize = 5;
/// Every fifth bit, from each of the five offsets on.
const COMBS: [u128; STRIDE] = [comb(0), comb(1), comb(2), comb(3), comb(4)];
/// Groups of blocks that one task adds up.
const TASK: usize = 64;

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
struct Sum {
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

    fn reduce(&self) -> u128 {
        let low = self.low ^ self.middle << 64;
        let high = self.high ^ self.middle >> 64;
        let upper = carryless(TAIL, (high >> 64) as u64);
        let over = carryless(TAIL, (upper >> 64) as u64);
        low ^ carryless(TAIL, high as u64) ^ upper << 64 ^ over
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

fn add_products<const N: usize>(sums: &mut [Sum; N], blocks: &[Block; N], power: Block) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("pclmulqdq") {
        // SAFETY: the instruction is there.
        return unsafe { add_products_native(sums, blocks, power) };
    }
    add_products_portable(sums, blocks, power);
}

fn block_of(value: u128) -> Block {
    [value as u64, (value >> 64) as u64]
}

/// Hashes N planes at once: `groups[t][p]` is block t of plane p.
pub(crate) fn hash<const N: usize>(key: u128, groups: &[[Block; N]]) -> [Block; N] {
    let mut powers = vec![[1u64, 0]; groups.len()];
    for at in (1..groups.len()).rev() {
        let mut sum = [Sum::default()];
        add_products(&mut sum, &[powers[at]], block_of(key));
        powers[at - 1] = block_of(sum[0].reduce());
    }
    let nothing = || [Sum::default(); N];
    let sums = groups
        .par_chunks(TASK)
        .zip(powers.par_chunks(TASK))
        .fold(nothing, |mut sums, (groups, powers)| {
            for (blocks, power) in groups.iter().zip(powers) {
                add_products(&mut sums, blocks, *power);
            }
            sums
        })
        .reduce(nothing, |mut left, right| {
            left.iter_mut().zip(&right).for_each(|(left, right)| left.add(right.low, right.middle, right.high));
            left
        });
    sums.map(|sum| block_of(sum.reduce()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shift and add, bit by bit.
    fn slow(left: u128, right: u128) -> u128 {
        let mut out = 0;
        for bit in (0..128).rev() {
            out = (out << 1) ^ ((out >> 127) * u128::from(TAIL));
            out ^= (right >> bit & 1) * left;
        }
        out
    }

    fn value(number: u64) -> u128 {
        let word =
            |seed: u64| (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed << 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        u128::from(word(number + 1)) << 64 | u128::from(word(number + 77))
    }

    #[test]
    fn products_equal_shift_and_add_on_both_paths() {
        let edges = [0, 1, 2, u128::MAX, 1 << 127, 1 << 64, (1 << 64) - 1];
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
    fn the_hash_is_horner_s_rule() {
        for count in [1u64, 2, 63, 64, 65, 200] {
            let groups: Vec<[Block; 3]> =
                (0..count).map(|t| [0, 1, 2].map(|plane| block_of(value(3 * t + plane)))).collect();
            let hashed = hash(value(999), &groups);
            for plane in 0..3 {
                let expected = groups.iter().fold(0, |sum, blocks| {
                    slow(sum, value(999)) ^ u128::from(blocks[plane][0]) ^ u128::from(blocks[plane][1]) << 64
                });
                assert_eq!(hashed[plane], block_of(expected));
            }
        }
    }
}
