"""Every kernel, called with arguments of wrong types, shapes and sizes: a clean error, and never a panic.

The signatures are read from the stub, so that a new kernel is called here without an entry of its own.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cleanroom
from cleanroom import _kernels

CALLS = 300
"""For each kernel; the draws are the same in every run."""
REFUSALS = (ValueError, TypeError, OverflowError)
STUB = ast.parse((Path(cleanroom.__file__).parent / "_kernels.pyi").read_text())
NUMBERS = (-1, 0, 1, 2, 3, 7, 8, 16, 26, 32, 56, 64, 448, 1 << 16, 1 << 31, 1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63)
NUMBERS += ((1 << 64) - 1, 1 << 64)
LENGTHS = (0, 1, 2, 3, 8, 15, 16, 17, 26, 31, 32, 33, 56, 63, 64, 65, 80, 448)
TYPES = {np.dtype(name): name for name in ("uint8", "uint16", "uint32", "uint64", "int32", "int64", "float64", "bool")}

Draw = Callable[[random.Random], Any]


def array(kind: str) -> Draw:
    def draw(chance: random.Random) -> Any:
        wanted = np.dtype(kind) if chance.random() < 0.97 else chance.choice(list(TYPES))
        shape = tuple(chance.choice(LENGTHS[:12]) for _ in range(chance.choice((1, 1, 1, 2, 2, 2, 3, 0))))
        if len(shape) == 2 and chance.random() < 0.7:
            shape = (shape[0], chance.choice((16, 26, 32, 56, 64)))
        raw = np.random.default_rng(chance.randrange(1 << 30)).integers(0, 256, (*shape, 8), dtype=np.uint8)
        made = raw.view(np.uint64).reshape(shape)
        if wanted.kind in "iu" and chance.random() < 0.5:
            made = made % np.uint64(chance.choice((1, 2, 3, 40)))
        made = made.astype(wanted)
        if made.ndim and chance.random() < 0.1:
            made = made[::2] if chance.random() < 0.5 else made.T  # not contiguous
        return made

    return draw


def number(chance: random.Random) -> Any:
    return chance.choice(NUMBERS) if chance.random() < 0.97 else chance.choice((None, 1.5, "1"))


def several(draw: Draw) -> Draw:
    def draw_list(chance: random.Random) -> Any:
        return [draw(chance) for _ in range(chance.choice(LENGTHS[:5]))] if chance.random() < 0.97 else None

    return draw_list


def some_bytes(chance: random.Random) -> Any:
    return chance.randbytes(chance.choice(LENGTHS)) if chance.random() < 0.97 else chance.choice((None, "text", 3))


def text(chance: random.Random) -> Any:
    return chance.choice(
        ("id", "email", "phone", "imei", "lower", "gmail", "e164", "CN", "md5", "", "\N{SNOWMAN}", "t" * 300, None)
    )


def truth(chance: random.Random) -> Any:
    return chance.choice((True, False)) if chance.random() < 0.97 else chance.choice((None, "yes"))


def drawn(annotation: ast.expr) -> Draw:
    """How arguments of an annotated type are drawn."""
    written = ast.unparse(annotation)
    if isinstance(annotation, ast.BinOp) and written.endswith(" | None"):
        given = drawn(annotation.left)
        return lambda chance: given(chance) if chance.random() < 0.8 else None
    if written.startswith("NDArray[np."):
        return array(written.removeprefix("NDArray[np.").removesuffix("]").rstrip("_"))
    if isinstance(annotation, ast.Subscript) and written.startswith(("list[", "Sequence[")):
        return several(drawn(annotation.slice))
    if isinstance(annotation, ast.Subscript) and written.startswith("tuple["):
        assert isinstance(annotation.slice, ast.Tuple)
        if written.endswith(", ...]"):
            some = several(drawn(annotation.slice.elts[0]))
            return lambda chance: tuple(some(chance) or ())
        parts = [drawn(part) for part in annotation.slice.elts]
        return lambda chance: tuple(part(chance) for part in parts)
    return {"int": number, "bytes": some_bytes, "str": text, "bool": truth}[written]


def surface() -> dict[str, ast.FunctionDef]:
    """Every function of the stub, and of its classes the methods."""
    found = {}
    for node in STUB.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    found[f"{node.name}.{inner.name}"] = inner
    return found


SURFACE = surface()
THREADS = _kernels.threads()
"""The pool is made here, and not with a number that a test draws."""


def called(name: str) -> Callable[..., Any]:
    owner, _, method = name.rpartition(".")
    if not owner:
        return getattr(_kernels, name)  # type: ignore[no-any-return]
    made = getattr(_kernels, owner)
    return made if method == "__new__" else getattr(made(b"k" * 32, 2), method)  # type: ignore[no-any-return]


def test_the_stub_names_the_whole_public_surface() -> None:
    public = {name for name in dir(_kernels) if not name.startswith("_")}
    stubbed = {node.name for node in STUB.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    constants = {node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]
    assert public == stubbed | constants


@pytest.mark.parametrize("name", [name for name, node in SURFACE.items() if node.args.args or node.args.kwonlyargs])
def test_a_kernel_refuses_what_it_cannot_read_and_never_panics(name: str) -> None:
    node = SURFACE[name]
    function = called(name)
    taken = [argument for argument in node.args.args if argument.arg not in ("self", "cls")]
    positional = [drawn(argument.annotation) for argument in taken if argument.annotation is not None]
    named = {
        argument.arg: drawn(argument.annotation) for argument in node.args.kwonlyargs if argument.annotation is not None
    }
    chance = random.Random(name)
    refused = 0
    for _ in range(CALLS):
        arguments = [draw(chance) for draw in positional]
        options = {key: draw(chance) for key, draw in named.items()}
        try:
            function(*arguments, **options)
        except REFUSALS:
            refused += 1
        except BaseException as error:  # noqa: BLE001  # a panic is no Exception
            kinds = [getattr(each, "shape", each if isinstance(each, int) else type(each)) for each in arguments]
            pytest.fail(f"{name} of {kinds}, {options}: {type(error).__name__}: {error}")
    assert refused
    assert _kernels.threads() == THREADS
