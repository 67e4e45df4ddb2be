"""What is made of a response's content: codings undone, text, lines, events."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

import plait
from plait.client.accepting import accept_encoding, codings_of
from plait.client.decoding import PIECE, Decoder, decode
from plait.client.making import RequestMaker
from plait.client.server_sent_events import Events
from plait.client.texts import Lines, Text
from plait.errors import ContentDecodingError, LocalProtocolError, RemoteProtocolError
from tests.support.faces import Face
from tests.support.raw_h2 import Peer, RawServer, raw_server

Make = Callable[..., Face]
MIB = 1 << 20


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "two members of gzip": ("x-gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    "gzip and padding": ("gzip", lambda data: gzip.compress(data) + bytes(9)),
    "deflate": ("deflate", zlib.compress),
    "deflate without zlib's wrapping": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstd.compress),
    "two frames of zstd": ("zstd", lambda data: zstd.compress(data[:9]) + zstd.compress(data[9:])),
}
each_coding = pytest.mark.parametrize(("coding", "encode"), ENCODERS.values(), ids=ENCODERS)


def taken(decoder: Decoder, data: bytes, step: int) -> bytes:
    """Feed a decoder in steps of so many bytes, and return all it gives."""
    result = b""
    for at in range(0, len(data), step):
        decoder.feed(data[at : at + step])
        while piece := decoder.take():
            assert len(piece) <= 2 * PIECE
            result += piece
    decoder.finish()
    return result


@each_coding
@pytest.mark.parametrize("content", [b"", b"a", b"some content" * 1000, bytes(3 * MIB)], ids=len)
def test_a_coding_is_undone_however_it_is_cut(
    coding: str, encode: Callable[[bytes], bytes], content: bytes
) -> None:
    coded = encode(content)
    for step in (1, 2, 7, MIB) if len(coded) < 20_000 else (9973, MIB):
        assert taken(Decoder([coding]), coded, step) == content
    assert decode(coded, [coding], len(content) or 1) == content


@given(st.binary(max_size=2000), st.lists(st.sampled_from(list(ENCODERS)), min_size=1, max_size=5))
def test_codings_are_undone_one_after_the_other(content: bytes, names: list[str]) -> None:
    coded = content
    for name in names:
        coded = ENCODERS[name][1](coded)
    assert decode(coded, [ENCODERS[name][0] for name in names], 4000) == content


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_content_that_breaks_off_is_an_error(coding: str) -> None:
    coded = ENCODERS[coding][1](b"some content, not much")
    for at in range(1, len(coded)):
        with pytest.raises(ContentDecodingError, match=f"in the middle of its {coding}"):
            decode(coded[:at], [coding], 1000)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@given(content=st.binary(min_size=1))
def test_garbage_is_content_or_an_error_and_nothing_else(coding: str, content: bytes) -> None:
    try:
        decode(content, [coding], 100_000)
    except ContentDecodingError:
        pass


@each_coding
def test_a_bomb_is_not_blown_up(coding: str, encode: Callable[[bytes], bytes]) -> None:
    bomb = encode(bytes(64 * MIB))
    with pytest.raises(ContentDecodingError, match=f"are more than {MIB} once decoded"):
        decode(bomb, [coding], MIB)
    decoder = Decoder([coding])
    decoder.feed(bomb)
    for _ in range(20):
        assert 0 < len(decoder.take()) <= 2 * PIECE


def test_a_bomb_in_a_bomb_is_not_blown_up_either() -> None:
    bomb = gzip.compress(gzip.compress(bytes(64 * MIB), 9), 9)
    assert len(bomb) < 1000
    with pytest.raises(ContentDecodingError):
        decode(bomb, ["gzip", "gzip"], MIB)
    with pytest.raises(ContentDecodingError, match="coded 6 times"):
        decode(bomb, ["gzip"] * 6, MIB)


def test_a_bomb_that_comes_to_nothing_is_not_blown_up_on_its_way() -> None:
    nothing = gzip.compress(gzip.compress(b"") * 500_000)
    for layers in (2, 3):
        with pytest.raises(ContentDecodingError, match="blown up"):
            decode(nothing, ["gzip"] * layers, MIB)
        nothing = gzip.compress(nothing)


def test_a_window_larger_than_http_allows_is_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    coded = compressor.compress(b"x" * 100) + compressor.flush()
    with pytest.raises(ContentDecodingError):
        decode(coded, ["zstd"], 1000)


def test_the_client_asks_for_what_it_can_undo_and_no_more() -> None:
    assert accept_encoding() == b"gzip, deflate, br, zstd"
    make = RequestMaker("https://a.example").make
    assert make("GET", "/").headers["accept-encoding"] == "gzip, deflate, br, zstd"
    assert make("GET", "/", headers={"accept-encoding": "br"}).headers["accept-encoding"] == "br"
    for headers in ({"range": "bytes=0-9"}, (("range", "bytes=0-9"),)):
        assert "accept-encoding" not in make("GET", "/", headers=headers).headers  # type: ignore[arg-type]
    client = plait.Client("https://a.example", decode=False)
    assert "accept-encoding" not in client.build_request("GET", "/").headers
    client.close()


@pytest.mark.parametrize(
    ("values", "method", "status", "codings"),
    [
        (["gzip"], "GET", 200, ["gzip"]),
        (["GZip, identity", "br"], "GET", 200, ["gzip", "br"]),
        (["gzip"], "HEAD", 200, ()),
        (["gzip"], "GET", 206, ()),
        (["gzip"], "GET", 304, ()),
        (["compress"], "GET", 200, ()),
        (["gzip, aes128gcm"], "GET", 200, ()),
        (["identity"], "GET", 200, []),
    ],
)
def test_what_can_be_undone_is(values: list[str], method: str, status: int, codings: Any) -> None:
    assert codings_of(values, method, status) == codings


def serving(content: bytes, *fields: tuple[str, str], pieces: int = 0) -> AbstractContextManager[RawServer]:
    """Run a server that answers every request with this, in so many pieces of one byte if not at once."""

    def answer(peer: Peer) -> None:
        peer.start()
        while True:
            if not any(type(event).__name__ == "RequestReceived" for event in peer.events):
                if not peer.receive():
                    return
                continue
            (stream,) = peer.requests()
            if not pieces:
                peer.respond(stream, content=content, fields=fields)
                continue
            peer.engine.send_headers(stream, [(":status", "200"), *fields])
            for at in range(len(content)):
                peer.engine.send_data(stream, content[at : at + 1])
                peer.flush()
            peer.engine.end_stream(stream)
            peer.flush()

    return raw_server(answer)


@each_coding
def test_both_ways_to_read_undo_a_coding(
    make_client: Make, coding: str, encode: Callable[[bytes], bytes]
) -> None:
    content = b"some content" * 700
    coded = encode(content)  # once: gzip holds the time
    with serving(coded, ("content-encoding", coding)) as server:
        with make_client(server.url, http="2") as client:
            assert client.get("/").content == content
            with client.stream("GET", "/") as response:
                assert b"".join(response.iter_bytes()) == content
            with client.stream("GET", "/") as response:
                assert response.read() == content
        with make_client(server.url, http="2", decode=False) as client:
            assert client.get("/").content == coded
            with client.stream("GET", "/") as response:
                assert response.read() == coded


def test_content_that_cannot_be_decoded_ends_its_own_exchange_alone(make_client: Make) -> None:
    with serving(gzip.compress(bytes(2 * MIB))[:-1], ("content-encoding", "gzip")) as server:
        with make_client(server.url, http="2", max_decoded_size=3 * MIB) as client:
            for _ in range(2):
                with pytest.raises(ContentDecodingError, match="broke off in the middle of its gzip"):
                    client.get("/")
                with (
                    pytest.raises(ContentDecodingError, match="broke off"),
                    client.stream("GET", "/") as stream,
                ):
                    stream.read()
            with client.stream("GET", "/") as stream:
                assert len(next(iter(stream.iter_bytes()))) > 0
            assert client.statistics.connections_opened == 1
        with make_client(server.url, http="2", max_decoded_size=MIB) as client:
            with pytest.raises(ContentDecodingError, match="more than"):
                client.get("/")
            with pytest.raises(ContentDecodingError, match="more than"), client.stream("GET", "/") as stream:
                stream.read()
            with (
                pytest.raises(ContentDecodingError, match="a line is longer"),
                client.stream("GET", "/") as stream,
            ):
                list(stream.iter_lines())


TEXT = "ä\r\nb\rc\n\n€ and 𝄞\r\r\nlast"
LINES = ["ä", "b", "c", "", "€ and 𝄞", "", "last"]


@given(st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]), st.lists(st.integers(1, 5), max_size=40))
def test_characters_and_lines_are_whole_wherever_they_are_cut(charset: str, cuts: list[int]) -> None:
    data = TEXT.encode(charset)
    text, lines = Text(charset), Lines(1000)
    got: list[str] = []
    for size in [*cuts, len(data)]:
        got += lines.feed(text.feed(data[:size]))
        data = data[size:]
    got += lines.feed(text.finish()) + lines.finish()
    assert got == LINES


@given(st.text(alphabet="a\r\n\u2028"), st.integers(0, 20))
def test_lines_end_where_a_file_has_them_end(text: str, at: int) -> None:
    import io

    lines = Lines(1000)
    got = lines.feed(text[:at]) + lines.feed(text[at:]) + lines.finish()
    assert got == [line.removesuffix("\n") for line in io.StringIO(text, newline=None)]


def test_a_line_is_given_when_its_end_has_come() -> None:
    lines = Lines(1000)
    assert lines.feed("one\r") == ["one"]
    assert lines.feed("\ntwo\n") == ["two"]
    with pytest.raises(ContentDecodingError, match="a line is longer than 1000"):
        lines.feed("x" * 600) + lines.feed("x" * 600)


EVENTS = """\ufeff: a comment
data: one

event: kind\r
data: first\r
data:second\r
id: 7\r
retry: 1500\r
\r
data\r\rid
data:  {"a": 1}
unknown: x
retry: soon

event: nothing

data: broken off"""


@given(st.integers(1, 40))
def test_events_are_made_as_the_html_standard_says(step: int) -> None:
    events = Events(1000)
    data = EVENTS.encode()
    got = [event for at in range(0, len(data), step) for event in events.feed(data[at : at + step])]
    assert [tuple(event) for event in got] == [
        ("message", "one", "", None),
        ("kind", "first\nsecond", "7", 1500),
        ("message", "", "7", 1500),
        ("message", ' {"a": 1}', "", 1500),
    ]
    assert got[3].json() == {"a": 1}
    with pytest.raises(ContentDecodingError, match="an event is longer than 1000"):
        events.feed(b"data: 0123456789\n" * 100)


def test_text_lines_and_events_are_read_while_they_arrive(make_client: Make) -> None:
    content = "data: ä\n\nevent: b\ndata: c\n\n".encode()
    fields = ("content-type", "text/event-stream; charset=utf-8")
    with serving(content, fields, pieces=1) as server, make_client(server.url, http="2") as client:
        with client.stream("GET", "/") as response:
            assert "".join(response.iter_text()) == content.decode()
        with client.stream("GET", "/") as response:
            assert list(response.iter_lines()) == ["data: ä", "", "event: b", "data: c", ""]
        with client.stream("GET", "/") as response:
            events = list(response.iter_events())
        assert events == [
            plait.ServerSentEvent("message", "ä", "", None),
            plait.ServerSentEvent("b", "c", "", None),
        ]


def test_what_is_no_stream_of_events_is_told(make_client: Make) -> None:
    with (
        serving(json.dumps({}).encode(), ("content-type", "application/json")) as server,
        make_client(server.url, http="2") as client,
    ):
        expected = pytest.raises(RemoteProtocolError, match="application/json, not text/event-stream")
        with client.stream("GET", "/") as response, expected:
            list(response.iter_events())


def test_the_content_of_a_streamed_response_is_not_in_its_head(make_client: Make) -> None:
    seen: list[plait.Response] = []
    with (
        serving(b"content") as server,
        make_client(server.url, http="2", event_hooks={"response": [seen.append]}) as client,
        client.stream("GET", "/") as response,
    ):
        assert response.read() == b"content"
    with pytest.raises(LocalProtocolError, match="is streamed"):
        _ = seen[0].content
