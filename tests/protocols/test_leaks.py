"""What the join shows beside the contents of its messages: work, sizes and labels follow from public parameters.

What the contents show is in `test_simulators`.
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
from cleanroom.protocols import bin_weights, cuckoo, hint, okvs, ot, private_join
from cleanroom.protocols.join_rows import Lookups, Rows
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
    work: list[object] = []
    labels: dict[bytes, list[tuple[Any, ...]]] = {}
    real_key = Streams.key

    def key(self: Streams, **label: Any) -> bytes:
        labels.setdefault(self._seed, []).append(tuple(sorted(label.items())))
        return real_key(self, **label)

    def counted(name: str, kernel: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: Any) -> object:
            work.append((name, shapes(arguments)))
            return kernel(*arguments)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Streams, "key", key)
        for name in dir(_kernels):
            kernel = getattr(_kernels, name)
            if callable(kernel) and not isinstance(kernel, type):
                patch.setattr(_kernels, name, counted(name, kernel))
        run = run_pair(
            watched(
                private_join.exposure(
                    parameters=parameters,
                    lookups=Lookups(
                        keys=keys_of(0, own),
                        indptr=np.arange(own + 1, dtype=np.int64) * 2,
                        target=np.tile(np.array([0, 3], dtype=np.int32), own),
                        weight=np.ones(2 * own, dtype=np.int64),
                    ),
                    streams=Streams(seed=bytes([1]) * 32, session_id=SESSION),
                ),
                "exposure",
                work,
            ),
            watched(
                private_join.outcome(
                    parameters=parameters,
                    rows=Rows(
                        keys=keys_of(own - common, other),
                        values=np.full((other, PARAMETERS.columns), value, dtype=np.int64),
                    ),
                    streams=Streams(seed=bytes([2]) * 32, session_id=SESSION),
                ),
                "outcome",
                work,
            ),
        )
    return Seen(run=run, work=work, labels=labels)


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


def unpadded(self: Any, low: int, high: int) -> Any:
    entries = _padded(self, low, high)
    held = entries.weights != 0
    return type(entries)(bins=entries.bins[held], targets=entries.targets[held], weights=entries.weights[held])


_padded = bin_weights.PaddedWeights._make


def unpadded_place(keys: Any, *, rows: int, **rest: Any) -> Any:
    return _place(keys, rows=len(keys), **rest)


_place = cuckoo.place


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [(bin_weights.PaddedWeights, "_make", unpadded), (cuckoo, "place", unpadded_place)],
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
            prepared=hint.prepare(
                streams=Streams(seed=seed, session_id=SESSION),
                keys=keys_of(0, 4),
                values=np.ones((4, 1), dtype=np.uint64),
                rows_outcome=8,
                n_bins=24,
            ),
            streams=Streams(seed=seed, session_id=SESSION),
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
                lookups=Lookups(
                    keys=keys,
                    indptr=np.arange(9, dtype=np.int64),
                    target=np.zeros(8, dtype=np.int32),
                    weight=np.ones(8, dtype=np.int64),
                ),
                streams=Streams(seed=bytes([1]) * 32, session_id=session_id),
            ),
            private_join.outcome(
                parameters=parameters,
                rows=Rows(keys=keys, values=np.ones((8, 2), dtype=np.int64)),
                streams=Streams(seed=bytes([2]) * 32, session_id=session_id),
            ),
        ).frames

    for one, other in zip(frames(bytes(32)), frames(bytes([7]) * 32), strict=True):
        assert one[:2] == other[:2]
        assert one[2] != other[2] or one[1] == "bins.attempt"


def test_weights_over_the_bounds_stop_the_join_before_its_first_message() -> None:
    protocol = private_join.exposure(
        parameters=PARAMETERS,
        lookups=Lookups(
            keys=keys_of(0, 1),
            indptr=np.array([0, 1], dtype=np.int64),
            target=np.zeros(1, dtype=np.int32),
            weight=np.full(1, 2, dtype=np.int64),
        ),
        streams=Streams(seed=bytes(32), session_id=SESSION),
    )
    with pytest.raises(DataError, match="larger"):
        next(protocol)
