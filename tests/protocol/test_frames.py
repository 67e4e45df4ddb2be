"""What is said of frames, held against bytes that another engine wrote."""

from __future__ import annotations

import pytest
from hpack import Encoder
from hyperframe.frame import (
    AltSvcFrame,
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import example, given
from hypothesis import strategies as st

from plait.protocol.frame_details import Narrator, flag_names, type_name
from plait.protocol.frames import FrameReader

FIELDS = [(b":status", b"200"), (b"server", b"a raw one")]


def told(data: bytes) -> list[str]:
    """Return what is said of each frame, with its type, stream and flags."""
    narrator = Narrator()
    lines = []
    for frame in FrameReader(0).read(data):
        detail, fields = narrator.tell(frame)
        flags = "+".join(flag_names(frame.type, frame.flags))
        lines.append(
            f"{type_name(frame.type)} {frame.stream_id} {flags} {frame.length} {detail} {fields or ''}"
        )
    return [" ".join(line.split()) for line in lines]


def framed(kind: int, payload: bytes, *, flags: int = 0, stream_id: int = 0) -> bytes:
    """Return a frame that the other engine cannot write."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


def flagged(frame: Frame, *flags: str) -> bytes:
    for flag in flags:
        frame.flags.add(flag)
    return frame.serialize()


# -- one frame of each type ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (
            SettingsFrame(0, {SettingsFrame.MAX_CONCURRENT_STREAMS: 128, 0x99: 7}).serialize(),
            "SETTINGS 0 12 MAX_CONCURRENT_STREAMS=128 0x99=7",
        ),
        (flagged(SettingsFrame(0), "ACK"), "SETTINGS 0 ACK 0"),
        (PingFrame(0, b"a return").serialize(), "PING 0 8 612072657475726e"),
        (flagged(PingFrame(0, bytes(8)), "ACK"), "PING 0 ACK 8 0000000000000000"),
        (WindowUpdateFrame(3, 65535).serialize(), "WINDOW_UPDATE 3 4 +65535"),
        (RstStreamFrame(5, error_code=8).serialize(), "RST_STREAM 5 4 CANCEL"),
        (RstStreamFrame(5, error_code=0x77).serialize(), "RST_STREAM 5 4 error code 0x77"),
        (
            GoAwayFrame(0, last_stream_id=7, error_code=11, additional_data=b"slow\ndown").serialize(),
            r"GOAWAY 0 17 ENHANCE_YOUR_CALM, last stream 7, 'slow\ndown'",
        ),
        (GoAwayFrame(0, last_stream_id=2**31 - 1).serialize(), "GOAWAY 0 8 NO_ERROR, last stream 2147483647"),
        (
            PriorityFrame(3, depends_on=1, stream_weight=15, exclusive=True).serialize(),
            "PRIORITY 3 5 depends on stream 1, weight 16, exclusive",
        ),
        (
            AltSvcFrame(0, origin=b"https://a.example", field=b'h3=":443"').serialize(),
            """ALTSVC 0 28 'https://a.example': 'h3=":443"'""",
        ),
        (AltSvcFrame(1, field=b"clear").serialize(), "ALTSVC 1 7 'clear'"),
        (
            framed(0x0C, b"\0\x11https://a.example\0\x11https://b.example"),
            "ORIGIN 0 38 https://a.example https://b.example",
        ),
        (
            framed(0x10, b"\0\0\0\x05u=1, i"),
            "PRIORITY_UPDATE 0 10 stream 5: 'u=1, i'",
        ),
        (framed(0x2A, b"what"), "type 0x2a 0 4 4 bytes"),
        (flagged(DataFrame(1, b"content"), "END_STREAM"), "DATA 1 END_STREAM 7 7 bytes"),
        (
            flagged(DataFrame(1, b"content", pad_length=4), "PADDED"),
            "DATA 1 PADDED 12 7 bytes, 4 of padding",
        ),
        (DataFrame(1).serialize(), "DATA 1 0 0 bytes"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_is_in_a_frame(data: bytes, line: str) -> None:
    assert told(data) == [line]


# -- field sections ------------------------------------------------------------------------------


def test_a_field_section_is_told_with_its_bytes_before_and_after_hpack() -> None:
    encoder = Encoder()
    blocks = [encoder.encode(FIELDS) for _ in range(2)]
    assert len(blocks[0]) > len(blocks[1]) == 2  # an index each
    data = b"".join(
        flagged(HeadersFrame(stream, block), "END_HEADERS")
        for stream, block in zip((1, 3), blocks, strict=True)
    )
    size = sum(len(name) + len(value) for name, value in FIELDS)
    assert told(data) == [
        f"HEADERS 1 END_HEADERS {len(blocks[0])} {len(blocks[0])} bytes for {size} {FIELDS}",
        f"HEADERS 3 END_HEADERS 2 2 bytes for {size} {FIELDS}",
    ]


def test_a_section_in_several_frames_is_told_with_the_last() -> None:
    block = Encoder().encode(FIELDS)
    data = b"".join(
        (
            flagged(HeadersFrame(1, block[:1]), "END_STREAM"),
            ContinuationFrame(1, block[1:4]).serialize(),
            flagged(ContinuationFrame(1, block[4:]), "END_HEADERS"),
        )
    )
    size = sum(len(name) + len(value) for name, value in FIELDS)
    assert told(data) == [
        "HEADERS 1 END_STREAM 1",
        "CONTINUATION 1 3",
        f"CONTINUATION 1 END_HEADERS {len(block) - 4} {len(block)} bytes for {size} {FIELDS}",
    ]


def test_padding_and_priority_around_a_section_are_told_apart() -> None:
    block = Encoder().encode(FIELDS)
    frame = HeadersFrame(1, block, pad_length=3, depends_on=5, stream_weight=9)
    (line,) = told(flagged(frame, "END_HEADERS", "PADDED", "PRIORITY"))
    words = "3 bytes of padding, depends on stream 5, weight 10"
    assert f"{len(block)} bytes for 25, {words} {FIELDS}" in line


def test_a_promise_is_told_with_its_stream_and_its_request() -> None:
    fields = [(b":method", b"GET"), (b":path", b"/style.css")]
    (line,) = told(flagged(PushPromiseFrame(1, 2, Encoder().encode(fields)), "END_HEADERS"))
    assert line.endswith(f"bytes for 25, stream 2 promised {fields}")


def test_what_hpack_cannot_decode_is_said_once_and_for_all_that_follows() -> None:
    """RFC 7541 §2.3.3: an index that nothing has."""
    bad = flagged(HeadersFrame(1, b"\xff\x7f"), "END_HEADERS")
    good = flagged(HeadersFrame(3, Encoder().encode(FIELDS)), "END_HEADERS")
    lines = told(bad + good)
    assert "2 bytes that cannot be decoded" in lines[0]
    assert "that cannot be decoded" in lines[1]


# -- in pieces, and in disorder ------------------------------------------------------------------


def test_frames_are_the_same_however_their_bytes_come() -> None:
    block = Encoder().encode(FIELDS)
    data = b"p" * 24 + b"".join(
        (
            SettingsFrame(0, {4: 1}).serialize(),
            flagged(HeadersFrame(1, block), "END_HEADERS"),
            flagged(DataFrame(1, bytes(300), pad_length=9), "PADDED"),
            DataFrame(1, bytes(40)).serialize(),
            PingFrame(0, bytes(8)).serialize(),
        )
    )
    whole = list(FrameReader(24).read(data))
    assert len(whole) == 5
    for size in (1, 2, 7, 100):
        reader = FrameReader(24)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert [frame for piece in pieces for frame in reader.read(piece)] == whole


@given(st.binary(max_size=300))
def test_no_bytes_are_more_than_can_be_told(data: bytes) -> None:
    told(data)


@given(st.integers(0, 20), st.integers(0, 255), st.binary(max_size=60))
@example(0x0C, 0, b"\0\1\x1b")
def test_no_payload_is_more_than_can_be_told(kind: int, flags: int, payload: bytes) -> None:
    (line,) = told(framed(kind, payload, flags=flags, stream_id=1))
    assert line.isprintable()
