"""What a party keeps of a run beside the release: local.json, and audit.private with the secrets of the run.

Both are the party's own account, signed by itself, so that a later change of any byte shows. audit.private holds what
a replay needs and no other file says: seed, nonce, noise, and the keys that the preparation used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cleanroom import _kernels
from cleanroom.agreement import Agreement, Role, agreement_warnings
from cleanroom.errors import AgreementError
from cleanroom.identity import read_certificate
from cleanroom.plan import Plan
from cleanroom.prepare import PreparationKeys, Prepared
from cleanroom.protocols.session import Session
from cleanroom.release.document import canonical, suppression_rows
from cleanroom.release.opening import Opening
from cleanroom.release.terms import ReleaseTerms

__all__ = [
    "AUDIT_FILE",
    "LOCAL_FILE",
    "account_bytes",
    "audit_account",
    "check_account",
    "local_account",
    "party_of",
    "signed_account",
]

LOCAL_FILE: Final = "local.json"
AUDIT_FILE: Final = "audit.private"
_VERSION: Final = 1
_PURPOSES: Final = {LOCAL_FILE: "local account", AUDIT_FILE: "audit account"}

Json = dict[str, Any]  # a parsed JSON object: its values are of any JSON type
SignAccount = Callable[[str, bytes], bytes]
"""(purpose, message): a signature with the party's own identity."""


def local_account(
    agreement: Agreement,
    plan: Plan,
    *,
    prepared: Prepared,
    session: Session,
    terms: ReleaseTerms,
    opening: Opening,
    record: Mapping[str, Any],
    transcript: bytes,
    build: str,
) -> Json:
    """The party's own account: counts that never leave it, and what it knows of the opening.

    Args:
        agreement: what both signed.
        plan: its plan.
        prepared: this side's input.
        session: of the run.
        terms: of the release, narrowed to the eligible groups.
        opening: this side's.
        record: the signed record of the opening.
        transcript: the bytes of transcript.jsonl.
        build: what ran here.
    """
    return {
        "version": _VERSION,
        "party": party_of(agreement, prepared.role),
        "role": prepared.role.value,
        "agreement": agreement.hash.hex(),
        "session": session.id.hex(),
        "build": build,
        "backend": _kernels.BACKEND,
        "profile": agreement.protocol.profile.value,
        "input_root": session.own.input_root.hex(),
        "peer_input_root": session.peer.input_root.hex(),
        "peer_seed_commitment": session.peer.seed_commitment.hex(),
        "counts": prepared.counts,
        "warnings": list(agreement_warnings(agreement)),
        "transcript": hashlib.sha256(transcript).hexdigest(),
        "suppression": suppression_rows(agreement, plan, terms, opening.passed),
        "record": record,
    }


def audit_account(
    agreement: Agreement,
    *,
    role: Role,
    session: Session,
    seed: bytes,
    noise: list[list[int]],
    keys: PreparationKeys,
) -> Json:
    """What a replay needs beyond the data: every secret that was drawn or derived for this run."""
    return {
        "version": _VERSION,
        "party": party_of(agreement, role),
        "session": session.id.hex(),
        "seed": seed.hex(),
        "nonce": session.own.nonce.hex(),
        "noise": noise,
        "group_cap_key": keys.group_cap.hex(),
        "shared_identifier_key": keys.shared_identifier.hex(),
        "commitment_key": keys.commitment.hex(),
    }


def party_of(agreement: Agreement, role: Role) -> str:
    """The name of the party with a role."""
    return agreement.of_role(role).name


def signed_account(name: str, account: Mapping[str, Any], sign: SignAccount) -> bytes:
    """The bytes of an account's file.

    Args:
        name: `LOCAL_FILE` or `AUDIT_FILE`.
        account: its content; the party's own signature is added.
        sign: signs with this side's identity.
    """
    signature = sign(_PURPOSES[name], hashlib.sha256(canonical(account)).digest())
    return account_bytes({**account, "signature": signature.hex()})


def account_bytes(account: Mapping[str, Any]) -> bytes:
    """How an account is written: its keys in their order, a space of indentation a level."""
    return (json.dumps(account, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def check_account(name: str, account: Json, agreement: Agreement, role: Role) -> None:
    """Checks the party's own signature of an account.

    Raises:
        AgreementError: the signature is missing or does not hold.
    """
    party = agreement.of_role(role)
    certificate = read_certificate(party.certificate_pem, where=f"parties.{party.name}.certificate")
    body = {key: value for key, value in account.items() if key != "signature"}
    try:
        text = str(account["signature"])
        signature = bytes.fromhex(text)
        if signature.hex() != text:
            raise ValueError("lower-case hexadecimal expected")
        digest = hashlib.sha256(canonical(body)).digest()
        certificate.verify(purpose=_PURPOSES[name], message=digest, signature=signature)
    except (KeyError, ValueError, AgreementError):
        raise AgreementError(f"{name}: signature: is not {party.name}'s over this content") from None
