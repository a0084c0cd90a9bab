//! Keyless digests of people and rows: SHA-256 under a label of its own, cut to 16 bytes.
//!
//! `person_keys` names a person: (identifier type, shared form). `text_keys` names any other text, such as an account
//! number.

use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::messages::Messages;
use crate::normalise::{normalise, present, trim, Country, Fault, Form as Shared, Kind, Rule};
use crate::rows::{bad, matrix};
use crate::text::Texts;

pub(crate) const TEXT_LABEL: &[u8] = b"cleanroom/text/v1";
/// Rows that one task digests: some tens of microseconds of work.
pub(crate) const TASK_ROWS: usize = 1024;

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
        "" => Shared::Clear,
        "md5" => Shared::Md5,
        "sha256" => Shared::Sha256,
        _ => return Err(unknown("hash")),
    };
    Ok(Rule { kind, country, form })
}

type Keys<'py> = (Bound<'py, PyArray2<u64>>, Bound<'py, PyArray1<u8>>);

/// The form of a text that is digested.
enum Form<'t> {
    /// These bytes.
    Given(&'t [u8]),
    /// What was appended to the buffer.
    Made,
    /// None, and the status that says why.
    Absent(u8),
}

/// What every message begins with: label ‖ length of tag u8 ‖ tag.
pub(crate) fn head_of(label: &[u8], tag: &str) -> PyResult<Vec<u8>> {
    let length = u8::try_from(tag.len()).map_err(|_| bad("a tag has at most 255 bytes"))?;
    Ok([label, &[length], tag.as_bytes()].concat())
}

/// Digests n texts: SHA-256(label ‖ length of tag u8 ‖ tag ‖ form), the first 16 bytes as two words, where `form`
/// gives the form of a text or appends it to the empty buffer; keys of those without are zero.
fn keys_of<'py, 't, F>(py: Python<'py>, count: usize, label: &[u8], tag: &str, form: F) -> PyResult<Keys<'py>>
where
    F: Fn(usize, &mut Vec<u8>) -> Form<'t> + Sync,
{
    let head = head_of(label, tag)?;
    let mut keys = vec![[0u64; 2]; count];
    let mut status = vec![VALID; count];
    py.detach(|| {
        keys.par_chunks_mut(TASK_ROWS).zip(status.par_chunks_mut(TASK_ROWS)).enumerate().for_each(
            |(task, (keys, status))| {
                let (mut messages, mut made) = (Messages::new(&head), Vec::new());
                for (index, status) in status.iter_mut().enumerate() {
                    made.clear();
                    match form(task * TASK_ROWS + index, &mut made) {
                        Form::Given(form) => messages.add(form, index, keys),
                        Form::Made => messages.add(&made, index, keys),
                        Form::Absent(why) => *status = why,
                    }
                }
                messages.finish(keys);
            },
        );
    });
    Ok((matrix(py, keys.into_flattened(), 2)?, status.into_pyarray(py)))
}

/// The form that a text has, or what is wrong with it.
fn with_text<'t>(texts: &Texts<'t>, index: usize, form: impl FnOnce(&'t str) -> Result<Form<'t>, Fault>) -> Form<'t> {
    let found = match texts.text(index) {
        None => Err(Fault::Null),
        Some(None) => Err(Fault::Malformed),
        Some(Some(text)) => form(text),
    };
    found.unwrap_or_else(|fault| match fault {
        Fault::Null => Form::Absent(NULL),
        Fault::Malformed => Form::Absent(MALFORMED),
    })
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
    let as_it_is = rule.kind == Kind::Text && rule.form == Shared::Clear;
    keys_of(py, texts.len(), LABEL, kind, |index, made| {
        with_text(&texts, index, |text| match as_it_is {
            true => Ok(Form::Given(present(text)?.as_bytes())),
            false => normalise(&rule, text, made).map(|()| Form::Made),
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
    keys_of(py, texts.len(), TEXT_LABEL, tag, |index, _| {
        with_text(&texts, index, |text| match trim(text) {
            "" => Err(Fault::Null),
            text => Ok(Form::Given(text.as_bytes())),
        })
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(person_keys, module)?)?;
    module.add_function(wrap_pyfunction!(text_keys, module)?)
}
