"""Declarations: what they say, who signs them, what they stop, and that no figure of an ineligible group is opened."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pytest

from cleanroom.agreement import Role, load_agreement
from cleanroom.agreement.completeness import Verdict
from cleanroom.data import load_binding
from cleanroom.declared import Declaration
from cleanroom.errors import BudgetError, CleanroomError, DataError
from cleanroom.plan import plan_of
from cleanroom.prepare import PreparationKeys, prepare
from tests.cleanroom.audit.runs import AuditedRun, finish_run, sources

COMPLETENESS = """
[completeness]
warning = {{fraction = 0.01, rows = 2}}
failure = {{fraction = 0.5, rows = 4}}
on_failure = "{on_failure}"
"""
ELIGIBILITY = """
[eligibility]
rules = [
    {party = "media", fact = "verified", is = "true"},
    {party = "media", fact = "notes", at_least = 30},
    {party = "shop", fact = "score", at_least = "4.5"},
    {party = "media", fact = "category", one_of = ["beauty", "sports"]},
]
"""
GOOD = "campaign,verified,notes,category\nspring,True,30,beauty\ntiny,true,99,sports\nother,false,0,none\n"
SCORES = "campaign,score\ntiny,4.9\nspring,4.50\n"


def delivered(party: str, *, lost: int = 0) -> str:
    """A manifest of the party's rows that says `lost` rows more on each date than there are."""
    column, event = (1, "mail") if party == "media" else (1, "order")
    dates = Counter(row[column][:10] for row in list(csv.reader(io.StringIO(sources()[party])))[1:])
    return "date,event,rows\n" + "".join(f"{day},{event},{count + lost}\n" for day, count in sorted(dates.items()))


def finish(root: Path, *, tables: str, media: dict[str, str], shop: dict[str, str], noise: str = "none") -> AuditedRun:
    return finish_run(
        root, noise=noise, recipients='["media", "shop"]', tables=tables, lists={"media": media, "shop": shop}
    )


def document(run: AuditedRun, party: str = "media") -> dict[str, object]:
    found: dict[str, object] = json.loads((run.out(party) / "release.json").read_text())
    return found


def table(run: AuditedRun) -> dict[tuple[str, str], tuple[str, str]]:
    rows = list(csv.DictReader(io.StringIO((run.out("shop") / "release.csv").read_text())))
    return {(row["group"], row["metric"]): (row["value"], row["status"]) for row in rows}


def test_complete_data_are_declared_signed_and_audited(tmp_path: Path) -> None:
    run = finish(
        tmp_path / "run",
        tables=COMPLETENESS.format(on_failure="stop"),
        media={"manifest": delivered("media")},
        shop={"manifest": delivered("shop", lost=3)},
        noise="gaussian",
    )
    declared = document(run)["record"]["declarations"]  # type: ignore[index]
    assert [declared[role]["completeness"] for role in ("exposure", "outcome")] == ["complete", "warning"]
    assert run.verify().faults == [] and run.replay().faults == []
    local = json.loads((run.out("shop") / "local.json").read_text())["counts"]["completeness"]
    assert local["read"] == 240 and local["expected"] > 240 and local["warnings"] > 0 and local["failures"] == 0
    shared = (run.out("media") / "release.json").read_text() + (run.out("media") / "local.json").read_text()
    assert f'"expected": {local["expected"]}' not in shared  # the verdict goes to the other side, the numbers do not


@pytest.mark.parametrize(("failing", "own"), [("media", DataError), ("shop", BudgetError)])
def test_a_failure_stops_both_sides_before_anything_is_charged(
    tmp_path: Path, failing: str, own: type[CleanroomError]
) -> None:
    lists = {party: {"manifest": delivered(party, lost=20 if party == failing else 0)} for party in ("media", "shop")}
    with pytest.raises(own, match="completeness: "):  # the error of media's side comes first out of the pair
        finish(tmp_path / "run", tables=COMPLETENESS.format(on_failure="stop"), **lists)
    assert not (tmp_path / "run" / "media-out").exists() and not (tmp_path / "run" / "shop-out").exists()


def test_a_failure_marks_the_release_where_that_is_agreed(tmp_path: Path) -> None:
    lists = {party: {"manifest": delivered(party, lost=20)} for party in ("media", "shop")}
    run = finish(tmp_path / "run", tables=COMPLETENESS.format(on_failure="mark"), **lists)
    declared = document(run)["record"]["declarations"]  # type: ignore[index]
    assert {declared[role]["completeness"] for role in declared} == {"failure"}
    assert run.verify().faults == []


@pytest.mark.parametrize("noise", ["none", "gaussian"])
@pytest.mark.parametrize(
    ("facts", "scores", "eligible"),
    [
        (GOOD, SCORES, ["spring", "tiny"]),
        (GOOD.replace("30", "29"), SCORES, ["tiny"]),
        (GOOD.replace("spring,True", "spring,false"), SCORES, ["tiny"]),
        (GOOD.replace("sports", "food"), SCORES, ["spring"]),
        (GOOD, SCORES.replace("4.9", "4.49"), ["spring"]),
        (GOOD, "campaign,score\nspring,5\n", ["spring"]),  # a group that a list does not name fails
        (GOOD, SCORES.replace("4.9", ""), ["spring"]),
    ],
)
def test_no_figure_of_an_ineligible_group_is_opened(
    tmp_path: Path, noise: str, facts: str, scores: str, eligible: list[str]
) -> None:
    run = finish(tmp_path / "run", tables=ELIGIBILITY, media={"facts": facts}, shop={"facts": scores}, noise=noise)
    found = table(run)
    assert list(found) == [(group, metric) for group in ("spring", "tiny") for metric in ("known", "sales_5d")]
    for (group, metric), (value, status) in found.items():
        if group not in eligible:
            assert (value, status) == ("", "not_eligible")
        elif noise == "none":
            assert status == ("released" if group == "spring" else "suppressed")
            assert (value == "120") is (group == "spring" and metric == "known")
    columns = 3  # two metrics and a gate
    for side in document(run)["openings"].values():  # type: ignore[attr-defined]
        assert len(side["commitments"]) == len(eligible) * columns
        assert all(cell["cell"] < len(eligible) * columns for cell in side["cells"])
    assert run.verify().faults == [] and run.replay().faults == []


def test_no_eligible_group_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="eligibility: no group fulfils the agreed rules"):
        finish(tmp_path / "run", tables=ELIGIBILITY, media={"facts": GOOD}, shop={"facts": "campaign,score\nx,5\n"})


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (GOOD.replace("30", "many"), "media-facts.csv, row 1, column notes: expected a number"),
        (GOOD + "spring,true,31,beauty\n", "row 4, column campaign: expected one line a group, found a second"),
        (GOOD.replace("notes", "stars"), "column notes: expected a column of this name"),
    ],
)
def test_facts_that_cannot_be_read(tmp_path: Path, facts: str, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        finish(tmp_path / "run", tables=ELIGIBILITY, media={"facts": facts}, shop={"facts": SCORES})
    assert expected in str(caught.value)
    assert "many" not in str(caught.value)


def test_an_agreement_that_asks_needs_a_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"media.toml: \[facts\]: expected a path, because the agreement asks for it"):
        finish(tmp_path / "run", tables=ELIGIBILITY, media={}, shop={"facts": SCORES})


def test_a_changed_declaration_is_found(tmp_path: Path) -> None:
    run = finish(tmp_path / "run", tables=ELIGIBILITY, media={"facts": GOOD}, shop={"facts": SCORES})
    for party in ("media", "shop"):
        path = run.out(party) / "release.json"
        changed = json.loads(path.read_text())
        side = changed["record"]["declarations"]["outcome"]
        side["declaration"] = side["declaration"][:-1] + "1"
        path.write_text(json.dumps(changed))
    found = [f"{fault}" for fault in run.verify("media").faults]
    assert any("release.json" in fault for fault in found)


@pytest.mark.parametrize("party", ["media", "shop"])
def test_a_replay_shows_facts_that_are_not_those_of_the_run(tmp_path: Path, party: str) -> None:
    """A side that declared what its list does not say is found out by whoever is given the list."""
    run = finish(tmp_path / "run", tables=ELIGIBILITY, media={"facts": GOOD}, shop={"facts": SCORES})
    facts = run.root / f"{party}-facts.csv"
    facts.write_text(facts.read_text().replace("30", "29").replace("4.9", "4.4"))
    assert run.verify().faults == []
    assert [(fault.file.rpartition("/")[2], fault.where) for fault in run.replay().faults] == [
        ("local.json", "input_root")
    ]


def test_what_is_declared_is_bound_by_the_input_commitment(tmp_path: Path) -> None:
    """Equal rows with other facts are another input: no stored release stands for them."""
    roots = []
    for place, facts in enumerate((GOOD, GOOD.replace("30", "29"), GOOD.replace("30", "31"))):
        lists = {"media": {"facts": facts}, "shop": {"facts": SCORES}}
        run = finish(tmp_path / f"run{place}", tables=ELIGIBILITY, **lists)
        binding = load_binding(run.root / "media.toml")
        agreement = load_agreement(run.agreement)
        keys = PreparationKeys(group_cap=bytes(32), shared_identifier=bytes(32), commitment=bytes(32))
        roots.append(
            prepare(
                agreement,
                plan_of(agreement),
                role=Role.EXPOSURE,
                binding=binding,
                keys=keys,
                progress=lambda step, done, total: None,
            ).input_root
        )
    assert roots[0] == roots[2] != roots[1]


@pytest.mark.parametrize("groups", [1, 7, 8, 9, 200])
def test_encoding(groups: int) -> None:
    for verdict in Verdict:
        sent = Declaration(
            verdict=verdict, eligible=tuple(place % 3 == 0 for place in range(groups)), signature=b"s" * 64
        )
        assert Declaration.decode(sent.encode(), groups, b"s" * 64) == sent
        for wrong in (sent.encode() + b"\0", sent.encode()[:-1], b"\x03" + sent.encode()[1:]):
            with pytest.raises(ValueError, match="not a declaration"):
                Declaration.decode(wrong, groups, b"s" * 64)
    if groups % 8:
        with pytest.raises(ValueError, match="not a declaration"):
            Declaration.decode(b"\0" + bytes((groups - 1) // 8) + b"\x80", groups, b"")
