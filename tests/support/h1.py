"""HTTP/1.1 connections in memory: a server that answers, every way to split a message, a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from plait.protocol.events import ConnectionClosed, DataReceived, Event, RequestReceived, StreamClosed
from plait.protocol.h1 import H1Connection
from plait.protocol.h1_client import H1Client
from plait.protocol.h1_server import H1Server
from plait.server_config import Limits

__all__ = ["Pair", "Record", "client", "describe", "request_fields", "run_server", "server", "splits"]

OK = (b":status", b"200")


def server(scheme: bytes = b"https", **limits: int) -> H1Server:
    """Make a server's connection with the given limits."""
    return H1Server(Limits(**limits), scheme)


def client(
    *, max_header_fields: int = 100, max_header_size: int = 65536, stream_window: int = 65536
) -> H1Client:
    """Make a client's connection."""
    return H1Client(
        max_header_fields=max_header_fields, max_header_size=max_header_size, stream_window=stream_window
    )


def request_fields(
    method: bytes = b"GET", path: bytes = b"/", *fields: tuple[bytes, bytes]
) -> list[tuple[bytes, bytes]]:
    """Return a request's field section."""
    return [
        (b":method", method),
        (b":scheme", b"https"),
        (b":authority", b"a.example"),
        (b":path", path),
        *fields,
    ]


def splits(message: bytes) -> Iterator[list[bytes]]:
    """Yield a message whole, byte by byte, and cut in two at every place."""
    yield [message]
    yield [message[i : i + 1] for i in range(len(message))]
    for i in range(1, len(message)):
        yield [message[:i], message[i:]]


def describe(events: Iterable[Event]) -> list[object]:
    """Put events in a form that can be compared, neighbouring pieces of content joined."""
    result: list[object] = []
    for event in events:
        if isinstance(event, DataReceived):
            last = result[-1] if result else None
            if isinstance(last, tuple) and last[0] == "data" and last[1] == event.stream_id:
                result[-1] = ("data", event.stream_id, last[2] + event.data, event.end_stream)
            else:
                result.append(("data", event.stream_id, event.data, event.end_stream))
        else:
            values = tuple(getattr(event, name) for name in type(event).__match_args__)
            result.append((type(event).__name__, *values))
    return result


@dataclass
class Record:
    """What came of feeding a connection."""

    connection: H1Connection
    events: list[Event] = field(default_factory=list)
    output: bytes = b""

    def take(self) -> list[Event]:
        """Drain the connection and return what is new."""
        new = self.connection.events()
        self.events += new
        self.output += self.connection.data_to_send()
        return new

    @property
    def described(self) -> list[object]:
        return describe(self.events)

    def of(self, event_type: type[Event]) -> list[Event]:
        """Return the events of one type."""
        return [event for event in self.events if type(event) is event_type]

    @property
    def closed_with(self) -> int | None:
        """The error code of ConnectionClosed, or None while the connection is open."""
        closed = [event for event in self.events if isinstance(event, ConnectionClosed)]
        assert len(closed) <= 1
        return closed[0].error_code if closed else None


def run_server(connection: H1Server, pieces: Iterable[bytes], *, eof: bool = False) -> Record:
    """Feed a server that answers every request that is whole with its target."""
    record = Record(connection)
    targets: dict[int, bytes] = {}

    def answer() -> None:
        while events := record.take():
            for event in events:
                if isinstance(event, RequestReceived):
                    targets[event.stream_id] = event.headers[3][1]
                elif isinstance(event, StreamClosed):
                    targets.pop(event.stream_id, None)
                if isinstance(event, DataReceived):
                    connection.acknowledge_received_data(len(event.data), event.stream_id)
                whole = getattr(event, "end_stream", False) or type(event).__name__ == "TrailersReceived"
                if whole and event.stream_id in targets:
                    content = targets[event.stream_id]
                    length = b"%d" % len(content)
                    connection.send_response(
                        event.stream_id, [OK, (b"content-length", length)], end_stream=False
                    )
                    connection.send_data(event.stream_id, content, end_stream=True)

    for piece in pieces:
        connection.receive_data(piece)
        answer()
    if eof:
        connection.receive_eof()
        answer()
    return record


class Pair:
    """A client and a server joined in memory.

    Args:
        serve: Called with the server's connection and each event it emits.
    """

    def __init__(self, serve: Callable[[H1Server, Event], None]) -> None:
        self.client = client()
        self.server = server()
        self._serve = serve

    def exchange(self) -> list[Event]:
        """Carry bytes to and fro until nothing moves; return the client's events."""
        received: list[Event] = []
        while True:
            to_server = self.client.data_to_send()
            if to_server:
                self.server.receive_data(to_server)
            for event in self.server.events():
                if isinstance(event, DataReceived):
                    self.server.acknowledge_received_data(len(event.data), event.stream_id)
                self._serve(self.server, event)
            to_client = self.server.data_to_send()
            if to_client:
                self.client.receive_data(to_client)
            new = self.client.events()
            for event in new:
                if isinstance(event, DataReceived):
                    self.client.acknowledge_received_data(len(event.data), event.stream_id)
            received += new
            if not (to_server or to_client or new):
                return received
