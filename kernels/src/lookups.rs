//! The exposure side's lookups from its touches: who is in which group, within the cap, and weights that share a node.
//!
//! Rows of one person are few and lie together, so each person's are sorted on their own.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;
use std::ops::Range;
use zeroize::Zeroizing;

use crate::digest::KEY_BYTES;
use crate::hmac::Mac;
use crate::keyed::in_key_order;
use crate::lanes::{Digest, LANES};
use crate::rows::{bad, in_row_order, matrix, whole_runs};
use crate::text::Texts;

/// Rows that one task works on, of whole persons.
const TASK: usize = 1 << 14;

type Ints<'py> = Bound<'py, PyArray1<i64>>;
type IntsIn<'py> = PyReadonlyArray1<'py, i64>;

/// Cuts rows, sorted by owner, into tasks of whole owners.
fn tasks_of(owner: &[i64]) -> Vec<Range<usize>> {
    whole_runs(owner.len(), TASK, |row| owner[row] == owner[row - 1])
}

/// The rows of one owner after the other.
fn runs(owner: &[i64], rows: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = rows.start;
    owner[rows].chunk_by(|one, other| one == other).map(move |run| {
        start += run.len();
        start - run.len()..start
    })
}

/// Columns of equal length that tasks make and that are joined at the end.
fn joined<const N: usize>(parts: Vec<[Vec<i64>; N]>) -> [Vec<i64>; N] {
    let length = parts.iter().map(|part| part[0].len()).sum();
    let mut out = std::array::from_fn(|_| Vec::with_capacity(length));
    for part in parts {
        out.iter_mut().zip(part).for_each(|(out, part): (&mut Vec<i64>, _)| out.extend(part));
    }
    out
}

/// Distinct (owner, group) of n rows sorted by owner, ascending: owner, group, the first and the last row and how many, k
/// each; and every row's pair, n.
#[pyfunction]
#[allow(clippy::type_complexity)] // six columns
fn memberships<'py>(
    py: Python<'py>,
    owner: IntsIn<'py>,
    group: IntsIn<'py>,
) -> PyResult<(Ints<'py>, Ints<'py>, Ints<'py>, Ints<'py>, Ints<'py>, Ints<'py>)> {
    let (owner, group) = (in_row_order(&owner, "owner")?, in_row_order(&group, "group")?);
    if owner.len() != group.len() || !owner.is_sorted() {
        return Err(bad("owners ascend, and each has a group"));
    }
    let (columns, pair) = py.detach(|| {
        let make = |rows: Range<usize>| {
            let mut found: [Vec<i64>; 5] = Default::default();
            let mut pair = vec![0i64; rows.len()];
            let mut places: Vec<(i64, usize)> = Vec::new();
            for run in runs(owner, rows.clone()) {
                places.clear();
                places.extend(run.map(|row| (group[row], row)));
                places.sort_unstable();
                for same in places.chunk_by(|one, other| one.0 == other.0) {
                    let (first, last) = (same[0].1, same[same.len() - 1].1);
                    let row = [owner[first], same[0].0, first as i64, last as i64, same.len() as i64];
                    same.iter().for_each(|&(_, row)| pair[row - rows.start] = found[0].len() as i64);
                    found.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
                }
            }
            (found, pair)
        };
        let (mut parts, mut pairs, mut before) = (Vec::new(), Vec::with_capacity(owner.len()), 0);
        for (part, pair) in tasks_of(owner).into_par_iter().map(make).collect::<Vec<_>>() {
            pairs.extend(pair.into_iter().map(|place| place + before));
            before += part[0].len() as i64;
            parts.push(part);
        }
        (joined(parts), pairs)
    });
    let [owner, group, first, last, count] = columns.map(|column| column.into_pyarray(py));
    Ok((owner, group, first, last, count, pair.into_pyarray(py)))
}

/// Which of k memberships are within the cap: of a person with more than `limit` those with the smallest
/// HMAC-SHA-256(key, person ‖ label). Owners, positions in person p × 16, ascend; groups are positions in the labels.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // three of them are the labels
fn within_cap<'py>(
    py: Python<'py>,
    key: &[u8],
    person: PyReadonlyArray2<'py, u8>,
    owner: IntsIn<'py>,
    group: IntsIn<'py>,
    offsets: PyReadonlyArray1<'py, i32>,
    data: PyReadonlyArray1<'py, u8>,
    valid: PyReadonlyArray1<'py, bool>,
    limit: usize,
) -> PyResult<Bound<'py, PyArray1<bool>>> {
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(key.try_into().map_err(|_| bad("the key is 32 bytes"))?);
    let labels = Texts::new(&offsets, &data, &valid)?;
    let people = person.as_array().dim();
    let person = in_row_order(&person, "person")?;
    let (owner, group) = (in_row_order(&owner, "owner")?, in_row_order(&group, "group")?);
    let inside = |value: i64, end: usize| usize::try_from(value).is_ok_and(|value| value < end);
    if people.1 != KEY_BYTES
        || owner.len() != group.len()
        || !owner.is_sorted()
        || !owner.iter().all(|&owner| inside(owner, people.0))
        || !group.iter().all(|&group| inside(group, labels.len()))
    {
        return Err(bad("owners ascend and are positions of people, groups are positions of labels"));
    }
    let keep = py.detach(|| {
        let mac = Mac::new(&key);
        let kept = |rows: Range<usize>| {
            let mut keep = vec![true; rows.len()];
            let mut over = Vec::new();
            for run in runs(owner, rows.clone()) {
                over.extend((run.len() > limit).then_some(run).into_iter().flatten());
            }
            let mut messages: [Vec<u8>; LANES] = Default::default();
            let mut marks: Vec<(Digest, usize)> = Vec::with_capacity(over.len());
            for rows in over.chunks(LANES) {
                for (message, &row) in messages.iter_mut().zip(rows) {
                    let at = owner[row] as usize * KEY_BYTES;
                    message.clear();
                    message.extend_from_slice(&person[at..at + KEY_BYTES]);
                    message.extend_from_slice(labels.get(group[row] as usize).unwrap_or(&[]));
                }
                let tags = mac.tags(&messages.each_ref().map(Vec::as_slice)[..rows.len()]);
                marks.extend(tags.into_iter().zip(rows.iter().copied()));
            }
            for marks in marks.chunk_by_mut(|one, other| owner[one.1] == owner[other.1]) {
                marks.sort_unstable();
                marks[limit..].iter().for_each(|&(_, row)| keep[row - rows.start] = false);
            }
            keep
        };
        tasks_of(owner).into_par_iter().map(kept).collect::<Vec<_>>().concat()
    });
    Ok(keep.into_pyarray(py))
}

#[derive(Clone, Copy, Default)]
struct Impulse {
    node: i64,
    group: i64,
    weight: i64,
}

impl Impulse {
    /// Node, then group, as one number: sorting by it has no branch for equal nodes.
    fn place(&self) -> i128 {
        i128::from(self.node) << 64 | i128::from(self.group as u64 ^ 1 << 63)
    }
}

/// Impulses of `people` owners, in any order, as sums of each (owner, tick / size, group), sorted so, without those that
/// are zero: owner, node, group and weight.
#[pyfunction]
fn merge_impulses<'py>(
    py: Python<'py>,
    owner: IntsIn<'py>,
    tick: IntsIn<'py>,
    group: IntsIn<'py>,
    weight: IntsIn<'py>,
    size: i64,
    people: usize,
) -> PyResult<(Ints<'py>, Ints<'py>, Ints<'py>, Ints<'py>)> {
    let (owner, tick) = (in_row_order(&owner, "owner")?, in_row_order(&tick, "tick")?);
    let (group, weight) = (in_row_order(&group, "group")?, in_row_order(&weight, "weight")?);
    let known = |&owner: &i64| usize::try_from(owner).is_ok_and(|owner| owner < people);
    if [tick.len(), group.len(), weight.len()] != [owner.len(); 3] || size < 1 || !owner.iter().all(known) {
        return Err(bad("owner, tick, group and weight are of one length, owners below people, size is positive"));
    }
    let columns = py.detach(|| {
        let mut ends = vec![0usize; people];
        owner.iter().for_each(|&owner| ends[owner as usize] += 1);
        let mut sum = 0;
        for end in &mut ends {
            sum += std::mem::replace(end, sum);
        }
        let mut rows = vec![Impulse::default(); owner.len()];
        let values = tick.iter().zip(group).zip(weight);
        for (&owner, ((&tick, &group), &weight)) in owner.iter().zip(values) {
            let at = &mut ends[owner as usize];
            rows[*at] = Impulse { node: tick.div_euclid(size), group, weight };
            *at += 1;
        }
        let (mut tasks, mut rest, mut start, mut from) = (Vec::new(), rows.as_mut_slice(), 0, 0);
        for (last, &end) in ends.iter().enumerate() {
            if end - start >= TASK || last + 1 == people {
                let (own, after) = rest.split_at_mut(end - start);
                tasks.push((from..last + 1, start, own));
                (rest, start, from) = (after, end, last + 1);
            }
        }
        let merge = |(owners, start, rows): (Range<usize>, usize, &mut [Impulse])| {
            let mut found: [Vec<i64>; 4] = std::array::from_fn(|_| Vec::with_capacity(rows.len()));
            let mut at = 0;
            for owner in owners {
                let own = &mut rows[at..ends[owner] - start];
                at = ends[owner] - start;
                own.sort_unstable_by_key(Impulse::place);
                for same in own.chunk_by(|one, other| (one.node, one.group) == (other.node, other.group)) {
                    let weight = same.iter().fold(0i64, |sum, row| sum.wrapping_add(row.weight));
                    if weight != 0 {
                        let row = [owner as i64, same[0].node, same[0].group, weight];
                        found.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
                    }
                }
            }
            found
        };
        joined(tasks.into_par_iter().map(merge).collect())
    });
    let [owner, node, group, weight] = columns.map(|column| column.into_pyarray(py));
    Ok((owner, node, group, weight))
}

/// The longest stretch without a gap of each (owner, group), the earliest of equals, of n segments [start, end) that are
/// disjoint or equal, sorted by owner: owner, group, start and length.
#[pyfunction]
fn longest_runs<'py>(
    py: Python<'py>,
    owner: IntsIn<'py>,
    group: IntsIn<'py>,
    start: IntsIn<'py>,
    end: IntsIn<'py>,
) -> PyResult<(Ints<'py>, Ints<'py>, Ints<'py>, Ints<'py>)> {
    let (owner, group) = (in_row_order(&owner, "owner")?, in_row_order(&group, "group")?);
    let (start, end) = (in_row_order(&start, "start")?, in_row_order(&end, "end")?);
    let whole = [group.len(), start.len(), end.len()] == [owner.len(); 3];
    if !whole || !owner.is_sorted() {
        return Err(bad("owners ascend, and each has a group, a start and an end"));
    }
    let columns = py.detach(|| {
        let make = |rows: Range<usize>| {
            let mut found: [Vec<i64>; 4] = Default::default();
            let mut segments: Vec<(i64, i64, i64)> = Vec::new();
            for run in runs(owner, rows) {
                let holder = owner[run.start];
                segments.clear();
                segments.extend(run.map(|row| (group[row], start[row], end[row])));
                segments.sort_unstable();
                for same in segments.chunk_by(|one, other| one.0 == other.0) {
                    let (mut best, mut at, mut until) = ((i64::MIN, 0), same[0].1, same[0].1);
                    for &(_, start, end) in same {
                        at = if start > until { start } else { at };
                        until = end;
                        if until.wrapping_sub(at) > best.0 {
                            best = (until.wrapping_sub(at), at);
                        }
                    }
                    let row = [holder, same[0].0, best.1, best.0];
                    found.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
                }
            }
            found
        };
        joined(tasks_of(owner).into_par_iter().map(make).collect())
    });
    let [owner, group, start, length] = columns.map(|column| column.into_pyarray(py));
    Ok((owner, group, start, length))
}

type Lookups<'py> = (Bound<'py, PyArray2<u8>>, Ints<'py>, Bound<'py, PyArray1<i32>>, Ints<'py>);

/// Keys n × 16 in their order, with the targets and weights that each has: `per_key` n, target and weight one after the
/// other; returns keys, indptr n + 1, target and weight.
#[pyfunction]
fn sort_lookups<'py>(
    py: Python<'py>,
    keys: PyReadonlyArray2<'py, u8>,
    per_key: IntsIn<'py>,
    target: PyReadonlyArray1<'py, i32>,
    weight: IntsIn<'py>,
) -> PyResult<Lookups<'py>> {
    let shape = keys.as_array().dim();
    let (keys, per_key) = (in_row_order(&keys, "keys")?, in_row_order(&per_key, "per_key")?);
    let (target, weight) = (in_row_order(&target, "target")?, in_row_order(&weight, "weight")?);
    if shape != (per_key.len(), KEY_BYTES) || shape.0 > u32::MAX as usize || target.len() != weight.len() {
        return Err(bad("keys are n × 16 bytes, per_key has n entries, each target one weight"));
    }
    let mut starts = Vec::with_capacity(per_key.len() + 1);
    starts.push(0usize);
    for &count in per_key {
        let end = usize::try_from(count).ok().and_then(|count| starts[starts.len() - 1].checked_add(count));
        starts.push(end.ok_or_else(|| bad("per_key is not negative"))?);
    }
    if starts[per_key.len()] != target.len() {
        return Err(bad("per_key adds up to the number of weights"));
    }
    let found = py.detach(|| {
        let (own_keys, _) = keys.as_chunks::<KEY_BYTES>();
        let half =
            |number: usize, at: usize| own_keys[number][at..].first_chunk().map_or(0, |word| u64::from_be_bytes(*word));
        let places = (0..own_keys.len()).map(|number| (half(number, 0), number as u32));
        let ordered = in_key_order(places, |number| half(number as usize, 8))?;
        let (mut out, mut indptr) = (vec![0u8; keys.len()], Vec::with_capacity(starts.len()));
        let (mut targets, mut weights) = (Vec::with_capacity(target.len()), Vec::with_capacity(weight.len()));
        indptr.push(0i64);
        for (&(_, number), key) in ordered.iter().zip(out.chunks_exact_mut(KEY_BYTES)) {
            let number = number as usize;
            key.copy_from_slice(&own_keys[number]);
            let own = starts[number]..starts[number + 1];
            targets.extend_from_slice(&target[own.clone()]);
            weights.extend_from_slice(&weight[own]);
            indptr.push(targets.len() as i64);
        }
        Some((out, indptr, targets, weights))
    });
    let (keys, indptr, target, weight) = found.ok_or_else(|| bad("two lookups have one key"))?;
    Ok((matrix(py, keys, KEY_BYTES)?, indptr.into_pyarray(py), target.into_pyarray(py), weight.into_pyarray(py)))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(memberships, module)?)?;
    module.add_function(wrap_pyfunction!(within_cap, module)?)?;
    module.add_function(wrap_pyfunction!(merge_impulses, module)?)?;
    module.add_function(wrap_pyfunction!(longest_runs, module)?)?;
    module.add_function(wrap_pyfunction!(sort_lookups, module)?)
}
