"""`cleanroom report`: the HTML report of finished runs."""

from __future__ import annotations

from pathlib import Path

import click

from cleanroom.cli.output import echo_result, json_option
from cleanroom.report import RunFiles, lift_of, write_report

__all__ = ["command"]


@click.command(name="report")
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", default="report.html", show_default=True, type=click.Path(path_type=Path), help="A file that is not there."
)
@json_option
def command(folders: tuple[Path, ...], out: Path, as_json: bool) -> None:
    """Write one offline HTML page about one or several finished runs."""
    runs = [RunFiles.read(folder) for folder in folders]
    write_report(out, runs)
    distinct = {run.session: run for run in runs}
    data: dict[str, object] = {"report": str(out), "sessions": list(distinct)}
    compared = [run for run in distinct.values() if run.lift is not None]
    if compared:
        data["lift"] = [
            {"session": run.session, "currency": run.currency, "rows": [row.as_json() for row in lift_of(run)]}
            for run in compared
        ]
    echo_result(f"{out} is ready", data, as_json=as_json)
