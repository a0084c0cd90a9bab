"""What each side declares about its own data before the join: whether it is complete, which groups are eligible.

Functionality: both sides learn the other's verdict (complete, warning or failure) and one bit a group; no number behind
them. Each declaration is signed over the session, so that a side cannot deny it later. Nothing is exchanged where the
agreement asks for neither. Messages: one from each side, the exposure side's first, 1 + ceil(groups / 8) + 64 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from cleanroom.agreement.completeness import OnFailure, Verdict
from cleanroom.agreement.model import Agreement, Role
from cleanroom.declared.own import Declared
from cleanroom.errors import AgreementError, BudgetError, DataError, PeerError
from cleanroom.identity import read_certificate
from cleanroom.protocols.traffic import NOTHING, Volume, messages
from cleanroom.protocols.wire import Message, Protocol, ProtocolId, Send, expect

__all__ = [
    "DECLARATION_PURPOSE",
    "MESSAGES",
    "Declaration",
    "Declarations",
    "asked",
    "bound_root",
    "check_declarations",
    "check_may_go_on",
    "declare",
    "incomplete",
    "stops",
    "volume",
]

DECLARATION_PURPOSE: Final = "declaration"
"""What the identity signs here, apart from everything else that it signs."""
_SIGNATURE_BYTES: Final = 64
_MESSAGE: Final = Message(protocol=ProtocolId.SESSION, type=6, step="session.declaration")
MESSAGES: Final = {_MESSAGE.step: _MESSAGE}
_LABEL: Final = b"cleanroom/declaration/v1"
_BOUND_LABEL: Final = b"cleanroom/input-and-declaration/v1"
_VERDICTS: Final = tuple(Verdict)

Sign: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One side's verdict on its own data, and which declared groups its facts let through."""

    verdict: Verdict
    eligible: tuple[bool, ...]
    signature: bytes  # 64 bytes; of a draft none

    def encode(self) -> bytes:
        """The verdict's number, then a bit a group, the first in the lowest bit."""
        bits = np.packbits(np.array(self.eligible, dtype=np.bool_), bitorder="little").tobytes()
        return bytes([_VERDICTS.index(self.verdict)]) + bits

    @property
    def payload(self) -> bytes:
        """What is sent: the encoding and its signature."""
        return self.encode() + self.signature

    @staticmethod
    def decode(body: bytes, groups: int, signature: bytes) -> Declaration:
        """Reads `encode`'s bytes.

        Raises:
            ValueError: the verdict is none, the length is wrong, or a bit after the last group is set.
        """
        if len(body) != 1 + (groups + 7) // 8 or body[0] >= len(_VERDICTS):
            raise ValueError("not a declaration")
        bits = np.unpackbits(np.frombuffer(body[1:], dtype=np.uint8), bitorder="little")
        if bits[groups:].any():
            raise ValueError("not a declaration")
        eligible = tuple(bool(bit) for bit in bits[:groups])
        return Declaration(verdict=_VERDICTS[body[0]], eligible=eligible, signature=signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """Both sides'."""

    exposure: Declaration
    outcome: Declaration

    def side(self, role: Role) -> Declaration:
        """What the side with this role declared."""
        return self.exposure if role is Role.EXPOSURE else self.outcome

    @property
    def eligible(self) -> tuple[bool, ...]:
        """Which declared groups both sides find eligible."""
        return tuple(one and other for one, other in zip(self.exposure.eligible, self.outcome.eligible, strict=True))

    @property
    def verdict(self) -> Verdict:
        """The worse of the two verdicts."""
        return max(self.exposure.verdict, self.outcome.verdict, key=_VERDICTS.index)

    def record(self) -> dict[str, dict[str, str]]:
        """What a release's record holds of them."""
        return {
            role.value: {
                "completeness": self.side(role).verdict.value,
                "declaration": self.side(role).encode().hex(),
                "signature": self.side(role).signature.hex(),
            }
            for role in Role
        }

    @staticmethod
    def read(record: Mapping[str, Any], agreement: Agreement) -> Declarations:  # Any: a parsed JSON object
        """Reads `record` back.

        Raises:
            KeyError, TypeError, ValueError: it is not of the documented form.
        """
        sides = {}
        groups = len(agreement.exposure.groups)
        for role in Role:
            body, signature = (bytes.fromhex(record[role.value][name]) for name in ("declaration", "signature"))
            sides[role] = Declaration.decode(body, groups, signature)
        return Declarations(exposure=sides[Role.EXPOSURE], outcome=sides[Role.OUTCOME])


def asked(agreement: Agreement) -> bool:
    """Whether the agreement asks for declarations."""
    return agreement.completeness is not None or bool(agreement.eligibility)


def bound_root(agreement: Agreement, root: bytes, own: Declared) -> bytes:
    """The input commitment of a side whose agreement asks for declarations: it binds what is declared, too.

    So a side cannot choose what it declares after it has seen the other's, and data that are unchanged but for what is
    declared of them are no repeat.

    Args:
        agreement: the agreement.
        root: of the prepared rows, 32 bytes.
        own: what this side found.

    Returns:
        32 bytes; `root` where the agreement does not ask.
    """
    if not asked(agreement):
        return root
    draft = Declaration(verdict=own.verdict, eligible=own.eligible, signature=b"")
    return hashlib.sha256(_BOUND_LABEL + root + draft.encode()).digest()


def declare(
    agreement: Agreement, *, role: Role, session_id: bytes, own: Declaration, sign: Sign
) -> Protocol[Declarations]:
    """Exchanges declarations.

    Args:
        agreement: asks for them.
        role: this side.
        session_id: 32 bytes.
        own: what this side declares, not yet signed.
        sign: signs with this side's identity under `DECLARATION_PURPOSE`.

    Raises:
        PeerError: the peer's declaration is malformed or its signature does not hold.
    """
    body = own.encode()
    signed = Declaration(
        verdict=own.verdict, eligible=own.eligible, signature=sign(_statement(agreement, role, session_id, body))
    )
    length = len(signed.payload)
    if role is Role.EXPOSURE:
        yield Send(_MESSAGE, signed.payload)
    theirs = yield from expect(_MESSAGE, length)
    if role is Role.OUTCOME:
        yield Send(_MESSAGE, signed.payload)
    try:
        peer = Declaration.decode(theirs[:-_SIGNATURE_BYTES], len(own.eligible), theirs[-_SIGNATURE_BYTES:])
    except ValueError:
        raise PeerError("session.declaration: expected a verdict and a bit a group") from None
    first, second = (signed, peer) if role is Role.EXPOSURE else (peer, signed)
    both = Declarations(exposure=first, outcome=second)
    try:
        _verify(agreement, role.other, session_id, peer)
    except AgreementError:
        raise PeerError("session.declaration: the peer's signature does not hold") from None
    return both


def check_may_go_on(agreement: Agreement, role: Role, both: Declarations) -> None:
    """Ends a run that could release nothing, or whose data are not complete where the agreement says so.

    Raises:
        DataError: this side's data failed.
        BudgetError: the other side's did, or no group is eligible.
    """
    if not any(both.eligible):
        raise BudgetError("eligibility: no group fulfils the agreed rules, so there is nothing to release")
    if stops(agreement, both.side(role).verdict):
        raise incomplete()
    if stops(agreement, both.verdict):
        other = agreement.of_role(role.other).name
        raise BudgetError(f"completeness: {other} declares that its data failed the agreed check")


def stops(agreement: Agreement, verdict: Verdict) -> bool:
    """Whether a verdict ends a run."""
    rules = agreement.completeness
    return rules is not None and rules.on_failure is OnFailure.STOP and verdict is Verdict.FAILURE


def incomplete() -> DataError:
    """The error of the side whose own data failed."""
    return DataError("completeness: this side's rows deviate from its manifest by more than the agreed failure band")


def check_declarations(agreement: Agreement, session_id: bytes, both: Declarations) -> None:
    """Checks both sides' signatures.

    Raises:
        AgreementError: one does not hold.
    """
    for role in Role:
        _verify(agreement, role, session_id, both.side(role))


def volume(agreement: Agreement) -> Volume:
    """What each side sends."""
    if not asked(agreement):
        return NOTHING
    return messages(1 + (len(agreement.exposure.groups) + 7) // 8 + _SIGNATURE_BYTES)


def _statement(agreement: Agreement, role: Role, session_id: bytes, body: bytes) -> bytes:
    parts = (_LABEL, agreement.hash, session_id, role.value.encode().ljust(8, b"\0"), body)
    return hashlib.sha256(b"".join(parts)).digest()


def _verify(agreement: Agreement, role: Role, session_id: bytes, declaration: Declaration) -> None:
    party = agreement.of_role(role)
    certificate = read_certificate(party.certificate_pem, where=f"parties.{party.name}.certificate")
    certificate.verify(
        purpose=DECLARATION_PURPOSE,
        message=_statement(agreement, role, session_id, declaration.encode()),
        signature=declaration.signature,
    )
