"""Every type of identifier, account numbers, facts, spend and manifests: none is in anything that a run leaves."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cleanroom.agreement import load_agreement, sign_agreement
from tests.cli.canaries import forms, search
from tests.cli.world import AGREEMENT, DEFAULTS, PARTIES, Scene, fixture_data
from tests.ports import free_port

# Of each type what both files hold, and every form that it takes on the way to a key.
WRITTEN = {
    "phone": "139-1777 2468",
    "email": "Zq.Canary+7@Example.COM",
    "idfa": "7a3f9c1e-52b8-4d06-9e1b-c4a8d2f07b65",
    "oaid": "zq-oaid-4f1b-93c7",
    "caid": "20230330_9f86d081884c7d659a2feaa0c55ad015",
    "imei": "863254047719325",
    "mac": "a4:5e:60:c3:9d:17",
    "id": "zq-member-60314",
}
FORMS = {
    "phone": ("13917772468", "8613917772468", "+8613917772468"),
    "email": ("zq.canary+7@example.com", "zqcanary+7@example.com"),
    "idfa": ("7A3F9C1E-52B8-4D06-9E1B-C4A8D2F07B65",),
    "caid": ("9f86d081884c7d659a2feaa0c55ad015",),
    "mac": ("A45E60C39D17", "a45e60c39d17"),
}
HASHED = ("md5", "sha256")
ACCOUNT = "zq-account-88213"
FACT, SPENT, BOOKED = "zq-fact-premium", "27459061481.37", "27459061481.73"
NUMBER, LINES = "8675309264.42", "481516234208"
GROUPS = ("spring", "summer", "tiny", "empty")

IDENTIFIERS = "identifiers = [" + ", ".join(f'"{name}"' for name in WRITTEN) + "]\nmax_invalid = 1"
DECLARED = """
[completeness]
warning = {fraction = 1, rows = 900000000000}
failure = {fraction = 1, rows = 900000000000}

[eligibility]
rules = [
    {party = "media", fact = "kind", is = "zq-fact-premium"},
    {party = "media", fact = "budget", at_least = 5000},
    {party = "shop", fact = "score", at_least = 4},
]
"""
LISTS = '\n[manifest]\npath = "{party}-manifest.csv"\n[facts]\npath = "{party}-facts.csv"\n'


def agree(scene: Scene, *, hashed: str | None = None, max_invalid: str = "1") -> Path:
    """An agreement on all identifiers, hashed or not, with completeness and eligibility."""
    text = AGREEMENT.format(**DEFAULTS | {"noise": "gaussian", "profile": "kkrt", "rows_outcome": "8192"})
    text = text.replace('identifiers = ["id"]', IDENTIFIERS)
    text = text.replace("max_invalid = 1", f"max_invalid = {max_invalid}")
    if hashed is not None:
        listed = ", ".join(f'{{type = "{name}", hash = "{hashed}"}}' for name in WRITTEN)
        text = text.replace(IDENTIFIERS.splitlines()[0], f"identifiers = [{listed}]")
    path = scene.root / "agreement.toml"
    # `eligibility` says is = a text of the agreement, which is public: the planted fact is another column's
    path.write_text(text + DECLARED.replace("zq-fact-premium", "premium"))
    for party in PARTIES:
        sign_agreement(path, load_agreement(path), scene.identity(party))
    return path


def plant(scene: Scene, written: dict[str, str]) -> None:
    """One account with every identifier at both sides among people with ids, and every further list."""
    types = list(written)
    account = ",".join([*written.values(), ACCOUNT])
    moved = {"user": "id", "buyer": "id"}
    for party, source in (("media", "touches.csv"), ("shop", "orders.csv")):
        header, *rows = fixture_data()[party].splitlines()
        names = [moved.get(name, name) for name in header.split(",")][1:]
        lines = [",".join([*types, "account", *names])]
        for row in rows:
            person, *rest = row.split(",")
            lines.append(",".join([*("" if name != "id" else person for name in types), f"a{person}", *rest]))
        own = ["2025-03-07T03:17:41Z", "spring"] if party == "media" else ["2025-03-08T03:17:41Z", "12.50", "77120"]
        lines += [",".join([account, *own])] * 2
        (scene.root / source).write_text("\n".join(lines) + "\n")
        binding = (scene.root / f"{party}.toml").read_text()
        columns = "".join(f'{name} = "{name}"\n' for name in types) + 'person = "account"\n'
        binding = binding.replace('id = "user"\n', columns).replace('id = "buyer"\n', columns)
        spend = f'[spend]\npath = "{party}-spend.csv"\n' if party == "media" else ""
        (scene.root / f"{party}.toml").write_text(binding + LISTS.format(party=party) + spend)
        event = "mail" if party == "media" else "order"
        (scene.root / f"{party}-manifest.csv").write_text(f"date,event,rows\n2025-03-07,{event},{LINES}\n")
    (scene.root / "media-facts.csv").write_text(
        "campaign,kind,budget,remark\n" + "".join(f"{group},premium,{NUMBER},{FACT}\n" for group in GROUPS)
    )
    (scene.root / "shop-facts.csv").write_text("campaign,score\n" + "".join(f"{group},{NUMBER}\n" for group in GROUPS))
    spent = (SPENT, BOOKED, SPENT, BOOKED)
    (scene.root / "media-spend.csv").write_text(
        "campaign,spend\n" + "".join(f"{group},{money}\n" for group, money in zip(GROUPS, spent, strict=True))
    )


def canaries() -> dict[str, bytes]:
    """Identifiers in all forms and digests, the account, facts and the manifest's number."""
    found: dict[str, bytes] = forms("the account", ACCOUNT.encode())
    for name, written in WRITTEN.items():
        for form in (written, *FORMS.get(name, ())):
            found |= {f"{name}: {key}": value for key, value in forms(form, form.encode()).items()}
            for label, digest in (("MD5", hashlib.md5), ("SHA-256", hashlib.sha256)):
                found |= forms(f"{label} of {name} {form}", digest(form.encode()).digest()[:12])
    found |= forms("a fact", FACT.encode())
    return found | {"a number": NUMBER.encode(), "a number without point": NUMBER.replace(".", "").encode()}


def spend() -> dict[str, bytes]:
    """What a side paid, as its file says it and as whole cents; the report may group digits."""
    written = {form for money in (SPENT, BOOKED) for form in (money, money.replace(".", ""), f"{float(money):,.2f}")}
    return {f"spend {form}": form.encode() for form in written}


@pytest.mark.parametrize("hashed", [None, *HASHED])
def test_a_run_on_all_identifiers_leaves_none_of_them(scene: Scene, hashed: str | None) -> None:
    given = WRITTEN
    if hashed is not None:  # a partner who kept only digests: the files hold those of the agreed forms
        last = {name: FORMS.get(name, (text,))[-1] for name, text in WRITTEN.items()}
        given = {name: hashlib.new(hashed, text.encode()).hexdigest() for name, text in last.items()}
    plant(scene, given)
    agree(scene, hashed=hashed)
    loud = {"GRPC_VERBOSITY": "DEBUG", "GRPC_TRACE": "http,api", "RUST_BACKTRACE": "full", "PYTHONDEVMODE": "1"}
    trace = scene.root / "trace.log"
    with trace.open("w") as stderr:
        ended = scene.pair("--json", environ=loud, stderr=stderr)
    assert [ended[party].code for party in PARTIES] == [0, 0], trace.read_text()[-2000:]
    assert "grpc" in trace.read_text()
    ended = {party: replace(end, stderr="") for party, end in ended.items()}
    counts = json.loads((scene.out("media") / "local.json").read_text())["counts"]["source"]
    assert counts["null_identifiers"] == counts["malformed_identifiers"] == 0
    search(scene, ended, canaries())
    for party, other in (PARTIES, PARTIES[::-1]):  # own counts, for this side only
        local = scene.out(party) / "local.json"
        assert LINES in local.read_text() and local.stat().st_mode & 0o777 == 0o600
        local.write_text(local.read_text().replace(LINES, ""))
        (scene.root / other / "ledger.sqlite").unlink()  # each holds its side's own files
    search(scene, ended, {"the manifest's number": LINES.encode()})
    report = scene.out("media") / "report.html"
    kept = report.read_bytes()
    report.write_bytes(b"")
    search(scene, ended, spend())
    shown = [what for what, money in spend().items() if money in kept]
    if shown:  # its own side's report may say what it paid
        assert not any(money in (scene.out("shop") / "report.html").read_bytes() for money in spend().values())


def test_the_check_and_failing_runs_say_counts_and_never_values(scene: Scene) -> None:
    plant(scene, WRITTEN)
    agreement = agree(scene)
    address = f"127.0.0.1:{free_port()}"
    hidden = canaries() | spend()
    for party in PARTIES:
        options = ("--agreement", str(agreement), "--party", party, "--data", str(scene.root / f"{party}.toml"))
        ended = scene.command("data", "check", *options, "--json", party=party).ended()
        assert ended.code == 0, ended.stderr
        said = json.loads(ended.stdout)
        assert [entry["identifier"] for entry in said["identifiers"]] == list(WRITTEN)
        search(scene, {party: ended, "again": scene.command("data", "check", *options, party=party).ended()}, hidden)
    spoilt = {
        "media-facts.csv": ("media", f",{NUMBER},", f",{NUMBER}{FACT},"),
        "media-manifest.csv": ("media", LINES, f"{LINES}{FACT}"),
        "shop-facts.csv": ("shop", NUMBER, f"{NUMBER}-{ACCOUNT}"),
        "touches.csv": ("media", "2025-03-07T03:17:41Z", ACCOUNT),
        "orders.csv": ("shop", ",12.50,", f",{WRITTEN['imei']}.{FACT},"),
    }
    for name, (party, old, new) in spoilt.items():
        path = scene.root / name
        kept = path.read_text()
        assert old in kept
        path.write_text(kept.replace(old, new))
        ended = scene.start(party, "--connect", address, environ={"PYTHONDEVMODE": "1"}).ended()
        assert ended.code == 4, (name, ended.stderr)
        search(scene, {party: ended}, hidden | {"the manifest's number": LINES.encode()})
        shutil.rmtree(scene.out(party))
        path.write_text(kept)


def test_malformed_identifiers_are_counted_not_quoted(scene: Scene) -> None:
    broken = {
        "phone": "13917772468009988",
        "email": "zq.canary.example.com",
        "idfa": "7a3f9c1e52b84d069e1bc4a8d2f07b65zz",
        "imei": "86325404771932599",
        "mac": "a4:5e:60:c3:9d:17:99",
    }
    plant(scene, WRITTEN | broken | {"id": "", "oaid": "", "caid": ""})
    agree(scene, max_invalid="0")
    ended = scene.start("media", "--connect", f"127.0.0.1:{free_port()}", "--connect-timeout", "1").ended()
    assert ended.code == 4, ended.stderr
    search(scene, {"media": ended}, {f"a broken {name}": text.encode() for name, text in broken.items()} | canaries())
