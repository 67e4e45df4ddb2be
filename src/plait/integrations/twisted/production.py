"""The producer of one response, slowed down to what the client takes."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plait.integrations.twisted.channel import Stream

__all__ = ["Production"]


class _State(Enum):
    """What the producer does."""

    PUSHING = "pushing"
    PAUSED = "paused"  # a push producer that was told to wait
    PULLED = "pulled"  # a pull producer that will be asked in the next turn
    AWAITED = "awaited"  # a pull producer that will be asked when what it wrote has left


class Production:
    """A producer, registered with a stream.

    Args:
        stream: Where its content goes.
        producer: The producer.
        streaming: Whether it pushes; otherwise it is asked for each piece.

    Attributes:
        producer: The producer.
    """

    def __init__(self, stream: Stream, producer: Any, streaming: bool) -> None:
        self._stream = stream
        self.producer = producer
        self._state = _State.PUSHING
        if not streaming:
            self._pull_soon()

    def wrote(self) -> None:
        """Take note that content was written."""
        if self._state is _State.PUSHING and self._stream.full:
            self._state = _State.PAUSED
            self._tell("pauseProducing")

    def drained(self) -> None:
        """Take note that all that was written has left."""
        if self._state is _State.PAUSED:
            self._state = _State.PUSHING
            self._tell("resumeProducing")
        elif self._state is _State.AWAITED:
            self._pull_soon()

    def _pull_soon(self) -> None:
        self._state = _State.PULLED
        self._stream.later(self._pull)

    def _pull(self) -> None:
        """Ask once, in a turn of its own, so that others have theirs."""
        stream = self._stream
        if not stream.produces(self):
            return
        self._tell("resumeProducing")
        if stream.produces(self):
            if stream.full:
                self._state = _State.AWAITED
            else:
                self._pull_soon()

    def _tell(self, what: str) -> None:
        try:
            getattr(self.producer, what)()
        except Exception:
            self._stream.production_failed()
