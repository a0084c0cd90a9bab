//! What ring-LWE draws, each from a labelled ChaCha20 stream: (32-byte key, 64-bit stream number).
//!
//! Every draw takes whole bytes in order, so that a slow reference reads the same stream. Rejection depends on random
//! bytes alone.

use rand_chacha::rand_core::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroize;

use crate::wipe::{redacted, Wiped};

use super::ring::{primes, Element, Prime, DEGREE, PRIME_BYTES};

const BUFFER: usize = 1024;
/// Each of two sums adds this many fair bits; an error is their difference.
const ERROR_BITS: u32 = 21;
const ERROR_BYTES: usize = 6;

/// Reads a generator byte by byte.
pub struct Stream<R: RngCore> {
    rng: R,
    buffer: [u8; BUFFER],
    at: usize,
}

/// A stream of a secret key, or of a public seed.
pub type KeyStream = Stream<Wiped<ChaCha20Rng>>;

redacted!(KeyStream);

impl KeyStream {
    /// Opens stream `number` of `key`.
    pub fn open(key: &[u8; 32], number: u64) -> Self {
        let mut rng = Wiped::new(ChaCha20Rng::from_seed(*key));
        rng.set_stream(number);
        Stream::new(rng)
    }
}

impl<R: RngCore> Stream<R> {
    fn new(rng: R) -> Self {
        Stream { rng, buffer: [0; BUFFER], at: BUFFER }
    }

    #[inline(always)]
    fn take<const COUNT: usize>(&mut self) -> [u8; 8] {
        let mut word = [0; 8];
        if self.at + COUNT <= BUFFER {
            word[..COUNT].copy_from_slice(&self.buffer[self.at..self.at + COUNT]);
            self.at += COUNT;
        } else {
            for byte in &mut word[..COUNT] {
                if self.at == BUFFER {
                    self.rng.fill_bytes(&mut self.buffer);
                    self.at = 0;
                }
                *byte = self.buffer[self.at];
                self.at += 1;
            }
        }
        word
    }

    /// A uniform residue: 7 bytes, again while they are not under p.
    pub fn residue(&mut self, prime: &Prime) -> u64 {
        loop {
            let value = u64::from_le_bytes(self.take::<PRIME_BYTES>());
            if value < prime.p {
                return value;
            }
        }
    }

    /// Uniform in {-1, 0, 1}: a byte mod 3 less 1, again while the byte is 255.
    pub fn ternary(&mut self) -> i8 {
        loop {
            let byte = self.take::<1>()[0];
            if byte != u8::MAX {
                return (byte % 3) as i8 - 1;
            }
        }
    }

    /// Centred binomial: ones in bits 0 to 20 less ones in bits 21 to 41 of 6 bytes.
    pub fn error(&mut self) -> i64 {
        const MASK: u64 = (1 << ERROR_BITS) - 1;
        let bits = u64::from_le_bytes(self.take::<ERROR_BYTES>());
        (bits & MASK).count_ones() as i64 - ((bits >> ERROR_BITS) & MASK).count_ones() as i64
    }

    /// `DEGREE` errors.
    pub fn errors(&mut self) -> Vec<i64> {
        (0..DEGREE).map(|_| self.error()).collect()
    }

    /// `DEGREE` ternary coefficients.
    pub fn ternaries(&mut self) -> Vec<i8> {
        (0..DEGREE).map(|_| self.ternary()).collect()
    }

    /// A uniform element: all residues of the first prime, then of the second, then of the third.
    pub fn element(&mut self) -> Element {
        std::array::from_fn(|i| (0..DEGREE).map(|_| self.residue(&primes()[i])).collect())
    }
}

impl<R: RngCore> Drop for Stream<R> {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wipe::look::{dropped, holds};

    /// Yields the bytes of a list, then zeros.
    struct Fixed(Vec<u8>);

    impl RngCore for Fixed {
        fn next_u32(&mut self) -> u32 {
            0
        }
        fn next_u64(&mut self) -> u64 {
            0
        }
        fn fill_bytes(&mut self, out: &mut [u8]) {
            out.fill(0);
            let count = self.0.len().min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
        }
        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rand_chacha::rand_core::Error> {
            self.fill_bytes(out);
            Ok(())
        }
    }

    #[test]
    fn residue_rejects_what_is_not_under_the_prime() {
        let prime = &primes()[0];
        let mut bytes = vec![0xff; 7];
        bytes.extend(&prime.p.to_le_bytes()[..7]);
        bytes.extend(&(prime.p - 1).to_le_bytes()[..7]);
        assert_eq!(Stream::new(Fixed(bytes)).residue(prime), prime.p - 1);
    }

    #[test]
    fn a_stream_wipes_its_key_and_its_buffer() {
        let key = *b"a key of thirty-two bytes, as is";
        let mut stream = Stream::open(&key, 3);
        stream.ternary();
        let drawn = stream.buffer[..16].to_vec();
        let (before, after) = dropped(stream);
        assert!(holds(&before, &key) && holds(&before, &drawn));
        assert!(!holds(&after, &key[..16]) && !holds(&after, &drawn));
        assert_eq!(format!("{:?}", Stream::open(&key, 3)), "KeyStream(..)");
    }

    #[test]
    fn ternary_rejects_255_and_covers_three_values() {
        let mut stream = Stream::new(Fixed(vec![255, 255, 0, 1, 2, 254]));
        assert_eq!([stream.ternary(), stream.ternary(), stream.ternary(), stream.ternary()], [-1, 0, 1, 1]);
    }

    #[test]
    fn error_reaches_both_ends() {
        let top = ((1u64 << 21) - 1).to_le_bytes();
        let bottom = (((1u64 << 21) - 1) << 21).to_le_bytes();
        let ignored = (!0u64 << 42).to_le_bytes();
        let bytes = [&top[..6], &bottom[..6], &ignored[..6]].concat();
        let mut stream = Stream::new(Fixed(bytes));
        assert_eq!([stream.error(), stream.error(), stream.error()], [21, -21, 0]);
    }
}
