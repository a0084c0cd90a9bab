//! The outcome side's rows from pieces of time: the nodes that cover each piece, their keys, and all in the order of keys.

use numpy::{PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::digest::{row_key_words, Node, KEY_BYTES};
use crate::lanes::LANES;
use crate::rows::{bad, in_row_order, matrix};
use crate::sort::{in_key_order, Keyed};

/// The domain of root keys, which are no node of the tree.
const MEMBER: u8 = 0;
/// Pieces, or rows, that one task works on.
const TASK: usize = 1 << 12;

/// Nodes of one level: (level, first, past the last).
type Stretch = (u8, i64, i64);

/// The fewest disjoint nodes of a tree that cover [first, last), `ratios` children a node above the first level each.
fn cover(first: i64, last: i64, ratios: &[i64], mut take: impl FnMut(Stretch)) {
    let (mut first, mut last) = (first, last);
    for (level, &ratio) in ratios.iter().enumerate() {
        // first and last are not negative, and a ratio is at least one
        let (inner, end) = (first / ratio + i64::from(first % ratio != 0), last / ratio);
        if inner >= end {
            return take((level as u8, first, last));
        }
        take((level as u8, first, inner * ratio));
        take((level as u8, end * ratio, last));
        (first, last) = (inner, end);
    }
    take((ratios.len() as u8, first, last));
}

struct Pieces<'a> {
    person: &'a [u8],
    domain: &'a [u8],
    first: &'a [i64],
    last: &'a [i64],
    ratios: Vec<i64>,
}

impl Pieces<'_> {
    fn nodes(&self, piece: usize, mut take: impl FnMut(Stretch)) {
        match self.domain[piece] {
            MEMBER => take((0, 0, 1)),
            _ => cover(self.first[piece], self.last[piece], &self.ratios, take),
        }
    }

    fn rows(&self, piece: usize) -> u64 {
        let mut rows = 0u64;
        self.nodes(piece, |(_, first, last)| rows = rows.saturating_add((last - first) as u64));
        rows
    }

    /// The keys of some pieces' rows.
    fn keys(&self, pieces: std::ops::Range<usize>, out: &mut [Keyed]) {
        let (mut rows, mut items, mut held) = ([Node::default(); LANES], [0u32; LANES], 0);
        let mut out = out.chunks_mut(LANES);
        let mut write = |rows: &[Node<'_>], items: &[u32]| {
            let keys = out.next().unwrap_or_default().iter_mut().zip(row_key_words(rows));
            keys.zip(items).for_each(|((out, [high, low]), &item)| *out = Keyed { high, low, item });
        };
        for piece in pieces {
            let person = &self.person[piece * KEY_BYTES..(piece + 1) * KEY_BYTES];
            self.nodes(piece, |(level, first, last)| {
                for node in first..last {
                    rows[held] = Node { class: self.domain[piece], level, node, person };
                    items[held] = piece as u32;
                    held += 1;
                    if held == LANES {
                        write(&rows, &items);
                        held = 0;
                    }
                }
            });
        }
        write(&rows[..held], &items);
    }

    /// All rows in the order of their keys, each with its piece; None where two keys are equal.
    fn ordered(&self, rows: usize) -> Option<Vec<Keyed>> {
        let mut entries = vec![Keyed::default(); rows];
        let (mut tasks, mut rest) = (Vec::new(), entries.as_mut_slice());
        for start in (0..self.first.len()).step_by(TASK) {
            let pieces = start..self.first.len().min(start + TASK);
            let rows: u64 = pieces.clone().map(|piece| self.rows(piece)).sum();
            let (own, after) = rest.split_at_mut(rows as usize);
            tasks.push((pieces, own));
            rest = after;
        }
        tasks.into_par_iter().for_each(|(pieces, own)| self.keys(pieces, own));
        in_key_order(entries)
    }
}

/// Children a node of each level above the first has.
fn ratios_of(tree: &[i64]) -> Option<Vec<i64>> {
    let chain = tree.windows(2).map(|pair| (pair[0] > 0 && pair[1] % pair[0] == 0).then(|| pair[1] / pair[0]));
    let ratios = chain.collect::<Option<Vec<_>>>()?;
    (!tree.is_empty() && tree.len() < 64 && ratios.iter().all(|&ratio| ratio > 0)).then_some(ratios)
}

type Rows<'py> = (Bound<'py, PyArray2<u8>>, Bound<'py, PyArray2<i64>>);

/// Rows of k pieces: person k × 16, domain k (0: a root key), ticks [first, last) k each, vector k × m, sizes of the tree's
/// levels, and how many rows that makes; returns keys n × 16, ascending, and values n × m.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // five of them are the pieces
fn rows_of_pieces<'py>(
    py: Python<'py>,
    person: PyReadonlyArray2<'py, u8>,
    domain: PyReadonlyArray1<'py, u8>,
    first: PyReadonlyArray1<'py, i64>,
    last: PyReadonlyArray1<'py, i64>,
    vector: PyReadonlyArray2<'py, i64>,
    tree: Vec<i64>,
    rows: usize,
) -> PyResult<Rows<'py>> {
    let (count, columns) = vector.as_array().dim();
    let whole = person.as_array().dim() == (count, KEY_BYTES);
    let (person, vector) = (in_row_order(&person, "person")?, in_row_order(&vector, "vector")?);
    let (domain, first, last) =
        (in_row_order(&domain, "domain")?, in_row_order(&first, "first")?, in_row_order(&last, "last")?);
    if !whole || columns == 0 || [domain.len(), first.len(), last.len()] != [count; 3] || count > u32::MAX as usize {
        return Err(bad("person is k × 16 bytes, domain, first and last have k entries, vector is k × m"));
    }
    if first.iter().zip(last).any(|(&first, &last)| first < 0 || last < first) {
        return Err(bad("a piece goes from a tick that is not negative to the same or a later one"));
    }
    let ratios = ratios_of(&tree).ok_or_else(|| bad("the sizes of a tree are a chain of divisors"))?;
    let pieces = Pieces { person, domain, first, last, ratios };
    let found = py.detach(|| {
        let counted = (0..count).fold(0u64, |sum, piece| sum.saturating_add(pieces.rows(piece)));
        if counted != rows as u64 {
            return Err("the pieces do not make that many rows");
        }
        let ordered = pieces.ordered(rows).ok_or("two rows have one key")?;
        let (mut keys, mut values) = (vec![0u8; rows * KEY_BYTES], vec![0i64; rows * columns]);
        let out = keys.par_chunks_mut(TASK * KEY_BYTES).zip(values.par_chunks_mut(TASK * columns));
        ordered.par_chunks(TASK).zip(out).for_each(|(entries, (keys, values))| {
            let out = keys.chunks_exact_mut(KEY_BYTES).zip(values.chunks_exact_mut(columns));
            for (entry, (key, value)) in entries.iter().zip(out) {
                entry.write(key);
                let at = entry.item as usize * columns;
                value.copy_from_slice(&vector[at..at + columns]);
            }
        });
        Ok((keys, values))
    });
    let (keys, values) = found.map_err(bad)?;
    Ok((matrix(py, keys, KEY_BYTES)?, matrix(py, values, columns)?))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(rows_of_pieces, module)?)
}
