"""A Twisted site in memory: no reactor runs, time is told, and the client is ``h2``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h2.settings
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from zope.interface import directlyProvides, providedBy

from plait.integrations.twisted import Site
from tests.support.pairs import Engine, Message, Received, request_fields

__all__ = ["Answer", "Connection", "Http2Client", "failures", "make_site"]

CLIENT = IPv4Address("TCP", "192.0.2.1", 50000)


class Answer(Resource):
    """A resource that does what a function says, whatever the method.

    Args:
        render: Takes the request, and returns what ``render`` of a resource returns.
    """

    isLeaf = True

    def __init__(self, render: Callable[[Any], object]) -> None:
        super().__init__()
        self.render = render  # type: ignore[assignment, method-assign]


def make_site(resource: Any, **options: Any) -> Site:
    """Make a site on a clock of its own that the test advances, ``site.reactor``.

    Args:
        resource: The root, or what the only resource does with a request.
        options: As the site takes them.
    """
    if not IResource.providedBy(resource):
        resource = Answer(resource)
    return Site(resource, reactor=MemoryReactorClock(), **options)


class _Wire(StringTransport):
    """A transport in memory, with or without TLS."""

    def __init__(self, alpn: bytes | None) -> None:
        super().__init__(peerAddress=CLIENT, lenient=True)
        if alpn is not None:
            self.negotiatedProtocol = alpn
            directlyProvides(self, ISSLTransport, *providedBy(self))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing to do."""


class Connection:
    """A client's connection, in bytes.

    Args:
        site: The site it connects to.
        alpn: What TLS agreed on; None for a connection without TLS.

    Attributes:
        transport: What the site writes to.
        protocol: What the site reads by.
        clock: The site's reactor.
    """

    def __init__(self, site: Any, alpn: bytes | None = None) -> None:
        self.clock: MemoryReactorClock = site.reactor
        self.transport: Any = _Wire(alpn)
        self.protocol: Any = site.buildProtocol(CLIENT)
        self.protocol.makeConnection(self.transport)
        if alpn is not None:
            self.protocol.handshakeCompleted()

    def send(self, data: bytes) -> None:
        """Give the site bytes."""
        self.protocol.dataReceived(data)
        self.turn()

    def turn(self) -> None:
        """Let the reactor do what is due, without any time going by."""
        for _ in range(5):
            self.clock.advance(0)

    def wait(self, seconds: float) -> None:
        """Let time go by, a second at a time as the site looks at the clock."""
        while seconds > 0:
            self.clock.advance(min(seconds, 1.0))
            seconds -= 1.0

    def received(self) -> bytes:
        """Take what the site has written."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def lose(self, reason: Exception | None = None) -> None:
        """End the connection."""
        producer = self.transport.producer
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(reason or ConnectionDone()))
        self.turn()


class Http2Client(Connection, Received):
    """A client that speaks HTTP/2, on an engine that plait does not use.

    Args:
        site: The site it connects to.
        alpn: What TLS agreed on; None for prior knowledge without TLS.
        settings: ``initial_window_size`` and ``enable_push``, for the first SETTINGS.

    Attributes:
        engine: The engine.
    """

    def __init__(self, site: Any, alpn: bytes | None = b"h2", **settings: int) -> None:
        Connection.__init__(self, site, alpn)
        self.engine = Engine(client=True)
        Received.__init__(self, self.engine)
        if settings:
            codes = {h2.settings.SettingCodes[name.upper()]: value for name, value in settings.items()}
            self.engine.local_settings = h2.settings.Settings(client=True, initial_values=codes)
        self.engine.initiate_connection()
        self.move()

    def move(self) -> None:
        """Carry bytes to and fro until nothing moves."""
        while True:
            to_site = self.engine.data_to_send()
            if to_site:
                self.protocol.dataReceived(to_site)
            self.turn()
            to_client = self.received()
            if to_client:
                self.receive(to_client)
            elif not to_site:
                return

    def request(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        *more: tuple[bytes, bytes],
        content: bytes | None = None,
        end_stream: bool = True,
    ) -> int:
        """Send a request and return its stream; what comes back is in ``messages`` after ``move``."""
        stream: int = self.engine.get_next_available_stream_id()
        self.messages[stream] = Message()
        self.engine.send_headers(
            stream, request_fields(method, path, *more), end_stream=content is None and end_stream
        )
        if content is not None:
            self.upload(stream, content, end_stream=end_stream)
        self.move()
        return stream

    def upload(self, stream: int, content: bytes, *, end_stream: bool = False) -> None:
        """Send content, each frame when there is credit for it."""
        size = self.engine.max_outbound_frame_size
        for start in range(0, len(content), size):
            piece = content[start : start + size]
            while self.engine.local_flow_control_window(stream) < len(piece):
                self.move()
            self.engine.send_data(stream, piece)
        if end_stream:
            self.engine.end_stream(stream)

    def get(self, path: bytes = b"/", *more: tuple[bytes, bytes], method: bytes = b"GET") -> Message:
        """Send a request and return what came back."""
        return self.messages[self.request(method, path, *more)]

    def reset(self, stream: int, error_code: int = 8) -> None:
        """Reset a stream, with CANCEL."""
        self.engine.reset_stream(stream, error_code)
        self.move()


@contextmanager
def failures() -> Iterator[list[Failure]]:
    """Collect the failures that are logged while the block runs."""
    logged: list[Failure] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            logged.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    try:
        yield logged
    finally:
        globalLogPublisher.removeObserver(observe)
