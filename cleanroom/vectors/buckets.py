"""A join in buckets from fixed seeds: which row belongs where, every frame, both shares, and the sums."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cleanroom.protocols import private_join
from cleanroom.protocols.buckets import Partition
from cleanroom.protocols.join_rows import Lookups, Rows
from cleanroom.protocols.private_join import JoinOutput, JoinParameters, Oprf
from cleanroom.vectors.joins import frames_hold, streams_of, words
from cleanroom.vectors.pairs import Scene, Side, run_scene

__all__ = ["buckets_run", "buckets_scene"]


def _parameters(content: Any) -> JoinParameters:
    return JoinParameters(
        oprf=Oprf(content["profile"]),
        rows_exposure=content["rows_exposure"],
        rows_outcome=content["rows_outcome"],
        groups=content["groups"],
        class_positions=tuple(content["class_position"]),
        weight_bound=content["weight_bound"],
        targets_per_row=content["targets_per_row"],
        bucket_rows=content["bucket_rows"],
    )


def _keys(rows: Any) -> Any:
    return np.frombuffer(bytes.fromhex("".join(row["key"] for row in rows)), dtype=np.uint8).reshape(-1, 16)


def _lookups(content: Any) -> Lookups:
    held = [row["weights"] for row in content["exposure"]]
    flat = np.array([entry for entries in held for entry in entries], dtype=np.int64)
    return Lookups(
        keys=_keys(content["exposure"]),
        indptr=np.cumsum([0, *map(len, held)], dtype=np.int64),
        target=flat[:, 0].astype(np.int32),
        weight=flat[:, 1].copy(),
    )


def _rows(content: Any) -> Rows:
    values = words([row["values"] for row in content["outcome"]])
    return Rows(keys=_keys(content["outcome"]), values=values.view(np.int64))


def buckets_scene(content: Any) -> Scene[JoinOutput, JoinOutput]:
    """Both sides of the join."""
    parameters = _parameters(content)
    return (
        lambda: Side(
            protocol=private_join.exposure(
                parameters=parameters, lookups=_lookups(content), streams=streams_of(content, "exposure")
            )
        ),
        lambda: Side(
            protocol=private_join.outcome(
                parameters=parameters, rows=_rows(content), streams=streams_of(content, "outcome")
            )
        ),
    )


def buckets_run(content: Any) -> Iterator[tuple[str, bool]]:
    """The buckets of the rows, every message, both shares, and what they open to."""
    division = _parameters(content).division
    for side, capacity in (("exposure", division.exposure), ("outcome", division.outcome)):
        partition = Partition(
            session_id=bytes.fromhex(content["session_id"]),
            buckets=division.count,
            rows=content[f"rows_{side}"],
            capacity=capacity,
        )
        expected = [row["bucket"] for row in content[side]]
        yield f"buckets of the {side} side", partition.numbers(_keys(content[side])).tolist() == expected
    run = run_scene(buckets_scene(content))
    yield from frames_hold(content, run.frames)
    for side, share in (("exposure", run.first.shares), ("outcome", run.second.shares)):
        yield f"share of the {side} side", np.array_equal(share, words(content[f"shares_{side}"]))
    opened = (run.first.shares + run.second.shares).tolist()
    yield "sums", opened == _plain(content)


def _plain(content: Any) -> list[list[int]]:
    values = {row["key"]: [int(word) for word in row["values"]] for row in content["outcome"]}
    sums = [[0] * len(content["class_position"]) for _ in range(content["groups"])]
    for row in content["exposure"]:
        for target, weight in row["weights"]:
            position, group = divmod(target, content["groups"])
            for column, own in enumerate(content["class_position"]):
                if own == position and row["key"] in values:
                    sums[group][column] = (sums[group][column] + weight * values[row["key"]][column]) % (1 << 64)
    return sums
