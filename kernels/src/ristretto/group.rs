//! Elements of ristretto255 in batches: eight at once where the processor has the products for it, else one by one.
//!
//! Both ways take and give the same bytes. Elements are wiped, as they may be hashes of identifiers, and so are products,
//! as they may be unblinded; what `curve25519-dalek` allocates for its batch encoding is not.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use zeroize::{Zeroize, Zeroizing};

#[cfg(target_arch = "x86_64")]
use super::lanes::{self, LANES};
#[cfg(target_arch = "x86_64")]
use crate::{instructions::instructions, wipe::Wiped};

pub(super) type Encoding = [u8; 32];
pub(super) type Uniform = [u8; 64];

/// A batch, in the form in which it is computed with.
pub(super) enum Elements {
    One(Zeroizing<Vec<RistrettoPoint>>),
    #[cfg(target_arch = "x86_64")]
    Eight(Eight),
}

/// Eights of elements; what is over in the last repeats the last one.
#[cfg(target_arch = "x86_64")]
pub(super) struct Eight {
    points: Vec<Wiped<lanes::Points>>,
    count: usize,
}

impl Elements {
    /// RFC 9496, section 4.3.1, of `count` encodings; `None` if one is that of the identity or of nothing.
    pub(super) fn decode(count: usize, encoding: impl Fn(usize) -> Encoding) -> Option<Elements> {
        #[cfg(target_arch = "x86_64")]
        if instructions().ifma {
            return Eight::decode(count, encoding).map(Elements::Eight);
        }
        Self::decode_one(count, encoding)
    }

    /// Elements from uniform bytes, which `fill` writes: RFC 9496, section 4.3.4.
    pub(super) fn from_uniform(count: usize, fill: impl Fn(usize, &mut Uniform)) -> Elements {
        #[cfg(target_arch = "x86_64")]
        if instructions().ifma {
            return Elements::Eight(Eight::from_uniform(count, fill));
        }
        Self::from_uniform_one(count, fill)
    }

    pub(super) fn has_identity(&self) -> bool {
        match self {
            Elements::One(points) => points.iter().any(IsIdentity::is_identity),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: there are eights only where the instructions for them are.
            Elements::Eight(eight) => eight.points.iter().any(|points| unsafe { lanes::is_identity(points) } != 0),
        }
    }

    /// The encodings of `scalars[i]` times element i. There are as many scalars as elements.
    pub(super) fn multiply(self, scalars: &[Scalar]) -> Zeroizing<Vec<Encoding>> {
        match self {
            Elements::One(points) => multiply_one(points, scalars),
            #[cfg(target_arch = "x86_64")]
            Elements::Eight(eight) => eight.multiply(scalars),
        }
    }

    fn decode_one(count: usize, encoding: impl Fn(usize) -> Encoding) -> Option<Elements> {
        let mut points = Zeroizing::new(Vec::with_capacity(count)); // never moved
        for index in 0..count {
            points.push(CompressedRistretto(encoding(index)).decompress().filter(|point| !point.is_identity())?);
        }
        Some(Elements::One(points))
    }

    fn from_uniform_one(count: usize, fill: impl Fn(usize, &mut Uniform)) -> Elements {
        let (mut points, mut uniform) = (Zeroizing::new(Vec::with_capacity(count)), Zeroizing::new([0; 64]));
        for index in 0..count {
            fill(index, &mut uniform);
            points.push(RistrettoPoint::from_uniform_bytes(&uniform));
        }
        Elements::One(points)
    }
}

/// Multiplies by half the scalars, as the batch encoding, which has one inversion, doubles.
fn multiply_one(mut points: Zeroizing<Vec<RistrettoPoint>>, scalars: &[Scalar]) -> Zeroizing<Vec<Encoding>> {
    let mut half = Scalar::from(2u64).invert();
    for (point, scalar) in points.iter_mut().zip(scalars) {
        let mut halved = scalar * half;
        *point *= halved;
        halved.zeroize();
    }
    half.zeroize();
    let mut products = Zeroizing::new(Vec::with_capacity(points.len()));
    let mut compressed = RistrettoPoint::double_and_compress_batch(points.iter());
    for product in &mut compressed {
        products.push(product.to_bytes());
        product.0.zeroize();
    }
    products
}

#[cfg(target_arch = "x86_64")]
impl Eight {
    fn decode(count: usize, encoding: impl Fn(usize) -> Encoding) -> Option<Eight> {
        let mut points = Vec::with_capacity(count.div_ceil(LANES));
        for first in (0..count).step_by(LANES) {
            let bytes = std::array::from_fn(|lane| encoding((first + lane).min(count - 1)));
            // SAFETY: eights are made only where the instructions for them are; so below.
            let (eight, fine) = unsafe { lanes::decode(&bytes) };
            if fine != lanes::ALL {
                return None;
            }
            points.push(Wiped::new(eight));
        }
        Some(Eight { points, count })
    }

    fn from_uniform(count: usize, fill: impl Fn(usize, &mut Uniform)) -> Eight {
        let mut points = Vec::with_capacity(count.div_ceil(LANES));
        let mut uniform = Zeroizing::new([[0; 64]; LANES]);
        for first in (0..count).step_by(LANES) {
            uniform.iter_mut().zip(first..).for_each(|(bytes, index)| fill(index.min(count - 1), bytes));
            // SAFETY: see `decode`.
            points.push(Wiped::new(unsafe { lanes::from_uniform(&uniform) }));
        }
        Eight { points, count }
    }

    fn multiply(self, scalars: &[Scalar]) -> Zeroizing<Vec<Encoding>> {
        let mut products = Zeroizing::new(Vec::with_capacity(self.points.len() * LANES));
        let mut factors = Zeroizing::new([[0; 32]; LANES]);
        for (points, scalars) in self.points.iter().zip(scalars.chunks(LANES)) {
            // a lane without a scalar of its own has what the eight before left, or zero; its product is cut off
            factors.iter_mut().zip(scalars).for_each(|(bytes, scalar)| bytes.copy_from_slice(scalar.as_bytes()));
            // SAFETY: see `decode`.
            products.extend(unsafe { lanes::encode(lanes::multiply(points, &factors)) });
        }
        products.truncate(self.count);
        products
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wipe::look::freed_with;

    fn element(number: u64) -> RistrettoPoint {
        RistrettoPoint::mul_base(&Scalar::from(number * number + 1))
    }

    fn factors(count: usize) -> Vec<Scalar> {
        (1..=count as u64).map(|number| Scalar::from(3 * number).invert()).collect()
    }

    fn uniform(index: usize, bytes: &mut Uniform) {
        bytes.iter_mut().zip(0u8..).for_each(|(byte, place)| *byte = place.wrapping_mul(37) ^ index as u8);
    }

    #[test]
    fn both_ways_give_the_plain_products_of_any_number_of_elements() {
        for count in [0, 1, 2, 7, 8, 9, 16, 257] {
            let scalars = factors(count);
            let encoding = |index: usize| element(index as u64).compress().to_bytes();
            let plain = |point: RistrettoPoint, scalar: &Scalar| (point * scalar).compress().to_bytes();
            let expected: Vec<_> = (0..count).map(|index| plain(element(index as u64), &scalars[index])).collect();
            assert_eq!(Elements::decode(count, encoding).unwrap().multiply(&scalars)[..], expected);
            assert_eq!(Elements::decode_one(count, encoding).unwrap().multiply(&scalars)[..], expected);
            let hashed = |index: usize| {
                let mut bytes = [0; 64];
                uniform(index, &mut bytes);
                RistrettoPoint::from_uniform_bytes(&bytes)
            };
            let expected: Vec<_> = (0..count).map(|index| plain(hashed(index), &scalars[index])).collect();
            assert_eq!(Elements::from_uniform(count, uniform).multiply(&scalars)[..], expected);
            assert_eq!(Elements::from_uniform_one(count, uniform).multiply(&scalars)[..], expected);
        }
    }

    #[test]
    fn one_wrong_encoding_anywhere_refuses_the_batch() {
        for wrong in [[0; 32], [0xff; 32], [1; 32]] {
            for place in [0, 7, 8, 12] {
                let encoding = |index| if index == place { wrong } else { element(3).compress().to_bytes() };
                assert!(Elements::decode(13, encoding).is_none());
                assert!(Elements::decode_one(13, encoding).is_none());
                assert!(Elements::decode(place, encoding).is_some());
            }
        }
    }

    /// Halves whose images cancel to the point (0, 1), and to (i, 0), which is the identity as an element too.
    fn cancelling() -> [Uniform; 2] {
        const HALF: &[u8; 64] = b"f2d625d92bfecdbcce7e360a016ed77c571d69303bae559d217487c3e6f3c81c";
        let mut halves = [[0; 64]; 2];
        halves[1][0] = 1;
        for (byte, digits) in halves[1][32..].iter_mut().zip(HALF.as_chunks::<2>().0) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        }
        halves
    }

    #[test]
    fn an_identity_is_seen_in_any_place() {
        for halves in cancelling() {
            assert!(RistrettoPoint::from_uniform_bytes(&halves).is_identity());
            for place in [0, 5, 8, 12] {
                let fill = |index, bytes: &mut Uniform| match index == place {
                    true => *bytes = halves,
                    false => uniform(index, bytes),
                };
                assert!(Elements::from_uniform(13, fill).has_identity());
                assert!(Elements::from_uniform_one(13, fill).has_identity());
                assert!(!Elements::from_uniform(place, fill).has_identity());
            }
        }
    }

    /// The head of what a batch holds on the heap.
    fn head(elements: &Elements) -> [u8; 16] {
        let start: *const u8 = match elements {
            Elements::One(points) => points.as_ptr().cast(),
            #[cfg(target_arch = "x86_64")]
            Elements::Eight(eight) => eight.points.as_ptr().cast(),
        };
        // SAFETY: a batch of one element at least is longer.
        unsafe { start.cast::<[u8; 16]>().read_unaligned() }
    }

    #[test]
    fn elements_and_products_are_wiped() {
        let scalars = factors(9);
        let encoding = |index: usize| element(index as u64).compress().to_bytes();
        let held = head(&Elements::decode(9, encoding).unwrap());
        assert_ne!(held, [0; 16]);
        assert_eq!(freed_with(&held, || drop(Elements::decode(9, encoding))), 0);
        let refused = |index| if index == 8 { [1; 32] } else { encoding(index) };
        assert_eq!(freed_with(&held, || drop(Elements::decode(9, refused))), 0);
        let hashed = head(&Elements::from_uniform(9, uniform));
        assert_eq!(freed_with(&hashed, || drop(Elements::from_uniform(9, uniform))), 0);
        let product = Elements::decode(9, encoding).unwrap().multiply(&scalars)[2];
        assert_eq!(freed_with(&product, || drop(Elements::decode(9, encoding).unwrap().multiply(&scalars))), 0);
    }
}
