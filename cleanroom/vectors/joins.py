"""Checks of the project's own steps: whole runs of two parties from fixed seeds, message by message."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cleanroom.agreement.model import Noise, Role
from cleanroom.protocols import cuckoo, grouped_sum, hint, oprf_ecdh, oprf_kkrt
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import Protocol
from cleanroom.release import opening
from cleanroom.release.terms import ReleaseTerms
from cleanroom.vectors.pairs import exchange

__all__ = ["grouped_sum_run", "hint_run", "oprf_ecdh_run", "oprf_kkrt_run", "release_opening", "release_terms"]


def _streams(content: Any, name: str) -> Streams:
    return Streams(seed=bytes.fromhex(content[name]), session_id=bytes.fromhex(content["session_id"]))


def _rows(texts: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(len(texts), -1)


def _messages(payloads: list[tuple[int, str, bytes]]) -> list[tuple[str, str]]:
    return [(step, hashlib.sha256(payload).hexdigest()) for _, step, payload in payloads]


def _expected(content: Any) -> list[tuple[str, str]]:
    return [(message["step"], message["sha256"]) for message in content["messages"]]


def oprf_ecdh_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Profile ecdh: blinded and evaluated elements, and the outputs."""
    queries = _rows([entry["query"] for entry in content["bins"]])
    size = content["output_bytes"]
    run = exchange(
        oprf_ecdh.receiver(queries=queries, output_bytes=size, streams=_streams(content, "receiver_seed")),
        oprf_ecdh.sender(n_bins=len(queries), output_bytes=size, streams=_streams(content, "sender_seed")),
    )
    yield "messages", _messages(run.payloads()) == _expected(content)
    outputs = _rows([entry["output"] for entry in content["bins"]])
    yield "outputs", np.array_equal(run.first, outputs)
    evaluated = run.second.evaluate(queries, np.arange(len(queries), dtype=np.int64))
    yield "outputs of the sender", np.array_equal(evaluated, outputs)


def oprf_kkrt_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Profile kkrt: base transfers and correction, the sender's mask and rows, and outputs at queries and elsewhere."""
    count, size, bucket = content["n_bins"], content["output_bytes"], content["bucket"]
    queries = _rows([hashlib.sha256(b"query %d" % number).hexdigest()[:52] for number in range(count)])
    own, other = (_streams(content, name) for name in ("receiver_seed", "sender_seed"))
    run = exchange(
        oprf_kkrt.receiver(queries=queries, output_bytes=size, streams=own, bucket=bucket),
        oprf_kkrt.sender(n_bins=count, output_bytes=size, streams=other, bucket=bucket),
    )
    yield "messages", _messages(run.payloads()) == _expected(content)
    yield "mask", run.second.mask.tobytes().hex() == content["mask"]
    bins = np.array([entry["bin"] for entry in content["bins"]], dtype=np.int64)
    yield "queries", np.array_equal(queries[bins], _rows([entry["query"] for entry in content["bins"]]))
    yield "rows", np.array_equal(run.second.rows[bins], _rows([entry["row"] for entry in content["bins"]]))
    outputs = _rows([entry["output"] for entry in content["bins"]])
    yield "outputs", np.array_equal(run.first[bins], outputs)
    yield "outputs of the sender", np.array_equal(run.second.evaluate(queries[bins], bins), outputs)
    elsewhere = _rows([entry["output_of_the_query_of_the_bin_before"] for entry in content["bins"]])
    yield "outputs at other points", np.array_equal(run.second.evaluate(queries[bins - 1], bins), elsewhere)


class _ShakePrf:
    """The hint's F in its vectors: SHAKE-256(bin u64 LE ‖ input)."""

    def evaluate(self, inputs: NDArray[np.uint8], bins: NDArray[np.int64]) -> NDArray[np.uint8]:
        answers = [
            hashlib.shake_256(int(at).to_bytes(8, "little") + bytes(row)).digest(hint.output_bytes(2))
            for row, at in zip(inputs, bins, strict=True)
        ]
        return np.frombuffer(b"".join(answers), np.uint8).reshape(len(inputs), -1)


def hint_run(content: Any) -> Iterator[tuple[str, bool]]:
    """Bins, queries and the hint on a stand-in for the oblivious PRF."""
    receiver, n_bins, bound = _streams(content, "receiver_seed"), content["n_bins"], content["rows_outcome"]
    seed = cuckoo.bin_seed(session_id=receiver.session_id)
    yield "seed of the bins", seed.hex() == content["bin_seed"]
    own, other = (_rows([row["key"] for row in content[side]]) for side in ("exposure", "outcome"))
    positions = cuckoo.positions(own, seed, n_bins)
    yield "positions", positions.tolist() == [row["positions"] for row in content["exposure"]]
    table = cuckoo.Table.build(own, n_bins, seed)
    queries = cuckoo.queries(table, own, receiver.key(step="bins", purpose="dummies"))
    yield "queries", np.array_equal(queries, _rows(content["queries"]))
    run = exchange(
        hint.sender(
            streams=_streams(content, "sender_seed"),
            keys=other,
            values=np.array([[int(word) for word in row["values"]] for row in content["outcome"]], dtype=np.uint64),
            rows_outcome=bound,
            n_bins=n_bins,
            bin_seed=seed,
            evaluator=_ShakePrf(),
        ),
        hint.receiver(
            streams=receiver,
            queries=queries,
            answers=_ShakePrf().evaluate(queries, np.arange(n_bins, dtype=np.int64)),
            rows_outcome=bound,
        ),
    )
    targets, masks = run.first
    yield "targets", [str(word) for word in targets] == content["targets"]
    yield "masks", [str(word) for word in masks.ravel()] == content["masks"]
    yield "messages", _messages(run.payloads()) == _expected(content)
    decoded, payloads = run.second
    values = {row["key"]: [int(word) for word in row["values"]] for row in content["outcome"]}
    common = sorted(values[row["key"]] for row in content["exposure"] if row["key"] in values)
    yield "values of the matches", sorted((payloads + masks)[decoded == targets].tolist()) == common


def grouped_sum_run(content: Any) -> Iterator[tuple[str, bool]]:
    """The grouped sum by ring-LWE: every message and both shares."""
    words = [
        hashlib.sha256(b"share %d %d" % (bin_, column)).digest()[:8]
        for bin_ in range(content["bins"])
        for column in (0, 1)
    ]
    shares = np.frombuffer(b"".join(words), dtype="<u8").reshape(-1, 2).astype(np.uint64)
    weights = np.array(content["weights"], dtype=np.int64)
    shape = grouped_sum.Shape(
        groups=content["groups"],
        class_position=tuple(content["class_position"]),
        rows=content["rows"],
        weight_bound=content["weight_bound"],
        entries=100,  # public, but on no message
    )
    run = exchange(
        grouped_sum.sender(streams=_streams(content, "sender_seed"), shape=shape, shares=shares),
        grouped_sum.receiver(
            streams=_streams(content, "receiver_seed"),
            shape=shape,
            n_bins=len(shares),
            weights=grouped_sum.Weights(
                bins=weights[:, 0].copy(), targets=weights[:, 1].astype(np.int32), weights=weights[:, 2].copy()
            ),
        ),
    )
    for message in content["messages"]:
        joined = b"".join(payload for _, step, payload in run.payloads() if step == message["step"])
        holds = len(joined) == message["bytes"] and hashlib.sha256(joined).hexdigest() == message["sha256"]
        yield message["step"], holds
    for name, share in (("sender_share", run.first), ("receiver_share", run.second)):
        yield name, [[str(word) for word in row] for row in share.tolist()] == content[name]


def release_opening(content: Any) -> Iterator[tuple[str, bool]]:
    """The opening of a release, with noise, without, and with a sole recipient."""
    truth = np.array(content["truth"], dtype=np.int64)
    first = np.array([[int(word, 16) for word in row] for row in content["shares_exposure"]], dtype=np.uint64)
    shares = {"exposure": first, "outcome": truth.view(np.uint64) - first}
    session_id = bytes.fromhex(content["session_id"])
    for name, case in content["cases"].items():
        terms = release_terms(
            groups=len(content["truth"]),
            gates=content["gates"],
            declared=content["declared"],
            min_people=content["min_people"],
            case=case,
        )
        noises = {side: np.array(case[f"noise_{side}"], dtype=np.int64) for side in shares}
        compares = _agreed_bits(terms, truth) if terms.noise is Noise.NONE else {}
        protocols = {
            side: open_side(
                terms=terms,
                shares=shares[side],
                noise=noises[side],
                streams=Streams(seed=bytes.fromhex(content["seeds"][side]), session_id=session_id),
                compare=compares.get(side),
            )
            for side, open_side in (("exposure", opening.exposure), ("outcome", opening.outcome))
        }
        run = exchange(protocols["exposure"], protocols["outcome"])
        found = [
            {
                "from": ("exposure", "outcome")[sender],
                "step": step,
                "length": len(payload),
                "sha256": hashlib.sha256(payload).hexdigest(),
            }
            for sender, step, payload in run.payloads()
            if step != "release.terms"  # names the version of the library that writes the files
        ]
        yield f"{name}, messages", found == case["messages"]
        yield f"{name}, cells that pass", run.first.passed.tolist() == run.second.passed.tolist() == case["passed"]


def release_terms(*, groups: int, gates: list[int], declared: list[bool], min_people: int, case: Any) -> ReleaseTerms:
    """The terms of a case: its noise and recipients, and the shape of its file. Scales and writer are in no answer."""
    return ReleaseTerms(
        groups=groups,
        gates=tuple(gates),
        declared=tuple(declared),
        noise=Noise(case["noise"]),
        scales=(0.0,) * len(gates),
        std_errors=(0.0,) * len(gates),
        min_people=min_people,
        writer="",
        recipients=frozenset(
            role for role, name in ((Role.EXPOSURE, "media"), (Role.OUTCOME, "shop")) if name in case["recipients"]
        ),
    )


def _agreed_bits(terms: ReleaseTerms, truth: NDArray[np.int64]) -> dict[str, opening.Compare]:
    """Stands in for the comparison, whose own answers are elsewhere: fixed shares of the bits, and no message."""
    gates = np.zeros(truth.shape, dtype=np.bool_)
    gates[:, list(terms.gate_columns)] = True
    passed = (truth[gates] >= terms.min_people).astype(np.uint8)

    def share(bits: NDArray[np.uint8]) -> opening.Compare:
        def compare(_shares: NDArray[np.uint64], _threshold: int) -> Protocol[NDArray[np.uint8]]:
            yield from ()
            return bits

        return compare

    return {"exposure": share(np.ones_like(passed)), "outcome": share(passed ^ np.uint8(1))}
