"""Results in the documentation: a benchmark puts its tables between two marks of a page, and nothing by hand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine

__all__ = ["add_page_option", "begin_mark", "command_line", "end_mark", "put"]


def begin_mark(name: str) -> str:
    """The line that stands before a benchmark's tables."""
    return f"<!-- made by benchmarks: {name} -->"


def end_mark(name: str) -> str:
    """The line that stands after them."""
    return f"<!-- end of {name} -->"


def add_page_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--page FILE`."""
    parser.add_argument(
        "--page", type=Path, help="put the tables into this page, between its marks, beside printing them"
    )


def command_line(module: str, words: Sequence[str]) -> str:
    """The command as a reader types it to print the same tables, without `--page`."""
    parser = argparse.ArgumentParser(add_help=False)
    add_page_option(parser)
    _, shown = parser.parse_known_args(words)
    return " ".join(["python", "-m", module, *shown])


def put(page: Path, name: str, command: str, tables: Sequence[str]) -> None:
    """Replaces what stands between the marks of a name.

    Args:
        page: a Markdown file with both marks.
        name: of the results.
        command: what made them.
        tables: Markdown, in order.

    Raises:
        ValueError: the page has not exactly one of each mark, in this order.
    """
    text = page.read_text(encoding="utf-8")
    begin, end = begin_mark(name), end_mark(name)
    before, found, rest = text.partition(begin + "\n")
    old, closed, after = rest.partition(end)
    if not found or not closed or begin in old + after or end in before + after:
        raise ValueError(f"{page}: expected one line {begin!r} and then one {end!r}")
    about = machine.describe()
    load = ", ".join(f"{average:.1f}" for average in about["load_average"])
    said = (
        f"`{command}` on {datetime.now(UTC):%d %B %Y}: {about['cpu']} (family/model/stepping "
        f"{about['family_model_stepping']}; {', '.join(about['features'])}), {about['cores']} cores, "
        f"{about['memory']}, Linux {about['kernel']}, Python {about['python']}, load average {load} at the end."
    )
    body = "\n\n".join(["", said, *tables, ""])
    page.write_text(before + begin + body + end + after, encoding="utf-8")
