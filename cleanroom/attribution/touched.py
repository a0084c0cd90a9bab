"""Touches that count: on the agreed instants, in at most the agreed groups a person, by the group that is released.

Memberships are settled here, once for all families of weights: a person's groups under the cap, and of each the band of
how often the person was touched in it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.agreement.model import Agreement
from cleanroom.attribution.clock import TickClock, microseconds
from cleanroom.attribution.runs import changes, distinct, person_starts, whole_people
from cleanroom.errors import CleanroomError
from cleanroom.texts import Texts

__all__ = ["Tally", "Touched", "Touches", "group_mark", "instant_ticks", "touched"]

NO_BAND = -1
_SLICE: Final = 1 << 16
"""Touches worked on at once (whole persons): with credit their weights are some tens of megabytes."""


class Touches(Protocol):
    """A batch of touches: whole persons, sorted by (person, time, group), filtered by event, scope and period."""

    @property
    def person(self) -> NDArray[np.uint8]:
        """(n, 16) uint8."""

    @property
    def time_us(self) -> NDArray[np.int64]:
        """(n,) int64, microseconds since the epoch, UTC."""

    @property
    def event(self) -> NDArray[np.int32]:
        """(n,) int32, positions in `exposure.events`."""

    @property
    def group(self) -> NDArray[np.int32]:
        """(n,) int32, positions in `exposure.groups`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """Some persons and those of their touches that count, each person's in the order of time.

    A released group is a position among the release's groups, or -1 for a membership that is in no band.
    """

    person: NDArray[np.uint8] = field(repr=False)  # (p, 16)
    owner: NDArray[np.int64] = field(repr=False)  # (n,) index into person, ascending
    tick: NDArray[np.int64] = field(repr=False)  # (n,)
    event: NDArray[np.int64] = field(repr=False)  # (n,) positions in exposure.events
    group: NDArray[np.int64] = field(repr=False)  # (n,) released groups


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the touches so far."""

    touches: int = 0
    off_instant: int = 0
    people: int = 0
    memberships: int = 0
    capped_memberships: int = 0
    capped_people: int = 0
    bandless_memberships: int = 0
    over_windows: dict[int, int] = field(default_factory=dict)  # credit window in ticks -> touches
    over_touches: dict[int, int] = field(default_factory=dict)


def touched(agreement: Agreement, batches: Iterable[Touches], group_cap_key: bytes, tally: Tally) -> Iterator[Touched]:
    """Yields the touches that count, some persons at a time.

    Args:
        agreement: decides clock, instants, the cap on groups and the bands.
        batches: filtered touches; a person is in one batch only.
        group_cap_key: 32 secret bytes that decide which groups of a person over the cap are kept.
        tally: counts what is dropped.

    Raises:
        CleanroomError: a touch outside the agreed period or groups.
    """
    exposure = agreement.exposure
    clock = TickClock.of(agreement.time)
    first_tick, last_tick = clock.span(exposure.start, exposure.end)
    instants = instant_ticks(agreement, clock)
    groups = len(exposure.groups)
    for batch in batches:
        for part, _ in whole_people(batch.person, _SLICE):
            person, tick = batch.person[part], clock.ticks(batch.time_us[part])
            group, event = batch.group[part].astype(np.int64), batch.event[part].astype(np.int64)
            if ((tick < first_tick) | (tick >= last_tick) | (group < 0) | (group >= groups)).any():
                raise CleanroomError("touches outside the agreed period or groups reached the preparation")
            tally.touches += len(tick)
            if instants is not None:
                on = np.isin(tick, instants)
                person, group, tick, event = person[on], group[on], tick[on], event[on]
                tally.off_instant += len(on) - len(tick)
            yield _settled(agreement, person, tick, event, group, group_cap_key, tally)


def group_mark(key: bytes, person: bytes, label: str) -> bytes:
    """HMAC-SHA-256(key, person ‖ label): under the cap, a person keeps the groups with the smallest marks.

    Args:
        key: 32 secret bytes of the exposure side; an auditor who is given them repeats the choice.
        person: 16 bytes.
        label: the group as the agreement writes it, UTF-8.

    Returns:
        32 bytes.
    """
    return hmac.digest(key, person + label.encode(), "sha256")


def instant_ticks(agreement: Agreement, clock: TickClock) -> NDArray[np.int64] | None:
    """The distinct ticks of the agreed instants inside the touch period, ascending; None where none are agreed."""
    instants = agreement.exposure.instants
    if instants is None:
        return None
    inside = [microseconds(at) for at in instants if agreement.exposure.start <= at < agreement.exposure.end]
    return distinct(clock.ticks(np.array(inside, dtype=np.int64)))


def _settled(
    agreement: Agreement,
    person: NDArray[np.uint8],
    tick: NDArray[np.int64],
    event: NDArray[np.int64],
    group: NDArray[np.int64],
    key: bytes,
    tally: Tally,
) -> Touched:
    """Touches of some persons in memberships that count, by the groups that are released."""
    starts = person_starts(person)
    people, owner = person[starts], np.cumsum(starts) - 1
    member, joined, _, _, count, pair = _kernels.memberships(owner, group)
    kept = _kept_pairs(agreement, people, member, joined, key, tally)
    released = _bands(agreement, joined, count)
    tally.people += len(people)
    tally.memberships += int(kept.sum())
    tally.bandless_memberships += int((kept & (released == NO_BAND)).sum())
    counts = slice(None) if kept.all() else kept[pair]
    return Touched(
        person=people, owner=owner[counts], tick=tick[counts], event=event[counts], group=released[pair][counts]
    )


def _bands(agreement: Agreement, group: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """The released group of each membership, by how many touches it has."""
    bounds = agreement.exposure.frequency
    if bounds is None:
        return group
    band = np.searchsorted(np.array(bounds, dtype=np.int64), count, side="right") - 1
    return np.where(band < 0, NO_BAND, group * len(bounds) + band)


def _kept_pairs(
    agreement: Agreement,
    person: NDArray[np.uint8],
    owner: NDArray[np.int64],
    group: NDArray[np.int64],
    key: bytes,
    tally: Tally,
) -> NDArray[np.bool_]:
    """Which memberships, sorted by (owner, group), are within the cap: a person's with the smallest `group_mark`."""
    labels = Texts.of(pa.array(agreement.exposure.groups, pa.string()))
    limit = agreement.release.max_groups_per_person
    keep = _kernels.within_cap(key, person, owner, group, labels.offsets, labels.data, labels.valid, limit)
    over = owner[~keep]
    tally.capped_people += int(changes(over).sum()) if len(over) else 0
    tally.capped_memberships += len(over)
    return keep
