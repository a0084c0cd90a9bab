"""Writes docs/reference/cli.md from the commands themselves.

python tools/cli_reference.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from cleanroom.cli.main import cli

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"

_HEAD = """\
# The command line

Written by `tools/cli_reference.py` from the commands themselves; do not edit.

Results go to stdout, talk and progress to stderr. No command waits for an answer on stdin. With `--json`, stdout holds
one JSON object on one line with a `version` (1); a failure is one as well: `version`, `error`, `exit_code`.
The [exit codes](exit-codes.md) are the same for all commands.
"""


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yields every command below `cleanroom` with its full name, groups before their members."""
    with click.Context(cli, info_name="cleanroom") as context:
        yield from _below("cleanroom", cli, context)


def _below(name: str, group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        if command is None:
            raise AssertionError(f"{name} lists {word} and does not have it")
        full = f"{name} {word}"
        yield full, command
        if isinstance(command, click.Group):
            with click.Context(command, info_name=word, parent=context) as inside:
                yield from _below(full, command, inside)


def render() -> str:
    """Returns the page."""
    parts = [_HEAD]
    for name, command in commands():
        depth = "##" if name.count(" ") == 1 else "###"
        parts.append(f"{depth} `{name}`\n\n{_text(command)}\n")
        if isinstance(command, click.Group):
            continue
        parts.append(f"```text\n{_usage(name, command)}\n```\n")
        options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
        parts.append("\n".join(["| option | | |", "|---|---|---|", *(_row(option) for option in options)]) + "\n")
    return "\n".join(parts)


def _text(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").partition("\f")[0].strip()


def _usage(name: str, command: click.Command) -> str:
    words = [name]
    with click.Context(command, info_name=name) as context:
        for option in command.params:
            if isinstance(option, click.Option) and option.required:
                words.append(f"{option.opts[0]} {option.make_metavar(context)}")
        words.append("[OPTIONS]")
        for argument in command.params:
            if isinstance(argument, click.Argument):
                words.append(argument.make_metavar(context))
    return " ".join(words)


def _row(option: click.Option) -> str:
    with click.Context(click.Command("none")) as context:
        kind = "" if option.is_flag else f" `{option.make_metavar(context)}`"
    text = option.help or ""
    if option.required:
        state = "required"
    elif option.show_default and option.default is not None:
        state = f"default {option.default:g}" if isinstance(option.default, float) else f"default {option.default}"
    else:
        state = ""
    return f"| `{', '.join([*option.opts, *option.secondary_opts])}`{kind} | {state} | {text} |"


def main() -> None:
    """Writes the page."""
    PAGE.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
