"""The files of a finished run as values: release.json, which both sides hold, and local.json, a party's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from cleanroom.agreement.model import Measure, Noise, Period, Resolution
from cleanroom.errors import DataError
from cleanroom.lift import LiftTerms, read_terms
from cleanroom.release.table import Status

__all__ = ["Cell", "Own", "ReportedMetric", "RunFiles", "Scope", "Signature"]

RELEASE_FILE: Final = "release.json"
LOCAL_FILE: Final = "local.json"
RELEASE_VERSION: Final = 1
LOCAL_VERSION: Final = 1

_HASH_CHARACTERS: Final = 64
_SHORT: Final = {Resolution.DAY: "d", Resolution.HOUR: "h", Resolution.MINUTE: "min"}
_LARGER: Final = {
    Resolution.DAY: (),
    Resolution.HOUR: ((24, "d"),),
    Resolution.MINUTE: ((1440, "d"), (60, "h")),
}
_MALFORMED: Final = (
    ArithmeticError,  # numbers out of range, decimals that are none
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

T = TypeVar("T")
Json = Mapping[str, Any]  # a parsed JSON object: its values are of any JSON type


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedMetric:
    """A column of the release."""

    name: str
    measure: Measure
    event: str | None
    window_ticks: int | None
    cap: int  # per person and group, integer units
    gate: str
    automatic: bool
    noise_scale: float = 0.0  # one side's, integer units
    sampling: float | None = 1.0  # the share of people whom the data hold; None where periods of several meet
    credit: bool = False  # shared between touches
    additive: bool = False  # over groups
    label: tuple[str, str] | None = None  # (column, value) of the outcome side
    via: tuple[str, ...] | None = None  # the touches' events that it looks at; None for all
    before: bool = False  # the window lies before the touch
    support: bool = False  # automatic, but opened for a later step

    @property
    def of_people(self) -> bool:
        """Whether it counts people, so that its own count is its threshold."""
        return self.measure in (Measure.PEOPLE, Measure.MATCHED)

    @property
    def plain(self) -> bool:
        """Whether it counts what everybody did after any touch: a stage of the funnel, not a cut through it."""
        return not (self.automatic or self.credit or self.label or self.via or self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One figure of the release; `value` and `units` are None unless it was released."""

    value: float | None = field(repr=False)
    units: int | None = field(repr=False)
    std_error: float
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """That a party signed, and what it covers; checking it is the work of `audit verify`."""

    party: str
    covers: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which touches and which time a release is about."""

    group_by: str
    bands: tuple[str, ...]  # of frequency; groups are GROUP/BAND where there are any
    credit: str | None
    outcome_events: tuple[str, ...]
    touches: tuple[datetime, datetime]  # half-open
    horizon: tuple[datetime, datetime]  # half-open
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """local.json: the party's own account."""

    party: str
    role: str
    profile: str
    backend: str
    counts: Mapping[str, Mapping[str, int]] = field(repr=False)
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """A finished run, as far as a report shows it."""

    name: str
    purpose: str
    agreement_hash: str
    definition: str  # hash of what the metrics mean
    certificates: Mapping[str, str]  # SHA-256 of each party's certificate, the exposure side's first
    scope: Scope
    verdicts: Mapping[str, str]  # what each party declared of its data's completeness; empty where nobody was asked
    session: str
    noise: Noise
    epsilon: float | None
    delta: float | None
    multiplier: float
    min_people: int
    max_groups_per_person: int
    recipients: tuple[str, ...]
    currency: str | None
    precision: Decimal | None
    resolution: Resolution
    metrics: tuple[ReportedMetric, ...]  # declared first, then automatic gates
    groups: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell] = field(repr=False)  # (group, metric), automatic gates included
    signatures: tuple[Signature, ...]
    own: Own | None
    lift: LiftTerms | None = None  # what is compared, where the agreement asks for it

    @staticmethod
    def of(files: Mapping[str, bytes]) -> RunFiles:
        """Reads a run from its files' bytes by name; only release.json is required.

        Raises:
            DataError: release.json is missing, or a file is not of the documented form.
        """
        if RELEASE_FILE not in files:
            raise DataError(f"{RELEASE_FILE} is missing: only a recipient of the release has a report")
        local = files.get(LOCAL_FILE)
        own = None if local is None else _parsed(LOCAL_FILE, local, _own)
        return _parsed(RELEASE_FILE, files[RELEASE_FILE], lambda document: _run(document, own))

    @staticmethod
    def read(folder: Path) -> RunFiles:
        """Reads a run from its folder.

        Raises:
            DataError: there is no finished run of a recipient, or a file is not of the documented form.
        """
        if not folder.is_dir():
            raise DataError(f"{folder}: expected the folder of a finished run")
        files: dict[str, bytes] = {}
        for name in (RELEASE_FILE, LOCAL_FILE):
            try:
                files[name] = (folder / name).read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise DataError(f"{folder / name}: cannot be read: {error.strerror}") from None
        try:
            return RunFiles.of(files)
        except DataError as error:
            raise DataError(f"{folder}: {error}") from None

    @property
    def parties(self) -> tuple[str, str]:
        """Both parties' names, the exposure side's first."""
        exposure, outcome = self.certificates
        return exposure, outcome

    @property
    def declared(self) -> tuple[ReportedMetric, ...]:
        """The metrics that the agreement asks for."""
        return tuple(metric for metric in self.metrics if not metric.automatic)

    def window(self, metric: ReportedMetric) -> str | None:
        """A metric's window for people to read, such as "15 d"; None for matched."""
        if metric.window_ticks is None:
            return None
        for size, unit in _LARGER[self.resolution]:
            if metric.window_ticks % size == 0:
                return f"{metric.window_ticks // size} {unit}"
        return f"{metric.window_ticks} {_SHORT[self.resolution]}"


def _parsed(name: str, data: bytes, build: Callable[[Json], T]) -> T:
    fault = DataError(f"{name}: not of the documented form (version {RELEASE_VERSION})")
    try:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise fault
        return build(document)
    except _MALFORMED:
        raise fault from None


def _run(document: Json, own: Own | None) -> RunFiles:
    if document["version"] != RELEASE_VERSION:
        raise ValueError("another version")
    parameters, agreement = document["parameters"], document["agreement"]
    rows = [*document["rows"], *document["gates"], *document.get("support", [])]
    cells = {(_text(row["group"]), _text(row["metric"])): _cell(row) for row in rows}
    metrics = tuple(sorted(map(_metric, document["metrics"]), key=lambda metric: metric.automatic))
    parties = {_text(entry["role"]): entry for entry in agreement["parties"]}
    exposure, outcome = parties["exposure"], parties["outcome"]
    certificates = {
        _text(entry["name"]): _hex(entry["certificate_sha256"], _HASH_CHARACTERS) for entry in (exposure, outcome)
    }
    declared = document["record"].get("declarations", {})
    groups = tuple(dict.fromkeys(group for group, _ in cells))
    wanted = {(group, metric.name) for group in groups for metric in metrics}
    if not cells or len(cells) != len(rows) or set(cells) != wanted:
        raise ValueError("one row for each group and metric")
    signatures = tuple(
        Signature(party=_text(entry["party"]), covers=_text(entry["covers"]), signature=_hex(entry["signature"], 128))
        for entry in document["signatures"]
    )
    if {entry.party for entry in signatures} != set(certificates) or len(certificates) != 2:
        raise ValueError("signatures of both parties")
    precision = parameters["precision"]
    return RunFiles(
        name=_text(agreement["name"]),
        purpose=_text(agreement["purpose"]),
        agreement_hash=_hex(agreement["hash"], _HASH_CHARACTERS),
        definition=_hex(agreement["definition"], _HASH_CHARACTERS),
        certificates=certificates,
        scope=_scope(agreement["scope"]),
        verdicts={_text(parties[role]["name"]): _text(entry["completeness"]) for role, entry in declared.items()},
        session=_hex(document["record"]["session"], _HASH_CHARACTERS),
        noise=Noise(parameters["noise"]),
        epsilon=_optional(_number, parameters["epsilon"]),
        delta=_optional(_number, parameters["delta"]),
        multiplier=_number(parameters["multiplier"]),
        min_people=_whole(parameters["min_people"]),
        max_groups_per_person=_whole(parameters["max_groups_per_person"]),
        recipients=tuple(_text(name) for name in parameters["recipients"]),
        currency=_optional(_text, parameters["currency"]),
        precision=None if precision is None else Decimal(_text(precision)),
        resolution=Resolution(parameters["resolution"]),
        metrics=metrics,
        groups=groups,
        cells=cells,
        signatures=signatures,
        own=own,
        lift=_lift(parameters, wanted),
    )


def _lift(parameters: Json, cells: set[tuple[str, str]]) -> LiftTerms | None:
    """The terms of a lift, all of whose columns and groups are there."""
    if "lift" not in parameters:
        return None
    terms = read_terms(parameters["lift"])
    groups = {group for one in terms.comparisons for group in (*one.test, *one.control)}
    names = {name for one in terms.columns for name in (one.metric, one.compared, one.squares, one.people)} - {None}
    if not {(group, name) for group in groups for name in names} <= cells:
        raise ValueError("a comparison of columns and groups of the release")
    return terms


def _scope(document: Json) -> Scope:
    return Scope(
        group_by=_text(document["group_by"]),
        bands=tuple(_text(band) for band in document["bands"]),
        credit=_optional(_text, document["credit"]),
        outcome_events=tuple(_text(event) for event in document["events"]["outcome"]),
        touches=_span(document["touches"]),
        horizon=_span(document["horizon"]),
        zone=_text(document["zone"]),
    )


def _span(value: Any) -> tuple[datetime, datetime]:  # any JSON value
    start, end = (datetime.fromisoformat(_text(moment)) for moment in value)
    if start.tzinfo is None or end.tzinfo is None or not start < end:
        raise ValueError("two instants in order expected")
    return start, end


def _own(document: Json) -> Own:
    if document["version"] != LOCAL_VERSION:
        raise ValueError("another version")
    return Own(
        party=_text(document["party"]),
        role=_text(document["role"]),
        profile=_text(document["profile"]),
        backend=_text(document["backend"]),
        counts={
            _text(part): {_text(name): _whole(count) for name, count in counts.items()}
            for part, counts in document["counts"].items()
        },
        warnings=tuple(_text(line) for line in document["warnings"]),
    )


def _metric(entry: Json) -> ReportedMetric:
    return ReportedMetric(
        name=_text(entry["name"]),
        measure=Measure(entry["measure"]),
        event=_optional(_text, entry["event"]),
        window_ticks=_optional(_whole, entry["window_ticks"]),
        cap=_whole(entry["cap"]),
        gate=_text(entry["gate"]),
        automatic=entry["automatic"] is True,
        noise_scale=_positive(entry["noise_scale"], zero=True),
        sampling=_sampling(entry.get("sampling")),
        credit=entry["credit"] is True,
        additive=entry["additive"] is True,
        label=None if entry["label"] is None else _pair(entry["label"]),
        via=None if entry["via"] is None else tuple(_text(event) for event in entry["via"]),
        before=Period(entry["period"]) is Period.BEFORE,
        support=entry["purpose"] == "support",
    )


def _pair(value: Any) -> tuple[str, str]:  # any JSON value
    column, label = value
    return _text(column), _text(label)


def _cell(row: Json) -> Cell:
    return Cell(
        value=_optional(_number, row["value"]),
        units=_optional(_whole, row["units"]),
        std_error=_number(row["std_error"]),
        status=Status(row["status"]),
    )


def _optional(read: Callable[[Any], T], value: Any) -> T | None:  # any JSON value; `read` checks it
    return None if value is None else read(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text expected")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("a whole number expected")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < float("inf"):
        raise ValueError("a number expected")
    return float(value)


def _positive(value: object, *, zero: bool = False) -> float:
    number = _number(value)
    if number < 0 or (number == 0 and not zero):
        raise ValueError("a positive number expected")
    return number


def _sampling(value: object) -> float | None:
    if value is None:
        return 1.0
    share = None if value == "mixed" else float(_text(value))
    if share is not None and not 0 < share <= 1:
        raise ValueError("a share expected")
    return share


def _hex(value: object, length: int) -> str:
    text = _text(value)
    if len(text) != length or set(text) - set("0123456789abcdef"):
        raise ValueError("lower-case hexadecimal expected")
    return text
