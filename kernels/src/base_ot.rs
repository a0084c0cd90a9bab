//! Masny–Rindal random oblivious transfer over ristretto255 (ePrint 2019/706, the two-message form from a
//! Diffie–Hellman key agreement). The protocol, and what goes over the wire, is told in `protocols/base_ot.py`.
//!
//! Every function derives its scalars again from the caller's 32-byte key, so no secret scalar crosses the border.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256, Sha512};
use std::mem::take;
use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroizing;

use crate::rows::{bad, in_row_order};
use crate::wipe::Wiped;

const POINT: usize = 32;
const KEY: usize = 16;

fn generator(key: &[u8]) -> PyResult<Wiped<ChaCha20Rng>> {
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(key.try_into().map_err(|_| bad("key is 32 bytes"))?);
    Ok(Wiped::new(ChaCha20Rng::from_seed(*seed)))
}

fn wide(rng: &mut Wiped<ChaCha20Rng>) -> Zeroizing<[u8; 64]> {
    let mut bytes = Zeroizing::new([0u8; 64]);
    rng.fill_bytes(bytes.as_mut());
    bytes
}

fn decode(bytes: &[u8]) -> PyResult<RistrettoPoint> {
    let point = CompressedRistretto::from_slice(bytes)
        .ok()
        .and_then(|compressed| compressed.decompress())
        .ok_or_else(|| bad("an element is not canonically encoded"))?;
    if point.is_identity() {
        return Err(bad("an element is the identity"));
    }
    Ok(point)
}

/// H_slot: the group element that hides which of the two elements the receiver knows the logarithm of.
fn hash_to_point(domain: &[u8], index: usize, slot: u8, element: &[u8]) -> RistrettoPoint {
    let digest = Sha512::new()
        .chain_update(b"cleanroom/base-ot/point/v1")
        .chain_update(domain)
        .chain_update((index as u32).to_le_bytes())
        .chain_update([slot])
        .chain_update(element)
        .finalize();
    RistrettoPoint::from_uniform_bytes(&digest.into())
}

fn derive_key(
    domain: &[u8],
    index: usize,
    slot: u8,
    messages: [&[u8]; 2],
    shared: RistrettoPoint,
) -> Zeroizing<[u8; KEY]> {
    let secret = Zeroizing::new(Zeroizing::new(shared).compress().to_bytes());
    let mut state = Wiped::new(
        Sha256::new()
            .chain_update(b"cleanroom/base-ot/key/v1")
            .chain_update(domain)
            .chain_update((index as u32).to_le_bytes())
            .chain_update([slot])
            .chain_update(messages[0])
            .chain_update(messages[1]),
    );
    state.update(secret.as_ref());
    let digest: Zeroizing<[u8; 32]> = Zeroizing::new(state.finalize_reset().into());
    let mut key = Zeroizing::new([0u8; KEY]);
    key.copy_from_slice(&digest[..KEY]);
    key
}

/// The receiver's scalars and the elements that it samples without knowing their logarithm, in order.
fn receiver_draws(key: &[u8], count: usize) -> PyResult<Zeroizing<Vec<(Scalar, RistrettoPoint)>>> {
    let mut rng = generator(key)?;
    let draws = (0..count).map(|_| {
        let scalar = Scalar::from_bytes_mod_order_wide(&wide(&mut rng));
        (scalar, RistrettoPoint::from_uniform_bytes(&wide(&mut rng)))
    });
    Ok(Zeroizing::new(draws.collect()))
}

fn check_choices(choices: &[u8]) -> PyResult<()> {
    if choices.iter().fold(0, |all, choice| all | choice) > 1 {
        return Err(bad("choices are 0 or 1"));
    }
    Ok(())
}

fn receiver_message(key: &[u8], domain: &[u8], choices: &[u8]) -> PyResult<Vec<u8>> {
    check_choices(choices)?;
    let mut message = Vec::with_capacity(choices.len() * 2 * POINT);
    for (index, ((scalar, other), &bit)) in receiver_draws(key, choices.len())?.iter().zip(choices).enumerate() {
        let choice = Choice::from(bit);
        let hash = hash_to_point(domain, index, bit, other.compress().as_bytes());
        let known = RistrettoPoint::mul_base(scalar) - hash;
        let first = RistrettoPoint::conditional_select(&known, other, choice);
        let second = RistrettoPoint::conditional_select(other, &known, choice);
        message.extend_from_slice(first.compress().as_bytes());
        message.extend_from_slice(second.compress().as_bytes());
    }
    Ok(message)
}

fn sender_scalars(key: &[u8], count: usize) -> PyResult<Zeroizing<Vec<Scalar>>> {
    let mut rng = generator(key)?;
    Ok(Zeroizing::new((0..count).map(|_| Scalar::from_bytes_mod_order_wide(&wide(&mut rng))).collect()))
}

fn sender_message(key: &[u8], count: usize) -> PyResult<Vec<u8>> {
    let scalars = sender_scalars(key, count)?;
    let mut message = Vec::with_capacity(count * POINT);
    for scalar in scalars.iter() {
        message.extend_from_slice(RistrettoPoint::mul_base(scalar).compress().as_bytes());
    }
    Ok(message)
}

/// What is wiped unless all of it is handed out.
fn sender_keys(key: &[u8], domain: &[u8], elements: &[u8]) -> PyResult<Zeroizing<Vec<u8>>> {
    if elements.len() % (2 * POINT) != 0 {
        return Err(bad("elements are two of 32 bytes for each transfer"));
    }
    let scalars = sender_scalars(key, elements.len() / (2 * POINT))?;
    let mut keys = Zeroizing::new(Vec::with_capacity(scalars.len() * 2 * KEY));
    for (index, (pair, scalar)) in elements.chunks_exact(2 * POINT).zip(scalars.iter()).enumerate() {
        let encoded = [&pair[..POINT], &pair[POINT..]];
        let points = [decode(encoded[0])?, decode(encoded[1])?];
        for slot in 0..2 {
            let blinded = points[slot] + hash_to_point(domain, index, slot as u8, encoded[1 - slot]);
            if blinded.is_identity() {
                return Err(bad("an element is the identity"));
            }
            keys.extend_from_slice(derive_key(domain, index, slot as u8, encoded, scalar * blinded).as_ref());
        }
    }
    Ok(keys)
}

fn receiver_keys(
    key: &[u8],
    domain: &[u8],
    choices: &[u8],
    own: &[u8],
    elements: &[u8],
) -> PyResult<Zeroizing<Vec<u8>>> {
    check_choices(choices)?;
    if own.len() != choices.len() * 2 * POINT || elements.len() != choices.len() * POINT {
        return Err(bad("64 own bytes and 32 of the peer for each choice"));
    }
    let mut keys = Zeroizing::new(Vec::with_capacity(choices.len() * KEY));
    for (index, ((scalar, _), &bit)) in receiver_draws(key, choices.len())?.iter().zip(choices).enumerate() {
        let sent = &own[index * 2 * POINT..(index + 1) * 2 * POINT];
        let element = decode(&elements[index * POINT..(index + 1) * POINT])?;
        let messages = [&sent[..POINT], &sent[POINT..]];
        keys.extend_from_slice(derive_key(domain, index, bit, messages, scalar * element).as_ref());
    }
    Ok(keys)
}

/// The receiver's two elements for each transfer.
#[pyfunction]
fn base_ot_receiver_message<'py>(
    py: Python<'py>,
    key: &[u8],
    domain: &[u8],
    choices: PyReadonlyArray1<'py, u8>,
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    let choices = in_row_order(&choices, "choices")?;
    Ok(py.detach(|| receiver_message(key, domain, choices))?.into_pyarray(py))
}

/// The sender's element for each transfer.
#[pyfunction]
fn base_ot_sender_message<'py>(py: Python<'py>, key: &[u8], count: usize) -> PyResult<Bound<'py, PyArray1<u8>>> {
    if count > 1 << 20 {
        return Err(bad("at most 2^20 base transfers"));
    }
    Ok(py.detach(|| sender_message(key, count))?.into_pyarray(py))
}

/// Both keys of each transfer, from the receiver's elements.
#[pyfunction]
fn base_ot_sender_keys<'py>(
    py: Python<'py>,
    key: &[u8],
    domain: &[u8],
    elements: &[u8],
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    Ok(take(&mut *py.detach(|| sender_keys(key, domain, elements))?).into_pyarray(py))
}

/// The chosen key of each transfer, from the sender's elements.
#[pyfunction]
fn base_ot_receiver_keys<'py>(
    py: Python<'py>,
    key: &[u8],
    domain: &[u8],
    choices: PyReadonlyArray1<'py, u8>,
    own: &[u8],
    elements: &[u8],
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    let choices = in_row_order(&choices, "choices")?;
    Ok(take(&mut *py.detach(|| receiver_keys(key, domain, choices, own, elements))?).into_pyarray(py))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(base_ot_receiver_message, module)?)?;
    module.add_function(wrap_pyfunction!(base_ot_sender_message, module)?)?;
    module.add_function(wrap_pyfunction!(base_ot_sender_keys, module)?)?;
    module.add_function(wrap_pyfunction!(base_ot_receiver_keys, module)?)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wipe::look::freed_with;

    #[test]
    fn keys_agree_at_the_choice_and_only_there() {
        let choices = [0u8, 1, 1, 0];
        let sent = receiver_message(&[1; 32], b"domain", &choices).unwrap();
        let answer = sender_message(&[2; 32], 4).unwrap();
        let both = sender_keys(&[2; 32], b"domain", &sent).unwrap();
        let chosen = receiver_keys(&[1; 32], b"domain", &choices, &sent, &answer).unwrap();
        for (index, &bit) in choices.iter().enumerate() {
            let own = &chosen[index * KEY..(index + 1) * KEY];
            let at = |slot: usize| &both[(2 * index + slot) * KEY..(2 * index + slot + 1) * KEY];
            assert_eq!(own, at(usize::from(bit)));
            assert_ne!(own, at(1 - usize::from(bit)));
        }
    }

    #[test]
    fn scalars_and_keys_are_wiped_also_where_a_later_element_is_refused() {
        let (receiver, sender) = ([1; 32], [2; 32]);
        let mut sent = receiver_message(&receiver, b"domain", &[1, 0]).unwrap();
        let mut answer = sender_message(&sender, 2).unwrap();
        let both = sender_keys(&sender, b"domain", &sent).unwrap();
        let chosen = receiver_keys(&receiver, b"domain", &[1, 0], &sent, &answer).unwrap();
        let drawn = receiver_draws(&receiver, 1).unwrap()[0].0.to_bytes();
        let scalar = sender_scalars(&sender, 1).unwrap()[0].to_bytes();
        assert_eq!(freed_with(&drawn, || receiver_message(&receiver, b"domain", &[1, 0])), 0);
        assert_eq!(freed_with(&scalar, || sender_message(&sender, 2)), 0);
        for spoilt in [false, true] {
            if spoilt {
                sent[3 * POINT..].fill(0xff);
                answer[POINT..].fill(0xff);
            }
            for needle in [&both[..KEY], &scalar] {
                assert_eq!(freed_with(needle, || drop(sender_keys(&sender, b"domain", &sent))), 0);
            }
            for needle in [&chosen[..KEY], &drawn] {
                let keys = || drop(receiver_keys(&receiver, b"domain", &[1, 0], &sent, &answer));
                assert_eq!(freed_with(needle, keys), 0);
            }
        }
        assert!(sender_keys(&sender, b"domain", &sent).is_err());
        assert!(receiver_keys(&receiver, b"domain", &[1, 0], &sent, &answer).is_err());
    }

    #[test]
    fn identity_and_non_canonical_elements_are_refused() {
        let sent = receiver_message(&[1; 32], b"domain", &[0]).unwrap();
        for wrong in [[0u8; POINT], [0xff; POINT]] {
            let mut bytes = sent.clone();
            bytes[POINT..].copy_from_slice(&wrong);
            assert!(sender_keys(&[2; 32], b"domain", &bytes).is_err());
            assert!(receiver_keys(&[1; 32], b"domain", &[0], &sent, &wrong).is_err());
        }
    }
}
