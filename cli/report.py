"""`cleanroom report`: the HTML report of finished runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from cleanroom.cli.output import echo_result, json_option
from cleanroom.data import load_binding
from cleanroom.report import Costs, RunFiles, lift_of, read_spend, write_report

__all__ = ["command"]


@click.command(name="report")
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", default="report.html", show_default=True, type=click.Path(path_type=Path), help="A file that is not there."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="The exposure side's binding: its [spend] gives costs and ROI. Read here, never sent.",
)
@click.option(
    "--lang",
    type=click.Choice(["zh", "en"]),
    help="What the page shows at first; it holds both.  [default: by the agreement]",
)
@json_option
def command(folders: tuple[Path, ...], out: Path, data: Path | None, lang: str | None, as_json: bool) -> None:
    """Write one offline HTML page about one or several finished runs."""
    runs = [RunFiles.read(folder) for folder in folders]
    binding = None if data is None else load_binding(data)
    spend = {} if binding is None else {run.session: read_spend(binding, run) for run in runs}
    write_report(out, runs, language=lang, spend=spend)
    distinct = {run.session: run for run in runs}
    result: dict[str, object] = {"report": str(out), "sessions": list(distinct)}
    compared = [run for run in distinct.values() if run.lift is not None]
    if compared:
        result["lift"] = [
            {"session": run.session, "currency": run.currency, "rows": [row.as_json() for row in lift_of(run)]}
            for run in compared
        ]
    if binding is not None:
        result["costs"] = {
            session: {kind: [asdict(one) for one in found] for kind, found in Costs(run, spend[session]).all().items()}
            for session, run in distinct.items()
        }
    echo_result(f"{out} is ready", result, as_json=as_json)
