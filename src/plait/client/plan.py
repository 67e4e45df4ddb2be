"""What is done for a request beside sending it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plait.client.calls import Call
    from plait.client.flow import Flow
    from plait.client.interim import Interim
    from plait.client.messages import Request
    from plait.client.progress import Progress
    from plait.client.recording import Record
    from plait.client.retries import Retries
    from plait.client.telling import Teller
    from plait.config import ClientConfig

__all__ = ["Plan"]


class Plan:
    """What is done for a request beside sending it.

    Attributes:
        run: The flow; None to send the request and do no more.
        auth: Who asks, where that takes more than a field, or None.
        follow: How many redirects to follow.
        request_hooks: Called with every request.
        response_hooks: Called with every response.
        progress: Called with a :class:`~plait.client.progress.Progress`, or None.
        on_interim: Called with each :class:`~plait.client.interim.Interim`, or None.
        expects_continue: Whether the content waits for a 100 (Continue).
        record: Called with a :class:`~plait.client.recording.Record` of every exchange that is over, or None.
        retries: How it is tried again, or None.
        cookies: Cookies of the request's caller, for its own origin.
        has_cookie_field: Whether the caller wrote the ``cookie`` field.
        noted: Names of fields in a response that something follows from.
        max_content_size: Bytes that content may have where it is gathered.
        max_decoded_size: The same of content that was coded, once decoded.
    """

    __slots__ = (
        "auth", "cookies", "expects_continue", "follow", "has_cookie_field", "max_content_size",
        "max_decoded_size", "noted", "on_interim", "progress", "record",
        "request_hooks", "response_hooks", "retries", "run",
    )  # fmt: skip

    def __init__(self, config: ClientConfig, noted: frozenset[bytes]) -> None:
        self.run: Callable[[Request, Call], Flow] | None = None
        self.auth: Any = None
        self.follow = 0
        self.request_hooks: tuple[Callable[..., Any], ...] = ()
        self.response_hooks: tuple[Callable[..., Any], ...] = ()
        self.progress: Callable[[Progress], Any] | None = None
        self.on_interim: Callable[[Interim], Any] | None = None
        self.expects_continue = False
        self.record: Teller[Record] | None = None
        self.retries: Retries | None = None
        self.cookies: Mapping[str, str] | None = None
        self.has_cookie_field = False
        self.noted = noted
        self.max_content_size = config.max_content_size
        self.max_decoded_size = config.max_decoded_size

    def but(self, **changes: Any) -> Plan:
        """Return another that differs in this."""
        other = Plan.__new__(Plan)
        for name in Plan.__slots__:
            setattr(other, name, changes.get(name, getattr(self, name)))
        return other.settled()

    def settled(self) -> Plan:
        """Choose the flow that does what is asked for; return this plan."""
        self.run = None
        if (
            self.auth or self.follow or self.request_hooks or self.response_hooks or self.progress
            or self.on_interim or self.expects_continue or self.record
        ):  # fmt: skip
            from plait.client.session_flow import converse

            self.run = converse
        return self
