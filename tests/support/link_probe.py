"""What tests run on the hosts of an emulated link: sockets, and what they saw, as a line of JSON.

Run as a program: ``python link_probe.py WHAT ADDRESS PORT ARGUMENT``.
"""

from __future__ import annotations

import json
import socket
import statistics
import sys
import time
from typing import Any

HEADERS = 28  # of IPv4 and UDP
QUIET = 0.25  # seconds without a packet after which none is to come


def tell(message: Any) -> None:
    print(json.dumps(message), flush=True)


def echo(address: str, port: int, _: int) -> None:
    """Send back what comes in on TCP, to any number of clients after one another."""
    listener = socket.create_server((address, port))
    tell("listening")
    while True:
        connection, _peer = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)


def ping(address: str, port: int, times: int) -> None:
    """Tell the median round trip of a byte over TCP, in seconds."""
    with socket.create_connection((address, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        trips = []
        for _ in range(times):
            began = time.perf_counter()
            connection.sendall(b"x")
            connection.recv(1)
            trips.append(time.perf_counter() - began)
    tell(statistics.median(trips))


def sink(address: str, port: int, count: int) -> None:
    """Tell which numbered packets came in on UDP, and at how many bits per second of IP."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    receiver.bind((address, port))
    tell("listening")
    numbers = []
    first = last = size = 0.0
    try:
        while len(numbers) < count:
            data = receiver.recv(2048)
            last = time.perf_counter()
            size += len(data) + HEADERS
            if not numbers:
                first, size = last, 0
                receiver.settimeout(QUIET)
            numbers.append(int.from_bytes(data[:4], "big"))
    except TimeoutError:
        pass
    tell({"numbers": numbers, "rate": size * 8 / (last - first) if last > first else None})


def blast(address: str, port: int, count: int, size: int = 1472) -> None:
    """Send numbered packets on UDP all at once, and tell from which port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((address, port))
        for number in range(count):
            sender.send(number.to_bytes(4, "big").ljust(size, b"."))
        tell(sender.getsockname()[1])


def fetch(address: str, port: int, _: int) -> None:
    """Tell how many bytes came over TCP."""
    with socket.create_connection((address, port)) as connection:
        size = 0
        while data := connection.recv(1 << 16):
            size += len(data)
    tell(size)


def congestion_control(address: str, port: int, _: int) -> None:
    """Tell what a TCP connection uses."""
    with socket.create_connection((address, port)) as connection:
        name = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        tell(name.rstrip(b"\0").decode())


def linger(address: str, port: int, _: int) -> None:
    """Connect, and send something when told to on standard input."""
    with socket.create_connection((address, port)) as connection:
        tell("connected")
        sys.stdin.readline()
        connection.sendall(b"late")
    tell("sent")


if __name__ == "__main__":
    _program, what, address, port, *arguments = sys.argv
    globals()[what](address, int(port), *map(int, arguments))
