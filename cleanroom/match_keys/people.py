"""People from a column of identifiers, a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.agreement.model import Identifier
from cleanroom.match_keys.rules import FullRule, full_rule
from cleanroom.texts import Texts

__all__ = ["MALFORMED", "NULL", "PERSON_BYTES", "VALID", "People", "PersonKeys"]

PERSON_BYTES: Final = 16

VALID: Final = 0
NULL: Final = 1
MALFORMED: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Who n identifiers name.

    words: n × 2, a key as two words whose order is that of its 16 bytes, zero where not valid; status: n (VALID, NULL
    or MALFORMED).
    """

    words: NDArray[np.uint64] = field(repr=False)
    status: NDArray[np.uint8] = field(repr=False)

    @property
    def keys(self) -> NDArray[np.uint8]:
        """The keys as bytes, n × 16."""
        return self.words.astype(">u8").view(np.uint8).reshape(-1, PERSON_BYTES)


class PersonKeys:
    """Turns identifiers into people under one agreement's rule.

    A person's key is SHA-256(label ‖ length of type ‖ type ‖ shared form)[:16]; the shared form is what
    `docs/reference/binding.md` describes.
    """

    def __init__(self, identifier: Identifier) -> None:
        """Raises:
        AgreementError: the rule does not exist.
        """
        self._rule: FullRule = full_rule(identifier)

    def __call__(self, values: pa.StringArray) -> People:
        """Digests n identifiers; null and malformed ones are statuses, never errors."""
        texts = Texts.of(values)
        rule = self._rule
        words, status = _kernels.person_keys(
            texts.offsets,
            texts.data,
            texts.valid,
            kind=rule.type,
            rule=rule.rule,
            country=rule.country,
            form=rule.hash,
        )
        return People(words, status)
