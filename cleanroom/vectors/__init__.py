"""Known answers, published and the project's own, and the checks that hold this build to them.

The files lie in `tests/vectors` of the repository and are installed with the package. A check makes every answer of its
file anew on the kernels; a refusal feeds one side with a frame that has one fault.
"""

from __future__ import annotations

from cleanroom.vectors.check import CHECKS, VECTORS, CheckedFile, check_file, check_vectors, refusal_paths

__all__ = ["CHECKS", "VECTORS", "CheckedFile", "check_file", "check_vectors", "refusal_paths"]
