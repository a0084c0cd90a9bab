"""Every target by its name."""

from __future__ import annotations

from typing import Final

from fuzz.target import Target
from fuzz.targets.agreements import AGREEMENT, CERTIFICATE, SIGNATURE
from fuzz.targets.audits import AUDIT, REPLAY
from fuzz.targets.data import DATA
from fuzz.targets.kernels import KERNELS, TEXTS
from fuzz.targets.knocks import FLIGHT, KNOCK
from fuzz.targets.ledgers import LEDGER
from fuzz.targets.messages import FRAME, LINK
from fuzz.targets.steps import STEPS
from fuzz.targets.vectors import VECTORS_TARGET

__all__ = ["TARGETS"]

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for target in (
        KNOCK,
        FLIGHT,
        FRAME,
        LINK,
        STEPS,
        KERNELS,
        TEXTS,
        AGREEMENT,
        CERTIFICATE,
        SIGNATURE,
        AUDIT,
        REPLAY,
        DATA,
        LEDGER,
        VECTORS_TARGET,
    )
}
