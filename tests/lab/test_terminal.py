"""What a comparison prints: tables, and what was found in words."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from plait.lab.analysis import analyse
from plait.lab.changes import compare_runs
from plait.lab.record import Cell, Record
from plait.lab.samples import Medium
from plait.lab.terminal import write, write_changes
from tests.support.lab_samples import cell, loads, measurement, network, record

TITLE = "HTTP/1.1 on 6 connections"


def printed(what: Record, width: int = 120) -> str:
    file = io.StringIO()
    write(what, analyse(what), Console(file=file, width=width, highlight=False))
    return file.getvalue()


def rows(text: str, title: str) -> list[Sequence[str]]:
    """Return the words behind a title, of every row of a table that begins with it."""
    return [
        line.strip().removeprefix(title).split()
        for line in text.splitlines()
        if line.strip().startswith(title + " ")
    ]


def ten(seconds: float, seed: int = 1) -> list[float]:
    return loads(10, seconds, seed=seed)


FOUR = {"h1x1": ten(4.0), "h1x6": ten(1.0, 2), "h1x6-again": ten(1.0, 3), "h2": ten(0.25, 4)}


def test_a_row_has_load_ratio_interval_and_verdict() -> None:
    text = printed(record(FOUR))
    load, cost, wire = rows(text, "HTTP/2")[:3]
    assert load[0].startswith("0.2")
    assert load[1].startswith("0.2")
    assert load[-1] == "faster"
    assert rows(text, TITLE)[0][1:] == ["1.00", "reference"]
    assert rows(text, "HTTP/1.1 on 1 connection")[0][-1] == "slower"
    assert rows(text, "the same, again")[0][-3:] == ["no", "practical", "difference"]
    assert len(cost) == 6
    assert len(wire) == 6


def test_the_seed_and_the_environment_are_printed() -> None:
    text = printed(record(FOUR))
    assert "seed 7" in text
    assert "Linux 6.1, 2 CPUs" in text


def test_the_tables_fit_eighty_columns() -> None:
    text = printed(record(FOUR), width=80)
    assert "…" not in text
    assert rows(text, "HTTP/2")[0][-1] == "faster"


def test_what_is_not_told_is_a_dash() -> None:
    unknown = measurement(1.0, bytes_sent=None, bytes_received=None, server=None, fields=None, latencies=())
    _, cost, wire = rows(printed(record({"h1x6": [unknown]})), TITLE)[:3]
    assert cost[-1] == "-"
    assert wire == ["-", "-", "1", "-", "-", "-"]


def test_the_verdict_is_said_in_words_with_its_interval() -> None:
    text = " ".join(printed(record(FOUR)).split())
    assert "HTTP/2 as it is meant instead of HTTP/1.1 as browsers use it: HTTP/2 was 4.0" in text
    assert "Six connections instead of one, over HTTP/1.1" in text
    assert f"Noise floor: {TITLE} against itself: no practical difference" in text


def test_a_contender_that_failed_is_not_timed() -> None:
    text = printed(record({"h1x6": ten(1.0), "h2": ["lost 1 of 3 responses (/1)"] * 10}))
    assert rows(text, "HTTP/2")[0] == ["failed", "-", "-", "-"]
    assert "HTTP/2 failed in every run and is not judged: lost 1 of 3 responses (/1)" in text
    assert "Nothing can be said" in text


def test_few_blocks_get_no_verdict() -> None:
    text = printed(record({"h1x6": [1.0, 1.1], "h2": [0.1, 0.11]}))
    assert "faster" not in text
    assert "2 of at least 10 blocks" in text


def test_a_network_is_described_above_its_table() -> None:
    text = printed(record(cell(FOUR, over=network(0.1, loss=0.01))))
    assert "RTT 100 ms, 10 Mbit/s down" in text
    assert "TCP cubic" in text


def test_many_networks_get_a_line_each() -> None:
    over = [network(rtt / 100) for rtt in range(1, 9)]
    text = printed(record(*(cell(FOUR, over=one) for one in over)))
    for one in over:
        [row] = rows(text, one.name)
        assert row[-1] == "faster"
        assert "10" in row


def test_what_was_modelled_is_called_modelled() -> None:
    assert "modelled, not emulated" in printed(record(FOUR, medium=Medium.MODELLED))


def test_a_change_between_two_runs_is_told_for_every_contender() -> None:
    before = record(FOUR)
    later = cell({**FOUR, "h2": ten(0.5, 9)})
    after = replace(before, cells=(Cell(network=None, samples=later.samples),), seed=8)
    file = io.StringIO()
    write_changes(compare_runs(before, after), Console(file=file, width=120, highlight=False))
    assert rows(file.getvalue(), "HTTP/2")[0][-1] == "slower"
    assert rows(file.getvalue(), TITLE)[0][-3:] == ["no", "practical", "difference"]
