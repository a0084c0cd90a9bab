"""`cleanroom demo`: both parties on this machine, on real data."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from cleanroom.cli.output import echo_result, json_option
from cleanroom.demo import Talk, check_table, funnel_table, new_folder, run_demo, verdict

__all__ = ["command"]


@click.command(name="demo")
@click.option(
    "--out", type=click.Path(path_type=Path), help="A new or empty folder.  [default: cleanroom-demo/<UTC time>]"
)
@json_option
def command(out: Path | None, as_json: bool) -> None:
    """Run both parties as two processes on real data, show the funnel, and check it against the plain join."""
    with Talk() as talk:
        demo = run_demo(new_folder() if out is None else out, talk)
    if as_json:
        demo.check.require()
        echo_result("", demo.as_json(), as_json=True)
        return
    console = Console()
    console.print(funnel_table(demo), check_table(demo))
    click.echo(verdict(demo))
    for party, report in demo.reports.items():
        click.echo(f"report of {party}: {report}")
    demo.check.require()
