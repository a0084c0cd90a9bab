//! What the outcome side's row values are over time: the pieces on which all values of a person stay the same.
//!
//! A value looks at some of a person's outcomes, its source, in the order of time. Of these a cursor (source, offset)
//! says at tick p how many have tick + offset <= p, so it only moves on as p does: outcomes in [p, p + X) are those
//! that the cursor of offset 1 - X has passed and that of offset 1 has not. A figure is the difference of a running
//! total at two cursors, at most a cap. Between two moves of cursors nothing changes, so a person's pieces are found by
//! one walk over the moves.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use rayon::prelude::*;
use std::ops::Range;

use crate::fields::{fields_of, out_of_bounds, pack_row, Field};
use crate::key::KEY_BYTES;
use crate::rows::{bad, in_row_order, matrix, runs, whole_runs};

/// Outcomes that one task works on, of whole persons.
const TASK: usize = 1 << 12;
/// Words that a task has room for from the start: growing costs more than the walk.
const ROOM: usize = 1 << 16;
/// Columns of a vector, far above any plan's.
const MOST_COLUMNS: usize = 1 << 20;
/// A tick that no cursor passes: no tick, offset or sum of both comes near it.
const NEVER: i64 = i64::MAX / 2;
/// The cap of a figure that has none.
const NO_CAP: u64 = i64::MAX as u64;
const TOO_LARGE: &str = "a value needs more than 63 bits";

/// Outcomes of one event, or of these the ones with a label: (its column, its position among the values).
struct Source {
    event: i32,
    label: Option<(usize, i16)>,
}

/// Running totals of a source's outcomes: of their values or of how many they are, each at most the cap. With a window
/// the totals are of what the sliding clip leaves: no window of that many ticks holds more than the cap.
struct Total {
    source: usize,
    money: bool,
    cap: u64,
    window: i64,
}

struct Cursor {
    source: usize,
    offset: i64,
}

/// How many outcomes `high` has passed and `low` has not.
#[derive(Clone, Copy, PartialEq)]
struct Span {
    high: usize,
    low: usize,
}

/// What a total grows by over a span.
#[derive(PartialEq)]
struct Growth {
    total: usize,
    span: Span,
}

/// One value: the growth `plus` less the growth `minus`, both at most `cap`, the largest where there is none; its square.
struct Figure {
    column: usize,
    plus: usize,
    minus: Option<usize>,
    cap: u64,
    squared: bool,
    touch_only: bool,
}

/// With points: where some value may be other than zero, at touches only or at all points.
struct Look {
    span: Span,
    touch_only: bool,
}

/// When values are looked at: from `start` to `end`, those of touches alone before `touch_end`; or at points, each with
/// whether touches happen there.
struct Frame<'a> {
    start: i64,
    touch_end: i64,
    end: i64,
    points: Option<(&'a [i64], &'a [bool])>,
}

struct Program<'a> {
    sources: Vec<Source>,
    totals: Vec<Total>,
    cursors: Vec<Cursor>,
    growths: Vec<Growth>,
    figures: Vec<Figure>,
    looks: Vec<Look>,
    frame: Frame<'a>,
    /// How the values of a vector are packed, and into how many words.
    fields: Vec<Field>,
    width: usize,
}

/// Outcomes of whole persons; labels are n × `labels`, with keys that are equal for the parts of one outcome.
struct Outcomes<'a> {
    person: &'a [[u8; KEY_BYTES]],
    tick: &'a [i64],
    event: &'a [i32],
    value: &'a [i64],
    labelled: Option<(&'a [i16], &'a [i64])>,
    labels: usize,
}

/// Pieces of time of some people, each with the first row of its person and its vector in words.
struct Pieces {
    people: usize,
    row: Vec<i64>,
    first: Vec<i64>,
    last: Vec<i64>,
    words: Vec<u64>,
    /// Whether each value is within its bounds.
    within: bool,
}

impl Pieces {
    fn with_room(pieces: usize, words: usize) -> Self {
        let column = || Vec::with_capacity(pieces);
        let (row, first, last, words) = (column(), column(), column(), Vec::with_capacity(words));
        Pieces { people: 0, row, first, last, words, within: true }
    }
}

/// One source of the person at hand: ticks, ascending, `NEVER` behind them; values; and 1 for all but the later parts of
/// an outcome that has several.
#[derive(Default)]
struct Done {
    tick: Vec<i64>,
    value: Vec<u64>,
    count: Vec<u64>,
}

/// What the walk of a person needs, kept from one to the next.
struct Walk<'a, 'b> {
    program: &'a Program<'b>,
    done: Vec<Done>,
    totals: Vec<Vec<u128>>,
    passed: Vec<usize>,
    rows: Vec<usize>,
    parts: Vec<(i64, usize)>,
    grown: Vec<u64>,
    vector: Vec<i64>,
    out: Pieces,
}

impl<'a, 'b> Walk<'a, 'b> {
    fn new(program: &'a Program<'b>, outcomes: usize) -> Self {
        Walk {
            program,
            done: program.sources.iter().map(|_| Done::default()).collect(),
            totals: vec![Vec::new(); program.totals.len()],
            passed: vec![0; program.cursors.len()],
            rows: Vec::new(),
            parts: Vec::new(),
            grown: vec![0; program.growths.len()],
            vector: vec![0; program.fields.len()],
            out: Pieces::with_room(outcomes, ROOM.min(outcomes.saturating_mul(program.width))),
        }
    }

    /// Adds one person's pieces; None where a value is too large.
    fn person(&mut self, outcomes: &Outcomes<'_>, rows: Range<usize>) -> Option<()> {
        for (source, spec) in self.program.sources.iter().enumerate() {
            self.fill(source, spec, outcomes, rows.clone());
        }
        for (total, spec) in self.totals.iter_mut().zip(&self.program.totals) {
            spec.run(&self.done[spec.source], total);
        }
        self.passed.fill(0);
        self.out.people += 1;
        match self.program.frame.points {
            None => self.stretches(rows.start as i64),
            Some((points, touched)) => self.points(rows.start as i64, points, touched),
        }
    }

    /// Takes the outcomes of a source, in the order of time and otherwise in their own.
    fn fill(&mut self, source: usize, spec: &Source, outcomes: &Outcomes<'_>, rows: Range<usize>) {
        let chosen = &mut self.rows;
        chosen.clear();
        let wanted = |row: &usize| match (spec.label, outcomes.labelled) {
            (Some((column, position)), Some((label, _))) => label[row * outcomes.labels + column] == position,
            _ => true,
        };
        chosen.extend(rows.filter(|&row| outcomes.event[row] == spec.event).filter(wanted));
        // a date can go back where a zone's clocks do, and labels come one by one
        if !chosen.is_sorted_by_key(|&row| outcomes.tick[row]) {
            chosen.sort_by_key(|&row| outcomes.tick[row]);
        }
        let Done { tick, value, count } = &mut self.done[source];
        tick.clear();
        tick.extend(chosen.iter().map(|&row| outcomes.tick[row]));
        tick.push(NEVER);
        value.clear();
        value.extend(chosen.iter().map(|&row| outcomes.value[row] as u64));
        count.clear();
        count.resize(chosen.len(), 1);
        let Some((_, key)) = outcomes.labelled else { return };
        let parts = &mut self.parts;
        parts.clear();
        parts.extend(chosen.iter().enumerate().map(|(place, &row)| (key[row], place)).filter(|part| part.0 >= 0));
        parts.sort_unstable_by_key(|&(key, place)| (key, chosen[place]));
        for pair in parts.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            count[pair[1].1] = 0;
        }
    }

    /// Moves all cursors to tick p; returns the next tick at which one moves.
    fn advance(&mut self, p: i64) -> i64 {
        let mut next = NEVER;
        for (passed, cursor) in self.passed.iter_mut().zip(&self.program.cursors) {
            let tick = &self.done[cursor.source].tick;
            while tick[*passed] + cursor.offset <= p {
                *passed += 1;
            }
            next = next.min(tick[*passed] + cursor.offset);
        }
        next
    }

    /// As `advance`, but no cursor by more than one outcome: the next tick is p again where one has more to pass.
    fn step(&mut self, p: i64) -> i64 {
        let mut next = NEVER;
        for (passed, cursor) in self.passed.iter_mut().zip(&self.program.cursors) {
            let tick = &self.done[cursor.source].tick;
            *passed += usize::from(tick[*passed] + cursor.offset <= p);
            next = next.min(tick[*passed] + cursor.offset);
        }
        next
    }

    /// Makes the vector that of where the cursors are, of all figures or of those for credit alone; returns whether any
    /// value is not zero and whether any changed, or None where one is too large.
    fn look(&mut self, touches: bool) -> Option<(bool, bool)> {
        let (mut any, mut changed) = (false, false);
        for (grown, Growth { total, span }) in self.grown.iter_mut().zip(&self.program.growths) {
            let total = &self.totals[*total];
            let sum = total[self.passed[span.high]] - total[self.passed[span.low]];
            // in 64 bits as soon as it fits: the lesser of two is then found without a branch
            *grown = u64::try_from(sum).unwrap_or(u64::MAX);
        }
        for figure in &self.program.figures {
            let value = figure.value(&self.grown)?;
            let value = if touches || !figure.touch_only { value } else { 0 };
            any |= value != 0;
            changed |= value != self.vector[figure.column];
            self.vector[figure.column] = value;
        }
        Some((any, changed))
    }

    fn keep(&mut self, row: i64, first: i64, last: i64) {
        self.out.row.push(row);
        self.out.first.push(first);
        self.out.last.push(last);
        let start = self.out.words.len();
        self.out.words.resize(start + self.program.width, 0);
        self.out.within &= pack_row(&self.program.fields, &self.vector, &mut self.out.words[start..]);
    }

    fn stretches(&mut self, row: i64) -> Option<()> {
        let Frame { start, touch_end, end, .. } = self.program.frame;
        self.vector.fill(0);
        self.advance(start);
        let mut first = start;
        while first < end {
            let touches = first < touch_end;
            let last = self.step(first).min(if touches { touch_end.min(end) } else { end });
            if first < last {
                match self.look(touches)? {
                    (true, true) => self.keep(row, first, last),
                    (true, false) => self.out.last.last_mut().into_iter().for_each(|end| *end = last),
                    (false, _) => {}
                }
            }
            first = last;
        }
        Some(())
    }

    fn points(&mut self, row: i64, points: &[i64], touched: &[bool]) -> Option<()> {
        let mut place = 0;
        while place < points.len() {
            let at = points[place];
            let next = self.advance(at);
            let passed = |span: Span| self.passed[span.high] > self.passed[span.low];
            let open = self.program.looks.iter().filter(|look| passed(look.span)).map(|look| look.touch_only);
            match open.min() {
                None => {
                    place += points[place..].partition_point(|&point| point < next);
                    continue;
                }
                Some(touch_only) if !touch_only || touched[place] => {
                    if let (true, _) = self.look(true)? {
                        self.keep(row, at, at + 1);
                    }
                }
                Some(_) => {}
            }
            place += 1;
        }
        Some(())
    }
}

impl Figure {
    /// The value; None where it is too large.
    fn value(&self, grown: &[u64]) -> Option<i64> {
        let capped = |growth: usize| i64::try_from(grown[growth].min(self.cap)).ok();
        let value = match self.minus {
            None => capped(self.plus)?,
            Some(minus) => capped(self.plus)? - capped(minus)?,
        };
        if self.squared {
            value.checked_mul(value)
        } else {
            Some(value)
        }
    }
}

impl Total {
    fn run(&self, done: &Done, total: &mut Vec<u128>) {
        let amounts = if self.money { &done.value } else { &done.count };
        let mut sum = 0u128;
        total.clear();
        total.push(0);
        total.extend(amounts.iter().map(|&amount| {
            sum += u128::from(amount.min(self.cap));
            sum
        }));
        if self.window > 0 && sum > self.cap.into() {
            self.clip(&done.tick, total);
        }
    }

    /// The sliding clip: of what a tick adds stays what the window that ends with it leaves of the cap.
    fn clip(&self, tick: &[i64], total: &mut [u128]) {
        let (mut place, mut low, mut added) = (0, 0, 0);
        while place + 1 < total.len() {
            let now = tick[place];
            let end = place + tick[place..].iter().take_while(|&&tick| tick == now).count();
            while tick[low] <= now - self.window {
                low += 1;
            }
            let cap = u128::from(self.cap);
            let before = total[place];
            let (amount, held) = (total[end] - added, before - total[low]);
            added = total[end];
            total[place + 1..=end].fill(before + amount.min(cap - held));
            place = end;
        }
    }
}

type Column<'py> = Bound<'py, PyArray1<i64>>;
type Found<'py> = (usize, Column<'py>, Column<'py>, Column<'py>, Bound<'py, PyArray2<u64>>);
type Table<'py> = PyReadonlyArray2<'py, i64>;

/// Reads the tables of a program; None where one names what is not there or a number is out of range.
fn program_of<'a>(
    tables: [(&[i64], usize); 5],
    frame: Frame<'a>,
    (fields, width): (Vec<Field>, usize),
) -> Option<Program<'a>> {
    const WIDTHS: [usize; 5] = [3, 4, 2, 9, 3];
    let [sources, totals, cursors, figures, looks] = tables.map(|(words, width)| words.chunks_exact(width.max(1)));
    if tables.iter().zip(WIDTHS).any(|(&(_, width), wanted)| width != wanted) {
        return None;
    }
    let below = |word: i64, end: usize| usize::try_from(word).ok().filter(|&place| place < end);
    let amount = |word: i64| u64::try_from(word).ok();
    let flag = |word: i64| (word == 0 || word == 1).then_some(word == 1);
    let source = |row: &[i64]| {
        let label = match row[1] {
            -1 => None,
            column => Some((usize::try_from(column).ok()?, i16::try_from(row[2]).ok()?)),
        };
        Some(Source { event: i32::try_from(row[0]).ok()?, label })
    };
    let sources = sources.map(source).collect::<Option<Vec<_>>>()?;
    let total = |row: &[i64]| {
        let (source, money) = (below(row[0], sources.len())?, flag(row[1])?);
        Some(Total { source, money, cap: amount(row[2])?, window: amount(row[3]).map(|_| row[3])? })
    };
    let totals = totals.map(total).collect::<Option<Vec<_>>>()?;
    let cursor = |row: &[i64]| {
        let offset = (row[1].unsigned_abs() < NEVER as u64 / 4).then_some(row[1])?;
        Some(Cursor { source: below(row[0], sources.len())?, offset })
    };
    let cursors = cursors.map(cursor).collect::<Option<Vec<_>>>()?;
    let span = |row: &[i64], source: Option<usize>| {
        let (high, low) = (below(row[0], cursors.len())?, below(row[1], cursors.len())?);
        let source = source.unwrap_or(cursors[high].source);
        let whole = cursors[high].source == source && cursors[low].source == source;
        (whole && cursors[high].offset <= cursors[low].offset).then_some(Span { high, low })
    };
    let mut growths = Vec::new();
    let mut growth = |total: usize, span: Span| {
        let growth = Growth { total, span };
        growths.iter().position(|other| *other == growth).unwrap_or_else(|| {
            growths.push(growth);
            growths.len() - 1
        })
    };
    let figure = |row: &[i64]| {
        let total = below(row[1], totals.len())?;
        let source = Some(totals[total].source);
        let (plus, minus) = (span(&row[2..4], source)?, span(&row[4..6], source)?);
        let (plus, minus) = (growth(total, plus), (minus.high != minus.low).then(|| growth(total, minus)));
        let cap = amount(row[6]).map(|cap| if cap == NO_CAP { u64::MAX } else { cap })?;
        let (squared, touch_only) = (flag(row[7])?, flag(row[8])?);
        Some(Figure { column: below(row[0], fields.len())?, plus, minus, cap, squared, touch_only })
    };
    let figures = figures.map(figure).collect::<Option<Vec<_>>>()?;
    let look = |row: &[i64]| Some(Look { span: span(row, None)?, touch_only: flag(row[2])? });
    let looks = looks.map(look).collect::<Option<Vec<_>>>()?;
    Some(Program { sources, totals, cursors, growths, figures, looks, frame, fields, width })
}

fn pieces_of(program: &Program<'_>, outcomes: &Outcomes<'_>, rows: Range<usize>) -> Option<Pieces> {
    let mut walk = Walk::new(program, rows.len());
    for own in runs(outcomes.person, rows) {
        walk.person(outcomes, own)?;
    }
    Some(walk.out)
}

/// Pieces of time on which the values of a person stay the same, those of zeros left out.
///
/// Of n outcomes of whole persons: person n × 16, tick n, event n, value n and, where labels are in use, (label n × l,
/// key n). The program is (sources s × 3: event, column of a label or -1, position; totals t × 4: source, whether of
/// values, cap, window or 0; cursors c × 2: source, offset; figures f × 9: column, total, cursors high and low added,
/// high and low taken away, cap, whether squared, whether of touches alone; looks × 3: cursors high and low, whether of
/// touches alone). The frame is (start, end of touches, end); with points, ascending, and whether touches happen at each,
/// pieces are single points, those that a look is open at. Returns how many people there are, and k pieces: the first row
/// of the person, first tick, the tick past the last, and the vector's values, within the bounds of their columns, as
/// `pack_values` packs them. An overflow where a value needs more than 63 bits.
#[pyfunction]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // five of them are the outcomes
fn step_pieces<'py>(
    py: Python<'py>,
    person: PyReadonlyArray2<'py, u8>,
    tick: PyReadonlyArray1<'py, i64>,
    event: PyReadonlyArray1<'py, i32>,
    value: PyReadonlyArray1<'py, i64>,
    labels: Option<(PyReadonlyArray2<'py, i16>, PyReadonlyArray1<'py, i64>)>,
    program: (Table<'py>, Table<'py>, Table<'py>, Table<'py>, Table<'py>),
    frame: (i64, i64, i64),
    points: Option<(PyReadonlyArray1<'py, i64>, PyReadonlyArray1<'py, bool>)>,
    bounds: Vec<(i64, i64)>,
) -> PyResult<Found<'py>> {
    let count = person.as_array().dim().0;
    let whole = person.as_array().dim().1 == KEY_BYTES;
    let (person, rest) = in_row_order(&person, "person")?.as_chunks::<KEY_BYTES>();
    let (tick, event) = (in_row_order(&tick, "tick")?, in_row_order(&event, "event")?);
    let value = in_row_order(&value, "value")?;
    if !whole || !rest.is_empty() || [tick.len(), event.len(), value.len()] != [count; 3] {
        return Err(bad("person is n × 16 bytes, tick, event and value have n entries"));
    }
    if bounds.len() > MOST_COLUMNS {
        return Err(bad("a vector has from 1 to 2^20 columns"));
    }
    let fields = fields_of(&bounds)?;
    let limit = 0..NEVER / 4;
    if !tick.iter().all(|tick| limit.contains(tick)) || value.iter().any(|&value| value < 0) {
        return Err(bad("ticks and values are not negative"));
    }
    let width = labels.as_ref().map_or(0, |(label, _)| label.as_array().dim().1);
    let labelled = match &labels {
        None => None,
        Some((label, key)) => Some((in_row_order(label, "label")?, in_row_order(key, "event key")?)),
    };
    if labelled.is_some_and(|(label, key)| label.len() != count * width || key.len() != count) {
        return Err(bad("label is n × l, event key has n entries"));
    }
    let points = match &points {
        None => None,
        Some((points, touched)) => Some((in_row_order(points, "points")?, in_row_order(touched, "touched")?)),
    };
    let (start, touch_end, end) = frame;
    let rising = |points: &[i64]| points.is_sorted_by(|one, other| one < other);
    let inside = points.is_none_or(|(points, touched)| {
        points.len() == touched.len() && rising(points) && points.iter().all(|point| limit.contains(point))
    });
    if !inside || !limit.contains(&start) || !limit.contains(&touch_end) || !limit.contains(&end) {
        return Err(bad("a frame is of ticks that are not negative, its points ascend"));
    }
    let (sources, totals, cursors, figures, looks) = &program;
    let read = |table: &'_ Table<'py>| table.as_array().dim().1;
    let tables = [
        (in_row_order(sources, "sources")?, read(sources)),
        (in_row_order(totals, "totals")?, read(totals)),
        (in_row_order(cursors, "cursors")?, read(cursors)),
        (in_row_order(figures, "figures")?, read(figures)),
        (in_row_order(looks, "looks")?, read(looks)),
    ];
    let program = program_of(tables, Frame { start, touch_end, end, points }, fields)
        .filter(|program| {
            let column = |source: &Source| source.label.is_none_or(|(column, _)| column < width);
            program.sources.iter().all(column)
        })
        .ok_or_else(|| bad("a table of the program names what is not there"))?;
    let outcomes = Outcomes { person, tick, event, value, labelled, labels: width };
    let found = py.detach(|| {
        let tasks = whole_runs(count, TASK, |row| person[row] == person[row - 1]);
        let parts = tasks.into_par_iter().map(|rows| pieces_of(&program, &outcomes, rows));
        let parts = parts.collect::<Option<Vec<_>>>()?;
        let length = parts.iter().map(|part| part.row.len()).sum::<usize>();
        let mut out = Pieces::with_room(length, length * program.width);
        for part in parts {
            out.people += part.people;
            out.within &= part.within;
            out.row.extend(part.row);
            out.first.extend(part.first);
            out.last.extend(part.last);
            out.words.extend(part.words);
        }
        Some(out)
    });
    let found = found.ok_or_else(|| PyOverflowError::new_err(TOO_LARGE))?;
    if !found.within {
        return Err(out_of_bounds());
    }
    let [row, first, last] = [found.row, found.first, found.last].map(|column| column.into_pyarray(py));
    Ok((found.people, row, first, last, matrix(py, found.words, program.width)?))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(step_pieces, module)?)
}
