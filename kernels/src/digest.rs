//! Keyless digests of people and rows: SHA-256 under a label of its own, cut to 16 bytes.
//!
//! `person_keys` names a person: (identifier type, shared form). `text_keys` names any other text, such as an event id.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::messages::Messages;
use crate::normalise::{normalise, trim, Country, Fault, Form, Kind, Rule};
use crate::rows::{bad, in_row_order, matrix};
use crate::text::Texts;

const TEXT_LABEL: &[u8] = b"cleanroom/text/v1";
/// Rows that one task digests: some tens of microseconds of work.
const TASK_ROWS: usize = 1024;

const VALID: u8 = 0;
const NULL: u8 = 1;
const MALFORMED: u8 = 2;

fn rule_of(kind: &str, rule: &str, country: Option<&str>, form: &str) -> PyResult<Rule> {
    let unknown = |what: &str| PyValueError::new_err(format!("no such {what}"));
    let kind = match (kind, rule) {
        ("id" | "oaid" | "caid", "") => Kind::Text,
        ("email", "lower") => Kind::EmailLower,
        ("email", "gmail") => Kind::EmailGmail,
        ("phone", "e164") => Kind::PhoneE164,
        ("phone", "e164_digits") => Kind::PhoneDigits,
        ("phone", "national") => Kind::PhoneNational,
        ("idfa", "upper") => Kind::IdfaUpper,
        ("idfa", "lower") => Kind::IdfaLower,
        ("imei", "") => Kind::Imei,
        ("mac", "") => Kind::Mac,
        ("caid", version) if version.bytes().all(|byte| byte.is_ascii_digit()) => {
            Kind::Caid(version.as_bytes().try_into().map_err(|_| unknown("version"))?)
        }
        _ => return Err(unknown("identifier type and rule")),
    };
    let country = match country {
        None => None,
        Some(name) => Some(Country::of(name).ok_or_else(|| unknown("country"))?),
    };
    if kind == Kind::PhoneNational && country.is_none() {
        return Err(bad("national numbers need a country"));
    }
    let form = match form {
        "" => Form::Clear,
        "md5" => Form::Md5,
        "sha256" => Form::Sha256,
        _ => return Err(unknown("hash")),
    };
    Ok(Rule { kind, country, form })
}

type Keys<'py> = (Bound<'py, PyArray2<u64>>, Bound<'py, PyArray1<u8>>);

/// Digests n texts: SHA-256(label ‖ length of tag u8 ‖ tag ‖ form), the first 16 bytes as two words, where `form`
/// appends the form of a text and returns VALID; keys of other statuses are zero.
fn keys_of<'py, F>(py: Python<'py>, count: usize, label: &[u8], tag: &str, form: F) -> PyResult<Keys<'py>>
where
    F: Fn(usize, &mut Vec<u8>) -> u8 + Sync,
{
    let length = u8::try_from(tag.len()).map_err(|_| bad("a tag has at most 255 bytes"))?;
    let head = [label, &[length], tag.as_bytes()].concat();
    let mut keys = vec![[0u64; 2]; count];
    let mut status = vec![VALID; count];
    py.detach(|| {
        keys.par_chunks_mut(TASK_ROWS).zip(status.par_chunks_mut(TASK_ROWS)).enumerate().for_each(
            |(task, (keys, status))| {
                let mut messages = Messages::new(&head);
                for (index, status) in status.iter_mut().enumerate() {
                    *status = form(task * TASK_ROWS + index, messages.next());
                    if *status == VALID {
                        messages.keep(index, keys);
                    }
                }
                messages.finish(keys);
            },
        );
    });
    Ok((matrix(py, keys.into_flattened(), 2)?, status.into_pyarray(py)))
}

/// The status that `form` gives a text, or what is wrong with it.
fn with_text(texts: &Texts<'_>, index: usize, form: impl FnOnce(&str) -> u8) -> u8 {
    match texts.text(index) {
        None => NULL,
        Some(None) => MALFORMED,
        Some(Some(text)) => form(text),
    }
}

/// People named by texts (offsets n + 1, data, valid n): n × 2 words and a status each (0, 1 null, 2 malformed).
#[pyfunction]
#[pyo3(signature = (offsets, data, valid, *, kind, rule, country, form))]
#[allow(clippy::too_many_arguments)] // four of them are the rule
fn person_keys<'py>(
    py: Python<'py>,
    offsets: PyReadonlyArray1<'py, i32>,
    data: PyReadonlyArray1<'py, u8>,
    valid: PyReadonlyArray1<'py, bool>,
    kind: &str,
    rule: &str,
    country: Option<&str>,
    form: &str,
) -> PyResult<Keys<'py>> {
    const LABEL: &[u8] = b"cleanroom/person/v1";
    let rule = rule_of(kind, rule, country, form)?;
    let texts = Texts::new(&offsets, &data, &valid)?;
    keys_of(py, texts.len(), LABEL, kind, |index, form| {
        with_text(&texts, index, |text| match normalise(&rule, text, form) {
            Ok(()) => VALID,
            Err(Fault::Null) => NULL,
            Err(Fault::Malformed) => MALFORMED,
        })
    })
}

/// Trimmed texts (offsets n + 1, data, valid n): n × 2 words and a status each (0, or 1 for null and empty).
#[pyfunction]
#[pyo3(signature = (offsets, data, valid, *, tag))]
fn text_keys<'py>(
    py: Python<'py>,
    offsets: PyReadonlyArray1<'py, i32>,
    data: PyReadonlyArray1<'py, u8>,
    valid: PyReadonlyArray1<'py, bool>,
    tag: &str,
) -> PyResult<Keys<'py>> {
    let texts = Texts::new(&offsets, &data, &valid)?;
    keys_of(py, texts.len(), TEXT_LABEL, tag, |index, form| {
        with_text(&texts, index, |text| {
            form.extend_from_slice(trim(text).as_bytes());
            if form.is_empty() {
                NULL
            } else {
                VALID
            }
        })
    })
}

/// Appends a number as it is written.
fn decimal(value: i64, out: &mut Vec<u8>) {
    let (mut digits, mut first, mut rest) = ([b'0'; 20], 20, value.unsigned_abs());
    while first == 20 || rest > 0 {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[first..]);
}

/// Keys of whole numbers in decimal, as `text_keys` of that text: n × 2 words; zero where not valid.
#[pyfunction]
#[pyo3(signature = (values, valid, *, tag))]
fn number_keys<'py>(
    py: Python<'py>,
    values: PyReadonlyArray1<'py, i64>,
    valid: PyReadonlyArray1<'py, bool>,
    tag: &str,
) -> PyResult<Bound<'py, PyArray2<u64>>> {
    let (values, valid) = (in_row_order(&values, "values")?, in_row_order(&valid, "valid")?);
    if values.len() != valid.len() {
        return Err(bad("each value is valid or not"));
    }
    let (keys, _) = keys_of(py, values.len(), TEXT_LABEL, tag, |index, form| {
        if !valid[index] {
            return NULL;
        }
        decimal(values[index], form);
        VALID
    })?;
    Ok(keys)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(person_keys, module)?)?;
    module.add_function(wrap_pyfunction!(number_keys, module)?)?;
    module.add_function(wrap_pyfunction!(text_keys, module)?)
}
