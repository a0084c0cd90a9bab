//! Random-band OKVS (Bienstock, Patel, Seo, Yeo, ePrint 2023/903): a linear system with 256-bit bands.
//!
//! A key is a row of the system: a first column and `band` coefficients. Rows are brought together by stretches of
//! columns, eliminated there and solved from the last column back; columns that no row claims keep bytes of the fill
//! stream. Band, values and table stay together in memory, so both ways are linear in time.

use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

mod solve;
mod stretches;
mod window;

use crate::cuckoo::{reduce, word_at};
use crate::instructions::with_avx2;
use crate::lanes;
use crate::rows::{bad, in_row_order, matrix};
use solve::solve;
use stretches::Stretches;
use window::{by_lanes, Lanes, Window};

const LABEL: &[u8; 7] = b"okvs/v1";
const SEED_BYTES: usize = 16;
const FILL_KEY_BYTES: usize = 32;
const BAND_WORDS: usize = 4;
const MAX_BAND: usize = 64 * BAND_WORDS;
/// Rows whose first columns one task hashes: some tens of microseconds of work.
const TASK_ROWS: usize = 1024;

type Band = [u64; BAND_WORDS];

/// The public shape of a system.
#[derive(Clone, Copy)]
struct Shape {
    starts: usize,
    band: usize,
    words: usize,
}

impl Shape {
    fn new(starts: usize, band: usize, words: usize) -> PyResult<Self> {
        if !(1..=MAX_BAND).contains(&band) || words == 0 || starts == 0 || starts >= u32::MAX as usize {
            return Err(bad("starts in 1..2^32 - 1, band in 1..=256, at least one word a row"));
        }
        Ok(Self { starts, band, words })
    }

    fn columns(&self) -> usize {
        self.starts + self.band - 1
    }
}

/// Hashes keys, sixteen at a time, under a tag and a seed.
struct Hash {
    /// Sixteen messages, each label ‖ tag ‖ seed ‖ key; they follow each other.
    messages: Zeroizing<Vec<u8>>,
    prefix: usize,
    length: usize,
}

impl Hash {
    fn new(tag: u8, seed: &[u8], width: usize) -> Self {
        let prefix = [LABEL, &[tag][..], seed].concat();
        let length = prefix.len() + width;
        let mut messages = Zeroizing::new(vec![0; lanes::LANES * length]);
        for message in messages.chunks_exact_mut(length) {
            message[..prefix.len()].copy_from_slice(&prefix);
        }
        Self { messages, prefix: prefix.len(), length }
    }

    /// The digests of up to sixteen keys.
    fn digests<'a>(&mut self, keys: impl Iterator<Item = &'a [u8]>) -> [lanes::Digest; lanes::LANES] {
        for (message, key) in self.messages.chunks_exact_mut(self.length).zip(keys) {
            message[self.prefix..].copy_from_slice(key);
        }
        let views: [&[u8]; lanes::LANES] =
            std::array::from_fn(|lane| &self.messages[lane * self.length..(lane + 1) * self.length]);
        lanes::digests(&lanes::START, 0, &views)
    }
}

/// Keys' first columns, uniform in [0, starts).
fn write_starts(seed: &[u8], keys: &[u8], width: usize, shape: Shape, starts: &mut [u32]) {
    let mut hash = Hash::new(0, seed, width);
    for (starts, keys) in starts.chunks_mut(lanes::LANES).zip(keys.chunks(lanes::LANES * width)) {
        for (start, digest) in starts.iter_mut().zip(hash.digests(keys.chunks_exact(width))) {
            *start = reduce(word_at(&digest, 0), shape.starts as u64) as u32;
        }
    }
}

/// Coefficients of the keys of some rows, from their first columns up: bit i of a band is bit i mod 64 of word i / 64.
fn write_bands(seed: &[u8], keys: &[u8], width: usize, rows: &[u32], shape: Shape, bands: &mut [Band]) {
    let mut hash = Hash::new(1, seed, width);
    let masks: Band = std::array::from_fn(|index| match shape.band.saturating_sub(64 * index).min(64) {
        64 => u64::MAX,
        kept => (1u64 << kept) - 1,
    });
    for (bands, rows) in bands.chunks_mut(lanes::LANES).zip(rows.chunks(lanes::LANES)) {
        let digests = hash.digests(rows.iter().map(|&row| &keys[row as usize * width..(row as usize + 1) * width]));
        for (band, digest) in bands.iter_mut().zip(digests) {
            *band = std::array::from_fn(|index| word_at(&digest, 8 * index) & masks[index]);
        }
    }
}

/// The number of zeros before the first one, if there is a one.
#[inline(always)]
fn leading_column(band: &Band) -> Option<usize> {
    let word = band.iter().position(|&word| word != 0)?;
    Some(64 * word + band[word].trailing_zeros() as usize)
}

#[inline(always)]
fn shift_down(band: &Band, by: usize) -> Band {
    let (words, bits) = (by / 64, by % 64);
    let mut band = *band;
    for _ in 0..words {
        band = [band[1], band[2], band[3], 0];
    }
    let next = [band[1], band[2], band[3], 0];
    std::array::from_fn(|index| band[index] >> bits | next[index] << 1 << (63 - bits))
}

/// First columns of all keys.
fn first_columns(seed: &[u8], keys: &[u8], width: usize, shape: Shape) -> Vec<u32> {
    let mut starts = vec![0u32; keys.len() / width];
    starts.par_chunks_mut(TASK_ROWS).zip(keys.par_chunks(TASK_ROWS * width)).for_each(|(starts, keys)| {
        write_starts(seed, keys, width, shape, starts);
    });
    starts
}

with_avx2! {
    fn decode_rows<const L: usize>(
        out: &mut [u64], bands: &[Band], columns: &[u32], table: &[u64], words: usize, offset: usize,
    ) = decode_rows_body
}

/// Decodes rows in the order of their first columns.
#[inline(always)]
fn decode_rows_body<const L: usize>(
    out: &mut [u64],
    bands: &[Band],
    columns: &[u32],
    table: &[u64],
    words: usize,
    offset: usize,
) {
    let lanes = Lanes::<L> { words, offset };
    let mut window = Window::new(lanes);
    let mut filled = 0; // groups below it have been filled, or are before all rows
    for (row, (band, &column)) in bands.iter().zip(columns).enumerate() {
        let groups = Window::<L>::groups_of(column as usize);
        filled = filled.max(groups.start);
        for group in filled..groups.end {
            window.fill(group, table);
        }
        filled = filled.max(groups.end);
        if let Some(sum) = lanes.of_mut(out, row) {
            window.add_product(sum, band, column as usize, table);
        }
    }
}

/// Decodes keys n × `width` bytes to n × w words.
fn decode(out: &mut [u64], seed: &[u8], keys: &[u8], width: usize, table: &[u64], shape: Shape) {
    let words = shape.words;
    let stretches = Stretches::of(&first_columns(seed, keys, width, shape), shape.columns());
    let decoded: Vec<(Vec<u32>, Zeroizing<Vec<u64>>)> = (0..stretches.count())
        .into_par_iter()
        .map(|stretch| {
            let (columns, order) = stretches.sorted(stretch);
            let mut bands = vec![[0; BAND_WORDS]; order.len()];
            write_bands(seed, keys, width, &order, shape, &mut bands);
            let mut sums = Zeroizing::new(vec![0; order.len() * words]);
            by_lanes!(words, decode_rows(&mut sums, &bands, &columns, table, words));
            (order, sums)
        })
        .collect();
    for (order, sums) in decoded {
        for (sum, row) in sums.chunks_exact(words).zip(order) {
            out[row as usize * words..][..words].copy_from_slice(sum);
        }
    }
}

/// Encodes points: keys n × L bytes, values n × w words, seed 16 bytes, fill_key 32 bytes.
/// Returns (starts + band - 1) × w words, or None if the system has no solution under this seed.
#[pyfunction]
fn okvs_encode<'py>(
    py: Python<'py>,
    keys: PyReadonlyArray2<'py, u8>,
    values: PyReadonlyArray2<'py, u64>,
    seed: &[u8],
    fill_key: &[u8],
    starts: usize,
    band: usize,
) -> PyResult<Option<Bound<'py, PyArray2<u64>>>> {
    let (rows, width) = keys.as_array().dim();
    let (value_rows, words) = values.as_array().dim();
    let shape = Shape::new(starts, band, words)?;
    let (keys, values) = (in_row_order(&keys, "keys")?, in_row_order(&values, "values")?);
    let fill_key: Zeroizing<[u8; FILL_KEY_BYTES]> =
        Zeroizing::new(fill_key.try_into().map_err(|_| bad("the fill key is 32 bytes"))?);
    if width == 0 || rows != value_rows || rows >= u32::MAX as usize || seed.len() != SEED_BYTES {
        return Err(bad("keys n × L bytes, values n × w words, n below 2^32 - 1, seed 16 bytes"));
    }
    let mut out = vec![0u64; shape.columns() * words];
    let solved = py.detach(|| {
        let stretches = Stretches::of(&first_columns(seed, keys, width, shape), shape.columns());
        let bands = |rows: &[u32], bands: &mut [Band]| write_bands(seed, keys, width, rows, shape, bands);
        solve(&mut out, &fill_key, &stretches, bands, values, words)
    });
    if !solved {
        out.zeroize();
        return Ok(None);
    }
    matrix(py, out, words).map(Some)
}

/// Decodes keys n × L bytes from a table of (starts + band - 1) × w words; returns n × w words.
#[pyfunction]
fn okvs_decode<'py>(
    py: Python<'py>,
    keys: PyReadonlyArray2<'py, u8>,
    table: PyReadonlyArray2<'py, u64>,
    seed: &[u8],
    starts: usize,
    band: usize,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (rows, width) = keys.as_array().dim();
    let (columns, words) = table.as_array().dim();
    let shape = Shape::new(starts, band, words)?;
    let (keys, table) = (in_row_order(&keys, "keys")?, in_row_order(&table, "the table")?);
    if width == 0 || columns != shape.columns() || rows >= u32::MAX as usize || seed.len() != SEED_BYTES {
        return Err(bad("keys n × L bytes, table starts + band - 1 rows, seed 16 bytes"));
    }
    let mut out = vec![0u64; rows * words];
    py.detach(|| decode(&mut out, seed, keys, width, table, shape));
    matrix(py, out, words)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(okvs_encode, module)?)?;
    module.add_function(wrap_pyfunction!(okvs_decode, module)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wipe::look::freed_with;

    #[test]
    fn shifting_matches_one_bit_at_a_time() {
        let band: Band = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0xdead_beef_0bad_cafe, 0x8000_0000_0000_0001];
        for by in 0..MAX_BAND {
            let shifted = shift_down(&band, by);
            for bit in 0..MAX_BAND {
                let from = bit + by;
                let expected = if from < MAX_BAND { band[from / 64] >> (from % 64) & 1 } else { 0 };
                assert_eq!(shifted[bit / 64] >> (bit % 64) & 1, expected, "shift {by}, bit {bit}");
            }
        }
    }

    #[test]
    fn products_by_sums_of_four_columns_are_products() {
        let word = |at: usize| (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (at as u64) << 37;
        for words in [1, 2, 5, 8, 9, 17] {
            for columns in [MAX_BAND, MAX_BAND + 1, 300, 611] {
                let table: Vec<u64> = (0..columns * words).map(word).collect();
                let places: Vec<u32> = (0..=columns - MAX_BAND).map(|column| column as u32).collect();
                let bands: Vec<Band> =
                    places.iter().map(|&place| std::array::from_fn(|index| word(7 * place as usize + index))).collect();
                let mut sums = vec![0; places.len() * words];
                by_lanes!(words, decode_rows(&mut sums, &bands, &places, &table, words));
                let mut portable = vec![0; sums.len()];
                by_lanes!(words, decode_rows_body(&mut portable, &bands, &places, &table, words));
                assert_eq!(sums, portable);
                for ((sum, band), &place) in sums.chunks_exact(words).zip(&bands).zip(&places) {
                    let mut expected = vec![0; words];
                    for bit in (0..MAX_BAND).filter(|bit| band[bit / 64] >> (bit % 64) & 1 == 1) {
                        let row = &table[(place as usize + bit) * words..][..words];
                        expected.iter_mut().zip(row).for_each(|(sum, row)| *sum ^= row);
                    }
                    assert_eq!(sum, expected);
                }
            }
        }
    }

    #[test]
    fn narrow_bands_keep_their_width() {
        let shape = Shape { starts: 8, band: 70, words: 1 };
        let (keys, rows): (Vec<u8>, Vec<u32>) = ((0..50).collect(), (0..50).collect());
        let mut bands = vec![[0; BAND_WORDS]; keys.len()];
        write_bands(&[1; SEED_BYTES], &keys, 1, &rows, shape, &mut bands);
        for band in bands {
            assert_eq!(band[1] >> 6, 0);
            assert_eq!(band[2] | band[3], 0);
        }
    }

    #[test]
    fn hashed_keys_are_wiped() {
        let shape = Shape { starts: 8, band: MAX_BAND, words: 1 };
        let (seed, keys) = ([1; SEED_BYTES], *b"the key of one row, as it is met");
        let mut starts = [0; 2];
        assert_eq!(freed_with(&keys, || write_starts(&seed, &keys, 16, shape, &mut starts)), 0);
        let mut bands = [[0; BAND_WORDS]; 2];
        assert_eq!(freed_with(&keys, || write_bands(&seed, &keys, 16, &[0, 1], shape, &mut bands)), 0);
    }
}
