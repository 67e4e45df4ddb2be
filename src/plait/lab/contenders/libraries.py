"""Other HTTP clients for Python, used as their documentation says to."""

from __future__ import annotations

import time

from plait.errors import PlaitError
from plait.lab.contenders.base import Contender, Load

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable
    from typing import Any

    import httpx

    from plait.lab.wire import WatchedSockets

__all__ = ["CONTENDERS", "Httpx", "Requests"]


class Requests(Contender):
    """One ``requests.Session``, one request after the other."""

    name = "requests"
    label = "requests, 1 connection"
    http = "1"
    requires = ("requests",)

    def run(self, load: Load) -> None:
        import requests
        import urllib3

        from plait.lab.wire import WatchedSockets

        with WatchedSockets() as sockets, requests.Session() as session:
            opened = _watch_urllib3(load, sockets)
            # The environment may name proxies and authorities of its own; every contender must go
            # the same way.
            session.trust_env = False
            urllib3.disable_warnings()  # that no certificate is verified is what insecure asks for
            # It would read the content of a redirect away to see where that leads.
            session.get_redirect_target = lambda resp: None  # type: ignore[method-assign]
            session.headers.update(_headers(load))
            load.begin()
            for index in load.one_by_one():
                began = time.monotonic()
                with session.get(
                    load.base_url + load.paths[index], verify=load.verify, allow_redirects=False, stream=True
                ) as response:
                    answered = time.monotonic()
                    # As it was transferred: response.content would undo a content coding.
                    content = response.raw.read(decode_content=False)
                load.receive(
                    index,
                    response.status_code,
                    content,
                    sent=max(began, opened[-1]),  # it may have had to connect first
                    answered=answered,
                    done=time.monotonic(),
                    connection=len(opened) - 1,
                )
            sockets.tell(load)


def _headers(load: Load) -> tuple[tuple[str, str], ...]:
    """Return the workload's fields; these libraries ask for content codings where it does not say."""
    asks = any(name.lower() == "accept-encoding" for name, _ in load.headers)
    return load.headers if asks else (("accept-encoding", "identity"), *load.headers)


def _watch_urllib3(load: Load, sockets: WatchedSockets) -> list[float]:
    """Record every connection that urllib3, and so ``requests``, opens in this process from now on.

    Returns:
        When each was ready for requests, as it grows.
    """
    import urllib3.connection
    from urllib3.util import connection

    create_connection = connection.create_connection
    connected = 0.0
    ready: list[float] = []

    def create_and_watch(*args: Any, **kwargs: Any) -> socket.socket:
        nonlocal connected
        sock = create_connection(*args, **kwargs)
        connected = time.monotonic()
        sockets.add(sock.dup())
        return sock

    def timed(connect: Callable[[Any], None]) -> Callable[[Any], None]:
        def connect_and_record(self: Any) -> None:
            started = time.monotonic()
            connect(self)
            ready.append(time.monotonic())
            secured = ready[-1] if isinstance(self, urllib3.connection.HTTPSConnection) else connected
            load.connected(self.sock.getsockname()[1], started, connected, secured)

        return connect_and_record

    connection.create_connection = create_and_watch
    for kind in (urllib3.connection.HTTPConnection, urllib3.connection.HTTPSConnection):
        setattr(kind, "connect", timed(kind.connect))  # noqa: B010  (mypy has no methods assigned)
    return ready


class Httpx(Contender):
    """One ``httpx.AsyncClient`` with as many requests under way as its connections can carry.

    Args:
        name: The contender's name.
        label: For people.
        http: The version of HTTP.
        connections: How many it may open.
    """

    def __init__(self, name: str, label: str, http: str, connections: int) -> None:
        self.name = name
        self.label = label
        self.http = http
        self.connections = connections
        self.requires = ("httpx", "h2") if http == "2" else ("httpx",)

    def run(self, load: Load) -> None:
        import asyncio

        import anyio.lowlevel
        import httpx

        if self.http == "2":
            import h2.connection  # noqa: F401  (or it would be imported after the load has begun)

        from plait.lab.wire import WatchedSockets

        multiplexed = self.http == "2"
        version = "HTTP/2" if multiplexed else "HTTP/1.1"

        async def run(sockets: WatchedSockets) -> None:
            async with httpx.AsyncClient(
                base_url=load.base_url,
                verify=_context(load),
                # Without TLS there is no negotiation: HTTP/2 with prior knowledge.
                http1=not multiplexed or load.base_url.startswith("https:"),
                http2=multiplexed,
                limits=httpx.Limits(
                    max_connections=self.connections, max_keepalive_connections=self.connections
                ),
                headers=_headers(load),
                timeout=60.0,
                trust_env=False,
            ) as client:
                slots = asyncio.Semaphore(load.in_flight if multiplexed else self.connections)
                opened: dict[int, int] = {}
                finished = asyncio.Event()

                async def fetch(index: int) -> None:
                    async with slots:
                        await _fetch(client, load, index, version, sockets, opened)
                    fetch_due()

                def fetch_due() -> None:
                    for index in load.due():
                        tasks.create_task(fetch(index))
                    if (seconds := load.until_due) is not None:
                        asyncio.get_running_loop().call_later(seconds, fetch_due)
                    if not load.graph.unfinished:
                        finished.set()

                async with asyncio.TaskGroup() as tasks:
                    await anyio.lowlevel.checkpoint()  # loads what anyio needs for asyncio
                    load.begin()
                    fetch_due()
                    await finished.wait()

        with WatchedSockets() as sockets:
            try:
                asyncio.run(run(sockets))
            except ExceptionGroup as group:
                raise group.exceptions[0] from None
            sockets.tell(load)


async def _fetch(
    client: httpx.AsyncClient,
    load: Load,
    index: int,
    version: str,
    sockets: WatchedSockets,
    opened: dict[int, int],
) -> None:
    """Fetch one resource and record it, and the connection if it was opened for it.

    Args:
        client: The client.
        load: Takes the response.
        index: Which resource.
        version: The version of HTTP it must come over.
        sockets: Takes the sockets.
        opened: The number of each connection, by its port on this side.
    """
    times: dict[str, float] = {}

    async def trace(event: str, info: dict[str, Any]) -> None:
        # Such as "connection.connect_tcp.started", "http11.send_request_headers.started".
        event = event.partition(".")[2]
        times[event] = time.monotonic()
        if event in ("connect_tcp.complete", "start_tls.complete"):
            stream = info["return_value"]
            port = stream.get_extra_info("client_addr")[1]
            if event == "connect_tcp.complete":
                sockets.add(stream.get_extra_info("socket").dup())
            if event == "start_tls.complete" or load.base_url.startswith("http:"):
                opened[port] = len(opened)
                load.connected(
                    port, times["connect_tcp.started"], times["connect_tcp.complete"], times[event]
                )

    async with client.stream("GET", load.paths[index], extensions={"trace": trace}) as response:
        content = b"".join([piece async for piece in response.aiter_raw()])
    done = time.monotonic()
    if response.http_version != version:
        raise PlaitError(f"{load.base_url} answered with {response.http_version}, not {version}")
    port = response.extensions["network_stream"].get_extra_info("client_addr")[1]
    load.receive(
        index,
        response.status_code,
        content,
        sent=times["send_request_headers.started"],
        answered=times["receive_response_headers.complete"],
        done=done,
        connection=opened[port],
    )


def _context(load: Load) -> ssl.SSLContext | bool:
    """Whom to trust, as httpx takes it in ``verify=``."""
    if load.insecure or not load.cafile:
        return not load.insecure
    from ssl import create_default_context

    return create_default_context(cafile=load.cafile)


CONTENDERS: tuple[Contender, ...] = (
    Requests(),
    Httpx("httpx", "httpx, 6 connections", "1", 6),
    Httpx("httpx-h2", "httpx, HTTP/2", "2", 1),
)
