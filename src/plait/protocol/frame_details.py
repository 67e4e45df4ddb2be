"""Says in words what is in a frame (RFC 9113 §6), for who wants to look on; it judges nothing.

Field sections are decoded a second time, by a library that the engine has nothing to do with: what the
engine refuses, and so never tells of, can be seen here. Only a client that was asked to tell of its
frames imports this.
"""

from __future__ import annotations

from struct import Struct, error
from struct import unpack as numbers

from hpack import Decoder, HPACKError
from ngh2 import Setting

from plait.protocol.events import Fields, error_name
from plait.protocol.frames import Flag, Frame, FrameType, promised_stream

__all__ = ["Narrator", "flag_names", "setting_name", "type_name"]

#: Bytes that a field section may have, and HPACK's table: the engine's own limits are far below, and
#: end the connection.
_PLENTY = 1 << 24
_SETTING = Struct(">HI")
_STREAM_BITS = 2**31 - 1
_WITH_ACK = frozenset({FrameType.SETTINGS, FrameType.PING})
_FLAGS = {
    FrameType.DATA: Flag.END_STREAM | Flag.PADDED,
    FrameType.HEADERS: Flag.END_STREAM | Flag.END_HEADERS | Flag.PADDED | Flag.PRIORITY,
    FrameType.PUSH_PROMISE: Flag.END_HEADERS | Flag.PADDED,
    FrameType.CONTINUATION: Flag.END_HEADERS,
}
_FIELD_FRAMES = frozenset({FrameType.HEADERS, FrameType.PUSH_PROMISE, FrameType.CONTINUATION})


def type_name(kind: int) -> str:
    """Name a type of frame."""
    try:
        return FrameType(kind).name
    except ValueError:
        return f"type {kind:#x}"


def flag_names(kind: int, flags: int) -> tuple[str, ...]:
    """Name the flags of a frame of some type, those that mean something there."""
    if kind in _WITH_ACK:
        return ("ACK",) if flags & 1 else ()
    return (
        tuple(flag.name or "" for flag in _FLAGS.get(FrameType(kind), Flag(0)) & flags)
        if kind in _FLAGS
        else ()
    )


def setting_name(number: int) -> str:
    """Name a setting."""
    try:
        return Setting(number).name
    except ValueError:
        return f"{number:#x}"


def _quoted(text: bytes) -> str:
    return ascii(text.decode("utf-8", "replace"))


class Narrator:
    """Says what is in the frames of one direction, one after another."""

    __slots__ = ("_block", "_decoder", "_lost")

    def __init__(self) -> None:
        self._block = b""
        self._decoder = Decoder(_PLENTY)
        self._decoder.max_allowed_table_size = _PLENTY
        #: Why field sections cannot be decoded any more, or "".
        self._lost = ""

    def tell(self, frame: Frame) -> tuple[str, Fields]:
        """Say what is in a frame.

        Returns:
            A few words, without the end of a line, and the field section that the frame completes, if any.
        """
        kind, payload = frame.type, frame.payload
        try:
            if kind in _FIELD_FRAMES:
                return self._tell_fields(frame)
            return _tell(kind, frame, payload), ()
        except (error, IndexError):
            return "broken off", ()

    def _tell_fields(self, frame: Frame) -> tuple[str, Fields]:
        words, block = "", frame.payload
        if frame.type != FrameType.CONTINUATION:
            if frame.flags & Flag.PADDED:
                padding = block[0]
                block = block[1 : len(block) - padding]
                words = f", {padding} bytes of padding"
            if frame.type == FrameType.PUSH_PROMISE:
                words += f", stream {promised_stream(frame)} promised"
                block = block[4:]
            elif frame.flags & Flag.PRIORITY:
                words += f", {_dependency(block)}"
                block = block[5:]
            self._block = b""
        self._block += block
        if not frame.flags & Flag.END_HEADERS:
            return words.removeprefix(", "), ()
        block, self._block = self._block, b""
        fields: Fields = ()
        if not self._lost:
            try:
                fields = [
                    (bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)
                ]
            except HPACKError as problem:
                # The rest of the connection is lost with the table (RFC 7541 §2.3.2).
                self._lost = str(problem) or type(problem).__name__
        if self._lost:
            return f"{len(block)} bytes that cannot be decoded: {self._lost}{words}", ()
        size = sum(len(name) + len(value) for name, value in fields)
        return f"{len(block)} bytes for {size}{words}", fields


def _dependency(payload: bytes) -> str:
    stream, weight = numbers(">IB", payload[:5])
    exclusive = ", exclusive" * (stream >> 31)
    return f"depends on stream {stream & _STREAM_BITS}, weight {weight + 1}{exclusive}"


def _tell(kind: int, frame: Frame, payload: bytes) -> str:
    match kind:
        case FrameType.DATA:
            if not frame.flags & Flag.PADDED:
                return f"{frame.length} bytes"
            return f"{max(0, frame.length - 1 - payload[0])} bytes, {payload[0]} of padding"
        case FrameType.SETTINGS:
            whole = len(payload) - len(payload) % _SETTING.size
            pairs = _SETTING.iter_unpack(payload[:whole])
            return " ".join(f"{setting_name(number)}={value}" for number, value in pairs)
        case FrameType.WINDOW_UPDATE:
            return f"+{numbers('>I', payload)[0] & _STREAM_BITS}"
        case FrameType.RST_STREAM:
            return error_name(numbers(">I", payload)[0])
        case FrameType.GOAWAY:
            last, code = numbers(">II", payload[:8])
            text = f", {_quoted(payload[8:])}" if len(payload) > 8 else ""
            return f"{error_name(code)}, last stream {last & _STREAM_BITS}{text}"
        case FrameType.PING:
            return payload.hex()
        case FrameType.PRIORITY:
            return _dependency(payload)
        case FrameType.PRIORITY_UPDATE:
            stream = numbers(">I", payload[:4])[0] & _STREAM_BITS
            return f"stream {stream}: {_quoted(payload[4:])}"
        case FrameType.ALTSVC:
            end = 2 + numbers(">H", payload[:2])[0]
            origin = f"{_quoted(payload[2:end])}: " if end > 2 else ""
            return f"{origin}{_quoted(payload[end:])}"
        case FrameType.ORIGIN:
            return " ".join(_origins(payload))
        case _:
            return f"{frame.length} bytes"


def _origins(payload: bytes) -> list[str]:
    origins, position = [], 0
    while position < len(payload):
        (size,) = numbers(">H", payload[position : position + 2])
        position += 2
        origins.append(_quoted(payload[position : position + size]).strip("'"))
        position += size
    return origins
