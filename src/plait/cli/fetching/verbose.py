"""``-v``: what is sent and received, in lines."""

from __future__ import annotations

from collections.abc import Callable

from plait.cli.fetching.reports import printable
from plait.client.trace import Direction, FrameEvent

__all__ = ["Telling"]

#: What HTTP/1.1 has in place of frames; shown as curl does.
_HEADS = ("REQUEST", "INTERIM", "RESPONSE", "TRAILERS")


class Telling:
    """Says what happens on a client's connections.

    Args:
        say: Called with lines.
        secrets: Whether credentials and cookies are among them.
    """

    def __init__(self, say: Callable[[str], None], *, secrets: bool) -> None:
        self._say = say
        self._secrets = secrets

    def __call__(self, event: FrameEvent) -> None:
        """Say what happened."""
        mark = event.direction.value
        # With one connection, as is usual, its number says nothing.
        number = f"#{event.connection} " if event.connection > 1 else ""
        fields = [line.strip() for line in event.describe(secrets=self._secrets).splitlines()[1:]]
        if event.direction is Direction.NEITHER:
            lines = [f"{number}{_of_connection(event.type, printable(event.detail))}"]
        elif event.type in _HEADS:
            lines = [f"{number}{event.detail or event.type.lower()}", *fields, ""]
        else:
            stream = f" stream {event.stream_id}" if event.stream_id else ""
            flags = f" {'+'.join(event.flags)}" if event.flags else ""
            detail = f": {printable(event.detail)}" if event.detail else ""
            lines = [f"{number}{event.type}{stream}{flags}{detail}", *(f"  {field}" for field in fields)]
        self._say("".join(f"{mark} {line}\n" for line in lines))


def _of_connection(kind: str, detail: str) -> str:
    match kind:
        case "CLOSED":
            return f"{detail[:1].upper()}{detail[1:]}" or "The connection closed"
        case "CONNECTED":
            return f"Connected {detail}"
        case _:
            return f"{kind.capitalize()}: {detail}"
