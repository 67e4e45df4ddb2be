"""Moves bytes between sockets and endpoints for threads that wait; keeps time; knows no HTTP.

Leader and followers: there is no helper thread. Of the threads that wait for something, one leads: it
polls all sockets and handles what arrives, for everybody. The others sleep until theirs has come, or
until the leader leaves and hands over to one of them. So a single thread multiplexes by itself, and
many threads share one connection.

Rules:

1. One lock covers every endpoint, every TLS object and every call. It is released while a thread
   sleeps, and while the leader polls, and at no other time; nothing is done under it that can block.
   A finalizer may run anywhere, also in a thread that holds it: it says :meth:`BlockingDriver.do_soon`.
2. Output is gathered and written when somebody is about to wait.
3. A socket that takes no more bytes is polled for reading and writing both: two peers that only wrote
   would wait for each other.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from threading import TIMEOUT_MAX, Lock
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from plait.drivers.addresses import Address
from plait.drivers.carrier import Carrier
from plait.drivers.transport import BUFFER, READ, Transport
from plait.errors import PlaitError

if TYPE_CHECKING:
    from plait.drivers.memory import MemoryTransport


__all__ = ["BlockingDriver", "Watched"]

#: Milliseconds that a poll may last, for the system: it looks again then.
_LONGEST = 86_400_000.0


class Watched(Protocol):
    """Something that calls whoever waits for it."""

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call somebody when it has changed."""

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Call this one no more."""


class _Sleeper:
    """A thread that waits for something while another leads."""

    __slots__ = ("_lock", "_woken")

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()
        self._woken = False

    def wake(self) -> None:
        """Wake it (under the driver's lock)."""
        if not self._woken:
            self._woken = True
            self._lock.release()

    def sleep(self, seconds: float) -> None:
        """Sleep until woken, at most for so many seconds."""
        self._lock.acquire(timeout=seconds)


class BlockingDriver:
    """All transports of a client, and the threads that wait for them.

    Every method is called under ``lock``.

    Args:
        on_change: Called with a transport after bytes arrived, were written or will no more arrive.
        on_closed: Called with a transport whose socket was closed.
        local_address: The address that connections come from, None for the system's choice.

    Attributes:
        local_address: As given.
        lock: What covers everything here.
        now: The time when something was last looked at, in seconds of the monotonic clock.
        dirty: Transports with output.
        at_rest: Whether what is being raised came while the lock was released, and nothing was under way.
        received: Room for bytes from a socket.
        decrypted: Room for bytes that TLS gave.
        bytes_sent: Bytes sent by transports that are gone.
        bytes_received: Bytes received by transports that are gone.
    """

    def __init__(
        self,
        on_change: Callable[[Carrier], None],
        on_closed: Callable[[Carrier], None],
        local_address: str | None = None,
    ) -> None:
        self.local_address = local_address
        self.on_change = on_change
        self._on_closed = on_closed
        self.now = monotonic()
        self.dirty: list[Carrier] = []
        self._transports: dict[int, Transport] = {}
        self._in_memory: set[MemoryTransport] = set()
        self._connecting: set[Transport] = set()
        self._leading = False
        self._sleepers: list[_Sleeper] = []
        self._to_do: deque[Callable[[], None]] = deque()
        self.at_rest = False
        self._gone_sent = 0
        self._gone_received = 0
        self._closed = False
        self._prepare()

    def _prepare(self) -> None:
        """Get what it takes to wait and to read."""
        self.lock = Lock()
        self.received = memoryview(bytearray(BUFFER))
        self.decrypted = memoryview(bytearray(BUFFER))
        self._poll = select.poll()
        # Wakes the leader when another thread changes what there is to poll for.
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._poll.register(self._wake_out, READ)

    def open(
        self,
        peer: tuple[str, int],
        where: Sequence[Address] | socket.socket,
        tls: ssl.SSLContext | None,
        deadline: float,
        tls_timeout: float,
        on_open: Callable[[Transport, ssl.SSLObject | None], None],
        on_failed: Callable[[PlaitError], None],
    ) -> None:
        """Begin to connect; the threads that wait bring it to an end.

        Args:
            peer: Name and port of the server, the name being what the certificate must have.
            where: Addresses to try, the best first; or a socket that is connected.
            tls: The TLS context, or None.
            deadline: When it is given up, on the monotonic clock.
            tls_timeout: Seconds until then that TLS may take.
            on_open: Called with the transport and its TLS, if it has any; it must ``adopt`` an endpoint.
            on_failed: Called with the reason.
        """
        Transport(self, peer, where, tls, deadline, tls_timeout, on_open, on_failed)

    # -- waiting ---------------------------------------------------------------------------------

    def turn(self, deadline: float, arrived: Callable[[], bool], watched: Watched) -> None:
        """Let something happen: write, then wait once, as the leader or as a follower.

        Args:
            deadline: When to come back at the latest.
            arrived: Whether what the caller waits for is there already.
            watched: What wakes the caller when it is there.
        """
        self.flush()
        if arrived():
            return
        if self._leading:
            self._follow(deadline, watched)
        else:
            self._lead(deadline)

    def _follow(self, deadline: float, watched: Watched) -> None:
        sleeper = _Sleeper()
        self._sleepers.append(sleeper)
        watched.watch(sleeper.wake)
        seconds = max(0.0, deadline - monotonic())
        try:
            try:
                self.lock.release()
                sleeper.sleep(min(seconds, TIMEOUT_MAX))
            finally:
                self.lock.acquire()
        except BaseException:
            self.at_rest = True
            raise
        finally:
            self._sleepers.remove(sleeper)
            watched.unwatch(sleeper.wake)

    def _lead(self, deadline: float) -> None:
        for transport in self._connecting:
            deadline = min(deadline, transport.due)
        milliseconds = min(max(0.0, (deadline - monotonic()) * 1000 + 1), _LONGEST)
        self._leading = True
        try:
            try:
                self.lock.release()
                ready = self._poll.poll(milliseconds)
            finally:
                try:
                    self.lock.acquire()
                finally:  # a KeyboardInterrupt may come with the lock
                    # Not before: there would be two leaders, and one would read what the other waits for.
                    self._leading = False
        except BaseException:
            self.at_rest = True
            raise
        self.now = monotonic()
        transports = self._transports
        for fd, events in ready:
            if (found := transports.get(fd)) is not None:
                found.handle(events)
            elif fd == self._wake_out.fileno():
                try:
                    self._wake_out.recv(4096)
                except BlockingIOError:
                    pass  # another thread that led just before read it
        if self._connecting:
            for transport in list(self._connecting):
                transport.expire(self.now)

    def hand_over(self) -> None:
        """Let another thread lead, if this one stops waiting and nobody does."""
        if not self._leading:
            if self._sleepers:
                self._sleepers[0].wake()
            if self._closed:
                self._wake_out.close()
                self._wake_in.close()

    def do_soon(self, action: Callable[[], None]) -> None:
        """Do something under the lock: now, unless somebody holds it, who does it with the next flush.

        This never waits, and is called without the lock, or by a finalizer.
        """
        self._to_do.append(action)
        if self.lock.acquire(blocking=False):
            try:
                self.flush()
                self.rouse()
            finally:
                self.lock.release()

    def flush(self) -> None:
        """Do what is to be done, and write what there is to write."""
        try:
            while self._to_do:
                self._to_do.popleft()()
            while self.dirty:
                dirty, self.dirty = self.dirty, []
                for transport in dirty:
                    transport.flush()
                    if transport.endpoint is not None:
                        self.on_change(transport)
        except Exception:
            raise
        except BaseException:
            self.interrupted()
            raise

    def write(self) -> None:
        """Write what there is to write, and leave to the next flush what follows from it.

        What makes room lets another request go, which may be about to be cancelled as well.
        """
        dirty = {*self.dirty}
        self.dirty = [*dirty]
        for transport in dirty:
            transport.flush()

    def interrupted(self) -> None:
        """Put things right after something like KeyboardInterrupt was raised under the lock.

        In the midst of work it leaves connections in a state that nobody knows: then all are given up.
        """
        if not self.at_rest:
            for transport in {*self._all()}:
                transport.lose("the client was interrupted")
        self.at_rest = False

    def rouse(self) -> None:
        """Let the leader look again whether what it waits for is there, which no socket tells it."""
        self._wake_leader()

    # -- for transports --------------------------------------------------------------------------

    def register(self, fd: int, transport: Transport) -> None:
        self._transports[fd] = transport
        self._connecting.add(transport)

    def poll_for(self, fd: int, events: int) -> None:
        self._poll.register(fd, events)
        self._wake_leader()

    def forget(self, fd: int) -> None:
        self._transports.pop(fd, None)
        self._poll.unregister(fd)
        self._wake_leader()

    def attach(self, transport: MemoryTransport) -> None:
        self._in_memory.add(transport)

    def detach(self, transport: MemoryTransport) -> None:
        self._in_memory.discard(transport)
        self._is_gone(transport)

    def connected(self, transport: Transport) -> None:
        self._connecting.discard(transport)

    def transport_closed(self, transport: Transport) -> None:
        self._connecting.discard(transport)
        self._is_gone(transport)

    def _is_gone(self, transport: Carrier) -> None:
        self._gone_sent += transport.bytes_sent
        self._gone_received += transport.bytes_received
        self._on_closed(transport)

    def _wake_leader(self) -> None:
        if self._leading:
            try:
                self._wake_in.send(b"\0")
            except BlockingIOError:
                pass  # it has been woken often enough

    def _all(self) -> list[Carrier]:
        return [*self._transports.values(), *self._in_memory]

    # -- the end ---------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Let go of every socket without a byte: this is the child of a fork, and they are its parent's."""
        self._wake_out.close()
        self._wake_in.close()
        for transport in {*self._transports.values(), *self._connecting}:
            transport.abandon()

    @property
    def bytes_sent(self) -> int:
        return self._gone_sent + sum(transport.bytes_sent for transport in self._all())

    @property
    def bytes_received(self) -> int:
        return self._gone_received + sum(transport.bytes_received for transport in self._all())

    def close(self) -> None:
        """Write what can be written at once, and close every socket."""
        self.flush()
        for transport in self._all():
            transport.drop()
        self._closed = True
        self._wake_leader()
        self.hand_over()
