//! Masking of tables with two AES blocks in a register: all sixteen keys of a transfer go side by side.
//!
//! Eight registers hold the sixteen choices. Lane l of register r has choice 4·⌊r/2⌋ + (r mod 2) + 2·l, so that the low
//! words of two registers, unpacked, are four choices in order.

use std::arch::x86_64::*;

use super::{Masking, LEAVES, ROW};
use crate::block_cipher::vaes::{rounds, RoundKeys, SIDE};
use crate::wipe::Wiped;

fn choice(register: usize, lane: usize) -> usize {
    4 * (register / 2) + register % 2 + 2 * lane
}

/// Masks tables as `super::mask` does.
#[target_feature(enable = "vaes,avx2")]
pub(super) unsafe fn mask(keys: &RoundKeys, offsets: &[u128; LEAVES], masking: &Masking<'_>, tables: &mut [u16]) {
    let keys = keys.doubled();
    let mut shifts = Wiped::new([_mm256_setzero_si256(); SIDE]);
    let mut tweaks = [_mm256_setzero_si256(); SIDE];
    for (register, (shift, tweak)) in shifts.iter_mut().zip(&mut tweaks).enumerate() {
        let [low, high] = [0, 1].map(|lane| choice(register, lane));
        let word = |at: usize, half: u32| (offsets[at] >> (64 * half)) as i64;
        *shift = _mm256_set_epi64x(word(high, 1), word(high, 0), word(low, 1), word(low, 0));
        *tweak = _mm256_set_epi64x((high as i64) << 32, 0, (low as i64) << 32, 0);
    }
    let each = tables.chunks_exact_mut(masking.bits).zip(masking.rows.chunks_exact(ROW));
    for (index, (tables, row)) in (masking.first..).zip(each) {
        let row = _mm256_broadcastsi128_si256(_mm_loadu_si128(row.as_ptr().cast()));
        let mut inner = shifts.map(|shift| _mm256_xor_si256(row, shift));
        rounds(&keys, &mut inner);
        let number = _mm256_set_epi64x(0, index as i64, 0, index as i64);
        let mut outer = inner;
        for (outer, tweak) in outer.iter_mut().zip(&tweaks) {
            *outer = _mm256_xor_si256(*outer, _mm256_xor_si256(*tweak, number));
        }
        rounds(&keys, &mut outer);
        let mut pads = [_mm256_setzero_si256(); SIDE / 2];
        for (pads, (inner, outer)) in pads.iter_mut().zip(inner.chunks_exact(2).zip(outer.chunks_exact(2))) {
            let even = _mm256_xor_si256(inner[0], outer[0]);
            *pads = _mm256_unpacklo_epi64(even, _mm256_xor_si256(inner[1], outer[1]));
        }
        for (bit, table) in (0..).zip(tables) {
            let to_sign = _mm_cvtsi32_si128(63 - bit);
            for (four, pads) in pads.iter().enumerate() {
                let bits = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_sll_epi64(*pads, to_sign)));
                *table ^= (bits << (4 * four)) as u16;
            }
        }
    }
}
