//! Keyless digests of people and rows: SHA-256 under a label of its own, cut to 16 bytes.
//!
//! `row_keys` names a row: (weight class, tree level, node, person). `person_keys` names a person: (identifier type,
//! shared form). `text_keys` names any other text, such as an event id.

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::normalise::{normalise, trim, Country, Fault, Form, Kind, Rule};
use crate::rows::in_row_order;
use crate::text::Texts;

pub const KEY_BYTES: usize = 16;
const ROW_LABEL: &[u8] = b"cleanroom/row/v1";
/// Rows that one task digests: some tens of microseconds of work.
const TASK_ROWS: usize = 1024;

/// SHA-256(label ‖ class ‖ level ‖ node i64 little endian ‖ person), the first 16 bytes.
fn row_key(class: u8, level: u8, node: i64, person: &[u8], out: &mut [u8]) {
    let mut hash = Sha256::new();
    hash.update(ROW_LABEL);
    hash.update([class, level]);
    hash.update(node.to_le_bytes());
    hash.update(person);
    out.copy_from_slice(&hash.finalize()[..KEY_BYTES]);
}

/// Keys of rows: person n × 16 bytes, level n, node n; returns n × 16 bytes.
#[pyfunction]
fn row_keys<'py>(
    py: Python<'py>,
    person: PyReadonlyArray2<'py, u8>,
    weight_class: u8,
    level: PyReadonlyArray1<'py, u8>,
    node: PyReadonlyArray1<'py, i64>,
) -> PyResult<Bound<'py, PyArray2<u8>>> {
    let shape = person.as_array().dim();
    let (person, level, node) =
        (in_row_order(&person, "person")?, in_row_order(&level, "level")?, in_row_order(&node, "node")?);
    if shape.1 != KEY_BYTES || level.len() != shape.0 || node.len() != shape.0 {
        return Err(PyValueError::new_err("person is n × 16 bytes, level and node have n entries"));
    }
    let mut out = vec![0u8; person.len()];
    py.detach(|| {
        out.par_chunks_mut(TASK_ROWS * KEY_BYTES)
            .zip(person.par_chunks(TASK_ROWS * KEY_BYTES))
            .zip(level.par_chunks(TASK_ROWS).zip(node.par_chunks(TASK_ROWS)))
            .for_each(|((out, person), (level, node))| {
                let rows = out.chunks_exact_mut(KEY_BYTES).zip(person.chunks_exact(KEY_BYTES));
                for ((out, person), (&level, &node)) in rows.zip(level.iter().zip(node)) {
                    row_key(weight_class, level, node, person, out);
                }
            });
    });
    let keys = Array2::from_shape_vec(shape, out).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(keys.into_pyarray(py))
}

/// SHA-256(label ‖ length of tag u8 ‖ tag ‖ text), the first 16 bytes.
fn tagged_key(label: &[u8], tag: &[u8], text: &[u8], out: &mut [u8]) {
    let mut hash = Sha256::new();
    hash.update(label);
    hash.update([tag.len() as u8]);
    hash.update(tag);
    hash.update(text);
    out.copy_from_slice(&hash.finalize()[..KEY_BYTES]);
}

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
        return Err(PyValueError::new_err("national numbers need a country"));
    }
    let form = match form {
        "" => Form::Clear,
        "md5" => Form::Md5,
        "sha256" => Form::Sha256,
        _ => return Err(unknown("hash")),
    };
    Ok(Rule { kind, country, form })
}

type Keys<'py> = (Bound<'py, PyArray2<u8>>, Bound<'py, PyArray1<u8>>);

/// Digests every text by `key`, which fills 16 bytes and returns the status; other keys stay zero.
fn keys_of<'py, F>(py: Python<'py>, texts: &Texts<'_>, key: F) -> PyResult<Keys<'py>>
where
    F: Fn(&str, &mut Vec<u8>, &mut [u8]) -> u8 + Sync,
{
    let count = texts.len();
    let mut keys = vec![0u8; count * KEY_BYTES];
    let mut status = vec![VALID; count];
    py.detach(|| {
        keys.par_chunks_mut(TASK_ROWS * KEY_BYTES).zip(status.par_chunks_mut(TASK_ROWS)).enumerate().for_each(
            |(task, (keys, status))| {
                let mut scratch = Vec::with_capacity(64);
                for (index, (out, status)) in keys.chunks_exact_mut(KEY_BYTES).zip(status).enumerate() {
                    *status = match texts.get(task * TASK_ROWS + index) {
                        None => NULL,
                        Some(bytes) => match std::str::from_utf8(bytes) {
                            Err(_) => MALFORMED,
                            Ok(text) => {
                                scratch.clear();
                                key(text, &mut scratch, out)
                            }
                        },
                    };
                }
            },
        );
    });
    let keys = Array2::from_shape_vec((count, KEY_BYTES), keys);
    let keys = keys.map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok((keys.into_pyarray(py), status.into_pyarray(py)))
}

/// People named by texts (offsets n + 1, data, valid n): n × 16 bytes and a status each (0, 1 null, 2 malformed).
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
    keys_of(py, &texts, |text, scratch, out| match normalise(&rule, text, scratch) {
        Ok(()) => {
            tagged_key(LABEL, kind.as_bytes(), scratch, out);
            VALID
        }
        Err(Fault::Null) => NULL,
        Err(Fault::Malformed) => MALFORMED,
    })
}

/// Trimmed texts (offsets n + 1, data, valid n): n × 16 bytes and a status each (0, or 1 for null and empty).
#[pyfunction]
#[pyo3(signature = (offsets, data, valid, *, tag))]
fn text_keys<'py>(
    py: Python<'py>,
    offsets: PyReadonlyArray1<'py, i32>,
    data: PyReadonlyArray1<'py, u8>,
    valid: PyReadonlyArray1<'py, bool>,
    tag: &str,
) -> PyResult<Keys<'py>> {
    const LABEL: &[u8] = b"cleanroom/text/v1";
    if tag.len() > 255 {
        return Err(PyValueError::new_err("a tag has at most 255 bytes"));
    }
    let texts = Texts::new(&offsets, &data, &valid)?;
    keys_of(py, &texts, |text, _, out| {
        let text = trim(text);
        if text.is_empty() {
            return NULL;
        }
        tagged_key(LABEL, tag.as_bytes(), text.as_bytes(), out);
        VALID
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(row_keys, module)?)?;
    module.add_function(wrap_pyfunction!(person_keys, module)?)?;
    module.add_function(wrap_pyfunction!(text_keys, module)?)
}
