"""The `cleanroom` command: finds the subcommand, runs it, and turns every end into one line and an exit code."""

from __future__ import annotations

import importlib
import json
import resource
import sys
import traceback
from typing import Final

import click

from cleanroom import __version__
from cleanroom.errors import CleanroomError, UsageError

__all__ = ["cli", "main"]

_COMMANDS: Final = ("agreement", "budget", "data", "demo", "party", "report", "run", "vectors")
"""One module of this package each; a command's imports are paid for by that command only."""


class _LazyGroup(click.Group):
    """Imports a subcommand's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

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


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits the process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold keys and identifiers
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(_run(arguments))


def _run(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        result = cli.main(arguments, prog_name="cleanroom", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        return _explain("interrupted", CleanroomError.exit_code, as_json)
    except click.ClickException as error:
        return _explain(error.format_message(), UsageError.exit_code, as_json)
    except CleanroomError as error:
        return _explain(str(error), error.exit_code, as_json)
    except KeyboardInterrupt:
        return _explain("interrupted", CleanroomError.exit_code, as_json)
    except Exception as error:  # noqa: BLE001  # the last line of defence: a stray message could hold a value
        return _explain(_internal(error), CleanroomError.exit_code, as_json)


def _internal(error: Exception) -> str:
    """Where an unforeseen error came from; its own text is left out, since it may quote data."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "cleanroom" in frame.filename] or frames
    where = f"{ours[-1].name}, line {ours[-1].lineno}" if ours else "an unknown place"
    return f"internal error: {type(error).__name__} in {where}; please report this line as a bug"


def _explain(reason: str, code: int, as_json: bool) -> int:
    line = " ".join(reason.split())
    if as_json:
        click.echo(json.dumps({"version": 1, "error": line, "exit_code": code}, ensure_ascii=False))
    click.echo(f"cleanroom: {line}", err=True)
    return code
