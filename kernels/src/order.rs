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
/// More bits by which rows are counted at first, for what has only a range of first words.
const SPARE_BITS: u32 = 7;
/// Rows of a place inside a part, at least about.
const PLACE_ROWS: usize = 2;
const PLACE_BITS: u32 = 12;
/// Lines that are compared each with each.
const FEW_LINES: usize = 24;

/// Where rows go by their first words: to `count` places from that of `lowest` on, each of 2^`shift` first words.
struct Places {
    lowest: u64,
    shift: u32,
    count: usize,
}

impl Places {
    fn of<const WORDS: usize>(&self, row: &[u64; WORDS]) -> usize {
        ((row[0] - self.lowest) >> self.shift) as usize
    }

    fn counts<const WORDS: usize>(&self, from: &[&[[u64; WORDS]]]) -> Vec<usize> {
        let mut counts = vec![0; self.count];
        for rows in from {
            rows.iter().for_each(|row| counts[self.of(row)] += 1);
        }
        counts
    }

    /// The places inside one of these, of about `PLACE_ROWS` where it has that many rows.
    fn inside(&self, place: usize, rows: usize) -> Places {
        let bits = (rows / PLACE_ROWS).max(2).ilog2().min(PLACE_BITS).min(self.shift);
        let lowest = self.lowest + ((place as u64) << self.shift);
        Places { lowest, shift: self.shift - bits, count: 1 << bits }
    }
}

/// Places of about `PART_ROWS` rows, and the counts: found in one look at the rows, by more bits than are needed then.
fn parts_of<const WORDS: usize>(from: &[&[[u64; WORDS]]]) -> (Places, Vec<usize>) {
    let rows: usize = from.iter().map(|part| part.len()).sum();
    let bits = (rows / PART_ROWS).max(2).ilog2().min(PART_BITS);
    let fine = bits + SPARE_BITS;
    let counts = Places { lowest: 0, shift: u64::BITS - fine, count: 1 << fine }.counts(from);
    let used = |&count: &usize| count > 0;
    let (first, last) = (counts.iter().position(used).unwrap_or(0), counts.iter().rposition(used).unwrap_or(0));
    let merged = (usize::BITS - (last - first).leading_zeros()).saturating_sub(bits);
    let counts: Vec<usize> = counts[first..=last].chunks(1 << merged).map(|counts| counts.iter().sum()).collect();
    let shift = u64::BITS - fine;
    (Places { lowest: (first as u64) << shift, shift: shift + merged, count: counts.len() }, counts)
}

/// Copies rows to `to`, dealt out to places of which the counts are given, otherwise in their order; returns where each
/// place ends.
fn dealt<const WORDS: usize>(
    from: &[&[[u64; WORDS]]],
    to: &mut [[u64; WORDS]],
    places: &Places,
    mut counts: Vec<usize>,
) -> Vec<usize> {
    let mut sum = 0;
    for end in &mut counts {
        sum += std::mem::replace(end, sum);
    }
    for rows in from {
        for row in *rows {
            let at = &mut counts[places.of(row)];
            to[*at] = *row;
            *at += 1;
        }
    }
    counts
}

/// All rows in order, where `finish` orders a few rows, which have all those with their first words, writes those that
/// stay to the front of as many places and says how many they are; None where it does.
fn ordered<const WORDS: usize>(
    from: &[&[[u64; WORDS]]],
    finish: impl Fn(&mut [[u64; WORDS]], &mut [[u64; WORDS]]) -> Option<usize> + Sync,
) -> Option<Vec<[u64; WORDS]>> {
    let (places, counts) = parts_of(from);
    let mut rows = vec![[0u64; WORDS]; counts.iter().sum()];
    let ends = dealt(from, &mut rows, &places, counts);
    let (mut parts, mut rest, mut start) = (Vec::with_capacity(ends.len()), rows.as_mut_slice(), 0);
    for &end in &ends {
        let (part, after) = rest.split_at_mut(end - start);
        parts.push(part);
        (rest, start) = (after, end);
    }
    let order = |scratch: &mut Vec<[u64; WORDS]>, (number, part): (usize, &mut [[u64; WORDS]])| {
        let places = places.inside(number, part.len());
        scratch.resize(part.len(), [0; WORDS]);
        let (mut kept, mut start) = (0, 0);
        for end in dealt(&[part], scratch, &places, places.counts(&[part])) {
            if end > start {
                kept += finish(&mut scratch[start..end], &mut part[kept..kept + end - start])?;
            }
            start = end;
        }
        Some(kept)
    };
    let kept: Option<Vec<usize>> = parts.into_par_iter().enumerate().map_init(Vec::new, order).collect();
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

/// Writes the first of equal rows; returns how many there are.
fn without_repeats<const WORDS: usize>(rows: &[[u64; WORDS]], out: &mut [[u64; WORDS]]) -> usize {
    let mut kept = 0;
    for row in rows {
        if kept == 0 || *row != out[kept - 1] {
            out[kept] = *row;
            kept += 1;
        }
    }
    kept
}

fn sorted<const WORDS: usize>(parts: &[&[u64]], unique: bool) -> Vec<u64> {
    let parts: Vec<&[[u64; WORDS]]> = parts.iter().map(|words| words.as_chunks().0).collect();
    let rows = ordered(&parts, |rows: &mut [[u64; WORDS]], out: &mut [[u64; WORDS]]| {
        rows.sort_unstable();
        if unique {
            return Some(without_repeats(rows, out));
        }
        out.copy_from_slice(rows);
        Some(rows.len())
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

/// Orders a few lines that are one outcome each by counting how many come before each, which takes no branch that a
/// processor could guess wrong. Returns whether they are: no event id twice, no two at one time, no value too large.
fn ranked(lines: &[Line], out: &mut [Line]) -> bool {
    if lines.len() > FEW_LINES {
        return false;
    }
    let (mut ranks, mut doubt, mut values) = ([0u8; FEW_LINES], false, 0);
    for (at, line) in lines.iter().enumerate() {
        let mut rank = at as u8;
        for (other, before) in lines[..at].iter().zip(&mut ranks) {
            let (same_head, same_event) = (line[0] == other[0], line[2] == other[2]);
            let in_event = (line[2] < other[2]) | (same_event & (line[5] < other[5]));
            let first = u8::from((line[0] < other[0]) | (same_head & in_event));
            *before += first;
            rank -= first;
            doubt |= same_head & ((line[1] != other[1]) | (same_event & (line[5] == other[5])));
            doubt |= (line[3] == other[3]) & (line[4] == other[4]) & ((line[3] | line[4]) != 0);
        }
        ranks[at] = rank;
        values |= line[6];
    }
    if doubt || values > i64::MAX as u64 {
        return false;
    }
    for (line, rank) in lines.iter().zip(ranks) {
        out[usize::from(rank)] = *line;
    }
    true
}

/// Lines of some people to outcomes in their order; returns how many, or None where a sum overflows.
fn merge(lines: &mut [Line], out: &mut [Line]) -> Option<usize> {
    if ranked(lines, out) {
        return Some(lines.len());
    }
    lines.sort_unstable_by_key(place_of);
    let mut kept = 0;
    for person in lines.chunk_by_mut(|one, other| one[..2] == other[..2]) {
        let stay = if may_repeat(person) { merge_person(person)? } else { person.len() };
        if person[..stay].iter().any(|line| line[6] > i64::MAX as u64) {
            return None;
        }
        out[kept..kept + stay].copy_from_slice(&person[..stay]);
        kept += stay;
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
