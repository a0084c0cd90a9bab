"""Keys of the rows that the two sides bring to the join: their domains."""

from __future__ import annotations

from typing import Final

from cleanroom.protocols.join_rows import KEY_BYTES, Lookups, Rows

__all__ = ["KEY_BYTES", "MEMBER_DOMAIN", "TREE_DOMAIN", "Lookups", "Rows"]

MEMBER_DOMAIN: Final = 0
"""Of the root key of a person: known at all."""
TREE_DOMAIN: Final = 1
"""Of keys that are nodes of the time tree; all families of touches share them."""
