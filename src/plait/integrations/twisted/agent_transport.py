"""What the protocol that reads a response's content has for a transport: one stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IPushProducer, ITransport
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plait.integrations.twisted.agent_fetch import Fetch

__all__ = ["StreamTransport"]


@implementer(ITransport, IPushProducer)
class StreamTransport:
    """What a response's protocol has for a transport: one stream.

    Args:
        fetch: The request.
    """

    disconnecting = False

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def pauseProducing(self) -> None:
        """Deliver no more for now; the server's other streams go on."""
        self._fetch.pause()

    def resumeProducing(self) -> None:
        """Deliver again."""
        self._fetch.resume()

    def stopProducing(self) -> None:
        """Reset the stream: nobody wants the rest."""
        self._fetch.abort(ConnectionDone())

    loseConnection = stopProducing

    def abortConnection(self) -> None:
        """Reset the stream: nobody wants the rest."""
        self._fetch.abort(ConnectionAborted())

    def write(self, data: bytes) -> None:
        """Refuse: what a request sends comes from its body producer."""
        raise TypeError("a response's transport takes no data")

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Refuse, as :meth:`write` does."""
        self.write(b"".join(data))

    def getPeer(self) -> Any:
        """Return the server's address."""
        return self._fetch.carrier.getPeer()

    def getHost(self) -> Any:
        """Return this end's address."""
        return self._fetch.carrier.getHost()
