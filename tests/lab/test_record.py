from __future__ import annotations

import json

import pytest

from plait.errors import ConfigError
from plait.lab.record import SCHEMA_VERSION, Record
from plait.lab.samples import Medium
from tests.support.lab_samples import cell, link_use, measurement, network, record, timeline

LOSSY = network(0.1, loss=0.01)
A_RECORD = record(
    cell(
        {
            "h1x6": [1.25, measurement(1.5, server=None, timeline=timeline(3, connections=2, losses=1))],
            "h1x6-again": [1.25, 1.5],
            "h2": ["lost 1 of 3 responses (/1)", measurement(0.25, bytes_sent=None, fields=None, tcp=None)],
        },
        over=LOSSY,
        link=link_use(),
    ),
    cell({"h1x6": [1.0], "h2": [0.5]}),
)


def test_a_record_survives_being_written_and_read() -> None:
    assert Record.from_json(A_RECORD.to_json()) == A_RECORD


def test_the_written_record_has_its_schema_version_and_every_latency() -> None:
    written = json.loads(A_RECORD.to_json())
    assert written["schema_version"] == SCHEMA_VERSION == 2
    samples = written["cells"][0]["samples"]
    assert samples[0]["measurement"]["latencies"] == [1000, 2000, 3000]
    assert samples[2]["failure"] == "lost 1 of 3 responses (/1)"
    assert samples[2]["measurement"] is None


def test_failed_runs_are_not_among_the_measured() -> None:
    first = A_RECORD.cells[0]
    assert [run.load for run in first.measurements("h2")] == [0.25]
    assert first.loads("h2") == {1: 0.25}
    assert first.failures("h2") == ["lost 1 of 3 responses (/1)"]
    assert first.failures("h1x6") == []


def test_a_record_says_over_what_it_was_taken_and_who_ran_twice() -> None:
    assert A_RECORD.medium is Medium.EMULATED
    assert [one.again for one in A_RECORD.contenders] == [None, "h1x6", None]
    assert A_RECORD.title("h2") == "HTTP/2"


def test_samples_of_another_schema_version_are_refused() -> None:
    written = json.loads(A_RECORD.to_json()) | {"schema_version": 1}
    with pytest.raises(ConfigError, match="schema version 1; this plait reads 2"):
        Record.from_json(json.dumps(written))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"schema_version": 2}', '{"schema_version": 2, "x": 2}']
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not samples of plait compare"):
        Record.from_json(text)


def test_a_value_of_the_wrong_kind_is_refused_and_quoted() -> None:
    written = json.loads(A_RECORD.to_json()) | {"seed": "seven"}
    with pytest.raises(ConfigError, match="'seven' is not what belongs here"):
        Record.from_json(json.dumps(written))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"reference": "h3"}, "'h3' is none of its contenders"),
        ({"contenders": []}, "'h1x6' is none of its contenders"),
        ({"confidence": 95.0}, "its margin and its confidence are not shares"),
        ({"resources": []}, "a request is for none of its resources"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(change: dict[str, object], sentence: str) -> None:
    written = json.loads(A_RECORD.to_json()) | change
    with pytest.raises(ConfigError, match=sentence):
        Record.from_json(json.dumps(written))


@pytest.mark.parametrize("load", [0, -1.5, 1e308, float("nan"), float("inf")])
def test_a_load_that_took_no_time_or_for_ever_is_refused(load: float) -> None:
    written = json.loads(A_RECORD.to_json())
    written["cells"][0]["samples"][0]["measurement"]["load"] = load
    with pytest.raises(ConfigError, match="a load cannot have taken"):
        Record.from_json(json.dumps(written))


def test_percent_of_cpu_is_user_and_system_time_in_elapsed_time() -> None:
    assert measurement(1.75, elapsed=2.0, user=1.0, system=0.5).cpu_percent == 75
