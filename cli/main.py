"""The `cleanroom` command: finds the subcommand, runs it, and turns every end into one line and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

import click

from cleanroom import __version__
from cleanroom.allocator import keep_freed_memory
from cleanroom.errors import CleanroomError, UsageError, exit_code_of, one_line, reason_of
from cleanroom.machine import harden

__all__ = ["cli", "main"]

_COMMANDS: Final = {
    "agreement": "What both owners sign.",
    "audit": "Check finished runs.",
    "budget": "Privacy spent with each partner.",
    "data": "A side's own data.",
    "demo": "Run both parties as two processes on real data, show the funnel, and check it against the plain join.",
    "party": "A party's identity.",
    "report": "Write one offline HTML page about one or several finished runs.",
    "run": "Run this party's half: prepare the data, join in secret with the peer, write the release.",
    "simulate": "Make a synthetic world: both sides' data with an agreement, and the truth beside it.",
    "vectors": "Known answers, published and the project's own.",
}
"""One module of this package each, with the first line of its help: listing them must not cost their imports."""


class _LazyGroup(click.Group):
    """Imports a subcommand's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name]) for name in self.list_commands(ctx)])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"cleanroom.cli.{cmd_name}")
        command = module.command
        if not isinstance(command, click.Command):
            raise AssertionError(f"cleanroom.cli.{cmd_name} defines no command")
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cleanroom")
def cli() -> None:
    """Answer a question over two companies' data without either handing over its people.

    Exit codes: 0 done; 2 usage; 3 agreement or signature; 4 data; 5 peer or network; 6 budget or policy;
    1 anything else.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command line and ends the process."""
    harden()  # a core dump would hold keys and identifiers
    keep_freed_memory()
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # ignored under nohup
        signal.signal(signal.SIGHUP, _interrupt)
    code = _run(sys.argv[1:] if arguments is None else arguments)
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        code = code or CleanroomError.exit_code  # whoever read the output is gone
    # Not sys.exit: gRPC's threads outlive their server, and one that meets an interpreter in its last moments aborts
    # the process. Everything that has to be closed or removed is a context manager, and is closed by now.
    os._exit(code)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Ends a run that is told to stop as Ctrl-C does: the peer is told, and the reason is left behind."""
    del number, frame
    raise KeyboardInterrupt


def _run(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        result = cli.main(arguments, prog_name="cleanroom", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        return _explain("interrupted", CleanroomError.exit_code, as_json)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)  # a page, not a reason
        return UsageError.exit_code
    except click.ClickException as error:
        return _explain(error.format_message(), UsageError.exit_code, as_json)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # the last line of defence
        return _explain(reason_of(error), exit_code_of(error), as_json)


def _explain(reason: str, code: int, as_json: bool) -> int:
    line = one_line(reason)
    with contextlib.suppress(OSError):  # whoever read the output is gone: the exit code says it all the same
        if as_json:
            click.echo(json.dumps({"version": 1, "error": line, "exit_code": code}, ensure_ascii=False))
        click.echo(f"cleanroom: {line}", err=True)
    return code
