"""The released files: rows, money, signatures, and every check that an auditor makes without a key."""

from __future__ import annotations

import copy
import csv
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cleanroom.agreement.model import Agreement, Noise, Role
from cleanroom.errors import AgreementError, DataError, PeerError
from cleanroom.identity import signed_bytes
from cleanroom.plan import Plan, plan_of
from cleanroom.release.document import check_document, suppression_rows
from cleanroom.release.opening import Opening
from cleanroom.release.signatures import SIGNATURE_PURPOSE, SignedRelease, check_record, check_signatures, sign_release
from cleanroom.release.table import csv_bytes, parquet_bytes, release_rows
from cleanroom.release.terms import terms_of
from tests.cleanroom.release.test_opening import METRICS, TRUTH, open_pair
from tests.cleanroom.release.worlds import handshake_of, make_agreement
from tests.harness import Tamper, run_pair

KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)) for name in ("media", "shop")}


def certificate(name: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    key = KEYS[name]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return builder.sign(key, None).public_bytes(Encoding.PEM)


CERTIFICATES = {name: certificate(name) for name in KEYS}


def make_world(
    noise: Noise = Noise.NONE, recipients: tuple[str, ...] = ("media", "shop"), **change: Any
) -> tuple[Agreement, Plan]:
    agreement = make_agreement(metrics=METRICS, noise=noise, recipients=recipients, **change)
    parties = tuple(replace(entry, certificate_pem=CERTIFICATES[entry.name]) for entry in agreement.parties)
    agreement = replace(agreement, parties=(parties[0], parties[1]))
    return agreement, plan_of(agreement)


def finish(
    agreement: Agreement,
    plan: Plan,
    tamper: Tamper | None = None,
    signers: tuple[str, str] = ("media", "shop"),
    outcome_opening: Callable[[Opening], Opening] = lambda opening: opening,
) -> tuple[SignedRelease, SignedRelease]:
    terms = terms_of(agreement, plan)
    handshake = handshake_of(agreement)
    run, _, _ = open_pair(terms, session=handshake.session_id)

    def side(role: Role, opening: Opening, signer: str) -> Any:
        return sign_release(
            role,
            agreement,
            plan,
            terms,
            opening,
            handshake=handshake,
            sign=lambda statement: KEYS[signer].sign(signed_bytes(SIGNATURE_PURPOSE, statement)),
        )

    done = run_pair(
        side(Role.EXPOSURE, run.first, signers[0]),
        side(Role.OUTCOME, outcome_opening(run.second), signers[1]),
        tamper,
    )
    return done.first, done.second


@pytest.mark.parametrize("noise", [Noise.NONE, Noise.GAUSSIAN])
def test_both_sides_write_the_same_bytes(noise: Noise) -> None:
    agreement, plan = make_world(noise)
    first, second = finish(agreement, plan)
    assert dict(first.files) == dict(second.files)
    assert set(first.files) == {"release.csv", "release.parquet", "release.json"}
    assert first.record == second.record


def test_the_table_has_one_row_a_declared_pair_in_the_agreements_order_and_no_totals() -> None:
    agreement, plan = make_world()
    files = finish(agreement, plan)[0].files
    rows = list(csv.DictReader(io.StringIO(files["release.csv"].decode())))
    assert list(rows[0]) == ["group", "metric", "value", "std_error", "status"]
    names = [metric.name for metric in METRICS]
    assert [(row["group"], row["metric"]) for row in rows] == [(f"c{g}", name) for g in range(3) for name in names]
    assert [row["value"] for row in rows] == [
        "900",
        "700",
        "2100",
        "50000.00",
        "400",
        "",
        "",
        "",
        "300",
        "120",
        "260",
        "",
    ]
    assert [row["status"] for row in rows] == ["suppressed" if row["value"] == "" else "released" for row in rows]
    assert {row["std_error"] for row in rows} == {"0"}


def test_the_parquet_file_holds_the_same_rows() -> None:
    agreement, plan = make_world(Noise.GAUSSIAN)
    files = finish(agreement, plan)[0].files
    table = pq.read_table(pa.BufferReader(files["release.parquet"]))
    assert [str(field.type) for field in table.schema] == ["string", "string", "double", "double", "string"]
    rows = list(csv.DictReader(io.StringIO(files["release.csv"].decode())))
    for row, found in zip(rows, table.to_pylist(), strict=True):
        assert found["value"] == (float(row["value"]) if row["value"] else None)
        assert found["std_error"] == float(row["std_error"])
        assert (found["group"], found["metric"], found["status"]) == (row["group"], row["metric"], row["status"])


def test_std_errors_are_rounded_up_in_released_units() -> None:
    agreement, plan = make_world(Noise.GAUSSIAN)
    terms = terms_of(agreement, plan)
    run, _, _ = open_pair(terms)
    rows = release_rows(agreement, plan, terms, run.first)
    for row, exact, unit in zip(rows[:4], terms.std_errors, (1, 1, 1, Decimal("0.01")), strict=False):
        stated = Decimal(row.std_error)
        released = Decimal(exact) * unit
        assert released <= stated <= released + Decimal("0.01")
    assert rows[3].std_error.split(".")[1].isdigit()


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("0.01", ("50000.00", "-0.05")), ("1", ("5000000", "-5")), ("0.001", ("5000.000", "-0.005"))],
)
def test_money_is_written_to_its_precision(precision: str, expected: tuple[str, str]) -> None:
    agreement, plan = make_world(Noise.GAUSSIAN, precision=Decimal(precision))
    terms = terms_of(agreement, plan)
    noise = np.zeros(TRUTH.shape, dtype=np.int64)
    run, _, _ = open_pair(terms, noises=(noise, noise))
    below = noise.copy()
    below[0, 3] = -5_000_005
    negative, _, _ = open_pair(terms, noises=(below, noise))
    values = [release_rows(agreement, plan, terms, opening)[3].value for opening in (run.first, negative.first)]
    assert tuple(values) == expected


def test_automatic_gates_are_in_the_json_alone() -> None:
    agreement, plan = make_world(Noise.GAUSSIAN)
    files = finish(agreement, plan)[0].files
    document = json.loads(files["release.json"])
    assert [(row["metric"], row["units"]) for row in document["gates"]] == [
        ("gate_order_7d", 500),
        ("gate_order_7d", None),
        ("gate_order_7d", None),
    ]
    assert b"gate_order_7d" not in files["release.csv"] and b"gate_order_7d" not in files["release.parquet"]
    plain, plain_plan = make_world(Noise.NONE)
    exact = json.loads(finish(plain, plain_plan)[0].files["release.json"])
    assert [row["units"] for row in exact["gates"]] == [None] * 3  # without noise never opened


def test_the_json_names_agreement_parameters_and_files() -> None:
    agreement, plan = make_world(Noise.GAUSSIAN)
    files = finish(agreement, plan)[0].files
    document = json.loads(files["release.json"])
    assert document["agreement"]["hash"] == agreement.hash.hex()
    assert document["parameters"]["epsilon"] == 2.0 and document["parameters"]["min_people"] == 50
    assert {name: hashlib.sha256(files[name]).hexdigest() for name in document["files"]} == document["files"]
    assert [(entry["party"], entry["covers"]) for entry in document["signatures"]] == [
        ("media", "release"),
        ("shop", "release"),
    ]
    sales = document["rows"][3]
    assert (sales["value"], sales["units"]) == (50_000.0, 5_000_000)


@pytest.mark.parametrize("noise", [Noise.NONE, Noise.GAUSSIAN])
@pytest.mark.parametrize("recipients", [("media", "shop"), ("media",), ("shop",)])
def test_an_auditor_accepts_what_a_run_wrote(noise: Noise, recipients: tuple[str, ...]) -> None:
    agreement, plan = make_world(noise, recipients)
    for name, done in zip(("media", "shop"), finish(agreement, plan), strict=True):
        if name not in recipients:
            assert dict(done.files) == {}
            check_record(done.record, agreement)
            with pytest.raises(AgreementError, match=r"record\.signatures\[0\]"):
                check_record({**done.record, "passed": "00"}, agreement)
            continue
        document = json.loads(done.files["release.json"])
        check_signatures(document, agreement)
        opening = check_document(document, agreement, plan, done.files)
        assert opening.values[0, 2] == TRUTH[0, 2]


def test_a_side_that_is_no_recipient_has_statuses_and_no_values() -> None:
    agreement, plan = make_world(Noise.GAUSSIAN, ("media",))
    run, _, _ = open_pair(terms_of(agreement, plan))
    rows = suppression_rows(agreement, plan, terms_of(agreement, plan), run.second.passed)
    assert {key for row in rows for key in row} == {"group", "metric", "status"}
    assert [row["status"] for row in rows].count("suppressed") == 4


def change_share(document: dict[str, Any]) -> None:
    cell = document["openings"]["outcome"]["cells"][0]
    cell["share"] = f"{int(cell['share'], 16) ^ 1:016x}"


def swap_verdict(document: dict[str, Any]) -> None:
    packed = bytearray.fromhex(document["record"]["passed"])
    packed[0] ^= 1
    document["record"]["passed"] = packed.hex()


def drop_cell(document: dict[str, Any]) -> None:
    for side in ("exposure", "outcome"):
        document["openings"][side]["cells"].pop()


def set_value(document: dict[str, Any]) -> None:
    document["rows"][0]["value"] = 901


def set_threshold(document: dict[str, Any]) -> None:
    document["parameters"]["min_people"] = 5


def add_field(document: dict[str, Any]) -> None:
    document["note"] = "more"


def other_commitment(document: dict[str, Any]) -> None:
    document["openings"]["exposure"]["commitments"][7] = "00" * 32


def forget_record(document: dict[str, Any]) -> None:
    del document["record"]


def huge_cell(document: dict[str, Any]) -> None:
    document["openings"]["exposure"]["cells"][-1]["cell"] = 10**30


@pytest.mark.parametrize(
    "fault",
    [
        change_share,
        swap_verdict,
        drop_cell,
        set_value,
        set_threshold,
        add_field,
        other_commitment,
        forget_record,
        huge_cell,
    ],
)
@pytest.mark.parametrize("noise", [Noise.NONE, Noise.GAUSSIAN])
def test_an_auditor_finds_a_changed_document(fault: Callable[[dict[str, Any]], None], noise: Noise) -> None:
    agreement, plan = make_world(noise)
    files = finish(agreement, plan)[0].files
    document = json.loads(files["release.json"])
    check_document(copy.deepcopy(document), agreement, plan, files)
    fault(document)
    with pytest.raises(DataError, match=r"release\.json"):
        check_document(document, agreement, plan, files)
    with pytest.raises((AgreementError, DataError)):
        check_signatures(document, agreement)


@pytest.mark.parametrize("name", ["release.csv", "release.parquet"])
def test_an_auditor_finds_a_changed_file(name: str) -> None:
    agreement, plan = make_world()
    files = dict(finish(agreement, plan)[0].files)
    document = json.loads(files["release.json"])
    files[name] += b"\n"
    with pytest.raises(DataError, match="SHA-256"):
        check_document(document, agreement, plan, files)
    del files[name]
    with pytest.raises(DataError, match="SHA-256"):
        check_document(document, agreement, plan, files)


def test_a_document_of_another_agreement_is_refused() -> None:
    agreement, plan = make_world()
    files = finish(agreement, plan)[0].files
    other = replace(agreement, hash=b"\x33" * 32)
    with pytest.raises(DataError, match=r"agreement\.hash does not follow"):
        check_document(json.loads(files["release.json"]), other, plan, files)


@pytest.mark.parametrize("who", [0, 1])
def test_a_damaged_signature_is_the_peers_fault(who: int) -> None:
    agreement, plan = make_world()

    def tamper(sender: int, number: int, frame: bytes) -> bytes:
        return frame[:-1] + bytes([frame[-1] ^ 1]) if sender == who else frame

    with pytest.raises(PeerError, match="signature"):
        finish(agreement, plan, tamper)


@pytest.mark.parametrize("signers", [("shop", "shop"), ("media", "media")])
def test_a_signature_with_another_key_is_the_peers_fault(signers: tuple[str, str]) -> None:
    agreement, plan = make_world()
    with pytest.raises(PeerError, match="signature"):
        finish(agreement, plan, signers=signers)


def test_a_signature_over_other_figures_is_the_peers_fault() -> None:
    agreement, plan = make_world()

    def other(opening: Opening) -> Opening:
        values = opening.values.copy()
        values[0, 0] += 1
        return replace(opening, values=values)

    with pytest.raises(PeerError, match="signature"):
        finish(agreement, plan, outcome_opening=other)


@pytest.mark.parametrize("index", [0, 1])
def test_a_missing_or_exchanged_signature_is_found(index: int) -> None:
    agreement, plan = make_world()
    document = json.loads(finish(agreement, plan)[0].files["release.json"])
    missing = copy.deepcopy(document)
    del missing["signatures"][index]
    with pytest.raises(AgreementError, match="is missing"):
        check_signatures(missing, agreement)
    document["signatures"][index]["signature"] = document["signatures"][1 - index]["signature"]
    with pytest.raises(AgreementError, match="does not hold"):
        check_signatures(document, agreement)


def test_csv_and_parquet_bytes_are_stable() -> None:
    agreement, plan = make_world()
    terms = terms_of(agreement, plan)
    run, _, _ = open_pair(terms)
    rows = release_rows(agreement, plan, terms, run.first)
    digest = hashlib.sha256(csv_bytes(rows)).hexdigest()
    assert digest == "e132354e856ca46983ecc24c5d358bd1e535d2c266228269721ffdb329a24e0c"
    assert parquet_bytes(rows) == parquet_bytes(rows)
    assert "900" not in repr(rows)


def test_an_auditor_finds_shares_that_only_add_up() -> None:
    agreement, plan = make_world()
    files = finish(agreement, plan)[0].files
    document = json.loads(files["release.json"])
    for side, step in (("exposure", 1), ("outcome", -1)):
        cell = document["openings"][side]["cells"][0]
        cell["share"] = f"{(int(cell['share'], 16) + step) % 2**64:016x}"
    with pytest.raises(DataError, match=r"openings\.exposure\.cells\[0\]: the share"):
        check_document(document, agreement, plan, files)


def change_root(document: dict[str, Any]) -> None:
    document["record"]["handshake"]["outcome"]["input_root"] = "00" * 32


def change_seed(document: dict[str, Any]) -> None:
    document["record"]["handshake"]["exposure"]["seed_commitment"] = "00" * 32


@pytest.mark.parametrize("fault", [change_root, change_seed])
def test_the_session_follows_from_the_commitments(fault: Callable[[dict[str, Any]], None]) -> None:
    agreement, plan = make_world()
    files = finish(agreement, plan)[0].files
    document = json.loads(files["release.json"])
    fault(document)
    with pytest.raises(DataError, match=r"record\.session does not follow from record\.handshake"):
        check_document(document, agreement, plan, files)


def test_the_recorded_writer_is_part_of_the_terms() -> None:
    agreement, plan = make_world()
    document = json.loads(finish(agreement, plan)[0].files["release.json"])
    document["record"]["writer"] = "pyarrow 1.0.0"
    with pytest.raises(DataError, match=r"record\.terms does not follow"):
        check_document(document, agreement, plan, {})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda entries: entries.append(dict(entries[0])), "2 signatures expected, 3 found"),
        (lambda entries: entries.reverse(), r"signatures\[0\]: the signature of media"),
        (lambda entries: entries[1].update(signature=entries[1]["signature"].upper()), r"signatures\[1\]: .* shop"),
        (lambda entries: entries[0].update(note=""), r"signatures\[0\]: the signature of media"),
    ],
)
def test_signatures_have_one_form(change: Callable[[list[dict[str, str]]], None], expected: str) -> None:
    agreement, plan = make_world()
    document = json.loads(finish(agreement, plan)[0].files["release.json"])
    check_signatures(document, agreement)
    change(document["signatures"])
    with pytest.raises(AgreementError, match=expected):
        check_signatures(document, agreement)
