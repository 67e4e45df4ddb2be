"""The modelled link and the splice, with real sockets: what arrives, and when."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from plait.errors import ConfigError, PlaitError
from plait.lab.network.local import LocalHost, Loopback
from plait.lab.network.modelled import ModelledDirection
from plait.lab.network.parse import parse_network
from plait.lab.network.profile import Direction
from plait.lab.network.relay import RelayLink, refuse_loss, splice
from plait.lab.samples import Medium

LIMIT = 30.0


@contextlib.contextmanager
def serving(handle: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[tuple[str, int]]:
    """Run a function for each connection, each in a thread, and yield the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def serve(connection: socket.socket) -> None:
        connection.settimeout(LIMIT)
        with connection, contextlib.suppress(OSError):
            handle(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    try:
        server = socket.create_server((host, 0), family=family, backlog=1024)
    except OSError:
        if family is not socket.AF_INET6:
            raise
        pytest.skip("this machine has no IPv6")
    with server:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[:2]
        finally:
            server.shutdown(socket.SHUT_RDWR)


def echo(connection: socket.socket) -> None:
    """Send back whatever comes, until the other side ends."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(65536):
        connection.sendall(data)


def receive_all(connection: socket.socket) -> bytes:
    """Return everything until the end."""
    parts = []
    while data := connection.recv(1 << 20):
        parts.append(data)
    return b"".join(parts)


def connect(link: RelayLink) -> socket.socket:
    """Connect through the relay."""
    connection = socket.create_connection((link.server_address, link.port), timeout=LIMIT)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def round_trip(connection: socket.socket) -> float:
    """Return the seconds until one byte came back."""
    started = time.monotonic()
    connection.sendall(b"x")
    assert connection.recv(1) == b"x"
    return time.monotonic() - started


@pytest.fixture
def listener() -> socket.socket:
    """Return a listening socket, as another network namespace would hand one over."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


def test_a_round_trip_takes_both_delays_and_establishing_a_connection_one_more() -> None:
    with serving(echo) as upstream, RelayLink(upstream) as link:
        link.begin(parse_network("down-delay=20ms,up-delay=40ms"), 1)
        firsts, others = [], []
        for _ in range(3):
            with connect(link) as connection:
                firsts.append(round_trip(connection))
                others += [round_trip(connection) for _ in range(5)]

    # A noisy machine makes round trips longer, never shorter: the best of them shows what the relay adds.
    assert 0.12 <= min(firsts) < 0.18
    assert 0.06 <= min(others) < 0.08


def test_a_server_that_speaks_first_is_heard_when_its_client_would_be_connected() -> None:
    with serving(lambda connection: connection.sendall(b"hello")) as upstream, RelayLink(upstream) as link:
        link.begin(parse_network("rtt=60ms"), 1)
        started = time.monotonic()
        with connect(link) as connection:
            assert receive_all(connection) == b"hello"
            # SYN and its answer, the client's acknowledgement, and the way of the first byte
            assert time.monotonic() - started >= 0.12


def test_all_connections_share_the_rate_of_a_direction_and_take_turns() -> None:
    size = 100_000
    together = threading.Barrier(4)
    done: list[float] = []

    def send(connection: socket.socket) -> None:
        together.wait(LIMIT)
        connection.sendall(bytes(size))

    def fetch(link: RelayLink) -> None:
        with connect(link) as connection:
            assert len(receive_all(connection)) == size
            done.append(time.monotonic() - started)

    with serving(send) as upstream, RelayLink(upstream) as link:
        link.begin(parse_network("rtt=10ms,down=8mbit,up=8mbit"), 1)
        started = time.monotonic()
        threads = [threading.Thread(target=fetch, args=(link,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)

    # 400 kB at 8 Mbit/s, and the headers of their packets, 3.6 %
    first, second, *_, last = sorted(done)
    assert 0.4 * 1.03 <= last < 0.8
    assert first > 0.1
    assert second > 0.3  # side by side: one after the other it would be half the time


def test_the_queue_holds_its_sender_back() -> None:
    sent: list[float] = []

    def send(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        started = time.monotonic()
        connection.sendall(bytes(4_000_000))
        sent.append(time.monotonic() - started)

    with serving(send) as upstream, RelayLink(upstream) as link:
        link.begin(parse_network("down=100mbit,queue=50"), 1)
        with connect(link) as connection:
            assert len(receive_all(connection)) == 4_000_000

    assert sent[0] > 0.1  # of 0.32 seconds, but for what kernels and the queue hold


def test_jitter_delays_and_does_not_reorder() -> None:
    direction = ModelledDirection(Direction(delay=0.1, jitter=0.05), "seed")

    out = [direction.send(1, index / 1000) for index in range(1000)]

    assert out == sorted(out)
    late = [due - index / 1000 - 0.1 for index, due in enumerate(out)]
    assert 0 <= min(late) <= max(late) <= 0.05 + 1e-9
    assert max(late) > 0.04
    again = ModelledDirection(Direction(delay=0.1, jitter=0.05), "seed")
    assert out == [again.send(1, index / 1000) for index in range(1000)]


def test_bytes_take_the_time_of_the_packets_they_would_be() -> None:
    direction = ModelledDirection(Direction(delay=1, rate=12_000, queue=2), "")

    assert direction.send(1448, 0) == pytest.approx(2)  # one packet of 1,500 bytes is 12,000 bits
    assert direction.send(1449, 0) == pytest.approx(2 + (1449 + 104) * 8 / 12_000)
    assert direction.send(0, 10) == pytest.approx(11 + 52 * 8 / 12_000)
    assert direction.wait(10) < 0
    for _ in range(3):
        direction.send(1448, 10)
    assert direction.wait(10) == pytest.approx(1 + 52 * 8 / 12_000)


@pytest.mark.parametrize("network", [None, "rtt=20ms,down=400mbit,up=400mbit,jitter=1ms"])
def test_a_large_transfer_arrives_whole_in_both_directions(network: str | None) -> None:
    content = os.urandom(8_000_000)
    with serving(echo) as upstream, RelayLink(upstream) as link:
        link.begin(parse_network(network) if network else None, 1)
        with connect(link) as connection:
            received: list[bytes] = []
            reader = threading.Thread(target=lambda: received.append(receive_all(connection)))
            reader.start()
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            reader.join(LIMIT)

    assert hashlib.sha256(received[0]).digest() == hashlib.sha256(content).digest()


@pytest.mark.parametrize("network", [None, "rtt=20ms,down=10mbit"])
def test_a_direction_ends_by_itself_and_its_last_bytes_arrive(network: str | None) -> None:
    def answer(connection: socket.socket) -> None:
        request = receive_all(connection)  # until the client ended its direction
        connection.sendall(b"%d bytes" % len(request))

    with serving(answer) as upstream, RelayLink(upstream) as link:
        link.begin(parse_network(network) if network else None, 1)
        with connect(link) as connection:
            connection.sendall(bytes(100_000))
            connection.shutdown(socket.SHUT_WR)
            assert receive_all(connection) == b"100000 bytes"


def test_a_broken_connection_is_broken_on_the_other_side_too() -> None:
    broken = threading.Event()

    def wait(connection: socket.socket) -> None:
        connection.sendall(b"ready")
        try:
            connection.recv(1)
        except ConnectionResetError:
            broken.set()

    with serving(wait) as upstream, RelayLink(upstream) as link:
        connection = connect(link)
        assert connection.recv(5) == b"ready"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        assert broken.wait(LIMIT)


def test_two_hundred_connections_at_once_are_relayed(listener: socket.socket) -> None:
    address = listener.getsockname()
    with serving(echo) as upstream, splice(listener, upstream), contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(address, timeout=LIMIT)) for _ in range(200)
        ]
        for index, connection in enumerate(connections):
            connection.sendall(b"%03d" % index)
            connection.shutdown(socket.SHUT_WR)
        assert [receive_all(connection) for connection in connections] == [b"%03d" % i for i in range(200)]


@pytest.mark.parametrize(("name", "address"), [("localhost", "127.0.0.1"), ("::1", "::1")])
def test_a_splice_leads_to_names_and_addresses(listener: socket.socket, name: str, address: str) -> None:
    entrance = listener.getsockname()
    with (
        serving(echo, address) as (_, port),
        splice(listener, (name, port)),
        socket.create_connection(entrance, timeout=LIMIT) as connection,
    ):
        assert round_trip(connection)


def test_a_server_that_does_not_answer_breaks_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        upstream = closed.getsockname()
    with RelayLink(upstream) as link, connect(link) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


def test_a_name_that_cannot_be_resolved_is_named(listener: socket.socket) -> None:
    with (
        pytest.raises(PlaitError, match=r"cannot resolve nowhere\.invalid: "),
        splice(listener, ("nowhere.invalid", 443)),
    ):
        pass


def test_beginning_breaks_off_what_is_left() -> None:
    with serving(echo) as upstream, RelayLink(upstream) as link, connect(link) as connection:
        round_trip(connection)
        link.begin(parse_network("rtt=5ms"), 1)

        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        with connect(link) as another:
            assert round_trip(another) >= 0.01


@pytest.mark.parametrize("text", ["lossy-wifi", "up-loss=1%"])
def test_a_network_that_loses_packets_is_refused(text: str) -> None:
    network = parse_network(text)

    with pytest.raises(ConfigError, match=f"a relay cannot lose packets, and {text} loses some"):
        refuse_loss([parse_network("4g"), network])
    with serving(echo) as upstream, RelayLink(upstream) as link, pytest.raises(ConfigError):
        link.begin(network, 1)


def test_a_link_says_what_it_is_made_of_and_counts_nothing() -> None:
    with serving(echo, "::1") as upstream, RelayLink(upstream) as link:
        assert (link.medium, link.server_address) == (Medium.MODELLED, "::1")
        with connect(link) as connection:
            round_trip(connection)
        assert link.end() == (None, ())


def test_a_relay_that_ended_is_reported() -> None:
    with serving(echo) as upstream, RelayLink(upstream) as link:
        os.kill(link._process.pid, signal.SIGKILL)
        link._process.wait(LIMIT)
        with pytest.raises(PlaitError, match="the relay ended with status -9"):
            link.begin(None, 1)


def test_a_relay_ends_with_the_process_that_started_it() -> None:
    program = """
import sys, time
from plait.lab.network.relay import RelayLink
with RelayLink(("127.0.0.1", 9)) as link:
    print(link._process.pid, link.port, flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        _, port = map(int, parent.stdout.readline().split())
    parent.kill()
    parent.wait(LIMIT)

    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT).close()
        except OSError:
            return
        time.sleep(0.02)
    pytest.fail("it is still there")


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_process_on_this_machine_dies_with_a_parent_that_is_killed() -> None:
    program = """
import sys, time
from plait.lab.network.local import LocalHost
print(LocalHost().popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate(timeout=LIMIT)

    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{child}/stat") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":  # dead, and nobody has reaped it yet
                    return
        except FileNotFoundError:
            return
        time.sleep(0.02)
    pytest.fail("it is still there")


def test_the_real_network_cannot_be_another() -> None:
    link = Loopback(Medium.REAL)

    link.begin(None, 1)
    assert link.end() == (None, ())
    assert isinstance(link.client, LocalHost)
    with pytest.raises(ConfigError, match="the network is real, so it cannot be 4g"):
        link.begin(parse_network("4g"), 1)
