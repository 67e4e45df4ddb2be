"""One non-blocking socket, with TLS or without, and the endpoint on it.

A transport connects, shakes hands, moves bytes and closes, a step at a time, when its driver says that
the socket is ready. TLS works on memory: the socket is read and written in large pieces, and what goes
over the wire can be counted.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
from collections.abc import Callable, Sequence
from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING, Any

from plait.drivers.addresses import Address, connect_failure
from plait.drivers.tcp_info import read_tcp_info
from plait.errors import ConnectFailed, ConnectTimeout, PlaitError, TlsTimeout
from plait.protocol.endpoint import ClientEndpoint

if TYPE_CHECKING:
    from plait.drivers.blocking import BlockingDriver

__all__ = ["BUFFER", "READ", "WRITE", "Transport"]

#: Bytes read from a socket at once, and gathered for it. From 128 KiB on, the C library would ask the
#: system for every piece anew, and the page faults would cost more than everything else.
BUFFER = 98_304
#: What to poll for.
READ, WRITE = select.POLLIN, select.POLLOUT

_RECORD = 16_384
_IN_PROGRESS = (errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK)


class _State(Enum):
    CONNECTING = "connecting"
    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSED = "closed"


class Transport:
    """One socket, with TLS or without, and the endpoint on it.

    Attributes:
        endpoint: The connection's owner, None until the version of HTTP is known.
        bytes_sent: Bytes given to TCP, TLS included.
        bytes_received: Bytes taken from TCP, TLS included.
        context: Whatever the layer above keeps here.
        deadline: When connecting has taken too long.
        port: The port on this side.
        started: When connecting began, on the monotonic clock.
        connected: When TCP was established.
        secured: When TLS was; equal to ``connected`` without TLS.

    Args:
        driver: What polls the socket and calls :meth:`handle`.
        host: The name the certificate must have.
        addresses: Where to try, in order.
        tls: The TLS context, or None.
        deadline: When connecting has taken too long, on the driver's clock.
        tls_timeout: Seconds of that time that TLS may take.
        on_open: Called with the transport and what ALPN selected; it must :meth:`adopt` an endpoint.
        on_failed: Called with the reason why there is no connection.
    """

    __slots__ = (
        "_addresses",
        "_dirty",
        "_driver",
        "_events",
        "_incoming",
        "_on_failed",
        "_on_open",
        "_outgoing",
        "_peer",
        "_socket",
        "_state",
        "_tcp_info",
        "_tls",
        "_tls_timeout",
        "_unsent",
        "bytes_received",
        "bytes_sent",
        "connected",
        "context",
        "deadline",
        "endpoint",
        "port",
        "secured",
        "started",
    )

    def __init__(
        self,
        driver: BlockingDriver,
        host: str,
        addresses: Sequence[Address],
        tls: ssl.SSLContext | None,
        deadline: float,
        tls_timeout: float,
        on_open: Callable[[Transport, str | None], None],
        on_failed: Callable[[PlaitError], None],
    ) -> None:
        self._driver = driver
        self._tls_timeout = tls_timeout
        self._peer = f"{host}:{addresses[0][4][1]}"
        self._addresses = list(addresses)
        self.deadline = deadline
        self._on_open = on_open
        self._on_failed = on_failed
        self._state = _State.CONNECTING
        self._events = 0
        self._dirty = False
        self._unsent: bytes | memoryview = b""
        self._tls: ssl.SSLObject | None = None
        self._socket: socket.socket | None = None
        self.endpoint: ClientEndpoint | None = None
        self.bytes_sent = 0
        self.bytes_received = 0
        self.context: Any = None
        self.port = 0
        self.started = self.connected = self.secured = monotonic()
        self._tcp_info: bytes | None = None
        if tls is not None:
            self._incoming = ssl.MemoryBIO()
            self._outgoing = ssl.MemoryBIO()
            try:
                self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
            except ValueError as error:
                self._fail(connect_failure(self._peer, error))
                return
        self._connect()

    # -- coming to be ----------------------------------------------------------------------------

    def _connect(self) -> None:
        """Try the next address, until one is at least in progress."""
        reason = "it has no address"
        while self._addresses:
            family, kind, protocol, _, address = self._addresses.pop(0)
            try:
                self._socket = socket.socket(family, kind, protocol)
                self._socket.setblocking(False)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                code = self._socket.connect_ex(address)
            except OSError as error:
                code = error.errno or errno.EINVAL
            if code == 0 or code in _IN_PROGRESS:
                assert self._socket is not None
                self._driver.register(self._socket.fileno(), self)
                self._poll_for(WRITE)
                if code == 0:
                    self._connected()
                return
            reason = os.strerror(code)
            self._drop_socket()
        self._fail(ConnectFailed(f"cannot connect to {self._peer}: {reason}"))

    def _check_connect(self) -> None:
        assert self._socket is not None
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            try:
                self._socket.getpeername()
            except OSError:
                return  # still in progress
            self._connected()
        elif self._addresses:
            self._drop_socket()
            self._connect()
        else:
            self._fail(ConnectFailed(f"cannot connect to {self._peer}: {os.strerror(code)}"))

    def _connected(self) -> None:
        assert self._socket is not None
        self.port = self._socket.getsockname()[1]
        self.connected = self.secured = monotonic()
        if self._tls is None:
            self._open(None)
        else:
            self._state = _State.HANDSHAKE
            self.deadline = min(self.deadline, self.connected + self._tls_timeout)
            self._shake()

    def _shake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._write_handshake()
        except ssl.SSLError as error:
            self._write_handshake()  # the alert that tells the peer why
            self._fail(connect_failure(self._peer, error))
        else:
            self._write_handshake()
            if self._state is _State.HANDSHAKE:
                self.secured = monotonic()
                self._open(self._tls.selected_alpn_protocol())
            if self._state is _State.OPEN:
                self._decrypt()  # what came with the end of the handshake

    def _write_handshake(self) -> None:
        if self._outgoing.pending:
            self._unsent = bytes(self._unsent) + self._outgoing.read()
        self._send_unsent()
        if self._state is not _State.CLOSED:
            self._poll_for(READ | WRITE if self._unsent else READ)

    def _open(self, protocol: str | None) -> None:
        self._state = _State.OPEN
        self._driver.connected(self)
        self._poll_for(READ)
        try:
            self._on_open(self, protocol)
        except PlaitError as error:
            self._fail(error)

    def adopt(self, endpoint: ClientEndpoint) -> None:
        """Begin to drive an endpoint."""
        self.endpoint = endpoint
        endpoint.on_output = self._has_output
        self._has_output()

    def expire(self, now: float) -> None:
        """Give up connecting if it has taken too long (called while it has no connection)."""
        if now >= self.deadline:
            late = f"no connection to {self._peer} in time"
            if self._state is _State.HANDSHAKE:
                self._fail(TlsTimeout(f"{late}: the TLS handshake did not end"))
            else:
                self._fail(ConnectTimeout(late))

    def _fail(self, error: PlaitError) -> None:
        if self._state is not _State.CLOSED:
            self.drop()
            self._on_failed(error)

    # -- bytes -----------------------------------------------------------------------------------

    def handle(self, events: int) -> None:
        """Do what the socket is ready for."""
        if self._state is _State.OPEN:
            if events & WRITE:
                self.flush()
            if events & ~WRITE:
                self.receive()
        elif self._state is _State.CONNECTING:
            self._check_connect()
        elif self._state is _State.HANDSHAKE:
            if events & ~WRITE:
                self.receive()
            else:
                self._write_handshake()

    def receive(self) -> None:
        """Take what the socket has, if it has something."""
        if self._socket is None:
            return
        driver = self._driver
        view = driver.received
        try:
            size = self._socket.recv_into(view)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(error.strerror or str(error))
            return
        if size == 0:
            self._at_eof()
            return
        self.bytes_received += size
        if self._tls is None:
            assert self.endpoint is not None
            self.endpoint.receive_data(bytes(view[:size]))
            self._after_receiving()
        else:
            self._incoming.write(view[:size])
            if self._state is _State.HANDSHAKE:
                self._shake()
            else:
                self._decrypt()

    def _decrypt(self) -> None:
        tls, endpoint = self._tls, self.endpoint
        assert tls is not None
        assert endpoint is not None
        view = self._driver.decrypted
        filled = 0
        closed = False
        while True:
            try:
                # The stub misses that read() takes a memoryview.
                size: int = tls.read(_RECORD, view[filled:])  # type: ignore[assignment]
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                closed = True
                break
            except ssl.SSLError as error:
                if filled:
                    endpoint.receive_data(bytes(view[:filled]))
                self._lost(f"TLS broke: {(error.reason or str(error)).lower().replace('_', ' ')}")
                return
            if size == 0:
                closed = True
                break
            filled += size
            if filled > BUFFER - _RECORD:
                endpoint.receive_data(bytes(view[:filled]))
                filled = 0
        if filled:
            endpoint.receive_data(bytes(view[:filled]))
        if closed:
            endpoint.receive_eof()
        self._after_receiving()

    def _after_receiving(self) -> None:
        # The engine answers SETTINGS and PING by itself, and flush looks at what to poll for.
        self._has_output()
        self._driver.on_change(self)

    def _at_eof(self) -> None:
        if self._state is _State.HANDSHAKE:
            self._fail(ConnectFailed(f"{self._peer} closed the connection during the TLS handshake"))
        elif self._tls is not None:
            # RFC 9112 §9.8: without TLS's own end, nothing tells the end of a response from an attack.
            self._lost("the peer closed the connection without ending TLS")
        else:
            assert self.endpoint is not None
            self.endpoint.receive_eof()
            self._after_receiving()

    def _lost(self, reason: str) -> None:
        if self._state is _State.OPEN:
            assert self.endpoint is not None
            self.drop()
            self.endpoint.connection_lost(reason)
            self._driver.on_change(self)
        else:
            self._fail(ConnectFailed(f"cannot connect to {self._peer}: {reason}"))

    def _has_output(self) -> None:
        if not self._dirty:
            self._dirty = True
            self._driver.dirty.append(self)

    def flush(self) -> None:
        """Write what the endpoint has, as far as the socket takes it."""
        self._dirty = False
        endpoint = self.endpoint
        if self._state is not _State.OPEN or endpoint is None:
            return
        while self._send_unsent():
            pieces = []
            size = 0
            while size < BUFFER and (data := endpoint.data_to_send()):
                pieces.append(data)
                size += len(data)
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if self._tls is not None:
                if data:
                    self._tls.write(data)
                data = self._outgoing.read()
            if not data:
                break
            self._unsent = data
        if self._state is not _State.OPEN:
            return
        if endpoint.closed and not self._unsent:
            self._close()
            return
        events = READ if endpoint.connection.wants_read else 0
        self._poll_for(events | WRITE if self._unsent else events)

    def _send_unsent(self) -> bool:
        """Write what is left of the last piece; say whether all of it is written."""
        data = self._unsent
        if data:
            assert self._socket is not None
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                self._lost(error.strerror or str(error))
                return False
            self.bytes_sent += sent
            if sent < len(data):
                self._unsent = memoryview(data)[sent:]
                return False
            self._unsent = b""
        return True

    def _poll_for(self, events: int) -> None:
        if events != self._events and self._socket is not None:
            self._events = events
            self._driver.poll_for(self._socket.fileno(), events)

    def moved(self) -> tuple[int, int]:
        """Return the bytes sent and received so far."""
        return self.bytes_sent, self.bytes_received

    def tcp_info(self) -> bytes | None:
        """Return what the kernel knows so far, None where it does not tell."""
        return self._tcp_info if self._socket is None else read_tcp_info(self._socket)

    # -- the end ---------------------------------------------------------------------------------

    def _close(self) -> None:
        """Close after the last words."""
        if self._tls is not None:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # it waits for the peer's own end, which is of no use any more
            self._unsent = self._outgoing.read()
            self._send_unsent()
        self.drop()

    def drop(self) -> None:
        """Close the socket, whatever there may still be to write."""
        if self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            self._tcp_info = self.tcp_info()  # a closed socket does not tell
            self._drop_socket()
            self._driver.transport_closed(self)

    def _drop_socket(self) -> None:
        if self._socket is not None:
            if self._events:
                self._driver.forget(self._socket.fileno())
                self._events = 0
            self._socket.close()
            self._socket = None
