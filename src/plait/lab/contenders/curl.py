"""libcurl, by pycurl: the yardstick for what a client can cost."""

from __future__ import annotations

import time
from collections import deque
from io import BytesIO
from urllib.parse import urlsplit

from plait.errors import PlaitError
from plait.lab.contenders.base import Contender, Load

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    import socket
    from typing import Any

    from plait.lab.wire import WatchedSockets

__all__ = ["CONTENDERS", "Pycurl"]


class Pycurl(Contender):
    """One ``CurlMulti`` with as many transfers under way as its connections can carry.

    Args:
        name: The contender's name.
        label: For people.
        http: The version of HTTP.
        connections: How many it may open.
    """

    requires = ("pycurl",)

    def __init__(self, name: str, label: str, http: str, connections: int) -> None:
        self.name = name
        self.label = label
        self.http = http
        self.connections = connections

    def run(self, load: Load) -> None:
        import pycurl

        from plait.lab.wire import WatchedSockets

        multi = pycurl.CurlMulti()
        multiplexed = self.http == "2"
        multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX if multiplexed else pycurl.PIPE_NOTHING)
        multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, self.connections)
        if multiplexed:
            multi.setopt(pycurl.M_MAX_CONCURRENT_STREAMS, load.in_flight)
        with WatchedSockets() as sockets:
            at_once = load.in_flight if multiplexed else self.connections
            idle = [_Transfer(load, self.http, sockets) for _ in range(at_once)]
            opened = _Opened()
            load.begin()
            _perform(multi, load, idle, opened)
            for port in opened.numbers:
                load.connected(port, *opened.times[port])
            sockets.tell(load)


def _perform(multi: Any, load: Load, idle: list[_Transfer], opened: _Opened) -> None:
    """Fetch everything.

    Args:
        multi: libcurl's multi handle.
        load: The load.
        idle: What carries out transfers.
        opened: Takes the connections.

    Raises:
        PlaitError: A transfer failed.
    """
    known: deque[int] = deque()
    while load.graph.unfinished:
        known.extend(load.due())
        while known and idle:
            transfer = idle.pop()
            transfer.start(known.popleft())
            multi.add_handle(transfer.curl)
        multi.perform()
        _, done, failed = multi.info_read()
        for _, _, reason in failed:
            raise PlaitError(f"curl: {reason}")
        for curl in done:
            multi.remove_handle(curl)
            curl.transfer.finish(opened)
            idle.append(curl.transfer)
        if not done:
            waits = [1.0, multi.timeout() / 1000, load.until_due]
            multi.select(min(seconds for seconds in waits if seconds is not None and seconds >= 0))


class _Opened:
    """The connections of a load.

    Attributes:
        numbers: Counts them from 0, by their port on this side.
        times: When each was begun, established and secured. The transfer that opened a connection knows;
            of several that share it another may be complete before it.
    """

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.times: dict[int, tuple[float, float, float]] = {}


class _Transfer:
    """One handle of libcurl, used for one resource after the other.

    Args:
        load: The load.
        http: The version of HTTP.
        sockets: Takes the sockets.
    """

    def __init__(self, load: Load, http: str, sockets: WatchedSockets) -> None:
        import pycurl

        self._load = load
        self._http = http
        self._index = 0
        self._content = BytesIO()
        self.curl = curl = pycurl.Curl()
        curl.transfer = self
        curl.setopt(curl.NOSIGNAL, 1)
        # The environment may name a proxy; every contender must go the same way.
        curl.setopt(curl.PROXY, "")
        if load.address:
            # libcurl knows what localhost is, whatever the hosts file says (RFC 6761 §6.3).
            server = urlsplit(load.base_url)
            port = server.port or (443 if server.scheme == "https" else 80)
            curl.setopt(curl.RESOLVE, [f"{server.hostname}:{port}:{load.address}"])
        if load.insecure:
            curl.setopt(curl.SSL_VERIFYPEER, 0)
            curl.setopt(curl.SSL_VERIFYHOST, 0)
        elif load.cafile:
            curl.setopt(curl.CAINFO, load.cafile)
        if http == "1":
            curl.setopt(curl.HTTP_VERSION, curl.CURL_HTTP_VERSION_1_1)
        elif load.base_url.startswith("https:"):
            curl.setopt(curl.HTTP_VERSION, curl.CURL_HTTP_VERSION_2TLS)
            curl.setopt(curl.PIPEWAIT, 1)
        else:
            curl.setopt(curl.HTTP_VERSION, curl.CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE)
            curl.setopt(curl.PIPEWAIT, 1)
        if load.headers:
            curl.setopt(curl.HTTPHEADER, [f"{name}: {value}" for name, value in load.headers])

        def open_socket(purpose: int, address: Any) -> socket.socket:
            import socket

            sock = socket.socket(address.family, address.socktype, address.protocol)
            sockets.add(sock)  # libcurl gets a duplicate
            return sock

        curl.setopt(curl.OPENSOCKETFUNCTION, open_socket)

    def start(self, index: int) -> None:
        """Prepare for a resource."""
        self._index = index
        self._content = BytesIO()
        self.curl.setopt(self.curl.WRITEDATA, self._content)
        self.curl.setopt(self.curl.URL, self._load.base_url + self._load.paths[index])

    def finish(self, opened: _Opened) -> None:
        """Record the response.

        Args:
            opened: The connections.

        Raises:
            PlaitError: It came over another version of HTTP.
        """
        curl, load = self.curl, self._load
        done = time.monotonic()
        version = curl.getinfo(curl.INFO_HTTP_VERSION)
        if (version == curl.CURL_HTTP_VERSION_2_0) != (self._http == "2"):
            found, wanted = ("HTTP/1.1", "HTTP/2") if self._http == "2" else ("HTTP/2", "HTTP/1.1")
            raise PlaitError(f"{load.base_url} answered with {found}, not {wanted}")
        # libcurl's times count from the beginning of the transfer.
        began = done - curl.getinfo(curl.TOTAL_TIME)
        port = curl.getinfo(curl.LOCAL_PORT)
        number = opened.numbers.setdefault(port, len(opened.numbers))
        if curl.getinfo(curl.NUM_CONNECTS):
            connected = began + curl.getinfo(curl.CONNECT_TIME)
            secured = max(connected, began + curl.getinfo(curl.APPCONNECT_TIME))
            opened.times[port] = began + curl.getinfo(curl.NAMELOOKUP_TIME), connected, secured
        load.receive(
            self._index,
            curl.getinfo(curl.RESPONSE_CODE),
            self._content.getvalue(),
            sent=began + curl.getinfo(curl.PRETRANSFER_TIME),
            answered=began + curl.getinfo(curl.STARTTRANSFER_TIME),
            done=done,
            connection=number,
        )


CONTENDERS: tuple[Contender, ...] = (
    Pycurl("pycurl", "pycurl, 6 connections", "1", 6),
    Pycurl("pycurl-h2", "pycurl, HTTP/2", "2", 1),
)
