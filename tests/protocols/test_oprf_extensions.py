"""What profiles `kkrt` and `vole` of the oblivious PRF have in common: both extend transfers to one answer a bin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cleanroom.protocols import cuckoo, oprf_kkrt, oprf_vole
from tests.harness import Run
from tests.protocols.oprf_pairs import Bytes, everywhere, payloads, queries, run_oprf, streams


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A profile, and what its sender holds."""

    steps: ModuleType
    message: str  # the receiver's last one
    blocks: int  # of 16 bytes, which that message has for 300 bins
    bare: dict[str, Any]  # of the evaluator: the secret without which the input does not count

    def run(self, inputs: Bytes, **options: Any) -> Run[Bytes, Any]:  # Any: options of `run_oprf`, an evaluator
        return run_oprf(self.steps.receiver, self.steps.sender, inputs, **options)


PROFILES = {
    "kkrt": Profile(
        steps=oprf_kkrt, message="oprf.correction", blocks=3 * 448, bare={"mask": np.zeros(56, dtype=np.uint8)}
    ),
    "vole": Profile(steps=oprf_vole, message="oprf.masked", blocks=300, bare={"delta": bytes(16)}),
}


@pytest.fixture(scope="module", params=list(PROFILES))
def profile(request: pytest.FixtureRequest) -> Profile:
    return PROFILES[request.param]


@pytest.fixture(scope="module")
def honest(profile: Profile) -> Run[Bytes, Any]:
    return profile.run(queries(300))


def test_a_point_at_another_position_or_domain_is_another_point(honest: Run[Bytes, Any]) -> None:
    """With the key alone as the input, the answer of one position would serve at the others (see the design's leak)."""
    keys = queries(1)[:, : cuckoo.KEY_BYTES]
    positions = cuckoo.row_inputs(keys, np.array([cuckoo.REAL_DOMAIN], dtype=np.uint8))
    padding = cuckoo.row_inputs(keys, np.array([cuckoo.PADDING_DOMAIN], dtype=np.uint8))
    answers = honest.second.evaluate(np.concatenate([positions, padding]), np.zeros(6, dtype=np.int64))
    assert len(np.unique(answers[:, :8], axis=0)) == 6


def test_the_receiver_has_no_second_answer_in_a_bin(profile: Profile, honest: Run[Bytes, Any]) -> None:
    """At any other point the sender adds to its row: 128 bits of the mask and more, or a multiple of Δ."""
    own = honest.first[:1]
    others = honest.second.evaluate(queries(300)[1:], np.zeros(299, dtype=np.int64))
    assert not (others == own).all(axis=1).any()
    assert len(np.unique(others, axis=0)) == 299
    # What holds it up is the sender's secret: without one, the one answer would be the answer of every point.
    bare = replace(honest.second, **profile.bare)
    same = bare.evaluate(queries(300), np.zeros(300, dtype=np.int64))
    assert len(np.unique(same, axis=0)) == 1


def test_every_bin_has_a_tweak_of_its_own(honest: Run[Bytes, Any]) -> None:
    """Equal rows in two bins, which a broken stream or expansion would give, still have different outputs."""
    repeated = replace(honest.second, rows=np.repeat(honest.second.rows[:1], 40, axis=0))
    alike = repeated.evaluate(np.repeat(queries(1), 40, axis=0), everywhere(40))
    assert len(np.unique(alike, axis=0)) == 40
    assert np.array_equal(alike[0], honest.first[0])


def test_sessions_seeds_and_buckets_separate_runs(profile: Profile, honest: Run[Bytes, Any]) -> None:
    others = ({"session_id": bytes(32)}, {"bucket": 1}, {"seeds": (3, 4)})
    runs = [honest, *(profile.run(queries(300), **other) for other in others)]
    assert len(np.unique(np.concatenate([each.first for each in runs])[:, :8], axis=0)) == 1200
    sent = [payloads(each.frames, profile.message) for each in runs]
    assert len({each[at : at + 16] for each in sent for at in range(0, len(each), 16)}) == 4 * profile.blocks


def test_output_parts_have_domains_of_their_own(profile: Profile) -> None:
    inputs = queries(3)
    wide, narrow = (profile.run(inputs, output_bytes=size).first for size in (8 + 8 * 20, 16))
    # A narrower output is a prefix: the target does not depend on the number of columns.
    assert np.array_equal(wide[:, :16], narrow)
    words = np.ascontiguousarray(wide).view("<u8")
    assert len(np.unique(words)) == words.size


def test_a_run_is_replayed_byte_for_byte(profile: Profile, honest: Run[Bytes, Any]) -> None:
    assert profile.run(queries(300)).frames == honest.frames


def test_progress_ends_at_its_total(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile.steps, "CHUNK_BINS", 256)
    for reports in profile.run(queries(600)).progress:
        own = [(report.done, report.total) for report in reports if report.step == "oprf"]
        assert own == [(256, 600), (512, 600), (600, 600)]


def test_misuse_is_refused(profile: Profile, honest: Run[Bytes, Any]) -> None:
    for where in (-1, 300):
        with pytest.raises(ValueError, match="bins are in"):
            honest.second.evaluate(queries(1), np.array([where], dtype=np.int64))
    with pytest.raises(ValueError, match="as many bins"):
        honest.second.evaluate(queries(2), np.zeros(1, dtype=np.int64))
    with pytest.raises(ValueError, match="26 bytes"):
        honest.second.evaluate(queries(2)[:, :25], np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="26 bytes"):
        profile.run(queries(2)[:, :25])
    for size in (0, 8, 17):
        with pytest.raises(ValueError, match="multiple of 8"):
            profile.run(queries(1), output_bytes=size)


def test_streams_are_opened_once_a_bucket(profile: Profile) -> None:
    own = streams(2)
    for bucket in (0, 1):
        next(iter(profile.steps.sender(n_bins=1, output_bytes=16, streams=own, bucket=bucket)))
        with pytest.raises(AssertionError, match="opened twice"):
            next(iter(profile.steps.sender(n_bins=1, output_bytes=16, streams=own, bucket=bucket)))


def test_secrets_stay_out_of_repr_and_equality(profile: Profile, honest: Run[Bytes, Any]) -> None:
    again = replace(honest.second)
    assert honest.second != again
    assert not any(word in repr(again) for word in ("rows", *profile.bare, "array"))
