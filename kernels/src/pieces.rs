//! The outcome side's rows from pieces of time: the nodes that cover each piece, and their keys.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::key::{Key, KEY_BYTES, KEY_WORDS};
use crate::lanes::LANES;
use crate::row_keys::Sixteen;
use crate::rows::{bad, in_row_order, matrix};

/// Pieces that one task works on.
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

/// Pieces [first, last), whose ends are right, and the tree.
struct Pieces<'a> {
    first: &'a [i64],
    last: &'a [i64],
    ratios: Vec<i64>,
}

impl<'a> Pieces<'a> {
    fn new(first: &'a [i64], last: &'a [i64], tree: &[i64]) -> PyResult<Self> {
        if first.len() != last.len() || first.iter().zip(last).any(|(&first, &last)| first < 0 || last < first) {
            return Err(bad("a piece goes from a tick that is not negative to the same or a later one"));
        }
        let ratios = ratios_of(tree).ok_or_else(|| bad("the sizes of a tree are a chain of divisors"))?;
        Ok(Pieces { first, last, ratios })
    }

    fn nodes(&self, piece: usize, take: impl FnMut(Stretch)) {
        cover(self.first[piece], self.last[piece], &self.ratios, take);
    }

    fn rows(&self, piece: usize) -> i64 {
        let mut rows = 0;
        self.nodes(piece, |(_, first, last)| rows += last - first); // at most the ticks of the piece
        rows
    }
}

/// Children a node of each level above the first has.
fn ratios_of(tree: &[i64]) -> Option<Vec<i64>> {
    let chain = tree.windows(2).map(|pair| (pair[0] > 0 && pair[1] % pair[0] == 0).then(|| pair[1] / pair[0]));
    let ratios = chain.collect::<Option<Vec<_>>>()?;
    (!tree.is_empty() && tree.len() < 64 && ratios.iter().all(|&ratio| ratio > 0)).then_some(ratios)
}

/// Fills rows with one, their keys aside.
fn fill(rows: &mut [u64], one: &[u64]) {
    /// Of a width that the compiler knows, which few copies of few words need.
    fn known<const WIDTH: usize>(rows: &mut [u64], one: &[u64]) {
        if let Ok(one) = <[u64; WIDTH]>::try_from(one) {
            rows.as_chunks_mut::<WIDTH>().0.fill(one);
        }
    }
    match one.len() {
        3 => known::<3>(rows, one),
        4 => known::<4>(rows, one),
        5 => known::<5>(rows, one),
        6 => known::<6>(rows, one),
        width => rows.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(one)),
    }
}

/// Rows in the making: filled first, then given their keys.
struct Rows<'a> {
    rows: &'a mut [u64],
    width: usize,
    filled: usize,
    keyed: usize,
    keys: Sixteen,
}

impl Rows<'_> {
    /// Adds the rows of a stretch of nodes, all of them like one but for their keys.
    fn add(&mut self, one: &[u64], person: &[u8; KEY_BYTES], (level, first, last): Stretch) {
        let end = self.filled + (last - first) as usize * self.width;
        fill(&mut self.rows[self.filled..end], one);
        self.filled = end;
        for node in first..last {
            if let Some(found) = self.keys.add(level, node, person) {
                self.write(&found);
            }
        }
    }

    fn finish(mut self) {
        let last = self.keys.hashed();
        self.write(&last);
    }

    fn write(&mut self, found: &[Key; LANES]) {
        let end = self.filled.min(self.keyed + LANES * self.width);
        let rows = self.rows[self.keyed..end].chunks_exact_mut(self.width);
        rows.zip(found).for_each(|(row, key)| row[..KEY_WORDS].copy_from_slice(key));
        self.keyed = end;
    }
}

/// How many nodes cover each of k pieces [first, last): k numbers.
#[pyfunction]
fn cover_sizes<'py>(
    py: Python<'py>,
    first: PyReadonlyArray1<'py, i64>,
    last: PyReadonlyArray1<'py, i64>,
    tree: Vec<i64>,
) -> PyResult<Bound<'py, PyArray1<i64>>> {
    let pieces = Pieces::new(in_row_order(&first, "first")?, in_row_order(&last, "last")?, &tree)?;
    let sizes = py.detach(|| (0..pieces.first.len()).map(|piece| pieces.rows(piece)).collect::<Vec<_>>());
    Ok(sizes.into_pyarray(py))
}

/// Rows of k pieces: person n × 16, of these the one whose piece it is k, the domain of all, ticks [first, last) k each,
/// the words behind a piece's keys k × w, sizes of the tree's levels, and how many rows that makes; returns rows n × (2 +
/// w), in the order of the pieces.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // six of them are the pieces
fn rows_of_pieces<'py>(
    py: Python<'py>,
    person: PyReadonlyArray2<'py, u8>,
    owner: PyReadonlyArray1<'py, i64>,
    domain: u8,
    first: PyReadonlyArray1<'py, i64>,
    last: PyReadonlyArray1<'py, i64>,
    words: PyReadonlyArray2<'py, u64>,
    tree: Vec<i64>,
    rows: usize,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (count, behind) = words.as_array().dim();
    let whole = person.as_array().dim().1 == KEY_BYTES;
    let (person, words) = (in_row_order(&person, "person")?, in_row_order(&words, "words")?);
    let (person, _) = person.as_chunks::<KEY_BYTES>();
    let (owner, first, last) =
        (in_row_order(&owner, "owner")?, in_row_order(&first, "first")?, in_row_order(&last, "last")?);
    if !whole || behind == 0 || [owner.len(), first.len(), last.len()] != [count; 3] {
        return Err(bad("person is n × 16 bytes, owner, first and last have k entries, words are k × w"));
    }
    if !owner.iter().all(|&owner| usize::try_from(owner).is_ok_and(|owner| owner < person.len())) {
        return Err(bad("owners are positions of people"));
    }
    let (pieces, width) = (Pieces::new(first, last, &tree)?, KEY_WORDS + behind);
    let made = py.detach(|| {
        let counted = (0..count).fold(0i64, |sum, piece| sum.saturating_add(pieces.rows(piece)));
        if usize::try_from(counted) != Ok(rows) {
            return Err("the pieces do not make that many rows");
        }
        let mut made = vec![0u64; rows * width];
        let (mut tasks, mut left) = (Vec::new(), made.as_mut_slice());
        for start in (0..count).step_by(TASK) {
            let own = start..count.min(start + TASK);
            let rows: i64 = own.clone().map(|piece| pieces.rows(piece)).sum();
            let (rows, after) = left.split_at_mut(rows as usize * width);
            tasks.push((own, rows));
            left = after;
        }
        tasks.into_par_iter().for_each(|(own, rows)| {
            let mut rows = Rows { rows, width, filled: 0, keyed: 0, keys: Sixteen::new(domain) };
            let mut one = vec![0; width];
            for piece in own {
                one[KEY_WORDS..].copy_from_slice(&words[piece * behind..(piece + 1) * behind]);
                pieces.nodes(piece, |stretch| rows.add(&one, &person[owner[piece] as usize], stretch));
            }
            rows.finish();
        });
        Ok(made)
    });
    matrix(py, made.map_err(bad)?, width)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(cover_sizes, module)?)?;
    module.add_function(wrap_pyfunction!(rows_of_pieces, module)?)
}
