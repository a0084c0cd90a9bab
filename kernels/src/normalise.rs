//! Identifiers as companies store them to the one form that both sides share, or a reason why there is none.
//!
//! Rules are fixed by the agreement; `cleanroom/match_keys/reference.py` says the same in plain Python.

use md5::Md5;
use sha2::{Digest, Sha256};

/// Why a value has no shared form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Null,
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    EmailLower,
    EmailGmail,
    PhoneE164,
    PhoneDigits,
    PhoneNational,
    IdfaUpper,
    IdfaLower,
    Imei,
    Mac,
    /// Of one version, the eight digits of the day it was published.
    Caid([u8; 8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Clear,
    Md5,
    Sha256,
}

/// How a country writes its mobile numbers.
#[derive(Clone, Copy, Debug)]
pub struct Country {
    code: &'static [u8],
    trunk: Option<u8>,
    lengths: (usize, usize),
    first: &'static [u8],
    second: &'static [u8],
}

const ANY: &[u8] = b"0123456789";

impl Country {
    /// The plan of an ISO 3166 country, or None where there is none.
    pub fn of(name: &str) -> Option<Country> {
        let plan = |code, trunk, lengths, first, second| Some(Country { code, trunk, lengths, first, second });
        match name {
            "CN" => plan(b"86", None, (11, 11), b"1", b"3456789"),
            "HK" => plan(b"852", None, (8, 8), b"456789", ANY),
            "MO" => plan(b"853", None, (8, 8), b"6", ANY),
            "TW" => plan(b"886", Some(b'0'), (9, 9), b"9", ANY),
            "SG" => plan(b"65", None, (8, 8), b"89", ANY),
            "JP" => plan(b"81", Some(b'0'), (10, 10), b"6789", b"0"),
            "KR" => plan(b"82", Some(b'0'), (9, 10), b"1", ANY),
            "US" => plan(b"1", None, (10, 10), b"23456789", ANY),
            _ => None,
        }
    }

    fn national<'a>(&self, digits: &'a [u8]) -> Option<&'a [u8]> {
        let digits = match self.trunk {
            Some(trunk) if digits.first() == Some(&trunk) => &digits[1..],
            _ => digits,
        };
        let fits = (self.lengths.0..=self.lengths.1).contains(&digits.len())
            && self.first.contains(&digits[0])
            && self.second.contains(&digits[1]);
        fits.then_some(digits)
    }
}

/// Everything that decides an identifier's shared form.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub kind: Kind,
    pub country: Option<Country>,
    pub form: Form,
}

const NULL_WORDS: [&str; 7] = ["null", "none", "nan", "n/a", "\\n", "<na>", "undefined"];
/// Of the longest.
const NULL_WORD_BYTES: usize = 9;
const EMPTY_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// White space that dirty exports leave around a value.
fn trimmed(character: char) -> bool {
    matches!(character, '\t'..='\r' | ' ' | '\u{a0}' | '\u{200b}' | '\u{3000}' | '\u{feff}')
}

pub fn trim(text: &str) -> &str {
    match text.as_bytes() {
        // nearly all values; the general way decodes characters
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim_matches(trimmed),
    }
}

/// A trimmed text that is something: the shared form of a text in the clear.
pub fn present(text: &str) -> Result<&str, Fault> {
    let text = trim(text);
    let null = text.len() <= NULL_WORD_BYTES && NULL_WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if text.is_empty() || null {
        return Err(Fault::Null);
    }
    Ok(text)
}

/// Appends the shared form of `text` to the empty `out`.
pub fn normalise(rule: &Rule, text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let text = present(text)?;
    if hashed(rule.form, text, out)? {
        return Ok(());
    }
    match rule.kind {
        Kind::Text => out.extend_from_slice(text.as_bytes()),
        Kind::EmailLower => email(text, false, out)?,
        Kind::EmailGmail => email(text, true, out)?,
        Kind::PhoneE164 | Kind::PhoneDigits | Kind::PhoneNational => phone(rule, text, out)?,
        Kind::IdfaUpper => idfa(text, u8::to_ascii_uppercase, out)?,
        Kind::IdfaLower => idfa(text, u8::to_ascii_lowercase, out)?,
        Kind::Imei => imei(text, out)?,
        Kind::Mac => mac(text, out)?,
        Kind::Caid(version) => caid(&version, text, out)?,
    }
    match rule.form {
        Form::Clear => {}
        Form::Md5 => rehash(Md5::digest(&out[..]).as_slice(), out),
        Form::Sha256 => rehash(Sha256::digest(&out[..]).as_slice(), out),
    }
    Ok(())
}

/// A value that is a digest already is taken as it is: some partners kept nothing else.
fn hashed(form: Form, text: &str, out: &mut Vec<u8>) -> Result<bool, Fault> {
    let (length, empty) = match form {
        Form::Clear => return Ok(false),
        Form::Md5 => (32, EMPTY_MD5),
        Form::Sha256 => (64, EMPTY_SHA256),
    };
    if text.len() != length || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(false);
    }
    if text.eq_ignore_ascii_case(empty) {
        return Err(Fault::Null);
    }
    out.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
    Ok(true)
}

fn rehash(digest: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.clear();
    for byte in digest {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

fn email(text: &str, gmail: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (local, domain) = text.split_once('@').ok_or(Fault::Malformed)?;
    let label = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let fits = (1..=64).contains(&local.len())
        && local.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@')
        && domain.len() <= 255
        && domain.contains('.')
        && domain.split('.').all(label);
    if !fits {
        return Err(Fault::Malformed);
    }
    let dotless = gmail && ["gmail.com", "googlemail.com"].iter().any(|name| domain.eq_ignore_ascii_case(name));
    let kept = local.bytes().filter(|&byte| !(dotless && byte == b'.'));
    out.extend(kept.map(|byte| byte.to_ascii_lowercase()));
    if out.is_empty() {
        return Err(Fault::Malformed);
    }
    out.push(b'@');
    out.extend(domain.bytes().map(|byte| byte.to_ascii_lowercase()));
    Ok(())
}

/// Digits of a phone number and whether it is written internationally (a leading + or 00).
fn phone_digits(text: &str) -> Result<(Vec<u8>, bool), Fault> {
    let mut digits = Vec::with_capacity(20);
    let mut plus = false;
    for character in text.chars() {
        match character {
            '0'..='9' => digits.push(character as u8),
            '\u{ff10}'..='\u{ff19}' => digits.push(b'0' + (character as u32 - 0xff10) as u8),
            '+' | '\u{ff0b}' if digits.is_empty() && !plus => plus = true,
            ' ' | '-' | '.' | '(' | ')' | '\u{a0}' | '\u{2010}' | '\u{2011}' | '\u{ff08}' | '\u{ff09}' => {}
            _ => return Err(Fault::Malformed),
        }
    }
    if !plus && digits.starts_with(b"00") {
        digits.drain(..2);
        plus = true;
    }
    if digits.len() > 20 || digits.iter().all(|&digit| digit == b'0') {
        return Err(Fault::Malformed);
    }
    Ok((digits, plus))
}

fn phone(rule: &Rule, text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let (digits, international) = phone_digits(text)?;
    if let Some(country) = rule.country {
        let after_code = digits.strip_prefix(country.code);
        let own = match (international, after_code) {
            (true, None) => None,
            (true, Some(rest)) => Some(country.national(rest).ok_or(Fault::Malformed)?),
            (false, rest) => {
                let national = country.national(&digits).or_else(|| country.national(rest?));
                Some(national.ok_or(Fault::Malformed)?)
            }
        };
        if let Some(national) = own {
            match rule.kind {
                Kind::PhoneNational => {}
                Kind::PhoneDigits => out.extend_from_slice(country.code),
                _ => {
                    out.push(b'+');
                    out.extend_from_slice(country.code);
                }
            }
            out.extend_from_slice(national);
            return Ok(());
        }
    }
    let foreign = international && (7..=15).contains(&digits.len()) && digits[0] != b'0';
    if !foreign || rule.kind == Kind::PhoneNational {
        return Err(Fault::Malformed);
    }
    if rule.kind == Kind::PhoneE164 {
        out.push(b'+');
    }
    out.extend_from_slice(&digits);
    Ok(())
}

fn idfa(text: &str, case: fn(&u8) -> u8, out: &mut Vec<u8>) -> Result<(), Fault> {
    let hyphen = |index: usize| matches!(index, 8 | 13 | 18 | 23);
    let shaped = |(index, byte): (usize, u8)| if hyphen(index) { byte == b'-' } else { byte.is_ascii_hexdigit() };
    if text.len() != 36 || !text.bytes().enumerate().all(shaped) {
        return Err(Fault::Malformed);
    }
    // Phones that limit tracking all report zeros: it names nobody.
    if text.bytes().all(|byte| byte == b'0' || byte == b'-') {
        return Err(Fault::Null);
    }
    out.extend(text.bytes().map(|byte| case(&byte)));
    Ok(())
}

fn imei(text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    if !(14..=16).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Fault::Malformed);
    }
    if text.bytes().all(|byte| byte == b'0') {
        return Err(Fault::Null);
    }
    out.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
    Ok(())
}

fn mac(text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let hex = text.bytes().filter(|byte| !matches!(byte, b':' | b'-'));
    out.extend(hex.map(|byte| byte.to_ascii_uppercase()));
    if out.len() != 12 || !out.iter().all(u8::is_ascii_hexdigit) {
        return Err(Fault::Malformed);
    }
    // 02:00:00:00:00:00 is what Android reports to everybody.
    if out.iter().all(|&byte| byte == b'0') || out == b"020000000000" {
        return Err(Fault::Null);
    }
    Ok(())
}

/// A CAID, or a list of a device's CAIDs with commas between: `VERSION_CAID`, or the agreed version's CAID alone.
fn caid(version: &[u8; 8], text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut zeros = false;
    for entry in text.split(',').map(trim) {
        let value = match entry.split_once('_') {
            Some((other, value)) if other.len() == version.len() && other.bytes().all(|byte| byte.is_ascii_digit()) => {
                if other.as_bytes() != version {
                    continue;
                }
                value
            }
            Some(_) => return Err(Fault::Malformed),
            None => entry,
        };
        if value.len() != 32 || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Fault::Malformed);
        }
        if value.bytes().all(|byte| byte == b'0') {
            zeros = true;
        } else if out.is_empty() {
            out.extend_from_slice(version);
            out.push(b'_');
            out.extend(value.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
    }
    match (out.is_empty(), zeros) {
        (false, _) => Ok(()),
        (true, true) => Err(Fault::Null),
        (true, false) => Err(Fault::Malformed),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn form(kind: Kind, country: Option<&str>, text: &str) -> Result<String, Fault> {
        let rule = Rule { kind, country: country.and_then(Country::of), form: Form::Clear };
        let mut out = Vec::new();
        normalise(&rule, text, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn phones_of_one_person_share_a_form() {
        for text in [
            "13800138000",
            " 138-0013-8000",
            "+86 138 0013 8000",
            "008613800138000",
            "8613800138000",
            "１３８００１３８０００",
        ] {
            assert_eq!(form(Kind::PhoneE164, Some("CN"), text), Ok("+8613800138000".into()));
        }
        for text in ["1380013800", "12800138000", "+861380013800", "02012345678", "1a800138000", "", "0000"] {
            assert!(form(Kind::PhoneE164, Some("CN"), text).is_err());
        }
    }

    #[test]
    fn words_for_nothing_are_null_whatever_their_case() {
        for word in NULL_WORDS {
            for text in [word.to_string(), format!(" {} ", word.to_ascii_uppercase())] {
                assert_eq!(form(Kind::Text, None, &text), Err(Fault::Null));
            }
            assert_eq!(form(Kind::Text, None, &format!(" {word}_")), Ok(format!("{word}_")));
        }
    }

    #[test]
    fn short_numbers_do_not_panic() {
        for country in ["CN", "HK", "MO", "TW", "SG", "JP", "KR", "US"] {
            for text in ["1", "+8", "0", "86", "+86", "+8860", "00", "+", "-"] {
                assert!(form(Kind::PhoneNational, Some(country), text).is_err());
            }
        }
    }
}
