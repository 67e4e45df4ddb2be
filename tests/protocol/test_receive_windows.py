"""Windows that grow where a round trip is long, for an application that keeps up (RFC 9113 §5.2)."""

from __future__ import annotations

from hyperframe.frame import PingFrame, WindowUpdateFrame

from plait.protocol.exchange import Exchange
from tests.support.pairs import ServerPair

FIRST = 131_072
PIECE = 8192


class Upload:
    """A client that sends what it is allowed to, and hears of more a round trip later.

    Args:
        pair: The connection.
    """

    def __init__(self, pair: ServerPair) -> None:
        self.pair = pair
        pair.move()
        self.stream: int = pair.peer.get_next_available_stream_id()
        pair.peer.send_headers(self.stream, [
            (b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/"),
        ])  # fmt: skip
        pair.move()

    @property
    def exchange(self) -> Exchange:
        return self.pair.exchange_of(self.stream)

    @property
    def window(self) -> int:
        """What the client may have on the way at once, once all of it was read."""
        return self.pair.peer.local_flow_control_window(self.stream)

    def send(self, most: int = 1 << 30) -> int:
        """Send as the window allows, every piece arriving by itself; return how much it was."""
        pair, size = self.pair, 0
        while left := min(PIECE, most - size, pair.peer.local_flow_control_window(self.stream)):
            pair.peer.send_data(self.stream, b"x" * left)
            pair.send(pair.peer.data_to_send())
            size += left
            self.arrived()
        return size

    def arrived(self) -> None:
        self.exchange.read()

    def round_trip(self, most: int = 1 << 30) -> int:
        """Send, and let all that the server has to say arrive after it; return how much was sent."""
        size = self.send(most)
        self.pair.receive(self.pair.output())
        self.pair.send(self.pair.peer.data_to_send())
        self.pair.receive(self.pair.output())
        return size


class Unread(Upload):
    """The same, for an application that reads nothing until it is asked to."""

    def arrived(self) -> None:
        pass


def test_the_window_grows_for_an_application_that_keeps_up() -> None:
    upload = Upload(ServerPair(stream_window=FIRST, max_stream_window=1_000_000))

    sizes = [upload.round_trip() for _ in range(12)]

    assert sizes[0] == FIRST
    assert 500_000 <= sizes[-1] <= 1_000_000
    assert upload.window <= 1_000_000


def test_the_window_stays_for_an_application_that_is_slow() -> None:
    pair = ServerPair(stream_window=FIRST, max_stream_window=1_000_000)
    upload = Unread(pair)
    for _ in range(20):
        upload.round_trip()
        upload.exchange.read()  # all at once, only after the whole window has waited
        pair.receive(pair.output())
        for _ in range(3):  # and much later
            upload.pair.send(pair.peer.data_to_send())
            pair.receive(pair.output())

    assert upload.window <= FIRST


def test_the_window_stays_for_a_client_that_is_slow() -> None:
    upload = Upload(ServerPair(stream_window=FIRST, max_stream_window=1_000_000))
    for _ in range(30):
        upload.round_trip(PIECE * 3)

    assert upload.window <= FIRST


def test_a_collected_request_counts_as_read() -> None:
    upload = Unread(ServerPair(stream_window=FIRST, max_stream_window=1_000_000))
    upload.exchange.collect(1 << 30)

    sizes = [upload.round_trip() for _ in range(12)]

    assert sizes[-1] > 500_000


def test_all_windows_of_a_connection_stay_below_its_bound() -> None:
    bound = 1_200_000
    pair = ServerPair(stream_window=FIRST, max_stream_window=1_000_000, max_buffered_per_connection=bound)
    uploads = [Upload(pair) for _ in range(4)]
    for _ in range(15):
        for upload in uploads:
            upload.send()
        uploads[0].round_trip()

    opened = sum(upload.window for upload in uploads)
    assert 4 * FIRST < opened <= bound
    # What the connection's own window holds the client to, whatever its streams' windows are.
    assert pair.peer.outbound_flow_control_window <= bound


def test_what_an_upload_took_is_free_for_the_next() -> None:
    pair = ServerPair(stream_window=FIRST, max_stream_window=1_000_000, max_buffered_per_connection=1_200_000)
    for _ in range(4):
        upload = Upload(pair)
        for _ in range(12):
            last = upload.round_trip()
        pair.peer.end_stream(upload.stream)
        pair.move()
        pair.answer(upload.exchange, b"ok")
        pair.move()
        assert last > 500_000


def test_small_requests_are_not_measured() -> None:
    pair = ServerPair()
    for _ in range(20):
        stream = pair.request(b"POST", content=b"x" * 50_000)
        while pair.exchange_of(stream).read():
            pass
        pair.answer(pair.exchange_of(stream), b"ok")
        pair.move()

    assert not pair.sent(PingFrame)


def test_a_window_at_its_bound_is_not_measured_any_more() -> None:
    upload = Upload(ServerPair(stream_window=FIRST, max_stream_window=2 * FIRST))
    for _ in range(10):
        upload.round_trip()
    measured = len(upload.pair.sent(PingFrame))
    for _ in range(10):
        upload.round_trip()

    assert len(upload.pair.sent(PingFrame)) == measured


def test_measuring_is_not_mistaken_for_the_answer_that_a_goaway_waits_for() -> None:
    upload = Upload(ServerPair(stream_window=FIRST))
    upload.send()
    pair = upload.pair
    pair.receive(pair.output())
    pair.endpoint.shut_down()
    measured = pair.peer.data_to_send()
    pair.send(measured)
    pair.receive(pair.output())

    assert [last for last, _ in pair.goaways] == [2**31 - 1]
    pair.move()
    assert [last for last, _ in pair.goaways] == [2**31 - 1, upload.stream]


def test_growth_is_told_at_once() -> None:
    upload = Upload(ServerPair(stream_window=2 * FIRST, max_stream_window=1_000_000))
    upload.send()
    upload.pair.receive(upload.pair.output())
    before = len(upload.pair.sent(WindowUpdateFrame))
    upload.pair.send(upload.pair.peer.data_to_send())  # the answer to the PING
    upload.pair.receive(upload.pair.output())

    assert len(upload.pair.sent(WindowUpdateFrame)) > before
