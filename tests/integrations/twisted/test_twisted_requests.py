"""Requests of a Twisted site over HTTP/2: what Twisted gives them over HTTP/1.1 holds here."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure
from twisted.spread import pb
from twisted.test.iosim import FakeTransport, connect
from twisted.web import http, server
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from plait.integrations.twisted import Site
from plait.server_config import Limits
from tests.support.twisted_site import CLIENT, Answer, Connection, Http2Client, failures, make_site

CANCEL = 8


class Hello(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"hello"

    def render_POST(self, request: Any) -> bytes:
        content: bytes = request.content.read()
        return content


def hold(requests: list[Any]) -> Answer:
    """Return a resource that keeps its requests for the test to answer."""

    def render(request: Any) -> object:
        requests.append(request)
        return NOT_DONE_YET

    return Answer(render)


def outcome(request: Any) -> list[object]:
    """Return a list that will hold what ``notifyFinish`` says."""
    told: list[object] = []
    request.notifyFinish().addBoth(told.append)
    return told


# -- the request ---------------------------------------------------------------------------------


def test_a_resource_answers() -> None:
    message = Http2Client(make_site(Hello())).get()

    assert message.status == 200
    assert message.content == b"hello"
    assert message.ended
    names = [name for name, _ in message.fields]
    assert sorted(names) == [b"content-length", b"content-type", b"date", b"server"]
    assert dict(message.fields)[b"content-length"] == b"5"


def test_a_request_tells_what_it_is() -> None:
    requests: list[Any] = []
    client = Http2Client(make_site(hold(requests)))

    client.request(b"GET", b"/book/a%20b?id=1&id=2", (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"x-a", b"1"))

    (request,) = requests
    assert request.clientproto == b"HTTP/2"
    assert (request.method, request.uri) == (b"GET", b"/book/a%20b?id=1&id=2")
    assert (request.path, request.args) == (b"/book/a%20b", {b"id": [b"1", b"2"]})
    assert request.prepath == []
    assert request.postpath == [b"book", b"a b"]
    assert request.getHeader("host") == "a.example"
    assert request.getRequestHostname() == b"a.example"
    assert request.requestHeaders.getRawHeaders(b"X-A") == [b"1"]
    assert (request.getCookie(b"a"), request.getCookie(b"b")) == (b"1", b"2")
    assert request.getClientAddress() == CLIENT
    assert request.isSecure()
    assert ISSLTransport.providedBy(request.transport)
    assert request.channel.site is request.channel.factory


def test_without_tls_a_client_with_prior_knowledge_gets_http_2() -> None:
    requests: list[Any] = []
    client = Http2Client(make_site(hold(requests)), alpn=None)

    stream = client.request()

    assert not requests[0].isSecure()
    assert not ISSLTransport.providedBy(requests[0].transport)
    requests[0].write(b"plain")
    requests[0].finish()
    client.move()
    assert client.messages[stream].content == b"plain"


@pytest.mark.parametrize("alpn", [None, b"http/1.1"])
def test_http_1_1_stays_twisteds_own(alpn: bytes | None) -> None:
    requests: list[Any] = []
    connection = Connection(make_site(hold(requests)), alpn)

    for piece in (b"G", b"ET / HT", b"TP/1.1\r\nHost: a.example\r\n\r\n"):
        connection.send(piece)

    (request,) = requests
    assert isinstance(request.channel, http.HTTPChannel)
    assert request.clientproto == b"HTTP/1.1"
    request.write(b"one")
    request.finish()
    assert connection.received().endswith(b"\r\n\r\n3\r\none\r\n0\r\n\r\n")


def test_a_channel_of_ones_own_is_that_of_http_1_1() -> None:
    class Mine(http.HTTPChannel):
        pass

    site = make_site(lambda request: type(request.channel).__name__.encode())
    site.protocol = Mine
    first, second = Connection(site, b"http/1.1"), Http2Client(site)

    first.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")

    assert first.received().endswith(b"\r\n\r\nMine")
    assert second.get().content == b"SecureStream"


def test_a_site_takes_twisteds_arguments_and_a_request_class_of_ones_own() -> None:
    class Mine(server.Request):
        pass

    requests: list[Any] = []
    site = make_site(hold(requests), requestFactory=Mine, timeout=7, parsePOSTFormSubmission=False)

    Http2Client(site).request()

    assert type(requests[0]) is Mine
    assert site.timeOut == 7
    assert site.acceptableProtocols() == [b"h2", b"http/1.1"]


def test_requests_are_logged_as_http_2(tmp_path: Any) -> None:
    path = tmp_path / "access.log"
    site = make_site(Hello(), logPath=str(path))
    site.doStart()

    client = Http2Client(site)
    client.get(b"/x", (b"user-agent", b"test"))
    client.lose()
    site.doStop()

    line = path.read_text()
    assert line.startswith('"192.0.2.1" - - [')
    assert line.endswith('] "GET /x HTTP/2" 200 5 "-" "test"\n')


def test_sessions_live_in_cookies() -> None:
    uids = []

    def render(request: Any) -> bytes:
        uids.append(request.getSession().uid)
        return b""

    site = make_site(render)
    client = Http2Client(site)
    first = client.get()
    cookie = dict(first.fields)[b"set-cookie"].partition(b";")[0]

    client.get(b"/", (b"cookie", cookie))

    assert uids[0] == uids[1]
    assert cookie.startswith(b"TWISTED_SECURE_SESSION=")
    for session in list(site.sessions.values()):
        session.expire()


# -- the response --------------------------------------------------------------------------------


def test_content_goes_out_as_it_is_written() -> None:
    requests: list[Any] = []
    client = Http2Client(make_site(hold(requests)))
    stream = client.request()

    requests[0].write(b"")
    client.move()
    assert client.messages[stream].status == 200
    requests[0].write(b"one,")
    client.move()
    assert client.messages[stream].content == b"one,"
    assert not client.messages[stream].ended
    requests[0].write(b"two")
    told = outcome(requests[0])
    requests[0].finish()
    client.move()
    assert client.messages[stream].content == b"one,two"
    assert client.messages[stream].ended
    assert told == [None]


def test_a_deferred_result_is_sent_when_it_comes() -> None:
    later: Deferred[bytes] = Deferred()

    def render(request: Any) -> object:
        later.addCallback(lambda content: (request.write(content), request.finish()))
        return NOT_DONE_YET

    client = Http2Client(make_site(render))
    stream = client.request()
    assert not client.messages[stream].head

    later.callback(b"done")
    client.move()

    assert client.messages[stream].content == b"done"


def test_head_gets_the_fields_of_get_and_no_content() -> None:
    message = Http2Client(make_site(Hello())).get(method=b"HEAD")

    assert message.status == 200
    assert dict(message.fields)[b"content-length"] == b"5"
    assert message.content == b""
    assert message.ended


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_sends_none(status: int) -> None:
    def render(request: Any) -> bytes:
        request.setResponseCode(status)
        return b"ignored"

    message = Http2Client(make_site(render)).get()

    assert message.status == status
    assert message.content == b""
    assert message.ended


def test_fields_about_the_connection_are_left_out() -> None:
    def render(request: Any) -> bytes:
        request.setHeader(b"Connection", b"close")
        request.setHeader(b"Transfer-Encoding", b"chunked")
        request.addCookie("a", "1")
        request.addCookie("b", "2")
        return b""

    fields = Http2Client(make_site(render)).get().fields

    assert not {b"connection", b"transfer-encoding"} & {name for name, _ in fields}
    assert [value for name, value in fields if name == b"set-cookie"] == [b"a=1", b"b=2"]


def test_an_exception_gives_twisteds_error_page_and_its_failure_log() -> None:
    def render(request: Any) -> bytes:
        raise ZeroDivisionError("of mine")

    site = make_site(render)
    with failures() as logged:
        quiet = Http2Client(site).get()
        site.displayTracebacks = True
        open_ = Http2Client(site).get()

    assert (quiet.status, open_.status) == (500, 500)
    assert b"Processing Failed" in quiet.content
    assert b"of mine" not in quiet.content
    assert b"of mine" in open_.content
    assert [one.type for one in logged] == [ZeroDivisionError] * 2


@pytest.mark.filterwarnings("ignore:twisted.web.resource._UnsafeErrorPage:DeprecationWarning")
def test_a_method_a_resource_has_not_is_refused_with_those_it_has() -> None:
    class GetOnly(Resource):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            return b""

    message = Http2Client(make_site(GetOnly())).get(method=b"POST")

    assert message.status == 405
    assert set(dict(message.fields)[b"allow"].split(b", ")) == {b"GET", b"HEAD"}


@pytest.mark.parametrize("code", [99, 100, 600])
def test_a_status_that_is_none_becomes_500(code: int) -> None:
    def render(request: Any) -> bytes:
        request.setResponseCode(code)
        return b"?"

    with failures() as logged:
        message = Http2Client(make_site(render)).get()

    assert message.status == 500
    assert str(code) in str(logged[0].value)


def test_content_shorter_than_its_length_never_looks_complete() -> None:
    def render(request: Any) -> object:
        request.setHeader(b"content-length", b"10")
        request.write(b"four")
        request.finish()
        return NOT_DONE_YET

    with failures() as logged:
        message = Http2Client(make_site(render)).get()

    assert not message.ended
    assert message.reset == 2
    assert "shorter than its content-length" in str(logged[0].value)


def test_content_longer_than_its_length_never_looks_complete() -> None:
    requests: list[Any] = []
    client = Http2Client(make_site(hold(requests)))
    stream = client.request()
    told = outcome(requests[0])
    requests[0].setHeader(b"content-length", b"3")

    with failures() as logged:
        requests[0].write(b"four")
        client.move()

    assert client.messages[stream].reset == 2
    assert "longer than its content-length" in str(logged[0].value)
    assert isinstance(told[0], Failure)
    requests[0].write(b"more")  # as to a client that is gone
    with pytest.raises(RuntimeError, match="connection was lost"):
        requests[0].finish()


# -- the content of a request --------------------------------------------------------------------


def test_a_request_with_content_is_handled_when_it_is_whole() -> None:
    client = Http2Client(make_site(Hello()))

    stream = client.request(b"POST", content=b"one,", end_stream=False)
    assert not client.messages[stream].head
    client.upload(stream, b"two", end_stream=True)
    client.move()

    assert client.messages[stream].content == b"one,two"


@pytest.mark.parametrize(
    ("fields", "content", "length"),
    [([], None, 0), ([], b"abc", None), ([(b"content-length", b"3")], b"abc", 3)],
)
def test_a_file_for_the_content_is_made_by_its_length(
    fields: list[tuple[bytes, bytes]], content: bytes | None, length: int | None
) -> None:
    site: Any = make_site(Hello())
    asked: list[int | None] = []

    def make(length: int | None) -> BytesIO:
        asked.append(length)
        return BytesIO()

    site.getContentFile = make
    client = Http2Client(site)

    stream = client.request(b"POST", b"/", *fields, content=content)

    assert asked == [length]
    assert client.messages[stream].content == (content or b"")


def test_forms_become_arguments() -> None:
    def render(request: Any) -> bytes:
        return repr(sorted(request.args.items())).encode()

    client = Http2Client(make_site(render))
    stream = client.request(
        b"POST", b"/?q=1", (b"content-type", b"application/x-www-form-urlencoded"), content=b"a=2&b=3"
    )

    assert client.messages[stream].content == b"[(b'a', [b'2']), (b'b', [b'3']), (b'q', [b'1'])]"


def test_a_form_that_cannot_be_parsed_is_a_bad_request() -> None:
    client = Http2Client(make_site(Hello()))

    stream = client.request(b"POST", b"/", (b"content-type", b"multipart/form-data; boundary="), content=b"x")

    assert client.messages[stream].status == 400
    assert client.get().content == b"hello"


def test_a_client_that_waits_for_100_gets_it() -> None:
    client = Http2Client(make_site(Hello()))

    stream = client.request(b"POST", b"/", (b"expect", b"100-continue"), end_stream=False)
    assert client.messages[stream].interim == [[(b":status", b"100")]]
    client.upload(stream, b"now", end_stream=True)
    client.move()

    assert client.messages[stream].content == b"now"


def test_an_upload_larger_than_the_windows_arrives_whole() -> None:
    sizes = []

    def render(request: Any) -> bytes:
        sizes.append(len(request.content.read()))
        return b""

    client = Http2Client(make_site(render, limits=Limits(stream_window=65_535)))
    stream = client.request(b"POST", end_stream=False)
    for _ in range(30):
        client.upload(stream, bytes(60_000))
        client.move()
    client.upload(stream, b"", end_stream=True)
    client.move()

    assert sizes == [1_800_000]
    assert client.messages[stream].status == 200


def test_a_request_may_be_answered_before_its_content_is_whole() -> None:
    class Hasty(server.Request):
        def handleContentChunk(self, data: bytes) -> None:
            super().handleContentChunk(data)
            if not self.finished:
                self.setResponseCode(403)
                self.write(b"no more")
                self.finish()

    client = Http2Client(make_site(Hello(), requestFactory=Hasty))

    stream = client.request(b"POST", content=b"some", end_stream=False)

    assert client.messages[stream].status == 403
    assert (client.messages[stream].content, client.messages[stream].ended) == (b"no more", True)


def test_a_request_that_pauses_its_content_leaves_it_with_the_client_and_not_its_siblings() -> None:
    made = []

    class Slow(server.Request):
        def gotLength(self, length: int | None) -> None:
            super().gotLength(length)
            made.append(self)
            if length is None:
                self.channel.pauseProducing()

    site = make_site(Hello(), requestFactory=Slow, limits=Limits(stream_window=65_535))
    client = Http2Client(site)
    stream = client.request(b"POST", end_stream=False)
    client.upload(stream, bytes(65_535))
    client.move()
    assert client.engine.local_flow_control_window(stream) == 0
    assert client.get().content == b"hello"

    made[0].channel.resumeProducing()
    client.move()
    assert client.engine.local_flow_control_window(stream) > 0
    client.upload(stream, b"end", end_stream=True)
    client.move()
    assert len(client.messages[stream].content) == 65_538


# -- clients that go away ------------------------------------------------------------------------


def test_a_reset_tells_the_request_and_nobody_else() -> None:
    requests: list[Any] = []
    client = Http2Client(make_site(hold(requests)))
    first, second = client.request(), client.request()
    told = [outcome(request) for request in requests]

    client.reset(first)

    assert isinstance(told[0][0], Failure)
    assert told[0][0].check(ConnectionLost)
    assert "CANCEL" in str(told[0][0].value)
    assert told[1] == []
    requests[1].finish()
    client.move()
    assert client.messages[second].ended


def test_a_lost_connection_tells_every_request_why() -> None:
    requests: list[Any] = []
    client = Http2Client(make_site(hold(requests)))
    client.request()
    client.request()
    told = [outcome(request) for request in requests]

    client.lose(ConnectionDone())

    assert all(isinstance(one, Failure) and one.check(ConnectionDone) for (one,) in told)
    requests[0].write(b"to nobody")
    with pytest.raises(RuntimeError, match="connection was lost"):
        requests[0].finish()


def test_a_client_that_resets_its_upload_never_reaches_the_resource() -> None:
    requests: list[Any] = []
    client = Http2Client(make_site(hold(requests)))

    stream = client.request(b"POST", content=b"half", end_stream=False)
    client.reset(stream)

    assert requests == []


def test_losing_the_connection_resets_the_stream_after_what_was_written() -> None:
    requests: list[Any] = []
    client = Http2Client(make_site(hold(requests)))
    client.credits = False
    stream = client.request()
    other = client.request()
    told = outcome(requests[0])

    requests[0].write(bytes(100_000))
    requests[0].loseConnection()
    client.move()
    assert len(client.messages[stream].content) == 65_535
    assert client.messages[stream].reset is None
    client.engine.acknowledge_received_data(65_535, stream)
    client.move()

    assert len(client.messages[stream].content) == 100_000
    assert not client.messages[stream].ended
    assert client.messages[stream].reset == 8
    assert isinstance(told[0], Failure)
    requests[1].finish()
    client.move()
    assert client.messages[other].ended


def test_what_was_written_leaves_though_the_request_is_finished_after_losing_the_connection() -> None:
    def render(request: Any) -> object:
        request.write(b"content")
        request.loseConnection()
        request.finish()
        return NOT_DONE_YET

    with failures() as logged:
        client = Http2Client(make_site(render))
        message = client.get()

    assert (message.content, message.reset, message.ended) == (b"content", CANCEL, False)
    assert logged == []
    assert client.get().content == b"content"


def test_a_client_may_go_before_what_a_finished_request_wrote_has_left() -> None:
    def render(request: Any) -> object:
        request.write(b"x" * 1_000)
        request.loseConnection()
        request.finish()
        return NOT_DONE_YET

    with failures() as logged:
        client = Http2Client(make_site(render), initial_window_size=10)
        client.credits = False
        client.reset(client.request())
        client.lose()

    assert logged == []


def test_aborting_the_connection_resets_the_stream_at_once() -> None:
    requests: list[Any] = []
    client = Http2Client(make_site(hold(requests)))
    stream = client.request()
    told = outcome(requests[0])

    requests[0].transport.abortConnection()
    client.move()

    assert client.messages[stream].reset == 8
    assert isinstance(told[0], Failure)


@pytest.mark.filterwarnings("ignore:twisted.web.resource._Unsafe:DeprecationWarning")
def test_a_resource_of_another_process_answers() -> None:
    from twisted.web import distrib  # which uses what Twisted itself deprecates

    def elsewhere(request: Any) -> bytes:
        return b"%b of %b" % (request.content.read(), request.uri)

    publisher = pb.PBServerFactory(distrib.ResourcePublisher(server.Site(Answer(elsewhere))))
    subscriber, subscription = pb.PBClientFactory(), distrib.ResourceSubscription("publisher.example", 0)
    far, near = publisher.buildProtocol(None), subscriber.buildProtocol(None)
    pump = connect(far, FakeTransport(far, isServer=True), near, FakeTransport(near, isServer=False))
    subscriber.getRootObject().addCallback(subscription.connected)
    pump.flush()
    client = Http2Client(make_site(subscription))

    stream = client.request(b"POST", b"/there", content=b"content", end_stream=False)
    client.engine.send_headers(stream, [(b"x-sum", b"7")], end_stream=True)
    client.move()
    pump.flush()
    client.move()

    assert client.messages[stream].content == b"content of /there"


def test_a_request_factory_that_fails_is_logged_and_answered() -> None:
    def broken(channel: Any, queued: bool) -> Any:
        raise ZeroDivisionError

    with failures() as logged:
        message = Http2Client(make_site(Hello(), requestFactory=broken)).get()

    assert message.status == 500
    assert logged[0].type is ZeroDivisionError


def test_what_goes_wrong_after_the_response_leaves_it_whole() -> None:
    def render(request: Any) -> object:
        request.write(b"whole")
        request.finish()
        raise ZeroDivisionError

    with failures() as logged:
        message = Http2Client(make_site(render)).get()

    assert (message.content, message.ended, message.reset) == (b"whole", True, None)
    assert ZeroDivisionError in [one.type for one in logged]


def test_a_site_made_without_a_reactor_uses_twisteds() -> None:
    from twisted.internet import reactor

    assert Site(Hello()).reactor is reactor


def test_a_site_needs_no_client_of_plaits() -> None:
    program = """
import sys
from plait.integrations.twisted import Site
print([name for name in sys.modules if name.split(".")[:2] in (["plait", "client"], ["plait", "server"])])
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
