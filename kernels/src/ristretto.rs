//! ristretto255 (RFC 9496), hash-to-group (RFC 9380) and the batch steps of an oblivious PRF (RFC 9497, mode OPRF).
//!
//! Scalars, unblinded points and PRF keys are wiped; whatever a secret decides runs in constant time.

use curve25519_dalek::scalar::Scalar;
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use sha2::{Digest, Sha512};
use std::ops::Range;
use zeroize::{Zeroize, Zeroizing};

use crate::wipe::Wiped;

#[cfg(target_arch = "x86_64")]
mod field;
mod group;
#[cfg(target_arch = "x86_64")]
mod lanes;

use group::{Elements, Encoding, Uniform};

const ELEMENT: usize = 32;
const SCALAR: usize = 32;
const HASH: usize = 64;
/// SHA-512's input block.
const BLOCK: usize = 128;
/// Points that share one field inversion; also the unit of parallel work.
const BATCH: usize = 256;
/// ChaCha20 words that one uniform scalar takes: a whole block.
const WORDS_PER_SCALAR: u128 = 16;

create_exception!(_kernels, ElementError, PyValueError, "A group element is the identity or is not canonical.");

/// Why a batch was refused. It names no index and no value: which item came first depends on the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Shape(&'static str),
    Element,
    Scalar,
    Identity,
    DeriveKey,
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> PyErr {
        match fault {
            Fault::Shape(what) => PyValueError::new_err(what),
            Fault::Element => ElementError::new_err("an element is the identity or not a canonical encoding"),
            Fault::Scalar => PyValueError::new_err("a scalar is zero or not a canonical encoding"),
            Fault::Identity => PyValueError::new_err("an input hashes to the identity"),
            Fault::DeriveKey => PyValueError::new_err("a key could not be derived"),
        }
    }
}

/// Items of equal width in one flat slice.
#[derive(Clone, Copy)]
struct Rows<'a> {
    bytes: &'a [u8],
    width: usize,
    count: usize,
}

impl<'a> Rows<'a> {
    fn of(array: &'a PyReadonlyArray2<'_, u8>) -> Result<Self, Fault> {
        let shape = array.shape();
        let bytes = match array.as_slice() {
            Ok(bytes) if array.is_c_contiguous() => bytes, // `as_slice` takes column order too
            _ => return Err(Fault::Shape("arrays must be contiguous, in row order")),
        };
        Ok(Rows { bytes, width: shape[1], count: shape[0] })
    }

    fn of_width(array: &'a PyReadonlyArray2<'_, u8>, width: usize, what: &'static str) -> Result<Self, Fault> {
        let rows = Self::of(array)?;
        if rows.width == width {
            Ok(rows)
        } else {
            Err(Fault::Shape(what))
        }
    }

    fn row(&self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.width..(index + 1) * self.width]
    }

    fn fixed<const W: usize>(&self, index: usize) -> [u8; W] {
        let mut out = [0; W];
        out.copy_from_slice(self.row(index));
        out
    }
}

fn same_count(counts: &[usize]) -> Result<(), Fault> {
    if counts.windows(2).all(|pair| pair[0] == pair[1]) {
        Ok(())
    } else {
        Err(Fault::Shape("arrays must have as many rows as each other"))
    }
}

/// expand_message_xmd with SHA-512 (RFC 9380, section 5.3.1); the hash of Z_pad is computed once.
struct Expander {
    padded: Sha512,
    dst_prime: Vec<u8>,
}

impl Expander {
    fn new(dst: &[u8]) -> Result<Self, Fault> {
        let length = u8::try_from(dst.len()).map_err(|_| Fault::Shape("dst is 1 to 255 bytes"))?;
        if length == 0 {
            return Err(Fault::Shape("dst is 1 to 255 bytes"));
        }
        let mut dst_prime = dst.to_vec();
        dst_prime.push(length);
        Ok(Expander { padded: Sha512::new().chain_update([0; BLOCK]), dst_prime })
    }

    /// `out` is at most 255 hashes long: callers check it.
    fn expand(&self, message: &[&[u8]], out: &mut [u8]) {
        let mut state = Wiped::new(self.padded.clone());
        for part in message {
            state.update(part);
        }
        state.update((out.len() as u16).to_be_bytes());
        state.update([0]);
        state.update(&self.dst_prime);
        let mut first: [u8; HASH] = state.finalize_reset().into();
        let mut previous = [0; HASH];
        for (index, piece) in out.chunks_mut(HASH).enumerate() {
            for (previous, first) in previous.iter_mut().zip(first) {
                *previous ^= first;
            }
            let hash = Sha512::new()
                .chain_update(previous)
                .chain_update([index as u8 + 1])
                .chain_update(&self.dst_prime)
                .finalize();
            previous.copy_from_slice(&hash);
            piece.copy_from_slice(&hash[..piece.len()]);
        }
        first.zeroize();
        previous.zeroize();
    }

    /// HashToGroup of RFC 9497, section 4.1.
    fn elements(&self, inputs: Rows<'_>, rows: Range<usize>) -> Result<Elements, Fault> {
        let hash = |index, out: &mut Uniform| self.expand(&[inputs.row(rows.start + index)], out);
        let elements = Elements::from_uniform(rows.len(), hash);
        if elements.has_identity() {
            return Err(Fault::Identity);
        }
        Ok(elements)
    }

    /// HashToScalar of RFC 9497, section 4.1.
    fn scalar(&self, message: &[&[u8]]) -> Scalar {
        let mut uniform = [0; 64];
        self.expand(message, &mut uniform);
        let scalar = Scalar::from_bytes_mod_order_wide(&uniform);
        uniform.zeroize();
        scalar
    }
}

fn decode_scalar(bytes: [u8; SCALAR]) -> Result<Scalar, Fault> {
    match Option::<Scalar>::from(Scalar::from_canonical_bytes(bytes)) {
        Some(scalar) if scalar != Scalar::ZERO => Ok(scalar),
        _ => Err(Fault::Scalar),
    }
}

fn decode_elements(encodings: Rows<'_>, rows: Range<usize>) -> Result<Elements, Fault> {
    Elements::decode(rows.len(), |index| encodings.fixed(rows.start + index)).ok_or(Fault::Element)
}

fn decode_scalars(encodings: Rows<'_>, rows: Range<usize>) -> Result<Zeroizing<Vec<Scalar>>, Fault> {
    wiped_batch(rows.map(|row| decode_scalar(encodings.fixed(row))))
}

/// Runs `work` on batches of rows in parallel; `out` holds `width` bytes a row.
fn in_batches<F>(out: &mut [u8], width: usize, work: F) -> Result<(), Fault>
where
    F: Fn(Range<usize>, &mut [u8]) -> Result<(), Fault> + Sync,
{
    out.par_chunks_mut(BATCH * width).enumerate().try_for_each(|(batch, out)| {
        let first = batch * BATCH;
        work(first..first + out.len() / width, out)
    })
}

/// A batch of scalars, in memory that is wiped whether or not all of them are well formed, and never moved.
fn wiped_batch(values: impl Iterator<Item = Result<Scalar, Fault>>) -> Result<Zeroizing<Vec<Scalar>>, Fault> {
    let mut batch = Zeroizing::new(Vec::with_capacity(BATCH));
    for value in values {
        batch.push(value?);
    }
    Ok(batch)
}

/// The hash that ends Finalize and Evaluate (RFC 9497, section 3.3.1).
fn finalize_hash(input: &[u8], element: &Encoding) -> [u8; HASH] {
    Sha512::new()
        .chain_update((input.len() as u16).to_be_bytes())
        .chain_update(input)
        .chain_update((ELEMENT as u16).to_be_bytes())
        .chain_update(element)
        .chain_update(b"Finalize")
        .finalize()
        .into()
}

fn write_hashes(out: &mut [u8], inputs: Rows<'_>, rows: Range<usize>, elements: &[Encoding]) {
    for ((slot, row), element) in out.chunks_exact_mut(HASH).zip(rows).zip(elements) {
        slot.copy_from_slice(&finalize_hash(inputs.row(row), element));
    }
}

fn check_inputs(inputs: Rows<'_>) -> Result<(), Fault> {
    if inputs.width > usize::from(u16::MAX) {
        return Err(Fault::Shape("an input is at most 65535 bytes"));
    }
    Ok(())
}

fn to_array<'py>(py: Python<'py>, bytes: Vec<u8>, width: usize) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let rows = bytes.len() / width;
    PyArray1::from_vec(py, bytes).reshape([rows, width])
}

fn key32(key: &[u8]) -> Result<[u8; 32], Fault> {
    key.try_into().map_err(|_| Fault::Shape("a generator's key is 32 bytes"))
}

#[pyfunction]
fn expand_message_xmd<'py>(
    py: Python<'py>,
    message: &[u8],
    dst: &[u8],
    length: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    if length == 0 || length > 255 * HASH {
        return Err(Fault::Shape("length is 1 to 16320 bytes").into());
    }
    let mut out = vec![0; length];
    Expander::new(dst)?.expand(&[message], &mut out);
    Ok(PyBytes::new(py, &out))
}

/// Bins of the largest join, and room: a larger count is a mistake, and its memory would not be there.
const MAX_SCALARS: usize = 1 << 26;
/// Bytes of one expanded hash: those of a row with thousands of columns.
const MAX_EXPANDED: usize = 1 << 16;

#[pyfunction]
fn ristretto_scalars<'py>(py: Python<'py>, key: &[u8], first: u64, count: usize) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let key = Zeroizing::new(key32(key)?);
    if count > MAX_SCALARS {
        return Err(Fault::Shape("at most 2^26 scalars at once").into());
    }
    let out = py.detach(|| {
        let mut out = vec![0; count * SCALAR];
        in_batches(&mut out, SCALAR, |rows, out| {
            let mut rng = Wiped::new(ChaCha20Rng::from_seed(*key));
            rng.set_word_pos((u128::from(first) + rows.start as u128) * WORDS_PER_SCALAR);
            let mut wide = Zeroizing::new([0; 64]);
            for slot in out.chunks_exact_mut(SCALAR) {
                rng.fill_bytes(&mut *wide);
                let scalar = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide));
                if *scalar == Scalar::ZERO {
                    return Err(Fault::Scalar);
                }
                slot.copy_from_slice(scalar.as_bytes());
            }
            Ok(())
        })?;
        Ok::<_, Fault>(out)
    })?;
    to_array(py, out, SCALAR)
}

#[pyfunction]
fn ristretto_from_uniform<'py>(
    py: Python<'py>,
    uniform: PyReadonlyArray2<'py, u8>,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let uniform = Rows::of_width(&uniform, 64, "uniform bytes are 64 an element")?;
    let out = py.detach(|| {
        let mut out = vec![0; uniform.count * ELEMENT];
        in_batches(&mut out, ELEMENT, |rows, out| {
            let take = |index, out: &mut Uniform| *out = uniform.fixed(rows.start + index);
            let elements = Elements::from_uniform(rows.len(), take);
            out.copy_from_slice(elements.multiply(&vec![Scalar::ONE; rows.len()]).as_flattened());
            Ok(())
        })?;
        Ok::<_, Fault>(out)
    })?;
    to_array(py, out, ELEMENT)
}

#[pyfunction]
fn ristretto_multiply<'py>(
    py: Python<'py>,
    scalars: PyReadonlyArray2<'py, u8>,
    elements: PyReadonlyArray2<'py, u8>,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let scalars = Rows::of_width(&scalars, SCALAR, "scalars are 32 bytes each")?;
    let elements = Rows::of_width(&elements, ELEMENT, "elements are 32 bytes each")?;
    same_count(&[scalars.count, elements.count])?;
    let out = py.detach(|| {
        let mut out = vec![0; elements.count * ELEMENT];
        in_batches(&mut out, ELEMENT, |rows, out| {
            let scalars = decode_scalars(scalars, rows.clone())?;
            out.copy_from_slice(decode_elements(elements, rows)?.multiply(&scalars).as_flattened());
            Ok(())
        })?;
        Ok::<_, Fault>(out)
    })?;
    to_array(py, out, ELEMENT)
}

#[pyfunction]
fn oprf_derive_keys<'py>(
    py: Python<'py>,
    seed: &[u8],
    infos: PyReadonlyArray2<'py, u8>,
    dst: &[u8],
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let seed = Zeroizing::new(key32(seed)?);
    let infos = Rows::of(&infos)?;
    check_inputs(infos)?;
    let expander = Expander::new(dst)?;
    let out = py.detach(|| {
        let mut out = vec![0; infos.count * SCALAR];
        in_batches(&mut out, SCALAR, |rows, out| {
            for (row, slot) in rows.zip(out.chunks_exact_mut(SCALAR)) {
                let length = (infos.width as u16).to_be_bytes();
                let key = (0..=u8::MAX)
                    .map(|counter| expander.scalar(&[&*seed, &length, infos.row(row), &[counter]]))
                    .find(|key| *key != Scalar::ZERO)
                    .ok_or(Fault::DeriveKey)?;
                slot.copy_from_slice(Zeroizing::new(key).as_bytes());
            }
            Ok(())
        })?;
        Ok::<_, Fault>(out)
    })?;
    to_array(py, out, SCALAR)
}

#[pyfunction]
fn oprf_blind<'py>(
    py: Python<'py>,
    inputs: PyReadonlyArray2<'py, u8>,
    blinds: PyReadonlyArray2<'py, u8>,
    dst: &[u8],
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let inputs = Rows::of(&inputs)?;
    check_inputs(inputs)?;
    let blinds = Rows::of_width(&blinds, SCALAR, "blinds are 32 bytes each")?;
    same_count(&[inputs.count, blinds.count])?;
    let expander = Expander::new(dst)?;
    let out = py.detach(|| {
        let mut out = vec![0; inputs.count * ELEMENT];
        in_batches(&mut out, ELEMENT, |rows, out| {
            let elements = expander.elements(inputs, rows.clone())?;
            out.copy_from_slice(elements.multiply(&decode_scalars(blinds, rows)?).as_flattened());
            Ok(())
        })?;
        Ok::<_, Fault>(out)
    })?;
    to_array(py, out, ELEMENT)
}

#[pyfunction]
fn oprf_finalize<'py>(
    py: Python<'py>,
    inputs: PyReadonlyArray2<'py, u8>,
    blinds: PyReadonlyArray2<'py, u8>,
    elements: PyReadonlyArray2<'py, u8>,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let inputs = Rows::of(&inputs)?;
    check_inputs(inputs)?;
    let blinds = Rows::of_width(&blinds, SCALAR, "blinds are 32 bytes each")?;
    let elements = Rows::of_width(&elements, ELEMENT, "elements are 32 bytes each")?;
    same_count(&[inputs.count, blinds.count, elements.count])?;
    let out = py.detach(|| {
        let mut out = vec![0; inputs.count * HASH];
        in_batches(&mut out, HASH, |rows, out| {
            let elements = decode_elements(elements, rows.clone())?;
            let mut inverses = decode_scalars(blinds, rows.clone())?;
            Scalar::batch_invert(&mut inverses);
            write_hashes(out, inputs, rows, &elements.multiply(&inverses));
            Ok(())
        })?;
        Ok::<_, Fault>(out)
    })?;
    to_array(py, out, HASH)
}

#[pyfunction]
fn oprf_evaluate<'py>(
    py: Python<'py>,
    inputs: PyReadonlyArray2<'py, u8>,
    keys: PyReadonlyArray2<'py, u8>,
    dst: &[u8],
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let inputs = Rows::of(&inputs)?;
    check_inputs(inputs)?;
    let keys = Rows::of_width(&keys, SCALAR, "keys are 32 bytes each")?;
    same_count(&[inputs.count, keys.count])?;
    let expander = Expander::new(dst)?;
    let out = py.detach(|| {
        let mut out = vec![0; inputs.count * HASH];
        in_batches(&mut out, HASH, |rows, out| {
            let elements = expander.elements(inputs, rows.clone())?;
            let keys = decode_scalars(keys, rows.clone())?;
            write_hashes(out, inputs, rows, &elements.multiply(&keys));
            Ok(())
        })?;
        Ok::<_, Fault>(out)
    })?;
    to_array(py, out, HASH)
}

/// SHA-512 in counter mode over each seed: `prefix ‖ counter u32 LE ‖ seed`, cut to `length`.
#[pyfunction]
fn expand_hashes<'py>(
    py: Python<'py>,
    seeds: PyReadonlyArray2<'py, u8>,
    prefix: &[u8],
    length: usize,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let seeds = Rows::of_width(&seeds, HASH, "seeds are 64 bytes each")?;
    if length == 0 || length > MAX_EXPANDED {
        return Err(Fault::Shape("length is 1 byte to 64 KiB").into());
    }
    let start = Sha512::new().chain_update(prefix);
    let out = py.detach(|| {
        let mut out = vec![0; seeds.count * length];
        in_batches(&mut out, length, |rows, out| {
            for (row, slot) in rows.zip(out.chunks_exact_mut(length)) {
                for (counter, piece) in slot.chunks_mut(HASH).enumerate() {
                    let hash = start
                        .clone()
                        .chain_update((counter as u32).to_le_bytes())
                        .chain_update(seeds.row(row))
                        .finalize();
                    piece.copy_from_slice(&hash[..piece.len()]);
                }
            }
            Ok(())
        })?;
        Ok::<_, Fault>(out)
    })?;
    to_array(py, out, length)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("ElementError", module.py().get_type::<ElementError>())?;
    module.add_function(wrap_pyfunction!(expand_message_xmd, module)?)?;
    module.add_function(wrap_pyfunction!(ristretto_scalars, module)?)?;
    module.add_function(wrap_pyfunction!(ristretto_from_uniform, module)?)?;
    module.add_function(wrap_pyfunction!(ristretto_multiply, module)?)?;
    module.add_function(wrap_pyfunction!(oprf_derive_keys, module)?)?;
    module.add_function(wrap_pyfunction!(oprf_blind, module)?)?;
    module.add_function(wrap_pyfunction!(oprf_finalize, module)?)?;
    module.add_function(wrap_pyfunction!(oprf_evaluate, module)?)?;
    module.add_function(wrap_pyfunction!(expand_hashes, module)?)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wipe::look::freed_with;

    #[test]
    fn zero_and_non_canonical_scalars_are_refused() {
        assert_eq!(decode_scalar([0; 32]).err(), Some(Fault::Scalar));
        // the group order itself: zero in a non-canonical form
        let mut order = (-Scalar::ONE).to_bytes();
        order[0] += 1;
        assert_eq!(decode_scalar(order).err(), Some(Fault::Scalar));
        order[0] -= 1;
        assert!(decode_scalar(order).is_ok());
    }

    #[test]
    fn batches_are_wiped_when_they_are_used_and_when_an_item_is_refused() {
        let scalar = Scalar::from(7u64).invert();
        let bytes = scalar.to_bytes();
        let batch = |count, last: Result<Scalar, Fault>| {
            wiped_batch((0..count).map(|_| decode_scalar(bytes)).chain(std::iter::once(last)))
        };
        assert_eq!(freed_with(&bytes, || batch(BATCH - 1, Err(Fault::Scalar)).is_err()), 0);
        let multiply = || {
            let elements = Elements::from_uniform(BATCH, |index, out| out.fill(index as u8 + 1));
            Ok::<_, Fault>(elements.multiply(&batch(BATCH - 1, Ok(scalar))?))
        };
        assert_eq!(freed_with(&bytes, multiply), 0);
    }

    #[test]
    fn destination_tags_are_bounded() {
        assert!(Expander::new(&[]).is_err());
        assert!(Expander::new(&[7; 256]).is_err());
        assert!(Expander::new(&[7; 255]).is_ok());
    }
}
