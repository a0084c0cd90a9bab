//! Sums of public elements under small weights: for each target the sum over blocks b of w_b(X) * a_b.
//!
//! w_b(X) = w_0 - sum of w_k X^(n-k) over the block's slots k, so that coefficient 0 of w_b * c is the sum of w_k c_k.
//! Two ways give the same residues, and public sizes say which is cheaper:
//!
//! - `dense` transforms w_b and multiplies: its cost goes with blocks × targets. One transform serves all three
//!   primes: weights and their sums are small integers, so the first prime is wide enough for the products with a_b
//!   modulo itself and, exactly, with digits of a_b modulo the other two.
//! - `sparse` adds w · X^-k · a_b, a window of a_b's coefficients, for every weight: its cost goes with the weights.
//!
//! No branch or address depends on a weight's value or sign; those of `sparse` depend on bins and targets.

use rayon::prelude::*;
use zeroize::Zeroize;

use super::cipher::coefficients;
use super::level::{at_level, Level};
use super::ring::{primes, Prime, DEGREE, HALF_BITS, HALF_MASK, LIMBS, LOW, PRIME_BITS};

const ELEMENT: usize = LIMBS * DEGREE;

/// The weights of one target: the bin of each, ascending, and its value.
pub struct Weighted<'a> {
    pub bins: &'a [i64],
    pub weights: &'a [i64],
}

impl<'a> Weighted<'a> {
    /// Those of blocks low to high.
    fn of_blocks(&self, low: u64, high: u64) -> Weighted<'a> {
        let from = self.bins.partition_point(|&bin| bin < (low as i64) * DEGREE as i64);
        let to = self.bins.partition_point(|&bin| bin < (high as i64) * DEGREE as i64).max(from);
        Weighted { bins: &self.bins[from..to], weights: &self.weights[from..to] }
    }
}

/// A residue as its two halves of 28 bits, each in a half of the word: what 32-bit products take.
#[inline(always)]
fn halves(x: u64) -> u64 {
    ((x >> HALF_BITS) << 32) | (x & HALF_MASK)
}

// --- dense

/// Blocks whose products are added before they are reduced; sums of halves' products stay under 2^61.
const DENSE_BLOCKS: usize = 16;
/// Points whose running sums stay in the first cache.
const POINTS: usize = 256;
const CHUNKS: usize = DEGREE / POINTS;

/// Some words from where vectors begin.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Aligned<T>(T);

type Chunk = Aligned<[u64; POINTS]>;
const EMPTY: Chunk = Aligned([0; POINTS]);

/// Sums of |weight| that one call may hold, so that a digit has two bits.
pub const DENSE_BOUND: u64 = 1 << 53;

/// How residues modulo the second and third prime are cut, so that sums of weight × digit stay under half the first.
#[derive(Clone, Copy)]
struct Digits {
    bits: u32,
    count: usize,
}

impl Digits {
    /// For targets whose |weights| add up to at most `bound`.
    fn new(bound: u64) -> Self {
        let most = PRIME_BITS - 1 - (u64::BITS - bound.leading_zeros());
        let count = PRIME_BITS.div_ceil(most);
        Digits { bits: PRIME_BITS.div_ceil(count), count: count as usize }
    }

    /// Polynomials modulo the first prime that stand for an element.
    fn rows(&self) -> usize {
        1 + (LIMBS - 1) * self.count
    }

    /// Where a row comes from: which prime's residues, shifted by how much.
    fn source(&self, row: usize) -> (usize, u32) {
        match row.checked_sub(1) {
            None => (0, 0),
            Some(rest) => (1 + rest / self.count, (rest % self.count) as u32 * self.bits),
        }
    }
}

/// Adds the weighted elements to `sums` (targets × LIMBS × DEGREE residues of coefficients) by transforms.
///
/// Every block is transformed under every target, whether it holds weights or not. The |weights| of a target add up
/// to at most `bound`, which is public and at most `DENSE_BOUND`.
pub fn dense(
    level: Level,
    sums: &mut [u64],
    seed: &[u8; 32],
    blocks: (u64, usize),
    entries: &[Weighted<'_>],
    bound: u64,
) {
    let digits = Digits::new(bound);
    let rows = digits.rows();
    let prime = &primes()[0];
    let mut totals = vec![EMPTY; entries.len() * CHUNKS * rows]; // target by target, chunk by chunk, row by row
    let (first, end) = (blocks.0, blocks.0 + blocks.1 as u64);
    for low in (first..end).step_by(DENSE_BLOCKS) {
        let count = DENSE_BLOCKS.min((end - low) as usize);
        let elements = rows_of_elements(level, seed, (low, count), digits);
        let work = totals.par_chunks_exact_mut(CHUNKS * rows).zip(entries);
        work.for_each_init(Scratch::new, |scratch, (totals, weighted)| {
            for (index, block) in (low..low + count as u64).enumerate() {
                fill(prime, &mut scratch.values, &weighted.of_blocks(block, block + 1), block);
                prime.forward(&mut scratch.values);
                let chunks = scratch.weights.chunks_exact_mut(DENSE_BLOCKS);
                for (chunk, values) in chunks.zip(scratch.values.chunks_exact(POINTS)) {
                    to_halves(level, prime, &mut chunk[index], values);
                }
            }
            let weights = scratch.weights.chunks_exact(DENSE_BLOCKS);
            let elements = elements.chunks_exact(count * rows);
            for ((totals, weights), elements) in totals.chunks_exact_mut(rows).zip(weights).zip(elements) {
                for (total, elements) in totals.iter_mut().zip(elements.chunks_exact(count)) {
                    multiply(level, prime, total, &weights[..count], elements, &mut scratch.sums);
                }
            }
        });
    }
    totals.par_chunks_exact_mut(CHUNKS * rows).zip(sums.par_chunks_exact_mut(ELEMENT)).for_each(|(totals, sums)| {
        let mut values = vec![0u64; DEGREE];
        for row in 0..rows {
            for (values, total) in values.chunks_exact_mut(POINTS).zip(totals[row..].iter().step_by(rows)) {
                values.copy_from_slice(&total.0);
            }
            prime.inverse(&mut values);
            let (limb, shift) = digits.source(row);
            add_row(level, &mut sums[limb * DEGREE..(limb + 1) * DEGREE], &values, limb, shift);
        }
        values.zeroize();
        totals.iter_mut().for_each(|chunk| chunk.0.zeroize());
    });
}

/// What one thread of `dense` works in.
struct Scratch {
    values: Vec<u64>,
    weights: Vec<Chunk>,
    sums: [Chunk; 3],
}

impl Scratch {
    fn new() -> Self {
        Scratch { values: vec![0; DEGREE], weights: vec![EMPTY; CHUNKS * DENSE_BLOCKS], sums: [EMPTY; 3] }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.values.zeroize();
        self.weights.iter_mut().chain(&mut self.sums).for_each(|chunk| chunk.0.zeroize());
    }
}

/// w_b(X) of one block, in place.
fn fill(prime: &Prime, polynomial: &mut [u64], weighted: &Weighted<'_>, block: u64) {
    polynomial.fill(0);
    for (&bin, &weight) in weighted.bins.iter().zip(weighted.weights) {
        let slot = (bin - block as i64 * DEGREE as i64) as usize;
        let sign = 1 - 2 * (slot != 0) as i64;
        let x = &mut polynomial[(DEGREE - slot) % DEGREE];
        *x = prime.add(*x, prime.signed(sign * weight));
    }
}

/// The rows of some blocks' elements, transformed modulo the first prime: chunk by chunk, row by row, block by block.
fn rows_of_elements(level: Level, seed: &[u8; 32], (first, count): (u64, usize), digits: Digits) -> Vec<Chunk> {
    let transformed: Vec<Vec<u64>> = (first..first + count as u64)
        .into_par_iter()
        .map(|block| {
            let element = coefficients(seed, 1 + block);
            let mut rows = Vec::with_capacity(digits.rows() * DEGREE);
            for row in 0..digits.rows() {
                let (limb, shift) = digits.source(row);
                let mask = if limb == 0 { u64::MAX } else { (1 << digits.bits) - 1 };
                rows.extend(element[limb].iter().map(|&x| (x >> shift) & mask));
                primes()[0].forward(&mut rows[row * DEGREE..]);
            }
            rows
        })
        .collect();
    let mut out = vec![EMPTY; CHUNKS * digits.rows() * count];
    for (at, chunk) in out.iter_mut().enumerate() {
        let (block, row, from) = (at % count, at / count % digits.rows(), at / count / digits.rows() * POINTS);
        to_halves(level, &primes()[0], chunk, &transformed[block][row * DEGREE + from..][..POINTS]);
    }
    out
}

at_level! {
    /// Reduces what a transform left, and splits it.
    fn to_halves(prime: &Prime, out: &mut Chunk, values: &[u64]) = to_halves_body
}

#[inline(always)]
fn to_halves_body<const WIDE: bool>(prime: &Prime, out: &mut Chunk, values: &[u64]) {
    for (x, &value) in out.0.iter_mut().zip(values) {
        *x = halves(prime.fold(value));
    }
}

at_level! {
    /// Adds weights × elements over some blocks to residues, all transformed; `sums` is room to work in.
    fn multiply(prime: &Prime, total: &mut Chunk, weights: &[Chunk], elements: &[Chunk], sums: &mut [Chunk; 3]) =
        multiply_body
}

#[inline(always)]
fn multiply_body<const WIDE: bool>(
    prime: &Prime,
    total: &mut Chunk,
    weights: &[Chunk],
    elements: &[Chunk],
    sums: &mut [Chunk; 3],
) {
    let [high, middle, low] = sums;
    high.0.fill(0);
    middle.0.fill(0);
    *low = *total;
    for (weights, element) in weights.iter().zip(elements) {
        for k in 0..POINTS {
            let (w, a) = (weights.0[k], element.0[k]);
            high.0[k] += (w >> 32) * (a >> 32);
            middle.0[k] += (w >> 32) * (a & LOW) + (w & LOW) * (a >> 32);
            low.0[k] += (w & LOW) * (a & LOW);
        }
    }
    for k in 0..POINTS {
        // Of 16 blocks: high and low are under 2^60 + 2^56, middle under 2^61.
        total.0[k] = prime.gather(high.0[k], middle.0[k], low.0[k]);
    }
}

at_level! {
    /// Adds small signed integers, given modulo the first prime, times 2^shift to residues of a prime.
    fn add_row(sums: &mut [u64], values: &[u64], limb: usize, shift: u32) = add_row_body
}

#[inline(always)]
fn add_row_body<const WIDE: bool>(sums: &mut [u64], values: &[u64], limb: usize, shift: u32) {
    let (first, prime) = (&primes()[0], &primes()[limb]);
    let factor = prime.factor(prime.reduce(1 << shift));
    for (sum, &value) in sums.iter_mut().zip(values) {
        // Modulo the first prime the centred value is the value.
        let centred = value as i64 - (first.p & ((value > first.p / 2) as u64).wrapping_neg()) as i64;
        *sum = prime.fold(*sum + prime.lazy::<WIDE>(prime.signed(centred), factor));
    }
}

// --- sparse

/// Coefficients that a weight is added to at a time: their running sums stay in the first cache.
const WINDOW: usize = 1024;
const WINDOWS: usize = DEGREE / WINDOW;
/// Blocks whose elements stay in the second cache, for one prime.
const SPARSE_BLOCKS: usize = 16;
/// |weights| are under this: 32-bit products.
pub const SPARSE_BOUND: u64 = 1 << 30;
/// Sums of |weight| that running sums hold before they are reduced.
const SPARSE_SUM: u64 = 1 << 34;

/// Adds the weighted elements to `sums` (targets × LIMBS × DEGREE residues of coefficients), weight by weight.
///
/// Threads share out coefficients, not targets, so that the work of each is a function of the number of weights,
/// whosever they are. |weights| are at most `bound`, which is public and at most `SPARSE_BOUND`.
pub fn sparse(
    level: Level,
    sums: &mut [u64],
    seed: &[u8; 32],
    blocks: (u64, usize),
    entries: &[Weighted<'_>],
    bound: u64,
) {
    let (first, end) = (blocks.0, blocks.0 + blocks.1 as u64);
    let most = (SPARSE_SUM / bound.max(1)) as usize;
    let mut shares: Vec<Vec<&mut [u64]>> = (0..LIMBS * WINDOWS).map(|_| Vec::with_capacity(entries.len())).collect();
    for (i, window) in sums.chunks_exact_mut(WINDOW).enumerate() {
        shares[i % (LIMBS * WINDOWS)].push(window);
    }
    for low in (first..end).step_by(SPARSE_BLOCKS) {
        let high = end.min(low + SPARSE_BLOCKS as u64);
        let elements: Vec<Vec<u64>> = (low..high).into_par_iter().map(|block| extended(seed, block)).collect();
        let entries: Vec<Weighted<'_>> = entries.iter().map(|weighted| weighted.of_blocks(low, high)).collect();
        shares.par_iter_mut().enumerate().for_each(|(share, windows)| {
            let (limb, from) = (share / WINDOWS, share % WINDOWS * WINDOW);
            let mut running = Aligned([[0i64; WINDOW]; 2]);
            for (window, weighted) in windows.iter_mut().zip(&entries) {
                let mut at = 0;
                loop {
                    let to = weighted.bins.len().min(at + most);
                    running.0[0].fill(0);
                    running.0[1].fill(0);
                    for (&bin, &weight) in weighted.bins[at..to].iter().zip(&weighted.weights[at..to]) {
                        let place = (bin - low as i64 * DEGREE as i64) as usize;
                        let start = from + place % DEGREE;
                        // Past the end X^n = -1 turns the sign.
                        let turned = -((start >= DEGREE) as i64);
                        let run = limb * EXTENDED + start % DEGREE;
                        let run = &elements[place / DEGREE][run..run + WINDOW];
                        add_scaled(level, &mut running, run, (weight ^ turned) - turned);
                    }
                    add_running(level, &primes()[limb], window, &running);
                    at = to;
                    if at == weighted.bins.len() {
                        break;
                    }
                }
            }
            running.0.zeroize();
        });
    }
}

const EXTENDED: usize = DEGREE + WINDOW;

/// A block's element in halves, each prime's coefficients followed by the first ones negated.
fn extended(seed: &[u8; 32], block: u64) -> Vec<u64> {
    let element = coefficients(seed, 1 + block);
    let mut out = Vec::with_capacity(LIMBS * EXTENDED);
    for (prime, residues) in primes().iter().zip(&element) {
        out.extend(residues.iter().map(|&x| halves(x)));
        out.extend(residues[..WINDOW].iter().map(|&x| halves(prime.sub(0, x))));
    }
    out
}

at_level! {
    /// Adds weight × halves to running sums of the low and the high ones.
    fn add_scaled(running: &mut Aligned<[[i64; WINDOW]; 2]>, run: &[u64], weight: i64) = add_scaled_body
}

#[inline(always)]
fn add_scaled_body<const WIDE: bool>(running: &mut Aligned<[[i64; WINDOW]; 2]>, run: &[u64], weight: i64) {
    let [low, high] = &mut running.0;
    for ((low, high), &x) in low.iter_mut().zip(high.iter_mut()).zip(run) {
        let weight = weight as i32 as i64;
        *low += weight * (x as i32 as i64);
        *high += weight * ((x >> 32) as i32 as i64);
    }
}

at_level! {
    /// Adds running sums to residues.
    fn add_running(prime: &Prime, sums: &mut [u64], running: &Aligned<[[i64; WINDOW]; 2]>) = add_running_body
}

#[inline(always)]
fn add_running_body<const WIDE: bool>(prime: &Prime, sums: &mut [u64], running: &Aligned<[[i64; WINDOW]; 2]>) {
    // Sums are under 2^62 either way: 2^63 = 2^7 2^56 more makes them positive, and is taken back modulo p.
    const LIFT: u64 = 1 << 63;
    let back = prime.sub(0, prime.reduce(((LIFT as u128) << HALF_BITS) + LIFT as u128));
    for ((sum, &low), &high) in sums.iter_mut().zip(&running.0[0]).zip(&running.0[1]) {
        let (low, high) = ((low as u64).wrapping_add(LIFT), (high as u64).wrapping_add(LIFT));
        *sum = prime.gather(0, high, prime.fold(low) + back + *sum);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::ring::PRIMES;
    use super::*;
    use crate::wipe::look::freed_with;

    const SEED: [u8; 32] = [9; 32];

    /// Some weights of either sign in each of three blocks.
    fn entries() -> (Vec<i64>, Vec<i64>) {
        let bins: Vec<i64> = (0..3 * DEGREE as i64).step_by(97).collect();
        let weights = bins.iter().map(|&bin| (bin * 7919) % 2001 - 1000).collect();
        (bins, weights)
    }

    #[test]
    fn all_levels_of_both_ways_agree() {
        let (bins, weights) = entries();
        let targets = [
            Weighted { bins: &bins, weights: &weights },
            Weighted { bins: &bins[5..40], weights: &weights[5..40] },
            Weighted { bins: &[], weights: &[] },
        ];
        let mut found = Vec::new();
        for level in Level::all() {
            let mut sums = vec![1u64; targets.len() * ELEMENT];
            dense(level, &mut sums, &SEED, (0, 3), &targets, 1 << 20);
            found.push(sums);
            let mut sums = vec![1u64; targets.len() * ELEMENT];
            sparse(level, &mut sums, &SEED, (0, 3), &targets, 1000);
            found.push(sums);
        }
        assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
        assert!(found[0][2 * ELEMENT..].iter().all(|&x| x == 1));
        assert!(found[0][..ELEMENT].iter().any(|&x| x != 1));
    }

    #[test]
    fn sparse_sums_are_reduced_before_they_overflow() {
        let bins = vec![4i64; 40];
        let weights = vec![-(SPARSE_BOUND as i64); 40];
        let targets = [Weighted { bins: &bins, weights: &weights }];
        let (mut left, mut right) = (vec![0u64; ELEMENT], vec![0u64; ELEMENT]);
        sparse(Level::Portable, &mut left, &SEED, (0, 1), &targets, SPARSE_BOUND);
        dense(Level::Portable, &mut right, &SEED, (0, 1), &targets, 40 * SPARSE_BOUND);
        assert_eq!(left, right);
    }

    #[test]
    fn digits_hold_what_they_say() {
        for bound in [1, 1 << 20, (1 << 21) - 1, 1 << 40, DENSE_BOUND] {
            let digits = Digits::new(bound);
            let most = bound as u128 * ((1u128 << digits.bits) - 1);
            assert!(2 * most < PRIMES[0] as u128, "{bound}");
            assert!(digits.bits as usize * digits.count >= PRIME_BITS as usize);
            let last = digits.source(digits.rows() - 1);
            assert_eq!(last, (LIMBS - 1, (digits.count as u32 - 1) * digits.bits));
        }
    }

    #[test]
    fn weights_are_wiped() {
        let (bins, weights) = ([DEGREE as i64 - 2, DEGREE as i64 - 1], [-0x0123_4567_89ab, -0x0fed_cba9_8765]);
        let bytes = |values: &[u64]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
        let prime = &primes()[0];
        let plain = [(-weights[1]) as u64, (-weights[0]) as u64]; // as they lie in the polynomial
        let mut transformed: Vec<u64> = vec![0; DEGREE];
        transformed[1..3].copy_from_slice(&plain);
        prime.forward(&mut transformed);
        let unreduced = bytes(&transformed[..2]);
        transformed.iter_mut().for_each(|x| *x = halves(prime.fold(*x)));
        let targets = [Weighted { bins: &bins, weights: &weights }];
        for needle in [bytes(&plain), unreduced, bytes(&transformed[..2])] {
            let mut sums = vec![0; ELEMENT];
            let weigh = || dense(Level::best(), &mut sums, &SEED, (0, 1), &targets, 1 << 50);
            assert_eq!(freed_with(&needle, weigh), 0);
        }
    }
}
