"""One hypothesis profile for all tests: the same examples every time, and no time limit on a busy machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("cleanroom", deadline=None, derandomize=True)
settings.load_profile("cleanroom")
