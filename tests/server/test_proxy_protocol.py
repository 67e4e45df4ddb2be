from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import RemoteProtocolError
from plait.server.proxy_protocol import Proxied, missing, parse

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def read(stream: bytes) -> tuple[Proxied | None, bytes]:
    """Read a header as a server does, and return what it means and what is left of the stream."""
    header = b""
    while wanted := missing(header):
        assert stream, "it asked for more than there is"
        header, stream = header + stream[:wanted], stream[wanted:]
    return parse(header), stream


def v2(command: int, family: int, block: bytes) -> bytes:
    return V2 + bytes([command, family]) + len(block).to_bytes(2, "big") + block


@pytest.mark.parametrize(
    ("header", "proxied"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65535\r\n", Proxied(("192.0.2.1", 1), ("192.0.2.2", 65535))),
        (b"PROXY TCP6 2001:db8::1 ::1 0 443\r\n", Proxied(("2001:db8::1", 0), ("::1", 443))),
        (
            b"PROXY TCP6 "
            + b" ".join([b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] * 2)
            + b" 65535 65535\r\n",
            Proxied(*[("ffff:" * 7 + "ffff", 65535)] * 2),
        ),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 ::1 65535 65535\r\n", None),
        (v2(0x20, 0x00, b""), None),
        (v2(0x20, 0x11, b"x" * 12), None),
        (v2(0x21, 0x00, b""), None),
        (v2(0x21, 0x12, b"x" * 12), None),
        (
            v2(0x21, 0x11, bytes([1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10])),
            Proxied(("1.2.3.4", 9), ("5.6.7.8", 10)),
        ),
        (v2(0x21, 0x31, b"/a".ljust(108, b"\0") + b"/b".ljust(108, b"\0")), Proxied(None, None)),
        # What comes after the addresses, as a checksum or the name a client asked TLS for, is passed over.
        (
            v2(0x21, 0x11, bytes([1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10]) + b"\x03\0\4abcd\x02\0\1a"),
            Proxied(("1.2.3.4", 9), ("5.6.7.8", 10)),
        ),
    ],
)
def test_a_header_says_between_whom_the_connection_is(header: bytes, proxied: Proxied | None) -> None:
    assert read(header + b"\x16\x03\x01 and so on") == (proxied, b"\x16\x03\x01 and so on")


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS",
        b"proxy tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 \xb2\r\n",
        b"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY " + b"x" * 200,
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n" + b"x" * 100,
        v2(0x22, 0x11, b"x" * 12),
        v2(0x11, 0x11, b"x" * 12),
        v2(0x21, 0x11, b"x" * 11),
        v2(0x21, 0x21, b"x" * 35),
        b"\r\n\r\n\0\r\nQUIT\r\n and more of it",
    ],
)
def test_anything_else_is_refused(header: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read(header)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: V2 + tail))
def test_whatever_comes_is_a_header_or_refused_or_not_there_yet(stream: bytes) -> None:
    try:
        _, rest = read(stream)
    except (RemoteProtocolError, AssertionError):
        return
    assert stream.endswith(rest)


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), st.integers(0, 65535), st.integers(0, 65535), st.binary())
def test_both_versions_mean_the_same(
    source: object, target: object, port: int, other: int, rest: bytes
) -> None:
    line = f"PROXY TCP6 {source} {target} {port} {other}\r\n".encode()
    places = [socket.inet_pton(socket.AF_INET6, str(one)) for one in (source, target)]
    binary = v2(0x21, 0x21, b"".join([*places, port.to_bytes(2, "big"), other.to_bytes(2, "big")]))
    (of_line, after_line), (of_binary, after_binary) = read(line + rest), read(binary + rest)
    assert after_line == after_binary == rest
    assert of_line is not None
    assert of_binary is not None
    assert [place and place[1] for place in of_line] == [port, other]
    assert [place and place[1] for place in of_binary] == [port, other]
    for ours, theirs in zip(of_line, of_binary, strict=True):
        assert ours is not None
        assert theirs is not None
        assert socket.inet_pton(socket.AF_INET6, ours[0]) == socket.inet_pton(socket.AF_INET6, theirs[0])
