"""From an identifier as a company stores it to a person's key, and from a person to the keys of rows."""

from __future__ import annotations

import hashlib
import re
from typing import Final

__all__ = ["PERSON_LABEL", "ROW_LABEL", "TEXT_LABEL", "event_id", "person_key", "row_key", "shared_form", "text_key"]

ROW_LABEL: Final = b"cleanroom/row/v1"
PERSON_LABEL: Final = b"cleanroom/person/v1"
TEXT_LABEL: Final = b"cleanroom/text/v1"

_TRIMMED: Final = "\t\n\v\f\r \u00a0\u200b\u3000\ufeff"
_NULL_WORDS: Final = ("null", "none", "nan", "n/a", "\\n", "<na>", "undefined")
_PHONE_SIGNS: Final = " -.()\u00a0\u2010\u2011\uff08\uff09"
_DEFAULTS: Final = {"phone": "e164", "email": "lower", "idfa": "upper"}
_FULL_WIDTH: Final = str.maketrans("０１２３４５６７８９＋", "0123456789+")
# country: calling code, trunk prefix, pattern of a national mobile number without the prefix
_COUNTRIES: Final = {
    "CN": ("86", "", r"1[3-9][0-9]{9}"),
    "HK": ("852", "", r"[4-9][0-9]{7}"),
    "MO": ("853", "", r"6[0-9]{7}"),
    "TW": ("886", "0", r"9[0-9]{8}"),
    "SG": ("65", "", r"[89][0-9]{7}"),
    "JP": ("81", "0", r"[6-9]0[0-9]{8}"),
    "KR": ("82", "0", r"1[0-9]{8,9}"),
    "US": ("1", "", r"[2-9][0-9]{9}"),
}


def row_key(*, person: bytes, weight_class: int, level: int, node: int) -> bytes:
    """Returns a row's 16 bytes: SHA-256(label ‖ class ‖ level ‖ node i64 little endian ‖ person)[:16]."""
    parts = ROW_LABEL + bytes([weight_class, level]) + node.to_bytes(8, "little", signed=True) + person
    return hashlib.sha256(parts).digest()[:16]


def person_key(*, type: str, form: str) -> bytes:
    """Returns a person's 16 bytes: SHA-256(label ‖ length of type u8 ‖ type ‖ shared form)[:16]."""
    return _tagged_key(PERSON_LABEL, type, form)


def text_key(*, tag: str, text: str) -> bytes:
    """Returns the 16 bytes that stand for a trimmed text that is no identifier, such as an account number."""
    return _tagged_key(TEXT_LABEL, tag, text.strip(_TRIMMED))


def event_id(text: str | None) -> tuple[int, int]:
    """Returns the two words that stand for an event id: a number, a short text with its length last, or a digest."""
    plain = "" if text is None else text.strip(_TRIMMED)
    if re.fullmatch(r"0|-?[1-9][0-9]*", plain) and -(2**63) <= int(plain) < 2**63:
        return int(plain) % 2**64, 16 << 56
    given = plain.encode()
    if len(given) < 16:
        stored = given.ljust(15, b"\0") + bytes([len(given)])
        return int.from_bytes(stored[:8], "little"), int.from_bytes(stored[8:], "little")
    digest = text_key(tag="event_id", text=plain)
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big") | 1 << 63


def shared_form(
    text: str,
    *,
    type: str,
    rule: str | None = None,
    version: str | None = None,
    country: str | None = None,
    hash: str | None = None,
) -> str | None:
    """The form of an identifier that both sides share, or None where it is null or malformed.

    Args:
        text: the identifier as it is stored.
        type: of identifier; this and the others are an agreement's words.
        rule: None for the type's default.
        version: of a caid.
        country: where phone numbers without a calling code are read.
        hash: the digest that stands for the form, if any.
    """
    text = text.strip(_TRIMMED)
    if not text or _lower(text) in _NULL_WORDS:
        return None
    if hash:
        digest = hashlib.new(hash, usedforsecurity=False)
        if re.fullmatch(f"[0-9a-fA-F]{{{digest.digest_size * 2}}}", text):
            return None if _lower(text) == digest.hexdigest() else _lower(text)
    normal = _NORMALISE[type](text, rule or version or _DEFAULTS.get(type, ""), country)
    if normal is None or not hash:
        return normal
    return hashlib.new(hash, normal.encode(), usedforsecurity=False).hexdigest()


def _tagged_key(label: bytes, tag: str, text: str) -> bytes:
    name = tag.encode()
    return hashlib.sha256(label + bytes([len(name)]) + name + text.encode()).digest()[:16]


def _lower(text: str) -> str:
    """Lower case of ASCII letters alone: it is the same in every version of Unicode."""
    return "".join(chr(ord(character) + 32) if "A" <= character <= "Z" else character for character in text)


def _text(text: str, rule: str, country: str | None) -> str | None:
    return text


def _email(text: str, rule: str, country: str | None) -> str | None:
    match = re.fullmatch(r"([!-?A-~]{1,64})@((?:[0-9A-Za-z-]+\.)+[0-9A-Za-z-]+)", text)
    if match is None or len(match[2]) > 255:
        return None
    local, domain = _lower(match[1]), _lower(match[2])
    if rule == "gmail" and domain in ("gmail.com", "googlemail.com"):
        local = local.replace(".", "")
    return f"{local}@{domain}" if local else None


def _phone(text: str, rule: str, country: str | None) -> str | None:
    digits = "".join(character for character in text.translate(_FULL_WIDTH) if character not in _PHONE_SIGNS)
    if re.fullmatch(r"\+?[0-9]*", digits) is None:
        return None
    international = digits.startswith(("+", "00"))
    digits = digits[1:] if digits.startswith("+") else digits.removeprefix("00")
    if len(digits) > 20 or not digits.strip("0"):
        return None
    if country is not None:
        code, trunk, pattern = _COUNTRIES[country]
        plain = rf"(?:{trunk})?({pattern})"
        if not international or digits.startswith(code):
            national = None if international else re.fullmatch(plain, digits)
            national = national or re.fullmatch(code + plain, digits)
            if national is None:
                return None
            return {"national": "", "e164_digits": code, "e164": f"+{code}"}[rule] + national[1]
    if not international or rule == "national" or not 7 <= len(digits) <= 15 or digits[0] == "0":
        return None
    return f"+{digits}" if rule == "e164" else digits


def _idfa(text: str, rule: str, country: str | None) -> str | None:
    shape = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
    if re.fullmatch(shape, text) is None or not text.strip("0-"):
        return None
    return text.upper() if rule == "upper" else text.lower()


def _caid(text: str, version: str, country: str | None) -> str | None:
    if not version:
        return text
    forms = []
    for entry in text.split(","):
        value = entry.strip(_TRIMMED)
        if "_" in value:
            other, _, value = value.partition("_")
            if re.fullmatch("[0-9]{8}", other) is None:
                return None
            if other != version:
                continue
        if re.fullmatch("[0-9a-fA-F]{32}", value) is None:
            return None
        if value.strip("0"):
            forms.append(f"{version}_{value.lower()}")
    return forms[0] if forms else None


def _imei(text: str, rule: str, country: str | None) -> str | None:
    return text.lower() if re.fullmatch("[0-9a-fA-F]{14,16}", text) and text.strip("0") else None


def _mac(text: str, rule: str, country: str | None) -> str | None:
    plain = re.sub("[:-]", "", text)
    if re.fullmatch("[0-9a-fA-F]{12}", plain) is None or plain in ("000000000000", "020000000000"):
        return None
    return plain.upper()


_NORMALISE: Final = {
    "id": _text,
    "oaid": _text,
    "caid": _caid,
    "email": _email,
    "phone": _phone,
    "idfa": _idfa,
    "imei": _imei,
    "mac": _mac,
}
