"""What the tests of the pages share."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def python() -> str:
    """The interpreter that the tests run in."""
    return sys.executable
