"""What opens a WebSocket, for both clients: the call that brings its request to the right connection."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from plait.client.calls import Call
from plait.client.flow import Flow
from plait.client.goals import HEAD, VERSIONS, Goal, head_of
from plait.client.messages import Request, Response
from plait.client.session_flow import converse
from plait.client.sites import Link
from plait.client.websocket_handshake import Handshake, is_for_websocket
from plait.client.websocket_session import ClientSession
from plait.config import HttpVersions
from plait.errors import ConnectionLost, NoCommonProtocol, WebSocketRefused
from plait.fields import FieldSection
from plait.protocol.exchange import Exchange, Half

if TYPE_CHECKING:
    from plait.client.core import ClientCore

__all__ = ["Opened", "WebSocketCall"]

#: Bytes of the content of a refusal that are read.
_REFUSAL_MAX = 65_536
#: Seconds without any more of it before what there is has to do.
_REFUSAL_PATIENCE = 5.0


class Opened(NamedTuple):
    """A WebSocket that the server has opened.

    Attributes:
        session: What is spoken on it.
        response: The head of the response that opened it.
        subprotocol: What the server has chosen, or None.
    """

    session: ClientSession
    response: Response
    subprotocol: str | None


class WebSocketCall(Call):
    """Brings the request for a WebSocket to a connection that it can go over.

    Over HTTP/2 that is any connection whose server has said that it opens tunnels (RFC 8441 §3), for which
    it waits. Where it opens none, and where a proxy handles plain HTTP itself, the WebSocket has a
    connection of HTTP/1.1 of its own (:class:`~plait.urls.Origin`).

    Args:
        core: What the client's calls have in common.
        handshake: What is asked for.
    """

    __slots__ = ("_handshake", "_tunnel", "_undecided")

    def __init__(self, core: ClientCore, handshake: Handshake) -> None:
        super().__init__(core, handshake.request, HEAD)
        self._handshake = handshake
        #: The request for a WebSocket that waits for its turn, or was sent; None for another.
        self._tunnel: Request | None = None
        #: The connection whose server has yet to say whether it opens tunnels.
        self._undecided: Link | None = None

    def start(self) -> None:
        if self._flow is None:
            self._flow = _open(self.request, self)
            self._go_on(self._flow.send, None)
            return
        request = self.request
        self._undecided = None
        self._tunnel = request if is_for_websocket(request) else None
        if self._tunnel is not None:
            routes, origin = self._core.routes, request.origin
            proxy = routes.proxy_for(origin)
            if proxy is not None and not routes.tunnels(origin, proxy):
                self._ask_apart(request)
        super().start()

    def _ask_apart(self, request: Request) -> None:
        """Let the request wait for a connection of HTTP/1.1 that nothing else goes over."""
        origin = request.origin
        apart = origin._replace(scheme="wss" if origin.scheme == "https" else "ws")
        self.request = Request(apart, request.fields, b"", None, True, request.timeout, request.plan)

    def _send(self, link: Link) -> None:
        request = self._tunnel
        if request is None:
            super()._send(link)  # one of an auth flow's own
            return
        opens = link.endpoint.connection.opens_tunnels
        if opens:
            self.request = request
            self._send_asked(link, request)
            return
        if not link.endpoint.exchanges:
            link.idle_since = self._core.clock()
        if opens is None:
            self._undecided = link
            link.endpoint.undecided.append(partial(self._decide, link))
        elif self._core.config.http is HttpVersions.HTTP_2:
            self._finish(None, NoCommonProtocol(f"{request.origin} opens no WebSockets over HTTP/2"))
        else:
            self._ask_apart(request)
            super().start()

    def _send_asked(self, link: Link, request: Request) -> None:
        self._take(link)
        try:
            self.exchange = link.endpoint.open_exchange(_as_connect(request.fields))
            self.exchange.on_progress = self._progress
        except Exception as error:
            self._finish(None, error)

    def _decide(self, link: Link) -> None:
        """Go on: the server has said what it does, or will say nothing any more."""
        if self._undecided is not link or self.done:
            return
        self._undecided = None
        if link.endpoint.closed:
            assert self._flow is not None
            error = ConnectionLost(str(link.endpoint.error or "the connection closed"), unprocessed=True)
            self._go_on(self._flow.throw, error)
        else:
            super().start()
        if self.watchers:
            self._changed()

    def _is_sending(self) -> bool:
        # What is left of the request is the tunnel.
        return self._tunnel is None and super()._is_sending()

    def _patience(self) -> float:
        patience = super()._patience()
        return min(patience, _REFUSAL_PATIENCE) if self._goal is _REFUSAL else patience

    def expire(self, now: float) -> None:
        if self._goal is _REFUSAL and self.exchange is not None and self._flow is not None:
            self._go_on(self._flow.send, _refusal(self.exchange, self))
        else:
            super().expire(now)

    def _leave_exchange(self) -> None:
        exchange = self.exchange
        super()._leave_exchange()
        if exchange is not None and not exchange.closed:
            exchange.abandon()  # the request has no end

    def opened(self, exchange: Exchange) -> Opened:
        """Make a WebSocket of the exchange (for the flow).

        Raises:
            RemoteProtocolError: The server chose what it was not offered.
        """
        response = head_of(exchange, self)
        response.history = self.history
        subprotocol, extensions = self._handshake.granted(response.headers)
        core, link = self._core, self.link
        alone = exchange.endpoint.connection.http_version != "2"
        if alone:
            core.pool.take_out(link)
            core.needs_connection(link.origin)
        session = ClientSession(
            exchange,
            self._handshake.terms,
            extensions,
            core.clock(),
            link.transport.moved if alone else lambda: None,
        )
        return Opened(session, response, subprotocol)


def _open(request: Request, call: WebSocketCall) -> Flow:
    """Ask for a WebSocket, with all that a request may need, and return it once it is open.

    Raises:
        WebSocketRefused: The server did not open it.
        PlaitError: There is no answer.
    """
    answer: Any = yield from converse(request, call)
    if isinstance(answer, Exchange):
        if _is_open(answer):
            return call.opened(answer)
        answer = yield _REFUSAL
    assert isinstance(answer, Response)
    words = f"{answer.status} {answer.reason}".rstrip()
    leads = f", and leads to {answer.headers['location']}" if answer.is_redirect else ""
    raise WebSocketRefused(f"{answer.url} answered {words} and opened no WebSocket{leads}", response=answer)


def _is_open(exchange: Exchange) -> bool:
    """Whether a response opens the tunnel (RFC 9110 §15.2.2, RFC 8441 §5)."""
    if exchange.endpoint.connection.http_version != "2":
        return exchange.status == 101
    return 200 <= exchange.status <= 299


def _as_connect(fields: FieldSection) -> FieldSection:
    """Return the fields of a request for a WebSocket as those of extended CONNECT (RFC 8441 §4)."""
    return [(b":method", b"CONNECT"), *fields[1:4], (b":protocol", b"websocket"), *fields[4:]]


def _is_enough(exchange: Exchange) -> bool:
    return exchange.received is Half.ENDED or exchange.closed or exchange.unread >= _REFUSAL_MAX


def _never(exchange: Exchange) -> bool:
    return False  # what has come of a refusal says more than how it broke off


def _refusal(exchange: Exchange, call: Call) -> Response:
    content = (exchange.read() or b"")[:_REFUSAL_MAX] if exchange.content else b""
    if not exchange.closed:
        exchange.abandon()
    version = VERSIONS[exchange.endpoint.connection.http_version]
    response = Response(exchange.status, exchange.fields, content, version, call.request, call.times)
    response.history = call.history
    return response


#: The beginning of the content of a refusal.
_REFUSAL = Goal(_is_enough, _never, _refusal, whole=True)
