"""A further connection, a silent one, and one for several origins."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import h2.events
import pytest
import trustme
from h2.settings import SettingCodes
from hyperframe.frame import ExtensionFrame, PingFrame

from plait.client.coalescing import Proof
from plait.client.pool import Pool
from plait.client.sites import Link
from plait.errors import CertificateRefused, ConnectFailed, ConnectionLost
from plait.protocol.endpoint import ClientEndpoint
from plait.protocol.events import Role
from plait.protocol.h2 import H2Connection
from plait.urls import Origin
from tests.support.faces import Face
from tests.support.raw_h2 import Peer, raw_server
from tests.support.servers import Certificate, serve_app

Make = Callable[..., Face]

REFUSED_STREAM = 7
ORIGIN_FRAME = 0x0C  # RFC 8336 §2
ORIGIN = Origin("https", "example.com", 443)
OTHER = Origin("https", "www.example.com", 443)
FIELDS = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"example.com"), (b":path", b"/")]


class Waiting:
    """A request in the queue."""

    limits: Any = None

    def granted(self, link: Link) -> None:
        link.endpoint.open_exchange(FIELDS, end_stream=True)

    def refused(self, error: Exception) -> None:
        raise error


class Carrier:
    """What counts a connection's bytes."""

    bytes_received = 0


def connection(streams: int, limit: int = 100) -> Link:
    """Return a connection whose peer allows so many streams."""
    settings = bytes.fromhex("000006040000000000") + bytes([0, 3]) + streams.to_bytes(4, "big")
    made = H2Connection(
        Role.CLIENT,
        max_concurrent_streams=limit,
        max_header_fields=100,
        max_header_size=65536,
        stream_window=65536,
        connection_window=65536,
    )
    endpoint = ClientEndpoint(made)
    endpoint.receive_data(settings)
    return Link(ORIGIN, endpoint, Carrier(), 0.0)


def begin(pool: Pool, origin: Origin = ORIGIN) -> int:
    count = pool.wanted(origin)
    for _ in range(count):
        pool.opening(origin)
    return count


def assign(pool: Pool, link: Link) -> int:
    tickets = pool.assign(link)
    for ticket in tickets:
        ticket.granted(link)
    return len(tickets)


def filled(pool: Pool, link: Link, requests: int) -> None:
    """Give a pool its first connection, and requests."""
    for _ in range(requests):
        assert pool.ask(ORIGIN, Waiting()) is None
    assert begin(pool) == 1
    pool.opened(link)
    assign(pool, link)


def limited(**options: int) -> Pool:
    return Pool(max_connections=6, keep_alive=60.0, **options)


def test_one_more_connection_is_opened_when_the_peer_allows_no_more_streams() -> None:
    pool = limited(max_h2_connections=2)
    filled(pool, connection(3), 9)
    assert (pool.waiting(ORIGIN), begin(pool)) == (6, 1)
    assert begin(pool) == 0  # one at a time
    second = connection(3)
    pool.opened(second)
    assert assign(pool, second) == 3
    assert begin(pool) == 0  # two it is


def test_a_limit_of_this_sides_own_opens_no_further_connection() -> None:
    pool = limited(max_h2_connections=2)
    filled(pool, connection(100, limit=3), 9)
    assert begin(pool) == 0


def test_a_peer_that_allows_no_stream_at_all_gets_another_connection_and_then_they_wait() -> None:
    pool = limited(max_h2_connections=2)
    filled(pool, connection(0), 2)
    assert begin(pool) == 1
    pool.opened(connection(0))
    assert begin(pool) == 0
    assert pool.waiting(ORIGIN) == 2


def test_a_further_connection_that_cannot_be_opened_is_not_tried_again_while_there_is_one() -> None:
    pool = limited(max_h2_connections=3)
    first = connection(1)
    filled(pool, first, 5)
    assert begin(pool) == 1
    assert pool.failed(ORIGIN, ConnectFailed("no")) == []
    assert begin(pool) == 0
    first.endpoint.connection_lost("gone")
    pool.settle(first, 1.0)
    assert begin(pool) == 1


def test_a_burst_at_a_server_that_allows_few_streams_is_refused_once_and_not_on_every_connection(
    make_client: Make,
) -> None:
    def strict(peer: Peer) -> None:
        peer.engine.initiate_connection()
        peer.engine.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 3})  # once they are acknowledged
        peer.flush()
        while peer.receive():
            streams = [one.stream_id for one in peer.events if isinstance(one, h2.events.RequestReceived)]
            peer.events.clear()
            for stream in streams[3:]:
                peer.engine.reset_stream(stream, REFUSED_STREAM)
            peer.respond(*streams[:3])

    with raw_server(strict) as server, make_client(server.url, http="2") as client:
        pending = [client.submit("POST", "/", content=b"x") for _ in range(60)]
        assert [one.result().status for one in pending] == [200] * 60
        connections = client.statistics.connections
        assert len(connections) == 2
        assert connections[1].resets_received == 0


def test_requests_beyond_the_peers_limit_go_over_another_connection(make_client: Make) -> None:
    together = threading.Barrier(2, timeout=20)

    def second(peer: Peer) -> None:
        peer.start()
        streams = peer.requests(2)
        together.wait()
        peer.respond(*streams)
        peer.serve()

    def first(peer: Peer) -> None:
        peer.start({SettingCodes.MAX_CONCURRENT_STREAMS: 2})
        peer.serve(1)
        streams = peer.requests(2)
        together.wait()
        peer.respond(*streams)
        peer.serve()

    with raw_server(first, second) as server, make_client(server.url, http="2") as client:
        assert client.get("/").status == 200
        pending = [client.submit("GET", "/") for _ in range(10)]
        assert [one.result().status for one in pending] == [200] * 10
        assert client.statistics.connections_opened == 2


# -- silence -----------------------------------------------------------------------------------------


def test_a_silent_connection_takes_no_request_before_it_answered() -> None:
    pool = limited(ping_interval=10, ping_timeout=2)
    link = connection(100)
    pool.ask(ORIGIN, Waiting())
    begin(pool)
    pool.opened(link)
    link.idle_since = 0.0
    assert assign(pool, link) == 1
    link.endpoint.exchanges.clear()
    link.idle_since = 5.0
    assert pool.ask(ORIGIN, Waiting(), now=14.0) is link
    link.idle_since = 5.0
    assert pool.ask(ORIGIN, Waiting(), now=15.0) is None
    assert pool.to_ping == [link]
    assert (assign(pool, link), begin(pool)) == (0, 0)
    assert pool.look(16.0) == []
    link.endpoint.pings_answered = 1
    pool.settle(link, 16.5)
    assert assign(pool, link) == 1


def test_a_connection_that_does_not_answer_is_lost() -> None:
    pool = limited(ping_interval=10, ping_timeout=2)
    link = connection(100)
    pool.ask(ORIGIN, Waiting())
    begin(pool)
    pool.opened(link)
    assign(pool, link)
    assert pool.look(9.0) == []
    assert pool.to_ping == []
    assert pool.look(10.0) == []
    assert pool.to_ping == [link]
    link.transport.bytes_received = 5
    assert pool.look(11.0) == []
    assert pool.look(13.0) == []
    assert pool.look(21.0) == []
    assert pool.look(23.0) == [link]


def test_an_idle_connection_whose_peer_is_gone_is_found_out_by_a_ping(make_client: Make) -> None:
    gone = threading.Event()

    def mute(peer: Peer) -> None:
        peer.start()
        peer.serve(1)
        gone.wait(20)  # no byte more, as if the way there were cut
        while peer.socket.recv(65536):
            pass

    def ordinary(peer: Peer) -> None:
        gone.set()
        peer.start()
        peer.serve(content=b"another")

    options: dict[str, Any] = {"http": "2", "ping_interval": 0.05, "ping_timeout": 0.2}
    with raw_server(mute, ordinary) as server, make_client(server.url, **options) as client:
        assert client.get("/").content == b"ok"
        threading.Event().wait(0.1)  # time is what is tested
        assert client.post("/", content=iter([b"once"])).content == b"another"


def test_a_peer_that_goes_away_during_a_response_is_found_out_by_a_ping(make_client: Make) -> None:
    def mute(peer: Peer) -> None:
        peer.start()
        peer.requests()
        while peer.socket.recv(65536):
            pass

    options: dict[str, Any] = {"http": "2", "ping_interval": 0.1, "ping_timeout": 0.2}
    with (
        raw_server(mute) as server,
        make_client(server.url, **options) as client,
        pytest.raises(ConnectionLost, match="the server did not answer a PING"),
    ):
        client.get("/")


def test_a_peer_that_answers_is_given_its_time(make_client: Make) -> None:
    def slow(peer: Peer) -> None:
        peer.start()
        for _ in range(2):
            (stream,) = peer.requests()
            peer.wait_for(h2.events.PingReceived, 3)
            peer.respond(stream)
        peer.drain()

    options: dict[str, Any] = {"http": "2", "ping_interval": 0.05, "ping_timeout": 5}
    with raw_server(slow) as server, make_client(server.url, **options) as client:
        assert client.get("/").status == client.get("/").status == 200
        assert client.statistics.connections_opened == 1


def test_a_flood_of_pings_is_answered_or_ended_and_costs_no_memory(make_client: Make) -> None:
    def flooding(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        try:
            for _ in range(100):
                peer.send(*[PingFrame(0, opaque_data=b"flooding")] * 1000)
                peer.socket.settimeout(0.01)
                try:
                    while peer.socket.recv(1 << 20):
                        pass
                except TimeoutError:
                    pass
                peer.socket.settimeout(20)
            peer.respond(stream)
            while peer.socket.recv(65536):
                pass
        except OSError:
            pass

    with raw_server(flooding) as server, make_client(server.url, http="2") as client:
        try:
            assert client.get("/").status == 200
        except ConnectionLost:
            pass


# -- several origins ---------------------------------------------------------------------------------


class Everyone:
    """A certificate for example.com and one level below it."""

    def covers(self, host: str) -> bool:
        return Proof(["example.com", "*.example.com"], "", []).covers(host)

    def is_at(self, addresses: Collection[str]) -> bool:
        return "192.0.2.1" in addresses


def shared() -> tuple[Pool, Link]:
    pool = limited()
    link = connection(100)
    link.authority = Everyone()
    filled(pool, link, 1)
    return pool, link


@pytest.mark.parametrize(
    ("names", "host", "covered"),
    [
        (["example.com"], "example.com", True),
        (["example.com"], "www.example.com", False),
        (["*.example.com"], "www.example.com", True),
        (["*.example.com"], "a.b.example.com", False),
        (["*.example.com"], "example.com", False),
        ([], "example.com", False),
    ],
)
def test_a_certificate_is_good_for_the_names_in_it(names: Sequence[str], host: str, covered: bool) -> None:
    assert Proof(names, "192.0.2.1", []).covers(host) is covered


def test_a_connection_serves_another_origin_at_the_same_address() -> None:
    pool, link = shared()
    assert pool.ask(OTHER, Waiting()) is None
    assert pool.sharable(OTHER, None) is None
    assert pool.sharable(OTHER, ["192.0.2.2"]) is None
    assert pool.sharable(OTHER, ["192.0.2.2", "192.0.2.1"]) is link
    pool.share(OTHER, link)
    assert assign(pool, link) == 1
    assert begin(pool, OTHER) == 0
    assert pool.ask(OTHER, Waiting()) is link
    assert pool.links == [link]
    link.endpoint.connection_lost("gone")
    pool.settle(link, 1.0)
    assert pool.links_to(OTHER) == []


@pytest.mark.parametrize(
    "origin",
    [
        Origin("https", "www.example.com", 8443),
        Origin("http", "www.example.com", 443),
        Origin("https", "example.org", 443),
    ],
)
def test_a_connection_serves_no_origin_that_it_is_not_for(origin: Origin) -> None:
    pool, _ = shared()
    assert pool.sharable(origin, ["192.0.2.1"]) is None


def test_an_origin_that_the_peer_names_needs_no_address_and_one_that_it_leaves_out_has_no_chance() -> None:
    pool, link = shared()
    link.endpoint.origins = frozenset({b"https://www.example.com"})
    assert pool.sharable(OTHER, None) is link
    assert pool.sharable(Origin("https", "img.example.com", 443), ["192.0.2.1"]) is None


def test_who_was_misdirected_gets_a_connection_of_its_own() -> None:
    pool, link = shared()
    pool.ask(OTHER, Waiting())
    pool.share(OTHER, link)
    pool.unshare(OTHER, link)
    assert pool.sharable(OTHER, ["192.0.2.1"]) is None
    assert begin(pool, OTHER) == 1


@pytest.fixture
def several(tmp_path: Path) -> Certificate:
    """Return a certificate for two names."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "one.test", "two.test")
    made = Certificate(ca=tmp_path / "ca.pem", chain=tmp_path / "chain.pem", key=tmp_path / "key.pem")
    authority.cert_pem.write_to_path(made.ca)
    leaf.private_key_pem.write_to_path(made.key)
    leaf.cert_chain_pems[0].write_to_path(made.chain)
    return made


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have names below .test stand for this machine; return those that were looked up."""
    real = socket.getaddrinfo
    asked: list[str] = []

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        if not str(host).endswith(".test"):
            return real(host, *args, **options)
        if options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        asked.append(host)
        return real("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


@pytest.mark.parametrize(("coalesce", "connections"), [(True, 1), (False, 2)])
def test_two_names_share_a_connection_when_asked_for(
    make_client: Make, several: Certificate, names: list[str], coalesce: bool, connections: int
) -> None:
    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    with raw_server(ordinary, certificate=several) as server:
        port = port_of(server.url)
        with make_client(verify=several.ca, coalesce=coalesce) as client:
            for name in ("one.test", "two.test", "one.test"):
                assert client.get(f"https://{name}:{port}/").status == 200
            pending = [client.submit("GET", f"https://{name}.test:{port}/") for name in ("one", "two") * 5]
            assert [one.result().status for one in pending] == [200] * 10
        assert server.connections == connections
    assert set(names) == {"one.test", "two.test"}


def test_nobody_shares_a_connection_that_was_not_verified(
    make_client: Make, several: Certificate, names: list[str]
) -> None:
    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    with raw_server(ordinary, certificate=several) as server:
        with make_client(verify=False, coalesce=True) as client:
            for name in ("one.test", "two.test"):
                assert client.get(f"https://{name}:{port_of(server.url)}/").status == 200
        assert server.connections == 2


def test_an_origin_frame_saves_the_look_up(make_client: Make, several: Certificate, names: list[str]) -> None:
    def naming(peer: Peer) -> None:
        origin = f"https://two.test:{port}".encode()
        peer.start()
        frame = ExtensionFrame(ORIGIN_FRAME, 0, body=len(origin).to_bytes(2, "big") + origin)
        frame.body_len = len(frame.body)
        peer.send(frame)
        peer.serve()

    with raw_server(naming, certificate=several) as server:
        port = port_of(server.url)
        with make_client(verify=several.ca, coalesce=True) as client:
            for name in ("one.test", "two.test"):
                assert client.get(f"https://{name}:{port}/").status == 200
        assert server.connections == 1
    assert names == ["one.test"]


def test_a_shared_connection_that_is_the_wrong_one_is_left(
    make_client: Make, several: Certificate, names: list[str]
) -> None:
    def first(peer: Peer) -> None:
        peer.start()
        peer.serve(1)
        peer.respond(*peer.requests(), status=421)
        peer.serve(content=b"first")

    def second(peer: Peer) -> None:
        peer.start()
        peer.serve(content=b"second")

    with raw_server(first, second, certificate=several) as server:
        port = port_of(server.url)
        with make_client(verify=several.ca, coalesce=True) as client:
            assert client.get(f"https://one.test:{port}/").content == b"ok"
            assert client.post(f"https://two.test:{port}/", content=b"x").content == b"second"
            assert client.get(f"https://one.test:{port}/").content == b"first"
            assert client.get(f"https://two.test:{port}/").content == b"second"
        assert server.connections == 2


def test_a_pin_is_asked_about_every_name(make_client: Make, several: Certificate, names: list[str]) -> None:
    own = ssl.PEM_cert_to_DER_cert(several.chain.read_text().strip())
    asked: list[str] = []

    def check(host: str, chain: Sequence[bytes]) -> bool:
        asked.append(host)
        return host == "one.test" and chain[0] == own

    with (
        serve_app("interop_app:app", certificate=several) as server,
        make_client(verify=several.ca, coalesce=True, check_certificate=check) as client,
    ):
        assert client.get(f"https://one.test:{server.port}/").status == 200
        with pytest.raises(CertificateRefused):
            client.get(f"https://two.test:{server.port}/")
    assert asked == ["one.test", "two.test", "two.test"]
