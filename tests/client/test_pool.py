"""The pool's decisions, without a socket."""

from __future__ import annotations

import pytest

from plait.client.pool import Pool
from plait.client.sites import Link, Ticket
from plait.config import HttpVersions
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


def grant(pool: Pool) -> list[Ticket]:
    granted: list[Ticket] = []
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


def test_a_failure_ends_what_waits_when_the_only_connection_takes_nothing_more(pool: Pool) -> None:
    """After a GOAWAY it has a long response to finish, and who waits should not wait for that."""
    queue(pool, 1)
    begin(pool)
    link = http2()
    pool.opened(link)
    grant(pool)
    link.endpoint.connection.shut_down()
    tickets = queue(pool, 3)
    assert begin(pool) == 1
    assert pool.failed(ORIGIN, ConnectFailed("no")) == tickets
    assert pool.waiting(ORIGIN) == 0
    queue(pool, 1)
    assert begin(pool) == 1
    pool.opened(http2())
    assert len(grant(pool)) == 1
    link.endpoint.terminate()
    pool.settle(link, 1.0)
    assert len(pool.links) == 1


def test_a_failure_leaves_those_to_wait_that_http1_will_have_room_for(pool: Pool) -> None:
    queue(pool, 2)
    begin(pool)
    link = http1()
    pool.opened(link)
    grant(pool)
    link.endpoint.connection.shut_down()
    begin(pool)
    assert pool.failed(ORIGIN, ConnectFailed("no")) == []
    link.endpoint.terminate()
    pool.settle(link, 1.0)
    assert begin(pool) == 1


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


def test_where_the_version_is_known_before_nothing_waits_for_the_first_connection() -> None:
    pool = Pool(max_connections=3, keep_alive=10.0, http=HttpVersions.HTTP_1)
    tickets = queue(pool, 5)
    assert begin(pool) == 3
    for _ in range(3):
        pool.opened(http1())
    assert grant(pool) == tickets[:3]


def test_plain_http_is_http_1_unless_it_is_asked_to_be_http_2() -> None:
    plain = Origin("http", "example.com", 80)
    for http, begun in [(HttpVersions.AUTO, 3), (HttpVersions.HTTP_1, 3), (HttpVersions.HTTP_2, 1)]:
        pool = Pool(max_connections=3, keep_alive=10.0, http=http)
        for _ in range(5):
            pool.ask(plain, Waiting())
        assert pool.wanted(plain) == begun


# -- several HTTP/2 connections ------------------------------------------------------------------


def spreading(count: int, http: HttpVersions = HttpVersions.HTTP_2) -> Pool:
    return Pool(max_connections=3, keep_alive=10.0, h2_connections=count, http=http)


def loads(pool: Pool) -> list[int]:
    return [len(link.endpoint.exchanges) for link in pool.links]


def test_several_http2_connections_are_opened_together() -> None:
    pool = spreading(4)
    queue(pool, 1)
    assert begin(pool) == 4


def test_several_http2_connections_are_opened_once_the_first_has_said_that_it_is_one() -> None:
    pool = spreading(4, HttpVersions.AUTO)
    queue(pool, 1)
    assert begin(pool) == 1
    pool.opened(http2())
    grant(pool)
    assert begin(pool) == 3


def test_an_origin_of_http_1_has_no_use_for_the_number_of_http2_connections() -> None:
    pool = spreading(4, HttpVersions.AUTO)
    queue(pool, 9)
    begin(pool)
    pool.opened(http1())
    grant(pool)
    assert begin(pool) == 2


def test_what_waits_is_shared_out_between_the_connections() -> None:
    pool = spreading(4)
    queue(pool, 50)
    begin(pool)
    for shares in ([13], [13, 13], [13, 13, 13], [13, 13, 13, 11]):
        pool.opened(http2())
        grant(pool)
        assert loads(pool) == shares


def test_the_least_busy_connection_takes_the_next_request() -> None:
    pool = spreading(2)
    queue(pool, 1)
    begin(pool)
    busy, idle = http2(), http2()
    pool.opened(busy)
    grant(pool)
    pool.opened(idle)
    assert pool.ask(ORIGIN, Waiting()) is idle


def test_a_request_waits_for_its_connection_while_another_has_its_share() -> None:
    pool = spreading(2)
    queue(pool, 1)
    begin(pool)
    pool.opened(http2())
    grant(pool)
    late = Waiting()
    assert pool.ask(ORIGIN, late) is None
    assert grant(pool) == []
    pool.opened(http2())
    assert grant(pool) == [late]


def test_when_a_connection_cannot_be_opened_the_others_take_its_share() -> None:
    pool = spreading(2)
    tickets = queue(pool, 10)
    begin(pool)
    pool.opened(http2())
    assert grant(pool) == tickets[:5]
    assert pool.failed(ORIGIN, ConnectFailed("no")) == []
    assert grant(pool) == tickets[5:]
    assert begin(pool) == 0


def test_a_connection_that_says_goodbye_is_not_counted_as_one_that_serves() -> None:
    pool = spreading(2)
    queue(pool, 10)
    begin(pool)
    first = http2()
    pool.opened(first)
    pool.opened(http2())
    grant(pool)
    first.endpoint.connection.shut_down()
    assert begin(pool) == 1
    assert pool.failed(ORIGIN, ConnectFailed("no")) == []
    assert begin(pool) == 0


def test_the_limit_of_streams_opens_no_further_connection() -> None:
    pool = spreading(2)
    queue(pool, 50)
    begin(pool)
    pool.opened(http2(limit=10))
    pool.opened(http2(limit=10))
    grant(pool)
    assert loads(pool) == [10, 10]
    assert begin(pool) == 0


def test_a_lost_connection_of_several_is_replaced_while_there_is_something_to_do() -> None:
    pool = spreading(2)
    queue(pool, 2)
    begin(pool)
    lost, left = http2(), http2()
    pool.opened(lost)
    pool.opened(left)
    grant(pool)
    lost.endpoint.terminate()
    pool.settle(lost, 1.0)
    assert begin(pool) == 1
    left.endpoint.exchanges.clear()
    assert pool.wanted(ORIGIN) == 0


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
