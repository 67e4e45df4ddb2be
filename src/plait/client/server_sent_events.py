"""Server-sent events, as the HTML standard has them (§9.2.6)."""

from __future__ import annotations

from typing import NamedTuple

from plait.client.texts import Lines, Text
from plait.errors import ContentDecodingError

__all__ = ["Events", "ServerSentEvent"]


class ServerSentEvent(NamedTuple):
    """One event.

    Attributes:
        event: Its type, ``"message"`` where the server names none.
        data: Its data; several lines are joined with LF.
        id: The id of the latest event that had one, to be sent as ``last-event-id`` when connecting anew.
        retry: Milliseconds to wait before that, if the server has said so by now, else None.
    """

    event: str
    data: str
    id: str
    retry: int | None

    def json(self) -> object:
        """Return the data, parsed as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        from json import loads

        return loads(self.data)


class Events:
    """Makes events of bytes.

    Args:
        limit: Characters that one event's data may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._text = Text("utf-8")  # whatever the content-type says
        self._lines = Lines(limit)
        self._started = False
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._id = ""
        self._retry: int | None = None

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take bytes, and return the events that end in them.

        Raises:
            ContentDecodingError: An event is too large.
        """
        text = self._text.feed(data)
        if text and not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        events: list[ServerSentEvent] = []
        for line in self._lines.feed(text):
            if not line:
                if self._data:
                    events.append(
                        ServerSentEvent(
                            self._event or "message", "\n".join(self._data), self._id, self._retry
                        )
                    )
                self._event = ""
                self._data = []
                self._size = 0
            else:
                self._take(line)
        return events

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(value) + 1
            if self._size > self._limit:
                raise ContentDecodingError(f"an event is longer than {self._limit} characters")
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self._retry = int(value[:18])
