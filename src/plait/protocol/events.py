"""The one vocabulary of events, for both versions of HTTP and both roles.

The classes are those of the HTTP/2 engine, taken through this one seam: building one costs less
than a dataclass, and replacing the engine means replacing this module and ``h2.py``. HTTP/1.1 emits
the same classes; it numbers its exchanges 1, 3, 5 … as HTTP/2 numbers streams, and gives a request
its pseudo-fields (RFC 9113 §8.3), so nothing above can tell the versions apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from ngh2 import ErrorCode, Role
from ngh2 import NGH2Error as EngineError
from ngh2.events import (
    ConnectionClosed,
    DataReceived,
    Event,
    GoAwayReceived,
    InformationalResponseReceived,
    OriginReceived,
    PingAcknowledged,
    PingReceived,
    PriorityUpdateReceived,
    PushedStreamReceived,
    RequestReceived,
    ResponseReceived,
    SettingsAcknowledged,
    SettingsReceived,
    StreamClosed,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)

__all__ = [
    "Role",
    "ErrorCode",
    "EngineError",
    "Fields",
    "error_name",
    "sentence",
    "Event",
    "RequestReceived",
    "ResponseReceived",
    "InformationalResponseReceived",
    "DataReceived",
    "TrailersReceived",
    "StreamReset",
    "StreamClosed",
    "SettingsReceived",
    "SettingsAcknowledged",
    "PingReceived",
    "PingAcknowledged",
    "OriginReceived",
    "PriorityUpdateReceived",
    "PushedStreamReceived",
    "WindowUpdated",
    "GoAwayReceived",
    "ConnectionClosed",
]

Fields = Sequence[tuple[bytes, bytes]]


def sentence(reason: bytes) -> str:
    """Return why something ended as the part of a sentence that a message takes."""
    text = reason.decode("utf-8", "replace").removesuffix(".")
    return text if text[1:2].isupper() else f"{text[:1].lower()}{text[1:]}"


def error_name(error_code: int) -> str:
    """Name an HTTP/2 error code as RFC 9113 §7 does."""
    try:
        return ErrorCode(error_code).name
    except ValueError:
        return f"error code {error_code:#x}"
