"""Carriers over Arrow Flight: `DoExchange` under mutual TLS, both certificates pinned by the agreement.

A message of the link is the `app_metadata` of one Flight message; no record batch and no compression is used. Each
side trusts exactly one certificate, the peer's, as its own root, so that a connection that stands is the peer's.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from contextlib import suppress
from typing import Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before pyarrow.flight loads: gRPC's own log is no channel of ours

import pyarrow as pa
import pyarrow.flight as fl

from cleanroom.carrier import MAX_MESSAGE_BYTES, Carrier, CarrierLostError, ListenerGoneError
from cleanroom.errors import PeerError, UsageError
from cleanroom.identity import Certificate, Identity
from cleanroom.knock import answer, knock
from cleanroom.link import Link

__all__ = ["Address", "connect", "listen"]

_COMMAND: Final = b"cleanroom/exchange/v1"
_CLOSE_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.2
_ENTER_SECONDS: Final = 10.0
"""Seconds from the knock to the exchange; both sides are there, and the port changes hands."""
_BROKEN: Final = "the connection to the peer broke"


class Address:
    """A host and a port, as `--listen` and `--connect` take them."""

    def __init__(self, text: str) -> None:
        """Args:
        text: HOST:PORT, an IPv6 host in brackets.

        Raises:
            UsageError: the text is of another form.
        """
        host, separator, port = text.rpartition(":")
        if not separator or not host or not (port.isascii() and port.isdecimal()) or not 0 <= int(port) <= 65535:
            raise UsageError("an address is HOST:PORT with a port from 0 to 65535")
        self.host = host
        self.port = int(port)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def uri(self) -> str:
        """The address as Flight writes it."""
        return f"grpc+tls://{self}"


class _FlightCarrier(Carrier):
    """What both ends share: the threads that write and read."""

    def __init__(self, writer: fl.MetadataRecordBatchWriter) -> None:
        super().__init__()
        self._writer = writer
        self._broken = threading.Event()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._sender = threading.Thread(target=self._write, daemon=True)
        self._sender.start()

    def send(self, message: bytes) -> None:
        # Writing blocks without end, deaf to signals, while the peer reads nothing, so a thread of its own does it.
        # The outbox needs no bound: the link sends no more than a window of frames that the peer has not taken.
        if self.closed.is_set():
            raise CarrierLostError("the connection is closed")
        if self._broken.is_set():
            raise CarrierLostError(_BROKEN)
        self._outbox.put(message)

    def _write(self) -> None:
        while (message := self._outbox.get()) is not None:
            try:
                self._writer.write_metadata(pa.py_buffer(message))
            except (pa.ArrowException, OSError):
                self._broken.set()
                return

    def pump(self, reader: fl.MetadataRecordBatchReader) -> None:
        """Moves arrivals into the inbox until the stream ends."""
        end: PeerError = CarrierLostError("the peer closed the connection before the run was over")
        try:
            while not self.closed.is_set():
                metadata = reader.read_chunk().app_metadata
                size = 0 if metadata is None else metadata.size
                if not 1 <= size <= MAX_MESSAGE_BYTES:
                    end = PeerError(f"a message of {size} bytes arrived; 1 to {MAX_MESSAGE_BYTES} are allowed")
                    break
                if not self._deliver(metadata.to_pybytes()):
                    return
        except StopIteration:
            pass  # the peer ended its stream: `end` says so to whoever still waits
        except (pa.ArrowException, OSError):
            end = CarrierLostError(_BROKEN)
        self._deliver(end)

    def outlast(self, reader: fl.MetadataRecordBatchReader) -> None:
        """Returns when nobody writes on this stream any more, so that the listening side may end it.

        The end of a stream makes Arrow's client finish it, at once and from its reading thread; were its other thread
        in the middle of a write, gRPC would hang or abort that process. So the side that connected ends its half
        first, and whatever makes this side close is told in a message before, after which the other side writes
        nothing. The same holds here: while this side's own write lasts, its stream does not end.
        """
        self.closed.wait()
        deadline = time.monotonic() + _CLOSE_SECONDS
        with suppress(StopIteration, pa.ArrowException, OSError):
            while time.monotonic() < deadline:  # after that it is no peer of ours that still writes
                reader.read_chunk()
        self._sender.join()

    def close(self) -> None:
        if not self.closed.is_set():
            self._outbox.put(None)
            self._sender.join(_CLOSE_SECONDS)  # what was sent before the end still goes out
            self.closed.set()


class _ConnectedCarrier(_FlightCarrier):
    """The connecting side's end."""

    def __init__(self, client: fl.FlightClient, writer: fl.FlightStreamWriter, reader: fl.FlightStreamReader) -> None:
        super().__init__(writer)
        self._client = client
        self._stream = reader
        self._reader = threading.Thread(target=self.pump, args=(reader,), daemon=True)
        self._reader.start()

    def close(self) -> None:
        if self.closed.is_set():
            return
        super().close()
        closer = threading.Thread(target=self._finish, daemon=True)
        closer.start()
        closer.join(_CLOSE_SECONDS)

    def _finish(self) -> None:
        if self._sender.is_alive():  # it is stuck in a write, and only one thread may write or end
            self._stream.cancel()
            self._sender.join()
        else:
            with suppress(pa.ArrowException, OSError):  # the peer closed first: there is nothing left to end
                self._writer.done_writing()
        self._reader.join(_CLOSE_SECONDS)
        if self._reader.is_alive():  # the peer does not end its half
            self._stream.cancel()
            self._reader.join()
        for end in (self._writer, self._client):  # the writer too: left to its destructor, Arrow logs on stderr
            with suppress(pa.ArrowException, OSError):
                end.close()


class _Listener(fl.FlightServerBase):  # type: ignore[misc]  # pyarrow ships no types for Flight
    """Lets the pinned peer in; a new exchange takes the place of the one before, which the peer has given up."""

    def __init__(self, address: Address, identity: Identity, peer: Certificate) -> None:
        self._arrivals: queue.Queue[_FlightCarrier] = queue.Queue()
        self._present: _FlightCarrier | None = None
        self._lock = threading.Lock()
        try:
            super().__init__(
                address.uri(),
                tls_certificates=[(identity.certificate_pem, identity.key_pem)],
                verify_client=True,
                root_certificates=peer.pem,
            )
        except (pa.ArrowException, OSError):
            raise PeerError(f"cannot listen on {address}: the port is taken, or the host is not this machine") from None

    def do_exchange(
        self,
        context: fl.ServerCallContext,
        descriptor: fl.FlightDescriptor,
        reader: fl.MetadataRecordBatchReader,
        writer: fl.MetadataRecordBatchWriter,
    ) -> None:
        """Serves one exchange until either side ends it."""
        if descriptor.command != _COMMAND:
            raise fl.FlightServerError("unknown command")
        carrier = _FlightCarrier(writer)
        with self._lock:
            if self._present is not None:
                self._present.close()
            self._present = carrier
        self._arrivals.put(carrier)
        carrier.pump(reader)
        carrier.outlast(reader)  # returning ends the stream

    def dial(self, timeout: float) -> Carrier:
        """Waits for an exchange of the peer."""
        try:
            return self._arrivals.get(timeout=timeout)
        except queue.Empty:
            raise CarrierLostError(f"no peer with the agreement's certificate came within {timeout:g} s") from None

    def hang_up(self) -> None:
        """Frees the port."""
        with self._lock:
            if self._present is not None:
                self._present.close()
        stopper = threading.Thread(target=self.shutdown, daemon=True)
        stopper.start()
        stopper.join(_CLOSE_SECONDS)


def listen(address: Address, *, identity: Identity, peer: Certificate, timeout: float) -> Link:
    """Waits for the peer's connection.

    Args:
        address: where to listen.
        identity: this party's certificate and key.
        peer: the only certificate that is let in.
        timeout: seconds to wait.

    Raises:
        PeerError: the address is taken, nobody came in time, or the peer and this side pin other certificates.
    """
    listener = answer(
        address.host,
        address.port,
        identity=identity,
        peer=peer,
        timeout=timeout,
        enter=lambda: _Listener(address, identity, peer),
    )
    return Link(listener.dial, timeout=_ENTER_SECONDS, hang_up=listener.hang_up)


def connect(address: Address, *, identity: Identity, peer: Certificate, timeout: float) -> Link:
    """Connects to the listening peer; a refused connection is tried again until the time is over.

    Raises:
        PeerError: nobody listens, or one of the certificates is not the agreement's (at once).
    """
    knock(address.host, address.port, identity=identity, peer=peer, timeout=timeout)
    return Link(lambda seconds: _dial(address, identity, peer, seconds), timeout=_ENTER_SECONDS)


def _dial(address: Address, identity: Identity, peer: Certificate, timeout: float) -> Carrier:
    """Opens one connection to the peer, which has let this side in: whatever fails may pass.

    Raises:
        ListenerGoneError: nobody listens there (at once).
        CarrierLostError: nothing else helped either, for so many seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        _look(address, timeout)  # gRPC says neither why it cannot connect nor, for long, that it cannot
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
            return _ConnectedCarrier(client, writer, reader)
        except (pa.ArrowException, OSError):
            client.close()
        if time.monotonic() >= deadline:
            raise CarrierLostError(f"nobody listens at {address}; tried for {timeout:g} s")
        time.sleep(_RETRY_SECONDS)


def _look(address: Address, timeout: float) -> None:
    """Opens a bare connection, to learn whether anybody listens."""
    try:
        socket.create_connection((address.host.strip("[]"), address.port), timeout=timeout).close()
    except ConnectionRefusedError:
        raise ListenerGoneError(f"nobody listens at {address} any more") from None
    except OSError:
        raise CarrierLostError(f"{address} cannot be reached") from None
