//! ristretto255 (RFC 9496) on eight elements at once, for processors with AVX-512's 52-bit products.
//!
//! The curve is -x² + y² = 1 + d x² y² in extended coordinates; its addition is complete, so no input is special
//! (Hisil, Wong, Carter, Dawson, ePrint 2008/522, sections 3.1 and 3.3). Every step is the same whatever the scalars and
//! points are: the table of a multiplication is read as a whole for every digit.

use zeroize::{Zeroize, Zeroizing};

use super::field::*;
use crate::wipe::{Flat, Wiped};

pub(super) use super::field::LANES;

/// Every lane.
pub(super) const ALL: Mask = Mask::MAX;

/// Four bits of a scalar are a digit, from -8 to 7.
const DIGITS: usize = 64;
const MULTIPLES: usize = 8;

/// 2 d, of the curve's d = -121665/121666, and what RFC 9496, section 4.1, derives from d.
const TWICE_D: Limbs = [0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff];
const D: Limbs = [0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff];
const SQRT_AD_MINUS_ONE: Limbs = [0x7f6a0497b2e1b, 0x1836f0a97afd2, 0x7d747f6be7638, 0x456079e7e6498, 0x376931bf2b834];
const INVSQRT_A_MINUS_D: Limbs = [0xfdaa805d40ea, 0x2eb482e57d339, 0x7610274bc58, 0x6510b613dc8ff, 0x786c8905cfaff];
const ONE_MINUS_D_SQ: Limbs = [0x409c1945fc176, 0x719abc6a1fc4f, 0x1c37f90b20684, 0x6bccca55eedf, 0x29072a8b2b3e];
const D_MINUS_ONE_SQ: Limbs = [0x55aaa44ed4d20, 0x59603c3332635, 0x26d3baf4a7928, 0x120a66e6997a9, 0x5968b37af66c2];

/// Encodings of eight elements, or eight scalars below the group's order.
pub(super) type Bytes = [[u8; 32]; LANES];

/// Points x = X / Z, y = Y / Z, and T = X Y / Z where the next operation needs it.
#[derive(Clone, Copy)]
pub(super) struct Points {
    x: Field,
    y: Field,
    z: Field,
    t: Field,
}

/// Points to be added: Y + X, Y - X, 2 Z and 2 d T.
#[derive(Clone, Copy)]
struct Addends {
    sum: Field,
    difference: Field,
    z: Field,
    t: Field,
}

// SAFETY: both are made of vectors of integers alone.
unsafe impl Flat for Points {}
unsafe impl Flat for Addends {}

ifma! {
    fn sum(a: Points, b: Points) -> Points {
        added::<true>(a, &addends(b))
    }

    fn addends(point: Points) -> Addends {
        Addends {
            sum: add(point.y, point.x),
            difference: sub(point.y, point.x),
            z: add(point.z, point.z),
            t: mul(point.t, constant(TWICE_D)),
        }
    }

    /// With T, or with what is no use in its place.
    fn added<const WITH_T: bool>(a: Points, b: &Addends) -> Points {
        let (low, high) = (mul(sub(a.y, a.x), b.difference), mul(add(a.y, a.x), b.sum));
        let (c, d) = (mul(a.t, b.t), mul(a.z, b.z));
        let (e, f, g, h) = (sub(high, low), sub(d, c), add(d, c), add(high, low));
        Points { x: mul(e, f), y: mul(g, h), z: mul(f, g), t: if WITH_T { mul(e, h) } else { e } }
    }

    /// With T, or with what is no use in its place; the T that comes in is not read.
    fn doubled<const WITH_T: bool>(a: Points) -> Points {
        let (xx, yy, zz) = (square(a.x), square(a.y), square(a.z));
        let h = add(xx, yy);
        let (e, g) = (sub(h, square(add(a.x, a.y))), sub(xx, yy));
        let f = add(add(zz, zz), g);
        Points { x: mul(e, f), y: mul(g, h), z: mul(f, g), t: if WITH_T { mul(e, h) } else { e } }
    }

    /// RFC 9496, section 4.3.1; the lanes whose bytes are the one encoding of an element that is not the identity.
    pub(super) fn decode(bytes: &Bytes) -> (Points, Mask) {
        let (s, one) = (from_bytes(bytes), constant(ONE));
        let canonical = to_bytes(s);
        let own = (0..LANES).fold(0, |mask, lane| mask | Mask::from(canonical[lane] == bytes[lane]) << lane);
        let square_s = square(s);
        let (u1, u2) = (sub(one, square_s), add(one, square_s));
        let u2_square = square(u2);
        let v = sub(negate(mul(constant(D), square(u1))), u2_square);
        let (was_square, root) = sqrt_ratio(one, mul(v, u2_square));
        let den_x = mul(root, u2);
        let den_y = mul(mul(root, den_x), v);
        let x = absolute(mul(add(s, s), den_x));
        let y = mul(u1, den_y);
        let t = mul(x, y);
        let fine = own & was_square & !is_negative(s) & !is_negative(t) & !is_zero(y) & !is_zero(s);
        (Points { x, y, z: one, t }, fine)
    }

    /// RFC 9496, section 4.3.2.
    pub(super) fn encode(points: Points) -> Bytes {
        let Points { x, y, z, t } = points;
        let (u1, u2) = (mul(add(z, y), sub(z, y)), mul(x, y));
        let (_, root) = sqrt_ratio(constant(ONE), mul(u1, square(u2)));
        let (den1, den2) = (mul(root, u1), mul(root, u2));
        let inverse_z = mul(mul(den1, den2), t);
        let i = constant(SQRT_M1);
        let rotate = is_negative(mul(t, inverse_z));
        let rotated_x = select(x, mul(y, i), rotate);
        let rotated_y = select(y, mul(x, i), rotate);
        let denominator = select(den2, mul(den1, constant(INVSQRT_A_MINUS_D)), rotate);
        let rotated_y = negated_where(rotated_y, is_negative(mul(rotated_x, inverse_z)));
        to_bytes(absolute(mul(denominator, sub(z, rotated_y))))
    }

    /// The map of RFC 9496, section 4.3.4, from elements of the field.
    fn mapped(t: Field) -> Points {
        let (one, d) = (constant(ONE), constant(D));
        let minus_one = negate(one);
        let r = mul(constant(SQRT_M1), square(t));
        let u = mul(add(r, one), constant(ONE_MINUS_D_SQ));
        let v = mul(sub(minus_one, mul(r, d)), add(r, d));
        let (was_square, root) = sqrt_ratio(u, v);
        let s = select(negate(absolute(mul(root, t))), root, was_square);
        let c = select(r, minus_one, was_square);
        let n = sub(mul(mul(c, sub(r, one)), constant(D_MINUS_ONE_SQ)), v);
        let (sv, ss) = (mul(s, v), square(s));
        let (w0, w1) = (add(sv, sv), mul(n, constant(SQRT_AD_MINUS_ONE)));
        let (w2, w3) = (sub(one, ss), add(one, ss));
        Points { x: mul(w0, w3), y: mul(w2, w1), z: mul(w1, w3), t: mul(w0, w2) }
    }

    /// Elements from 64 uniform bytes each: RFC 9496, section 4.3.4.
    pub(super) fn from_uniform(uniform: &[[u8; 64]; LANES]) -> Points {
        let mut halves = [[[0; 32]; LANES]; 2];
        for (lane, bytes) in uniform.iter().enumerate() {
            for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks::<32>().0) {
                half[lane] = *bytes;
            }
        }
        let points = sum(mapped(from_bytes(&halves[0])), mapped(from_bytes(&halves[1])));
        halves.zeroize();
        points
    }

    /// The lanes that hold the group's identity.
    pub(super) fn is_identity(points: &Points) -> Mask {
        is_zero(points.x) | is_zero(points.y)
    }

    /// Of every lane its scalar times its point.
    pub(super) fn multiply(points: &Points, scalars: &Bytes) -> Points {
        let mut digits = Zeroizing::new([[0i64; LANES]; DIGITS]);
        for (lane, scalar) in scalars.iter().enumerate() {
            recode(scalar, |place, digit| digits[place][lane] = digit);
        }
        let own = addends(*points);
        let mut table = Wiped::new([own; MULTIPLES]);
        let mut multiple = *points;
        for place in 1..MULTIPLES {
            multiple = added::<true>(multiple, &own);
            table[place] = addends(multiple);
        }
        let (zero, one) = (constant(ZERO), constant(ONE));
        let mut product = Points { x: zero, y: one, z: one, t: zero };
        for digits in digits[1..].iter().rev() {
            product = added::<false>(product, &chosen(&table, digits));
            for _ in 1..4 {
                product = doubled::<false>(product);
            }
            product = doubled::<true>(product);
        }
        added::<true>(product, &chosen(&table, &digits[0]))
    }

    /// Of every lane the multiple that its digit names; all are read.
    fn chosen(table: &[Addends; MULTIPLES], digits: &[i64; LANES]) -> Addends {
        let one = constant(ONE);
        let mut found = Addends { sum: one, difference: one, z: add(one, one), t: constant(ZERO) };
        let (sizes, negative) = sizes_and_signs(digits);
        for (multiple, size) in table.iter().zip(1..) {
            let mask = equal_to(sizes, size);
            found = Addends {
                sum: select(found.sum, multiple.sum, mask),
                difference: select(found.difference, multiple.difference, mask),
                z: select(found.z, multiple.z, mask),
                t: select(found.t, multiple.t, mask),
            };
        }
        Addends {
            sum: select(found.sum, found.difference, negative),
            difference: select(found.difference, found.sum, negative),
            z: found.z,
            t: negated_where(found.t, negative),
        }
    }
}

/// The digits of a scalar below the group's order, least significant first: those of the scalar and 8 at every place, less the 8.
fn recode(scalar: &[u8; 32], mut take: impl FnMut(usize, i64)) {
    let mut carry = 0;
    for (place, byte) in scalar.iter().enumerate() {
        let sum = u16::from(*byte) + 0x88 + carry;
        carry = sum >> 8;
        take(2 * place, i64::from(sum & 15) - 8);
        take(2 * place + 1, i64::from(sum >> 4 & 15) - 8);
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::tests::numbers;
    use super::*;
    use crate::instructions::instructions;
    use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
    use curve25519_dalek::scalar::Scalar;
    use curve25519_dalek::traits::Identity;

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn decoded_product(elements: &Bytes, scalars: &Bytes) -> (Bytes, Mask) {
        let (points, fine) = decode(elements);
        (encode(multiply(&points, scalars)), fine)
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn hashed(uniform: &[[u8; 64]; LANES]) -> (Bytes, Mask) {
        let points = from_uniform(uniform);
        (encode(points), is_identity(&points))
    }

    /// Small, large and random scalars, with runs of every digit.
    fn scalars() -> Vec<Scalar> {
        let repeated = (0..16u8).map(|digit| Scalar::from_bytes_mod_order([digit << 4 | digit; 32]));
        let small = (0..40u64).flat_map(|number| [Scalar::from(number), -Scalar::from(number)]);
        let others = numbers().into_iter().map(Scalar::from_bytes_mod_order);
        small.chain(repeated).chain(others).collect()
    }

    #[test]
    fn digits_add_up_to_the_scalar() {
        for scalar in scalars() {
            let mut sum = Scalar::ZERO;
            let mut power = Scalar::ONE;
            recode(scalar.as_bytes(), |_, digit| {
                assert!((-8..8).contains(&digit));
                let size = Scalar::from(digit.unsigned_abs());
                sum += power * if digit < 0 { -size } else { size };
                power *= Scalar::from(16u64);
            });
            assert_eq!(sum, scalar);
        }
    }

    #[test]
    fn products_are_those_of_one_lane() {
        if !instructions().ifma {
            return;
        }
        let scalars = scalars();
        for first in 0..scalars.len() {
            let points: [RistrettoPoint; LANES] = std::array::from_fn(|lane| {
                RistrettoPoint::mul_base(&(scalars[(first * 7 + lane) % scalars.len()] + Scalar::from(1_000_003u64)))
            });
            let factors: [Scalar; LANES] = std::array::from_fn(|lane| scalars[(first + 5 * lane) % scalars.len()]);
            let elements = points.map(|point| point.compress().to_bytes());
            // SAFETY: the instructions are there.
            let (products, fine) = unsafe { decoded_product(&elements, &factors.map(|factor| factor.to_bytes())) };
            assert_eq!(fine, 0xff);
            for lane in 0..LANES {
                assert_eq!(products[lane], (points[lane] * factors[lane]).compress().to_bytes());
            }
        }
    }

    #[test]
    fn exactly_the_encodings_of_elements_are_taken() {
        if !instructions().ifma {
            return;
        }
        let encoded = RistrettoPoint::mul_base(&Scalar::from(5u64)).compress().to_bytes();
        let mut tried = numbers();
        for number in numbers() {
            let mut with_high_bit = number;
            with_high_bit[31] |= 0x80;
            tried.extend([with_high_bit, number.map(|byte| byte & 0xfe)]);
        }
        tried.extend((0..256).map(|bit| {
            let mut bytes = encoded;
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        }));
        tried.push(encoded);
        let (mut taken, one) = (0, [Scalar::ONE.to_bytes(); LANES]);
        for eight in tried.chunks(LANES) {
            let elements = std::array::from_fn(|lane| eight[lane % eight.len()]);
            // SAFETY: the instructions are there.
            let (same, fine) = unsafe { decoded_product(&elements, &one) };
            for (lane, bytes) in elements.iter().enumerate() {
                let expected =
                    CompressedRistretto(*bytes).decompress().filter(|point| *point != RistrettoPoint::identity());
                assert_eq!(fine >> lane & 1 == 1, expected.is_some());
                if expected.is_some() {
                    assert_eq!(same[lane], *bytes);
                    taken += 1;
                }
            }
        }
        assert!(taken > 50, "of random even numbers every fourth or so is an element");
    }

    #[test]
    fn uniform_bytes_become_the_same_elements() {
        if !instructions().ifma {
            return;
        }
        let numbers = numbers();
        for first in 0..numbers.len() {
            let uniform: [[u8; 64]; LANES] = std::array::from_fn(|lane| {
                let mut bytes = [0; 64];
                bytes[..32].copy_from_slice(&numbers[(first + lane) % numbers.len()]);
                bytes[32..].copy_from_slice(&numbers[(11 * first + 3 * lane) % numbers.len()]);
                bytes[31] |= (first as u8 & 1) << 7;
                bytes
            });
            // SAFETY: the instructions are there.
            let (elements, identities) = unsafe { hashed(&uniform) };
            for lane in 0..LANES {
                let expected = RistrettoPoint::from_uniform_bytes(&uniform[lane]);
                assert_eq!(elements[lane], expected.compress().to_bytes());
                assert_eq!(identities >> lane & 1 == 1, expected == RistrettoPoint::identity());
            }
        }
    }
}
