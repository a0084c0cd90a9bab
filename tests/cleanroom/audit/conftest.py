"""Three finished runs, made once: noise to both sides, noise to one, and thresholds only."""

from __future__ import annotations

import pytest

from tests.cleanroom.audit.runs import AuditedRun, finish_run

KINDS = {
    "gaussian": ("gaussian", '["media", "shop"]'),
    "one recipient": ("laplace", '["shop"]'),
    "none": ("none", '["media", "shop"]'),
}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AuditedRun]:
    folder = tmp_path_factory.mktemp("audited")
    return {
        kind: finish_run(folder / kind.replace(" ", "-"), noise=noise, recipients=recipients)
        for kind, (noise, recipients) in KINDS.items()
    }
