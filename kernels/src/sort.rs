//! Rows of 64-bit words: in lexicographic order, grouped by their first byte, or merged where lines are one event; and
//! keys in their order.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::rows::{bad, in_row_order, matrix};

const PARTS: usize = 256;

fn rows_of<const WORDS: usize>(words: &[u64]) -> Vec<[u64; WORDS]> {
    let mut rows = vec![[0u64; WORDS]; words.len() / WORDS];
    for (row, words) in rows.iter_mut().zip(words.chunks_exact(WORDS)) {
        row.copy_from_slice(words);
    }
    rows
}

fn sorted<const WORDS: usize>(words: &[u64]) -> Vec<u64> {
    let mut rows = rows_of::<WORDS>(words);
    rows.par_sort_unstable();
    rows.into_flattened()
}

/// Rows n × k (k from 2 to 8), sorted by their words from the first to the last.
#[pyfunction]
fn sort_rows<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let shape = rows.as_array().dim();
    let words = in_row_order(&rows, "rows")?;
    let sort = match shape.1 {
        2 => sorted::<2>,
        3 => sorted::<3>,
        4 => sorted::<4>,
        5 => sorted::<5>,
        6 => sorted::<6>,
        7 => sorted::<7>,
        8 => sorted::<8>,
        _ => return Err(bad("rows have from 2 to 8 words")),
    };
    let out = py.detach(|| sort(words));
    matrix(py, out, shape.1)
}

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
    let (out, counts) = py.detach(|| {
        let all = || rows.iter().flat_map(|rows| rows.chunks_exact(width));
        if parts.is_empty() {
            grouped(|| all().map(|row| (usize::from((row[0] >> 56) as u8), row)), width)
        } else {
            grouped(|| parts.iter().flat_map(|parts| parts.iter()).map(|&part| usize::from(part)).zip(all()), width)
        }
    });
    Ok((matrix(py, out, width)?, counts.into_pyarray(py)))
}

/// Rows of `width` words behind the number of their part, grouped by it, and the counts.
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

/// A line of an outcome: person (2 words), event, event id (2), time, value. Zero words are no event id.
type Line = [u64; 7];

fn same_event(one: &Line, other: &Line) -> bool {
    one[..5] == other[..5] && (one[3] | one[4]) != 0
}

/// Lines of one person, in any order, to outcomes sorted by (event, time, event id, value); None where a sum overflows.
fn merge_person(lines: &mut Vec<Line>, out: &mut Vec<Line>) -> Option<()> {
    lines.sort_unstable();
    let start = out.len();
    for line in lines.drain(..) {
        match out[start..].last_mut() {
            // The first line of an event is its earliest: time comes right after the event id.
            Some(last) if same_event(last, &line) => last[6] = last[6].checked_add(line[6])?,
            _ => out.push(line),
        }
    }
    let own = &mut out[start..];
    own.sort_unstable_by_key(|row| (row[2], row[5], row[3], row[4], row[6]));
    own.iter().all(|row| row[6] <= i64::MAX as u64).then_some(())
}

/// Lines in any order to outcomes sorted by (person, event, time, event id, value).
fn merged(words: &[u64]) -> Option<Vec<Line>> {
    let (lines, rest) = words.as_chunks::<7>();
    debug_assert!(rest.is_empty());
    let entries = lines.iter().enumerate().map(|(item, line)| Keyed { high: line[0], low: line[1], item: item as u32 });
    let ordered = by_key(entries.collect());
    let (mut out, mut own) = (Vec::with_capacity(lines.len()), Vec::new());
    for person in ordered.chunk_by(|one, other| (one.high, one.low) == (other.high, other.low)) {
        own.extend(person.iter().map(|entry| lines[entry.item as usize]));
        merge_person(&mut own, &mut out)?;
    }
    Some(out)
}

/// Lines n × 7 words (person, event, event id, time, value) to outcomes in the order person, event, time, event id.
#[pyfunction]
fn merge_lines<'py>(py: Python<'py>, lines: PyReadonlyArray2<'py, u64>) -> PyResult<Bound<'py, PyArray2<u64>>> {
    const WORDS: usize = 7;
    let words = in_row_order(&lines, "lines")?;
    if lines.as_array().dim().1 != WORDS {
        return Err(bad("a line has 7 words"));
    }
    if words.len() / WORDS > u32::MAX as usize {
        return Err(bad("fewer than 2^32 lines at once"));
    }
    match py.detach(|| merged(words)) {
        None => Err(bad("the values of one event add up to 2^63 or more")),
        Some(rows) => matrix(py, rows.into_flattened(), WORDS),
    }
}

/// A key of 16 bytes as two words, and whose it is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Keyed {
    pub high: u64,
    pub low: u64,
    pub item: u32,
}

impl Keyed {
    pub(crate) fn of(key: &[u8], item: u32) -> Self {
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_be_bytes);
        Keyed { high: word(&key[..8]), low: word(&key[8..16]), item }
    }

    pub(crate) fn write(&self, out: &mut [u8]) {
        out[..8].copy_from_slice(&self.high.to_be_bytes());
        out[8..16].copy_from_slice(&self.low.to_be_bytes());
    }
}

/// Copies entries to `to`, grouped by `part` < `parts` and otherwise in their order; returns where each part ends.
fn scattered(from: &[Keyed], to: &mut [Keyed], parts: usize, part: impl Fn(&Keyed) -> usize) -> Vec<usize> {
    let mut ends = vec![0usize; parts];
    from.iter().for_each(|entry| ends[part(entry)] += 1);
    let mut sum = 0;
    for end in &mut ends {
        sum += std::mem::replace(end, sum);
    }
    for entry in from {
        let at = &mut ends[part(entry)];
        to[*at] = *entry;
        *at += 1;
    }
    ends
}

/// Sorts digests, which share the top byte: by the next bits into a few each, and these by comparing.
fn sort_digests(entries: &mut [Keyed], scratch: &mut Vec<Keyed>) {
    let bits = (entries.len() / 8).max(1).ilog2().clamp(1, 12);
    scratch.clear();
    scratch.extend_from_slice(entries);
    let ends = scattered(scratch, entries, 1 << bits, |entry| (entry.high << 8 >> (64 - bits)) as usize);
    let mut start = 0;
    for end in ends {
        entries[start..end].sort_unstable_by_key(|entry| (entry.high, entry.low));
        start = end;
    }
}

/// Entries in the order of their keys as byte strings. Fast for keys that are digests.
pub(crate) fn by_key(entries: Vec<Keyed>) -> Vec<Keyed> {
    let mut out = vec![Keyed::default(); entries.len()];
    let ends = scattered(&entries, &mut out, PARTS, |entry| (entry.high >> 56) as usize);
    drop(entries);
    let (mut parts, mut rest, mut start) = (Vec::with_capacity(PARTS), out.as_mut_slice(), 0);
    for end in ends {
        let (part, after) = rest.split_at_mut(end - start);
        parts.push(part);
        (rest, start) = (after, end);
    }
    parts.into_par_iter().for_each_init(Vec::new, |scratch, part| sort_digests(part, scratch));
    out
}

/// As `by_key`, or None where two keys are equal.
pub(crate) fn in_key_order(entries: Vec<Keyed>) -> Option<Vec<Keyed>> {
    let ordered = by_key(entries);
    let equal = |pair: &[Keyed]| (pair[0].high, pair[0].low) == (pair[1].high, pair[1].low);
    (!ordered.windows(2).any(equal)).then_some(ordered)
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
        let mut rows = Vec::with_capacity(count * width);
        for at in 0..count {
            for (part, &width) in parts.iter().zip(&widths) {
                rows.extend_from_slice(&part[at * width..(at + 1) * width]);
            }
        }
        rows
    });
    matrix(py, rows, width)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(sort_rows, module)?)?;
    module.add_function(wrap_pyfunction!(group_rows, module)?)?;
    module.add_function(wrap_pyfunction!(row_changes, module)?)?;
    module.add_function(wrap_pyfunction!(side_by_side, module)?)?;
    module.add_function(wrap_pyfunction!(merge_lines, module)?)
}
