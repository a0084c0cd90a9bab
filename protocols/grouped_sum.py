"""The grouped sum: the outcome side's shares under the exposure side's secret weights, by ring-LWE."""

from __future__ import annotations

from cleanroom.protocols.rlwe import slack_bits

__all__ = ["slack_bits"]
