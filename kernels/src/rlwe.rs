//! Ring-LWE for the grouped sum: the border to Python. Arithmetic is in `ring`, draws in `sample`, encryptions in
//! `cipher`, weighted sums of public elements in `weigh`; `protocols/grouped_sum.py` says what they are for.
//!
//! Arrays of residues are (…, primes, degree) uint64.

use numpy::ndarray::{Array1, Array3};
use numpy::{
    IntoPyArray, PyArray1, PyArray3, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray3, PyReadwriteArray3,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

mod cipher;
mod level;
mod polynomial;
mod ring;
mod sample;
mod weigh;

use crate::rows::{bad, in_row_order, in_row_order_mut};
use cipher::{Secret, ANSWER_LIMBS};
use level::Level;
use ring::{primes, DEGREE, LIMBS, PRIMES, PRIME_BYTES};
use sample::Stream;
use weigh::{Weighted, DENSE_BOUND, SPARSE_BOUND};

const ELEMENT: usize = LIMBS * DEGREE;
const ANSWER_ELEMENT: usize = ANSWER_LIMBS * DEGREE;
/// Blocks of one call.
const MAX_BLOCKS: usize = 512;
/// Sum of |weight| that one call may hold, under the smallest prime.
const MAX_WEIGHT: u128 = 1 << 55;
const MAX_COLUMNS: usize = 1 << 16;
const MAX_TARGETS: usize = 1 << 16;

fn key32(bytes: &[u8]) -> PyResult<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    if bytes.len() != key.len() {
        return Err(bad("a key or seed is 32 bytes"));
    }
    key.copy_from_slice(bytes);
    Ok(key)
}

fn flat<'a, T: numpy::Element, D: numpy::ndarray::Dimension>(
    array: &'a numpy::PyReadonlyArray<'_, T, D>,
) -> PyResult<&'a [T]> {
    in_row_order(array, "arrays")
}

fn cube<'py>(py: Python<'py>, shape: (usize, usize, usize), data: Vec<u64>) -> PyResult<Bound<'py, PyArray3<u64>>> {
    let array = Array3::from_shape_vec(shape, data).map_err(|_| bad("shape and data differ"))?;
    Ok(array.into_pyarray(py))
}

fn reduced(values: &[u64], run: usize) -> bool {
    values.chunks(run).enumerate().all(|(i, chunk)| chunk.iter().all(|&x| x < PRIMES[i % LIMBS]))
}

/// Checks ascending bins in [low, high) and the size of the weights.
fn check_entries(bins: &[i64], weights: &[i64], low: i64, high: i64) -> PyResult<()> {
    let inside = bins.first().is_none_or(|&bin| bin >= low) && bins.last().is_none_or(|&bin| bin < high);
    if !bins.is_sorted() || !inside {
        return Err(bad("bins must be ascending and inside the blocks of the call"));
    }
    if weights.iter().map(|&w| w.unsigned_abs() as u128).sum::<u128>() >= MAX_WEIGHT {
        return Err(bad("the sum of absolute weights must be under 2^55"));
    }
    Ok(())
}

/// The first block, and the number of blocks, of `count` ciphertexts numbered from `first`, `columns` a block.
fn block_range(first: u64, count: usize, columns: u64) -> PyResult<(u64, usize)> {
    let end = first.checked_add(count as u64).ok_or_else(|| bad("ciphertexts are numbered under 2^64"))?;
    let first_block = first / columns;
    Ok((first_block, (end.div_ceil(columns) - first_block) as usize))
}

/// The blocks of a call as a range of bins.
fn bin_range(first_block: u64, blocks: usize) -> PyResult<(i64, i64)> {
    if blocks > MAX_BLOCKS || first_block >= 1 << 40 {
        return Err(bad("at most 512 blocks a call, numbered under 2^40"));
    }
    let low = first_block as i64 * DEGREE as i64;
    Ok((low, low + (blocks * DEGREE) as i64))
}

/// The sender's secrets, one a column; wiped when dropped.
#[pyclass(frozen, name = "RlweSecret", module = "cleanroom._kernels")]
struct RlweSecret(Secret);

#[pymethods]
impl RlweSecret {
    #[new]
    fn new(py: Python<'_>, key: &[u8], columns: usize) -> PyResult<Self> {
        let key = key32(key)?;
        if columns == 0 || columns > MAX_COLUMNS {
            return Err(bad("columns must be between 1 and 65536"));
        }
        Ok(RlweSecret(py.detach(|| Secret::draw(&key, columns))))
    }

    fn __repr__(&self) -> String {
        format!("RlweSecret(columns={})", self.0.columns())
    }

    /// Encryptions of zero under element 0 of the seed: columns × 172,032 bytes.
    fn public_key<'py>(&self, py: Python<'py>, seed: &[u8], error_key: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let (seed, error_key) = (key32(seed)?, key32(error_key)?);
        let parts = py.detach(|| {
            let element = cipher::public_element(&seed, 0);
            (0..self.0.columns())
                .into_par_iter()
                .map(|j| self.0.encrypt(&element, j, Stream::open(&error_key, j as u64).errors(), None))
                .collect::<Vec<_>>()
        });
        Ok(PyBytes::new(py, &parts.concat()))
    }

    /// Encrypts messages (k × 8192) as ciphertexts first to first + k, which count blocks and, inside, columns.
    fn encrypt<'py>(
        &self,
        py: Python<'py>,
        seed: &[u8],
        error_key: &[u8],
        first: u64,
        messages: PyReadonlyArray2<'py, u64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (seed, error_key) = (key32(seed)?, key32(error_key)?);
        if messages.shape()[1] != DEGREE {
            return Err(bad("messages must be k × 8192"));
        }
        let words = flat(&messages)?;
        let columns = self.0.columns() as u64;
        let (first_block, blocks) = block_range(first, words.len() / DEGREE, columns)?;
        bin_range(first_block, blocks)?;
        let parts = py.detach(|| {
            let elements = cipher::block_elements(&seed, first_block, blocks);
            words
                .par_chunks_exact(DEGREE)
                .enumerate()
                .map(|(i, message)| {
                    let number = first + i as u64;
                    let element = &elements[(number / columns - first_block) as usize];
                    let error = Stream::open(&error_key, number).errors();
                    self.0.encrypt(element, (number % columns) as usize, error, Some(message))
                })
                .collect::<Vec<_>>()
        });
        Ok(PyBytes::new(py, &parts.concat()))
    }

    /// Coefficient 0 of ring × secret: rings t × 2 × 8192, columns c; returns t × c × 2.
    fn product_constants<'py>(
        &self,
        py: Python<'py>,
        rings: PyReadonlyArray3<'py, u64>,
        columns: PyReadonlyArray1<'py, u32>,
    ) -> PyResult<Bound<'py, PyArray3<u64>>> {
        if rings.shape()[1] != ANSWER_LIMBS || rings.shape()[2] != DEGREE {
            return Err(bad("rings must be t × 2 × 8192"));
        }
        let (words, columns) = (flat(&rings)?, flat(&columns)?);
        if columns.iter().any(|&j| j as usize >= self.0.columns()) {
            return Err(bad("a column is out of range"));
        }
        if !words.chunks(DEGREE).enumerate().all(|(i, run)| run.iter().all(|&x| x < PRIMES[i % ANSWER_LIMBS])) {
            return Err(bad("a residue is not reduced"));
        }
        let values: Vec<u64> = py.detach(|| {
            words
                .par_chunks_exact(ANSWER_ELEMENT)
                .flat_map_iter(|ring| columns.iter().flat_map(|&j| self.0.product_constant(ring, j as usize)))
                .collect()
        });
        cube(py, (words.len() / ANSWER_ELEMENT, columns.len(), ANSWER_LIMBS), values)
    }
}

/// Reads residues of 7 bytes: runs of `run` for each of the first `limbs` primes, repeated to the end.
///
/// Raises ValueError if a residue is not under its prime or the length is not whole.
#[pyfunction]
fn rlwe_unpack<'py>(py: Python<'py>, data: &[u8], limbs: usize, run: usize) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let shaped = (1..=LIMBS).contains(&limbs) && (1..=DEGREE).contains(&run);
    if !shaped || data.len() % (limbs * run * PRIME_BYTES) != 0 {
        return Err(bad("the data is not a whole number of residues for every prime"));
    }
    let values = py.detach(|| {
        let mut values = Vec::with_capacity(data.len() / PRIME_BYTES);
        for (i, chunk) in data.chunks_exact(run * PRIME_BYTES).enumerate() {
            let modulus = PRIMES[i % limbs];
            for bytes in chunk.chunks_exact(PRIME_BYTES) {
                let mut word = [0; 8];
                word[..PRIME_BYTES].copy_from_slice(bytes);
                let value = u64::from_le_bytes(word);
                if value >= modulus {
                    return None;
                }
                values.push(value);
            }
        }
        Some(values)
    });
    match values {
        Some(values) => Ok(Array1::from_vec(values).into_pyarray(py)),
        None => Err(bad("a residue is not under its prime")),
    }
}

/// Adds weight × coefficient of each entry's bin to `sums` (groups × columns × 3 residues, in place).
///
/// `ciphertexts` (k × 3 × 8192) are numbers first to first + k; the entries are those of their blocks, bins ascending.
/// An entry counts for the columns of its target's class: target = class × groups + group.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn rlwe_weigh_ciphertexts<'py>(
    py: Python<'py>,
    mut sums: PyReadwriteArray3<'py, u64>,
    ciphertexts: PyReadonlyArray3<'py, u64>,
    first: u64,
    class_position: PyReadonlyArray1<'py, u32>,
    bins: PyReadonlyArray1<'py, i64>,
    targets: PyReadonlyArray1<'py, i32>,
    weights: PyReadonlyArray1<'py, i64>,
) -> PyResult<()> {
    let (groups, columns) = (sums.shape()[0], sums.shape()[1]);
    let classes = flat(&class_position)?;
    if groups == 0 || columns == 0 || sums.shape()[2] != LIMBS || classes.len() != columns {
        return Err(bad("sums must be groups × columns × 3, class_position one a column"));
    }
    if ciphertexts.shape()[1] != LIMBS || ciphertexts.shape()[2] != DEGREE {
        return Err(bad("ciphertexts must be k × 3 × 8192"));
    }
    let (words, bins, targets, weights) = (flat(&ciphertexts)?, flat(&bins)?, flat(&targets)?, flat(&weights)?);
    let (first_block, blocks) = block_range(first, words.len() / ELEMENT, columns as u64)?;
    let (low, high) = bin_range(first_block, blocks)?;
    if targets.len() != bins.len() || weights.len() != bins.len() {
        return Err(bad("bins, targets and weights have one entry each"));
    }
    check_entries(bins, weights, low, high)?;
    if targets.iter().any(|&target| target < 0) {
        return Err(bad("a target is negative"));
    }
    if !reduced(words, DEGREE) {
        return Err(bad("a residue is not reduced"));
    }
    let sums = in_row_order_mut(&mut sums, "sums")?;
    py.detach(|| {
        let partial: Vec<(usize, Vec<i128>)> = words
            .par_chunks_exact(ELEMENT)
            .enumerate()
            .map(|(i, ciphertext)| {
                let number = first + i as u64;
                let column = (number % columns as u64) as usize;
                let start = (number / columns as u64) as i64 * DEGREE as i64;
                let from = bins.partition_point(|&bin| bin < start);
                let to = bins.partition_point(|&bin| bin < start + DEGREE as i64);
                let mut totals = vec![0i128; groups * LIMBS];
                for entry in from..to {
                    // An entry of another class counts with weight 0: the work does not depend on the targets.
                    let target = targets[entry] as usize;
                    let weight = weights[entry] * (target / groups == classes[column] as usize) as i64;
                    let slot = (bins[entry] - start) as usize;
                    let totals = &mut totals[target % groups * LIMBS..][..LIMBS];
                    for (limb, total) in totals.iter_mut().enumerate() {
                        *total += weight as i128 * ciphertext[limb * DEGREE + slot] as i128;
                    }
                }
                (column, totals)
            })
            .collect();
        for (column, totals) in partial {
            for (group, totals) in totals.chunks_exact(LIMBS).enumerate() {
                let sums = &mut sums[(group * columns + column) * LIMBS..][..LIMBS];
                for ((sum, &total), prime) in sums.iter_mut().zip(totals).zip(primes()) {
                    *sum = prime.signed_sum(*sum as i128 + total);
                }
            }
        }
    });
    Ok(())
}

/// Adds the weighted public elements of blocks first_block to first_block + blocks to `sums` (t × 3 × 8192, in place).
///
/// The entries of target i are indptr[i] to indptr[i + 1], bins ascending; those of other blocks are left alone.
/// Each target's absolute weights in these blocks add up to at most `bound`. Time goes with blocks × targets.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn rlwe_weigh_dense<'py>(
    py: Python<'py>,
    mut sums: PyReadwriteArray3<'py, u64>,
    seed: &[u8],
    first_block: u64,
    blocks: usize,
    indptr: PyReadonlyArray1<'py, i64>,
    bins: PyReadonlyArray1<'py, i64>,
    weights: PyReadonlyArray1<'py, i64>,
    bound: u64,
) -> PyResult<()> {
    let seed = key32(seed)?;
    let (bins, weights) = (flat(&bins)?, flat(&weights)?);
    let entries = entries_of(sums.shape(), flat(&indptr)?, bins, weights, bin_range(first_block, blocks)?)?;
    let total = |own: &Weighted<'_>| own.weights.iter().map(|&w| w.unsigned_abs() as u128).sum::<u128>();
    if bound > DENSE_BOUND || entries.iter().any(|own| total(own) > bound as u128) {
        return Err(bad("a target's absolute weights must add up to at most the bound, and that to 2^53"));
    }
    let sums = in_row_order_mut(&mut sums, "sums")?;
    py.detach(|| weigh::dense(Level::best(), sums, &seed, (first_block, blocks), &entries, bound));
    Ok(())
}

/// As `rlwe_weigh_dense`, but each absolute weight is at most `bound`, and time goes with the number of entries.
#[pyfunction]
#[allow(clippy::too_many_arguments)]
fn rlwe_weigh_sparse<'py>(
    py: Python<'py>,
    mut sums: PyReadwriteArray3<'py, u64>,
    seed: &[u8],
    first_block: u64,
    blocks: usize,
    indptr: PyReadonlyArray1<'py, i64>,
    bins: PyReadonlyArray1<'py, i64>,
    weights: PyReadonlyArray1<'py, i64>,
    bound: u64,
) -> PyResult<()> {
    let seed = key32(seed)?;
    let (bins, weights) = (flat(&bins)?, flat(&weights)?);
    let entries = entries_of(sums.shape(), flat(&indptr)?, bins, weights, bin_range(first_block, blocks)?)?;
    if bound > SPARSE_BOUND || weights.iter().any(|w| w.unsigned_abs() > bound) {
        return Err(bad("absolute weights must be at most the bound, and that at most 2^30"));
    }
    let sums = in_row_order_mut(&mut sums, "sums")?;
    py.detach(|| weigh::sparse(Level::best(), sums, &seed, (first_block, blocks), &entries, bound));
    Ok(())
}

/// The entries of every target that are in a range of bins; `shape` is that of the sums.
fn entries_of<'a>(
    shape: &[usize],
    indptr: &[i64],
    bins: &'a [i64],
    weights: &'a [i64],
    (low, high): (i64, i64),
) -> PyResult<Vec<Weighted<'a>>> {
    if shape[1] != LIMBS || shape[2] != DEGREE {
        return Err(bad("sums must be t × 3 × 8192"));
    }
    let ends = indptr.first().is_some_and(|&x| x >= 0) && indptr.last().is_some_and(|&x| x as usize <= bins.len());
    if indptr.len() != shape[0] + 1 || !indptr.is_sorted() || !ends || weights.len() != bins.len() {
        return Err(bad("indptr has one entry more than sums and cuts bins and weights"));
    }
    let cut = |pair: &[i64]| {
        let range = pair[0] as usize..pair[1] as usize;
        let (bins, weights) = (&bins[range.clone()], &weights[range]);
        let from = bins.partition_point(|&bin| bin < low);
        let to = bins.partition_point(|&bin| bin < high).max(from);
        check_entries(&bins[from..to], &weights[from..to], low, high)?;
        Ok(Weighted { bins: &bins[from..to], weights: &weights[from..to] })
    };
    indptr.windows(2).map(cut).collect()
}

/// Fresh encryptions of zero for targets first to first + count under public keys c × 3 × 8192.
///
/// Target i draws from stream i of `key`. Returns count × 3 × 8192 coefficients, and count × c × 3 constants.
#[pyfunction]
#[allow(clippy::type_complexity)]
fn rlwe_encrypt_zeros<'py>(
    py: Python<'py>,
    seed: &[u8],
    key: &[u8],
    first: u64,
    count: usize,
    public_keys: PyReadonlyArray3<'py, u64>,
) -> PyResult<(Bound<'py, PyArray3<u64>>, Bound<'py, PyArray3<u64>>)> {
    let (seed, key) = (key32(seed)?, key32(key)?);
    if public_keys.shape()[1] != LIMBS || public_keys.shape()[2] != DEGREE {
        return Err(bad("public keys must be c × 3 × 8192"));
    }
    let words = flat(&public_keys)?;
    if count > MAX_TARGETS || first.checked_add(count as u64).is_none() {
        return Err(bad("at most 65536 targets a call, numbered under 2^64"));
    }
    if !reduced(words, DEGREE) {
        return Err(bad("a residue is not reduced"));
    }
    let keys: Vec<&[u64]> = words.chunks_exact(ELEMENT).collect();
    let parts = py.detach(|| {
        let element = cipher::public_element(&seed, 0);
        (0..count)
            .into_par_iter()
            .map(|i| cipher::encrypt_zero(&element, &keys, &mut Stream::open(&key, first + i as u64)))
            .collect::<Vec<_>>()
    });
    let mut rings = Vec::with_capacity(count * ELEMENT);
    let mut constants = Vec::with_capacity(count * keys.len() * LIMBS);
    for (mut ring, mut constant) in parts {
        rings.extend_from_slice(&ring);
        constants.extend_from_slice(constant.as_flattened());
        ring.zeroize();
        constant.zeroize();
    }
    Ok((cube(py, (count, LIMBS, DEGREE), rings)?, cube(py, (count, keys.len(), LIMBS), constants)?))
}

/// round((sum + zero) / third prime) modulo the first two: both t × 3 × 8192; returns t × 2 × 8192.
#[pyfunction]
fn rlwe_switch<'py>(
    py: Python<'py>,
    sums: PyReadonlyArray3<'py, u64>,
    zeros: PyReadonlyArray3<'py, u64>,
) -> PyResult<Bound<'py, PyArray3<u64>>> {
    if sums.shape() != zeros.shape() || sums.shape()[1] != LIMBS || sums.shape()[2] != DEGREE {
        return Err(bad("sums and zeros must both be t × 3 × 8192"));
    }
    let (sums, zeros) = (flat(&sums)?, flat(&zeros)?);
    if !reduced(sums, DEGREE) || !reduced(zeros, DEGREE) {
        return Err(bad("a residue is not reduced"));
    }
    let values: Vec<u64> = py.detach(|| {
        let parts: Vec<_> = sums
            .par_chunks_exact(ELEMENT)
            .zip(zeros.par_chunks_exact(ELEMENT))
            .map(|(sum, zero)| cipher::switch(sum, zero))
            .collect();
        parts.concat()
    });
    cube(py, (sums.len() / ELEMENT, ANSWER_LIMBS, DEGREE), values)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<RlweSecret>()?;
    module.add_function(wrap_pyfunction!(rlwe_unpack, module)?)?;
    module.add_function(wrap_pyfunction!(rlwe_weigh_ciphertexts, module)?)?;
    module.add_function(wrap_pyfunction!(rlwe_weigh_dense, module)?)?;
    module.add_function(wrap_pyfunction!(rlwe_weigh_sparse, module)?)?;
    module.add_function(wrap_pyfunction!(rlwe_encrypt_zeros, module)?)?;
    module.add_function(wrap_pyfunction!(rlwe_switch, module)?)
}
