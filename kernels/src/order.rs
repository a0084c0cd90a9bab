//! Rows of 64-bit words in lexicographic order, and lines of outcomes merged where they are one event.
//!
//! The first word is the head of a digest, so its leading bits deal rows out evenly: first into parts that fit a cache,
//! then into places of a few rows each, which are compared. Other first words are ordered as well, only slower.

use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::rows::{bad, in_row_order, matrix};

/// Rows of a part, about, and the most bits that deal rows out to parts: a processor writes no more places at once well.
const PART_ROWS: usize = 1 << 12;
const PART_BITS: u32 = 9;
/// Rows of a place inside a part, about.
const PLACE_ROWS: usize = 4;
const PLACE_BITS: u32 = 12;
/// Lines of one person that are compared each with each.
const FEW_LINES: usize = 24;

/// Copies rows to `to`, dealt out by leading bits of their first words and otherwise in their order; returns where each
/// place ends.
fn dealt<const WORDS: usize>(from: &[&[[u64; WORDS]]], to: &mut [[u64; WORDS]], each: usize, most: u32) -> Vec<usize> {
    let (mut lowest, mut highest) = (u64::MAX, 0);
    for rows in from {
        (lowest, highest) = rows.iter().fold((lowest, highest), |(low, high), row| (low.min(row[0]), high.max(row[0])));
    }
    let range = highest.saturating_sub(lowest);
    let bits = (to.len() / each).max(2).ilog2().min(most);
    let shift = (u64::BITS - range.leading_zeros()).saturating_sub(bits);
    let place = |row: &[u64; WORDS]| ((row[0] - lowest) >> shift) as usize;
    let mut ends = vec![0usize; (range >> shift) as usize + 1];
    for rows in from {
        rows.iter().for_each(|row| ends[place(row)] += 1);
    }
    let mut sum = 0;
    for end in &mut ends {
        sum += std::mem::replace(end, sum);
    }
    for rows in from {
        for row in *rows {
            let at = &mut ends[place(row)];
            to[*at] = *row;
            *at += 1;
        }
    }
    ends
}

/// All rows in order, where `finish` orders a few rows, which have all those with their first words, and says how many
/// of them stay, at the front; None where it does.
fn ordered<const WORDS: usize>(
    from: &[&[[u64; WORDS]]],
    finish: impl Fn(&mut [[u64; WORDS]]) -> Option<usize> + Sync,
) -> Option<Vec<[u64; WORDS]>> {
    let mut rows = vec![[0u64; WORDS]; from.iter().map(|part| part.len()).sum()];
    let ends = dealt(from, &mut rows, PART_ROWS, PART_BITS);
    let (mut parts, mut rest, mut start) = (Vec::with_capacity(ends.len()), rows.as_mut_slice(), 0);
    for &end in &ends {
        let (part, after) = rest.split_at_mut(end - start);
        parts.push(part);
        (rest, start) = (after, end);
    }
    let order = |scratch: &mut Vec<[u64; WORDS]>, part: &mut [[u64; WORDS]]| {
        scratch.clear();
        scratch.extend_from_slice(part);
        let (mut kept, mut start) = (0, 0);
        for end in dealt(&[scratch], part, PLACE_ROWS, PLACE_BITS) {
            let stay = if end > start { finish(&mut part[start..end])? } else { 0 };
            if kept < start {
                part.copy_within(start..start + stay, kept);
            }
            (kept, start) = (kept + stay, end);
        }
        Some(kept)
    };
    let kept: Option<Vec<usize>> = parts.into_par_iter().map_init(Vec::new, order).collect();
    let (mut total, mut start) = (0, 0);
    for (stay, end) in kept?.into_iter().zip(ends) {
        if total < start {
            rows.copy_within(start..start + stay, total);
        }
        (total, start) = (total + stay, end);
    }
    rows.truncate(total);
    Some(rows)
}

/// Moves the first of equal rows to the front; returns how many there are.
fn without_repeats<const WORDS: usize>(rows: &mut [[u64; WORDS]]) -> usize {
    let mut kept = rows.len().min(1);
    for at in 1..rows.len() {
        if rows[at] != rows[kept - 1] {
            rows[kept] = rows[at];
            kept += 1;
        }
    }
    kept
}

fn sorted<const WORDS: usize>(parts: &[&[u64]], unique: bool) -> Vec<u64> {
    let parts: Vec<&[[u64; WORDS]]> = parts.iter().map(|words| words.as_chunks().0).collect();
    let rows = ordered(&parts, |rows: &mut [[u64; WORDS]]| {
        rows.sort_unstable();
        Some(if unique { without_repeats(rows) } else { rows.len() })
    });
    rows.unwrap_or_default().into_flattened()
}

/// The words of parts n × k of one k.
fn words_of<'a>(parts: &'a [PyReadonlyArray2<'_, u64>], what: &'static str) -> PyResult<(Vec<&'a [u64]>, usize)> {
    let width = parts.first().map_or(0, |part| part.as_array().dim().1);
    if parts.iter().any(|part| part.as_array().dim().1 != width) {
        return Err(bad("all parts have one number of words"));
    }
    Ok((parts.iter().map(|part| in_row_order(part, what)).collect::<PyResult<_>>()?, width))
}

/// Rows of parts n × k (k from 2 to 8), all together sorted by their words from the first to the last; of equal ones
/// only the first if they are to be unique.
#[pyfunction]
#[pyo3(signature = (parts, *, unique = false))]
fn sort_rows<'py>(
    py: Python<'py>,
    parts: Vec<PyReadonlyArray2<'py, u64>>,
    unique: bool,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (words, width) = words_of(&parts, "rows")?;
    let sort = match width {
        2 => sorted::<2>,
        3 => sorted::<3>,
        4 => sorted::<4>,
        5 => sorted::<5>,
        6 => sorted::<6>,
        7 => sorted::<7>,
        8 => sorted::<8>,
        _ => return Err(bad("rows have from 2 to 8 words")),
    };
    let out = py.detach(|| sort(&words, unique));
    matrix(py, out, width)
}

/// A line of an outcome: person (2 words), event, event id (2), time, value. Zero words are no event id.
type Line = [u64; 7];

fn same_event(one: &Line, other: &Line) -> bool {
    one[..5] == other[..5] && (one[3] | one[4]) != 0
}

fn place_of(line: &Line) -> (u64, u64, u64, u64, u64, u64, u64) {
    (line[0], line[1], line[2], line[5], line[3], line[4], line[6])
}

/// Merges lines of one person, in any order, at the front; None where a sum overflows.
fn merge_person(lines: &mut [Line]) -> Option<usize> {
    lines.sort_unstable();
    let mut kept = 0;
    for at in 0..lines.len() {
        // The first line of an event is its earliest: time comes right after the event id.
        if kept > 0 && same_event(&lines[kept - 1], &lines[at]) {
            lines[kept - 1][6] = lines[kept - 1][6].checked_add(lines[at][6])?;
        } else {
            lines[kept] = lines[at];
            kept += 1;
        }
    }
    lines[..kept].sort_unstable_by_key(place_of);
    Some(kept)
}

/// Whether lines may have an event twice.
fn may_repeat(lines: &[Line]) -> bool {
    let twice = |(at, line): (usize, &Line)| lines[..at].iter().any(|other| same_event(line, other));
    lines.len() > FEW_LINES || lines.iter().enumerate().any(twice)
}

/// Lines of some people to outcomes in their order, at the front; None where a sum overflows.
fn merge(lines: &mut [Line]) -> Option<usize> {
    lines.sort_unstable_by_key(place_of);
    let (mut kept, mut start) = (0, 0);
    while start < lines.len() {
        let own = lines[start..].iter().take_while(|line| line[..2] == lines[start][..2]).count();
        let person = &mut lines[start..start + own];
        let stay = if may_repeat(person) { merge_person(person)? } else { own };
        if person[..stay].iter().any(|line| line[6] > i64::MAX as u64) {
            return None;
        }
        if kept < start {
            lines.copy_within(start..start + stay, kept);
        }
        (kept, start) = (kept + stay, start + own);
    }
    Some(kept)
}

/// Lines of parts n × 7 words (person, event, event id, time, value) to outcomes in the order person, event, time, event
/// id, value.
#[pyfunction]
fn merge_lines<'py>(py: Python<'py>, parts: Vec<PyReadonlyArray2<'py, u64>>) -> PyResult<Bound<'py, PyArray2<u64>>> {
    const WORDS: usize = 7;
    let (words, width) = words_of(&parts, "lines")?;
    if width != WORDS {
        return Err(bad("a line has 7 words"));
    }
    let lines: Vec<&[Line]> = words.iter().map(|words| words.as_chunks().0).collect();
    match py.detach(|| ordered(&lines, merge)) {
        None => Err(bad("the values of one event add up to 2^63 or more")),
        Some(rows) => matrix(py, rows.into_flattened(), WORDS),
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(sort_rows, module)?)?;
    module.add_function(wrap_pyfunction!(merge_lines, module)?)
}
