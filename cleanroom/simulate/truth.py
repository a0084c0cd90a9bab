"""The truth of a world: what each campaign added, from both potential outcomes of everybody assigned.

With the campaign a person has the sessions that happen anyway and the one that the campaign causes; without it the
first alone (those that other campaigns cause are among them). The difference is known for test and control alike. What
anybody would measure (a join, a group's total) is not computed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cleanroom.simulate.draws import Ints
from cleanroom.simulate.exposures import ARMS, Assignments
from cleanroom.simulate.identifiers import IDENTIFIERS
from cleanroom.simulate.outcomes import MEAN_FEN, STAGES, Sessions, arrived_within, stage_probability
from cleanroom.simulate.parameters import DAY, Parameters
from cleanroom.simulate.people import Crowd

__all__ = ["MEASURES", "Tally"]

MEASURES: Final = ("people", "events", "sum")
_NEVER: Final = np.iinfo(np.int64).max


@dataclass(slots=True, kw_only=True)
class _Matched:
    """People whom both sides hold a usable identifier of, by identifier and by any of them."""

    by_identifier: Ints
    by_any: int = 0


class Tally:
    """Adds up the truth over crowds, in any order."""

    def __init__(self, parameters: Parameters) -> None:
        """Args:
        parameters: of the world.
        """
        self._parameters = parameters
        self._plan = parameters.plan()
        campaigns, arms = len(self._plan), len(ARMS)
        self._assigned: Ints = np.zeros((campaigns, arms), dtype=np.int64)
        self._known: Ints = np.zeros((campaigns, arms), dtype=np.int64)
        # By campaign, arm, stage, measure and window.
        shape = (campaigns, arms, len(STAGES), len(MEASURES), len(parameters.windows))
        self._added: Ints = np.zeros(shape, dtype=np.int64)
        self._people = dict.fromkeys(("both", "media", "shop"), 0)
        self._matched = _Matched(by_identifier=np.zeros(len(IDENTIFIERS), dtype=np.int64))

    def add(
        self,
        crowd: Crowd,
        assigned: Assignments,
        own: Sessions,
        caused: Sessions,
        usable: dict[str, NDArray[np.uint8]],
    ) -> None:
        """Counts one crowd.

        Args:
            crowd: n people.
            assigned: their campaigns.
            own, caused: all their sessions, happened or not.
            usable: by party, n bit sets of identifiers.
        """
        for name in self._people:
            self._people[name] += int(np.count_nonzero(getattr(crowd, name)))
        common = usable["media"] & usable["shop"]
        self._matched.by_any += int(np.count_nonzero(common))
        for bit in range(len(IDENTIFIERS)):
            self._matched.by_identifier[bit] += int(np.count_nonzero(common >> bit & 1))
        np.add.at(self._assigned, (assigned.campaign, assigned.arm), 1)
        known = crowd.shop[assigned.row]
        np.add.at(self._known, (assigned.campaign[known], assigned.arm[known]), 1)
        arm = assigned.arm[known]  # one entry a caused session, in the same order
        for stage in range(len(STAGES)):
            row = np.concatenate([source.row[_reached(source, stage)] for source in (own, caused)])
            day = np.concatenate([source.at[stage][_reached(source, stage)] for source in (own, caused)]) // DAY
            cause = np.concatenate([source.campaign[_reached(source, stage)] for source in (own, caused)])
            for number, campaign in enumerate(self._plan):
                other = (cause != number) & (day >= campaign.start_day)
                first = np.full(len(crowd), _NEVER)
                np.minimum.at(first, row[other], day[other] - campaign.start_day)
                adds = np.nonzero((caused.campaign == number) & (caused.depth > stage))[0]
                after = caused.at[stage][adds] // DAY - campaign.start_day
                self._add(number, stage, arm[adds], after, first[caused.row[adds]], caused.fen[adds])

    def _add(self, campaign: int, stage: int, arm: Ints, after: Ints, otherwise: Ints, fen: Ints) -> None:
        for place, window in enumerate(self._parameters.windows):
            inside = after < window
            for measure, (who, weight) in enumerate(
                ((inside & (otherwise >= window), None), (inside, None), (inside, fen))
            ):
                if weight is not None and STAGES[stage] != "order":
                    continue
                added = np.bincount(arm[who], minlength=len(ARMS)) if weight is None else _sums(arm[who], weight[who])
                self._added[campaign, :, stage, measure, place] += added

    def table(self) -> pa.Table:
        """The effects: a row for each campaign, arm, event, measure and window.

        `incremental` is the sum, over the `matched` people of the arm, of what the campaign adds (to the control: would
        have added); `expected` what its parameters promise for so many, null for people, where it depends on who buys
        anyway. Money is in yuan.
        """
        rows: list[dict[str, object]] = []
        for number, campaign in enumerate(self._plan):
            arms = ("targeted",) if campaign.targeted else ("test", "control")
            for arm, (stage, event), (measure, name) in (
                (arm, stage, measure) for arm in arms for stage in enumerate(STAGES) for measure in enumerate(MEASURES)
            ):
                if name == "sum" and event != "order":
                    continue
                known = int(self._known[number, ARMS.index(arm)])
                for place, window in enumerate(self._parameters.windows):
                    added = int(self._added[number, ARMS.index(arm), stage, measure, place])
                    share = Fraction(stage_probability(campaign.effect, stage)) * arrived_within(
                        self._parameters, window
                    )
                    expected = known * share * (MEAN_FEN / 100 if name == "sum" else 1)
                    rows.append(
                        {
                            "campaign_id": campaign.name,
                            "arm": arm,
                            "event": event,
                            "measure": name,
                            "window_days": window,
                            "assigned": int(self._assigned[number, ARMS.index(arm)]),
                            "matched": known,
                            "incremental": added / 100 if name == "sum" else float(added),
                            "expected": None if name == "people" else float(expected),
                        }
                    )
        return pa.Table.from_pylist(rows, schema=_SCHEMA)

    def as_json(self) -> dict[str, object]:
        """Who is known to whom, and how many people can be matched, as JSON values."""
        return {
            "people": {**self._people, "world": self._parameters.people},
            "matchable": {
                **dict(zip(IDENTIFIERS, self._matched.by_identifier.tolist(), strict=True)),
                "any": self._matched.by_any,
            },
        }


_SCHEMA: Final = pa.schema(
    [
        ("campaign_id", pa.string()),
        ("arm", pa.string()),
        ("event", pa.string()),
        ("measure", pa.string()),
        ("window_days", pa.int32()),
        ("assigned", pa.int64()),
        ("matched", pa.int64()),
        ("incremental", pa.float64()),
        ("expected", pa.float64()),
    ]
)


def _reached(source: Sessions, stage: int) -> NDArray[np.bool_]:
    return source.happened & (source.depth > stage)


def _sums(arm: Ints, fen: Ints) -> Ints:
    totals = np.zeros(len(ARMS), dtype=np.int64)
    np.add.at(totals, arm, fen)
    return totals
