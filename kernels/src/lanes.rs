//! SHA-256 of sixteen messages at once: commitments and row keys hash millions of short ones.
//!
//! With AVX-512 a register holds one word of all sixteen; elsewhere the `sha2` crate compresses lane by lane, with the
//! processor's SHA instructions where it has them. FIPS 180-4, section 6.2.2.

use crate::key::Key;

pub(crate) const LANES: usize = 16;
pub(crate) const BLOCK_BYTES: usize = 64;
pub(crate) const DIGEST_BYTES: usize = 32;

pub(crate) type Block = [u8; BLOCK_BYTES];
pub(crate) type Digest = [u8; DIGEST_BYTES];
pub(crate) type State = [u32; 8];
/// Sixteen states: word × lane.
pub(crate) type States = [[u32; LANES]; 8];

/// The initial value, FIPS 180-4, section 5.3.3.
pub(crate) const START: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The same state in every lane.
pub(crate) fn spread(state: &State) -> States {
    state.map(|word| [word; LANES])
}

/// Writes a lane's digest.
pub(crate) fn digest_of(states: &States, lane: usize) -> Digest {
    let mut digest = [0; DIGEST_BYTES];
    for (bytes, words) in digest.chunks_exact_mut(4).zip(states) {
        bytes.copy_from_slice(&words[lane].to_be_bytes());
    }
    digest
}

/// Ends a message in its last block: the bytes after `used` become the padding of a message of `length` bytes.
pub(crate) fn pad(block: &mut Block, used: usize, length: usize) {
    block[used] = 0x80;
    block[used + 1..BLOCK_BYTES - 8].fill(0);
    block[BLOCK_BYTES - 8..].copy_from_slice(&(8 * length as u64).to_be_bytes());
}

/// Compresses a block of one message.
pub(crate) fn compress_one(state: &mut State, block: &Block) {
    sha2::compress256(state, std::slice::from_ref(block.into()));
}

/// Compresses one block in every lane.
pub(crate) fn compress(states: &mut States, blocks: &[Block; LANES]) {
    #[cfg(target_arch = "x86_64")]
    if crate::instructions::instructions().avx512 {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { wide::compress(states, blocks) };
    }
    compress_portable(states, blocks);
}

/// Blocks of sixteen messages: word × lane.
pub(crate) type BlockWords = [[u32; LANES]; 16];

/// Compresses one block in every lane, given by its words.
pub(crate) fn compress_words(states: &mut States, words: &BlockWords) {
    #[cfg(target_arch = "x86_64")]
    if crate::instructions::instructions().avx512 {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { wide::compress_words(states, words) };
    }
    compress_words_portable(states, words);
}

fn compress_words_portable(states: &mut States, words: &BlockWords) {
    let block = |lane: usize| {
        let mut block = [0; BLOCK_BYTES];
        for (bytes, word) in block.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word[lane].to_be_bytes());
        }
        block
    };
    compress_portable(states, &std::array::from_fn(block));
}

/// Messages of one block that have a length and the first sixteen bytes in common.
pub(crate) trait Framed {
    /// The first four words.
    const HEAD: [u32; 4];
    /// Bytes of a message: from 40 to 43, so that the last of its words ends in padding.
    const BYTES: usize;
}

/// The seven words behind the head, the byte 0x80 and zeros behind the message in the last: word × lane.
pub(crate) type Framing = [[u32; LANES]; 7];

/// The first 16 bytes of the digest of a message in every lane. What all have in common is computed once, by the
/// compiler.
pub(crate) fn keys_framed<F: Framed>(own: &Framing) -> [Key; LANES] {
    #[cfg(target_arch = "x86_64")]
    if crate::instructions::instructions().avx512 {
        // SAFETY: the processor has what the function was compiled for.
        return unsafe { wide::keys_framed::<F>(own) };
    }
    keys_framed_portable::<F>(own)
}

fn keys_framed_portable<F: Framed>(own: &Framing) -> [Key; LANES] {
    let mut words = [[0; LANES]; 16];
    words.iter_mut().zip(F::HEAD).for_each(|(words, word)| *words = [word; LANES]);
    words[4..11].copy_from_slice(own);
    words[15] = [8 * F::BYTES as u32; LANES];
    let mut states = spread(&START);
    compress_words_portable(&mut states, &words);
    std::array::from_fn(|lane| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|word: usize| u64::from(states[word][lane]));
        [a << 32 | b, c << 32 | d]
    })
}

fn compress_portable(states: &mut States, blocks: &[Block; LANES]) {
    for (lane, block) in blocks.iter().enumerate() {
        let mut state = states.each_ref().map(|words| words[lane]);
        compress_one(&mut state, block);
        states.iter_mut().zip(state).for_each(|(words, word)| words[lane] = word);
    }
}

/// Digests of up to sixteen messages of any lengths, behind a common state that has taken `before` bytes, a multiple of
/// 64; the rest of the sixteen is zero.
pub(crate) fn digests(state: &State, before: usize, messages: &[&[u8]]) -> [Digest; LANES] {
    debug_assert!(messages.len() <= LANES && before % BLOCK_BYTES == 0);
    let mut counts = [0; LANES];
    counts.iter_mut().zip(messages).for_each(|(count, message)| *count = (message.len() + 9).div_ceil(BLOCK_BYTES));
    let most = counts.iter().copied().max().unwrap_or(0);
    let (mut states, mut out) = (spread(state), [[0; DIGEST_BYTES]; LANES]);
    let mut blocks = [[0u8; BLOCK_BYTES]; LANES];
    for number in 0..most {
        let at = number * BLOCK_BYTES;
        for ((block, message), &count) in blocks.iter_mut().zip(messages).zip(&counts) {
            match message.get(at..) {
                Some(rest) if rest.len() >= BLOCK_BYTES => block.copy_from_slice(&rest[..BLOCK_BYTES]),
                rest => {
                    *block = [0; BLOCK_BYTES];
                    if let Some(rest) = rest {
                        block[..rest.len()].copy_from_slice(rest);
                        block[rest.len()] = 0x80;
                    }
                    if number + 1 == count {
                        let bits = 8 * (before + message.len()) as u64;
                        block[BLOCK_BYTES - 8..].copy_from_slice(&bits.to_be_bytes());
                    }
                }
            }
        }
        compress(&mut states, &blocks);
        for (lane, &count) in counts.iter().enumerate() {
            if number + 1 == count {
                out[lane] = digest_of(&states, lane);
            }
        }
    }
    out
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{Block, BlockWords, Framed, Framing, Key, States, LANES, START};
    use std::arch::x86_64::*;

    /// FIPS 180-4, section 4.2.2.
    const ROUND: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
        0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
        0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
        0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
        0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
        0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
        0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2,
    ];
    const CHOOSE: i32 = 0xca;
    const MAJORITY: i32 = 0xe8;
    const PARITY: i32 = 0x96;

    /// Words of sixteen blocks, most significant byte first, as word × lane.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn words_of(blocks: &[Block; LANES]) -> [__m512i; LANES] {
        let order = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
        let row = |lane: usize| {
            // SAFETY: a block is 64 bytes, and the load needs no alignment.
            let block = unsafe { _mm512_loadu_si512(blocks[lane].as_ptr().cast()) };
            _mm512_shuffle_epi8(block, order)
        };
        let rows: [__m512i; LANES] = std::array::from_fn(row);
        let mut pairs = rows;
        for two in 0..8 {
            pairs[2 * two] = _mm512_unpacklo_epi32(rows[2 * two], rows[2 * two + 1]);
            pairs[2 * two + 1] = _mm512_unpackhi_epi32(rows[2 * two], rows[2 * two + 1]);
        }
        // fours[4 * f + w]: of lanes 4f to 4f + 3 the words w, 4 + w, 8 + w and 12 + w, four lanes each
        let mut fours = pairs;
        for four in 0..4 {
            let at = 4 * four;
            fours[at] = _mm512_unpacklo_epi64(pairs[at], pairs[at + 2]);
            fours[at + 1] = _mm512_unpackhi_epi64(pairs[at], pairs[at + 2]);
            fours[at + 2] = _mm512_unpacklo_epi64(pairs[at + 1], pairs[at + 3]);
            fours[at + 3] = _mm512_unpackhi_epi64(pairs[at + 1], pairs[at + 3]);
        }
        let mut words = fours;
        for word in 0..4 {
            let low = _mm512_shuffle_i32x4::<0x44>(fours[word], fours[4 + word]);
            let high = _mm512_shuffle_i32x4::<0xee>(fours[word], fours[4 + word]);
            let later_low = _mm512_shuffle_i32x4::<0x44>(fours[8 + word], fours[12 + word]);
            let later_high = _mm512_shuffle_i32x4::<0xee>(fours[8 + word], fours[12 + word]);
            words[word] = _mm512_shuffle_i32x4::<0x88>(low, later_low);
            words[4 + word] = _mm512_shuffle_i32x4::<0xdd>(low, later_low);
            words[8 + word] = _mm512_shuffle_i32x4::<0x88>(high, later_high);
            words[12 + word] = _mm512_shuffle_i32x4::<0xdd>(high, later_high);
        }
        words
    }

    macro_rules! rounds {
        ($state:ident, $words:ident, $first:expr; $($i:literal)*) => { $(
            let [a, b, c, e, f, g] = [0, 1, 2, 4, 5, 6].map(|place: usize| $state[(place + 16 - $i) % 8]);
            let sigma = _mm512_ternarylogic_epi32::<PARITY>(
                _mm512_ror_epi32::<6>(e), _mm512_ror_epi32::<11>(e), _mm512_ror_epi32::<25>(e));
            let constant = _mm512_set1_epi32(ROUND[$first + $i] as i32);
            let fed = _mm512_add_epi32($state[(7 + 16 - $i) % 8], _mm512_add_epi32(constant, $words[$i]));
            let chosen = _mm512_add_epi32(_mm512_ternarylogic_epi32::<CHOOSE>(e, f, g), sigma);
            let first = _mm512_add_epi32(fed, chosen);
            let sigma = _mm512_ternarylogic_epi32::<PARITY>(
                _mm512_ror_epi32::<2>(a), _mm512_ror_epi32::<13>(a), _mm512_ror_epi32::<22>(a));
            let second = _mm512_add_epi32(_mm512_ternarylogic_epi32::<MAJORITY>(a, b, c), sigma);
            $state[(3 + 16 - $i) % 8] = _mm512_add_epi32($state[(3 + 16 - $i) % 8], first);
            $state[(7 + 16 - $i) % 8] = _mm512_add_epi32(first, second);
        )* };
    }

    macro_rules! schedule {
        ($words:ident; $($i:literal)*) => { $(
            let (near, far) = ($words[($i + 14) % 16], $words[($i + 1) % 16]);
            let low = _mm512_ternarylogic_epi32::<PARITY>(
                _mm512_ror_epi32::<7>(far), _mm512_ror_epi32::<18>(far), _mm512_srli_epi32::<3>(far));
            let high = _mm512_ternarylogic_epi32::<PARITY>(
                _mm512_ror_epi32::<17>(near), _mm512_ror_epi32::<19>(near), _mm512_srli_epi32::<10>(near));
            let sum = _mm512_add_epi32($words[$i], $words[($i + 9) % 16]);
            $words[$i] = _mm512_add_epi32(_mm512_add_epi32(low, high), sum);
        )* };
    }

    /// One block in every lane.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn compress(states: &mut States, blocks: &[Block; LANES]) {
        compress_rows(states, words_of(blocks));
    }

    /// One block in every lane, given by its words.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn compress_words(states: &mut States, words: &BlockWords) {
        // SAFETY: a row of words is 64 bytes, and the load needs no alignment.
        compress_rows(states, std::array::from_fn(|at| unsafe { _mm512_loadu_si512(words[at].as_ptr().cast()) }));
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn compress_rows(states: &mut States, mut words: [__m512i; 16]) {
        // SAFETY: a row of the states is 64 bytes, and the load needs no alignment.
        let before: [__m512i; 8] =
            std::array::from_fn(|word| unsafe { _mm512_loadu_si512(states[word].as_ptr().cast()) });
        let mut state = before;
        for first in [0, 16, 32] {
            rounds!(state, words, first; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            schedule!(words; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        }
        rounds!(state, words, 48; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for (row, (before, after)) in states.iter_mut().zip(before.into_iter().zip(state)) {
            // SAFETY: as above, for a store.
            unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), _mm512_add_epi32(before, after)) };
        }
    }

    /// One message in every lane.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn keys_framed<F: Framed>(own: &Framing) -> [Key; LANES] {
        let mut words = [_mm512_setzero_si512(); 16];
        words[..4].copy_from_slice(&F::HEAD.map(|word| _mm512_set1_epi32(word as i32)));
        for (word, own) in words[4..11].iter_mut().zip(own) {
            // SAFETY: a row of words is 64 bytes, and the load needs no alignment.
            *word = unsafe { _mm512_loadu_si512(own.as_ptr().cast()) };
        }
        words[15] = _mm512_set1_epi32(8 * F::BYTES as i32);
        let before = START.map(|word| _mm512_set1_epi32(word as i32));
        let mut state = before;
        rounds!(state, words, 0; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        schedule!(words; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        rounds!(state, words, 16; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        schedule!(words; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        rounds!(state, words, 32; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        schedule!(words; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        rounds!(state, words, 48; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        let [a, b, c, d]: [__m512i; 4] = std::array::from_fn(|word| _mm512_add_epi32(before[word], state[word]));
        let (high, low) = (
            [_mm512_unpacklo_epi32(b, a), _mm512_unpackhi_epi32(b, a)],
            [_mm512_unpacklo_epi32(d, c), _mm512_unpackhi_epi32(d, c)],
        );
        // fours[k]: the keys of lanes k, 4 + k, 8 + k and 12 + k
        let fours = [
            _mm512_unpacklo_epi64(high[0], low[0]),
            _mm512_unpackhi_epi64(high[0], low[0]),
            _mm512_unpacklo_epi64(high[1], low[1]),
            _mm512_unpackhi_epi64(high[1], low[1]),
        ];
        let low = [_mm512_shuffle_i32x4::<0x44>(fours[0], fours[1]), _mm512_shuffle_i32x4::<0x44>(fours[2], fours[3])];
        let high = [_mm512_shuffle_i32x4::<0xee>(fours[0], fours[1]), _mm512_shuffle_i32x4::<0xee>(fours[2], fours[3])];
        let ordered = [
            _mm512_shuffle_i32x4::<0x88>(low[0], low[1]),
            _mm512_shuffle_i32x4::<0xdd>(low[0], low[1]),
            _mm512_shuffle_i32x4::<0x88>(high[0], high[1]),
            _mm512_shuffle_i32x4::<0xdd>(high[0], high[1]),
        ];
        let mut keys = [[0; 2]; LANES];
        for (keys, found) in keys.as_chunks_mut::<4>().0.iter_mut().zip(ordered) {
            // SAFETY: four keys are 64 bytes, and the store needs no alignment.
            unsafe { _mm512_storeu_si512(keys.as_mut_ptr().cast(), found) };
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::key_of_words;
    use sha2::{Digest as _, Sha256};

    fn bytes(length: usize, seed: u64) -> Vec<u8> {
        let word = |at: usize| (at as u64 + 1).wrapping_mul(seed * 2 + 0x9e37_79b9_7f4a_7c15) >> 40;
        (0..length).map(|at| word(at) as u8).collect()
    }

    #[test]
    fn lanes_are_sha_256_whatever_the_lengths() {
        for first in 0..200 {
            let messages: Vec<Vec<u8>> = (0..LANES).map(|lane| bytes(first + 13 * (lane % 5), lane as u64)).collect();
            let views: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            for count in [1, 7, LANES] {
                let out = digests(&START, 0, &views[..count]);
                for (message, digest) in views[..count].iter().zip(out) {
                    assert_eq!(digest, <Digest>::from(Sha256::digest(message)));
                }
            }
        }
    }

    #[test]
    fn both_paths_compress_alike() {
        let mut native = spread(&START);
        let mut portable = native;
        for step in 0..20 {
            let blocks: [Block; LANES] =
                std::array::from_fn(|lane| bytes(64, (step * LANES + lane) as u64).try_into().unwrap_or([0; 64]));
            let word = |at: usize, lane: usize| {
                blocks[lane][4 * at..4 * at + 4].iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
            };
            let words = std::array::from_fn(|at| std::array::from_fn(|lane| word(at, lane)));
            let (mut by_words, mut by_words_portable) = (native, native);
            compress_words(&mut by_words, &words);
            compress_words_portable(&mut by_words_portable, &words);
            compress(&mut native, &blocks);
            compress_portable(&mut portable, &blocks);
            assert_eq!(native, portable);
            assert_eq!([by_words, by_words_portable], [native; 2]);
        }
    }

    struct Common;

    impl Framed for Common {
        const HEAD: [u32; 4] = [0x0102_0304, 0x0506_0708, 0x090a_0b0c, 0x0d0e_0f10];
        const BYTES: usize = 42;
    }

    #[test]
    fn framed_messages_are_hashed_as_any() {
        let head: Vec<u8> = (1..=16).collect();
        let messages: Vec<Vec<u8>> = (0..LANES).map(|lane| [head.clone(), bytes(26, lane as u64)].concat()).collect();
        let padded = |lane: usize| [&messages[lane][16..], &[0x80, 0]].concat();
        let word = |at: usize, lane: usize| {
            padded(lane)[4 * at..4 * at + 4].iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
        };
        let own: Framing = std::array::from_fn(|at| std::array::from_fn(|lane| word(at, lane)));
        for keys in [keys_framed::<Common>(&own), keys_framed_portable::<Common>(&own)] {
            for (message, key) in messages.iter().zip(keys) {
                assert_eq!(key_of_words(&key), Sha256::digest(message)[..16]);
            }
        }
    }

    #[test]
    fn a_state_that_has_taken_blocks_goes_on() {
        let message = bytes(64 + 77, 3);
        let mut states = spread(&START);
        compress(&mut states, &[message[..64].try_into().unwrap_or([0; 64]); LANES]);
        let state = states.each_ref().map(|words| words[5]);
        assert_eq!(digests(&state, 64, &[&message[64..]])[0], <Digest>::from(Sha256::digest(&message)));
    }
}
