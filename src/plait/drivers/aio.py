"""Moves bytes between asyncio transports and endpoints; keeps time; knows no HTTP.

Rules:

1. One write per turn of the loop: whoever has output calls ``endpoint.on_output``, which schedules one
   flush; while bytes are being received the flush comes at their end.
2. The last bytes are written before the transport closes.
3. Output is taken from the endpoint only while the transport has room, so that content waits where its
   stream can be held back and not in one heap for the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar, cast

from plait.drivers.tls import BROKEN_OFF, has_ended
from plait.protocol.endpoint import PIECE, ClientEndpoint, Endpoint, ignore_output

__all__ = ["AioDriver", "ClientDriver"]

#: Bytes in the transport's own buffer beyond which it says that it is full.
_TRANSPORT_BUFFER = 262_144
#: Seconds a closed connection stays half-open, for the peer to read the last words (RFC 9112 §9.6).
_LINGER = 1.0


class AioDriver(asyncio.Protocol):
    """What both roles share.

    Attributes:
        endpoint: The connection's owner, None until the version of HTTP is known.
        transport: The transport, once there is one.
    """

    __slots__ = (
        "_closing",
        "_flush_pending",
        "_full_since",
        "_loop",
        "_reading",
        "_write",
        "endpoint",
        "transport",
    )

    #: Whether to read on while the transport takes no more bytes.
    reads_when_full: ClassVar[bool]

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._flush_pending = False
        self._full_since: tuple[float, int] | None = None
        self._closing = False
        self._reading = True
        self.endpoint: Endpoint | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._write = self.writer(self.transport)
        self.transport.set_write_buffer_limits(high=_TRANSPORT_BUFFER)

    def writer(self, transport: asyncio.Transport) -> Callable[[bytes], None]:
        """Return what writes bytes to the transport."""
        return transport.write

    def adopt(self, endpoint: Endpoint) -> None:
        """Begin to drive an endpoint."""
        self.endpoint = endpoint
        endpoint.on_output = self.request_flush

    def request_flush(self) -> None:
        """Write what the endpoint has, at the end of this turn of the loop."""
        if not self._flush_pending:
            self._flush_pending = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what the endpoint has, now."""
        endpoint = self.endpoint
        assert endpoint is not None
        self._flush_pending = False
        while self._full_since is None or endpoint.closed:
            data = endpoint.data_to_send()
            if data:
                try:
                    self._write(data)
                except RuntimeError:
                    if not self.transport.is_closing():
                        raise
                    return  # what broke uvloop's transport is still to be told, by connection_lost
            if len(data) < PIECE:
                break
            if self.transport.is_closing():
                return  # it broke, and would take all there is to write only to drop it
        if endpoint.closed:
            wanted = True  # and dropped, for the peer's own end to be seen
            if not self._closing:
                self.close()
        else:
            wanted = endpoint.connection.wants_read and (self._full_since is None or self.reads_when_full)
        if wanted is not self._reading:
            self.read_on(wanted)

    def read_on(self, wanted: bool) -> None:
        """Read from the transport, or leave its bytes where they are."""
        self._reading = wanted
        if self.transport.is_closing():
            return
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def close(self) -> None:
        """Close the transport once everything is written."""
        self._closing = True
        transport = self.transport
        if transport.is_closing():
            return
        if transport.can_write_eof():
            # Closing a socket with unread bytes in it would reset the connection and could take the
            # last response with it: close one side, and the other a moment later (RFC 9112 §9.6).
            try:
                transport.write_eof()
            except OSError:
                transport.abort()  # the peer has reset the connection, which is still to be told
            else:
                self._loop.call_later(_LINGER, transport.close)
        else:
            transport.close()

    def shut_down(self) -> None:
        """Let what is in flight finish, then close."""
        if self.endpoint is None:
            self.close()
        else:
            self.endpoint.shut_down()

    def abort(self, reason: str) -> None:
        """Drop the connection without another byte."""
        if self.endpoint is not None:
            self.endpoint.connection_lost(reason)
        self._closing = True
        self.transport.abort()

    def pause_writing(self) -> None:
        self._full_since = (self._loop.time(), self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._full_since = None
        if self.endpoint is not None:
            self.flush()

    def eof_received(self) -> bool:
        if self.endpoint is None or self._closing:
            return False
        self.endpoint.receive_eof()
        self.flush()
        # Over TLS nothing stays open: the loops close both ways at the end of one, and warn otherwise.
        return not self.endpoint.closed and self.transport.get_extra_info("ssl_object") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        if self.endpoint is not None:
            self.endpoint.connection_lost(str(exc) if exc else "the peer closed the connection")
            # Each holds the other: let go, so that memory does not wait for the garbage collector.
            self.endpoint.on_output = ignore_output


class ClientDriver(AioDriver):
    """A client's side of one transport."""

    __slots__ = ()

    endpoint: ClientEndpoint | None
    # Two peers that both stopped reading when full would wait for each other.
    reads_when_full = True

    def resume_writing(self) -> None:
        # Not at once: a transport of asyncio's that is closed in here ends twice, and its loop says so.
        self._full_since = None
        if self.endpoint is not None:
            self.request_flush()

    def eof_received(self) -> bool:
        endpoint = self.endpoint
        if endpoint is not None and not endpoint.closed and not self._closing:
            tls = self.transport.get_extra_info("ssl_object")
            if tls is not None and not has_ended(tls):
                # RFC 9112 §9.8: without TLS's own end, nothing tells the end of a response from an attack.
                endpoint.connection_lost(BROKEN_OFF)
                self.flush()
                return False
        return super().eof_received()

    def data_received(self, data: bytes) -> None:
        endpoint = self.endpoint
        assert endpoint is not None
        if endpoint.closed:
            return
        self._flush_pending = True
        endpoint.receive_data(data)
        self.flush()
