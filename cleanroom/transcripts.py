"""transcript.jsonl: a line a message; the last two are the seal, each with the signature that the message carried."""

from __future__ import annotations

import json
from typing import Final

from cleanroom.agreement.model import PartyEntry
from cleanroom.errors import AgreementError, PeerError
from cleanroom.identity import read_certificate
from cleanroom.protocols.session import Seal
from cleanroom.protocols.transcript import Direction, Transcript

__all__ = ["SEAL_STEP", "TRANSCRIPT_PURPOSE", "transcript_lines", "verify_transcript"]

TRANSCRIPT_PURPOSE: Final = "transcript"
"""What an identity signs a transcript's digest for."""
SEAL_STEP: Final = "session.seal"


def transcript_lines(transcript: Transcript, seal: Seal, *, exposure: bool) -> bytes:
    """Writes a transcript.

    Args:
        transcript: the whole run's, the two messages of the seal included.
        seal: what both signed; its digest covers the lines before those two messages.
        exposure: the role of the side that kept the transcript.

    Returns:
        UTF-8 JSON lines with `step, direction, length, sha256, chain`; those of the seal have `digest` and
        `signature` as well.
    """
    lines: list[dict[str, object]] = [
        {
            "step": entry.step,
            "direction": entry.direction.value,
            "length": entry.length,
            "sha256": entry.sha256.hex(),
            "chain": entry.chain.hex(),
        }
        for entry in transcript.entries
    ]
    for line in lines[seal.messages :]:
        by_exposure = exposure == (line["direction"] == Direction.SENT.value)
        line["digest"] = seal.digest.hex()
        line["signature"] = (seal.exposure if by_exposure else seal.outcome).hex()
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()


def verify_transcript(party: PartyEntry, digest: bytes, signature: bytes) -> None:
    """Checks a party's signature over a transcript.

    Raises:
        PeerError: it does not hold.
    """
    certificate = read_certificate(party.certificate_pem, where=f"parties.{party.name}.certificate")
    try:
        certificate.verify(purpose=TRANSCRIPT_PURPOSE, message=digest, signature=signature)
    except AgreementError:
        raise PeerError(f"session: {party.name}'s signature is not over this side's transcript") from None
