"""What field sections take: counted by the client, and once more from the frames themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hpack.hpack import decode_integer
from hyperframe.frame import ContinuationFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from plait.protocol.events import ErrorCode, Role
from plait.protocol.exchange import Exchange
from plait.protocol.field_bytes import FieldBytes, FieldCount
from plait.protocol.h1_client import H1Client
from plait.protocol.h2 import H2Connection
from tests.support.pairs import ClientPair, frames, request_fields

#: Entries of HPACK's static table (RFC 7541 appendix A).
STATIC_ENTRIES = 61


def counting_pair(**options: int) -> ClientPair:
    return ClientPair(field_count=FieldCount(), **options)


def field_bytes(pair: ClientPair) -> FieldBytes:
    found = pair.endpoint.connection.field_bytes
    assert found is not None
    return found


def size_of_field_frames(data: bytes) -> int:
    kinds = HeadersFrame | ContinuationFrame
    return sum(9 + frame.body_len for frame in frames(data) if isinstance(frame, kinds))


def head(*lines: bytes) -> int:
    return len(b"".join(line + b"\r\n" for line in (*lines, b"")))


def open_with(pair: ClientPair, path: bytes, *more: tuple[bytes, bytes]) -> Exchange:
    exchange = pair.endpoint.open_exchange(request_fields(b"GET", path, *more), end_stream=True)
    pair.move()
    return exchange


# -- HTTP/2 --------------------------------------------------------------------------------------


def test_nothing_is_counted_unless_it_is_asked_for() -> None:
    pair = ClientPair()
    pair.respond(pair.open(), b"hello")
    assert pair.endpoint.connection.field_bytes is None


def test_a_section_is_counted_as_http_1_writes_it_and_as_its_frames_are() -> None:
    pair = counting_pair()
    exchange = open_with(pair, b"/book?id=1", (b"accept", b"*/*"))
    pair.peer.send_headers(exchange.stream_id, [(b":status", b"404"), (b"server", b"h2")])
    pair.peer.send_data(exchange.stream_id, b"content counts for nothing", end_stream=True)
    pair.move()
    assert field_bytes(pair) == FieldBytes(
        request=head(b"GET /book?id=1 HTTP/1.1", b"host: a.example", b"accept: */*"),
        request_wire=size_of_field_frames(bytes(pair.written)),
        response=head(b"HTTP/1.1 404 Not Found", b"server: h2"),
        response_wire=size_of_field_frames(bytes(pair.delivered)),
    )


def test_interim_responses_and_trailers_count_too() -> None:
    pair = counting_pair()
    exchange = pair.open()
    peer, stream = pair.peer, exchange.stream_id
    peer.send_headers(stream, [(b":status", b"103"), (b"link", b"</a.css>")])
    peer.send_headers(stream, [(b":status", b"200")])
    peer.send_data(stream, b"hello")
    peer.send_headers(stream, [(b"x-digest", b"12")], end_stream=True)
    pair.move()
    counted = field_bytes(pair)
    sections = (
        head(b"HTTP/1.1 103 Early Hints", b"link: </a.css>"),
        head(b"HTTP/1.1 200 OK"),
        head(b"x-digest: 12"),
    )
    assert counted.response == sum(sections)
    assert counted.response_wire == size_of_field_frames(bytes(pair.delivered))


def test_a_section_in_several_frames_counts_with_the_header_of_each() -> None:
    pair = counting_pair()
    long = bytes(range(33, 126)) * 400  # 37 KB, which Huffman's code makes longer
    exchange = open_with(pair, b"/", (b"x-long", long))
    pair.peer.send_headers(exchange.stream_id, [(b":status", b"200"), (b"x-long", long)], end_stream=True)
    pair.move()
    assert any(isinstance(frame, ContinuationFrame) for frame in frames(bytes(pair.written)))
    counted = field_bytes(pair)
    assert counted.request_wire == size_of_field_frames(bytes(pair.written)) > 30_000
    assert counted.response_wire == size_of_field_frames(bytes(pair.delivered)) > 30_000


def test_the_dynamic_table_makes_repeated_sections_small() -> None:
    pair = counting_pair()
    for number in range(50):
        pair.respond(open_with(pair, b"/%d" % number, (b"user-agent", b"somebody/1.0"), (b"accept", b"*/*")))
    counted = field_bytes(pair)
    assert counted.request_wire < 0.4 * counted.request


def test_content_under_way_does_not_hide_the_frames_behind_it() -> None:
    pair = counting_pair()
    exchange = pair.open(b"POST", end_stream=False)
    exchange.send_data(bytes(60_000), end_stream=True)
    open_with(pair, b"/second")
    assert field_bytes(pair).request_wire == size_of_field_frames(bytes(pair.written))


def test_resets_are_counted_in_both_directions() -> None:
    pair = ClientPair()
    mine, theirs = pair.open(), pair.open()
    mine.abandon()
    pair.send(RstStreamFrame(theirs.stream_id, error_code=8).serialize())
    pair.move()
    connection = pair.endpoint.connection
    assert (connection.resets_sent, connection.resets_received) == (1, 1)


# -- HPACK's dynamic table ------------------------------------------------------------------------


def representations(block: bytes) -> Iterator[tuple[str, int]]:
    """Take a field block apart (RFC 7541 §6): kinds and indices, or the size of a size update."""
    at = 0

    def integer(prefix: int) -> int:
        nonlocal at
        value, size = decode_integer(block[at:], prefix)
        at += size
        return int(value)

    def string() -> None:
        nonlocal at
        size = integer(7)
        at += size

    while at < len(block):
        first = block[at]
        if first & 0x80:
            yield "indexed", integer(7)
        elif first & 0x20 and not first & 0x40:
            yield "size", integer(5)
        else:
            kind, prefix = ("added", 6) if first & 0x40 else ("literal", 4)
            index = integer(prefix)
            if not index:
                string()
            string()
            yield kind, index


def blocks(data: bytes) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for frame in frames(data):
        if isinstance(frame, HeadersFrame):
            found += representations(frame.data)
    return found


def two_exchanges_alike(header_table_size: int) -> ClientPair:
    pair = ClientPair(header_table_size=header_table_size)
    for _ in range(2):
        exchange = open_with(pair, b"/same", (b"x-name", b"value"))
        fields = [(b":status", b"200"), (b"x-answer", b"value")]
        pair.peer.send_headers(exchange.stream_id, fields, end_stream=True)
        pair.move()
    return pair


def test_without_a_header_table_nothing_refers_to_one_in_either_direction() -> None:
    pair = two_exchanges_alike(0)
    sent, received = blocks(bytes(pair.written)), blocks(bytes(pair.delivered))
    assert not any(kind == "added" for kind, _ in sent)
    for kind, index in [*sent, *received]:
        assert index <= STATIC_ENTRIES, kind
    # Its own encoder begins with a table of the size that it may have at most (RFC 7541 §4.2).
    assert ("size", 0) in received


def test_with_the_header_table_of_the_standard_the_second_request_refers_to_the_first() -> None:
    pair = two_exchanges_alike(4096)
    for data in (pair.written, pair.delivered):
        assert any(kind == "indexed" and index > STATIC_ENTRIES for kind, index in blocks(bytes(data)))


def test_a_peer_that_refers_to_a_table_it_was_not_given_ends_the_connection() -> None:
    pair = ClientPair(header_table_size=0)
    exchange = pair.open()
    # RFC 7541 §2.3.3: an index beyond both tables is a decoding error.
    frame = HeadersFrame(exchange.stream_id, data=bytes([0x80 | 62]), flags=["END_HEADERS", "END_STREAM"])
    pair.send(frame.serialize())
    pair.move()
    assert pair.goaways == [(0, ErrorCode.COMPRESSION_ERROR)]


@pytest.mark.parametrize("size", [0, 1, 65_536])
def test_the_size_of_the_header_table_is_announced(size: int) -> None:
    pair = ClientPair(header_table_size=size)
    assert pair.peer.remote_settings.header_table_size == size


def test_the_first_settings_of_a_server_say_nothing_of_the_header_table() -> None:
    connection = H2Connection(
        Role.SERVER,
        max_concurrent_streams=100,
        max_header_fields=100,
        max_header_size=65536,
        stream_window=65536,
        connection_window=65536,
    )
    (settings,) = [frame for frame in frames(connection.data_to_send()) if isinstance(frame, SettingsFrame)]
    assert SettingsFrame.HEADER_TABLE_SIZE not in settings.settings


# -- HTTP/1.1 ------------------------------------------------------------------------------------


def test_over_http_1_both_counts_are_the_bytes_of_the_heads() -> None:
    count = FieldCount()
    connection = H1Client(
        max_header_fields=100, max_header_size=65536, stream_window=65536, field_count=count
    )
    stream_id = connection.send_request(
        [*request_fields(b"POST", b"/book"), (b"content-length", b"4")], end_stream=False
    )
    connection.send_data(stream_id, b"book", end_stream=True)
    sent = connection.data_to_send().removesuffix(b"book")
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    final = b"HTTP/1.1 200 \r\nTransfer-Encoding:chunked\r\n\r\n"
    trailers = b"x-digest: 12\r\n\r\n"
    for piece in (interim, final[:20], final[20:] + b"2\r\nok\r\n0\r\n" + trailers):
        connection.receive_data(piece)
    size = len(interim + final + trailers)
    assert connection.field_bytes == FieldBytes(len(sent), len(sent), size, size)
