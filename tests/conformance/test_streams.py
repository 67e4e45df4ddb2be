"""The start of a connection, the life of streams and the flow of content (RFC 9113 §3, §5, §6.9)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from struct import pack

import pytest

from tests.support.conformance_app import LARGE, SMALL
from tests.support.raw_client import (
    PREFACE,
    Code,
    Flag,
    H2Client,
    Kind,
    Origin,
    Setting,
    frame,
    get,
    post,
    settings,
)
from tests.support.servers import serve_app

END_BOTH = Flag.END_HEADERS | Flag.END_STREAM
Connect = Callable[[], H2Client]


# -- §3.4: the preface ------------------------------------------------------------------------------


def test_the_server_begins_with_settings(connect: Connect) -> None:
    """§3.4: its preface is a SETTINGS frame, the first thing it sends."""
    client = connect()
    client.handshake()
    client.expect_service()


def test_a_client_need_not_wait_for_the_settings_of_the_server(connect: Connect) -> None:
    """§3.4."""
    client = connect()
    block = client.encoder.encode(get())
    client.send(PREFACE + settings() + frame(Kind.HEADERS, block, flags=END_BOTH, stream=1))
    assert client.response(1).content == SMALL


def test_a_preface_may_come_byte_by_byte(connect: Connect) -> None:
    """§3.4."""
    client = connect()
    for byte in PREFACE[:-1]:
        client.send(bytes([byte]))
    client.send(PREFACE[-1:] + settings())
    client.expect_service()


@pytest.mark.parametrize(
    "preface",
    [
        b"INVALID CONNECTION PREFACE\r\n\r\n",
        PREFACE[:-4] + b"XX\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        PREFACE[3:] + PREFACE,
        bytes(24),
    ],
    ids=["no preface", "wrong end", "HTTP/1.1", "shifted", "zeros"],
)
def test_an_invalid_preface_ends_the_connection(connect: Connect, preface: bytes) -> None:
    """§3.4: GOAWAY may be left out, since this may not be HTTP/2 at all."""
    client = connect()
    client.send(preface)
    client.receive_all()
    assert client.closed


@pytest.mark.parametrize(
    "first",
    [
        frame(Kind.PING, bytes(8)),
        frame(Kind.WINDOW_UPDATE, pack(">I", 1)),
        frame(Kind.SETTINGS, flags=Flag.ACK),
        frame(0x16, b"unknown"),
    ],
    ids=["PING", "WINDOW_UPDATE", "SETTINGS acknowledgement", "unknown type"],
)
def test_a_preface_without_settings_is_a_connection_error(connect: Connect, first: bytes) -> None:
    """§3.4: the SETTINGS frame is part of it."""
    client = connect()
    client.send(PREFACE + first)
    client.expect_connection_error(Code.PROTOCOL_ERROR)


# -- §5.1: idle streams -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        frame(Kind.DATA, b"content", flags=Flag.END_STREAM, stream=1),
        frame(Kind.RST_STREAM, pack(">I", Code.CANCEL), stream=1),
        frame(Kind.WINDOW_UPDATE, pack(">I", 100), stream=1),
        frame(Kind.CONTINUATION, b"", flags=Flag.END_HEADERS, stream=1),
        frame(Kind.DATA, b"content", stream=2),
        frame(Kind.RST_STREAM, pack(">I", Code.CANCEL), stream=2),
        frame(Kind.WINDOW_UPDATE, pack(">I", 100), stream=2),
    ],
    ids=["DATA", "RST_STREAM", "WINDOW_UPDATE", "CONTINUATION", "DATA, even", "RST_STREAM, even",
         "WINDOW_UPDATE, even"],
)  # fmt: skip
def test_a_frame_on_an_idle_stream_is_a_connection_error(client: H2Client, payload: bytes) -> None:
    """§5.1: all but HEADERS and PRIORITY."""
    client.send(payload)
    client.expect_connection_error(Code.PROTOCOL_ERROR)


# -- §5.1: half-closed (remote) ---------------------------------------------------------------------


@pytest.fixture
def half_closed(client: H2Client) -> int:
    """Return a stream whose request is complete and whose response waits for a window."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)))
    return client.headers(get())


def test_data_on_a_half_closed_stream_is_an_error(client: H2Client, half_closed: int) -> None:
    """§5.1."""
    client.data(half_closed, b"content", end=True)
    client.expect_stream_error(half_closed, Code.STREAM_CLOSED)


def test_headers_on_a_half_closed_stream_are_an_error(client: H2Client, half_closed: int) -> None:
    """§5.1."""
    client.headers(get(), stream=half_closed)
    client.expect_stream_error(half_closed, Code.STREAM_CLOSED)


def test_a_continuation_on_a_half_closed_stream_is_an_error(client: H2Client, half_closed: int) -> None:
    """§5.1, §6.10."""
    client.send(frame(Kind.CONTINUATION, b"", flags=Flag.END_HEADERS, stream=half_closed))
    client.expect_stream_error(half_closed, Code.STREAM_CLOSED, Code.PROTOCOL_ERROR)


def test_a_half_closed_stream_takes_window_updates(client: H2Client, half_closed: int) -> None:
    """§5.1: the response waits for them."""
    client.credit(1000, stream=half_closed)
    assert client.response(half_closed).content == SMALL


def test_a_half_closed_stream_takes_a_priority(client: H2Client, half_closed: int) -> None:
    """§5.1."""
    client.send(frame(Kind.PRIORITY, pack(">IB", 0, 255), stream=half_closed))
    client.credit(1000, stream=half_closed)
    assert client.response(half_closed).content == SMALL


def test_a_half_closed_stream_takes_a_reset(client: H2Client, half_closed: int) -> None:
    """§5.1."""
    client.send(frame(Kind.RST_STREAM, pack(">I", Code.CANCEL), stream=half_closed))
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 65_535)))
    client.expect_service()


# -- §5.1: closed -----------------------------------------------------------------------------------


@pytest.fixture
def reset(client: H2Client) -> int:
    """Return a stream that the client has reset."""
    stream = client.open(post())
    client.send(frame(Kind.RST_STREAM, pack(">I", Code.CANCEL), stream=stream))
    return stream


def test_data_after_a_reset_is_an_error(client: H2Client, reset: int) -> None:
    """§5.1: an endpoint that receives RST_STREAM treats any frame after it as STREAM_CLOSED."""
    client.data(reset, b"content", end=True)
    client.expect_stream_error(reset, Code.STREAM_CLOSED)


def test_headers_after_a_reset_are_an_error(client: H2Client, reset: int) -> None:
    """§5.1."""
    client.headers(get(), stream=reset)
    client.expect_stream_error(reset, Code.STREAM_CLOSED)


def test_a_continuation_after_a_reset_is_an_error(client: H2Client, reset: int) -> None:
    """§5.1, §6.10."""
    client.send(frame(Kind.CONTINUATION, b"", flags=Flag.END_HEADERS, stream=reset))
    client.expect_stream_error(reset, Code.STREAM_CLOSED, Code.PROTOCOL_ERROR)


@pytest.fixture
def ended(client: H2Client) -> int:
    """Return a stream whose request and response are complete."""
    stream = client.headers(get())
    assert client.response(stream).content == SMALL
    return stream


def test_data_after_both_ends_is_a_connection_error(client: H2Client, ended: int) -> None:
    """§5.1."""
    client.data(ended, b"content", end=True)
    client.expect_connection_error(Code.STREAM_CLOSED)


def test_headers_after_both_ends_are_a_connection_error(client: H2Client, ended: int) -> None:
    """§5.1."""
    client.headers(get(), stream=ended)
    client.expect_connection_error(Code.STREAM_CLOSED)


def test_a_continuation_after_both_ends_is_a_connection_error(client: H2Client, ended: int) -> None:
    """§5.1, §6.10."""
    client.send(frame(Kind.CONTINUATION, b"", flags=Flag.END_HEADERS, stream=ended))
    client.expect_connection_error(Code.STREAM_CLOSED, Code.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (Kind.WINDOW_UPDATE, pack(">I", 1)),
        (Kind.RST_STREAM, pack(">I", Code.NO_ERROR)),
        (Kind.PRIORITY, pack(">IB", 0, 15)),
    ],
    ids=lambda value: value.name if isinstance(value, Kind) else "",
)
def test_what_may_be_late_is_taken_after_the_end(
    client: H2Client, ended: int, kind: Kind, payload: bytes
) -> None:
    """§5.1: these may have been sent before the end was seen."""
    client.send(frame(kind, payload, stream=ended))
    client.expect_service()


# -- §5.1.1 and §5.1.2: ids and how many ------------------------------------------------------------


@pytest.mark.parametrize("stream", [2, 100])
def test_a_request_on_an_even_stream_is_a_connection_error(client: H2Client, stream: int) -> None:
    """§5.1.1."""
    client.headers(get(), stream=stream)
    client.expect_connection_error(Code.PROTOCOL_ERROR)


@pytest.mark.parametrize("stream", [1, 3])
def test_a_request_on_a_smaller_stream_is_a_connection_error(client: H2Client, stream: int) -> None:
    """§5.1.1: streams passed over are closed."""
    client.headers(get(), stream=5)
    client.headers(get(), stream=stream)
    client.expect_connection_error(Code.PROTOCOL_ERROR, Code.STREAM_CLOSED)


def test_stream_ids_may_be_passed_over(client: H2Client) -> None:
    """§5.1.1."""
    assert client.response(client.headers(get(), stream=7)).status == 200
    assert client.response(client.headers(get(), stream=2**31 - 1)).status == 200


def test_as_many_streams_as_allowed_are_served(client: H2Client) -> None:
    """§5.1.2."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)))
    streams = [client.headers(get()) for _ in range(client.settings[Setting.MAX_CONCURRENT_STREAMS])]
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 65_535)))
    unfinished = set(streams)
    while unfinished:
        received = client.wait_for(lambda received: received.ends_stream)
        assert received.kind == Kind.DATA
        unfinished.remove(received.stream)


def test_a_stream_too_many_is_refused(client: H2Client) -> None:
    """§5.1.2: with REFUSED_STREAM it can be tried again."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)))
    streams = [client.headers(get()) for _ in range(client.settings[Setting.MAX_CONCURRENT_STREAMS] + 1)]
    client.expect_stream_error(streams[-1], Code.REFUSED_STREAM)
    client.credit(1000, stream=streams[0])
    client.wait_for(lambda received: received.stream == streams[0] and received.ends_stream)
    again = client.headers(get())
    client.credit(1000, stream=again)
    assert client.response(again).content == SMALL


# -- §5.4: errors -----------------------------------------------------------------------------------


def test_a_connection_error_is_told_with_a_goaway_and_closes_the_connection(client: H2Client) -> None:
    """§5.4.1."""
    client.headers(get())
    client.send(frame(Kind.PING, bytes(6)))
    goaway = client.wait_for(lambda received: received.kind == Kind.GOAWAY)
    assert goaway.error_code == Code.FRAME_SIZE_ERROR
    assert int.from_bytes(goaway.payload[:4]) in (0, 1)
    assert client.read() is None


# -- §5.2, §6.9.1 and §6.9.2: windows ---------------------------------------------------------------


def test_a_window_of_one_byte_is_not_exceeded(client: H2Client) -> None:
    """§6.9.1."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 1)))
    stream = client.headers(get())
    for _ in range(3):
        data = [one for one in client.until_pong() if one.kind == Kind.DATA]
        if not data:
            data = [client.wait_for(lambda received: received.kind == Kind.DATA)]
        assert [len(one.payload) for one in data] == [1]
        client.credit(1, stream=stream)


def test_a_window_of_0_holds_content_back_but_not_the_head(client: H2Client) -> None:
    """§6.9.1."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)))
    stream = client.headers(get())
    client.wait_for(lambda received: received.kind == Kind.HEADERS)
    assert all(received.kind != Kind.DATA for received in client.until_pong())
    client.credit(5, stream=stream)
    first = client.wait_for(lambda received: received.kind == Kind.DATA)
    assert first.payload == SMALL[:5]


def test_a_window_changed_by_settings_counts_for_streams_already_open(client: H2Client) -> None:
    """§6.9.2."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)))
    stream = client.headers(get())
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 1)))
    first = client.wait_for(lambda received: received.kind == Kind.DATA)
    assert (first.stream, first.payload) == (stream, SMALL[:1])
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 1000)))
    assert client.wait_for(lambda received: received.kind == Kind.DATA).payload == SMALL[1:]


def test_a_window_may_become_negative(client: H2Client) -> None:
    """§6.9.2: content flows again once it is positive."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 3)))
    stream = client.headers(get())
    client.wait_for(lambda received: received.kind == Kind.DATA and len(received.payload) == 3)
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 2)))
    assert all(received.kind != Kind.DATA for received in client.until_pong())
    client.credit(1, stream=stream)
    assert all(received.kind != Kind.DATA for received in client.until_pong())
    client.credit(1, stream=stream)
    assert client.wait_for(lambda received: received.kind == Kind.DATA).payload == SMALL[3:4]


def test_the_window_of_the_connection_is_kept_by_all_streams_together(client: H2Client) -> None:
    """§6.9.1: SETTINGS change nothing about it (§6.9.2)."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 2**31 - 1)))
    streams = [client.headers(get(b"/large")) for _ in range(2)]
    left = 65_535
    while left:
        left -= len(client.wait_for(lambda received: received.kind == Kind.DATA).payload)
        assert left >= 0
    assert all(received.kind != Kind.DATA for received in client.until_pong())
    client.credit(2 * len(LARGE))
    unfinished = set(streams)
    while unfinished:
        unfinished.discard(client.wait_for(lambda received: received.ends_stream).stream)


def test_large_content_arrives_whole_through_small_windows(client: H2Client) -> None:
    """§6.9."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 10_000)))
    stream = client.headers(get(b"/large"))
    content, window = b"", 10_000
    while True:
        received = client.wait_for(lambda received: received.kind == Kind.DATA)
        content += received.payload
        window -= len(received.payload)
        assert window >= 0
        if received.ends_stream:
            break
        if received.payload:
            window += len(received.payload)
            client.credit(len(received.payload))
            client.credit(len(received.payload), stream=stream)
    assert content == LARGE


def test_frames_keep_to_the_size_the_client_allows(client: H2Client) -> None:
    """§4.2; what is larger than the default fails in the client."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 2**31 - 1)))
    client.credit(2**31 - 1 - 65_535)
    response = client.response(client.headers(get(b"/large")))
    assert response.content == LARGE
    assert max(response.sizes) <= 16_384


def test_a_window_beyond_its_maximum_is_a_connection_error(client: H2Client) -> None:
    """§6.9.1: of the connection."""
    client.credit(2**31 - 1)
    client.credit(2**31 - 1)
    client.expect_connection_error(Code.FLOW_CONTROL_ERROR)


def test_a_window_of_a_stream_beyond_its_maximum_is_a_stream_error(client: H2Client) -> None:
    """§6.9.1."""
    stream = client.open(post())
    client.credit(2**31 - 1, stream=stream)
    client.credit(2**31 - 1, stream=stream)
    client.expect_stream_error(stream, Code.FLOW_CONTROL_ERROR)


def test_a_window_beyond_its_maximum_by_settings_is_a_connection_error(client: H2Client) -> None:
    """§6.9.2."""
    stream = client.open(post())
    client.credit(2**31 - 1 - 65_535, stream=stream)
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 65_536)))
    client.expect_connection_error(Code.FLOW_CONTROL_ERROR)


def test_content_beyond_the_windows_of_the_server_is_an_error(client: H2Client) -> None:
    """§6.9.1: of the stream at least; what waits for room to write reads nothing."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 0)))
    stream = client.open(post(b"/large"))
    for _ in range(client.settings.get(Setting.INITIAL_WINDOW_SIZE, 65_535) // 16_384 + 1):
        client.data(stream, bytes(16_384))
    client.expect_stream_error(stream, Code.FLOW_CONTROL_ERROR)


def test_an_upload_larger_than_the_window_is_credited(client: H2Client) -> None:
    """§6.9: two times the window of its stream go through, when the client keeps to it."""
    window = client.settings.get(Setting.INITIAL_WINDOW_SIZE, 65_535)
    stream = client.open(post())
    size, sent = 2 * window, 0
    while sent < size:
        room = min(window + client.credits[stream], 65_535 + client.credits[0], size) - sent
        if room:
            client.data(stream, bytes(min(room, 16_384)), end=sent + room == size and room <= 16_384)
            sent += min(room, 16_384)
        else:
            client.wait_for(lambda received: received.kind == Kind.WINDOW_UPDATE)
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 2**31 - 1)))
    client.credit(2**31 - 1 - 65_535)
    assert client.response(stream).content == bytes(size)


# -- §6.8: a graceful end ---------------------------------------------------------------------------


def test_a_server_that_stops_finishes_what_is_in_flight() -> None:
    """§6.8: a notice, a round trip later the last stream, its response, then the close."""
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        stopping = ExitStack()
        server = stopping.enter_context(serve_app("conformance_app:app", certificate=None))
        client = stack.enter_context(closing(H2Client(Origin(server.port, None).connect())))
        client.handshake()
        first = client.open(post())
        client.until_pong()
        stopped = pool.submit(stopping.close)
        notice = client.wait_for(lambda received: received.kind == Kind.GOAWAY)
        assert (int.from_bytes(notice.payload[:4]), notice.error_code) == (2**31 - 1, Code.NO_ERROR)
        second = client.open(post())
        ping = client.wait_for(lambda received: received.kind == Kind.PING and not received.flags)
        client.send(frame(Kind.PING, ping.payload, flags=Flag.ACK))
        final = client.wait_for(lambda received: received.kind == Kind.GOAWAY)
        assert (int.from_bytes(final.payload[:4]), final.error_code) == (second, Code.NO_ERROR)
        client.open(post())
        client.data(first, b"first", end=True)
        client.data(second, b"second", end=True)
        contents = {}
        while len(contents) < 2:
            data = client.wait_for(lambda received: received.kind == Kind.DATA)
            contents[data.stream] = data.payload
        assert contents == {first: b"first", second: b"second"}
        while client.read() is not None:
            pass
        stopped.result()
