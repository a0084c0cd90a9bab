"""Identifiers as two companies really hold them: missing, misspelt, shared, made up, and written in many ways.

None can belong to anybody: phones begin with 154, which no operator has been given; e-mail addresses are of a domain
that RFC 2606 reserves; IMEIs begin with 00, the reporting body of test devices; MAC addresses are locally administered;
IDFAs are UUIDs of version 8, free for experiments (RFC 9562), with the node 5eed; OAID and CAID digests begin with
5eed. All are valid in form, check digits included.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cleanroom.simulate.draws import Draws, Ints, probability_of
from cleanroom.simulate.parameters import Parameters
from cleanroom.simulate.people import PARTIES, Crowd
from cleanroom.simulate.spelling import Texts, digits

__all__ = ["COVERAGE", "IDENTIFIERS", "MD5_COLUMN", "Identifiers", "identifiers_of"]

IDENTIFIERS: Final = ("id", "phone", "email", "idfa", "oaid", "caid", "imei", "mac")
MD5_COLUMN: Final = "phone_md5"
"""The outcome side's phones once more, as a partner holds them who kept only MD5 of the national digits."""
COVERAGE: Final = {
    "id": ("0.97", "0.97"),
    "phone": ("0.9", "0.95"),
    "email": ("0.3", "0.4"),
    "idfa": ("0.35", "0.3"),
    "oaid": ("0.8", "0.6"),
    "caid": ("0.6", "0.4"),
    "imei": ("0.2", "0.2"),
    "mac": ("0.15", "0.15"),
}
"""Share of a side's people whose identifier it holds; of those with such a device, from idfa on."""

_IOS: Final = ("idfa", "caid")
_ANDROID: Final = ("oaid", "imei", "mac")
_OLD_CAID: Final = probability_of(Decimal("0.15"))  # the outcome side still has the CAID of the version before

# The usual pattern first, then other spellings of the same; then one that is broken, and one that means nobody. Capital
# A to F in a pattern are wanted; the flag sets everything in upper case.
_SPELLINGS: Final[dict[str, tuple[tuple[str, bool], ...]]] = {
    "id": (("W#########", False), (" W#########", False), ("W######### ", False)),
    "phone": (
        ("154########", False),
        ("+86154########", False),
        ("+86 154 #### ####", False),
        ("86-154-####-####", False),
        ("0086154########", False),
        ("154 #### ####", False),
    ),
    "email": (
        ("user#########@example.com", False),
        ("user#########@example.com", True),
        (" user#########@Example.com", False),
        ("user#########@example.com ", False),
    ),
    "idfa": (("########-####-8###-8###-5eed########", True), ("########-####-8###-8###-5eed########", False)),
    "oaid": (("5eed############################", False), (" 5eed############################", False)),
    "caid": (
        ("20230330_5eed############################", False),
        (" 20230330_5eed############################", False),
    ),
    "imei": (("00#############", False), (" 00#############", False)),
    "mac": (
        ("0a:##:##:##:##:##", True),
        ("0a:##:##:##:##:##", False),
        ("0a-##-##-##-##-##", True),
        ("0a##########", True),
    ),
}
_OLD_CAID_PATTERN: Final = "20220111_5eed############################"
_BROKEN: Final = {
    "id": "W####",
    "phone": "154#######",
    "email": "user#########.example.com",
    "idfa": "########-####-8###-8###",
    "oaid": "5eed####",
    "caid": "20230330_",
    "imei": "00######",
    "mac": "0A:##:##:##",
}
_PLACEHOLDERS: Final = {
    "id": "0",
    "phone": "13800138000",
    "email": "test@example.com",
    "idfa": "00000000-0000-0000-0000-000000000000",
    "oaid": "00000000000000000000000000000000",
    "caid": "20230330_00000000000000000000000000000000",
    "imei": "000000000000000",
    "mac": "02:00:00:00:00:00",
}
_WIDTH: Final = 48
_NULL_WORDS: Final = ("", "null")
_NULL_WORD: Final = probability_of(Decimal("0.3"))  # a missing identifier that is a word for nothing, instead of null


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Identifiers:
    """What a side holds of a crowd: r records, one an account.

    columns: r texts each. record: 2 × n, the record of each person's accounts, -1 where there is none. usable: n, a bit
    for each of `IDENTIFIERS` where a record holds the person's own value, well formed and of the current version.
    """

    columns: dict[str, pa.StringArray] = field(repr=False)
    record: Ints = field(repr=False)
    usable: NDArray[np.uint8] = field(repr=False)


def identifiers_of(draws: Draws, parameters: Parameters, crowd: Crowd, party: str) -> Identifiers:
    """Everything that a side holds to know these people by."""
    known = crowd.media if party == PARTIES[0] else crowd.shop
    accounts = np.stack([known, crowd.second[party]])
    account, row = np.nonzero(accounts)
    record = np.full(accounts.shape, -1)
    record[account, row] = np.arange(len(row))
    columns: dict[str, pa.StringArray] = {}
    usable = np.zeros(len(crowd), dtype=np.uint8)
    for bit, name in enumerate(IDENTIFIERS):
        column = _Column(draws, parameters, party, name, crowd.person[row], crowd.ios[row], account)
        columns[name] = column.texts()
        if name == "phone" and party == PARTIES[1]:
            columns[MD5_COLUMN] = column.md5()
        np.bitwise_or.at(usable, row[column.own], np.uint8(1 << bit))
    return Identifiers(columns=columns, record=record, usable=usable)


class _Column:
    """One identifier of r records: what is held is decided on making, how it is written by `texts`."""

    def __init__(
        self,
        draws: Draws,
        parameters: Parameters,
        party: str,
        name: str,
        person: Ints,
        ios: NDArray[np.bool_],
        account: Ints,
    ) -> None:
        dirt = parameters.dirt
        self._draws, self._name, self._party = draws, name, party
        self._record = person * 2 + account
        coverage = Decimal(COVERAGE[name][PARTIES.index(party)])
        held = draws.chance(f"{name} held by {party}", person, probability_of(coverage))
        if name in _IOS:
            held &= ios
        elif name in _ANDROID:
            held &= ~ios
        self._held = held
        word = self._words("state") >> np.uint64(1)
        self._broken, self._placeholder, self._shared = _parts(
            held, word, dirt.malformed, dirt.placeholder, dirt.shared
        )
        right = held & ~self._broken & ~self._placeholder
        self._old = np.zeros_like(held)
        if name == "caid" and party == PARTIES[1]:
            self._old = right & (self._words("version") >> np.uint64(1) < np.uint64(_OLD_CAID))
        self._right = right & ~self._old
        self._spelled = self._right & (self._words("spelled") >> np.uint64(1) < np.uint64(probability_of(dirt.spelled)))
        self.own = self._right & ~self._shared
        owner = np.where(self._shared, person ^ 1, person)
        self._digits = _digits_of(draws, name, owner)
        self._old_digits = _hexadecimal(draws, "caid of the version before", owner, 28) if self._old.any() else None

    def texts(self) -> pa.StringArray:
        texts, name = Texts(len(self._held), _WIDTH), self._name
        spellings = _SPELLINGS[name]
        which = np.zeros(len(self._held), dtype=np.int64)
        which[self._spelled] = 1 + self._draws.below(
            f"{name} spelling at {self._party}", self._record[self._spelled], len(spellings) - 1
        )
        for number, (pattern, upper) in enumerate(spellings):
            texts.write(self._right & (which == number), pattern, self._digits, upper=upper)
        texts.write(self._broken, _BROKEN[name], self._digits)
        texts.write(self._placeholder, _PLACEHOLDERS[name])
        texts.write(self._old, _OLD_CAID_PATTERN, self._old_digits)
        word = ~self._held & (self._words("null") >> np.uint64(1) < np.uint64(_NULL_WORD))
        for number, text in enumerate(_NULL_WORDS):
            texts.write(word & (self._record // 2 % len(_NULL_WORDS) == number), text)
        return texts.array()

    def md5(self) -> pa.StringArray:
        """MD5 of the national digits as they were recorded, also of broken and placeholder ones; null where missing."""
        texts = Texts(len(self._held), 32)
        for rows, pattern in (
            (self._right, _SPELLINGS["phone"][0][0]),
            (self._broken, _BROKEN["phone"]),
            (self._placeholder, _PLACEHOLDERS["phone"]),
        ):
            filled = Texts(len(rows), _WIDTH)
            filled.write(rows, pattern, self._digits)
            plain = [text.encode() for text in filled.array().to_pylist() if text is not None]
            texts.write_each(rows, [hashlib.md5(text, usedforsecurity=False).hexdigest() for text in plain])
        return texts.array()

    def _words(self, what: str) -> NDArray[np.uint64]:
        return self._draws.words(f"{self._name} {what} at {self._party}", self._record)


def _parts(held: NDArray[np.bool_], word: NDArray[np.uint64], *shares: Decimal) -> list[NDArray[np.bool_]]:
    """Disjoint parts of what is held, of the given shares."""
    parts, low = [], np.uint64(0)
    for share in np.cumsum(np.array(shares, dtype=object)):
        high = np.uint64(probability_of(share))
        parts.append(held & (word >= low) & (word < high))
        low = high
    return parts


def _digits_of(draws: Draws, name: str, person: Ints) -> NDArray[np.uint8]:
    """The digits that fill the patterns of an identifier: its own for each person."""
    if name == "phone":
        return digits(_one_to_one(draws, name, person, 10**8), 8)
    if name in ("id", "email"):
        return digits(_one_to_one(draws, name, person, 10**9), 9)
    if name == "mac":
        return digits(_one_to_one(draws, name, person, 1 << 40), 10, base=16)
    if name == "imei":
        return _with_check_digit(digits(_one_to_one(draws, name, person, 10**12), 12))
    return _hexadecimal(draws, name, person, 28)


def _one_to_one(draws: Draws, name: str, person: Ints, modulus: int) -> Ints:
    """Distinct numbers for distinct people below the modulus, a power of ten or of two."""
    factor, shift = draws.words(f"numbers of {name}", np.arange(2)).tolist()
    # A factor that ends in 7 has no divisor in common with the modulus; below 10^10, products with people fit 63 bits.
    numbers: Ints = (person * (factor % 10**9 * 10 + 7) + shift % modulus) % modulus
    return numbers


def _hexadecimal(draws: Draws, name: str, person: Ints, count: int) -> NDArray[np.uint8]:
    halves = [draws.words(f"{name} digits {part}", person) >> np.uint64(1) for part in range(-(-count // 15))]
    return np.concatenate([digits(half.view(np.int64), 15, base=16) for half in halves], axis=1)[:, :count]


def _with_check_digit(serial: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Twelve digits after the 00 of a test device, and the Luhn digit of all fourteen (3GPP TS 23.003, annex B)."""
    value = serial.astype(np.int64) - ord("0")
    doubled = value[:, 1::2] * 2
    total = value[:, ::2].sum(axis=1) + (doubled // 10 + doubled % 10).sum(axis=1)
    return np.concatenate([serial, (ord("0") + (-total) % 10).astype(np.uint8)[:, None]], axis=1)
