"""Match keys: from an identifier as a company stores it to the 16 bytes that name a person in the join."""

from __future__ import annotations

__all__: list[str] = []
