//! Arithmetic in Z_p[X]/(X^8192 + 1) for three 56-bit primes, by the number theoretic transform.
//!
//! The transform is the negacyclic one of Longa and Naehrig (ePrint 2016/504) with Shoup's precomputed quotients and
//! Harvey's lazy reduction (arXiv 1205.2926). Primes are 8 bits under the word, so the forward transform needs no
//! reduction between its 13 layers: each adds at most 2p, and 28p is far below 2^64. No branch or address depends on
//! a coefficient.

use std::sync::OnceLock;

pub const DEGREE: usize = 8192;
pub const LIMBS: usize = 3;
pub const PRIME_BYTES: usize = 7;
const PRIME_BITS: u32 = 56;

/// The three largest primes under 2^56 that are 1 mod 16384, descending.
pub const PRIMES: [u64; LIMBS] = [72057594037616641, 72057594037370881, 72057594037338113];
/// A 16384-th root of unity of each.
const ROOTS: [u64; LIMBS] = [40461854994620459, 69034492671048059, 12379056855474448];

/// A factor together with floor(factor * 2^64 / p).
#[derive(Clone, Copy)]
struct Factor {
    value: u64,
    quotient: u64,
}

/// One of the primes with its tables.
pub struct Prime {
    pub p: u64,
    /// 2^56 - p, under 2^20: what 2^56 is congruent to.
    fold: u64,
    roots: Vec<Factor>,
    inverse_roots: Vec<Factor>,
    degree_inverse: Factor,
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
            fold: (1 << PRIME_BITS) - p,
            roots: Vec::new(),
            inverse_roots: Vec::new(),
            degree_inverse: Factor { value: 0, quotient: 0 },
        };
        prime.roots = prime.powers(root);
        prime.inverse_roots = prime.powers(prime.inverse_of(root));
        prime.degree_inverse = prime.factor(prime.inverse_of(DEGREE as u64));
        prime
    }

    fn factor(&self, value: u64) -> Factor {
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

    /// Reduces any 128-bit value by folding 2^56 = fold three times.
    #[inline(always)]
    pub fn reduce(&self, value: u128) -> u64 {
        const MASK: u128 = (1 << PRIME_BITS) - 1;
        let fold = self.fold as u128;
        let first = (value >> PRIME_BITS) * fold + (value & MASK); // < 2^93
        let second = (first >> PRIME_BITS) * fold + (first & MASK); // < 2^58
        let third = ((second >> PRIME_BITS) as u64) * self.fold + (second as u64 & MASK as u64); // < 2p
        subtract_if_over(third, self.p)
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

    /// y * factor, any y, result under 2p.
    #[inline(always)]
    fn lazy(&self, y: u64, factor: Factor) -> u64 {
        let quotient = ((y as u128 * factor.quotient as u128) >> 64) as u64;
        y.wrapping_mul(factor.value).wrapping_sub(quotient.wrapping_mul(self.p))
    }

    /// Transforms residues in place; results are under 28p (61 bits) and congruent, not reduced.
    pub fn forward(&self, a: &mut [u64]) {
        let two_p = 2 * self.p;
        let (mut count, mut half) = (1, DEGREE / 2);
        while count < DEGREE {
            for (block, &root) in a.chunks_exact_mut(2 * half).zip(&self.roots[count..2 * count]) {
                let (low, high) = block.split_at_mut(half);
                for (x, y) in low.iter_mut().zip(high) {
                    let product = self.lazy(*y, root);
                    *y = *x + two_p - product;
                    *x += product;
                }
            }
            count *= 2;
            half /= 2;
        }
    }

    /// Undoes `forward` in place; takes values under 2p, returns residues.
    pub fn inverse(&self, a: &mut [u64]) {
        let two_p = 2 * self.p;
        let (mut count, mut half) = (DEGREE / 2, 1);
        while count > 0 {
            for (block, &root) in a.chunks_exact_mut(2 * half).zip(&self.inverse_roots[count..2 * count]) {
                let (low, high) = block.split_at_mut(half);
                for (x, y) in low.iter_mut().zip(high) {
                    let difference = *x + two_p - *y;
                    *x = subtract_if_over(*x + *y, two_p);
                    *y = self.lazy(difference, root);
                }
            }
            count /= 2;
            half *= 2;
        }
        for x in a {
            *x = subtract_if_over(self.lazy(*x, self.degree_inverse), self.p);
        }
    }
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

/// round(q * m / 2^64) modulo each prime, q the product of all three.
///
/// q = high * 2^64 + low, so the value is high * m + round(low * m / 2^64).
pub fn encode(message: u64) -> [u64; LIMBS] {
    let low = PRIMES[0].wrapping_mul(PRIMES[1]).wrapping_mul(PRIMES[2]);
    let fraction = ((low as u128 * message as u128 + (1 << 63)) >> 64) as u64;
    let high = high_part();
    std::array::from_fn(|i| {
        let prime = &primes()[i];
        let reduced = prime.reduce(message as u128);
        prime.reduce(reduced as u128 * high[i] as u128 + fraction as u128)
    })
}

/// floor(q / 2^64) modulo each prime.
fn high_part() -> &'static [u64; LIMBS] {
    static HIGH: OnceLock<[u64; LIMBS]> = OnceLock::new();
    HIGH.get_or_init(|| {
        let pair = PRIMES[0] as u128 * PRIMES[1] as u128;
        let (pair_high, pair_low) = ((pair >> 64) as u64, pair as u64);
        let carry = (pair_low as u128 * PRIMES[2] as u128) >> 64;
        let high = pair_high as u128 * PRIMES[2] as u128 + carry;
        std::array::from_fn(|i| (high % PRIMES[i] as u128) as u64)
    })
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
    fn forward_stays_under_its_bound_at_the_largest_input() {
        for prime in primes() {
            let mut a = vec![prime.p - 1; DEGREE];
            prime.forward(&mut a);
            assert!(a.iter().all(|&x| x < 28 * prime.p));
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
