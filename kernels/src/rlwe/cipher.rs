//! Encryptions that share their random half: ciphertext j of block b is (a_b * -s_j + e + encode(m), a_b).
//!
//! One uniform element a_b serves all columns of a block, each under a secret of its own (Peikert, Vaikuntanathan and
//! Waters, CRYPTO 2008, section 7.2). Elements a come from a public seed: number 0 belongs to the public key, number
//! 1 + b to block b.

use rayon::prelude::*;
use zeroize::Zeroize;

use super::ring::{encode, primes, zero, Element, DEGREE, LIMBS, PRIMES, PRIME_BYTES};
use super::sample::{KeyStream, Stream};
use crate::wipe::redacted;

const CIPHERTEXT_BYTES: usize = LIMBS * DEGREE * PRIME_BYTES;
/// Primes of an answer: the third is divided out.
pub const ANSWER_LIMBS: usize = 2;

/// The coefficients of a public element of the seed.
pub fn coefficients(seed: &[u8; 32], number: u64) -> Element {
    Stream::open(seed, number).element()
}

/// A public element of the seed, transformed and reduced.
pub fn public_element(seed: &[u8; 32], number: u64) -> Element {
    let mut element = coefficients(seed, number);
    for (prime, residues) in primes().iter().zip(&mut element) {
        prime.forward(residues);
        for x in residues {
            *x = prime.reduce(*x as u128);
        }
    }
    element
}

/// Elements 1 + first to 1 + first + count, transformed.
pub fn block_elements(seed: &[u8; 32], first: u64, count: usize) -> Vec<Element> {
    (0..count).into_par_iter().map(|i| public_element(seed, 1 + first + i as u64)).collect()
}

/// Ternary secrets, one a column.
pub struct Secret {
    plain: Vec<Vec<i8>>,
    transformed: Vec<Element>,
}

redacted!(Secret);

impl Secret {
    /// Draws secret j from stream j of `key`.
    pub fn draw(key: &[u8; 32], columns: usize) -> Self {
        let plain: Vec<Vec<i8>> = (0..columns).map(|j| Stream::open(key, j as u64).ternaries()).collect();
        let transformed = plain.iter().map(|secret| transform_small(secret)).collect();
        Secret { plain, transformed }
    }

    pub fn columns(&self) -> usize {
        self.plain.len()
    }

    /// -a * s_column + error + encode(message), coefficients prime by prime in 7 bytes each.
    pub fn encrypt(&self, element: &Element, column: usize, mut error: Vec<i64>, message: Option<&[u64]>) -> Vec<u8> {
        let mut out = Vec::with_capacity(CIPHERTEXT_BYTES);
        let mut encoded = message.map(|words| words.iter().map(|&word| encode(word)).collect::<Vec<_>>());
        for (i, prime) in primes().iter().enumerate() {
            let mut residues: Vec<u64> =
                element[i].iter().zip(&self.transformed[column][i]).map(|(&a, &s)| prime.mul(a, s)).collect();
            prime.inverse(&mut residues);
            for (k, product) in residues.iter().enumerate() {
                let mut x = prime.sub(prime.signed(error[k]), *product);
                if let Some(words) = &encoded {
                    x = prime.add(x, words[k][i]);
                }
                out.extend_from_slice(&x.to_le_bytes()[..PRIME_BYTES]);
            }
            residues.zeroize();
        }
        error.zeroize();
        encoded.zeroize();
        out
    }

    /// The constant coefficient of c1 * s_column modulo each of the answer's primes.
    pub fn product_constant(&self, c1: &[u64], column: usize) -> [u64; ANSWER_LIMBS] {
        std::array::from_fn(|i| constant_of_product(&c1[i * DEGREE..(i + 1) * DEGREE], &self.plain[column], i))
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.plain.zeroize();
        for element in &mut self.transformed {
            element.zeroize();
        }
    }
}

/// Transforms a small polynomial, reduced.
fn transform_small(small: &[i8]) -> Element {
    std::array::from_fn(|i| {
        let prime = &primes()[i];
        let mut residues: Vec<u64> = small.iter().map(|&x| prime.signed(x as i64)).collect();
        prime.forward(&mut residues);
        for x in &mut residues {
            *x = prime.reduce(*x as u128);
        }
        residues
    })
}

/// Coefficient 0 of residues * small: r_0 s_0 - sum of r_k s_{n-k}.
fn constant_of_product(residues: &[u64], small: &[i8], limb: usize) -> u64 {
    let mut sum = residues[0] as i128 * small[0] as i128;
    for (&r, &s) in residues[1..].iter().zip(small[1..].iter().rev()) {
        sum -= (r as i64 * s as i64) as i128;
    }
    primes()[limb].signed_sum(sum)
}

/// An encryption of zero under the public key: a * u + e2 (coefficients), and coefficient 0 of pk_j * u + e1 a column.
///
/// Draws u, e2, then one e1 a column, in this order.
pub fn encrypt_zero(element: &Element, public_key: &[&[u64]], stream: &mut KeyStream) -> (Vec<u64>, Vec<[u64; LIMBS]>) {
    let mut mask = stream.ternaries();
    let mut error = stream.errors();
    let mut transformed = transform_small(&mask);
    let mut ring = Vec::with_capacity(LIMBS * DEGREE);
    for (i, prime) in primes().iter().enumerate() {
        for (u, &a) in transformed[i].iter_mut().zip(&element[i]) {
            *u = prime.mul(*u, a);
        }
        prime.inverse(&mut transformed[i]);
        ring.extend(transformed[i].iter().zip(&error).map(|(&x, &e)| prime.add(x, prime.signed(e))));
    }
    let constants = public_key
        .iter()
        .map(|key| {
            let e1 = stream.error();
            std::array::from_fn(|i| {
                let product = constant_of_product(&key[i * DEGREE..(i + 1) * DEGREE], &mask, i);
                primes()[i].add(product, primes()[i].signed(e1))
            })
        })
        .collect();
    mask.zeroize();
    error.zeroize();
    transformed.zeroize();
    (ring, constants)
}

/// round((sum + zero) / third prime) modulo the first two, of coefficients.
pub fn switch(sum: &[u64], zero_part: &[u64]) -> Vec<u64> {
    let mut element = zero();
    for (i, prime) in primes().iter().enumerate() {
        let range = i * DEGREE..(i + 1) * DEGREE;
        for ((x, &s), &z) in element[i].iter_mut().zip(&sum[range.clone()]).zip(&zero_part[range]) {
            *x = prime.add(s, z);
        }
    }
    let last = PRIMES[LIMBS - 1];
    let mut out = Vec::with_capacity(ANSWER_LIMBS * DEGREE);
    for (i, prime) in primes().iter().enumerate().take(ANSWER_LIMBS) {
        let inverse = prime.inverse_of(last);
        out.extend(element[i].iter().zip(&element[LIMBS - 1]).map(|(&x, &r)| {
            // The remainder modulo the last prime, centred: r or r - last.
            let centred = r as i64 - (last as i64 & -((r > last / 2) as i64));
            prime.mul(prime.sub(x, prime.signed(centred)), inverse)
        }));
    }
    element.zeroize();
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wipe::look::freed_with;

    const KEY: [u8; 32] = [9; 32];

    fn bytes_of<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
        values.iter().flat_map(|&value| bytes(value)).collect()
    }

    /// Two neighbours that stand out: most errors are near zero, and zeros are everywhere.
    fn two_of(errors: &[i64]) -> Vec<u8> {
        let far = |pair: &&[i64]| pair[0].abs() > 5 && pair[1].abs() > 5 && pair[0] != pair[1];
        bytes_of(errors.windows(2).find(far).unwrap(), i64::to_le_bytes)
    }

    #[test]
    fn secrets_are_wiped_in_both_forms() {
        let secret = Secret::draw(&KEY, 2);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        let plain = bytes_of(&secret.plain[1][..16], |x| x.to_le_bytes());
        let transformed = bytes_of(&secret.transformed[1][2][..2], u64::to_le_bytes);
        for needle in [plain, transformed] {
            assert_eq!(freed_with(&needle, || drop(Secret::draw(&KEY, 2))), 0);
        }
    }

    #[test]
    fn encryptions_wipe_errors_masks_and_messages() {
        let secret = Secret::draw(&KEY, 1);
        let element = public_element(&KEY, 0);
        let error = two_of(&Stream::open(&KEY, 5).errors());
        let message = vec![0x0123_4567_89ab_cdef; DEGREE];
        let encoded = bytes_of(&encode(message[0])[..2], u64::to_le_bytes);
        for needle in [&error, &encoded] {
            let encrypt = || secret.encrypt(&element, 0, Stream::open(&KEY, 5).errors(), Some(&message));
            assert_eq!(freed_with(needle, encrypt), 0);
        }
        let mut stream = Stream::open(&KEY, 7);
        let mask = bytes_of(&stream.ternaries()[..16], |x| x.to_le_bytes());
        let error = two_of(&stream.errors());
        let public = vec![1u64; LIMBS * DEGREE];
        for needle in [mask, error] {
            assert_eq!(freed_with(&needle, || encrypt_zero(&element, &[&public], &mut Stream::open(&KEY, 7))), 0);
        }
    }
}
