"""Parameters of the ring-LWE scheme: primes, bounds, slack."""

from __future__ import annotations

import math

import pytest

from cleanroom.protocols import grouped_sum
from cleanroom.protocols.rlwe import DEGREE, MODULUS, PRIMES, flood_bound, noise_bound, slack_bits


def _is_prime(value: int) -> bool:
    """Miller–Rabin with the first 12 primes as bases: deterministic below 3.3e24 (Sorenson and Webster 2015)."""
    odd, twos = value - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        power = pow(base, odd, value)
        if power in (1, value - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % value
            if power == value - 1:
                break
        else:
            return False
    return True


def test_primes_are_the_largest_56_bit_ones_that_split_the_ring() -> None:
    found = []
    candidate = (1 << 56) + 1
    while len(found) < 3:
        candidate -= 2 * DEGREE
        if _is_prime(candidate):
            found.append(candidate)
    assert tuple(found) == PRIMES
    assert MODULUS.bit_length() == 168


@pytest.mark.parametrize(
    ("log_rows", "weight_bound", "bits"), [(20, 4096, 18), (27, 4096, 11), (20, 720720, 11), (27, 720720, 4)]
)
def test_slack_is_what_the_parameters_were_chosen_for(log_rows: int, weight_bound: int, bits: int) -> None:
    assert math.floor(slack_bits(rows=1 << log_rows, weight_bound=weight_bound, outputs=256)) == bits


def test_slack_falls_with_every_public_bound_and_turns_negative() -> None:
    base = slack_bits(rows=1 << 20, weight_bound=4096, outputs=256)
    assert slack_bits(rows=1 << 21, weight_bound=4096, outputs=256) < base
    assert slack_bits(rows=1 << 20, weight_bound=8192, outputs=256) < base
    assert slack_bits(rows=1 << 20, weight_bound=4096, outputs=257) < base
    assert slack_bits(rows=1 << 40, weight_bound=4096, outputs=256) < 0


def test_flood_covers_the_noise_by_40_bits_over_all_outputs() -> None:
    for outputs in (1, 2, 3, 255, 256, 257):
        ratio = flood_bound(rows=9, weight_bound=5, outputs=outputs) // noise_bound(rows=9, weight_bound=5)
        assert ratio >= outputs << 40
        assert ratio < outputs << 41


@pytest.mark.parametrize("bad", [{"rows": 0}, {"weight_bound": 0}, {"outputs": 0}])
def test_bounds_must_be_positive(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        slack_bits(**({"rows": 1, "weight_bound": 1, "outputs": 1} | bad))


def test_the_agreement_check_finds_slack_where_it_looks() -> None:
    assert grouped_sum.slack_bits is slack_bits
