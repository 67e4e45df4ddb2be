"""How plait's client fetches the resources of a graph: in which order, and how many at once."""

from __future__ import annotations

import time
from collections import deque

TYPE_CHECKING = False  # typing is slow to import; type checkers take this name for the real one
if TYPE_CHECKING:
    from collections.abc import Callable

    from plait.client.messages import Response
    from plait.client.sync_client import Client, Pending
    from plait.lab.contenders.base import Load

    Send = Callable[[int], Pending]
    Receive = Callable[[int, Response], None]

__all__ = ["AHEAD", "chunks", "serial", "window"]

AHEAD = 100
"""Requests submitted beyond those that may travel, so that the next is at hand whichever is answered."""


def serial(client: Client, load: Load, send: Send, receive: Receive, travelling: int) -> None:
    """Fetch what is known one after the other, in the order of the workload.

    Args:
        client: The client.
        load: Knows which resources are known.
        send: Submits the request for a resource.
        receive: Records its response.
        travelling: How many requests may travel at once; the same for all functions here.
    """
    for index in load.one_by_one():
        receive(index, send(index).result())


def chunks(client: Client, load: Load, send: Send, receive: Receive, travelling: int) -> None:
    """Send as many of those that are known as may travel, read all of them, and only then send more."""
    known: deque[int] = deque()
    while load.graph.unfinished:
        known.extend(load.due())
        if known:
            indices = [known.popleft() for _ in range(min(travelling, len(known)))]
            for index, pending in [(index, send(index)) for index in indices]:
                receive(index, pending.result())
        else:
            time.sleep(load.until_due or 0.0)


def window(client: Client, load: Load, send: Send, receive: Receive, travelling: int) -> None:
    """Send whatever is known; the client has so many travel at once, and the others wait in order."""
    known: deque[int] = deque()
    under_way: dict[Pending, int] = {}
    completions = client.as_completed()
    room = travelling + AHEAD
    graph = load.graph
    known.extend(load.due())
    while graph.unknown:
        while known and len(under_way) < room:
            index = known.popleft()
            pending = send(index)
            under_way[pending] = index
            completions.add(pending)
        if not under_way:
            time.sleep(load.until_due or 0.0)
        elif (done := completions.wait(load.until_due)) is not None:
            receive(under_way.pop(done), done.result())
        known.extend(load.due())
    # All is known: who is done first does not matter any more, and waiting for the oldest costs least.
    oldest = deque((index, pending) for pending, index in under_way.items())
    while oldest or known:
        while known and len(oldest) < room:
            index = known.popleft()
            oldest.append((index, send(index)))
        index, pending = oldest.popleft()
        receive(index, pending.result())
