"""Credit, time and wild input on one WebSocket of a client's, in memory."""

from __future__ import annotations

import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side

from plait.client.websocket_session import ClientSession
from plait.errors import WebSocketClosed, WriteTimeout
from tests.support.pairs import ClientPair, request_fields
from tests.support.websocket_client_line import TERMS, ClientLine
from tests.support.websocket_client_line import from_server as frame
from tests.support.websocket_line import BINARY, CLOSE, CONT, PING, PONG, TEXT, Frame
from tests.support.websocket_line import frame as masked

PINGING = TERMS._replace(ping_interval=20.0, ping_timeout=10.0)
KEEPALIVE = Frame(CLOSE, b"\x03\xf3keepalive ping timeout")


def ended(session: ClientSession) -> tuple[int, str]:
    assert session.ended is not None
    return int(session.ended.code), session.ended.reason


# -- what fragments become -------------------------------------------------------------------------

CUTS = st.lists(st.integers(0, 400), max_size=6)
PINGS = st.lists(st.binary(max_size=10), max_size=3)


@settings(max_examples=80, deadline=None)
@given(text=st.text(max_size=200), cuts=CUTS, pings=PINGS, segment=st.integers(1, 60))
def test_a_message_is_the_same_however_it_is_cut(
    text: str, cuts: list[int], pings: list[bytes], segment: int
) -> None:
    data = text.encode()
    places = sorted({0, *(min(cut, len(data)) for cut in cuts)})
    parts = [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]
    frames = [
        frame(TEXT if number == 0 else CONT, part, fin=number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]
    for number, ping in enumerate(pings):
        frames.insert(min(number + 1, len(frames)), frame(PING, ping))
    sent = b"".join(frames)
    line = ClientLine()
    line.receive(*(sent[at : at + segment] for at in range(0, len(sent), segment)))
    assert line.messages() == [text]
    assert sorted(one.payload for one in line.frames()) == sorted(pings)


@pytest.mark.parametrize("compressed", [False, True])
@settings(max_examples=80, deadline=None)
@given(parts=st.lists(st.text(max_size=50), min_size=1, max_size=6))
def test_fragments_that_are_sent_are_one_message_to_the_server(compressed: bool, parts: list[str]) -> None:
    line = ClientLine([PerMessageDeflate(False, False, 15, 15)] if compressed else [])
    for number, part in enumerate(parts):
        line.session.send_fragment(part, first=number == 0, last=False)
    line.session.send_fragment("", first=False, last=True)
    line.session.send("next")
    server = Protocol(Side.SERVER)
    server.extensions = [PerMessageDeflate(False, False, 15, 15)] if compressed else []
    while data := line.endpoint.data_to_send():
        server.receive_data(data)
    *fragments, last = server.events_received()
    assert b"".join(one.data for one in fragments).decode() == "".join(parts)  # type: ignore[union-attr]
    assert (last.opcode, bytes(last.data)) == (Opcode.TEXT, b"next")  # type: ignore[union-attr]


FRAMES = st.builds(
    frame,
    st.integers(0, 15),
    st.binary(max_size=200),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 0, 4, 1]),
    length=st.sampled_from([None, None, None, None, 0, 126, 70_000, 2**63]),
)
GOOD = st.builds(frame, st.sampled_from([CONT, TEXT, BINARY, PING, PONG]), st.binary(max_size=200))
PARTS = st.lists(
    st.one_of(GOOD, FRAMES, st.binary(max_size=20), st.just(masked(TEXT, b"masked"))), max_size=20
)


@pytest.mark.parametrize("compressed", [False, True])
@settings(max_examples=80, deadline=None)
@given(parts=PARTS, cut=st.integers(1, 50), takes=st.booleans(), eof=st.booleans(), sends=st.booleans())
def test_whatever_comes_the_session_goes_on_or_ends(
    compressed: bool, parts: list[bytes], cut: int, takes: bool, eof: bool, sends: bool
) -> None:
    extensions = [PerMessageDeflate(False, False, 12, 12)] if compressed else []
    line = ClientLine(extensions, terms=PINGING._replace(max_message_size=10_000))
    line.takes = takes
    if sends:
        line.session.send("mine")
    data = b"".join(parts)
    line.receive(*(data[at : at + cut] for at in range(0, len(data), cut)))
    line.messages()
    if eof:
        line.end()
    line.takes = True
    found = line.frames()
    closes = [number for number, one in enumerate(found) if one.opcode == CLOSE]
    assert closes in ([], [len(found) - 1])
    assert line.session.open is (line.session.ended is None)
    assert not (eof and line.session.open)
    line.after(1000)
    assert line.session.ended is not None
    line.session.close(1000, "", line.now)
    line.after(1000)
    assert line.endpoint.closed
    assert line.session.gone
    assert isinstance(line.session.failure(), WebSocketClosed)


# -- signs of life ---------------------------------------------------------------------------------


def test_a_quiet_server_is_asked_for_a_sign_of_life_again_and_again() -> None:
    line = ClientLine(terms=PINGING)
    for _ in range(5):
        line.after(19.9)
        assert line.frames() == []
        line.after(0.1)
        assert line.frames() == [Frame(PING, b"")]
        line.receive(frame(PONG))
    assert line.session.open


def test_a_server_that_gives_none_is_closed_with_1011() -> None:
    line = ClientLine(terms=PINGING)
    line.after(20)
    line.after(9.9)
    assert line.frames() == [Frame(PING, b"")]
    line.after(0.2)
    assert line.frames() == [KEEPALIVE]
    assert line.endpoint.closed
    assert ended(line.session) == (1011, "keepalive ping timeout")


def test_time_in_which_nobody_waited_is_not_the_servers() -> None:
    line = ClientLine(terms=PINGING)
    line.after(20)
    line.now += 1000
    line.session.resume(line.now)
    line.after(9.9)
    assert line.session.open
    line.receive(frame(PONG))
    line.after(5)
    assert line.session.open


def test_a_ping_behind_a_long_message_waits_for_as_long_as_the_server_takes_of_it() -> None:
    line = ClientLine(terms=PINGING)
    line.takes = False
    line.session.send(bytes(100_000))
    for _ in range(10):
        line.moved += 1000
        line.after(10)
        assert line.session.open
    line.after(20)
    assert ended(line.session)[0] == 1011


def test_answers_to_pings_are_noted_and_stand_for_those_before() -> None:
    line = ClientLine()
    first, second, third = line.session.ping(), line.session.ping(), line.session.ping()
    assert [one.payload for one in line.frames()] == [first, second, third]
    line.receive(frame(PONG, b"another's"))
    assert set(line.session.pings) == {first, second, third}
    line.receive(frame(PONG, second))
    assert set(line.session.pings) == {third}


# -- closing ---------------------------------------------------------------------------------------


def test_a_close_waits_for_the_servers_and_for_its_end_of_the_connection() -> None:
    line = ClientLine()
    line.session.close(4000, "enough", line.now)
    assert line.frames() == [Frame(CLOSE, b"\x0f\xa0enough")]
    line.receive(frame(TEXT, b"crossed it on the way"), frame(CLOSE, b"\x0f\xa0enough"))
    assert line.messages() == []
    assert not line.session.gone
    line.end()
    assert line.session.gone
    assert ended(line.session) == (4000, "enough")
    assert line.session.due > 1e9


def test_a_close_does_not_wait_for_ever() -> None:
    for answered in (False, True):
        line = ClientLine()
        line.session.close(1000, "", line.now)
        if answered:
            line.receive(frame(CLOSE, b"\x03\xe8"))
            line.session.close(1000, "", line.now)
        line.after(4.9)
        assert not line.session.gone
        line.after(0.2)
        assert line.session.gone
        assert line.endpoint.closed


def test_a_server_that_vanishes_is_a_1006_behind_what_it_sent() -> None:
    line = ClientLine()
    line.receive(frame(TEXT, b"one"), frame(TEXT, b"two"), frame(TEXT, b"thr")[:-1])
    line.endpoint.connection_lost("the cable was cut")
    assert line.messages() == ["one", "two"]
    failure = line.session.failure()
    assert isinstance(failure, WebSocketClosed)
    assert failure.code == 1006
    assert str(failure.__cause__) == "the cable was cut"


def test_messages_that_nobody_took_yet_come_before_the_end() -> None:
    line = ClientLine()
    line.receive(*[frame(BINARY, bytes(10_000)) for _ in range(12)], frame(CLOSE, b"\x03\xe8"))
    line.end()
    assert len(line.messages()) == 12
    assert ended(line.session) == (1000, "")


# -- credit ----------------------------------------------------------------------------------------


def test_messages_nobody_takes_stop_the_reading() -> None:
    line = ClientLine(stream_window=65_536)
    sent = 0
    while line.endpoint.connection.wants_read:
        line.receive(frame(BINARY, bytes(10_000)))
        sent += 1
        assert sent < 100
    assert len(line.messages()) == sent
    assert line.endpoint.connection.wants_read


def test_a_server_that_does_not_read_its_pongs_is_not_read_either() -> None:
    line = ClientLine(stream_window=65_536)
    line.takes = False
    sent = 0
    while line.endpoint.connection.wants_read:
        line.receive(frame(PING, bytes(125)))
        sent += 1
        assert sent < 10_000
    line.takes = True
    assert len(line.frames()) == sent
    assert line.endpoint.connection.wants_read


def test_two_ends_that_send_before_they_read_do_not_wait_for_each_other() -> None:
    line = ClientLine()
    line.takes = False
    line.session.send(bytes(1_000_000))
    assert line.session.blocked
    line.receive(frame(BINARY, b"read all the same"))
    assert line.messages() == [b"read all the same"]
    line.takes = True
    assert line.frames() == [Frame(BINARY, bytes(1_000_000))]
    assert not line.session.blocked


def test_a_server_that_takes_nothing_is_given_up_and_one_that_takes_something_is_not() -> None:
    line = ClientLine()
    line.takes = False
    line.session.send(bytes(1_000_000))
    before = line.session.waiting
    line.session.check_progress(before + 1, 60)
    assert line.session.open
    with pytest.raises(WriteTimeout, match="took nothing for 60 seconds"):
        line.session.check_progress(before, 60)
    assert not line.session.open


# -- one stream among others -----------------------------------------------------------------------


class OnStreams(ClientPair):
    """A client whose WebSockets are streams of one connection; ``h2`` serves."""

    def __init__(self) -> None:
        super().__init__()
        self.peer.update_settings({h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
        self.move()

    def websocket(self) -> tuple[int, ClientSession]:
        """Open a WebSocket, and return its stream and its session."""
        fields = request_fields(b"CONNECT", b"/", (b":protocol", b"websocket"))
        exchange = self.endpoint.open_exchange(fields)
        self.move()
        self.peer.send_headers(exchange.stream_id, [(b":status", b"200")])
        self.move()
        return exchange.stream_id, ClientSession(exchange, TERMS, [], 0.0, lambda: None)

    def fill(self, stream_id: int) -> int:
        """Send messages for as long as the client gives credit; return how many."""
        sent = 0
        while self.peer.local_flow_control_window(stream_id) > 10_010:
            self.peer.send_data(stream_id, frame(BINARY, bytes(10_000)))
            self.move()
            sent += 1
            assert sent < 100
        return sent


def test_a_websocket_that_nobody_reads_stops_its_stream_and_not_the_others() -> None:
    pair = OnStreams()
    stream_id, session = pair.websocket()
    sent = pair.fill(stream_id)
    other = pair.open()
    pair.respond(other, b"x" * 60_000)
    assert other.read() == b"x" * 60_000
    taken = 0
    while session.receive() is not None:
        taken += 1
        pair.move()
    assert taken == sent
    assert pair.peer.local_flow_control_window(stream_id) > 30_000


def test_websockets_that_are_given_up_give_their_credit_back() -> None:
    pair = OnStreams()
    for _ in range(60):
        stream_id, session = pair.websocket()
        assert pair.fill(stream_id) >= 10
        session.abandon()
        pair.move()
        assert pair.messages[stream_id].reset == 8
    other = pair.open()
    pair.respond(other, b"x" * 60_000)
    assert other.read() == b"x" * 60_000


def test_over_http2_the_stream_ends_both_ways_with_the_closing_handshake() -> None:
    pair = OnStreams()
    stream_id, session = pair.websocket()
    session.close(1000, "", 0.0)
    pair.move()
    message = pair.messages[stream_id]
    assert not message.ended
    pair.peer.send_data(stream_id, frame(CLOSE, b"\x03\xe8"))
    pair.move()
    assert message.ended
    assert message.reset is None
    pair.peer.end_stream(stream_id)
    pair.move()
    assert session.gone
    assert session.failure().__cause__ is None


def test_over_http2_a_server_that_breaks_a_rule_loses_its_stream_alone() -> None:
    pair = OnStreams()
    stream_id, session = pair.websocket()
    pair.peer.send_data(stream_id, frame(TEXT, b"\xff"))
    pair.move()
    assert ended(session)[0] == 1007
    assert pair.messages[stream_id].ended
    other = pair.open()
    pair.respond(other, b"well")
    assert other.read() == b"well"


def test_a_reset_stream_is_a_1006() -> None:
    pair = OnStreams()
    stream_id, session = pair.websocket()
    pair.peer.reset_stream(stream_id, 8)
    pair.move()
    assert ended(session) == (1006, "")
    assert "CANCEL" in str(session.failure().__cause__)
    assert not pair.endpoint.closed
