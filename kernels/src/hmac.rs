//! HMAC-SHA-256 (RFC 2104) of sixteen messages at once, under one key of 32 bytes.

use zeroize::Zeroizing;

use crate::lanes::{compress_one, digests, Digest, State, BLOCK_BYTES, LANES, START};
use crate::wipe::redacted;

/// A key, with both pads hashed once.
pub(crate) struct Mac {
    inner: Zeroizing<State>,
    outer: Zeroizing<State>,
}

redacted!(Mac);

impl Mac {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let half = |fill: u8| {
            let mut block = Zeroizing::new([fill; BLOCK_BYTES]);
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut state = Zeroizing::new(START);
            compress_one(&mut state, &block);
            state
        };
        Mac { inner: half(0x36), outer: half(0x5c) }
    }

    /// The tags of up to sixteen messages; the rest is zero.
    pub(crate) fn tags(&self, messages: &[&[u8]]) -> [Digest; LANES] {
        let inner = digests(&self.inner, BLOCK_BYTES, messages);
        let inner = inner.each_ref().map(Digest::as_slice);
        digests(&self.outer, BLOCK_BYTES, &inner[..messages.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wipe::look::{dropped, holds};

    #[test]
    fn the_key_s_states_are_wiped() {
        let key = *b"a key of thirty-two bytes, as is";
        // what the states hold of the key: eight words in the machine's order
        let state = |pad: u8| -> [u32; 8] {
            let mut block = [pad; BLOCK_BYTES];
            block.iter_mut().zip(&key).for_each(|(byte, key)| *byte ^= key);
            let mut state = START;
            sha2::compress256(&mut state, &[block.into()]);
            state
        };
        let (before, after) = dropped(Mac::new(&key));
        for pad in [0x36, 0x5c] {
            let state = state(pad).map(u32::to_ne_bytes).concat();
            assert!(holds(&before, &state));
        }
        assert!(after.iter().all(|&byte| byte == 0));
        assert_eq!(format!("{:?}", Mac::new(&key)), "Mac(..)");
    }

    /// RFC 4231, test case 4 has a key of 25 bytes; zeros behind a key are the same key.
    #[test]
    fn tags_are_those_of_rfc_4231() {
        let key: [u8; 32] = std::array::from_fn(|at| if at < 25 { at as u8 + 1 } else { 0 });
        let tag = "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b";
        let tags = Mac::new(&key).tags(&[&[0xcd; 50], &[0xcd; 50]]);
        for tag_found in &tags[..2] {
            let hex: String = tag_found.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, tag);
        }
        assert_eq!(tags[2], [0; 32]);
    }
}
