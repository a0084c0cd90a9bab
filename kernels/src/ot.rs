//! SoftSpokenOT with k = 4 (ePrint 2022/192) as a subfield VOLE over F16: GGM trees, extension, hash.
//!
//! Thirty-two trees of sixteen leaves give, for each transfer, a row of 32 field elements (128 bits): the receiver
//! holds V, the sender Q = V + u·Δ, u being the receiver's choice. F16 is GF(2)[α] / (α⁴ + α + 1) and an element is a
//! nibble whose bit b is the coefficient of α^b. The streams are bit-sliced: one AES block is one coefficient of 128
//! consecutive transfers. The last group of a batch has random choices; it masks the batch's consistency check, a
//! universal hash of U, V and Q. `protocols/ot.py` tells the protocol, `tools/slow/transfers.py` computes the same.

use aes::cipher::{BlockEncrypt, KeyInit};
use aes::{Aes128Enc, Block};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroizing;

#[cfg(target_arch = "x86_64")]
mod wide;

use crate::block_cipher::Cipher;
use crate::instructions::with_avx2;
use crate::rows::{bad, in_row_order};
use crate::universal;
use crate::wipe::{redacted, Wiped};

create_exception!(_kernels, CheckError, PyValueError, "A correction does not pass its consistency check.");

const TREES: usize = 32;
pub(crate) const DEPTH: usize = 4;
const LEAVES: usize = 1 << DEPTH;
const SEED: usize = 16;
const PLANES: usize = TREES * DEPTH;
pub(crate) const ROW: usize = 16;
/// Transfers that one AES block of a stream serves.
const GROUP: usize = 128;
/// Groups that one task extends: sixteen leaf streams of 512 bytes stay in the first cache.
const TASK_GROUPS: usize = 16;
/// Transfers whose sixteen keys are hashed in one go: 16 KiB of blocks.
const HASH_BATCH: usize = 64;

type Node = [u8; SEED];
/// One coefficient of the elements of 128 transfers in one tree: a block of a stream.
type Plane = [u64; 2];
type Element = [Plane; DEPTH];
/// A task's blocks of the sixteen streams of a tree, W of them a group.
type Streams<const W: usize> = [[[Plane; W]; TASK_GROUPS]; LEAVES];
/// One group: a row of 32 elements for each of 128 transfers, as 128 planes of 128 bits.
type Planes = [Plane; PLANES];

fn block_of(value: u128) -> Block {
    value.to_le_bytes().into()
}

fn word_of(block: &Block) -> u128 {
    u128::from_le_bytes((*block).into())
}

pub(crate) fn row_word(row: &[u8]) -> u128 {
    let mut bytes = [0u8; ROW];
    bytes.copy_from_slice(row);
    u128::from_le_bytes(bytes)
}

fn key_of(bytes: &[u8]) -> PyResult<Cipher> {
    bytes.try_into().map(Cipher::new).map_err(|_| bad("an AES key is 16 bytes"))
}

/// Key schedules in a vector that does not grow: one that moves leaves them behind.
pub(crate) fn schedules(keys: &[u8]) -> PyResult<Vec<Cipher>> {
    let mut schedules = Vec::with_capacity(keys.len() / SEED);
    for key in keys.chunks_exact(SEED) {
        schedules.push(key_of(key)?);
    }
    Ok(schedules)
}

fn xor(left: &Node, right: &Node) -> Node {
    let mut out = *left;
    out.iter_mut().zip(right).for_each(|(out, right)| *out ^= right);
    out
}

fn array_node(bytes: &[u8]) -> Node {
    let mut node = [0u8; SEED];
    node.copy_from_slice(bytes);
    node
}

/// The two children of a node: its AES encryptions of the blocks 0 and 1.
fn children(node: &Node) -> [Node; 2] {
    let cipher = Aes128Enc::new(node.into());
    let mut blocks = Wiped::new([block_of(0), block_of(1)]);
    cipher.encrypt_blocks(&mut blocks[..]);
    [blocks[0].into(), blocks[1].into()]
}

/// Grows one tree; writes the XOR of all left and of all right children of each level, and the leaves.
fn expand_tree(root: &Node, sums: &mut [u8], leaves: &mut [u8]) {
    let mut nodes = Zeroizing::new(vec![*root]);
    for level in 0..DEPTH {
        let mut next = Zeroizing::new(Vec::with_capacity(2 * nodes.len()));
        let mut sum = Zeroizing::new([[0u8; SEED]; 2]);
        for node in nodes.iter() {
            let pair = Zeroizing::new(children(node));
            for side in 0..2 {
                sum[side] = xor(&sum[side], &pair[side]);
                next.push(pair[side]);
            }
        }
        sums[level * 2 * SEED..(level + 1) * 2 * SEED].copy_from_slice(sum.as_flattened());
        nodes = next;
    }
    leaves.copy_from_slice(nodes.as_flattened());
}

/// Rebuilds all leaves but one. Position y of the output is leaf y ⊕ Δ, so that position 0 is always the unknown
/// one and no memory access depends on Δ. `sums[level]` is the sum of that level's children on the side 1 ⊕ Δ bit.
fn reconstruct_tree(delta_bits: &[u8], sums: &[u8], leaves: &mut [u8]) {
    let mut nodes = Zeroizing::new(vec![[0u8; SEED]]);
    for (level, &bit) in delta_bits.iter().enumerate() {
        let swap = Choice::from(bit);
        let mut next = Zeroizing::new(vec![[0u8; SEED]; 2]);
        let mut sibling = Zeroizing::new(array_node(&sums[level * SEED..(level + 1) * SEED]));
        for node in nodes.iter().skip(1) {
            let mut pair = Zeroizing::new(children(node));
            let [left, right] = &mut *pair;
            for (left, right) in left.iter_mut().zip(right) {
                u8::conditional_swap(left, right, swap);
            }
            *sibling = xor(&sibling, &pair[1]);
            next.extend_from_slice(pair.as_ref());
        }
        next[1] = *sibling;
        nodes = next;
    }
    leaves.copy_from_slice(nodes.as_flattened());
}

/// The leaf streams of all trees, with the keys scheduled.
struct Leaves {
    keys: Vec<Cipher>,
}

redacted!(Leaves);

impl Leaves {
    fn new(bytes: &[u8]) -> PyResult<Self> {
        if bytes.len() != TREES * LEAVES * SEED {
            return Err(bad("leaves are 32 x 16 x 16 bytes"));
        }
        Ok(Self { keys: schedules(bytes)? })
    }

    /// Writes a task's blocks of the sixteen streams of a tree. With `punctured`, leaf 0 is unknown and stays as it is.
    fn write<const W: usize>(&self, tree: usize, counters: &[Block], punctured: bool, streams: &mut Streams<W>) {
        let keys = &self.keys[tree * LEAVES..(tree + 1) * LEAVES];
        for (stream, key) in streams.iter_mut().zip(keys).skip(usize::from(punctured)) {
            key.stream(counters, stream.as_flattened_mut());
        }
    }
}

fn add<const W: usize>(left: &mut [Plane; W], right: &[Plane; W]) {
    for (left, right) in left.iter_mut().zip(right) {
        left[0] ^= right[0];
        left[1] ^= right[1];
    }
}

/// Multiplies a bit-sliced element by α.
fn times_alpha(planes: Element) -> Element {
    let [p0, p1, p2, p3] = planes;
    [p3, [p0[0] ^ p3[0], p0[1] ^ p3[1]], p1, p2]
}

/// Planes that a narrow choice does not have are zero.
fn widened<const W: usize>(planes: &[Plane; W]) -> Element {
    let mut wide = [[0; 2]; DEPTH];
    wide[..W].copy_from_slice(planes);
    wide
}

/// One group of a tree: Σ x·r_x over the leaves x with streams r, and the sum of all streams.
/// It is Σ α^b · S_b, with S_b the sum of the streams of leaves whose index has bit b.
#[inline(always)]
fn fold<const W: usize>(streams: &Streams<W>, group: usize) -> (Element, [Plane; W]) {
    let mut left = streams.each_ref().map(|stream| stream[group]);
    let mut sums = [[[0u64; 2]; W]; DEPTH];
    let mut width = LEAVES;
    for sum in &mut sums {
        for index in 0..width / 2 {
            let odd = left[2 * index + 1];
            add(sum, &odd);
            left[index] = left[2 * index];
            add(&mut left[index], &odd);
        }
        width /= 2;
    }
    let mut out = [[0u64; 2]; DEPTH];
    for sum in sums.iter().rev() {
        out = times_alpha(out);
        add(&mut out, &widened(sum));
    }
    (out, left[0])
}

#[inline(always)]
pub(crate) fn transpose_64<const LANES: usize>(rows: &mut [[u64; LANES]; 64]) {
    let mut width = 32;
    let mut mask = 0x0000_0000_ffff_ffffu64;
    while width > 0 {
        for start in (0..64).step_by(2 * width) {
            for row in start..start + width {
                let (head, rest) = rows.split_at_mut(row + width);
                for (upper, lower) in head[row].iter_mut().zip(&mut rest[0]) {
                    let swap = ((*upper >> width) ^ *lower) & mask;
                    *lower ^= swap;
                    *upper ^= swap << width;
                }
            }
        }
        width /= 2;
        mask ^= mask << width;
    }
}

/// Turns 128 planes of 128 transfers into 128 rows of 128 bits.
#[inline(always)]
fn write_rows(planes: &Planes, rows: &mut [u8]) {
    let mut squares = [[0u64; 4]; 64]; // side by side: low and high planes of the first transfers, and of the others
    for (square, (low, high)) in squares.iter_mut().zip(planes[..64].iter().zip(&planes[64..])) {
        *square = [low[0], high[0], low[1], high[1]];
    }
    transpose_64(&mut squares);
    let (first, second) = rows.split_at_mut(64 * ROW);
    let rows = first.chunks_exact_mut(ROW).zip(second.chunks_exact_mut(ROW));
    for ((first, second), [low, high, other_low, other_high]) in rows.zip(squares) {
        first[..8].copy_from_slice(&low.to_le_bytes());
        first[8..].copy_from_slice(&high.to_le_bytes());
        second[..8].copy_from_slice(&other_low.to_le_bytes());
        second[8..].copy_from_slice(&other_high.to_le_bytes());
    }
}

/// Planes of the choices of one group: bit i of plane p is bit p of choice i; a short group is filled with zeros.
fn choice_planes(choices: &[u8]) -> Element {
    let mut planes = [[0u64; 2]; DEPTH];
    for (index, eight) in choices.chunks(8).enumerate() {
        let mut word = [0u8; 8];
        word[..eight.len()].copy_from_slice(eight);
        let word = u64::from_le_bytes(word);
        for (bit, plane) in planes.iter_mut().enumerate() {
            // the lowest bit of each byte moves to the top byte: the product adds nothing to one place twice
            let gathered = (word >> bit & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            plane[index / 8] |= gathered << (8 * (index % 8));
        }
    }
    planes
}

/// The counters of a task's blocks, as many as a full task has.
fn counters<const W: usize>(first: u64, task: usize) -> Vec<Block> {
    let start = u128::from(first) + (task * TASK_GROUPS * W) as u128;
    (0..(TASK_GROUPS * W) as u128).map(|index| block_of(start + index)).collect()
}

/// What a batch's challenge is bound to beside its correction: the set-up, the place in the streams, the width.
struct Binding<'a> {
    setup: &'a [u8],
    first: u64,
    width: usize,
}

impl Binding<'_> {
    /// The key of the universal hash, known to nobody before the correction is fixed.
    fn challenge(&self, correction: &[u8]) -> u128 {
        let digest = Sha256::new()
            .chain_update(b"cleanroom/ot/challenge/v1")
            .chain_update(self.setup)
            .chain_update(self.first.to_le_bytes())
            .chain_update([self.width as u8])
            .chain_update(correction)
            .finalize();
        row_word(&digest[..ROW])
    }
}

/// Bytes of a group's correction.
fn correction_bytes(width: usize) -> usize {
    TREES * width * ROW
}

fn check_bytes(width: usize) -> usize {
    (width + PLANES) * ROW
}

fn empty_streams<const W: usize>() -> Zeroizing<Streams<W>> {
    Zeroizing::new([[[[0u64; 2]; W]; TASK_GROUPS]; LEAVES])
}

#[inline(always)]
fn read_planes(planes: &mut [[u64; 2]], bytes: &[u8]) {
    for (plane, bytes) in planes.iter_mut().zip(bytes.chunks_exact(ROW)) {
        let word = row_word(bytes);
        *plane = [word as u64, (word >> 64) as u64];
    }
}

#[inline(always)]
fn write_planes(planes: &[[u64; 2]], bytes: &mut [u8]) {
    for (plane, bytes) in planes.iter().zip(bytes.chunks_exact_mut(ROW)) {
        bytes[..8].copy_from_slice(&plane[0].to_le_bytes());
        bytes[8..].copy_from_slice(&plane[1].to_le_bytes());
    }
}

/// Rows of all groups but the last, whose transfers mask the check and are used for nothing else.
fn rows_of(matrix: &[Planes]) -> Vec<u8> {
    let kept = &matrix[..matrix.len() - 1];
    let mut rows = vec![0u8; kept.len() * GROUP * ROW];
    rows.par_chunks_mut(GROUP * ROW).zip(kept).for_each(|(rows, planes)| write_rows_of(planes, rows));
    rows
}

with_avx2! {
    fn write_rows_of(planes: &Planes, rows: &mut [u8]) = write_rows
}

/// Returns the message (correction ‖ hash of the choices ‖ hash of V) and the rows V.
fn extend_receiver<const W: usize>(
    leaves: &Leaves,
    binding: &Binding<'_>,
    choices: &[u8],
    mask: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let mut chosen = Zeroizing::new(vec![[[0u64; 2]; DEPTH]; choices.len().div_ceil(GROUP) + 1]);
    for (planes, choices) in chosen.iter_mut().zip(choices.chunks(GROUP)) {
        *planes = choice_planes(choices);
    }
    if let Some(masking) = chosen.last_mut() {
        read_planes(masking, mask);
    }
    let mut message = vec![0u8; chosen.len() * correction_bytes(W) + check_bytes(W)];
    let (correction, check) = message.split_at_mut(chosen.len() * correction_bytes(W));
    let mut matrix = Zeroizing::new(vec![[[0u64; 2]; PLANES]; chosen.len()]);
    correction
        .par_chunks_mut(TASK_GROUPS * correction_bytes(W))
        .zip(matrix.par_chunks_mut(TASK_GROUPS))
        .zip(chosen.par_chunks(TASK_GROUPS))
        .enumerate()
        .for_each(|(task, ((correction, matrix), chosen))| {
            let counters = counters::<W>(binding.first, task);
            let mut streams = empty_streams::<W>();
            for tree in 0..TREES {
                leaves.write(tree, &counters, false, &mut streams);
                receive_tree(&streams, tree, chosen, correction, matrix);
            }
        });
    let key = binding.challenge(correction);
    let (hashed_choices, hashed_rows) = check.split_at_mut(W * ROW);
    write_planes(&universal::hash(key, &chosen)[..W], hashed_choices);
    write_planes(&universal::hash(key, &matrix), hashed_rows);
    (message, rows_of(&matrix))
}

with_avx2! {
    fn receive_tree<const W: usize>(
        streams: &Streams<W>, tree: usize, chosen: &[Element], correction: &mut [u8], matrix: &mut [Planes],
    ) = receive_tree_body
}

/// One tree of a task's groups: sums plus choices are the correction, Σ x·r_x is the tree's part of V.
#[inline(always)]
fn receive_tree_body<const W: usize>(
    streams: &Streams<W>,
    tree: usize,
    chosen: &[Element],
    correction: &mut [u8],
    matrix: &mut [Planes],
) {
    for (group, (chosen, matrix)) in chosen.iter().zip(matrix).enumerate() {
        let (product, mut sum) = fold(streams, group);
        for (sum, chosen) in sum.iter_mut().zip(chosen) {
            sum[0] ^= chosen[0];
            sum[1] ^= chosen[1];
        }
        let at = (group * TREES + tree) * W * ROW;
        write_planes(&sum, &mut correction[at..]);
        matrix[tree * DEPTH..][..DEPTH].copy_from_slice(&product);
    }
}

/// Returns the rows Q; `message` holds a correction of at least one group, and its check.
fn extend_sender<const W: usize>(
    leaves: &Leaves,
    delta: &[u8],
    binding: &Binding<'_>,
    message: &[u8],
) -> PyResult<Vec<u8>> {
    let (correction, check) = message.split_at(message.len() - check_bytes(W));
    let mut matrix = Zeroizing::new(vec![[[0u64; 2]; PLANES]; correction.len() / correction_bytes(W)]);
    matrix
        .par_chunks_mut(TASK_GROUPS)
        .zip(correction.par_chunks(TASK_GROUPS * correction_bytes(W)))
        .enumerate()
        .for_each(|(task, (matrix, correction))| {
            let counters = counters::<W>(binding.first, task);
            let mut streams = empty_streams::<W>();
            for (tree, &delta) in delta.iter().enumerate() {
                leaves.write(tree, &counters, true, &mut streams);
                send_tree(&streams, tree, delta, correction, matrix);
            }
        });
    let hashed = Zeroizing::new(universal::hash(binding.challenge(correction), &matrix));
    let (hashed_choices, hashed_rows) = check.split_at(W * ROW);
    let mut power = [[0u64; 2]; W];
    read_planes(&mut power, hashed_choices);
    let mut difference = 0;
    for (tree, expected) in hashed_rows.chunks_exact(DEPTH * ROW).enumerate() {
        let mut planes = [[0u64; 2]; DEPTH];
        read_planes(&mut planes, expected);
        add_multiple(&mut planes, delta[tree], &power);
        for (plane, own) in planes.iter().zip(&hashed[tree * DEPTH..]) {
            difference |= plane[0] ^ own[0] | plane[1] ^ own[1];
        }
    }
    if difference != 0 {
        return Err(CheckError::new_err("the correction does not pass its consistency check"));
    }
    Ok(rows_of(&matrix))
}

with_avx2! {
    fn send_tree<const W: usize>(
        streams: &Streams<W>, tree: usize, delta: u8, correction: &[u8], matrix: &mut [Planes],
    ) = send_tree_body
}

/// One tree of a task's groups: Σ x·r_x plus Δ times the correction is the tree's part of Q.
#[inline(always)]
fn send_tree_body<const W: usize>(
    streams: &Streams<W>,
    tree: usize,
    delta: u8,
    correction: &[u8],
    matrix: &mut [Planes],
) {
    for (group, matrix) in matrix.iter_mut().enumerate() {
        let (mut product, _) = fold(streams, group);
        let mut received = [[0u64; 2]; W];
        read_planes(&mut received, &correction[(group * TREES + tree) * W * ROW..][..W * ROW]);
        add_multiple(&mut product, delta, &received);
        matrix[tree * DEPTH..][..DEPTH].copy_from_slice(&product);
    }
}

/// Adds element · power.
#[inline(always)]
fn add_multiple<const W: usize>(planes: &mut Element, element: u8, power: &[Plane; W]) {
    let mut shifted = widened(power);
    for bit in 0..DEPTH {
        let mask = 0u64.wrapping_sub(u64::from(element >> bit & 1));
        add(planes, &shifted.map(|plane| plane.map(|word| word & mask)));
        shifted = times_alpha(shifted);
    }
}

/// The tweak of output block `part` of choice `choice` of transfer `index`.
fn tweak(index: u64, choice: u8, part: u32) -> u128 {
    u128::from(index) | u128::from(part) << 64 | u128::from(choice) << 96
}

/// x·Δ as a row, for the sixteen x.
pub(crate) fn offsets(delta: &[u8]) -> Zeroizing<[u128; LEAVES]> {
    let mut out = Zeroizing::new([0u128; LEAVES]);
    for (tree, &element) in delta.iter().enumerate() {
        let mut power = element & 15;
        for bit in 0..DEPTH {
            for (x, row) in out.iter_mut().enumerate() {
                *row ^= u128::from(power * (x >> bit & 1) as u8) << (DEPTH * tree);
            }
            power = (power << 1 & 15) ^ (0b0011 * (power >> 3));
        }
    }
    out
}

/// A run of transfers whose tables are masked: their rows, the number of the first, and the bits of a message.
struct Masking<'a> {
    rows: &'a [u8],
    first: u64,
    bits: usize,
}

fn mask_tables(cipher: &Cipher, rows: &[u8], delta: &[u8], index: u64, bits: usize, tables: &[u16]) -> Vec<u16> {
    let offsets = offsets(delta);
    let mut out = tables.to_vec();
    out.par_chunks_mut(HASH_BATCH * bits).zip(rows.par_chunks(HASH_BATCH * ROW)).enumerate().for_each(
        |(task, (tables, rows))| {
            let masking = Masking { rows, first: index + (task * HASH_BATCH) as u64, bits };
            match cipher {
                // SAFETY: such a schedule is made only where the instructions are.
                #[cfg(target_arch = "x86_64")]
                Cipher::Vaes(keys) => unsafe { wide::mask(keys, &offsets, &masking, tables) },
                Cipher::Crate(_) => mask(cipher, &offsets, &masking, tables),
            }
        },
    );
    out
}

/// Masks the tables of at most `HASH_BATCH` transfers: bit x of a word with the key of choice x.
fn mask(cipher: &Cipher, offsets: &[u128; LEAVES], masking: &Masking<'_>, tables: &mut [u16]) {
    let count = tables.len() / masking.bits;
    let mut blocks = Wiped::new([Block::default(); HASH_BATCH * LEAVES]);
    let blocks = &mut blocks[..count * LEAVES];
    let mut pads = Zeroizing::new([0u64; HASH_BATCH * LEAVES]);
    for (keys, row) in blocks.chunks_exact_mut(LEAVES).zip(masking.rows.chunks_exact(ROW)) {
        let word = row_word(row);
        for (key, offset) in keys.iter_mut().zip(offsets) {
            *key = block_of(word ^ offset);
        }
    }
    cipher.encrypt(blocks);
    let each = blocks.chunks_exact_mut(LEAVES).zip(pads.chunks_exact_mut(LEAVES)).enumerate();
    for (position, (keys, pads)) in each {
        for (choice, (key, pad)) in keys.iter_mut().zip(pads).enumerate() {
            let inner = word_of(key);
            *pad = inner as u64;
            *key = block_of(inner ^ tweak(masking.first + position as u64, choice as u8, 0));
        }
    }
    cipher.encrypt(blocks);
    for (pad, key) in pads.iter_mut().zip(blocks.iter()) {
        *pad ^= word_of(key) as u64;
    }
    for (tables, pads) in tables.chunks_exact_mut(masking.bits).zip(pads.chunks_exact(LEAVES)) {
        for (bit, table) in tables.iter_mut().enumerate() {
            let select = |word, (choice, pad): (usize, &u64)| word | (pad >> bit & 1) << choice;
            *table ^= pads.iter().enumerate().fold(0u64, select) as u16;
        }
    }
}

/// TMMO(row, tweak) = π(π(row) ⊕ tweak) ⊕ π(row) for the outputs `0..parts` of each row (ePrint 2019/074, section 7.4).
fn hash_rows(cipher: &Cipher, rows: &[u8], index: u64, choices: &[u8], words: usize) -> Vec<u64> {
    let parts = words.div_ceil(2);
    let mut out = vec![0u64; choices.len() * words];
    out.par_chunks_mut(GROUP * words)
        .zip(rows.par_chunks(GROUP * ROW).zip(choices.par_chunks(GROUP)))
        .enumerate()
        .for_each(|(task, (out, (rows, choices)))| {
            let first = index + (task * GROUP) as u64;
            let mut inner = Wiped::new([Block::default(); GROUP]);
            let inner = &mut inner[..choices.len()];
            for (block, row) in inner.iter_mut().zip(rows.chunks_exact(ROW)) {
                *block = block_of(row_word(row));
            }
            cipher.encrypt(inner);
            let mut outer = Wiped::new([Block::default(); GROUP]);
            let outer = &mut outer[..choices.len()];
            for part in 0..parts {
                for (position, (outer, (inner, &choice))) in outer.iter_mut().zip(inner.iter().zip(choices)).enumerate()
                {
                    *outer = block_of(word_of(inner) ^ tweak(first + position as u64, choice, part as u32));
                }
                cipher.encrypt(outer);
                for (out, (inner, outer)) in out.chunks_exact_mut(words).zip(inner.iter().zip(outer.iter())) {
                    let value = word_of(inner) ^ word_of(outer);
                    out[2 * part] = value as u64;
                    if let Some(high) = out.get_mut(2 * part + 1) {
                        *high = (value >> 64) as u64;
                    }
                }
            }
        });
    out
}

fn check_width(width: usize) -> PyResult<()> {
    if width == 1 || width == DEPTH {
        Ok(())
    } else {
        Err(bad("choices are 1 or 4 bits wide"))
    }
}

pub(crate) fn check_choices(choices: &[u8], width: usize) -> PyResult<()> {
    if choices.iter().fold(0, |all, choice| all | choice) >> width != 0 {
        return Err(bad("a choice is wider than stated"));
    }
    Ok(())
}

pub(crate) fn check_delta(delta: &[u8]) -> PyResult<()> {
    if delta.len() != TREES || delta.iter().any(|&element| element > 15) {
        return Err(bad("delta is 32 elements below 16"));
    }
    Ok(())
}

fn check_rows(rows: &[u8], count: usize) -> PyResult<()> {
    if rows.len() % ROW != 0 || rows.len() / ROW < count {
        return Err(bad("rows are at least n x 16 bytes"));
    }
    Ok(())
}

/// Grows t trees from t × 16 bytes of roots.
/// Returns sums (t × 4 levels × 2 sides × 16 bytes) and leaves (t × 16 × 16 bytes), flat.
#[pyfunction]
#[allow(clippy::type_complexity)] // two flat arrays
fn ggm_expand<'py>(
    py: Python<'py>,
    roots: PyReadonlyArray1<'py, u8>,
) -> PyResult<(Bound<'py, PyArray1<u8>>, Bound<'py, PyArray1<u8>>)> {
    let roots = in_row_order(&roots, "roots")?;
    if roots.len() % SEED != 0 {
        return Err(bad("roots are t x 16 bytes"));
    }
    let trees = roots.len() / SEED;
    let mut sums = vec![0u8; trees * DEPTH * 2 * SEED];
    let mut leaves = vec![0u8; trees * LEAVES * SEED];
    py.detach(|| {
        for ((root, sums), leaves) in roots
            .chunks_exact(SEED)
            .zip(sums.chunks_exact_mut(DEPTH * 2 * SEED))
            .zip(leaves.chunks_exact_mut(LEAVES * SEED))
        {
            expand_tree(&Zeroizing::new(array_node(root)), sums, leaves);
        }
    });
    Ok((sums.into_pyarray(py), leaves.into_pyarray(py)))
}

/// Rebuilds t trees without leaf Δ from Δ's bits (t × 4, most significant first) and t × 4 × 16 bytes of sums.
/// Returns t × 16 × 16 bytes, flat: position y holds leaf y ⊕ Δ, position 0 zeros.
#[pyfunction]
fn ggm_reconstruct<'py>(
    py: Python<'py>,
    delta_bits: PyReadonlyArray1<'py, u8>,
    sums: PyReadonlyArray1<'py, u8>,
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    let (bits, sums) = (in_row_order(&delta_bits, "delta_bits")?, in_row_order(&sums, "sums")?);
    check_choices(bits, 1)?;
    if bits.len() % DEPTH != 0 || sums.len() != bits.len() * SEED {
        return Err(bad("4 bits and 4 x 16 bytes for each tree"));
    }
    let mut leaves = vec![0u8; bits.len() / DEPTH * LEAVES * SEED];
    py.detach(|| {
        for ((bits, sums), leaves) in
            bits.chunks_exact(DEPTH).zip(sums.chunks_exact(DEPTH * SEED)).zip(leaves.chunks_exact_mut(LEAVES * SEED))
        {
            reconstruct_tree(bits, sums, leaves);
        }
    });
    Ok(leaves.into_pyarray(py))
}

fn check_setup(setup: &[u8]) -> PyResult<()> {
    if setup.len() != 32 {
        return Err(bad("the digest of the set-up is 32 bytes"));
    }
    Ok(())
}

/// The receiver's half of n transfers, from stream block `first` on, and a last group of transfers whose choices are
/// `mask` (width × 16 bytes). Returns the message (correction, (⌈n/128⌉ + 1) × 32 × width × 16 bytes; hashes of the
/// choices, width × 16 bytes, and of V, 2048 bytes) and the rows V (⌈n/128⌉·128 × 16 bytes), flat.
#[pyfunction]
#[allow(clippy::type_complexity)] // two flat arrays
fn ot_extend_receiver<'py>(
    py: Python<'py>,
    leaves: PyReadonlyArray1<'py, u8>,
    setup: &[u8],
    first: u64,
    width: usize,
    choices: PyReadonlyArray1<'py, u8>,
    mask: &[u8],
) -> PyResult<(Bound<'py, PyArray1<u8>>, Bound<'py, PyArray1<u8>>)> {
    let (leaves, choices) = (in_row_order(&leaves, "leaves")?, in_row_order(&choices, "choices")?);
    check_width(width)?;
    check_setup(setup)?;
    if mask.len() != width * ROW {
        return Err(bad("the mask is width x 16 bytes"));
    }
    let (message, rows) = py.detach(|| {
        check_choices(choices, width)?;
        let (leaves, binding) = (Leaves::new(leaves)?, Binding { setup, first, width });
        Ok::<_, PyErr>(match width {
            1 => extend_receiver::<1>(&leaves, &binding, choices, mask),
            _ => extend_receiver::<DEPTH>(&leaves, &binding, choices, mask),
        })
    })?;
    Ok((message.into_pyarray(py), rows.into_pyarray(py)))
}

/// The sender's half: rows Q = V + u·Δ (as many as the correction covers without its last group, × 16 bytes), flat.
/// Raises CheckError if the message's hashes are not those of its correction.
#[pyfunction]
fn ot_extend_sender<'py>(
    py: Python<'py>,
    leaves: PyReadonlyArray1<'py, u8>,
    delta: PyReadonlyArray1<'py, u8>,
    setup: &[u8],
    first: u64,
    width: usize,
    message: &[u8],
) -> PyResult<Bound<'py, PyArray1<u8>>> {
    let (leaves, delta) = (in_row_order(&leaves, "leaves")?, in_row_order(&delta, "delta")?);
    check_width(width)?;
    check_setup(setup)?;
    check_delta(delta)?;
    let group = TREES * width * ROW;
    match message.len().checked_sub(check_bytes(width)) {
        Some(correction) if correction >= group && correction % group == 0 => (),
        _ => return Err(bad("the message is whole groups of 32 x width x 16 bytes and a check")),
    }
    let binding = Binding { setup, first, width };
    let rows = py.detach(|| {
        let leaves = Leaves::new(leaves)?;
        match width {
            1 => extend_sender::<1>(&leaves, delta, &binding, message),
            _ => extend_sender::<DEPTH>(&leaves, delta, &binding, message),
        }
    })?;
    Ok(rows.into_pyarray(py))
}

/// Masks n × bits tables of sixteen one-bit messages, bit x of a word with the pad of choice x.
#[pyfunction]
fn ot_mask_tables<'py>(
    py: Python<'py>,
    rows: PyReadonlyArray1<'py, u8>,
    delta: PyReadonlyArray1<'py, u8>,
    hash_key: &[u8],
    index: u64,
    bits: usize,
    tables: PyReadonlyArray1<'py, u16>,
) -> PyResult<Bound<'py, PyArray1<u16>>> {
    let (rows, delta, tables) =
        (in_row_order(&rows, "rows")?, in_row_order(&delta, "delta")?, in_row_order(&tables, "tables")?);
    check_delta(delta)?;
    if !(1..=64).contains(&bits) || tables.len() % bits != 0 {
        return Err(bad("tables are n x bits words, 1 to 64 bits"));
    }
    check_rows(rows, tables.len() / bits)?;
    let cipher = key_of(hash_key)?;
    Ok(py.detach(|| mask_tables(&cipher, rows, delta, index, bits, tables)).into_pyarray(py))
}

/// Keys of n transfers, `words` 64-bit words each: TMMO of row i under the tweak (index + i, choice i, part).
#[pyfunction]
fn ot_hash<'py>(
    py: Python<'py>,
    rows: PyReadonlyArray1<'py, u8>,
    hash_key: &[u8],
    index: u64,
    choices: PyReadonlyArray1<'py, u8>,
    words: usize,
) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let (rows, choices) = (in_row_order(&rows, "rows")?, in_row_order(&choices, "choices")?);
    check_rows(rows, choices.len())?;
    if !(1..=1 << 16).contains(&words) {
        return Err(bad("keys are 1 to 65536 words"));
    }
    let cipher = key_of(hash_key)?;
    let keys = py.detach(|| {
        check_choices(choices, DEPTH)?;
        Ok::<_, PyErr>(hash_rows(&cipher, rows, index, choices, words))
    })?;
    Ok(keys.into_pyarray(py))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("CheckError", module.py().get_type::<CheckError>())?;
    module.add_function(wrap_pyfunction!(ggm_expand, module)?)?;
    module.add_function(wrap_pyfunction!(ggm_reconstruct, module)?)?;
    module.add_function(wrap_pyfunction!(ot_extend_receiver, module)?)?;
    module.add_function(wrap_pyfunction!(ot_extend_sender, module)?)?;
    module.add_function(wrap_pyfunction!(ot_mask_tables, module)?)?;
    module.add_function(wrap_pyfunction!(ot_hash, module)?)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wipe::look::freed_with;

    #[test]
    fn transpose_moves_every_bit() {
        let mut rows = [[0u64; 3]; 64];
        for (index, word) in rows.as_flattened_mut().iter_mut().enumerate() {
            *word = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        let before = rows;
        transpose_64(&mut rows);
        for (row, bits) in rows.iter().enumerate() {
            for (column, other) in before.iter().enumerate() {
                for lane in 0..3 {
                    assert_eq!(bits[lane] >> column & 1, other[lane] >> row & 1);
                }
            }
        }
    }

    #[test]
    fn punctured_tree_knows_every_leaf_but_delta() {
        for delta in 0..16usize {
            let (mut sums, mut leaves) = ([0u8; 128], [0u8; 256]);
            expand_tree(&[7; SEED], &mut sums, &mut leaves);
            let bits: Vec<u8> = (0..4).rev().map(|bit| (delta >> bit & 1) as u8).collect();
            let chosen: Vec<u8> = bits
                .iter()
                .enumerate()
                .flat_map(|(level, &bit)| sums[(2 * level + 1 - usize::from(bit)) * SEED..][..SEED].to_vec())
                .collect();
            let mut rebuilt = [0u8; 256];
            reconstruct_tree(&bits, &chosen, &mut rebuilt);
            assert_eq!(rebuilt[..SEED], [0; SEED]);
            for y in 1..16 {
                assert_eq!(rebuilt[y * SEED..][..SEED], leaves[(y ^ delta) * SEED..][..SEED]);
            }
        }
    }

    /// The first plane of a batch, as it lies in the matrix, read off its rows.
    fn first_plane(rows: &[u8]) -> [u8; ROW] {
        let bits = rows.chunks_exact(ROW).take(GROUP).enumerate();
        bits.fold(0u128, |plane, (index, row)| plane | u128::from(row[0] & 1) << index).to_le_bytes()
    }

    #[test]
    fn trees_streams_and_matrices_are_wiped_also_where_the_check_fails() {
        let key = [3u8; SEED];
        let (mut sums, mut leaves) = ([0u8; 128], [0u8; 256]);
        let below = children(&key)[0];
        assert_eq!(freed_with(&below, || expand_tree(&key, &mut sums, &mut leaves)), 0);
        let held: Vec<u8> = (0..TREES * LEAVES * SEED).map(|value| (value * 37 % 251) as u8).collect();
        assert_eq!(format!("{:?}", Leaves::new(&held).unwrap()), "Leaves(..)");
        assert_eq!(freed_with(&held, || drop(Leaves::new(&held).unwrap())), 0);

        let binding = Binding { setup: &[5; 32], first: 9, width: DEPTH };
        let (choices, mask) = (vec![6u8; 2 * GROUP], (0..DEPTH as u8 * ROW as u8).collect::<Vec<_>>());
        let receive = || extend_receiver::<DEPTH>(&Leaves::new(&held).unwrap(), &binding, &choices, &mask);
        let (mut message, rows) = receive();
        for needle in [&first_plane(&rows)[..], &mask] {
            assert_eq!(freed_with(needle, receive), 0);
        }
        let delta = [0u8; TREES]; // no difference: then the sender may hold all leaves
        let send = |message: &[u8]| extend_sender::<DEPTH>(&Leaves::new(&held).unwrap(), &delta, &binding, message);
        let rows = send(&message).unwrap();
        assert_eq!(freed_with(&first_plane(&rows), || send(&message)), 0);
        let end = message.len() - 1;
        message[end] ^= 1;
        assert!(send(&message).is_err());
        assert_eq!(freed_with(&first_plane(&rows), || drop(send(&message))), 0);
    }

    #[test]
    fn rows_differ_by_choice_times_delta() {
        let roots: Vec<u8> = (0..TREES * SEED).map(|value| (value * 37 % 251) as u8).collect();
        let delta: Vec<u8> = (0..TREES).map(|tree| (tree * 7 % 16) as u8).collect();
        let mut leaves = vec![0u8; TREES * LEAVES * SEED];
        let mut shifted = leaves.clone();
        for tree in 0..TREES {
            let mut sums = [0u8; 128];
            let here = &mut leaves[tree * 256..][..256];
            expand_tree(&array_node(&roots[tree * SEED..][..SEED]), &mut sums, here);
            for y in 1..LEAVES {
                let leaf = &leaves[tree * 256 + (y ^ usize::from(delta[tree])) * SEED..][..SEED];
                shifted[tree * 256 + y * SEED..][..SEED].copy_from_slice(leaf);
            }
        }
        rows_differ::<1>(&leaves, &shifted, &delta);
        rows_differ::<DEPTH>(&leaves, &shifted, &delta);
    }

    fn rows_differ<const W: usize>(leaves: &[u8], shifted: &[u8], delta: &[u8]) {
        let offsets = offsets(delta);
        let choices: Vec<u8> = (0..1300usize).map(|index| (index * 11 % (1 << W)) as u8).collect();
        let binding = Binding { setup: &[5; 32], first: 9, width: W };
        let mask: Vec<u8> = (0..W * ROW).map(|value| (value * 29 % 253) as u8).collect();
        let (message, rows) = extend_receiver::<W>(&Leaves::new(leaves).unwrap(), &binding, &choices, &mask);
        let other = extend_sender::<W>(&Leaves::new(shifted).unwrap(), delta, &binding, &message).unwrap();
        for (index, &choice) in choices.iter().enumerate() {
            let at = index * ROW..(index + 1) * ROW;
            assert_eq!(row_word(&rows[at.clone()]) ^ row_word(&other[at]), offsets[usize::from(choice)]);
        }
        let portable = |leaves: &[u8]| Leaves { keys: portable_schedules(leaves) };
        assert_eq!(extend_receiver::<W>(&portable(leaves), &binding, &choices, &mask), (message.clone(), rows));
        assert_eq!(extend_sender::<W>(&portable(shifted), delta, &binding, &message).unwrap(), other);
    }

    fn portable_schedules(keys: &[u8]) -> Vec<Cipher> {
        keys.chunks_exact(SEED).map(|key| Cipher::portable(&array_node(key))).collect()
    }

    #[test]
    fn tables_are_masked_alike_on_both_paths() {
        let key = [7; SEED];
        let delta: Vec<u8> = (0..TREES).map(|tree| (tree * 7 % 16) as u8).collect();
        let rows: Vec<u8> = (0..200 * ROW).map(|value| (value * 31 % 241) as u8).collect();
        for bits in [1, 2, 7, 64] {
            for count in [1, 63, 64, 65, 200] {
                let tables: Vec<u16> = (0..count * bits).map(|value| (value * 4099) as u16).collect();
                let masked = |cipher: &Cipher| mask_tables(cipher, &rows, &delta, (1 << 32) - 5, bits, &tables);
                let native = masked(&Cipher::new(&key));
                assert_eq!(native, masked(&Cipher::portable(&key)));
                let keys = |choice: u8| {
                    let shifted: Vec<u8> = rows
                        .chunks_exact(ROW)
                        .flat_map(|row| (row_word(row) ^ offsets(&delta)[usize::from(choice)]).to_le_bytes())
                        .collect();
                    hash_rows(&Cipher::portable(&key), &shifted, (1 << 32) - 5, &vec![choice; count], 1)
                };
                for choice in 0..LEAVES as u8 {
                    for (transfer, key) in keys(choice).into_iter().enumerate() {
                        for bit in 0..bits {
                            let at = transfer * bits + bit;
                            let pad = (native[at] ^ tables[at]) >> choice & 1;
                            assert_eq!(u64::from(pad), key >> bit & 1);
                        }
                    }
                }
            }
        }
    }
}
