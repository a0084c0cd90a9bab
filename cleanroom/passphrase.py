"""Private keys under a passphrase: PKCS #8 (RFC 5958) with PBES2, scrypt (RFC 7914, section 7) and AES-256-CBC.

The form is the one that OpenSSL writes with `pkcs8 -topk8 -scrypt`, and `cryptography` reads it. It is encoded here
because `cryptography`'s own `BestAvailableEncryption` takes PBKDF2 with 2,048 rounds, which a graphics card undoes.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import stat
import textwrap
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cleanroom.errors import UsageError
from cleanroom.regular_file import WITHOUT_WAITING

__all__ = ["ENCRYPTED_MARK", "encrypted_pem", "read_passphrase"]

ENCRYPTED_MARK: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
MAX_BYTES: Final = 1024
"""Of a passphrase."""

# One of the settings that OWASP's password storage cheat sheet holds to be equal. Those that take more memory (2^15 up)
# pass the 32 MiB at which OpenSSL refuses to open a key.
_COST, _BLOCK, _PARALLEL = 2**14, 8, 5
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32

# Object identifiers in DER: PBES2 (RFC 8018), scrypt (RFC 7914), aes256-CBC-PAD (NIST).
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT: Final = bytes.fromhex("06092b06010401da47040b")
_AES256_CBC: Final = bytes.fromhex("060960864801650304012a")


def read_passphrase(path: Path) -> bytes:
    """Reads a passphrase from a file: its bytes without one line end after them.

    Args:
        path: a regular file that nobody but its owner may read, or a descriptor such as `/dev/fd/3`, which may be a
            pipe; never a terminal or stdin. Opening a named pipe would block, so it is refused.

    Raises:
        UsageError: it cannot be read, others may read it, or it holds none.
    """
    try:
        # /dev/fd goes through /proc, which a process whose memory is closed to others cannot use
        descriptor = re.fullmatch(r"/dev/fd/([0-9]{1,6})", str(path))
        number = os.open(path, WITHOUT_WAITING) if descriptor is None else os.dup(int(descriptor[1]))
        with os.fdopen(number, "rb") as file:
            found = os.fstat(file.fileno())
            if os.isatty(file.fileno()) or _is_stdin(found):
                raise UsageError(f"{path}: a passphrase is never asked for: give a file, or a descriptor above 2")
            if descriptor is None and not stat.S_ISREG(found.st_mode):
                raise UsageError(f"{path}: expected a regular file, or a descriptor such as /dev/fd/3")
            if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
                raise UsageError(f"{path}: others on this machine may read the passphrase; run chmod 600 on it")
            content = file.read(MAX_BYTES + 3)
    except OSError as error:
        raise UsageError(f"{path}: the passphrase cannot be read: {error.strerror}") from None
    passphrase = content.removesuffix(b"\n").removesuffix(b"\r")
    if not 0 < len(passphrase) <= MAX_BYTES or b"\n" in passphrase:
        raise UsageError(f"{path}: expected one line of 1 to {MAX_BYTES} bytes, the passphrase")
    return passphrase


def _is_stdin(found: os.stat_result) -> bool:
    try:
        stdin = os.fstat(0)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (stdin.st_dev, stdin.st_ino)


def encrypted_pem(key: Ed25519PrivateKey, passphrase: bytes) -> bytes:
    """A private key in PEM, encrypted.

    Args:
        key: the key.
        passphrase: 1 to 1,024 bytes.
    """
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, start = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(16)
    derived = Scrypt(salt=salt, length=_KEY_BYTES, n=_COST, r=_BLOCK, p=_PARALLEL).derive(passphrase)
    padder, encryptor = PKCS7(128).padder(), Cipher(AES256(derived), CBC(start)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    costs = (_integer(_COST), _integer(_BLOCK), _integer(_PARALLEL), _integer(_KEY_BYTES))
    derivation = _sequence(_SCRYPT, _sequence(_octets(salt), *costs))
    scheme = _sequence(_PBES2, _sequence(derivation, _sequence(_AES256_CBC, _octets(start))))
    text = base64.b64encode(_sequence(scheme, _octets(sealed))).decode()
    lines = "\n".join(textwrap.wrap(text, 64))
    return ENCRYPTED_MARK + f"\n{lines}\n-----END ENCRYPTED PRIVATE KEY-----\n".encode()


def _sequence(*parts: bytes) -> bytes:
    return _tagged(0x30, b"".join(parts))


def _octets(content: bytes) -> bytes:
    return _tagged(0x04, content)


def _integer(value: int) -> bytes:
    return _tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))  # a leading zero keeps it positive


def _tagged(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content
