"""Whole runs in buckets: files in, the same release out, the same commitments, and a replay to the last byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cleanroom.agreement import Role, load_agreement
from cleanroom.data import load_binding
from cleanroom.drive import silent
from cleanroom.kept import Kept, KeptLookups, KeptRows
from cleanroom.plan import plan_of
from cleanroom.prepare import PreparationKeys, Prepared, prepare
from cleanroom.protocols import buckets
from tests.cleanroom.audit.runs import PARTIES, SOURCES, AuditedRun, finish_run

RECIPIENTS = '["media", "shop"]'


@pytest.fixture(scope="module", params=["kkrt", "ecdh"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One world joined in one bucket and in four, and what was kept out of core."""
    folder = tmp_path_factory.mktemp("bucketed")
    kept: list[Kept[Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        real = Prepared.close

        def close(self: Prepared) -> None:
            if isinstance(self.rows, Kept):
                kept.append(self.rows)
                assert len(self.rows) > 0
            real(self)

        patch.setattr(Prepared, "close", close)
        one = finish_run(folder / "one", "none", RECIPIENTS, request.param)
        assert not kept
        patch.setattr(buckets, "BUCKET_ROWS", 256)  # of 512 and 1024 rows
        four = finish_run(folder / "four", "none", RECIPIENTS, request.param)
    return {"one": one, "four": four, "kept": kept}


def prepared(run: AuditedRun, role: Role, commitment: bytes) -> Prepared:
    """One side of a run, prepared anew under given keys."""
    agreement = load_agreement(run.agreement)
    return prepare(
        agreement,
        plan_of(agreement),
        role=role,
        binding=load_binding(run.root / f"{dict(zip(Role, PARTIES, strict=True))[role]}.toml"),
        keys=PreparationKeys(group_cap=bytes(32), shared_identifier=bytes(32), commitment=commitment),
        progress=silent,
    )


def release(run: AuditedRun, party: str) -> pd.DataFrame:
    return pd.read_parquet(run.out(party) / "release.parquet")


def test_the_release_is_that_of_one_bucket(pair: dict[str, Any]) -> None:
    tables = [release(run, party) for run in (pair["one"], pair["four"]) for party in PARTIES]
    assert tables[0]["value"].notna().any()
    assert all(table.equals(tables[0]) for table in tables)


def test_rows_were_out_of_core_and_are_closed(pair: dict[str, Any]) -> None:
    assert {type(each) for each in pair["kept"]} == {KeptLookups, KeptRows}
    for each in pair["kept"]:
        assert each._spill.rows == 0 and each._divided is not None and each._divided.rows == 0


def test_the_transcript_has_four_buckets_and_one_set_of_transfers(pair: dict[str, Any]) -> None:
    steps = [
        json.loads(line).get("step")
        for line in (pair["four"].out("media") / "transcript.jsonl").read_text().splitlines()
    ]
    assert steps.count("bins.attempt") == 4
    assert steps.count("ot.tree_sums") == 2 and steps.count("grouped_sum.seed") == 1


def test_verify_and_replay_follow_a_run_in_buckets(pair: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run: AuditedRun = pair["four"]
    monkeypatch.setattr(buckets, "BUCKET_ROWS", 256)
    assert not run.verify().faults
    assert not run.replay().faults


def test_a_bucket_too_few_in_the_transcript_is_named(pair: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "BUCKET_ROWS", 512)
    found = "\n".join(str(fault) for fault in pair["four"].verify().faults)
    assert "expected" in found and "step" in found


def test_a_replay_of_other_rows_is_named(pair: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "BUCKET_ROWS", 256)
    changed: AuditedRun = pair["four"].copy(tmp_path / "changed")
    source = changed.root / SOURCES["shop"]
    source.write_text(source.read_text().replace("31.50", "31.51"))
    assert any("input_root" in str(fault) for fault in changed.replay().faults)


def test_commitments_do_not_depend_on_how_rows_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged input has an unchanged root, with whichever release of the software it was prepared."""
    run = finish_run(tmp_path / "run", "none", RECIPIENTS, "kkrt")
    roots: list[tuple[bytes, ...]] = []
    for rows, leaves in ((1 << 20, 1 << 16), (256, 1 << 16), (256, 64)):
        monkeypatch.setattr(buckets, "BUCKET_ROWS", rows)
        for module in ("cleanroom.kept", "cleanroom.prepare"):
            monkeypatch.setattr(f"{module}.NODE_LEAVES", leaves)
        sides = [prepared(run, role, bytes([7]) * 32) for role in Role]
        roots.append(tuple(side.input_root for side in sides))
        assert all(isinstance(side.rows, Kept) == (rows == 256) for side in sides)
        for side in sides:
            side.close()
    assert len(set(roots)) == 1


@pytest.mark.parametrize("role", list(Role))
def test_kept_rows_are_padded_to_the_bound_before_a_connection(
    role: Role, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer waits for the division, which takes as long as there are rows: it must not tell how many are real."""
    run = finish_run(tmp_path / "run", "none", RECIPIENTS, "kkrt")
    monkeypatch.setattr(buckets, "BUCKET_ROWS", 256)
    side = prepared(run, role, bytes(32))
    assert isinstance(side.rows, Kept)
    bounds = load_agreement(run.agreement).protocol
    padded = bounds.rows_exposure if role is Role.EXPOSURE else bounds.rows_outcome
    assert len(side.rows) < side.rows._spill.rows == padded
    side.close()
