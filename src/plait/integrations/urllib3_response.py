"""What urllib3 takes for a response, whose content comes over plait, and what it comes from."""

from __future__ import annotations

from collections.abc import Generator
from http.client import HTTPException
from typing import Any

from urllib3 import HTTPHeaderDict, HTTPResponse

from plait.client.sync_client import Client
from plait.client.sync_streams import ResponseStream
from plait.errors import PlaitError, Timeout

__all__ = ["Carrier", "Content", "Response"]

#: Bytes of content in one piece, where nobody says otherwise.
_PIECE = 65_536


class Carrier:
    """A client, and who is using it: it is closed when its pool was and nobody is.

    So it is with urllib3: closing a pool leaves alone what is still being read.

    Args:
        client: The client.

    Attributes:
        client: The client.
        users: Connections that wait for a response, and responses that are not read to their ends.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.users: set[object] = set()
        self._closing = False

    def leave(self, user: object) -> None:
        """Take note that somebody has no more use for it."""
        self.users.discard(user)
        if self._closing and not self.users:
            self.client.close()

    def close(self) -> None:
        """Take note that there will be no more users."""
        self._closing = True
        self.leave(None)


class Content:
    """A response's content, as that of ``http.client`` gives it.

    Attributes:
        msg: The fields, for cookies.
        closed: Whether there is no more to be had.
    """

    def __init__(self, stream: ResponseStream, carrier: Carrier) -> None:
        self._stream = stream
        self._carrier = carrier
        self._pieces = stream.iter_raw()
        self._rest = b""
        self.msg = HTTPHeaderDict()
        self.closed = False
        carrier.users.add(self)

    def isclosed(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._stream.close()
            self._carrier.leave(self)

    def abandon(self) -> None:
        """Close it, from a finalizer."""
        if not self.closed:
            self.closed = True
            self._stream.abandon()
            self._carrier.users.discard(self)

    def read(self, amt: int | None = None) -> bytes:
        """Return so many bytes, fewer at the end only."""
        pieces = []
        wanted = amt
        while wanted is None or wanted > 0:
            piece = self.read1(-1 if wanted is None else wanted)
            if not piece:
                break
            pieces.append(piece)
            if wanted is not None:
                wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read1(self, amt: int = -1) -> bytes:
        """Return what there is, so many bytes at most; wait only if there is nothing."""
        piece = self._rest
        if not piece and not self.closed:
            try:
                piece = next(self._pieces, b"")
            except Timeout:
                raise
            except PlaitError as error:
                raise HTTPException(str(error)) from error
            if not piece:
                self.close()
        if 0 <= amt < len(piece):
            self._rest = piece[amt:]
            return piece[:amt]
        self._rest = b""
        return piece


class Response(HTTPResponse):
    """A response of urllib3's, whose content comes over plait."""

    _fp: Any

    def stream(self, amt: int | None = _PIECE, decode_content: bool | None = None) -> Generator[bytes]:
        """Yield the content in pieces of so many bytes; as it comes, where its length is not announced.

        Those are the responses that HTTP/1.1 sends in chunks, and urllib3 hands out chunk by chunk.
        """
        if self.length_remaining is not None or amt == 0:
            yield from super().stream(amt, decode_content)
            return
        while not self._fp.closed or self._decoder_has_more():
            if piece := self.read1(amt, decode_content):
                yield piece

    def _decoder_has_more(self) -> bool:
        return len(self._decoded_buffer) > 0 or bool(self._decoder and self._decoder.has_unconsumed_tail)

    def __del__(self) -> None:
        # Not close(): a finalizer runs anywhere, and must not wait.
        if (content := self.__dict__.get("_fp")) is not None:
            content.abandon()
