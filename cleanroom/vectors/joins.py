"""The steps of the join from fixed seeds: both parties of each file, and what a run of them must give."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols import cuckoo, grouped_sum, hint, oprf_ecdh, oprf_kkrt, oprf_vole
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import Protocol
from cleanroom.vectors.pairs import Exchange, Frame, Scene, Side, run_scene

__all__ = [
    "digest_of",
    "frames_hold",
    "grouped_sum_run",
    "grouped_sum_scene",
    "hint_run",
    "hint_scene",
    "oprf_ecdh_run",
    "oprf_ecdh_scene",
    "oprf_kkrt_run",
    "oprf_kkrt_scene",
    "oprf_vole_run",
    "oprf_vole_scene",
    "streams_of",
    "words",
]

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
SIDES = ("exposure", "outcome")
E = TypeVar("E", bound=hint.Evaluator)


def streams_of(content: Any, side: str) -> Streams:
    """One side's random streams, from a file's seeds and session."""
    return Streams(seed=bytes.fromhex(content["seeds"][side]), session_id=bytes.fromhex(content["session_id"]))


def _rows(texts: list[str]) -> Bytes:
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(len(texts), -1)


def digest_of(array: NDArray[Any]) -> str:  # Any: words of any size
    """SHA-256 of an array's words, little endian, as a file writes it."""
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def words(table: list[list[str]]) -> Words:
    """Words that a file writes as decimal text, as an array of its shape."""
    return np.array([[int(word) for word in row] for row in table], dtype=np.uint64)


def frames_hold(content: Any, frames: list[Frame]) -> Iterator[tuple[str, bool]]:
    """Each side's frames against the file's: step, length and SHA-256, in the order in which that side sends them."""
    for number, side in enumerate(SIDES):
        found = [
            (step, len(frame), hashlib.sha256(frame).hexdigest()) for sender, step, frame in frames if sender == number
        ]
        expected = [
            (entry["step"], entry["bytes"], entry["sha256"]) for entry in content["frames"] if entry["from"] == side
        ]
        yield f"number of frames of the {side} side", len(found) == len(expected)
        for place, (one, other) in enumerate(zip(found, expected, strict=False)):
            yield f"{side} side's frame {place}, {other[0]}", one == other


def _oprf_scene(
    content: Any, queries: Bytes, receiver: Callable[..., Protocol[Bytes]], sender: Callable[..., Protocol[E]]
) -> Scene[Bytes, E]:
    """An oblivious PRF, with `receiver` and `sender` those of a profile; a file without a bucket is about the first."""
    shared = {"output_bytes": content["output_bytes"], "bucket": content.get("bucket", 0)}
    return (
        lambda: Side(protocol=receiver(queries=queries, streams=streams_of(content, "exposure"), **shared)),
        lambda: Side(protocol=sender(n_bins=len(queries), streams=streams_of(content, "outcome"), **shared)),
    )


def oprf_ecdh_scene(content: Any) -> Scene[Bytes, oprf_ecdh.Evaluator]:
    """Profile ecdh."""
    queries = _rows([entry["query"] for entry in content["bins"]])
    return _oprf_scene(content, queries, oprf_ecdh.receiver, oprf_ecdh.sender)


def oprf_ecdh_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Blinded and evaluated elements, and the outputs."""
    run = run_scene(oprf_ecdh_scene(content))
    yield from frames_hold(content, run.frames)
    queries, outputs = (_rows([entry[name] for entry in content["bins"]]) for name in ("query", "output"))
    yield "outputs", np.array_equal(run.first, outputs)
    evaluated = run.second.evaluate(queries, np.arange(len(queries), dtype=np.int64))
    yield "outputs of the sender", np.array_equal(evaluated, outputs)


def _numbered_queries(content: Any) -> Bytes:
    return _rows([hashlib.sha256(b"query %d" % number).hexdigest()[:52] for number in range(content["n_bins"])])


def _bins_hold(content: Any, run: Exchange[Bytes, E]) -> Iterator[tuple[str, bool]]:
    """Some bins of numbered queries: the queries, and outputs at them and elsewhere."""
    queries = _numbered_queries(content)
    bins = np.array([entry["bin"] for entry in content["bins"]], dtype=np.int64)
    yield "queries", np.array_equal(queries[bins], _rows([entry["query"] for entry in content["bins"]]))
    outputs = _rows([entry["output"] for entry in content["bins"]])
    yield "outputs", np.array_equal(run.first[bins], outputs)
    yield "outputs of the sender", np.array_equal(run.second.evaluate(queries[bins], bins), outputs)
    elsewhere = _rows([entry["output_of_the_query_of_the_bin_before"] for entry in content["bins"]])
    yield "outputs at other points", np.array_equal(run.second.evaluate(queries[bins - 1], bins), elsewhere)


def oprf_kkrt_scene(content: Any) -> Scene[Bytes, oprf_kkrt.Evaluator]:
    """Profile kkrt."""
    return _oprf_scene(content, _numbered_queries(content), oprf_kkrt.receiver, oprf_kkrt.sender)


def oprf_kkrt_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Base transfers and correction, the sender's mask and rows, and outputs at queries and elsewhere."""
    run = run_scene(oprf_kkrt_scene(content))
    yield from frames_hold(content, run.frames)
    yield "mask", run.second.mask.tobytes().hex() == content["mask"]
    rows = [run.second.rows[entry["bin"]].tobytes().hex() for entry in content["bins"]]
    yield "rows", rows == [entry["row"] for entry in content["bins"]]
    yield from _bins_hold(content, run)


def oprf_vole_scene(content: Any) -> Scene[Bytes, oprf_vole.Evaluator]:
    """Profile vole."""
    return _oprf_scene(content, _numbered_queries(content), oprf_vole.receiver, oprf_vole.sender)


def oprf_vole_run(content: Any) -> Iterator[tuple[str, bool]]:
    """The vector OLE and the masked points, the sender's Δ and elements, and outputs at queries and elsewhere."""
    run = run_scene(oprf_vole_scene(content))
    yield from frames_hold(content, run.frames)
    yield "delta", run.second.delta.hex() == content["delta"]
    prefix = oprf_vole.input_prefix(bytes.fromhex(content["session_id"]), content["bucket"])
    points = _kernels.oprf_vole_points(prefix, _rows([entry["query"] for entry in content["bins"]]))
    rows = [run.second.rows[entry["bin"]] for entry in content["bins"]]
    for name, elements in (("point", points), ("row", rows)):
        found = [element.astype("<u8").tobytes().hex() for element in elements]
        yield f"{name}s", found == [entry[name] for entry in content["bins"]]
    yield from _bins_hold(content, run)


class _ShakePrf:
    """The hint's F in its vectors: SHAKE-256(bin u64 LE ‖ input)."""

    def evaluate(self, inputs: Bytes, bins: NDArray[np.int64]) -> Bytes:
        answers = [
            hashlib.shake_256(int(at).to_bytes(8, "little") + bytes(row)).digest(hint.output_bytes(2))
            for row, at in zip(inputs, bins, strict=True)
        ]
        return np.frombuffer(b"".join(answers), np.uint8).reshape(len(inputs), -1)


def hint_scene(content: Any) -> Scene[tuple[Words, Words], tuple[Words, Words]]:
    """The hint on a stand-in for the oblivious PRF; the receiver sends nothing."""
    n_bins, bound, queries = content["n_bins"], content["rows_outcome"], _rows(content["queries"])
    return (
        lambda: Side(
            protocol=hint.receiver(
                streams=streams_of(content, "exposure"),
                queries=queries,
                answers=_ShakePrf().evaluate(queries, np.arange(n_bins, dtype=np.int64)),
                rows_outcome=bound,
            )
        ),
        lambda: Side(
            protocol=hint.sender(
                prepared=hint.prepare(
                    streams=streams_of(content, "outcome"),
                    keys=_rows([row["key"] for row in content["outcome"]]),
                    values=words([row["values"] for row in content["outcome"]]),
                    rows_outcome=bound,
                    n_bins=n_bins,
                ),
                streams=streams_of(content, "outcome"),
                bin_seed=bytes.fromhex(content["bin_seed"]),
                evaluator=_ShakePrf(),
            )
        ),
    )


def hint_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Bins, queries and the hint."""
    receiver, n_bins = streams_of(content, "exposure"), content["n_bins"]
    seed = cuckoo.bin_seed(session_id=receiver.session_id)
    yield "seed of the bins", seed.hex() == content["bin_seed"]
    own = _rows([row["key"] for row in content["exposure"]])
    positions = cuckoo.positions(own, seed, n_bins)
    yield "positions", positions.tolist() == [row["positions"] for row in content["exposure"]]
    table = cuckoo.Table.build(own, n_bins, seed)
    queries = cuckoo.queries(table, own, receiver.key(step="bins", purpose="dummies"))
    yield "queries", np.array_equal(queries, _rows(content["queries"]))
    run = run_scene(hint_scene(content))
    yield from frames_hold(content, run.frames)
    targets, masks = run.second
    yield "targets", [str(word) for word in targets] == content["targets"]
    yield "masks", np.array_equal(masks, words(content["masks"]))
    decoded, payloads = run.first
    yield "decoded", np.array_equal(np.column_stack([decoded, payloads]), words(content["decoded"]))
    values = {row["key"]: [int(word) for word in row["values"]] for row in content["outcome"]}
    common = sorted(values[row["key"]] for row in content["exposure"] if row["key"] in values)
    yield "values of the matches", sorted((payloads + masks)[decoded == targets].tolist()) == common


def grouped_sum_scene(content: Any) -> Scene[Words, Words]:
    """The grouped sum by ring-LWE."""
    drawn = [
        hashlib.sha256(b"share %d %d" % (bin_, column)).digest()[:8]
        for bin_ in range(content["bins"])
        for column in (0, 1)
    ]
    shares = np.frombuffer(b"".join(drawn), dtype="<u8").reshape(-1, 2).astype(np.uint64)
    weights = np.array(content["weights"], dtype=np.int64)
    shape = grouped_sum.Shape(
        groups=content["groups"],
        class_position=tuple(content["class_position"]),
        rows=content["rows"],
        weight_bound=content["weight_bound"],
        entries_per_bin=100,  # public, but on no message
    )
    return (
        lambda: Side(
            protocol=grouped_sum.receiver(
                streams=streams_of(content, "exposure"),
                shape=shape,
                n_bins=len(shares),
                weights=grouped_sum.Weights.of_entries(
                    weights[:, 0].copy(), weights[:, 1].astype(np.int32), weights[:, 2].copy()
                ),
            )
        ),
        lambda: Side(protocol=grouped_sum.sender(streams=streams_of(content, "outcome"), shape=shape, shares=shares)),
    )


def grouped_sum_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Every message and both shares."""
    run = run_scene(grouped_sum_scene(content))
    yield from frames_hold(content, run.frames)
    for side, share in (("exposure", run.first), ("outcome", run.second)):
        yield f"share of the {side} side", np.array_equal(share, words(content[f"shares_{side}"]))
