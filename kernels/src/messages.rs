//! Keys of many short messages behind one head: SHA-256, sixteen at a time, cut to 16 bytes.

use crate::key::{words_of_key, Key, KEY_BYTES};
use crate::lanes::{compress, digests, spread, Block, BLOCK_BYTES, LANES, START};

/// What padding needs of a block at least: a bit and the length.
const PAD_BYTES: usize = 9;

/// Messages that wait until there are sixteen to digest: those of one block apart from longer ones.
pub(crate) struct Messages<'a> {
    head: &'a [u8],
    empty: Block, // the head, if it fits, and zeros
    blocks: [Block; LANES],
    block_places: [usize; LANES],
    in_blocks: usize,
    long: [Vec<u8>; LANES],
    long_places: [usize; LANES],
    in_long: usize,
}

/// Copies the first and the last N bytes where these are all, so that a short text is no call to copy.
fn copied<const N: usize>(from: &[u8], to: &mut [u8]) -> bool {
    match (from.first_chunk::<N>(), from.last_chunk::<N>()) {
        (Some(first), Some(last)) if from.len() <= 2 * N => {
            to[..N].copy_from_slice(first);
            to[from.len() - N..from.len()].copy_from_slice(last);
            true
        }
        _ => false,
    }
}

impl<'a> Messages<'a> {
    pub(crate) fn new(head: &'a [u8]) -> Self {
        let mut block = [0; BLOCK_BYTES];
        if let Some(start) = block.get_mut(..head.len()) {
            start.copy_from_slice(head);
        }
        Messages {
            head,
            empty: block,
            blocks: [block; LANES],
            block_places: [0; LANES],
            in_blocks: 0,
            long: Default::default(),
            long_places: [0; LANES],
            in_long: 0,
        }
    }

    /// Adds the message of a form, for the key at `place`.
    pub(crate) fn add(&mut self, form: &[u8], place: usize, keys: &mut [Key]) {
        let length = self.head.len() + form.len();
        if length + PAD_BYTES <= BLOCK_BYTES {
            let block = &mut self.blocks[self.in_blocks];
            *block = self.empty;
            let own = &mut block[self.head.len()..length];
            if !(copied::<8>(form, own) || copied::<4>(form, own) || copied::<16>(form, own)) {
                own.copy_from_slice(form);
            }
            block[length] = 0x80;
            block[BLOCK_BYTES - 2..].copy_from_slice(&(8 * length as u16).to_be_bytes());
            self.block_places[self.in_blocks] = place;
            self.in_blocks += 1;
            if self.in_blocks == LANES {
                self.write_blocks(keys);
            }
        } else {
            let message = &mut self.long[self.in_long];
            message.clear();
            message.extend_from_slice(self.head);
            message.extend_from_slice(form);
            self.long_places[self.in_long] = place;
            self.in_long += 1;
            if self.in_long == LANES {
                self.write_long(keys);
            }
        }
    }

    /// Writes the keys that still wait.
    pub(crate) fn finish(&mut self, keys: &mut [Key]) {
        self.write_blocks(keys);
        self.write_long(keys);
    }

    fn write_blocks(&mut self, keys: &mut [Key]) {
        if self.in_blocks == 0 {
            return;
        }
        let mut states = spread(&START);
        compress(&mut states, &self.blocks);
        let word = |at: usize, lane: usize| u64::from(states[at][lane]) << 32 | u64::from(states[at + 1][lane]);
        for (lane, &place) in self.block_places[..self.in_blocks].iter().enumerate() {
            keys[place] = [word(0, lane), word(2, lane)];
        }
        self.in_blocks = 0;
    }

    fn write_long(&mut self, keys: &mut [Key]) {
        let views = self.long.each_ref().map(Vec::as_slice);
        let found = digests(&START, 0, &views[..self.in_long]);
        for (digest, &place) in found.iter().zip(&self.long_places[..self.in_long]) {
            keys[place] = words_of_key(&digest.as_chunks::<KEY_BYTES>().0[0]);
        }
        self.in_long = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn keys_are_heads_of_sha_256_whatever_the_lengths() {
        let word = |bytes: &[u8]| bytes.iter().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
        for head in [0, 1, 22, 54, 55, 56, 64, 90] {
            let head = vec![7u8; head];
            let (mut messages, mut keys) = (Messages::new(&head), vec![[0; 2]; 150]);
            for place in 0..keys.len() {
                let form: Vec<u8> = (0..place).map(|at| (at * place) as u8).collect();
                messages.add(&form, place, &mut keys);
            }
            messages.finish(&mut keys);
            for (place, key) in keys.iter().enumerate() {
                let form: Vec<u8> = (0..place).map(|at| (at * place) as u8).collect();
                let digest = Sha256::digest([head.as_slice(), &form].concat());
                assert_eq!(*key, [word(&digest[..8]), word(&digest[8..16])]);
            }
        }
    }
}
