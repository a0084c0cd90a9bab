"""The knock: one short TLS connection before the exchange, in which each side learns at once who the other is.

Inside Flight a wrong certificate is invisible to the side that listens: gRPC drops the connection and tells nobody. So
the listening side first answers knocks itself: a fixed line in the clear, then mutual TLS 1.3 with the same two pinned
certificates. Someone who says the line, and then shows another certificate than the pinned one or does not take this
side's, is a party with another agreement: the run ends. Everybody else (a port scanner, a health check, a browser) is
ignored. After the right knock the port is handed to Flight, and only then is the peer told to come in.

Nothing of the run is said here: the pinned peer hears two bytes, everybody else a failed handshake. Who knows the line
and can reach the port can end a run that still waits, and no other.
"""

from __future__ import annotations

import contextlib
import errno
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from cleanroom.errors import PeerError
from cleanroom.identity import Certificate, Identity

__all__ = ["answer", "knock"]

T = TypeVar("T")

_LINE: Final = b"cleanroom/knock/v1\n"
_WELCOME: Final = b"ok"
_HANDSHAKE_SECONDS: Final = 10.0
"""What a caller may take for its line and its handshake together, however slowly its bytes come."""
_RETRY_SECONDS: Final = 0.2
_POLL_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 0.01
_MAX_CALLERS: Final = 32
"""Handshakes at once: whoever opens connections and stays silent holds so many threads and no more."""
_BACKLOG: Final = 16
_REFUSALS: Final = ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED", "ACCESS_DENIED")
"""Alerts (RFC 8446, section 6.2) by which one side says that it does not take the other's certificate."""
_CLOCK_FAULTS: Final = {9: "not valid yet", 10: "expired"}
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL: the pinned certificate, and another day."""


def answer(host: str, port: int, *, identity: Identity, peer: Certificate, timeout: float, enter: Callable[[], T]) -> T:
    """Waits for the peer's knock.

    Args:
        host: where to listen.
        port: where to listen.
        identity: this party's.
        peer: the certificate that the agreement pins.
        timeout: seconds to wait.
        enter: called when the peer has knocked and the port is free again, before the peer is told to come.

    Returns:
        What `enter` returned.

    Raises:
        PeerError: the address is taken, nobody came in time, or the peer and this side pin other certificates.
    """
    desk = _Desk(context=_context(ssl.PROTOCOL_TLS_SERVER, identity, peer))
    desk.context.num_tickets = 0  # nothing is ever resumed here
    deadline = time.monotonic() + timeout
    with contextlib.ExitStack() as house:
        doors = [house.enter_context(door) for door in _doors(host, port)]
        ushers = [threading.Thread(target=desk.serve, args=(door,), daemon=True) for door in doors]
        for usher in ushers:
            usher.start()
        try:
            caller = desk.wait(deadline, f"no peer with the agreement's certificate came within {timeout:g} s")
        finally:
            desk.closed.set()
            for door in doors:
                with contextlib.suppress(OSError):
                    door.shutdown(socket.SHUT_RDWR)  # wakes its usher where the system allows it
            for usher in ushers:
                usher.join()  # while it waits for callers, closing its door would not free the port
    with caller:
        entered = enter()
        with contextlib.suppress(OSError):  # should the peer be gone, whoever waits for it inside will say so
            caller.sendall(_WELCOME)
        return entered


def knock(host: str, port: int, *, identity: Identity, peer: Certificate, timeout: float) -> None:
    """Knocks until the listening side says that one may come in.

    Args:
        host: where the peer listens.
        port: where the peer listens.
        identity: this party's.
        peer: the certificate that the agreement pins.
        timeout: seconds to try; a refused connection is tried again until then.

    Raises:
        PeerError: nobody answers, or (at once) one of the certificates is not the one that the other side pins.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, identity, peer)
    deadline = time.monotonic() + timeout
    where = f"{host}:{port}"
    reason = f"nobody listens at {where}"
    while True:
        left = max(deadline - time.monotonic(), _RETRY_SECONDS)
        try:
            with socket.create_connection((host.strip("[]"), port), timeout=left) as plain:
                reason = f"what listens at {where} does not answer as a party does"
                plain.sendall(_LINE)
                with context.wrap_socket(plain, server_hostname=peer.name) as caller:
                    if caller.recv(len(_WELCOME)) == _WELCOME:
                        return
        except ssl.SSLCertVerificationError as error:
            raise _misfit("listening", error) from None
        except ssl.SSLError as error:
            if _refuses(error):
                raise _refusal("listening", error) from None
            if not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
                reason = f"what listens at {where} speaks no TLS 1.3"
        except OSError:
            pass  # refused, reset, unreachable or too slow: the peer may not have started yet
        if time.monotonic() + _RETRY_SECONDS >= deadline:
            raise PeerError(f"{reason}; tried for {timeout:g} s")
        time.sleep(_RETRY_SECONDS)


def _doors(host: str, port: int) -> list[socket.socket]:
    """Listens on every address of a host, as Flight will; `[::]` means every address of this machine."""
    taken = PeerError(f"cannot listen on {host}:{port}: the port is taken, or the host is not this machine")
    doors: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((entry[0], entry[4][:2]) for entry in found):
            everywhere = address[0] == "::" and socket.has_dualstack_ipv6()
            try:
                doors.append(socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=everywhere))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:  # an address of a kind that this machine does not have
                    raise
    except OSError:
        for door in doors:
            door.close()
        raise taken from None
    if not doors:
        raise taken
    return doors


@dataclass(slots=True, kw_only=True, eq=False)
class _Desk:
    """Takes callers, each in a thread, and keeps the first verdict."""

    context: ssl.SSLContext
    closed: threading.Event = field(default_factory=threading.Event)
    verdicts: queue.Queue[ssl.SSLSocket | PeerError] = field(default_factory=queue.Queue)
    slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(_MAX_CALLERS))

    def serve(self, door: socket.socket) -> None:
        """Takes callers until the door is shut."""
        door.settimeout(_POLL_SECONDS)
        while not self.closed.is_set():
            if not self.slots.acquire(timeout=_POLL_SECONDS):
                continue
            try:
                plain, _ = door.accept()
            except OSError:  # nobody yet, or a caller that is gone already
                self.slots.release()
                self.closed.wait(_PAUSE_SECONDS)
                continue
            threading.Thread(target=self._handshake, args=(plain,), daemon=True).start()

    def wait(self, deadline: float, late: str) -> ssl.SSLSocket:
        """Waits for the peer; raises the first reason why it will not come."""
        try:
            verdict = self.verdicts.get(timeout=max(deadline - time.monotonic(), 0))
        except queue.Empty:
            raise PeerError(late) from None
        if isinstance(verdict, PeerError):
            raise verdict
        return verdict

    def _handshake(self, plain: socket.socket) -> None:
        deadline = time.monotonic() + _HANDSHAKE_SECONDS
        try:
            line = _line_of(plain, deadline)
            plain.settimeout(max(deadline - time.monotonic(), _PAUSE_SECONDS))  # for the handshake as a whole
            if line == _LINE:
                self.verdicts.put(self.context.wrap_socket(plain, server_side=True))
                return
        except ssl.SSLError as error:
            self._refused(error)
        except OSError:
            pass  # a caller that only looked whether the port is open
        finally:
            self.slots.release()
        plain.close()

    def _refused(self, error: ssl.SSLError) -> None:
        if isinstance(error, ssl.SSLCertVerificationError):
            self.verdicts.put(_misfit("connecting", error))
        elif _refuses(error):
            self.verdicts.put(_refusal("connecting", error))


def _line_of(caller: socket.socket, deadline: float) -> bytes:
    """Reads as many bytes as the line has, however few come at a time, until the deadline."""
    line = b""
    while len(line) < len(_LINE):
        caller.settimeout(max(deadline - time.monotonic(), _PAUSE_SECONDS))
        more = caller.recv(len(_LINE) - len(line))
        if not more or time.monotonic() >= deadline:
            break
        line += more
    return line


def _misfit(side: str, error: ssl.SSLCertVerificationError) -> PeerError:
    """Says why this side does not take the other's certificate."""
    if error.verify_code in _CLOCK_FAULTS:
        return PeerError(
            f"the {side} side's certificate is {_CLOCK_FAULTS[error.verify_code]} by this machine's clock;"
            " compare the clocks of both sides"
        )
    return PeerError(f"the {side} side's certificate is not the one that the agreement pins")


def _refusal(side: str, error: ssl.SSLError) -> PeerError:
    """Says that the other side does not take this one's certificate, and why if it told."""
    expired = "CERTIFICATE_EXPIRED" in (error.reason or "")
    return PeerError(
        f"the {side} side refused this party's certificate" + (", expired by its clock" if expired else "")
    )


def _refuses(error: ssl.SSLError) -> bool:
    return any(alert in (error.reason or "") for alert in _REFUSALS)


def _context(protocol: int, identity: Identity, peer: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # a passphrase is given in any case: without one, OpenSSL asks for it on the terminal
    context.load_cert_chain(identity.certificate_file, identity.key_file, password=identity.passphrase or b"-")
    context.load_verify_locations(cadata=peer.pem.decode("ascii"))
    context.verify_mode = ssl.CERT_REQUIRED
    return context
