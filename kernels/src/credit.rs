//! The exposure side's weights of credit: by how much the credit of a person's groups changes, and when.
//!
//! An outcome at tick p is credited to touches with tick <= p < tick + window: of the highest class that is present, by
//! the rule. Between two ticks at which a touch begins or ends to earn, or grows older by a step, nobody's credit
//! changes, so a person's weights are found by one walk over these ticks. The touches of a class are a line in the order
//! of time with two cursors: how many have begun to earn, and how many of them have ended.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use rayon::prelude::*;
use std::cmp::Reverse;
use std::ops::Range;

use crate::rows::{bad, in_row_order, joined, matrix, push, runs, whole_runs};

/// Touches that one task works on, of whole persons.
const TASK: usize = 1 << 12;
/// A tick that no walk comes to: no tick, window or sum of both comes near it.
const NEVER: i64 = i64::MAX / 2;
/// Above every tick, window, group and target that is given.
const LIMIT: i64 = NEVER / 4;
/// Above every unit: in 128 bits a share of one among fewer than 2^32 touches is exact.
const UNITS: u128 = 1 << 31;
/// Steps of age, beyond the newest touch's, down to which a touch's weight is a whole number.
const WHOLE: i64 = 64;

/// Which touches of a line earn, and how much.
enum Model {
    Last,
    First,
    Linear,
    Position,
    /// Half as much for every so many ticks of age.
    Decay(i64),
}

struct Rule<'a> {
    model: Model,
    unit: u128,
    /// The class of each event, 0 the highest.
    rank: &'a [i64],
    classes: usize,
    most_windows: i64,
    most_touches: usize,
    horizon: i64,
    windows: Vec<Window<'a>>,
}

/// How long touches earn, and the families whose weights say so.
struct Window<'a> {
    ticks: i64,
    families: Vec<Family<'a>>,
}

/// Credit that falls to some events, each flagged; the target of group 0.
struct Family<'a> {
    target: i64,
    via: &'a [bool],
    gates: Vec<Gate>,
}

/// Weight 1 at the start of an interval with credit that holds this span and no larger one of its list.
struct Gate {
    list: i64,
    span: i64,
    target: i64,
}

/// Touches of whole persons, each person's in the order of time; a group is a released one, or -1.
struct Touches<'a> {
    tick: &'a [i64],
    group: &'a [i64],
    event: &'a [i64],
}

/// Touches of a class: rows, and their ticks with `NEVER` behind them.
#[derive(Default)]
struct Line {
    row: Vec<usize>,
    tick: Vec<i64>,
    begun: usize,
    ended: usize,
}

/// A group's credit, and since when it has had some without a break.
#[derive(Clone, Copy)]
struct Held {
    group: i64,
    amount: i64,
    since: i64,
}

/// What a family's groups have at the tick at hand, ascending, and the intervals with credit that are over.
#[derive(Default)]
struct Account {
    held: Vec<Held>,
    over: Vec<(i64, Reverse<i64>, i64)>,
}

/// Columns of weights: owner, tick, target and weight.
type Weights = [Vec<i64>; 4];

/// What the walk of a person needs, kept from one to the next.
struct Walk<'a> {
    rule: &'a Rule<'a>,
    touches: &'a Touches<'a>,
    rows: Vec<usize>,
    lines: Vec<Line>,
    shares: Vec<(usize, i64)>,
    weights: Vec<u128>,
    ages: Vec<i64>,
    now: Vec<Held>,
    accounts: Vec<Account>,
    dropped: Vec<[i64; 2]>,
    out: Weights,
}

impl<'a> Walk<'a> {
    fn new(rule: &'a Rule<'a>, touches: &'a Touches<'a>) -> Self {
        Walk {
            rule,
            touches,
            rows: Vec::new(),
            lines: (0..rule.classes).map(|_| Line::default()).collect(),
            shares: Vec::new(),
            weights: Vec::new(),
            ages: Vec::new(),
            now: Vec::new(),
            accounts: Vec::new(),
            dropped: vec![[0; 2]; rule.windows.len()],
            out: Weights::default(),
        }
    }

    /// Adds one person's weights.
    fn person(&mut self, owner: i64, rows: Range<usize>) {
        let tick = self.touches.tick;
        self.rows.clear();
        self.rows.extend(rows);
        // a date can go back where a zone's clocks do; the order of time stays within a tick
        if !self.rows.is_sorted_by_key(|&row| tick[row]) {
            self.rows.sort_by_key(|&row| tick[row]);
        }
        for (place, window) in self.rule.windows.iter().enumerate() {
            self.fill(place, window.ticks);
            self.window(owner, window);
        }
    }

    /// Lines up the touches that earn: those inside the first disjoint windows, of these the first and the latest.
    fn fill(&mut self, place: usize, window: i64) {
        let (tick, rule) = (self.touches.tick, self.rule);
        let (mut used, mut end) = (0, -1);
        let inside = self.rows.iter().take_while(|&&row| {
            if tick[row] + window > end {
                // the windows so far do not cover all that it would earn in
                used += 1;
                end = end.max(tick[row]) + window;
            }
            used <= rule.most_windows
        });
        let inside = inside.count();
        let latest = inside.saturating_sub(rule.most_touches - 1).max(1).min(inside);
        self.dropped[place][0] += (self.rows.len() - inside) as i64;
        self.dropped[place][1] += (latest - inside.min(1)) as i64;
        for line in &mut self.lines {
            line.row.clear();
            line.tick.clear();
            (line.begun, line.ended) = (0, 0);
        }
        for &row in self.rows[..inside.min(1)].iter().chain(&self.rows[latest..inside]) {
            let line = &mut self.lines[rule.rank[self.touches.event[row] as usize] as usize];
            line.row.push(row);
            line.tick.push(tick[row]);
        }
        self.lines.iter_mut().for_each(|line| line.tick.push(NEVER));
    }

    /// Moves all cursors to tick p; returns the next tick at which one moves.
    fn advance(&mut self, p: i64, window: i64) -> i64 {
        let mut next = NEVER;
        for Line { tick, begun, ended, .. } in &mut self.lines {
            while tick[*begun] <= p {
                *begun += 1;
            }
            while tick[*ended] + window <= p {
                *ended += 1;
            }
            next = next.min(tick[*begun]).min(tick[*ended] + window);
        }
        next
    }

    fn window(&mut self, owner: i64, window: &Window<'_>) {
        let Rule { horizon, .. } = *self.rule;
        self.accounts.resize_with(window.families.len(), Account::default);
        let mut at = self.lines.iter().map(|line| line.tick[0]).min().unwrap_or(NEVER);
        while at < horizon {
            let next = self.advance(at, window.ticks);
            let older = self.share(at);
            for (family, account) in window.families.iter().zip(&mut self.accounts) {
                collect(&mut self.now, &self.shares, self.touches, family.via);
                account.change(&mut self.now, owner, at, family, &mut self.out);
            }
            at = next.min(older);
        }
        for (family, account) in window.families.iter().zip(&mut self.accounts) {
            account.close(owner, horizon, family, &mut self.out);
        }
    }

    /// Shares the unit among the touches of the highest class present, in their order; returns the next tick at which
    /// one of them is older by a step.
    fn share(&mut self, at: i64) -> i64 {
        let Rule { model, unit, .. } = self.rule;
        self.shares.clear();
        let Some(line) = self.lines.iter().find(|line| line.ended < line.begun) else { return NEVER };
        let (rows, ticks) = (&line.row[line.ended..line.begun], &line.tick[line.ended..line.begun]);
        let (count, whole) = (rows.len(), *unit as i64);
        let mut older = NEVER;
        match model {
            _ if count == 1 => self.shares.push((rows[0], whole)),
            Model::Last => self.shares.push((rows[count - 1], whole)),
            Model::First => self.shares.push((rows[0], whole)),
            Model::Linear => self.shares.extend(rows.iter().map(|&row| (row, (unit / count as u128) as i64))),
            Model::Position => {
                let outer = if count > 2 { 2 * (count as u128 - 2) } else { 1 };
                self.weights.clear();
                self.weights.resize(count, 1);
                (self.weights[0], self.weights[count - 1]) = (outer, outer);
                let total = self.weights.iter().sum::<u128>();
                let amounts = self.weights.iter().map(|weight| (unit * weight / total) as i64);
                self.shares.extend(rows.iter().copied().zip(amounts));
            }
            Model::Decay(step) => {
                self.ages.clear();
                self.ages.extend(ticks.iter().map(|tick| (at - tick) / step));
                let next = ticks.iter().zip(&self.ages).map(|(tick, age)| tick + (age + 1) * step);
                older = next.min().unwrap_or(NEVER);
                decayed(*unit, &mut self.ages, &mut self.weights);
                self.shares.extend(rows.iter().zip(&self.weights).map(|(&row, &amount)| (row, amount as i64)));
            }
        }
        if let Some(last) = self.shares.len().checked_sub(1) {
            self.shares[last].1 = whole - self.shares[..last].iter().map(|share| share.1).sum::<i64>();
        }
        older
    }
}

/// Shares of the unit in proportion to 2^-age, floored, exactly; ages, whose order is that of the oldest first, are taken
/// relative to the newest.
fn decayed(unit: u128, ages: &mut [i64], amounts: &mut Vec<u128>) {
    let newest = ages.last().copied().unwrap_or(0);
    ages.iter_mut().for_each(|age| *age -= newest);
    let small = ages.partition_point(|&age| age > WHOLE);
    let scale = ages.get(small).copied().unwrap_or(0);
    amounts.clear();
    amounts.resize(small, 0); // 2^-64 of a unit below 2^31
    amounts.extend(ages[small..].iter().map(|age| 1u128 << (scale - age)));
    let total = amounts.iter().sum::<u128>();
    for amount in &mut amounts[small..] {
        let (share, rest) = (unit * *amount / total, unit * *amount % total);
        // what the small weights add to the total takes one part at most, as all of them are below it
        *amount = if share == 0 || covers(rest, share, scale, &ages[..small]) { share } else { share - 1 };
    }
}

/// Whether rest >= share · (sum of 2^(scale - age)) for ages beyond the scale, the oldest first.
fn covers(mut rest: u128, share: u128, mut scale: i64, ages: &[i64]) -> bool {
    for (older, &age) in ages.iter().enumerate().rev() {
        // each of these weights is below one; with that much left, doubling cannot fall behind
        if rest >= share * (older as u128 + 1) {
            return true;
        }
        let Some(left) = shifted(rest, age - scale).checked_sub(share) else { return false };
        (rest, scale) = (left, age);
    }
    true
}

/// rest · 2^steps, or what is no less than any sum of shares.
fn shifted(rest: u128, steps: i64) -> u128 {
    match rest {
        0 => 0,
        _ if steps >= WHOLE => UNITS << WHOLE,
        _ => rest << steps,
    }
}

/// The credits of a family's groups, ascending, those of one group together.
fn collect(now: &mut Vec<Held>, shares: &[(usize, i64)], touches: &Touches<'_>, via: &[bool]) {
    let seen =
        |&&(row, amount): &&(usize, i64)| amount > 0 && touches.group[row] >= 0 && via[touches.event[row] as usize];
    now.clear();
    now.extend(shares.iter().filter(seen).map(|&(row, amount)| Held { group: touches.group[row], amount, since: 0 }));
    now.sort_unstable_by_key(|held| held.group);
    now.dedup_by(|again, held| {
        let same = again.group == held.group;
        held.amount += if same { again.amount } else { 0 };
        same
    });
}

impl Account {
    /// Adds the weights at a tick, credit there less credit before; `now` is exchanged for what was held.
    fn change(&mut self, now: &mut Vec<Held>, owner: i64, at: i64, family: &Family<'_>, out: &mut Weights) {
        let (over, gated) = (&mut self.over, !family.gates.is_empty());
        let mut gone = |held: &Held, out: &mut Weights| {
            push(out, [owner, at, family.target + held.group, -held.amount]);
            if gated {
                over.push((held.group, Reverse(at - held.since), held.since));
            }
        };
        let mut before = self.held.iter().peekable();
        for own in now.iter_mut() {
            while let Some(held) = before.next_if(|held| held.group < own.group) {
                gone(held, out);
            }
            let held = before.next_if(|held| held.group == own.group);
            own.since = held.map_or(at, |held| held.since);
            let weight = own.amount - held.map_or(0, |held| held.amount);
            if weight != 0 {
                push(out, [owner, at, family.target + own.group, weight]);
            }
        }
        before.for_each(|held| gone(held, out));
        std::mem::swap(&mut self.held, now);
    }

    /// Ends all intervals with the horizon, where nobody looks any more, and adds the gates of the longest of each group.
    fn close(&mut self, owner: i64, horizon: i64, family: &Family<'_>, out: &mut Weights) {
        let open = self.held.drain(..).map(|held| (held.group, Reverse(horizon - held.since), held.since));
        self.over.extend(open.filter(|_| !family.gates.is_empty()));
        self.over.sort_unstable();
        for same in self.over.chunk_by(|one, other| one.0 == other.0) {
            let (group, Reverse(length), start) = same[0];
            for list in family.gates.chunk_by(|one, other| one.list == other.list) {
                if let Some(gate) = list.iter().rev().find(|gate| gate.span <= length) {
                    push(out, [owner, start, gate.target + group, 1]);
                }
            }
        }
        self.over.clear();
    }
}

/// Reads windows w, families f × 2 (position of the window, target of group 0), their events f × e and gates g × 4
/// (position of the family, list, span, target of group 0), the gates of a family's list together by span; None where
/// one names what is not there or a number is out of range.
fn windows_of<'a>(
    windows: &[i64],
    families: &[i64],
    via: &'a [bool],
    events: usize,
    gates: &[i64],
) -> Option<Vec<Window<'a>>> {
    let target = |word: i64| (0..LIMIT).contains(&word).then_some(word);
    let ticks = |&word: &i64| (1..LIMIT).contains(&word).then(|| Window { ticks: word, families: Vec::new() });
    let mut found = windows.iter().map(ticks).collect::<Option<Vec<_>>>()?;
    let mut places = Vec::new();
    let (families, _) = families.as_chunks::<2>();
    for (&[window, first], via) in families.iter().zip(via.chunks_exact(events)) {
        let own = found.get_mut(usize::try_from(window).ok()?)?;
        places.push((window as usize, own.families.len()));
        own.families.push(Family { target: target(first)?, via, gates: Vec::new() });
    }
    let (gates, _) = gates.as_chunks::<4>();
    for &[family, list, span, first] in gates {
        let &(window, family) = places.get(usize::try_from(family).ok()?)?;
        let own = &mut found[window].families[family].gates;
        if own.last().is_some_and(|gate| (gate.list, gate.span) >= (list, span)) {
            return None;
        }
        own.push(Gate { list, span, target: target(first)? });
    }
    Some(found)
}

type Ints<'py> = Bound<'py, PyArray1<i64>>;
type IntsIn<'py> = PyReadonlyArray1<'py, i64>;
type Found<'py> = ((Ints<'py>, Ints<'py>, Ints<'py>, Ints<'py>), Bound<'py, PyArray2<i64>>);

/// The weights of credit of n touches of whole persons, each person's in the order of time: owner, ascending, tick, event
/// and released group or -1.
///
/// The rule is (model, unit, ticks of a step of decay, most disjoint windows, most touches or None, horizon) with the
/// class of each event e. Windows are w; families f × 2 (position of the window, target of group 0) with the events f × e
/// that they look at; gates g × 4 (position of the family, list, span, target of group 0), ascending. Returns owner,
/// ascending, tick, target and weight, k each, one for every change of a group's credit in a family and one for the
/// earliest of the longest intervals with credit where a gate holds it; and by window, w × 2, how many touches earn
/// nothing by the bound on windows and by that on touches.
#[pyfunction]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // four of them are the touches
fn credit_weights<'py>(
    py: Python<'py>,
    owner: IntsIn<'py>,
    tick: IntsIn<'py>,
    group: IntsIn<'py>,
    event: IntsIn<'py>,
    rule: (&str, i64, i64, i64, Option<i64>, i64),
    rank: IntsIn<'py>,
    windows: IntsIn<'py>,
    families: PyReadonlyArray2<'py, i64>,
    via: PyReadonlyArray2<'py, bool>,
    gates: PyReadonlyArray2<'py, i64>,
) -> PyResult<Found<'py>> {
    let (owner, tick) = (in_row_order(&owner, "owner")?, in_row_order(&tick, "tick")?);
    let (group, event) = (in_row_order(&group, "group")?, in_row_order(&event, "event")?);
    let (rank, windows) = (in_row_order(&rank, "rank")?, in_row_order(&windows, "windows")?);
    let few = owner.len() <= u32::MAX as usize;
    if !few || [tick.len(), group.len(), event.len()] != [owner.len(); 3] || !owner.is_sorted() {
        return Err(bad("owners ascend, fewer than 2^32, and each has a tick, a group and an event"));
    }
    let events = rank.len();
    let inside = |values: &[i64], range: Range<i64>| values.iter().all(|value| range.contains(value));
    if !inside(tick, 0..LIMIT) || !inside(group, -1..LIMIT) || !inside(event, 0..events as i64) {
        return Err(bad("ticks are not negative, groups at least -1, events those of the ranks"));
    }
    if !inside(rank, 0..events as i64 + 1) {
        return Err(bad("a rank is at most the number of events"));
    }
    let (model, unit, step, most_windows, most_touches, horizon) = rule;
    let positive = |number: i64, end: i64| (1..end).contains(&number);
    let model = match model {
        "last_touch" => Model::Last,
        "first_touch" => Model::First,
        "linear" => Model::Linear,
        "position" => Model::Position,
        "time_decay" if positive(step, LIMIT) => Model::Decay(step),
        _ => return Err(bad("a model of credit, decay with a step, expected")),
    };
    let most_touches = most_touches.unwrap_or(i64::MAX);
    if !positive(unit, UNITS as i64)
        || !positive(most_windows, LIMIT)
        || most_touches < 1
        || !(0..LIMIT).contains(&horizon)
    {
        return Err(bad("unit, windows, touches and horizon are positive"));
    }
    let shape = |table: &PyReadonlyArray2<'_, i64>| table.as_array().dim();
    if shape(&families).1 != 2 || via.as_array().dim() != (shape(&families).0, events) || shape(&gates).1 != 4 {
        return Err(bad("families are f × 2 and f × events, gates g × 4"));
    }
    let (families, gates) = (in_row_order(&families, "families")?, in_row_order(&gates, "gates")?);
    let windows = windows_of(windows, families, in_row_order(&via, "via")?, events.max(1), gates)
        .ok_or_else(|| bad("a table of families names what is not there"))?;
    let rule = Rule {
        model,
        unit: unit as u128,
        rank,
        classes: rank.iter().max().map_or(0, |&last| last as usize + 1),
        most_windows,
        most_touches: most_touches as usize,
        horizon,
        windows,
    };
    let touches = Touches { tick, group, event };
    let (columns, dropped) = py.detach(|| {
        let weights = |rows: Range<usize>| {
            let mut walk = Walk::new(&rule, &touches);
            runs(owner, rows).for_each(|own| walk.person(owner[own.start], own));
            (walk.out, walk.dropped)
        };
        let tasks = whole_runs(owner.len(), TASK, |row| owner[row] == owner[row - 1]);
        let parts = tasks.into_par_iter().map(weights).collect::<Vec<_>>();
        let mut dropped = vec![0; 2 * rule.windows.len()];
        for (total, part) in parts.iter().flat_map(|(_, part)| part.as_flattened().iter().enumerate()) {
            dropped[total] += part;
        }
        (joined(parts.into_iter().map(|(part, _)| part).collect()), dropped)
    });
    let [owner, tick, target, weight] = columns.map(|column| column.into_pyarray(py));
    Ok(((owner, tick, target, weight), matrix(py, dropped, 2)?))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(credit_weights, module)?)
}
