//! Arithmetic in Z_p[X]/(X^8192 + 1) for three 56-bit primes, by the number theoretic transform.
//!
//! The transform is the negacyclic one of Longa and Naehrig (ePrint 2016/504) with Shoup's precomputed quotients and
//! Harvey's lazy reduction (arXiv 1205.2926). Primes are 8 bits under the word, so the forward transform needs no
//! reduction between its 13 layers: each adds at most 4p, and 53p is below 2^62. No branch or address depends on
//! a coefficient.

use std::sync::OnceLock;

use super::level::{at_level, Level};
use super::polynomial;

pub const DEGREE: usize = 8192;
pub const LIMBS: usize = 3;
pub const PRIME_BYTES: usize = 7;
pub const PRIME_BITS: u32 = 56;
/// Bits of a half of a residue: products of halves are 32-bit ones.
pub const HALF_BITS: u32 = PRIME_BITS / 2;
pub const HALF_MASK: u64 = (1 << HALF_BITS) - 1;
/// The low half of a word.
pub const LOW: u64 = u32::MAX as u64;

/// The three largest primes under 2^56 that are 1 mod 16384, descending.
pub const PRIMES: [u64; LIMBS] = [72057594037616641, 72057594037370881, 72057594037338113];
/// A 16384-th root of unity of each.
const ROOTS: [u64; LIMBS] = [40461854994620459, 69034492671048059, 12379056855474448];

/// A factor together with floor(factor * 2^64 / p).
#[derive(Clone, Copy)]
pub struct Factor {
    value: u64,
    quotient: u64,
}

/// The last three layers stay inside blocks of 8 coefficients.
const BLOCK: usize = 8;
/// Blocks that those layers handle side by side, transposed: long loops without a dependency become vector code.
const LANES: usize = 64;
const TILE: usize = BLOCK * LANES;
/// Roots of one block in those layers: 1, 2 and 4.
const TAIL_ROOTS: usize = BLOCK - 1;

/// The roots of the last three layers for one tile, a lane a block.
struct Tail {
    values: [[u64; LANES]; TAIL_ROOTS],
    quotients: [[u64; LANES]; TAIL_ROOTS],
}

impl Tail {
    /// Gathers what the layers of 4, 2 and 1 would read for blocks LANES * tile and on.
    fn gather(roots: &[Factor], tile: usize) -> Self {
        let mut tail = Tail { values: [[0; LANES]; TAIL_ROOTS], quotients: [[0; LANES]; TAIL_ROOTS] };
        let mut root = 0;
        for parts in [1, 2, 4] {
            for part in 0..parts {
                for lane in 0..LANES {
                    let factor = roots[parts * (DEGREE / BLOCK + LANES * tile + lane) + part];
                    tail.values[root][lane] = factor.value;
                    tail.quotients[root][lane] = factor.quotient;
                }
                root += 1;
            }
        }
        tail
    }

    /// Root `root` of every lane.
    #[inline(always)]
    fn lanes(&self, root: usize) -> impl Iterator<Item = Factor> + '_ {
        let pairs = self.values[root].iter().zip(&self.quotients[root]);
        pairs.map(|(&value, &quotient)| Factor { value, quotient })
    }
}

/// One of the primes with its tables.
pub struct Prime {
    pub p: u64,
    /// 2^56 - p, under 2^20: what 2^56 is congruent to.
    excess: u64,
    roots: Vec<Factor>,
    inverse_roots: Vec<Factor>,
    tails: Vec<Tail>,
    inverse_tails: Vec<Tail>,
    degree_inverse: Factor,
    /// floor(q / 2^64), q the product of all three.
    pub encoding: Factor,
}

/// The tables of the three primes, built at first use.
pub fn primes() -> &'static [Prime; LIMBS] {
    static TABLES: OnceLock<[Prime; LIMBS]> = OnceLock::new();
    TABLES.get_or_init(|| std::array::from_fn(|i| Prime::new(PRIMES[i], ROOTS[i])))
}

impl Prime {
    fn new(p: u64, root: u64) -> Self {
        let mut prime = Prime {
            p,
            excess: (1 << PRIME_BITS) - p,
            roots: Vec::new(),
            inverse_roots: Vec::new(),
            tails: Vec::new(),
            inverse_tails: Vec::new(),
            degree_inverse: Factor { value: 0, quotient: 0 },
            encoding: Factor { value: 0, quotient: 0 },
        };
        prime.roots = prime.powers(root);
        prime.inverse_roots = prime.powers(prime.inverse_of(root));
        let tiles = 0..DEGREE / TILE;
        prime.tails = tiles.clone().map(|tile| Tail::gather(&prime.roots, tile)).collect();
        prime.inverse_tails = tiles.map(|tile| Tail::gather(&prime.inverse_roots, tile)).collect();
        prime.encoding = prime.factor((modulus_high() % p as u128) as u64);
        prime.degree_inverse = prime.factor(prime.inverse_of(DEGREE as u64));
        prime
    }

    /// A residue as a factor.
    pub fn factor(&self, value: u64) -> Factor {
        Factor { value, quotient: (((value as u128) << 64) / self.p as u128) as u64 }
    }

    /// Powers of `root` at bit-reversed exponents.
    fn powers(&self, root: u64) -> Vec<Factor> {
        let mut plain = Vec::with_capacity(DEGREE);
        let mut power = 1;
        for _ in 0..DEGREE {
            plain.push(power);
            power = self.mul(power, root);
        }
        let shift = usize::BITS - DEGREE.trailing_zeros();
        (0..DEGREE).map(|i| self.factor(plain[i.reverse_bits() >> shift])).collect()
    }

    /// value^(p - 2): the inverse of a non-zero residue.
    pub fn inverse_of(&self, value: u64) -> u64 {
        let (mut result, mut square, mut exponent) = (1, value, self.p - 2);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.mul(result, square);
            }
            square = self.mul(square, square);
            exponent >>= 1;
        }
        result
    }

    /// Reduces any 128-bit value by folding 2^56 = excess three times.
    #[inline(always)]
    pub fn reduce(&self, value: u128) -> u64 {
        const MASK: u128 = (1 << PRIME_BITS) - 1;
        let fold = self.excess as u128;
        let first = (value >> PRIME_BITS) * fold + (value & MASK); // < 2^93
        let second = (first >> PRIME_BITS) * fold + (first & MASK); // < 2^58
        let third = ((second >> PRIME_BITS) as u64) * self.excess + (second as u64 & MASK as u64); // < 2p
        subtract_if_over(third, self.p)
    }

    /// The residue of any word.
    #[inline(always)]
    pub fn fold(&self, value: u64) -> u64 {
        let folded = (value >> PRIME_BITS) * self.excess + (value & ((1 << PRIME_BITS) - 1)); // < 2^56 + 2^28
        subtract_if_over(folded, self.p)
    }

    /// The residue of high * 2^56 + middle * 2^28 + low: high under 2^61, middle under 2^64 - 2^53, low under 2^62.
    #[inline(always)]
    pub fn gather(&self, high: u64, middle: u64, low: u64) -> u64 {
        let middle = middle + (high >> HALF_BITS) * self.excess; // the part of 2^84
        let low = low + (high & HALF_MASK) * self.excess; // < 2^62 + 2^48
        self.fold(low + (middle >> HALF_BITS) * self.excess + ((middle & HALF_MASK) << HALF_BITS))
        // < 2^63
    }

    /// a * b, any a and b whose product fits 128 bits.
    #[inline(always)]
    pub fn mul(&self, a: u64, b: u64) -> u64 {
        self.reduce(a as u128 * b as u128)
    }

    /// a + b of residues.
    #[inline(always)]
    pub fn add(&self, a: u64, b: u64) -> u64 {
        subtract_if_over(a + b, self.p)
    }

    /// a - b of residues.
    #[inline(always)]
    pub fn sub(&self, a: u64, b: u64) -> u64 {
        subtract_if_over(a + self.p - b, self.p)
    }

    /// The residue of a signed value of magnitude under p.
    #[inline(always)]
    pub fn signed(&self, value: i64) -> u64 {
        (value as u64).wrapping_add(self.p & ((value >> 63) as u64))
    }

    /// The residue of any signed sum.
    pub fn signed_sum(&self, value: i128) -> u64 {
        value.rem_euclid(self.p as i128) as u64
    }

    /// y * factor, any y, result under 4p.
    ///
    /// WIDE takes the quotient from 32-bit products without their low parts (at most 2 too small), which compilers
    /// turn into vector code; otherwise from one 128-bit product.
    #[inline(always)]
    pub fn lazy<const WIDE: bool>(&self, y: u64, factor: Factor) -> u64 {
        if !WIDE {
            let quotient = ((y as u128 * factor.quotient as u128) >> 64) as u64;
            return y.wrapping_mul(factor.value).wrapping_sub(quotient.wrapping_mul(self.p));
        }
        let (y_high, y_low) = (y >> 32, y & LOW);
        let (f_high, f_low) = (factor.quotient >> 32, factor.quotient & LOW);
        let quotient = y_high * f_high + ((y_high * f_low) >> 32) + ((y_low * f_high) >> 32);
        // y * value - quotient * p with p = 2^56 - excess, all modulo 2^64; excess is under 2^32.
        let (v_high, v_low) = (factor.value >> 32, factor.value & LOW);
        let product = (y_low * v_low).wrapping_add((y_high * v_low).wrapping_add(y_low * v_high) << 32);
        let folded = ((quotient & LOW) * self.excess).wrapping_add(((quotient >> 32) * self.excess) << 32);
        product.wrapping_add(folded).wrapping_sub(quotient << PRIME_BITS)
    }

    /// (x, y) to (x + root * y, x - root * y): both grow by at most 4p.
    #[inline(always)]
    fn butterfly<const WIDE: bool>(&self, x: &mut u64, y: &mut u64, root: Factor) {
        let product = self.lazy::<WIDE>(*y, root);
        *y = *x + 4 * self.p - product;
        *x += product;
    }

    /// (x, y) to (x + y, root * (x - y)): both stay under 4p.
    #[inline(always)]
    fn inverse_butterfly<const WIDE: bool>(&self, x: &mut u64, y: &mut u64, root: Factor) {
        let difference = *x + 4 * self.p - *y;
        *x = subtract_if_over(*x + *y, 4 * self.p);
        *y = self.lazy::<WIDE>(difference, root);
    }

    /// Transforms residues in place; results are under 53p (62 bits), congruent, not reduced, in an order of their own.
    pub fn forward(&self, a: &mut [u64]) {
        forward(Level::best(), self, a);
    }

    /// `forward`, reduced.
    pub fn forward_reduced(&self, a: &mut [u64]) {
        self.forward(a);
        polynomial::reduce(Level::best(), self, a);
    }

    /// Undoes `forward` in place; takes values under 4p, returns residues.
    pub fn inverse(&self, a: &mut [u64]) {
        inverse(Level::best(), self, a);
    }
}

#[inline(always)]
fn forward_body<const WIDE: bool>(prime: &Prime, a: &mut [u64]) {
    let (mut count, mut half) = (1, DEGREE / 2);
    while half >= BLOCK {
        for (block, &root) in a.chunks_exact_mut(2 * half).zip(&prime.roots[count..2 * count]) {
            let (low, high) = block.split_at_mut(half);
            for (x, y) in low.iter_mut().zip(high) {
                prime.butterfly::<WIDE>(x, y, root);
            }
        }
        count *= 2;
        half /= 2;
    }
    for (values, tail) in a.chunks_exact_mut(TILE).zip(&prime.tails) {
        let mut tile = [[0; LANES]; BLOCK];
        for (lane, block) in values.chunks_exact(BLOCK).enumerate() {
            for (row, &value) in tile.iter_mut().zip(block) {
                row[lane] = value;
            }
        }
        let mut root = 0;
        for half in [4, 2, 1] {
            for start in (0..BLOCK).step_by(2 * half) {
                for k in start..start + half {
                    let [x, y] = rows(&mut tile, k, k + half);
                    for ((x, y), root) in x.iter_mut().zip(y).zip(tail.lanes(root)) {
                        prime.butterfly::<WIDE>(x, y, root);
                    }
                }
                root += 1;
            }
        }
        for (row, out) in tile.iter().zip(values.chunks_exact_mut(LANES)) {
            out.copy_from_slice(row);
        }
    }
}

#[inline(always)]
fn inverse_body<const WIDE: bool>(prime: &Prime, a: &mut [u64]) {
    for (values, tail) in a.chunks_exact_mut(TILE).zip(&prime.inverse_tails) {
        let mut tile = [[0; LANES]; BLOCK];
        for (row, block) in tile.iter_mut().zip(values.chunks_exact(LANES)) {
            row.copy_from_slice(block);
        }
        for (half, first) in [(1, 3), (2, 1), (4, 0)] {
            for (root, start) in (first..).zip((0..BLOCK).step_by(2 * half)) {
                for k in start..start + half {
                    let [x, y] = rows(&mut tile, k, k + half);
                    for ((x, y), root) in x.iter_mut().zip(y).zip(tail.lanes(root)) {
                        prime.inverse_butterfly::<WIDE>(x, y, root);
                    }
                }
            }
        }
        for (lane, block) in values.chunks_exact_mut(BLOCK).enumerate() {
            for (row, value) in tile.iter().zip(block) {
                *value = row[lane];
            }
        }
    }
    let (mut count, mut half) = (DEGREE / (2 * BLOCK), BLOCK);
    while count > 0 {
        for (block, &root) in a.chunks_exact_mut(2 * half).zip(&prime.inverse_roots[count..2 * count]) {
            let (low, high) = block.split_at_mut(half);
            for (x, y) in low.iter_mut().zip(high) {
                prime.inverse_butterfly::<WIDE>(x, y, root);
            }
        }
        count /= 2;
        half *= 2;
    }
    for x in a {
        let scaled = prime.lazy::<WIDE>(*x, prime.degree_inverse);
        *x = subtract_if_over(subtract_if_over(scaled, 2 * prime.p), prime.p);
    }
}

at_level! {
    /// `Prime::forward` at a level.
    fn forward(prime: &Prime, a: &mut [u64]) = forward_body
}

at_level! {
    /// `Prime::inverse` at a level.
    fn inverse(prime: &Prime, a: &mut [u64]) = inverse_body
}

/// Two rows of a tile, first < second.
#[inline(always)]
fn rows(tile: &mut [[u64; LANES]; BLOCK], first: usize, second: usize) -> [&mut [u64; LANES]; 2] {
    let (head, rest) = tile.split_at_mut(second);
    [&mut head[first], &mut rest[0]]
}

/// x - m if x >= m, without a branch; x and m under 2^63.
#[inline(always)]
fn subtract_if_over(x: u64, m: u64) -> u64 {
    x.min(x.wrapping_sub(m))
}

/// An element of the ring for every prime: `LIMBS` runs of `DEGREE` residues.
pub type Element = [Vec<u64>; LIMBS];

/// The element 0.
pub fn zero() -> Element {
    std::array::from_fn(|_| vec![0; DEGREE])
}

/// floor(q / 2^64), 104 bits.
fn modulus_high() -> u128 {
    let pair = PRIMES[0] as u128 * PRIMES[1] as u128;
    let carry = ((pair as u64) as u128 * PRIMES[2] as u128) >> 64;
    (pair >> 64) * PRIMES[2] as u128 + carry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(prime: &Prime, mut state: u64) -> Vec<u64> {
        (0..DEGREE)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                state % prime.p
            })
            .collect()
    }

    #[test]
    fn reduce_agrees_with_division() {
        for prime in primes() {
            for value in [0, 1, prime.p as u128, u128::MAX, u128::MAX - 1, 1 << 127, (1 << 56) - 1, (1 << 112) + 7] {
                assert_eq!(prime.reduce(value) as u128, value % prime.p as u128);
            }
            let top = prime.p as u128 * prime.p as u128;
            for offset in 0..64 {
                assert_eq!(prime.reduce(top - offset) as u128, (top - offset) % prime.p as u128);
            }
        }
    }

    #[test]
    fn transform_multiplies_in_the_ring() {
        for prime in primes() {
            let a = sample(prime, 1);
            // X^k * a is a rotation with a sign; k at both ends, in the middle and odd.
            for k in [0, 1, 17, DEGREE / 2, DEGREE - 1] {
                let mut x = vec![0; DEGREE];
                x[k] = 1;
                let mut product = a.clone();
                prime.forward(&mut product);
                prime.forward(&mut x);
                for (left, right) in product.iter_mut().zip(&x) {
                    *left = prime.mul(*left, *right);
                }
                prime.inverse(&mut product);
                for (i, &found) in product.iter().enumerate() {
                    let (source, negative) = if i >= k { (i - k, false) } else { (i + DEGREE - k, true) };
                    let expected = if negative { prime.sub(0, a[source]) } else { a[source] };
                    assert_eq!(found, expected);
                }
            }
        }
    }

    #[test]
    fn all_levels_agree() {
        for prime in primes() {
            let plain = sample(prime, 5);
            let mut transformed: Vec<Vec<u64>> = Vec::new();
            for level in Level::all() {
                let mut values = plain.clone();
                forward(level, prime, &mut values);
                values.iter_mut().for_each(|x| *x = prime.reduce(*x as u128));
                transformed.push(values.clone());
                inverse(level, prime, &mut values);
                assert_eq!(values, plain, "{level:?}");
            }
            assert!(transformed.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    #[test]
    fn lazy_products_stay_under_their_bound() {
        for prime in primes() {
            for value in [0, 1, prime.p - 1, prime.p / 2, 0xffff_ffff, 1 << 55] {
                let factor = prime.factor(value);
                for y in [0, 1, u64::MAX, u64::MAX - 1, 0xffff_ffff, 53 * prime.p, 1 << 63] {
                    let expected = (y as u128 * value as u128 % prime.p as u128) as u64;
                    for product in [prime.lazy::<false>(y, factor), prime.lazy::<true>(y, factor)] {
                        assert!(product < 4 * prime.p);
                        assert_eq!(product % prime.p, expected);
                    }
                }
            }
        }
    }

    #[test]
    fn forward_stays_under_its_bound_at_the_largest_input() {
        for prime in primes() {
            let mut a = vec![prime.p - 1; DEGREE];
            prime.forward(&mut a);
            assert!(a.iter().all(|&x| x < 53 * prime.p));
        }
    }

    #[test]
    fn signed_values_wrap_to_residues() {
        let prime = &primes()[0];
        assert_eq!(prime.signed(-1), prime.p - 1);
        assert_eq!(prime.signed(5), 5);
        assert_eq!(prime.signed_sum(-1 - 4 * prime.p as i128), prime.p - 1);
    }
}
