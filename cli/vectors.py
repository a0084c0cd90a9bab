"""`cleanroom vectors`: known answers against the installed build."""

from __future__ import annotations

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
    """Make every known answer anew with this build; the first that differs is named, with exit code 1."""
    checked = list(check_vectors())
    total = sum(file.vectors for file in checked)
    lines = [f"{file.vectors:4d}  {file.path}" for file in checked]
    lines.append(f"{total} known answers in {len(checked)} files hold; kernels: {_kernels.BACKEND}")
    files = [{"path": file.path, "source": file.source, "vectors": file.vectors} for file in checked]
    echo_result("\n".join(lines), {"backend": _kernels.BACKEND, "files": files, "vectors": total}, as_json=as_json)
