"""A client's end of a connection with somebody who looks on; only who was asked to imports this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from plait.protocol.connection import Connection
from plait.protocol.endpoint import ClientEndpoint
from plait.protocol.events import Event, Fields
from plait.protocol.exchange import Exchange

__all__ = ["ObservedEndpoint", "Observer"]


class Observer(Protocol):
    """Somebody who looks on, and must not touch anything."""

    def on_request(self, exchange: Exchange, fields: Fields) -> None:
        """Take note of a request that was handed to the connection, pseudo-fields first."""

    def on_received(self, data: bytes) -> None:
        """Take note of bytes that the connection takes next."""

    def on_event(self, event: Event) -> None:
        """Take note of what they mean, before anybody else."""

    def on_sent(self, data: bytes) -> None:
        """Take note of bytes that are written next, ``b""`` where there is nothing to write now."""


W = TypeVar("W", bound=Observer)


class ObservedEndpoint(ClientEndpoint, Generic[W]):
    """A client's end of a connection, observed.

    Args:
        connection: The connection.
        observers: Who looks on.
    """

    __slots__ = ("observers",)

    def __init__(self, connection: Connection, observers: Sequence[W]) -> None:
        super().__init__(connection)
        self.observers = observers

    def open_exchange(self, fields: Fields, *, end_stream: bool = False) -> Exchange:
        exchange = super().open_exchange(fields, end_stream=end_stream)
        for observer in self.observers:
            observer.on_request(exchange, fields)
        return exchange

    def receive_data(self, data: bytes) -> None:
        for observer in self.observers:
            observer.on_received(data)
        super().receive_data(data)

    def data_to_send(self) -> bytes:
        data = super().data_to_send()
        for observer in self.observers:
            observer.on_sent(data)
        return data

    def _route(self) -> None:
        handlers = self._handlers
        for event in self.connection.events():
            for observer in self.observers:
                observer.on_event(event)
            handler = handlers.get(type(event))
            if handler is not None:
                handler(self, event)
