"""What a call does about time: when everything happened, and when to give up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plait.client.messages import Circumstances, Request
from plait.client.sites import Link
from plait.errors import (
    ConnectTimeout,
    PlaitError,
    PoolTimeout,
    ReadTimeout,
    Timeout,
    TotalTimeout,
    WriteTimeout,
)
from plait.protocol.exchange import Exchange, Half

if TYPE_CHECKING:
    from plait.client.core import ClientCore
    from plait.client.messages import Times
    from plait.client.retries import Retries
    from plait.client.timeouts import TimeLimits
    from plait.client.uploads import Upload

__all__ = ["Timed"]


class Timed:
    """A call, as far as time goes; a call itself never waits, deadlines belong to whoever waits for it.

    Attributes:
        request: The request.
        done: Whether the call's goal has been reached, or never will be.
        exchange: Its exchange, while there is something to do with it.
        upload: What sends the request's content, if there is any.
        link: The connection that it went over last, once it went.
        queued: Whether the request waits for a connection.
        touched: When something happened last, on the core's clock.
        resumes: When a pause between two attempts is over, or content goes out that waited for a 100
            (Continue); 0 when there is neither.
        limits: How long it may take.
        retries: How it is tried again, None for not at all.
        deadline: When the request is given up, whatever happens.
    """

    __slots__ = (
        "_answered", "_apart", "_core", "_queued", "_sent", "_submitted", "_then", "deadline", "done",
        "exchange", "limits", "link", "queued", "request", "resumes", "retries", "touched", "upload",
    )  # fmt: skip

    # Set by :class:`~plait.client.calls.Call`, which is made for every request: one call does that.
    _answered: float
    _apart: tuple[float, float] | None
    _core: ClientCore
    _queued: int
    _sent: float
    _submitted: float
    _then: Callable[[Any, Exception | None], None] | None
    deadline: float
    done: bool
    exchange: Exchange | None
    limits: TimeLimits
    link: Link
    queued: bool
    request: Request
    resumes: float
    retries: Retries | None
    touched: float
    upload: Upload | None

    def wake(self, when: float) -> None:
        """Go on after the pause, or the wait for a 100, that was to end then."""
        raise NotImplementedError

    def give_up(self, error: Exception) -> None:
        """End the call, and its exchange, from this side."""
        raise NotImplementedError

    def _fail(self, error: PlaitError) -> None:
        """End the attempt; whether the call ends is for the flow to say, where there are retries."""
        raise NotImplementedError

    def _note_upload(self, now: float) -> None:
        """Take note that content was handed to the connection."""
        self._apart = self.queued_since, now

    @property
    def queued_since(self) -> float:
        """When the attempt began to wait for a connection."""
        return self._submitted if self._apart is None else self._apart[0]

    @property
    def submitted(self) -> float:
        """When the request was given to the client."""
        return self._submitted

    @property
    def times(self) -> Times:
        """What a response keeps of how it came about, once the exchange has ended properly."""
        link = self.link
        if self._apart is None and link.meter is None:
            return (self._submitted, self._sent, self._answered, self.touched, link.opening)
        return (self._submitted, self._sent, self._answered, self.touched, self._circumstances(link))

    def _circumstances(self, link: Link) -> Circumstances:
        uploaded = 0.0 if self._apart is None else self._apart[1]
        counts = None
        if link.meter is not None and self.exchange is not None:
            counts = link.meter.counts(self.exchange)
            uploaded = uploaded if counts is None else counts.uploaded
        return Circumstances(link.opening, self.queued_since, uploaded or self._sent, counts)

    def has_time_for(self, seconds: float) -> bool:
        """Whether the request may go on after so many seconds (for the flow)."""
        return self._core.clock() + seconds < self.deadline

    def expires(self, began: float) -> float:
        """Return when to give the call up, if nothing happens until then.

        Args:
            began: When somebody began to wait for it: time in which nobody did does not count.
        """
        if self.resumes:
            return min(self.resumes, self.deadline)
        if self._then is not None or (self.upload is not None and self.upload.wants_piece):
            self.touched = self._core.clock()  # it is not the server that keeps us waiting
        return min(max(self.touched, began) + self._patience(), self.deadline)

    def _patience(self) -> float:
        """Return how long nothing may happen."""
        limits = self.limits
        if self.queued:
            return limits.connect if self._is_connecting() else limits.pool
        if limits.write != limits.read and self._is_sending():
            return limits.write
        return limits.read

    def _is_connecting(self) -> bool:
        """Whether it waits for a connection, and longer or shorter than its client would."""
        core = self._core
        return self.limits is not core.limits and not core.pool.connected(self.request.origin)

    def _is_sending(self) -> bool:
        """Whether there is content that the server has yet to take."""
        exchange, upload = self.exchange, self.upload
        if exchange is None or exchange.status >= 400:
            return False
        # The server does not wait for what is still to be written, and has not been given what is held.
        waits = upload is not None and not (upload.written or upload.held)
        return (waits and exchange.sent is not Half.ENDED) or exchange.queued > 0

    def expire(self, now: float) -> None:
        """Give the call up, or the attempt: its time is over."""
        if self.resumes and now < self.deadline:
            self.wake(self.resumes)
            return
        limits, origin = self.limits, self.request.origin
        error: Timeout
        if now >= self.deadline:
            error = TotalTimeout(f"no complete response within {limits.total:g} seconds")
            error.unprocessed = self.queued
        elif self.queued:
            if self._is_connecting():
                error = ConnectTimeout(f"no connection to {origin} within {limits.connect:g} seconds")
            else:
                error = PoolTimeout(f"no connection to {origin} had room in time")
        elif self._is_sending():
            left = 0 if self.exchange is None else self.exchange.queued
            if left < self._queued:  # nobody was told, but the server took some
                self._queued = left
                self.touched = now
                return
            error = WriteTimeout(f"the server took nothing for {limits.write:g} seconds")
        else:
            error = ReadTimeout(f"the server sent nothing for {limits.read:g} seconds")
        if self.retries is None or self.done or now >= self.deadline:
            self.give_up(error)
            return
        self._fail(error)
