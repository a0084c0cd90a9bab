"""Single steps between two parties: the oblivious PRFs, the hint, the grouped sum."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from tools.recipes.record import (
    EXPOSURE,
    OUTCOME,
    SESSION_ID,
    Json,
    head,
    listed,
    parties,
    streams,
    table,
)
from tools.slow import base_ot, cuckoo, grouped_sum, hint, kkrt, oprf, oprf_vole
from tools.slow.frames import Sent, pieces
from tools.slow.streams import keystream
from tools.slow.transcript import Frame, numbered

__all__ = ["grouped_sum_run", "hint_run", "oprf_ecdh_run", "oprf_kkrt_run", "oprf_vole_run"]

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


KKRT_BINS: Final = 130  # the second group of 128 is filled up
KKRT_BUCKET: Final = 3
KKRT_OUTPUT: Final = 8 + 8 * 5  # five columns: the masks take two hashes
KKRT_SHOWN: Final = (0, 1, 127, 128, 129)


@cache
def _kkrt() -> tuple[list[Frame], bytes, list[Json]]:
    exposure, outcome = streams()
    label = f"oprf-kkrt {KKRT_BUCKET}"
    domain = SESSION_ID + len(label).to_bytes(2, "little") + label.encode()
    drawn = keystream(outcome.key("oprf", "mask", direction="sender", bucket=KKRT_BUCKET), 56)
    bits = [drawn[column // 8] >> column % 8 & 1 for column in range(448)]
    receiver_key = outcome.key("base_ot", label, direction="receiver")
    sender_key = exposure.key("base_ot", label, direction="sender")
    elements = base_ot.receiver_message(receiver_key, domain, bits)
    answer = base_ot.sender_message(sender_key, len(bits))
    flat = pieces(base_ot.sender_keys(sender_key, domain, elements), 16)
    pairs = list(zip(flat[0::2], flat[1::2], strict=True))
    chosen = [pair[bit] for pair, bit in zip(pairs, bits, strict=True)]
    assert b"".join(chosen) == base_ot.receiver_keys(receiver_key, domain, bits, elements, answer)

    queries = [hashlib.sha256(b"query %d" % number).digest()[:26] for number in range(KKRT_BINS)]
    message = kkrt.correction(pairs, kkrt.code_keys(SESSION_ID, KKRT_BUCKET), queries)
    mask = int.from_bytes(drawn, "little")
    bins: list[Json] = []
    for index in KKRT_SHOWN:
        row = kkrt.sender_row(chosen, mask, message, index)
        found = [
            kkrt.evaluate(row, mask, SESSION_ID, KKRT_BUCKET, index=index, data=data, output_bytes=KKRT_OUTPUT)
            for data in (queries[index], queries[index - 1])
        ]
        own = kkrt.receiver_row(pairs, index)
        assert found[0] == kkrt.hash_row(SESSION_ID, KKRT_BUCKET, index, own, KKRT_OUTPUT)
        bins.append(
            {
                "bin": index,
                "query": queries[index].hex(),
                "row": row.to_bytes(56, "little").hex(),
                "output": found[0].hex(),
                "output_of_the_query_of_the_bin_before": found[1].hex(),
            }
        )
    sent = [
        (OUTCOME, Sent("base_ot.receiver_elements", elements)),
        (EXPOSURE, Sent("base_ot.sender_elements", answer)),
        (EXPOSURE, Sent("oprf.correction", message)),
    ]
    return numbered(sent), drawn, bins


def oprf_kkrt_frames() -> list[Frame]:
    """Profile kkrt on 130 bins of bucket 3: base transfers, then one correction."""
    return _kkrt()[0]


def oprf_kkrt_run() -> Json:
    """oprf_kkrt/v1/run.json."""
    frames, drawn, bins = _kkrt()
    return {
        **head("oprf_kkrt", "wire/oprf-kkrt.md"),
        **parties(),
        "queries": 'that of bin i is the first 26 bytes of SHA-256("query i")',
        "bucket": KKRT_BUCKET,
        "n_bins": KKRT_BINS,
        "output_bytes": KKRT_OUTPUT,
        "mask": drawn.hex(),
        "bins": bins,
        "frames": listed(frames),
    }


VOLE_BINS: Final = 40
VOLE_BUCKET: Final = 3
VOLE_OUTPUT: Final = 8 + 8 * 5  # five columns: the masks take two hashes
VOLE_SHOWN: Final = (0, 1, 38, 39)


@cache
def _vole() -> tuple[list[Frame], int, list[Json]]:
    exposure, outcome = streams()
    queries = [hashlib.sha256(b"query %d" % number).digest()[:26] for number in range(VOLE_BINS)]
    made = oprf_vole.run(receiver=exposure, sender=outcome, queries=queries, bucket=VOLE_BUCKET)
    bins: list[Json] = []
    for index in VOLE_SHOWN:
        row = made.rows[index]
        found = [
            oprf_vole.evaluate(
                row, made.delta, SESSION_ID, VOLE_BUCKET, index=index, data=data, output_bytes=VOLE_OUTPUT
            )
            for data in (queries[index], queries[index - 1])
        ]
        assert found[0] == oprf_vole.hash_element(SESSION_ID, VOLE_BUCKET, index, made.values[index], VOLE_OUTPUT)
        bins.append(
            {
                "bin": index,
                "query": queries[index].hex(),
                "point": oprf_vole.point(SESSION_ID, VOLE_BUCKET, queries[index]).to_bytes(16, "little").hex(),
                "row": row.to_bytes(16, "little").hex(),
                "output": found[0].hex(),
                "output_of_the_query_of_the_bin_before": found[1].hex(),
            }
        )
    return numbered((EXPOSURE if own else OUTCOME, one) for own, one in made.messages), made.delta, bins


def oprf_vole_frames() -> list[Frame]:
    """Profile vole on 40 bins of bucket 3: a silent vector OLE, then one message of masked points."""
    return _vole()[0]


def oprf_vole_run() -> Json:
    """oprf_vole/v1/run.json."""
    frames, delta, bins = _vole()
    return {
        **head("oprf_vole", "wire/oprf-vole.md"),
        **parties(),
        "queries": 'that of bin i is the first 26 bytes of SHA-256("query i")',
        "bucket": VOLE_BUCKET,
        "n_bins": VOLE_BINS,
        "output_bytes": VOLE_OUTPUT,
        "delta": delta.to_bytes(16, "little").hex(),
        "bins": bins,
        "frames": listed(frames),
    }
