"""Running one contender: a fresh process on the client's host, measured from outside."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from plait.lab.network.link import Host, LinkReport
from plait.lab.samples import ConnectionTimes, Cpu, Fields, Loss, Measurement, RequestTimes, Tcp, Timeline
from plait.lab.target import Target
from plait.lab.workload import Workload

__all__ = ["CRAWLER", "Job", "run_once", "with_losses"]

# -P: a module in the current directory must not pass for one of the standard library.
CRAWLER = (sys.executable, "-P", "-m", "plait.lab.crawler")
TIMELINE_REQUESTS = 400
"""Requests of a run whose phases are kept; what is drawn needs no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every run of a comparison has in common.

    Attributes:
        target: The server, as the client's host knows it.
        workload: What to fetch.
        in_flight: How many requests the contenders that multiplex have under way.
        time_limit: Seconds after which a run is given up.
        address: The address that the target's name stands for on the client's host; None when it
            needs no help to find it.
    """

    target: Target
    workload: Workload
    in_flight: int
    time_limit: float
    address: str | None = None

    def to_json(self, contender: str) -> str:
        """Say it in the form a crawler reads."""
        resources = self.workload.resources
        return json.dumps(
            {
                "contender": contender,
                "base_url": self.target.base_url,
                "cafile": str(self.target.cafile) if self.target.cafile else None,
                "insecure": self.target.insecure,
                "in_flight": self.in_flight,
                "address": self.address,
                "page": self.workload.page,
                "headers": self.workload.headers,
                "resources": [[one.path, one.kind, one.parent, one.delay] for one in resources],
                "timeline": TIMELINE_REQUESTS,
            }
        )


def run_once(
    contender: str, job: Job, *, host: Host, server_pid: int | None, command: Sequence[str] = CRAWLER
) -> tuple[Measurement | str, float]:
    """Run one contender as a process of its own and measure it.

    Args:
        contender: Its name.
        job: What it is to do.
        host: Where it runs.
        server_pid: The server's process, when its CPU is to be measured.
        command: The process.

    Returns:
        What it cost or, when it lost or changed anything, one sentence that says so; and when its load
        began, in seconds of the monotonic clock (0 when it failed).
    """
    # Files and not pipes: nobody has to read while the process runs, and nobody can block it. What a process
    # that is killed leaves behind, such as the profile of a browser, goes with its directory.
    with (
        tempfile.TemporaryDirectory(prefix="plait-", ignore_cleanup_errors=True) as scratch,
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        stdin.write(job.to_json(contender).encode())
        stdin.seek(0)
        server_before = _cpu_of(server_pid)
        start = partial(
            host.popen,
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, "TMPDIR": scratch},
        )
        elapsed, status, usage, timed_out = _wait4(start, job.time_limit)
        server_after = _cpu_of(server_pid)
        stdout.seek(0)
        stderr.seek(0)
        if timed_out:
            return f"was not done after {job.time_limit:g} seconds and was killed", 0.0
        if status:
            return _death(status, stderr.read()), 0.0
        try:
            result: dict[str, Any] = json.loads(stdout.read())
        except ValueError:
            return "ended without a result", 0.0
    failure: str | None = result["failure"] or job.workload.fault(result["received"])
    if failure:
        return " ".join(failure.split()), 0.0  # what libraries say may have many lines
    fields, tcp = result["fields"], result["tcp"]
    measured = Measurement(
        load=result["load"],
        elapsed=elapsed,
        user=usage.ru_utime,
        system=usage.ru_stime,
        peak_memory=result["peak_memory"] or usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        minor_faults=usage.ru_minflt,
        major_faults=usage.ru_majflt,
        voluntary_switches=usage.ru_nvcsw,
        involuntary_switches=usage.ru_nivcsw,
        connections=result["connections"],
        handshakes=result["handshakes"],
        bytes_sent=result["bytes_sent"],
        bytes_received=result["bytes_received"],
        fields=Fields(**fields) if fields else None,
        tcp=Tcp(**tcp) if tcp else None,
        server=_difference(server_before, server_after),
        latencies=tuple(result["latencies"]),
        timeline=_timeline(result["timeline"]),
    )
    return measured, result["began"]


def with_losses(measured: Measurement, began: float, report: LinkReport) -> Measurement:
    """Put what the link lost into the timeline of the run that it happened to.

    Args:
        measured: The run.
        began: When its load began, in seconds of the monotonic clock.
        report: What the link says of it.
    """
    if measured.timeline is None or not report.losses:
        return measured
    start, end = began * 1e6, (began + measured.load) * 1e6
    losses = tuple(
        Loss(round(one.at - start), one.port, one.down, one.kind)
        for one in report.losses
        if start <= one.at <= end
    )
    return replace(measured, timeline=replace(measured.timeline, losses=losses))


def _timeline(found: dict[str, Any] | None) -> Timeline | None:
    if found is None:
        return None
    return Timeline(
        connections=tuple(ConnectionTimes(*one) for one in found["connections"]),
        requests=tuple(RequestTimes(*one) for one in found["requests"]),
    )


def _wait4(start: Callable[..., subprocess.Popen[bytes]], time_limit: float) -> tuple[float, int, Any, bool]:
    """Run a process to its end: seconds, exit status (negative: a signal), resource usage, whether killed."""
    started = time.perf_counter()
    # In a process group of its own: Ctrl-C is for the comparison, which then ends what it started.
    process = start(process_group=0)
    timed_out = threading.Event()

    def kill() -> None:
        timed_out.set()
        _kill_group(process)

    alarm = threading.Timer(time_limit, kill)
    alarm.daemon = True
    alarm.start()
    try:
        _await_end(process.pid)
        elapsed = time.perf_counter() - started
    finally:
        # All before it is reaped, because until then no other group has its number. The thread must be gone
        # when the next process is forked.
        alarm.cancel()
        alarm.join()
        _kill_group(process)  # a browser may be left over
        # Popen's own wait would reap the process without telling what it used.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return elapsed, process.returncode, usage, timed_out.is_set()


def _await_end(pid: int) -> None:
    """Wait until a process has ended, and leave it to be reaped."""
    if sys.platform != "darwin":
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return
    # There Python has no waitid before 3.13.
    with closing(select.kqueue()) as queue, suppress(ProcessLookupError):  # it may have ended already
        end = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        queue.control([end], 1)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, with everything it started, a browser perhaps.

    Not by Popen's kill, which would reap a process that has just ended.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _death(status: int, stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
    return f"{how}: {lines[-1]}" if lines else how


def _cpu_of(pid: int | None) -> Cpu | None:
    """Read the CPU time of another process; None where the system does not tell."""
    if pid is None or sys.platform != "linux":
        return None
    try:
        with open(f"/proc/{pid}/stat") as file:
            # The second field is the program's name, which may hold spaces: count from behind it.
            fields = file.read().rpartition(")")[2].split()
        tick = os.sysconf("SC_CLK_TCK")
        # The clock of a process's CPU time has a number made of its id (clock_getcpuclockid(3)).
        total = time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return None
    return Cpu(total=total, user=int(fields[11]) / tick, system=int(fields[12]) / tick)


def _difference(before: Cpu | None, after: Cpu | None) -> Cpu | None:
    if before is None or after is None:
        return None
    return Cpu(
        total=after.total - before.total, user=after.user - before.user, system=after.system - before.system
    )
