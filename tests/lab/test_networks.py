"""How a user says what the network is like, and what comes of wrong ones."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import ConfigError
from plait.lab.network.parse import parse_network, parse_networks
from plait.lab.network.presets import PRESETS
from plait.lab.network.profile import Direction, Loss, Network
from plait.lab.network.quantities import human_rate, human_time
from plait.lab.network.spec import canonical, describe
from plait.lab.network.sweep import parse_sweep
from tests.support.servers import ROOT

NAMES = "fiber,cable,4g,3g,satellite,lossy-wifi"


def said(text: str) -> Network:
    """Return the one network that one value of --network says."""
    (network,) = parse_networks([text])
    return network


def test_each_preset_of_a_list_is_a_network_of_its_own() -> None:
    assert [network.name for network in parse_networks([NAMES])] == NAMES.split(",") == list(PRESETS)


def test_several_values_are_several_networks_in_their_order() -> None:
    networks = parse_networks(["3g, cable", "rtt = 20ms", "4g,loss=2%"])

    assert [network.name for network in networks] == ["3g", "cable", "rtt=20ms", "4g,loss=2%"]
    assert parse_networks([]) == ()


def test_a_specification_sets_each_direction() -> None:
    network = said("rtt=100ms,down=10mbit,up=1mbit,loss=1%,queue=1bdp,jitter=5ms")

    loss = Loss(rate=0.01)
    assert network.down == Direction(delay=0.05, jitter=0.005, rate=10e6, queue=84, loss=loss)
    assert network.up == Direction(delay=0.05, jitter=0.005, rate=1e6, queue=9, loss=loss)
    assert network.rtt == 0.1


def test_what_is_said_of_one_direction_goes_before_what_is_said_of_both() -> None:
    network = said("up-loss=0,up-jitter=1ms,loss=0.02,jitter=4ms,down-queue=7,queue=9p,down=1mbit,up=1mbit")

    assert (network.down.loss, network.up.loss) == (Loss(rate=0.02), None)
    assert (network.down.jitter, network.up.jitter) == (0.004, 0.001)
    assert (network.down.queue, network.up.queue) == (7, 9)


def test_delays_may_differ_between_the_directions() -> None:
    network = said("down-delay=70ms,up-delay=500us")

    assert (network.down.delay, network.up.delay) == (0.07, 0.0005)
    assert network.rtt == pytest.approx(0.0705)


def test_a_change_to_a_preset_leaves_the_rest_of_it() -> None:
    plain, changed = said("lossy-wifi"), said("lossy-wifi,loss=2%,down=1mbit")

    assert changed.down == Direction(
        delay=plain.down.delay, rate=1e6, queue=plain.down.queue, loss=Loss(rate=0.02)
    )
    assert changed.up.rate == plain.up.rate
    assert said("lossy-wifi,loss=0").down.loss is None


def test_a_loss_in_bursts_has_a_rate_a_length_and_the_share_lost_in_it() -> None:
    network = said("burst-loss=1%/8/50%,up-burst-loss=0.02/4")

    assert network.down.loss == Loss(rate=0.01, burst=8, bad=0.5)
    assert network.up.loss == Loss(rate=0.02, burst=4, bad=1)


@pytest.mark.parametrize(
    ("text", "queues"),
    [
        ("rtt=100ms,down=100mbit,up=10mbit", (834, 84)),
        ("rtt=100ms,down=10mbit,up=1mbit", (84, 64)),  # the first windows of six connections fit
        ("rtt=0,down=10mbit", (64, None)),
        ("rtt=100ms,down=10mbit,up=1mbit,queue=0.5bdp", (42, 5)),
        ("rtt=120ms,down=10mbit,queue=1bdp", (100, None)),
        ("down=10mbit,up=10mbit,queue=unlimited,up-queue=50", (None, 50)),
    ],
)
def test_the_queue_follows_from_rate_and_round_trip_unless_it_is_said(
    text: str, queues: tuple[int | None, int | None]
) -> None:
    network = said(text)

    assert (network.down.queue, network.up.queue) == queues


@pytest.mark.parametrize(
    "value",
    ["1mbit", "1MBIT", "1Mbit/s", "1000kbit", "0.001gbit", ".001 gbit", "1.0mbit", "1.mbit", "+1mbit"],
)
def test_a_rate_may_be_written_in_several_ways(value: str) -> None:
    assert said(f"down={value}").down.rate == 1e6


@pytest.mark.parametrize("value", ["1%", "0.01", "1.0 %", ".01"])
def test_a_share_is_a_percentage_or_a_fraction(value: str) -> None:
    assert said(f"loss={value}").down.loss == Loss(rate=0.01)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "rtt=100ms,down=10mbit,up=1mbit,loss=1%,queue=1bdp",
            "RTT 100 ms, 10 Mbit/s down, 1 Mbit/s up, loss 1 %, queue 84/9 packets",
        ),
        ("3g", "RTT 300 ms, 1.6 Mbit/s down, 768 kbit/s up, queue 160/80 packets"),
        ("rtt=5ms", "RTT 5 ms, any rate down, any rate up"),
        (
            "down-delay=70ms,up-delay=5ms,down-jitter=3ms,up-loss=.5%",
            "RTT 75 ms (70 ms down, 5 ms up), any rate down, any rate up, jitter 3 ms down, 0 ms up, "
            "loss 0 % down, 0.5 % up",
        ),
        (
            "lossy-wifi",
            "RTT 30 ms, 20 Mbit/s down, 20 Mbit/s up, loss 1 % in bursts (all of 5 packets), "
            "queue 200 packets",
        ),
    ],
)
def test_a_network_is_one_line_for_people(text: str, line: str) -> None:
    assert describe(said(text)) == line


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([""], "--network '': it is empty"),
        (["4g,,3g"], "--network 4g,,3g: nothing stands before, between or after its commas"),
        (["sattelite"], "'sattelite' is no preset (did you mean satellite?); there are fiber, cable,"),
        (["5 g"], "'5 g' is no preset"),
        (["rtt"], "'rtt' is no preset; write rtt=...;"),
        (["los=1%"], "'los' is no key (did you mean loss?); there are rtt, down, up,"),
        (["rtt=1ms,4g"], "'4g' comes after others: a preset that key=value items change goes first"),
        (["rtt=1ms,lose"], "'lose' is neither key=value nor a preset (did you mean loss?)"),
        (["4g,3g,loss=1%"], "loss=1% would change 4g or 3g; give each network that is changed a --network"),
        (["4g", "cable,4g"], "--network 4g is given twice"),
        (["4g,loss=0", "4g"], "--network 4g is the same as 4g,loss=0"),
        (["rtt=100"], "--network rtt=100: '100' has no unit; write it like 100ms"),
        (["rtt=1h,loss=1%"], "rtt=1h: '1h' has the unknown unit 'h'; write it like 100ms"),
        (["rtt=-5ms"], "'-5ms' is negative"),
        (["rtt=nan"], "'nan' is no number"),
        (["rtt=infms"], "'infms' is no number"),
        (["rtt="], "'' is no number"),
        (["rtt=11s"], "'11s' is more than 10 s"),
        (["rtt=" + "9" * 400 + "s"], "is more than 10 s"),
        (["down=10mbps"], "'10mbps' has the unknown unit 'mbps'; write it like 10mbit"),
        (["down=0kbit"], "'0kbit' is not between 1kbit and 100gbit"),
        (["loss=100%"], "'100%' is everything or more"),
        (["loss=1"], "nothing would arrive; 1 percent is 1%"),
        (["loss=1‰"], "'1‰' is no share"),
        (["loss=1%,loss=2%"], "loss is given twice"),
        (["loss=1%,burst-loss=1%/8"], "loss and burst-loss exclude each other"),
        (["up-burst-loss=1%/8,up-loss=1%"], "up-burst-loss and up-loss exclude each other"),
        (["rtt=5ms,down-delay=3ms"], "rtt and down-delay exclude each other"),
        (["burst-loss=1%"], "'1%' has 1 of 2 or 3 parts; write it like 1%/8"),
        (["burst-loss=1%/1"], "'1' is no mean length of a bad period"),
        (["burst-loss=40%/1.2/50%"], "'40%/1.2/50%' cannot be"),
        (["burst-loss=60%/9/50%"], "'60%/9/50%' cannot be"),
        (["queue=1bdp"], "queue has no rate to wait for; give one too, such as down=10mbit or up=10mbit"),
        (["down=1mbit,up-queue=5"], "up-queue has no rate to wait for; give one too, such as up=10mbit"),
        (["down=1mbit,queue=0"], "'0' is no whole number from 1"),
        (["down=1mbit,queue=1.5"], "'1.5' is no whole number from 1"),
        (["down=1mbit,queue=9x"], "'9x' has the unknown unit 'x'"),
        (["down=1mbit,queue=0bdp"], "'0bdp' is not more than 0"),
    ],
)
def test_a_wrong_network_is_refused_with_the_offending_part(values: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_networks(values)

    message = str(caught.value)
    assert message.startswith("--network ")
    assert sentence in message


shares = st.floats(min_value=1e-9, max_value=0.4)
losses = (
    st.none()
    | st.builds(Loss, rate=shares)
    | st.builds(
        Loss,
        rate=shares,
        burst=st.floats(min_value=2, max_value=10_000),
        bad=st.floats(min_value=0.9, max_value=1),
    )
)
delays = st.floats(min_value=0, max_value=5, allow_subnormal=False)
rates = st.floats(min_value=1_000, max_value=100e9)


@st.composite
def directions(draw: st.DrawFn) -> Direction:
    """Draw a direction; without a rate no queue is ever waited in, so that has none."""
    rate = draw(st.none() | rates)
    queue = None if rate is None else draw(st.none() | st.integers(1, 1_000_000))
    return Direction(delay=draw(delays), jitter=draw(delays), rate=rate, queue=queue, loss=draw(losses))


@given(directions(), directions())
def test_a_canonical_specification_makes_the_same_network_again(down: Direction, up: Direction) -> None:
    for other in (up, down):
        spec = canonical(down, other)
        network = parse_network(spec)

        assert network == Network(name=spec, spec=spec, down=down, up=other)


@given(st.text(alphabet="rtloss-bupdwnqe=%,./0123456789 msbitk", max_size=40))
def test_whatever_is_said_makes_networks_or_one_sentence(text: str) -> None:
    try:
        networks = parse_networks([text])
    except ConfigError:
        return
    for network in networks:
        again = parse_network(network.spec)
        assert (again.down, again.up, again.spec) == (network.down, network.up, network.spec)
        assert describe(network)


PAGE = (ROOT / "docs" / "network.md").read_text()


def test_every_network_and_sweep_of_the_documentation_can_be_said() -> None:
    said_there = re.findall(r"--network ([^\s`]+)", PAGE)
    sweeps = re.findall(r"--sweep ((?:'?[a-z]+=[^\s`]+ ?)+)", PAGE)
    values = re.findall(r"`((?:[a-z]+-)*[a-z]+=[^`]+)`", PAGE)

    assert len(said_there) > 8
    for value in said_there:
        assert parse_networks([value])
    assert len(sweeps) > 3
    for sweep in sweeps:
        assert parse_sweep(shlex.split(sweep), None).networks
    assert len(values) > 6
    for value in values:
        if value.startswith("key="):
            continue
        text = value.replace("\\|", "|")
        if ".." in text or "|" in text:
            assert parse_sweep([text], None).networks
        else:
            assert parse_network(text if "queue" not in text else f"down=1mbit,up=1mbit,{text}")


def test_every_key_and_value_of_the_documentation_can_be_said() -> None:
    rows = re.findall(
        r"^\| (`(?:rtt|down|jitter|queue|loss|burst-loss)`[^|]*) \| ([^|]*) \|", PAGE, re.MULTILINE
    )

    assert len(rows) == 6
    for keys, values in rows:
        for key in re.findall("`([^`]+)`", keys):
            for value in re.findall("`([^`]+)`", values):
                if value != "rtt":  # "as rtt"
                    rates = "down=1mbit,up=1mbit," if key not in ("down", "up") else ""
                    assert parse_network(f"{rates}{key}={value}")


def test_the_presets_are_as_the_documentation_has_them() -> None:
    for name, network in ((name, said(name)) for name in PRESETS):
        queues = f"{network.down.queue}/{network.up.queue} packets"
        rates = f"{human_rate(network.down.rate)} | {human_rate(network.up.rate)}"
        loss = network.down.loss
        lost = f"{loss.rate:.0%} in bursts of {loss.burst:.0f}".replace("%", " %") if loss else "none"
        assert network.up.loss == loss
        assert f"| `{name}` | {human_time(network.rtt)} | {rates} | {queues} | {lost} |" in PAGE
