"""Servers that clients have broken on, told frame by frame; see ``raw_h2.py``."""

from __future__ import annotations

import h2.events
from hyperframe.frame import GoAwayFrame

from tests.support.raw_h2 import Peer, Script

__all__ = ["WINDOWS", "answer_two", "generous", "leave_behind_stream_3"]

_MEBIBYTE = 1 << 20

#: The client's, that :func:`generous` is about: a response fits, and five do not.
WINDOWS = {"stream_window": _MEBIBYTE + 65536, "connection_window": 4 * _MEBIBYTE}


def generous(count: int) -> Script:
    """Return a script that begins so many responses of a mebibyte, one after another, until it is reset."""

    def script(peer: Peer) -> None:
        peer.start()
        for _ in range(count):
            (stream,) = peer.requests()
            peer.engine.send_headers(stream, [(":status", "200")])
            left = _MEBIBYTE
            while left and not any(isinstance(event, h2.events.StreamReset) for event in peer.events):
                size = min(left, peer.engine.local_flow_control_window(stream), 16384)
                if size:
                    peer.engine.send_data(stream, bytes(size))  # and no end, for there to be a reset
                    peer.flush()
                    left -= size
                else:
                    assert peer.receive()
            peer.wait_for(h2.events.StreamReset)
        peer.serve()

    return script


def leave_behind_stream_3(peer: Peer) -> None:
    """Take four requests, and answer the first two behind a GOAWAY that ends with them."""
    peer.start()
    assert peer.requests(4) == [1, 3, 5, 7]
    peer.send(GoAwayFrame(0, last_stream_id=3, error_code=0))
    peer.respond(1, 3, content=b"old")
    peer.drain()


def answer_two(peer: Peer) -> None:
    """Answer two requests: those that the connection before did not take."""
    peer.start()
    assert peer.requests(2) == [1, 3]
    peer.respond(1, 3, content=b"new")
    peer.drain()
