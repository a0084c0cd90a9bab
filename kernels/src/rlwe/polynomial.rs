//! Arithmetic on all coefficients of a polynomial modulo one prime, or on some of them, in vectors.
//!
//! Slices of one call are equally long; residues are reduced before and after.

use super::level::{at_level, Level};
use super::ring::{Prime, HALF_BITS, HALF_MASK, LIMBS, LOW, PRIMES, PRIME_BYTES};

at_level! {
    /// The residues of any words.
    pub fn reduce(prime: &Prime, values: &mut [u64]) = reduce_body
}

#[inline(always)]
fn reduce_body<const WIDE: bool>(prime: &Prime, values: &mut [u64]) {
    for x in values {
        *x = prime.fold(*x);
    }
}

at_level! {
    /// x * y, point by point; x may be any words.
    pub fn multiply(prime: &Prime, x: &mut [u64], y: &[u64]) = multiply_body
}

#[inline(always)]
fn multiply_body<const WIDE: bool>(prime: &Prime, x: &mut [u64], y: &[u64]) {
    for (x, &y) in x.iter_mut().zip(y) {
        let a = prime.fold(*x);
        let (a_high, a_low, y_high, y_low) =
            ((a >> HALF_BITS) & LOW, a & HALF_MASK, (y >> HALF_BITS) & LOW, y & HALF_MASK);
        *x = prime.gather(a_high * y_high, a_high * y_low + a_low * y_high, a_low * y_low);
    }
}

at_level! {
    /// The residues of small signed integers.
    pub fn lift(prime: &Prime, out: &mut [u64], small: &[i8]) = lift_body
}

#[inline(always)]
fn lift_body<const WIDE: bool>(prime: &Prime, out: &mut [u64], small: &[i8]) {
    for (x, &value) in out.iter_mut().zip(small) {
        *x = prime.signed(value as i64);
    }
}

at_level! {
    /// x + error.
    pub fn add_error(prime: &Prime, x: &mut [u64], error: &[i64]) = add_error_body
}

#[inline(always)]
fn add_error_body<const WIDE: bool>(prime: &Prime, x: &mut [u64], error: &[i64]) {
    for (x, &e) in x.iter_mut().zip(error) {
        *x = prime.add(*x, prime.signed(e));
    }
}

at_level! {
    /// error - x.
    pub fn error_less(prime: &Prime, x: &mut [u64], error: &[i64]) = error_less_body
}

#[inline(always)]
fn error_less_body<const WIDE: bool>(prime: &Prime, x: &mut [u64], error: &[i64]) {
    for (x, &e) in x.iter_mut().zip(error) {
        *x = prime.sub(prime.signed(e), *x);
    }
}

at_level! {
    /// x + round(q * word / 2^64), q the product of all primes.
    pub fn add_encoded(prime: &Prime, x: &mut [u64], words: &[u64]) = add_encoded_body
}

/// q = high * 2^64 + low, so the value is high * word + round(low * word / 2^64).
#[inline(always)]
fn add_encoded_body<const WIDE: bool>(prime: &Prime, x: &mut [u64], words: &[u64]) {
    const MODULUS_LOW: u64 = PRIMES[0].wrapping_mul(PRIMES[1]).wrapping_mul(PRIMES[2]);
    for (x, &word) in x.iter_mut().zip(words) {
        let (high, low) = (word >> 32, word & LOW);
        let (first, second) = (high * (MODULUS_LOW & LOW), low * (MODULUS_LOW >> 32));
        let carried = ((low * (MODULUS_LOW & LOW)) >> 32) + (first & LOW) + (second & LOW) + (1 << 31);
        let fraction = high * (MODULUS_LOW >> 32) + (first >> 32) + (second >> 32) + (carried >> 32);
        *x = prime.fold(*x + prime.lazy::<WIDE>(word, prime.encoding) + prime.fold(fraction));
    }
}

at_level! {
    /// Adds to `sums` the sums of the low and of the high halves of x, times small signed integers.
    pub fn weigh(sums: &mut [i64; 2], x: &[u64], small: &[i8]) = weigh_body
}

#[inline(always)]
fn weigh_body<const WIDE: bool>(sums: &mut [i64; 2], x: &[u64], small: &[i8]) {
    let [mut low, mut high] = *sums;
    for (&x, &s) in x.iter().zip(small) {
        low += (x & HALF_MASK) as i32 as i64 * s as i64;
        high += ((x >> HALF_BITS) & HALF_MASK) as i32 as i64 * s as i64;
    }
    *sums = [low, high];
}

/// Sum of x_k * small_k of up to 2^20 residues: each half's is under 2^56.
pub fn inner(prime: &Prime, x: &[u64], small: &[i8]) -> u64 {
    let mut sums = [0; 2];
    weigh(Level::best(), &mut sums, x, small);
    prime.signed_sum(sums[0] as i128 + ((sums[1] as i128) << HALF_BITS))
}

at_level! {
    /// x = round(x / last) where x is modulo a prime and `rest` the same value modulo `last`.
    pub fn divide(prime: &Prime, x: &mut [u64], rest: &[u64]) = divide_body
}

#[inline(always)]
fn divide_body<const WIDE: bool>(prime: &Prime, x: &mut [u64], rest: &[u64]) {
    const LAST: u64 = PRIMES[LIMBS - 1];
    let inverse = prime.factor(prime.inverse_of(LAST));
    for (x, &r) in x.iter_mut().zip(rest) {
        // The remainder modulo the last prime, centred: r or r - last.
        let centred = r as i64 - (LAST & ((r > LAST / 2) as u64).wrapping_neg()) as i64;
        *x = prime.fold(prime.lazy::<WIDE>(prime.sub(*x, prime.signed(centred)), inverse));
    }
}

/// Appends residues in 7 bytes each.
pub fn pack(out: &mut Vec<u8>, residues: &[u64]) {
    let start = out.len();
    out.resize(start + residues.len() * PRIME_BYTES + 1, 0);
    for (k, x) in residues.iter().enumerate() {
        // The eighth byte is zero, and the next residue's place.
        out[start + k * PRIME_BYTES..][..8].copy_from_slice(&x.to_le_bytes());
    }
    out.pop();
}

#[cfg(test)]
mod tests {
    use super::super::ring::primes;
    use super::*;

    const WORDS: [u64; 9] =
        [0, 1, 2, 0x8000_0000_0000_0000, u64::MAX, u64::MAX - 1, 1 << 32, 0xffff_ffff, 0x9e37_79b9_7f4a_7c15];

    /// round(q * word / 2^64) modulo a prime, in long arithmetic.
    fn encoded(prime: &Prime, word: u64) -> u64 {
        let pair = PRIMES[0] as u128 * PRIMES[1] as u128;
        let (low, high) = ((pair as u64) as u128 * PRIMES[2] as u128, (pair >> 64) * PRIMES[2] as u128);
        let whole = (high + (low >> 64)) % prime.p as u128 * (word as u128) % prime.p as u128;
        let rest = ((low as u64) as u128 * word as u128 + (1 << 63)) >> 64;
        ((whole + rest) % prime.p as u128) as u64
    }

    #[test]
    fn all_levels_are_plain_arithmetic() {
        for prime in primes() {
            let p = prime.p;
            let x: Vec<u64> = WORDS.iter().map(|&word| word % p).chain([p - 1]).collect();
            let y: Vec<u64> = x.iter().rev().copied().collect();
            let error: Vec<i64> = (0..10).map(|k| k * 5 - 21).collect();
            let small = [-1i8, 0, 1, 1, -1, -1, 0, 1, -1, 1];
            let words = [&WORDS[..], &[77]].concat();
            let each = |work: &dyn Fn(Level, &mut Vec<u64>), expected: &dyn Fn(usize) -> u64| {
                for level in Level::all() {
                    let mut found = x.clone();
                    work(level, &mut found);
                    assert_eq!(found, (0..x.len()).map(expected).collect::<Vec<_>>(), "{level:?}");
                }
            };
            let modulo = |value: i128| value.rem_euclid(p as i128) as u64;
            each(&|level, x| multiply(level, prime, x, &y), &|k| (x[k] as u128 * y[k] as u128 % p as u128) as u64);
            each(&|level, x| add_error(level, prime, x, &error), &|k| modulo(x[k] as i128 + error[k] as i128));
            each(&|level, x| error_less(level, prime, x, &error), &|k| modulo(error[k] as i128 - x[k] as i128));
            each(&|level, x| lift(level, prime, x, &small), &|k| modulo(small[k] as i128));
            each(&|level, x| add_encoded(level, prime, x, &words), &|k| {
                modulo((x[k] + encoded(prime, words[k])) as i128)
            });
            each(
                &|level, x| {
                    x.copy_from_slice(&words);
                    reduce(level, prime, x);
                },
                &|k| words[k] % p,
            );
            let sum = x.iter().zip(&small).map(|(&x, &s)| x as i128 * s as i128).sum();
            assert_eq!(inner(prime, &x, &small), modulo(sum));
            for level in Level::all() {
                let mut sums = [0; 2];
                weigh(level, &mut sums, &x, &small);
                assert_eq!(sums[0] as i128 + ((sums[1] as i128) << HALF_BITS), sum);
            }
        }
    }

    #[test]
    fn division_rounds_to_the_nearest() {
        let last = PRIMES[LIMBS - 1] as i128;
        for prime in &primes()[..LIMBS - 1] {
            for value in [0, 1, last / 2, last / 2 + 1, last, 5 * last - last / 2, 7 * last + last / 2 + 1] {
                for level in Level::all() {
                    let mut x = [value.rem_euclid(prime.p as i128) as u64];
                    divide(level, prime, &mut x, &[value.rem_euclid(last) as u64]);
                    assert_eq!(x[0] as i128, (2 * value + last) / (2 * last), "{value}");
                }
            }
        }
    }

    #[test]
    fn residues_are_packed_in_seven_bytes() {
        let mut out = vec![9];
        pack(&mut out, &[0x0001_0203_0405_0607, PRIMES[0]]);
        assert_eq!(out[..8], [9, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(out[8..], PRIMES[0].to_le_bytes()[..7]);
    }
}
