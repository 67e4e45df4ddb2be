"""Responses that servers push to clients that asked for it (RFC 9113 §8.4)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h2.events
import pytest
from h2.settings import SettingCodes
from hyperframe.frame import PushPromiseFrame, RstStreamFrame

import plait
from plait.errors import ClientClosed, ConnectionLost, LocalProtocolError
from tests.support.faces import AsyncFace, Face
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, RunningServer, serve_nghttpd
from tests.support.tools import require_tool

Make = Callable[..., Face]

PROTOCOL_ERROR, CANCEL = 1, 8


def promise(peer: Peer, stream: int, path: str = "/pushed", *fields: tuple[str, str], **said: str) -> int:
    """Promise the response to a request, and return the stream it will come on."""
    host, port = peer.socket.getsockname()
    request = {"method": "GET", "scheme": "http", "authority": f"{host}:{port}", "path": path, **said}
    promised: int = peer.engine.get_next_available_stream_id()
    head = [(f":{name}", value) for name, value in request.items()]
    peer.engine.push_stream(stream, promised, [*head, *fields])
    peer.flush()
    return promised


def pushing(peer: Peer) -> None:
    """Answer every request, and push /pushed beside /page."""
    peer.start()
    while True:
        if not any(isinstance(event, h2.events.RequestReceived) for event in peer.events):
            if not peer.receive():
                return
            continue
        (head,) = peer.wait_for(h2.events.RequestReceived)
        path = dict(head.headers)[":path"]
        if path == "/page":
            pushed = promise(peer, head.stream_id, "/pushed", ("x-promised", "yes"))
            peer.respond(head.stream_id, content=b"page")
            peer.respond(pushed, content=b"pushed", fields=(("x-kind", "push"),))
        else:
            peer.respond(head.stream_id, content=b"asked for")


def result(client: Face, pending: Any) -> plait.Response:
    response: plait.Response
    response = client.run(pending.result()) if isinstance(client, AsyncFace) else pending.result()
    return response


def settle(client: Face) -> None:
    """Have the client take note of what has come; a request that the server answers shows that it did."""
    assert client.get("/other").status == 200


def test_no_client_is_pushed_to_that_did_not_ask_for_it(make_client: Make) -> None:
    seen = []

    def rude(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        seen.append(peer.engine.remote_settings[SettingCodes.ENABLE_PUSH])
        peer.send(PushPromiseFrame(stream, promised_stream_id=2, data=b"\x82\x86\x84", flags=["END_HEADERS"]))
        peer.drain()

    with raw_server(rude) as server, make_client(server.url, http="2") as client:
        with pytest.raises(ConnectionLost) as caught:
            client.post("/")
        assert caught.value.error_code == PROTOCOL_ERROR
    assert seen == [0]


def test_the_server_is_told_how_many_streams_it_may_push(make_client: Make) -> None:
    seen = []

    def looking(peer: Peer) -> None:
        peer.start()
        peer.respond(*peer.requests())
        settings = peer.engine.remote_settings
        seen.append((settings[SettingCodes.ENABLE_PUSH], settings[SettingCodes.MAX_CONCURRENT_STREAMS]))
        peer.drain()

    with raw_server(looking) as server, make_client(server.url, http="2", push=True) as client:
        client.get("/")
    assert seen == [(1, 100)]


def test_what_is_pushed_is_offered_with_the_response(make_client: Make) -> None:
    with raw_server(pushing) as server, make_client(server.url, http="2", push=True) as client:
        response = client.get("/page")
        assert response.content == b"page"
        (pushed,) = response.pushed
        assert (pushed.request.method, pushed.request.url) == ("GET", f"{server.url}/pushed")
        assert pushed.request.headers["x-promised"] == "yes"
        answer = result(client, pushed.accept())
        assert (answer.status, answer.content, answer.headers["x-kind"]) == (200, b"pushed", "push")
        assert answer.url == f"{server.url}/pushed"
        assert answer.timing.connection == 1
        for again in (pushed.accept, pushed.cancel, response.pushed[0].accept):
            with pytest.raises(LocalProtocolError, match="taken already"):
                again()
        assert client.get("/other").pushed == ()


def test_what_is_pushed_beside_a_streamed_response_is_there_while_it_is_read(make_client: Make) -> None:
    read = threading.Event()

    def slow(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        pushed = promise(peer, stream)
        peer.engine.send_headers(stream, [(":status", "200")])
        peer.engine.send_data(stream, b"first")
        peer.respond(pushed, content=b"pushed")
        assert read.wait(20)
        peer.engine.send_data(stream, b"last", end_stream=True)
        peer.flush()
        peer.drain()

    with (
        raw_server(slow) as server,
        make_client(server.url, http="2", push=True) as client,
        client.stream("GET", "/") as stream,
    ):
        (pushed,) = stream.pushed
        assert result(client, pushed.accept()).content == b"pushed"
        read.set()
        assert stream.read() == b"firstlast"


def test_a_request_for_what_was_pushed_is_answered_by_it_once(make_client: Make) -> None:
    with raw_server(pushing) as server, make_client(server.url, http="2", push=True) as client:
        response = client.get("/page")
        assert client.get("/pushed", headers={"range": "bytes=0-1"}).content == b"asked for"
        assert client.post("/pushed").content == b"asked for"
        assert client.get("/pushed").content == b"pushed"
        with pytest.raises(LocalProtocolError, match="taken already"):
            response.pushed[0].accept()
        assert client.get("/pushed").content == b"asked for"
        client.get("/page")
        with client.stream("GET", "/pushed") as stream:
            assert stream.read() == b"pushed"


def test_a_push_that_is_broken_off_is_followed_by_the_request_itself(make_client: Make) -> None:
    sent = threading.Event()

    def breaking(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        pushed = promise(peer, stream)
        peer.respond(stream)
        assert sent.wait(20)
        peer.send(RstStreamFrame(pushed, error_code=CANCEL))
        peer.respond(*peer.requests(), content=b"asked for")
        peer.drain()

    with raw_server(breaking) as server, make_client(server.url, http="2", push=True) as client:
        client.get("/page")
        pending = client.submit("GET", "/pushed")
        sent.set()
        assert pending.result().content == b"asked for"


def test_a_push_can_be_cancelled(make_client: Make) -> None:
    def endless(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        pushed = promise(peer, stream)
        peer.respond(stream)
        peer.engine.send_headers(pushed, [(":status", "200")])
        peer.engine.send_data(pushed, bytes(1000))
        peer.flush()
        (reset,) = peer.wait_for(h2.events.StreamReset)
        assert (reset.stream_id, reset.error_code) == (pushed, CANCEL)
        peer.serve()

    with raw_server(endless) as server, make_client(server.url, http="2", push=True) as client:
        (pushed,) = client.get("/page").pushed
        pushed.cancel()
        settle(client)


@pytest.mark.parametrize(
    "said",
    [
        {"method": "POST"},
        {"authority": "elsewhere.example"},
        {"authority": "127.0.0.1:1"},
        {"scheme": "https"},
        {"path": "*"},
        {"fields": (("content-length", "7"),)},
    ],
    ids=str,
)
def test_what_may_not_be_promised_is_an_error_of_its_stream_alone(
    make_client: Make, said: dict[str, Any]
) -> None:
    def promising(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        pushed = promise(peer, stream, said.pop("path", "/pushed"), *said.pop("fields", ()), **said)
        peer.respond(stream)
        (reset,) = peer.wait_for(h2.events.StreamReset)
        assert (reset.stream_id, reset.error_code) == (pushed, PROTOCOL_ERROR)
        peer.serve()

    said = dict(said)
    with raw_server(promising) as server, make_client(server.url, http="2", push=True) as client:
        assert client.get("/page").pushed == ()
        settle(client)
        assert client.statistics.connections_opened == 1


def test_what_is_promised_beside_a_response_that_nobody_wants_is_refused(make_client: Make) -> None:
    left = threading.Event()

    def late(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200")])
        peer.flush()
        assert left.wait(20)
        pushed = promise(peer, stream)  # the reset is on its way
        while True:
            (reset,) = peer.wait_for(h2.events.StreamReset)
            if reset.stream_id == pushed:
                assert reset.error_code == CANCEL
                break
        peer.serve()

    with raw_server(late) as server, make_client(server.url, http="2", push=True) as client:
        with client.stream("GET", "/page") as stream:
            assert stream.status == 200
        left.set()
        settle(client)


def test_of_too_many_pushes_the_oldest_are_dropped(make_client: Make) -> None:
    def many(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        promised = [promise(peer, stream, f"/{n}") for n in range(103)]
        peer.respond(stream)
        resets = peer.wait_for(h2.events.StreamReset, 3)
        assert [one.stream_id for one in resets] == promised[:3]
        assert {one.error_code for one in resets} == {CANCEL}
        peer.serve()

    with raw_server(many) as server, make_client(server.url, http="2", push=True) as client:
        pushed = client.get("/page").pushed
        settle(client)
        assert len(pushed) == 103
        with pytest.raises(LocalProtocolError, match="taken already, or dropped"):
            pushed[0].accept()
        pushed[3].cancel()


def test_a_response_offers_no_endless_number_of_pushes(make_client: Make) -> None:
    def endless(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        for n in range(1100):
            one = promise(peer, stream, f"/{n}")
            peer.engine.send_headers(one, [(":status", "204")], end_stream=True)
            peer.flush()
        peer.respond(stream)
        peer.serve()

    with raw_server(endless) as server, make_client(server.url, http="2", push=True) as client:
        assert len(client.get("/page").pushed) == 1000
        assert client.get("/other").status == 200


def test_of_too_much_that_is_pushed_the_oldest_is_dropped_and_its_credit_returned(make_client: Make) -> None:
    def much(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        promised = [promise(peer, stream, f"/{n}") for n in range(3)]
        peer.respond(stream)
        peer.events.clear()
        for one, pieces in zip(promised, (4, 1, 1), strict=True):
            peer.engine.send_headers(one, [(":status", "200")])
            for _ in range(pieces):
                peer.engine.send_data(one, bytes(10_000))
            if one != promised[0]:
                peer.engine.end_stream(one)
            peer.flush()
        (reset,) = peer.wait_for(h2.events.StreamReset)
        assert reset.stream_id == promised[0]
        (update,) = peer.wait_for(h2.events.WindowUpdated)
        assert (update.stream_id, update.delta) == (0, 40_002)  # with the two of the page
        peer.serve()

    with raw_server(much) as server:
        options: dict[str, Any] = {"push": True, "max_pushed_size": 50_000, "connection_window": 65_535}
        with make_client(server.url, http="2", **options) as client:
            pushed = client.get("/page").pushed
            settle(client)
            with pytest.raises(LocalProtocolError, match="or dropped"):
                pushed[0].accept()
            for one in pushed[1:]:
                assert len(result(client, one.accept()).content) == 10_000


def test_a_push_that_nobody_takes_holds_a_window_at_most_and_no_connection(make_client: Make) -> None:
    sizes = []

    def endless(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        pushed = promise(peer, stream)
        peer.respond(stream)
        peer.engine.send_headers(pushed, [(":status", "200")])
        while window := min(peer.engine.local_flow_control_window(pushed), 16_384):
            peer.engine.send_data(pushed, bytes(window))
            sizes.append(window)
        peer.flush()
        peer.drain()  # the client closes what is idle, although this stream is open

    def second(peer: Peer) -> None:
        peer.start()
        peer.serve()

    with raw_server(endless, second) as server:
        options: dict[str, Any] = {"push": True, "stream_window": 100_000, "keep_alive": 0.05}
        with make_client(server.url, http="2", **options) as client:
            assert client.get("/page").status == 200
            threading.Event().wait(0.1)  # time is what is tested
            if isinstance(client, AsyncFace):
                client.look()
            assert client.get("/page").status == 200
        assert server.connections == 2
    assert sum(sizes) == 100_000


def test_a_closed_client_takes_no_push(make_client: Make) -> None:
    with raw_server(pushing) as server:
        with make_client(server.url, http="2", push=True) as client:
            (pushed,) = client.get("/page").pushed
        with pytest.raises(ClientClosed):
            pushed.accept()


def test_pushes_are_measured_and_traced_as_other_responses(make_client: Make) -> None:
    seen: list[Any] = []
    options: dict[str, Any] = {"http": "2", "push": True, "measure": True, "trace": seen.append}
    with raw_server(pushing) as server, make_client(server.url, **options) as client:
        (pushed,) = client.get("/page").pushed
        assert result(client, pushed.accept()).content == b"pushed"
    assert any(event.type == "PUSH_PROMISE" for event in seen)


@pytest.mark.parametrize("http", ["1", "2"])
def test_plaits_own_server_pushes(
    make_client: Make, http: str, plait_server: RunningServer, certificate: Certificate
) -> None:
    with make_client(plait_server.url(), verify=certificate.ca, http=http, push=True) as client:
        response = client.get("/pushing")
        assert response.content == b"pushed\n"
        assert len(response.pushed) == (http == "2")
        for pushed in response.pushed:
            assert pushed.request.url == plait_server.url("/bytes?n=5")
            assert result(client, pushed.accept()).content == bytes(range(5))


def test_nghttpd_pushes(make_client: Make, documents: Path, certificate: Certificate) -> None:
    nghttpd = require_tool("nghttpd")
    with (
        serve_nghttpd(nghttpd, documents, "--push=/small=/large", certificate=certificate) as running,
        make_client(running.url(), verify=certificate.ca, push=True) as client,
    ):
        response = client.get("/small")
        assert response.content == b"small\n"
        (pushed,) = response.pushed
        assert result(client, pushed.accept()).content == (documents / "large").read_bytes()
        client.get("/small")
        assert client.get("/large").content == (documents / "large").read_bytes()
