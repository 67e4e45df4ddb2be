"""``plait serve --twisted``: a Twisted site behind plait's own server."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ConnectionLost
from twisted.logger import LogEvent, STDLibLogObserver, globalLogBeginner
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.iweb import INonQueuedRequestFactory

from plait.errors import PlaitError
from plait.integrations.twisted.channel import SecureStream, Stream
from plait.integrations.twisted.request import Request
from plait.integrations.twisted.roots import find_root
from plait.integrations.twisted.worker_reactor import WorkerReactor, install
from plait.protocol.server_exchange import ServerExchange
from plait.server.application_gateway import ApplicationGateway
from plait.server.applications import beside_files, find_application
from plait.server.gateway import Gateway, Log
from plait.server_config import ServerConfig

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver
    from plait.integrations.twisted.conversation import Conversation

__all__ = ["TwistedGateway", "make_gateway"]

logger = logging.getLogger("plait.server")


def make_gateway(config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None) -> Gateway:
    """Make the gateway of what a configuration names: a resource, a Site or a service.

    Twisted's reactor is installed on the loop first, so that the module may import it; and Twisted's
    log goes where Python's does.

    Args:
        config: Its ``app`` names it.
        loop: The running loop.
        log: Called with each finished exchange, or None.

    Raises:
        ConfigError: There is no such thing, or it is nothing of the three.
    """
    return beside_files(_make, config, loop, log)


def _make(config: ServerConfig, loop: asyncio.AbstractEventLoop, log: Log | None) -> TwistedGateway:
    reactor = install(loop)
    observer: Any = _Observer()
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    site, service = find_root(*find_application(config))
    return TwistedGateway(site, service, reactor, config, loop, log)


class _Observer(STDLibLogObserver):
    """Hands Twisted's log to Python's."""

    def __call__(self, event: LogEvent) -> None:
        if "log_failure" in event and not event.get("log_format") and event.get("log_source") is not None:
            # Twisted lets the traceback of a request's failure speak for itself.
            event = {**event, "log_format": "{log_source} failed"}
        super().__call__(event)


class TwistedGateway(ApplicationGateway):
    """All of one Twisted site's requests; see :class:`plait.server.gateway.Gateway`.

    Args:
        site: The site.
        service: What is started and stopped with it, or None.
        reactor: The reactor, installed.
        config: The options.
        loop: The running loop.
        log: Called with each finished exchange and its driver, or None.

    Attributes:
        site: The site.
        factory: The site, where it keeps an access log of its own, or None.
        limits: What is taken from each client.
        push: Whether requests may push.
        reactor: The reactor.
    """

    __slots__ = ("_grace", "_plain", "_service", "_streams", "factory", "limits", "push", "reactor", "site")

    def __init__(
        self,
        site: server.Site,
        service: Any,
        reactor: WorkerReactor,
        config: ServerConfig,
        loop: asyncio.AbstractEventLoop,
        log: Log | None,
    ) -> None:
        super().__init__(config, loop, log)
        self.site = site
        self.reactor = reactor
        self.limits = config.limits
        self.push = config.push
        self._service = service
        # As long as the requests had, whatever they took of it; a moment, when they had none.
        self._grace = config.grace or 1.0
        self._streams: set[Stream] = set()
        # Without a file, Twisted's lines would go to its own log, beside those of plait's access log.
        keeps_log = site.logPath is not None or type(site).log is not http.HTTPFactory.log
        self.factory = site if keeps_log else None
        if site.requestFactory is server.Request:
            site.requestFactory = Request  # the same, with what HTTP/2 adds
        self._plain = not INonQueuedRequestFactory.providedBy(site.requestFactory)

    @property
    def running(self) -> int:
        return len(self._streams)

    # -- its life --------------------------------------------------------------------------------

    async def start_up(self) -> None:
        """Start the service, the site and the reactor, in the order of Twisted's own programs."""
        waiting: list[Any] = []
        service = self._service
        try:
            if service is not None:
                self.reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
                waiting = [service.privilegedStartService(), service.startService()]
            self.site.startFactory()
            self.reactor.begin()
            for result in waiting:
                if isinstance(result, Deferred):
                    await result.asFuture(self.loop)
        except CannotListenError as error:
            raise PlaitError(
                f"the service cannot listen: {error} (a port that it opens by itself is for one process)"
            ) from error
        except Exception as error:
            traceback.print_exc()
            raise PlaitError(f"the site failed to start: {type(error).__name__}: {error}") from error

    async def shut_down(self) -> None:
        """Call the shutdown triggers, the service's among them, as long as the grace period."""
        try:
            async with asyncio.timeout(self._grace):
                await self.reactor.end()
        except TimeoutError:
            logger.error("the reactor's shutdown took more than %g seconds", self._grace)
        self.site.stopFactory()

    def cancel(self) -> None:
        """Nothing to do: requests hear of the end of their connections."""

    # -- its requests ----------------------------------------------------------------------------

    def start(self, exchange: ServerExchange, driver: ServerDriver) -> None:
        """Make a request of an exchange, and let the site have it."""
        if exchange.request.refusal is not None or len(self._streams) >= self.max_concurrency:
            self.refuse(exchange, driver)
            return
        carrier = _Carrier(self, driver)
        stream = (SecureStream if carrier.secure else Stream)(exchange, carrier)
        self._streams.add(stream)
        if self.app_timeout:
            carrier.timer = self.loop.call_later(self.app_timeout, self._time_out, stream)
        stream.begin()

    def _time_out(self, stream: Stream) -> None:
        self.note_time_out(stream.exchange)
        stream.give_up(504, b"The application took too long.\n")

    def make_request(self, stream: Conversation) -> Any:
        """Make the request object of a stream."""
        factory: Any = self.site.requestFactory
        return factory(stream, False) if self._plain else factory(stream)

    def ended(self, stream: Conversation, driver: ServerDriver) -> None:
        """Take note that a request is over."""
        self._streams.discard(stream)
        if self.log is not None:
            self.log(stream.exchange, driver, stream.status)


class _Carrier:
    """The connection of one request, as its stream sees it.

    Args:
        gateway: The site's gateway.
        driver: The connection's driver.

    Attributes:
        timer: Ends the request after its time, or None.
    """

    __slots__ = ("_driver", "_gateway", "secure", "timer")

    def __init__(self, gateway: TwistedGateway, driver: ServerDriver) -> None:
        self._gateway = gateway
        self._driver = driver
        self.secure = driver.scheme == "https"
        self.timer: asyncio.TimerHandle | None = None

    @property
    def site(self) -> Any:
        return self._gateway.site

    @property
    def factory(self) -> Any:
        return self._gateway.factory

    @property
    def limits(self) -> Any:
        return self._gateway.limits

    @property
    def push(self) -> bool:
        return self._gateway.push

    @property
    def callLater(self) -> Any:
        return self._gateway.reactor.callLater

    @property
    def peer(self) -> Any:
        return _address(self._driver.client)

    @property
    def host(self) -> Any:
        return _address(self._driver.server)

    @property
    def certificate(self) -> Any:
        chain = (self._driver.tls or {}).get("client_cert_chain")
        if not chain:
            return None
        from OpenSSL import crypto

        return crypto.load_certificate(crypto.FILETYPE_PEM, chain[0].encode("ascii"))

    @property
    def reason(self) -> Failure:
        return Failure(ConnectionLost("the client is gone"))

    def make_request(self, stream: Conversation) -> Any:
        return self._gateway.make_request(stream)

    def ended(self, stream: Conversation) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self._gateway.ended(stream, self._driver)


@lru_cache(maxsize=1024)
def _address(place: tuple[str, int | None] | None) -> IPv4Address | IPv6Address | UNIXAddress:
    """Say where something is in Twisted's words."""
    if place is None:
        return UNIXAddress(None)
    host, port = place
    if port is None:
        return UNIXAddress(os.fsencode(host))
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)
