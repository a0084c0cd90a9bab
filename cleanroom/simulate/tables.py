"""Blocks as Arrow tables: the columns of every file, in the types that the files have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cleanroom.simulate.draws import Ints
from cleanroom.simulate.exposures import ARMS, NOBODY, TOUCH_EVENTS, note_ranges
from cleanroom.simulate.identifiers import Identifiers
from cleanroom.simulate.outcomes import OUTCOME_EVENTS
from cleanroom.simulate.parameters import START, Parameters
from cleanroom.simulate.people import ACTIVITIES, CATEGORIES, CUSTOMERS, PARTIES, TIERS, scrambled
from cleanroom.simulate.world import Block

__all__ = ["BLOCK_TABLES", "assignments_table", "notes_table", "outcomes_table", "people_table", "touches_table"]

_EPOCH: Final = int(START.timestamp())


def touches_table(parameters: Parameters, block: Block) -> pa.Table:
    """The exposure side's rows."""
    touches, crowd = block.touches, block.crowd
    names = [campaign.name for campaign in parameters.plan()]
    both = np.where(touches.campaign == NOBODY, NOBODY, touches.campaign * len(ARMS) + touches.arm)
    creator, tag = _note_labels(parameters, touches.note)
    missing = touches.note == NOBODY
    return pa.table(
        {
            "user_id": scrambled("user", crowd.person[touches.row] * 2 + touches.account),
            **_identifier_columns(block.identifiers[PARTIES[0]], touches.row, touches.account),
            "time": _times(touches.seconds),
            "event": _labels(touches.event, TOUCH_EVENTS),
            "campaign_id": _labels(touches.campaign, names),
            "arm": _labels(touches.arm, ARMS),
            "campaign_arm": _labels(both, [f"{name}/{arm}" for name in names for arm in ARMS]),
            "note_id": pa.array(touches.note, mask=missing),
            "creator_id": pa.array(creator, mask=missing),
            "tag": _labels(np.where(missing, NOBODY, tag), _tags(parameters)),
            "interest": _labels(crowd.interest[touches.row], _tags(parameters)),
        }
    )


def outcomes_table(parameters: Parameters, block: Block) -> pa.Table:
    """The outcome side's rows."""
    del parameters
    outcomes, crowd = block.outcomes, block.crowd
    return pa.table(
        {
            "buyer_id": scrambled("buyer", crowd.person[outcomes.row] * 2 + outcomes.account),
            **_identifier_columns(block.identifiers[PARTIES[1]], outcomes.row, outcomes.account),
            "time": _times(outcomes.seconds),
            "event": _labels(outcomes.event, OUTCOME_EVENTS),
            "event_id": scrambled("event", outcomes.slot),
            "amount": _money(outcomes.fen, outcomes.fen >= 0),
            "customer": _labels(crowd.returning[outcomes.row].astype(np.int64), CUSTOMERS),
            "category": _labels(outcomes.category, CATEGORIES),
            "tier": _labels(crowd.tier[outcomes.row], TIERS),
        }
    )


def people_table(parameters: Parameters, block: Block) -> pa.Table:
    """The truth about everybody: who is behind which account, and which identifiers could match."""
    crowd, columns = block.crowd, {}
    for kind, party, known in (("user", "media", crowd.media), ("buyer", "shop", crowd.shop)):
        for account, has in enumerate((known, crowd.second[party])):
            name = f"{'second_' if account else ''}{kind}_id"
            columns[name] = pa.array(scrambled(kind, crowd.person * 2 + account), mask=~has)
    return pa.table(
        {
            "person": crowd.person,
            "media": crowd.media,
            "shop": crowd.shop,
            **columns,
            "activity": _labels(crowd.activity, ACTIVITIES),
            "interest": _labels(crowd.interest, _tags(parameters)),
            "customer": _labels(crowd.returning.astype(np.int64), CUSTOMERS),
            "tier": _labels(crowd.tier, TIERS),
            "media_usable": block.identifiers["media"].usable,
            "shop_usable": block.identifiers["shop"].usable,
        }
    )


def assignments_table(parameters: Parameters, block: Block) -> pa.Table:
    """The truth about everybody in a campaign: the arm, and what the campaign causes or would cause."""
    assigned, caused = block.assigned, block.caused
    known = block.crowd.shop[assigned.row]
    place = np.cumsum(known) - 1  # of a known pair among the caused sessions
    depth = np.zeros(len(assigned), dtype=np.int64)
    depth[known] = caused.depth
    some, ordered = depth > 0, depth == 4

    def of(values: Ints, where: NDArray[np.bool_]) -> Ints:
        filled = np.zeros(len(assigned), dtype=np.int64)
        filled[where] = values[place[where]]
        return filled

    return pa.table(
        {
            "person": assigned.person,
            "campaign_id": _labels(assigned.campaign, [campaign.name for campaign in parameters.plan()]),
            "arm": _labels(assigned.arm, ARMS),
            "known_to_shop": known,
            "depth": depth.astype(np.int8),
            "search_at": _times(of(caused.at[0], some), some),
            "order_at": _times(of(caused.at[3], ordered), ordered),
            "event_id": pa.array(scrambled("event", of(caused.slot, some)), mask=~some),
            "amount": _money(of(caused.fen, ordered), ordered),
        }
    )


BLOCK_TABLES: Final = {
    "media/touches.parquet": touches_table,
    "shop/outcomes.parquet": outcomes_table,
    "truth/people.parquet": people_table,
    "truth/assignments.parquet": assignments_table,
}
"""The files that grow with the people."""


def notes_table(parameters: Parameters) -> pa.Table:
    """All notes with their labels."""
    note = np.arange(parameters.notes)
    creator, tag = _note_labels(parameters, note)
    campaign = np.full(parameters.notes, NOBODY)
    for number, (low, high) in enumerate(note_ranges(parameters)[:-1]):
        campaign[low:high] = number
    return pa.table(
        {
            "note_id": note,
            "creator_id": creator,
            "tag": _labels(tag, _tags(parameters)),
            "campaign_id": _labels(campaign, [campaign.name for campaign in parameters.plan()]),
        }
    )


def _note_labels(parameters: Parameters, note: Ints) -> tuple[Ints, Ints]:
    """Each note's creator (five notes a creator) and tag."""
    return note % max(1, parameters.notes // 5), note * 7919 % parameters.tags


def _tags(parameters: Parameters) -> list[str]:
    return [f"tag-{number + 1:03d}" for number in range(parameters.tags)]


def _identifier_columns(held: Identifiers, row: Ints, account: Ints) -> dict[str, pa.Array]:
    record = held.record[account, row]
    columns = {}
    for name, texts in held.columns.items():
        coded = texts.dictionary_encode()
        codes = coded.indices.fill_null(NOBODY).to_numpy(zero_copy_only=False)[record]
        columns[name] = pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), coded.dictionary)
    return columns


def _labels(codes: Ints, labels: Sequence[str]) -> pa.DictionaryArray:
    """Codes as texts; negative ones are null."""
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(labels, pa.string()))


def _times(seconds: Ints, valid: NDArray[np.bool_] | None = None) -> pa.Array:
    millis = (seconds + _EPOCH) * 1000
    return pa.array(millis, mask=None if valid is None else ~valid).cast(pa.timestamp("ms", tz="UTC"))


def _money(fen: Ints, valid: NDArray[np.bool_]) -> pa.Array:
    """Fen as decimals of yuan."""
    words = np.zeros((len(fen), 2), dtype=np.int64)  # 128 bits, little endian; none is negative
    words[:, 0] = np.where(valid, fen, 0)
    mask = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.decimal128(12, 2), len(fen), [mask, pa.py_buffer(words)])
