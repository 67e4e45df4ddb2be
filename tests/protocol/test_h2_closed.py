"""What comes on streams that are over (RFC 9113 §5.1)."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, PriorityFrame

from plait.protocol.events import ErrorCode
from tests.support.pairs import ServerPair


def test_an_upload_outlives_thousands_of_streams_reset_beside_it() -> None:
    pair = ServerPair()
    pair.request(b"POST", b"/upload", end_stream=False)
    upload = pair.accepted[0]
    for _ in range(50):
        for _ in range(100):
            stream = pair.request(b"POST", end_stream=False)
            pair.answer(pair.accepted.pop(), b"enough")
        pair.after(3)
    pair.peer.send_data(upload.stream_id, b"still here", end_stream=True)
    pair.move()
    assert upload.read() == b"still here"
    assert not pair.endpoint.closed
    # What was on its way when the reset went out is no error.
    pair.send(DataFrame(stream, b"late").serialize())
    pair.output()
    assert not pair.endpoint.closed


def test_content_after_the_end_of_a_stream_ends_the_connection() -> None:
    pair = ServerPair()
    stream = pair.request(b"POST", content=b"all of it")
    pair.answer(pair.exchange_of(stream))
    pair.move()
    pair.send(DataFrame(stream, b"more").serialize())
    pair.output()
    assert [frame.error_code for frame in pair.sent(GoAwayFrame)] == [ErrorCode.STREAM_CLOSED]
    assert pair.endpoint.closed


@pytest.mark.parametrize("cut", range(15))
def test_a_stream_that_depends_on_itself_ends_the_connection_however_it_arrives(cut: int) -> None:
    pair = ServerPair()
    pair.request()
    wrong = PriorityFrame(3, depends_on=3).serialize()
    right = PriorityFrame(3, depends_on=5).serialize()
    for priority in (right, wrong):
        assert not pair.endpoint.closed
        pair.send(priority[:cut])
        pair.send(priority[cut:])
    pair.output()
    assert [frame.error_code for frame in pair.sent(GoAwayFrame)] == [ErrorCode.PROTOCOL_ERROR]
