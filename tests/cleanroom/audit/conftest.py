"""Three finished runs, made once: noise to both sides, noise to one (with the other profile), thresholds only."""

from __future__ import annotations

import pytest

from tests.cleanroom.audit.runs import AuditedRun, finish_run

KINDS = {
    "gaussian": ("gaussian", '["media", "shop"]', "ecdh"),
    "one recipient": ("laplace", '["shop"]', "kkrt"),
    "none": ("none", '["media", "shop"]', "ecdh"),
}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AuditedRun]:
    folder = tmp_path_factory.mktemp("audited")
    return {
        kind: finish_run(folder / kind.replace(" ", "-"), noise=noise, recipients=recipients, profile=profile)
        for kind, (noise, recipients, profile) in KINDS.items()
    }
