"""The process that relays connections to one server: ``relay_process FD ADDRESSES``.

FD is a listening socket that it inherits, ADDRESSES what :func:`socket.getaddrinfo` said of the server, as
JSON. Each line on its standard input is a link that it is to model from then on, as JSON, ``null`` for
none; it answers each with a line. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import struct
import sys
from typing import NamedTuple

from plait.lab.network.modelled import ModelledDirection
from plait.lab.network.profile import Direction

__all__ = ["main"]

PORTION = 262144  # bytes read at once where nothing is modelled
RESET = struct.pack("ii", 1, 0)  # SO_LINGER that makes close() send RST

Address = tuple[int, int, int, str, tuple[str, int]]


class ModelledLink(NamedTuple):
    """Both directions of a modelled link; what a connection is established over, too."""

    down: ModelledDirection
    up: ModelledDirection


class Relay:
    """Accepts connections and has one to the server for each."""

    def __init__(self, listener: socket.socket, addresses: list[Address]) -> None:
        self._listener = listener
        self._addresses = addresses
        self._link: ModelledLink | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def begin(self, link: ModelledLink | None) -> None:
        """Break off what is left of connections, and relay new ones over another link."""
        self._link = link
        left = list(self._connections)
        for connection in left:
            connection.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def accept(self) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
            except OSError:  # it went before it was accepted, or too many files are open
                await asyncio.sleep(0.05)
                continue
            connection = loop.create_task(self._relay(client))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)

    async def _relay(self, client: socket.socket) -> None:
        """Relay one connection until both its directions have ended, or one is broken off."""
        opened = asyncio.get_running_loop().time()
        link = self._link
        server: socket.socket | None = None
        try:
            client.setblocking(False)
            # The kernel has established the connection by now. What is sent over it waits until it would be:
            # the client may send one round trip after its SYN, the server hears of that half of one later.
            up_from = opened + (link.up.delay + link.down.delay if link else 0)
            down_from = up_from + (link.up.delay if link else 0)
            await _sleep_until(up_from)
            server = await self._connect()
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.TaskGroup() as group:
                if link is None:
                    group.create_task(_copy(client, server))
                    group.create_task(_copy(server, client))
                else:
                    _Stream(client, server, link.up, up_from).run(group)
                    _Stream(server, client, link.down, down_from).run(group)
        except* OSError:
            _reset(client, server)
        except* asyncio.CancelledError:
            _reset(client, server)
        finally:
            client.close()
            if server is not None:
                server.close()

    async def _connect(self) -> socket.socket:
        """Connect to the first of the server's addresses that answers."""
        refused = OSError("no address")
        for family, kind, protocol, _, address in self._addresses:
            server = socket.socket(family, kind, protocol)
            try:
                server.setblocking(False)
                await asyncio.get_running_loop().sock_connect(server, tuple(address))
                return server
            except OSError as error:
                server.close()
                refused = error
            except BaseException:
                server.close()
                raise
        raise refused


class _Stream:
    """One direction of one connection over a modelled link."""

    def __init__(
        self, source: socket.socket, sink: socket.socket, over: ModelledDirection, start: float
    ) -> None:
        self._source = source
        self._sink = sink
        self._over = over
        self._start = start
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._size = 0
        self._room = asyncio.Event()

    def run(self, group: asyncio.TaskGroup) -> None:
        group.create_task(self._take())
        group.create_task(self._deliver())

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        over = self._over
        await _sleep_until(self._start)
        data = b"-"
        while data:
            await _readable(self._source)
            async with over.turn:
                # Whoever has the turn is the only one to send, so after this the queue has room.
                await asyncio.sleep(max(0, over.wait(loop.time())))
                try:
                    data = self._source.recv(over.portion)
                except BlockingIOError:
                    continue
                self._under_way.put_nowait((over.send(len(data), loop.time()), data))
            self._size += len(data)
            while self._size > over.room:
                self._room.clear()
                await self._room.wait()

    async def _deliver(self) -> None:
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            due, data = await self._under_way.get()
            await _sleep_until(due)
            if data:
                await loop.sock_sendall(self._sink, data)
                self._size -= len(data)
                self._room.set()
        _end(self._sink)


async def _copy(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, PORTION):
        await loop.sock_sendall(sink, data)
    _end(sink)


async def _readable(source: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(source, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(source)


async def _sleep_until(when: float) -> None:
    wait = when - asyncio.get_running_loop().time()
    if wait > 0:
        await asyncio.sleep(wait)


def _end(sink: socket.socket) -> None:
    """End one direction; the other goes on."""
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it is gone altogether, as the other direction will see


def _reset(*ends: socket.socket | None) -> None:
    """Have both sides see that a connection broke off, and not that it ended."""
    for end in ends:
        if end is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def _link(line: bytes) -> ModelledLink | None:
    said = json.loads(line)
    if said is None:
        return None
    down, up = (
        ModelledDirection(Direction(**said[side]), f"{said['seed']} {side}") for side in ("down", "up")
    )
    return ModelledLink(down, up)


async def _main(descriptor: int, addresses: list[Address]) -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    with socket.socket(fileno=descriptor) as listener:
        listener.setblocking(False)
        relay = Relay(listener, addresses)
        accepting = loop.create_task(relay.accept())
        while line := await commands.readline():
            await relay.begin(_link(line))
            print(flush=True)
        accepting.cancel()
        await relay.begin(None)


def main() -> None:
    """Relay until the standard input ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:  # two descriptors for each connection
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # macOS calls it unlimited, and sets a limit
    asyncio.run(_main(int(sys.argv[1]), json.loads(sys.argv[2])))


if __name__ == "__main__":
    main()
