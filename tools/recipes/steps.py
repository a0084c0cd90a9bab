"""Single steps between two parties: the oblivious PRFs, the hint, the grouped sum."""

from __future__ import annotations

import hashlib
from typing import Final

from tools.recipes.record import (
    EXPOSURE,
    OUTCOME,
    SESSION_ID,
    Json,
    head,
    listed,
    numbered,
    parties,
    streams,
    table,
)
from tools.slow import cuckoo, grouped_sum, hint, oprf
from tools.slow.frames import Sent
from tools.slow.transcript import Frame

__all__ = ["grouped_sum_run", "hint_run", "oprf_ecdh_run"]

WORD: Final = 1 << 64


def oprf_ecdh_frames() -> tuple[list[Frame], list[Json]]:
    """Profile ecdh on four bins and nine columns, so that the masks take two hashes."""
    exposure, outcome = streams()
    blinds_key = exposure.key("oprf", "blinds", direction="receiver")
    keys_seed = outcome.key("oprf", "bin keys", direction="sender")
    bins: list[Json] = []
    sent = answered = b""
    for number in range(4):
        query = hashlib.sha256(b"query %d" % number).digest()[:26]
        key = oprf.derive_key(keys_seed, number.to_bytes(8, "little"))
        scalar = oprf.random_scalar(blinds_key, number)
        blinded = oprf.blind(query, scalar)
        evaluated = oprf.blind_evaluate(key, blinded)
        output = oprf.expand_output(oprf.finalize(query, scalar, evaluated), SESSION_ID, 8 + 8 * 9)
        sent, answered = sent + blinded, answered + evaluated
        bins.append({"query": query.hex(), "key": key.to_bytes(32, "little").hex(), "output": output.hex()})
    return numbered([(EXPOSURE, Sent("oprf.blinded", sent)), (OUTCOME, Sent("oprf.evaluated", answered))]), bins


def oprf_ecdh_run() -> Json:
    """oprf_ecdh/v1/run.json."""
    frames, bins = oprf_ecdh_frames()
    return {
        **head("oprf_ecdh", "wire/oprf-ecdh.md"),
        **parties(),
        "output_bytes": len(bins[0]["output"]) // 2,
        "bins": bins,
        "frames": listed(frames),
    }


HINT_BINS: Final = 12
HINT_COLUMNS: Final = 2
HINT_ROWS: Final = 4


def _row_key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:16]


def _stand_in(at: int, query: bytes) -> bytes:
    """F of a query under the key of a bin."""
    return hashlib.shake_256(at.to_bytes(8, "little") + query).digest(8 + 8 * HINT_COLUMNS)


def _hint() -> tuple[hint.Hint, list[bytes], dict[bytes, list[int]], list[bytes]]:
    exposure, outcome = streams()
    seed = cuckoo.bin_seed(SESSION_ID)
    own = [_row_key(name) for name in "abcdef"]
    rows = {_row_key("b"): [1, 2], _row_key("e"): [WORD - 1, 7], _row_key("x"): [5, 0]}
    placed = cuckoo.place([cuckoo.positions(key, seed, HINT_BINS) for key in own], HINT_BINS)
    assert placed is not None
    queries = cuckoo.queries(placed, own, exposure)
    made = hint.send(
        streams=outcome,
        rows=rows,
        columns=HINT_COLUMNS,
        rows_outcome=HINT_ROWS,
        n_bins=HINT_BINS,
        bin_seed=seed,
        prf=_stand_in,
    )
    return made, own, rows, queries


def hint_frames() -> list[Frame]:
    """The frames of hint/v1/run.json."""
    return numbered((OUTCOME, message) for message in _hint()[0].sent)


def hint_run() -> Json:
    """hint/v1/run.json: bins, queries and the hint on a stand-in for the oblivious PRF."""
    made, own, rows, queries = _hint()
    seed = cuckoo.bin_seed(SESSION_ID)
    answers = [_stand_in(at, query) for at, query in enumerate(queries)]
    decoded = hint.receive(session_id=SESSION_ID, hint=made, queries=queries, answers=answers, rows_outcome=HINT_ROWS)
    for at, query in enumerate(queries):  # a match decodes to the target, everything else to noise
        matched = query[:16] in rows and query[17] == 0
        assert (decoded[at][0] == made.targets[at]) is matched
        if matched:
            total = [(word + mask) % WORD for word, mask in zip(decoded[at][1:], made.masks[at], strict=True)]
            assert total == rows[query[:16]]
    return {
        **head("hint", "wire/hint.md"),
        **parties(),
        "bin_seed": seed.hex(),
        "n_bins": HINT_BINS,
        "rows_outcome": HINT_ROWS,
        "exposure": [{"key": key.hex(), "positions": cuckoo.positions(key, seed, HINT_BINS)} for key in own],
        "outcome": [{"key": key.hex(), "values": [str(value) for value in row]} for key, row in rows.items()],
        "queries": [query.hex() for query in queries],
        "targets": [str(word) for word in made.targets],
        "masks": table(made.masks),
        "decoded": table(decoded),
        "frames": listed(hint_frames()),
    }


SUM_SHAPE: Final = grouped_sum.Shape(groups=2, class_position=(0, 1), rows=16384, weight_bound=4096)
SUM_BINS: Final = 8194  # a full block and two bins of the next
SUM_WEIGHTS: Final = [(0, 0, 7), (5, 0, -4096), (8193, 0, 11), (8191, 1, 1), (5, 2, 3), (8192, 2, 4096)]


def _sum() -> grouped_sum.Sum:
    exposure, outcome = streams()
    shares = [
        [int.from_bytes(hashlib.sha256(b"share %d %d" % (at, column)).digest()[:8], "little") for column in (0, 1)]
        for at in range(SUM_BINS)
    ]
    return grouped_sum.run(sender=outcome, receiver=exposure, shape=SUM_SHAPE, shares=shares, weights=SUM_WEIGHTS)


def _sum_frames(made: grouped_sum.Sum) -> list[Frame]:
    sent = [(OUTCOME, message) for message in made.from_sender] + [(EXPOSURE, one) for one in made.from_receiver]
    return numbered(sent)


def grouped_sum_frames() -> list[Frame]:
    """The frames of grouped_sum/v1/run.json."""
    return _sum_frames(_sum())


def grouped_sum_run() -> Json:
    """grouped_sum/v1/run.json: two blocks, two classes; the last target has no weight."""
    made = _sum()
    return {
        **head("grouped_sum", "wire/grouped-sum.md"),
        **parties(),
        "groups": SUM_SHAPE.groups,
        "class_position": list(SUM_SHAPE.class_position),
        "rows": SUM_SHAPE.rows,
        "weight_bound": SUM_SHAPE.weight_bound,
        "bins": SUM_BINS,
        "shares": 'word (bin, column) is the first 8 bytes, little endian, of SHA-256("share BIN COLUMN")',
        "weights": [list(weight) for weight in SUM_WEIGHTS],
        "frames": listed(_sum_frames(made)),
        "shares_outcome": table(made.sender),
        "shares_exposure": table(made.receiver),
    }
