"""A synthetic world of two companies, with its truth: notes, campaigns, shoppers, dirty identifiers, a known effect."""

from __future__ import annotations

from cleanroom.simulate.parameters import Dirt, Parameters
from cleanroom.simulate.simulation import Simulated, simulate
from cleanroom.simulate.world import Block, World

__all__ = ["Block", "Dirt", "Parameters", "Simulated", "World", "simulate"]
