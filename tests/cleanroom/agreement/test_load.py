"""Every refusal of the loader: one clear line that names the key; and what a good agreement becomes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from cleanroom import identity
from cleanroom.agreement import Agreement, Measure, Noise, Profile, Resolution, Role, load_agreement, parse_agreement
from cleanroom.agreement.schema import COUNTRIES, IDENTIFIER_RULES, SCHEMA
from cleanroom.errors import AgreementError
from cleanroom.match_keys import rules
from tests.cleanroom.agreement.refusals import REFUSALS
from tests.cleanroom.agreement.samples import ON, SAMPLE, Desk


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(desk: Desk, case: str) -> None:
    changes, expected = REFUSALS[case]
    with pytest.raises(AgreementError) as caught:
        desk.load(*changes)
    message = str(caught.value)
    assert message.startswith(f"{desk.path}: {expected}")
    assert "\n" not in message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("section", SCHEMA)
def test_every_table_refuses_unknown_keys(desk: Desk, section: str) -> None:
    """One case a table of the schema, so that a table cannot be read without its check."""
    extra = "surprise = 1"
    changes = {
        "": ("version = 1", f"version = 1\n{extra}"),
        "parties.NAME": ('certificate = "shop.crt"', f'certificate = "shop.crt"\n{extra}'),
        "match": ("[match]", f"[match]\n{extra}"),
        "match.identifiers": ('["id"]', f'[{{type = "id", {extra}}}]'),
        "time": ("[time]", f"[time]\n{extra}"),
        "exposure": ("[exposure]", f"[exposure]\n{extra}"),
        "outcome": ("[outcome]", f"[outcome]\n{extra}"),
        "outcome.labels": ('"CNY"', f'"CNY"\nlabels = [{{column = "tier", values = ["a"], {extra}}}]'),
        "metrics": ('name = "known"', f'name = "known"\n{extra}'),
        "release": ("[release]", f"[release]\n{extra}"),
        "protocol": ("[protocol]", f"[protocol]\n{extra}"),
        "protocol.max_rows": ("exposure = 16384", f"exposure = 16384, {extra}"),
        "legal": ("[protocol]", f'[legal]\nbasis = "consent"\n{extra}\n[protocol]'),
        "completeness": ("[protocol]", f"[completeness]\n{extra}\n[protocol]"),
        "completeness.BAND": ("[protocol]", f"[completeness]\nfailure = {{}}\nwarning = {{{extra}}}\n[protocol]"),
        "sampling": ("[protocol]", f"[sampling]\n{extra}\n[protocol]"),
        "sampling.periods": ("[protocol]", f"[sampling]\nperiods = [{{{extra}}}]\n[protocol]"),
        "eligibility": ("[protocol]", f"[eligibility]\n{extra}\n[protocol]"),
        "eligibility.rules": ("[protocol]", f"[eligibility]\nrules = [{{{extra}}}]\n[protocol]"),
        "lift": ("[protocol]", f"[lift]\n{extra}\n[protocol]"),
        "lift.comparisons": (
            "[protocol]",
            f'[lift]\ndesign = "randomised"\nmetrics = ["buyers_15d"]\ncomparisons = [{{{extra}}}]\n[protocol]',
        ),
    }
    with pytest.raises(AgreementError, match="surprise: unknown key"):
        desk.load(changes[section])


def test_a_missing_file_and_other_bytes(tmp_path: Path) -> None:
    with pytest.raises(AgreementError, match="cannot be read: No such file"):
        load_agreement(tmp_path / "none.toml")
    with pytest.raises(AgreementError, match="cannot be read"):
        load_agreement(tmp_path)
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(AgreementError, match="UTF-8"):
        load_agreement(tmp_path / "a.toml")
    with (tmp_path / "big.toml").open("wb") as file:
        file.truncate(17 * 2**20)
    with pytest.raises(AgreementError, match="larger than 16 MiB"):
        load_agreement(tmp_path / "big.toml")
    with pytest.raises(AgreementError, match="not valid TOML"):
        parse_agreement(b"a = " + b"[" * 100_000, folder=tmp_path)


def test_the_sample_as_values(desk: Desk) -> None:
    agreement = desk.load()
    assert isinstance(agreement, Agreement)
    assert [entry.role for entry in agreement.parties] == [Role.EXPOSURE, Role.OUTCOME]
    assert agreement.exposure_party.fingerprint == desk.media.fingerprint
    assert agreement.outcome_party.fingerprint == desk.shop.fingerprint
    assert agreement.time.resolution is Resolution.DAY
    assert agreement.exposure.start == datetime(2017, 1, 1, tzinfo=UTC)
    assert agreement.outcome.precision == Decimal("0.01")
    assert [(metric.name, metric.measure, metric.window_ticks, metric.cap) for metric in agreement.metrics] == [
        ("buyers_15d", Measure.PEOPLE, 15, None),
        ("orders_15d", Measure.EVENTS, 15, 40),
        ("gmv_30d", Measure.SUM, 30, 200_000),
        ("known", Measure.MATCHED, None, None),
    ]
    assert agreement.release.recipients == ("media", "shop")
    assert (agreement.protocol.rows_exposure, agreement.protocol.rows_outcome) == (16_384, 1_048_576)


def test_defaults(desk: Desk) -> None:
    agreement = desk.load(("max_groups_per_person = 2\n", ""))
    assert agreement.protocol.profile is Profile.ECDH
    assert agreement.time.zone == "UTC"
    assert agreement.time.tree == (1,)
    assert agreement.match.max_invalid == Decimal("0.01")
    assert agreement.exposure.anchor == "first_touch"
    assert agreement.exposure.instants is None
    assert agreement.exposure.credit is None
    assert (agreement.release.max_groups_per_person, agreement.release.max_windows) == (1, 1)


@pytest.mark.parametrize(("resolution", "tree"), [("1h", (1, 6, 24)), ("1m", (1, 10, 60, 360, 1440))])
def test_default_trees(desk: Desk, resolution: str, tree: tuple[int, ...]) -> None:
    assert desk.load(('"1d"', f'"{resolution}"')).time.tree == tree


@pytest.mark.parametrize(
    ("resolution", "window", "ticks"),
    [("1d", "30d", 30), ("1d", "48h", 2), ("1h", "2d", 48), ("1h", "120m", 2), ("1m", "1h", 60), ("1m", "1d", 1440)],
)
def test_windows_in_ticks(desk: Desk, resolution: str, window: str, ticks: int) -> None:
    agreement = desk.load(('"1d"', f'"{resolution}"'), ('"30d"', f'"{window}"'))
    assert agreement.metrics[2].window_ticks == ticks


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('"phone"', ("phone", "e164", "CN", None)),
        ('{type = "phone", rule = "national", hash = "md5"}', ("phone", "national", "CN", "md5")),
        ('{type = "phone", rule = "e164", country = "CN"}', ("phone", "e164", "CN", None)),
        ('{type = "phone", rule = "e164_digits", country = "SG"}', ("phone", "e164_digits", "SG", None)),
        ('"idfa"', ("idfa", "upper", None, None)),
        ('"oaid"', ("oaid", None, None, None)),
        ('"email"', ("email", "lower", None, None)),
        ('{type = "email", rule = "gmail", hash = "sha256"}', ("email", "gmail", None, "sha256")),
        ('{type = "id"}', ("id", None, None, None)),
    ],
)
def test_identifiers(desk: Desk, written: str, expected: tuple[str | None, ...]) -> None:
    (identifier,) = desk.load(('["id"]', f"[{written}]")).match.identifiers
    assert (identifier.type, identifier.rule, identifier.country, identifier.hash) == expected
    assert rules.full_rule(identifier).country == identifier.country


def test_the_schema_names_the_rules_that_are_applied() -> None:
    assert IDENTIFIER_RULES == rules.RULES
    assert COUNTRIES == rules.COUNTRIES
    assert SCHEMA["match.identifiers"]["hash"].choices == rules.HASHES


@pytest.mark.parametrize(
    ("precision", "cap", "units"),
    [('"0.01"', '"2000.00"', 200_000), ('"1"', "2000", 2000), ("0.1", "0.1", 1), ('"0.001"', '"2000.001"', 2_000_001)],
)
def test_caps_in_units(desk: Desk, precision: str, cap: str, units: int) -> None:
    agreement = desk.load(('"CNY"', f'"CNY"\nprecision = {precision}'), ('"2000.00"', cap))
    assert agreement.metrics[2].cap == units


def test_the_largest_threshold_counts(desk: Desk) -> None:
    raised = desk.load(('certificate = "shop.crt"', 'certificate = "shop.crt"\nmin_people = 80'))
    lower = desk.load(('certificate = "shop.crt"', 'certificate = "shop.crt"\nmin_people = 20'))
    assert (raised.release.min_people, lower.release.min_people) == (80, 50)


def test_noise_none_and_laplace_ignore_what_they_do_not_use(desk: Desk) -> None:
    without = desk.load(('"gaussian"', '"none"'), ("epsilon = 2.0\ndelta = 1e-6\n", ""))
    ignored = desk.load(('"gaussian"', '"none"'))
    assert without.release == ignored.release
    assert without.hash == ignored.hash
    laplace = desk.load(('"gaussian"', '"laplace"'), ("delta = 1e-6\n", ""))
    assert (laplace.release.noise, laplace.release.epsilon, laplace.release.delta) == (Noise.LAPLACE, 2.0, 0.0)


def test_rows_are_padded_to_powers_of_two(desk: Desk) -> None:
    for rows, padded in ((1, 1), (2, 2), (3, 4), (16384, 16384), (16385, 32768)):
        assert desk.load(("16384", str(rows))).protocol.rows_exposure == padded


def test_the_order_of_parties_in_the_file_does_not_matter(desk: Desk) -> None:
    swapped = desk.load(
        ('[parties.media]\nrole = "exposure"\ncertificate = "media.crt"\n', ""),
        ("[match]", '[parties.media]\nrole = "exposure"\ncertificate = "media.crt"\n[match]'),
    )
    assert swapped.exposure_party.name == "media"
    assert swapped.hash == desk.load().hash


def test_inline_certificates_are_the_same_as_files(desk: Desk) -> None:
    inline = desk.load(('"shop.crt"', f'"""\n{desk.shop.certificate_pem.decode()}"""'))
    assert inline.hash == desk.load().hash
    assert inline.outcome_party == desk.load().outcome_party


def test_validity_is_inclusive_and_an_auditor_may_read_old_ones(desk: Desk) -> None:
    desk.path.write_text(SAMPLE)
    assert load_agreement(desk.path, on=date(2027, 12, 31)).valid_until == date(2027, 12, 31)
    with pytest.raises(AgreementError, match="expired on 2027-12-31"):
        load_agreement(desk.path, on=date(2028, 1, 1))
    assert load_agreement(desk.path, on=date(2030, 1, 1), any_age=True).name == "complete-journey-2017"
    desk.path.write_text(SAMPLE.replace("2027-12-31", "2001-12-31"))
    with pytest.raises(AgreementError, match="expired on 2001-12-31"):
        load_agreement(desk.path)


@pytest.mark.parametrize(
    "change",
    [
        ("outcome = 1000000", "outcome = 16777216"),
        ('["id"]', '["id"]\nmax_invalid = 0'),
        ('["id"]', '["id"]\nmax_invalid = 1'),
        ("epsilon = 2.0", "epsilon = 1e-6"),
        ("epsilon = 2.0", "epsilon = 1000"),
        ("min_people = 50", "min_people = 1"),
        ('"2000.00"', '"0.01"'),
        ("[release]", "".join(f'[[metrics]]\nname = "n{n}"\nmeasure = "matched"\n' for n in range(252)) + "[release]"),
        ('"CNY"', '"CNY"\nprecision = "0.000000001"'),
        ("end = 2017-12-01T00:00:00Z", "end = 2018-01-01T00:00:00Z"),
        ('["mail"]', '["mail"]\ninstants = [2017-01-01T00:00:00Z, 2017-11-30T23:59:59.999999Z]'),
    ],
)
def test_the_borders_are_inside(desk: Desk, change: tuple[str, str]) -> None:
    assert desk.load(change).name == "complete-journey-2017"


def test_two_certificates_of_one_key_are_refused(desk: Desk) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    for name in ("one", "two"):
        pem = identity._self_signed(name, key).public_bytes(Encoding.PEM)
        (desk.folder / f"{name}.pem").write_bytes(pem)
    with pytest.raises(AgreementError, match="parties: both parties have the same certificate or key"):
        desk.load(('"media.crt"', '"one.pem"'), ('"shop.crt"', '"two.pem"'))


def test_expired_certificates(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "LIFETIME", timedelta(days=-1))
    old = identity.new_identity("old", desk.folder / "identity-old")
    expired = old.certificate.not_after.date()
    desk.path.write_text(SAMPLE.replace('"shop.crt"', '"identity-old/old.crt"'))
    with pytest.raises(AgreementError, match=rf"parties\.shop\.certificate: the certificate expired on {expired}"):
        load_agreement(desk.path, on=expired + timedelta(days=1))
    assert load_agreement(desk.path, any_age=True).outcome_party.fingerprint == old.fingerprint


@pytest.mark.parametrize("profile", Profile)
def test_every_profile_is_read(desk: Desk, profile: Profile) -> None:
    agreement = desk.load(("[protocol]", f'[protocol]\nprofile = "{profile.value}"'))
    assert agreement.protocol.profile is profile


def test_the_documented_example_is_read_but_for_credit(desk: Desk) -> None:
    """The example of the reference page's source with every optional key, without its credit metric."""
    agreement = desk.load(
        ('["id"]', '["id"]\nmax_invalid = 0.01'),
        ('"1d"', '"1d"\nzone = "UTC"\ntree = [1]'),
        ('["mail"]', '["mail"]\nstart = 2017-01-01T00:00:00Z\nanchor = "first_touch"\ncredit = "last_touch"'),
        ('"CNY"', '"CNY"\nprecision = "0.01"\nlabels = []'),
        ("max_groups_per_person = 2", "max_groups_per_person = 4\nmax_windows = 4"),
        ("[protocol]", '[protocol]\nprofile = "kkrt"'),
    )
    assert agreement.protocol.profile is Profile.KKRT
    assert agreement.release.max_groups_per_person == 3  # there are three groups
    assert agreement.release.max_windows == 4
    assert load_agreement(desk.path, on=ON) == agreement
