//! Integers modulo p = 2^255 - 19 in eight lanes, by AVX-512's fused 52-bit products (IFMA).
//!
//! An element is five limbs of 51 bits. Between operations a limb is below 2^51 + 2^16, so that it and what comes of one
//! addition and a carry fit the 52 bits that a product reads; only `bytes` and what compares reduce fully. Nothing here
//! branches on a value. Every function needs the features that it names; callers are compiled for them too.

use std::arch::x86_64::*;

pub(super) const LANES: usize = 8;

/// One bit a lane.
pub(super) type Mask = u8;

const BITS: u32 = 51;
const LOW: i64 = (1 << BITS) - 1;

/// An element of the field in every lane: limb × lane, least significant limb first.
#[derive(Clone, Copy)]
pub(super) struct Field([__m512i; 5]);

/// Declares functions that are compiled for processors with these products.
macro_rules! ifma {
    ($(
        $(#[$about:meta])*
        $seen:vis fn $name:ident $(<const $generic:ident: $of:ty>)? ($($argument:ident: $kind:ty),* $(,)?)
        $(-> $result:ty)? $body:block
    )*) => {
        $($(#[$about])*
        #[inline]
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
        $seen fn $name $(<const $generic: $of>)? ($($argument: $kind),*) $(-> $result)? $body)*
    };
}
pub(super) use ifma;

/// The limbs of a constant.
pub(super) type Limbs = [i64; 5];

pub(super) const ZERO: Limbs = [0; 5];
pub(super) const ONE: Limbs = [1, 0, 0, 0, 0];
/// A square root of -1: RFC 9496, section 4.1, as `curve`'s other constants.
pub(super) const SQRT_M1: Limbs = [0x61b274a0ea0b0, 0xd5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d];
/// 2p in limbs that are not below those of any element.
const TWICE_P: Limbs = [2 * (LOW - 18), 2 * LOW, 2 * LOW, 2 * LOW, 2 * LOW];

ifma! {
    /// The same element in every lane.
    pub(super) fn constant(limbs: Limbs) -> Field {
        Field(limbs.map(|limb| _mm512_set1_epi64(limb)))
    }

    /// Elements from 32 bytes each, least significant first; the highest bit is left out, p and more are taken.
    pub(super) fn from_bytes(bytes: &[[u8; 32]; LANES]) -> Field {
        let mut limbs = [[0u64; LANES]; 5];
        for (lane, bytes) in bytes.iter().enumerate() {
            let (words, _) = bytes.as_chunks::<8>();
            let [a, b, c, d] = [0, 1, 2, 3].map(|word: usize| u64::from_le_bytes(words[word]));
            let whole = [a, a >> 51 | b << 13, b >> 38 | c << 26, c >> 25 | d << 39, d >> 12];
            limbs.iter_mut().zip(whole).for_each(|(limb, bits)| limb[lane] = bits & LOW as u64);
        }
        // SAFETY: 64 bytes are read, from anywhere.
        Field(limbs.map(|lanes| unsafe { _mm512_loadu_epi64(lanes.as_ptr().cast()) }))
    }

    /// The one encoding below p of each element.
    pub(super) fn to_bytes(element: Field) -> [[u8; 32]; LANES] {
        let limbs = canonical(element).0.map(|limb| {
            let mut lanes = [0u64; LANES];
            // SAFETY: 64 bytes are written, to anywhere.
            unsafe { _mm512_storeu_epi64(lanes.as_mut_ptr().cast(), limb) };
            lanes
        });
        std::array::from_fn(|lane| {
            let [a, b, c, d, e] = limbs.map(|limb| limb[lane]);
            let words = [a | b << 51, b >> 13 | c << 38, c >> 26 | d << 25, d >> 39 | e << 12];
            let mut bytes = [0; 32];
            bytes.as_chunks_mut::<8>().0.iter_mut().zip(words).for_each(|(bytes, word)| *bytes = word.to_le_bytes());
            bytes
        })
    }

    /// Carries of all limbs at once: limbs below 2^62 come below 2^51 + 2^16.
    fn carried(limbs: [__m512i; 5]) -> Field {
        let low = _mm512_set1_epi64(LOW);
        let carry = limbs.map(|limb| _mm512_srli_epi64::<BITS>(limb));
        let rest = limbs.map(|limb| _mm512_and_si512(limb, low));
        Field([
            _mm512_madd52lo_epu64(rest[0], carry[4], _mm512_set1_epi64(19)),
            _mm512_add_epi64(rest[1], carry[0]),
            _mm512_add_epi64(rest[2], carry[1]),
            _mm512_add_epi64(rest[3], carry[2]),
            _mm512_add_epi64(rest[4], carry[3]),
        ])
    }

    pub(super) fn add(a: Field, b: Field) -> Field {
        carried(std::array::from_fn(|limb| _mm512_add_epi64(a.0[limb], b.0[limb])))
    }

    pub(super) fn sub(a: Field, b: Field) -> Field {
        let room = constant(TWICE_P);
        carried(std::array::from_fn(|limb| {
            _mm512_sub_epi64(_mm512_add_epi64(a.0[limb], room.0[limb]), b.0[limb])
        }))
    }

    pub(super) fn negate(a: Field) -> Field {
        sub(constant(ZERO), a)
    }

    /// Sums of products at positions 51 k, the upper halves at 51 k + 52: folded at 2^255 = 19, and carried.
    fn folded(lower: [__m512i; 9], upper: [__m512i; 9]) -> Field {
        let zero = _mm512_setzero_si512();
        let sums: [__m512i; 10] = std::array::from_fn(|position| {
            let below = if position == 9 { zero } else { lower[position] };
            let above = if position == 0 { zero } else { upper[position - 1] };
            _mm512_add_epi64(below, _mm512_slli_epi64::<1>(above))
        });
        // a sum is below 15 · 2^52, nineteen of it and one more below 2^61
        carried(std::array::from_fn(|limb| {
            let high = sums[limb + 5];
            let thrice = _mm512_add_epi64(high, _mm512_slli_epi64::<1>(high));
            _mm512_add_epi64(_mm512_add_epi64(sums[limb], thrice), _mm512_slli_epi64::<4>(high))
        }))
    }

    pub(super) fn mul(a: Field, b: Field) -> Field {
        let mut lower = [_mm512_setzero_si512(); 9];
        let mut upper = lower;
        for i in 0..5 {
            for j in 0..5 {
                lower[i + j] = _mm512_madd52lo_epu64(lower[i + j], a.0[i], b.0[j]);
                upper[i + j] = _mm512_madd52hi_epu64(upper[i + j], a.0[i], b.0[j]);
            }
        }
        folded(lower, upper)
    }

    pub(super) fn square(a: Field) -> Field {
        let mut lower = [_mm512_setzero_si512(); 9];
        let mut upper = lower;
        for i in 0..5 {
            for j in i + 1..5 {
                lower[i + j] = _mm512_madd52lo_epu64(lower[i + j], a.0[i], a.0[j]);
                upper[i + j] = _mm512_madd52hi_epu64(upper[i + j], a.0[i], a.0[j]);
            }
        }
        for sums in [&mut lower, &mut upper] {
            sums.iter_mut().for_each(|sum| *sum = _mm512_slli_epi64::<1>(*sum));
        }
        for i in 0..5 {
            lower[2 * i] = _mm512_madd52lo_epu64(lower[2 * i], a.0[i], a.0[i]);
            upper[2 * i] = _mm512_madd52hi_epu64(upper[2 * i], a.0[i], a.0[i]);
        }
        folded(lower, upper)
    }

    /// a^(2^times).
    fn squared(a: Field, times: usize) -> Field {
        (0..times).fold(a, |power, _| square(power))
    }

    /// a^((p - 5) / 8) = a^(2^252 - 3).
    fn power_p58(a: Field) -> Field {
        // "ones n" is a^(2^n - 1)
        let ones2 = mul(square(a), a);
        let ones4 = mul(squared(ones2, 2), ones2);
        let ones5 = mul(square(ones4), a);
        let ones10 = mul(squared(ones5, 5), ones5);
        let ones20 = mul(squared(ones10, 10), ones10);
        let ones40 = mul(squared(ones20, 20), ones20);
        let ones50 = mul(squared(ones40, 10), ones10);
        let ones100 = mul(squared(ones50, 50), ones50);
        let ones200 = mul(squared(ones100, 100), ones100);
        let ones250 = mul(squared(ones200, 50), ones50);
        mul(squared(ones250, 2), a)
    }

    /// The limbs of the representative below p.
    fn canonical(a: Field) -> Field {
        let low = _mm512_set1_epi64(LOW);
        let mut limbs = a.0;
        // below 2p: how often p goes into it, which is at most once, is the last carry of adding 19
        let mut carry = _mm512_set1_epi64(19);
        for limb in limbs {
            carry = _mm512_srli_epi64::<BITS>(_mm512_add_epi64(limb, carry));
        }
        limbs[0] = _mm512_madd52lo_epu64(limbs[0], carry, _mm512_set1_epi64(19));
        carry = _mm512_setzero_si512();
        for limb in &mut limbs {
            let sum = _mm512_add_epi64(*limb, carry);
            carry = _mm512_srli_epi64::<BITS>(sum);
            *limb = _mm512_and_si512(sum, low);
        }
        Field(limbs) // the last carry is the 2^255 that goes with p
    }

    pub(super) fn is_zero(a: Field) -> Mask {
        let [a, b, c, d, e] = canonical(a).0;
        let any = _mm512_or_si512(_mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d)), e);
        _mm512_testn_epi64_mask(any, any)
    }

    pub(super) fn equal(a: Field, b: Field) -> Mask {
        is_zero(sub(a, b))
    }

    /// Whether the representative below p is odd: RFC 9496, section 3.1.
    pub(super) fn is_negative(a: Field) -> Mask {
        _mm512_test_epi64_mask(canonical(a).0[0], _mm512_set1_epi64(1))
    }

    /// b where the mask is set, else a.
    pub(super) fn select(a: Field, b: Field, mask: Mask) -> Field {
        Field(std::array::from_fn(|limb| _mm512_mask_mov_epi64(a.0[limb], mask, b.0[limb])))
    }

    /// How large digits are, and the lanes in which they are negative.
    pub(super) fn sizes_and_signs(digits: &[i64; LANES]) -> (__m512i, Mask) {
        // SAFETY: 64 bytes are read, from anywhere.
        let digits = unsafe { _mm512_loadu_epi64(digits.as_ptr()) };
        (_mm512_abs_epi64(digits), _mm512_movepi64_mask(digits))
    }

    pub(super) fn equal_to(numbers: __m512i, number: i64) -> Mask {
        _mm512_cmpeq_epi64_mask(numbers, _mm512_set1_epi64(number))
    }

    pub(super) fn negated_where(a: Field, mask: Mask) -> Field {
        select(a, negate(a), mask)
    }

    pub(super) fn absolute(a: Field) -> Field {
        negated_where(a, is_negative(a))
    }

    /// RFC 9496, section 4.2: where u / v is a square, and the square root of it, or of sqrt(-1) u / v, that is not odd.
    pub(super) fn sqrt_ratio(u: Field, v: Field) -> (Mask, Field) {
        let i = constant(SQRT_M1);
        let cube = mul(square(v), v);
        let seventh = mul(square(cube), v);
        let root = mul(mul(u, cube), power_p58(mul(u, seventh)));
        let check = mul(v, square(root));
        let (correct, minus) = (equal(check, u), negate(u));
        let flipped = equal(check, minus);
        let flipped_i = equal(check, mul(minus, i));
        let root = select(root, mul(root, i), flipped | flipped_i);
        (correct | flipped, absolute(root))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::instructions::instructions;
    use rand_chacha::rand_core::{RngCore, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    /// Numbers of 255 bits as base 2^32 digits: an independent, slow arithmetic.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Slow([u8; 32]);

    impl Slow {
        /// Reduces a number of up to 64 bytes bit by bit, from the highest.
        fn reduced(wide: &[u8]) -> Slow {
            let mut p = [0xffu8; 32];
            (p[0], p[31]) = (0xed, 0x7f);
            let mut rest = [0u8; 33];
            for bit in (0..8 * wide.len()).rev() {
                let mut carry = wide[bit / 8] >> (bit % 8) & 1;
                for byte in &mut rest {
                    (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
                }
                let (mut less, mut borrow) = (rest, false);
                for (index, byte) in less.iter_mut().enumerate() {
                    let (first, one) = byte.overflowing_sub(p.get(index).copied().unwrap_or(0));
                    let (second, two) = first.overflowing_sub(u8::from(borrow));
                    (*byte, borrow) = (second, one | two);
                }
                if !borrow {
                    rest = less;
                }
            }
            Slow(rest[..32].try_into().unwrap())
        }

        fn times(self, other: Slow) -> Slow {
            let mut wide = [0u32; 64];
            for (i, a) in self.0.iter().enumerate() {
                for (j, b) in other.0.iter().enumerate() {
                    wide[i + j] += u32::from(*a) * u32::from(*b);
                }
            }
            Slow::carried(&wide)
        }

        fn plus(self, other: Slow, times: u32) -> Slow {
            let mut wide = [0u32; 64];
            for (sum, (a, b)) in wide.iter_mut().zip(self.0.iter().zip(other.0)) {
                *sum = u32::from(*a) + times * u32::from(b);
            }
            Slow::carried(&wide)
        }

        fn carried(wide: &[u32; 64]) -> Slow {
            let (mut bytes, mut carry) = ([0u8; 64], 0);
            for (byte, digit) in bytes.iter_mut().zip(wide) {
                carry += digit;
                *byte = carry as u8;
                carry >>= 8;
            }
            Slow::reduced(&bytes)
        }

        /// p - 1 times a.
        fn minus(self) -> Slow {
            let mut one_less = [0xffu8; 32];
            (one_less[0], one_less[31]) = (0xec, 0x7f);
            self.times(Slow(one_less))
        }
    }

    /// Numbers around 0, p, 2^255 and the limbs' edges, and random ones.
    pub(in crate::ristretto) fn numbers() -> Vec<[u8; 32]> {
        let mut found = Vec::new();
        for low in (0..40).chain(0xd0..=0xff) {
            for rest in [0, 0xff] {
                for high in [0, 0x7f] {
                    let mut bytes = [rest; 32];
                    (bytes[0], bytes[31]) = (low, high);
                    found.push(bytes);
                }
            }
        }
        for limb in 0..5 {
            for bits in [1u64, LOW as u64, LOW as u64 - 1, 1 << 50] {
                let mut bytes = [0u8; 32];
                for bit in (0..51).filter(|bit| bits >> bit & 1 == 1) {
                    bytes[(51 * limb + bit) / 8] |= 1 << ((51 * limb + bit) % 8);
                }
                found.push(bytes);
            }
        }
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        for _ in 0..200 {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            bytes[31] &= 0x7f;
            found.push(bytes);
        }
        found
    }

    fn eight(numbers: &[[u8; 32]], first: usize) -> [[u8; 32]; LANES] {
        std::array::from_fn(|lane| numbers[(first + lane) % numbers.len()])
    }

    type Found = [[[u8; 32]; LANES]; 7];

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn compute(a: &[[u8; 32]; LANES], b: &[[u8; 32]; LANES]) -> (Found, [Mask; 3]) {
        let (a, b) = (from_bytes(a), from_bytes(b));
        // the largest limbs that come of one operation go into the next
        let chained = mul(sub(sub(a, b), b), add(add(a, b), sub(a, b)));
        let found =
            [a, add(a, b), sub(a, b), mul(a, b), square(a), negate(a), chained].map(|element| to_bytes(element));
        (found, [is_zero(a), is_negative(a), equal(a, b)])
    }

    #[test]
    fn eight_lanes_compute_what_slow_arithmetic_does() {
        if !instructions().ifma {
            return;
        }
        let numbers = numbers();
        for (index, step) in (0..numbers.len()).zip([1usize, 7, 31, 100].into_iter().cycle()) {
            let (a, b) = (eight(&numbers, index), eight(&numbers, index * step + step - 1));
            // SAFETY: the instructions are there.
            let (found, masks) = unsafe { compute(&a, &b) };
            for lane in 0..LANES {
                let (a, b) = (Slow::reduced(&a[lane]), Slow::reduced(&b[lane]));
                let less = a.plus(b.minus(), 1);
                let twice = a.plus(b, 1).plus(less, 1);
                let expected =
                    [a, a.plus(b, 1), less, a.times(b), a.times(a), a.minus(), less.plus(b.minus(), 1).times(twice)];
                for (found, expected) in found.iter().zip(expected) {
                    assert_eq!(found[lane], expected.0);
                }
                assert_eq!(masks.map(|mask| mask >> lane & 1 == 1), [a.0 == [0; 32], a.0[0] & 1 == 1, a == b]);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn rooted(u: &[[u8; 32]; LANES], v: &[[u8; 32]; LANES]) -> (Mask, [[u8; 32]; LANES]) {
        let (square, root) = sqrt_ratio(from_bytes(u), from_bytes(v));
        (square, to_bytes(root))
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    fn root_of_minus_one() -> [u8; 32] {
        to_bytes(constant(SQRT_M1))[0]
    }

    #[test]
    fn roots_of_ratios_are_those_of_the_rfc() {
        if !instructions().ifma {
            return;
        }
        // SAFETY: the instructions are there.
        let i = Slow(unsafe { root_of_minus_one() });
        assert_eq!(i.times(i), Slow::reduced(&[1]).minus());
        let numbers = numbers();
        for index in 0..numbers.len() {
            let (u, v) = (eight(&numbers, 3 * index), eight(&numbers, 5 * index + 11));
            // SAFETY: the instructions are there.
            let (squares, roots) = unsafe { rooted(&u, &v) };
            for lane in 0..LANES {
                let (u, v, root) = (Slow::reduced(&u[lane]), Slow::reduced(&v[lane]), Slow(roots[lane]));
                assert_eq!(root.0[0] & 1, 0, "a root is not odd");
                let product = root.times(root).times(v);
                let is_square = squares >> lane & 1 == 1;
                if u.0 == [0; 32] {
                    assert!(is_square && root.0 == [0; 32]);
                } else if v.0 == [0; 32] {
                    assert!(!is_square && root.0 == [0; 32]);
                } else {
                    assert_eq!(product, if is_square { u } else { u.times(i) });
                }
            }
        }
    }
}
