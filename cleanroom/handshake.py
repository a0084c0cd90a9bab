"""The handshake of a run as its release records it: what each side committed to, so that both signatures cover it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from cleanroom import __version__, _kernels
from cleanroom.agreement.model import Agreement, Profile, Role
from cleanroom.declared import Declarations, asked
from cleanroom.plan import Plan
from cleanroom.protocols.session import Contribution, Hello, Session, nonce_commitment, session_id

__all__ = ["BUILD", "Handshake", "hello_of"]

BUILD: Final = f"cleanroom-toolkit {__version__}, kernels {_kernels.BACKEND}"
"""What runs here, in words; its digest is in the handshake."""

_PROFILE_NUMBERS: Final = {Profile.ECDH: 1, Profile.KKRT: 2, Profile.VOLE: 3}
_WIDTH: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """A session's id and what it follows from, both sides'."""

    session_id: bytes  # 32 bytes
    exposure: Contribution
    outcome: Contribution
    declarations: Declarations | None = None  # where the agreement asks for them

    @staticmethod
    def of(session: Session, role: Role, declarations: Declarations | None) -> Handshake:
        """The handshake of a session as the side with this role sees it."""
        mine_first = role is Role.EXPOSURE
        return Handshake(
            session_id=session.id,
            exposure=session.own if mine_first else session.peer,
            outcome=session.peer if mine_first else session.own,
            declarations=declarations,
        )

    @staticmethod
    def read(record: Mapping[str, Any], agreement: Agreement) -> Handshake:  # Any: a parsed JSON object
        """Reads the handshake back from the record of an agreement's release.

        Raises:
            KeyError, TypeError, ValueError: the record is not of the documented form.
        """
        sides = record["handshake"]
        return Handshake(
            session_id=_word(record["session"]),
            exposure=_contribution(sides["exposure"]),
            outcome=_contribution(sides["outcome"]),
            declarations=Declarations.read(record["declarations"], agreement) if asked(agreement) else None,
        )

    @property
    def eligible(self) -> tuple[bool, ...] | None:
        """Which declared groups both sides find eligible; None where the agreement does not ask."""
        return None if self.declarations is None else self.declarations.eligible

    def side(self, role: Role) -> Contribution:
        """What the side with this role brought."""
        return self.exposure if role is Role.EXPOSURE else self.outcome

    def record(self) -> dict[str, dict[str, str]]:
        """What a release's record holds of it, beside the session's id: 32 bytes in hexadecimal a field."""
        return {
            role.value: {entry.name: getattr(self.side(role), entry.name).hex() for entry in fields(Contribution)}
            for role in Role
        }

    def hellos(self, agreement: Agreement, plan: Plan, terms_digest: bytes) -> tuple[Hello, Hello]:
        """Both sides' hellos, the exposure side's first, as the agreement and the contributions make them."""
        first, second = (
            hello_of(
                agreement,
                plan,
                role=role,
                terms_digest=terms_digest,
                seed_commitment=self.side(role).seed_commitment,
                nonce=self.side(role).nonce,
                input_root=self.side(role).input_root,
                build=self.side(role).build,
            )
            for role in Role
        )
        return first, second

    def derived_id(self, agreement: Agreement, plan: Plan, terms_digest: bytes) -> bytes:
        """The session id that follows from the agreement and the contributions; a sound record's is equal to it."""
        return session_id(
            agreement_hash=agreement.hash,
            hellos=self.hellos(agreement, plan, terms_digest),
            nonces=(self.exposure.nonce, self.outcome.nonce),
        )


def hello_of(
    agreement: Agreement,
    plan: Plan,
    *,
    role: Role,
    terms_digest: bytes,
    seed_commitment: bytes,
    nonce: bytes,
    input_root: bytes,
    build: bytes,
) -> Hello:
    """The hello of one side: the run's public shape as the agreement gives it, and that side's commitments."""
    return Hello(
        exposure=role is Role.EXPOSURE,
        profile=_PROFILE_NUMBERS[agreement.protocol.profile],
        rows_exposure=agreement.protocol.rows_exposure,
        rows_outcome=agreement.protocol.rows_outcome,
        columns=len(plan.row_values),
        groups=plan.groups,
        agreement_hash=agreement.hash,
        terms_digest=terms_digest,
        seed_commitment=seed_commitment,
        nonce_commitment=nonce_commitment(nonce),
        input_root=input_root,
        build=build,
    )


def _contribution(side: Mapping[str, Any]) -> Contribution:
    return Contribution(**{entry.name: _word(side[entry.name]) for entry in fields(Contribution)})


def _word(value: object) -> bytes:
    if not isinstance(value, str) or len(word := bytes.fromhex(value)) != _WIDTH:
        raise ValueError(f"{_WIDTH} bytes in hexadecimal expected")
    return word
