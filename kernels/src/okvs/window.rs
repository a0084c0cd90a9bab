//! Products of bands with a table: sums of four columns at a time, looked up ("four Russians").
//!
//! Of every four columns that a band may touch, all sixteen sums are held, for as many columns as a band is wide. A
//! product is one sum a nibble of the band; the columns beside its first one are added one by one. Rows of the table
//! are handled by lanes of at most eight words, so that a product stays in registers.

use zeroize::Zeroize;

use super::{shift_down, Band, MAX_BAND};

/// Columns of a group.
const GROUP: usize = 4;
const SUMS: usize = 1 << GROUP;
/// Groups that are held: those after the group of a band's first column.
const GROUPS: usize = MAX_BAND / GROUP;
const NIBBLES: usize = 64 / GROUP;
/// The most words of a row that one pass handles.
pub(super) const MAX_LANES: usize = 8;

/// Calls `function::<L>(arguments, offset)` for words [offset, offset + L) of rows until all words are done.
macro_rules! by_lanes {
    ($words:expr, $function:ident($($argument:expr),*)) => {
        for offset in (0..$words).step_by($crate::okvs::window::MAX_LANES) {
            match $words - offset {
                1 => $function::<1>($($argument,)* offset),
                2 => $function::<2>($($argument,)* offset),
                3 => $function::<3>($($argument,)* offset),
                4 => $function::<4>($($argument,)* offset),
                5 => $function::<5>($($argument,)* offset),
                6 => $function::<6>($($argument,)* offset),
                7 => $function::<7>($($argument,)* offset),
                _ => $function::<8>($($argument,)* offset),
            }
        }
    };
}
pub(super) use by_lanes;

/// L words, from an offset on, of every row of a table: where a column's words are.
#[derive(Clone, Copy)]
pub(super) struct Lanes<const L: usize> {
    pub words: usize,
    pub offset: usize,
}

impl<const L: usize> Lanes<L> {
    #[inline(always)]
    pub(super) fn of<'a>(&self, table: &'a [u64], column: usize) -> Option<&'a [u64; L]> {
        table.get(column * self.words + self.offset..)?.first_chunk()
    }

    #[inline(always)]
    pub(super) fn of_mut<'a>(&self, table: &'a mut [u64], column: usize) -> Option<&'a mut [u64; L]> {
        table.get_mut(column * self.words + self.offset..)?.first_chunk_mut()
    }
}

/// The sums of the groups that a band may reach; group g is in place g mod `GROUPS`.
pub(super) struct Window<const L: usize> {
    lanes: Lanes<L>,
    sums: Box<[[[u64; L]; SUMS]; GROUPS]>,
}

impl<const L: usize> Drop for Window<L> {
    fn drop(&mut self) {
        self.sums.zeroize();
    }
}

impl<const L: usize> Window<L> {
    pub(super) fn new(lanes: Lanes<L>) -> Self {
        Self { lanes, sums: Box::new([[[0; L]; SUMS]; GROUPS]) }
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
        let sums = &mut self.sums[group % GROUPS];
        for column in 0..GROUP {
            let row = self.lanes.of(table, group * GROUP + column).copied().unwrap_or([0; L]);
            let (known, new) = sums.split_at_mut(1 << column);
            for (new, known) in new.iter_mut().zip(known) {
                *new = std::array::from_fn(|lane| known[lane] ^ row[lane]);
            }
        }
    }

    /// Adds the product of a band that begins at `column`. The groups after that of the column are filled.
    #[inline(always)]
    pub(super) fn add_product(&self, sum: &mut [u64; L], band: &Band, column: usize, table: &[u64]) {
        let mut lanes = *sum;
        let beside = GROUP - column % GROUP;
        for index in 0..beside {
            let keep = 0u64.wrapping_sub(band[0] >> index & 1);
            if let Some(row) = self.lanes.of(table, column + index) {
                lanes.iter_mut().zip(row).for_each(|(lane, row)| *lane ^= row & keep);
            }
        }
        let first = column / GROUP + 1;
        for (index, word) in shift_down(band, beside).into_iter().enumerate() {
            for nibble in 0..NIBBLES {
                let group = (first + NIBBLES * index + nibble) % GROUPS;
                let chosen = (word >> (GROUP * nibble)) as usize % SUMS;
                lanes.iter_mut().zip(&self.sums[group][chosen]).for_each(|(lane, value)| *lane ^= value);
            }
        }
        *sum = lanes;
    }
}
