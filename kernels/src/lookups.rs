//! The exposure side's lookups from touches that count: anchors, and weights that share a node.
//!
//! Rows of one person are few and lie together, so each person's are walked, or sorted, on their own.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;
use std::ops::Range;

use crate::key::{words_of_key, KEY_BYTES};
use crate::keyed::in_key_order;
use crate::row_keys::RowKeys;
use crate::rows::{bad, in_row_order, joined, matrix, push, runs, whole_runs};
use crate::touched::Met;

/// Rows that one task works on, of whole persons.
const TASK: usize = 1 << 14;

type Ints<'py> = Bound<'py, PyArray1<i64>>;
type IntsIn<'py> = PyReadonlyArray1<'py, i64>;

/// Cuts rows, sorted by owner, into tasks of whole owners.
fn tasks_of(owner: &[i64]) -> Vec<Range<usize>> {
    whole_runs(owner.len(), TASK, |row| owner[row] == owner[row - 1])
}

/// Impulses of the first or the `last` touches, of n in the order of owners and time, for each family: one for each
/// (owner, group) that has a touch by the family's events (None for all). Groups are below `groups`, or negative for none.
/// Families are given as the target of their first group, and their events. Returns owner, tick and target, owners
/// ascending.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // four columns, and what decides
fn anchors<'py>(
    py: Python<'py>,
    owner: IntsIn<'py>,
    tick: IntsIn<'py>,
    event: IntsIn<'py>,
    group: IntsIn<'py>,
    groups: usize,
    families: Vec<(i64, Option<Vec<i64>>)>,
    last: bool,
) -> PyResult<(Ints<'py>, Ints<'py>, Ints<'py>)> {
    let (owner, tick) = (in_row_order(&owner, "owner")?, in_row_order(&tick, "tick")?);
    let (event, group) = (in_row_order(&event, "event")?, in_row_order(&group, "group")?);
    if [tick.len(), event.len(), group.len()] != [owner.len(); 3] || !owner.is_sorted() {
        return Err(bad("owners ascend, and each has a tick, an event and a group"));
    }
    if !group.iter().all(|&group| usize::try_from(group).map_or(true, |group| group < groups)) {
        return Err(bad("groups are below their number"));
    }
    let columns = py.detach(|| {
        let make = |rows: Range<usize>| {
            let mut found: [Vec<i64>; 3] = std::array::from_fn(|_| Vec::with_capacity(rows.len()));
            let mut met = Met::new(groups);
            for run in runs(owner, rows) {
                for (first_target, events) in &families {
                    met.begin();
                    for row in run.clone() {
                        let chosen = events.as_ref().is_none_or(|events| events.contains(&event[row]));
                        let (Ok(own), true) = (usize::try_from(group[row]), chosen) else { continue };
                        let place = met.place(own, found[0].len());
                        if place == found[0].len() {
                            push(&mut found, [owner[row], tick[row], first_target.wrapping_add(group[row])]);
                        } else if last {
                            found[1][place] = tick[row];
                        }
                    }
                }
            }
            found
        };
        joined(tasks_of(owner).into_par_iter().map(make).collect())
    });
    let [owner, tick, target] = columns.map(|column| column.into_pyarray(py));
    Ok((owner, tick, target))
}

#[derive(Clone, Copy, Default)]
struct Impulse {
    node: i64,
    target: i64,
    weight: i64,
}

impl Impulse {
    /// Node, then target, as one number: sorting by it has no branch for equal nodes.
    fn place(&self) -> i128 {
        i128::from(self.node) << 64 | i128::from(self.target as u64 ^ 1 << 63)
    }
}

/// Impulses of `people` owners, in any order.
struct Impulses<'a> {
    owner: &'a [i64],
    tick: &'a [i64],
    target: &'a [i64],
    weight: &'a [i64],
    people: usize,
}

impl<'a> Impulses<'a> {
    fn new([owner, tick, target, weight]: [&'a IntsIn<'_>; 4], people: usize) -> PyResult<Self> {
        let (owner, tick) = (in_row_order(owner, "owner")?, in_row_order(tick, "tick")?);
        let (target, weight) = (in_row_order(target, "target")?, in_row_order(weight, "weight")?);
        let known = |&owner: &i64| usize::try_from(owner).is_ok_and(|owner| owner < people);
        if [tick.len(), target.len(), weight.len()] != [owner.len(); 3] || !owner.iter().all(known) {
            return Err(bad("owner, tick, target and weight are of one length, owners below people"));
        }
        Ok(Impulses { owner, tick, target, weight, people })
    }

    /// All of them by owner, at nodes of `size` ticks, and where each owner's end.
    fn by_owner(&self, size: i64) -> (Vec<Impulse>, Vec<usize>) {
        let mut ends = vec![0usize; self.people];
        self.owner.iter().for_each(|&owner| ends[owner as usize] += 1);
        let mut sum = 0;
        for end in &mut ends {
            sum += std::mem::replace(end, sum);
        }
        let mut rows = vec![Impulse::default(); self.owner.len()];
        let values = self.tick.iter().zip(self.target).zip(self.weight);
        for (&owner, ((&tick, &target), &weight)) in self.owner.iter().zip(values) {
            let at = &mut ends[owner as usize];
            rows[*at] = Impulse { node: tick.div_euclid(size), target, weight };
            *at += 1;
        }
        (rows, ends)
    }

    /// Hands the sums of each (owner, tick / size, target), in that order and without those that are zero, to what `new`
    /// makes, one for some owners.
    fn merged<T: Send>(
        &self,
        size: i64,
        new: impl Fn(usize) -> T + Sync,
        take: impl Fn(&mut T, usize, Impulse) + Sync,
    ) -> Vec<T> {
        let (mut rows, ends) = self.by_owner(size);
        let (mut tasks, mut rest, mut start, mut from) = (Vec::new(), rows.as_mut_slice(), 0, 0);
        for (last, &end) in ends.iter().enumerate() {
            if end - start >= TASK || last + 1 == self.people {
                let (own, after) = rest.split_at_mut(end - start);
                tasks.push((from..last + 1, start, own));
                (rest, start, from) = (after, end, last + 1);
            }
        }
        let merge = |(owners, start, rows): (Range<usize>, usize, &mut [Impulse])| {
            let (mut found, mut at) = (new(rows.len()), 0);
            for owner in owners {
                let own = &mut rows[at..ends[owner] - start];
                at = ends[owner] - start;
                own.sort_unstable_by_key(Impulse::place);
                for same in own.chunk_by(|one, other| (one.node, one.target) == (other.node, other.target)) {
                    let weight = same.iter().fold(0i64, |sum, row| sum.wrapping_add(row.weight));
                    if weight != 0 {
                        take(&mut found, owner, Impulse { weight, ..same[0] });
                    }
                }
            }
            found
        };
        tasks.into_par_iter().map(merge).collect()
    }
}

/// Impulses of `people` owners, in any order, as sums of each (owner, tick / size, target), sorted so, without those that
/// are zero: owner, node, target and weight.
#[pyfunction]
fn merge_impulses<'py>(
    py: Python<'py>,
    owner: IntsIn<'py>,
    tick: IntsIn<'py>,
    target: IntsIn<'py>,
    weight: IntsIn<'py>,
    size: i64,
    people: usize,
) -> PyResult<(Ints<'py>, Ints<'py>, Ints<'py>, Ints<'py>)> {
    let impulses = Impulses::new([&owner, &tick, &target, &weight], people)?;
    if size < 1 {
        return Err(bad("nodes have a positive size"));
    }
    let columns = py.detach(|| {
        let new = |rows| std::array::from_fn(|_| Vec::with_capacity(rows));
        joined(impulses.merged(size, new, |found, owner, sum| {
            push::<4>(found, [owner as i64, sum.node, sum.target, sum.weight]);
        }))
    });
    let [owner, node, target, weight] = columns.map(|column| column.into_pyarray(py));
    Ok((owner, node, target, weight))
}

/// Lookups in the making: of each the owner, the node and where its weights begin.
struct Nodes {
    at: Vec<(usize, i64, usize)>,
    target: Vec<i32>,
    weight: Vec<i64>,
}

impl Nodes {
    /// With room for those of some impulses.
    fn with_room(rows: usize) -> Self {
        Nodes { at: Vec::with_capacity(rows), target: Vec::with_capacity(rows), weight: Vec::with_capacity(rows) }
    }
}

/// Lookups of impulses of people p × 16 bytes, in any order: one for each (owner, node of `size` ticks) under its key of a
/// weight class and tree level, with the sums for its targets, ascending, none of them zero. Returns keys n × 16, indptr
/// n + 1, target and weight.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // four columns, and what makes the key
fn lookups_of<'py>(
    py: Python<'py>,
    person: PyReadonlyArray2<'py, u8>,
    owner: IntsIn<'py>,
    tick: IntsIn<'py>,
    target: IntsIn<'py>,
    weight: IntsIn<'py>,
    weight_class: u8,
    level: u8,
    size: i64,
) -> PyResult<Lookups<'py>> {
    let shape = person.as_array().dim();
    let person = in_row_order(&person, "person")?;
    let impulses = Impulses::new([&owner, &tick, &target, &weight], shape.0)?;
    if shape.1 != KEY_BYTES || size < 1 || !impulses.target.iter().all(|&target| i32::try_from(target).is_ok()) {
        return Err(bad("person is p × 16 bytes, nodes have a positive size, targets 32 bits"));
    }
    let (keys, indptr, target, weight) = py.detach(|| {
        let (person, _) = person.as_chunks::<KEY_BYTES>();
        let take = |found: &mut Nodes, owner: usize, sum: Impulse| {
            if found.at.last().is_none_or(|&(last, node, _)| (last, node) != (owner, sum.node)) {
                found.at.push((owner, sum.node, found.target.len()));
            }
            found.target.push(sum.target as i32);
            found.weight.push(sum.weight);
        };
        let parts = impulses.merged(size, Nodes::with_room, take);
        let count = parts.iter().map(|part| part.at.len()).sum();
        let mut keys = vec![[0u8; KEY_BYTES]; count];
        let (mut tasks, mut rest) = (Vec::with_capacity(parts.len()), keys.as_mut_slice());
        for part in &parts {
            let (own, after) = rest.split_at_mut(part.at.len());
            tasks.push((part, own));
            rest = after;
        }
        tasks.into_par_iter().for_each(|(part, out)| {
            let mut keys = RowKeys::new(weight_class, out);
            part.at.iter().for_each(|&(owner, node, _)| keys.add(level, node, &person[owner]));
            keys.finish();
        });
        let sums = parts.iter().map(|part| part.target.len()).sum();
        let (mut indptr, mut target) = (Vec::with_capacity(count + 1), Vec::with_capacity(sums));
        let mut weight = Vec::with_capacity(sums);
        for part in parts {
            indptr.extend(part.at.iter().map(|&(_, _, start)| (target.len() + start) as i64));
            target.extend(part.target);
            weight.extend(part.weight);
        }
        indptr.push(target.len() as i64);
        (keys, indptr, target, weight)
    });
    let keys = matrix(py, keys.into_flattened(), KEY_BYTES)?;
    Ok((keys, indptr.into_pyarray(py), target.into_pyarray(py), weight.into_pyarray(py)))
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
        let places = own_keys.iter().enumerate().map(|(number, key)| (words_of_key(key)[0], number as u32));
        let ordered = in_key_order(places, |number| words_of_key(&own_keys[number as usize])[1])?;
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
    module.add_function(wrap_pyfunction!(anchors, module)?)?;
    module.add_function(wrap_pyfunction!(merge_impulses, module)?)?;
    module.add_function(wrap_pyfunction!(lookups_of, module)?)?;
    module.add_function(wrap_pyfunction!(sort_lookups, module)?)
}
