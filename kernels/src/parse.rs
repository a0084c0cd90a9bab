//! Times and amounts of money from text and floats, exactly; a value that does not fit is a status, never a guess.

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::normalise::trim;
use crate::rows::{bad, in_row_order};
use crate::text::Texts;

const TASK_ROWS: usize = 4096;
const MICROS: i64 = 1_000_000;
/// Unix seconds that are read as such: below are dates without hyphens (YYYYMMDD), above are milliseconds.
const UNIX_SECONDS: std::ops::Range<i64> = 100_000_000..100_000_000_000;

const NULL: u8 = 1;
const MALFORMED: u8 = 2;

// Times: 0 UTC, 3 naive (microseconds on the wall clock).
const UTC: u8 = 0;
const NAIVE: u8 = 3;

// Amounts: 0 valid, 4 negative, 5 more digits than the precision, 6 too large.
const VALID: u8 = 0;
const NEGATIVE: u8 = 4;
const TOO_PRECISE: u8 = 5;
const TOO_LARGE: u8 = 6;

type Parsed<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<u8>>);

fn parsed<'py, F>(py: Python<'py>, count: usize, parse: F) -> Parsed<'py>
where
    F: Fn(usize) -> Result<(i64, u8), u8> + Sync,
{
    let mut values = vec![0i64; count];
    let mut status = vec![0u8; count];
    py.detach(|| {
        values.par_chunks_mut(TASK_ROWS).zip(status.par_chunks_mut(TASK_ROWS)).enumerate().for_each(
            |(task, (values, status))| {
                for (index, (value, status)) in values.iter_mut().zip(status).enumerate() {
                    match parse(task * TASK_ROWS + index) {
                        Ok((parsed, kind)) => (*value, *status) = (parsed, kind),
                        Err(fault) => *status = fault,
                    }
                }
            },
        );
    });
    (values.into_pyarray(py), status.into_pyarray(py))
}

fn text_of<'a>(texts: &Texts<'a>, index: usize) -> Result<&'a [u8], u8> {
    let text = trim(texts.text(index).ok_or(NULL)?.ok_or(MALFORMED)?);
    if text.is_empty() {
        return Err(NULL);
    }
    Ok(text.as_bytes())
}

/// Reads exactly `count` digits from the front.
fn digits(text: &[u8], count: usize) -> Option<(i64, &[u8])> {
    let (head, tail) = text.split_at_checked(count)?;
    let mut value = 0;
    for byte in head {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some((value, tail))
}

fn after(text: &[u8], byte: u8) -> Option<&[u8]> {
    text.strip_prefix(&[byte])
}

/// Digits of a fraction as microseconds, cut below; at least one digit and at most nine.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let digit = |place: usize| text[..count].get(place).map_or(0, |byte| i64::from(byte - b'0'));
    let micros = (0..6).fold(0, |micros, place| micros * 10 + digit(place));
    Some((micros, &text[count..]))
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, or None where there is no such date.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1 || !(1..=length).contains(&day) {
        return None;
    }
    // Counted in years that begin in March, so that the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468)
}

fn unix_seconds(text: &[u8]) -> Option<i64> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count > 12 {
        return None;
    }
    let (seconds, rest) = digits(text, count)?;
    let (micros, rest) = match after(rest, b'.') {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    (rest.is_empty() && UNIX_SECONDS.contains(&seconds)).then_some(seconds * MICROS + micros)
}

/// ISO 8601 in its extended form: YYYY-MM-DD[(T| )hh:mm[:ss[(.|,)f]][Z|±hh[[:]mm]]].
fn iso_time(text: &[u8]) -> Option<(i64, u8)> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = digits(after(rest, b'-')?, 2)?;
    let (day, rest) = digits(after(rest, b'-')?, 2)?;
    let date = days(year, month, day)? * 86_400 * MICROS;
    let Some((separator, rest)) = rest.split_first() else {
        return Some((date, NAIVE));
    };
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let (hour, rest) = digits(rest, 2)?;
    let (minute, mut rest) = digits(after(rest, b':')?, 2)?;
    let (mut second, mut micros) = (0, 0);
    if let Some(tail) = after(rest, b':') {
        (second, rest) = digits(tail, 2)?;
        if let Some(tail) = after(rest, b'.').or_else(|| after(rest, b',')) {
            (micros, rest) = fraction(tail)?;
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let wall = date + ((hour * 60 + minute) * 60 + second) * MICROS + micros;
    let rest = after(rest, b' ').unwrap_or(rest);
    match rest.split_first() {
        None => Some((wall, NAIVE)),
        Some((b'Z' | b'z', [])) => Some((wall, UTC)),
        Some((sign @ (b'+' | b'-'), rest)) => {
            let (hours, rest) = digits(rest, 2)?;
            let (minutes, rest) = match rest {
                [] => (0, rest),
                _ => digits(after(rest, b':').unwrap_or(rest), 2)?,
            };
            if !rest.is_empty() || hours > 18 || minutes > 59 {
                return None;
            }
            let offset = (hours * 60 + minutes) * 60 * MICROS;
            Some((if *sign == b'+' { wall - offset } else { wall + offset }, UTC))
        }
        _ => None,
    }
}

/// Microseconds of texts (offsets n + 1, data, valid n) and a status each: 0 UTC, 3 naive, 1 null, 2 malformed.
#[pyfunction]
fn parse_times<'py>(
    py: Python<'py>,
    offsets: PyReadonlyArray1<'py, i32>,
    data: PyReadonlyArray1<'py, u8>,
    valid: PyReadonlyArray1<'py, bool>,
) -> PyResult<Parsed<'py>> {
    let texts = Texts::new(&offsets, &data, &valid)?;
    Ok(parsed(py, texts.len(), |index| {
        let text = text_of(&texts, index)?;
        iso_time(text).or_else(|| unix_seconds(text).map(|time| (time, UTC))).ok_or(MALFORMED)
    }))
}

/// Money in units of 10^-places: optional sign, digits, optional point and digits; zeros past the places are no fault.
fn amount(text: &[u8], places: usize, limit: i64) -> Result<i64, u8> {
    let (negative, text) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let point = text.iter().position(|&byte| byte == b'.');
    let (whole, part) = match point {
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &text[..0]),
    };
    if whole.len() + part.len() == 0 || !whole.iter().chain(part).all(u8::is_ascii_digit) {
        return Err(MALFORMED);
    }
    let (kept, beyond) = part.split_at(part.len().min(places));
    let zeros = (kept.len()..places).map(|_| b'0');
    let mut value = 0i64;
    for byte in whole.iter().chain(kept).copied().chain(zeros) {
        value = value.checked_mul(10).and_then(|value| value.checked_add(i64::from(byte - b'0'))).ok_or(TOO_LARGE)?;
    }
    let rest = beyond.iter().any(|&byte| byte != b'0');
    if negative && (value > 0 || rest) {
        return Err(NEGATIVE);
    }
    if rest {
        return Err(TOO_PRECISE);
    }
    if value > limit {
        return Err(TOO_LARGE);
    }
    Ok(value)
}

fn check_places(places: usize, limit: i64) -> PyResult<()> {
    if places > 9 || limit < 0 {
        return Err(PyValueError::new_err("places is at most 9 and limit is not negative"));
    }
    Ok(())
}

/// Amounts of texts in units of 10^-places, and a status each: 0, 1 null, 2 malformed, 4 negative, 5 too precise, 6 large.
#[pyfunction]
#[pyo3(signature = (offsets, data, valid, *, places, limit))]
fn parse_amounts<'py>(
    py: Python<'py>,
    offsets: PyReadonlyArray1<'py, i32>,
    data: PyReadonlyArray1<'py, u8>,
    valid: PyReadonlyArray1<'py, bool>,
    places: usize,
    limit: i64,
) -> PyResult<Parsed<'py>> {
    check_places(places, limit)?;
    let texts = Texts::new(&offsets, &data, &valid)?;
    Ok(parsed(py, texts.len(), |index| Ok((amount(text_of(&texts, index)?, places, limit)?, VALID))))
}

/// Amounts of decimals (n × 2 words: whole numbers of 128 bits, the lower half first) that stand for `unit` each, and a
/// status each as `parse_amounts`.
#[pyfunction]
#[pyo3(signature = (halves, valid, *, unit, limit))]
fn decimal_amounts<'py>(
    py: Python<'py>,
    halves: PyReadonlyArray2<'py, i64>,
    valid: PyReadonlyArray1<'py, bool>,
    unit: i64,
    limit: i64,
) -> PyResult<Parsed<'py>> {
    let shape = halves.as_array().dim();
    let (halves, valid) = (in_row_order(&halves, "halves")?, in_row_order(&valid, "valid")?);
    if shape != (valid.len(), 2) || unit <= 0 || limit < 0 {
        return Err(bad("two halves for each value, a unit above zero and a limit that is not negative expected"));
    }
    let most = i128::from(limit / unit);
    Ok(parsed(py, valid.len(), |index| {
        if !valid[index] {
            return Err(NULL);
        }
        let value = i128::from(halves[2 * index + 1]) << 64 | i128::from(halves[2 * index] as u64);
        match value {
            ..0 => Err(NEGATIVE),
            value if value > most => Err(TOO_LARGE),
            value => Ok((value as i64 * unit, VALID)),
        }
    }))
}

/// The float's exact value times an exact power of ten, to the nearest integer, half to even.
fn nearest(value: f64, scale: f64, limit: i64) -> Result<i64, u8> {
    if value.is_nan() {
        return Err(NULL);
    }
    if value < 0.0 {
        return Err(NEGATIVE);
    }
    let product = value * scale;
    // Above 2^52 there are no halves, so the limit is kept below it.
    if product > limit.min(1 << 51) as f64 {
        return Err(TOO_LARGE);
    }
    let floor = product.floor();
    let half = product - floor;
    // Rounding is monotonic and halves are floats: only a product that landed on a half can hide which side it is on.
    let up = if half == 0.5 {
        let error = value.mul_add(scale, -product);
        if error == 0.0 {
            floor as i64 % 2 == 1
        } else {
            error > 0.0
        }
    } else {
        half > 0.5
    };
    Ok(floor as i64 + i64::from(up))
}

/// Amounts of floats in units of 10^-places, to the nearest unit, half to even, and a status each as `parse_amounts`.
#[pyfunction]
#[pyo3(signature = (values, valid, *, places, limit))]
fn round_amounts<'py>(
    py: Python<'py>,
    values: PyReadonlyArray1<'py, f64>,
    valid: PyReadonlyArray1<'py, bool>,
    places: usize,
    limit: i64,
) -> PyResult<Parsed<'py>> {
    check_places(places, limit)?;
    let (values, valid) = match (values.as_slice(), valid.as_slice()) {
        (Ok(values), Ok(valid)) if values.len() == valid.len() => (values, valid),
        _ => return Err(PyValueError::new_err("values and valid are contiguous and of one length")),
    };
    let scale = 10f64.powi(places as i32);
    Ok(parsed(py, values.len(), |index| {
        if !valid[index] {
            return Err(NULL);
        }
        Ok((nearest(values[index], scale, limit)?, VALID))
    }))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(parse_times, module)?)?;
    module.add_function(wrap_pyfunction!(parse_amounts, module)?)?;
    module.add_function(wrap_pyfunction!(decimal_amounts, module)?)?;
    module.add_function(wrap_pyfunction!(round_amounts, module)?)
}
