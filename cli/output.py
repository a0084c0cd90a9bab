"""What every command shares: `--json`, and stdout for data only."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["echo_result", "json_option"]

F = TypeVar("F", bound=Callable[..., Any])  # Any: click decorates functions of every shape
JSON_VERSION = 1


def json_option(function: F) -> F:
    """Adds `--json`: one versioned JSON object on stdout instead of text."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")(function)


def echo_result(text: str, data: dict[str, object], *, as_json: bool) -> None:
    """Prints a command's result.

    Args:
        text: for people.
        data: the same for programs; a `version` is added.
        as_json: which of the two.
    """
    if as_json:
        click.echo(json.dumps({"version": JSON_VERSION, **data}, ensure_ascii=False))
    elif text:
        click.echo(text)
