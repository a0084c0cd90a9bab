"""Whole runs: an agreement, both sides' rows and seeds, and every frame from the hellos to the seal."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from tools.recipes.agreements import MAX_ROWS, MIN_PEOPLE, PARTIES, Agreed
from tools.recipes.openings import listed_terms
from tools.recipes.record import SEEDS, SIDES, Json, head, listed
from tools.recipes.records import NONCES, ROOTS, SIGNING_KEYS
from tools.slow import whole_run
from tools.slow.join import Exposure, Outcome
from tools.slow.opening import Terms
from tools.slow.transcript import Frame
from tools.slow.whole_run import Parameters, Side, Whole

__all__ = ["CASES", "made", "whole_frames", "whole_run_of"]

CASES: Final = {
    "ecdh_gaussian": Agreed(
        profile="ecdh", noise="gaussian", recipient="media", groups=("a", "b", "c"), eligibility=True
    ),
    "kkrt_none": Agreed(profile="kkrt", noise="none", recipient="shop", groups=("a", "b"), eligibility=False),
    "vole_none": Agreed(profile="vole", noise="none", recipient="media", groups=("a", "b"), eligibility=False),
}
CLASS_POSITION: Final = (0, 1, 1)  # matched; buyers and visitors of one window
CHAINS: Final = (((1,),), ((2,),))
SCALE: Final = 5.834
"""Of one side's noise under epsilon 2 and delta 1e-6, as OpenDP gives it."""
WRITER: Final = "the vectors"
ELIGIBLE: Final = ((True, True, True), (True, False, True))
VERDICTS: Final = ("complete", "complete")
TOUCHED: Final = range(32)
BOUGHT: Final = range(12, 50)


def _key(kind: str, person: int) -> bytes:
    return hashlib.sha256(f"{kind} {person}".encode()).digest()[:16]


def _touched(groups: int) -> Exposure:
    """Everybody is in group 0 and every second person in another; a member's row, then that of the window."""
    keys, weights = [], []
    for position, kind in enumerate(("member", "window")):
        for person in TOUCHED:
            own = [0] if person % 2 else [0, 1 + person // 2 % (groups - 1)]
            keys.append(_key(kind, person))
            weights.append([(position * groups + group, 1) for group in own])
    return Exposure(keys=keys, weights=weights)


def _bought() -> Outcome:
    """Everybody is a member; not everybody bought, every third person visited."""
    members = [[1, 0, 0] for _ in BOUGHT]
    return Outcome(
        keys=[_key(kind, person) for kind in ("member", "window") for person in BOUGHT],
        values=members + [[0, int(person % 5 != 0), int(person % 3 == 0)] for person in BOUGHT],
    )


def _noises(name: str, noise: str, groups: int) -> list[list[list[int]]]:
    """Of each side, groups × columns: small numbers from the case's name."""
    size = groups * len(CLASS_POSITION)
    drawn = [byte % 7 - 3 if noise != "none" else 0 for byte in hashlib.shake_256(name.encode()).digest(2 * size)]
    rows = [drawn[at : at + len(CLASS_POSITION)] for at in range(0, 2 * size, len(CLASS_POSITION))]
    return [rows[:groups], rows[groups:]]


def _parameters(agreed: Agreed) -> Parameters:
    secret = agreed.noise == "none"
    return Parameters(
        agreement_hash=agreed.hash(),
        profile=agreed.profile,
        rows_exposure=MAX_ROWS,
        rows_outcome=MAX_ROWS,
        class_position=CLASS_POSITION,
        weight_bound=1,
        terms=Terms(
            groups=len(agreed.groups),
            gates=(0, 1, 2),
            declared=(True, True, True),
            noise=agreed.noise,
            min_people=MIN_PEOPLE,
            receives=(agreed.recipient == PARTIES[0], agreed.recipient == PARTIES[1]),
            scales=(0.0 if secret else SCALE,) * 3,
            writer=WRITER,
            chains=CHAINS if secret else (),
        ),
        declares=agreed.eligibility,
    )


def _sides(name: str) -> tuple[Side, Side]:
    agreed = CASES[name]
    exposure, outcome = (
        Side(
            seed=SEEDS[number],
            nonce=NONCES[number],
            input_root=ROOTS[number],
            build=f"build of the {SIDES[number]} side",
            signing_key=SIGNING_KEYS[number],
            noise=noise,
            verdict=VERDICTS[number],
            eligible=ELIGIBLE[number] if agreed.eligibility else (True,) * len(agreed.groups),
        )
        for number, noise in enumerate(_noises(name, agreed.noise, len(agreed.groups)))
    )
    return exposure, outcome


@cache
def made(name: str) -> Whole:
    """A case, run."""
    agreed = CASES[name]
    return whole_run.run(_parameters(agreed), _sides(name), _touched(len(agreed.groups)), _bought())


def whole_frames(name: str) -> list[Frame]:
    """The frames of private_join/v1/NAME.json."""
    return made(name).frames


def whole_run_of(name: str) -> Json:
    """private_join/v1/NAME.json."""
    agreed, run, sides = CASES[name], made(name), _sides(name)
    touched, bought = _touched(len(agreed.groups)), _bought()
    return {
        **head("private_join", "wire/session.md"),
        "agreement": agreed.text(),
        "canonical": agreed.canonical().decode(),
        "agreement_hash": agreed.hash().hex(),
        "terms": listed_terms(_parameters(agreed).terms),
        "sides": {
            name: {
                "seed": side.seed.hex(),
                "nonce": side.nonce.hex(),
                "input_root": side.input_root.hex(),
                "build": side.build,
                "signing_key": side.signing_key.hex(),
                "verdict": side.verdict,
                "eligible": list(side.eligible),
                "noise": [list(row) for row in side.noise],
            }
            for name, side in zip(SIDES, sides, strict=True)
        },
        "exposure": [
            {"key": key.hex(), "weights": [list(entry) for entry in entries]}
            for key, entries in zip(touched.keys, touched.weights, strict=True)
        ],
        "outcome": [
            {"key": key.hex(), "values": list(values)} for key, values in zip(bought.keys, bought.values, strict=True)
        ],
        "session_id": run.session_id.hex(),
        "record": run.record,
        "sealed": run.sealed.hex(),
        "passed": run.opened.passed,
        "values": run.opened.values,
        "frames": listed(run.frames),
    }
