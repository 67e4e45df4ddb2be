"""Running crawlers: each a fresh process, one at a time, in random order block by block."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

from plait.lab.contenders import Contender
from plait.lab.samples import Measurement, Sample, ServerCpu
from plait.lab.scenarios import Scenario
from plait.lab.target import Target

__all__ = ["crawl_once", "run_blocks"]

# -P: a module in the current directory must not pass for one of the standard library.
CRAWLER = (sys.executable, "-P", "-m", "plait.lab.crawler")


def run_blocks(
    contenders: Sequence[Contender],
    run: Callable[[Contender], Measurement | str],
    *,
    repeats: int,
    seed: int,
    progress: Callable[[int, Contender], None],
) -> list[Sample]:
    """Run every contender once in each block, in an order that the seed decides.

    What drifts on the machine while this goes on then touches all of them alike.

    Args:
        contenders: Who takes part.
        run: Runs one, and gives what it cost or one sentence on why it does not count.
        repeats: How many blocks.
        seed: Of the order.
        progress: Told which block and which contender come next.

    Returns:
        The samples, in the order they were taken.
    """
    shuffle = random.Random(seed)
    samples = []
    for block in range(repeats):
        for position, contender in enumerate(shuffle.sample(list(contenders), len(contenders))):
            progress(block, contender)
            outcome = run(contender)
            failure, measurement = (outcome, None) if isinstance(outcome, str) else (None, outcome)
            samples.append(
                Sample(
                    block=block,
                    position=position,
                    contender=contender.name,
                    failure=failure,
                    measurement=measurement,
                )
            )
    return samples


def crawl_once(
    contender: Contender,
    target: Target,
    scenario: Scenario,
    *,
    in_flight: int,
    time_limit: float,
    server_pid: int | None = None,
    command: Sequence[str] = CRAWLER,
) -> Measurement | str:
    """Run one crawler as a process of its own and measure it.

    Args:
        contender: Which crawler.
        target: The server.
        scenario: What to fetch and what to expect.
        in_flight: How many requests the contenders that multiplex have under way.
        time_limit: Seconds after which the process is killed.
        server_pid: The server's process, when its CPU is to be measured.
        command: The process.

    Returns:
        What it cost or, when it lost or changed anything, one sentence that says so.
    """
    job = {
        "contender": contender.name,
        "base_url": target.base_url,
        "cafile": str(target.cafile) if target.cafile else None,
        "insecure": target.insecure,
        "in_flight": in_flight,
        **scenario.job(),
    }
    # Files and not pipes: nobody has to read while the crawler runs, and nobody can block it.
    with (
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        stdin.write(json.dumps(job).encode())
        stdin.seek(0)
        server_before = _server_cpu(server_pid)
        elapsed, status, usage, timed_out = _wait4(command, stdin, stdout, stderr, time_limit)
        server_after = _server_cpu(server_pid)
        stdout.seek(0)
        stderr.seek(0)
        if timed_out:
            return f"was not done after {time_limit:g} seconds and was killed"
        if status:
            return _death(status, stderr.read())
        try:
            result: dict[str, Any] = json.loads(stdout.read())
        except ValueError:
            return "ended without a result"
    failure: str | None = result["failure"] or scenario.fault(result["received"])
    if failure:
        return " ".join(failure.split())  # what libraries say may have many lines
    return Measurement(
        elapsed=elapsed,
        user=usage.ru_utime,
        system=usage.ru_stime,
        peak_memory=result["peak_memory"] or usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        minor_faults=usage.ru_minflt,
        major_faults=usage.ru_majflt,
        voluntary_switches=usage.ru_nvcsw,
        involuntary_switches=usage.ru_nivcsw,
        connections=result["connections"],
        bytes_sent=result["bytes_sent"],
        bytes_received=result["bytes_received"],
        server=_difference(server_before, server_after),
        latencies=tuple(result["latencies"]),
    )


def _wait4(
    command: Sequence[str], stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes], time_limit: float
) -> tuple[float, int, Any, bool]:
    """Run a process to its end: seconds, exit status (negative: a signal), resource usage, whether killed."""
    started = time.perf_counter()
    # In a process group of its own: Ctrl-C is for the comparison, which then ends its crawler.
    process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, process_group=0)
    timed_out = threading.Event()

    def kill() -> None:
        timed_out.set()
        # Not Popen's kill, which would reap a process that has just ended.
        os.kill(process.pid, signal.SIGKILL)

    alarm = threading.Timer(time_limit, kill)
    alarm.daemon = True
    alarm.start()
    try:
        # Popen's own wait would reap the process without telling what it used.
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        alarm.cancel()
        if process.returncode is None:
            process.kill()
            process.wait()
    return elapsed, process.returncode, usage, timed_out.is_set()


def _death(status: int, stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    how = f"was ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
    return f"{how}: {lines[-1]}" if lines else how


def _server_cpu(pid: int | None) -> ServerCpu | None:
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
    return ServerCpu(total=total, user=int(fields[11]) / tick, system=int(fields[12]) / tick)


def _difference(before: ServerCpu | None, after: ServerCpu | None) -> ServerCpu | None:
    if before is None or after is None:
        return None
    return ServerCpu(
        total=after.total - before.total, user=after.user - before.user, system=after.system - before.system
    )
