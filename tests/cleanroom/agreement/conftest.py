"""A desk with two identities, made once for all tests of agreements."""

from __future__ import annotations

import pytest

from tests.cleanroom.agreement.samples import Desk, new_desk


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return new_desk(tmp_path_factory.mktemp("desk"))
