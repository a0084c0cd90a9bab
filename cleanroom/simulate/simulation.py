"""A world on the disk: both sides' files, their papers, and the truth beside them, streamed in bounded memory."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from cleanroom.agreement import load_agreement, sign_agreement
from cleanroom.identity import new_identity
from cleanroom.simulate.exposures import TOUCH_EVENTS
from cleanroom.simulate.folder import new_folder
from cleanroom.simulate.full_papers import (
    FULL_AGREEMENT_FILE,
    FULL_BINDING_FILE,
    full_agreement_text,
    full_binding_text,
)
from cleanroom.simulate.ledgers import Manifest, campaigns_csv, sampling_csv, spend_csv
from cleanroom.simulate.outcomes import OUTCOME_EVENTS
from cleanroom.simulate.papers import BINDING_FILE, agreement_text, binding_text
from cleanroom.simulate.parameters import Parameters
from cleanroom.simulate.people import PARTIES
from cleanroom.simulate.tables import BLOCK_TABLES, notes_table
from cleanroom.simulate.truth import Tally
from cleanroom.simulate.world import BLOCK_PEOPLE, World

__all__ = ["VERSION", "Simulated", "simulate"]

VERSION: Final = 1
"""Of worlds: with another version, equal parameters may make another world."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A world that was written: where everything is, and how much."""

    folder: Path
    parameters: Parameters
    touches: int  # rows
    outcomes: int  # rows

    @property
    def agreement(self) -> Path:
        """The agreement, signed by both parties."""
        return self.folder / "agreement.toml"

    def own(self, party: str) -> Path:
        """A party's private folder."""
        return self.folder / party

    def binding(self, party: str) -> Path:
        """A party's binding."""
        return self.own(party) / BINDING_FILE

    def identity(self, party: str) -> Path:
        """The folder of a party's identity."""
        return self.own(party) / "identity"

    @property
    def effects(self) -> Path:
        """The true effects: a row for each campaign, arm, event, measure and window."""
        return self.folder / "truth.parquet"

    @property
    def truth(self) -> dict[str, object]:
        """What `truth.json` says: people, matchable people, effects."""
        found: dict[str, object] = json.loads((self.folder / "truth.json").read_text(encoding="utf-8"))
        return found


def simulate(
    parameters: Parameters,
    out: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    block_people: int = BLOCK_PEOPLE,
) -> Simulated:
    """Makes a world and writes it into a new folder.

    Every value is decided by the parameters alone. The parties' keys, certificates and signatures are fresh.

    Args:
        parameters: the world.
        out: a new or empty folder.
        progress: told (people so far, all people) after every block.
        block_people: people in memory at once; changes no value.

    Raises:
        UsageError: the folder holds something, or cannot be used.
        CleanroomError: the disk refused; nothing is left behind.
    """
    world = World(parameters)
    with new_folder(out) as folder:
        for name in (*PARTIES, "truth"):
            (folder / name).mkdir(mode=0o700 if name in PARTIES else 0o755)
        rows = _write_rows(world, folder, progress, block_people)
        _write_small(world, folder)
        _write_papers(parameters, folder)
    return Simulated(folder=out.expanduser().resolve(), parameters=parameters, touches=rows[0], outcomes=rows[1])


def _write_rows(
    world: World, folder: Path, progress: Callable[[int, int], None] | None, block_people: int
) -> tuple[int, int]:
    parameters = world.parameters
    tally = Tally(parameters)
    manifests = {
        party: Manifest(parameters, events)
        for party, events in zip(PARTIES, (TOUCH_EVENTS, OUTCOME_EVENTS), strict=True)
    }
    with contextlib.ExitStack() as open_files:
        files: dict[str, _RowFile] = {name: open_files.enter_context(_RowFile(folder / name)) for name in BLOCK_TABLES}
        for block in world.blocks(block_people):
            usable = {party: held.usable for party, held in block.identifiers.items()}
            tally.add(block.crowd, block.assigned, block.own, block.caused, usable)
            manifests["media"].add(block.touches.seconds, block.touches.event)
            manifests["shop"].add(block.outcomes.seconds, block.outcomes.event)
            for name, table_of in BLOCK_TABLES.items():
                files[name].write(table_of(parameters, block))
            if progress is not None:
                progress(int(block.crowd.person[-1]) + 1, parameters.people)
    effects = tally.table()
    _write_table(effects, folder / "truth.parquet")
    truth = {"version": VERSION, **tally.as_json(), "effects": effects.to_pylist()}
    _write_text(folder / "truth.json", _json(truth))
    for party, manifest in manifests.items():
        _write_text(folder / party / "manifest.csv", manifest.csv())
    return manifests["media"].rows, manifests["shop"].rows


def _write_small(world: World, folder: Path) -> None:
    parameters = world.parameters
    _write_table(notes_table(parameters), folder / "media" / "notes.parquet")
    _write_text(folder / "media" / "campaigns.csv", campaigns_csv(world.draws, parameters))
    _write_text(folder / "media" / "sampling.csv", sampling_csv(parameters))
    _write_text(folder / "media" / "spend.csv", spend_csv(world.draws, parameters))
    _write_text(folder / "world.json", _json({"version": VERSION, **parameters.as_json()}))


def _write_papers(parameters: Parameters, folder: Path) -> None:
    identities = [new_identity(party, folder / party / "identity") for party in PARTIES]
    for party in PARTIES:
        shutil.copyfile(folder / party / "identity" / f"{party}.crt", folder / f"{party}.crt")
        _write_text(folder / party / BINDING_FILE, binding_text(parameters, party))
        _write_text(folder / party / FULL_BINDING_FILE, full_binding_text(party))
    for name, text in (
        ("agreement.toml", agreement_text(parameters)),
        (FULL_AGREEMENT_FILE, full_agreement_text(parameters)),
    ):
        path = folder / name
        _write_text(path, text)
        agreement = load_agreement(path)
        for identity in identities:
            sign_agreement(path, agreement, identity)


class _RowFile:
    """A Parquet file that grows by a row group a block. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _RowFile:
        return self

    def __exit__(self, *ended: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, table: pa.Table) -> None:
        """Adds a block's rows; a file without any row has its columns all the same."""
        if self._writer is None:
            self._writer = _writer(self._path, table.schema)
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    texts = [column.name for column in schema if pa.types.is_dictionary(column.type)]
    # Without the Arrow schema readers get plain texts instead of dictionaries, which differ between row groups.
    # Statistics and dictionaries of numbers would cost as much as making the rows.
    return pq.ParquetWriter(
        path, schema, compression="lz4", use_dictionary=texts, write_statistics=False, store_schema=False
    )


def _write_table(table: pa.Table, path: Path) -> None:
    with _writer(path, table.schema) as writer:
        writer.write_table(table)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _json(values: dict[str, object]) -> str:
    return json.dumps(values, indent=2) + "\n"
