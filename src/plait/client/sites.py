"""What the pool keeps of each origin: its connections, and the requests that wait for one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Protocol

from plait.errors import PlaitError
from plait.protocol.endpoint import ClientEndpoint
from plait.urls import Origin

if TYPE_CHECKING:
    from plait.client.measuring import Meter
    from plait.client.timeouts import TimeLimits

__all__ = ["Authority", "Link", "Opening", "Site", "Ticket"]

#: A connection's number and how it came to be: ``began``, and what its transport calls ``started``,
#: ``connected`` and ``secured``.
Opening = tuple[int, float, float, float, float]


class Ticket(Protocol):
    """What waits in the queue for a connection."""

    limits: TimeLimits

    def granted(self, link: Link) -> None:
        """Go on, on this connection."""

    def refused(self, error: PlaitError) -> None:
        """End: there will be no connection."""


class Link:
    """One connection, as the pool sees it.

    Attributes:
        origin: Where it leads.
        endpoint: The connection's owner.
        transport: What moves its bytes; the pool never looks inside.
        number: Counts the connections of a client, from 1; 0 until it is counted.
        exchanges: Requests sent on it so far.
        began: When the client began to see to it, by looking the name up.
        opening: Its number and how it came to be, for every response over it.
        meter: What measures it, None where nothing does.
        idle_since: When its last exchange ended, None while one is open.
        alive: When the peer was last known to be there, as far as somebody looked.
        received: Bytes that had come by then.
        pinged: When it was asked whether it is there, None when it is not being asked.
        authority: Whom its certificate stands for, None when it is not to serve other origins.
        aliases: Other origins that it serves.
    """

    __slots__ = (
        "aliases", "alive", "authority", "began", "endpoint", "exchanges", "idle_since", "meter", "number",
        "opening", "origin", "pinged", "received", "transport",
    )  # fmt: skip

    def __init__(self, origin: Origin, endpoint: ClientEndpoint, transport: Any, now: float) -> None:
        self.origin = origin
        self.endpoint = endpoint
        self.transport = transport
        self.number = 0
        self.exchanges = 0
        self.began = now
        self.opening: Opening = (0, now, now, now, now)
        self.meter: Meter | None = None
        self.idle_since: float | None = now
        self.alive = now
        self.received = 0
        self.pinged: float | None = None
        self.authority: Authority | None = None
        self.aliases: list[Origin] = []

    @property
    def room(self) -> int:
        """How many further requests it takes now."""
        return self.endpoint.capacity if self.pinged is None else 0


class Authority(Protocol):
    """What a connection's peer has proved to be."""

    def covers(self, host: str) -> bool:
        """Whether that includes a host."""

    def is_at(self, addresses: Collection[str]) -> bool:
        """Whether it was reached at one of some addresses."""


class Site:
    """One origin: its connections, and the requests that wait for one.

    Args:
        limit: How many connections it has at most.
        most: How many it may have where the peer's limit of streams is reached.
        multiplexed: Whether each takes many requests at once; None until the first connection tells.

    Attributes:
        links: Its connections, and those of other origins that it shares.
        returned: Requests that had their turn before and were not processed.
        queue: The others, in the order they came.
        opening: How many connections are being opened.
        stream_limit: The limit of streams of the connection before, None when there was none.
        unshared: Whether somebody else's connection was tried, and was wrong.
    """

    __slots__ = (
        "limit", "links", "most", "multiplexed", "opening", "queue", "returned", "stream_limit", "unshared"
    )  # fmt: skip

    def __init__(self, limit: int, most: int, multiplexed: bool | None) -> None:
        self.links: list[Link] = []
        # Ordered sets: thousands may wait, and any of them be withdrawn.
        self.returned: OrderedDict[Ticket, None] = OrderedDict()
        self.queue: OrderedDict[Ticket, None] = OrderedDict()
        self.opening = 0
        self.multiplexed = multiplexed
        self.limit = limit
        self.most = most
        self.stream_limit: int | None = None
        self.unshared = False

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self.queue) + len(self.returned)

    @property
    def spreads(self) -> bool:
        """Whether requests are spread over several connections that each take many."""
        return self.limit > 1 and self.multiplexed is True

    @property
    def usable(self) -> list[Link]:
        """The connections that take further requests, now or later."""
        return [link for link in self.links if not link.endpoint.connection.closing]

    def share(self, more: int = 0) -> int:
        """Return how many of all requests, and so many more, one connection takes of its own."""
        under_way = sum(len(link.endpoint.exchanges) for link in self.usable)
        return -(-(self.waiting + under_way + more) // self.limit)

    def least_busy(self) -> Link | None:
        """Return the connection that takes the next request, None while it has to wait."""
        with_room = [link for link in self.links if link.room > 0]
        if not with_room:
            return None
        link = min(with_room, key=lambda link: len(link.endpoint.exchanges))
        return None if self.opening and len(link.endpoint.exchanges) >= self.share(1) else link
