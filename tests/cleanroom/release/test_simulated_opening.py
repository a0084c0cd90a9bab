"""Simulated views of an opening beside real ones: a side's view holds its output, and nothing of what stays closed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Noise, Role
from cleanroom.plan import plan_of
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.wire import FRAME_HEADER_BYTES
from cleanroom.release import opening
from cleanroom.release.commitments import COMMITMENT_BYTES, SALT_BYTES, commit_shares
from cleanroom.release.opening import Opening, SideOpening
from cleanroom.release.terms import ReleaseTerms, terms_of
from tests.cleanroom.release.simulator_opening import SESSION, SIDES, Learned, own_half, simulated_opening
from tests.cleanroom.release.worlds import BUYERS, MATCHED, ORDERS, SALES_7, make_agreement
from tests.harness import Run, run_pair
from tests.protocols.distinguishers import message_faults
from tests.protocols.ot_pairs import ot_pair

GROUPS = 120
BOTH = ("media", "shop")
Words = NDArray[np.uint64]
SEEDS = {Role.EXPOSURE: b"e" * 32, Role.OUTCOME: b"o" * 32}
ROLES = (Role.EXPOSURE, Role.OUTCOME)


def terms_for(noise: Noise, recipients: tuple[str, ...] = BOTH, *, suppress: bool = False) -> ReleaseTerms:
    metrics = (MATCHED, BUYERS, ORDERS, SALES_7)
    agreement: Agreement = make_agreement(metrics=metrics, groups=GROUPS, noise=noise, recipients=recipients)
    agreement = replace(agreement, release=replace(agreement.release, suppress_differences=suppress))
    return terms_of(agreement, plan_of(agreement))


def truth_of(terms: ReleaseTerms) -> NDArray[np.int64]:
    """Counts around the threshold, in every column alike, so that gates decide both ways."""
    counts = np.random.default_rng(4).integers(0, 2 * terms.min_people, (GROUPS, terms.columns))
    return np.sort(counts, axis=1)[:, ::-1].astype(np.int64).copy()


def shares_of(truth: NDArray[np.int64]) -> dict[Role, Words]:
    first = np.random.default_rng(5).integers(0, 2**64, truth.shape, dtype=np.uint64)
    return {Role.EXPOSURE: first, Role.OUTCOME: truth.view(np.uint64) - first}


def noises_of(terms: ReleaseTerms) -> dict[Role, NDArray[np.int64]]:
    """As `draw_noise` draws it, from a seed: what is judged here is the opening, and the same one every time."""
    found = {}
    for seed, role in enumerate(ROLES):
        rng = np.random.default_rng([8, seed])
        shape = (terms.groups, terms.columns)
        unit = rng.laplace(size=shape) if terms.noise is Noise.LAPLACE else rng.normal(size=shape)
        found[role] = np.rint(unit * np.array(terms.scales)).astype(np.int64)  # scales of 0 without noise
    return found


def real_opening(terms: ReleaseTerms, noises: dict[Role, NDArray[np.int64]]) -> Run[Opening, Opening]:
    pair, shares = ot_pair("opening"), shares_of(truth_of(terms))
    sides = []
    for role in ROLES:
        compare, conjoin = own_half(role, pair)
        streams = Streams(seed=SEEDS[role], session_id=SESSION)
        sides.append(
            SIDES[role](
                terms=terms, shares=shares[role], noise=noises[role], streams=streams, compare=compare, conjoin=conjoin
            )
        )
    return run_pair(sides[0], sides[1])


def of(run: Run[Opening, Opening], role: Role) -> Opening:
    return run.first if role is Role.EXPOSURE else run.second


def simulate(
    role: Role, terms: ReleaseTerms, output: Opening, noises: dict[Role, NDArray[np.int64]], number: int = 1
) -> Run[Opening, Opening]:
    """The shares that a side gets from a join are uniform, so the simulator draws them itself."""
    drawn = np.random.default_rng([6, number]).integers(0, 2**64, output.values.shape, dtype=np.uint64)
    return simulated_opening(
        role,
        terms,
        shares=drawn,
        noise=noises[role],
        learned=Learned(passed=output.passed, opened=output.opened, values=output.values),
        seed=b"simulated".ljust(32),
        pair=ot_pair("opening", session=bytes([number]) * 32),
        number=number,
    )


def received(run: Run[Opening, Opening], role: Role) -> dict[str, bytes]:
    own = ROLES.index(role)
    found: dict[str, bytes] = {}
    for sender, step, frame in run.frames:
        if sender != own:
            found[step] = found.get(step, b"") + frame[FRAME_HEADER_BYTES:]
    return found


def commitment_faults(run: Run[Opening, Opening], role: Role, words: Words, noise_of_peer: int = 0) -> list[str]:
    """What a recipient gets out of commitments that were not opened, by trying counts without a salt."""
    output = of(run, role)
    other = ROLES[1 - ROLES.index(role)]
    side: SideOpening = output.outcome if other is Role.OUTCOME else output.exposure
    hidden = np.flatnonzero(~output.opened.reshape(-1))[:20]
    for guess in range(200):
        shares = np.uint64(guess + noise_of_peer) - words.reshape(-1)[hidden]
        tried = commit_shares(
            session_id=SESSION,
            role=other,
            cells=hidden,
            salts=np.zeros((len(hidden), SALT_BYTES), dtype=np.uint8),
            shares=shares,
        )
        if bool((tried == side.commitments[hidden]).all(axis=1).any()):
            return ["a commitment is opened by guessing"]
    return []


def message_faults_of(run: Run[Opening, Opening], role: Role, terms: ReleaseTerms) -> list[str]:
    """What in the messages is not uniform; the suppression bits are the output, and the terms are public."""
    bodies = received(run, role)
    assert bodies.pop("release.terms") == terms.digest
    suppression = bodies.pop("release.suppression", b"")
    if suppression:
        gates = of(run, role).passed[:, list(terms.gate_columns)].reshape(-1)
        assert suppression == np.packbits(gates, bitorder="little").tobytes()
    assert len(bodies["release.commitments"]) == COMMITMENT_BYTES * terms.groups * terms.columns
    return [fault for step, body in bodies.items() for fault in message_faults(step, body)]


CASES = {
    "noise": terms_for(Noise.GAUSSIAN),
    "laplace": terms_for(Noise.LAPLACE),
    "a sole recipient, exposure side": terms_for(Noise.GAUSSIAN, ("media",)),
    "a sole recipient, outcome side": terms_for(Noise.GAUSSIAN, ("shop",)),
    "exact": terms_for(Noise.NONE),
    "exact, a sole recipient": terms_for(Noise.NONE, ("shop",)),
    "exact without differences": terms_for(Noise.NONE, suppress=True),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("case", CASES)
def test_a_simulated_opening_has_the_form_of_a_real_one_and_ends_with_the_given_output(case: str, role: Role) -> None:
    terms = CASES[case]
    noises = noises_of(terms)
    real = real_opening(terms, noises)
    output = of(real, role)
    assert output.passed.any() and not output.passed.all()
    simulated = simulate(role, terms, output, noises)
    again = of(simulated, role)
    assert np.array_equal(again.passed, output.passed)
    assert np.array_equal(again.opened, output.opened)
    assert np.array_equal(again.values, output.values)
    assert simulated.lengths() == real.lengths()
    for run in (real, simulated):
        assert message_faults_of(run, role, terms) == []


@pytest.mark.parametrize("role", ROLES)
def test_no_commitment_is_opened_by_guessing_unless_it_has_no_salt(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    terms = CASES["exact"]
    noises, words = noises_of(terms), shares_of(truth_of(terms))[role]
    assert commitment_faults(real_opening(terms, noises), role, words) == []
    with monkeypatch.context() as patch:
        patch.setattr(opening, "keystream", lambda key, length: bytes(length))
        assert commitment_faults(real_opening(terms, noises), role, words) != []


def peers_noise(run: Run[Opening, Opening], role: Role, terms: ReleaseTerms, own: NDArray[np.int64]) -> float:
    """How far opened gates are from the truth, less the own noise, in the peer's agreed deviations."""
    output, truth = of(run, role), truth_of(terms)
    gates = list(terms.gate_columns)
    left = (output.values - truth - own)[:, gates] / np.array(terms.scales)[gates]
    assert output.opened[:, gates].all()
    return float(left.std())


@pytest.mark.parametrize("role", ROLES)
def test_an_opened_gate_carries_the_peers_noise_and_one_without_it_shows(role: Role) -> None:
    """To one who knows the truth: 360 gates, so a sound deviation is 1 within 0.19 at five standard errors."""
    terms = CASES["noise"]
    noises = noises_of(terms)
    assert abs(peers_noise(real_opening(terms, noises), role, terms, noises[role]) - 1) < 0.19
    other = ROLES[1 - ROLES.index(role)]
    bare = noises[other].copy()
    bare[:, list(terms.gate_columns)] = 0
    assert peers_noise(real_opening(terms, {**noises, other: bare}), role, terms, noises[role]) < 0.1
