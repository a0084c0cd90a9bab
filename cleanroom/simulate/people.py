"""Who lives in a world: which side knows a person, how active the person is, and the labels that both sides give."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom.simulate.draws import Draws, Ints, Table, probability_of
from cleanroom.simulate.parameters import Parameters

__all__ = ["ACTIVITIES", "CATEGORIES", "CUSTOMERS", "PARTIES", "TIERS", "Crowd", "crowd_of", "scrambled"]

PARTIES: Final = ("media", "shop")
"""The exposure side and the outcome side."""
ACTIVITIES: Final = ("light", "medium", "heavy")
"""Heavy people see more notes, buy more, and are those whom a targeted campaign aims at: the confounder."""
CUSTOMERS: Final = ("new", "returning")
TIERS: Final = ("t1", "t2", "t3", "t4", "t5")
CATEGORIES: Final = ("beauty", "baby", "sports", "fashion", "food", "home", "digital", "pets")

_ACTIVITY: Final = Table((50, 35, 15))
_RETURNING: Final = np.array([probability_of(Decimal(share)) for share in ("0.3", "0.6", "0.85")], dtype=np.uint64)
_FIRST_SESSIONS: Final = (Table((4, 3, 2, 1)), Table((1, 2, 3, 3, 2, 1)), Table((0, 0, 1, 2, 3, 3, 2, 2, 1, 1)))
_ORGANIC_NOTES: Final = (Table((3, 2, 1)), Table((1, 2, 2, 1)), Table((0, 1, 1, 2, 2, 1, 1)))
_MASK: Final = np.int64((1 << 40) - 1)
_FACTORS: Final = {
    "user": (0x5DEECE66D, 0x2545F4915),
    "buyer": (0x369DEA0F31, 0x1F123BB5F7),
    "event": (0x9FB21C651E98DF25, 0xD6E8FEB86659FD93),
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Crowd:
    """The people `first` to `first + n − 1`: n entries each.

    both, media, shop: who knows the person. notes, sessions: how often the person sees a note, and comes to the shop,
    of the person's own accord; at least once where the side knows the person. second: a second account, by party.
    """

    first: int
    person: Ints = field(repr=False)
    media: NDArray[np.bool_] = field(repr=False)
    shop: NDArray[np.bool_] = field(repr=False)
    activity: Ints = field(repr=False)
    ios: NDArray[np.bool_] = field(repr=False)
    interest: Ints = field(repr=False)
    returning: NDArray[np.bool_] = field(repr=False)
    tier: Ints = field(repr=False)
    notes: Ints = field(repr=False)
    sessions: Ints = field(repr=False)
    second: dict[str, NDArray[np.bool_]] = field(repr=False)

    @property
    def both(self) -> NDArray[np.bool_]:
        """Known to both sides."""
        return self.media & self.shop

    def __len__(self) -> int:
        return len(self.person)


def crowd_of(draws: Draws, parameters: Parameters, first: int, last: int) -> Crowd:
    """The people from `first` to `last` − 1."""
    person = np.arange(first, last, dtype=np.int64)
    overlap = parameters.overlap
    both = np.uint64(probability_of(overlap))
    media_alone = np.uint64(probability_of(overlap + (1 - overlap) / 2))
    side = draws.words("side", person) >> np.uint64(1)
    media, shop = side < media_alone, (side < both) | (side >= media_alone)
    activity = draws.pick("activity", person, _ACTIVITY)
    second_account = probability_of(parameters.dirt.two_accounts)
    notes = _by_activity(draws, "notes", person, activity, _ORGANIC_NOTES) * media
    sessions = _by_activity(draws, "sessions", person, activity, _FIRST_SESSIONS) * shop
    # A second account is used from the second event on: who has one event has one account.
    return Crowd(
        first=first,
        person=person,
        media=media,
        shop=shop,
        activity=activity,
        ios=draws.chance("ios", person, probability_of(Decimal("0.4"))),
        interest=draws.below("interest", person, parameters.tags),
        returning=draws.chance("returning", person, _RETURNING[activity]),
        tier=np.minimum(activity + draws.below("tier", person, 3), len(TIERS) - 1),
        notes=notes,
        sessions=sessions,
        second={
            party: draws.chance(f"second account of {party}", person, second_account) & (events > 1)
            for party, events in zip(PARTIES, (notes, sessions), strict=True)
        },
    )


def scrambled(kind: str, number: Ints) -> Ints:
    """Numbers below 2^40 as other such numbers, one to one: what a side's own keys show says nothing of the order.

    Args:
        kind: user, buyer or event; each has a mapping of its own.
        number: n integers from 0 to 2^40 − 1.
    """
    mixed = number
    for factor in _FACTORS[kind]:  # odd, so that multiplying is one to one modulo a power of two
        # Products pass 64 bits; what is cut off lies above the mask.
        mixed = (mixed.view(np.uint64) * np.uint64(factor)).view(np.int64) & _MASK
        mixed = mixed ^ (mixed >> np.int64(20))
    return mixed


def _by_activity(draws: Draws, stream: str, person: Ints, activity: Ints, tables: tuple[Table, ...]) -> Ints:
    words = draws.words(stream, person)
    return 1 + np.choose(activity, [table.of(words) for table in tables])
