"""The pool's decisions, without a socket."""

from __future__ import annotations

import pytest

from plait.client.pool import Link, Pool
from plait.errors import ConnectFailed, PlaitError
from plait.protocol.endpoint import ClientEndpoint
from plait.protocol.events import Role
from plait.protocol.h1_client import H1Client
from plait.protocol.h2 import H2Connection
from plait.urls import Origin

ORIGIN = Origin("https", "example.com", 443)
FIELDS = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"example.com"), (b":path", b"/")]


class Waiting:
    """A request in the queue."""

    def granted(self, link: Link) -> None:
        link.endpoint.open_exchange(FIELDS, end_stream=True)

    def refused(self, error: PlaitError) -> None:
        raise error


def http2(limit: int = 100) -> Link:
    connection = H2Connection(
        Role.CLIENT,
        max_concurrent_streams=limit,
        max_header_fields=100,
        max_header_size=65536,
        stream_window=65536,
        connection_window=65536,
    )
    return Link(ORIGIN, ClientEndpoint(connection), None, 0.0)


def http1() -> Link:
    connection = H1Client(max_header_fields=100, max_header_size=65536, stream_window=65536)
    return Link(ORIGIN, ClientEndpoint(connection), None, 0.0)


@pytest.fixture
def pool() -> Pool:
    return Pool(max_connections=3, keep_alive=10.0)


def queue(pool: Pool, count: int) -> list[Waiting]:
    tickets = [Waiting() for _ in range(count)]
    assert [pool.ask(ORIGIN, ticket) for ticket in tickets] == [None] * count
    return tickets


def begin(pool: Pool) -> int:
    count = pool.wanted(ORIGIN)
    for _ in range(count):
        pool.opening(ORIGIN)
    return count


def grant(pool: Pool) -> list[Waiting]:
    granted = []
    for link in pool.links:
        for ticket in pool.assign(link):
            ticket.granted(link)
            granted.append(ticket)
    return granted


def test_many_requests_at_the_start_open_one_connection(pool: Pool) -> None:
    queue(pool, 50)
    assert begin(pool) == 1
    assert begin(pool) == 0


def test_http2_takes_all_on_one_connection_as_far_as_its_limit_goes(pool: Pool) -> None:
    tickets = queue(pool, 50)
    begin(pool)
    pool.opened(http2(limit=40))
    assert grant(pool) == tickets[:40]
    assert grant(pool) == []
    assert begin(pool) == 0


def test_http1_opens_more_connections_up_to_the_limit(pool: Pool) -> None:
    tickets = queue(pool, 50)
    begin(pool)
    pool.opened(http1())
    assert grant(pool) == tickets[:1]
    assert begin(pool) == 2
    pool.opened(http1())
    pool.opened(http1())
    assert grant(pool) == tickets[1:3]
    assert begin(pool) == 0


def test_http1_opens_no_more_connections_than_requests_wait(pool: Pool) -> None:
    queue(pool, 2)
    begin(pool)
    pool.opened(http1())
    grant(pool)
    assert begin(pool) == 1


def test_requests_are_served_in_the_order_they_came(pool: Pool) -> None:
    first = queue(pool, 1)
    begin(pool)
    link = http1()
    pool.opened(link)
    second = Waiting()
    assert pool.ask(ORIGIN, second) is None
    assert grant(pool) == first


def test_a_request_that_was_not_processed_comes_before_those_that_wait(pool: Pool) -> None:
    queue(pool, 2)
    returned = Waiting()
    assert pool.ask(ORIGIN, returned, again=True) is None
    begin(pool)
    pool.opened(http1())
    assert grant(pool) == [returned]


def test_a_request_that_finds_room_is_not_queued(pool: Pool) -> None:
    queue(pool, 1)
    begin(pool)
    link = http2()
    pool.opened(link)
    grant(pool)
    assert pool.ask(ORIGIN, Waiting()) is link


def test_another_connection_is_opened_when_the_one_is_closing(pool: Pool) -> None:
    queue(pool, 1)
    begin(pool)
    link = http2()
    pool.opened(link)
    grant(pool)
    link.endpoint.connection.shut_down()
    queue(pool, 5)
    assert begin(pool) == 1


def test_a_failure_ends_what_waits_when_there_is_no_connection(pool: Pool) -> None:
    tickets = queue(pool, 3)
    begin(pool)
    assert pool.failed(ORIGIN, ConnectFailed("no")) == tickets
    queue(pool, 1)
    assert begin(pool) == 1


def test_a_failure_only_limits_the_connections_when_there_are_some(pool: Pool) -> None:
    queue(pool, 5)
    begin(pool)
    link = http1()
    pool.opened(link)
    grant(pool)
    assert begin(pool) == 2
    assert pool.failed(ORIGIN, ConnectFailed("no")) == []
    assert pool.failed(ORIGIN, ConnectFailed("no")) == []
    assert begin(pool) == 0
    link.endpoint.terminate()
    pool.settle(link, 1.0)
    assert begin(pool) == 3


def test_a_withdrawn_request_gets_no_connection(pool: Pool) -> None:
    tickets = queue(pool, 2)
    begin(pool)
    pool.withdraw(ORIGIN, tickets[0])
    pool.opened(http1())
    assert grant(pool) == tickets[1:]
    pool.withdraw(ORIGIN, tickets[1])


def test_idle_connections_expire(pool: Pool) -> None:
    queue(pool, 1)
    begin(pool)
    idle, busy = http2(), http2()
    pool.opened(idle)
    pool.opening(ORIGIN)
    pool.opened(busy)
    busy.endpoint.open_exchange(FIELDS, end_stream=True)
    pool.settle(busy, 5.0)
    assert pool.expired(9.9) == []
    assert pool.expired(10.0) == [idle]


def test_a_connection_that_takes_no_more_and_has_nothing_to_do_is_to_be_ended(pool: Pool) -> None:
    queue(pool, 1)
    begin(pool)
    link = http2()
    pool.opened(link)
    assert not pool.settle(link, 1.0)
    link.endpoint.connection.shut_down()
    assert pool.settle(link, 1.0)
    link.endpoint.terminate()
    assert not pool.settle(link, 1.0)
    assert pool.links == []
