//! A key of 16 bytes, and the same as two words whose order is that of its bytes.

pub(crate) const KEY_BYTES: usize = 16;
pub(crate) const KEY_WORDS: usize = KEY_BYTES / 8;

/// A key as words.
pub(crate) type Key = [u64; KEY_WORDS];

pub(crate) fn words_of_key(key: &[u8; KEY_BYTES]) -> Key {
    let key = u128::from_be_bytes(*key);
    [(key >> 64) as u64, key as u64]
}

pub(crate) fn key_of_words(&[high, low]: &Key) -> [u8; KEY_BYTES] {
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}
