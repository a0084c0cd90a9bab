"""RFC 9496, 9380 and 9497: published vectors against kernels and reference, and the two against each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cleanroom import _kernels
from cleanroom.errors import PeerError
from cleanroom.protocols import oprf
from cleanroom.vectors import check_file
from tools.slow import oprf as reference
from tools.slow import ristretto

VECTORS = Path(__file__).parents[1] / "vectors"
ENCODINGS = "ristretto255/rfc9496/encodings.json"
EXPAND = "expand_message_xmd/rfc9380/sha512.json"
OPRF = "oprf/rfc9497/ristretto255-sha512-mode-oprf.json"


def load(path: str) -> Any:
    return json.loads((VECTORS / path).read_text(encoding="utf-8"))


def rows(*items: bytes | str) -> np.ndarray:
    data = [bytes.fromhex(item) if isinstance(item, str) else item for item in items]
    return np.frombuffer(b"".join(data), np.uint8).reshape(len(data), -1)


def scalar(value: int) -> bytes:
    return value.to_bytes(32, "little")


def stream(length: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, length, dtype=np.uint8)


@pytest.mark.parametrize(("path", "vectors"), [(ENCODINGS, 16 + 29 + 11), (EXPAND, 10), (OPRF, 2 + 2 * 4)])
def test_the_vectors_of_the_rfcs(path: str, vectors: int) -> None:
    assert check_file(path).vectors == vectors


def invalid_encodings() -> list[tuple[str, str]]:
    return [(group["fault"], item) for group in load(ENCODINGS)["invalid"] for item in group["encodings"]]


def test_every_invalid_encoding_of_rfc_9496_and_the_identity_are_refused_from_a_peer() -> None:
    faults = invalid_encodings()
    assert len(faults) == 29
    ones = rows(scalar(1))
    data = rows(b"\x00")
    for _, encoding in [*faults, ("identity", "00" * 32)]:
        element = rows(encoding)
        with pytest.raises(PeerError, match="blinded_element") as fault:
            oprf.blind_evaluate(ones, element)
        assert encoding not in str(fault.value)
        with pytest.raises(PeerError, match="evaluated_element"):
            oprf.finalize(data, ones, element)


def test_one_bad_element_among_many_is_found_wherever_it_stands() -> None:
    good = load(ENCODINGS)["multiples_of_generator"][3]
    keys = rows(*[scalar(5)] * 600)
    for position in (0, 255, 256, 599):
        elements = [good] * 600
        elements[position] = "00" * 32
        with pytest.raises(PeerError):
            oprf.blind_evaluate(keys, rows(*elements))


@pytest.mark.parametrize(("dst", "length"), [(b"", 32), (bytes(256), 32), (b"x", 0), (b"x", 64 * 255 + 1)])
def test_expand_message_xmd_refuses_what_rfc_9380_does_not_define(dst: bytes, length: int) -> None:
    with pytest.raises(ValueError, match="is 1 to"):
        _kernels.expand_message_xmd(b"", dst, length)


def test_kernels_equal_the_reference_bit_for_bit() -> None:
    count, seed, stream_key = 5, bytes(range(32)), bytes(range(32, 64))
    inputs, infos = stream(count * 26).reshape(count, 26), stream(count * 8, 2).reshape(count, 8)
    keys, blinds = oprf.derive_keys(seed, infos), oprf.random_scalars(stream_key, first=7, count=count)
    blinded = oprf.blind(inputs, blinds)
    evaluated = oprf.blind_evaluate(keys, blinded)
    outputs = oprf.finalize(inputs, blinds, evaluated)
    for row in range(count):
        data = inputs[row].tobytes()
        key, blind = reference.derive_key(seed, infos[row].tobytes()), reference.random_scalar(stream_key, 7 + row)
        assert keys[row].tobytes() == scalar(key)
        assert blinds[row].tobytes() == scalar(blind)
        assert blinded[row].tobytes() == reference.blind(data, blind)
        assert evaluated[row].tobytes() == reference.blind_evaluate(key, blinded[row].tobytes())
        assert outputs[row].tobytes() == reference.finalize(data, blind, evaluated[row].tobytes())


def test_a_batch_is_its_rows_in_order_across_the_kernels_batches() -> None:
    count = 600  # three batches of the kernel, the last one not full
    inputs = stream(count * 26).reshape(count, 26)
    blinds = oprf.random_scalars(bytes(32), first=0, count=count)
    keys = oprf.derive_keys(bytes(32), np.arange(count, dtype="<u8").view(np.uint8).reshape(count, 8))
    outputs = oprf.finalize(inputs, blinds, oprf.blind_evaluate(keys, oprf.blind(inputs, blinds)))
    assert np.array_equal(outputs, oprf.evaluate(inputs, keys))
    assert len(np.unique(outputs, axis=0)) == count
    for start, stop in ((0, 1), (255, 258), (599, 600)):
        assert np.array_equal(oprf.evaluate(inputs[start:stop], keys[start:stop]), outputs[start:stop])
        assert np.array_equal(oprf.random_scalars(bytes(32), first=start, count=stop - start), blinds[start:stop])


def test_an_empty_batch_is_empty() -> None:
    none = np.empty((0, 32), np.uint8)
    assert oprf.blind(np.empty((0, 26), np.uint8), none).shape == (0, 32)
    assert oprf.blind_evaluate(none, none).shape == (0, 32)
    assert oprf.evaluate(np.empty((0, 26), np.uint8), none).shape == (0, 64)


def test_shapes_and_scalars_that_do_not_fit_are_local_misuse() -> None:
    element = rows(load(ENCODINGS)["multiples_of_generator"][2])
    one = rows(scalar(1))
    for bad in (scalar(0), scalar(ristretto.ORDER), b"\xff" * 32):
        with pytest.raises(ValueError, match="scalar"):
            oprf.blind_evaluate(rows(bad), element)
        with pytest.raises(ValueError, match="scalar"):
            oprf.blind(rows(b"x"), rows(bad))
    with pytest.raises(ValueError, match="32 bytes"):
        oprf.blind_evaluate(rows(b"x"), element)
    with pytest.raises(ValueError, match="as many rows"):
        oprf.blind_evaluate(np.repeat(one, 2, axis=0), element)
    with pytest.raises(ValueError, match="contiguous"):
        oprf.blind(np.zeros((26, 2), np.uint8).T, np.repeat(one, 2, axis=0))
    with pytest.raises(ValueError, match="65535"):
        oprf.blind(np.zeros((1, 65536), np.uint8), one)
    with pytest.raises(ValueError, match="32 bytes"):
        oprf.derive_key_pair(b"short", b"")


def test_a_key_pair_keeps_its_secret_out_of_repr_and_equality() -> None:
    first, second = (oprf.derive_key_pair(bytes(32), b"") for _ in range(2))
    assert first.secret_key == second.secret_key
    assert first != second
    assert "secret" not in repr(first) and repr(first.secret_key) not in repr(first)
