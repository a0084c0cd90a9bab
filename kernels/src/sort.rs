//! Rows of 64-bit words: grouped by their first byte, put together, and compared.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::rows::{bad, in_row_order, matrix};

const PARTS: usize = 256;
/// Rows that are put together at once, part by part, while they are in a near cache.
const SIDE_ROWS: usize = 256;

type Grouped<'py> = (Bound<'py, PyArray2<u64>>, Bound<'py, PyArray1<i64>>);

/// Rows n × k of arrays, one after the other, grouped by part and otherwise in their order, and the 256 counts. A row's
/// part is given, n bytes for each array, or it is the top byte of its first word.
#[pyfunction]
fn group_rows<'py>(
    py: Python<'py>,
    rows: Vec<PyReadonlyArray2<'py, u64>>,
    parts: Vec<PyReadonlyArray1<'py, u8>>,
) -> PyResult<Grouped<'py>> {
    let width = rows.first().map_or(0, |rows| rows.as_array().dim().1);
    if width == 0 || rows.iter().any(|rows| rows.as_array().dim().1 != width) {
        return Err(bad("rows have at least one word, and one number of words"));
    }
    let rows = rows.iter().map(|rows| in_row_order(rows, "rows")).collect::<PyResult<Vec<_>>>()?;
    let parts = parts.iter().map(|parts| in_row_order(parts, "parts")).collect::<PyResult<Vec<_>>>()?;
    let counted = rows.iter().map(|rows| rows.len() / width).eq(parts.iter().map(|parts| parts.len()));
    if !parts.is_empty() && !counted {
        return Err(bad("each row has one part"));
    }
    let (out, counts) = py.detach(|| match width {
        3 => by_part::<3>(&rows, &parts, width),
        4 => by_part::<4>(&rows, &parts, width),
        7 => by_part::<7>(&rows, &parts, width),
        _ => by_part::<0>(&rows, &parts, width),
    });
    Ok((matrix(py, out, width)?, counts.into_pyarray(py)))
}

/// Rows of arrays grouped by part, and the counts; of WIDTH words, so that a row is no call to copy, or else of `width`.
fn by_part<const WIDTH: usize>(rows: &[&[u64]], parts: &[&[u8]], width: usize) -> (Vec<u64>, Vec<i64>) {
    let width = if WIDTH == 0 { width } else { WIDTH };
    let all = || rows.iter().flat_map(|rows| rows.chunks_exact(width));
    if parts.is_empty() {
        grouped(|| all().map(|row| (usize::from((row[0] >> 56) as u8), row)), width)
    } else {
        grouped(|| parts.iter().flat_map(|parts| parts.iter()).map(|&part| usize::from(part)).zip(all()), width)
    }
}

/// Rows of `width` words behind the number of their part, grouped by it, and the counts.
#[inline(always)]
fn grouped<'a, I: Iterator<Item = (usize, &'a [u64])>>(rows: impl Fn() -> I, width: usize) -> (Vec<u64>, Vec<i64>) {
    let mut counts = vec![0i64; PARTS];
    rows().for_each(|(part, _)| counts[part] += 1);
    let (mut next, mut total) = (vec![0usize; PARTS], 0);
    for (next, &count) in next.iter_mut().zip(&counts) {
        *next = total;
        total += count as usize * width;
    }
    let mut out = vec![0u64; total];
    for (part, row) in rows() {
        let at = &mut next[part];
        out[*at..*at + width].copy_from_slice(row);
        *at += width;
    }
    (out, counts)
}

/// Which of n rows of k words differ from the row before; the first one does.
#[pyfunction]
fn row_changes<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Bound<'py, PyArray1<bool>>> {
    let (count, width) = rows.as_array().dim();
    let words = in_row_order(&rows, "rows")?;
    let changed = py.detach(|| {
        let row = |at: usize| &words[at * width..(at + 1) * width];
        (0..count).map(|at| at == 0 || row(at) != row(at - 1)).collect::<Vec<_>>()
    });
    Ok(changed.into_pyarray(py))
}

/// Rows n × (k₁ + k₂ + …) of parts n × k₁, n × k₂ … side by side.
#[pyfunction]
fn side_by_side<'py>(py: Python<'py>, parts: Vec<PyReadonlyArray2<'py, u64>>) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let count = parts.first().map_or(0, |part| part.as_array().dim().0);
    if parts.iter().any(|part| part.as_array().dim().0 != count) {
        return Err(bad("parts have one number of rows"));
    }
    let widths: Vec<usize> = parts.iter().map(|part| part.as_array().dim().1).collect();
    let parts = parts.iter().map(|part| in_row_order(part, "part")).collect::<PyResult<Vec<_>>>()?;
    let width = widths.iter().sum::<usize>();
    if width == 0 {
        return Err(bad("rows have at least one word"));
    }
    let rows = py.detach(|| {
        let mut rows = vec![0u64; count * width];
        for (at, rows) in rows.chunks_mut(SIDE_ROWS * width).enumerate() {
            let mut first = 0;
            for (part, &own) in parts.iter().zip(&widths) {
                let own_rows = part[at * SIDE_ROWS * own..].chunks_exact(own.max(1));
                match own {
                    1 => rows.chunks_exact_mut(width).zip(own_rows).for_each(|(row, own)| row[first] = own[0]),
                    2 => rows.chunks_exact_mut(width).zip(own_rows).for_each(|(row, own)| {
                        (row[first], row[first + 1]) = (own[0], own[1]);
                    }),
                    _ => rows.chunks_exact_mut(width).zip(own_rows).for_each(|(row, words)| {
                        row[first..first + own].copy_from_slice(words);
                    }),
                }
                first += own;
            }
        }
        rows
    });
    matrix(py, rows, width)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(group_rows, module)?)?;
    module.add_function(wrap_pyfunction!(row_changes, module)?)?;
    module.add_function(wrap_pyfunction!(side_by_side, module)?)
}
