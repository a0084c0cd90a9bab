"""What a world is made of: the numbers that a caller chooses, checked, and the calendar that follows from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

from cleanroom.errors import UsageError

__all__ = ["DAY", "EFFECTS", "MATCHES", "START", "ZONE", "Campaign", "Dirt", "Parameters"]

DAY: Final = 86_400
"""Seconds; the zone has no clock changes."""
ZONE: Final = "Asia/Shanghai"
START: Final = datetime(2025, 3, 1, tzinfo=timezone(timedelta(hours=8)))
"""The first instant of every world, midnight in `ZONE`."""
MATCHES: Final = ("id", "phone", "phone_md5", "email")
"""What the agreement that is written beside a world can match on."""
EFFECTS: Final = (Decimal(1), Decimal(2), Decimal(0), Decimal("0.5"), Decimal("1.5"))
"""Campaigns have these multiples of the declared effect in turn; one of five does nothing."""

_MOST_PEOPLE: Final = 50_000_000
_MOST_DAYS: Final = 730
_MOST_CAMPAIGNS: Final = 60
_MOST_NOTES: Final = 1_000_000
_MOST_TAGS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Dirt:
    """How dirty identifiers are. All are shares from 0 to 1, kept as decimals so that they are exact.

    `malformed`, `placeholder`, `shared` and `spelled` are of the identifiers that a side holds; `two_accounts` of the
    people of a side; `repeated` of the rows of the exposure side.
    """

    malformed: Decimal = Decimal("0.005")
    placeholder: Decimal = Decimal("0.005")
    shared: Decimal = Decimal("0.02")  # the value is that of another person of the household
    spelled: Decimal = Decimal("0.3")  # right, and written differently
    two_accounts: Decimal = Decimal("0.05")  # a second account, with identifiers recorded on their own
    repeated: Decimal = Decimal("0.002")  # delivered twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """One campaign: when it runs, and what it truly does."""

    name: str
    start_day: int
    flight_days: int
    targeted: bool  # aimed at buyers and without a control group, instead of randomised
    effect: Decimal  # probability that being reached adds an order

    @property
    def starts_at(self) -> datetime:
        """Midnight in the zone, when people are assigned."""
        return START + timedelta(days=self.start_day)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """A world. Two worlds of equal parameters are equal, value by value.

    Raises:
        UsageError: a number is out of its range.
    """

    people: int  # in the whole world; each is known to both sides or to one
    seed: int
    days: int = 90
    campaigns: int = 5
    notes: int = 1000
    tags: int = 50
    effect: Decimal = Decimal("0.03")
    overlap: Decimal = Decimal("0.5")  # share of people known to both sides
    sample: Decimal = Decimal(1)  # share of people whose rows the exposure side keeps in the sampling period
    control: Decimal = Decimal("0.5")  # share of the assigned who are held out
    match: str = "id"
    dirt: Dirt = field(default_factory=Dirt)

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("people", self.people, 1, _MOST_PEOPLE),
            ("seed", self.seed, 0, 2**64 - 1),
            ("days", self.days, 12, _MOST_DAYS),
            ("campaigns", self.campaigns, 1, _MOST_CAMPAIGNS),
            ("notes", self.notes, self.campaigns + 1, _MOST_NOTES),
            ("tags", self.tags, 1, _MOST_TAGS),
        ):
            if not low <= value <= high:
                raise UsageError(f"{name}: expected a whole number from {low} to {high}")
        shares = {name: getattr(self, name) for name in ("effect", "overlap", "sample", "control")}
        for name, share in {**shares, **asdict(self.dirt)}.items():
            if not isinstance(share, Decimal):  # a float would not be the share that was meant
                raise UsageError(f"{name}: expected a Decimal, such as Decimal('0.03')")
            if not (share.is_finite() and 0 <= share <= 1):
                raise UsageError(f"{name}: expected a number from 0 to 1")
        if self.effect > Decimal("0.5"):
            raise UsageError("effect: expected a number from 0 to 0.5, as one campaign has twice as much")
        if self.dirt.malformed + self.dirt.placeholder + self.dirt.shared > 1:
            raise UsageError("dirt: expected malformed, placeholder and shared to add up to 1 at most")
        if self.match not in MATCHES:
            raise UsageError(f"match: expected one of {', '.join(MATCHES)}")

    @property
    def end(self) -> datetime:
        """The first instant after the world."""
        return START + timedelta(days=self.days)

    @property
    def history_days(self) -> int:
        """Days before the first campaign: a third."""
        return self.days // 3

    @property
    def flight_days(self) -> int:
        """How long a campaign runs, and the longest from a first exposure to the order that it causes: a sixth."""
        return self.days // 6

    @property
    def sampling_days(self) -> tuple[int, int]:
        """The sampling period, half-open: from the end of the history to the middle of the world."""
        return self.history_days, self.days // 2

    @property
    def windows(self) -> tuple[int, ...]:
        """The windows, in days from assignment, for which the truth is written."""
        usual = (1, 3, 7, 15, 30, 70)
        return tuple(window for window in usual if window <= self.history_days)

    def plan(self) -> tuple[Campaign, ...]:
        """The campaigns: they start in the middle third; the last of several is targeted, the others randomised."""
        campaigns = []
        for number in range(self.campaigns):
            campaigns.append(
                Campaign(
                    name=f"c{number + 1:02d}",
                    start_day=self.history_days + number * self.history_days // self.campaigns,
                    flight_days=self.flight_days,
                    targeted=number > 0 and number == self.campaigns - 1,
                    effect=self.effect * EFFECTS[number % len(EFFECTS)],
                )
            )
        return tuple(campaigns)

    def as_json(self) -> dict[str, object]:
        """The parameters and their calendar as JSON values."""
        values = {name: _plain(value) for name, value in asdict(self).items() if name != "dirt"}
        first, last = (START + timedelta(days=day) for day in self.sampling_days)
        return {
            **values,
            "dirt": {name: float(share) for name, share in asdict(self.dirt).items()},
            "zone": ZONE,
            "start": START.isoformat(),
            "end": self.end.isoformat(),
            "history_days": self.history_days,
            "sampling_period": [first.isoformat(), last.isoformat()],
            "campaign_plan": [
                {
                    "campaign_id": campaign.name,
                    "start": campaign.starts_at.isoformat(),
                    "flight_days": campaign.flight_days,
                    "design": "targeted" if campaign.targeted else "randomised",
                    "effect": float(campaign.effect),
                }
                for campaign in self.plan()
            ],
        }


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value
