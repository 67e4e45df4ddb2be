"""What HTTP/2 adds to a Twisted request, and what becomes of it over HTTP/1.1."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.web import server
from twisted.web.http_headers import Headers
from twisted.web.resource import EncodingResourceWrapper
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory

from plait.errors import LocalProtocolError
from plait.integrations.twisted import Request, RequestMixin
from plait.server_config import Limits
from tests.support.twisted_site import Answer, Connection, Http2Client, make_site

ASK = b"GET / HTTP/1.1\r\nHost: a.example\r\n"


def over_http_1(render: Any, *fields: bytes, version: bytes = b"1.1") -> bytes:
    """Return what a site answers to one request over HTTP/1.1, without the fields of every response."""
    connection = Connection(make_site(render), b"http/1.1")
    head = b"GET / HTTP/%b\r\nHost: a.example\r\n" % version
    connection.send(head + b"".join(field + b"\r\n" for field in fields) + b"\r\n")
    return connection.received()


# -- push ----------------------------------------------------------------------------------------


def test_a_pushed_path_goes_through_the_same_resources() -> None:
    allowed = []

    def render(request: Any) -> bytes:
        if request.path == b"/style.css":
            language: bytes = request.getHeader(b"accept-language")
            return b"css in " + language
        allowed.append(request.push(b"/style.css", {b"Accept-Language": [b"cy"]}))
        return b"page"

    client = Http2Client(make_site(render))
    page = client.get(b"/page")

    assert allowed == [True]
    assert page.content == b"page"
    ((_, stream, promise),) = client.promises
    assert promise == [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"a.example"),
        (b":path", b"/style.css"),
        (b"accept-language", b"cy"),
    ]
    assert client.messages[stream].content == b"css in cy"


def test_a_client_that_takes_no_push_gets_none() -> None:
    allowed = []

    def render(request: Any) -> bytes:
        allowed.append(request.push(b"/style.css"))
        return b"page"

    client = Http2Client(make_site(render), enable_push=0)

    assert client.get().content == b"page"
    assert allowed == [False]
    assert over_http_1(render).endswith(b"page")
    assert allowed == [False, False]


def test_what_may_not_be_promised_is_refused() -> None:
    errors = []

    def render(request: Any) -> bytes:
        for path, method in ((b"style.css", b"GET"), (b"/", b"POST")):
            with pytest.raises(LocalProtocolError) as raised:
                request.push(path, method=method)
            errors.append(str(raised.value))
        return b"page"

    assert Http2Client(make_site(render)).get().content == b"page"
    assert "b'style.css' is not a path" in errors[0]
    assert "not b'POST'" in errors[1]


def test_a_request_that_is_over_pushes_nothing() -> None:
    requests: list[Any] = []

    def render(request: Any) -> bytes:
        requests.append(request)
        return b"page"

    Http2Client(make_site(render)).get()

    assert not requests[0].push(b"/style.css")
    assert requests[0].priority == (3, False)


# -- early hints ---------------------------------------------------------------------------------


def test_early_hints_come_before_the_response() -> None:
    def render(request: Any) -> bytes:
        request.earlyHints([b"</a.css>; rel=preload; as=style", b"</b.js>; rel=preload; as=script"])
        request.sendInformational(102)
        return b"page"

    message = Http2Client(make_site(render)).get()

    assert message.interim == [
        [
            (b":status", b"103"),
            (b"link", b"</a.css>; rel=preload; as=style"),
            (b"link", b"</b.js>; rel=preload; as=script"),
        ],
        [(b":status", b"102")],
    ]
    assert message.status == 200

    written = over_http_1(render)
    assert written.startswith(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\n"
        b"Link: </b.js>; rel=preload; as=script\r\n\r\n"
        b"HTTP/1.1 102 Processing\r\n\r\n"
        b"HTTP/1.1 200 OK\r\n"
    )
    assert over_http_1(render, version=b"1.0").startswith(b"HTTP/1.0 200 OK\r\n")


def test_hints_that_come_too_late_are_not_sent() -> None:
    def render(request: Any) -> object:
        request.write(b"page")
        request.earlyHints([b"</a.css>; rel=preload"])
        request.finish()
        request.earlyHints([b"</a.css>; rel=preload"])
        return NOT_DONE_YET

    message = Http2Client(make_site(render)).get()

    assert (message.interim, message.content, message.ended) == ([], b"page", True)
    assert b"103" not in over_http_1(render)


@pytest.mark.parametrize("links", [b"</style.css>; rel=preload", "</style.css>; rel=preload"])
def test_one_link_alone_is_refused(links: Any) -> None:
    def render(request: Any) -> bytes:
        with pytest.raises(TypeError, match="must be a list"):
            request.earlyHints(links)
        return b"page"

    message = Http2Client(make_site(render)).get()

    assert (message.interim, message.content) == ([], b"page")


@pytest.mark.parametrize("code", [101, 200])
def test_a_status_that_is_not_interim_is_refused(code: int) -> None:
    def render(request: Any) -> bytes:
        with pytest.raises(LocalProtocolError, match="not the status of an interim response"):
            request.sendInformational(code)
        return b"page"

    assert Http2Client(make_site(render)).get().content == b"page"
    assert over_http_1(render).endswith(b"page")


# -- trailers ------------------------------------------------------------------------------------


def stream_with_trailers(request: Any) -> object:
    """Answer in pieces, with trailers."""
    request.setTrailer(b"X-Sum", b"wrong")
    request.write(b"content")
    request.setTrailer(b"X-Sum", b"7")
    request.setTrailer(b"X-Late", b"1")
    request.finish()
    return NOT_DONE_YET


def test_trailers_end_the_response_and_are_announced() -> None:
    message = Http2Client(make_site(stream_with_trailers)).get()

    assert message.content == b"content"
    assert dict(message.fields)[b"trailer"] == b"X-Sum"
    assert message.trailers == [(b"x-sum", b"7"), (b"x-late", b"1")]
    assert message.ended


def test_trailers_follow_a_response_with_a_length_too() -> None:
    def render(request: Any) -> bytes:
        request.setTrailer(b"X-Sum", b"7")
        return b"content"

    message = Http2Client(make_site(render)).get()

    assert dict(message.fields)[b"content-length"] == b"7"
    assert message.trailers == [(b"x-sum", b"7")]


def test_over_http_1_1_trailers_follow_the_last_chunk_for_clients_that_take_them() -> None:
    taken = over_http_1(stream_with_trailers, b"TE: deflate, trailers")
    ignored = over_http_1(stream_with_trailers)

    assert taken.endswith(b"\r\n\r\n7\r\ncontent\r\n0\r\nx-sum: 7\r\nx-late: 1\r\n\r\n")
    assert ignored.endswith(b"\r\n\r\n7\r\ncontent\r\n0\r\n\r\n")


def test_trailers_come_after_what_an_encoder_has_left() -> None:
    root = EncodingResourceWrapper(Answer(stream_with_trailers), [GzipEncoderFactory()])
    connection = Connection(make_site(root), b"http/1.1")
    connection.send(ASK + b"TE: trailers\r\nAccept-Encoding: gzip\r\n\r\n")

    message = Http2Client(make_site(root)).get(b"/", (b"accept-encoding", b"gzip"))

    assert connection.received().endswith(b"0\r\nx-sum: 7\r\nx-late: 1\r\n\r\n")
    assert message.trailers == [(b"x-sum", b"7"), (b"x-late", b"1")]
    assert message.ended


def test_a_field_without_a_place_in_trailers_is_refused() -> None:
    def render(request: Any) -> bytes:
        with pytest.raises(LocalProtocolError, match="no place in a trailer section"):
            request.setTrailer(b"Content-Length", b"7")
        return b"page"

    message = Http2Client(make_site(render)).get()

    assert message.trailers is None
    assert message.content == b"page"


def test_trailers_of_the_request_are_handed_over() -> None:
    received = []

    def render(request: Any) -> bytes:
        received.append(request.trailers)
        return b""

    client = Http2Client(make_site(render))
    stream = client.request(b"POST", content=b"x", end_stream=False)
    client.engine.send_headers(stream, [(b"x-sum", b"1")], end_stream=True)
    client.move()
    client.get()

    assert received == [Headers({b"X-Sum": [b"1"]}), None]


# -- priorities ----------------------------------------------------------------------------------


def test_a_request_has_the_clients_priority_and_may_be_given_another() -> None:
    seen = []

    def render(request: Any) -> bytes:
        seen.append(request.priority)
        request.priority = (1, True)
        seen.append(request.priority)
        return b""

    Http2Client(make_site(render)).get(b"/", (b"priority", b"u=5"))
    over_http_1(render)

    assert seen == [(5, False), (1, True), (3, False), (3, False)]
    assert seen[0].urgency == 5


def test_the_more_urgent_response_goes_first() -> None:
    requests: list[Any] = []

    def render(request: Any) -> object:
        requests.append(request)
        return NOT_DONE_YET

    client = Http2Client(make_site(render))
    client.credits = False
    background, urgent = client.request(), client.request()
    requests[0].priority = (7, False)
    requests[1].priority = (0, False)
    for request in requests:
        request.write(bytes(60_000))
    client.move()

    assert len(client.messages[urgent].content) == 60_000
    assert len(client.messages[background].content) == 5_535


# -- request classes -----------------------------------------------------------------------------


def test_the_mixin_gives_a_request_class_of_ones_own_the_same() -> None:
    class Mine(RequestMixin, server.Request):
        pass

    message = Http2Client(make_site(stream_with_trailers, requestFactory=Mine)).get()

    assert message.trailers == [(b"x-sum", b"7"), (b"x-late", b"1")]
    assert issubclass(Request, RequestMixin)


def test_limits_are_given_to_the_site() -> None:
    def render(request: Any) -> bytes:
        return b""

    client = Http2Client(make_site(render, limits=Limits(max_header_fields=10, max_concurrent_streams=5)))

    fields = [(b"x-%d" % number, b"1") for number in range(12)]
    message = client.get(b"/", *fields)

    assert message.status == 431
    assert client.engine.remote_settings.max_concurrent_streams == 5
