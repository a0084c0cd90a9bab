//! Touches that count: at agreed instants, in at most so many groups a person, by the group that is released.
//!
//! A person's touches lie together, so each person is walked on their own; only people over the cap on groups are hashed.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;
use std::ops::Range;
use zeroize::Zeroizing;

use crate::hmac::Mac;
use crate::key::KEY_BYTES;
use crate::lanes::{Digest, State, States, LANES};
use crate::rows::{bad, in_row_order, matrix, push, runs, whole_runs};
use crate::text::Texts;

/// Touches that one task works on, of whole people.
const TASK: usize = 1 << 14;
/// The released group of a membership with fewer touches than the first band begins at.
const NO_BAND: i64 = -1;
/// The membership of a touch that is at no instant.
const OFF: u32 = u32::MAX;

/// The groups that were met since a walk last began, with a place of each.
pub(crate) struct Met {
    walk: u64,
    of: Vec<(u64, usize)>,
}

impl Met {
    pub(crate) fn new(groups: usize) -> Self {
        Met { walk: 0, of: vec![(0, 0); groups] }
    }

    /// Begins a walk: no group was met.
    pub(crate) fn begin(&mut self) {
        self.walk += 1;
    }

    /// The place of a group, which is `next` where it was not met before.
    pub(crate) fn place(&mut self, group: usize, next: usize) -> usize {
        let met = &mut self.of[group];
        if met.0 != self.walk {
            *met = (self.walk, next);
        }
        met.1
    }
}

/// What decides which touches count.
struct Rule<'a> {
    instants: Option<&'a [i64]>,
    groups: usize,
    limit: usize,
    marker: Marker<'a>,
    bounds: Option<&'a [i64]>,
}

impl Rule<'_> {
    fn at_instant(&self, tick: i64) -> bool {
        self.instants.is_none_or(|instants| instants.binary_search(&tick).is_ok())
    }

    /// The group that is released of one with so many touches.
    fn released(&self, group: usize, touches: i64) -> i64 {
        match self.bounds {
            None => group as i64,
            Some(bounds) => match bounds.partition_point(|&bound| bound <= touches) {
                0 => NO_BAND,
                band => (group * bounds.len() + band - 1) as i64,
            },
        }
    }
}

/// Touches in the order of people, then time.
struct Touches<'a> {
    person: &'a [[u8; KEY_BYTES]],
    tick: &'a [i64],
    event: &'a [i32],
    group: &'a [i32],
}

/// A person's touches in a group.
struct Membership {
    owner: usize,
    group: usize,
    touches: i64,
    kept: bool,
}

/// Touches that count: owner, tick, event and released group.
type Columns = [Vec<i64>; 4];
/// Touches at no instant; memberships within the cap, and of them those in no band; memberships over it, and of how many
/// people.
type Counts = [usize; 5];

impl Touches<'_> {
    /// Some people, and those of their touches that count.
    fn counting(&self, rows: Range<usize>, rule: &Rule<'_>) -> (Vec<[u8; KEY_BYTES]>, Columns, Counts) {
        let (mut people, mut members) = (Vec::new(), Vec::with_capacity(rows.len()));
        let mut places = Vec::with_capacity(rows.len());
        let (mut over, mut met) = (Vec::new(), Met::new(rule.groups));
        for own in runs(self.person, rows.clone()) {
            let (start, first) = (own.start, members.len());
            met.begin();
            for row in own {
                if !rule.at_instant(self.tick[row]) {
                    places.push(OFF);
                    continue;
                }
                let (owner, group) = (people.len(), self.group[row] as usize);
                let place = met.place(group, members.len());
                if place == members.len() {
                    members.push(Membership { owner, group, touches: 0, kept: true });
                }
                members[place].touches += 1;
                places.push(place as u32);
            }
            if members.len() > first {
                people.push(self.person[start]);
            }
            if members.len() - first > rule.limit {
                over.push(first..members.len());
            }
        }
        drop_over(&people, &mut members, &over, rule);
        let groups: Vec<i64> = members.iter().map(|own| rule.released(own.group, own.touches)).collect();
        let mut columns: Columns = std::array::from_fn(|_| Vec::with_capacity(rows.len()));
        for (row, place) in rows.zip(&places).filter(|(_, &place)| place != OFF) {
            let (own, group) = (&members[*place as usize], groups[*place as usize]);
            if own.kept {
                push(&mut columns, [own.owner as i64, self.tick[row], i64::from(self.event[row]), group]);
            }
        }
        let kept = || members.iter().zip(&groups).filter(|(own, _)| own.kept);
        let (within, bandless) = (kept().count(), kept().filter(|(_, &group)| group == NO_BAND).count());
        let off = places.iter().filter(|&&place| place == OFF).count();
        (people, columns, [off, within, bandless, members.len() - within, over.len()])
    }
}

/// Of each person's memberships in `over`, keeps those with the smallest HMAC-SHA-256(key, person ‖ label).
fn drop_over(people: &[[u8; KEY_BYTES]], members: &mut [Membership], over: &[Range<usize>], rule: &Rule<'_>) {
    let wanted: Vec<usize> = over.iter().cloned().flatten().collect();
    let mut marks: Vec<(State, usize)> = Vec::with_capacity(wanted.len());
    for places in wanted.chunks(LANES) {
        let tags = rule.marker.marks(places.iter().map(|&place| (&people[members[place].owner], members[place].group)));
        marks.extend(places.iter().enumerate().map(|(lane, &place)| (tags.map(|word| word[lane]), place)));
    }
    let mut rest = marks.as_mut_slice();
    for own in over {
        let (own, after) = rest.split_at_mut(own.len());
        own.sort_unstable();
        own[rule.limit..].iter().for_each(|&(_, place)| members[place].kept = false);
        rest = after;
    }
}

/// Makes the marks of memberships.
struct Marker<'a> {
    mac: Mac,
    labels: &'a Texts<'a>,
    /// The block of every label behind a person who is all zeros, where all of them fit.
    blocks: Option<Vec<[u32; 16]>>,
}

impl<'a> Marker<'a> {
    fn new(key: &[u8; 32], labels: &'a Texts<'a>) -> Self {
        let block = |group| Mac::padded(&message(&[0; KEY_BYTES], group, labels));
        Marker { mac: Mac::new(key), labels, blocks: (0..labels.len()).map(block).collect() }
    }

    /// HMAC-SHA-256(key, person ‖ label) of up to sixteen (person, group), words × lanes.
    fn marks<'b>(&self, members: impl Iterator<Item = (&'b [u8; KEY_BYTES], usize)>) -> States {
        let mut words = [[0; LANES]; 16];
        let Some(blocks) = &self.blocks else {
            let messages: Vec<Vec<u8>> = members.map(|(person, group)| message(person, group, self.labels)).collect();
            let tags = self.mac.tags(&messages.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let word = |tag: &Digest, at: usize| {
                tag[4 * at..4 * at + 4].iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
            };
            return std::array::from_fn(|at| tags.each_ref().map(|tag| word(tag, at)));
        };
        for (lane, (person, group)) in members.enumerate() {
            let (person, _) = person.as_chunks();
            let mut block = blocks[group];
            block.iter_mut().zip(person).for_each(|(word, own)| *word = u32::from_be_bytes(*own));
            words.iter_mut().zip(block).for_each(|(words, word)| words[lane] = word);
        }
        self.mac.tags_of_blocks(&words)
    }
}

fn message(person: &[u8; KEY_BYTES], group: usize, labels: &Texts<'_>) -> Vec<u8> {
    [person.as_slice(), labels.get(group).unwrap_or(&[])].concat()
}

type Texted<'py> = (PyReadonlyArray1<'py, i32>, PyReadonlyArray1<'py, u8>, PyReadonlyArray1<'py, bool>);
type Ints<'py> = Bound<'py, PyArray1<i64>>;
type Counted<'py> = (Bound<'py, PyArray2<u8>>, [Ints<'py>; 4], Counts);

/// Which touches count, of n in the order of people (n × 16 bytes): those at `instants` (ascending; None for all), of a
/// person with more than `limit` groups those in the ones with the smallest HMAC-SHA-256(key, person ‖ label). The group
/// that is released is the touches' own, or with `bounds` group · bands + band, the last that begins at no more touches
/// than the person has in the group; -1 below the first.
///
/// Returns people p × 16; owner (a position in them), tick, event and released group of each; and counts: touches at no
/// instant, memberships within the cap, of them in no band, memberships over the cap, people over it.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // four columns, and what decides
fn counting_touches<'py>(
    py: Python<'py>,
    person: PyReadonlyArray2<'py, u8>,
    tick: PyReadonlyArray1<'py, i64>,
    event: PyReadonlyArray1<'py, i32>,
    group: PyReadonlyArray1<'py, i32>,
    instants: Option<PyReadonlyArray1<'py, i64>>,
    labels: Texted<'py>,
    limit: usize,
    key: &[u8],
    bounds: Option<PyReadonlyArray1<'py, i64>>,
) -> PyResult<Counted<'py>> {
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(key.try_into().map_err(|_| bad("the key is 32 bytes"))?);
    let labels = Texts::new(&labels.0, &labels.1, &labels.2)?;
    let shape = person.as_array().dim();
    let (person, tick) = (in_row_order(&person, "person")?, in_row_order(&tick, "tick")?);
    let (event, group) = (in_row_order(&event, "event")?, in_row_order(&group, "group")?);
    let instants = instants.as_ref().map(|instants| in_row_order(instants, "instants")).transpose()?;
    let bounds = bounds.as_ref().map(|bounds| in_row_order(bounds, "bounds")).transpose()?;
    if shape.1 != KEY_BYTES || [tick.len(), event.len(), group.len()] != [shape.0; 3] || shape.0 >= OFF as usize {
        return Err(bad("person is n × 16 bytes, and each has a tick, an event and a group"));
    }
    if !group.iter().all(|&group| usize::try_from(group).is_ok_and(|group| group < labels.len())) {
        return Err(bad("groups are positions of labels"));
    }
    if ![instants, bounds].into_iter().flatten().all(|ascending| ascending.is_sorted()) {
        return Err(bad("instants and bounds ascend"));
    }
    let (person, _) = person.as_chunks::<KEY_BYTES>();
    let touches = Touches { person, tick, event, group };
    let (people, columns, counts) = py.detach(|| {
        let rule = Rule { instants, groups: labels.len(), limit, marker: Marker::new(&key, &labels), bounds };
        let tasks = whole_runs(person.len(), TASK, |row| person[row] == person[row - 1]);
        let parts: Vec<_> = tasks.into_par_iter().map(|rows| touches.counting(rows, &rule)).collect();
        let mut people = Vec::with_capacity(parts.iter().map(|part| part.0.len()).sum());
        let length = parts.iter().map(|part| part.1[0].len()).sum();
        let mut columns: Columns = std::array::from_fn(|_| Vec::with_capacity(length));
        let mut counts = [0; 5];
        for (own_people, [owner, rest @ ..], own_counts) in parts {
            let [owners, columns @ ..] = &mut columns;
            owners.extend(owner.into_iter().map(|owner| owner + people.len() as i64));
            columns.iter_mut().zip(rest).for_each(|(column, own)| column.extend(own));
            counts.iter_mut().zip(own_counts).for_each(|(count, own)| *count += own);
            people.extend(own_people);
        }
        (people, columns, counts)
    });
    let people = matrix(py, people.into_flattened(), KEY_BYTES)?;
    Ok((people, columns.map(|column| column.into_pyarray(py)), counts))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(counting_touches, module)?)
}
