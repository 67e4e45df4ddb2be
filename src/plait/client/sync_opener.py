"""Opens connections for the threads of a client that wait: one of them, for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from socket import socket
from ssl import SSLObject
from time import monotonic
from typing import TYPE_CHECKING

from plait.client.core import ClientCore
from plait.client.sites import Link
from plait.drivers.addresses import Address, resolve
from plait.drivers.blocking import BlockingDriver
from plait.drivers.transport import Transport
from plait.errors import PlaitError
from plait.urls import Origin

if TYPE_CHECKING:
    from plait.client.in_process import InProcess
    from plait.drivers.memory import MemoryTransport

__all__ = ["Opener"]


class Opener:
    """Opens connections for the threads of a client that wait.

    Args:
        core: What the client's calls have in common.
        driver: What moves their bytes.

    Attributes:
        waiting: Origins to look up and connect to, by the next thread that waits for one of them.
    """

    def __init__(self, core: ClientCore, driver: BlockingDriver) -> None:
        self._core = core
        self._driver = driver
        self.waiting: set[Origin] = set()

    def look_at(self, origin: Origin) -> None:
        """Take note that an origin may want another connection."""
        if self._core.pool.wanted(origin):
            self.waiting.add(origin)

    def connect(self, origin: Origin) -> None:
        """Begin to open the connections that an origin wants."""
        core, driver = self._core, self._driver
        self.waiting.discard(origin)
        if core.mounts is not None and (application := core.mounts.at(origin)) is not None:
            self._connect_in_memory(origin, application)
            return
        limits = core.limits_to_connect(origin)
        deadline = monotonic() + limits.connect
        driver.flush()
        failure: PlaitError | None = None
        began = 0.0
        where: list[Sequence[Address] | socket] = []
        addresses: Sequence[Address] = ()
        peer = (origin.host, origin.port)
        count = core.pool.wanted(origin)
        if core.try_share(origin, None):
            return
        try:
            driver.lock.release()
            tls = core.routes.context_for(origin)
            proxy = core.routes.proxy_for(origin)
            began = monotonic()
            if proxy is not None and core.routes.tunnels(origin, proxy):
                from plait.drivers.proxies import open_tunnel

                where.extend(
                    open_tunnel(proxy, *peer, deadline - monotonic(), driver.local_address)
                    for _ in range(count)
                )
            else:
                if proxy is not None:
                    peer = (proxy.host, proxy.port)
                addresses = resolve(*core.routes.place(*peer), limits.connect, driver.local_address)
                where = [addresses] * count
        except PlaitError as error:
            failure = error
        except BaseException:
            self.waiting.add(origin)  # for the next thread
            _close(where)
            driver.at_rest = True
            raise
        finally:
            driver.lock.acquire()

        def failed(error: PlaitError) -> None:
            core.failed(origin, error)

        def opened(transport: Transport, tls: SSLObject | None) -> None:
            protocol = None if tls is None else tls.selected_alpn_protocol()
            address = transport.peer.address if tls is not None and core.config.coalesce else ""
            endpoint = core.routes.make_endpoint(origin, protocol, tls)
            transport.context = link = Link(origin, endpoint, transport, monotonic())
            link.began = began
            core.opened(link, tls, address)
            transport.adopt(endpoint)

        if core.try_share(origin, addresses):
            return
        for _ in range(core.pool.wanted(origin)):
            if where:
                core.pool.opening(origin)
                driver.open(peer, where.pop(), tls, deadline, limits.tls, opened, failed)
            elif failure is not None:
                core.pool.opening(origin)
                failed(failure)
            else:
                self.waiting.add(origin)  # more are wanted than were a moment ago
        _close(where)

    def _connect_in_memory(self, origin: Origin, application: InProcess) -> None:
        """Open the connections that an origin wants, to an application in this process."""
        core, driver = self._core, self._driver
        failure: PlaitError | None = None
        seconds = core.limits_to_connect(origin).connect

        def failed(error: PlaitError) -> None:
            core.failed(origin, error)

        def opened(transport: MemoryTransport) -> None:
            try:
                endpoint = core.routes.make_endpoint(origin, application.protocol)
            except PlaitError as error:
                transport.drop()
                failed(error)
                return
            transport.context = link = Link(origin, endpoint, transport, monotonic())
            core.opened(link)
            transport.adopt(endpoint)

        try:
            driver.lock.release()
            application.start(seconds)
        except PlaitError as error:
            failure = error
        except BaseException:
            self.waiting.add(origin)  # for the next thread
            driver.at_rest = True
            raise
        finally:
            driver.lock.acquire()
        for _ in range(core.pool.wanted(origin)):
            core.pool.opening(origin)
            if failure is not None:
                failed(failure)
                continue
            try:
                driver.lock.release()
                application.connect_blocking(origin, driver, opened, failed)
            finally:
                driver.lock.acquire()


def _close(where: list[Sequence[Address] | socket]) -> None:
    """Close the sockets of which nobody has a use."""
    for one in where:
        if isinstance(one, socket):
            one.close()
