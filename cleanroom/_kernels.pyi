"""The Rust kernels: flat arrays in, flat arrays out. Every function raises ValueError for a malformed argument."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

BACKEND: Final[str]

# --- ristretto.rs

# --- merkle.rs

# --- base_ot.rs

# --- ot.rs

# --- okvs.rs

# --- cuckoo.rs

# --- rlwe.rs

# --- digest.rs
def row_keys(
    person: NDArray[np.uint8], weight_class: int, level: NDArray[np.uint8], node: NDArray[np.int64]
) -> NDArray[np.uint8]: ...
