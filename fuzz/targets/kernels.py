"""The kernels that take a peer's bytes or an owner's texts, called with arrays of any shape and any content.

Positions in a stream are this side's own count and stay under 2^56; all else can be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cleanroom import _kernels
from cleanroom.protocols.rlwe import DEGREE
from fuzz.reader import Reader
from fuzz.target import Target

__all__ = ["CALLS", "KERNELS", "TEXTS", "TEXT_CALLS"]

Bytes = NDArray[np.uint8]

_KEY: Final = b"k" * 32
_HASH_KEY: Final = b"h" * 16
_SCALAR: Final = (7).to_bytes(32, "little")
_TREES: Final = 32
_LEAVES: Final = np.arange(_TREES * 16 * 16, dtype=np.int64).astype(np.uint8)
_CHECK: Final = (1 + 128) * 16  # bytes of the check of a correction of 1-bit choices
_KKRT_WIDTH: Final = 448
_SECRET: Final = _kernels.RlweSecret(_KEY, 2)


def _matrix(reader: Reader, width: int) -> Bytes:
    """Rows of a width that is the right one, mostly."""
    if reader.number() % 8 == 0:
        width = reader.number()
    data = reader.rest()
    rows = 0 if width == 0 else len(data) // width
    return np.frombuffer(data[: rows * width], dtype=np.uint8).reshape(rows, width)


def _flat(data: bytes) -> Bytes:
    return np.frombuffer(data, dtype=np.uint8)


def _multiply(reader: Reader) -> None:
    elements = _matrix(reader, 32)
    _kernels.ristretto_multiply(np.tile(_flat(_SCALAR), (len(elements), 1)), elements)


def _multiply_scalars(reader: Reader) -> None:
    scalars = _matrix(reader, 32)
    elements = _kernels.ristretto_from_uniform(np.zeros((len(scalars), 64), dtype=np.uint8))
    _kernels.ristretto_multiply(scalars, elements)


def _finalize(reader: Reader) -> None:
    inputs = np.zeros((reader.number() % 4, 26), dtype=np.uint8)
    blinds = np.tile(_flat(_SCALAR), (len(inputs), 1))
    _kernels.oprf_finalize(inputs, blinds, _matrix(reader, 32))


def _base_sender(reader: Reader) -> None:
    _kernels.base_ot_sender_keys(_KEY, b"domain", reader.rest())


def _base_receiver(reader: Reader) -> None:
    choices = _flat(reader.take(reader.number() % 4)) & np.uint8(3)
    own = _kernels.base_ot_receiver_message(_KEY, b"domain", choices & np.uint8(1)).tobytes()
    _kernels.base_ot_receiver_keys(_KEY, b"domain", choices, own, reader.rest())


def _reconstruct(reader: Reader) -> None:
    bits = _flat(reader.take(4 * (reader.number() % 4))) & np.uint8(1)
    _kernels.ggm_reconstruct(bits, _flat(reader.rest()))


def _extend_sender(reader: Reader) -> None:
    delta = _flat(reader.take(_TREES)) & np.uint8(31)
    first, width = reader.number(7), reader.number() % 6
    correction = reader.take(16) * (_TREES * width * (reader.number() % 3))
    setup = reader.take(32 if reader.number() % 8 else 31)
    _kernels.ot_extend_sender(_LEAVES, delta, setup, first, width, correction + reader.rest())


def _hash(reader: Reader) -> None:
    choices = _flat(reader.take(reader.number() % 8)) & np.uint8(31)
    index, words = reader.number(7), reader.number(2)
    _kernels.ot_hash(_flat(reader.rest()), _HASH_KEY, index, choices, words)


def _mask_tables(reader: Reader) -> None:
    index, bits = reader.number(7), reader.number()
    tables = np.frombuffer(reader.take(2 * reader.number()), dtype=np.uint16)
    _kernels.ot_mask_tables(_flat(reader.rest()), np.full(_TREES, 9, np.uint8), _HASH_KEY, index, bits, tables)


def _kkrt_send(reader: Reader) -> None:
    keys = np.tile(_flat(reader.take(16)), _KKRT_WIDTH)
    mask = np.tile(_flat(reader.take(8)), _KKRT_WIDTH // 64)
    _kernels.kkrt_send(keys, mask, reader.number(7), reader.rest() * 64)


def _kkrt_evaluate(reader: Reader) -> None:
    bins = np.frombuffer(reader.take(8 * (reader.number() % 4)), dtype=np.int64)
    size = reader.number(2)
    inputs = np.zeros((len(bins), 26), dtype=np.uint8)
    mask = np.zeros(_KKRT_WIDTH // 8, dtype=np.uint8)
    _kernels.kkrt_evaluate(_matrix(reader, 56), mask, bytes(80), bytes(64), inputs, bins, size)


def _okvs(reader: Reader) -> None:
    starts, band, words = reader.number(5), reader.number(2), reader.number()
    keys = np.frombuffer(reader.take(26 * (reader.number() % 4)), dtype=np.uint8).reshape(-1, 26)
    table = np.frombuffer(reader.take(8 * words * reader.number(2)), dtype=np.uint64).reshape(-1, max(1, words))
    _kernels.okvs_decode(keys, table, bytes(16), starts, band)


def _unpack(reader: Reader) -> None:
    limbs, run = reader.number(), reader.number(2)
    _kernels.rlwe_unpack(reader.rest(), limbs, run)


def _residues(reader: Reader, limbs: int) -> NDArray[np.uint64]:
    """Elements full of one word, with a few others among them."""
    values = np.full((reader.number() % 3, limbs, DEGREE), reader.number(8), dtype=np.uint64)
    flat = values.reshape(-1)
    while reader.more and flat.size:
        flat[reader.number(3) % flat.size] = reader.number(8)
    return values


def _products(reader: Reader) -> None:
    columns = np.frombuffer(reader.take(4 * (reader.number() % 3)), dtype=np.uint32)
    _SECRET.product_constants(_residues(reader, 1 + reader.number() % 3), columns)


def _zeros(reader: Reader) -> None:
    first, count = reader.number(8), reader.number() % 3
    _kernels.rlwe_encrypt_zeros(_KEY, _KEY, first, count, _residues(reader, 1 + reader.number() % 3))


def _weigh(reader: Reader) -> None:
    groups, columns = reader.number() % 3, reader.number() % 3
    sums = np.zeros((groups, columns, 3), dtype=np.uint64)
    entries = reader.number() % 4
    bins = np.frombuffer(reader.take(8 * entries), dtype=np.int64)
    targets = np.frombuffer(reader.take(4 * entries), dtype=np.int32)
    weights = np.frombuffer(reader.take(8 * entries), dtype=np.int64)
    classes = np.frombuffer(reader.take(4 * columns), dtype=np.uint32)
    first = reader.number(8)
    _kernels.rlwe_weigh_ciphertexts(sums, _residues(reader, 3), first, classes, bins, targets, weights)


def _merkle(reader: Reader) -> None:
    padded = reader.number(2)
    offsets = np.frombuffer(reader.take(8 * (reader.number() % 8)), dtype=np.uint64)
    _kernels.merkle_root(_KEY, _flat(reader.rest()), offsets, padded)


CALLS: Final[tuple[Callable[[Reader], None], ...]] = (
    _multiply,
    _multiply_scalars,
    _finalize,
    _base_sender,
    _base_receiver,
    _reconstruct,
    _extend_sender,
    _hash,
    _mask_tables,
    _kkrt_send,
    _kkrt_evaluate,
    _okvs,
    _unpack,
    _products,
    _zeros,
    _weigh,
    _merkle,
)

Column = tuple[NDArray[np.int32], Bytes, NDArray[np.bool_]]
_RULES: Final = (
    ("id", "", None),
    ("email", "lower", None),
    ("email", "gmail", None),
    ("phone", "e164", "CN"),
    ("phone", "e164_digits", "US"),
    ("phone", "national", "CN"),
    ("idfa", "upper", None),
    ("imei", "", None),
    ("mac", "", None),
    ("caid", "", "??"),
    ("phone", "no such", None),
)


def _times(column: Column, reader: Reader) -> None:
    del reader
    _kernels.parse_times(*column)


def _amounts(column: Column, reader: Reader) -> None:
    values, status = _kernels.parse_amounts(*column, places=reader.number() % 12, limit=reader.number(7))
    assert len(values) == len(status) == len(column[2])


def _rounded(column: Column, reader: Reader) -> None:
    valid = column[2]
    values = np.frombuffer(reader.take(8 * len(valid)), dtype=np.float64)
    _kernels.round_amounts(values, valid, places=reader.number() % 12, limit=reader.number(7))


def _people(column: Column, reader: Reader) -> None:
    kind, rule, country = reader.choice(_RULES)
    _kernels.person_keys(*column, kind=kind, rule=rule, country=country, form=reader.choice(("", "md5", "sha256", "?")))


def _texts(column: Column, reader: Reader) -> None:
    _kernels.text_keys(*column, tag=reader.choice(("person", "", "t" * 300)))


def _event_ids(column: Column, reader: Reader) -> None:
    del reader
    ids = _kernels.text_ids(*column)
    assert ids.shape == (len(column[2]), 2) and not ids[~column[2]].any()


TEXT_CALLS: Final[tuple[Callable[[Column, Reader], None], ...]] = (
    _times,
    _amounts,
    _rounded,
    _people,
    _texts,
    _event_ids,
)


def check_kernels(data: bytes) -> None:
    """A kernel returns or raises ValueError; a panic is no ValueError."""
    reader = Reader(data)
    call = reader.choice(CALLS)
    try:
        call(reader)
    except ValueError:
        return


def check_texts(data: bytes) -> None:
    """A column of texts, cut by offsets that may be wrong, is read or refused with ValueError."""
    reader = Reader(data)
    call = reader.choice(TEXT_CALLS)
    if reader.number() % 8 == 0:  # offsets as they come
        offsets = np.frombuffer(reader.take(4 * (reader.number() % 6)), dtype=np.int32)
    else:
        lengths = [reader.number() for _ in range(reader.number() % 6)]
        offsets = np.cumsum([0, *lengths]).astype(np.int32)
    valid = np.ones(max(0, len(offsets) - 1), dtype=np.bool_)
    arguments = Reader(reader.take(64))
    column = offsets, _flat(reader.take(int(max([0, *offsets.tolist()])) % 2048)), valid
    try:
        call(column, arguments)
    except ValueError:
        return


def _kernel_seeds() -> Iterator[bytes]:
    good = _kernels.ristretto_from_uniform(np.ones((4, 64), dtype=np.uint8)).tobytes()
    for position in range(len(CALLS)):
        for body in (b"\1" + good, b"\1" + bytes(64), b"\3" + b"\1" * 200, b"\1" + b"\xff" * 64):
            yield bytes([position]) + body
    yield bytes([CALLS.index(_base_receiver)]) + b"\2\0\1" + good[:64]
    yield bytes([CALLS.index(_reconstruct)]) + b"\1\0\1\0\1" + bytes(64)
    head = bytes([CALLS.index(_extend_sender)]) + bytes(_TREES) + bytes(7)
    yield head + b"\1" + bytes(16) + b"\2\1" + bytes(32) + bytes(_CHECK)
    yield bytes([CALLS.index(_hash)]) + b"\2\1\2" + bytes(7) + b"\3\0" + bytes(32)
    yield bytes([CALLS.index(_mask_tables)]) + bytes(7) + b"\2\4" + bytes(8) + bytes(32)
    yield bytes([CALLS.index(_kkrt_send)]) + bytes(24) + bytes(7) + bytes(112)
    yield bytes([CALLS.index(_kkrt_evaluate)]) + b"\1" + bytes(8) + b"\x18\0\1" + bytes(56)
    yield bytes([CALLS.index(_okvs)]) + b"\4\0\0\0\0\x08\0\2\1" + bytes(26) + b"\x0b\0" + bytes(176)
    yield bytes([CALLS.index(_unpack)]) + b"\1\2\0" + bytes(14)
    yield bytes([CALLS.index(_products)]) + b"\1\0\0\0\0\1\1" + bytes(8)
    yield bytes([CALLS.index(_zeros)]) + bytes(8) + b"\1\2\1" + bytes(8)
    yield bytes([CALLS.index(_weigh)]) + b"\1\1\1" + bytes(8) + bytes(4) + bytes(8) + bytes(4) + bytes(8) + b"\1"
    yield bytes([CALLS.index(_merkle)]) + b"\4\0\2" + bytes(8) + b"\5" + bytes(7) + b"hello"


def _text_seeds() -> Iterator[bytes]:
    columns = (
        b"2025-03-01T10:00:00.5+08:00",
        b"1735689600.25",
        b"-12345.678",
        b"+86 138 0013 8000",
        b"First.Last+tag@gmail.com",
        b"AEBE52E7-03EE-455A-B3C4-E57283966239",
        b"490154203237518",
        b"00:1A:2B:3C:4D:5E",
        "\u3000全角１２３\u3000".encode(),
        b"\xff\xfe",
    )
    for position in range(len(TEXT_CALLS)):
        for text in columns:
            yield bytes([position, 1, 1, len(text)]) + b"\2\xff" + bytes(62) + text
    for rule in range(len(_RULES)):
        for text in columns:
            yield bytes([3, 1, 1, len(text)]) + bytes([rule, 0]) + bytes(62) + text


KERNELS: Final = Target(
    name="kernels",
    promise="a kernel that takes a peer's bytes returns or raises ValueError, whatever it is given",
    check=check_kernels,
    seeds=_kernel_seeds,
)
TEXTS: Final = Target(
    name="texts",
    promise="a kernel that reads an owner's texts gives each a status or raises ValueError",
    check=check_texts,
    seeds=_text_seeds,
    max_bytes=1024,
)
