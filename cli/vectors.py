"""`cleanroom vectors`: known answers against the installed build."""

from __future__ import annotations

from collections import Counter

import click

from cleanroom import _kernels
from cleanroom.cli.output import echo_result, json_option
from cleanroom.vectors import check_vectors

__all__ = ["command"]


@click.group(name="vectors")
def command() -> None:
    """Known answers, published and the project's own."""


@command.command()
@json_option
def check(as_json: bool) -> None:
    """Make every known answer anew and refuse every known fault; the first that differs is named, exit code 1."""
    checked = list(check_vectors())
    known = [file for file in checked if not file.refusal]
    total, refusals = sum(file.vectors for file in known), len(checked) - len(known)
    folders = Counter(file.path.rpartition("/")[0] for file in checked if file.refusal)
    lines = [f"{file.vectors:4d}  {file.path}" for file in known]
    lines += [f"{count:4d}  {folder}/" for folder, count in folders.items()]
    lines.append(f"{total} known answers in {len(known)} files hold, {refusals} faults in a file each are refused")
    lines.append(f"kernels: {_kernels.BACKEND}, instructions: {_kernels.INSTRUCTIONS}")
    files = [{"path": file.path, "source": file.source, "vectors": file.vectors} for file in known]
    result = {
        "backend": _kernels.BACKEND,
        "instructions": _kernels.INSTRUCTIONS,
        "files": files,
        "vectors": total,
        "refusals": refusals,
    }
    echo_result("\n".join(lines), result, as_json=as_json)
