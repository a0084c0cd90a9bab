"""The optional table `[sampling]`: in which periods a side's data hold a declared share of its people only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from cleanroom.agreement.table import Table, table_of

__all__ = ["SampledPeriod", "read_sampling", "sampled_fraction", "sampling_document", "sampling_lines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledPeriod:
    """A half-open period of one party and the share of its people whom its data hold then."""

    party: str
    start: datetime
    end: datetime
    fraction: Decimal  # above 0, up to 1


def read_sampling(table: Table, parties: tuple[str, ...]) -> tuple[SampledPeriod, ...]:
    """Reads `[sampling]`: periods in the order of party and time; those of one party do not overlap.

    Args:
        table: the table.
        parties: the names of the agreement's parties.

    Raises:
        AgreementError: naming the key.
    """
    periods: list[SampledPeriod] = []
    for position, item in enumerate(table.items("periods"), start=1):
        where = f"{table.key('periods')}[{position}]"
        entry = Table(where, "sampling.periods", table_of(where, item))
        party = entry.party("party", parties)
        start, end = entry.instant("start"), entry.instant("end")
        if not start < end:
            raise entry.fault("end", "expected a time after start")
        fraction = entry.number("fraction")
        if not 0 < fraction <= 1:
            raise entry.fault("fraction", "expected a share above 0 and up to 1")
        if any(one.party == party and start < one.end and one.start < end for one in periods):
            raise entry.fault("start", f"overlaps another period of {party}")
        periods.append(SampledPeriod(party=party, start=start, end=end, fraction=fraction))
    return tuple(sorted(periods, key=lambda one: (parties.index(one.party), one.start)))


def sampled_fraction(periods: tuple[SampledPeriod, ...], party: str, start: datetime, end: datetime) -> Decimal | None:
    """The share of a party's people that its data hold over all of [start, end); what no period names is whole.

    Returns:
        None where periods of different shares meet in it.
    """
    inside = [one for one in periods if one.party == party and one.start < end and start < one.end]
    fractions = {one.fraction for one in inside}
    covered = start
    for one in inside:  # in order, without overlaps
        if one.start > covered:
            fractions.add(Decimal(1))
        covered = one.end
    if covered < end:
        fractions.add(Decimal(1))
    return fractions.pop() if len(fractions) == 1 else None


def sampling_document(periods: tuple[SampledPeriod, ...]) -> dict[str, object]:
    """What the canonical bytes hold of the table."""
    return {
        "periods": [
            {
                "party": one.party,
                "start": one.start.astimezone(UTC).isoformat(timespec="microseconds"),
                "end": one.end.astimezone(UTC).isoformat(timespec="microseconds"),
                "fraction": f"{one.fraction.normalize():f}",
            }
            for one in periods
        ]
    }


def sampling_lines(periods: tuple[SampledPeriod, ...]) -> tuple[str, ...]:
    """The table in words."""
    return tuple(
        f"{one.party}'s data hold {float(one.fraction) * 100:.4g} % of its people from {one.start.isoformat()} "
        f"to {one.end.isoformat()}"
        for one in periods
    )
