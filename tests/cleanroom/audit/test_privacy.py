"""The privacy audit: sound releases stay under their promise and come close to it, broken ones do not stay under it.

The noise is the operating system's. A sound mechanism fails here with probability 2e-6 at most; the broken ones are
told apart by many deviations. How close a sound one comes is itself a draw, nearer to the promise with more runs: so
many are made here that the least that is asked for is six deviations below the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cleanroom.agreement.model import Agreement, Identifier, Noise
from cleanroom.audit import distinguish, neighbours, privacy
from cleanroom.audit.privacy import audit_privacy, ideal_opening, through_the_opening
from cleanroom.errors import AgreementError
from cleanroom.plan import plan_of
from cleanroom.release import accounting, opening
from cleanroom.release.noise import draw_noise
from cleanroom.release.terms import ReleaseTerms
from tests.cleanroom.release.worlds import BUYERS, MATCHED, ORDERS, SALES, make_agreement

RUNS = 8000
MANY = 20_000
"""Where the broken mechanism was told apart by five deviations in `RUNS`."""


def gaussian(**change: Any) -> Agreement:
    given: dict[str, Any] = {"metrics": (BUYERS, ORDERS), "groups": 6, "max_groups_per_person": 4, "epsilon": 4.0}
    return make_agreement(noise=Noise.GAUSSIAN, **(given | change))


def laplace(**change: Any) -> Agreement:
    given: dict[str, Any] = {"metrics": (BUYERS,), "groups": 6, "max_groups_per_person": 4, "epsilon": 1.0}
    return make_agreement(noise=Noise.LAPLACE, **(given | change))


@pytest.fixture(autouse=True)
def no_calibration_is_kept() -> Iterator[None]:
    accounting._calibrate.cache_clear()
    yield
    accounting._calibrate.cache_clear()


def test_one_person_moves_as_many_groups_as_agreed_every_column_at_its_cap() -> None:
    agreement = make_agreement(metrics=(MATCHED, BUYERS, ORDERS, SALES), groups=9, max_groups_per_person=3)
    added = neighbours.contribution(agreement, plan_of(agreement))
    moved = added[added.any(axis=1)]
    assert moved.tolist() == [[1, 1, 40, 200_000]] * 3


@pytest.mark.parametrize(("cap", "noted"), [(4095, False), (4096, True)])
def test_a_cap_that_the_person_does_not_reach_is_said(cap: int, noted: bool) -> None:
    agreement = gaussian(metrics=(replace(ORDERS, cap=cap),))
    added = neighbours.contribution(agreement, plan_of(agreement))
    assert added.max() == cap, "up to 4,095 the person has an event more than the cap"
    notes = audit_privacy(agreement, runs=200).notes
    assert [note.split(":")[0] for note in notes] == (["order"] if noted else [])


def test_a_sound_gaussian_release_stays_under_its_promise_and_comes_close() -> None:
    found = audit_privacy(gaussian(), runs=80_000)
    assert found.faults == () and (found.groups, found.cells) == (4, 8)
    assert 0.6 * found.rho < found.found.rho < privacy._ROOM * found.rho
    assert 0.2 * found.epsilon < found.found.epsilon <= found.epsilon


def test_a_sound_laplace_release_stays_under_its_promise_and_comes_close() -> None:
    found = audit_privacy(laplace(), runs=90_000)
    assert found.faults == ()
    assert 0.6 * found.epsilon < found.found.epsilon <= found.epsilon


def matched_on(number: int, agreement: Agreement) -> Agreement:
    identifiers = tuple(Identifier(type=kind) for kind in ("id", "email", "oaid", "imei")[:number])
    return replace(agreement, match=replace(agreement.match, identifiers=identifiers))


def test_a_person_under_several_identifiers_comes_as_close() -> None:
    found = audit_privacy(matched_on(3, gaussian()), runs=80_000)
    assert found.faults == () and (found.groups, found.cells) == (4, 8)
    assert 0.6 * found.rho < found.found.rho < privacy._ROOM * found.rho


def test_noise_for_one_identifier_of_three_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    reaches = accounting._reaches
    monkeypatch.setattr(accounting, "_reaches", lambda plan: tuple((bound // 3, n) for bound, n in reaches(plan)))
    assert audit_privacy(matched_on(3, gaussian()), runs=RUNS).faults


def half_the_noise(terms: ReleaseTerms) -> NDArray[np.int64]:
    return draw_noise(replace(terms, scales=tuple(scale / 2 for scale in terms.scales)))


def powers_of_two(terms: ReleaseTerms) -> NDArray[np.int64]:
    return draw_noise(replace(terms, scales=tuple(2.0 ** np.floor(np.log2(scale)) for scale in terms.scales)))


def no_noise_on_the_last_column(terms: ReleaseTerms) -> NDArray[np.int64]:
    noise = draw_noise(terms)
    noise[:, -1] = 0
    return noise


def on_a_coarse_grid(terms: ReleaseTerms) -> NDArray[np.int64]:
    return draw_noise(terms) // 2 * 2


def one_draw_for_every_group(terms: ReleaseTerms) -> NDArray[np.int64]:
    noise = draw_noise(terms)
    return np.repeat(noise[::4], 4, axis=0)  # four groups a run


@pytest.mark.parametrize("agreement", [gaussian(), laplace()], ids=["gaussian", "laplace"])
@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (half_the_noise, "promised"),
        (no_noise_on_the_last_column, "epsilon"),
        (on_a_coarse_grid, "remainders by 2"),
    ],
)
def test_broken_noise_is_found(
    agreement: Agreement, broken: Callable[[ReleaseTerms], NDArray[np.int64]], fault: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(privacy, "draw_noise", broken)
    runs = MANY if broken is half_the_noise else RUNS
    assert any(fault in line for line in audit_privacy(agreement, runs=runs).faults)


def test_a_scale_that_is_rounded_down_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "draw_noise", powers_of_two)
    assert audit_privacy(gaussian(epsilon=5.0), runs=RUNS).faults


def test_noise_that_is_shared_by_cells_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who is in one of two groups only: the other group's cell shows the noise."""
    monkeypatch.setattr(privacy, "draw_noise", one_draw_for_every_group)
    real = neighbours.contribution
    monkeypatch.setattr(privacy, "contribution", lambda agreement, plan: with_a_still_cell(real(agreement, plan)))
    assert any("combination" in line for line in audit_privacy(gaussian(), runs=RUNS).faults)


def with_a_still_cell(added: NDArray[np.int64]) -> NDArray[np.int64]:
    moved = np.flatnonzero(added.any(axis=1))
    added[moved[0], 0] = 0
    return added


def one_group(reach: tuple[int, int], norm: int) -> float:
    return float(reach[0])


_calibrate = accounting._calibrate
_rho = accounting._rho


@pytest.mark.parametrize("make", [gaussian, laplace])
def test_noise_for_one_group_of_four_is_found(make: Callable[[], Agreement], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "_sensitivity", one_group)
    assert audit_privacy(make(), runs=RUNS).faults


@pytest.mark.parametrize("make", [gaussian, laplace])
def test_a_hidden_gate_that_is_not_paid_for_is_found(
    make: Callable[..., Agreement], monkeypatch: pytest.MonkeyPatch
) -> None:
    agreement = make(metrics=(ORDERS,), max_groups_per_person=2)
    assert len(plan_of(agreement).columns) == 2
    without_the_gate(monkeypatch, 1)
    assert audit_privacy(agreement, runs=40_000).faults


def test_an_epsilon_that_every_column_gets_whole_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    agreement = gaussian(metrics=(MATCHED, BUYERS, ORDERS, SALES))
    without_the_gate(monkeypatch, 1)
    assert audit_privacy(agreement, runs=MANY).faults


def without_the_gate(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """Calibrates as if the first columns were all that is opened."""

    def calibrate(noise: Noise, epsilon: float, delta: float, reaches: Any) -> int:
        return _calibrate(noise, epsilon, delta, reaches[:kept])

    def rho(noise: Noise, epsilon: float, reaches: Any, thousandths: int) -> float:
        return _rho(noise, epsilon, reaches[:kept], thousandths)

    calibrate.cache_clear = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setattr(accounting, "_calibrate", calibrate)
    monkeypatch.setattr(accounting, "_rho", rho)


def test_caps_that_preparation_does_not_apply_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = neighbours.prepare_rows

    def uncapped(agreement: Agreement, plan: Any, *rest: Any) -> Any:
        values = tuple(replace(value, cap=100 * value.cap) for value in plan.row_values)
        return real(agreement, replace(plan, row_values=values), *rest)

    monkeypatch.setattr(neighbours, "prepare_rows", uncapped)
    found = audit_privacy(gaussian(metrics=(BUYERS, SALES)), runs=RUNS)
    assert any(line.startswith("sales: a person adds at most 200000") for line in found.faults)


def test_groups_over_the_cap_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = neighbours.prepare_lookups

    def every_group(agreement: Agreement, plan: Any, *rest: Any, **named: Any) -> Any:
        rules = replace(agreement.release, max_groups_per_person=plan.groups)
        return real(replace(agreement, release=rules), plan, *rest, **named)

    monkeypatch.setattr(neighbours, "prepare_lookups", every_group)
    found = audit_privacy(gaussian(), runs=RUNS)
    assert found.faults[0] == "groups: a person counts in at most 4, 6 found"


def two_runs(*, reused: bool) -> distinguish.Bounds:
    """Two releases, the person in both, or in the first alone: only the second tells of the person."""
    agreement = gaussian(max_groups_per_person=1)
    plan = plan_of(agreement)
    world = privacy._world(agreement, plan, neighbours.contribution(agreement, plan))
    halves = []
    for later in (world.table + world.person, world.table):
        many = replace(world.terms, groups=RUNS)
        first = draw_noise(many)
        second = first if reused else draw_noise(many)
        both = np.stack([world.table + world.person + first[:, None], later + second[:, None]], axis=1)
        halves.append(both.astype(np.float64).reshape(RUNS, 2, -1))
    return distinguish.bounds([privacy._linear(halves, np.float64(0))], delta=1e-6)


def test_noise_that_is_used_for_two_runs_is_found() -> None:
    assert two_runs(reused=False).epsilon < 4.0 < two_runs(reused=True).epsilon


def test_runs_that_are_not_charged_are_found_by_averaging() -> None:
    """Sixteen fresh releases for the price of one: their mean has a quarter of the noise."""
    agreement = gaussian()
    plan = plan_of(agreement)
    world = privacy._world(agreement, plan, neighbours.contribution(agreement, plan))
    cost = accounting.privacy_cost(agreement, plan)
    assert cost.rho is not None
    halves = []
    for table in (world.table + world.person, world.table):
        noise = draw_noise(replace(world.terms, groups=1000 * 16 * len(table))).reshape(1000, 16, *table.shape)
        halves.append((table + noise.mean(axis=1))[:, :-1])
    found = distinguish.bounds([privacy._linear(halves, np.float64(0))], delta=1e-6)
    assert cost.rho < found.rho < 16 * cost.rho  # and not more than sixteen charges


@pytest.mark.parametrize("noise", [Noise.GAUSSIAN, Noise.LAPLACE])
def test_the_real_opening_shows_what_the_audit_looks_at(noise: Noise) -> None:
    agreement = make_agreement(metrics=(MATCHED, BUYERS, ORDERS, SALES), noise=noise, groups=4)
    plan = plan_of(agreement)
    world = privacy._world(agreement, plan, neighbours.contribution(agreement, plan))
    many = replace(world.terms, groups=300 * len(world.table))
    table, noised = np.tile(world.table, (300, 1)), draw_noise(many)
    seen = through_the_opening(many, table, noised)
    assert np.isnan(seen).any() and not np.isnan(seen).all()
    assert np.array_equal(seen, ideal_opening(many, table + noised), equal_nan=True)


def test_an_opening_that_shows_suppressed_cells_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    agreement = gaussian()
    terms = replace(privacy.terms_of(agreement, plan_of(agreement)), groups=50)
    table = np.full((50, 2), terms.min_people, dtype=np.int64)
    noised = draw_noise(terms)
    monkeypatch.setattr(opening, "_spread", lambda terms, cells, passed: np.ones((50, 2), dtype=np.bool_))
    seen = through_the_opening(terms, table, noised)
    assert not np.array_equal(seen, ideal_opening(terms, table + noised), equal_nan=True)


@pytest.mark.parametrize(("hits", "runs"), [(0, 50), (1, 50), (25, 50), (49, 50), (50, 50), (3, 900)])
def test_intervals_are_exact(hits: int, runs: int) -> None:
    """At either end the observation, or a more extreme one, has half of the stated probability."""
    low, high = distinguish.interval(hits, runs)
    assert low <= hits / runs <= high

    def tail(p: float, counts: range) -> float:
        from math import comb

        return sum(comb(runs, k) * p**k * (1 - p) ** (runs - k) for k in counts)

    if hits:
        assert tail(low, range(hits, runs + 1)) == pytest.approx(distinguish.MISTAKE / 2, rel=1e-6)
    if hits < runs:
        assert tail(high, range(hits + 1)) == pytest.approx(distinguish.MISTAKE / 2, rel=1e-4)


def test_a_release_without_noise_promises_nothing() -> None:
    with pytest.raises(AgreementError, match="promises no epsilon"):
        audit_privacy(make_agreement(noise=Noise.NONE))
