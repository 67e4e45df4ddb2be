"""HTTP/1.1 under bytes nobody wrote by hand: no exception, no difference by packet, bounded memory."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from plait.protocol.events import ConnectionClosed, RequestReceived, StreamClosed
from tests.support.h1 import Record, client, request_fields, run_server, server

FRAGMENTS = [
    b"GET / HTTP/1.1\r\n",
    b"POST /p HTTP/1.1\r\n",
    b"HEAD /h HTTP/1.0\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.0 204 No Content\r\n",
    b"Host: a\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"Expect: 100-continue\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"abc",
    b"3\r\nabc\r\n",
    b"0\r\n",
    b"0\r\n\r\n",
    b"X: y\r\n",
    b"X : y\r\n",
    b"\x00",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]
messages = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=8)), max_size=24).map(b"".join)
cuts = st.lists(st.integers(0, 400), max_size=12)


def cut(message: bytes, places: list[int]) -> list[bytes]:
    """Cut a message at the given places."""
    edges = [0, *sorted(place for place in places if place < len(message)), len(message)]
    pieces = (message[start:end] for start, end in pairwise(edges))
    return [piece for piece in pieces if piece]


def assert_every_stream_ends(record: Record) -> None:
    """Assert that each announced stream was closed once, and that nothing follows the end."""
    announced = [event.stream_id for event in record.of(RequestReceived)]
    closed = [event.stream_id for event in record.of(StreamClosed)]
    assert len(set(closed)) == len(closed)
    if record.connection.closed:
        assert isinstance(record.events[-1], ConnectionClosed)
    else:
        assert set(announced) - set(closed) <= set(announced[-1:])


@given(messages, cuts)
def test_a_server_takes_any_bytes_alike_however_they_are_cut(message: bytes, places: list[int]) -> None:
    whole = run_server(server(), [message], eof=True)
    parts = run_server(server(), cut(message, places), eof=True)
    assert parts.output == whole.output
    assert len(parts.of(RequestReceived)) == len(whole.of(RequestReceived))
    assert parts.closed_with == whole.closed_with
    assert_every_stream_ends(whole)
    assert_every_stream_ends(parts)


@given(messages, cuts)
def test_a_client_takes_any_bytes_alike_however_they_are_cut(message: bytes, places: list[int]) -> None:
    records = []
    for pieces in ([message], cut(message, places)):
        connection = client()
        connection.send_request(request_fields(), end_stream=True)
        record = Record(connection)
        for piece in pieces:
            connection.receive_data(piece)
            record.take()
        connection.receive_eof()
        record.take()
        records.append(record)
        assert connection.closed
        assert isinstance(record.events[-1], ConnectionClosed)
    whole, parts = records
    assert parts.closed_with == whole.closed_with
    assert [event.error_code for event in parts.of(StreamClosed)] == [
        event.error_code for event in whole.of(StreamClosed)
    ]


@given(messages, cuts)
def test_a_server_that_nobody_answers_for_holds_no_more_than_it_may(
    message: bytes, places: list[int]
) -> None:
    connection = server(max_header_size=128, max_target_size=32, max_header_fields=8)
    held = 0
    for _ in range(50):
        for piece in cut(message, places):
            if connection.wants_read:
                connection.receive_data(piece)
                held += sum(len(getattr(event, "data", b"")) for event in connection.events())
    assert len(connection._buffer) <= 65_536 + len(message)
    assert held <= 262_144 + len(message)
    assert len(connection.data_to_send()) < 1000


@given(st.binary(max_size=300), cuts)
def test_random_bytes_never_begin_an_exchange_they_do_not_end(garbage: bytes, places: list[int]) -> None:
    record = run_server(server(), cut(garbage, places), eof=True)
    assert record.connection.closed
    assert_every_stream_ends(record)
