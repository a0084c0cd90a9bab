"""The Rust kernels: flat arrays in, flat arrays out. Every function raises ValueError for a malformed argument."""

from typing import Final

import numpy as np  # noqa: F401
from numpy.typing import NDArray  # noqa: F401

BACKEND: Final[str]

# --- ristretto.rs

# --- merkle.rs

# --- base_ot.rs

# --- ot.rs

# --- okvs.rs

# --- cuckoo.rs

# --- rlwe.rs

# --- digest.rs
