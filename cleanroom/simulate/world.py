"""A world, some people at a time: any stretch of people can be made on its own, in any order, by anybody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cleanroom.simulate.draws import Draws
from cleanroom.simulate.exposures import Assignments, Touches, assignments_of, touches_of
from cleanroom.simulate.identifiers import Identifiers, identifiers_of
from cleanroom.simulate.outcomes import Outcomes, Sessions, caused_sessions, outcomes_of, own_sessions
from cleanroom.simulate.parameters import Parameters
from cleanroom.simulate.people import PARTIES, Crowd, crowd_of

__all__ = ["BLOCK_PEOPLE", "Block", "World"]

BLOCK_PEOPLE = 1 << 14
"""People that are made at a time: some 10 MB a column set. What they are does not depend on it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Block:
    """Everything about a stretch of people."""

    crowd: Crowd
    assigned: Assignments = field(repr=False)
    touches: Touches = field(repr=False)
    own: Sessions = field(repr=False)
    caused: Sessions = field(repr=False)
    outcomes: Outcomes = field(repr=False)
    identifiers: dict[str, Identifiers] = field(repr=False)


class World:
    """A synthetic world in memory: nothing is kept of it but its parameters."""

    def __init__(self, parameters: Parameters) -> None:
        """Args:
        parameters: all there is to know.
        """
        self.parameters = parameters
        self.draws = Draws(parameters.seed)

    def block(self, first: int, last: int) -> Block:
        """The people from `first` to `last` − 1 and all that they do."""
        draws, parameters = self.draws, self.parameters
        crowd = crowd_of(draws, parameters, first, last)
        assigned = assignments_of(draws, parameters, crowd)
        own = own_sessions(draws, parameters, crowd)
        caused = caused_sessions(draws, parameters, crowd, assigned)
        return Block(
            crowd=crowd,
            assigned=assigned,
            touches=touches_of(draws, parameters, crowd, assigned),
            own=own,
            caused=caused,
            outcomes=outcomes_of(crowd, draws, own, caused),
            identifiers={party: identifiers_of(draws, parameters, crowd, party) for party in PARTIES},
        )

    def blocks(self, people: int = BLOCK_PEOPLE) -> Iterator[Block]:
        """Yields all people in order, so many at a time."""
        for first in range(0, self.parameters.people, people):
            yield self.block(first, min(first + people, self.parameters.people))
