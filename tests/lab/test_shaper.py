"""One direction of an emulated link, in virtual time."""

from __future__ import annotations

import math
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import ConfigError
from plait.lab.network.profile import Direction, Loss
from plait.lab.network.shaper import Fate, Shaper


def test_a_packet_takes_its_time_on_the_line_and_then_travels() -> None:
    shaper = Shaper(Direction(rate=1e6, delay=0.05), "seed")
    assert shaper.arrive(10.0, 1250) == pytest.approx(10.0 + 0.01 + 0.05)


def test_a_packet_waits_for_those_before_it() -> None:
    shaper = Shaper(Direction(rate=1e6), "seed")
    assert [shaper.arrive(0.0, 1250) for _ in range(3)] == pytest.approx([0.01, 0.02, 0.03])
    assert shaper.arrive(1.0, 1250) == pytest.approx(1.01)


def test_a_link_without_a_rate_delays_and_does_nothing_else() -> None:
    shaper = Shaper(Direction(delay=0.02, queue=0), "seed")
    assert [shaper.arrive(at, 1500) for at in (0.0, 0.0, 0.5)] == pytest.approx([0.02, 0.02, 0.52])


@pytest.mark.parametrize("queue", [0, 1, 10])
def test_a_full_queue_drops_the_newest_packet(queue: int) -> None:
    shaper = Shaper(Direction(rate=1e6, queue=queue), "seed")
    fates = [shaper.arrive(0.0, 1250) for _ in range(queue + 3)]
    assert fates[queue + 1 :] == [Fate.DROPPED] * 2, "one is sent, the queue waits, the rest is too much"
    assert Fate.DROPPED not in fates[: queue + 1]
    assert shaper.dropped == 2


def test_a_queue_has_room_again_when_a_packet_begins_to_be_sent() -> None:
    shaper = Shaper(Direction(rate=1e6, queue=1), "seed")
    shaper.arrive(0.0, 1250)
    shaper.arrive(0.0, 1250)
    assert shaper.arrive(0.009, 1250) is Fate.DROPPED
    assert shaper.arrive(0.010, 1250) == pytest.approx(0.03)


def test_a_lost_packet_took_its_time_on_the_line() -> None:
    shaper = Shaper(Direction(rate=1e6, loss=Loss(rate=1.0)), "seed")
    assert shaper.arrive(0.0, 1250) is Fate.LOST
    shaper = Shaper(Direction(rate=1e6, queue=1, loss=Loss(rate=1.0)), "seed")
    assert [shaper.arrive(0.0, 1250) for _ in range(3)] == [Fate.LOST, Fate.LOST, Fate.DROPPED]


def fates(direction: Direction, seed: str, packets: int) -> list[bool]:
    shaper = Shaper(direction, seed)
    return [shaper.arrive(at * 1e-3, 1500) is Fate.LOST for at in range(packets)]


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.3])
def test_independent_loss_is_within_its_binomial_bounds(rate: float) -> None:
    packets = 50_000
    lost = sum(fates(Direction(loss=Loss(rate=rate)), "seed", packets))
    assert abs(lost - packets * rate) < 4 * math.sqrt(packets * rate * (1 - rate))


@pytest.mark.parametrize("loss", [Loss(rate=0.02, burst=8), Loss(rate=0.02, burst=20, bad=0.5)])
def test_loss_in_bursts_has_the_rate_and_the_bursts_asked_for(loss: Loss) -> None:
    lost = fates(Direction(loss=loss), "seed", 400_000)
    assert sum(lost) / len(lost) == pytest.approx(loss.rate, rel=0.08)
    if loss.bad == 1:
        bursts = [len(list(group)) for bad, group in groupby(lost) if bad]
        assert sum(bursts) / len(bursts) == pytest.approx(loss.burst, rel=0.08)
    else:
        # Within a bad period every packet is lost alike, and the period outlasts it by 1 - 1/burst.
        after = sum(second for first, second in pairwise(lost) if first) / sum(lost)
        assert after == pytest.approx(loss.bad * (1 - 1 / loss.burst), rel=0.08)


def test_a_line_is_as_likely_to_begin_in_a_bad_period_as_to_be_in_one_later() -> None:
    loss = Loss(rate=0.25, burst=50)
    first = sum(fates(Direction(loss=loss), str(seed), 1)[0] for seed in range(2000))
    assert abs(first - 500) < 4 * math.sqrt(2000 * 0.25 * 0.75)


def test_a_line_that_would_never_leave_its_bad_period_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no line loses 0\.5 .* bad periods of 2 packets that lose 0\.5"):
        Shaper(Direction(loss=Loss(rate=0.5, burst=2, bad=0.5)), "seed")


def test_periods_too_short_for_the_loss_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"no line loses 0\.9 of its packets"):
        Shaper(Direction(loss=Loss(rate=0.9, burst=2)), "seed")


@pytest.mark.parametrize("loss", [Loss(rate=0.1), Loss(rate=0.1, burst=5)])
def test_the_same_seed_loses_the_same_packets_whatever_the_jitter(loss: Loss) -> None:
    calm, wild = Direction(loss=loss), Direction(loss=loss, jitter=0.01)
    assert fates(calm, "one", 1000) == fates(calm, "one", 1000) == fates(wild, "one", 1000)
    assert fates(calm, "one", 1000) != fates(calm, "another", 1000)


directions = st.builds(
    Direction,
    delay=st.floats(0, 1),
    jitter=st.floats(0, 0.1),
    rate=st.none() | st.floats(1e3, 1e9),
    queue=st.none() | st.integers(0, 20),
    loss=st.none() | st.builds(Loss, rate=st.floats(0, 0.5), burst=st.floats(1, 50)),
)
arrivals = st.lists(st.tuples(st.floats(0, 0.05), st.integers(20, 1500)), max_size=200)


@given(direction=directions, arrivals=arrivals)
def test_packets_keep_their_order_and_none_is_forgotten(
    direction: Direction, arrivals: list[tuple[float, int]]
) -> None:
    shaper = Shaper(direction, "seed")
    now = 0.0
    due: list[float] = []
    delivered = 0
    for gap, size in arrivals:
        now += gap
        fate = shaper.arrive(now, size)
        if not isinstance(fate, Fate):
            due.append(fate)
            delivered += size
            line = 8 * size / direction.rate if direction.rate else 0.0
            assert fate >= now + line + direction.delay - 1e-9, "never early"
    assert due == sorted(due)
    assert (shaper.packets, shaper.bytes) == (len(due), delivered)
    assert shaper.packets + shaper.lost + shaper.dropped == len(arrivals)
    if direction.loss is None:
        assert shaper.lost == 0
    if direction.queue is None or direction.rate is None:
        assert shaper.dropped == 0


@given(queue=st.integers(0, 20), arrivals=arrivals)
def test_a_packet_is_dropped_when_as_many_wait_as_the_queue_holds_and_never_else(
    queue: int, arrivals: list[tuple[float, int]]
) -> None:
    shaper = Shaper(Direction(rate=1e6, queue=queue), "seed")
    now = free = 0.0
    starts: list[float] = []
    for gap, size in arrivals:
        now += gap
        waiting = sum(start > now for start in starts)
        full = free > now and waiting >= queue
        assert (shaper.arrive(now, size) is Fate.DROPPED) == full
        if not full:
            starts.append(max(now, free))
            free = starts[-1] + size * (8 / 1e6)
