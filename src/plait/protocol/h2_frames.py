"""Follows the frames of one direction (RFC 9113 §4.1), beside the engine that knows what they mean.

The engine tells what frames mean, and not where they begin and end, nor what it passes over in
silence. Both are needed: the first to reset a stream at a moment when nothing of it gets lost, the
second to answer what RFC 9113 calls an error.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from plait.protocol.events import ErrorCode

__all__ = ["FRAME_HEADER", "FrameWatch"]

#: Bytes of a frame's header.
FRAME_HEADER = 9
#: RFC 9113 §4.2: what nobody has raised by SETTINGS_MAX_FRAME_SIZE.
_MAX_FRAME_SIZE = 16_384
_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _CONTINUATION = 0x00, 0x01, 0x02, 0x03, 0x09
_FIELD_FRAMES = frozenset({_HEADERS, _CONTINUATION})
_END_STREAM, _END_HEADERS = 0x01, 0x04
#: Length and type in one word, flags, stream (RFC 9113 §4.1).
_HEADER = Struct(">IBI").unpack_from
_WORD = Struct(">I").unpack_from
_STREAM_BITS = 2**31 - 1
#: Frames without fields that are judged, for each role.
_JUDGED_BY_SERVER = frozenset({_DATA, _PRIORITY, _RST_STREAM})
_JUDGED_BY_CLIENT = frozenset({_PRIORITY})
#: How many of the streams that a client had not ended are remembered although they may be closed.
_MEMORY = 1000


class FrameWatch:
    """Where the reading stands in the sequence of frames, and what was wrong in it.

    Args:
        preface: Bytes that come before the first frame.
        server: Whether this end is the server.
        max_concurrent_streams: Streams a client may have open.
        is_open: Tells whether the engine still knows a stream.

    Attributes:
        left: Bytes of the frame in progress that are still to come.
        last_peer_stream: The highest stream the peer has begun.
        field_bytes: Bytes of the frames with field sections so far, their headers counted.
    """

    __slots__ = (
        "_header_block_open",
        "_is_open",
        "_judged",
        "_kind",
        "_partial_header",
        "_sending",
        "_sending_max",
        "_server",
        "_stream",
        "field_bytes",
        "last_peer_stream",
        "left",
    )

    def __init__(
        self, *, preface: int, server: bool, max_concurrent_streams: int, is_open: Callable[[int], bool]
    ) -> None:
        self.left = preface
        self.last_peer_stream = 0
        self.field_bytes = 0
        self._server = server
        self._is_open = is_open
        self._judged = _JUDGED_BY_SERVER if server else _JUDGED_BY_CLIENT
        self._kind = -1
        self._stream = 0
        self._partial_header = b""
        self._header_block_open = False
        #: Streams on which a client may still send, in the order in which they began; see _judge.
        self._sending: dict[int, None] = {}
        self._sending_max = max_concurrent_streams + 2 * _MEMORY

    @property
    def receiving_head(self) -> bool:
        """Whether a field section has begun to arrive and is not whole yet."""
        return self._header_block_open or (self.left > 0 and self._kind in _FIELD_FRAMES)

    def inside_data_of(self, stream_id: int) -> bool:
        """Whether a DATA frame of this stream has arrived in part.

        The engine gathers a DATA frame until it is whole. When its stream closes before, because our
        RST_STREAM went out, the part gathered so far is neither delivered nor credited: up to 16 KiB
        of the connection's window would be lost with every such reset. Only a reset from this end
        can fall there: the peer's own frames are in sequence.
        """
        return self.left > 0 and self._kind == _DATA and self._stream == stream_id

    def follow(self, data: bytes) -> int:
        """Take note of bytes that go to the engine next.

        Returns:
            The code of the connection error in them that the engine would pass over, or NO_ERROR.
        """
        if self._partial_header:
            data = self._partial_header + data
            self._partial_header = b""
        size = len(data)
        position = self.left
        if position <= size:
            while position + FRAME_HEADER <= size:
                word, flags, stream = _HEADER(data, position)
                self._kind = kind = word & 0xFF
                length = word >> 8
                self._stream = stream = stream & _STREAM_BITS
                if kind in _FIELD_FRAMES:
                    self.field_bytes += FRAME_HEADER + length
                    if stream > self.last_peer_stream:
                        self.last_peer_stream = stream
                        if self._server and not flags & _END_STREAM:
                            self._begin_sending(stream)
                    elif error := self._judge(kind, stream, flags, length):
                        return error
                    self._header_block_open = not flags & _END_HEADERS
                elif kind in self._judged:
                    depends_on = 0
                    if kind == _PRIORITY:
                        if position + FRAME_HEADER + 4 > size:
                            break  # until it can be judged
                        depends_on = _WORD(data, position + FRAME_HEADER)[0] & _STREAM_BITS
                    if error := self._judge(kind, stream, flags, length, depends_on):
                        return error
                position += FRAME_HEADER + length
            if position < size:
                self._partial_header = data[position:]
                self.left = 0
                return ErrorCode.NO_ERROR
        self.left = position - size
        return ErrorCode.NO_ERROR

    def _begin_sending(self, stream: int) -> None:
        if len(self._sending) > self._sending_max:
            # What was reset from here stays, since more of it may be on its way, but not for ever.
            for old in list(self._sending)[:-_MEMORY]:
                if not self._is_open(old):
                    del self._sending[old]
        self._sending[stream] = None

    def _judge(self, kind: int, stream: int, flags: int, size: int, depends_on: int = 0) -> int:
        """Return the connection error in a frame that the engine would pass over, or NO_ERROR.

        It ignores PRIORITY, takes CONTINUATION of any size, and forgets streams when they close. What
        a client sends on a stream that it has ended or reset itself is an error (RFC 9113 §5.1); what
        it sends on one that was reset from here may have been on its way.
        """
        if kind == _CONTINUATION:
            return ErrorCode.FRAME_SIZE_ERROR if size > _MAX_FRAME_SIZE else ErrorCode.NO_ERROR
        if kind == _PRIORITY:
            # RFC 9113 §6.3; RFC 7540 §5.3.1.
            return ErrorCode.NO_ERROR if stream and stream != depends_on else ErrorCode.PROTOCOL_ERROR
        sending = self._sending
        if kind == _RST_STREAM:
            sending.pop(stream, None)
        elif stream in sending:
            if flags & _END_STREAM:
                del sending[stream]
        elif self._server and stream & 1 and stream <= self.last_peer_stream:
            # Within a field block the engine has an error of its own for it (RFC 9113 §6.10).
            return ErrorCode.NO_ERROR if self._header_block_open else ErrorCode.STREAM_CLOSED
        return ErrorCode.NO_ERROR
