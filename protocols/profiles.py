"""Profiles of the join: by which protocols it takes the steps that can be taken in several ways.

All profiles compute the same functionality with the same leakage; they differ in assumptions, time and bytes. This is
the one place that says what a profile is made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final
from typing import Protocol as Structural

import numpy as np
from numpy.typing import NDArray

from cleanroom.protocols import hint, oprf_ecdh, oprf_kkrt, oprf_vole, ot, silent_ot
from cleanroom.protocols.ot import OtReceiver, OtSender
from cleanroom.protocols.seeds import Streams
from cleanroom.protocols.tables import TransferReceiver, TransferSender, TransferSource
from cleanroom.protocols.traffic import Traffic
from cleanroom.protocols.wire import Protocol

__all__ = ["Oprf", "OprfSteps", "Steps", "steps_of"]


class Oprf(Enum):
    """Which protocol answers the bins' queries; it names the profile."""

    ECDH = "ecdh"
    KKRT = "kkrt"
    VOLE = "vole"


class OprfSteps(Structural):
    """What a module of an OPRF offers."""

    def receiver(
        self, *, queries: NDArray[np.uint8], output_bytes: int, streams: Streams, bucket: int = 0
    ) -> Protocol[NDArray[np.uint8]]:
        """Asks one query a bin; returns the answers, bins × output_bytes bytes."""
        ...

    def sender(self, *, n_bins: int, output_bytes: int, streams: Streams, bucket: int = 0) -> Protocol[hint.Evaluator]:
        """Answers; returns the PRF at any (bin, input)."""
        ...

    def traffic(self, n_bins: int) -> Traffic:
        """What receiver and sender send."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What a profile is made of."""

    oprf: OprfSteps
    silent: bool  # whether the equality test takes its transfers from `silent_ot`, a sixth of the bytes, or from `ot`

    @property
    def source(self) -> TransferSource:
        """The public shape of the transfers."""
        return silent_ot.SILENT if self.silent else ot.SOFT_SPOKEN

    def sender(self, base: OtSender, *, streams: Streams, label: str) -> TransferSender:
        """The sender of the transfers, over a direction that is set up under that label."""
        return silent_ot.sender(base, streams=streams, label=label) if self.silent else base

    def receiver(self, base: OtReceiver, *, streams: Streams, label: str) -> TransferReceiver:
        """The receiver of the transfers, over a direction that is set up under that label."""
        return silent_ot.receiver(base, streams=streams, label=label) if self.silent else base


_STEPS: Final[dict[Oprf, Steps]] = {
    Oprf.ECDH: Steps(oprf=oprf_ecdh, silent=False),
    Oprf.KKRT: Steps(oprf=oprf_kkrt, silent=False),
    Oprf.VOLE: Steps(oprf=oprf_vole, silent=True),
}


def steps_of(oprf: Oprf) -> Steps:
    """Returns what a profile is made of."""
    return _STEPS[oprf]
