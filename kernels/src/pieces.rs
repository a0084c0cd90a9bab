//! The outcome side's rows from pieces of time: the nodes that cover each piece, and their keys.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::digest::KEY_BYTES;
use crate::row_keys::RowKeys;
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

/// Fills rows with one vector.
fn fill(rows: &mut [i64], vector: &[i64]) {
    /// Of a width that the compiler knows, which few copies of few words need.
    fn known<const WIDTH: usize>(rows: &mut [i64], vector: &[i64]) {
        if let Ok(vector) = <[i64; WIDTH]>::try_from(vector) {
            rows.as_chunks_mut::<WIDTH>().0.fill(vector);
        }
    }
    match vector.len() {
        1 => known::<1>(rows, vector),
        2 => known::<2>(rows, vector),
        3 => known::<3>(rows, vector),
        4 => known::<4>(rows, vector),
        5 => known::<5>(rows, vector),
        6 => known::<6>(rows, vector),
        7 => known::<7>(rows, vector),
        8 => known::<8>(rows, vector),
        9 => known::<9>(rows, vector),
        width => rows.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(vector)),
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

type Made<'py> = (Bound<'py, PyArray2<u8>>, Bound<'py, PyArray2<i64>>);

/// Rows of k pieces: person n × 16, of these the one whose piece it is k, the domain of all, ticks [first, last) k each,
/// vector k × m, sizes of the tree's levels, and how many rows that makes; returns keys and values, rows × 16 and × m, in
/// the order of the pieces.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // six of them are the pieces
fn rows_of_pieces<'py>(
    py: Python<'py>,
    person: PyReadonlyArray2<'py, u8>,
    owner: PyReadonlyArray1<'py, i64>,
    domain: u8,
    first: PyReadonlyArray1<'py, i64>,
    last: PyReadonlyArray1<'py, i64>,
    vector: PyReadonlyArray2<'py, i64>,
    tree: Vec<i64>,
    rows: usize,
) -> PyResult<Made<'py>> {
    let (count, columns) = vector.as_array().dim();
    let whole = person.as_array().dim().1 == KEY_BYTES;
    let (person, vector) = (in_row_order(&person, "person")?, in_row_order(&vector, "vector")?);
    let (person, _) = person.as_chunks::<KEY_BYTES>();
    let (owner, first, last) =
        (in_row_order(&owner, "owner")?, in_row_order(&first, "first")?, in_row_order(&last, "last")?);
    if !whole || columns == 0 || [owner.len(), first.len(), last.len()] != [count; 3] {
        return Err(bad("person is n × 16 bytes, owner, first and last have k entries, vector is k × m"));
    }
    if !owner.iter().all(|&owner| usize::try_from(owner).is_ok_and(|owner| owner < person.len())) {
        return Err(bad("owners are positions of people"));
    }
    let pieces = Pieces::new(first, last, &tree)?;
    let made = py.detach(|| {
        let counted = (0..count).fold(0i64, |sum, piece| sum.saturating_add(pieces.rows(piece)));
        if usize::try_from(counted) != Ok(rows) {
            return Err("the pieces do not make that many rows");
        }
        let (mut keys, mut values) = (vec![[0u8; KEY_BYTES]; rows], vec![0i64; rows * columns]);
        let (mut tasks, mut keys_left, mut values_left) = (Vec::new(), keys.as_mut_slice(), values.as_mut_slice());
        for start in (0..count).step_by(TASK) {
            let own = start..count.min(start + TASK);
            let rows: i64 = own.clone().map(|piece| pieces.rows(piece)).sum();
            let (keys, after) = keys_left.split_at_mut(rows as usize);
            let (values, rest) = values_left.split_at_mut(rows as usize * columns);
            tasks.push((own, keys, values));
            (keys_left, values_left) = (after, rest);
        }
        tasks.into_par_iter().for_each(|(own, keys, values)| {
            let (mut keys, mut values) = (RowKeys::new(domain, keys), values);
            for piece in own {
                let person = &person[owner[piece] as usize];
                let vector = &vector[piece * columns..(piece + 1) * columns];
                pieces.nodes(piece, |(level, first, last)| {
                    let (rows, after) = std::mem::take(&mut values).split_at_mut((last - first) as usize * columns);
                    fill(rows, vector);
                    values = after;
                    (first..last).for_each(|node| keys.add(level, node, person));
                });
            }
            keys.finish();
        });
        Ok((keys.into_flattened(), values))
    });
    let (keys, values) = made.map_err(bad)?;
    Ok((matrix(py, keys, KEY_BYTES)?, matrix(py, values, columns)?))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(cover_sizes, module)?)?;
    module.add_function(wrap_pyfunction!(rows_of_pieces, module)?)
}
