"""The server's end of HTTP/2, with ``h2`` as the client: requests, responses, content."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from plait.errors import ExchangeReset, LocalProtocolError
from plait.fields import outbound_fields
from plait.protocol.events import ErrorCode
from plait.protocol.exchange import Exchange, Half
from tests.support.pairs import ServerPair


def read_all(exchange: Exchange) -> bytes:
    """Read what an exchange has received."""
    content = b""
    while piece := exchange.read():
        content += piece
    return content


# -- requests ---------------------------------------------------------------------------------------


def test_settings_say_what_the_server_takes() -> None:
    pair = ServerPair(max_concurrent_streams=7, stream_window=100_000, max_header_size=5000)
    first = pair.sent(SettingsFrame)[0]
    assert first.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 7
    assert first.settings[SettingsFrame.INITIAL_WINDOW_SIZE] == 100_000
    assert first.settings[SettingsFrame.MAX_HEADER_LIST_SIZE] == 5000
    assert first.settings[9] == 1  # SETTINGS_NO_RFC7540_PRIORITIES (RFC 9218 §2.1)


def test_a_get_has_no_content_and_its_host_first() -> None:
    pair = ServerPair()
    exchange = pair.exchange_of(pair.request(b"GET", b"/book?id=1", (b"accept", b"*/*"), (b"x-a", b"1")))
    head = exchange.request
    assert head is not None
    assert (head.method, head.target, head.authority) == (b"GET", b"/book?id=1", b"a.example")
    assert head.fields == [(b"host", b"a.example"), (b"accept", b"*/*"), (b"x-a", b"1")]
    assert head.refusal is None
    assert exchange.received is Half.ENDED
    assert exchange.read() == b""


def test_a_response_arrives_whole() -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [(b"x-a", b"1")])
    exchange.send_data(b"hello ")
    exchange.send_data(b"world", end_stream=True)
    pair.endpoint.finished(exchange)
    pair.move()
    message = pair.messages[stream]
    assert (message.status, message.fields, message.content) == (200, [(b"x-a", b"1")], b"hello world")
    assert message.ended
    assert message.reset is None
    assert exchange.closed
    assert exchange.error is None


def test_content_of_a_request_arrives_in_order_and_ends() -> None:
    pair = ServerPair()
    content = bytes(range(256)) * 200
    exchange = pair.exchange_of(pair.request(b"POST", content=content))
    assert read_all(exchange) == content
    assert exchange.received is Half.ENDED
    assert exchange.read() == b""


def test_unread_content_is_none_until_it_arrives() -> None:
    pair = ServerPair()
    stream = pair.request(b"POST", end_stream=False)
    exchange = pair.exchange_of(stream)
    assert exchange.read() is None
    pair.peer.send_data(stream, b"late", end_stream=True)
    pair.move()
    assert exchange.read() == b"late"
    assert exchange.read() == b""


def test_trailers_of_a_request_end_its_content() -> None:
    pair = ServerPair()
    stream = pair.request(b"POST", content=b"hello", end_stream=False)
    pair.peer.send_headers(stream, [(b"x-sum", b"5")], end_stream=True)
    pair.move()
    exchange = pair.exchange_of(stream)
    assert read_all(exchange) == b"hello"
    assert exchange.received is Half.ENDED
    assert exchange.trailers == [(b"x-sum", b"5")]
    # HPACK is in step after them: the next request is understood.
    assert pair.exchange_of(pair.request(b"GET", b"/next")).request.target == b"/next"  # type: ignore[union-attr]


def test_an_interim_response_comes_before_the_final_one() -> None:
    pair = ServerPair()
    stream = pair.request(b"POST", b"/", (b"expect", b"100-continue"), end_stream=False)
    exchange = pair.exchange_of(stream)
    assert exchange.request is not None
    assert exchange.request.expects_continue
    exchange.send_informational_response(100, [])
    pair.move()
    assert pair.messages[stream].interim == [[(b":status", b"100")]]
    pair.peer.send_data(stream, b"content", end_stream=True)
    pair.move()
    assert read_all(exchange) == b"content"
    pair.answer(exchange)
    pair.move()
    assert pair.messages[stream].status == 200


def test_cookie_crumbs_are_joined_in_their_order() -> None:
    pair = ServerPair()
    crumbs = [(b"cookie", b"a=1"), (b"accept", b"*/*"), (b"cookie", b"b=2"), (b"cookie", b"c=3")]
    exchange = pair.exchange_of(pair.request(b"GET", b"/", *crumbs))
    assert exchange.request is not None
    assert exchange.request.fields[1:] == [(b"cookie", b"a=1; b=2; c=3"), (b"accept", b"*/*")]


def test_a_host_that_differs_from_the_authority_is_refused() -> None:
    pair = ServerPair()
    pair.peer.config.validate_outbound_headers = False
    exchange = pair.exchange_of(pair.request(b"GET", b"/", (b"host", b"b.example")))
    assert exchange.request is not None
    assert exchange.request.refusal is not None
    assert exchange.request.refusal[0] == 400


def test_a_host_that_repeats_the_authority_stays_one_field() -> None:
    pair = ServerPair()
    exchange = pair.exchange_of(pair.request(b"GET", b"/", (b"host", b"a.example")))
    assert exchange.request is not None
    assert exchange.request.refusal is None
    assert exchange.request.fields == [(b"host", b"a.example")]


@pytest.mark.parametrize(
    ("limits", "fields", "path", "status"),
    [
        ({"max_header_fields": 10}, [(b"x", b"1")] * 20, b"/", 431),
        ({"max_header_fields": 10}, [(b"cookie", b"a=1")] * 20, b"/", 431),
        ({"max_header_size": 1000}, [(b"x-long", b"v" * 1000)], b"/", 431),
        ({"max_target_size": 100}, [], b"/" + b"a" * 100, 414),
    ],
    ids=["fields", "crumbs", "size", "target"],
)
def test_a_request_beyond_a_limit_is_refused_and_the_connection_lives_on(
    limits: dict[str, int], fields: list[tuple[bytes, bytes]], path: bytes, status: int
) -> None:
    pair = ServerPair(**limits)
    exchange = pair.exchange_of(pair.request(b"GET", path, *fields))
    assert exchange.request is not None
    assert exchange.request.refusal is not None
    assert exchange.request.refusal[0] == status
    good = pair.exchange_of(pair.request())
    assert good.request is not None
    assert good.request.refusal is None


def test_limits_are_met_exactly() -> None:
    target = b"/" + b"a" * 99
    pair = ServerPair(max_header_fields=10, max_target_size=100)
    exchange = pair.exchange_of(pair.request(b"GET", target, *[(b"x", b"1")] * 6))
    assert exchange.request is not None
    assert exchange.request.refusal is None


@pytest.mark.parametrize(
    "field",
    [
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"keep-alive", b"1"),
        (b"proxy-connection", b"x"),
        (b"upgrade", b"h2c"),
        (b"te", b"gzip"),
        (b"X-Upper", b"1"),
        (b"x-a", b"one\r\ntwo"),
        (b"x-a", b"one\0two"),
        (b":unknown", b"x"),
    ],
)
def test_a_malformed_request_resets_its_stream_and_no_other(field: tuple[bytes, bytes]) -> None:
    """RFC 9113 §8.1.1, §8.2.1, §8.2.2."""
    pair = ServerPair()
    stream = pair.request(b"GET", b"/", field)
    assert pair.messages[stream].reset == ErrorCode.PROTOCOL_ERROR
    assert pair.accepted == []
    assert not pair.goaways
    good = pair.request()
    pair.answer(pair.exchange_of(good))
    pair.move()
    assert pair.messages[good].status == 200


@pytest.mark.parametrize("missing", [b":method", b":scheme", b":path"])
def test_a_request_without_a_pseudo_field_resets_its_stream(missing: bytes) -> None:
    pair = ServerPair()
    head = [field for field in pair_fields() if field[0] != missing]
    pair.peer.send_headers(1, head, end_stream=True)
    pair.move()
    assert pair.messages[1].reset == ErrorCode.PROTOCOL_ERROR
    assert not pair.endpoint.closed


def pair_fields() -> list[tuple[bytes, bytes]]:
    return [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]


# -- responses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"HEAD", 404), (b"GET", 204), (b"GET", 304)])
def test_a_response_that_has_no_content_ends_with_its_head(method: bytes, status: int) -> None:
    pair = ServerPair()
    stream = pair.request(method)
    exchange = pair.exchange_of(stream)
    exchange.send_response(status, [(b"content-length", b"5")], content_length=5)
    exchange.send_data(b"hello", end_stream=True)
    pair.endpoint.finished(exchange)
    pair.move()
    message = pair.messages[stream]
    assert (message.status, message.content, message.ended) == (status, b"", True)
    # RFC 9110 §8.6: content-length is for HEAD and 304 what GET would have had, and nothing on 204.
    assert message.fields == ([] if status == 204 else [(b"content-length", b"5")])
    assert pair.sent(DataFrame) == []
    assert HeadersFrame(stream, flags=["END_STREAM"]).flags <= pair.sent(HeadersFrame)[-1].flags


def test_connection_specific_fields_of_a_response_are_dropped() -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    fields = [
        (b"Connection", b"close"),
        (b"Keep-Alive", b"5"),
        (b"Proxy-Connection", b"x"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Upgrade", b"h2c"),
        (b"X-Kept", b"  1\t"),
    ]
    exchange.send_response(200, outbound_fields(fields), end_stream=True)
    pair.move()
    assert pair.messages[stream].fields == [(b"x-kept", b"1")]


@pytest.mark.parametrize(
    "field",
    [
        (b"x-a", b"one\r\nset-cookie: two"),
        (b"x-a", b"one\ntwo"),
        (b"x-a", b"one\0"),
        (b"x a", b"1"),
        (b"", b"1"),
        (b":status", b"200"),
        (b"x-a\r\n", b"1"),
        ("x-a", b"1"),
        (b"x-a", "1"),
    ],
)
def test_a_field_http_cannot_carry_is_refused_before_anything_is_encoded(field: tuple[bytes, bytes]) -> None:
    pair = ServerPair()
    stream = pair.request()
    before = len(pair.written)
    with pytest.raises(LocalProtocolError):
        outbound_fields([(b"x-before", b"never sent"), field])
    pair.move()
    assert len(pair.written) == before
    exchange = pair.exchange_of(stream)
    for value in (b"first", b"second"):  # literal, then from the table: HPACK is in step
        stream = pair.request()
        exchange = pair.exchange_of(stream)
        exchange.send_response(200, outbound_fields([(b"x-before", value)]), end_stream=True)
        pair.move()
        assert pair.messages[stream].fields == [(b"x-before", value)]


def test_a_second_head_is_refused_and_the_first_stands() -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])
    with pytest.raises(LocalProtocolError):
        exchange.send_response(500, [])
    exchange.send_data(b"ok", end_stream=True)
    pair.move()
    assert (pair.messages[stream].status, pair.messages[stream].content) == (200, b"ok")


@pytest.mark.parametrize("status", [99, 100, 101, 199, 600])
def test_a_status_that_is_not_final_is_refused(status: int) -> None:
    pair = ServerPair()
    exchange = pair.exchange_of(pair.request())
    with pytest.raises(LocalProtocolError):
        exchange.send_response(status, [])


@pytest.mark.parametrize("pieces", [[b"123456"], [b"123", b"456"], [b"1234"], [b"12", b"34"]])
def test_content_other_than_its_length_resets_the_stream(pieces: list[bytes]) -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [(b"content-length", b"5")], content_length=5)
    *before, last = pieces
    for piece in before:
        exchange.send_data(piece)
    with pytest.raises(LocalProtocolError):
        exchange.send_data(last, end_stream=True)
    pair.endpoint.finished(exchange)
    pair.move()
    assert pair.messages[stream].reset == ErrorCode.INTERNAL_ERROR
    assert not pair.messages[stream].ended
    with pytest.raises(ExchangeReset):
        exchange.send_data(b"more")


def test_a_head_that_ends_before_its_length_is_refused() -> None:
    pair = ServerPair()
    exchange = pair.exchange_of(pair.request())
    with pytest.raises(LocalProtocolError):
        exchange.send_response(200, [(b"content-length", b"5")], content_length=5, end_stream=True)


def test_content_outside_head_and_end_is_refused() -> None:
    pair = ServerPair()
    exchange = pair.exchange_of(pair.request(b"POST", end_stream=False))
    with pytest.raises(LocalProtocolError):
        exchange.send_data(b"early")
    exchange.send_response(200, [])
    exchange.send_data(b"", end_stream=True)
    with pytest.raises(LocalProtocolError):
        exchange.send_data(b"late")


def test_an_empty_end_comes_as_soon_as_the_window_opens() -> None:
    """RFC 9113 §6.9.1 lets it pass a window of zero; the engine waits for the window."""
    pair = ServerPair()
    pair.credits = False
    pair.peer.update_settings({SettingsFrame.INITIAL_WINDOW_SIZE: 5})
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])
    exchange.send_data(b"12345")
    pair.move()
    exchange.send_data(b"", end_stream=True)
    pair.move()
    pair.peer.increment_flow_control_window(1, stream)
    pair.move()
    assert pair.messages[stream].content == b"12345"
    assert pair.messages[stream].ended


def test_a_shrunk_window_holds_content_back_until_it_opens() -> None:
    pair = ServerPair()
    pair.credits = False
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    pair.peer.update_settings({SettingsFrame.INITIAL_WINDOW_SIZE: 10})
    pair.move()
    exchange.send_response(200, [])
    exchange.send_data(bytes(50), end_stream=True)
    pair.move()
    assert len(pair.messages[stream].content) == 10
    assert exchange.queued == 40
    pair.peer.update_settings({SettingsFrame.INITIAL_WINDOW_SIZE: 30})
    pair.move()
    assert len(pair.messages[stream].content) == 30
    pair.peer.increment_flow_control_window(20, stream)
    pair.move()
    assert len(pair.messages[stream].content) == 50
    assert pair.messages[stream].ended


def test_data_frames_keep_to_the_size_the_client_allows() -> None:
    pair = ServerPair()
    stream = pair.request()
    pair.exchange_of(stream).send_whole_response(200, [], bytes(60_000))
    pair.move()
    assert len(pair.messages[stream].content) == 60_000
    assert max(len(frame.data) for frame in pair.sent(DataFrame)) <= 16_384


# -- the end of an exchange -------------------------------------------------------------------------


def test_an_application_that_stops_in_the_middle_resets_the_stream() -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])
    exchange.send_data(b"part")
    pair.endpoint.finished(exchange)
    pair.move()
    assert pair.messages[stream].reset == ErrorCode.INTERNAL_ERROR
    assert not pair.messages[stream].ended


def test_a_complete_response_to_an_unfinished_request_stops_the_upload() -> None:
    """RFC 9113 §8.1: RST_STREAM with NO_ERROR after the complete response, for who does not end by then."""
    pair = ServerPair()
    stream = pair.request(b"POST", content=b"a" * 1000, end_stream=False)
    pair.answer(pair.exchange_of(stream), b"enough")
    pair.after(3)
    message = pair.messages[stream]
    assert (message.content, message.ended, message.reset) == (b"enough", True, ErrorCode.NO_ERROR)
    assert pair.endpoint.exchanges == {}


def test_a_response_that_waits_for_credit_is_not_cut_off_by_the_end_of_an_upload() -> None:
    pair = ServerPair()
    pair.credits = False
    pair.peer.update_settings({SettingsFrame.INITIAL_WINDOW_SIZE: 10})
    stream = pair.request(b"POST", content=b"a" * 1000, end_stream=False)
    pair.answer(pair.exchange_of(stream), b"twenty bytes of text")
    pair.after(3)
    pair.peer.send_data(stream, b"b" * 1000)
    pair.move()
    assert pair.messages[stream].content == b"twenty byt"
    pair.peer.increment_flow_control_window(10, stream)
    pair.move()
    message = pair.messages[stream]
    assert (message.content, message.ended, message.reset) == (
        b"twenty bytes of text",
        True,
        ErrorCode.NO_ERROR,
    )


def test_an_upload_that_ends_while_its_response_waits_is_not_reset() -> None:
    pair = ServerPair()
    pair.credits = False
    pair.peer.update_settings({SettingsFrame.INITIAL_WINDOW_SIZE: 1})
    stream = pair.request(b"POST", content=b"a" * 1000, end_stream=False)
    pair.answer(pair.exchange_of(stream), b"ok")
    pair.peer.end_stream(stream)
    pair.move()
    pair.peer.increment_flow_control_window(10, stream)
    pair.move()
    assert (pair.messages[stream].content, pair.messages[stream].ended) == (b"ok", True)
    assert pair.messages[stream].reset is None


@pytest.mark.parametrize("content", [b"", b"enough"])
def test_a_streamed_response_to_an_unfinished_request_is_whole(content: bytes) -> None:
    pair = ServerPair()
    stream = pair.request(b"POST", content=b"a" * 1000, end_stream=False)
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])
    exchange.send_data(content)
    exchange.send_data(b"", end_stream=True)
    pair.endpoint.finished(exchange)
    pair.move()
    assert pair.messages[stream].content == content
    pair.after(3)
    assert (pair.messages[stream].content, pair.messages[stream].ended) == (content, True)


def test_a_response_waits_for_the_end_of_an_upload_that_nobody_reads() -> None:
    """curl 7.88 stops reading at the end of a response, and would never get to send the rest."""
    pair = ServerPair()
    stream = pair.request(b"POST", content=b"a" * 1000, end_stream=False)
    pair.answer(pair.exchange_of(stream), b"enough")
    pair.move()
    pair.peer.send_data(stream, b"b" * 1000, end_stream=True)
    pair.move()
    message = pair.messages[stream]
    assert (message.content, message.ended, message.reset) == (b"enough", True, None)


def test_a_refusal_waits_for_nothing() -> None:
    pair = ServerPair()
    stream = pair.request(b"POST", content=b"a" * 1000, end_stream=False)
    exchange = pair.exchange_of(stream)
    exchange.send_whole_response(413, [], b"too much")
    pair.endpoint.finished(exchange)
    pair.move()
    message = pair.messages[stream]
    assert (message.content, message.ended, message.reset) == (b"too much", True, None)
    pair.after(3)
    assert pair.messages[stream].reset == ErrorCode.NO_ERROR


def test_a_reset_by_the_client_is_seen_by_who_sends() -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.send_response(200, [])
    woken: list[bool] = []
    exchange.on_progress = lambda: woken.append(exchange.closed)
    pair.peer.reset_stream(stream, ErrorCode.CANCEL)
    pair.move()
    assert woken == [True]
    assert isinstance(exchange.error, ExchangeReset)
    assert exchange.error.error_code == ErrorCode.CANCEL
    with pytest.raises(ExchangeReset):
        exchange.send_data(b"x")
    with pytest.raises(ExchangeReset):
        exchange.send_response(200, [])


def test_a_request_reset_in_the_same_read_starts_nothing() -> None:
    pair = ServerPair()
    pair.peer.send_headers(1, pair_fields(), end_stream=True)
    pair.peer.reset_stream(1)
    pair.move()
    assert pair.accepted == []
    assert pair.endpoint.running == 0


@pytest.mark.parametrize(
    ("declared", "sent"), [(b"5", b"123456"), (b"5", b"1234"), (b"0", b"1"), (b"5", b"")]
)
def test_content_of_a_request_other_than_its_length_is_never_a_clean_end(
    declared: bytes, sent: bytes
) -> None:
    """RFC 9113 §8.1.1."""
    pair = ServerPair()
    stream = pair.request(b"POST", b"/", (b"content-length", declared), content=sent)
    assert pair.messages[stream].reset == ErrorCode.PROTOCOL_ERROR
    for exchange in pair.accepted:
        assert exchange.closed
        assert isinstance(exchange.error, ExchangeReset)
    assert not pair.goaways


@pytest.mark.parametrize("length", [b"-1", b"+5", b"5 5", b"5,5", b"0x5", b"", b"five", b"5_0"])
def test_a_content_length_that_is_no_number_resets_the_stream(length: bytes) -> None:
    pair = ServerPair()
    stream = pair.request(b"POST", b"/", (b"content-length", length), content=b"12345")
    assert pair.messages[stream].reset == ErrorCode.PROTOCOL_ERROR
    assert not pair.endpoint.closed


def test_the_truth_about_a_reset_stream_is_told_once() -> None:
    pair = ServerPair()
    stream = pair.request()
    exchange = pair.exchange_of(stream)
    exchange.abandon()
    exchange.abandon()
    pair.endpoint.finished(exchange)
    pair.move()
    assert len([frame for frame in pair.sent(RstStreamFrame) if frame.stream_id == stream]) == 1
