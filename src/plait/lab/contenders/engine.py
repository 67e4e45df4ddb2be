"""How plait's client fetches the resources of a graph: in which order, and how many at once."""

from __future__ import annotations

import time
from collections import deque
from heapq import heappop, heappush

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    from collections.abc import Callable

    from plait.client.sync_client import Client, Pending
    from plait.lab.contenders.base import Load

    Send = Callable[[int], Pending]
    Receive = Callable[[int, Pending], None]

__all__ = ["AHEAD", "chunks", "serial", "window"]

AHEAD = 100
"""Requests submitted beyond those that may travel, so that the next is at hand whichever is answered."""


def serial(client: Client, load: Load, send: Send, receive: Receive, travelling: int) -> None:
    """Fetch what is known one after the other, in the order of the workload."""
    known: list[int] = []
    while load.graph.unfinished:
        for index in load.due():
            heappush(known, index)
        if known:
            index = heappop(known)
            pending = send(index)
            pending.result()
            receive(index, pending)
        else:
            time.sleep(load.until_due or 0.0)


def chunks(client: Client, load: Load, send: Send, receive: Receive, travelling: int) -> None:
    """Send as many of those that are known as may travel, read all of them, and only then send more."""
    known: deque[int] = deque()
    while load.graph.unfinished:
        known.extend(load.due())
        if known:
            chunk = [known.popleft() for _ in range(min(travelling, len(known)))]
            under_way = {send(index): index for index in chunk}
            while under_way:
                for pending in _wait(client, under_way, None):
                    receive(under_way.pop(pending), pending)
        else:
            time.sleep(load.until_due or 0.0)


def window(client: Client, load: Load, send: Send, receive: Receive, travelling: int) -> None:
    """Send whatever is known; the client has so many travel at once, and the others wait in order."""
    known: deque[int] = deque()
    under_way: dict[Pending, int] = {}
    room = travelling + AHEAD
    while load.graph.unfinished:
        known.extend(load.due())
        while known and len(under_way) < room:
            index = known.popleft()
            under_way[send(index)] = index
        if under_way:
            for pending in _wait(client, under_way, load.until_due):
                receive(under_way.pop(pending), pending)
        else:
            time.sleep(load.until_due or 0.0)


def _wait(client: Client, under_way: dict[Pending, int], seconds: float | None) -> list[Pending]:
    """Wait until one is done, at most so long; return those that are."""
    from plait.errors import Timeout

    try:
        next(iter(under_way)).result(seconds)
    except Timeout:
        pass
    return [pending for pending in under_way if pending.done]
