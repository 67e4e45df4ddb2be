"""Tells a caller how far a request has come."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from plait.protocol.exchange import Half

if TYPE_CHECKING:
    from plait.client.calls import Call
    from plait.client.interim import Interim
    from plait.protocol.aside import Aside
    from plait.protocol.exchange import Exchange

__all__ = ["Progress", "Reporter"]


class Progress(NamedTuple):
    """How far a request has come, content codings not undone.

    Attributes:
        sent: Bytes of the request's content that have left.
        to_send: How many there are, None where that is not known.
        received: Bytes of the response's content that have come.
        to_receive: How many there are, None where that is not known, or not yet.
    """

    sent: int
    to_send: int | None
    received: int
    to_receive: int | None


class Reporter:
    """Watches one call, for who wants to know how far it is.

    Args:
        function: What is called with each :class:`Progress`, or None.
        on_interim: What is called with each :class:`~plait.client.interim.Interim`, or None.

    Attributes:
        due: Whether there is something new to tell ``function``.
    """

    __slots__ = ("_function", "_heard", "_latest", "_on_interim", "_read", "due")

    def __init__(
        self, function: Callable[[Progress], Any] | None, on_interim: Callable[[Interim], Any] | None = None
    ) -> None:
        self._function = function
        self._on_interim = on_interim
        #: How many interim responses were told of.
        self._heard = 0
        self._latest = Progress(0, None, 0, None)
        self._read = 0
        self.due = False

    def read(self, size: int) -> None:
        """Take note that the caller has taken so many bytes of content."""
        self._read += size

    def begin(self) -> None:
        """Take note that the request is sent, perhaps once more."""
        self._read = self._heard = 0

    def look(self, call: Call, exchange: Exchange) -> bool:
        """Look how far the call is; say whether that is news that nobody was told to fetch yet."""
        if self._on_interim is not None and (aside := exchange.aside) is not None:
            self._hear(call, aside, self._on_interim)
        if self._function is None:
            return False
        content = exchange.content
        waiting = len(content) if isinstance(content, bytes) else content.tell()
        to_receive: int | None = None
        if exchange.received is not Half.HEAD:
            announced = dict(exchange.fields).get(b"content-length", b"")
            if announced.isdigit() and call.request.method != "HEAD":
                to_receive = int(announced)
        sent = exchange.sent_bytes - exchange.queued
        to_send = call.request.length
        if to_send is None and exchange.sent is Half.ENDED:
            to_send = exchange.sent_bytes
        latest = Progress(sent, to_send, self._read + waiting, to_receive)
        if latest == self._latest:
            return False
        self._latest = latest
        was_due, self.due = self.due, True
        return not was_due

    def _hear(self, call: Call, aside: Aside, tell: Callable[[Interim], Any]) -> None:
        """Have the next interim response told, before the call goes on; it comes here again then."""
        if self._heard < len(aside.interim) and not call.paused:
            from plait.client.interim import Interim

            interim = Interim(aside.interim[self._heard])
            self._heard += 1
            call.interject(partial(tell, interim))

    def report(self) -> Any:
        """Tell what is new, if anything is; return what the caller's function returned."""
        if not self.due or self._function is None:
            return None
        self.due = False
        return self._function(self._latest)
