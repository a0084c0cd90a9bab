//! Encryptions that share their random half: ciphertext j of block b is (a_b * -s_j + e + encode(m), a_b).
//!
//! One uniform element a_b serves all columns of a block, each under a secret of its own (Peikert, Vaikuntanathan and
//! Waters, CRYPTO 2008, section 7.2). Elements a come from a public seed: number 0 belongs to the public key, number
//! 1 + b to block b.

use rayon::prelude::*;
use zeroize::Zeroize;

use super::level::Level;
use super::polynomial;
use super::ring::{primes, zero, Element, DEGREE, LIMBS, PRIME_BYTES};
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
        prime.forward_reduced(residues);
    }
    element
}

/// Elements 1 + first to 1 + first + count, transformed.
pub fn block_elements(seed: &[u8; 32], first: u64, count: usize) -> Vec<Element> {
    (0..count).into_par_iter().map(|i| public_element(seed, 1 + first + i as u64)).collect()
}

/// Ternary secrets, one a column.
pub struct Secret {
    turned: Vec<Vec<i8>>,
    transformed: Vec<Element>,
}

redacted!(Secret);

impl Secret {
    /// Draws secret j from stream j of `key`.
    pub fn draw(key: &[u8; 32], columns: usize) -> Self {
        let mut turned: Vec<Vec<i8>> = (0..columns).map(|j| Stream::open(key, j as u64).ternaries()).collect();
        let transformed = turned.iter().map(|secret| transform_small(secret)).collect();
        turned.iter_mut().for_each(|secret| turn(secret));
        Secret { turned, transformed }
    }

    pub fn columns(&self) -> usize {
        self.turned.len()
    }

    /// -a * s_column + error + encode(message), coefficients prime by prime in 7 bytes each.
    pub fn encrypt(&self, element: &Element, column: usize, mut error: Vec<i64>, message: Option<&[u64]>) -> Vec<u8> {
        let level = Level::best();
        let mut out = Vec::with_capacity(CIPHERTEXT_BYTES + 1);
        let mut values = vec![0; DEGREE];
        for (i, prime) in primes().iter().enumerate() {
            values.copy_from_slice(&element[i]);
            polynomial::multiply(level, prime, &mut values, &self.transformed[column][i]);
            prime.inverse(&mut values);
            polynomial::error_less(level, prime, &mut values, &error);
            if let Some(words) = message {
                polynomial::add_encoded(level, prime, &mut values, words);
            }
            polynomial::pack(&mut out, &values);
        }
        values.zeroize();
        error.zeroize();
        out
    }

    /// The constant coefficient of c1 * s_column modulo each of the answer's primes.
    pub fn product_constant(&self, c1: &[u64], column: usize) -> [u64; ANSWER_LIMBS] {
        let limbs = c1.chunks_exact(DEGREE);
        let mut constants = [0; ANSWER_LIMBS];
        for ((constant, residues), prime) in constants.iter_mut().zip(limbs).zip(primes()) {
            *constant = polynomial::inner(prime, residues, &self.turned[column]);
        }
        constants
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.turned.zeroize();
        for element in &mut self.transformed {
            element.zeroize();
        }
    }
}

/// Transforms a small polynomial, reduced.
fn transform_small(small: &[i8]) -> Element {
    std::array::from_fn(|i| {
        let mut residues = vec![0; DEGREE];
        polynomial::lift(Level::best(), &primes()[i], &mut residues, small);
        primes()[i].forward_reduced(&mut residues);
        residues
    })
}

/// Turns s into (s_0, -s_{n-1}, ..., -s_1), with which an inner product gives coefficient 0 of a product with s.
fn turn(small: &mut [i8]) {
    small[1..].reverse();
    small[1..].iter_mut().for_each(|s| *s = -*s);
}

/// An encryption of zero under the public key: a * u + e2 (coefficients), and coefficient 0 of pk_j * u + e1 a column.
///
/// Draws u, e2, then one e1 a column, in this order.
pub fn encrypt_zero(element: &Element, public_key: &[&[u64]], stream: &mut KeyStream) -> (Vec<u64>, Vec<[u64; LIMBS]>) {
    let level = Level::best();
    let mut mask = stream.ternaries();
    let mut error = stream.errors();
    let mut transformed = transform_small(&mask);
    let mut ring = Vec::with_capacity(LIMBS * DEGREE);
    for (i, prime) in primes().iter().enumerate() {
        polynomial::multiply(level, prime, &mut transformed[i], &element[i]);
        prime.inverse(&mut transformed[i]);
        polynomial::add_error(level, prime, &mut transformed[i], &error);
        ring.extend_from_slice(&transformed[i]);
    }
    turn(&mut mask);
    let constants = public_key
        .iter()
        .map(|key| {
            let e1 = stream.error();
            std::array::from_fn(|i| {
                let product = polynomial::inner(&primes()[i], &key[i * DEGREE..(i + 1) * DEGREE], &mask);
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
    let (values, rest) = element.split_at_mut(ANSWER_LIMBS);
    let mut out = Vec::with_capacity(ANSWER_LIMBS * DEGREE);
    for (prime, values) in primes().iter().zip(values) {
        polynomial::divide(Level::best(), prime, values, &rest[0]);
        out.extend_from_slice(values);
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
        let turned = bytes_of(&secret.turned[1][..16], |x| x.to_le_bytes());
        let drawn = bytes_of(&Stream::open(&KEY, 1).ternaries()[..16], |x| x.to_le_bytes());
        let transformed = bytes_of(&secret.transformed[1][2][..2], u64::to_le_bytes);
        for needle in [turned, drawn, transformed] {
            assert_eq!(freed_with(&needle, || drop(Secret::draw(&KEY, 2))), 0);
        }
    }

    #[test]
    fn encryptions_wipe_errors_masks_and_messages() {
        let secret = Secret::draw(&KEY, 1);
        let element = public_element(&KEY, 0);
        let error = two_of(&Stream::open(&KEY, 5).errors());
        let message = vec![0x0123_4567_89ab_cdef; DEGREE];
        let encrypt = |error| secret.encrypt(&element, 0, error, Some(&message));
        assert_eq!(freed_with(&error, || encrypt(Stream::open(&KEY, 5).errors())), 0);
        // Under an element of zeros nothing masks the message's encoding.
        let mut encoded = vec![0; 2];
        polynomial::add_encoded(Level::best(), &primes()[2], &mut encoded, &message[..2]);
        let bare = || secret.encrypt(&zero(), 0, vec![0; DEGREE], Some(&message));
        assert_eq!(freed_with(&bytes_of(&encoded, u64::to_le_bytes), bare), 0);
        let mut stream = Stream::open(&KEY, 7);
        let mask = bytes_of(&stream.ternaries()[..16], |x| x.to_le_bytes());
        let error = two_of(&stream.errors());
        let public = vec![1u64; LIMBS * DEGREE];
        for needle in [mask, error] {
            assert_eq!(freed_with(&needle, || encrypt_zero(&element, &[&public], &mut Stream::open(&KEY, 7))), 0);
        }
    }
}
