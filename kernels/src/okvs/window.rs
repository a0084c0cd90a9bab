//! Products of bands with a table: sums of four columns at a time, looked up ("four Russians").
//!
//! Of every four columns that a band may touch, all sixteen sums are held, for as many columns as a band is wide. A
//! product is one sum a nibble of the band; the columns beside its first one are added one by one.

use zeroize::Zeroizing;

use super::{shift_down, Band, BAND_WORDS, MAX_BAND};

/// Columns of a group.
const GROUP: usize = 4;
const SUMS: usize = 1 << GROUP;
/// Groups that are held: those after the group of a band's first column.
const GROUPS: usize = MAX_BAND / GROUP;
const NIBBLES: usize = 64 / GROUP;
/// Words of a row that one pass over a band carries in registers.
const MAX_LANES: usize = 8;

/// The sums of the groups that a band may reach; group g is in place g mod `GROUPS`.
pub(super) struct Window {
    words: usize,
    sums: Zeroizing<Vec<u64>>,
}

impl Window {
    pub(super) fn new(words: usize) -> Self {
        Self { words, sums: Zeroizing::new(vec![0; GROUPS * SUMS * words]) }
    }

    /// The group of a column.
    pub(super) fn group_of(column: usize) -> usize {
        column / GROUP
    }

    /// Whether a column is the first of its group.
    pub(super) fn begins_group(column: usize) -> bool {
        column % GROUP == 0
    }

    /// The groups that the product with a band at `column` looks up.
    pub(super) fn groups_of(column: usize) -> std::ops::Range<usize> {
        column / GROUP + 1..column / GROUP + 1 + GROUPS
    }

    /// Makes the sums of a group's columns; a table that ends within the group goes on with zeros.
    #[inline(always)]
    pub(super) fn fill(&mut self, group: usize, table: &[u64]) {
        let words = self.words;
        let place = group % GROUPS * SUMS * words;
        let sums = &mut self.sums[place..place + SUMS * words];
        for column in 0..GROUP {
            let at = (group * GROUP + column) * words;
            let row = table.get(at..at + words);
            let (known, new) = sums[..(2 * words) << column].split_at_mut(words << column);
            for (new, known) in new.chunks_exact_mut(words).zip(known.chunks_exact(words)) {
                match row {
                    Some(row) => new.iter_mut().zip(known).zip(row).for_each(|((new, known), row)| *new = known ^ row),
                    None => new.copy_from_slice(known),
                }
            }
        }
    }

    /// Adds the product of a band that begins at `column`. The groups after that of the column are filled.
    #[inline(always)]
    pub(super) fn add_product(&self, sum: &mut [u64], band: &Band, column: usize, table: &[u64]) {
        let beside = GROUP - column % GROUP;
        for (index, row) in table[column * self.words..].chunks_exact(self.words).take(beside).enumerate() {
            let keep = 0u64.wrapping_sub(band[0] >> index & 1);
            sum.iter_mut().zip(row).for_each(|(sum, row)| *sum ^= row & keep);
        }
        let rest = shift_down(band, beside);
        let first = column / GROUP + 1;
        let mut offset = 0;
        while offset < self.words {
            let lanes = (self.words - offset).min(MAX_LANES);
            match lanes {
                1 => self.add_sums::<1>(sum, &rest, first, offset),
                2 => self.add_sums::<2>(sum, &rest, first, offset),
                3 => self.add_sums::<3>(sum, &rest, first, offset),
                4 => self.add_sums::<4>(sum, &rest, first, offset),
                5 => self.add_sums::<5>(sum, &rest, first, offset),
                6 => self.add_sums::<6>(sum, &rest, first, offset),
                7 => self.add_sums::<7>(sum, &rest, first, offset),
                _ => self.add_sums::<8>(sum, &rest, first, offset),
            }
            offset += lanes;
        }
    }

    #[inline(always)]
    fn add_sums<const L: usize>(&self, sum: &mut [u64], band: &Band, first: usize, offset: usize) {
        let mut lanes = [0u64; L];
        for (index, &word) in band.iter().enumerate().take(BAND_WORDS) {
            for nibble in 0..NIBBLES {
                let group = (first + NIBBLES * index + nibble) % GROUPS;
                let chosen = (word >> (GROUP * nibble)) as usize % SUMS;
                let at = (group * SUMS + chosen) * self.words + offset;
                for (lane, value) in lanes.iter_mut().zip(&self.sums[at..at + L]) {
                    *lane ^= value;
                }
            }
        }
        for (sum, lane) in sum[offset..offset + L].iter_mut().zip(lanes) {
            *sum ^= lane;
        }
    }
}
