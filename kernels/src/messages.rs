//! Keys of many short messages behind one head: SHA-256, sixteen at a time, cut to 16 bytes.

use crate::key::{words_of_key, Key, KEY_BYTES};
use crate::lanes::{compress, digests, pad, spread, Block, BLOCK_BYTES, LANES, START};

/// What padding needs of a block at least: a bit and the length.
const PAD_BYTES: usize = 9;

/// Messages that wait until there are sixteen to digest: those of one block apart from longer ones.
pub(crate) struct Messages<'a> {
    head: &'a [u8],
    form: Vec<u8>, // of the text at hand
    blocks: [Block; LANES],
    block_places: [usize; LANES],
    in_blocks: usize,
    long: [Vec<u8>; LANES],
    long_places: [usize; LANES],
    in_long: usize,
}

impl<'a> Messages<'a> {
    pub(crate) fn new(head: &'a [u8]) -> Self {
        let mut block = [0; BLOCK_BYTES];
        if let Some(start) = block.get_mut(..head.len()) {
            start.copy_from_slice(head);
        }
        Messages {
            head,
            form: Vec::new(),
            blocks: [block; LANES],
            block_places: [0; LANES],
            in_blocks: 0,
            long: Default::default(),
            long_places: [0; LANES],
            in_long: 0,
        }
    }

    /// Where the form of the next text goes.
    pub(crate) fn next(&mut self) -> &mut Vec<u8> {
        self.form.clear();
        &mut self.form
    }

    /// Keeps that form for the key at `place`.
    pub(crate) fn keep(&mut self, place: usize, keys: &mut [Key]) {
        let length = self.head.len() + self.form.len();
        if length + PAD_BYTES <= BLOCK_BYTES {
            let block = &mut self.blocks[self.in_blocks];
            block[self.head.len()..length].copy_from_slice(&self.form);
            pad(block, length, length);
            self.block_places[self.in_blocks] = place;
            self.in_blocks += 1;
            if self.in_blocks == LANES {
                self.write_blocks(keys);
            }
        } else {
            let message = &mut self.long[self.in_long];
            message.clear();
            message.extend_from_slice(self.head);
            message.extend_from_slice(&self.form);
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
                messages.next().extend((0..place).map(|at| (at * place) as u8));
                messages.keep(place, &mut keys);
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
