"""Series of networks: which cells a sweep has, and what comes of wrong ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plait.errors import ConfigError
from plait.lab.network.parse import parse_network
from plait.lab.network.sweep import DEFAULT_BASE, Axis, parse_sweep


def test_two_axes_make_every_combination_and_the_last_changes_fastest() -> None:
    sweep = parse_sweep(["rtt=5..300ms", "loss=0..3%"], None)

    rtt, loss = sweep.axes
    assert (rtt.key, rtt.labels) == ("rtt", ("5 ms", "14 ms", "39 ms", "110 ms", "300 ms"))
    assert (loss.key, loss.labels) == ("loss", ("0 %", "0.75 %", "1.5 %", "2.25 %", "3 %"))
    assert [
        (network.rtt, network.down.loss.rate if network.down.loss else 0) for network in sweep.networks
    ] == [(delay, share) for delay in rtt.values for share in loss.values]


def test_without_a_network_the_rest_is_a_plain_line() -> None:
    (first, *_) = parse_sweep(["loss=0|1%"], None).networks

    plain = parse_network(DEFAULT_BASE)
    assert (first.down, first.up) == (plain.down, plain.up)


def test_everything_but_the_axes_is_as_in_the_given_network() -> None:
    base = parse_network("4g,jitter=3ms")

    for network in parse_sweep(["down=1|10mbit"], base).networks:
        assert network.up == base.up
        assert (network.down.delay, network.down.jitter) == (base.down.delay, base.down.jitter)


def test_what_is_swept_replaces_what_the_network_says_of_it_in_any_words() -> None:
    base = parse_network("lossy-wifi,down-delay=70ms,up-loss=5%")

    networks = parse_sweep(["rtt=10|20ms", "loss=2|3%"], base).networks

    assert [network.down.delay for network in networks] == [0.005, 0.005, 0.01, 0.01]
    for network in networks:
        assert network.down.delay == network.up.delay
        assert network.down.loss == network.up.loss


def test_a_queue_in_products_or_by_default_goes_with_each_cell_and_one_in_packets_stays() -> None:
    def queues(base: str) -> list[int | None]:
        return [network.down.queue for network in parse_sweep(["rtt=10|300ms"], parse_network(base)).networks]

    assert queues("down=10mbit") == [64, 250]
    assert queues("down=10mbit,queue=2bdp") == [17, 500]
    assert queues("down=10mbit,queue=70") == [70, 70]


def test_a_network_whose_name_says_something_else_is_taken_by_its_specification() -> None:
    for name in ("4g", "as it was in spring"):
        base = replace(parse_network("rtt=80ms,down=10mbit"), name=name)

        assert {network.rtt for network in parse_sweep(["loss=1|2%"], base).networks} == {0.08}


@pytest.mark.parametrize(
    ("item", "values", "labels"),
    [
        ("rtt=0..100ms", (0, 0.025, 0.05, 0.075, 0.1), ("0 ms", "25 ms", "50 ms", "75 ms", "100 ms")),
        ("rtt=500us..5ms/3", (0.0005, 0.0016, 0.005), ("0.5 ms", "1.6 ms", "5 ms")),
        ("jitter=0|5|10ms", (0, 0.005, 0.01), ("0 ms", "5 ms", "10 ms")),
        ("loss=0.01..0.02/2", (0.01, 0.02), ("1 %", "2 %")),
        ("down=50|10|1mbit", (50e6, 10e6, 1e6), ("50 Mbit/s", "10 Mbit/s", "1 Mbit/s")),
        ("up=500kbit..2mbit/3", (5e5, 1e6, 2e6), ("500 kbit/s", "1 Mbit/s", "2 Mbit/s")),
        ("queue=10..1000/3", (10, 100, 1000), ("10 packets", "100 packets", "1000 packets")),
        ("queue=.5|1|4bdp", (0.5, 1, 4), ("0.5 BDP", "1 BDP", "4 BDP")),
    ],
)
def test_an_axis_is_a_range_or_a_list(item: str, values: tuple[float, ...], labels: tuple[str, ...]) -> None:
    (axis,) = parse_sweep([item], None).axes

    assert axis == Axis(item.partition("=")[0], axis.values, labels)
    assert axis.values == pytest.approx(values)


def test_each_cell_is_named_by_the_specification_that_makes_it() -> None:
    for network in parse_sweep(["rtt=100..300ms", "queue=1|2bdp"], parse_network("3g,loss=1%")).networks:
        assert network.name.startswith("3g,loss=1%,rtt=")
        assert parse_network(network.name) == network


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ([], "has 0 axes; one or two can be shown"),
        ([""], "--sweep '': '' is nothing that can be swept"),
        (["rtt=1..2ms,up=1..2mbit", "loss=1..2%"], "has 3 axes; one or two can be shown"),
        (["rt=5..6ms"], "--sweep rt=5..6ms: 'rt' is nothing that can be swept (did you mean rtt?)"),
        (["rtt"], "'rtt' is nothing that can be swept"),
        (["burst-loss=1..2%"], "'burst-loss' is nothing that can be swept; there are rtt, down, up,"),
        (["loss=0..3%", "loss=1..2%"], "loss is given twice"),
        (["rtt=5ms"], "'5ms' is neither a range nor a list; write it like rtt=5..300ms"),
        (["rtt=1..5..9ms"], "'1..5..9ms' is neither a range nor a list"),
        (["rtt=1..5|9ms"], "'1..5|9ms' is neither a range nor a list"),
        (["rtt=5..30"], "'5' has no unit"),
        (["rtt=..5ms"], "'' is no number"),
        (["rtt=-5..5ms"], "'-5' is negative"),
        (["rtt=5..3ms"], "'5..3ms' does not go from a smaller value to a larger one"),
        (["rtt=1|1|2ms"], "'1|1|2ms' has 1 ms twice"),
        (["queue=1..3"], "'1..3' is too narrow for 5 values"),
        (["rtt=5.01..5.02ms"], "'5.01..5.02ms' is too narrow for 5 values"),
        (["rtt=5..9ms/x"], "'x' is no number of steps"),
        (["rtt=5..9ms/1"], "'1' is no number of steps from 2 to 100"),
        (["rtt=5..9ms/"], "'' is no number of steps"),
        (["rtt=5..9ms/" + "9" * 5000], "is no number of steps from 2 to 100"),
        (["loss=0..100%"], "'100%' is everything or more"),
        (["queue=10|1bdp|5p"], "'1bdp' is not in packets, as the last value is"),
        (["queue=10p|1bdp"], "'10p|1bdp' mixes packets and bandwidth-delay products"),
        (["queue=.1|.2bdp", "rtt=1|2ms"], "are the same network"),
        (["rtt=1..9ms/30", "loss=0..3%/30"], "has 900 cells, more than 400; give fewer steps"),
    ],
)
def test_a_wrong_sweep_is_refused_with_the_offending_part(items: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_sweep(items, None)

    message = str(caught.value)
    assert message.startswith("--sweep ")
    assert sentence in message


def test_a_queue_needs_a_rate_in_a_sweep_too() -> None:
    with pytest.raises(ConfigError, match="queue has no rate to wait for"):
        parse_sweep(["queue=1..3bdp"], parse_network("rtt=5ms"))
