//! Rows of words that are in order, as the columns that attribution takes.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray2};
use pyo3::prelude::*;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use crate::key::{key_of_words, KEY_BYTES};
use crate::rows::{bad, in_row_order, matrix, whole_runs};

/// Rows that are taken apart at once, column by column, while they are in a near cache.
const TAKEN_ROWS: usize = 512;

fn rows_of<'a, const WORDS: usize>(rows: &'a PyReadonlyArray2<'_, u64>) -> PyResult<&'a [[u64; WORDS]]> {
    if rows.as_array().dim().1 != WORDS {
        return Err(bad("rows of another number of words expected"));
    }
    Ok(in_row_order(rows, "rows")?.as_chunks().0)
}

fn key_of<const WORDS: usize>(row: &[u64; WORDS]) -> [u8; KEY_BYTES] {
    key_of_words(&[row[0], row[1]])
}

/// A word whose order is that of signed integers, as the integer.
fn signed(word: u64) -> i64 {
    (word ^ 1 << 63) as i64
}

/// Random numbers of this process.
fn mixers() -> &'static [u128; 3] {
    static MIXERS: OnceLock<[u128; 3]> = OnceLock::new();
    MIXERS.get_or_init(|| {
        let random = RandomState::new();
        std::array::from_fn(|at| u128::from(random.hash_one((at, 0))) << 64 | u128::from(random.hash_one((at, 1))))
    })
}

/// 63 bits that tell event ids apart, or -1 where there is none. Multilinear hashing (Lemire and Kaser, arXiv:1202.4961)
/// gives two ids the same bits with a probability of 2^-63, whoever chose them, as an id may be what somebody wrote.
fn event_key(id: [u64; 2], [start, first, second]: &[u128; 3]) -> i64 {
    let [one, other] = id.map(u128::from);
    match id {
        [0, 0] => -1,
        _ => (start.wrapping_add(first.wrapping_mul(one)).wrapping_add(second.wrapping_mul(other)) >> 65) as i64,
    }
}

type Touches<'py> =
    (Bound<'py, PyArray2<u8>>, Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<i32>>, Bound<'py, PyArray1<i32>>);

/// Touches n × 4 words (person, time, group and event in one): person n × 16 bytes, time n, event n, group n.
#[pyfunction]
fn touch_columns<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Touches<'py>> {
    let rows = rows_of::<4>(&rows)?;
    let count = rows.len();
    let (mut person, mut time) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut event, mut group) = (Vec::with_capacity(count), Vec::with_capacity(count));
    py.detach(|| {
        for rows in rows.chunks(TAKEN_ROWS) {
            person.extend(rows.iter().map(key_of));
            time.extend(rows.iter().map(|row| signed(row[2])));
            event.extend(rows.iter().map(|row| row[3] as i32));
            group.extend(rows.iter().map(|row| (row[3] >> 32) as i32));
        }
    });
    let person = matrix(py, person.into_flattened(), KEY_BYTES)?;
    Ok((person, time.into_pyarray(py), event.into_pyarray(py), group.into_pyarray(py)))
}

type Outcomes<'py> = (
    Bound<'py, PyArray2<u8>>,
    Bound<'py, PyArray1<u64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
);

/// Outcomes n × 7 words (person, event, event id, time, value): person n × 16 bytes, event n as it is, 63 bits mixed from
/// the event id n or -1 where it is zero, time n, value n.
#[pyfunction]
fn outcome_columns<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Outcomes<'py>> {
    let rows = rows_of::<7>(&rows)?;
    let count = rows.len();
    let (mut person, mut event) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut id, mut time, mut value) =
        (Vec::with_capacity(count), Vec::with_capacity(count), Vec::with_capacity(count));
    let mixers = mixers();
    py.detach(|| {
        for rows in rows.chunks(TAKEN_ROWS) {
            person.extend(rows.iter().map(key_of));
            event.extend(rows.iter().map(|row| row[2]));
            id.extend(rows.iter().map(|row| event_key([row[3], row[4]], mixers)));
            time.extend(rows.iter().map(|row| signed(row[5])));
            value.extend(rows.iter().map(|row| row[6] as i64));
        }
    });
    let person = matrix(py, person.into_flattened(), KEY_BYTES)?;
    Ok((person, event.into_pyarray(py), id.into_pyarray(py), time.into_pyarray(py), value.into_pyarray(py)))
}

type People<'py> = (Bound<'py, PyArray2<u64>>, Bound<'py, PyArray1<bool>>);

/// The words of rows that begin with a key of two, and how many a row has.
fn led<'a>(rows: &'a PyReadonlyArray2<'_, u64>) -> PyResult<(&'a [u64], usize)> {
    let width = rows.as_array().dim().1;
    if width < 2 {
        return Err(bad("rows of at least two words expected"));
    }
    Ok((in_row_order(rows, "rows")?, width))
}

/// Of outcomes n × 7 words in order: their people, each once (m × 2 words), and which outcomes have a time from `start`
/// to before `end`, both as words whose order is that of times (n).
#[pyfunction]
fn people_within<'py>(
    py: Python<'py>,
    rows: PyReadonlyArray2<'py, u64>,
    start: u64,
    end: u64,
) -> PyResult<People<'py>> {
    let rows = rows_of::<7>(&rows)?;
    let (people, within) = py.detach(|| {
        // no branch on where a person begins: a processor would guess it wrong for most
        let (mut people, mut within) = (vec![[0; 2]; rows.len()], vec![false; rows.len()]);
        let (mut count, mut last) = (0, rows.first().map_or([0; 2], |row| [!row[0], row[1]]));
        for (row, within) in rows.iter().zip(&mut within) {
            let own = [row[0], row[1]];
            count += usize::from((own[0] != last[0]) | (own[1] != last[1]));
            people[count - 1] = own;
            last = own;
            *within = (row[5] >= start) & (row[5] < end);
        }
        people.truncate(count);
        people.shrink_to_fit();
        (people, within)
    });
    Ok((matrix(py, people.into_flattened(), 2)?, within.into_pyarray(py)))
}

/// Where rows n × k (k at least two) in order can be cut, about every `most` rows, so that no neighbours that share their
/// first two words are apart: ascending ends, n the last.
#[pyfunction]
fn whole_people(rows: PyReadonlyArray2<'_, u64>, most: usize) -> PyResult<Vec<usize>> {
    let (words, width) = led(&rows)?;
    if most == 0 {
        return Err(bad("rows of at least two words, and at least one at once, expected"));
    }
    let count = words.len() / width;
    let key = |row: usize| &words[row * width..row * width + 2];
    Ok(whole_runs(count, most, |row| key(row) == key(row - 1)).into_iter().map(|run| run.end).collect())
}

/// Keys of rows n × k words (k at least two) whose first two are the key: n × 16 bytes.
#[pyfunction]
fn leading_keys<'py>(py: Python<'py>, rows: PyReadonlyArray2<'py, u64>) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let (words, width) = led(&rows)?;
    let keys: Vec<_> = py.detach(|| words.chunks_exact(width).map(|row| key_of(&[row[0], row[1]])).collect());
    matrix(py, keys.into_flattened(), KEY_BYTES)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(touch_columns, module)?)?;
    module.add_function(wrap_pyfunction!(outcome_columns, module)?)?;
    module.add_function(wrap_pyfunction!(people_within, module)?)?;
    module.add_function(wrap_pyfunction!(whole_people, module)?)?;
    module.add_function(wrap_pyfunction!(leading_keys, module)?)
}
