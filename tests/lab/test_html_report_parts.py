"""The pieces the report is made of: escaping, scales, units, names of networks, and which runs are drawn."""

from __future__ import annotations

import html
import math
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.lab.network.profile import Direction, Network
from plait.lab.network.sweep import parse_sweep
from plait.lab.record import ResourceInfo
from plait.lab.report import units
from plait.lab.report.conditions import axes, described, titles
from plait.lab.report.decision_map import shade
from plait.lab.report.lanes import lay_out
from plait.lab.report.markup import json_text, tag
from plait.lab.report.outliers import span
from plait.lab.report.runs import first
from plait.lab.report.svg import Scale, box, path
from tests.support.lab_samples import cell, network, record, timeline


@given(st.text())
def test_any_text_becomes_one_element_with_that_text(text: str) -> None:
    found = ET.fromstring(tag("p", text, title=text))
    assert list(found) == []
    written = found.text or ""
    assert len(written) == len(text)
    assert all(one in (other, "\ufffd", "\n") for one, other in zip(written, text, strict=True))


@given(st.recursive(st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)))
def test_embedded_json_never_ends_the_script_it_stands_in(value: object) -> None:
    assert not set("<>&") & set(json_text(value))


def test_markup_is_not_escaped_twice() -> None:
    assert tag("p", tag("b", "a & b")) == "<p><b>a &amp; b</b></p>"
    assert html.unescape(tag("p", "<b>")) == "<p><b></p>"


@given(st.floats(1e-6, 1e6), st.floats(1.001, 1e6), st.booleans())
def test_ticks_are_few_round_and_within_the_axis(low: float, factor: float, log: bool) -> None:
    scale = Scale(low, low * factor, log)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 40
    assert any(tick.major for tick in ticks)
    for tick in ticks:
        assert -1e-9 <= scale.at(tick.value) <= 1 + 1e-9


def test_positions_outside_of_an_axis_are_kept_at_its_ends() -> None:
    scale = Scale(1.0, 3.0)
    assert [scale.x(value) for value in (0, 1, 2, 3, 9)] == ["0%", "0%", "50%", "100%", "100%"]


def test_a_polyline_takes_one_number_for_level_and_upright_parts() -> None:
    assert path([(0, 0), (5, 0), (5, 2), (6, 3.25), (6, 3.25)]) == "M0 0H5V2L6 3.2"
    assert box(1, 2, 3, 4) == "M1 2h3v4h-3z"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (3.4e-6, "3.40 µs"),
        (0.0123, "12.3 ms"),
        (0.99949, "999 ms"),
        (0.9997, "1.00 s"),
        (304, "304 s"),
    ],
)
def test_times_have_three_digits(seconds: float, words: str) -> None:
    assert units.duration(seconds) == words


def test_other_quantities_are_short_too() -> None:
    assert [units.octets(size) for size in (0, 999, 1000, 71_960, 2.4e6)] == [
        "0 B", "999 B", "1.00 kB", "72.0 kB", "2.40 MB",
    ]  # fmt: skip
    assert [units.ratio(one) for one in (0.067, 1, 9.99, 9.996, 123.4)] == [
        "0.07×", "1.00×", "9.99×", "10×", "123×",
    ]  # fmt: skip
    assert [units.percent(one) for one in (0, 0.02, 0.005, 0.0005, 0.123, 0.95, 0.998, 1, 1.4, -0.054)] == [
        "0 %", "2 %", "0.5 %", "0.05 %", "12 %", "95 %", "99.8 %", "100 %", "140 %", "−5.4 %",
    ]  # fmt: skip


def test_colours_of_ratios_are_symmetric_on_a_logarithmic_scale() -> None:
    ratios = [0.1, 0.3, 0.6, 0.9, 0.98, 1.0, 1.02, 1 / 0.9, 1 / 0.6, 1 / 0.3, 10]
    assert [shade(one, 0.03) for one in ratios] == [-4, -3, -2, -1, 0, 0, 0, 1, 2, 3, 4]


def test_networks_are_called_by_what_matters_most() -> None:
    plain = record(cell({"h1x6": [1.0]}, over=network(0.1, loss=0.005)))
    assert titles(plain) == ["100 ms, 10 Mbit/s, 0.5 % loss"]
    preset = replace(network(0.028, rate=5e6), name="cable")
    assert titles(record(cell({"h1x6": [1.0]}, over=preset))) == ["cable"]
    assert titles(record({"h1x6": [1.0]})) == ["Loopback"]


def test_networks_that_would_be_called_the_same_keep_their_names() -> None:
    two = [replace(network(0.1), name=f"rtt=100ms,queue={packets}") for packets in (10, 100)]
    assert titles(record(*(cell({"h1x6": [1.0]}, over=one) for one in two))) == [one.name for one in two]


def test_a_network_is_described_in_one_line() -> None:
    way = Direction(delay=0.01, jitter=0.002, rate=None, queue=None)
    slow = replace(network(0.02, rate=1e6, loss=0.01).up, queue=50)
    assert described(Network(name="x", spec="x", down=way, up=slow)) == (
        "20 ms round trip, unlimited down, 1 Mbit/s up, jitter up to 2 ms, 0 % loss down, 1 % up"
    )


def test_axes_are_found_where_networks_form_a_line_or_a_full_grid() -> None:
    grid = [network(rtt, loss=loss) for rtt in (0.01, 0.1) for loss in (0.0, 0.01)]
    assert [axis.words for axis in axes(grid) or []] == ["round trip", "loss"]
    assert [axis.words for axis in axes(grid[::2]) or []] == ["round trip"]
    assert axes(grid[:3]) is None
    assert axes([network(0.1, rate=1e6), network(0.01, rate=1e7)]) is None


def test_a_queue_that_grows_with_the_round_trip_is_no_axis_of_its_own() -> None:
    swept = parse_sweep(["rtt=10|100|300ms", "loss=0|1%"], None).networks
    assert len({one.down.queue for one in swept}) > 1
    assert [axis.words for axis in axes(swept) or []] == ["round trip", "loss"]
    queues = parse_sweep(["queue=10|100|1000"], None).networks
    assert [axis.words for axis in axes(queues) or []] == ["queue"]


def test_a_cut_timeline_keeps_the_connections_and_the_losses_of_what_is_drawn() -> None:
    whole = timeline(30, connections=3, losses=200)
    cut = first(whole, 2)
    assert len(cut.requests) == 2
    assert [one.connection for one in cut.requests] == [0, 1]
    assert cut.connections == whole.connections[:2]
    assert max(one.at for one in cut.losses) <= cut.requests[-1].done
    later = first(replace(whole, requests=whole.requests[2:]), 1)
    assert later.connections == whole.connections[2:]
    assert later.requests[0].connection == 0


def test_paths_are_shortened_to_what_differs() -> None:
    resources = [
        ResourceInfo(path=path, kind="data", size=1)
        for path in (
            "/",
            "/page/assets/script-04.js",
            "/page/a-very-long-name-of-a-file.js",
            "/long/directory/name/",
        )
    ]
    drawn = lay_out(timeline(4)).drawn(resources, Scale(0.0, 1.0))
    said = [one.text for one in ET.fromstring(tag("svg", drawn)).iter("text")]
    assert said == ["connection 1", "/", "…/script-04.js", "…ame-of-a-file.js", "…/name/"]


@given(st.integers(0, 150), st.integers(1, 100))
def test_a_panel_fits_on_a_page_whatever_it_shows(requests: int, connections: int) -> None:
    layout = lay_out(timeline(requests, connections=connections))
    assert layout.bottom <= 960
    tops = [y for rows in layout.rows for y in rows]
    assert len(tops) == requests
    assert tops == sorted(tops)
    assert math.isclose(layout.bottom, len(layout.lanes) * layout.head + requests * layout.pitch)


def test_an_axis_is_for_all_values_unless_a_few_would_take_its_better_half() -> None:
    usual, wide = [1.0, 1.01, 1.02, 1.03, 1.04], [1.0, 2.0, 3.0, 5.0]
    assert span([usual, [1.5, 1.51, 1.52]]) == (1.0, 1.52)
    assert span([[*usual, 9.0]]) == (1.0, 1.04)
    assert span([[*usual, 9.0]], also=(0.5,)) == (0.5, 1.04)
    assert span([[*usual, 9.0], wide]) == (1.0, 9.0)
    assert span([wide]) == (1.0, 5.0)
    assert span([[2.0]]) == (2.0, 2.0)


@given(groups=st.lists(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=20), min_size=1, max_size=4))
def test_every_group_has_something_on_its_axis(groups: list[list[float]]) -> None:
    low, high = span(groups)
    assert all(any(low <= value <= high for value in group) for group in groups)
