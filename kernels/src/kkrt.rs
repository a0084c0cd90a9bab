//! The oblivious PRF of KKRT16 (ePrint 2016/799): a pseudorandom code of 448 bits, the extension, and the hash.
//!
//! Each bin is one row of 448 bits. The receiver holds t, the sender r = t ⊕ (C(x) ∧ s), x being the receiver's query in
//! that bin and s the sender's mask; F(bin, y) is a hash of r ⊕ (C(y) ∧ s). Streams and corrections are columns: one
//! AES block is 128 consecutive bins of a column. `protocols/oprf_kkrt.py` tells the protocol and
//! `tools/slow/kkrt.py` computes the same.

use aes::Block;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::block_cipher::{words_of, Cipher, KEY};
use crate::lanes::{compress, digest_of, pad, spread, State, BLOCK_BYTES, DIGEST_BYTES, LANES, START};
use crate::oprf::{check_size, prefixed, write_outputs, INPUT, NUMBER};
use crate::ot::{schedules, transpose_64};
use crate::rows::{bad, in_row_order, matrix};
use crate::wipe::{redacted, Wiped};

const WIDTH: usize = 448;
const WORDS: usize = WIDTH / 64;
const ROW: usize = WIDTH / 8;
/// Keys of the code: one chains the input to a block, four make the codeword's blocks from it.
const CODE_KEYS: usize = 5;
/// Bins that one AES block of a column serves.
const GROUP: usize = 128;
const GROUP_BYTES: usize = WIDTH * KEY;
/// Groups that one task extends: eight blocks a column fill the AES pipeline, and the columns stay in the second cache.
const TASK_GROUPS: usize = 8;

type Row = [u64; WORDS];
/// One block of 128 bins of every column.
type Columns = [[u64; 2]; WIDTH];

/// A matrix's rows of `width`, one after the other.
fn rows_in<'a>(array: &'a PyReadonlyArray2<'_, u8>, width: usize) -> PyResult<&'a [u8]> {
    if array.shape()[1] != width {
        return Err(bad("inputs are of 26 bytes and rows of 56"));
    }
    in_row_order(array, "inputs and rows")
}

fn word_at(bytes: &[u8]) -> u64 {
    let mut word = [0u8; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

fn row_at(bytes: &[u8]) -> Row {
    let mut row = [0u64; WORDS];
    for (word, bytes) in row.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = word_at(bytes);
    }
    row
}

/// C: the CBC-MAC of the padded input, then the block under four keys, cut to 448 bits.
struct Code {
    keys: Vec<Cipher>,
}

impl Code {
    fn new(keys: &[u8]) -> PyResult<Self> {
        if keys.len() != CODE_KEYS * KEY {
            return Err(bad("a code has five keys of 16 bytes"));
        }
        Ok(Self { keys: schedules(keys)? })
    }

    /// Codewords of at most `GROUP` inputs.
    fn encode(&self, inputs: &[u8], codewords: &mut [Row]) {
        let mut chained = Wiped::new([Block::default(); GROUP]);
        let chained = &mut chained[..codewords.len()];
        for (block, input) in chained.iter_mut().zip(inputs.chunks_exact(INPUT)) {
            block.copy_from_slice(&input[..KEY]);
        }
        self.keys[0].encrypt(chained);
        for (block, input) in chained.iter_mut().zip(inputs.chunks_exact(INPUT)) {
            for (byte, more) in block.iter_mut().zip(&input[KEY..]) {
                *byte ^= more;
            }
        }
        self.keys[0].encrypt(chained);
        let mut blocks = Wiped::new([Block::default(); GROUP]);
        let blocks = &mut blocks[..codewords.len()];
        for (part, key) in self.keys[1..].iter().enumerate() {
            blocks.copy_from_slice(chained);
            key.encrypt(blocks);
            let first = 2 * part;
            for (codeword, block) in codewords.iter_mut().zip(blocks.iter()) {
                for (word, value) in codeword[first..].iter_mut().zip(words_of(block)) {
                    *word = value;
                }
            }
        }
    }
}

/// SHA-256 after its first block, the prefix, which binds session and bucket.
struct Hash {
    prefixed: State,
}

impl Hash {
    fn new(prefix: &[u8]) -> PyResult<Self> {
        Ok(Self { prefixed: prefixed(prefix)? })
    }

    /// Writes target ‖ masks of rows: D = SHA-256(prefix ‖ bin ‖ row), then SHA-256(D ‖ part ‖ counter), cut.
    fn outputs<'a>(&self, mut rows: impl Iterator<Item = (u64, &'a Row)>, size: usize, out: &mut [u8]) {
        let mut last = [[0; BLOCK_BYTES]; LANES];
        last.iter_mut().for_each(|block| pad(block, 0, 2 * BLOCK_BYTES));
        for out in out.chunks_mut(LANES * size) {
            let mut blocks = Zeroizing::new([[0u8; BLOCK_BYTES]; LANES]);
            for (block, (bin, row)) in blocks.iter_mut().zip(rows.by_ref().take(out.len() / size)) {
                block[..8].copy_from_slice(&bin.to_le_bytes());
                for (bytes, word) in block[8..].chunks_exact_mut(8).zip(row) {
                    bytes.copy_from_slice(&word.to_le_bytes());
                }
            }
            let mut states = spread(&self.prefixed);
            compress(&mut states, &blocks);
            compress(&mut states, &last);
            for (lane, block) in blocks.iter_mut().enumerate() {
                block[..DIGEST_BYTES].copy_from_slice(&digest_of(&states, lane));
                pad(block, DIGEST_BYTES + NUMBER, DIGEST_BYTES + NUMBER);
            }
            write_outputs(&START, &mut blocks, DIGEST_BYTES, size, out);
        }
    }
}

/// Turns 448 columns of 128 bins into 128 rows of 448 bits.
fn rows_of(columns: &Columns, rows: &mut [Row; GROUP]) {
    let (squares, _) = columns.as_chunks::<64>();
    for (word, square) in squares.iter().enumerate() {
        let mut square = *square;
        transpose_64(&mut square);
        let (first, second) = rows.split_at_mut(64);
        for ((first, second), bins) in first.iter_mut().zip(second).zip(square) {
            first[word] = bins[0];
            second[word] = bins[1];
        }
    }
}

/// Adds 128 rows to 448 columns.
fn add_rows(columns: &mut Columns, rows: &[Row; GROUP]) {
    for (word, columns) in columns.chunks_exact_mut(64).enumerate() {
        let mut square = [[0u64; 2]; 64];
        for (out, (first, second)) in square.iter_mut().zip(rows[..64].iter().zip(&rows[64..])) {
            *out = [first[word], second[word]];
        }
        transpose_64(&mut square);
        for (column, value) in columns.iter_mut().zip(square) {
            column[0] ^= value[0];
            column[1] ^= value[1];
        }
    }
}

/// The counters of a task's blocks: block g of a column's stream serves the bins [128 g, 128 g + 128).
fn counters(first: u64) -> [Block; TASK_GROUPS] {
    std::array::from_fn(|group| (u128::from(first) + group as u128).to_le_bytes().into())
}

fn empty_columns(groups: usize) -> Zeroizing<Vec<Columns>> {
    Zeroizing::new(vec![[[0u64; 2]; WIDTH]; groups])
}

struct Extension {
    streams: Vec<Cipher>,
    first: u64,
}

redacted!(Extension);

impl Extension {
    /// The correction and the outputs of the bins from 128 · `first` on.
    fn receive(&self, code: &Code, hash: &Hash, inputs: &[u8], size: usize) -> (Vec<u8>, Vec<u8>) {
        let bins = inputs.len() / INPUT;
        let mut correction = vec![0u8; bins.div_ceil(GROUP) * GROUP_BYTES];
        let mut outputs = vec![0u8; bins * size];
        correction
            .par_chunks_mut(TASK_GROUPS * GROUP_BYTES)
            .zip(outputs.par_chunks_mut(TASK_GROUPS * GROUP * size))
            .zip(inputs.par_chunks(TASK_GROUPS * GROUP * INPUT))
            .enumerate()
            .for_each(|(task, ((correction, outputs), inputs))| {
                let first = self.first + (task * TASK_GROUPS) as u64;
                self.receive_task(code, hash, first, inputs, size, correction, outputs);
            });
        (correction, outputs)
    }

    #[allow(clippy::too_many_arguments)] // one task's slices of everything
    fn receive_task(
        &self,
        code: &Code,
        hash: &Hash,
        first: u64,
        inputs: &[u8],
        size: usize,
        correction: &mut [u8],
        outputs: &mut [u8],
    ) {
        let groups = correction.len() / GROUP_BYTES;
        let (mut own, mut sums) = (empty_columns(groups), empty_columns(groups));
        let mut blocks = Zeroizing::new([[0u64; 2]; TASK_GROUPS]);
        let counters = counters(first);
        for (column, pair) in self.streams.chunks_exact(2).enumerate() {
            pair[0].stream(&counters, &mut blocks[..]);
            for (own, words) in own.iter_mut().zip(blocks.iter()) {
                own[column] = *words;
            }
            pair[1].stream(&counters, &mut blocks[..]);
            for ((sums, own), words) in sums.iter_mut().zip(own.iter()).zip(blocks.iter()) {
                sums[column] = [words[0] ^ own[column][0], words[1] ^ own[column][1]];
            }
        }
        let mut rows = Zeroizing::new([[0u64; WORDS]; GROUP]);
        let groups = own.iter().zip(sums.iter_mut()).zip(correction.chunks_exact_mut(GROUP_BYTES));
        for (group, (((own, sums), correction), (inputs, outputs))) in
            groups.zip(inputs.chunks(GROUP * INPUT).zip(outputs.chunks_mut(GROUP * size))).enumerate()
        {
            let here = inputs.len() / INPUT;
            rows.fill([0; WORDS]); // bins that fill up the last group have the codeword zero
            code.encode(inputs, &mut rows[..here]);
            add_rows(sums, &rows);
            for (out, column) in correction.chunks_exact_mut(KEY).zip(sums.iter()) {
                out[..8].copy_from_slice(&column[0].to_le_bytes());
                out[8..].copy_from_slice(&column[1].to_le_bytes());
            }
            rows_of(own, &mut rows);
            let bin = (first + group as u64) * GROUP as u64;
            hash.outputs((bin..).zip(rows.iter()), size, outputs);
        }
    }

    /// The rows r of the bins that the correction covers.
    fn send(&self, mask: &Row, correction: &[u8]) -> Vec<u8> {
        let mut rows = vec![0u8; correction.len() / GROUP_BYTES * GROUP * ROW];
        rows.par_chunks_mut(TASK_GROUPS * GROUP * ROW)
            .zip(correction.par_chunks(TASK_GROUPS * GROUP_BYTES))
            .enumerate()
            .for_each(|(task, (out, correction))| {
                let mut columns = empty_columns(correction.len() / GROUP_BYTES);
                let mut blocks = Zeroizing::new([[0u64; 2]; TASK_GROUPS]);
                let counters = counters(self.first + (task * TASK_GROUPS) as u64);
                for (column, key) in self.streams.iter().enumerate() {
                    key.stream(&counters, &mut blocks[..]);
                    let keep = 0u64.wrapping_sub(mask[column / 64] >> (column % 64) & 1);
                    let received = correction[column * KEY..].chunks(GROUP_BYTES);
                    for ((columns, words), bytes) in columns.iter_mut().zip(blocks.iter()).zip(received) {
                        let sent = [word_at(&bytes[..8]), word_at(&bytes[8..16])];
                        columns[column] = [words[0] ^ (sent[0] & keep), words[1] ^ (sent[1] & keep)];
                    }
                }
                let mut rows = Zeroizing::new([[0u64; WORDS]; GROUP]);
                for (columns, out) in columns.iter().zip(out.chunks_exact_mut(GROUP * ROW)) {
                    rows_of(columns, &mut rows);
                    for (out, word) in out.chunks_exact_mut(8).zip(rows.as_flattened()) {
                        out.copy_from_slice(&word.to_le_bytes());
                    }
                }
            });
        rows
    }
}

/// F at (bins i, inputs i), from the rows r of all bins.
fn evaluate(code: &Code, hash: &Hash, rows: &[u8], mask: &Row, points: (&[u8], &[i64]), size: usize) -> Vec<u8> {
    let (inputs, bins) = points;
    let mut outputs = vec![0u8; bins.len() * size];
    outputs.par_chunks_mut(GROUP * size).zip(inputs.par_chunks(GROUP * INPUT).zip(bins.par_chunks(GROUP))).for_each(
        |(outputs, (inputs, bins))| {
            // gathered first, so that the cache misses of different bins overlap
            let mut held = Zeroizing::new([[0u64; WORDS]; GROUP]);
            for (row, &bin) in held.iter_mut().zip(bins) {
                *row = row_at(&rows[bin as usize * ROW..][..ROW]);
            }
            let mut codewords = Zeroizing::new([[0u64; WORDS]; GROUP]);
            code.encode(inputs, &mut codewords[..bins.len()]);
            for (row, codeword) in held.iter_mut().zip(codewords.iter()) {
                for ((word, code), mask) in row.iter_mut().zip(codeword).zip(mask) {
                    *word ^= code & mask;
                }
            }
            hash.outputs(bins.iter().map(|&bin| bin as u64).zip(held.iter()), size, outputs);
        },
    );
    outputs
}

fn mask_of(mask: &[u8]) -> PyResult<Zeroizing<Row>> {
    if mask.len() != ROW {
        return Err(bad("a mask is 56 bytes"));
    }
    Ok(Zeroizing::new(row_at(mask)))
}

/// Codewords of k × 26 bytes of inputs under five keys of 16 bytes; returns k × 56 bytes.
#[pyfunction]
fn kkrt_encode<'py>(
    py: Python<'py>,
    code_keys: &[u8],
    inputs: PyReadonlyArray2<'py, u8>,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let inputs = rows_in(&inputs, INPUT)?;
    let code = Code::new(code_keys)?;
    let mut out = vec![0u8; inputs.len() / INPUT * ROW];
    py.detach(|| {
        for (inputs, out) in inputs.chunks(GROUP * INPUT).zip(out.chunks_mut(GROUP * ROW)) {
            let mut codewords = [[0u64; WORDS]; GROUP];
            code.encode(inputs, &mut codewords[..inputs.len() / INPUT]);
            for (out, word) in out.chunks_exact_mut(8).zip(codewords.as_flattened()) {
                out.copy_from_slice(&word.to_le_bytes());
            }
        }
    });
    matrix(py, out, ROW)
}

/// The receiver's half of k bins from 128 · `first` on: keys 448 × 2 × 16 bytes flat, inputs k × 26 bytes.
/// Returns the correction (⌈k/128⌉ × 448 × 16 bytes, flat) and the outputs, k × size bytes.
#[pyfunction]
#[allow(clippy::type_complexity)] // two arrays
fn kkrt_receive<'py>(
    py: Python<'py>,
    keys: PyReadonlyArray1<'py, u8>,
    code_keys: &[u8],
    prefix: &[u8],
    first: u64,
    inputs: PyReadonlyArray2<'py, u8>,
    size: usize,
) -> PyResult<(Bound<'py, PyArray1<u8>>, Bound<'py, PyArray2<u8>>)> {
    let (keys, inputs) = (in_row_order(&keys, "keys")?, rows_in(&inputs, INPUT)?);
    check_size(size)?;
    check_first(first)?;
    if keys.len() != 2 * WIDTH * KEY {
        return Err(bad("keys are 448 x 2 x 16 bytes"));
    }
    let (code, hash) = (Code::new(code_keys)?, Hash::new(prefix)?);
    let (correction, outputs) = py.detach(|| {
        Ok::<_, PyErr>(Extension { streams: schedules(keys)?, first }.receive(&code, &hash, inputs, size))
    })?;
    Ok((correction.into_pyarray(py), matrix(py, outputs, size)?))
}

/// The sender's half: rows r, 56 bytes each, of the bins that the correction covers, from 128 · `first` on.
#[pyfunction]
fn kkrt_send<'py>(
    py: Python<'py>,
    keys: PyReadonlyArray1<'py, u8>,
    mask: PyReadonlyArray1<'py, u8>,
    first: u64,
    correction: &[u8],
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let (keys, mask) = (in_row_order(&keys, "keys")?, mask_of(in_row_order(&mask, "mask")?)?);
    check_first(first)?;
    if keys.len() != WIDTH * KEY || correction.len() % GROUP_BYTES != 0 {
        return Err(bad("keys are 448 x 16 bytes, a correction whole groups of 448 x 16"));
    }
    let rows = py.detach(|| Ok::<_, PyErr>(Extension { streams: schedules(keys)?, first }.send(&mask, correction)))?;
    matrix(py, rows, ROW)
}

/// Evaluates F at k points: rows N × 56 bytes, inputs k × 26 bytes, bins k in [0, N). Returns k × size bytes.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // the sender's whole state and its points
fn kkrt_evaluate<'py>(
    py: Python<'py>,
    rows: PyReadonlyArray2<'py, u8>,
    mask: PyReadonlyArray1<'py, u8>,
    code_keys: &[u8],
    prefix: &[u8],
    inputs: PyReadonlyArray2<'py, u8>,
    bins: PyReadonlyArray1<'py, i64>,
    size: usize,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let (rows, mask) = (rows_in(&rows, ROW)?, mask_of(in_row_order(&mask, "mask")?)?);
    let (inputs, bins) = (rows_in(&inputs, INPUT)?, in_row_order(&bins, "bins")?);
    check_size(size)?;
    if bins.len() != inputs.len() / INPUT {
        return Err(bad("as many bins as inputs expected"));
    }
    let count = (rows.len() / ROW) as i64;
    if bins.iter().any(|bin| !(0..count).contains(bin)) {
        return Err(bad("bins are in [0, N)"));
    }
    let (code, hash) = (Code::new(code_keys)?, Hash::new(prefix)?);
    let outputs = py.detach(|| evaluate(&code, &hash, rows, &mask, (inputs, bins), size));
    matrix(py, outputs, size)
}

fn check_first(first: u64) -> PyResult<()> {
    if first >= 1 << 48 {
        return Err(bad("a group's number is below 2^48"));
    }
    Ok(())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(kkrt_encode, module)?)?;
    module.add_function(wrap_pyfunction!(kkrt_receive, module)?)?;
    module.add_function(wrap_pyfunction!(kkrt_send, module)?)?;
    module.add_function(wrap_pyfunction!(kkrt_evaluate, module)?)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wipe::look::freed_with;
    use sha2::{Digest, Sha256};

    /// A part of one sequence in which no sixteen bytes come twice, as SplitMix64 would have it.
    fn bytes(count: usize, salt: usize) -> Vec<u8> {
        let byte = |index: usize| {
            let word = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 56) as u8
        };
        (salt..salt + count).map(byte).collect()
    }

    /// The first column of 128 bins, as it lies in a task's columns, read off the rows.
    fn first_column(rows: &[u8]) -> [u8; KEY] {
        let bits = rows.chunks_exact(ROW).take(GROUP).enumerate();
        bits.fold(0u128, |column, (bin, row)| column | u128::from(row[0] & 1) << bin).to_le_bytes()
    }

    #[test]
    fn stream_keys_columns_and_rows_are_wiped() {
        // far from the bytes of other tests, which run beside this one
        let (keys, code, prefix) = (bytes(2 * WIDTH * KEY, 99_991), bytes(CODE_KEYS * KEY, 5), bytes(BLOCK_BYTES, 7));
        let extension = |keys: &[u8]| Extension { streams: schedules(keys).unwrap(), first: 2 };
        assert_eq!(format!("{:?}", extension(&keys)), "Extension(..)");
        assert_eq!(freed_with(&keys, || drop(extension(&keys))), 0);
        let (code, hash) = (Code::new(&code).unwrap(), Hash::new(&prefix).unwrap());
        let inputs = bytes(GROUP * INPUT, 11);
        let mut own = vec![[0u64; 2]; 1];
        schedules(&keys).unwrap()[0].stream(&counters(2)[..1], &mut own);
        let own = [own[0][0].to_le_bytes(), own[0][1].to_le_bytes()].concat();
        assert_eq!(freed_with(&own, || extension(&keys).receive(&code, &hash, &inputs, 16)), 0);
        let (correction, _) = extension(&keys).receive(&code, &hash, &inputs, 16);
        let mask = [0x5555_5555_5555_5555; WORDS];
        let send = || extension(&keys[..WIDTH * KEY]).send(&mask, &correction);
        assert_eq!(freed_with(&first_column(&send()), send), 0);
    }

    #[test]
    fn rows_and_columns_are_transposes() {
        let mut rows = [[0u64; WORDS]; GROUP];
        for (row, bytes) in rows.iter_mut().zip(bytes(GROUP * ROW, 3).chunks_exact(ROW)) {
            *row = row_at(bytes);
        }
        let mut columns = [[0u64; 2]; WIDTH];
        add_rows(&mut columns, &rows);
        for (bin, row) in rows.iter().enumerate() {
            for (column, bits) in columns.iter().enumerate() {
                assert_eq!(row[column / 64] >> (column % 64) & 1, bits[bin / 64] >> (bin % 64) & 1);
            }
        }
        let mut back = [[0u64; WORDS]; GROUP];
        rows_of(&columns, &mut back);
        assert_eq!(rows, back);
    }

    #[test]
    fn the_hash_is_sha_256() {
        let (prefix, row) = (bytes(BLOCK_BYTES, 1), bytes(ROW, 2));
        let mut out = [0u8; 8 + 8 * 5];
        Hash::new(&prefix).unwrap().outputs([(77, &row_at(&row))].into_iter(), out.len(), &mut out);
        let digest = Sha256::new().chain_update(prefix).chain_update(77u64.to_le_bytes()).chain_update(row).finalize();
        let part = |part: u8, counter: u32| {
            Sha256::new().chain_update(digest).chain_update([part]).chain_update(counter.to_le_bytes()).finalize()
        };
        assert_eq!(out[..8], part(0, 0)[..8]);
        assert_eq!(out[8..40], part(1, 0)[..]);
        assert_eq!(out[40..], part(1, 1)[..8]);
    }

    #[test]
    fn rows_differ_by_the_masked_codeword_and_answers_agree() {
        let keys = bytes(2 * WIDTH * KEY, 5);
        let mask = bytes(ROW, 9);
        let chosen: Vec<u8> = (0..WIDTH)
            .flat_map(|column| {
                let side = usize::from(mask[column / 8] >> (column % 8) & 1);
                keys[(2 * column + side) * KEY..][..KEY].to_vec()
            })
            .collect();
        let code = Code::new(&bytes(CODE_KEYS * KEY, 11)).unwrap();
        let hash = Hash::new(&bytes(BLOCK_BYTES, 12)).unwrap();
        for count in [1, 127, 128, 1024, 1300usize] {
            let inputs = bytes(count * INPUT, 13);
            let receiver = Extension { streams: schedules(&keys).unwrap(), first: 6 };
            let (correction, outputs) = receiver.receive(&code, &hash, &inputs, 24);
            let sender = Extension { streams: schedules(&chosen).unwrap(), first: 6 };
            let mut rows = vec![0u8; 6 * GROUP * ROW];
            rows.extend(sender.send(&row_at(&mask), &correction));
            let bins: Vec<i64> = (0..count as i64).map(|bin| bin + 6 * GROUP as i64).collect();
            let evaluated = evaluate(&code, &hash, &rows, &row_at(&mask), (&inputs, &bins), 24);
            assert_eq!(outputs, evaluated);
        }
    }
}
