//! Random-band OKVS (Bienstock, Patel, Seo, Yeo, ePrint 2023/903): a linear system with 256-bit bands.
//!
//! A key is a row of the system: a first column and `band` coefficients. Rows sorted by first column are eliminated
//! as they come and solved from the last column back; columns that no row claims keep bytes of the fill stream. Band,
//! values and table stay together in memory, so both ways are linear in time and stream through the caches.

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::wipe::Wiped;

use crate::cuckoo::{reduce, word_at};
use crate::rows::in_row_order;

const LABEL: &[u8; 7] = b"okvs/v1";
const SEED_BYTES: usize = 16;
const FILL_KEY_BYTES: usize = 32;
const BAND_WORDS: usize = 4;
const MAX_BAND: usize = 64 * BAND_WORDS;
/// Rows that one task hashes or decodes: some hundreds of microseconds of work.
const TASK_ROWS: usize = 1024;
/// Rows whose bands are hashed ahead of the elimination, in parallel: 2 MiB of bands.
const AHEAD_ROWS: usize = 1 << 16;
/// Words of a row that one pass over a band carries in registers.
const MAX_LANES: usize = 8;

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
            return Err(PyValueError::new_err("starts in 1..2^32 - 1, band in 1..=256, at least one word a row"));
        }
        Ok(Self { starts, band, words })
    }

    fn columns(&self) -> usize {
        self.starts + self.band - 1
    }
}

fn digest(tag: u8, seed: &[u8], key: &[u8]) -> impl AsRef<[u8]> {
    let mut hash = Sha256::new();
    hash.update(LABEL);
    hash.update([tag]);
    hash.update(seed);
    hash.update(key);
    hash.finalize()
}

/// A key's first column, uniform in [0, starts).
fn start_of(seed: &[u8], key: &[u8], shape: Shape) -> u32 {
    reduce(word_at(digest(0, seed, key).as_ref(), 0), shape.starts as u64) as u32
}

/// A key's coefficients, from its first column up: bit i of the band is bit i mod 64 of word i / 64.
fn band_of(seed: &[u8], key: &[u8], shape: Shape) -> Band {
    let digest = digest(1, seed, key);
    let mut band = [0u64; BAND_WORDS];
    for (index, word) in band.iter_mut().enumerate() {
        let kept = shape.band.saturating_sub(64 * index).min(64);
        let mask = if kept == 64 { u64::MAX } else { (1u64 << kept) - 1 };
        *word = word_at(digest.as_ref(), 8 * index) & mask;
    }
    band
}

/// The number of zeros before the first one, if there is a one.
fn leading_column(band: &Band) -> Option<usize> {
    let word = band.iter().position(|&word| word != 0)?;
    Some(64 * word + band[word].trailing_zeros() as usize)
}

fn shift_down(band: &Band, by: usize) -> Band {
    let (words, bits) = (by / 64, by % 64);
    let mut out = [0u64; BAND_WORDS];
    for (index, out) in out.iter_mut().enumerate().take(BAND_WORDS - words) {
        let low = band[index + words] >> bits;
        let high = band.get(index + words + 1).map_or(0, |&word| if bits == 0 { 0 } else { word << (64 - bits) });
        *out = low | high;
    }
    out
}

/// Adds to `sum` the lanes [offset, offset + L) of every window row whose coefficient is one.
fn add_lanes<const L: usize>(sum: &mut [u64], band: &Band, window: &[u64], words: usize, offset: usize) {
    let mut lanes = [0u64; L];
    for (index, &word) in band.iter().enumerate() {
        let mut rest = word;
        while rest != 0 {
            let at = (64 * index + rest.trailing_zeros() as usize) * words + offset;
            for (lane, &value) in lanes.iter_mut().zip(&window[at..at + L]) {
                *lane ^= value;
            }
            rest &= rest - 1;
        }
    }
    for (sum, lane) in sum[offset..offset + L].iter_mut().zip(lanes) {
        *sum ^= lane;
    }
}

/// Adds the product of a band with the window of table rows that it covers.
fn add_product(sum: &mut [u64], band: &Band, window: &[u64]) {
    let words = sum.len();
    let mut offset = 0;
    while offset < words {
        let lanes = (words - offset).min(MAX_LANES);
        match lanes {
            1 => add_lanes::<1>(sum, band, window, words, offset),
            2 => add_lanes::<2>(sum, band, window, words, offset),
            3 => add_lanes::<3>(sum, band, window, words, offset),
            4 => add_lanes::<4>(sum, band, window, words, offset),
            5 => add_lanes::<5>(sum, band, window, words, offset),
            6 => add_lanes::<6>(sum, band, window, words, offset),
            7 => add_lanes::<7>(sum, band, window, words, offset),
            _ => add_lanes::<8>(sum, band, window, words, offset),
        }
        offset += lanes;
    }
}

/// First columns of all keys, and the keys' order by first column, equal ones in the order given.
fn sort_by_start(seed: &[u8], keys: &[u8], width: usize, shape: Shape) -> (Vec<u32>, Vec<u32>) {
    let rows = keys.len() / width;
    let mut starts = vec![0u32; rows];
    starts.par_chunks_mut(TASK_ROWS).zip(keys.par_chunks(TASK_ROWS * width)).for_each(|(starts, keys)| {
        for (start, key) in starts.iter_mut().zip(keys.chunks_exact(width)) {
            *start = start_of(seed, key, shape);
        }
    });
    let mut next = vec![0u32; shape.starts + 1];
    for &start in &starts {
        next[start as usize + 1] += 1;
    }
    for index in 0..shape.starts {
        next[index + 1] += next[index];
    }
    let mut order = vec![0u32; rows];
    for (row, &start) in starts.iter().enumerate() {
        order[next[start as usize] as usize] = row as u32;
        next[start as usize] += 1;
    }
    (starts, order)
}

/// The fill stream as little-endian words: every position that no row decides holds its bytes.
fn fill(out: &mut [u64], key: &[u8; FILL_KEY_BYTES]) {
    let mut generator = Wiped::new(ChaCha20Rng::from_seed(*key));
    let mut bytes = Zeroizing::new(vec![0u8; 8 << 13]);
    for out in out.chunks_mut(1 << 13) {
        let bytes = &mut bytes[..8 * out.len()];
        generator.fill_bytes(bytes);
        for (out, bytes) in out.iter_mut().zip(bytes.chunks_exact(8)) {
            *out = word_at(bytes, 0);
        }
    }
}

/// Solves the system in place; false if some row depends on the others.
fn solve(out: &mut [u64], seed: &[u8], keys: &[u8], width: usize, values: &[u64], shape: Shape) -> bool {
    let words = shape.words;
    let (starts, order) = sort_by_start(seed, keys, width, shape);
    // The row that claims a column, its first coefficient at bit 0; all zero: no row claims it.
    let mut claimed: Vec<Band> = vec![[0; BAND_WORDS]; shape.columns()];
    let mut value = Zeroizing::new(vec![0u64; words]);
    let mut bands: Vec<Band> = Vec::with_capacity(AHEAD_ROWS);
    for order in order.chunks(AHEAD_ROWS) {
        order
            .par_iter()
            .with_min_len(TASK_ROWS)
            .map(|&row| band_of(seed, &keys[row as usize * width..(row as usize + 1) * width], shape))
            .collect_into_vec(&mut bands);
        for (&row, &band) in order.iter().zip(&bands) {
            let row = row as usize;
            let mut band = band;
            let mut column = starts[row] as usize;
            value.copy_from_slice(&values[row * words..(row + 1) * words]);
            loop {
                let Some(zeros) = leading_column(&band) else { return false };
                band = shift_down(&band, zeros);
                column += zeros;
                let solved = &mut out[column * words..(column + 1) * words];
                let holder = &mut claimed[column];
                if holder[0] & 1 == 0 {
                    *holder = band;
                    solved.copy_from_slice(&value);
                    break;
                }
                for (band, holder) in band.iter_mut().zip(holder) {
                    *band ^= *holder;
                }
                for (value, solved) in value.iter_mut().zip(solved) {
                    *value ^= *solved;
                }
            }
        }
    }
    for (column, band) in claimed.iter_mut().enumerate().rev() {
        if band[0] & 1 == 1 {
            band[0] ^= 1;
            let own = column * words;
            value.copy_from_slice(&out[own..own + words]);
            add_product(&mut value, band, &out[own..]);
            out[own..own + words].copy_from_slice(&value);
        }
    }
    true
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
        Zeroizing::new(fill_key.try_into().map_err(|_| PyValueError::new_err("the fill key is 32 bytes"))?);
    if width == 0 || rows != value_rows || rows >= u32::MAX as usize || seed.len() != SEED_BYTES {
        return Err(PyValueError::new_err("keys n × L bytes, values n × w words, n below 2^32 - 1, seed 16 bytes"));
    }
    let mut out = vec![0u64; shape.columns() * words];
    let solved = py.detach(|| {
        fill(&mut out, &fill_key);
        solve(&mut out, seed, keys, width, values, shape)
    });
    if !solved {
        out.zeroize();
        return Ok(None);
    }
    let out = Array2::from_shape_vec((shape.columns(), words), out)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(Some(out.into_pyarray(py)))
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
        return Err(PyValueError::new_err("keys n × L bytes, table starts + band - 1 rows, seed 16 bytes"));
    }
    let mut out = vec![0u64; rows * words];
    py.detach(|| {
        let (starts, order) = sort_by_start(seed, keys, width, shape);
        let mut sorted = vec![0u64; rows * words];
        sorted.par_chunks_mut(TASK_ROWS * words).zip(order.par_chunks(TASK_ROWS)).for_each(|(sorted, order)| {
            for (sum, &row) in sorted.chunks_exact_mut(words).zip(order) {
                let row = row as usize;
                let band = band_of(seed, &keys[row * width..(row + 1) * width], shape);
                add_product(sum, &band, &table[starts[row] as usize * words..]);
            }
        });
        for (value, &row) in sorted.chunks_exact(words).zip(&order) {
            out[row as usize * words..(row as usize + 1) * words].copy_from_slice(value);
        }
        sorted.zeroize();
    });
    let out = Array2::from_shape_vec((rows, words), out).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(out.into_pyarray(py))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(okvs_encode, module)?)?;
    module.add_function(wrap_pyfunction!(okvs_decode, module)?)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_repeated_key_has_no_solution() {
        let shape = Shape { starts: 8, band: MAX_BAND, words: 1 };
        let mut out = vec![0u64; shape.columns()];
        assert!(!solve(&mut out, &[1; SEED_BYTES], &[5u8; 8], 4, &[1, 2], shape));
    }

    #[test]
    fn narrow_bands_keep_their_width() {
        let shape = Shape { starts: 8, band: 70, words: 1 };
        for index in 0..50u8 {
            let band = band_of(&[1; SEED_BYTES], &[index], shape);
            assert_eq!(band[1] >> 6, 0);
            assert_eq!(band[2] | band[3], 0);
        }
    }
}
