"""The emulated link, measured with real sockets at its ends.

Noise of the machine only ever adds to a round trip, so a measurement of one may be taken again.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from plait.errors import ConfigError, PlaitError
from plait.lab.network.emulator import EmulatedHost, EmulationUnavailable, Emulator, bottleneck
from plait.lab.network.profile import Direction, Loss, Network
from plait.lab.samples import LinkUse, Traffic
from tests.support import link_probe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")

PROBE = Path(link_probe.__file__)
HOST = Emulator.server_address
PORTS = count(6000)
ATTEMPTS = 20

Probe = Callable[..., subprocess.Popen[bytes]]


def network(down: Direction, up: Direction | None = None) -> Network:
    return Network(name="a network", spec="", down=down, up=up or Direction())


def round_trip(rtt: float) -> Network:
    return network(Direction(delay=rtt / 2), Direction(delay=rtt / 2))


def probe(host: EmulatedHost, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", str(PROBE), *map(str, arguments)]
    return host.popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def told(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdout
    return json.loads(process.stdout.readline())


def finish(process: subprocess.Popen[bytes]) -> Any:
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return json.loads(output)


def send_across(source: EmulatedHost, target: EmulatedHost, address: str, packets: int, size: int) -> Any:
    """Send numbered packets one way, and tell what came in, and from which port."""
    port = next(PORTS)
    receiver = probe(target, "sink", address, port, packets)
    assert told(receiver) == "listening"
    sender = finish(probe(source, "blast", address, port, packets, size))
    return finish(receiver) | {"port": sender}


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def link() -> Iterator[Emulator]:
    try:
        with Emulator(names=["localhost", "Site.Example"]) as emulator:
            yield emulator
    except EmulationUnavailable as error:
        pytest.skip(str(error))


@contextmanager
def echoing(link: Emulator, port: int) -> Iterator[int]:
    with probe(link.server, "echo", HOST, port, 0) as server:
        assert told(server) == "listening"
        yield port
        server.kill()


@pytest.fixture(scope="module")
def echo(link: Emulator) -> Iterator[int]:
    with echoing(link, next(PORTS)) as port:
        yield port


@pytest.mark.parametrize("rtt", [0.0, 0.002, 0.02, 0.1])
def test_a_round_trip_takes_what_it_should_within_a_millisecond(
    link: Emulator, echo: int, rtt: float
) -> None:
    for _ in range(ATTEMPTS):
        link.begin(round_trip(rtt), 1)
        median = finish(probe(link.client, "ping", HOST, echo, 3))
        assert median >= rtt
        if median < rtt + 1e-3:
            break
    else:
        pytest.fail(f"{median * 1e3:.2f} ms instead of {rtt * 1e3:.0f}")


def test_each_direction_has_its_own_rate_within_three_percent(link: Emulator) -> None:
    fast, slow = Direction(rate=20e6), Direction(rate=5e6)
    for _ in range(ATTEMPTS):
        link.begin(network(fast, slow), 1)
        up = send_across(link.client, link.server, HOST, 150, 1472)["rate"]
        down = send_across(link.server, link.client, "10.77.0.2", 600, 1472)["rate"]
        report = link.end()
        if up == pytest.approx(5e6, rel=0.03) and down == pytest.approx(20e6, rel=0.03):
            break
    else:
        pytest.fail(f"up {up:,.0f}, down {down:,.0f}, {report.use}")
    assert report.use
    assert (report.use.down.packets, report.use.up.packets) == (600, 150)
    assert (report.use.down.bytes, report.use.up.bytes) == (600 * 1500, 150 * 1500)


@pytest.mark.parametrize("loss", [Loss(rate=0.05), Loss(rate=0.05, burst=4)], ids=["single", "bursts"])
def test_loss_is_what_was_asked_for_and_the_same_for_the_same_seed(link: Emulator, loss: Loss) -> None:
    packets = 1000
    lossy = network(Direction(), Direction(loss=loss, rate=5e6))
    arrived = []
    for seed in (1, 1, 2):
        link.begin(lossy, seed)
        result = send_across(link.client, link.server, HOST, packets, 100)
        numbers = result["numbers"]
        report = link.end()
        assert report.use
        assert report.use.overruns == 0
        assert (report.use.up.packets, report.use.up.lost) == (len(numbers), packets - len(numbers))
        assert {(lost.port, lost.down, lost.kind) for lost in report.losses} == {
            (result["port"], False, "lost")
        }
        assert len(report.losses) == report.use.up.lost
        # Losses that come in bursts spread as if there were fewer of them, by about the burst's length
        # twice over.
        spread = math.sqrt(packets * 0.05 * 0.95 * (2 * loss.burst - 1))
        assert abs(report.use.up.lost - packets * 0.05) < 4 * spread
        arrived.append(numbers)
    assert arrived[0] == arrived[1] != arrived[2]


def test_packets_keep_their_order_under_jitter(link: Emulator) -> None:
    link.begin(network(Direction(), Direction(delay=0.005, jitter=0.02, rate=10e6)), 1)
    numbers = send_across(link.client, link.server, HOST, 300, 500)["numbers"]
    assert numbers == list(range(300))


def test_what_is_beyond_the_queue_is_dropped_and_told(link: Emulator) -> None:
    # A packet takes 64 ms, so that all are sent while the first is still on the line.
    link.begin(network(Direction(), Direction(rate=16e3, queue=4)), 1)
    result = send_across(link.client, link.server, HOST, 40, 100)
    report = link.end()
    assert result["numbers"] == [0, 1, 2, 3, 4], "one on the line, and four that wait"
    assert report.use
    assert report.use.up.dropped == 35
    assert {(lost.port, lost.down, lost.kind) for lost in report.losses} == {
        (result["port"], False, "dropped")
    }
    assert len(report.losses) == 35


def test_losses_are_told_at_the_time_of_the_monotonic_clock_and_in_order(link: Emulator) -> None:
    began = time.monotonic()
    link.begin(network(Direction(), Direction(loss=Loss(rate=1.0))), 1)
    finish(probe(link.client, "blast", HOST, 9, 3, 100))
    losses = link.end().losses
    assert len(losses) == 3
    assert began * 1e6 <= losses[0].at <= losses[1].at <= losses[2].at <= time.monotonic() * 1e6


def test_the_kernel_sends_again_what_was_lost_and_that_is_told(link: Emulator) -> None:
    loss = Direction(delay=0.002, loss=Loss(rate=0.05))
    link.begin(network(loss, loss), 3)
    with link.server.listen(0) as listener:
        client = probe(link.client, "fetch", HOST, listener.getsockname()[1], 0)
        connection, (_, port) = listener.accept()
        with connection:
            connection.sendall(bytes(300_000))
            connection.shutdown(socket.SHUT_WR)
            assert finish(client) == 300_000
    report = link.end()
    assert report.use
    assert report.use.down.lost > 0
    assert report.use.down.resent > 0
    resent = [lost for lost in report.losses if lost.kind == "resent" and lost.down]
    assert len(resent) == report.use.down.resent
    assert {lost.port for lost in resent} == {port}


def test_a_link_that_begins_is_empty_and_has_counted_nothing(link: Emulator) -> None:
    link.begin(network(Direction(), Direction(delay=100)), 1)
    finish(probe(link.client, "blast", HOST, 9, 5, 100))
    link.begin(None, 1)
    report = link.end()
    nothing = Traffic(packets=0, bytes=0, lost=0, dropped=0, resent=0)
    assert report.use
    assert (report.use.down, report.use.up, report.losses) == (nothing, nothing, ())


def test_a_connection_of_an_earlier_run_takes_no_part_in_the_next(link: Emulator) -> None:
    link.begin(None, 1)
    with link.server.listen(0) as listener:
        command = [sys.executable, "-I", str(PROBE), "linger", HOST, str(listener.getsockname()[1]), "0"]
        client = link.client.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert told(client) == "connected"
        link.begin(None, 1)
        output, _ = client.communicate(b"now\n", timeout=30)
        assert json.loads(output) == "sent"
        report = link.end()
    assert report.use
    assert (report.use.up.packets, report.use.up.resent, report.losses) == (0, 0, ())


def test_what_is_on_its_way_at_the_end_is_not_counted_as_delivered(link: Emulator) -> None:
    link.begin(network(Direction(), Direction(delay=100)), 1)
    finish(probe(link.client, "blast", HOST, 9, 5, 100))
    use = link.end().use
    assert use
    assert use.up.packets == use.up.bytes == 0


def test_no_link_is_made_of_figures_that_contradict_each_other(link: Emulator) -> None:
    with pytest.raises(ConfigError, match="no line loses"):
        link.begin(network(Direction(loss=Loss(rate=0.9, burst=2))), 1)
    link.begin(None, 1)


def offered() -> list[str]:
    path = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize("name", [None, *offered()])
def test_both_ends_use_the_congestion_control(name: str | None) -> None:
    try:
        with Emulator(congestion_control=name) as link, link.server.listen(0) as listener:
            client = probe(link.client, "congestion_control", HOST, listener.getsockname()[1], 0)
            connection, _ = listener.accept()
            with connection:
                used = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
            assert used.rstrip(b"\0").decode() == finish(client) == link.congestion_control
            if name or "cubic" in offered():
                assert link.congestion_control == (name or "cubic")
    except EmulationUnavailable as error:
        pytest.skip(str(error))


def test_a_congestion_control_that_the_kernel_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(ConfigError, match=r"'warp', but .*reno"):
        Emulator(congestion_control="warp")


def test_names_mean_the_server_on_the_client_and_nowhere_else(link: Emulator) -> None:
    look = (
        "import socket, sys, json;"
        "print(json.dumps([sorted({a[4][0] for a in socket.getaddrinfo(n, 80, socket.AF_INET)})"
        " for n in sys.argv[1:]]))"
    )
    command = [sys.executable, "-I", "-c", look, "localhost", "site.example"]
    client = link.client.popen(command, stdout=subprocess.PIPE)
    assert finish(client) == [[HOST], [HOST]]
    server = link.server.popen(command[:-1], stdout=subprocess.PIPE)
    assert finish(server) == [["127.0.0.1"]]


def test_processes_start_where_their_caller_is(link: Emulator, tmp_path: Path) -> None:
    process = link.client.popen(["pwd"], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.communicate()[0].decode().strip() == str(tmp_path.resolve())
    process = link.client.popen(["pwd"], stdout=subprocess.PIPE)
    assert process.communicate()[0].decode().strip() == os.getcwd()


def test_a_port_that_is_taken_is_named(link: Emulator) -> None:
    with link.server.listen(0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=f"{HOST}:{port}: Address already in use"):
            link.server.listen(port)


def test_two_links_at_once_do_not_disturb_each_other(link: Emulator, echo: int) -> None:
    with Emulator() as other, echoing(other, echo):
        for _ in range(ATTEMPTS):
            link.begin(round_trip(0.05), 1)
            other.begin(round_trip(0.01), 1)
            pings = [probe(each.client, "ping", HOST, echo, 3) for each in (link, other)]
            long, short = map(finish, pings)
            assert long >= 0.05
            assert short >= 0.01
            if long < 0.051 and short < 0.011:
                break
        else:
            pytest.fail(f"{long * 1e3:.2f} ms and {short * 1e3:.2f} ms")


def test_leaving_ends_everything_on_the_hosts() -> None:
    try:
        with Emulator() as link:
            threads = threading.active_count()
            sleeper = link.client.popen(["sleep", "1000"])
            # A grandchild that has left its session, as daemons do.
            daemon = link.server.popen(
                ["sh", "-c", "setsid sleep 1000 > /dev/null & echo $!"], stdout=subprocess.PIPE
            )
            grandchild = told(daemon)
            daemon.communicate()
            assert not is_gone(grandchild)
    except EmulationUnavailable as error:
        pytest.skip(str(error))
    assert sleeper.wait() == -signal.SIGKILL
    wait_until(lambda: is_gone(grandchild))
    assert threading.active_count() == threads


OWNER = """
import os, subprocess, sys, time
from plait.lab.network.emulator import Emulator

with Emulator(names=["site.example"]) as link:
    children = [host.popen(["sh", "-c", "sleep 1000 & wait"]) for host in (link.client, link.server)]
    nets = [os.fstat(host._namespaces.net).st_ino for host in (link.client, link.server)]
    copy = os.fork() if "fork" in sys.argv else 0
    if not copy and "fork" in sys.argv:
        time.sleep(1000)
    print(copy, *nets, os.getpid(), *[child.pid for child in children], flush=True)
    time.sleep(1000)
"""


@contextmanager
def start_owner(
    tmp_path: Path, *arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], int, set[int], set[int]]]:
    """Start a process with a link; give it, its copy, the networks and the processes that belong to it."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as owner:
        try:
            assert owner.stdout
            copy, client, server, *pids = map(int, owner.stdout.readline().split())
            nets = {client, server}
            # The link, and on each host a shell and what it started.
            wait_until(lambda: len(processes_in(nets)) == 5)
            yield owner, copy, nets, processes_in(nets) | {*pids}
        finally:
            owner.kill()


def processes_in(nets: set[int]) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            if path.stat().st_ino in nets:
                found.add(int(path.parts[2]))
        except OSError:
            pass
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_owner_is_killed(
    how: signal.Signals, tmp_path: Path, link: Emulator
) -> None:
    with start_owner(tmp_path) as (owner, _, nets, everything):
        owner.send_signal(how)
        owner.communicate()
        wait_until(lambda: all(map(is_gone, everything)))
        assert not processes_in(nets), "and so devices and namespaces go, which no process or file holds"
        assert not list(tmp_path.iterdir())


def test_no_process_outlives_the_owner_because_a_copy_of_it_does(tmp_path: Path, link: Emulator) -> None:
    with start_owner(tmp_path, "fork") as (owner, copy, _, everything):
        try:
            owner.kill()
            wait_until(lambda: all(map(is_gone, everything)))
            assert not is_gone(copy)
        finally:
            os.kill(copy, signal.SIGKILL)


def test_that_the_link_died_is_said() -> None:
    try:
        with Emulator() as link:
            os.kill(link._process.pid, signal.SIGKILL)
            with pytest.raises(PlaitError, match="the process that emulates the link has died"):
                link.begin(None, 1)
    except EmulationUnavailable as error:
        pytest.skip(str(error))


UNPRIVILEGED = """
import json, os, subprocess, sys
from plait.lab.network.emulator import Emulator
from plait.lab.network.profile import Direction, Network

probe = [sys.executable, "-I", sys.argv[1]]
with Emulator(names=["site.example"]) as link:
    server = link.server.popen([*probe, "echo", link.server_address, "7", "0"], stdout=subprocess.PIPE)
    server.stdout.readline()
    slow = Direction(delay=0.01)
    link.begin(Network(name="", spec="", down=slow, up=slow), 1)
    client = link.client.popen([*probe, "ping", "site.example", "7", "5"], stdout=subprocess.PIPE)
    print(client.communicate()[0].decode())
"""


def test_no_privilege_is_needed() -> None:
    command = [sys.executable, "-c", UNPRIVILEGED.replace('"7"', '"7777"'), str(PROBE)]
    if os.geteuid() == 0:
        # Root without any capability, but the one without which root may not be mapped
        # (user_namespaces(7)): nobody may be unable to reach the interpreter.
        setpriv = shutil.which("setpriv") or pytest.skip("setpriv is not installed")
        command = [setpriv, "--bounding-set=-all,+setfcap", "--inh-caps=-all", *command]
    result = subprocess.run(command, capture_output=True, timeout=60)
    if b"EmulationUnavailable" in result.stderr:
        pytest.skip(result.stderr.decode().splitlines()[-1])
    assert not result.stderr
    assert 0.02 <= json.loads(result.stdout) < 0.1


def test_what_is_missing_is_said_in_one_sentence(link: Emulator) -> None:
    # In a user namespace that allows no network namespaces, whoever runs the tests.
    unshare = shutil.which("unshare") or pytest.skip("unshare is not installed")
    script = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'
    command = [unshare, "--user", "--map-root-user", "sh", "-c", script, "sh", sys.executable]
    enter = "from plait.lab.network.emulator import Emulator\nwith Emulator(): pass"
    result = subprocess.run([*command, "-c", enter], capture_output=True, text=True, timeout=60)
    assert result.stderr.splitlines()[-1] == (
        "plait.lab.network.namespaces.EmulationUnavailable: the kernel does not allow network namespaces"
        " (No space left on device), so no link can be emulated here; --link relay models delay and rate"
    )


def use(**values: Any) -> LinkUse:
    traffic = Traffic(packets=1000, bytes=10**6, lost=0, dropped=0, resent=0)
    fine = {"late_median": 1e-4, "late_p99": 5e-4, "late_max": 9e-3, "busy": 0.2, "capacity": 3e4}
    return LinkUse(**({"down": traffic, "up": traffic, "overruns": 0} | fine | values))


def test_a_link_that_kept_up_was_no_bottleneck() -> None:
    assert bottleneck(use()) is None
    assert bottleneck(use(late_p99=4e-3), round_trip(0.1)) is None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"overruns": 7}, "7 packets came faster than it read; it can carry 30,000 packets per second"),
        ({"busy": 0.8}, "80% busy: it can carry 30,000 packets per second and was asked for 24,000"),
        ({"late_p99": 4e-3}, "more than 4.0 ms late, where 1.0 ms matter"),
    ],
)
def test_a_link_that_did_not_keep_up_says_what_it_can_carry(values: dict[str, Any], sentence: str) -> None:
    told = bottleneck(use(**values), round_trip(0.01))
    assert told
    assert sentence in told
    assert "30,000 packets per second" in told
