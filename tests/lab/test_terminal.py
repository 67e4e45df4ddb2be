from __future__ import annotations

import io
import re
from collections.abc import Sequence

from rich.console import Console

from plait.lab.terminal import conclusion, write
from plait.lab.samples import Measurement, Record
from tests.support.lab_samples import measurement, record


def runs(*elapsed: float) -> list[Measurement]:
    return [measurement(seconds) for seconds in elapsed]


def printed(record: Record, width: int = 120) -> str:
    file = io.StringIO()
    write(record, Console(file=file, width=width, highlight=False))
    return file.getvalue()


def rows(text: str, title: str) -> list[Sequence[str]]:
    return [
        line.strip().removeprefix(title).split()
        for line in text.splitlines()
        if line.strip().startswith(title)
    ]


FOUR = {
    "h1-serial": runs(1.0, 1.2, 1.1, 1.1),
    "h1-pool-6": runs(0.5, 0.6, 0.55, 0.55),
    "h2-serial": runs(1.05, 1.3, 1.0, 1.1),
    "h2-window": runs(0.1, 0.11, 0.12, 0.11),
}


def test_the_tables_show_medians_spread_and_ratio_to_the_first_row() -> None:
    text = printed(record(FOUR))
    cost, exchanges = rows(text, "HTTP/2, window of 100")[:2]
    assert cost == ["0.055", "0.028", "75", "0.110", "0.100-0.120", "0.10", "20.0"]
    assert exchanges == ["27", "2.00", "2.98", "1", "1.0", "2.0", "0.025"]
    assert rows(text, "HTTP/1.1, 1 connection")[0][5] == "1.00"


def test_the_seed_and_the_environment_are_printed() -> None:
    assert "seed 7" in printed(record(FOUR))
    assert "Linux 6.1, 2 CPUs" in printed(record(FOUR))


def test_the_tables_fit_eighty_columns() -> None:
    text = printed(record(FOUR), width=80)
    assert "…" not in text
    assert rows(text, "HTTP/2, window of 100")[0][4:] == ["0.100-0.120", "0.10", "20.0"]


def test_what_the_platform_does_not_tell_is_a_dash() -> None:
    unknown = measurement(1.0, bytes_sent=None, bytes_received=None, server=None)
    exchanges = rows(printed(record({"h1-serial": [unknown]})), "HTTP/1.1, 1 connection")[1]
    assert exchanges[-3:] == ["-", "-", "-"]


def test_a_contender_that_failed_is_not_timed() -> None:
    text = printed(record({"h1-serial": runs(1.0, 1.0), "h2-window": ["lost 1 of 3 responses (/1)"] * 2}))
    assert rows(text, "HTTP/2, window of 100")[0] == ["-", "-", "-", "failed", "-", "-", "-"]
    assert "HTTP/2, window of 100 failed and is not timed: lost 1 of 3 responses (/1)" in text


def test_a_contender_that_failed_once_says_so_beside_its_other_runs() -> None:
    text = printed(record({"h1-serial": [*runs(1.0), "was ended by signal 9"]}))
    assert (
        "HTTP/1.1, 1 connection failed in 1 of 2 runs and is timed in the others: was ended by signal 9"
        in text
    )


def test_without_the_first_row_there_is_no_ratio() -> None:
    text = printed(record({"h1-serial": ["failed"], "h2-window": runs(1.0)}))
    assert rows(text, "HTTP/2, window of 100")[0][5] == "-"


def test_the_conclusion_keeps_apart_what_one_and_what_two_changes_did() -> None:
    found = conclusion(record(FOUR))
    assert "over loopback and so with no network in between" in found
    assert re.search(
        r"window of 100 was 10\.0 times quicker than HTTP/1\.1, 1 connection .*two things at once", found
    )
    assert "HTTP/2, serial and HTTP/1.1, 1 connection do not differ clearly" in found
    assert "HTTP/1.1, 6 connections was 2.0 times quicker than HTTP/1.1, 1 connection" in found
    assert "HTTP/2, window of 100 was 5.0 times quicker than HTTP/1.1, 6 connections" in found


def test_a_server_of_http_2_only_shows_what_multiplexing_did() -> None:
    found = conclusion(record({"h2-serial": runs(*[1.0] * 4), "h2-window": runs(*[0.1] * 4)}))
    assert "over one connection of HTTP/2: HTTP/2, window of 100 was 10.0 times quicker" in found


def test_another_client_is_a_third_change() -> None:
    found = conclusion(record({"h2-chunks": runs(*[1.0] * 4), "requests": runs(*[9.0] * 4)}))
    assert "HTTP/2, chunks of 100 was 9.0 times quicker than requests, 1 connection" in found
    assert "That changes three things" in found


def test_what_is_slower_is_called_slower() -> None:
    found = conclusion(record({"h1-serial": runs(*[1.0] * 4), "h2-serial": runs(*[3.0] * 4)}))
    assert (
        "HTTP/2, serial was 3.0 times slower than HTTP/1.1, 1 connection (3.000 s against 1.000 s)" in found
    )


def test_few_runs_get_no_verdict() -> None:
    found = conclusion(record({"h1-serial": runs(1.0, 1.1, 1.2), "h2-serial": runs(3.0, 3.1, 3.2)}))
    assert "took 3.100 s against 1.100 s of HTTP/1.1, 1 connection; too few runs" in found
    assert "slower" not in found


def test_a_server_elsewhere_is_named_with_the_network_in_between() -> None:
    found = conclusion(record(FOUR, loopback=False))
    assert found.startswith("From this one machine to https://127.0.0.1:8443, over whatever network")


def test_without_two_contenders_nothing_can_be_said() -> None:
    assert "nothing can be said" in conclusion(record({"h1-serial": runs(1.0), "h2-window": ["failed"]}))
