"""The reference of the command line is what the commands say, and the commands say something about everything."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

from cleanroom.cli.main import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cli_reference", ROOT / "tools" / "cli_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(tool: ModuleType) -> None:
    assert tool.PAGE.read_text(encoding="utf-8") == tool.render(), "run python tools/cli_reference.py"


def test_every_command_and_option_is_explained_and_on_the_page(tool: ModuleType) -> None:
    page = tool.PAGE.read_text(encoding="utf-8")
    for name, command in tool.commands():
        assert command.help, name
        section = page.partition(f"# `{name}`\n")[2].partition("\n#")[0]
        assert section, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.opts[0]}"
                assert f"| `{option.opts[0]}" in section, f"{name} {option.opts[0]}"


def test_every_command_that_does_something_takes_json(tool: ModuleType) -> None:
    for name, command in tool.commands():
        if not isinstance(command, click.Group):
            assert any("--json" in option.opts for option in command.params), name


def test_the_list_of_commands_says_what_their_help_says() -> None:
    with click.Context(cli) as context:
        formatter = click.HelpFormatter(width=200)
        cli.format_commands(context, formatter)
        listed = formatter.getvalue()
        for name in cli.list_commands(context):
            command = cli.get_command(context, name)
            assert command is not None
            first = " ".join((command.help or "").split("\n\n")[0].split())
            assert f"{name} " in listed
            assert first in " ".join(listed.split()), f"{name}: {first}"


def test_help_imports_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys; from cleanroom.cli.main import cli; cli.main(['--help'], standalone_mode=False);"
        "print([n for n in ('cleanroom.cli.run', 'numpy', 'pandas', 'pyarrow', 'opendp', 'rich') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Commands:" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_group_alone_prints_its_help_as_a_page() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cleanroom", "agreement"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: cleanroom agreement")
    assert len(done.stderr.splitlines()) > 5
