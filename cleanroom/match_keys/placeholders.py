"""Values that name nobody although their form is right: what test systems, forms and devices fill in.

Normalisation does not drop them, because a signed rule must mean the same for ever; the check of the data counts them,
so that an owner can clean the source.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from cleanroom.agreement.model import Identifier
from cleanroom.match_keys.people import VALID, PersonKeys

__all__ = ["PLACEHOLDERS", "placeholder_keys"]

_REPEATED: Final = tuple(f"1{digit}" + digit * 9 for digit in "3456789")

PLACEHOLDERS: Final = {
    "phone": (
        *("13800138000", "13800000000", "13900000000", "18888888888", "13888888888", "13812345678", "12345678901"),
        *("13123456789", "15012345678", "18612345678", "13000000000", "15000000000", "18000000000"),
        *_REPEATED,
    ),
    "email": (
        *("test@test.com", "test@example.com", "user@example.com", "admin@example.com", "a@a.com", "123@qq.com"),
        *("none@none.com", "noreply@example.com", "no-reply@example.com", "123456@qq.com", "test@qq.com"),
    ),
    "idfa": ("00000000-0000-0000-0000-000000000000",),
    "oaid": (
        *("00000000-0000-0000-0000-000000000000", "0" * 64, "0" * 32, "0" * 16, "0" * 15, "0"),
        *("unknown", "NO", "default"),
    ),
    "caid": ("0" * 32,),
    "imei": ("0" * 15, "0" * 14, "0" * 16, "111111111111111", "123456789012345", "004999010640000", "358240051111110"),
    "mac": ("02:00:00:00:00:00", "00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF"),
    "id": ("0", "-1", "unknown", "guest", "anonymous", "test"),
}
"""Of each identifier type the values that are known to stand for nobody, as companies write them."""


def placeholder_keys(identifier: Identifier) -> frozenset[bytes]:
    """The keys, 16 bytes each, of an agreed identifier's placeholder values; those that are null anyway have none."""
    people = PersonKeys(identifier)(pa.array(PLACEHOLDERS[identifier.type], pa.string()))
    return frozenset(key.tobytes() for key, status in zip(people.keys, people.status, strict=True) if status == VALID)
