"""Binding files: what they may hold, and one readable line for everything else."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from cleanroom.data import Binding, ColumnName, Constant, load_binding
from cleanroom.errors import DataError

GOOD = "[source]\npath = 'a.csv'\n[columns]\nid = 'household_id'\n"


def test_columns_constants_and_zone(tmp_path: Path) -> None:
    file = tmp_path / "b.toml"
    file.write_text(GOOD + "event = \"'mail'\"\ntime_zone = 'Asia/Shanghai'\n")
    binding = load_binding(file)
    assert dict(binding.columns) == {"id": ColumnName("household_id"), "event": Constant("mail")}
    assert binding.time_zone == "Asia/Shanghai"
    assert binding.folder == tmp_path.resolve()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[source\n", "b.toml: expected TOML (at line 1, column 8)"),
        ("secret = canary\n", "b.toml: expected TOML (at line 1, column 10)"),
        ("[columns]\nid = 'a'\n", "b.toml: expected a section [source]"),
        ("source = 1\n[columns]\nid = 'a'\n", "b.toml: expected a section [source]"),
        ("[source]\npath = 'a'\n", "b.toml: expected a section [columns]"),
        ("[source]\n[columns]\n", "b.toml: source.path: expected a file or a glob in quotes"),
        ("[source]\npath = 3\n[columns]\n", "b.toml: source.path: expected a file or a glob in quotes"),
        (
            "[source]\npath = 'a'\nformat = 'csv'\n[columns]\n",
            "source: expected only path, found the unknown key 'format'",
        ),
        (
            GOOD + "[extra]\n",
            "expected [source], [columns], [manifest], [spend], [facts], found the unknown key 'extra'",
        ),
        (GOOD + "time = 5\n", "b.toml: columns.time: expected the name of a column, or a constant in single quotes"),
        (GOOD + "time_zone = 'Mars'\n", "b.toml: columns.time_zone: expected an IANA time zone such as Asia/Shanghai"),
        (GOOD + "time_zone = '../x'\n", "b.toml: columns.time_zone: expected an IANA time zone such as Asia/Shanghai"),
    ],
)
def test_faults(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "b.toml").write_text(text)
    with pytest.raises(DataError) as caught:
        load_binding(tmp_path / "b.toml")
    assert expected in str(caught.value)
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^b\.toml: expected a readable binding file \(No such file or directory\)$"):
        load_binding(tmp_path / "b.toml")
    (tmp_path / "b.toml").write_bytes(GOOD.encode() + b"# \xff\n")
    with pytest.raises(DataError, match=r"^b\.toml: expected UTF-8 text$"):
        load_binding(tmp_path / "b.toml")


def test_repr_shows_no_rows() -> None:
    binding = Binding.from_table(pa.table({"a": ["canary"]}), {"id": "a"})
    assert "canary" not in repr(binding)
