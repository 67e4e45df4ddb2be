"""What each frame may and may not look like (RFC 9113 §4 and §6)."""

from __future__ import annotations

from struct import pack

import pytest

from tests.support.raw_client import Code, Flag, H2Client, Kind, Setting, frame, get, post, settings

END_BOTH = Flag.END_HEADERS | Flag.END_STREAM


# -- §4.1 and §5.5: what nobody knows ---------------------------------------------------------------


@pytest.mark.parametrize("stream", [0, 1, 2, 101])
def test_a_frame_of_unknown_type_is_ignored(client: H2Client, stream: int) -> None:
    """§4.1, §5.5."""
    client.send(frame(0x16, bytes(8), stream=stream))
    client.expect_service()


def test_a_frame_of_unknown_type_on_an_open_stream_is_ignored(client: H2Client) -> None:
    """§5.5."""
    stream = client.open(post())
    client.send(frame(0xFF, b"anything", flags=0xFF, stream=stream))
    client.data(stream, b"content", end=True)
    assert client.response(stream).content == b"content"


def test_a_frame_of_unknown_type_within_a_field_block_is_a_connection_error(client: H2Client) -> None:
    """§5.5, §6.10."""
    block = client.encoder.encode(get())
    client.send(frame(Kind.HEADERS, block[:5], flags=Flag.END_STREAM, stream=1))
    client.send(frame(0x16, bytes(8), stream=1))
    client.send(frame(Kind.CONTINUATION, block[5:], flags=Flag.END_HEADERS, stream=1))
    client.expect_connection_error(Code.PROTOCOL_ERROR)


def test_undefined_flags_are_ignored(client: H2Client) -> None:
    """§4.1."""
    client.send(frame(Kind.PING, b"flagless", flags=0xF6))
    pong = client.wait_for(lambda received: received.kind == Kind.PING)
    assert (pong.flags, pong.payload) == (Flag.ACK, b"flagless")
    client.send(frame(Kind.HEADERS, client.encoder.encode(get()), flags=END_BOTH | 0xD2 & ~0x08, stream=1))
    assert client.response(1).status == 200


def test_the_reserved_bit_of_a_stream_id_is_ignored(client: H2Client) -> None:
    """§4.1."""
    client.send(frame(Kind.PING, b"reserved", stream=1 << 31))
    pong = client.wait_for(lambda received: received.kind == Kind.PING)
    assert (pong.stream, pong.payload) == (0, b"reserved")
    client.send(frame(Kind.HEADERS, client.encoder.encode(get()), flags=END_BOTH, stream=1 << 31 | 1))
    assert client.response(1).status == 200


# -- §4.2: sizes ------------------------------------------------------------------------------------


def test_a_data_frame_of_the_largest_size_is_taken(client: H2Client) -> None:
    """§4.2."""
    stream = client.open(post())
    client.data(stream, bytes(16_384), end=True)
    assert client.response(stream).content == bytes(16_384)


def test_a_field_block_as_large_as_a_frame_is_taken(client: H2Client) -> None:
    """§4.2."""
    block = client.encoder.encode(get(b"/", (b"x-long", b"~" * 16_000)), huffman=False)
    block += client.encoder.encode([(b"x", b"~" * (16_384 - len(block) - 6))], huffman=False)
    assert abs(len(block) - 16_384) < 8
    client.send(frame(Kind.HEADERS, block, flags=END_BOTH, stream=1))
    assert client.response(1).status == 200


def test_a_data_frame_beyond_the_largest_size_is_an_error(client: H2Client) -> None:
    """§4.2: of the stream at least."""
    stream = client.open(post())
    client.data(stream, bytes(16_385), end=True)
    client.expect_stream_error(stream, Code.FRAME_SIZE_ERROR)


@pytest.mark.parametrize("kind", [Kind.HEADERS, Kind.CONTINUATION, Kind.SETTINGS])
def test_a_frame_beyond_the_largest_size_that_changes_state_is_a_connection_error(
    client: H2Client, kind: Kind
) -> None:
    """§4.2: of a field block or SETTINGS."""
    block = client.encoder.encode(get(b"/", (b"x-long", b"~" * 20_000)), huffman=False)
    if kind == Kind.SETTINGS:
        client.send(settings(*[(Setting.HEADER_TABLE_SIZE, 4096)] * 2731))
    elif kind == Kind.HEADERS:
        client.send(frame(kind, block, flags=END_BOTH, stream=1))
    else:
        client.send(frame(Kind.HEADERS, b"", flags=Flag.END_STREAM, stream=1))
        client.send(frame(kind, block, flags=Flag.END_HEADERS, stream=1))
    client.expect_connection_error(Code.FRAME_SIZE_ERROR)


def test_an_unknown_frame_beyond_the_largest_size_is_never_taken(client: H2Client) -> None:
    """§4.2: it is an error of its stream or of the connection."""
    client.send(frame(0x16, bytes(16_385)))
    client.expect_connection_error(Code.FRAME_SIZE_ERROR)


# -- §6.1: DATA -------------------------------------------------------------------------------------


def test_content_in_one_data_frame_is_taken(client: H2Client) -> None:
    """§6.1."""
    stream = client.open(post())
    client.data(stream, b"content", end=True)
    assert client.response(stream).content == b"content"


def test_content_in_several_data_frames_is_taken(client: H2Client) -> None:
    """§6.1."""
    stream = client.open(post())
    client.data(stream, b"one")
    client.data(stream, b"")
    client.data(stream, b"two")
    client.data(stream, b"", end=True)
    assert client.response(stream).content == b"onetwo"


@pytest.mark.parametrize("padding", [0, 1, 255])
def test_padding_of_data_is_no_content(client: H2Client, padding: int) -> None:
    """§6.1."""
    stream = client.open(post())
    payload = bytes([padding]) + b"content" + bytes(padding)
    client.send(frame(Kind.DATA, payload, flags=Flag.PADDED | Flag.END_STREAM, stream=stream))
    assert client.response(stream).content == b"content"


def test_data_that_is_all_padding_is_taken(client: H2Client) -> None:
    """§6.1."""
    stream = client.open(post())
    client.send(frame(Kind.DATA, b"\x05" + bytes(5), flags=Flag.PADDED | Flag.END_STREAM, stream=stream))
    assert client.response(stream).content == b""


def test_data_on_stream_0_is_a_connection_error(client: H2Client) -> None:
    """§6.1."""
    client.data(0, b"content", end=True)
    client.expect_connection_error(Code.PROTOCOL_ERROR)


@pytest.mark.parametrize("payload", [b"\x08content", b"\xff1", b"\x01"])
def test_padding_longer_than_data_is_a_connection_error(client: H2Client, payload: bytes) -> None:
    """§6.1."""
    stream = client.open(post())
    client.send(frame(Kind.DATA, payload, flags=Flag.PADDED | Flag.END_STREAM, stream=stream))
    client.expect_connection_error(Code.PROTOCOL_ERROR)


def test_padded_data_without_the_length_of_its_padding_is_a_connection_error(client: H2Client) -> None:
    """§4.2, §6.1."""
    stream = client.open(post())
    client.send(frame(Kind.DATA, b"", flags=Flag.PADDED | Flag.END_STREAM, stream=stream))
    client.expect_connection_error(Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR)


# -- §6.2: HEADERS ----------------------------------------------------------------------------------


def test_padding_and_priority_of_headers_are_no_fields(client: H2Client) -> None:
    """§6.2."""
    block = client.encoder.encode(get())
    flags = END_BOTH | Flag.PADDED | Flag.PRIORITY
    client.send(frame(Kind.HEADERS, b"\x07" + pack(">IB", 0, 15) + block + bytes(7), flags=flags, stream=1))
    assert client.response(1).status == 200
    block = client.encoder.encode(get())
    client.send(frame(Kind.HEADERS, b"\x03" + block + bytes(3), flags=END_BOTH | Flag.PADDED, stream=3))
    assert client.response(3).status == 200


def test_headers_on_stream_0_are_a_connection_error(client: H2Client) -> None:
    """§6.2."""
    client.headers(get(), stream=0)
    client.expect_connection_error(Code.PROTOCOL_ERROR)


def test_padding_longer_than_headers_is_a_connection_error(client: H2Client) -> None:
    """§6.2."""
    block = client.encoder.encode(get())
    payload = bytes([len(block) + 1]) + block
    client.send(frame(Kind.HEADERS, payload, flags=END_BOTH | Flag.PADDED, stream=1))
    client.expect_connection_error(Code.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    ("flags", "payload"),
    [(Flag.PADDED, b""), (Flag.PRIORITY, b"\x00\x00\x00\x00"), (Flag.PADDED | Flag.PRIORITY, b"\x00\x00")],
    ids=["padding", "priority", "both"],
)
def test_headers_too_short_for_their_flags_are_a_connection_error(
    client: H2Client, flags: int, payload: bytes
) -> None:
    """§4.2, §6.2."""
    client.send(frame(Kind.HEADERS, payload, flags=END_BOTH | flags, stream=1))
    client.expect_connection_error(Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR)


# -- §6.3 and §5.3: PRIORITY ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "priority",
    [(0, 0), (0, 255), (0x8000_0000, 15), (3, 15), (0x8000_0003, 0)],
    ids=["lightest", "heaviest", "exclusive", "on an idle stream", "exclusive on an idle stream"],
)
@pytest.mark.parametrize("stream", [1, 5, 2], ids=["next", "later", "even"])
def test_priority_of_an_idle_stream_is_taken(
    client: H2Client, stream: int, priority: tuple[int, int]
) -> None:
    """§5.1, §6.3: in any state; lower streams stay usable."""
    client.send(frame(Kind.PRIORITY, pack(">IB", *priority), stream=stream))
    client.expect_service()


def test_headers_may_come_after_the_priority_of_a_later_stream(client: H2Client) -> None:
    """§5.1.1: PRIORITY opens nothing."""
    client.send(frame(Kind.PRIORITY, pack(">IB", 3, 15), stream=9))
    assert client.response(client.headers(get(), stream=1)).status == 200
    assert client.response(client.headers(get(), stream=3)).status == 200


def test_priority_on_stream_0_is_a_connection_error(client: H2Client) -> None:
    """§6.3."""
    client.send(frame(Kind.PRIORITY, pack(">IB", 0, 15)))
    client.expect_connection_error(Code.PROTOCOL_ERROR)


@pytest.mark.parametrize("length", [0, 4, 6])
def test_priority_of_another_length_is_a_stream_error(client: H2Client, length: int) -> None:
    """§6.3."""
    stream = client.open(post())
    client.send(frame(Kind.PRIORITY, bytes(length), stream=stream))
    client.expect_stream_error(stream, Code.FRAME_SIZE_ERROR)


def test_headers_that_depend_on_themselves_are_a_stream_error(client: H2Client) -> None:
    """RFC 7540 §5.3.1, which RFC 9113 §5.3.2 does not ask for any more."""
    payload = pack(">IB", 1, 15) + client.encoder.encode(get())
    client.send(frame(Kind.HEADERS, payload, flags=END_BOTH | Flag.PRIORITY, stream=1))
    client.expect_stream_error(1, Code.PROTOCOL_ERROR)


@pytest.mark.parametrize("opened", [True, False], ids=["open", "idle"])
def test_a_stream_that_depends_on_itself_is_a_stream_error(client: H2Client, opened: bool) -> None:
    """RFC 7540 §5.3.1, which RFC 9113 §5.3.2 does not ask for any more."""
    stream = client.open(post()) if opened else 1
    client.send(frame(Kind.PRIORITY, pack(">IB", stream, 15), stream=stream))
    client.expect_stream_error(stream, Code.PROTOCOL_ERROR)


# -- §6.4: RST_STREAM -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*Code, 0xFF, 2**32 - 1])
def test_a_reset_with_any_code_ends_its_stream_only(client: H2Client, code: int) -> None:
    """§6.4, §7."""
    stream = client.open(post())
    client.send(frame(Kind.RST_STREAM, pack(">I", code), stream=stream))
    client.expect_service()


def test_a_reset_of_stream_0_is_a_connection_error(client: H2Client) -> None:
    """§6.4."""
    client.send(frame(Kind.RST_STREAM, pack(">I", Code.CANCEL)))
    client.expect_connection_error(Code.PROTOCOL_ERROR)


@pytest.mark.parametrize("length", [0, 3, 5, 8])
def test_a_reset_of_another_length_is_a_connection_error(client: H2Client, length: int) -> None:
    """§6.4."""
    stream = client.open(post())
    client.send(frame(Kind.RST_STREAM, bytes(length), stream=stream))
    client.expect_connection_error(Code.FRAME_SIZE_ERROR)


# -- §6.5: SETTINGS ---------------------------------------------------------------------------------


def test_settings_are_acknowledged(client: H2Client) -> None:
    """§6.5.3."""
    client.send(settings((Setting.MAX_CONCURRENT_STREAMS, 100), (Setting.INITIAL_WINDOW_SIZE, 1)))
    answer = client.wait_for(lambda received: received.kind == Kind.SETTINGS)
    assert (answer.flags, answer.stream, answer.payload) == (Flag.ACK, 0, b"")


@pytest.mark.parametrize(
    "pair",
    [
        (Setting.HEADER_TABLE_SIZE, 0),
        (Setting.HEADER_TABLE_SIZE, 2**32 - 1),
        (Setting.ENABLE_PUSH, 0),
        (Setting.ENABLE_PUSH, 1),
        (Setting.MAX_CONCURRENT_STREAMS, 0),
        (Setting.INITIAL_WINDOW_SIZE, 2**31 - 1),
        (Setting.MAX_FRAME_SIZE, 2**14),
        (Setting.MAX_FRAME_SIZE, 2**24 - 1),
        (Setting.MAX_HEADER_LIST_SIZE, 2**32 - 1),
        (0xFF, 1),
        (0, 0),
    ],
    ids=str,
)
def test_a_setting_within_its_range_or_unknown_is_taken(client: H2Client, pair: tuple[int, int]) -> None:
    """§6.5.2."""
    client.send(settings(pair))
    client.wait_for(lambda received: received.kind == Kind.SETTINGS and received.flags == Flag.ACK)
    client.expect_service()


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        ((Setting.ENABLE_PUSH, 2), Code.PROTOCOL_ERROR),
        ((Setting.INITIAL_WINDOW_SIZE, 2**31), Code.FLOW_CONTROL_ERROR),
        ((Setting.INITIAL_WINDOW_SIZE, 2**32 - 1), Code.FLOW_CONTROL_ERROR),
        ((Setting.MAX_FRAME_SIZE, 0), Code.PROTOCOL_ERROR),
        ((Setting.MAX_FRAME_SIZE, 2**14 - 1), Code.PROTOCOL_ERROR),
        ((Setting.MAX_FRAME_SIZE, 2**24), Code.PROTOCOL_ERROR),
    ],
    ids=str,
)
def test_a_setting_beyond_its_range_is_a_connection_error(
    client: H2Client, pair: tuple[int, int], code: Code
) -> None:
    """§6.5.2."""
    client.send(settings(pair))
    client.expect_connection_error(code)


def test_the_last_of_several_values_of_a_setting_counts(client: H2Client) -> None:
    """§6.5.3: they are processed in order."""
    client.send(settings((Setting.INITIAL_WINDOW_SIZE, 100), (Setting.INITIAL_WINDOW_SIZE, 1)))
    stream = client.headers(get())
    first = client.wait_for(lambda received: received.kind == Kind.DATA)
    assert (first.stream, len(first.payload)) == (stream, 1)


def test_an_acknowledgement_nobody_waits_for_is_taken(client: H2Client) -> None:
    """§6.5.3 names no error for it."""
    client.send(frame(Kind.SETTINGS, flags=Flag.ACK))
    client.send(frame(Kind.PING, b"whatever"))
    received = client.read()
    assert received is None or received.kind in (Kind.PING, Kind.GOAWAY)


def test_an_acknowledgement_with_a_payload_is_a_connection_error(client: H2Client) -> None:
    """§6.5."""
    client.send(frame(Kind.SETTINGS, pack(">HI", 3, 100), flags=Flag.ACK))
    client.expect_connection_error(Code.FRAME_SIZE_ERROR)


def test_settings_on_a_stream_are_a_connection_error(client: H2Client) -> None:
    """§6.5."""
    client.send(frame(Kind.SETTINGS, pack(">HI", 3, 100), stream=1))
    client.expect_connection_error(Code.PROTOCOL_ERROR)


@pytest.mark.parametrize("length", [1, 3, 5, 7, 13])
def test_settings_of_another_length_are_a_connection_error(client: H2Client, length: int) -> None:
    """§6.5."""
    client.send(frame(Kind.SETTINGS, bytes(length)))
    client.expect_connection_error(Code.FRAME_SIZE_ERROR)


# -- §6.6: PUSH_PROMISE -----------------------------------------------------------------------------


def test_a_push_from_a_client_is_a_connection_error(client: H2Client) -> None:
    """§6.6, §8.4."""
    stream = client.open(post())
    payload = pack(">I", 2) + client.encoder.encode(get())
    client.send(frame(Kind.PUSH_PROMISE, payload, flags=Flag.END_HEADERS, stream=stream))
    client.expect_connection_error(Code.PROTOCOL_ERROR)


# -- §6.7: PING -------------------------------------------------------------------------------------


def test_a_ping_is_answered_with_its_own_data(client: H2Client) -> None:
    """§6.7."""
    for data in (b"h2spec\0\0", bytes(8), b"\xff" * 8):
        client.send(frame(Kind.PING, data))
        pong = client.wait_for(lambda received: received.kind == Kind.PING)
        assert (pong.flags, pong.stream, pong.payload) == (Flag.ACK, 0, data)


def test_a_ping_is_answered_while_a_request_runs(client: H2Client) -> None:
    """§6.7."""
    stream = client.open(post())
    client.data(stream, b"first half, ")
    client.until_pong()
    client.data(stream, b"second half", end=True)
    client.expect_service()


def test_the_answer_to_a_ping_is_not_answered(client: H2Client) -> None:
    """§6.7."""
    client.send(frame(Kind.PING, b"answered", flags=Flag.ACK))
    assert all(received.kind != Kind.PING for received in client.until_pong())


def test_a_ping_on_a_stream_is_a_connection_error(client: H2Client) -> None:
    """§6.7."""
    client.send(frame(Kind.PING, bytes(8), stream=1))
    client.expect_connection_error(Code.PROTOCOL_ERROR)


@pytest.mark.parametrize("length", [0, 6, 7, 9])
def test_a_ping_of_another_length_is_a_connection_error(client: H2Client, length: int) -> None:
    """§6.7."""
    client.send(frame(Kind.PING, bytes(length)))
    client.expect_connection_error(Code.FRAME_SIZE_ERROR)


# -- §6.8: GOAWAY -----------------------------------------------------------------------------------


def test_a_goaway_on_a_stream_is_a_connection_error(client: H2Client) -> None:
    """§6.8."""
    client.send(frame(Kind.GOAWAY, bytes(8), stream=1))
    client.expect_connection_error(Code.PROTOCOL_ERROR)


@pytest.mark.parametrize("length", [0, 4, 7])
def test_a_goaway_that_is_too_short_is_a_connection_error(client: H2Client, length: int) -> None:
    """§4.2, §6.8."""
    client.send(frame(Kind.GOAWAY, bytes(length)))
    client.expect_connection_error(Code.FRAME_SIZE_ERROR)


@pytest.mark.parametrize("code", [Code.NO_ERROR, Code.INTERNAL_ERROR, 0xFF])
def test_after_a_goaway_with_any_code_requests_in_flight_are_answered(client: H2Client, code: int) -> None:
    """§6.8, §7."""
    stream = client.open(post())
    client.send(frame(Kind.GOAWAY, pack(">II", 0, code) + b"debug data"))
    client.until_pong()
    client.data(stream, b"the rest", end=True)
    assert client.response(stream).content == b"the rest"


# -- §6.9: WINDOW_UPDATE ----------------------------------------------------------------------------


def test_a_window_grows_by_its_update(client: H2Client) -> None:
    """§6.9."""
    client.credit(1)
    stream = client.open(post())
    client.credit(1, stream=stream)
    client.data(stream, b"content", end=True)
    assert client.response(stream).content == b"content"


def test_an_increment_of_0_for_the_connection_is_a_connection_error(client: H2Client) -> None:
    """§6.9."""
    client.credit(0)
    client.expect_connection_error(Code.PROTOCOL_ERROR)


def test_an_increment_of_0_for_a_stream_is_a_stream_error(client: H2Client) -> None:
    """§6.9."""
    stream = client.open(post())
    client.credit(0, stream=stream)
    client.expect_stream_error(stream, Code.PROTOCOL_ERROR)


@pytest.mark.parametrize("length", [0, 3, 5, 8])
@pytest.mark.parametrize("on_stream", [True, False], ids=["stream", "connection"])
def test_a_window_update_of_another_length_is_a_connection_error(
    client: H2Client, length: int, on_stream: bool
) -> None:
    """§6.9."""
    stream = client.open(post()) if on_stream else 0
    client.send(frame(Kind.WINDOW_UPDATE, bytes(length), stream=stream))
    client.expect_connection_error(Code.FRAME_SIZE_ERROR)


# -- §6.10: CONTINUATION ----------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [2, 3, 5, 9])
def test_a_field_block_in_several_frames_is_taken(client: H2Client, pieces: int) -> None:
    """§4.3, §6.10."""
    block = client.encoder.encode(get(b"/", (b"x-filler", b"~" * 100)), huffman=False)
    step = -(-len(block) // pieces)
    parts = [block[at : at + step] for at in range(0, len(block), step)]
    client.send(frame(Kind.HEADERS, parts[0], flags=Flag.END_STREAM, stream=1))
    for part in parts[1:-1]:
        client.send(frame(Kind.CONTINUATION, part, stream=1))
    client.send(frame(Kind.CONTINUATION, parts[-1], flags=Flag.END_HEADERS, stream=1))
    assert client.response(1).status == 200


def test_empty_frames_of_a_field_block_are_taken(client: H2Client) -> None:
    """§6.10."""
    client.send(frame(Kind.HEADERS, b"", flags=Flag.END_STREAM, stream=1))
    client.send(frame(Kind.CONTINUATION, client.encoder.encode(get()), stream=1))
    client.send(frame(Kind.CONTINUATION, b"", flags=Flag.END_HEADERS, stream=1))
    assert client.response(1).status == 200


INTRUDERS = {
    "DATA": frame(Kind.DATA, b"x", stream=1),
    "HEADERS on the same stream": frame(Kind.HEADERS, b"", flags=END_BOTH, stream=1),
    "HEADERS on another stream": frame(Kind.HEADERS, b"", flags=END_BOTH, stream=3),
    "PRIORITY": frame(Kind.PRIORITY, pack(">IB", 0, 15), stream=1),
    "RST_STREAM": frame(Kind.RST_STREAM, pack(">I", 8), stream=1),
    "SETTINGS": settings(),
    "PING": frame(Kind.PING, bytes(8)),
    "GOAWAY": frame(Kind.GOAWAY, bytes(8)),
    "WINDOW_UPDATE": frame(Kind.WINDOW_UPDATE, pack(">I", 1)),
    "CONTINUATION on another stream": frame(Kind.CONTINUATION, b"", flags=Flag.END_HEADERS, stream=3),
    "CONTINUATION on stream 0": frame(Kind.CONTINUATION, b"", flags=Flag.END_HEADERS),
}


@pytest.mark.parametrize("intruder", INTRUDERS.values(), ids=INTRUDERS)
@pytest.mark.parametrize("continued", [False, True], ids=["after HEADERS", "after CONTINUATION"])
def test_nothing_may_come_between_the_frames_of_a_field_block(
    client: H2Client, intruder: bytes, continued: bool
) -> None:
    """§4.3, §6.2, §6.10."""
    block = client.encoder.encode(get())
    client.send(frame(Kind.HEADERS, block[:3], flags=Flag.END_STREAM, stream=1))
    if continued:
        client.send(frame(Kind.CONTINUATION, block[3:6], stream=1))
    client.send(intruder)
    client.expect_connection_error(Code.PROTOCOL_ERROR)


@pytest.mark.parametrize("before", ["HEADERS", "CONTINUATION", "DATA", "SETTINGS"])
def test_a_continuation_of_nothing_is_a_connection_error(client: H2Client, before: str) -> None:
    """§6.10."""
    block = client.encoder.encode(post())
    if before in ("HEADERS", "DATA"):
        client.send(frame(Kind.HEADERS, block, flags=Flag.END_HEADERS, stream=1))
    elif before == "CONTINUATION":
        client.send(frame(Kind.HEADERS, block[:5], stream=1))
        client.send(frame(Kind.CONTINUATION, block[5:], flags=Flag.END_HEADERS, stream=1))
    if before == "DATA":
        client.data(1, b"content")
    client.send(frame(Kind.CONTINUATION, b"", flags=Flag.END_HEADERS, stream=1))
    client.expect_connection_error(Code.PROTOCOL_ERROR)


def test_a_continuation_on_stream_0_is_a_connection_error(client: H2Client) -> None:
    """§6.10."""
    client.send(frame(Kind.CONTINUATION, b"", flags=Flag.END_HEADERS))
    client.expect_connection_error(Code.PROTOCOL_ERROR)
