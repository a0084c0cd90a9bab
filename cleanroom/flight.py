"""Links over Arrow Flight: one `DoExchange` under mutual TLS, both certificates pinned by the agreement.

A message of the link is the `app_metadata` of one Flight message; no record batch and no compression is used. Each
side trusts exactly one certificate, the peer's, as its own root, so that a connection that stands is the peer's.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before pyarrow.flight loads: gRPC's own log is no channel of ours

import pyarrow as pa
import pyarrow.flight as fl

from cleanroom.errors import PeerError, UsageError
from cleanroom.identity import Certificate, Identity
from cleanroom.link import MAX_MESSAGE_BYTES, Link

__all__ = ["Address", "connect", "listen"]

_COMMAND: Final = b"cleanroom/exchange/v1"
_CLOSE_SECONDS: Final = 10.0
_RETRY_SECONDS: Final = 0.2


class Address:
    """A host and a port, as `--listen` and `--connect` take them."""

    def __init__(self, text: str) -> None:
        """Args:
        text: HOST:PORT, an IPv6 host in brackets.

        Raises:
            UsageError: the text is of another form.
        """
        host, separator, port = text.rpartition(":")
        if not separator or not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
            raise UsageError("an address is HOST:PORT with a port from 0 to 65535")
        self.host = host
        self.port = int(port)

    def uri(self) -> str:
        """The address as Flight writes it."""
        return f"grpc+tls://{self.host}:{self.port}"


class _Server(fl.FlightServerBase):  # type: ignore[misc]  # pyarrow ships no types for Flight
    """Accepts the first exchange of the pinned peer and hands it to the listening link."""

    def __init__(self, address: Address, identity: Identity, peer: Certificate, link: _ListeningLink) -> None:
        super().__init__(
            address.uri(),
            tls_certificates=[(identity.certificate_pem, identity.key_pem)],
            verify_client=True,
            root_certificates=peer.pem,
        )
        self._link = link

    def do_exchange(
        self,
        context: fl.ServerCallContext,
        descriptor: fl.FlightDescriptor,
        reader: fl.MetadataRecordBatchReader,
        writer: fl.MetadataRecordBatchWriter,
    ) -> None:
        """Serves the exchange until either side ends it."""
        if descriptor.command != _COMMAND:
            raise fl.FlightServerError("unknown command")
        if not self._link.attach(writer):
            raise fl.FlightUnavailableError("this party is in another exchange")
        self._link.pump(reader)


class _FlightLink(Link):
    """What both ends share: the writer, and the loop that reads."""

    def __init__(self) -> None:
        super().__init__()
        self._writer: fl.MetadataRecordBatchWriter | None = None

    def _write(self, message: bytes) -> None:
        if self._writer is None:
            raise PeerError("there is no connection yet")
        try:
            self._writer.write_metadata(pa.py_buffer(message))
        except (pa.ArrowException, OSError):
            raise self._gone() from None

    def _gone(self) -> PeerError:
        """The reason why the connection is gone: what the peer said last, if it said anything."""
        deadline = time.monotonic() + 1.0  # an abort may be on its way behind the broken pipe
        while time.monotonic() < deadline:
            try:
                self.receive(timeout=0.2, waiting_for="connection")
            except PeerError as error:
                if "stopped the run" in str(error):
                    return error
        return PeerError("the connection to the peer broke")

    def pump(self, reader: fl.FlightStreamReader) -> None:
        """Moves arrivals into the inbox until the stream ends."""
        end = PeerError("the peer closed the connection before the run was over")
        try:
            while not self._closed.is_set():
                metadata = reader.read_chunk().app_metadata
                size = 0 if metadata is None else metadata.size
                if not 1 <= size <= MAX_MESSAGE_BYTES:
                    end = PeerError(f"a message of {size} bytes; 1 to {MAX_MESSAGE_BYTES} are allowed")
                    break
                if not self._deliver(metadata.to_pybytes()):
                    return
        except StopIteration:
            pass  # the peer ended its stream: `end` says so to whoever still waits
        except (pa.ArrowException, OSError):
            end = PeerError("the connection to the peer broke")
        self._deliver(end)


class _ListeningLink(_FlightLink):
    """The end that listens."""

    def __init__(self, address: Address, identity: Identity, peer: Certificate) -> None:
        super().__init__()
        self._attached = threading.Event()
        self._pumped = threading.Event()
        self._lock = threading.Lock()
        try:
            self._server = _Server(address, identity, peer, self)
        except (pa.ArrowException, OSError):
            raise PeerError(f"cannot listen on {address.host}:{address.port}: taken, or not of this machine") from None

    def attach(self, writer: fl.MetadataRecordBatchWriter) -> bool:
        """Takes an exchange; False if there was one before."""
        with self._lock:
            if self._attached.is_set() or self._closed.is_set():
                return False
            self._writer = writer
            self._attached.set()
            return True

    def pump(self, reader: fl.FlightStreamReader) -> None:
        try:
            super().pump(reader)
            self._closed.wait()  # returning ends the stream: not before this side has sent everything
        finally:
            self._pumped.set()

    def wait(self, timeout: float) -> None:
        """Waits for the peer."""
        if not self._attached.wait(timeout):
            raise PeerError(f"no peer with the agreement's certificate connected within {timeout:g} s")

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        stopper = threading.Thread(target=self._server.shutdown, daemon=True)
        stopper.start()
        stopper.join(_CLOSE_SECONDS)


class _ConnectingLink(_FlightLink):
    """The end that connects."""

    def __init__(self, client: fl.FlightClient, writer: fl.FlightStreamWriter, reader: fl.FlightStreamReader) -> None:
        super().__init__()
        self._client = client
        self._writer = writer
        self._reader = threading.Thread(target=self.pump, args=(reader,), daemon=True)
        self._reader.start()

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        closer = threading.Thread(target=self._finish, daemon=True)
        closer.start()
        closer.join(_CLOSE_SECONDS)

    def _finish(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.done_writing()
            self._reader.join(_CLOSE_SECONDS)
            self._client.close()
        except (pa.ArrowException, OSError):
            return  # the peer closed first: the run's outcome is settled already


def listen(
    address: Address,
    *,
    identity: Identity,
    peer: Certificate,
    timeout: float,
    ready: threading.Event | None = None,
) -> Link:
    """Waits for the peer's connection.

    Args:
        address: where to listen.
        identity: this party's certificate and key.
        peer: the only certificate that is let in.
        timeout: seconds to wait.
        ready: set once the port is bound.

    Raises:
        PeerError: the address is taken, or nobody with that certificate came in time.
    """
    link = _ListeningLink(address, identity, peer)
    if ready is not None:
        ready.set()
    try:
        link.wait(timeout)
    except BaseException:
        link.close()
        raise
    return link


def connect(address: Address, *, identity: Identity, peer: Certificate, timeout: float) -> Link:
    """Connects to the listening peer; a refused connection is tried again until the time is over.

    Raises:
        PeerError: nobody listens, or one of the certificates is not the agreement's (at once).
    """
    deadline = time.monotonic() + timeout
    while True:
        client = fl.FlightClient(
            address.uri(),
            tls_root_certs=peer.pem,
            cert_chain=identity.certificate_pem,
            private_key=identity.key_pem,
            override_hostname=peer.name,
            generic_options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES + 1024)],
        )
        try:
            writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(_COMMAND))
            return _ConnectingLink(client, writer, reader)
        except (pa.ArrowException, OSError) as error:
            client.close()
            reason = _refusal(str(error))
        if reason is not None:
            raise PeerError(reason) from None
        if time.monotonic() >= deadline:
            raise PeerError(f"nobody listens at {address.host}:{address.port}; tried for {timeout:g} s")
        time.sleep(_RETRY_SECONDS)


def _refusal(text: str) -> str | None:
    """What a failed connection means; None if trying again may help."""
    if "certificate verify failed" in text or "not in peer certificate" in text:
        return "the listening side's certificate is not the one that the agreement pins"
    if "Socket closed" in text or "alert" in text:
        return "the listening side refused this party's certificate"
    if "another exchange" in text:
        return "the listening side is in another exchange"
    return None
