"""Requests and responses in HTTP/2 (RFC 9113 §8)."""

from __future__ import annotations

import pytest

from tests.support.conformance_app import SMALL
from tests.support.raw_client import Code, Field, Flag, H2Client, Kind, frame, get, post

METHOD, SCHEME, PATH, AUTHORITY = get()
TRAILERS = Flag.END_HEADERS | Flag.END_STREAM


def length(response_fields: list[Field]) -> int:
    """Return what content-length says."""
    return int(dict(response_fields)[b"content-length"])


# -- what a server has to serve ---------------------------------------------------------------------


def test_get_is_answered(client: H2Client) -> None:
    """§8.1."""
    response = client.response(client.headers(get()))
    assert (response.status, response.content, length(response.fields)) == (200, SMALL, len(SMALL))


def test_head_is_answered_without_content(client: H2Client) -> None:
    """§8.1, RFC 9110 §9.3.2."""
    response = client.response(client.headers(get(method=b"HEAD")))
    assert (response.status, response.content, length(response.fields)) == (200, b"", len(SMALL))


def test_post_is_answered_with_its_content(client: H2Client) -> None:
    """§8.1."""
    stream = client.open(post(b"/echo", (b"content-length", b"4")))
    client.data(stream, b"test", end=True)
    assert client.response(stream).content == b"test"


def test_post_without_content_is_answered(client: H2Client) -> None:
    """§8.1: END_STREAM comes with the head."""
    assert client.response(client.headers(post())).status == 200


def test_post_with_trailers_is_answered(client: H2Client) -> None:
    """§8.1."""
    stream = client.open(post(b"/echo", (b"trailer", b"x-test")))
    client.data(stream, b"test")
    client.headers([(b"x-test", b"ok")], stream=stream, flags=TRAILERS)
    assert client.response(stream).content == b"test"


def test_trailers_may_come_without_content(client: H2Client) -> None:
    """§8.1."""
    stream = client.open(post())
    client.headers([(b"x-test", b"ok")], stream=stream, flags=TRAILERS)
    assert client.response(stream).content == b""


def test_options_for_the_whole_server_is_answered(client: H2Client) -> None:
    """§8.3.1: its path is an asterisk."""
    assert client.response(client.headers(get(b"*", method=b"OPTIONS"))).status == 200


def test_a_request_with_expectation_is_told_to_continue(client: H2Client) -> None:
    """RFC 9110 §10.1.1."""
    stream = client.open(post(b"/echo", (b"expect", b"100-continue")))
    interim = client.wait_for(lambda received: received.kind == Kind.HEADERS)
    assert (interim.stream, interim.fields[0], interim.ends_stream) == (stream, (b":status", b"100"), False)
    client.data(stream, b"content", end=True)
    assert client.response(stream).content == b"content"


def test_many_requests_are_answered_on_one_connection(client: H2Client) -> None:
    """§5: each on its stream, none mistaken for another."""
    streams = [client.open(post()) for _ in range(50)]
    for stream in reversed(streams):
        client.data(stream, b"of stream %d" % stream, end=True)
    contents: dict[int, bytes] = dict.fromkeys(streams, b"")
    unfinished = set(streams)
    while unfinished:
        received = client.wait_for(lambda received: received.kind == Kind.DATA)
        contents[received.stream] += received.payload
        if received.ends_stream:
            unfinished.remove(received.stream)
    assert contents == {stream: b"of stream %d" % stream for stream in streams}


def test_a_response_has_no_connection_specific_fields_and_no_upper_case(client: H2Client) -> None:
    """§8.2.1, §8.2.2."""
    response = client.response(client.headers(get()))
    names = {name for name, _ in response.fields}
    assert not names & {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
    assert all(name == name.lower() and not name.startswith(b":") for name in names)


def test_te_trailers_is_taken(client: H2Client) -> None:
    """§8.2.2."""
    assert client.response(client.headers(get(b"/", (b"te", b"trailers")))).status == 200


def test_a_request_may_name_its_host_instead_of_an_authority(client: H2Client) -> None:
    """§8.3.1."""
    fields = [METHOD, SCHEME, (b":path", b"/target"), (b"host", b"other.example")]
    assert client.response(client.headers(fields)).content == b"/target\nother.example"


def test_cookies_may_come_in_crumbs(client: H2Client) -> None:
    """§8.2.3."""
    assert client.response(client.headers(get(b"/", (b"cookie", b"a=1"), (b"cookie", b"b=2")))).status == 200


# -- §8.1.1: malformed requests ---------------------------------------------------------------------

MALFORMED: dict[str, list[Field]] = {
    # §8.2.1
    "name in upper case": get(b"/", (b"X-TEST", b"ok")),
    "name with one upper-case letter": get(b"/", (b"x-tesT", b"ok")),
    "name with a space": get(b"/", (b"x test", b"ok")),
    "name with a control character": get(b"/", (b"x\x00test", b"ok")),
    "name with a colon": get(b"/", (b"x:test", b"ok")),
    "name beyond ASCII": get(b"/", (b"x-t\xe9st", b"ok")),
    "value with NUL": get(b"/", (b"x-test", b"o\0k")),
    "value with CR": get(b"/", (b"x-test", b"o\rk")),
    "value with LF": get(b"/", (b"x-test", b"o\nk")),
    # §8.2.2
    "connection": get(b"/", (b"connection", b"keep-alive")),
    "proxy-connection": get(b"/", (b"proxy-connection", b"keep-alive")),
    "keep-alive": get(b"/", (b"keep-alive", b"timeout=5")),
    "transfer-encoding": get(b"/", (b"transfer-encoding", b"chunked")),
    "upgrade": get(b"/", (b"upgrade", b"h2c")),
    "te other than trailers": get(b"/", (b"te", b"trailers, deflate")),
    # §8.3
    "unknown pseudo-field": [*get(), (b":test", b"ok")],
    "pseudo-field of responses": [*get(), (b":status", b"200")],
    "pseudo-field after a field": [METHOD, SCHEME, AUTHORITY, (b"x-test", b"ok"), PATH],
    # §8.3.1
    "empty path": [METHOD, SCHEME, (b":path", b""), AUTHORITY],
    "path that is no path": get(b"no-slash"),
    "asterisk with GET": get(b"*"),
    "no method": [SCHEME, PATH, AUTHORITY],
    "no scheme": [METHOD, PATH, AUTHORITY],
    "no path": [METHOD, SCHEME, AUTHORITY],
    "two methods": [METHOD, *get()],
    "two schemes": [SCHEME, *get()],
    "two paths": [PATH, *get()],
    "two authorities": [AUTHORITY, *get()],
    "no fields at all": [],
    "no pseudo-fields": [(b"host", b"localhost")],
    # §8.5
    "CONNECT with a path": get(method=b"CONNECT"),
    "CONNECT without an authority": [(b":method", b"CONNECT")],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_a_stream_error(client: H2Client, fields: list[Field]) -> None:
    """§8.1.1: PROTOCOL_ERROR; some servers answer 400 instead, this one never."""
    stream = client.headers(fields)
    client.expect_stream_error(stream, Code.PROTOCOL_ERROR)
    client.expect_service()


@pytest.mark.parametrize(
    ("field", "status"),
    [((b"host", b"other.example"), 400), ((b"x-long", b"~" * 12_000), 200)],
    ids=["host other than authority", "long value"],
)
def test_a_request_is_refused_with_a_status_where_one_says_more(
    client: H2Client, field: Field, status: int
) -> None:
    """§8.3.1: other than malformed syntax, this is told to people."""
    assert client.response(client.headers(get(b"/", field), huffman=False)).status == status


def test_a_field_section_that_is_too_large_gets_431(client: H2Client) -> None:
    """§10.5.1."""
    fields = [(b"x-many-%d" % number, b"1") for number in range(150)]
    assert client.response(client.headers(get(b"/", *fields))).status == 431
    client.expect_service()


def test_a_second_head_without_the_end_of_its_stream_is_a_stream_error(client: H2Client) -> None:
    """§8.1: trailers end the request."""
    stream = client.open(post())
    client.headers([(b"x-test", b"ok")], stream=stream, flags=Flag.END_HEADERS)
    client.expect_stream_error(stream, Code.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "trailer",
    [METHOD, (b":status", b"200"), (b":test", b"ok"), (b"X-TEST", b"ok"), (b"connection", b"close")],
    ids=["request pseudo-field", "response pseudo-field", "unknown pseudo-field", "upper case", "connection"],
)
def test_trailers_that_are_malformed_are_a_stream_error(client: H2Client, trailer: Field) -> None:
    """§8.1: no pseudo-fields, and what §8.2 says."""
    stream = client.open(post())
    client.data(stream, b"test")
    client.headers([trailer], stream=stream, flags=TRAILERS)
    client.expect_stream_error(stream, Code.PROTOCOL_ERROR)


@pytest.mark.parametrize("pieces", [[b"test"], [b"te", b"st"], [b""], [b"t", b"", b""]], ids=len)
@pytest.mark.parametrize("declared", [b"1234", b"3", b"2"])
def test_content_other_than_its_length_is_a_stream_error(
    client: H2Client, declared: bytes, pieces: list[bytes]
) -> None:
    """§8.1.1."""
    stream = client.open(post(b"/echo", (b"content-length", declared)))
    for piece in pieces[:-1]:
        client.data(stream, piece)
    client.data(stream, pieces[-1], end=True)
    client.expect_stream_error(stream, Code.PROTOCOL_ERROR)
    client.expect_service()


@pytest.mark.parametrize("declared", [b"1", b"-0", b"+0", b"0, 0", b"", b"0x0"])
def test_a_length_that_an_empty_request_does_not_have_is_a_stream_error(
    client: H2Client, declared: bytes
) -> None:
    """§8.1.1, RFC 9110 §8.6."""
    stream = client.headers(post(b"/echo", (b"content-length", declared)))
    client.expect_stream_error(stream, Code.PROTOCOL_ERROR)


def test_two_lengths_are_a_stream_error(client: H2Client) -> None:
    """RFC 9110 §8.6."""
    stream = client.open(post(b"/echo", (b"content-length", b"4"), (b"content-length", b"5")))
    client.data(stream, b"test", end=True)
    client.expect_stream_error(stream, Code.PROTOCOL_ERROR)


def test_padding_counts_for_no_length(client: H2Client) -> None:
    """§8.1.1."""
    stream = client.open(post(b"/echo", (b"content-length", b"4")))
    client.send(frame(Kind.DATA, b"\x09test" + bytes(9), flags=Flag.PADDED | Flag.END_STREAM, stream=stream))
    assert client.response(stream).content == b"test"
