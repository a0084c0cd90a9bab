"""Every target by its name."""

from __future__ import annotations

from typing import Final

from fuzz.target import Target
from fuzz.targets.agreements import AGREEMENT, CERTIFICATE, SIGNATURE
from fuzz.targets.audits import AUDIT
from fuzz.targets.kernels import KERNELS, TEXTS
from fuzz.targets.messages import FRAME, LINK
from fuzz.targets.steps import STEPS

__all__ = ["TARGETS"]

TARGETS: Final[dict[str, Target]] = {
    target.name: target for target in (FRAME, LINK, STEPS, KERNELS, TEXTS, AGREEMENT, CERTIFICATE, SIGNATURE, AUDIT)
}
