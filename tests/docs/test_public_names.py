"""Every public name has words: a docstring of its own."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import FunctionType, ModuleType

import pytest

import cleanroom


def _modules() -> list[str]:
    found = pkgutil.walk_packages(cleanroom.__path__, prefix="cleanroom.")
    return [
        "cleanroom",
        *(info.name for info in found if info.name not in ("cleanroom.__main__", "cleanroom._kernels")),
    ]


def _own_docstring(value: type | FunctionType) -> str:
    text = inspect.getdoc(value) if isinstance(value, FunctionType) else value.__dict__.get("__doc__")
    generated = isinstance(value, type) and isinstance(text, str) and text.startswith(f"{value.__name__}(")
    return "" if text is None or generated else text


def _undocumented(module: ModuleType) -> list[str]:
    missing = [] if module.__doc__ else [module.__name__]
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if isinstance(value, type | FunctionType) and not _own_docstring(value):
            missing.append(name)
        if isinstance(value, type) and value.__module__ == module.__name__:
            missing += _undocumented_members(value)
    return missing


def _undocumented_members(owner: type) -> list[str]:
    missing = []
    for name, member in vars(owner).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if name.startswith("_") or not isinstance(function, FunctionType):
            continue
        inherited = any(name in vars(base) for base in owner.__mro__[1:])
        if not inherited and not function.__doc__:
            missing.append(f"{owner.__name__}.{name}")
    return missing


@pytest.mark.parametrize("name", _modules())
def test_public_names_have_docstrings(name: str) -> None:
    assert _undocumented(importlib.import_module(name)) == []


def test_every_name_that_the_library_promises_is_there() -> None:
    for name in cleanroom.__all__:
        assert getattr(cleanroom, name) is not None
    assert set(cleanroom.__all__) <= set(dir(cleanroom))
    with pytest.raises(AttributeError):
        _ = cleanroom.nothing_of_this_name  # type: ignore[attr-defined]
