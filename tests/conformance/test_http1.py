"""HTTP/1.1 on the wire (RFC 9112)."""

from __future__ import annotations

import re
import socket
import ssl

import pytest

from tests.support.conformance_app import LARGE, SMALL
from tests.support.raw_client import H1Client

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def post(content: bytes, *lines: bytes, target: bytes = b"/echo") -> bytes:
    """Return a POST request with these field lines beside Host."""
    return b"\r\n".join([b"POST %b HTTP/1.1" % target, b"Host: localhost", *lines, b"", content])


def chunked(content: bytes) -> bytes:
    """Return a POST request whose content has been cut into chunks, or not, by the caller."""
    return post(content, b"Transfer-Encoding: chunked")


def close_half(client: H1Client) -> None:
    """Say that nothing more will be sent."""
    if isinstance(client.sock, ssl.SSLSocket):
        pytest.skip("Python's TLS closes both halves at once")
    client.sock.shutdown(socket.SHUT_WR)


# -- what a server has to serve ---------------------------------------------------------------------


def test_get_is_answered(http1: H1Client) -> None:
    """RFC 9112 §6.3, RFC 9110 §6.6.1: with its length and a date."""
    http1.send(GET)
    response = http1.response()
    fields = dict(response.fields)
    assert (response.status, response.content) == (200, SMALL)
    assert fields[b"content-length"] == b"%d" % len(SMALL)
    assert re.fullmatch(rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", fields[b"date"])


def test_head_is_answered_without_content(http1: H1Client) -> None:
    """RFC 9110 §9.3.2: the next response begins right after it."""
    http1.send(GET.replace(b"GET", b"HEAD") + LAST)
    response = http1.response(to_head=True)
    assert (response.status, dict(response.fields)[b"content-length"]) == (200, b"%d" % len(SMALL))
    assert http1.response().content == SMALL
    http1.expect_close()


def test_content_with_a_length_is_read(http1: H1Client) -> None:
    """§6.2."""
    http1.send(post(b"content", b"Content-Length: 7") + LAST)
    assert http1.response().content == b"content"
    assert http1.response().content == SMALL
    http1.expect_close()


@pytest.mark.parametrize(
    "content",
    [
        b"7\r\ncontent\r\n0\r\n\r\n",
        b"3\r\ncon\r\n0004\r\ntent\r\n000\r\n\r\n",
        b"7;name=value\r\ncontent\r\n0;last\r\n\r\n",
        b"7 ; name = \"quoted; value\"\r\ncontent\r\n0\r\n\r\n",
        b"7\r\ncontent\r\n0\r\nX-Trailer: yes\r\nX-Other:\r\n\r\n",
    ],
    ids=["one", "several", "extension", "quoted extension", "trailers"],
)  # fmt: skip
def test_chunked_content_is_read(http1: H1Client, content: bytes) -> None:
    """§7.1: to its end and no further."""
    http1.send(chunked(content) + LAST)
    assert http1.response().content == b"content"
    assert http1.response().content == SMALL
    http1.expect_close()


def test_chunked_content_may_come_byte_by_byte(http1: H1Client) -> None:
    """§7.1."""
    for byte in chunked(b"3\r\ncon\r\n4;x\r\ntent\r\n0\r\nX-Trailer: yes\r\n\r\n"):
        http1.send(bytes([byte]))
    assert http1.response().content == b"content"


def test_content_of_unknown_length_is_chunked(http1: H1Client) -> None:
    """§6.3, §7.1."""
    http1.send(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n" + LAST)
    response = http1.response()
    assert (dict(response.fields)[b"transfer-encoding"], response.content) == (b"chunked", LARGE)
    assert http1.response().content == SMALL


def test_pipelined_requests_are_answered_in_order(http1: H1Client) -> None:
    """§9.3.2."""
    parts = [post(b"%03d" % number, b"Content-Length: 3") for number in range(100)]
    http1.send(b"".join(parts) + LAST)
    assert [http1.response().content for _ in parts] == [b"%03d" % number for number in range(100)]
    assert http1.response().content == SMALL
    http1.expect_close()


def test_empty_lines_before_a_request_are_passed_over(http1: H1Client) -> None:
    """§2.2."""
    http1.send(b"\r\n\r\n" + GET + b"\r\n" + LAST)
    assert [http1.response().status for _ in range(2)] == [200, 200]
    http1.expect_close()


@pytest.mark.parametrize(
    "target",
    [b"http://other.example/target", b"HTTPS://other.example/target", b"http://other.example:80/target"],
)
def test_the_authority_of_an_absolute_target_replaces_the_host(http1: H1Client, target: bytes) -> None:
    """§3.2.2."""
    http1.send(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % target)
    path, host = http1.response().content.split(b"\n")
    assert path == b"/target"
    assert host == target.split(b"/")[2]


def test_options_for_the_whole_server_is_answered(http1: H1Client) -> None:
    """§3.2.4."""
    http1.send(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert http1.response().status == 200


@pytest.mark.parametrize("host", [b"", b"localhost:8443", b"[::1]", b"[::1]:80", b"127.0.0.1", b"a%20b"])
def test_a_well_formed_host_is_taken(http1: H1Client, host: bytes) -> None:
    """§3.2, RFC 9110 §7.2."""
    http1.send(b"GET /target HTTP/1.1\r\nhOsT:\t %b \t\r\n\r\n" % host)
    assert http1.response().content == b"/target\n" + host


# -- §9: connections --------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [b"close", b"Close", b"keep-alive, close", b"x,close ,y"])
def test_a_connection_closes_when_the_client_asks_for_it(http1: H1Client, option: bytes) -> None:
    """§9.6: and the response says so."""
    http1.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: %b\r\n\r\n" % option + GET)
    assert (b"connection", b"close") in http1.response().fields
    http1.expect_close()


@pytest.mark.parametrize("line", [b"", b"Host: localhost\r\n"], ids=["without host", "with host"])
def test_http_1_0_is_answered_and_closed(http1: H1Client, line: bytes) -> None:
    """§9.3."""
    http1.send(b"GET / HTTP/1.0\r\n%b\r\n" % line)
    response = http1.response()
    assert (response.status, response.content) == (200, SMALL)
    http1.expect_close()


def test_http_1_0_stays_open_when_the_client_asks_for_it(http1: H1Client) -> None:
    """§9.3."""
    http1.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (b"connection", b"keep-alive") in http1.response().fields
    http1.send(LAST)
    assert http1.response().status == 200


def test_http_1_0_gets_no_chunks(http1: H1Client) -> None:
    """§6.1: content of unknown length ends with the connection."""
    http1.send(b"GET /large HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    response = http1.response()
    assert b"transfer-encoding" not in dict(response.fields)
    assert response.content == LARGE
    http1.expect_close()


def test_a_client_that_closes_its_half_is_answered(http1: H1Client) -> None:
    """§9.6: what it asked for whole."""
    http1.send(GET + GET)
    close_half(http1)
    assert [http1.response().status for _ in range(2)] == [200, 200]
    http1.expect_close()


def test_a_client_that_closes_within_a_request_is_not_answered(http1: H1Client) -> None:
    """§8: the request is incomplete."""
    http1.send(post(b"half", b"Content-Length: 8"))
    close_half(http1)
    assert b" 200 " not in http1.receive_all()


# -- RFC 9110 §10.1.1: Expect -----------------------------------------------------------------------


def test_a_request_with_expectation_is_told_to_continue(http1: H1Client) -> None:
    """RFC 9110 §10.1.1."""
    http1.send(post(b"", b"Content-Length: 7", b"Expect: 100-Continue"))
    assert http1.response().status == 100
    http1.send(b"content" + LAST)
    assert http1.response().content == b"content"
    assert http1.response().content == SMALL


def test_a_request_whose_content_is_not_wanted_is_not_told_to_continue(http1: H1Client) -> None:
    """RFC 9110 §10.1.1: the final response comes at once, and what follows is no request."""
    http1.send(post(b"", b"Content-Length: 7", b"Expect: 100-continue", target=b"/"))
    response = http1.response()
    assert (response.status, response.content) == (200, SMALL)
    assert (b"connection", b"close") in response.fields
    http1.expect_close()


def test_http_1_0_is_not_told_to_continue(http1: H1Client) -> None:
    """RFC 9110 §10.1.1."""
    http1.send(b"POST /echo HTTP/1.0\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\ncontent")
    response = http1.response()
    assert (response.status, response.content) == (200, b"content")


# -- malformed requests -----------------------------------------------------------------------------

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

BOTH = (b"Content-Length: 5", b"Transfer-Encoding: chunked")

MALFORMED = {
    # §2.2 and §3
    "no request at all": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: localhost\r\n\r\n",
    "bare LF after a field": b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
    "bare LFs": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "bare CR in the request line": b"GET /\r HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bare CR in a field": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\rz\r\n\r\n",
    "white space before the first field": b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "no version": b"GET /\r\nHost: localhost\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "malformed version": b"GET / HTTP/1.x\r\nHost: localhost\r\n\r\n",
    "version of one digit": b"GET / HTTP/3\r\nHost: localhost\r\n\r\n",
    "version in lower case": b"GET / http/1.1\r\nHost: localhost\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "control character in the target": b"GET /a\x01b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "fragment in the target": b"GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "target without slash": b"GET a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "asterisk with GET": b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "user name in the target": b"GET http://me@localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "absolute target without host": b"GET http:///a HTTP/1.1\r\nHost: localhost\r\n\r\n",
    # §3.2
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "two different hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nhost: other.example\r\n\r\n",
    "malformed host": b"GET / HTTP/1.1\r\nHost: local host\r\n\r\n",
    "host with a path": b"GET / HTTP/1.1\r\nHost: localhost/\r\n\r\n",
    "host with a user name": b"GET / HTTP/1.1\r\nHost: me@localhost\r\n\r\n",
    "host with a port that is no number": b"GET / HTTP/1.1\r\nHost: localhost:http\r\n\r\n",
    # §5
    "space before a colon": b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "line folding": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\r\n z\r\n\r\n",
    "line folding with a tab": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\tz\r\n\r\n",
    "field without a colon": b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
    "field without a name": b"GET / HTTP/1.1\r\nHost: localhost\r\n: value\r\n\r\n",
    "NUL in a name": b"GET / HTTP/1.1\r\nHost: localhost\r\nX\0: y\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\0\r\n\r\n",
    "control character in a value": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\x01\r\n\r\n",
    # §6: where content ends
    "both length and chunks": post(b"0\r\n\r\n" + SMUGGLED, *BOTH),
    "both chunks and length": post(b"0\r\n\r\n" + SMUGGLED, *reversed(BOTH)),
    "two lengths": post(b"content", b"Content-Length: 7", b"Content-Length: 6"),
    "the same length twice": post(b"content", b"Content-Length: 7", b"Content-Length: 7"),
    "list of lengths": post(b"content", b"Content-Length: 7, 7"),
    "negative length": post(b"", b"Content-Length: -1"),
    "signed length": post(b"content", b"Content-Length: +7"),
    "hexadecimal length": post(b"content", b"Content-Length: 0x7"),
    "length with an underscore": post(b"content", b"Content-Length: 0_7"),
    "length with a space": post(b"content", b"Content-Length: 7 7"),
    "empty length": post(b"", b"Content-Length:"),
    "length beyond all numbers": post(b"", b"Content-Length: " + b"9" * 40),
    "chunks in HTTP/1.0": chunked(b"0\r\n\r\n" + SMUGGLED).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "chunked twice": post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunked twice in a list": post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, chunked"),
    "chunked and identity": post(b"0\r\n\r\n", b"Transfer-Encoding: chunked, identity"),
    "space before the colon of the coding": post(b"0\r\n\r\n", b"Transfer-Encoding : chunked"),
    # §7.1
    "chunk size that is no number": chunked(b"x\r\n"),
    "empty chunk size": chunked(b"\r\n\r\n"),
    "chunk size with 0x": chunked(b"0x7\r\ncontent\r\n0\r\n\r\n"),
    "negative chunk size": chunked(b"-1\r\n\r\n"),
    "signed chunk size": chunked(b"+7\r\ncontent\r\n0\r\n\r\n"),
    "chunk size with an underscore": chunked(b"0_7\r\ncontent\r\n0\r\n\r\n"),
    "chunk size after a space": chunked(b" 7\r\ncontent\r\n0\r\n\r\n"),
    "chunk size beyond all numbers": chunked(b"F" * 17 + b"\r\n"),
    "chunk longer than its size": chunked(b"3\r\ncontent\r\n0\r\n\r\n"),
    "chunk shorter than its size": chunked(b"8\r\ncontent\r\n0\r\n\r\n"),
    "bare LF after a chunk size": chunked(b"7\ncontent\r\n0\r\n\r\n"),
    "bare CR after a chunk size": chunked(b"7\r\rcontent\r\n0\r\n\r\n"),
    "bare LF after a chunk": chunked(b"7\r\ncontent\n0\r\n\r\n"),
    "bare LF in an extension": chunked(b"7;a\nb\r\ncontent\r\n0\r\n\r\n"),
    "trailer without a colon": chunked(b"0\r\nno colon\r\n\r\n"),
    "trailer with line folding": chunked(b"0\r\nX: y\r\n z\r\n\r\n"),
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_refused_and_the_connection_closes(http1: H1Client, message: bytes) -> None:
    """§2.2, §3, §5.1, §5.2, §6.3, §7.1: 400, and nothing after it is taken for a request."""
    http1.send(message + SMUGGLED)
    response = http1.response()
    assert response.status in (400, 501, 505), response
    assert (b"connection", b"close") in response.fields
    http1.expect_close()


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
        (b"GET / HTTP/1.2\r\nHost: localhost\r\n\r\n", 505),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 501),
        (post(b"content", b"Transfer-Encoding: gzip, chunked"), 501),
        (post(b"content", b"Transfer-Encoding: identity"), 501),
        (post(b"content", b"Transfer-Encoding: xchunked"), 501),
        (post(b"content", b"Transfer-Encoding:\x0bchunked"), 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 150 + b"\r\n", 431),
        (b"A" * 100_000, 400),
        (b"GET /" + b"a" * 100_000, 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000, 431),
        (chunked(b"7;" + b"x" * 100_000), 400),
        (chunked(b"0\r\nX: " + b"y" * 100_000), 431),
    ],
    ids=[
        "HTTP/2.0", "HTTP/1.2", "CONNECT", "coding before chunked", "identity", "unknown coding",
        "vertical tab", "long target", "long field", "many fields", "endless method",
        "endless target", "endless field", "endless extension", "endless trailer",
    ],
)  # fmt: skip
def test_what_the_server_does_not_take_is_refused_by_name(
    http1: H1Client, message: bytes, status: int
) -> None:
    """§2.3, §3, §6.1, RFC 6585 §5."""
    http1.send(message)
    response = http1.response()
    assert response.status in (status, 501 if message.startswith(b"AAAA") else status)
    assert (b"connection", b"close") in response.fields
    http1.expect_close()


def test_a_malformed_request_is_answered_after_those_before_it(http1: H1Client) -> None:
    """§9.3.2."""
    http1.send(GET + b"GET / HTTP/1.1\r\nno colon\r\n\r\n" + GET)
    assert [http1.response().status for _ in range(2)] == [200, 400]
    http1.expect_close()


# -- §9.6: the last response is read, even by who is still sending ----------------------------------


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 150 + b"\r\n", 431),
        (post(b"", b"Content-Length: 100000000", target=b"/"), 200),
        (post(b"", b"Transfer-Encoding: br"), 501),
    ],
    ids=["400", "431", "200", "501"],
)
def test_a_client_that_is_still_sending_reads_the_last_response(
    http1: H1Client, head: bytes, status: int
) -> None:
    """§9.6: a close with unread bytes would reset the connection and take the response with it."""
    http1.send(head)
    for _ in range(2_000):
        http1.send(bytes(16_384))
    response = http1.response()
    assert response.status == status
    assert response.content


def test_a_little_content_nobody_reads_does_not_close_the_connection(http1: H1Client) -> None:
    """§9.3."""
    http1.send(post(bytes(10_000), b"Content-Length: 10000", target=b"/") + LAST)
    assert [http1.response().content for _ in range(2)] == [SMALL, SMALL]
    http1.expect_close()
