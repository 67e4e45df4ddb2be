"""Many requests at once: both clients do the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import h2.events
import h2.exceptions
import pytest

import plait
from plait.client.many import Arrivals
from plait.errors import ClientClosed, ConfigError, ExchangeReset, LocalProtocolError, PlaitError
from tests.support.faces import Face
from tests.support.raw_h2 import Peer, raw_server

Make = Callable[..., Face]

MEBIBYTE = 1 << 20


def path_of(request: h2.events.RequestReceived) -> str:
    """Return the target of a request."""
    return dict(request.headers)[":path"]


def echo(peer: Peer) -> None:
    """Answer each request with its method and path."""
    peer.start()
    while True:
        try:
            (request,) = peer.wait_for(h2.events.RequestReceived)
            fields = dict(request.headers)
            peer.respond(request.stream_id, content=f"{fields[':method']} {fields[':path']}".encode())
        except (h2.exceptions.StreamClosedError, h2.exceptions.StreamIDTooLowError):
            continue  # the client wants it no more
        except (AssertionError, OSError, h2.exceptions.ProtocolError):
            return  # the client left


def backwards(peer: Peer) -> None:
    """Answer three requests at a time, the last one first."""
    peer.start()
    while True:
        try:
            requests = peer.wait_for(h2.events.RequestReceived, 3)
        except AssertionError:
            return
        for request in reversed(requests):
            peer.respond(request.stream_id, content=path_of(request).encode())


def broken(peer: Peer) -> None:
    """Reset what asks for it, and answer everything else."""
    peer.start()
    while True:
        try:
            (request,) = peer.wait_for(h2.events.RequestReceived)
        except AssertionError:
            return
        if path_of(request).startswith("/broken"):
            peer.engine.reset_stream(request.stream_id, 2)
            peer.flush()
        else:
            peer.respond(request.stream_id, content=path_of(request).encode())


# -- map: what it yields -------------------------------------------------------------------------


def test_responses_come_in_the_order_of_their_requests(make_client: Make) -> None:
    with raw_server(backwards) as server, make_client(server.url, http="2") as client:
        responses = client.map((f"/{number}" for number in range(9)), window=3)
        assert [one.text for one in responses] == [f"/{number}" for number in range(9)]


def test_responses_come_as_they_come_when_their_order_does_not_matter(make_client: Make) -> None:
    with raw_server(backwards) as server, make_client(server.url, http="2") as client:
        responses = client.map(["/0", "/1", "/2"], ordered=False)
        assert [one.text for one in responses] == ["/2", "/1", "/0"]


def test_urls_have_a_method_and_options_in_common_and_requests_have_their_own(make_client: Make) -> None:
    with raw_server(echo) as server, make_client(server.url, http="2") as client:
        own = client.build_request("PUT", "/own", content=b"x")
        responses = list(client.map(["/1", own, "/2"], method="DELETE", params={"all": 1}))
        assert [one.text for one in responses] == ["DELETE /1?all=1", "PUT /own", "DELETE /2?all=1"]
        assert responses[1].request is own


def test_nothing_comes_of_nothing(make_client: Make) -> None:
    with make_client() as client:
        assert list(client.map([])) == client.gather() == []


def test_redirects_are_followed_and_refused_streams_sent_again(make_client: Make) -> None:
    def moving(peer: Peer) -> None:
        peer.start()
        refused = False
        while True:
            try:
                (request,) = peer.wait_for(h2.events.RequestReceived)
            except AssertionError:
                return
            path = path_of(request)
            if path == "/refused" and not refused:
                refused = True
                peer.engine.reset_stream(request.stream_id, 7)
                peer.flush()
            elif path.startswith("/old"):
                there = ("location", path.replace("old", "new"))
                peer.respond(request.stream_id, status=301, fields=(there,))
            else:
                peer.respond(request.stream_id, content=path.encode())

    with raw_server(moving) as server, make_client(server.url, http="2", follow_redirects=True) as client:
        urls = ["/old/1", "/refused", "/old/2", "/3"]
        assert [one.text for one in client.map(urls)] == ["/new/1", "/refused", "/new/2", "/3"]


def test_hooks_of_all_of_them_run_while_the_first_is_waited_for(make_client: Make) -> None:
    """The first is answered when the others have been sent, which their hooks come before."""
    with (
        raw_server(backwards) as server,
        make_client(server.url, http="2", event_hooks={"request": [lambda request: None]}) as client,
    ):
        assert [one.text for one in client.map(["/0", "/1", "/2"])] == ["/0", "/1", "/2"]


# -- map: how many there are at once -------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_an_endless_iterable_is_taken_from_as_there_is_room(make_client: Make, ordered: bool) -> None:
    taken = 0

    def urls() -> Iterator[str]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield f"/{number}"

    with raw_server(echo) as server, make_client(server.url, http="2") as client:
        responses = client.map(urls(), window=5, ordered=ordered)
        assert taken == 0
        for given, _ in enumerate(responses):
            assert taken <= given + 5
            if given == 50:
                break
        responses.close()
        assert taken == 55


def test_thousands_go_to_hundreds_of_origins_over_as_many_connections_as_they_may(make_client: Make) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    urls = [f"http://shop-{number % 200}.example/{number}" for number in range(2000)]
    with make_client(transport=plait.AppTransport(app, http="1"), max_connections=1) as client:
        texts = [one.text for one in client.map(urls, window=400)]
        assert texts == [f"/{number}" for number in range(2000)]
        assert client.statistics.connections_opened == 200


def test_a_window_of_one_sends_one_after_the_other(make_client: Make) -> None:
    with raw_server(echo) as server, make_client(server.url, http="2") as client:
        assert len(list(client.map(["/"] * 5, window=1))) == 5


def test_requests_are_made_while_others_are_given_back(make_client: Make) -> None:
    with raw_server(echo) as server, make_client(server.url, http="2") as client:
        nested = [client.get(f"/{one.text[-1]}").text for one in client.map(["/1", "/2", "/3"], window=2)]
        assert nested == ["GET /1", "GET /2", "GET /3"]


# -- map: when something goes wrong --------------------------------------------------------------


def test_an_error_is_raised_in_its_place_and_ends_the_rest(make_client: Make) -> None:
    with raw_server(broken) as server, make_client(server.url, http="2") as client:
        responses = client.map(["/1", "/broken", "/2"])
        assert next(responses).text == "/1"
        with pytest.raises(ExchangeReset) as caught:
            next(responses)
        assert caught.value.request.url == f"{server.url}/broken"
        with pytest.raises(StopIteration):
            next(responses)
        assert client.get("/3").text == "/3"


@pytest.mark.parametrize("ordered", [True, False])
def test_errors_are_given_in_the_place_of_responses_when_asked_for(make_client: Make, ordered: bool) -> None:
    with raw_server(broken) as server, make_client(server.url, http="2") as client:
        own = client.build_request("GET", "/broken/own")
        urls = ["/1", own, "ftp://elsewhere/", "/2", "/broken/2"]
        outcomes = list(client.map(urls, return_exceptions=True, ordered=ordered))
        errors = [one for one in outcomes if isinstance(one, PlaitError)]
        texts = [one.text for one in outcomes if isinstance(one, plait.Response)]
        assert sorted(texts) == ["/1", "/2"]
        assert {str(one.request and one.request.url) for one in errors} == {
            f"{server.url}/broken/own",
            f"{server.url}/broken/2",
            "None",
        }
        if ordered:
            assert errors == [outcomes[1], outcomes[2], outcomes[4]]
            assert errors[0].request is own
            assert isinstance(errors[1], LocalProtocolError)


def test_what_the_iterable_raises_comes_after_the_responses_before_it(make_client: Make) -> None:
    def urls() -> Iterator[str]:
        yield "/1"
        yield "/2"
        raise ZeroDivisionError

    with raw_server(echo) as server, make_client(server.url, http="2") as client:
        responses: list[plait.Response] = []
        with pytest.raises(ZeroDivisionError):
            responses.extend(client.map(urls(), return_exceptions=True))
        assert [one.text for one in responses] == ["GET /1", "GET /2"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"window": 0}, "window must be a whole number of requests, 1 at least, not 0"),
        ({"window": 2.5}, "window must be a whole number of requests, 1 at least, not 2.5"),
        ({"requests": "/one"}, "an iterable of URLs and of requests, not str"),
        ({"requests": 7}, "an iterable of URLs and of requests, not int"),
        ({"content": iter([b"x"])}, "content for many requests is bytes"),
        ({"files": {"a": b"x"}}, "content for many requests is bytes"),
    ],
)
def test_bad_use_is_told_at_once(make_client: Make, arguments: dict[str, object], sentence: str) -> None:
    with make_client() as client, pytest.raises(ConfigError, match=sentence):
        client.map(**{"requests": [], **arguments})


def test_something_else_than_a_request_ends_it(make_client: Make) -> None:
    with raw_server(echo) as server, make_client(server.url, http="2") as client:
        responses = client.map(["/1", None], return_exceptions=True)
        assert next(responses).text == "GET /1"
        with pytest.raises(ConfigError, match="a request is a URL or what build_request made, not NoneType"):
            next(responses)


def test_a_client_that_is_closed_ends_it(make_client: Make) -> None:
    with raw_server(echo) as server, make_client(server.url, http="2") as client:
        responses = client.map((f"/{number}" for number in itertools.count()), return_exceptions=True)
        next(responses)
        client.close()
        outcomes: list[object] = []
        with pytest.raises(ClientClosed):
            outcomes.extend(responses)
        assert len(outcomes) == 99


# -- map: left early -----------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_leaving_early_resets_what_is_on_its_way_and_gives_its_credit_back(
    make_client: Make, ordered: bool
) -> None:
    """Each time half a window of the connection lies in responses that nobody takes."""

    def half_sent(peer: Peer) -> None:
        peer.start()
        for _ in range(5):
            first, *others = peer.requests(3)
            for stream in others:
                peer.engine.send_headers(stream, [(":status", "200")])
                for _ in range(16):
                    peer.engine.send_data(stream, bytes(16384))
                    peer.flush()
            peer.respond(first)
            resets = peer.wait_for(h2.events.StreamReset, 2)
            assert {one.stream_id for one in resets} == set(others)
            assert {one.error_code for one in resets} == {8}
        peer.serve()

    options = {"connection_window": MEBIBYTE, "stream_window": MEBIBYTE // 2}
    with raw_server(half_sent) as server, make_client(server.url, http="2", **options) as client:
        for _ in range(5):
            responses = client.map(["/1", "/2", "/3"], ordered=ordered)
            assert next(responses).content == b"ok"
            responses.close()
        assert client.get("/").content == b"ok"
        assert client.statistics.connections_opened == 1
        assert client.statistics.connections[0].resets_sent == 10


def test_requests_that_still_wait_for_a_connection_are_given_up_too(make_client: Make) -> None:
    options = {"max_in_flight": 1, "max_h2_connections": 1}
    with raw_server(echo) as server, make_client(server.url, http="2", **options) as client:
        responses = client.map(["/"] * 50)
        assert next(responses).text == "GET /"
        responses.close()
        assert client.get("/").text == "GET /"
        assert client.statistics.exchanges < 20
        assert client.statistics.connections_opened == 1


# -- map: streamed -------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_streamed_responses_are_read_one_after_the_other(make_client: Make, ordered: bool) -> None:
    with raw_server(echo) as server, make_client(server.url, http="2") as client:
        responses = client.map((f"/{number}" for number in range(30)), stream=True, ordered=ordered)
        texts = ["".join(response.iter_text()) for response in responses]
        assert sorted(texts) == sorted(f"GET /{number}" for number in range(30))
        assert not ordered or texts == [f"GET /{number}" for number in range(30)]


def test_servers_are_held_to_a_window_of_each_response_that_is_streamed(make_client: Make) -> None:
    """Three responses of 64 times what each window takes, and never more than the windows have arrived."""
    window, size = 65_536, 64 * 65_536
    sent = 0

    def generous(peer: Peer) -> None:
        nonlocal sent
        peer.start()
        left = dict.fromkeys(peer.requests(3), size)
        for stream in left:
            peer.engine.send_headers(stream, [(":status", "200")])
        while any(left.values()):
            moved = 0
            for stream in left:
                while left[stream]:
                    room = min(left[stream], peer.engine.local_flow_control_window(stream), 16384)
                    if not room:
                        break
                    left[stream] -= room
                    peer.engine.send_data(stream, bytes(room), end_stream=not left[stream])
                    moved += room
            sent += moved
            peer.flush()
            if not moved:
                assert peer.receive()
        peer.drain()

    with raw_server(generous) as server, make_client(server.url, http="2", stream_window=window) as client:
        read = 0
        for response in client.map(["/"] * 3, stream=True):
            for piece in response.iter_bytes():
                read += len(piece)
                assert sent <= read + 3 * window
        assert read == sent == 3 * size


def test_a_streamed_response_is_closed_when_the_next_is_asked_for(make_client: Make) -> None:
    def endless(peer: Peer) -> None:
        peer.start()
        for stream in peer.requests(3):
            peer.engine.send_headers(stream, [(":status", "200")])
            peer.engine.send_data(stream, bytes(1000))
        peer.flush()
        peer.wait_for(h2.events.StreamReset, 3)
        peer.serve()

    with raw_server(endless) as server, make_client(server.url, http="2") as client:
        responses = client.map(["/"] * 3, stream=True)
        first, second = next(responses), next(responses)
        with pytest.raises(LocalProtocolError, match="inside its with block"):
            first.read()
        with second:
            assert next(iter(second.iter_bytes())) == bytes(1000)
        responses.close()  # with the third, which nobody has taken
        assert client.get("/").status == 200
        assert client.statistics.connections_opened == 1


def test_errors_are_given_among_streamed_responses(make_client: Make) -> None:
    with raw_server(broken) as server, make_client(server.url, http="2") as client:
        results = client.map(["/1", "/broken", "ftp://a/", "/2"], stream=True, return_exceptions=True)
        outcomes = [type(one) if isinstance(one, Exception) else one.read() for one in results]
        assert outcomes == [b"/1", ExchangeReset, LocalProtocolError, b"/2"]


# -- gather --------------------------------------------------------------------------------------


def test_gather_returns_responses_in_the_order_of_its_arguments(make_client: Make) -> None:
    with raw_server(backwards) as server, make_client(server.url, http="2") as client:
        pending = client.submit("GET", "/0")
        request = client.build_request("GET", "/1")
        responses = client.gather(pending, request, "/2")
        assert [one.text for one in responses] == ["/0", "/1", "/2"]


def test_gather_takes_a_request_twice(make_client: Make) -> None:
    with raw_server(echo) as server, make_client(server.url, http="2") as client:
        pending = client.submit("GET", "/")
        one, other = client.gather(pending, pending)
        assert one is other


def test_the_first_failure_that_gather_sees_ends_all_others(make_client: Make) -> None:
    def half_broken(peer: Peer) -> None:
        peer.start()
        first, second, third = peer.requests(3)
        peer.engine.reset_stream(second, 2)
        peer.flush()
        resets = peer.wait_for(h2.events.StreamReset, 2)
        assert {one.stream_id for one in resets} == {first, third}
        peer.serve()

    with raw_server(half_broken) as server, make_client(server.url, http="2") as client:
        pending = client.submit("GET", "/1")
        with pytest.raises(ExchangeReset) as caught:
            client.gather(pending, "/broken", "/3")
        assert caught.value.request.url == f"{server.url}/broken"
        with pytest.raises(ClientClosed):
            pending.result()
        assert client.get("/").status == 200


def test_gather_returns_errors_when_asked_for(make_client: Make) -> None:
    with raw_server(broken) as server, make_client(server.url, http="2") as client:
        outcomes = client.gather("/1", "/broken", "htp:/", "ftp://a/", "/2", return_exceptions=True)
        assert [type(one).__name__ for one in outcomes] == [
            "Response", "ExchangeReset", "Response", "LocalProtocolError", "Response",
        ]  # fmt: skip


def test_gather_takes_its_requests_one_by_one(make_client: Make) -> None:
    with make_client() as client, pytest.raises(ConfigError, match="not list"):
        client.gather(["https://one.example/", "https://other.example/"])


# -- the order -----------------------------------------------------------------------------------


def test_arrivals_are_given_back_in_order_or_as_they_come() -> None:
    for ordered, expected in ((True, [0, 1, 2, 3]), (False, [2, 0, 1, 3])):
        arrivals: Arrivals[SimpleNamespace] = Arrivals(ordered=ordered)
        all_of_them = [SimpleNamespace(number=number, done=False) for number in range(4)]
        for one in all_of_them:
            arrivals.expect(one)
        for number in (2, 0, 1, 3):
            all_of_them[number].done = True
            arrivals.came(all_of_them[number])
        assert [one.number for one in arrivals.ready] == expected
