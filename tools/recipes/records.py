"""What stands around a run: the handshake, the transcript's chains, commitments to rows, labelled streams, row keys."""

from __future__ import annotations

import hashlib
from typing import Final

from tools.recipes.record import EXPOSURE, OUTCOME, SEEDS, SESSION_ID, SIDES, Json, head, listed
from tools.slow import ed25519, merkle, session, transcript, tree
from tools.slow.frames import Sent
from tools.slow.match_keys import row_key
from tools.slow.streams import Streams, keystream
from tools.slow.transcript import Frame, numbered

__all__ = ["blinded_roots", "handshake", "handshake_frames", "labelled", "row_keys", "time_trees"]

NONCES: Final = (b"1" * 32, b"2" * 32)
ROOTS: Final = (b"\xe1" * 32, b"\x0a" * 32)
AGREEMENT: Final = b"\x11" * 32
TERMS: Final = b"\x7e" * 32
SIGNING_KEYS: Final = (
    bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
    bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
)
"""The keys of tests 1 and 2 of RFC 8032, section 7.1: everybody knows them."""

CERTIFICATES: Final = (
    "-----BEGIN CERTIFICATE-----\n"
    "MIHiMIGVoAMCAQICAQEwBQYDK2VwMBAxDjAMBgNVBAMMBW1lZGlhMB4XDTIwMDEw\n"
    "MTAwMDAwMFoXDTQwMDEwMTAwMDAwMFowEDEOMAwGA1UEAwwFbWVkaWEwKjAFBgMr\n"
    "ZXADIQDXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGqMUMBIwEAYDVR0R\n"
    "BAkwB4IFbWVkaWEwBQYDK2VwA0EAfE+mvcxN8Os7ysX/MWQSmhPy52Ei7l85BPdF\n"
    "cJP5re/9aNxukqyJRUmN4wRLz89iSWPvijNzN+TzcKKh1waiAw==\n"
    "-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\n"
    "MIHfMIGSoAMCAQICAQEwBQYDK2VwMA8xDTALBgNVBAMMBHNob3AwHhcNMjAwMTAx\n"
    "MDAwMDAwWhcNNDAwMTAxMDAwMDAwWjAPMQ0wCwYDVQQDDARzaG9wMCowBQYDK2Vw\n"
    "AyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0ZgyjEzARMA8GA1UdEQQI\n"
    "MAaCBHNob3AwBQYDK2VwA0EA40CJ+0jIttJoKSPIgjFS4kJQctxpp+bBk37CAlqA\n"
    "28XRe0C8/O0DlWkPuqwxZe3MN1bwkQZ8CGIKa6XWBXztAQ==\n"
    "-----END CERTIFICATE-----\n",
)
"""Certificates of those keys, self-signed, of `media` and `shop`: an input like any other."""


def hellos(**public: int) -> tuple[session.Hello, session.Hello]:
    """Both sides' hellos; `public` gives profile, rows_exposure, rows_outcome, columns and groups."""
    exposure, outcome = (
        session.Hello(
            role=1 + side,
            agreement_hash=AGREEMENT,
            terms_digest=TERMS,
            seed_commitment=session.seed_commitment(SEEDS[side]),
            nonce_commitment=session.nonce_commitment(NONCES[side]),
            input_root=ROOTS[side],
            build=session.build_digest(f"build of the {SIDES[side]} side"),
            **public,
        )
        for side in (EXPOSURE, OUTCOME)
    )
    return exposure, outcome


def greeting(own: tuple[session.Hello, session.Hello]) -> list[tuple[int, Sent]]:
    """Hellos and nonces; no side holds a stored release."""
    sent = [(side, Sent("session.hello", own[side].encode())) for side in (EXPOSURE, OUTCOME)]
    return sent + [(side, Sent("session.nonce", NONCES[side] + bytes(32))) for side in (EXPOSURE, OUTCOME)]


PUBLIC: Final = {"profile": 1, "rows_exposure": 1024, "rows_outcome": 2048, "columns": 3, "groups": 2}


def handshake_frames() -> list[Frame]:
    """A session of nothing but itself: handshake, confirmation, seal."""
    frames = numbered(greeting(hellos(**PUBLIC)))
    digest = transcript.digest(frames)
    frames += numbered([(side, Sent("session.confirm", digest)) for side in (EXPOSURE, OUTCOME)], frames)
    statement = ed25519.signed_bytes("transcript", transcript.digest(frames))
    seals = [(side, Sent("session.seal", ed25519.sign(SIGNING_KEYS[side], statement))) for side in (EXPOSURE, OUTCOME)]
    return frames + numbered(seals, frames)


def handshake() -> Json:
    """session/v1/handshake.json."""
    own = hellos(**PUBLIC)
    frames = handshake_frames()
    return {
        **head("session", "wire/session.md"),
        "seeds": {name: seed.hex() for name, seed in zip(SIDES, SEEDS, strict=True)},
        "public": PUBLIC,
        "agreement_hash": AGREEMENT.hex(),
        "terms_digest": TERMS.hex(),
        "input_roots": {name: root.hex() for name, root in zip(SIDES, ROOTS, strict=True)},
        "builds": {name: f"build of the {name} side" for name in SIDES},
        "nonces": {name: nonce.hex() for name, nonce in zip(SIDES, NONCES, strict=True)},
        "signing_keys": {name: key.hex() for name, key in zip(SIDES, SIGNING_KEYS, strict=True)},
        "certificates": dict(zip(SIDES, CERTIFICATES, strict=True)),
        "public_keys": {name: ed25519.public_key(key).hex() for name, key in zip(SIDES, SIGNING_KEYS, strict=True)},
        "hellos": {name: hello.encode().hex() for name, hello in zip(SIDES, own, strict=True)},
        "session_id": session.session_id(own, NONCES).hex(),
        "confirmed": transcript.digest(frames[:4]).hex(),
        "sealed": transcript.digest(frames[:6]).hex(),
        "chain": [link.hex() for link in transcript.chain(frames)],
        "frames": [{**entry, "frame": one.data.hex()} for entry, one in zip(listed(frames), frames, strict=True)],
    }


def blinded_roots() -> Json:
    """merkle/v1/blinded.json: commitments to 0 to 9 rows under bounds that are powers of two and are not."""
    key = hashlib.sha256(b"commitment key").digest()
    rows = [hashlib.shake_256(b"row %d" % number).digest(24 + 12 * (number % 3)) for number in range(9)]
    shapes = [(0, 1), (0, 16), (1, 1), (1, 8), (5, 8), (8, 8), (9, 16), (3, 7), (9, 9)]
    return {
        **head("merkle_blinded", "wire/input-commitment.md"),
        "key": key.hex(),
        "rows": [row.hex() for row in rows],
        "roots": [
            {"rows": count, "padded": padded, "root": merkle.merkle_root(key, rows[:count], padded).hex()}
            for count, padded in shapes
        ],
    }


LABELS: Final = (
    ("bins", "", 0, 0, "padding"),
    ("oprf", "sender", 7, 0, "bin keys"),
    ("hint", "", 0, 3, "table seed"),
    ("grouped_sum", "receiver", 0, 0, "encryptions of zero"),
    ("base_ot", "sender", 0, 0, "from exposure"),
)


def labelled() -> Json:
    """streams/v1/labels.json: keys of labels, and the first bytes of their streams."""
    own = Streams(seed=SEEDS[EXPOSURE], session_id=SESSION_ID)
    found = []
    for step, direction, bucket, attempt, purpose in LABELS:
        key = own.key(step, purpose, direction=direction, bucket=bucket, attempt=attempt)
        label = {"step": step, "direction": direction, "bucket": bucket, "attempt": attempt, "purpose": purpose}
        found.append({**label, "key": key.hex(), "stream": keystream(key, 100).hex()})
    return {
        **head("streams", "known-answers.md"),
        "session_id": SESSION_ID.hex(),
        "seed": SEEDS[EXPOSURE].hex(),
        "labels": found,
    }


def row_keys() -> Json:
    """row_keys/v1/keys.json: a person's rows in both classes, several levels, and nodes before the start."""
    people = [hashlib.sha256(b"person %d" % number).digest()[:16] for number in range(3)]
    places = [(0, 0, 0), (1, 0, 0), (1, 0, 364), (1, 2, 91), (1, 7, -1), (255, 255, 2**63 - 1), (1, 0, -(2**63))]
    return {
        **head("row_keys", "known-answers.md"),
        "keys": [
            {
                "person": person.hex(),
                "weight_class": weight_class,
                "level": level,
                "node": str(node),
                "key": row_key(person=person, weight_class=weight_class, level=level, node=node).hex(),
            }
            for person in people
            for weight_class, level, node in places
        ],
    }


def time_trees() -> Json:
    """row_keys/v1/trees.json: covers of pieces and ancestors of ticks in several trees."""
    trees = ((1,), (1, 7), (1, 2, 4), (1, 24), (1, 6, 24), (1, 10, 60, 360, 1440))
    pieces = ((0, 0), (0, 1), (5, 6), (0, 24), (1, 25), (6, 30), (23, 121), (0, 1440), (359, 2881))
    ticks = (0, 1, 6, 23, 24, 719, 2880)
    return {
        **head("trees", "known-answers.md"),
        "trees": [
            {
                "sizes": list(sizes),
                "covers": [
                    {"first": first, "last": last, "nodes": [list(node) for node in tree.cover(first, last, sizes)]}
                    for first, last in pieces
                ],
                "lookups": [
                    {"tick": tick, "nodes": [list(node) for node in tree.ancestors(tick, sizes)]} for tick in ticks
                ],
            }
            for sizes in trees
        ],
    }
