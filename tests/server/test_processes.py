"""Workers, signals and the ends of processes, on real processes."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from plait.errors import ConfigError
from plait.server import serve
from plait.server_config import ServerConfig
from tests.support.servers import free_port, plait
from tests.support.workshop import Workshop, gone, until, workshop

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
pytestmark = needs_fork


HELLO = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""


class Fetch(threading.Thread):
    """A request in flight beside the test."""

    def __init__(self, server: Workshop, path: str) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.path = path
        self.answer: tuple[int, str] | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self.server.get(self.path)
        except Exception as error:
            self.error = error


def answers(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True


def refuses(server: Workshop) -> bool:
    """Whether nobody listens any more."""
    return not answers(server.port)


def in_flight(server: Workshop) -> Fetch:
    """Begin a request that waits until it is let go, and wait until the application has it."""
    fetch = Fetch(server, "/wait")
    until(lambda: server.lives("waiting"), server.output)
    return fetch


def test_workers_are_announced_once_and_all_end_on_sigterm(tmp_path: Path) -> None:
    with workshop(tmp_path, "--workers", "3") as server:
        workers = server.lives("up")
        assert len(set(workers)) == 3
        assert server.process.pid not in workers
        assert server.get()[0] in workers
        fetch = in_flight(server)
        server.send(signal.SIGTERM)
        until(lambda: len(server.lives("down")) == 2, server.output)
        server.let_go()
        assert server.wait() == 0
        fetch.join()
        assert fetch.answer is not None
        assert sorted(server.lives("down")) == sorted(workers)
        assert all(map(gone, workers))
        assert server.output().count("plait: serving") == 1
        assert "with 3 workers (Ctrl-C stops)" in server.output()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_sigint_ends_at_once(tmp_path: Path, workers: str) -> None:
    with workshop(tmp_path, "--workers", workers, "--grace", "600") as server:
        fetch = in_flight(server)
        server.send(signal.SIGINT)
        until(lambda: refuses(server), server.output)
        server.send(signal.SIGINT)
        assert server.wait() == 0
        fetch.join()
        assert fetch.error is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_interrupts_an_import_that_never_ends(tmp_path: Path, number: int) -> None:
    (tmp_path / "workshop.py").write_text("import time\nprint('importing')\ntime.sleep(600)\n")
    socket_file = tmp_path / "socket"
    options = ("--listen", f"unix:{socket_file}")
    with workshop(tmp_path, *options, port=False, ready="importing") as server:
        assert socket_file.exists()
        server.send(number)
        time.sleep(1.1)
        assert server.end(number) == 130
        assert not socket_file.exists()


def test_a_worker_whose_import_never_ends_holds_up_nobodys_end(tmp_path: Path) -> None:
    (tmp_path / "workshop.py").write_text("import time\nprint('importing')\ntime.sleep(600)\n")
    with workshop(tmp_path, "--workers", "2", "--worker-timeout", "600", ready="importing") as server:
        assert server.end() == 0  # and not after 610 seconds
        assert "did not end in time: it is killed" in server.output()


def test_a_second_signal_interrupts_an_application_that_blocks_the_loop(tmp_path: Path) -> None:
    with workshop(tmp_path) as server:
        Fetch(server, "/hang")
        time.sleep(0.5)
        server.send(signal.SIGTERM)
        time.sleep(1.1)
        server.end(signal.SIGTERM)
        assert "time.sleep(600)" in server.output()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigquit_ends_at_once(tmp_path: Path, workers: str) -> None:
    with workshop(tmp_path, "--workers", workers, "--grace", "600") as server:
        fetch = in_flight(server)
        assert server.end(signal.SIGQUIT) == 0
        fetch.join()
        assert fetch.error is not None


def test_a_worker_that_was_killed_is_replaced(tmp_path: Path) -> None:
    with workshop(tmp_path, "--workers", "2") as server:
        victim = server.lives("up")[0]
        os.kill(victim, signal.SIGKILL)
        server.says(f"worker {victim} was ended by SIGKILL: it is replaced")
        until(lambda: len(server.lives("up")) == 3, server.output)
        assert all(server.get()[0] != victim for _ in range(4))
        assert server.end() == 0


def test_a_worker_that_dies_again_and_again_is_started_less_and_less_often(tmp_path: Path) -> None:
    with workshop(tmp_path, "--max-requests", "1000000") as server:
        for times in range(1, 4):
            until(lambda: len(server.lives("up")) == times, server.output)  # noqa: B023
            with pytest.raises(ConnectionError):
                server.get("/die")
            server.says("ended with exit status 3: it is replaced", times)
        until(lambda: len(server.lives("up")) == 4, server.output)
        assert server.get()[0] == server.lives("up")[-1]


def test_a_worker_that_hangs_is_killed_and_says_where_it_hung(tmp_path: Path) -> None:
    with workshop(tmp_path, "--max-requests", "1000000", "--worker-timeout", "2") as server:
        (first,) = server.lives("up")
        fetch = Fetch(server, "/hang")
        server.says(f"worker {first} gave no sign of life for 2 seconds: it is killed")
        until(lambda: len(server.lives("up")) == 2, server.output)
        fetch.join()
        assert fetch.error is not None
        assert "workshop.py" in server.output()  # the traceback
        assert server.get()[0] != first


def test_a_supervisor_that_was_paused_takes_no_worker_for_one_that_hangs(tmp_path: Path) -> None:
    with workshop(tmp_path, "--workers", "2", "--worker-timeout", "1.5") as server:
        workers = server.lives("up")
        everybody = [server.process.pid, *workers]
        for pid in everybody:  # as docker pause does
            os.kill(pid, signal.SIGSTOP)
        time.sleep(4)
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        time.sleep(1)
        assert server.get()[0] in workers
        assert server.lives("up") == workers
        assert "no sign of life" not in server.output()
        assert server.end() == 0


def test_sighup_loads_new_code_and_lets_requests_in_flight_finish(tmp_path: Path) -> None:
    with workshop(tmp_path, "--workers", "2") as server:
        old = server.lives("up")
        fetch = in_flight(server)
        server.app.write_text(server.app.read_text().replace('"one"', '"second"'))
        server.send(signal.SIGHUP)
        server.says("reloaded; workers: 2")
        assert fetch.is_alive()  # the old worker still has it
        pid, version = server.get()
        assert (pid not in old, version) == (True, "second")
        server.let_go()
        fetch.join()
        assert fetch.answer is not None
        assert (fetch.answer[0] in old, fetch.answer[1]) == (True, "one")
        until(lambda: sorted(server.lives("down")) == sorted(old), server.output)
        assert server.end() == 0


def test_a_reload_that_fails_keeps_the_old_workers(tmp_path: Path) -> None:
    with workshop(tmp_path, "--workers", "2") as server:
        old = server.lives("up")
        code = server.app.read_text()
        server.app.write_text(code + "\nthis is no Python\n")
        server.send(signal.SIGHUP)
        server.says("the reload failed, and the workers before it go on: importing 'workshop' failed")
        assert server.get()[0] in old
        server.app.write_text(code.replace('"one"', '"mended"'))
        server.send(signal.SIGHUP)
        server.says("reloaded; workers: 2")
        assert server.get()[1] == "mended"
        assert server.end() == 0


@pytest.mark.parametrize(
    ("code", "status", "sentence"),
    [
        ("def app(", 2, "importing 'workshop' failed: "),
        ("app = 7", 2, "'workshop:app' "),
        ("import os; os._exit(3)", 1, "a worker ended with exit status 3 before it was ready"),
        (
            "async def app(scope, receive, send):\n"
            "    await receive()\n"
            "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n",
            1,
            "the application failed to start: no database",
        ),
    ],
    ids=["syntax", "no application", "death", "lifespan"],
)
def test_an_application_that_cannot_start_ends_the_server_with_one_sentence(
    tmp_path: Path, code: str, status: int, sentence: str
) -> None:
    (tmp_path / "workshop.py").write_text(code)
    with workshop(tmp_path, "--workers", "3", ready="") as server:
        assert server.wait() == status
        assert server.output().count(f"plait: {sentence}") == 1
        assert "Traceback" not in server.output()
        assert "serving" not in server.output()


def test_sigttin_adds_a_worker_and_sigttou_takes_one_away(tmp_path: Path) -> None:
    with workshop(tmp_path, "--workers", "2") as server:
        server.send(signal.SIGTTIN)
        until(lambda: len(server.lives("up")) == 3, server.output)
        for left in (2, 1, 1):
            server.send(signal.SIGTTOU)
            server.says(f"workers: {left}")
        until(lambda: len(server.lives("down")) == 2, server.output)
        assert server.get()[0] not in server.lives("down")
        assert server.end() == 0
        assert sorted(server.lives("down")) == sorted(server.lives("up"))


def test_max_requests_replaces_the_worker_and_loses_nothing(tmp_path: Path) -> None:
    with workshop(tmp_path, "--max-requests", "10", "--max-requests-jitter", "3") as server:
        (first,) = server.lives("up")
        until(lambda: server.get()[0] != first, server.output)  # each of these is answered
        until(lambda: first in server.lives("down"), server.output)
        assert "ERROR" not in server.output()
        assert server.end() == 0


def test_workers_do_not_outlive_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with workshop(tmp_path, "--workers", "2") as server:
        workers = server.lives("up")
        server.end(signal.SIGKILL)
        until(lambda: all(map(gone, workers)), server.output)
        assert sorted(server.lives("down")) == sorted(workers)


def test_sigterm_to_one_worker_drains_it_and_another_takes_its_place(tmp_path: Path) -> None:
    with workshop(tmp_path, "--workers", "2") as server:
        fetch = in_flight(server)
        (victim,) = server.lives("waiting")
        os.kill(victim, signal.SIGTERM)
        until(lambda: len(server.lives("up")) == 3, server.output)
        server.let_go()
        fetch.join()
        assert fetch.answer == (victim, "one")
        until(lambda: server.lives("down") == [victim], server.output)
        assert "ERROR" not in server.output()
        assert server.end() == 0


def test_one_process_alone_reloads_its_files_on_sighup_and_serves_on(tmp_path: Path) -> None:
    with workshop(tmp_path) as server:
        assert server.get()[0] == server.process.pid
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN):
            server.send(number)
        server.says("SIGTTIN adds no worker here")
        assert server.get() == (server.process.pid, "one")
        assert server.end() == 0


def test_sigusr1_opens_the_access_log_anew_in_every_worker(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    with workshop(tmp_path, "--workers", "2", "--access-log", "--access-log-file", file) as server:
        server.get()
        until(lambda: file.exists() and file.read_text(), server.output)
        file.rename(tmp_path / "access.log.1")
        server.send(signal.SIGUSR1)
        # From whichever worker answers, until both have written to the new file.
        until(lambda: server.get() and file.exists() and file.read_text(), server.output)
        assert server.end() == 0
        assert (tmp_path / "access.log.1").read_text().count("\n") >= 1


def test_the_pid_file_is_there_while_the_server_is(tmp_path: Path) -> None:
    file = tmp_path / "server.pid"
    file.write_text("left behind")
    with workshop(tmp_path, "--workers", "2", "--pid-file", file) as server:
        assert file.read_text() == f"{server.process.pid}\n"
        os.kill(server.lives("up")[0], signal.SIGKILL)
        until(lambda: len(server.lives("up")) == 3, server.output)
        assert file.exists()
        assert server.end() == 0
        assert not file.exists()


def test_a_pid_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        options = ("--workers", workers, "--pid-file", tmp_path / "nowhere" / "pid")
        with workshop(tmp_path, *options, ready="") as server:
            assert server.wait() == 2
            assert "cannot write --pid-file" in server.output()
            assert "Traceback" not in server.output()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_no_file_is_not_replaced_by_the_pid_file(tmp_path: Path, workers: str) -> None:
    pipe = tmp_path / "pipe"  # as good as /dev/null
    os.mkfifo(pipe)
    with workshop(tmp_path, "--workers", workers, "--pid-file", pipe, ready="") as server:
        assert server.wait() == 2
        assert "it is there already, and it is no file" in server.output()
    assert pipe.is_fifo()
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_at_the_start_are_taken_by_no_socket(
    tmp_path: Path, closed: str, options: tuple[str, ...]
) -> None:
    (tmp_path / "hello.py").write_text(HELLO)
    port = free_port()
    words = plait("serve", "hello:app", "--insecure", "--port", str(port), *options)
    line = f"exec {shlex.join(map(str, words))} {closed}"
    process = subprocess.Popen(["sh", "-c", line], cwd=tmp_path, start_new_session=True)
    try:
        until(lambda: process.poll() is not None or answers(port))
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                assert b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"\r\n\r\nhello")
        time.sleep(0.1)  # the access log is written a moment later
        process.terminate()
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_systemd_is_told_how_the_server_is_doing(
    tmp_path: Path, workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "500000")
        said: list[str] = []

        def hears(state: str) -> None:
            while state not in said:
                said.append(manager.recv(4096).decode())

        with workshop(tmp_path, "--workers", workers) as server:
            hears("READY=1")
            said.clear()
            hears("WATCHDOG=1")
            before = time.monotonic_ns() // 1000
            server.send(signal.SIGHUP)
            hears("READY=1")
            (reloading,) = [one for one in said if one.startswith("RELOADING=1\nMONOTONIC_USEC=")]
            assert before <= int(reloading.rpartition("=")[2]) <= time.monotonic_ns() // 1000
            server.send(signal.SIGTERM)
            hears("STOPPING=1")
            assert server.wait() == 0


@pytest.mark.parametrize(
    "options", [{"workers": 2}, {"reload": True}, {"max_requests": 5}], ids=lambda one: next(iter(one))
)
def test_what_needs_fork_says_so_where_there_is_none(
    options: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(ConfigError, match=r"^--(workers 2|reload|max-requests) needs processes that fork"):
        serve(ServerConfig(app="nothing:app", insecure=True, **options))  # type: ignore[arg-type]
