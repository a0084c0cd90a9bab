"""Makes every known answer again from the slow implementation and compares it with the file: the one command.

    python tools/vectors.py --check    names every file that is not what it should be; exit code 1 if there is one
    python tools/vectors.py --write    writes the project's own files anew

Files that others published, or that were written by hand, are never written: each of their answers is computed.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script: `tools` is found beside this folder

from tools.recipes import (
    bucket_runs,
    faults,
    openings,
    published,
    records,
    silent,
    silent_transfers,
    steps,
    transfers,
    whole_runs,
)
from tools.recipes.record import Answers, Json

FOLDER: Final = Path(__file__).parents[1] / "tests" / "vectors"
OWN: Final[dict[str, Callable[[], Json]]] = {
    "buckets/v1/kkrt.json": bucket_runs.buckets_run,
    "grouped_sum/v1/run.json": steps.grouped_sum_run,
    "hint/v1/run.json": steps.hint_run,
    "merkle/v1/blinded.json": records.blinded_roots,
    "oprf_ecdh/v1/run.json": steps.oprf_ecdh_run,
    "oprf_kkrt/v1/run.json": steps.oprf_kkrt_run,
    "oprf_vole/v1/run.json": steps.oprf_vole_run,
    "ot/v1/run.json": transfers.transfers_run,
    **{f"private_join/v1/{name}.json": partial(whole_runs.whole_run_of, name) for name in whole_runs.CASES},
    **{f"release/v1/{name}.json": partial(openings.opening_of, name) for name in openings.CASES},
    "row_keys/v1/keys.json": records.row_keys,
    "row_keys/v1/trees.json": records.time_trees,
    "session/v1/handshake.json": records.handshake,
    "silent_ot/v1/run.json": silent_transfers.silent_transfers_run,
    "silent_vole/v1/run.json": silent.silent_vole_run,
    "streams/v1/labels.json": records.labelled,
}
"""The project's own files: what each holds."""
PUBLISHED: Final[dict[str, Callable[[Json], Answers]]] = {
    "aes/fips-197/aes-128.json": published.aes_128,
    "chacha20/rfc8439/keystream.json": published.chacha20,
    "ed25519/rfc8032/signatures.json": published.signatures,
    "expand_message_xmd/rfc9380/sha512.json": published.expand_message_xmd,
    "match_keys/v1/forms.json": published.forms,
    "match_keys/v1/published.json": published.platforms,
    "merkle/rfc9162/certificate-transparency.json": published.merkle_tree,
    "oprf/rfc9497/ristretto255-sha512-mode-oprf.json": published.oprf_mode,
    "ristretto255/rfc9496/encodings.json": published.ristretto255,
}
"""The other files: what computes their answers."""


def text_of(content: Json) -> str:
    """A file's text."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def own() -> Iterator[tuple[str, Json]]:
    """The project's own files: known answers, then refusals."""
    for path, make in OWN.items():
        yield path, make()
    yield from faults.refusals().items()


def differences() -> Iterator[str]:
    """Names every file that is missing, is not what its recipe makes, or holds an answer that is not computed."""
    made: set[str] = set()
    for path, content in own():
        made.add(path)
        file = FOLDER / path
        if not file.is_file():
            yield f"{path}: is missing"
        elif file.read_text(encoding="utf-8") != text_of(content):
            yield f"{path}: is not what its recipe makes"
    for file in sorted(FOLDER.glob("*/*/refused/*/*.json")):
        path = file.relative_to(FOLDER).as_posix()
        if path not in made:
            yield f"{path}: no recipe makes it"
    for path, answers in PUBLISHED.items():
        content = json.loads((FOLDER / path).read_text(encoding="utf-8"))
        yield from (
            f"{path}: {name}: the slow implementation gives another answer"
            for name, holds in answers(content)
            if not holds
        )


def write() -> None:
    """Writes the project's own files."""
    for path, content in own():
        file = FOLDER / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text_of(content), encoding="utf-8")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true")
    mode.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        write()
    found = list(differences())
    for fault in found:
        print(fault, file=sys.stderr)
    seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    made = (
        f"{len(OWN)} files of answers and {len(faults.refusals())} refusals made anew, {len(PUBLISHED)} files computed"
    )
    print(f"{made}; {len(found)} differences; {seconds:.0f} CPU seconds")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
