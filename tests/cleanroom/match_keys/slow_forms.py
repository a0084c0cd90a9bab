"""The slow forms and keys of identifiers, by an agreement's rule."""

from __future__ import annotations

from dataclasses import asdict

from cleanroom.agreement.model import Identifier
from tools.slow import match_keys
from tools.slow.match_keys import event_id, person_key, row_key, text_key

__all__ = ["event_id", "person_key", "row_key", "shared_form", "text_key"]


def shared_form(identifier: Identifier, text: str) -> str | None:
    """The form of an identifier, or None where it is null or malformed."""
    return match_keys.shared_form(text, **asdict(identifier))
