from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from plait.lab.analysis import analyse
from plait.lab.record import Cell, Record
from plait.lab.report import render
from plait.lab.samples import Medium
from tests.support.lab_samples import cell, loads, measurement, network, record, timeline
from tests.support.report_records import DEFAULT, simulated

HOSTILE = (
    "</script><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "<!-- ]]> &amp; &lt;",
    "null\x00 bell\x07 \ud800 lone \u202egnp.exe",
)
VOID = {"meta", "input", "br"}


class Page(HTMLParser):
    """Reads a page, and refuses what is not closed or closed twice."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {self.get_starttag_text()}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def written(record: Record) -> str:
    return render(record, analyse(record))


def drawings(page: str) -> Iterator[ET.Element]:
    """Cut out every outermost drawing and read it as XML."""
    depth, start = 0, 0
    for found in re.finditer(r"<svg\b|</svg>", page):
        if found[0] == "<svg":
            start = start if depth else found.start()
            depth += 1
        else:
            depth -= 1
            if not depth:
                yield ET.fromstring(page[start : found.end()])


def texts(element: ET.Element) -> list[str]:
    return ["".join(one.itertext()) for one in element.iter("text")]


def classes(element: ET.Element, name: str) -> list[ET.Element]:
    return [one for one in element.iter() if name in one.get("class", "").split()]


def hostile(record: Record, text: str) -> Record:
    """Put a text wherever a user's text can stand."""
    assert record.cells[0].network
    evil = replace(record.cells[0].network, name=text, spec=text)
    return replace(
        record,
        started=text,
        command=text,
        workload=text,
        base_url=text,
        environment=replace(record.environment, kernel=text, packages={text: text}),
        resources=tuple(replace(one, path=text) for one in record.resources),
        contenders=tuple(replace(one, title=text) for one in record.contenders),
        cells=(replace(record.cells[0], network=evil), *record.cells[1:]),
    )


@pytest.fixture(scope="module")
def default() -> str:
    return written(simulated([network(0.1)], blocks=60))


@pytest.fixture(scope="module")
def lossy() -> Record:
    return simulated([network(0.1, loss=0.01)], blocks=12, requests=30, size=20_000)


def test_a_report_of_the_default_run_is_well_formed_and_below_500_kb(default: str) -> None:
    Page(default)
    assert len(default.encode()) < 500_000
    assert sum(1 for _ in drawings(default)) > 8


def test_nothing_is_fetched_from_anywhere(default: str) -> None:
    page = Page(default)
    for _, attributes in page.elements:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
        assert "style" not in attributes, "the policy would not let it through"
    outside = re.sub(r"<script type=\"application/json\".*?</script>", "", default, flags=re.S)
    assert not re.search(r"@import|url\((?!#)|<link|<iframe|<object|<base", outside)
    policy = next(one["content"] for one in page.all("meta") if "http-equiv" in one)
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_names_are_given_once_and_refer_to_something(default: str) -> None:
    page = Page(default)
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in page.elements:
        wanted = (attributes.get("aria-labelledby") or "").split()
        wanted += [(attributes.get("href") or "").lstrip("#")] if attributes.get("href") else []
        wanted += [attributes["data-rows"] or ""] if "data-rows" in attributes else []
        assert set(wanted) <= set(names)


def test_every_drawing_is_named_or_hidden_and_every_figure_has_a_caption_and_a_table(default: str) -> None:
    for drawing in drawings(default):
        if drawing.get("aria-hidden") != "true":
            assert drawing.get("role") in ("img", "group")
            assert drawing.findtext("title")
    figures = re.findall(r"<figure\b.*?</figure>", default, flags=re.S)
    assert len(figures) == 4
    for figure in figures:
        assert figure.count("<figcaption>") == 1
        assert "<table>" in figure
        assert "<summary>Show the data as a table</summary>" in figure


def test_headings_go_down_one_level_at_a_time(default: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(default).elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_sections_stand_in_their_order(default: str) -> None:
    order = ["Verdict", "100 ms, 10 Mbit/s", "How long a load took", "Block by block", "What happened when",
             "What a load costs", "Why", "Environment and samples"]  # fmt: skip
    assert re.findall(r"<h[23] id=[^>]*>(.*?)</h", default) == order


def test_every_contender_is_labelled_in_every_figure(default: str) -> None:
    drawn = {one.get("aria-labelledby", "").split("-t")[0]: one for one in drawings(default)}
    names = set(DEFAULT)
    ecdf = texts(drawn["network-0-ecdf-svg"])
    assert all(any(text.startswith(f"{name} ") for text in ecdf) for name in names)
    pairs = texts(drawn["network-0-pairs-svg"])
    assert all(any(text.startswith(f"{name} ") for text in pairs) for name in names - {"h1x6"})
    falls = re.findall(r'<details class="panel"[^>]*data-contender="([^"]*)"', default)
    assert set(falls) == names - {"h1x6-again"}


def test_the_verdict_is_the_finding_in_words_with_the_noise_beside_it() -> None:
    samples = record(
        cell(
            {
                "h1x6": loads(12, 1.0, seed=1),
                "h2": loads(12, 0.25, seed=1),
                "h1x6-again": loads(12, 1.0, seed=1),
            },
            over=network(0.1),
        )
    )
    page = written(samples)
    found = analyse(samples).cells[0]
    assert found.primary
    assert found.noise
    assert found.primary.sentence(samples.title) in page
    assert '<span class="figure">4.0×</span><span class="word">faster</span>' in page
    assert f"The same contender twice: {found.noise.words()}." in page
    assert "100 ms round trip, 10 Mbit/s down, 10 Mbit/s up, a queue of 100 packets, no random loss" in page


def test_a_small_difference_is_not_rounded_up_in_the_headline() -> None:
    page = written(record({"h1x6": loads(30, 1.06, noise=0.002, seed=1), "h2": loads(30, 1.0, noise=0.002)}))
    assert '<span class="figure">1.06×</span><span class="word">faster</span>' in page


def test_a_refused_verdict_says_why() -> None:
    page = written(
        record(
            cell(
                {
                    "h1x6": loads(12, 1.0, seed=1),
                    "h2": loads(12, 0.5, seed=2),
                    "h1x6-again": loads(12, 1.5, seed=3),
                },
                over=network(0.1),
            )
        )
    )
    assert 'class="headline open"' in page
    assert "the lab could not tell a contender from itself" in page


@pytest.mark.parametrize(
    ("medium", "words"),
    [
        (Medium.MODELLED, "Modelled, not emulated: a relay delayed bytes between two connections."),
        (Medium.LOOPBACK, "Loopback: client and server were on one machine, with no network in between."),
        (Medium.REAL, "A real network, whatever it was like meanwhile."),
    ],
)
def test_what_lay_in_between_is_said_before_the_verdict(medium: Medium, words: str) -> None:
    page = written(record({"h1x6": [1.0] * 12, "h2": [0.5] * 12}, medium=medium))
    assert 0 < page.index(words) < page.index('class="headline')


def test_cells_of_the_map_are_hatched_only_when_undecided() -> None:
    cells = [
        _cell(0.01, 0.0, loads(12, 1.0, noise=0.001, seed=1)),
        _cell(0.1, 0.0, loads(12, 0.3, seed=2)),
        _cell(0.01, 0.01, loads(12, 1.0, noise=0.5, seed=3)),
        _cell(0.1, 0.01, loads(12, 1.9, seed=4)),
    ]
    samples = record(*cells)
    drawn = next(one for one in drawings(written(samples)) if one.get("role") == "group")
    verdicts = [one.primary.verdict for one in analyse(samples).cells if one.primary]
    assert sorted(verdicts) == ["faster", "no practical difference", "not enough data", "slower"]
    found = drawn.findall(".//a")
    assert len(found) == 4
    for one in found:
        label = one.get("aria-label", "")
        assert bool(classes(one, "hatched")) == ("not enough data" in label), label
        assert one.get("href", "").startswith("#network-")
    words = " ".join(texts(drawn))
    assert all(tick in words for tick in ("10 ms", "100 ms", "0 %", "1 %", "round trip", "loss"))


def _cell(rtt: float, loss: float, h2: list[float]) -> Cell:
    return cell({"h1x6": [1.0] * 12, "h2": h2}, over=network(rtt, loss=loss))


def test_one_swept_axis_is_a_line_and_named_networks_are_rows() -> None:
    line = written(record(*(_cell(rtt, 0.0, loads(12, 0.5)) for rtt in (0.01, 0.1, 0.3))))
    assert "Ratio by round trip" in line
    mixed = [
        replace(network(rtt, rate=rate), name=name)
        for name, rtt, rate in (("fiber", 0.01, 1e8), ("cable", 0.03, 2e7), ("3g", 0.3, 1e6))
    ]
    rows = written(record(*(cell({"h1x6": [1.0] * 12, "h2": [0.5] * 12}, over=one) for one in mixed)))
    drawn = next(one for one in drawings(rows) if one.findtext("title") == "Ratio on each network")
    said = texts(drawn)
    assert [next(text for text in said if text.startswith(one.name)) for one in mixed]


def test_who_is_far_slower_stands_beyond_the_axis_and_squeezes_nobody() -> None:
    runs = {
        "h1x6": loads(12, 2.3),
        "h2": loads(12, 0.8),
        "h1x1": loads(12, 10.7),
        "h2-serial": loads(12, 10.6),
    }
    page = written(record(runs, reference="h1x6"))
    [drawn] = [one for one in drawings(page) if one.findtext("title") == "Distribution of the loads' times"]
    assert [one for one in texts(drawn) if one.endswith("→")] == ["h2-serial 10.6 s →", "h1x1 10.7 s →"]
    assert "(logarithmic)" not in "".join(texts(drawn))
    assert len(classes(drawn, "marker")) == len(classes(drawn, "band")) == 2
    assert "Beyond the end of the axis are those with an arrow." in page


def test_a_load_far_beyond_all_others_is_told_and_does_not_stretch_the_axes() -> None:
    late = [*loads(29, 0.8), 6.5]
    page = written(record({"h1x6": loads(30, 1.0), "h2": late}, reference="h1x6"))
    assert "</tspan> 1 of 30 loads later, until 6.50 s →" in page
    assert "(logarithmic)" not in page
    assert "Arrows at the edges are blocks beyond the axis." in page
    pairs = next(one for one in drawings(page) if one.findtext("title") == "Paired differences from h1x6")
    assert [one.get("data-tip") for one in classes(pairs, "dot") if one.tag == "path"] == [
        "h2, block 30: 6.50×"
    ]
    assert all(float(one[:-1]) < 2 for one in texts(pairs) if one.endswith("×"))


def test_one_network_has_no_map(default: str) -> None:
    assert "Decision map" not in default


@pytest.mark.parametrize("text", HOSTILE)
def test_what_users_name_is_shown_and_never_run(lossy: Record, text: str) -> None:
    page = written(hostile(lossy, text))
    plain = Page(written(lossy))
    found = Page(page)
    # A command has a span for each of its words.
    shape = [[tag for tag, _ in one.elements if tag != "span"] for one in (plain, found)]
    assert shape[0] == shape[1]
    assert not any(key.startswith("on") for _, attributes in found.elements for key in attributes)
    for drawing in drawings(page):
        assert drawing.tag == "svg"
    page.encode("utf-8")
    assert "\u202e" not in page


def test_failures_and_warnings_are_escaped_too() -> None:
    page = written(record({"h1x6": [1.0] * 12, "h2": ["<b>lost</b>"] * 12}))
    assert "&lt;b&gt;lost&lt;/b&gt;" in page
    assert "<b>lost</b>" not in page.split('type="application/json"')[0]


def test_what_nobody_told_is_a_dash_with_its_reason() -> None:
    silent = measurement(1.0, fields=None, tcp=None, server=None, handshakes=None, bytes_sent=None)
    page = written(record({"h1x6": [silent] * 3, "h2": [silent] * 3}))
    table = page[page.index('class="budget"') :]
    assert "–<sup>1</sup>" in table
    for reason in ("this client does not tell", "the server was started by somebody else",
                   "there was no emulated link to count it"):  # fmt: skip
        assert f"<li>{reason}</li>" in table


def test_header_bytes_are_compared_with_what_http_1_1_writes() -> None:
    page = written(record({"h1x6": [1.0] * 3, "h2": [1.0] * 3}))
    assert "300 B<small> −67 %</small>" in page


def test_a_waterfall_draws_the_median_block_and_says_what_it_leaves_out() -> None:
    def run(load: float) -> object:
        return measurement(load, latencies=tuple(range(400)), timeline=timeline(400, connections=2))

    samples = record(
        {"h1x6": [run(1.0)] * 3, "h2": [run(0.9), run(0.2), run(0.5)]},  # type: ignore[list-item]
        resources=record({}).resources[:1] * 400,
    )
    page = written(samples)
    assert "The first 150 of 400 requests are drawn." in page
    assert re.findall(r"<b>h2</b> <span>([^<]*)</span></summary>", page) == ["500 ms in block 3"]


def test_losses_are_marked_in_the_lane_of_their_connection(lossy: Record) -> None:
    page = written(lossy)
    assert "packet lost at random" in page
    assert "packet sent again" in page
    falls = [one for one in drawings(page) if one.findtext("title", "").startswith("Waterfall")]
    assert any(classes(one, "lost") for one in falls)


def test_a_record_without_anything_measured_is_a_page_all_the_same() -> None:
    page = written(record({"h1x6": ["failed"], "h2": ["failed"]}))
    Page(page)
    assert "The main question was not measured here." in page
    assert "failed in every run and is not judged: failed" in page


def test_the_samples_travel_without_latencies_and_only_with_timelines_that_are_drawn(default: str) -> None:
    text = re.search(r'<script type="application/json" id="samples">(.*?)</script>', default, re.S)
    assert text
    samples = json.loads(text[1])
    assert samples["command"] == "plait compare --seed 7"
    assert len(samples["resources"]["rows"]) == 3001
    (only,) = samples["cells"]
    assert len(only["samples"]["rows"]) == 360
    assert not any("latencies" in column for column in only["samples"]["columns"])
    assert len(only["timelines"]) == 5


def test_more_networks_than_one_can_read_are_counted() -> None:
    cells = [_cell(0.01 * step, 0.0, loads(12, 0.5)) for step in range(1, 9)]
    page = written(record(*cells))
    assert "<b>8</b> of 8 networks: faster" in page
    folded = [one for one in Page(page).all("details") if one.get("class") == "network"]
    assert ["open" in one for one in folded] == [True] + [False] * 7


def test_intervals_that_are_wider_for_a_sweep_say_how_sure_they_are() -> None:
    page = written(record(*(_cell(rtt, 0.0, loads(12, 0.5)) for rtt in (0.01, 0.1, 0.3))))
    assert re.search(r"the bar its interval \(9\d\.?\d? %\)", page)
    again = {"h1x6": [1.0] * 12, "h2": [0.5] * 12, "h1x1": [2.0] * 12}
    page = written(record(*(cell(again, over=network(rtt)) for rtt in (0.01, 0.1, 0.3))))
    assert re.search(r"\(95 %; h2 9\d\.?\d? %, so that verdicts of all networks hold together\)", page)


def test_samples_that_were_saved_from_a_report_make_a_report_again(lossy: Record) -> None:
    bare = replace(
        lossy,
        cells=tuple(
            replace(
                one,
                samples=tuple(
                    replace(sample, measurement=replace(sample.measurement, latencies=(), timeline=None))
                    for sample in one.samples
                    if sample.measurement
                ),
            )
            for one in lossy.cells
        ),
    )
    page = written(bare)
    assert "What happened when" not in page
    assert (
        page[page.index('class="budget"') :].split("Why")[0]
        == (written(lossy)[written(lossy).index('class="budget"') :].split("Why")[0])
    )


def test_the_command_can_be_copied_as_it_was_given() -> None:
    command = "plait compare 'my  app:app' --network rtt=100ms,loss=1% --seed 7"
    page = written(record({"h1x6": [1.0], "h2": [1.0]}, command=command))
    found = re.search(r'<pre class="command".*?</pre>', page)
    assert found
    assert "".join(ET.fromstring(found[0]).itertext()) == command
