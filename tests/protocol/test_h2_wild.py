"""HTTP/2 in no particular order: random splits, random bytes, random interleavings."""

from __future__ import annotations

from itertools import pairwise

import h2.config
import h2.connection
import h2.exceptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from plait.errors import ExchangeError
from plait.protocol.endpoint import ClientEndpoint
from plait.protocol.events import ErrorCode, Event, Role
from plait.protocol.exchange import Half
from plait.protocol.h2 import PREFACE, H2Connection
from plait.protocol.negotiation import ALPN_H2, server_connection
from plait.protocol.server_endpoint import ServerEndpoint
from plait.protocol.server_exchange import ServerExchange
from plait.server_config import Limits
from tests.support.h1 import describe
from tests.support.pairs import ServerPair, request_fields

LIMITS = Limits()


def server() -> ServerEndpoint:
    return ServerEndpoint(server_connection(ALPN_H2, LIMITS, "https"), LIMITS, 0.0)


def client() -> ClientEndpoint:
    return ClientEndpoint(
        H2Connection(
            Role.CLIENT,
            max_concurrent_streams=100,
            max_header_fields=100,
            max_header_size=65_536,
            stream_window=65_535,
            connection_window=1 << 20,
        )
    )


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """Draw what a client might send on one connection, frame after frame, all of it valid."""
    peer = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    peer.initiate_connection()
    peer.remote_settings.update({3: 100})
    open_streams: list[int] = []
    for _ in range(draw(st.integers(1, 25))):
        action = draw(st.sampled_from(["get", "post", "data", "end", "trailers", "reset", "ping", "window"]))
        stream = draw(st.sampled_from(open_streams)) if open_streams else None
        if action in ("get", "post"):
            stream = peer.get_next_available_stream_id()
            extra = [(b"x-%d" % n, b"v" * n) for n in range(draw(st.integers(0, 5)))]
            head = request_fields(action.upper().encode(), b"/", *extra)
            peer.send_headers(stream, head, end_stream=action == "get")
            if action == "post":
                open_streams.append(stream)
        elif action == "ping":
            peer.ping(b"12345678")
        elif action == "window":
            peer.increment_flow_control_window(draw(st.integers(1, 1000)))
        elif stream is None:
            continue
        elif action == "data":
            padding = draw(st.sampled_from([None, 0, 20]))
            peer.send_data(stream, bytes(draw(st.integers(0, 300))), pad_length=padding)
        else:
            open_streams.remove(stream)
            if action == "end":
                peer.end_stream(stream)
            elif action == "reset":
                peer.reset_stream(stream)
            else:
                peer.send_headers(stream, [(b"x-sum", b"1")], end_stream=True)
    sent: bytes = peer.data_to_send()
    return sent


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def events_of(data: list[bytes]) -> list[object]:
    connection = server().connection
    found: list[Event] = []
    for piece in data:
        connection.receive_data(piece)
        found += connection.events()
        connection.data_to_send()
        found += connection.events()
    assert not connection.closed
    assert not connection.receiving_head
    return describe(found)


@given(conversations(), st.lists(st.integers(0, 100_000), max_size=40))
def test_however_a_conversation_is_split_its_events_are_the_same(data: bytes, cuts: list[int]) -> None:
    assert events_of(pieces(data, cuts)) == events_of([data])


@given(conversations())
def test_a_conversation_may_come_byte_by_byte(data: bytes) -> None:
    assert events_of([data[i : i + 1] for i in range(len(data))]) == events_of([data])


@given(conversations(), st.integers(0, 10_000))
def test_reading_ends_between_frames_where_the_frames_do(data: bytes, cut: int) -> None:
    """A field section counts as unfinished exactly while it is."""
    part = data[: cut % (len(data) + 1)]
    connection = server().connection
    connection.receive_data(part)
    position, inside = len(PREFACE), False
    while position + 9 <= len(part):
        length = int.from_bytes(part[position : position + 3], "big")
        inside = part[position + 3] in (1, 9)
        position += 9 + length
    assert connection.receiving_head == (inside and position > len(part))


def feed(endpoint: ServerEndpoint | ClientEndpoint, data: list[bytes]) -> int:
    """Feed anything; return how many bytes that led to."""
    written = 0
    for now, piece in enumerate(data):
        if isinstance(endpoint, ServerEndpoint):
            endpoint.receive_data(piece, float(now))
            for exchange in endpoint.take_accepted():
                try:
                    exchange.send_whole_response(200, [], b"ok")
                except ExchangeError:
                    assert exchange.closed or endpoint.closed or exchange.sent is Half.HEAD
                endpoint.finished(exchange)
            endpoint.expire(float(now))
        else:
            endpoint.receive_data(piece)
        while out := endpoint.data_to_send():
            written += len(out)
    return written


HEAD = st.sampled_from([b"", PREFACE, PREFACE + bytes(3) + b"\x04" + bytes(5)])
FRAME = st.builds(
    lambda kind, flags, stream, payload: (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    ),
    st.integers(0, 12),
    st.integers(0, 255),
    st.integers(0, 9),
    st.binary(max_size=40),
)


@given(
    HEAD,
    st.one_of(st.binary(max_size=400), st.lists(FRAME, max_size=30).map(b"".join)),
    st.lists(st.integers()),
)
def test_garbage_never_raises_and_gets_a_short_answer(head: bytes, body: bytes, cuts: list[int]) -> None:
    data = head + body
    assert feed(server(), pieces(data, cuts)) <= 300 + 20 * len(data)


@given(
    st.one_of(st.binary(max_size=400), st.lists(FRAME, max_size=30).map(b"".join)), st.lists(st.integers())
)
def test_garbage_never_raises_in_a_client(body: bytes, cuts: list[int]) -> None:
    for head in (b"", bytes(3) + b"\x04" + bytes(5)):
        endpoint = client()
        exchanges = [endpoint.open_exchange(request_fields(), end_stream=True) for _ in range(3)]
        endpoint.data_to_send()
        assert feed(endpoint, pieces(head + body, cuts)) <= 300 + 20 * len(body)
        endpoint.connection_lost("the end")
        assert all(exchange.closed for exchange in exchanges)


@given(conversations(), st.lists(st.tuples(st.integers(), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_damaged_conversation_never_raises(data: bytes, damage: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for place, value in damage:
        damaged[place % len(damaged)] = value
    feed(server(), pieces(bytes(damaged), [place for place, _ in damage]))


class Interleaving(RuleBasedStateMachine):
    """A client and the applications behind a server, each doing the next thing in any order."""

    def __init__(self) -> None:
        super().__init__()
        # Windows so small that everything waits for credit now and then.
        self.pair = ServerPair(
            stream_window=3000, max_concurrent_streams=5, keep_alive=1e9, handshake_timeout=1e9
        )
        self.pair.credits = False
        self.pair.peer.update_settings({4: 2000})
        self.pair.move()
        self.uploads: list[int] = []
        self.running: list[ServerExchange] = []
        self.pair.serve = self.running.append

    def _room(self) -> bool:
        peer = self.pair.peer
        return bool(peer.open_outbound_streams < 5 and self.pair.endpoint.running < 5)

    @precondition(_room)
    @rule(upload=st.booleans())
    def request(self, upload: bool) -> None:
        stream = self.pair.request(b"POST" if upload else b"GET", end_stream=not upload)
        if upload:
            self.uploads.append(stream)

    @precondition(lambda self: self.uploads)
    @rule(size=st.integers(0, 3000), end=st.booleans(), choice=st.integers())
    def upload(self, size: int, end: bool, choice: int) -> None:
        stream = self.uploads[choice % len(self.uploads)]
        peer = self.pair.peer
        try:
            size = min(size, peer.local_flow_control_window(stream))
            peer.send_data(stream, bytes(max(size, 0)), end_stream=end)
        except (h2.exceptions.ProtocolError, KeyError):
            end = True  # plait has reset the stream
        if end:
            self.uploads.remove(stream)
        self.pair.move(piece=7)

    @precondition(lambda self: self.running)
    @rule(choice=st.integers())
    def client_resets(self, choice: int) -> None:
        stream = self.running[choice % len(self.running)].stream_id
        try:
            self.pair.peer.reset_stream(stream, ErrorCode.CANCEL)
        except (h2.exceptions.ProtocolError, KeyError):
            return
        if stream in self.uploads:
            self.uploads.remove(stream)
        self.pair.move()

    @rule(size=st.integers(1, 5000), choice=st.integers())
    def client_gives_credit(self, size: int, choice: int) -> None:
        peer = self.pair.peer
        peer.increment_flow_control_window(size)
        if self.running:
            try:
                peer.increment_flow_control_window(size, self.running[choice % len(self.running)].stream_id)
            except (h2.exceptions.ProtocolError, KeyError):
                pass
        self.pair.move()

    @precondition(lambda self: self.running)
    @rule(choice=st.integers())
    def application_reads(self, choice: int) -> None:
        exchange = self.running[choice % len(self.running)]
        try:
            exchange.read()
        except ExchangeError:
            assert exchange.closed
        self.pair.move()

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(), size=st.integers(0, 5000))
    def application_sends(self, choice: int, size: int) -> None:
        exchange = self.running[choice % len(self.running)]
        try:
            if exchange.sent is Half.HEAD:
                exchange.send_response(200, [])
            if exchange.sent is Half.CONTENT:
                exchange.send_data(bytes(size))
        except ExchangeError:
            assert exchange.closed
        self.pair.move()

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(), well=st.booleans())
    def application_ends(self, choice: int, well: bool) -> None:
        exchange = self.running.pop(choice % len(self.running))
        if well and not exchange.closed:
            if exchange.sent is Half.HEAD:
                exchange.send_whole_response(200, [], b"whole")
            elif exchange.sent is Half.CONTENT:
                exchange.send_data(b"", end_stream=True)
        self.pair.endpoint.finished(exchange)
        self.pair.move()

    @precondition(lambda self: self.running)
    @rule(choice=st.integers())
    def application_pushes(self, choice: int) -> None:
        exchange = self.running[choice % len(self.running)]
        if len(self.running) < 8:
            exchange.push(request_fields(b"GET", b"/pushed"))
        self.pair.send(b"")  # which takes what was promised
        self.pair.move()

    @precondition(lambda self: self.running)
    @rule(choice=st.integers())
    def application_sends_trailers(self, choice: int) -> None:
        exchange = self.running[choice % len(self.running)]
        if exchange.sent is Half.CONTENT and not exchange.closed:
            exchange.send_trailers([(b"x-sum", b"1")])
        self.pair.move()

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(), urgency=st.integers(0, 7), incremental=st.booleans())
    def someone_changes_priorities(self, choice: int, urgency: int, incremental: bool) -> None:
        exchange = self.running[choice % len(self.running)]
        if incremental:
            exchange.prioritize(urgency, incremental)
        else:
            value = exchange.stream_id.to_bytes(4, "big") + b"u=%d" % urgency
            self.pair.send(len(value).to_bytes(3, "big") + b"\x10" + bytes(5) + value)
        self.pair.move()

    @rule(window=st.sampled_from([0, 1, 2000, 40_000]))
    def client_changes_its_windows(self, window: int) -> None:
        """Windows of streams with content on its way may become negative (RFC 9113 §6.9.2)."""
        self.pair.peer.update_settings({4: window})
        self.pair.move()

    @rule()
    def time_passes(self) -> None:
        self.pair.after(11)

    @invariant()
    def the_connection_lives(self) -> None:
        assert not self.pair.endpoint.closed
        assert self.pair.endpoint.running == len(self.running)

    def teardown(self) -> None:
        pair = self.pair
        for exchange in self.running:
            pair.endpoint.finished(exchange)
        pair.move()
        pair.credits = True
        pair.peer.update_settings({4: 65_535})
        pair.peer.increment_flow_control_window(1 << 20)
        pair.move()
        for stream in list(pair.endpoint.exchanges):
            pair.peer.reset_stream(stream)
        pair.move()
        assert pair.endpoint.exchanges == {}
        assert pair.endpoint.waiting_to_write == set()
        assert pair.endpoint._pushes == 0
        assert pair.peer.outbound_flow_control_window >= 15_000
        stream = pair.request()
        pair.answer(self.running[-1], b"alive")
        pair.move()
        assert pair.messages[stream].content == b"alive"


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(
    max_examples=50, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
