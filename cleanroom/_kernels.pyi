"""The Rust kernels: flat arrays in, flat arrays out. Every function raises ValueError for a malformed argument."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

BACKEND: Final[str]
INSTRUCTIONS: Final[str]

# --- threads.rs
MAX_THREADS: Final[int]

def set_threads(count: int) -> None: ...
def threads() -> int: ...

# --- ristretto.rs
class ElementError(ValueError): ...

def expand_message_xmd(message: bytes, dst: bytes, length: int) -> bytes: ...
def ristretto_scalars(key: bytes, first: int, count: int) -> NDArray[np.uint8]: ...
def ristretto_from_uniform(uniform: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
def ristretto_multiply(scalars: NDArray[np.uint8], elements: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
def oprf_derive_keys(seed: bytes, infos: NDArray[np.uint8], dst: bytes) -> NDArray[np.uint8]: ...
def oprf_blind(inputs: NDArray[np.uint8], blinds: NDArray[np.uint8], dst: bytes) -> NDArray[np.uint8]: ...
def oprf_finalize(
    inputs: NDArray[np.uint8], blinds: NDArray[np.uint8], elements: NDArray[np.uint8]
) -> NDArray[np.uint8]: ...
def oprf_evaluate(inputs: NDArray[np.uint8], keys: NDArray[np.uint8], dst: bytes) -> NDArray[np.uint8]: ...
def expand_hashes(seeds: NDArray[np.uint8], prefix: bytes, length: int) -> NDArray[np.uint8]: ...

# --- merkle.rs
def merkle_root(key: bytes, data: NDArray[np.uint8], offsets: NDArray[np.uint64], padded: int) -> bytes: ...
def valued_root(key: bytes, keys: NDArray[np.uint8], values: NDArray[np.int64], padded: int, origin: int) -> bytes: ...
def weighted_root(
    key: bytes,
    keys: NDArray[np.uint8],
    indptr: NDArray[np.int64],
    target: NDArray[np.int32],
    weight: NDArray[np.int64],
    padded: int,
    origin: int,
) -> bytes: ...

# --- base_ot.rs
def base_ot_receiver_message(key: bytes, domain: bytes, choices: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
def base_ot_sender_message(key: bytes, count: int) -> NDArray[np.uint8]: ...
def base_ot_sender_keys(key: bytes, domain: bytes, elements: bytes) -> NDArray[np.uint8]: ...
def base_ot_receiver_keys(
    key: bytes, domain: bytes, choices: NDArray[np.uint8], own: bytes, elements: bytes
) -> NDArray[np.uint8]: ...

# --- ot.rs
def ggm_expand(roots: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
def ggm_reconstruct(delta_bits: NDArray[np.uint8], sums: NDArray[np.uint8]) -> NDArray[np.uint8]: ...

class CheckError(ValueError): ...

def ot_extend_receiver(
    leaves: NDArray[np.uint8], setup: bytes, first: int, width: int, choices: NDArray[np.uint8], mask: bytes
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
def ot_extend_sender(
    leaves: NDArray[np.uint8], delta: NDArray[np.uint8], setup: bytes, first: int, width: int, message: bytes
) -> NDArray[np.uint8]: ...
def ot_mask_tables(
    rows: NDArray[np.uint8],
    delta: NDArray[np.uint8],
    hash_key: bytes,
    index: int,
    bits: int,
    tables: NDArray[np.uint16],
) -> NDArray[np.uint16]: ...
def ot_hash(
    rows: NDArray[np.uint8], hash_key: bytes, index: int, choices: NDArray[np.uint8], words: int
) -> NDArray[np.uint64]: ...

# --- silent_ot.rs
def silent_ot_correct(random: NDArray[np.uint8], choices: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
def silent_ot_shift(rows: NDArray[np.uint8], delta: NDArray[np.uint8], correction: bytes) -> NDArray[np.uint8]: ...

# --- kkrt.rs
def kkrt_encode(code_keys: bytes, inputs: NDArray[np.uint8]) -> NDArray[np.uint8]: ...
def kkrt_receive(
    keys: NDArray[np.uint8], code_keys: bytes, prefix: bytes, first: int, inputs: NDArray[np.uint8], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]: ...
def kkrt_send(keys: NDArray[np.uint8], mask: NDArray[np.uint8], first: int, correction: bytes) -> NDArray[np.uint8]: ...
def kkrt_evaluate(
    rows: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    code_keys: bytes,
    prefix: bytes,
    inputs: NDArray[np.uint8],
    bins: NDArray[np.int64],
    size: int,
) -> NDArray[np.uint8]: ...

# --- gf128.rs
def gf128_multiply_add(a: NDArray[np.uint64], delta: bytes, b: NDArray[np.uint64]) -> NDArray[np.uint64]: ...

# --- pprf.rs
def pprf_expand(roots: NDArray[np.uint8], keys: bytes, depth: int) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]: ...
def pprf_reconstruct(
    bits: NDArray[np.uint8], keys: bytes, sums: NDArray[np.uint8], words: NDArray[np.uint8]
) -> NDArray[np.uint64]: ...

# --- expand_convolute.rs
def expand_convolute(key: bytes, vector: NDArray[np.uint64]) -> NDArray[np.uint64]: ...
def expand_convolute_pair(
    key: bytes, one: NDArray[np.uint64], other: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]: ...
def expand_convolute_with_bytes(
    key: bytes, vector: NDArray[np.uint64], bytes: NDArray[np.uint8]
) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]: ...

# --- okvs.rs
def okvs_encode(
    keys: NDArray[np.uint8],
    values: NDArray[np.uint64],
    seed: bytes,
    fill_key: bytes,
    starts: int,
    band: int,
) -> NDArray[np.uint64] | None: ...
def okvs_decode(
    keys: NDArray[np.uint8], table: NDArray[np.uint64], seed: bytes, starts: int, band: int
) -> NDArray[np.uint64]: ...

# --- hint.rs
def hint_mask(
    out: NDArray[np.uint64],
    answers: NDArray[np.uint8],
    bins: NDArray[np.int64],
    values: NDArray[np.uint64],
    targets: NDArray[np.uint64],
    masks: NDArray[np.uint64],
) -> None: ...

# --- oprf_vole.rs
def oprf_vole_points(prefix: bytes, inputs: NDArray[np.uint8]) -> NDArray[np.uint64]: ...
def oprf_vole_outputs(
    prefix: bytes, bins: NDArray[np.int64], elements: NDArray[np.uint64], size: int
) -> NDArray[np.uint8]: ...

# --- cuckoo.rs
def bin_positions(keys: NDArray[np.uint8], seed: bytes, n_bins: int) -> NDArray[np.int64]: ...
def cuckoo_place(positions: NDArray[np.int64], n_bins: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]] | None: ...

# --- rlwe.rs
class RlweSecret:
    def __new__(cls, key: bytes, columns: int) -> RlweSecret: ...
    def public_key(self, seed: bytes, error_key: bytes) -> bytes: ...
    def encrypt(self, seed: bytes, error_key: bytes, first: int, messages: NDArray[np.uint64]) -> bytes: ...
    def product_constants(self, rings: NDArray[np.uint64], columns: NDArray[np.uint32]) -> NDArray[np.uint64]: ...

def rlwe_unpack(data: bytes, limbs: int, run: int) -> NDArray[np.uint64]: ...
def rlwe_weigh_ciphertexts(
    sums: NDArray[np.uint64],
    ciphertexts: NDArray[np.uint64],
    first: int,
    class_position: NDArray[np.uint32],
    bins: NDArray[np.int64],
    targets: NDArray[np.int32],
    weights: NDArray[np.int64],
) -> None: ...
def rlwe_weigh_dense(
    sums: NDArray[np.uint64],
    seed: bytes,
    first_block: int,
    blocks: int,
    indptr: NDArray[np.int64],
    bins: NDArray[np.int64],
    weights: NDArray[np.int64],
    bound: int,
) -> None: ...
def rlwe_weigh_sparse(
    sums: NDArray[np.uint64],
    seed: bytes,
    first_block: int,
    blocks: int,
    indptr: NDArray[np.int64],
    bins: NDArray[np.int64],
    weights: NDArray[np.int64],
    bound: int,
) -> None: ...
def rlwe_encrypt_zeros(
    seed: bytes, key: bytes, first: int, count: int, public_keys: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]: ...
def rlwe_switch(sums: NDArray[np.uint64], zeros: NDArray[np.uint64]) -> NDArray[np.uint64]: ...

# --- row_keys.rs
def row_keys(
    person: NDArray[np.uint8], weight_class: int, level: NDArray[np.uint8], node: NDArray[np.int64]
) -> NDArray[np.uint8]: ...

# --- digest.rs
def person_keys(
    offsets: NDArray[np.int32],
    data: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    *,
    kind: str,
    rule: str,
    country: str | None,
    form: str,
) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]: ...
def text_keys(
    offsets: NDArray[np.int32], data: NDArray[np.uint8], valid: NDArray[np.bool_], *, tag: str
) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]: ...

# --- event_ids.rs
def text_ids(offsets: NDArray[np.int32], data: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint64]: ...
def number_ids(values: NDArray[np.int64], valid: NDArray[np.bool_]) -> NDArray[np.uint64]: ...

# --- text.rs
def is_utf8(offsets: NDArray[np.int32], data: NDArray[np.uint8], valid: NDArray[np.bool_]) -> bool: ...

# --- parquet_rows.rs
def parquet_rows(path: str, columns: Sequence[int], *, coded: Sequence[int], batch_rows: int) -> object: ...

# --- parse.rs
def parse_times(
    offsets: NDArray[np.int32], data: NDArray[np.uint8], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]: ...
def parse_amounts(
    offsets: NDArray[np.int32], data: NDArray[np.uint8], valid: NDArray[np.bool_], *, places: int, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]: ...
def round_amounts(
    values: NDArray[np.float64], valid: NDArray[np.bool_], *, places: int, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]: ...
def decimal_amounts(
    halves: NDArray[np.int64], valid: NDArray[np.bool_], *, unit: int, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]: ...

# --- sort.rs
def group_rows(
    rows: list[NDArray[np.uint64]], parts: list[NDArray[np.uint8]]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]: ...
def row_changes(rows: NDArray[np.uint64]) -> NDArray[np.bool_]: ...
def side_by_side(parts: list[NDArray[np.uint64]]) -> NDArray[np.uint64]: ...

# --- order.rs
def sort_rows(parts: list[NDArray[np.uint64]], *, unique: bool = False) -> NDArray[np.uint64]: ...
def merge_lines(parts: list[NDArray[np.uint64]]) -> NDArray[np.uint64]: ...

# --- columns.rs
def touch_columns(
    rows: NDArray[np.uint64],
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]: ...
def outcome_columns(
    rows: NDArray[np.uint64],
) -> tuple[NDArray[np.uint8], NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]: ...
def people_within(rows: NDArray[np.uint64], start: int, end: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]: ...
def whole_people(rows: NDArray[np.uint64], most: int) -> list[int]: ...
def leading_keys(rows: NDArray[np.uint64]) -> NDArray[np.uint8]: ...

# --- keyed.rs
def keyed_rows(keys: NDArray[np.uint8], words: NDArray[np.uint64]) -> NDArray[np.uint64]: ...
def keyed_in_order(parts: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]: ...
def split_in_order(parts: Sequence[NDArray[np.uint64]]) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]: ...
def split_as_is(rows: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]: ...
def real_rows(rows: NDArray[np.uint64]) -> NDArray[np.bool_]: ...

# --- touched.rs
def counting_touches(
    person: NDArray[np.uint8],
    tick: NDArray[np.int64],
    event: NDArray[np.int32],
    group: NDArray[np.int32],
    instants: NDArray[np.int64] | None,
    labels: tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.bool_]],
    limit: int,
    key: bytes,
    bounds: NDArray[np.int64] | None,
) -> tuple[NDArray[np.uint8], list[NDArray[np.int64]], list[int]]: ...

# --- lookups.rs
def anchors(
    owner: NDArray[np.int64],
    tick: NDArray[np.int64],
    event: NDArray[np.int64],
    group: NDArray[np.int64],
    groups: int,
    families: list[tuple[int, tuple[int, ...] | None]],
    last: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]: ...
def merge_impulses(
    owner: NDArray[np.int64],
    tick: NDArray[np.int64],
    target: NDArray[np.int64],
    weight: NDArray[np.int64],
    size: int,
    people: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]: ...
def lookups_of(
    person: NDArray[np.uint8],
    owner: NDArray[np.int64],
    tick: NDArray[np.int64],
    target: NDArray[np.int64],
    weight: NDArray[np.int64],
    weight_class: int,
    level: int,
    size: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...
def sort_lookups(
    keys: NDArray[np.uint8], per_key: NDArray[np.int64], target: NDArray[np.int32], weight: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...

# --- packed.rs
def packed_lookups(
    keys: NDArray[np.uint8],
    indptr: NDArray[np.int64],
    target: NDArray[np.int32],
    weight: NDArray[np.int64],
    most: int,
    bound: int,
) -> NDArray[np.uint64]: ...
def unpacked_lookups(
    words: NDArray[np.uint64],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...

# --- fields.rs
class BoundsError(ValueError): ...

def packed_words(bounds: Sequence[tuple[int, int]]) -> int: ...
def pack_values(values: NDArray[np.int64], bounds: Sequence[tuple[int, int]]) -> NDArray[np.uint64]: ...
def unpack_values(words: NDArray[np.uint64], bounds: Sequence[tuple[int, int]]) -> NDArray[np.int64]: ...

# --- pieces.rs
def cover_sizes(first: NDArray[np.int64], last: NDArray[np.int64], tree: list[int]) -> NDArray[np.int64]: ...
def rows_of_pieces(
    person: NDArray[np.uint8],
    owner: NDArray[np.int64],
    domain: int,
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    words: NDArray[np.uint64],
    tree: list[int],
    sizes: NDArray[np.int64],
) -> NDArray[np.uint64]: ...

# --- step_functions.rs
def step_pieces(
    person: NDArray[np.uint8],
    tick: NDArray[np.int64],
    event: NDArray[np.int32],
    value: NDArray[np.int64],
    labels: tuple[NDArray[np.int16], NDArray[np.int64]] | None,
    program: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    frame: tuple[int, int, int],
    points: tuple[NDArray[np.int64], NDArray[np.bool_]] | None,
    bounds: Sequence[tuple[int, int]],
) -> tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]: ...

# --- credit.rs
def credit_weights(
    owner: NDArray[np.int64],
    tick: NDArray[np.int64],
    group: NDArray[np.int64],
    event: NDArray[np.int64],
    rule: tuple[str, int, int, int, int | None, int],
    rank: NDArray[np.int64],
    windows: NDArray[np.int64],
    families: NDArray[np.int64],
    via: NDArray[np.bool_],
    gates: NDArray[np.int64],
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]: ...
