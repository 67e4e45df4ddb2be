"""Two asyncio transports that are each other's peer, in memory and on one loop; and a client's end of such
a pair for threads that wait, while the loop runs in another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from plait.drivers.carrier import Carrier
from plait.drivers.transport import BUFFER

if TYPE_CHECKING:
    from plait.drivers.blocking import BlockingDriver

__all__ = ["MemoryEnd", "MemoryTransport", "Relay", "join"]


class MemoryEnd(asyncio.Transport):
    """One end of a connection in memory.

    Args:
        loop: The running loop, which the other end is on as well.
        protocol: What takes the bytes of the other end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._peer: MemoryEnd | None = None
        self._inbox: deque[bytes] = deque()
        self._waiting = 0
        self._high, self._low = 65_536, 16_384
        self._is_full = False
        self._reads = True
        self._closing = False
        self._scheduled = False

    def _look(self) -> None:
        """Deliver what there is, soon."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        peer = self._peer
        while self._inbox and self._reads and not self._closing:
            data = self._inbox.popleft()
            self._waiting -= len(data)
            self._protocol.data_received(data)
        if peer is None or self._closing:
            return
        if peer._is_full and self._waiting <= peer._low:
            peer._is_full = False
            peer._protocol.resume_writing()
        if peer._closing and not self._inbox and not self._protocol.eof_received():
            self.close()

    def write(self, data: Any) -> None:
        peer = self._peer
        if self._closing or peer is None or peer._closing or not data:
            return
        peer._inbox.append(bytes(data))
        peer._waiting += len(data)
        peer._look()
        if peer._waiting > self._high and not self._is_full:
            self._is_full = True
            self._protocol.pause_writing()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lost)
            if self._peer is not None:
                self._peer._look()

    def abort(self) -> None:
        peer = self._peer
        if peer is not None:
            peer._inbox.clear()
            peer._waiting = 0
        self.close()

    def _lost(self) -> None:
        self._protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return False

    def is_reading(self) -> bool:
        return self._reads

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True
        self._look()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 65_536 if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return 0 if self._peer is None else self._peer._waiting

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol


def join(loop: asyncio.AbstractEventLoop, one: asyncio.Protocol, other: asyncio.Protocol) -> None:
    """Connect two protocols with each other; the first learns of it first.

    Args:
        loop: The running loop.
        one: A protocol.
        other: Another.
    """
    ends = MemoryEnd(loop, one), MemoryEnd(loop, other)
    ends[0]._peer, ends[1]._peer = ends[1], ends[0]
    one.connection_made(ends[0])
    other.connection_made(ends[1])


class Relay(asyncio.Protocol):
    """Carries bytes between the loop's thread and a :class:`MemoryTransport`.

    Args:
        carried: The client's end.
    """

    def __init__(self, carried: MemoryTransport) -> None:
        self._carried = carried
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._carried.received(data)

    def eof_received(self) -> bool:
        self._carried.ended()
        return False

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._carried.taken()

    def connection_lost(self, exc: Exception | None) -> None:
        self._carried.ended()

    def send(self, data: bytes) -> None:
        """Write bytes; any thread may call it."""
        self._call(self._write, data)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)
        if not self._is_full:
            self._carried.taken()

    def close(self) -> None:
        """Close the connection; any thread may call it."""
        assert self._transport is not None
        self._call(self._transport.close)

    def fail(self, stream_id: int, error: Exception) -> None:
        """End an exchange with an error that its server knows of."""
        self._carried.fail(stream_id, error)

    def _call(self, function: Any, *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            pass  # the loop has ended, and all connections with it


class MemoryTransport(Carrier):
    """A client's end of a connection in memory, for threads that wait.

    What :class:`plait.drivers.transport.Transport` is to a socket.

    Args:
        driver: The threads that wait.
    """

    def __init__(self, driver: BlockingDriver) -> None:
        super().__init__(driver)
        self._relay: Relay | None = None
        self._closed = False
        self._on_its_way = 0

    def open(self, relay: Relay) -> None:
        """Begin, under the driver's lock."""
        self._relay = relay
        self._driver.attach(self)

    def flush(self) -> None:
        """Hand over what the endpoint has, as far as there is room."""
        self._dirty = False
        endpoint = self.endpoint
        if endpoint is None or self._relay is None or self._closed:
            return
        while self._on_its_way < BUFFER and (data := endpoint.data_to_send()):
            self._on_its_way += len(data)
            self.bytes_sent += len(data)
            self._relay.send(data)
        if endpoint.closed and self._on_its_way < BUFFER:
            self.drop()

    def receive(self) -> None:
        """Take what has come: nothing, it is handed over as it comes."""

    def lose(self, reason: str) -> None:
        """Close the connection, and tell the endpoint."""
        self.drop()
        if self.endpoint is not None:
            self.endpoint.connection_lost(reason)
            self._driver.on_change(self)

    def drop(self) -> None:
        """Close the connection."""
        if not self._closed:
            self._closed = True
            if self._relay is not None:
                self._relay.close()
                self._driver.detach(self)

    def tcp_info(self) -> None:
        """Tell what the kernel knows: nothing."""

    # -- in the loop's thread --------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Take bytes."""
        with self._driver.lock:
            if self.endpoint is not None and not self._closed and not self.endpoint.closed:
                self.bytes_received += len(data)
                self.endpoint.receive_data(data)
                self._changed()

    def taken(self) -> None:
        """Take note that there is room again."""
        with self._driver.lock:
            self._on_its_way = 0
            self._changed()

    def ended(self) -> None:
        """Take note of the other side's end."""
        with self._driver.lock:
            if self.endpoint is not None and not self._closed and not self.endpoint.closed:
                self.endpoint.receive_eof()
                self._changed()

    def fail(self, stream_id: int, error: Exception) -> None:
        """End an exchange with an error that its server knows of."""
        with self._driver.lock:
            if self.endpoint is not None:
                self.endpoint.fail(stream_id, error)
                self._changed()

    def _changed(self) -> None:
        self._has_output()
        self._driver.on_change(self)
        self._driver.flush()
        self._driver.rouse()
