"""Ways to use :class:`plait.Client`: what differs between them is how HTTP is used, and nothing else."""

from __future__ import annotations

from plait.lab.contenders import engine
from plait.lab.contenders.base import TCP, Contender, Load, add_up

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    from typing import Any

    from plait.client.messages import Response
    from plait.client.routes import Verify
    from plait.client.statistics import Statistics
    from plait.client.sync_client import Pending

__all__ = ["CONTENDERS", "Http1", "Http2", "PlaitContender"]


class PlaitContender(Contender):
    """A way to use plait's client.

    Attributes:
        pace: In which order the requests go, and how many at once: a function of ``engine``.
        options: Options of the client beside those.
    """

    pace = staticmethod(engine.window)
    options: dict[str, Any] = {}  # noqa: RUF012  (typing, and with it ClassVar, is slow to import)

    def headers(self, load: Load, index: int) -> tuple[tuple[str, str], ...] | None:
        """Return the fields that the request for a resource has beside the client's own."""
        return load.headers or None

    def run(self, load: Load) -> None:
        from plait.client.sync_client import Client

        verify: Verify = load.verify
        if load.base_url.startswith("https:"):
            from plait.drivers.tls import client_context

            # Before the load begins: the system's authorities take 30 milliseconds to read, which would be
            # a part of every load over every version of HTTP, and make their ratio less than it is.
            verify = client_context(load.verify)
        with Client(
            load.base_url,
            verify=verify,
            http=self.http,
            max_connections=self.connections,
            h2_connections=self.connections,
            max_h2_connections=self.connections,
            # Shared out where there are several connections.
            max_in_flight=-(-load.in_flight // self.connections),
            count_fields=True,
            decode=False,  # what is measured is what was transferred
            keep_cookies=False,
            **self.options,
        ) as client:
            paths = load.paths

            def send(index: int) -> Pending:
                return client.submit("GET", paths[index], headers=self.headers(load, index))

            def receive(index: int, response: Response) -> None:
                timing = response.timing
                load.receive(
                    index,
                    response.status,
                    response.content,
                    sent=timing.sent,
                    answered=timing.answered,
                    done=timing.done,
                    connection=timing.connection - 1,
                )

            load.begin()
            self.pace(client, load, send, receive, self.travelling(load.in_flight))
            _tell(load, client.statistics)

    def travelling(self, in_flight: int) -> int:
        """Return how many requests may travel at once."""
        raise NotImplementedError


class Http1(PlaitContender):
    """HTTP/1.1 on so many connections; on one of them one request after the other, as most scripts do.

    Args:
        connections: How many. Browsers open six to one origin.
    """

    http = "1"

    def __init__(self, connections: int) -> None:
        self.name = f"h1x{connections}"
        self.label = f"HTTP/1.1, {connections} connection{'s' if connections > 1 else ''}"
        self.connections = connections
        if connections == 1:
            self.pace = staticmethod(engine.serial)

    def travelling(self, in_flight: int) -> int:
        return self.connections


class Http2(PlaitContender):
    """HTTP/2 with a window: the next request is sent as soon as one of those under way is answered."""

    name = "h2"
    label = "HTTP/2"
    http = "2"

    def travelling(self, in_flight: int) -> int:
        return in_flight


class Http2Serial(Http2):
    """One request after the other over HTTP/2: only the protocol changes."""

    name = "h2-serial"
    label = "HTTP/2, serial"
    pace = staticmethod(engine.serial)


class Http2Chunks(Http2):
    """A chunk of requests is sent and read to its end before the next is sent."""

    name = "h2-chunks"
    label = "HTTP/2, chunks of {in_flight}"
    pace = staticmethod(engine.chunks)


class Http2Static(Http2):
    """HTTP/2 whose HPACK has no dynamic table in either direction: what header compression is worth."""

    name = "h2-static"
    label = "HTTP/2, static HPACK"
    options = {"header_table_size": 0}  # noqa: RUF012


class Http2Priorities(Http2):
    """HTTP/2 that tells the server how urgent each request is (RFC 9218 §4)."""

    name = "h2-priorities"
    label = "HTTP/2, priorities"

    def headers(self, load: Load, index: int) -> tuple[tuple[str, str], ...]:
        priority = PRIORITIES.get(load.kinds[index])
        return (*load.headers, ("priority", priority)) if priority else load.headers


class Http2Several(Http2):
    """HTTP/2 on several connections, which lose packets apart from each other; the window is shared out.

    Args:
        connections: How many.
    """

    def __init__(self, connections: int) -> None:
        self.name = f"h2x{connections}"
        self.label = f"HTTP/2, {connections} connections"
        self.connections = connections


PRIORITIES = {
    "document": "u=0, i",
    "style": "u=0",
    "script": "u=1",
    "font": "u=0",
    "image": "i",
    "data": "u=1, i",
}
"""The ``priority`` field by the kind of resource: what Chromium 156 sends for the document, a style sheet and
a script in its head, a font, an image beyond the first few, and ``fetch()``."""


FIELDS = ("request", "request_wire", "response", "response_wire")


def _tell(load: Load, statistics: Statistics) -> None:
    """Record what the client says of its connections."""
    load.connections = statistics.connections_opened
    load.bytes_sent = statistics.bytes_sent
    load.bytes_received = statistics.bytes_received
    told = statistics.connections
    if len(told) < statistics.connections_opened:
        return  # the oldest are forgotten, and with them which request went over which
    for one in told:
        load.connected(one.port, one.started, one.connected, one.secured)
    load.fields = add_up(FIELDS, [one.fields for one in told])
    load.tcp = add_up(TCP, [one.tcp for one in told])


CONTENDERS: tuple[Contender, ...] = (
    Http2Serial(),
    Http2Chunks(),
    Http2Static(),
    Http2Priorities(),
    Http2(),
)
