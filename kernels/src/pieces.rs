//! The outcome side's rows from pieces of time: the nodes that cover each piece, and their keys.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;
use std::ops::Range;

use crate::key::{Key, KEY_BYTES, KEY_WORDS};
use crate::lanes::LANES;
use crate::row_keys::Sixteen;
use crate::rows::{bad, in_row_order, matrix};

/// Pieces that one task works on.
const TASK: usize = 1 << 12;

/// Nodes of one level: (level, first, past the last).
type Stretch = (u8, u32, u32);

/// The fewest disjoint nodes of a tree that cover [first, last), `ratios` children a node above the first level each.
fn cover(first: u32, last: u32, ratios: &[u32], mut take: impl FnMut(Stretch)) {
    let (mut first, mut last) = (first, last);
    for (level, &ratio) in ratios.iter().enumerate() {
        let (inner, end) = (first.div_ceil(ratio), last / ratio);
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
    ratios: Vec<u32>,
}

impl<'a> Pieces<'a> {
    fn new(first: &'a [i64], last: &'a [i64], tree: &[i64]) -> PyResult<Self> {
        let wrong = |(&first, &last): (&i64, &i64)| first < 0 || last < first || last > i64::from(u32::MAX);
        if first.len() != last.len() || first.iter().zip(last).any(wrong) {
            return Err(bad("a piece goes from a tick that is not negative to the same or a later one, below 2^32"));
        }
        let ratios = ratios_of(tree).ok_or_else(|| bad("the sizes of a tree are a chain of divisors"))?;
        Ok(Pieces { first, last, ratios })
    }

    fn nodes(&self, piece: usize, take: impl FnMut(Stretch)) {
        cover(self.first[piece] as u32, self.last[piece] as u32, &self.ratios, take);
    }

    fn rows(&self, piece: usize) -> i64 {
        let mut rows = 0;
        self.nodes(piece, |(_, first, last)| rows += i64::from(last - first));
        rows
    }
}

/// Children a node of each level above the first has.
fn ratios_of(tree: &[i64]) -> Option<Vec<u32>> {
    let ratio = |pair: &[i64]| {
        let whole = pair[0] > 0 && pair[1] % pair[0] == 0;
        whole.then(|| u32::try_from(pair[1] / pair[0]).ok()).flatten().filter(|&ratio| ratio > 0)
    };
    let ratios = tree.windows(2).map(ratio).collect::<Option<Vec<_>>>()?;
    (!tree.is_empty() && tree.len() < 64).then_some(ratios)
}

/// Rows in the making, of WIDTH words, or if that is 0 of `width`: what is behind a key comes first, then the key.
struct Rows<'a, const WIDTH: usize> {
    rows: &'a mut [u64],
    width: usize,
    filled: usize,
    keyed: usize,
    keys: Sixteen,
}

impl<const WIDTH: usize> Rows<'_, WIDTH> {
    fn width(&self) -> usize {
        if WIDTH == 0 {
            self.width
        } else {
            WIDTH
        }
    }

    /// Adds the rows of a stretch of nodes, the same words behind all their keys; None where there are too many.
    fn add(&mut self, words: &[u64], person: &[u8; KEY_BYTES], (level, first, last): Stretch) -> Option<()> {
        let width = self.width();
        for node in first..last {
            self.rows.get_mut(self.filled..self.filled + width)?[KEY_WORDS..]
                .copy_from_slice(&words[..width - KEY_WORDS]);
            self.filled += width;
            if let Some(found) = self.keys.add(level, node.into(), person) {
                self.write(&found);
            }
        }
        Some(())
    }

    /// None where there are too few.
    fn finish(mut self) -> Option<()> {
        let last = self.keys.hashed();
        self.write(&last);
        (self.keyed == self.rows.len()).then_some(())
    }

    fn write(&mut self, found: &[Key; LANES]) {
        let width = self.width();
        let end = self.filled.min(self.keyed + LANES * width);
        let rows = self.rows[self.keyed..end].chunks_exact_mut(width);
        rows.zip(found).for_each(|(row, key)| row[..KEY_WORDS].copy_from_slice(key));
        self.keyed = end;
    }
}

/// What the rows are made of.
struct Making<'a> {
    pieces: Pieces<'a>,
    person: &'a [[u8; KEY_BYTES]],
    owner: &'a [i64],
    domain: u8,
    words: &'a [u64],
    width: usize,
}

impl Making<'_> {
    /// Makes the rows of some pieces, which fill `rows`; None where they do not.
    fn rows<const WIDTH: usize>(&self, own: Range<usize>, rows: &mut [u64]) -> Option<()> {
        let mut rows = Rows::<WIDTH> { rows, width: self.width, filled: 0, keyed: 0, keys: Sixteen::new(self.domain) };
        let behind = rows.width() - KEY_WORDS;
        for piece in own {
            let (words, person) = (&self.words[piece * behind..][..behind], &self.person[self.owner[piece] as usize]);
            let mut fits = Some(());
            self.pieces.nodes(piece, |stretch| fits = fits.and_then(|()| rows.add(words, person, stretch)));
            fits?;
        }
        rows.finish()
    }

    /// Makes all rows, as many for each piece as `sizes` has, none of them negative; None where the pieces make others.
    fn all(&self, sizes: &[i64]) -> Option<Vec<u64>> {
        let make = match self.width {
            3 => Self::rows::<3>,
            4 => Self::rows::<4>,
            5 => Self::rows::<5>,
            6 => Self::rows::<6>,
            _ => Self::rows::<0>,
        };
        let words = |sizes: &[i64]| sizes.iter().sum::<i64>() as usize * self.width;
        let mut made = vec![0u64; words(sizes)];
        let (mut tasks, mut left) = (Vec::new(), made.as_mut_slice());
        for (task, sizes) in sizes.chunks(TASK).enumerate() {
            let (rows, after) = left.split_at_mut(words(sizes));
            tasks.push((task * TASK..task * TASK + sizes.len(), rows));
            left = after;
        }
        tasks.into_par_iter().try_for_each(|(own, rows)| make(self, own, rows)).map(|()| made)
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
/// the words behind a piece's keys k × w, sizes of the tree's levels, and how many rows each piece makes k, as
/// `cover_sizes` counts them; returns rows n × (2 + w), in the order of the pieces.
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
    sizes: PyReadonlyArray1<'py, i64>,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (count, behind) = words.as_array().dim();
    let whole = person.as_array().dim().1 == KEY_BYTES;
    let (person, words) = (in_row_order(&person, "person")?, in_row_order(&words, "words")?);
    let (person, _) = person.as_chunks::<KEY_BYTES>();
    let (owner, first, last, sizes) = (
        in_row_order(&owner, "owner")?,
        in_row_order(&first, "first")?,
        in_row_order(&last, "last")?,
        in_row_order(&sizes, "sizes")?,
    );
    if !whole || behind == 0 || [owner.len(), first.len(), last.len(), sizes.len()] != [count; 4] {
        return Err(bad("person is n × 16 bytes, owner, first, last and sizes have k entries, words are k × w"));
    }
    if !owner.iter().all(|&owner| usize::try_from(owner).is_ok_and(|owner| owner < person.len())) {
        return Err(bad("owners are positions of people"));
    }
    let pieces = Pieces::new(first, last, &tree)?;
    const OTHERS: &str = "the pieces do not make that many rows";
    // no more than the ticks, so that the memory for them is not asked for where they cannot be
    if sizes.iter().zip(first.iter().zip(last)).any(|(size, (first, last))| !(0..=last - first).contains(size)) {
        return Err(bad(OTHERS));
    }
    let width = KEY_WORDS + behind;
    let making = Making { pieces, person, owner, domain, words, width };
    let made = py.detach(|| making.all(sizes));
    matrix(py, made.ok_or_else(|| bad(OTHERS))?, width)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(cover_sizes, module)?)?;
    module.add_function(wrap_pyfunction!(rows_of_pieces, module)?)
}
