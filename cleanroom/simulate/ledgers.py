"""The small files beside the rows: what was expected to be delivered, what was sampled, what campaigns cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import numpy as np

from cleanroom.simulate.draws import Draws, Ints
from cleanroom.simulate.parameters import DAY, START, Parameters
from cleanroom.simulate.people import CATEGORIES

__all__ = ["Manifest", "campaigns_csv", "sampling_csv", "spend_csv"]

_LEAST_SPEND = 3_000_00
_MOST_SPEND = 12_000_00


class Manifest:
    """Counts the rows of each day and event, over blocks in any order."""

    def __init__(self, parameters: Parameters, events: Sequence[str]) -> None:
        """Args:
        parameters: of the world.
        events: the names of the codes that will be counted.
        """
        self._events = tuple(events)
        self._counts: Ints = np.zeros((parameters.days, len(self._events)), dtype=np.int64)

    def add(self, seconds: Ints, event: Ints) -> None:
        """Counts n rows by when they happened and which event they are."""
        place = seconds // DAY * len(self._events) + event
        self._counts += np.bincount(place, minlength=self._counts.size).reshape(self._counts.shape)

    @property
    def rows(self) -> int:
        """All rows."""
        return int(self._counts.sum())

    def csv(self) -> str:
        """`date,event,rows`: dates of the world's zone; every day and event, also without rows."""
        lines = ["date,event,rows"]
        for day, counts in enumerate(self._counts.tolist()):
            date = (START + timedelta(days=day)).date()
            lines += [f"{date},{event},{rows}" for event, rows in zip(self._events, counts, strict=True)]
        return "\n".join(lines) + "\n"


def sampling_csv(parameters: Parameters) -> str:
    """`start,end,fraction`: the share of people whose rows were kept, over periods that cover the world."""
    first, last = parameters.sampling_days
    lines = ["start,end,fraction"]
    for begin, end, share in (
        (0, first, Decimal(1)),
        (first, last, parameters.sample),
        (last, parameters.days, Decimal(1)),
    ):
        start, stop = ((START + timedelta(days=day)).isoformat() for day in (begin, end))
        lines.append(f"{start},{stop},{share}")
    return "\n".join(lines) + "\n"


def spend_csv(draws: Draws, parameters: Parameters) -> str:
    """`campaign_id,date,spend`: yuan a campaign and day of its flight."""
    lines = ["campaign_id,date,spend"]
    for name, day, fen in _spend(draws, parameters):
        lines.append(f"{name},{(START + timedelta(days=day)).date()},{fen // 100}.{fen % 100:02d}")
    return "\n".join(lines) + "\n"


def campaigns_csv(draws: Draws, parameters: Parameters) -> str:
    """What rules about campaigns ask for: dates, design, budget, and facts about account and shop."""
    columns = "campaign_id,start,end,design,category,verified,account_notes,budget,daily_budget,shop_score"
    plan, lines = parameters.plan(), [columns]
    number = np.arange(len(plan))
    category = draws.below("campaign category", number, len(CATEGORIES)).tolist()
    verified = draws.below("verified", number, 5).tolist()
    notes = (10 + draws.below("account notes", number, 90)).tolist()
    score = (400 + draws.below("shop score", number, 101)).tolist()
    for place, campaign in enumerate(plan):
        fen = sum(spent for name, _, spent in _spend(draws, parameters) if name == campaign.name)
        daily = fen // campaign.flight_days
        end = START + timedelta(days=campaign.start_day + campaign.flight_days)
        cells = (
            campaign.name,
            campaign.starts_at.isoformat(),
            end.isoformat(),
            "targeted" if campaign.targeted else "randomised",
            CATEGORIES[category[place]],
            "true" if verified[place] else "false",
            str(notes[place]),
            f"{fen // 100}.{fen % 100:02d}",
            f"{daily // 100}.{daily % 100:02d}",
            f"{score[place] // 100}.{score[place] % 100:02d}",
        )
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def _spend(draws: Draws, parameters: Parameters) -> list[tuple[str, int, int]]:
    spent = []
    for number, campaign in enumerate(parameters.plan()):
        days = np.arange(campaign.flight_days)
        index = number * 1024 + days
        fen = _LEAST_SPEND + draws.below("spend", index, _MOST_SPEND - _LEAST_SPEND + 1)
        spent += [(campaign.name, campaign.start_day + day, amount) for day, amount in enumerate(fen.tolist())]
    return spent
