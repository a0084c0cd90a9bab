"""What a run will cost, from public parameters alone: bytes exactly, time and memory as estimates.

The bytes are the steps' own sums. A side's work is that of a core of 2021 (the constants below), scaled by how fast
this machine hashes, and in profile ecdh, whose work is nearly all there, by how fast it evaluates the oblivious PRF;
where both sides work at once the longer one counts, and the partner's machine is taken to be like this one. The memory
is what measured runs held.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cleanroom import _kernels, declared
from cleanroom.agreement.model import Agreement, Role
from cleanroom.attribution.rows import KEY_BYTES
from cleanroom.data.spill import MEMORY_BYTES
from cleanroom.execute import join_parameters
from cleanroom.plan import Plan
from cleanroom.protocols import oprf_ecdh, oprf_kkrt, oprf_vole, private_join, session
from cleanroom.protocols.private_join import JoinParameters, Oprf
from cleanroom.protocols.profiles import steps_of
from cleanroom.protocols.rlwe import DEGREE
from cleanroom.protocols.traffic import Traffic, Volume, total
from cleanroom.release import opening, signatures
from cleanroom.release.terms import terms_of

__all__ = ["Forecast", "forecast", "row_seconds", "traffic"]

_SAMPLE_POINTS: Final = 1 << 10
_SAMPLE_BLOCKS: Final = 16  # of each of as many seeds
_SAMPLE_ROWS: Final = 1 << 18
"""Where a row's own cost is read off: in one bucket, and nothing of the set-up weighs there."""
_MICROSECONDS: Final = {
    "block": 0.28,  # of SHA-512
    "blind": 38.8,  # a bin, at the exposure side
    "answer": 33.8,  # a bin, at the outcome side, meanwhile
    "finalize": 35.1,  # a bin, at the exposure side
    "evaluate": 40.8,  # a point of the hint (three a row), at the outcome side, meanwhile
    "extend": 0.45,  # profile kkrt: a bin, at the exposure side, while the outcome side takes half as long
    "hash": 0.7,  # profile kkrt: a point of the hint, at the outcome side
    "expand": 0.35,  # profile vole: a bin, both sides in turns and at once
    "multiply": 0.3,  # profile vole: a point of the hint, at the outcome side
    "encode": 0.7,  # a point
    "decode": 0.7,  # a bin
    "equality": 5.3,  # a bin, both sides in turns
    "silent equality": 6.7,  # profile vole: the same, with the expansion of its transfers
    "mux": 0.35,  # a bin, and as much again for every six columns
    "ciphertext": 800.0,  # a column of a block of bins, both sides
    "weight": 0.11,  # a weight of a bin, padding too
    "weight column": 0.03,  # the same, for every column, of whatever family
    "answer target": 1500.0,
    "set-up": 250_000.0,  # once: connection, handshake, base transfers, signatures
}
"""Measured on one core of an AMD Zen 3 of 2021, 2.5 GHz; those of profiles kkrt and vole on an Intel Xeon at 2.6 GHz,
and so are those of `element_sums`, which says what the weighing costs."""

_MEGABYTE: Final = 1 << 20
_BASE_BYTES: Final = 240 * _MEGABYTE
"""Interpreter and libraries; a run whose bounds are small holds no more."""
_STREAM_BYTES: Final = 64 * _MEGABYTE
"""Chunks on their way, tables of transfers, tiles of the grouped sum: bounded whatever the size."""
_STREAM_BIN_BYTES: Final = 100
_ROW_BYTES: Final = {Oprf.ECDH: 0, Oprf.KKRT: oprf_kkrt.WIDTH // 8, Oprf.VOLE: oprf_vole.ELEMENT_BYTES}
"""What the outcome side keeps of a bin until the hint is made."""
_EXPANSION_BYTES: Final = 48
"""What the silent transfers' expansion leaves of a bin at the exposure side."""
_PADDED_BYTES: Final = 64
"""A padded weight, while it is sorted."""
_TARGET_BYTES: Final = 3 * DEGREE * 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The cost of a run to one side.

    `sent` and `received` are frames as the transcript counts them, if every figure is released; each suppressed one
    saves 40 bytes in a direction. TLS and heartbeats come on top. `steps` are both directions by step.
    """

    sent: Volume
    received: Volume
    steps: Mapping[str, int]
    seconds: float
    memory_bytes: int


def traffic(agreement: Agreement, plan: Plan, *, opened: int | None = None) -> dict[str, Traffic]:
    """What exposure and outcome side send in a whole run, by step.

    Args:
        agreement: the agreement.
        plan: its plan.
        opened: cells that are opened after the gates; None for the most there can be.

    Raises:
        AgreementError: the noise cannot be calibrated.
    """
    whole, signature = session.volume() + declared.volume(agreement), signatures.volume()
    first, second = opening.traffic(terms_of(agreement, plan), opened=opened)
    return {
        "session": (whole, whole),
        **private_join.traffic(join_parameters(agreement, plan)),
        "release": (first + signature, second + signature),
    }


def forecast(agreement: Agreement, plan: Plan, *, role: Role) -> Forecast:
    """Says what a run will cost one side.

    Args:
        agreement: the agreement, signed or not.
        plan: its plan.
        role: the side.

    Raises:
        AgreementError: as `traffic`.
    """
    steps = traffic(agreement, plan)
    directions = [total(volumes) for volumes in zip(*steps.values(), strict=True)]
    if role is Role.OUTCOME:
        directions.reverse()
    parameters = join_parameters(agreement, plan)
    return Forecast(
        sent=directions[0],
        received=directions[1],
        steps={step: first.bytes + second.bytes for step, (first, second) in steps.items()},
        seconds=_seconds(parameters, scale=_scale(), points=_points_scale() if parameters.oprf is Oprf.ECDH else 1.0),
        memory_bytes=_memory(parameters, role),
    )


def row_seconds(agreement: Agreement, plan: Plan) -> dict[Role, float]:
    """What one more padded row of a side adds to the seconds of a run on the core of the constants.

    Read off the forecast of runs of one bucket, so it is the same for every tree, bound and machine.

    Args:
        agreement: its profile, columns and groups decide; its bounds do not.
        plan: its plan.

    Returns:
        Seconds a row of each role, in a run of both.
    """

    def seconds(exposure: int, outcome: int) -> float:
        choice = replace(agreement.protocol, max_rows_exposure=exposure, max_rows_outcome=outcome)
        return _seconds(join_parameters(replace(agreement, protocol=choice), plan), scale=1.0, points=1.0)

    rows = _SAMPLE_ROWS
    once = seconds(rows, rows)
    return {
        Role.EXPOSURE: (seconds(2 * rows, rows) - once) / rows,
        Role.OUTCOME: (seconds(rows, 2 * rows) - once) / rows,
    }


@functools.cache
def _scale() -> float:
    """How long this machine, with all its cores, takes for what the constants' core does in one unit of time.

    Read off SHA-512, which is arithmetic of general registers: what a processor has beyond that hardly speeds it up.
    """
    seeds = np.zeros((_SAMPLE_POINTS, 64), dtype=np.uint8)
    seconds = _best_of_three(lambda: _kernels.expand_hashes(seeds, b"forecast", 64 * _SAMPLE_BLOCKS))
    return seconds * 1e6 / (_MICROSECONDS["block"] * _SAMPLE_BLOCKS * _SAMPLE_POINTS)


@functools.cache
def _points_scale() -> float:
    """The same for points of the curve, which some processors multiply several times as fast as others."""
    evaluator = oprf_ecdh.Evaluator(n_bins=_SAMPLE_POINTS, output_bytes=16, session_id=bytes(32), seed=bytes(32))
    points = np.zeros((_SAMPLE_POINTS, oprf_ecdh.QUERY_BYTES), dtype=np.uint8)
    bins = np.arange(_SAMPLE_POINTS, dtype=np.int64)
    seconds = _best_of_three(lambda: evaluator.evaluate(points, bins))
    return seconds * 1e6 / (_MICROSECONDS["evaluate"] * _SAMPLE_POINTS)


def _best_of_three(work: Callable[[], object]) -> float:
    """Seconds; the first call also starts the threads."""
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def _seconds(parameters: JoinParameters, *, scale: float, points: float) -> float:
    division, columns, shape = parameters.division, parameters.columns, parameters.sum_shape
    n_bins = division.count * parameters.n_bins
    hinted = 3 * division.count * division.outcome
    blocks = division.count * -(-parameters.n_bins // DEGREE)
    cost = _MICROSECONDS
    if parameters.oprf is Oprf.KKRT:
        oprf = n_bins * cost["extend"] + hinted * (cost["hash"] + cost["encode"])
    elif parameters.oprf is Oprf.VOLE:
        oprf = n_bins * cost["expand"] + hinted * (cost["multiply"] + cost["encode"])
    else:
        point = {step: points / scale * cost[step] for step in ("blind", "answer", "finalize", "evaluate")}
        oprf = n_bins * max(point["blind"], point["answer"])
        oprf += max(n_bins * point["finalize"], hinted * (point["evaluate"] + cost["encode"]))
    equality = cost["silent equality" if steps_of(parameters.oprf).silent else "equality"]
    transfers = n_bins * (cost["decode"] + equality + cost["mux"] * (1 + columns / 6))
    sums = blocks * columns * cost["ciphertext"] + division.count * shape.load.way(parameters.n_bins).microseconds
    sums += shape.targets * cost["answer target"] + n_bins * shape.entries_per_bin * (
        cost["weight"] + columns * cost["weight column"]
    )
    return (cost["set-up"] + scale * (oprf + transfers + sums)) / 1e6


def _memory(parameters: JoinParameters, role: Role) -> int:
    """The largest of a bucket's phases: what a bin, a row, a weight and a target hold while it lasts."""
    n_bins, columns, shape = parameters.n_bins, parameters.columns, parameters.sum_shape
    rows_outcome = parameters.division.outcome
    words = 8 * (1 + columns)
    table = int(3.3 * rows_outcome) * words
    several = parameters.division.count > 1
    if role is Role.EXPOSURE:
        targets = shape.targets * _TARGET_BYTES  # held from the first bucket's sums on
        hint = n_bins * (26 + 32 + 3 * words) + table + targets * several
        hint += n_bins * _EXPANSION_BYTES * (parameters.oprf is Oprf.VOLE)
        padded = min(n_bins * shape.entries_per_bin, max(1 << 20, DEGREE * shape.entries_per_bin))
        sums = n_bins * 3 * words + targets + padded * _PADDED_BYTES
        if several:
            # a bucket's lookups are read for their keys, and for their weights; meanwhile so are the next one's, which
            # then wait in their bins; of all that are divided the first are in memory
            rows = parameters.division.exposure
            read, weights = 8 * (2 + shape.entries_per_bin) * rows, (24 + 12 * shape.entries_per_bin) * rows
            ahead = n_bins * (26 + 9) + 16 * rows + read + weights + MEMORY_BYTES
            hint = max(hint, n_bins * (26 + 32) + targets + read + weights) + ahead
            sums = max(sums, n_bins * words + targets + read) + weights + ahead
    else:
        hint = n_bins * words + 3 * rows_outcome * (26 + words) + table
        hint += n_bins * _ROW_BYTES[parameters.oprf]
        own = 2 * rows_outcome * (KEY_BYTES + 8 * columns)  # a bucket's rows, and as they are read
        hint += own + (own + MEMORY_BYTES) * several
        sums = n_bins * 3 * words
    return _BASE_BYTES + min(_STREAM_BYTES, n_bins * _STREAM_BIN_BYTES) + max(hint, sums)
