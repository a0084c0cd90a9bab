//! Solving the system: elimination, every stretch of columns by itself, then substitution from the last column back.
//!
//! Which columns rows claim, and so the solution beside given fill, is a property of the system: the order in which
//! rows are eliminated does not change a byte.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use zeroize::Zeroizing;

use super::stretches::{Stretches, STRETCH};
use super::window::{by_lanes, Lanes, Window};
use super::{leading_column, shift_down, Band, BAND_WORDS, FILL_KEY_BYTES};
use crate::cuckoo::word_at;
use crate::instructions::with_avx2;
use crate::wipe::Wiped;

/// Rows of the system: first columns, bands from there, and values.
struct Rows {
    columns: Vec<u32>,
    bands: Vec<Band>,
    values: Zeroizing<Vec<u64>>,
}

impl Rows {
    /// A copy of the first rows, in memory of its own size.
    fn first(&self, count: usize, words: usize) -> Self {
        Self {
            columns: self.columns[..count].to_vec(),
            bands: self.bands[..count].to_vec(),
            values: Zeroizing::new(self.values[..count * words].to_vec()),
        }
    }
}

/// Columns of the system as one task has them.
struct Columns<'a> {
    /// The number of the first one.
    first: usize,
    /// The row that claims a column, its first coefficient at bit 0; all zero: no row claims it.
    claimed: &'a mut [Band],
    /// The value of that row, or fill.
    table: &'a mut [u64],
}

/// Words of the fill stream from one on, little endian: every position that no row decides holds its bytes.
fn fill(out: &mut [u64], key: &[u8; FILL_KEY_BYTES], first: usize) {
    let mut generator = Wiped::new(ChaCha20Rng::from_seed(*key));
    generator.set_word_pos(2 * first as u128); // it counts words of 32 bits
    let mut bytes = Zeroizing::new(vec![0u8; (8 * out.len()).min(1 << 14)]);
    for out in out.chunks_mut(1 << 11) {
        let bytes = &mut bytes[..8 * out.len()];
        generator.fill_bytes(bytes);
        for (out, bytes) in out.iter_mut().zip(bytes.chunks_exact(8)) {
            *out = word_at(bytes, 0);
        }
    }
}

/// Solves the system; false if some row depends on the others.
///
/// `write_bands` gives the bands of the rows with these numbers: no coefficient is behind the last column.
pub(super) fn solve(
    out: &mut [u64],
    fill_key: &[u8; FILL_KEY_BYTES],
    stretches: &Stretches,
    write_bands: impl Fn(&[u32], &mut [Band]) + Sync,
    values: &[u64],
    words: usize,
) -> bool {
    let mut claimed: Vec<Band> = vec![[0; BAND_WORDS]; out.len() / words];
    let mut tasks: Vec<Columns> = out
        .chunks_mut(STRETCH * words)
        .zip(claimed.chunks_mut(STRETCH))
        .enumerate()
        .map(|(stretch, (table, claimed))| Columns { first: stretch * STRETCH, claimed, table })
        .collect();
    let own = |stretch: usize| {
        let (columns, order) = stretches.sorted(stretch);
        let mut bands = vec![[0; BAND_WORDS]; order.len()];
        write_bands(&order, &mut bands);
        let mut own = Zeroizing::new(vec![0; order.len() * words]);
        // rows lie in no order here: read one after the other, their cache misses overlap
        for (own, &row) in own.chunks_exact_mut(words).zip(&order) {
            own.copy_from_slice(&values[row as usize * words..][..words]);
        }
        Rows { columns, bands, values: own }
    };
    let left: Option<Vec<Rows>> = tasks
        .par_iter_mut()
        .enumerate()
        .map(|(stretch, columns)| {
            fill(columns.table, fill_key, columns.first * words);
            eliminate(columns, own(stretch), words)
        })
        .collect();
    let Some(mut left) = left else { return false };
    // a few rows of each stretch found all its columns claimed that they reach: they go on in the next one
    while left.iter().any(|rows| !rows.columns.is_empty()) {
        left.rotate_right(1); // nothing is left of the last one
        let passed = tasks.par_iter_mut().zip(left).map(|(columns, rows)| eliminate(columns, rows, words)).collect();
        let Some(passed) = passed else { return false };
        left = passed;
    }
    by_lanes!(words, substitute(out, &claimed, words));
    true
}

fn eliminate(columns: &mut Columns, rows: Rows, words: usize) -> Option<Rows> {
    match words {
        1 => eliminate_in::<1>(columns, rows, words),
        2 => eliminate_in::<2>(columns, rows, words),
        3 => eliminate_in::<3>(columns, rows, words),
        4 => eliminate_in::<4>(columns, rows, words),
        5 => eliminate_in::<5>(columns, rows, words),
        6 => eliminate_in::<6>(columns, rows, words),
        7 => eliminate_in::<7>(columns, rows, words),
        8 => eliminate_in::<8>(columns, rows, words),
        _ => eliminate_in::<0>(columns, rows, words),
    }
}

with_avx2! {
    fn eliminate_in<const KNOWN: usize>(columns: &mut Columns, rows: Rows, words: usize) -> Option<Rows> = eliminate_body
}

/// Brings each row to where no other has its first coefficient. Returns the rows that have it behind these columns, or
/// nothing if a row depends on the others.
///
/// `KNOWN` words a row, if it is not 0: known when this is compiled.
#[inline(always)]
fn eliminate_body<const KNOWN: usize>(columns: &mut Columns, mut rows: Rows, words: usize) -> Option<Rows> {
    let words = if KNOWN == 0 { words } else { KNOWN };
    let mut passing = 0;
    for index in 0..rows.columns.len() {
        let (mut band, mut column) = (rows.bands[index], rows.columns[index] as usize - columns.first);
        let value = &mut rows.values[index * words..][..words];
        loop {
            let zeros = leading_column(&band)?;
            band = shift_down(&band, zeros);
            column += zeros;
            let Some(holder) = columns.claimed.get_mut(column) else {
                rows.columns[passing] = (columns.first + column) as u32;
                rows.bands[passing] = band;
                rows.values.copy_within(index * words..(index + 1) * words, passing * words);
                passing += 1;
                break;
            };
            let solved = &mut columns.table[column * words..][..words];
            if holder[0] & 1 == 0 {
                *holder = band;
                solved.copy_from_slice(value);
                break;
            }
            band.iter_mut().zip(holder).for_each(|(band, holder)| *band ^= *holder);
            value.iter_mut().zip(solved).for_each(|(value, solved)| *value ^= *solved);
        }
    }
    Some(rows.first(passing, words))
}

with_avx2! {
    fn substitute<const L: usize>(out: &mut [u64], claimed: &[Band], words: usize, offset: usize) = substitute_body
}

/// Solves from the last column back.
#[inline(always)]
fn substitute_body<const L: usize>(out: &mut [u64], claimed: &[Band], words: usize, offset: usize) {
    let lanes = Lanes::<L> { words, offset };
    let mut window = Window::new(lanes);
    for (column, &[low, ref high @ ..]) in claimed.iter().enumerate().rev() {
        if low & 1 == 1 {
            let others = [low ^ 1, high[0], high[1], high[2]];
            if let Some(mut value) = lanes.of(out, column).copied() {
                window.add_product(&mut value, &others, column, out);
                lanes.of_mut(out, column).into_iter().for_each(|own| *own = value);
            }
        }
        if Window::<L>::begins_group(column) {
            window.fill(Window::<L>::group_of(column), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::okvs::MAX_BAND;
    use crate::wipe::look::freed_with;
    use std::collections::BTreeSet;
    use zeroize::Zeroize;

    const FILL_KEY: [u8; FILL_KEY_BYTES] = *b"every free column takes from it.";

    /// A system, its rows in no order.
    #[derive(Clone, Default)]
    struct System {
        columns: usize,
        band: usize,
        words: usize,
        starts: Vec<u32>,
        bands: Vec<Band>,
        values: Vec<u64>,
    }

    impl System {
        fn new(columns: usize, band: usize, words: usize) -> Self {
            Self { columns, band, words, ..Self::default() }
        }

        /// Adds random rows from these columns on.
        fn with(mut self, seed: u64, starts: impl IntoIterator<Item = usize>) -> Self {
            let mut generator = ChaCha20Rng::seed_from_u64(seed);
            for start in starts {
                let band = std::array::from_fn(|_| generator.next_u64());
                self.push(start, band, (0..self.words).map(|_| generator.next_u64()));
            }
            self
        }

        /// Adds a row; coefficients behind its band and the last column are left out.
        fn push(&mut self, start: usize, band: Band, value: impl IntoIterator<Item = u64>) {
            let kept = self.band.min(self.columns - start);
            self.starts.push(start as u32);
            self.bands.push(std::array::from_fn(|index| match kept.saturating_sub(64 * index).min(64) {
                64 => band[index],
                kept => band[index] & ((1 << kept) - 1),
            }));
            self.values.extend(value);
        }

        fn solved(&self) -> Option<Vec<u64>> {
            let mut out = vec![0; self.columns * self.words];
            let stretches = Stretches::of(&self.starts, self.columns);
            let bands = |rows: &[u32], bands: &mut [Band]| {
                bands.iter_mut().zip(rows).for_each(|(band, &row)| *band = self.bands[row as usize]);
            };
            let solved = solve(&mut out, &FILL_KEY, &stretches, bands, &self.values, self.words);
            if !solved {
                out.zeroize(); // as `okvs_encode` does
            }
            solved.then_some(out)
        }

        /// The same by one row after the other, in the order of their first columns, and one coefficient at a time.
        fn solved_slowly(&self) -> Option<Vec<u64>> {
            let mut claimed: Vec<Option<(BTreeSet<usize>, Vec<u64>)>> = vec![None; self.columns];
            let mut order: Vec<usize> = (0..self.starts.len()).collect();
            order.sort_by_key(|&row| self.starts[row]);
            for row in order {
                let one = |bit: &usize| self.bands[row][bit / 64] >> (bit % 64) & 1 == 1;
                let mut ones = (0..MAX_BAND).filter(one).map(|bit| self.starts[row] as usize + bit).collect();
                let mut value = self.values[row * self.words..][..self.words].to_vec();
                let mut first = *BTreeSet::first(&ones)?;
                while let Some((others, solved)) = &claimed[first] {
                    ones = &ones ^ others;
                    value.iter_mut().zip(solved).for_each(|(value, solved)| *value ^= solved);
                    first = *ones.first()?;
                }
                claimed[first] = Some((ones, value));
            }
            let mut bytes = vec![0; 8 * self.words * self.columns];
            ChaCha20Rng::from_seed(FILL_KEY).fill_bytes(&mut bytes);
            let mut out: Vec<u64> = bytes.chunks_exact(8).map(|bytes| word_at(bytes, 0)).collect();
            for (column, row) in claimed.into_iter().enumerate().rev() {
                let Some((ones, mut value)) = row else { continue };
                for one in ones.into_iter().skip(1) {
                    let other = &out[one * self.words..][..self.words];
                    value.iter_mut().zip(other).for_each(|(value, other)| *value ^= other);
                }
                out[column * self.words..][..self.words].copy_from_slice(&value);
            }
            Some(out)
        }

        /// Holds that both agree on any number of threads; returns whether there is a solution.
        fn agrees(&self) -> bool {
            let expected = self.solved_slowly();
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                let found = pool.map(|pool| pool.install(|| self.solved())).map_err(|error| error.to_string());
                assert!(found == Ok(expected.clone()), "{threads} threads, {} words", self.words);
            }
            expected.is_some()
        }
    }

    fn uniform(seed: u64, rows: usize, starts: usize) -> impl Iterator<Item = usize> {
        let mut generator = ChaCha20Rng::seed_from_u64(seed ^ 0x5eed);
        (0..rows).map(move |_| generator.next_u64() as usize % starts)
    }

    #[test]
    fn random_systems_are_solved_as_one_row_after_the_other() {
        for (seed, words) in [1, 2, 3, 4, 5, 6, 7, 8, 9, 17].into_iter().enumerate() {
            for starts in [1, 3, 700, STRETCH - 255, STRETCH - 254, STRETCH + 1] {
                let (columns, rows) = (starts + MAX_BAND - 1, uniform(seed as u64, starts * 10 / 11 + 1, starts));
                let system = System::new(columns, MAX_BAND, words).with(7, rows);
                assert!(system.agrees(), "{starts} starts, {words} words");
            }
        }
    }

    #[test]
    fn rows_without_a_column_in_their_stretch_find_one_behind_it() {
        let around = |border: usize| uniform(9, 250, 100).map(move |start| border - 50 + start);
        let border = System::new(2 * STRETCH, MAX_BAND, 5).with(1, around(STRETCH));
        let borders = System::new(4 * STRETCH, MAX_BAND, 5).with(2, (1..4).flat_map(|at| around(at * STRETCH)));
        // 200 rows more than columns: they pass all of the second stretch and much of the third, which are claimed
        let all = (0..2 * STRETCH + 3000).chain(STRETCH - 200..STRETCH);
        let passing = System::new(3 * STRETCH, MAX_BAND, 2).with(3, all);
        let one_column = System::new(2 * STRETCH, MAX_BAND, 3).with(4, std::iter::repeat_n(STRETCH - 1, 240));
        let at_the_end = uniform(5, 200, 20).map(|start| STRETCH - 240 + start);
        let last = System::new(STRETCH + 1, MAX_BAND, 3).with(5, at_the_end);
        for system in [border, borders, passing, one_column, last] {
            assert!(system.agrees());
        }
    }

    #[test]
    fn narrow_bands_have_solutions_where_there_is_room() {
        for (band, rows, solvable) in [(90, 3700, true), (40, 2000, true), (12, 3700, false)] {
            let system = System::new(STRETCH + 200 + band, band, 2).with(band as u64, uniform(3, rows, STRETCH + 200));
            assert_eq!(system.agrees(), solvable, "band {band}, {rows} rows");
        }
    }

    #[test]
    fn dependent_rows_have_no_solution_wherever_they_meet() {
        let [first, second] = [[0, 0, 0x0123_4567_89ab_cdef, 7], [0, 0, 0xfedc_ba98_7654_3210, 9]];
        let sum = std::array::from_fn(|word| first[word] ^ second[word]);
        let down = |band: Band| shift_down(&band, 128);
        let others = System::new(2 * STRETCH + 255, MAX_BAND, 2).with(1, uniform(1, 2000, 2 * STRETCH));
        assert!(others.agrees());
        // in one stretch, behind a border, around it
        for place in [100, STRETCH - 100, STRETCH - 160] {
            for rows in [
                vec![(place, first), (place, first)],
                vec![(place, first), (place + 128, down(first))],
                vec![(place, first), (place, second), (place, sum)],
                vec![(place, first), (place + 128, down(second)), (place, sum)],
                vec![(place, [0; BAND_WORDS])],
            ] {
                let mut system = others.clone();
                rows.into_iter().for_each(|(start, band)| system.push(start, band, [3; 2]));
                assert!(!system.agrees(), "at {place}");
            }
        }
    }

    #[test]
    fn values_are_wiped() {
        let secret = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
        let bytes = secret.map(u64::to_le_bytes).concat();
        let mut system = System::new(2 * STRETCH, MAX_BAND, 2);
        system.push(STRETCH - 100, [0, 0, 1, 0], secret); // its only column is behind the border
        assert_eq!(freed_with(&bytes, || system.solved()), 0);
        system.push(STRETCH - 200, [0, 0, 0, u64::MAX], secret);
        system.push(STRETCH - 200, [0, 0, 0, u64::MAX], secret);
        assert_eq!(freed_with(&bytes, || assert!(system.solved().is_none())), 0);
    }
}
