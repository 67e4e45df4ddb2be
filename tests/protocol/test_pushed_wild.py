"""Pushes in any order: what waits is bounded, and what nobody wants gives back its credit."""

from __future__ import annotations

import h2.exceptions
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.errors import PlaitError
from plait.protocol.endpoint import ClientEndpoint
from plait.protocol.events import Role
from plait.protocol.exchange import Exchange, Half
from plait.protocol.h2 import H2Connection
from plait.protocol.pushed import Promise, Pushes
from tests.support.pairs import AUTHORITY, Engine, request_fields

MAX_COUNT, MAX_SIZE, WINDOW = 4, 3000, 2000


class Line:
    """plait's client, which takes pushes, and a server on another engine."""

    def __init__(self) -> None:
        self.endpoint = ClientEndpoint(
            H2Connection(
                Role.CLIENT,
                max_concurrent_streams=100,
                max_header_fields=100,
                max_header_size=65_536,
                stream_window=WINDOW,
                connection_window=1 << 20,
                max_pushes=MAX_COUNT,
            )
        )
        self.pushes = Pushes(lambda scheme, authority: authority == AUTHORITY, MAX_COUNT, MAX_SIZE)
        self.endpoint.pushes = self.pushes
        self.peer = Engine(client=False)
        self.peer.initiate_connection()
        self.parents: list[Exchange] = []
        self.streams: list[int] = []
        self.taken: list[Exchange] = []
        self.promises: list[Promise] = []
        self.begun: set[int] = set()
        self.move()

    def move(self) -> None:
        for _ in range(4):
            self.endpoint.receive_data(self.peer.data_to_send())
            while data := self.endpoint.data_to_send():
                self.peer.receive_data(data)
        self.promises = [
            one for parent in self.parents if parent.aside is not None for one in parent.aside.promises
        ]

    def act(self, action: str, which: int) -> None:
        """Do one thing; the engine at the other end refuses what a server cannot do."""
        stream = self.streams[which % len(self.streams)] if self.streams else 0
        parent = self.parents[which % len(self.parents)] if self.parents else None
        promise = self.promises[which % len(self.promises)] if self.promises else None
        if action == "request":
            self.parents.append(self.endpoint.open_exchange(request_fields(), end_stream=True))
            self.streams.append(self.parents[-1].stream_id)
        elif action in ("promise", "promise elsewhere") and parent is not None:
            promised = self.peer.get_next_available_stream_id()
            head = request_fields(path=b"/%d" % promised)
            if action == "promise elsewhere":
                head[2] = (b":authority", b"elsewhere.example")
            self.peer.push_stream(parent.stream_id, promised, head)
            self.streams.append(promised)
        elif action == "head" and stream not in self.begun:
            self.peer.send_headers(stream, [(b":status", b"200")])
            self.begun.add(stream)
        elif action in ("data", "end") and stream not in self.begun:
            return  # this engine would send it
        elif action == "data":
            self.peer.send_data(stream, bytes(min(600, self.peer.local_flow_control_window(stream))))
        elif action == "end":
            self.peer.end_stream(stream)
        elif action == "reset":
            self.peer.reset_stream(stream)
        elif action == "take" and promise is not None and self.pushes.take(promise.exchange):
            self.taken.append(promise.exchange)
        elif action == "abandon" and parent is not None:
            parent.abandon()
        elif action == "read":
            for exchange in [*self.parents, *self.taken]:
                try:
                    exchange.read()
                except PlaitError:
                    assert exchange.closed


ACTIONS = st.sampled_from(
    ["request", "promise", "promise", "promise elsewhere", "head", "head", "data", "data", "data", "end",
     "reset", "take", "abandon", "read"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(ACTIONS, st.integers(0, 30)), max_size=60))
def test_what_waits_is_bounded_and_what_nobody_wants_gives_back_its_credit(
    actions: list[tuple[str, int]],
) -> None:
    line = Line()
    for action, which in [("request", 0), *actions]:
        try:
            line.act(action, which)
        except (h2.exceptions.ProtocolError, KeyError):
            continue
        line.move()
        assert not line.endpoint.closed
        waiting = [one.exchange for one in line.promises if one.exchange in line.pushes._waiting]
        assert len(waiting) <= MAX_COUNT
        assert sum(exchange.unread for exchange in waiting) <= MAX_SIZE
        for promise in line.promises:
            exchange = promise.exchange
            if exchange not in line.pushes._waiting and exchange not in line.taken:
                assert exchange.unread == 0
            if exchange.received is Half.ENDED and exchange.error is None:
                assert exchange.stream_id % 2 == 0
