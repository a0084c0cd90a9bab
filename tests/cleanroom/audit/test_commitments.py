"""What binds a side before it sees anything: every message in the chain, input and seed in the first one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cleanroom import execute
from cleanroom.agreement import Role, load_agreement
from cleanroom.attribution.rows import Lookups, Rows
from cleanroom.execute import RunInputs
from cleanroom.handshake import Handshake
from cleanroom.plan import plan_of
from cleanroom.protocols.private_join import JoinOutput
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.session import HELLO_BYTES, MESSAGES, seed_commitment
from cleanroom.protocols.transcript import Direction, Transcript
from cleanroom.protocols.wire import FRAME_HEADER_BYTES, Protocol, encode_frame
from cleanroom.release.terms import terms_of
from tests.cleanroom.audit.runs import PARTIES, AuditedRun, finish_run
from tests.cleanroom.whole_run import ROOTS, SEEDS, lookups, rows, whole_run

ROLES = (Role.EXPOSURE, Role.OUTCOME)


def test_every_message_is_in_the_chain_of_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side's record is exactly the frames that crossed; a chain that is made anew from them has the sealed end."""
    kept: list[Transcript] = []
    init = Transcript.__init__

    def remembered(self: Transcript, **named: Any) -> None:
        init(self, **named)
        kept.append(self)

    monkeypatch.setattr(Transcript, "__init__", remembered)
    run = whole_run()
    assert len(kept) == 2
    for own, transcript in enumerate(kept):
        for direction in Direction:
            sender = own if direction is Direction.SENT else 1 - own
            crossed = [
                (step, len(frame), hashlib.sha256(frame).digest()) for who, step, frame in run.frames if who == sender
            ]
            recorded = [(one.step, one.length, one.sha256) for one in transcript.entries if one.direction is direction]
            assert recorded == crossed
    again = Transcript(from_exposure=Direction.SENT)
    sealed = [frame for frame in run.frames if frame[1] != "session.seal"]
    for sender, step, frame in sealed:
        again.record(step, Direction.SENT if sender == 0 else Direction.RECEIVED, frame)
    assert run.first.seal is not None
    assert again.digest() == run.first.seal.digest
    assert run.first.seal.messages == len(sealed) == len(run.frames) - 2


def test_a_chain_that_lacks_any_one_message_ends_elsewhere() -> None:
    run = whole_run()
    assert run.first.seal is not None
    sealed = [frame for frame in run.frames if frame[1] != "session.seal"]
    for left_out in range(len(sealed)):
        chain = Transcript(from_exposure=Direction.SENT)
        for sender, step, frame in sealed[:left_out] + sealed[left_out + 1 :]:
            chain.record(step, Direction.SENT if sender == 0 else Direction.RECEIVED, frame)
        assert chain.digest() != run.first.seal.digest


def test_input_root_and_seed_commitment_come_first_and_nothing_before_them_depends_on_data() -> None:
    """The roots are given to these runs, so their first messages are equal whatever the rows are."""
    first = whole_run().frames
    other = whole_run(exposure=lookups(range(3)), outcome=rows(range(500, 700))).frames
    for sender, (role, seed) in enumerate(zip(ROLES, SEEDS, strict=True)):
        sent = [(step, frame) for who, step, frame in first if who == sender]
        step, frame = sent[0]
        assert step == "session.hello"
        assert len(frame) == FRAME_HEADER_BYTES + HELLO_BYTES
        assert ROOTS[role] in frame and seed_commitment(seed) in frame
    steps = [step for _, step, _ in first]
    handshake = steps.index("bins.attempt")
    assert set(steps[:handshake]) == {"session.hello", "session.nonce"}
    assert first[:handshake] == other[:handshake]
    assert first[handshake + 1] != other[handshake + 1]


@pytest.mark.parametrize("kind", ["gaussian", "one recipient", "none"])
def test_transcript_and_release_hold_what_each_side_committed_to_first(kind: str, runs: dict[str, AuditedRun]) -> None:
    run = runs[kind]
    agreement = load_agreement(run.agreement, any_age=True)
    plan = plan_of(agreement)
    for party in PARTIES:
        local = json.loads((run.out(party) / "local.json").read_bytes())
        records = [local["record"]]
        if (run.out(party) / "release.json").exists():
            records.append(json.loads((run.out(party) / "release.json").read_bytes())["record"])
        lines = [json.loads(line) for line in (run.out(party) / "transcript.jsonl").read_bytes().splitlines()]
        for record in records:
            handshake = Handshake.read(record, agreement)
            for role, name in zip(ROLES, PARTIES, strict=True):
                secret = json.loads((run.out(name) / "audit.private").read_bytes())
                assert handshake.side(role).seed_commitment == seed_commitment(bytes.fromhex(secret["seed"]))
                own = json.loads((run.out(name) / "local.json").read_bytes())
                assert handshake.side(role).input_root.hex() == own["input_root"]
            hellos = handshake.hellos(agreement, plan, terms_of(agreement, plan).digest)
            frames = [encode_frame(MESSAGES["session.hello"], 0, hello.encode()) for hello in hellos]
            assert [line["step"] for line in lines[:2]] == ["session.hello"] * 2
            assert [line["sha256"] for line in lines[:2]] == [hashlib.sha256(frame).hexdigest() for frame in frames]


def _other_rows(inputs: RunInputs) -> RunInputs:
    """The same less one row: not what was committed to."""
    own = inputs.prepared.rows
    changed: Lookups | Rows
    if isinstance(own, Lookups):
        last = int(own.indptr[-2])
        changed = replace(
            own, keys=own.keys[:-1], indptr=own.indptr[:-1], target=own.target[:last], weight=own.weight[:last]
        )
    else:
        changed = replace(own, keys=own.keys[:-1], values=np.ascontiguousarray(own.values[:-1]))
    return replace(inputs, prepared=replace(inputs.prepared, rows=changed))


Join = Callable[[RunInputs, Streams], Protocol[JoinOutput]]


def rows_changed(role: Role, real: Join) -> Join:
    return lambda inputs, streams: real(_other_rows(inputs) if inputs.prepared.role is role else inputs, streams)


def seed_changed(role: Role, real: Join) -> Join:
    """Commits to a seed, keeps it in its private file, and draws from another."""

    def join(inputs: RunInputs, streams: Streams) -> Protocol[JoinOutput]:
        other = Streams(seed=b"x" * 32, session_id=streams.session_id)
        return real(inputs, other if inputs.prepared.role is role else streams)

    return join


@pytest.mark.parametrize(
    ("change", "role", "step"),
    [
        (rows_changed, Role.EXPOSURE, "oprf.blinded"),
        (rows_changed, Role.OUTCOME, "hint.table"),
        (seed_changed, Role.EXPOSURE, "oprf.blinded"),
        (seed_changed, Role.OUTCOME, "oprf.evaluated"),
    ],
)
def test_rows_or_a_seed_changed_after_the_commitment_show_in_the_replay(
    change: Callable[[Role, Join], Join], role: Role, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(execute, "_join", change(role, execute._join))
        run = finish_run(tmp_path / "run", noise="gaussian", recipients='["media", "shop"]')
    assert run.verify().verified, "the files agree with one another; only the inputs tell"
    (fault,) = map(str, run.replay().faults)
    party = PARTIES[ROLES.index(role)]
    assert f"{party}-out/transcript.jsonl: line " in fault
    assert fault.endswith(f"the replay's {step} (sent) has another one")
