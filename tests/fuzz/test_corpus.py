"""The kept corpus on every target, without an engine: what fuzzing once reached stays reached, and stays sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from cleanroom.errors import PeerError
from fuzz.target import CORPUS, Target
from fuzz.targets import TARGETS
from fuzz.targets.kernels import CALLS, TEXT_CALLS
from fuzz.targets.steps import CASES, check_steps, honest

MAX_CORPUS_BYTES = 600_000


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_and_every_seed_keeps_the_promise(name: str) -> None:
    target = TARGETS[name]
    kept = target.kept()
    assert kept, f"{target.corpus}: no corpus is kept"
    for path in kept:
        data = path.read_bytes()
        assert len(data) <= target.max_bytes
        try:
            target.check(data)
        except BaseException as error:  # noqa: BLE001  # a panic of a kernel is no Exception
            pytest.fail(f"{path.name} breaks the promise: {type(error).__name__}: {error}")
    for seed in target.seeds():
        target.check(seed[: target.max_bytes])


def test_the_corpus_is_small_and_belongs_to_the_targets() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    sizes = [path.stat().st_size for target in TARGETS.values() for path in target.kept()]
    assert sum(sizes) < MAX_CORPUS_BYTES
    assert all(target.name == name and target.promise for name, target in TARGETS.items())


@pytest.mark.parametrize(
    ("name", "count"), [("kernels", len(CALLS)), ("texts", len(TEXT_CALLS)), ("steps", len(CASES))]
)
def test_the_kept_inputs_name_every_kernel_and_every_step(name: str, count: int) -> None:
    chosen = {data[0] % count for path in TARGETS[name].kept() if (data := path.read_bytes())}
    assert chosen == set(range(count))


def test_the_steps_cover_every_message_of_every_side() -> None:
    for position, case in enumerate(CASES):
        frames = honest(position).frames
        assert frames[0] or frames[1], case.name
        for side in (0, 1):
            for target in range(len(frames[side])):
                check_steps(bytes([position, side, target, 0]))  # an empty frame


def test_a_decoder_that_lets_another_error_out_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks see more than PeerError: one that is something else comes out of them."""
    for name, place in (("frame", "fuzz.targets.messages.PeerError"), ("link", "fuzz.targets.messages.PeerError")):
        target = TARGETS[name]
        with monkeypatch.context() as patched:
            patched.setattr(place, KeyError)
            with pytest.raises((PeerError, KeyError)):
                for path in target.kept():
                    target.check(path.read_bytes())


def test_a_target_finds_its_corpus_by_its_name() -> None:
    made = Target(name="frame", promise="", check=lambda data: None, seeds=lambda: [])
    assert made.corpus == Path(CORPUS) / "frame"
    assert made.kept() == TARGETS["frame"].kept()
