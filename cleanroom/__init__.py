"""A two-party data clean room: a private join whose only output is a noised, thresholded table.

What a partner system needs is here; `docs/reference/library.md` shows how the pieces go together. A name is imported
when it is first used: `import cleanroom` alone loads neither pandas nor Arrow nor the kernels.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from cleanroom.errors import AgreementError, BudgetError, CleanroomError, DataError, PeerError, UsageError

if TYPE_CHECKING:
    from cleanroom.agreement import Agreement, load_agreement, sign_agreement, verify_signatures
    from cleanroom.data import Binding, load_binding
    from cleanroom.flight import Address, connect, listen
    from cleanroom.identity import Certificate, Identity, load_identity, new_identity
    from cleanroom.link import Link, memory_links
    from cleanroom.node import Finished, Side, run, side_of
    from cleanroom.progress import ProgressReport
    from cleanroom.release.files import write_finished
    from cleanroom.threads import use_threads

__version__ = "0.1.0"

__all__ = [
    "Address",
    "Agreement",
    "AgreementError",
    "Binding",
    "BudgetError",
    "Certificate",
    "CleanroomError",
    "DataError",
    "Finished",
    "Identity",
    "Link",
    "PeerError",
    "ProgressReport",
    "Side",
    "UsageError",
    "__version__",
    "connect",
    "listen",
    "load_agreement",
    "load_binding",
    "load_identity",
    "memory_links",
    "new_identity",
    "run",
    "side_of",
    "sign_agreement",
    "use_threads",
    "verify_signatures",
    "write_finished",
]

_HOMES: Final = {
    "Address": "cleanroom.flight",
    "Agreement": "cleanroom.agreement",
    "Binding": "cleanroom.data",
    "Certificate": "cleanroom.identity",
    "Finished": "cleanroom.node",
    "Identity": "cleanroom.identity",
    "Link": "cleanroom.link",
    "ProgressReport": "cleanroom.progress",
    "Side": "cleanroom.node",
    "connect": "cleanroom.flight",
    "listen": "cleanroom.flight",
    "load_agreement": "cleanroom.agreement",
    "load_binding": "cleanroom.data",
    "load_identity": "cleanroom.identity",
    "memory_links": "cleanroom.link",
    "new_identity": "cleanroom.identity",
    "run": "cleanroom.node",
    "side_of": "cleanroom.node",
    "sign_agreement": "cleanroom.agreement",
    "use_threads": "cleanroom.threads",
    "verify_signatures": "cleanroom.agreement",
    "write_finished": "cleanroom.release.files",
}
"""Where each public name that is imported on first use comes from."""


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(home), name)
    globals()[name] = value  # from now on an ordinary attribute
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
