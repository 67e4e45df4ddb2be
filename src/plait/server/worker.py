"""One process that serves: its event loop, its signals, and a worker's talk with its supervisor."""

from __future__ import annotations

import asyncio
import faulthandler
import io
import logging
import random
import signal
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from plait.errors import ConfigError, PlaitError
from plait.server.process import Command, Sign
from plait.server.server import Server

if TYPE_CHECKING:
    from plait.drivers.aio_server import ServerDriver
    from plait.protocol.server_exchange import ServerExchange

__all__ = ["Worker", "handle_signals", "insist", "run_in_loop"]

logger = logging.getLogger("plait.server")

#: Seconds between signs of life.
_BEAT = 1.0


def run_in_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine to its end in an event loop of its own, uvloop's where it exists."""
    factory: Callable[[], asyncio.AbstractEventLoop]
    try:
        import uvloop
    except ImportError:  # no wheel for this platform
        factory = asyncio.SelectorEventLoop  # and not Windows's other one, which cannot watch a socket
    else:
        factory = uvloop.new_event_loop

    async def noting() -> None:
        asyncio.get_running_loop().set_exception_handler(_note)
        await main()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(noting())


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the loop has to say; a client's failed handshake is no error of the server's."""
    error = context.get("exception")
    if isinstance(error, (ssl.SSLError, ConnectionError, TimeoutError)):
        logger.debug("a connection failed: %s", error)
    else:
        loop.default_exception_handler(context)


def handle_signals(handlers: dict[str, Callable[[], None]]) -> None:
    """Have signals call functions in the running loop, as far as the system has the signals.

    Args:
        handlers: By the signal's name.
    """
    loop = asyncio.get_running_loop()
    for name, handler in handlers.items():
        try:
            loop.add_signal_handler(getattr(signal, name), handler)
        except (AttributeError, NotImplementedError):
            pass  # Windows has few, and KeyboardInterrupt ends the loop there
        except (RuntimeError, ValueError):
            return  # signals are the main thread's


def insist(names: Iterable[str]) -> None:
    """Have signals interrupt what runs, when the loop has not come to act on them for a second.

    Python's own handlers run wherever the main thread is, so also in a module that never comes to its
    end, and in an application that blocks the loop.

    Args:
        names: Signals that :func:`handle_signals` has functions for.
    """
    loop = asyncio.get_running_loop()
    unheard: float | None = None

    def heard() -> None:
        nonlocal unheard
        unheard = None

    def note(number: int, frame: object) -> None:
        nonlocal unheard
        now = time.monotonic()
        if unheard is None:
            unheard = now
            loop.call_soon_threadsafe(heard)
        elif now - unheard > _BEAT:
            raise KeyboardInterrupt

    for name in names:
        try:
            signal.signal(getattr(signal, name), note)
        except (AttributeError, ValueError):
            return


class Worker:
    """A server whose supervisor hears from it and tells it when to end.

    Args:
        make: Makes the server.
        channel: This end of the socket to the supervisor.
        timeout: Seconds without a sign of life after which the supervisor kills it.
        requests: After how many it asks to be replaced; 0 for never.
        jitter: Up to how many more, at random.
    """

    def __init__(
        self,
        make: Callable[[], Server],
        channel: socket.socket,
        *,
        timeout: float,
        requests: int,
        jitter: int,
    ) -> None:
        self._make = make
        self._channel = channel
        self._beat_every = min(_BEAT, timeout / 4)
        self._left = requests + random.randint(0, jitter) if requests else 0

    def run(self) -> int:
        """Serve until told to stop, and return the exit status."""
        try:
            faulthandler.enable()  # SIGABRT, which ends a worker that hangs, writes where it does
        except (AttributeError, io.UnsupportedOperation):
            pass  # standard error is no file
        self._channel.setblocking(False)
        try:
            run_in_loop(self._serve)
        except PlaitError as error:
            # The supervisor says it, once for all workers.
            status = 2 if isinstance(error, ConfigError) else 1
            self._channel.setblocking(True)
            self._channel.sendall(b"%c%d%s" % (Sign.FAILED, status, str(error).encode()))
            return status
        return 0

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = self._make()
        self._beat()
        self._loop.add_reader(self._channel, self._listen)
        handle_signals(
            {
                "SIGTERM": self._leave,
                "SIGQUIT": self._give_up,
                "SIGUSR1": self._server.reopen,
            }
        )
        try:
            await self._server.serve(self._ready)
        finally:
            self._loop.remove_reader(self._channel)
            self._timer.cancel()

    def _beat(self) -> None:
        self._say(Sign.ALIVE)
        self._timer = self._loop.call_later(self._beat_every, self._beat)

    def _say(self, sign: Sign) -> None:
        try:
            self._channel.send(bytes((sign,)))
        except OSError:
            pass  # it is gone, which _listen sees, or so far behind that one sign more says nothing

    def _ready(self, server: Server) -> None:
        if self._left:
            start = server.start

            def counted(exchange: ServerExchange, driver: ServerDriver) -> None:
                self._left -= 1
                if self._left == 0:
                    self._say(Sign.WORN)
                start(exchange, driver)

            server.start = counted
        self._say(Sign.READY)

    def _listen(self) -> None:
        try:
            said = self._channel.recv(64)
        except BlockingIOError:
            return
        except ConnectionError:
            said = b""
        if not said:
            logger.error("the supervisor is gone: this worker finishes what it has in flight and ends")
            self._loop.remove_reader(self._channel)
            self._server.stop()
        for byte in said:
            match Command(byte):
                case Command.DRAIN:
                    self._server.stop()
                case Command.GIVE_UP:
                    self._give_up()
                case Command.REOPEN:
                    self._server.reopen()

    def _leave(self) -> None:
        self._say(Sign.LEAVING)
        self._server.stop()

    def _give_up(self) -> None:
        self._server.stop()
        self._server.stop()
