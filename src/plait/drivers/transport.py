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
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from plait.drivers.addresses import NOBODY, Address, Peer, connect_failure
from plait.drivers.carrier import Carrier
from plait.drivers.eyeballs import Race
from plait.drivers.tcp_info import read_tcp_info
from plait.drivers.tls import BROKEN_OFF
from plait.errors import ConnectFailed, ConnectTimeout, PlaitError, TlsFailed, TlsTimeout

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


class Transport(Carrier):
    """One socket, with TLS or without, and the endpoint on it.

    Attributes:
        deadline: When connecting has taken too long.

    Args:
        driver: What polls the socket and calls :meth:`handle`.
        peer: Name and port of the server, the name being what the certificate must have.
        where: Addresses to try, the best first; or a socket that is connected.
        tls: The TLS context, or None.
        deadline: When connecting has taken too long, on the driver's clock.
        tls_timeout: Seconds of that time that TLS may take.
        on_open: Called with the transport and its TLS, if it has any; it must :meth:`adopt` an endpoint.
        on_failed: Called with the reason why there is no connection.
    """

    __slots__ = (
        "_attempts", "_events", "_incoming", "_on_failed", "_on_open", "_outgoing", "_peer", "_problem",
        "_race", "_socket", "_state", "_tcp_info", "_tls", "_tls_timeout", "_unsent", "deadline",
    )  # fmt: skip

    def __init__(
        self,
        driver: BlockingDriver,
        peer: tuple[str, int],
        where: Sequence[Address] | socket.socket,
        tls: ssl.SSLContext | None,
        deadline: float,
        tls_timeout: float,
        on_open: Callable[[Transport, ssl.SSLObject | None], None],
        on_failed: Callable[[PlaitError], None],
    ) -> None:
        super().__init__(driver)
        self._tls_timeout = tls_timeout
        self._peer = f"{peer[0]}:{peer[1]}"
        connected = where if isinstance(where, socket.socket) else None
        self._race = Race(() if isinstance(where, socket.socket) else where, self.started)
        self._attempts: list[socket.socket] = []
        self._problem = OSError("it has no address")
        self.deadline = deadline
        self._on_open = on_open
        self._on_failed = on_failed
        self._state = _State.CONNECTING
        self._events = 0
        self._unsent: bytes | memoryview = b""
        self._tls: ssl.SSLObject | None = None
        self._socket: socket.socket | None = None
        self._tcp_info: bytes | None = None
        if tls is not None:
            self._incoming = ssl.MemoryBIO()
            self._outgoing = ssl.MemoryBIO()
            try:
                self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_hostname=peer[0])
            except ValueError as error:
                if connected is not None:
                    connected.close()
                self._fail(connect_failure(self._peer, error))
                return
        if connected is None:
            self._connect(self.started)
        else:
            connected.setblocking(False)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._attempts.append(connected)
            driver.register(connected.fileno(), self)
            driver.poll_for(connected.fileno(), WRITE)
            self._connected(connected)

    # -- coming to be ----------------------------------------------------------------------------

    def _connect(self, now: float) -> None:
        """Try the addresses whose time has come, until one is at least in progress."""
        race = self._race
        while (found := race.take(now)) is not None:
            family, kind, protocol, _, address = found
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:  # a family that this machine does not have
                self._problem = error
                race.failed(now)
                continue
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._driver.local_address is not None:
                    sock.bind((self._driver.local_address, 0))
                code = sock.connect_ex(address)
            except OSError as error:
                code = error.errno or errno.EINVAL
            if code and code not in _IN_PROGRESS:
                sock.close()
                self._problem = OSError(code, os.strerror(code))
                race.failed(now)
                continue
            self._attempts.append(sock)
            self._driver.register(sock.fileno(), self)
            self._driver.poll_for(sock.fileno(), WRITE)
            if code == 0:
                self._connected(sock)
                return
        if not self._attempts and race.due == inf:
            self._fail(connect_failure(self._peer, self._problem))

    def _check_connect(self) -> None:
        """See which of the attempts have come to an end."""
        now = monotonic()
        for sock in list(self._attempts):
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                try:
                    sock.getpeername()
                except OSError:
                    continue  # still in progress
                self._connected(sock)
                return
            self._give_up(sock)
            self._problem = OSError(code, os.strerror(code))
            self._race.failed(now)
        self._connect(now)

    def _give_up(self, sock: socket.socket) -> None:
        self._attempts.remove(sock)
        self._driver.forget(sock.fileno())
        sock.close()

    def _connected(self, sock: socket.socket) -> None:
        self._attempts.remove(sock)
        while self._attempts:
            self._give_up(self._attempts[-1])
        self._socket = sock
        self._events = WRITE
        self.port = sock.getsockname()[1]
        try:
            self.peer = Peer.of(sock, self._tls)
        except OSError:  # it is gone already, as reading will tell
            self.peer = NOBODY
        self.connected = self.secured = monotonic()
        if self._tls is None:
            self._open()
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
                self._open()
            if self._state is _State.OPEN:
                self._decrypt()  # what came with the end of the handshake

    def _write_handshake(self) -> None:
        if self._outgoing.pending:
            self._unsent = bytes(self._unsent) + self._outgoing.read()
        self._send_unsent()
        if self._state is not _State.CLOSED:
            self._poll_for(READ | WRITE if self._unsent else READ)

    def _open(self) -> None:
        self._state = _State.OPEN
        self._driver.connected(self)
        self._poll_for(READ)
        try:
            self._on_open(self, self._tls)
        except PlaitError as error:
            self._fail(error)

    @property
    def due(self) -> float:
        """When to call :meth:`expire`, while there is no connection."""
        return min(self.deadline, self._race.due) if self._state is _State.CONNECTING else self.deadline

    def expire(self, now: float) -> None:
        """Try the next address, or give up, if it is time for that (called while it has no connection)."""
        if self._state is _State.CONNECTING and self._race.due <= now < self.deadline:
            self._connect(now)
        elif now >= self.deadline:
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
            self.lose(error.strerror or str(error))
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
                self.lose(f"TLS broke: {(error.reason or str(error)).lower().replace('_', ' ')}")
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
            self._fail(TlsFailed(f"{self._peer} closed the connection during the TLS handshake"))
        elif self._tls is not None:
            # RFC 9112 §9.8: without TLS's own end, nothing tells the end of a response from an attack.
            self.lose(BROKEN_OFF)
        else:
            assert self.endpoint is not None
            self.endpoint.receive_eof()
            self._after_receiving()

    def lose(self, reason: str) -> None:
        """Close the socket, and tell the endpoint, or who waits for one, that there is no connection."""
        if self.endpoint is not None:
            self.drop()
            self.endpoint.connection_lost(reason)
            self._driver.on_change(self)
        else:
            self._fail(ConnectFailed(f"cannot connect to {self._peer}: {reason}"))

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
                self.lose(error.strerror or str(error))
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
            while self._attempts:
                self._give_up(self._attempts[-1])
            self._drop_socket()
            self._driver.transport_closed(self)

    def abandon(self) -> None:
        """Let go of the socket without a byte (called in the child of a fork)."""
        self._state = _State.CLOSED
        for sock in (*self._attempts, self._socket):
            if sock is not None:
                sock.close()
        self._attempts.clear()
        self._socket = None

    def _drop_socket(self) -> None:
        if self._socket is not None:
            if self._events:
                self._driver.forget(self._socket.fileno())
                self._events = 0
            self._socket.close()
            self._socket = None
