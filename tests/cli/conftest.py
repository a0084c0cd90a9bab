"""One pair of identities for all tests; a folder of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.world import Scene, make_identities


@pytest.fixture(scope="session")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("identities")
    make_identities(folder)
    return folder


@pytest.fixture
def scene(tmp_path: Path, identities: Path) -> Iterator[Scene]:
    made = Scene.make(tmp_path, identities)
    yield made
    made.stop_all()
