"""Finished runs, made once: noise to both sides, noise to one (with the other profile), thresholds, differences."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cleanroom.audit.runs import AuditedRun, finish_run

MORE = [
    (
        "[release]\n",
        '[[metrics]]\nname = "buyers_1d"\nevent = "order"\nmeasure = "people"\nwindow = "1d"\n'
        '[[metrics]]\nname = "buyers_9d"\nevent = "order"\nmeasure = "people"\nwindow = "9d"\n[release]\n',
    ),
    ("outcome = 1024", "outcome = 2048"),  # more windows, more rows
    ("min_people = 25\n", 'min_people = 25\ndifferences = "suppress"\n'),
]
KINDS: dict[str, Any] = {
    "gaussian": ("gaussian", '["media", "shop"]', "ecdh"),
    "one recipient": ("laplace", '["shop"]', "kkrt"),
    "none": ("none", '["media", "shop"]', "vole"),
    "differences": ("none", '["media", "shop"]', "kkrt", MORE),
}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AuditedRun]:
    folder = tmp_path_factory.mktemp("audited")
    return {
        kind: finish_run(folder / kind.replace(" ", "-"), noise, recipients, profile, *more)
        for kind, (noise, recipients, profile, *more) in KINDS.items()
    }
