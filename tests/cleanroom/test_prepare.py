"""The secrets of a preparation: one a purpose, one an agreement, and none that a peer could derive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cleanroom.identity import new_identity
from cleanroom.prepare import PreparationKeys
from tests.cleanroom.release.worlds import make_agreement


def test_keys_differ_by_purpose_agreement_and_identity(tmp_path: Path) -> None:
    agreement = make_agreement()
    identities = [new_identity(name, tmp_path / name) for name in ("media", "shop")]
    found = []
    for identity in identities:
        for other in (agreement, replace(agreement, hash=b"\x12" * 32)):
            keys = PreparationKeys.of(identity, other)
            assert keys.commitment == PreparationKeys.of(identity, other).commitment
            found += [keys.commitment, keys.group_cap, keys.shared_identifier, other.hash]
    assert len(set(found)) == 4 * 3 + 2
    assert all(len(key) == 32 for key in found)
