"""One run: a fresh process, measured from outside, that counts only when everything it received is right."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest

from plait.lab.network.link import LinkReport
from plait.lab.network.local import LocalHost
from plait.lab.runner import CRAWLER, Job, run_once, with_losses
from plait.lab.samples import Loss, Measurement
from plait.lab.target import Target
from plait.lab.workload import Expected, Resource, Workload
from tests.support.lab_samples import measurement, timeline
from tests.support.small_server import SmallServer, small_server

pytest.importorskip("requests")
NOWHERE = Target(scheme="http", host="127.0.0.1", port=9)
CONTENTS = {f"/{n}": b"content %d " % n * 50 for n in range(40)}


def workload(*paths: str) -> Workload:
    contents = [CONTENTS[path] for path in paths]
    return Workload(
        name="test",
        resources=tuple(Resource(path=path) for path in paths),
        expected=tuple(
            Expected(status=200, size=len(content), digest=sha256(content).hexdigest())
            for content in contents
        ),
    )


def load(
    target: Target,
    what: Workload,
    *,
    contender: str = "h1x1",
    time_limit: float = 60.0,
    server_pid: int | None = None,
    command: tuple[str, ...] = CRAWLER,
) -> Measurement | str:
    job = Job(target=target, workload=what, in_flight=100, time_limit=time_limit)
    return run_once(contender, job, host=LocalHost(), server_pid=server_pid, command=command)[0]


def run_program(program: str, time_limit: float = 60.0) -> Measurement | str:
    return load(NOWHERE, workload("/1"), time_limit=time_limit, command=(sys.executable, "-I", "-c", program))


def test_a_run_is_measured_with_all_its_figures() -> None:
    with small_server(CONTENTS) as server:
        measured = load(server.target, workload(*CONTENTS), server_pid=os.getpid())
    assert isinstance(measured, Measurement), measured
    assert measured.elapsed > measured.user > 0
    assert measured.elapsed > measured.load > 0
    assert measured.system > 0
    assert 0 < measured.cpu_percent < 400
    assert 5_000_000 < measured.peak_memory < 500_000_000
    assert measured.connections == 1
    assert len(measured.latencies) == len(CONTENTS)
    assert all(0 < latency <= measured.load * 1e6 for latency in measured.latencies)
    assert measured.requests_per_second == pytest.approx(len(CONTENTS) / measured.load)
    assert measured.timeline is not None
    assert len(measured.timeline.requests) == len(CONTENTS)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_bytes_of_a_run_are_counted_by_the_kernel_to_the_last_one() -> None:
    with small_server(CONTENTS) as server:
        measured = load(server.target, workload("/1"), server_pid=os.getpid(), contender="requests")
        again = load(server.target, workload("/1", "/1"), contender="requests")
    assert isinstance(measured, Measurement), measured
    assert isinstance(again, Measurement), again
    assert measured.bytes_sent
    assert measured.bytes_received
    assert again.bytes_sent == 2 * measured.bytes_sent
    assert again.bytes_received == 2 * measured.bytes_received
    assert len(CONTENTS["/1"]) < measured.bytes_received < len(CONTENTS["/1"]) + 300
    assert measured.server is not None
    assert measured.server.total > 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_peak_memory_is_that_of_the_contender_and_not_of_its_parent() -> None:
    ballast = bytearray(300_000_000)
    ballast[:: os.sysconf("SC_PAGE_SIZE")] = b"x" * len(ballast[:: os.sysconf("SC_PAGE_SIZE")])
    with small_server(CONTENTS) as server:
        measured = load(server.target, workload("/1"))
    assert isinstance(measured, Measurement), measured
    assert measured.peak_memory < 150_000_000


def changed(change: str) -> Measurement | str:
    with small_server(dict(CONTENTS)) as server:
        if change == "content":
            server.contents["/7"] = server.contents["/7"].upper()
        else:
            del server.contents["/7"]
        return load(server.target, workload(*CONTENTS))


@pytest.mark.parametrize("change", ["content", "status"])
def test_a_server_that_changes_one_response_fails_the_run(change: str) -> None:
    assert changed(change) == "received something else than expected for 1 of 40 responses (/7)"


def test_content_that_is_known_by_its_size_only_may_change() -> None:
    what = Workload(
        name="test",
        resources=(Resource(path="/7"),),
        expected=(Expected(status=200, size=len(CONTENTS["/7"])),),
    )
    with small_server({"/7": CONTENTS["/7"].upper()}) as server:
        assert isinstance(load(server.target, what), Measurement)
    with small_server({"/7": b"short"}) as server:
        assert load(server.target, what) == "received something else than expected for 1 of 1 responses (/7)"


def test_a_server_that_is_gone_fails_the_run() -> None:
    with small_server(CONTENTS) as server:
        target = server.target
    failure = load(target, workload("/1"), contender="requests")
    assert isinstance(failure, str)
    assert failure.startswith("ConnectionError: ")
    assert "\n" not in failure


def hanging(server: SmallServer, time_limit: float) -> Measurement | str:
    hang = threading.Event()
    server.before_answering = lambda path: hang.wait()
    try:
        return load(server.target, workload("/1"), time_limit=time_limit)
    finally:
        hang.set()


def test_a_run_that_hangs_is_killed() -> None:
    with small_server(CONTENTS) as server:
        assert hanging(server, 0.7) == "was not done after 0.7 seconds and was killed"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_what_a_run_started_dies_with_it() -> None:
    child = "import os, subprocess, sys, time\np = subprocess.Popen(['sleep', '1000'])\n"
    child += "print(p.pid, file=sys.stderr, flush=True)\nos.kill(os.getpid(), 9)"
    failure = run_program(child)
    assert isinstance(failure, str)
    state = Path(f"/proc/{failure.rpartition(' ')[2]}/stat")
    while state.exists() and state.read_text().rpartition(") ")[2][0] not in "ZX":
        time.sleep(0.01)


def test_a_contender_that_dies_is_reported_with_its_last_words() -> None:
    assert run_program("raise SystemExit('no more')") == "ended with exit status 1: no more"
    assert run_program("import os; os.kill(os.getpid(), 9)") == "was ended by signal 9"
    assert run_program("print('not json')") == "ended without a result"
    assert run_program("1/0") == "ended with exit status 1: ZeroDivisionError: division by zero"


def test_what_a_killed_run_leaves_in_its_temporary_directory_is_removed() -> None:
    program = "import sys, tempfile, time; path = tempfile.mkdtemp(); open(path + '/left', 'w').close()\n"
    program += "print(path, file=sys.stderr, flush=True); import os; os.kill(os.getpid(), 9)"
    failure = run_program(program)
    assert isinstance(failure, str)
    left = Path(failure.rpartition(" ")[2])
    assert left.parent != Path(tempfile.gettempdir())
    assert not left.parent.exists()


def test_no_thread_is_left_to_be_forked_with_the_next_run() -> None:
    before = threading.active_count()
    run_program("")
    assert threading.active_count() == before


def test_a_contender_that_says_more_than_a_pipe_holds_does_not_block() -> None:
    talk = "import sys; sys.stdout.write('x' * 10**6); sys.stderr.write('y' * 10**6); sys.exit('\\nend')"
    assert run_program(talk) == "ended with exit status 1: end"


def test_a_contender_is_not_led_astray_by_modules_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('led astray')")
    monkeypatch.chdir(tmp_path)
    with small_server(CONTENTS) as server:
        assert isinstance(load(server.target, workload("/1")), Measurement)


def test_losses_of_the_link_are_put_on_the_clock_of_the_load() -> None:
    measured = measurement(0.5, timeline=timeline(2))
    report = LinkReport(
        use=None,
        losses=(
            Loss(9_900_000, 4711, True, "lost"),  # before the load
            Loss(10_200_000, 4711, True, "lost"),
            Loss(10_600_000, 4711, False, "resent"),  # after it
        ),
    )
    found = with_losses(measured, 10.0, report).timeline
    assert found is not None
    assert found.losses == (Loss(200_000, 4711, True, "lost"),)
