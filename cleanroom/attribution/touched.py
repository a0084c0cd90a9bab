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
from cleanroom.attribution.runs import distinct, whole_people
from cleanroom.errors import CleanroomError
from cleanroom.texts import Texts

__all__ = ["Tally", "Touched", "Touches", "group_mark", "instant_ticks", "touched"]

_SLICE: Final = 1 << 17
"""The most touches worked on at once (whole persons), twice what the data side hands over: with credit their weights
are some tens of megabytes."""


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

    def add(
        self,
        touches: int,
        people: int,
        off_instant: int,
        memberships: int,
        bandless_memberships: int,
        capped_memberships: int,
        capped_people: int,
    ) -> None:
        """Counts some more people."""
        self.touches += touches
        self.people += people
        self.off_instant += off_instant
        self.memberships += memberships
        self.bandless_memberships += bandless_memberships
        self.capped_memberships += capped_memberships
        self.capped_people += capped_people


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
    labels = Texts.of(pa.array(exposure.groups, pa.string()))
    bounds = None if exposure.frequency is None else np.array(exposure.frequency, dtype=np.int64)
    for batch in batches:
        for part in whole_people(batch.person, _SLICE):
            tick, group = clock.ticks(batch.time_us[part]), batch.group[part]
            if not (_within(tick, first_tick, last_tick) and _within(group, 0, len(exposure.groups))):
                raise CleanroomError("touches outside the agreed period or groups reached the preparation")
            people, counting, counts = _kernels.counting_touches(
                batch.person[part],
                tick,
                batch.event[part],
                group,
                instants,
                (labels.offsets, labels.data, labels.valid),
                agreement.release.max_groups_per_person,
                group_cap_key,
                bounds,
            )
            tally.add(part.stop - part.start, len(people), *counts)
            owner, tick, event, released = counting
            yield Touched(person=people, owner=owner, tick=tick, event=event, group=released)


def _within(numbers: NDArray[np.int32] | NDArray[np.int64], low: int, high: int) -> bool:
    """Whether all numbers are in [low, high)."""
    return len(numbers) == 0 or bool(numbers.min() >= low and numbers.max() < high)


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
