"""What netem is told for each network; and the link itself, where the kernel has netem."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys

import pytest

from plait.errors import PlaitError
from plait.lab.network.netem import CERTAIN, LONGEST, Netem, NetemLink, line, propagation
from plait.lab.network.parse import parse_network
from plait.lab.network.profile import Direction, Loss


def test_a_discipline_is_encoded_as_tc_encodes_it() -> None:
    # What tc (iproute2 6.1) sends for: limit 77 delay 10ms loss gemodel 1% 12.5% 50% 0% rate 10mbit -14
    sent = (
        "5a620200 4d000000 00000000 00000000 00000000 00000000"
        "1800 0580 1400 0200 295c8f02 00000020 ffffff7f 00000000"
        "1400 0600 d0121300 f2ffffff 00000000 00000000"
    )
    netem = Netem(
        latency=10_000_000,
        limit=77,
        bursts=(0x28F5C29, 0x20000000, 0x7FFFFFFF),
        rate=1_250_000,
        overhead=-14,
        seed=7,
    )

    seed = "0c00 0e00 07000000 00000000"
    assert netem.encode() == bytes.fromhex(sent + seed)


def test_a_rate_beyond_32_bits_has_an_attribute_of_its_own() -> None:
    encoded = Netem(rate=12_500_000_000, seed=0).encode()

    assert (12_500_000_000).to_bytes(8, sys.byteorder) in encoded
    assert b"\xff\xff\xff\xff" in encoded


def test_delay_is_at_the_host_and_rate_queue_and_loss_are_at_the_router() -> None:
    network = parse_network("rtt=100ms,down=10mbit,queue=84,loss=1%")

    assert propagation(network.down, 5) == Netem(latency=50_000_000, seed=5)
    assert line(network.down, 5) == Netem(
        limit=84, loss=round(0.01 * CERTAIN), rate=1_250_000, overhead=-14, seed=5
    )
    assert line(network.up, 5) == Netem(limit=LONGEST, loss=round(0.01 * CERTAIN), seed=5)


def test_what_a_direction_lacks_takes_no_discipline() -> None:
    assert propagation(Direction(rate=1e6), 0) is None
    assert line(Direction(delay=1, jitter=1), 0) is None


def test_jitter_is_added_to_the_delay_and_packets_keep_their_order() -> None:
    netem = propagation(Direction(delay=0.05, jitter=0.01), 0)

    assert netem is not None
    assert (netem.latency - netem.jitter, netem.latency + netem.jitter) == (50_000_000, 60_000_000)
    assert netem.rate is not None  # without one netem sends first whatever is due first


@pytest.mark.parametrize("loss", [Loss(rate=0.02, burst=8), Loss(rate=0.05, burst=20, bad=0.5)])
def test_bursts_have_their_rate_and_length_in_netem_s_own_chain(loss: Loss) -> None:
    netem = line(Direction(loss=loss), 0)
    assert netem is not None
    assert netem.bursts is not None
    begins, ends, survives = netem.bursts
    draw = random.Random(1)
    bad, lost, periods, inside, count = False, 0, 0, 0, 400_000

    for _ in range(count):  # loss_gilb_ell() of net/sched/sch_netem.c, with nothing lost between bad periods
        if not bad:
            if draw.randrange(CERTAIN + 1) < begins:
                bad = True
                periods += 1
        else:
            inside += 1
            if draw.randrange(CERTAIN + 1) < ends:
                bad = False
            lost += draw.randrange(CERTAIN + 1) > survives

    assert inside / periods == pytest.approx(loss.burst, rel=0.1)
    assert lost / count == pytest.approx(loss.rate, rel=0.1)


def test_the_kernel_emulates_a_network() -> None:
    serve = """
import socket
with socket.create_server(("", 8080)) as listener:
    print(flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(bytes(250_000))
"""
    fetch = """
import socket, time
started = time.monotonic()
with socket.create_connection(("server.test", 8080)) as connection:
    connected = time.monotonic()
    while connection.recv(65536):
        pass
print(connected - started, time.monotonic() - connected)
"""
    with contextlib.ExitStack() as stack:
        try:
            link = stack.enter_context(NetemLink(names=["server.test"]))
        except PlaitError as error:
            pytest.skip(str(error))
        server = link.server.popen([sys.executable, "-c", serve], stdout=subprocess.PIPE)
        stack.callback(server.communicate)
        stack.callback(server.kill)
        assert server.stdout is not None
        assert server.stdout.readline()
        link.begin(parse_network("rtt=40ms,down=10mbit,up=10mbit"), 1)
        client = link.client.popen([sys.executable, "-c", fetch], stdout=subprocess.PIPE)
        output, _ = client.communicate(timeout=30)
        connected, received = map(float, output.split())

    assert 0.04 <= connected < 0.08
    assert 0.2 <= received < 0.6  # 250 kB at 10 Mbit/s


def test_a_kernel_without_netem_is_reported_in_one_sentence() -> None:
    try:
        with NetemLink():
            pytest.skip("this kernel has netem")
    except PlaitError as error:
        sentence = str(error)

    assert sentence.endswith("so --link netem cannot be used here; try --link tun")
    assert "\n" not in sentence


def test_the_hosts_reach_each_other_through_the_router_one_segment_at_a_time() -> None:
    program = """
import os, socket, sys
from plait.errors import PlaitError
from plait.lab.network.netem_link import make_cables
try:
    cables = make_cables("reno", ["server.test"])
except PlaitError as error:
    sys.exit(f"skip: {error}")
cables.server._replace(user=None).enter()
listener = socket.create_server(("", 8080))
if not os.fork():
    connection, _ = listener.accept()
    with connection:
        connection.sendall(bytes(1_000_000))
    os._exit(0)
cables.client._replace(user=None, mount=None).enter()
with socket.create_connection((socket.gethostbyname("server.test"), 8080)) as connection:
    received = 0
    while data := connection.recv(65536):
        received += len(data)
    used = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\\0").decode()
(device,) = (line.split() for line in open("/proc/net/dev") if "plait:" in line)
print(received, used, int(device[1]) / int(device[2]))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    if done.stderr.startswith("skip: "):
        pytest.skip(done.stderr.strip())

    received, used, frame = done.stdout.split()
    assert (received, used) == ("1000000", "reno")
    assert float(frame) <= 1514
