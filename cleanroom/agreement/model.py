"""The agreement as values: what both owners signed, parsed and checked, with nothing derived from anybody's data."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Final

from cleanroom.agreement.completeness import Completeness
from cleanroom.agreement.eligibility import EligibilityRule
from cleanroom.agreement.legal import Legal
from cleanroom.agreement.lift import Lift
from cleanroom.agreement.sampling import SampledPeriod

__all__ = [
    "CREDIT_UNIT",
    "Agreement",
    "Exposure",
    "Identifier",
    "Label",
    "Match",
    "Measure",
    "Metric",
    "Noise",
    "Outcome",
    "PartyEntry",
    "Period",
    "Profile",
    "ProtocolChoice",
    "ReleaseRules",
    "Resolution",
    "Role",
    "TimeRules",
    "padded_rows",
]


CREDIT_UNIT: Final = 720720
"""lcm(1 .. 16): one outcome's credit where it may be shared, in fixed point; up to 16 equal shares are exact."""
_WHOLE_CREDIT: Final = frozenset({"last_touch", "first_touch"})


class Role(Enum):
    """Which half of the story a party holds."""

    EXPOSURE = "exposure"
    OUTCOME = "outcome"

    @property
    def other(self) -> Role:
        """The role of the other side."""
        return Role.OUTCOME if self is Role.EXPOSURE else Role.EXPOSURE


class Resolution(Enum):
    """The length of a tick."""

    DAY = "1d"
    HOUR = "1h"
    MINUTE = "1m"


class Measure(Enum):
    """What a metric counts."""

    PEOPLE = "people"
    EVENTS = "events"
    SUM = "sum"
    MATCHED = "matched"


class Period(Enum):
    """Where a window lies: from the anchor's tick on, or up to it."""

    AFTER = "after"
    BEFORE = "before"


class Noise(Enum):
    """The mechanism of the release."""

    GAUSSIAN = "gaussian"
    LAPLACE = "laplace"
    NONE = "none"


class Profile(Enum):
    """Which oblivious PRF (and OT extension) the join runs on; the functionality is the same."""

    ECDH = "ecdh"
    KKRT = "kkrt"
    VOLE = "vole"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyEntry:
    """One owner: its name in the agreement, its role, its pinned certificate."""

    name: str
    role: Role
    certificate_pem: bytes = field(repr=False)
    fingerprint: bytes  # SHA-256 of the certificate's DER, 32 bytes
    min_people: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """A match key and its normalisation."""

    type: str  # phone, email, idfa, oaid, caid, imei, mac, id
    rule: str | None = None
    country: str | None = None
    hash: str | None = None  # None, md5 or sha256: the form that the parties share
    version: str | None = None  # of a caid: eight digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How people are matched."""

    identifiers: tuple[Identifier, ...]
    max_invalid: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRules:
    """The horizon [start, end), the tick, the zone that defines dates, the time tree."""

    start: datetime
    end: datetime
    resolution: Resolution
    zone: str
    tree: tuple[int, ...]  # ticks per node at each level: a chain of divisors that begins with 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Which touches count and how they are grouped."""

    events: tuple[str, ...]
    start: datetime  # the touch period, inside [time)
    end: datetime
    instants: tuple[datetime, ...] | None
    group_by: str
    groups: tuple[str, ...]
    anchor: str  # first_touch, last_touch
    credit: str | None
    credit_step_ticks: int | None = None  # of time_decay: half the weight for every step
    max_touches: int | None = None  # a person's touches that may earn credit; None for all
    priority: tuple[tuple[str, ...], ...] | None = None  # classes of events, the first one earns before the others
    frequency: tuple[int, ...] | None = None  # lower bounds of bands of a person's touches in a group

    @property
    def credit_unit(self) -> int:
        """The fixed-point unit of one outcome's credit: 1 where a single touch earns all of it."""
        return 1 if self.credit in _WHOLE_CREDIT else CREDIT_UNIT

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the frequency bands, ascending; empty where none are asked for."""
        lows = self.frequency or ()
        highs = [low - 1 for low in lows[1:]]
        closed = [str(low) if low == high else f"{low}-{high}" for low, high in zip(lows, highs, strict=False)]
        return (*closed, *(f"{low}+" for low in lows[-1:]))

    @property
    def released_groups(self) -> tuple[str, ...]:
        """The groups of the release: the declared ones, or each of them by band (`GROUP/2-3`)."""
        if self.frequency is None:
            return self.groups
        return tuple(f"{group}/{band}" for group in self.groups for band in self.bands)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A column of the outcome side by which metrics are broken down, and its values."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Which outcomes count and in what money."""

    events: tuple[str, ...]
    value: str | None
    currency: str | None
    precision: Decimal | None  # one integer unit, e.g. 0.01
    labels: tuple[Label, ...]

    def label(self, column: str) -> Label | None:
        """The label of that name, or None."""
        return next((label for label in self.labels if label.column == column), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A declared metric: a column of the release, or one for each value of a label."""

    name: str
    measure: Measure
    event: str | None  # None for matched
    window_ticks: int | None  # None for matched
    window: str | None  # as written, for people to read
    cap: int | None  # integer units per person and group; None for people and matched
    credit: bool = False
    by: str | None = None  # the label whose values it is broken down by
    via: tuple[str, ...] | None = None  # the touches' events that it looks at; None for all
    period: Period = Period.AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRules:
    """Noise, thresholds, recipients."""

    noise: Noise
    epsilon: float
    delta: float
    min_people: int  # the largest of the release's and the parties'
    max_groups_per_person: int
    max_windows: int
    recipients: tuple[str, ...]
    suppress_differences: bool = False
    """Noise none only: a count that exceeds a smaller released one by fewer than `min_people` is suppressed too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolChoice:
    """Profile and public bounds: as agreed, and padded up to powers of two, which is what the other side can see."""

    profile: Profile
    max_rows_exposure: int
    max_rows_outcome: int

    @property
    def rows_exposure(self) -> int:
        """The exposure side's bound, padded."""
        return padded_rows(self.max_rows_exposure)

    @property
    def rows_outcome(self) -> int:
        """The outcome side's bound, padded."""
        return padded_rows(self.max_rows_outcome)


def padded_rows(rows: int) -> int:
    """The power of two that a bound of so many rows is padded up to."""
    return 1 << (max(rows, 1) - 1).bit_length()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The whole agreement.

    `canonical` is what is hashed and signed; `hash` is its SHA-256 and names the agreement everywhere.
    """

    version: int
    name: str
    purpose: str
    valid_until: date
    parties: tuple[PartyEntry, PartyEntry]  # exposure side first
    match: Match
    time: TimeRules
    exposure: Exposure
    outcome: Outcome
    metrics: tuple[Metric, ...]
    release: ReleaseRules
    protocol: ProtocolChoice
    legal: Legal | None = None
    completeness: Completeness | None = None
    sampling: tuple[SampledPeriod, ...] = ()
    eligibility: tuple[EligibilityRule, ...] = ()
    lift: Lift | None = None
    canonical: bytes = field(repr=False)
    hash: bytes

    @property
    def labels_in_use(self) -> tuple[Label, ...]:
        """The labels that metrics are broken down by: the others are not read."""
        used = {metric.by for metric in self.metrics}
        return tuple(label for label in self.outcome.labels if label.column in used)

    @property
    def exposure_party(self) -> PartyEntry:
        """The owner of the touches."""
        return self.parties[0]

    @property
    def outcome_party(self) -> PartyEntry:
        """The owner of the outcomes."""
        return self.parties[1]

    def of_role(self, role: Role) -> PartyEntry:
        """The entry of the party with a role."""
        return self.exposure_party if role is Role.EXPOSURE else self.outcome_party

    def party(self, name: str) -> PartyEntry | None:
        """The entry of a party by its name in the agreement, or None."""
        return next((entry for entry in self.parties if entry.name == name), None)
