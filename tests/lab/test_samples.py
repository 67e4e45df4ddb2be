from __future__ import annotations

import json

import pytest

from plait.errors import ConfigError
from plait.lab.samples import SCHEMA_VERSION, Record
from tests.support.lab_samples import measurement, record

A_RECORD = record(
    {
        "h1-serial": [measurement(1.25), measurement(1.5, server=None)],
        "h2-window": ["lost 1 of 3 responses (/1)", measurement(0.25, bytes_sent=None, bytes_received=None)],
    }
)


def test_a_record_survives_being_written_and_read() -> None:
    assert Record.from_json(A_RECORD.to_json()) == A_RECORD


def test_the_written_record_has_its_schema_version_and_every_latency() -> None:
    written = json.loads(A_RECORD.to_json())
    assert written["schema_version"] == SCHEMA_VERSION == 1
    assert written["samples"][0]["measurement"]["latencies"] == [1000, 2000, 3000]
    assert written["samples"][2]["failure"] == "lost 1 of 3 responses (/1)"
    assert written["samples"][2]["measurement"] is None


def test_failed_runs_are_not_among_the_measured() -> None:
    assert [run.elapsed for run in A_RECORD.measurements("h2-window")] == [0.25]
    assert A_RECORD.failures("h2-window") == ["lost 1 of 3 responses (/1)"]
    assert A_RECORD.failures("h1-serial") == []


def test_samples_of_another_schema_version_are_refused() -> None:
    written = json.loads(A_RECORD.to_json()) | {"schema_version": 99}
    with pytest.raises(ConfigError, match="schema version 99; this plait reads 1"):
        Record.from_json(json.dumps(written))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"schema_version": 1}', '{"schema_version": 1, "x": 2}']
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not samples of plait compare"):
        Record.from_json(text)


def test_percent_of_cpu_is_user_and_system_time_in_elapsed_time() -> None:
    assert measurement(2.0, user=1.0, system=0.5).cpu_percent == 75
