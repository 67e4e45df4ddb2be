from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from plait.lab.contenders import STANDARD, Contender, contender_named
from plait.lab.runner import crawl_once, run_blocks
from plait.lab.samples import Measurement
from plait.lab.scenarios import Scenario, paths_scenario
from plait.lab.target import Target
from tests.support.small_server import SmallServer, small_server

pytest.importorskip("requests")
NOWHERE = Target(scheme="http", host="127.0.0.1", port=9)
CONTENTS = {f"/{n}": b"content %d " % n * 50 for n in range(40)}


def crawl(server: SmallServer, scenario: Scenario, **options: object) -> Measurement | str:
    settings = {"in_flight": 100, "time_limit": 60.0, **options}
    return crawl_once(contender_named("requests"), server.target, scenario, **settings)  # type: ignore[arg-type]


def run_program(program: str, time_limit: float = 60.0) -> Measurement | str:
    nothing = Scenario(name="nothing", index=None, paths=(), expected={})
    return crawl_once(
        STANDARD[0],
        NOWHERE,
        nothing,
        in_flight=1,
        time_limit=time_limit,
        command=[sys.executable, "-I", "-c", program],
    )


def test_a_crawl_is_measured_with_all_its_figures() -> None:
    with small_server(CONTENTS) as server:
        scenario = paths_scenario(server.target, [*CONTENTS], frozenset("1"))
        measured = crawl(server, scenario, server_pid=os.getpid())
    assert isinstance(measured, Measurement), measured
    assert measured.elapsed > measured.user > 0
    assert measured.system > 0
    assert 0 < measured.cpu_percent < 400
    assert 5_000_000 < measured.peak_memory < 500_000_000
    assert measured.connections == 1
    assert len(measured.latencies) == len(CONTENTS)
    assert all(0 < latency < measured.elapsed * 1e6 for latency in measured.latencies)
    assert measured.requests_per_second == pytest.approx(len(CONTENTS) / measured.elapsed)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_bytes_of_a_crawl_are_counted_by_the_kernel_to_the_last_one() -> None:
    content = b"x" * 100_000
    with small_server({"/": content}) as server:
        scenario = paths_scenario(server.target, ["/"], frozenset("1"))
        measured = crawl(server, scenario, server_pid=os.getpid())
        again = crawl(server, paths_scenario(server.target, ["/", "/"], frozenset("1")))
    assert isinstance(measured, Measurement)
    assert isinstance(again, Measurement)
    assert measured.bytes_sent
    assert measured.bytes_received
    assert again.bytes_sent == 2 * measured.bytes_sent
    assert again.bytes_received == 2 * measured.bytes_received
    assert len(content) < measured.bytes_received < len(content) + 300
    assert measured.server is not None
    assert measured.server.total > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_peak_memory_is_that_of_the_crawler_and_not_of_its_parent() -> None:
    ballast = bytearray(300_000_000)
    ballast[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(ballast[:: os.sysconf("SC_PAGE_SIZE")])
    with small_server(CONTENTS) as server:
        measured = crawl(server, paths_scenario(server.target, ["/1"], frozenset("1")))
    assert isinstance(measured, Measurement)
    assert measured.peak_memory < 150_000_000


def test_a_server_that_changes_one_response_fails_the_crawl() -> None:
    with small_server(dict(CONTENTS)) as server:
        scenario = paths_scenario(server.target, [*CONTENTS], frozenset("1"))
        server.contents["/7"] = server.contents["/7"].upper()
        failure = crawl(server, scenario)
    assert failure == "received something else than expected for 1 of 40 responses (/7)"


def test_a_server_that_loses_one_response_fails_the_crawl() -> None:
    with small_server(dict(CONTENTS)) as server:
        scenario = paths_scenario(server.target, [*CONTENTS], frozenset("1"))
        del server.contents["/7"]
        failure = crawl(server, scenario)
    assert failure == "received something else than expected for 1 of 40 responses (/7)"


def test_a_server_that_goes_away_fails_the_crawl() -> None:
    with small_server(CONTENTS) as server:
        scenario = paths_scenario(server.target, ["/1"], frozenset("1"))
    failure = crawl(server, scenario)
    assert isinstance(failure, str)
    assert failure.startswith("ConnectionError: ")
    assert "\n" not in failure


def test_a_crawl_that_hangs_is_killed() -> None:
    hang = threading.Event()
    with small_server(CONTENTS) as server:
        scenario = paths_scenario(server.target, ["/1"], frozenset("1"))
        server.before_answering = lambda path: hang.wait()
        failure = crawl(server, scenario, time_limit=0.7)
        hang.set()
    assert failure == "was not done after 0.7 seconds and was killed"


def test_a_crawler_that_dies_is_reported_with_its_last_words() -> None:
    assert run_program("raise SystemExit('no more')") == "ended with exit status 1: no more"
    assert run_program("import os; os.kill(os.getpid(), 9)") == "was ended by signal 9"
    assert run_program("print('not json')") == "ended without a result"
    assert run_program("1/0") == "ended with exit status 1: ZeroDivisionError: division by zero"


def test_a_crawler_that_says_more_than_a_pipe_holds_does_not_block() -> None:
    talk = "import sys; sys.stdout.write('x' * 10**6); sys.stderr.write('y' * 10**6); sys.exit('\\nend')"
    assert run_program(talk) == "ended with exit status 1: end"


def test_a_crawler_is_not_led_astray_by_modules_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('led astray')")
    monkeypatch.chdir(tmp_path)
    with small_server(CONTENTS) as server:
        assert isinstance(crawl(server, paths_scenario(server.target, ["/1"], frozenset("1"))), Measurement)


def orders(seed: int, repeats: int = 4) -> list[list[str]]:
    samples = run_blocks(
        STANDARD,
        lambda contender: "not run",
        repeats=repeats,
        seed=seed,
        progress=lambda block, contender: None,
    )
    return [[s.contender for s in samples if s.block == block] for block in range(repeats)]


def test_every_block_has_every_contender_once_in_an_order_of_its_own() -> None:
    blocks = orders(seed=1)
    assert all(sorted(block) == sorted(c.name for c in STANDARD) for block in blocks)
    assert len({tuple(block) for block in blocks}) > 1


def test_the_seed_decides_the_order() -> None:
    assert orders(seed=1) == orders(seed=1)
    assert orders(seed=1) != orders(seed=2)


def test_progress_is_told_before_each_run() -> None:
    told: list[str] = []

    def run(contender: Contender) -> str:
        told.append(f"ran {contender.name}")
        return "not measured"

    run_blocks(
        STANDARD[:1], run, repeats=2, seed=1, progress=lambda block, c: told.append(f"{block} {c.name}")
    )
    assert told == ["0 h1-serial", "ran h1-serial", "1 h1-serial", "ran h1-serial"]
