"""Runs the attribution package with one slip in it, to see that a test notices."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from types import ModuleType

PACKAGE = "cleanroom.attribution"


@contextmanager
def mutated(module: ModuleType, right: str, wrong: str) -> Iterator[None]:
    """Replaces `right` by `wrong` in the module's text and hands the result to every module that uses it."""
    spec = importlib.util.find_spec(module.__name__)
    assert spec is not None and isinstance(spec.loader, SourceFileLoader)
    text = spec.loader.get_source(module.__name__)
    assert text is not None and right in text, f"{right!r} no longer stands in {module.__name__}"
    changed: dict[str, object] = {"__name__": module.__name__}
    exec(compile(text.replace(right, wrong), module.__name__, "exec"), changed)
    users = [other for name, other in sys.modules.items() if name.startswith(PACKAGE)]
    kept = [(user, dict(vars(user))) for user in users]
    own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    try:
        for user in users:
            for name, value in own.items():
                if vars(user).get(name) is value:
                    setattr(user, name, changed[name])
        yield
    finally:
        for user, names in kept:
            vars(user).update(names)
