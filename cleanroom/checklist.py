"""The security officer's checklist of a run: facts that were looked up before the first byte leaves, each ok or warn.

No item holds a secret or a value from the data. An item that warns does not stop a run: what must stop it, does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cleanroom.agreement import Noise, agreement_warnings, delete_by
from cleanroom.agreement.checks import FEW_PEOPLE, LARGE_EPSILON
from cleanroom.handshake import BUILD
from cleanroom.ledger import LEDGER_FILE, Ledger, Spending
from cleanroom.machine import core_dumps_off, swap_in_clear
from cleanroom.node import Side
from cleanroom.release.accounting import PrivacyCost, composed_epsilon, privacy_cost

__all__ = ["PAGE", "Item", "checklist", "checklist_text"]

PAGE: Final = "docs/reference/checklist.md"
"""Says what each item means and what to do about it, a heading each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One checked fact.

    Attributes:
        name: a short word; the heading on the page.
        ok: False where an owner should look twice.
        text: what was found.
    """

    name: str
    ok: bool
    text: str


def checklist(side: Side, *, out: Path, now: datetime) -> tuple[Item, ...]:
    """Looks up what a run of this side is about to do, and what it does it on. Nothing is written or sent.

    Args:
        side: from `side_of`, so agreement, identity and both signatures are checked.
        out: where the run's files will go.
        now: with an offset.

    Raises:
        AgreementError: the cost of a run cannot be worked out.
        CleanroomError: the ledger cannot be read.
    """
    cost = privacy_cost(side.agreement, side.plan)
    return (*_paper(side, now), *_release(side, cost), *_ledger(side, cost, now), *_place(side, out))


def checklist_text(items: tuple[Item, ...]) -> str:
    """The checklist for people: a line an item, and where to read on."""
    width = max(len(item.name) for item in items)
    lines = [f"  {'ok' if item.ok else 'WARN':4}  {item.name:{width}}  {item.text}" for item in items]
    return "\n".join(["Checked before anything is sent", *lines, f"What each line means: {PAGE}"])


def _paper(side: Side, now: datetime) -> Iterator[Item]:
    agreement, legal = side.agreement, side.agreement.legal
    yield Item(name="agreement", ok=True, text=f"signed by both owners; SHA-256 {agreement.hash.hex()}")
    yield Item(name="purpose", ok=True, text=agreement.purpose)
    if legal is None:
        yield Item(name="legal", ok=False, text="the agreement states no legal basis, assessment or retention")
    else:
        stated = legal.impact_assessment or "not stated"
        yield Item(
            name="legal",
            ok=legal.impact_assessment is not None,
            text=f"basis {legal.basis.value}; impact assessment: {stated}",
        )
    last = delete_by(legal, ended=now, zone=agreement.time.zone)
    yield Item(
        name="retention",
        ok=last is not None,
        text="none agreed: private files stay until somebody deletes them"
        if last is None
        else f"audit.private of a run that ends today must be deleted by {last}",
    )
    yield Item(
        name="partner",
        ok=True,
        text=f"{side.peer.name}, certificate SHA-256 {side.peer.fingerprint.hex()}, pinned; compare it by voice",
    )
    yield Item(
        name="clock",
        ok=side.identity.certificate.not_before <= now,
        text=f"{now.isoformat(timespec='seconds')}; the agreement is valid until {agreement.valid_until}",
    )
    for warning in agreement_warnings(agreement):
        yield Item(name="terms", ok=False, text=warning)


def _release(side: Side, cost: PrivacyCost) -> Iterator[Item]:
    rules = side.agreement.release
    if rules.noise is Noise.NONE:
        yield Item(name="noise", ok=False, text="none: shown figures are exact")
    else:
        delta = f", delta {rules.delta:g}" if rules.noise is Noise.GAUSSIAN else ""
        yield Item(
            name="noise",
            ok=rules.epsilon <= LARGE_EPSILON,
            text=f"{rules.noise.value} of each side; epsilon {rules.epsilon:g}{delta} for the whole release",
        )
    yield Item(
        name="threshold",
        ok=rules.min_people >= FEW_PEOPLE,
        text=f"a figure needs {rules.min_people} people, else only that it is hidden is shown",
    )
    receives = side.peer.name in rules.recipients
    cells = side.plan.groups * sum(column.declared for column in side.plan.columns)
    yield Item(
        name="peer learns",
        ok=True,
        text=(f"the table of {cells} figures" if receives else "which figures are hidden, no figure")
        + ", this side's row bound, and whether this side's rows changed since an earlier run; no person",
    )


def _ledger(side: Side, cost: PrivacyCost, now: datetime) -> Iterator[Item]:
    folder = side.identity.folder
    if not (folder / LEDGER_FILE).exists():
        yield Item(name="budget", ok=False, text=f"no ledger yet, no limit; this run costs {_price(cost)}")
        return
    with Ledger(folder) as ledger:
        spent = ledger.spent_with(side.peer.fingerprint, now=now)
        due = [run for run in ledger.kept() if run.private and run.keep_until and run.keep_until < now.date()]
    ok, text = _budget(spent, cost)
    yield Item(name="budget", ok=ok, text=text)
    if due:
        runs = "1 earlier run is" if len(due) == 1 else f"{len(due)} earlier runs are"
        yield Item(name="overdue", ok=False, text=f"{runs} past the agreed retention: cleanroom budget prune")


def _price(cost: PrivacyCost) -> str:
    return "no epsilon" if cost.epsilon is None else f"epsilon {cost.epsilon:g}, delta {cost.delta:g}"


def _budget(spent: Spending, cost: PrivacyCost) -> tuple[bool, str]:
    """Whether the budget is in order, and in words; an exact repeat costs nothing, which is not known yet."""
    if cost.epsilon is None or cost.rho is None:
        return False, "without noise there is no epsilon to limit; one such run over a period"
    used = f"epsilon {spent.epsilon} spent in {spent.period.days} days, this run costs {_price(cost)}"
    if spent.limit is None:
        return False, f"no limit is set (cleanroom budget set); {used}"
    after = float(spent.epsilon) + cost.epsilon
    composed = composed_epsilon(spent.rho + cost.rho, float(spent.limit.delta)) if spent.limit.delta else after
    left = float(spent.limit.epsilon) - min(after, composed)
    if left < 0:
        return False, f"the limit of epsilon {spent.limit.epsilon} would be passed; {used}"
    return True, f"{used}; left after it: epsilon {left:.4g} of {spent.limit.epsilon}"


def _place(side: Side, out: Path) -> Iterator[Item]:
    identity = side.identity
    yield Item(
        name="key",
        ok=identity.encrypted,
        text="encrypted under a passphrase" if identity.encrypted else "not encrypted: cleanroom party passphrase",
    )
    parent = out.expanduser().absolute()
    while not parent.exists():
        parent = parent.parent
    for name, folder, forbidden in (("identity folder", identity.folder, 0o077), ("output folder", parent, 0o022)):
        mode = folder.stat().st_mode & 0o7777
        ok = os.name != "posix" or not mode & forbidden
        who = "owner's alone" if not mode & 0o077 else f"mode {mode:04o}"
        yield Item(name=name, ok=ok, text=f"{folder}: {who}")
    off = core_dumps_off()
    yield Item(name="core dumps", ok=off, text="off" if off else "not switched off in this process")
    swap = swap_in_clear()
    if swap is None:
        yield Item(name="swap", ok=False, text="this machine does not say whether memory is swapped in clear")
    else:
        text = f"not known to be encrypted: {', '.join(swap)}" if swap else "none, or encrypted"
        yield Item(name="swap", ok=not swap, text=text)
    yield Item(name="build", ok=True, text=f"{BUILD}; profile {side.agreement.protocol.profile.value}")
