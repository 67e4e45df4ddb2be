"""Twisted's reactor, in a thread beside the tests of one process, since it cannot be run twice."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.internet.threads import blockingCallFromThread
from twisted.web.client import BrowserLikePolicyForHTTPS

__all__ = ["Reader", "in_reactor", "policy_for", "reactor", "running_reactor"]

R = TypeVar("R")

reactor: Any = _reactor


@contextmanager
def running_reactor() -> Iterator[None]:
    """Run the reactor in a thread of its own."""
    started = threading.Event()
    reactor.callWhenRunning(started.set)
    thread = threading.Thread(target=reactor.run, kwargs={"installSignalHandlers": False}, daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield
    finally:
        reactor.callFromThread(reactor.stop)
        thread.join(20)


def in_reactor(make: Callable[[], Awaitable[R]]) -> R:
    """Run a coroutine in the reactor's thread, and return what it returns."""

    def start() -> Deferred[R]:
        return ensureDeferred(cast(Any, make()))

    return cast(R, blockingCallFromThread(reactor, start))


def policy_for(authority: Path) -> BrowserLikePolicyForHTTPS:
    """Return a policy that trusts one authority.

    Args:
        authority: Its certificate, as PEM.
    """
    certificate = Certificate.loadPEM(authority.read_bytes())
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates([certificate]))


class Reader(Protocol):
    """Keeps the content of a response.

    Attributes:
        content: What came so far.
        ended: Fires at its end.
        reason: What was said then.
    """

    reason: Any

    def __init__(self) -> None:
        self.content = b""
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.content += data

    def connectionLost(self, reason: Any = None) -> None:
        self.reason = reason
        self.ended.callback(None)
