"""What the join shows each side: nothing but uniform words, and work and sizes that follow from public parameters.

The views are those of `docs/reference/wire`: the exposure side holds (t, z), its share of every equality bit and u^A,
the outcome side (T, r), its share of every bit, u^B and its share of the sums. A simulator that knows the public
parameters alone draws all of them uniformly, so every test of uniformity that fails here is a leak. Each check is
also run against the mutations that it is there to catch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.errors import DataError
from cleanroom.protocols import cuckoo, equality, grouped_sum, hint, mux, okvs, ot, private_join
from cleanroom.protocols.ot import OtReceiver, OtSender, ReceiverBatch, SenderBatch
from cleanroom.protocols.private_join import JoinOutput, JoinParameters, Oprf
from cleanroom.protocols.seeds import Streams, keystream
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Event, Progress, Protocol, Send
from tests.harness import Run, run_pair

SESSION = bytes(range(32))
ROWS = 256
PARAMETERS = JoinParameters(
    rows_exposure=ROWS, rows_outcome=ROWS, groups=2, class_positions=(0, 1), weight_bound=1, targets_per_row=2
)
Words = NDArray[np.uint64]


def keys_of(first: int, count: int) -> NDArray[np.uint8]:
    data = b"".join(hashlib.sha256(b"person %d" % (first + index)).digest()[:16] for index in range(count))
    return np.frombuffer(data, dtype=np.uint8).reshape(count, 16)


@dataclass
class Seen:
    """Everything that an instrumented run shows of both sides."""

    run: Run[JoinOutput, JoinOutput]
    words: dict[str, Words] = field(default_factory=dict)  # by name: bins × something
    bits: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    matched: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    work: list[object] = field(default_factory=list)
    labels: dict[bytes, list[tuple[Any, ...]]] = field(default_factory=dict)


def watched(protocol: Protocol[Any], name: str, work: list[object]) -> Protocol[Any]:
    """Runs a protocol and notes its progress reports, which become heartbeats on a link."""
    answer: bytes | None = None
    while True:
        try:
            event: Event = protocol.send(answer)
        except StopIteration as stop:
            return stop.value
        if isinstance(event, Progress):
            work.append((name, event.step, event.done, event.total))
        answer = yield event


def shapes(values: tuple[Any, ...]) -> tuple[object, ...]:
    sized = (bytes, np.ndarray)
    return tuple(
        value.shape if isinstance(value, np.ndarray) else len(value) for value in values if isinstance(value, sized)
    )


def observe(
    monkeypatch: pytest.MonkeyPatch,
    *,
    own: int = ROWS,
    other: int = ROWS,
    common: int,
    value: int = 5,
    oprf: Oprf = Oprf.KKRT,
) -> Seen:
    """Joins rows of which `common` are on both sides, every weight 1 and every value the same."""
    parameters = replace(PARAMETERS, oprf=oprf)
    words: dict[str, Words] = {}
    bits: dict[str, NDArray[np.uint8]] = {}
    work: list[object] = []
    labels: dict[bytes, list[tuple[Any, ...]]] = {}
    real_sender, real_receiver = equality.sender, equality.receiver
    real_exposure, real_outcome = mux.exposure, mux.outcome
    real_key = Streams.key

    def exposure_equality(ot: OtSender, values: Words) -> Protocol[NDArray[np.uint8]]:
        words["t"] = values[:, None]
        bits["a"] = yield from real_sender(ot, values)
        return bits["a"]

    def outcome_equality(ot: OtReceiver, values: Words) -> Protocol[NDArray[np.uint8]]:
        words["T"] = values[:, None]
        bits["b"] = yield from real_receiver(ot, values)
        return bits["b"]

    def exposure_mux(send: OtSender, receive: OtReceiver, own_bits: NDArray[np.uint8], z: Words) -> Protocol[Words]:
        words["z"] = z
        words["uA"] = yield from real_exposure(send, receive, own_bits, z)
        return words["uA"]

    def outcome_mux(send: OtSender, receive: OtReceiver, own_bits: NDArray[np.uint8], r: Words) -> Protocol[Words]:
        words["r"] = r
        words["uB"] = yield from real_outcome(send, receive, own_bits, r)
        return words["uB"]

    def key(self: Streams, **label: Any) -> bytes:
        labels.setdefault(self._seed, []).append(tuple(sorted(label.items())))
        return real_key(self, **label)

    def counted(name: str, kernel: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: Any) -> object:
            work.append((name, shapes(arguments)))
            return kernel(*arguments)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(equality, "sender", exposure_equality)
        patch.setattr(equality, "receiver", outcome_equality)
        patch.setattr(mux, "exposure", exposure_mux)
        patch.setattr(mux, "outcome", outcome_mux)
        patch.setattr(Streams, "key", key)
        for name in dir(_kernels):
            kernel = getattr(_kernels, name)
            if callable(kernel) and not isinstance(kernel, type):
                patch.setattr(_kernels, name, counted(name, kernel))
        run = run_pair(
            watched(
                private_join.exposure(
                    parameters=parameters,
                    keys=keys_of(0, own),
                    indptr=np.arange(own + 1, dtype=np.int64) * 2,
                    target=np.tile(np.array([0, 3], dtype=np.int32), own),
                    weight=np.ones(2 * own, dtype=np.int64),
                    streams=Streams(seed=bytes([1]) * 32, session_id=SESSION),
                ),
                "exposure",
                work,
            ),
            watched(
                private_join.outcome(
                    parameters=parameters,
                    keys=keys_of(own - common, other),
                    values=np.full((other, PARAMETERS.columns), value, dtype=np.uint64),
                    streams=Streams(seed=bytes([2]) * 32, session_id=SESSION),
                ),
                "outcome",
                work,
            ),
        )
    matched = words["t"][:, 0] == words["T"][:, 0]
    words["share"] = run.second.shares
    return Seen(run=run, words=words, bits=bits, matched=matched, work=work, labels=labels)


def deviation(bits: NDArray[np.uint8]) -> float:
    """How far the worst column of bits is from fair, in standard deviations."""
    return float(np.abs((2.0 * bits.sum(axis=0) - len(bits)) / np.sqrt(len(bits))).max())


def word_bits(words: Words) -> NDArray[np.uint8]:
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8).reshape(len(words), -1), axis=1)


def faults(seen: Seen, bound: float = 5.0) -> list[str]:
    """Names what in either view is not uniform, over matched and unmatched bins apart; empty for a join without leak.

    Some 2,000 standard normal scores are compared with 5: the seeds are fixed, a fresh run would exceed it with
    probability 10^-3.
    """
    views = {
        "exposure": {"t": seen.words["t"], "z": seen.words["z"], "uA": seen.words["uA"]},
        "outcome": {"T": seen.words["T"], "r": seen.words["r"], "uB": seen.words["uB"]},
    }
    own_bits = {"exposure": seen.bits["a"], "outcome": seen.bits["b"]}
    found = []
    for where, chosen in (("matched", seen.matched), ("unmatched", ~seen.matched)):
        if chosen.sum() < 64:
            continue
        for side, view in views.items():
            bit = own_bits[side][chosen]
            if deviation(bit[:, None]) > bound:
                found.append(f"{side} bit, {where}")
            first, mask, output = (words[chosen] for words in view.values())
            sign = np.uint64(1) - np.uint64(2) * bit[:, None].astype(np.uint64)
            # One word after the other, and what an attacker would try: outputs less inputs, under the own bit's sign.
            trials = {name: words[chosen] for name, words in view.items()}
            trials |= {"output - input": output - mask, "output + input": output + mask, "signed": output - sign * mask}
            trials |= {"selected": output - bit[:, None] * mask, "crossed": mask ^ first}
            found += [
                f"{side} {name}, {where}" for name, words in trials.items() if deviation(word_bits(words)) > bound
            ]
            if len(np.unique(first)) != first.size or len(np.unique(mask)) != mask.size:
                found.append(f"{side} repeats, {where}")
    return found


@pytest.mark.parametrize("oprf", Oprf)
@pytest.mark.parametrize("common", [0, ROWS // 2, ROWS])
def test_both_views_are_uniform_whatever_the_overlap(common: int, oprf: Oprf, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = observe(monkeypatch, common=common, oprf=oprf)
    assert seen.matched.sum() == common
    assert (seen.bits["a"] ^ seen.bits["b"]).tolist() == seen.matched.astype(int).tolist()
    assert faults(seen) == []
    expected = np.array([[5 * common, 0], [0, 5 * common]], dtype=np.uint64)
    assert np.array_equal(seen.run.first.shares + seen.run.second.shares, expected)


def zero_targets(streams: Streams, n_bins: int, columns: int, bucket: int) -> tuple[Words, Words]:
    _, masks = _fresh_output(streams, n_bins, columns, bucket)
    return np.zeros(n_bins, dtype=np.uint64), masks


def zero_masks(streams: Streams, n_bins: int, columns: int, bucket: int) -> tuple[Words, Words]:
    targets, masks = _fresh_output(streams, n_bins, columns, bucket)
    return targets, np.zeros_like(masks)


def one_mask_for_all_bins(streams: Streams, n_bins: int, columns: int, bucket: int) -> tuple[Words, Words]:
    targets, masks = _fresh_output(streams, n_bins, columns, bucket)
    return targets, np.repeat(masks[:1], n_bins, axis=0)


_fresh_output = hint._fresh_output
MUTATIONS: list[tuple[Any, str, object, str]] = [
    (hint, "_fresh_output", zero_targets, "exposure t, matched"),
    (hint, "_fresh_output", zero_masks, "exposure z, matched"),
    (hint, "_fresh_output", one_mask_for_all_bins, "outcome repeats"),
    (OtSender, "random_bits", lambda self, count: np.zeros(count, dtype=np.uint8), "exposure bit, matched"),
    (SenderBatch, "keys", lambda self, choice, words: np.zeros((self.count, words), np.uint64), "selected, matched"),
]


@pytest.mark.parametrize(("where", "name", "broken", "fault"), MUTATIONS, ids=[case[3] for case in MUTATIONS])
def test_the_check_of_the_views_sees_a_missing_mask(
    where: Any, name: str, broken: object, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, name, broken)
        if where is SenderBatch:  # without pads on either end the shares still add up
            patch.setattr(ReceiverBatch, "keys", lambda self, words: np.zeros((self.choices.size, words), np.uint64))
            patch.setattr(ReceiverBatch, "open_tables", _open_tables)
        assert any(fault in found for found in faults(observe(monkeypatch, common=ROWS)))


_receiver_keys = ReceiverBatch.keys


def _open_tables(self: ReceiverBatch, masked: NDArray[np.uint16]) -> NDArray[np.uint8]:
    pads = _receiver_keys(self, 1) >> np.arange(masked.shape[1], dtype=np.uint64)
    return ((masked >> self.choices[:, None]).astype(np.uint8) ^ pads.astype(np.uint8)) & np.uint8(1)


SIZES = ((ROWS, ROWS, 0), (ROWS, ROWS, ROWS // 2), (ROWS, ROWS, ROWS), (3, ROWS, 2), (ROWS, 1, 1), (0, 0, 0))


def work_of(
    monkeypatch: pytest.MonkeyPatch, own: int, other: int, common: int, oprf: Oprf = Oprf.KKRT
) -> tuple[object, ...]:
    seen = observe(monkeypatch, own=own, other=other, common=common, oprf=oprf)
    return tuple(seen.run.lengths()), tuple(seen.work)


@pytest.mark.parametrize("oprf", Oprf)
def test_sizes_work_and_progress_follow_from_public_parameters(oprf: Oprf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames, progress and the size of every kernel call, in order: for 0, 50 and 100 % overlap and for few rows."""
    assert len({work_of(monkeypatch, *sizes, oprf) for sizes in SIZES}) == 1


def unpadded(weights: grouped_sum.Weights, n_bins: int, shape: grouped_sum.Shape) -> grouped_sum.Weights:
    return weights


def unpadded_place(keys: Any, *, rows: int, padding_key: bytes, n_bins: int, session_id: bytes) -> Any:
    return _place(keys, rows=len(keys), padding_key=padding_key, n_bins=n_bins, session_id=session_id)


_place = cuckoo.place


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [(grouped_sum, "_pad", unpadded), (cuckoo, "place", unpadded_place)],
    ids=["weights", "rows"],
)
def test_the_check_of_the_work_sees_missing_padding(
    where: Any, name: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, name, broken)
        assert len({work_of(monkeypatch, *sizes) for sizes in ((ROWS, ROWS, 0), (3, ROWS, 0))}) == 2


@pytest.mark.parametrize("oprf", Oprf)
def test_no_label_is_shared_between_the_sides_or_depends_on_data(oprf: Oprf, monkeypatch: pytest.MonkeyPatch) -> None:
    full, empty = (observe(monkeypatch, common=common, oprf=oprf).labels for common in (ROWS, 0))
    assert full == empty
    exposure, outcome = full[bytes([1]) * 32], full[bytes([2]) * 32]
    assert len(set(exposure)) == len(exposure) and len(set(outcome)) == len(outcome)
    assert not set(exposure) & set(outcome)


def test_the_sums_of_the_trees_go_under_the_keys_of_the_base_transfers() -> None:
    """A sender of transfers that had both sums of a level would know all leaves, and every choice with them."""
    own = Streams(seed=bytes([2]) * 32, session_id=SESSION)
    run = run_pair(
        ot.sender_setup(streams=Streams(seed=bytes([1]) * 32, session_id=SESSION), label="sums"),
        ot.receiver_setup(streams=own, label="sums"),
    )
    roots = keystream(Streams(seed=bytes([2]) * 32, session_id=SESSION).key(
        step="ot", direction="receiver", purpose="sums"
    ), ot.TREES * 16)  # fmt: skip
    sums, leaves = _kernels.ggm_expand(np.frombuffer(roots, dtype=np.uint8))
    assert np.array_equal(leaves, run.second.leaves)
    (sent,) = [frame[FRAME_HEADER_BYTES:] for _, step, frame in run.frames if step == ot.TREE_SUMS.step]
    pads = np.frombuffer(sent, dtype=np.uint8, count=sums.size) ^ sums
    assert pads.reshape(-1, 16).any(axis=1).all()
    assert len(np.unique(pads.reshape(-1, 16), axis=0)) == 2 * 4 * ot.TREES


def test_free_positions_are_filled_from_a_secret_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that the receiver can open shows which positions no row decides, just as zeros would."""
    used: list[bytes] = []
    real = okvs.encode

    def spied(keys: Any, values: Any, *, seed: bytes, fill_key: bytes, shape: okvs.Shape) -> Any:
        used.append(fill_key)
        return real(keys, values, seed=seed, fill_key=fill_key, shape=shape)

    monkeypatch.setattr(okvs, "encode", spied)
    sent = []
    for seed in (b"a" * 32, b"b" * 32):
        sender = hint.sender(
            streams=Streams(seed=seed, session_id=SESSION),
            keys=keys_of(0, 4),
            values=np.ones((4, 1), dtype=np.uint64),
            rows_outcome=8,
            n_bins=24,
            bin_seed=cuckoo.bin_seed(session_id=SESSION),
            evaluator=NoEvaluator(),
        )
        sent.append(b"".join(event.payload for event in sender if isinstance(event, Send)))
    assert len(set(used)) == 2
    for key in used:
        assert key != SESSION and key != bytes(32)
        assert all(key not in payloads for payloads in sent)


class NoEvaluator:
    """An OPRF that answers zeros."""

    def evaluate(self, inputs: NDArray[np.uint8], bins: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.zeros((len(inputs), 16), dtype=np.uint8)


@pytest.mark.parametrize("oprf", Oprf)
def test_another_session_changes_every_message_after_the_bins(oprf: Oprf) -> None:
    """Nothing that is sent under one session's id can be put into another, even if the seeds were the same."""
    parameters = replace(PARAMETERS, oprf=oprf)

    def frames(session_id: bytes) -> list[tuple[int, str, bytes]]:
        keys = keys_of(0, 8)
        return run_pair(
            private_join.exposure(
                parameters=parameters,
                keys=keys,
                indptr=np.arange(9, dtype=np.int64),
                target=np.zeros(8, dtype=np.int32),
                weight=np.ones(8, dtype=np.int64),
                streams=Streams(seed=bytes([1]) * 32, session_id=session_id),
            ),
            private_join.outcome(
                parameters=parameters,
                keys=keys,
                values=np.ones((8, 2), dtype=np.uint64),
                streams=Streams(seed=bytes([2]) * 32, session_id=session_id),
            ),
        ).frames

    for one, other in zip(frames(bytes(32)), frames(bytes([7]) * 32), strict=True):
        assert one[:2] == other[:2]
        assert one[2] != other[2] or one[1] == "bins.attempt"


def test_weights_over_the_bounds_stop_the_join_before_its_first_message() -> None:
    protocol = private_join.exposure(
        parameters=PARAMETERS,
        keys=keys_of(0, 1),
        indptr=np.array([0, 1], dtype=np.int64),
        target=np.zeros(1, dtype=np.int32),
        weight=np.full(1, 2, dtype=np.int64),
        streams=Streams(seed=bytes(32), session_id=SESSION),
    )
    with pytest.raises(DataError, match="larger"):
        next(protocol)
