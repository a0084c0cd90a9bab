//! HMAC-SHA-256 (RFC 2104) of sixteen messages at once, under one key of 32 bytes.

use zeroize::Zeroizing;

use crate::lanes::{
    compress_one, compress_words, digests, pad, spread, BlockWords, Digest, State, States, BLOCK_BYTES, DIGEST_BYTES,
    LANES, START,
};
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

    /// The tags of sixteen messages that each fill a block with their padding, as `padded` makes it; words × lanes.
    pub(crate) fn tags_of_blocks(&self, blocks: &BlockWords) -> States {
        let mut inner = spread(&self.inner);
        compress_words(&mut inner, blocks);
        let mut words = [[0; LANES]; 16];
        words[..8].copy_from_slice(&inner);
        words[8] = [0x8000_0000; LANES];
        words[15] = [8 * (BLOCK_BYTES + DIGEST_BYTES) as u32; LANES];
        let mut tags = spread(&self.outer);
        compress_words(&mut tags, &words);
        tags
    }

    /// The words of a message with its padding; None where a block does not hold both.
    pub(crate) fn padded(message: &[u8]) -> Option<[u32; 16]> {
        if message.len() > BLOCK_BYTES - 9 {
            return None;
        }
        let mut block = [0; BLOCK_BYTES];
        block[..message.len()].copy_from_slice(message);
        pad(&mut block, message.len(), BLOCK_BYTES + message.len());
        let (words, _) = block.as_chunks();
        Some(std::array::from_fn(|at| u32::from_be_bytes(words[at])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::digest_of;
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

    #[test]
    fn messages_of_a_block_have_the_same_tags() {
        let (mac, message) = (Mac::new(b"a key of thirty-two bytes, as is"), [0xab; 60]);
        for length in 0..=55 {
            let lengths: [usize; LANES] = std::array::from_fn(|lane| (length + 7 * lane) % 56);
            let blocks = lengths.map(|length| Mac::padded(&message[..length]).unwrap_or_default());
            let tags = mac.tags_of_blocks(&std::array::from_fn(|at| blocks.map(|block| block[at])));
            let expected = mac.tags(&lengths.map(|length| &message[..length]));
            assert_eq!(std::array::from_fn(|lane| digest_of(&tags, lane)), expected);
        }
        assert_eq!(Mac::padded(&message[..56]), None);
    }
}
