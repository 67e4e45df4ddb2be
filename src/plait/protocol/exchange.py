"""One exchange: a request and its response, consuming one stream (RFC 9113 §8.1).

Rules:

1. An exchange ends exactly once. After that ``closed`` is True and ``error`` says why, or is None
   when both directions came to their proper end.
2. Credit is returned for every byte of content received: when :meth:`Exchange.read` hands it out,
   or when :meth:`Exchange.release` says that nobody will read it. Credit outlives the stream: the
   window of the *connection* must get it back even when the stream is long closed.
3. It knows neither its role's business (ASGI, clients) nor sockets nor time. Whoever waits for it sets
   ``on_progress``, which is called when something changed: data, the end, room to write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

from plait.errors import ConnectionLost, ContentTooLarge, ExchangeReset, LocalProtocolError, PlaitError
from plait.fields import Field, FieldSection, RequestHead, interim_fields, trailer_fields
from plait.protocol.aside import Aside
from plait.protocol.events import EngineError, ErrorCode, error_name, sentence

if TYPE_CHECKING:
    from plait.protocol.endpoint import Endpoint

__all__ = ["WITHOUT_CONTENT", "Exchange", "Half"]


class Half(Enum):
    """How far one direction of an exchange has come."""

    HEAD = "head"  # the field section is still to come
    CONTENT = "content"  # the field section is through, content flows
    ENDED = "ended"  # the end of the message is through


_HEAD, _CONTENT, _ENDED = Half

#: Responses that never have content (RFC 9110 §6.4.1).
WITHOUT_CONTENT = frozenset({204, 304})
#: Bytes of content that one frame has room for (RFC 9113 §4.2).
_FRAME = 16_384
_STATUS = {status: (b":status", b"%d" % status) for status in range(100, 600)}


class Exchange:
    """One request and its response, seen from either end.

    Attributes:
        endpoint: The connection's owner.
        stream_id: The stream's number; HTTP/1.1 counts 1, 3, 5 … in the same way.
        request: The request received (server only).
        status: The status code of the response, 0 before it came.
        begun: When it began, in seconds of the site's own clock; set by a server that wants to know.
        counts: What was counted of it; set by a client that wants to know.
        fields: The response's field section, as received or as handed over for sending.
        aside: What the peer sent beside the head and the content of its message, or None.
        received: How far the peer's message has come.
        sent: How far this end's message has come.
        closed: Whether the exchange has ended.
        error: Why it ended before its end, or None.
        on_progress: Called without arguments when something changed, if set.
        waiting_since: When the layer above began to wait for content, or None; the endpoint's
            deadlines look at it.
        sent_bytes: Bytes of content handed over for sending.
        content: Content received and not read yet.
        received_bytes: Bytes of content received (server only).
        credited_bytes: Bytes of content that credit was returned for.
    """

    # Slots: the attributes of an instance are read three times as fast as defaults on its class.
    __slots__ = (
        "_gathers",
        "_head_only",
        "_held",
        "_left",
        "aside",
        "begun",
        "closed",
        "content",
        "counts",
        "credited_bytes",
        "endpoint",
        "error",
        "fields",
        "on_progress",
        "received",
        "received_bytes",
        "request",
        "sent",
        "sent_bytes",
        "stalled",
        "status",
        "stream_id",
        "waiting_since",
    )

    begun: float
    counts: Any

    def __init__(self, endpoint: Endpoint, stream_id: int, request: RequestHead | None = None) -> None:
        self.endpoint = endpoint
        self.stream_id = stream_id
        self.request = request
        self.status = 0
        self.fields: Sequence[Field] = ()
        self.aside: Aside | None = None
        self.received = _HEAD
        self.sent = _HEAD
        self.closed = False
        self.error: PlaitError | None = None
        self.on_progress: Callable[[], None] | None = None
        self.waiting_since: float | None = None
        self.stalled: tuple[int, float] | None = None
        self.sent_bytes = 0
        self.content: bytes | BytesIO = b""
        self.received_bytes = 0
        self.credited_bytes = 0
        #: Bytes of content that may be gathered, credited as they arrive; None where reading credits them.
        self._gathers: int | None = None
        self._head_only = False
        self._held: Callable[[], None] | None = None
        self._left: int | None = None

    # -- receiving -------------------------------------------------------------------------------

    def read(self) -> bytes | None:
        """Take the content received so far, and return the credit for it.

        Returns:
            Content; ``b""`` at its end; None when more has yet to arrive.

        Raises:
            ExchangeError: The exchange ended before the content did.
        """
        content = self.content
        if content:
            self.content = b""
            data = content if isinstance(content, bytes) else content.getvalue()
            if self._gathers is None:
                self._credit(len(data))
                self.endpoint.on_output()
            return data
        if self.received is _ENDED:
            return b""
        if self.error is not None:
            raise self.error
        return None

    def collect(self, limit: int) -> None:
        """Gather the whole content here, crediting it as it arrives.

        Args:
            limit: Bytes of it that there may be; with more, the exchange ends in ``ContentTooLarge``.
        """
        self._gathers = limit
        if self.content:
            self._credit(self.unread)
            self.endpoint.on_output()

    def receive_content(self, data: bytes, end_stream: bool) -> None:
        """Take content from the connection (called by the endpoint)."""
        if data:
            content = self.content
            if not content:
                self.content = data
            else:
                # One buffer, not a list: a flood of tiny DATA frames costs what its bytes cost. And
                # this kind of buffer becomes bytes without being copied.
                if isinstance(content, bytes):
                    self.content = buffer = BytesIO()
                    buffer.write(content)
                    content = buffer
                content.write(data)
            if self._gathers is not None:
                self._credit(len(data))  # whoever feeds the connection looks for output anyway
                if self.unread > self._gathers:
                    self.abandon()
                    self.error = ContentTooLarge(f"the content is more than {self._gathers} bytes")
                    return
        if end_stream:
            self.end_received()

    def end_received(self) -> None:
        """Take note of the end of the peer's message (called by the endpoint)."""
        self.received = _ENDED
        if self._held is not None:
            self.send_held()

    @property
    def trailers(self) -> FieldSection | None:
        """The trailer section received, or None."""
        return None if self.aside is None else self.aside.trailers

    def beside(self) -> Aside:
        """Return where to put what comes beside the head and the content."""
        if self.aside is None:
            self.aside = Aside()
        return self.aside

    @property
    def unread(self) -> int:
        """Bytes of content received that were not read yet."""
        content = self.content
        return len(content) if isinstance(content, bytes) else content.tell()

    def _credit(self, amount: int) -> None:
        self.credited_bytes += amount
        self.endpoint.connection.acknowledge_received_data(amount, self.stream_id)

    # -- sending ---------------------------------------------------------------------------------

    def _take_priority_of(self, fields: FieldSection) -> None:
        """Schedule a response by what its own ``priority`` field says; a client sends none."""

    def send_informational_response(self, status: int, fields: FieldSection) -> None:
        """Send an interim response (RFC 9110 §15.2), one of any number before the final one.

        Nothing is sent once the final response has begun, nor to HTTP/1.0, which knows none.

        Args:
            status: From 100 to 199, but not 101, which is no interim response.
            fields: Any fields, such as ``link`` with 103 (RFC 8297).

        Raises:
            LocalProtocolError: The status is not that of an interim response, or a name or value is
                not one HTTP can carry.
        """
        section = interim_fields(status, fields)
        if self.closed or self.sent is not _HEAD:
            return
        try:
            self.endpoint.connection.send_informational_response(self.stream_id, [_STATUS[status], *section])
        except EngineError as error:
            self._engine_refused(error)
        self.endpoint.on_output()

    def send_response(
        self,
        status: int,
        fields: FieldSection,
        *,
        content_length: int | None = None,
        end_stream: bool = False,
    ) -> None:
        """Send the final response's head.

        Args:
            status: From 200 to 599.
            fields: A validated field section (:func:`plait.fields.outbound_fields`).
            content_length: What its content-length says, in bytes; the content is held to it.
            end_stream: Whether there is no content.

        Raises:
            LocalProtocolError: The response began already, or the status is no final one.
            ExchangeError: The exchange has ended.
        """
        if self.closed:
            raise self._gone()
        if self.sent is not _HEAD:
            raise LocalProtocolError("the response has begun already")
        if not 200 <= status <= 599:
            raise LocalProtocolError(f"{status} is not the status of a final response")
        if self.sends_no_content(status):
            self._head_only = end_stream = True
            if status == 204:
                fields = [field for field in fields if field[0] != b"content-length"]
        elif content_length is not None:
            self._left = content_length
            if end_stream and content_length:
                raise LocalProtocolError("the content is shorter than its content-length")
        self.status = status
        self.fields = fields
        if not end_stream:
            self._take_priority_of(fields)
        ends = end_stream and self._end_or_hold()
        try:
            self.endpoint.connection.send_response(
                self.stream_id, [_STATUS[status], *fields], end_stream=ends
            )
        except EngineError as error:
            self._engine_refused(error)
        self.sent = _ENDED if end_stream else _CONTENT
        self.endpoint.on_output()

    def open_tunnel(self, fields: FieldSection) -> None:
        """Accept the tunnel that the request asks for (``request.protocol``).

        From then on ``read`` and ``send_data`` carry its raw bytes, each way until its end, which is
        what FIN is to TCP; ``abandon`` is what RST is (RFC 8441 §5).

        Args:
            fields: A validated field section (:func:`plait.fields.outbound_fields`).

        Raises:
            LocalProtocolError: The request asks for none, or its response began already.
            ExchangeError: The exchange has ended.
        """
        if self.closed:
            raise self._gone()
        if self.request is None or not self.request.protocol or self.sent is not _HEAD:
            raise LocalProtocolError("there is no tunnel to open")
        # RFC 9110 §8.6: what switches to a tunnel has no content-length.
        fields = [field for field in fields if field[0] != b"content-length"]
        try:
            self.status = self.endpoint.connection.open_tunnel(self.stream_id, fields)
        except EngineError as error:
            self._engine_refused(error)
        self.fields = fields
        self.sent = _CONTENT
        self.endpoint.on_output()

    def sends_no_content(self, status: int) -> bool:
        """Whether what the application sends as content is dropped (RFC 9110 §6.4.1, §9.3.2)."""
        return status in WITHOUT_CONTENT or (self.request is not None and self.request.method == b"HEAD")

    def send_data(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send content.

        Raises:
            LocalProtocolError: There is more content, or less at the end, than content-length said;
                the exchange is then reset, so that the response never looks complete.
            ExchangeError: The exchange has ended.
        """
        if self._head_only:
            return
        if self.closed:
            raise self._gone()
        if self.sent is not _CONTENT:
            raise LocalProtocolError("content can be sent only between the head and the end")
        left = self._left
        if left is not None:
            left -= len(data)
            if left < 0 or (end_stream and left):
                self.abandon(ErrorCode.INTERNAL_ERROR)
                raise LocalProtocolError(
                    f"the content is {'longer' if left < 0 else 'shorter'} than its content-length"
                )
            self._left = left
        self.sent_bytes += len(data)
        self.endpoint.pieces += 1
        ends = end_stream and self._end_or_hold()
        try:
            self.endpoint.connection.send_data(self.stream_id, data, end_stream=ends)
        except EngineError as error:
            self._engine_refused(error)
        if end_stream:
            self.sent = _ENDED
        self.endpoint.on_output()

    def send_trailers(self, fields: FieldSection) -> None:
        """Send a trailer section, which ends the message (RFC 9110 §6.5).

        Where the message has no room for it, being without content or of a framing without trailers
        in HTTP/1.1, it is dropped, and only the end is sent.

        Args:
            fields: Any fields that have a place there.

        Raises:
            LocalProtocolError: A field is not one for trailers, or there is less content than
                content-length said; the exchange is then reset.
            ExchangeError: The exchange has ended.
        """
        section = trailer_fields(fields)
        if not section or self._head_only or self.sent is not _CONTENT or self._left:
            self.send_data(b"", end_stream=True)
            return
        if self.closed:
            raise self._gone()
        self.sent = _ENDED
        if self._may_end():
            self._send_trailers(section)
        else:
            self._held = partial(self._send_trailers, section)
        self.endpoint.on_output()

    def _send_trailers(self, section: FieldSection) -> None:
        try:
            self.endpoint.connection.send_trailers(self.stream_id, section)
        except EngineError as error:
            self._engine_refused(error)

    def send_whole_response(self, status: int, fields: FieldSection, content: bytes) -> None:
        """Send a response in one go.

        Args:
            status: From 200 to 599, as the caller has checked.
            fields: A validated field section; a content-length in it is the content's.
            content: All of it.

        Raises:
            LocalProtocolError: The response began already.
            ExchangeError: The exchange has ended.
        """
        if not content or self.closed or self.sent is not _HEAD or self.sends_no_content(status):
            self.send_response(status, fields, end_stream=True)
            return
        self.status = status
        self.fields = fields
        self.sent = _ENDED
        self.sent_bytes = len(content)
        if self.endpoint.waiting_to_write or len(content) > _FRAME:
            # Otherwise it is one frame that nothing is before.
            self._take_priority_of(fields)
        if self.received is _ENDED or self._may_end():
            self._send_whole(fields, content)
        else:
            self._held = partial(self._send_whole, fields, content)
        self.endpoint.on_output()

    def _send_whole(self, fields: FieldSection, content: bytes) -> None:
        connection = self.endpoint.connection
        try:
            connection.send_response(self.stream_id, [_STATUS[self.status], *fields], end_stream=False)
            connection.send_data(self.stream_id, content, end_stream=True)
        except EngineError as error:
            self._engine_refused(error)

    def _may_end(self) -> bool:
        """Whether the response may end now; if not, its end waits for the end of the request.

        RFC 9113 §8.1 lets a response end before its request, and then a reset refuses the rest. But
        there are clients in wide use (curl 7.88) that stop reading where the response ends, and lose
        it to the reset that follows. So a response, or its end when the rest was sent, is held back
        until the request is through, which the server throws away for a while. An error status makes
        clients stop sending by themselves, and who waits for a 100 sends nothing: both get it at once.
        """
        return (
            self.received is _ENDED
            or self.request is None
            or self.request.expects_continue
            or self.request.protocol != b""
            or self.status >= 300
            or self.endpoint.connection.ends_early
        )

    def _end_or_hold(self) -> bool:
        """Whether the end goes out with what is being sent; if not, it is held back."""
        if self._may_end():
            return True
        self._held = self._end
        return False

    def _end(self) -> None:
        self.endpoint.connection.send_data(self.stream_id, b"", end_stream=True)

    def send_held(self) -> None:
        """Send what was held back, if anything was."""
        held, self._held = self._held, None
        if held is not None and not self.closed:
            try:
                held()
            except (EngineError, ExchangeReset):
                return  # the stream is gone; the event that says so is still to come
            self.endpoint.on_output()

    @property
    def queued(self) -> int:
        """Bytes of content accepted for sending that have not left the connection yet."""
        return 0 if self.closed else self.endpoint.connection.queued_body_size(self.stream_id)

    def _gone(self) -> PlaitError:
        return self.error or ExchangeReset("the exchange has ended", error_code=ErrorCode.NO_ERROR)

    def _engine_refused(self, error: Exception) -> None:
        """The stream or the connection ended under us: the event that says so is still to come."""
        raise ExchangeReset(f"the stream is gone: {error}", error_code=ErrorCode.STREAM_CLOSED) from error

    # -- the end ---------------------------------------------------------------------------------

    def abandon(self, error_code: int = ErrorCode.CANCEL) -> None:
        """End the exchange from this side: reset the stream and return all credit."""
        if not self.closed:
            self.error = ExchangeReset("reset by this side", error_code=error_code)
            self.closed = True
            self.endpoint.connection.reset_stream(self.stream_id, error_code)
            self.endpoint.on_output()
        self.release()

    def release(self) -> None:
        """Return the credit for content that nobody will read."""
        if self.content:
            if self._gathers is None:
                self._credit(self.unread)
                self.endpoint.on_output()
            self.content = b""

    def close(self, error: PlaitError | None) -> None:
        """Take note of the end (called by the endpoint)."""
        if not self.closed:
            self.closed = True
            self.error = error
            self._held = None
        if self.on_progress is not None:
            self.on_progress()

    def end_of(self, error_code: int) -> PlaitError | None:
        """Say what a stream closed with ``error_code`` means for this exchange."""
        if error_code == ErrorCode.NO_ERROR and self.received is _ENDED:
            # RFC 9113 §8.1: RST_STREAM(NO_ERROR) after a complete response is no failure.
            return None
        connection = self.endpoint.connection
        if error_code == ErrorCode.REFUSED_STREAM and connection.ended_before(self.stream_id):
            # RFC 9113 §6.8: no RST_STREAM came; it is the engine that closes such streams.
            goaway = connection.goaway_code
            return ConnectionLost(
                f"the peer ended the connection before it came to this stream ({error_name(goaway)})",
                error_code=goaway,
                unprocessed=True,
            )
        reason = sentence(connection.failure)
        if error_code == ErrorCode.PROTOCOL_ERROR and not connection.was_reset(self.stream_id):
            # RFC 9113 §8.1.1: fields that must not be, or content that is not as long as was said.
            reason = "the peer's message breaks a rule of HTTP, so that its stream was reset: PROTOCOL_ERROR"
        return ExchangeReset(
            reason or f"the stream was reset: {error_name(error_code)}",
            error_code=error_code,
            unprocessed=error_code == ErrorCode.REFUSED_STREAM,  # RFC 9113 §8.7
        )
