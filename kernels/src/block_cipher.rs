//! AES-128 on many blocks: two in a register where the processor has VAES, else by the `aes` crate.
//!
//! The crate uses AES-NI where it finds it, and constant-time code elsewhere. Both paths take constant time.

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128Enc, Block};
use std::mem::MaybeUninit;
use zeroize::optimization_barrier;

use crate::instructions::instructions;
use crate::wipe::{redacted, Wiped};

pub(crate) const KEY: usize = 16;
/// Blocks of a stream that are on the stack at a time.
const CHUNK: usize = 32;

/// A scheduled key; it is wiped when it is dropped.
pub(crate) enum Cipher {
    #[cfg(target_arch = "x86_64")]
    Vaes(vaes::RoundKeys),
    Crate(Schedule),
}

redacted!(Cipher);

/// A schedule of the crate. It is a union of the largest of its kinds: what the smaller one in use does not fill is
/// whatever lay on the stack when it was made, the key perhaps, so all of it is wiped, not the schedule alone.
pub(crate) struct Schedule(Box<MaybeUninit<Aes128Enc>>);

impl Schedule {
    fn new(key: &[u8; KEY]) -> Self {
        Self(Box::new(MaybeUninit::new(Aes128Enc::new(key.into()))))
    }

    fn cipher(&self) -> &Aes128Enc {
        // SAFETY: it is initialised until it is dropped.
        unsafe { self.0.assume_init_ref() }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        // SAFETY: it is initialised, and not used after this; its place is our own and stays so.
        unsafe {
            self.0.assume_init_drop();
            std::ptr::write_bytes(self.0.as_mut_ptr(), 0, 1);
        }
        optimization_barrier(&*self.0); // the writes are not removed as dead
    }
}

impl Cipher {
    pub(crate) fn new(key: &[u8; KEY]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if instructions().vaes {
            // SAFETY: the instructions are there.
            return Cipher::Vaes(unsafe { vaes::RoundKeys::new(key) });
        }
        Cipher::portable(key)
    }

    pub(crate) fn portable(key: &[u8; KEY]) -> Self {
        Cipher::Crate(Schedule::new(key))
    }

    pub(crate) fn encrypt(&self, blocks: &mut [Block]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: such a schedule is made only where the instructions are.
            Cipher::Vaes(keys) => unsafe { vaes::encrypt(keys, blocks) },
            Cipher::Crate(schedule) => schedule.cipher().encrypt_blocks(blocks),
        }
    }

    /// Writes the encryptions of counters, or of other public blocks, as little-endian words.
    pub(crate) fn stream(&self, counters: &[Block], out: &mut [[u64; 2]]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Cipher::Vaes(keys) => unsafe { vaes::stream(keys, counters, out) },
            Cipher::Crate(schedule) => {
                let cipher = schedule.cipher();
                for (counters, out) in counters.chunks(CHUNK).zip(out.chunks_mut(CHUNK)) {
                    let mut blocks = Wiped::new([Block::default(); CHUNK]);
                    let blocks = &mut blocks[..counters.len()];
                    blocks.copy_from_slice(counters);
                    cipher.encrypt_blocks(blocks);
                    for (out, block) in out.iter_mut().zip(blocks.iter()) {
                        *out = words_of(block);
                    }
                }
            }
        }
    }
}

pub(crate) fn words_of(block: &Block) -> [u64; 2] {
    let word = u128::from_le_bytes((*block).into());
    [word as u64, (word >> 64) as u64]
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod vaes {
    //! What is made of `_mm256_aesenc_epi128`. All of it asks for `vaes`, `aes` and `avx2`.

    use super::{words_of, KEY};
    use crate::wipe::Wiped;
    use aes::Block;
    use std::arch::x86_64::*;
    use zeroize::Zeroize;

    const ROUNDS: usize = 10;
    /// Registers that are encrypted side by side: as many as hide an instruction's latency, and half of all there are.
    pub(crate) const SIDE: usize = 8;
    /// Blocks in so many registers.
    pub(crate) const BLOCKS: usize = 2 * SIDE;

    /// The eleven round keys.
    pub(crate) struct RoundKeys([[u8; KEY]; ROUNDS + 1]);

    impl Drop for RoundKeys {
        fn drop(&mut self) {
            self.0.zeroize();
        }
    }

    /// Every round key, twice in a register.
    pub(crate) type Doubled = Wiped<[__m256i; ROUNDS + 1]>;

    impl RoundKeys {
        #[target_feature(enable = "aes")]
        pub(crate) unsafe fn new(key: &[u8; KEY]) -> Self {
            let mut keys = Self([[0; KEY]; ROUNDS + 1]);
            keys.0[0] = *key;
            macro_rules! round {
                ($($number:literal $constant:literal),+) => {
                    $({
                        let last = load(&keys.0[$number - 1]);
                        let word = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<$constant>(last));
                        let once = _mm_xor_si128(last, _mm_slli_si128::<4>(last));
                        let all = _mm_xor_si128(once, _mm_slli_si128::<8>(once));
                        _mm_storeu_si128(keys.0[$number].as_mut_ptr().cast(), _mm_xor_si128(all, word));
                    })+
                };
            }
            round!(1 0x01, 2 0x02, 3 0x04, 4 0x08, 5 0x10, 6 0x20, 7 0x40, 8 0x80, 9 0x1b, 10 0x36);
            keys
        }

        #[inline]
        #[target_feature(enable = "avx2")]
        pub(crate) unsafe fn doubled(&self) -> Doubled {
            let mut doubled = Wiped::new([_mm256_setzero_si256(); ROUNDS + 1]);
            for (doubled, key) in doubled.iter_mut().zip(&self.0) {
                *doubled = _mm256_broadcastsi128_si256(load(key));
            }
            doubled
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn load(key: &[u8; KEY]) -> __m128i {
        _mm_loadu_si128(key.as_ptr().cast())
    }

    /// Encrypts sixteen blocks.
    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    pub(crate) unsafe fn rounds(keys: &Doubled, pairs: &mut [__m256i; SIDE]) {
        for pair in pairs.iter_mut() {
            *pair = _mm256_xor_si256(*pair, keys[0]);
        }
        for key in &keys[1..ROUNDS] {
            for pair in pairs.iter_mut() {
                *pair = _mm256_aesenc_epi128(*pair, *key);
            }
        }
        for pair in pairs.iter_mut() {
            *pair = _mm256_aesenclast_epi128(*pair, keys[ROUNDS]);
        }
    }

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn encrypted(keys: &Doubled, blocks: &[Block; BLOCKS]) -> [__m256i; SIDE] {
        let mut pairs = [_mm256_setzero_si256(); SIDE];
        for (pair, two) in pairs.iter_mut().zip(blocks.chunks_exact(2)) {
            *pair = _mm256_loadu_si256(two.as_ptr().cast());
        }
        rounds(keys, &mut pairs);
        pairs
    }

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn encrypt_full(keys: &Doubled, blocks: &mut [Block; BLOCKS]) {
        for (pair, two) in encrypted(keys, blocks).iter().zip(blocks.chunks_exact_mut(2)) {
            _mm256_storeu_si256(two.as_mut_ptr().cast(), *pair);
        }
    }

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn encrypt_rest(keys: &Doubled, rest: &[Block]) -> Wiped<[Block; BLOCKS]> {
        let mut filled = Wiped::new([Block::default(); BLOCKS]);
        filled[..rest.len()].copy_from_slice(rest);
        encrypt_full(keys, &mut filled);
        filled
    }

    #[target_feature(enable = "vaes,avx2")]
    pub(crate) unsafe fn encrypt(keys: &RoundKeys, blocks: &mut [Block]) {
        let keys = keys.doubled();
        let (full, rest) = blocks.as_chunks_mut::<BLOCKS>();
        for blocks in full {
            encrypt_full(&keys, blocks);
        }
        if !rest.is_empty() {
            let filled = encrypt_rest(&keys, rest);
            rest.copy_from_slice(&filled[..rest.len()]);
        }
    }

    #[target_feature(enable = "vaes,avx2")]
    pub(crate) unsafe fn stream(keys: &RoundKeys, counters: &[Block], out: &mut [[u64; 2]]) {
        let keys = keys.doubled();
        let (full, rest) = counters.as_chunks::<BLOCKS>();
        let (out_full, out_rest) = out.as_chunks_mut::<BLOCKS>();
        for (blocks, out) in full.iter().zip(out_full) {
            for (pair, two) in encrypted(&keys, blocks).iter().zip(out.chunks_exact_mut(2)) {
                _mm256_storeu_si256(two.as_mut_ptr().cast(), *pair);
            }
        }
        if !rest.is_empty() {
            for (out, block) in out_rest.iter_mut().zip(encrypt_rest(&keys, rest).iter()) {
                *out = words_of(block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wipe::look::{dropped, freed_with, holds};

    /// FIPS 197, appendix C.1.
    const FIPS_KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    const FIPS_PLAIN: u128 = 0xffee_ddcc_bbaa_9988_7766_5544_3322_1100;
    const FIPS_CIPHER: [u8; 16] =
        [0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30, 0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a];

    fn both(key: &[u8; 16]) -> [Cipher; 2] {
        [Cipher::new(key), Cipher::portable(key)]
    }

    #[test]
    fn both_paths_give_the_published_answer() {
        for cipher in both(&FIPS_KEY) {
            let mut blocks = [Block::from(FIPS_PLAIN.to_le_bytes())];
            cipher.encrypt(&mut blocks);
            assert_eq!(blocks[0][..], FIPS_CIPHER);
        }
    }

    #[test]
    fn both_paths_agree_for_any_number_of_blocks() {
        for count in 0..70u128 {
            let key = (count * 0x1234_5678_9abc_def1_0fed_cba9).to_le_bytes();
            let [mut native, mut portable]: [Vec<Block>; 2] =
                [0, 1].map(|_| (0..count).map(|block| (block * 0xf00d_1111_2222_3333).to_le_bytes().into()).collect());
            let [first, second] = both(&key);
            first.encrypt(&mut native);
            second.encrypt(&mut portable);
            assert_eq!(native, portable);
            let counters: Vec<Block> = (0..count).map(|block| (block << 60).to_le_bytes().into()).collect();
            let [mut native, mut portable] = [0, 1].map(|_| vec![[0; 2]; count as usize]);
            first.stream(&counters, &mut native);
            second.stream(&counters, &mut portable);
            let mut blocks = counters;
            second.encrypt(&mut blocks);
            assert_eq!(native, portable);
            assert_eq!(native, blocks.iter().map(words_of).collect::<Vec<_>>());
        }
    }

    #[test]
    fn schedules_are_overwritten() {
        let key = *b"a secret that is";
        for cipher in [Cipher::new, Cipher::portable] {
            let (before, after) = dropped(cipher(&key));
            assert!(matches!(cipher(&key), Cipher::Crate(_)) || holds(&before, &key));
            assert!(!holds(&after, &key));
            assert_eq!(freed_with(&key, || drop(Box::new(cipher(&key)))), 0);
        }
    }
}
