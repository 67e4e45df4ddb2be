"""A day of a client in minutes: a million exchanges of every kind, and whether memory stays flat.

    python -m benchmarks.soak

Half of them are the blocking client's and half the asyncio client's, over TLS: responses of all sizes,
uploads, streams left early, requests cancelled, timed out and broken off by the server, which also ends
every connection after some thousand requests. What comes is drawn from ``--seed``.

Exit status 1 when an exchange ended otherwise than it should, when anything is left of one, or when memory
grew after the warm-up, which is a tenth of each half. Needs Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import plait
from benchmarks.report import print_environment
from benchmarks.soak_app import CONTENT
from plait.client.calls import Call
from plait.errors import ClientClosed, ExchangeReset, TotalTimeout
from plait.protocol.exchange import Exchange
from tests.support.servers import ROOT, Certificate, RunningServer, make_certificate, serve_app

__all__ = ["main"]

IN_FLIGHT = 100
#: Requests on one connection, until the server ends it.
PER_CONNECTION = 3000
SIZES = (0, 10, 700, 700, 700, 5_000, 30_000, 300_000)
#: What memory may grow by: MiB, or a part of it, whichever is more.
GROWTH_MIB = 2.0
GROWTH_PART = 0.03
#: How often memory is looked at, in each half.
LOOKS = 40


class Kind(Enum):
    """What is done."""

    GET = "get"
    HEAD = "head"
    MISSING = "missing"
    UPLOAD = "upload"
    PIECES = "upload in pieces"
    STREAM = "stream"
    LEFT_EARLY = "left early"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed out"
    BROKEN = "broken off"


#: How often, among a thousand.
OFTEN = {
    Kind.GET: 650, Kind.HEAD: 40, Kind.MISSING: 40, Kind.UPLOAD: 100, Kind.PIECES: 50, Kind.STREAM: 50,
    Kind.LEFT_EARLY: 45, Kind.CANCELLED: 20, Kind.TIMED_OUT: 3, Kind.BROKEN: 2,
}  # fmt: skip


class Step(NamedTuple):
    """One exchange to be."""

    kind: Kind
    size: int


def steps(random: Random, count: int) -> Iterator[list[Step]]:
    """Yield what to do, as much at once as may be in flight."""
    while count:
        size = min(count, IN_FLIGHT)
        count -= size
        yield [
            Step(kind, random.choice(SIZES))
            for kind in random.choices(list(OFTEN), list(OFTEN.values()), k=size)
        ]


def request_of(step: Step, pieces: Callable[[bytes], Any]) -> tuple[str, str, dict[str, Any]]:
    """Return method, path and options of a request."""
    content = CONTENT[: step.size]
    match step.kind:
        case Kind.HEAD:
            return "HEAD", f"/bytes/{step.size}", {}
        case Kind.MISSING:
            return "DELETE", "/missing", {}
        case Kind.UPLOAD:
            return "POST", "/sum", {"content": content}
        case Kind.PIECES:
            return "PUT", "/sum", {"content": pieces(content)}
        case Kind.CANCELLED:
            return "GET", "/never", {}
        case Kind.TIMED_OUT:
            return "GET", "/never", {"timeout": 0.03}
        case Kind.BROKEN:
            return "GET", "/broken", {}
        case Kind.LEFT_EARLY:
            return "GET", f"/bytes/{max(SIZES)}", {}
        case _:
            return "GET", f"/bytes/{step.size}", {}


def is_right(step: Step, answer: plait.Response | Exception) -> bool:
    """Whether an exchange ended as it should."""
    if isinstance(answer, Exception):
        expected = {
            Kind.CANCELLED: ClientClosed, Kind.TIMED_OUT: TotalTimeout, Kind.BROKEN: ExchangeReset,
        }.get(step.kind)  # fmt: skip
        return expected is not None and isinstance(answer, expected)
    content = CONTENT[: step.size]
    match step.kind:
        case Kind.GET:
            return (answer.status, answer.content) == (200, content)
        case Kind.HEAD:
            return (answer.status, answer.content) == (200, b"")
        case Kind.MISSING:
            return answer.status == 404
        case Kind.UPLOAD | Kind.PIECES:
            return answer.content == b"%d %d" % (len(content), zlib.crc32(content))
        case _:
            return False


def streamed_right(step: Step, content: bytes) -> bool:
    """Whether what was read of a stream is what was sent."""
    return CONTENT.startswith(content) and (step.kind is Kind.LEFT_EARLY or len(content) == step.size)


class Watch:
    """Counts what happened, and looks at this process's memory.

    Args:
        title: What is watched.
        count: How many exchanges there will be.
    """

    def __init__(self, title: str, count: int) -> None:
        self.title = title
        self.kinds: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._count = count
        self._done = 0
        self._memory: list[tuple[int, float]] = []
        self._started = time.monotonic()

    def note(self, step: Step, right: bool, answer: object) -> None:
        """Take note of the end of an exchange."""
        self.kinds[step.kind.value] += 1
        if not right:
            self.wrong.append(f"{step.kind.value} of {step.size}: {answer!r}")

    def look(self, done: int) -> None:
        """Take note of progress, and now and then of memory."""
        self._done += done
        if self._done * LOOKS // self._count > len(self._memory):
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            mib = pages * os.sysconf("SC_PAGESIZE") / (1 << 20)
            self._memory.append((self._done, mib))
            if not len(self._memory) % (LOOKS // 8):
                rate = self._done / (time.monotonic() - self._started)
                wrong = f", {len(self.wrong)} wrong" if self.wrong else ""
                print(
                    f"{self.title}: {self._done:>9,} exchanges, {mib:.1f} MiB, {rate:,.0f}/s{wrong}",
                    flush=True,
                )

    def verdict(self) -> bool:
        """Print it, and say whether all is well."""
        print(f"{self.title}: {', '.join(f'{count:,} {kind}' for kind, count in self.kinds.most_common())}")
        for one in self.wrong[:10]:
            print(f"{self.title}: wrong: {one}")
        gc.collect()
        left = [type(one).__name__ for one in gc.get_objects() if isinstance(one, Call | Exchange)]
        if left:
            print(f"{self.title}: left behind: {dict(Counter(left))}")
        settled = [mib for done, mib in self._memory if done > self._count / 10]
        few = max(1, len(settled) // 6)
        before, after = statistics.median(settled[:few]), statistics.median(settled[-few:])
        flat = after - before < max(GROWTH_MIB, GROWTH_PART * before)
        print(
            f"{self.title}: memory was {before:.1f} MiB after the warm-up and {after:.1f} MiB at the end, "
            f"{after - before:+.1f}: {'flat' if flat else 'NOT FLAT'}; {len(self.wrong)} wrong\n",
            flush=True,
        )
        return flat and not self.wrong and not left


def check_idle(client: plait.Client | plait.AsyncClient, watch: Watch) -> None:
    """See to it that no connection and no queue has anything left of an exchange."""
    core = client._core
    links = core.pool.links
    if any(link.endpoint.exchanges or link.endpoint.waiting_to_write for link in links):
        watch.wrong.append("a connection has exchanges left")
    if any(core.pool.waiting(link.origin) for link in links):
        watch.wrong.append("requests wait in the pool")
    seen = client.statistics
    if len(links) > 1 or len(seen.connections) != min(seen.connections_opened, 1000 + len(links)):
        watch.wrong.append(f"{len(links)} connections are left, the journal has {len(seen.connections)}")
    print(f"{watch.title}: {seen.exchanges:,} sent on {seen.connections_opened:,} connections")


def blocking(
    server: RunningServer, certificate: Certificate, batches: Iterator[list[Step]], watch: Watch
) -> None:
    """Do it all with the blocking client."""

    def pieces(content: bytes) -> Iterator[bytes]:
        return iter([content[at : at + 10_000] for at in range(0, len(content), 10_000)])

    with plait.Client(server.url(""), verify=certificate.ca) as client:
        for batch in batches:
            pending = []
            for step in batch:
                method, path, options = request_of(step, pieces)
                if step.kind in (Kind.STREAM, Kind.LEFT_EARLY):
                    with client.stream(method, path, **options) as stream:
                        parts = stream.iter_bytes()
                        early = step.kind is Kind.LEFT_EARLY
                        content = next(parts) if early else b"".join(parts)
                    watch.note(step, streamed_right(step, content), stream)
                else:
                    pending.append((step, client.submit(method, path, **options)))
            for step, one in pending:
                if step.kind is Kind.CANCELLED:
                    one.cancel()
                answer: plait.Response | Exception
                try:
                    answer = one.result()
                except plait.errors.PlaitError as error:
                    answer = error
                watch.note(step, is_right(step, answer), answer)
            watch.look(len(batch))
        check_idle(client, watch)


async def on_a_loop(
    server: RunningServer, certificate: Certificate, batches: Iterator[list[Step]], watch: Watch
) -> None:
    """Do it all with the asyncio client."""

    async def pieces(content: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(content), 10_000):
            yield content[at : at + 10_000]

    async def do(step: Step) -> None:
        method, path, options = request_of(step, pieces)
        if step.kind in (Kind.STREAM, Kind.LEFT_EARLY):
            async with client.stream(method, path, **options) as stream:
                content = b""
                async for piece in stream.iter_bytes():
                    content += piece
                    if step.kind is Kind.LEFT_EARLY:
                        break
            watch.note(step, streamed_right(step, content), stream)
            return
        pending = client.submit(method, path, **options)
        if step.kind is Kind.CANCELLED:
            await asyncio.sleep(0)
            pending.cancel()
        answer: plait.Response | Exception
        try:
            answer = await pending
        except plait.errors.PlaitError as error:
            answer = error
        watch.note(step, is_right(step, answer), answer)

    async with plait.AsyncClient(server.url(""), verify=certificate.ca) as client:
        for batch in batches:
            await asyncio.gather(*map(do, batch))
            watch.look(len(batch))
        check_idle(client, watch)


def main() -> None:
    """Run both halves and print the verdict."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__.partition("\n\n")[0]
    )
    parser.add_argument("--exchanges", type=int, default=1_000_000, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    arguments = parser.parse_args()
    half = arguments.exchanges // 2
    print_environment("plait")

    def asynchronous(*all: Any) -> None:
        asyncio.run(on_a_loop(*all))

    well = []
    with tempfile.TemporaryDirectory(prefix="plait-soak-") as directory:
        certificate = make_certificate(Path(directory))
        limit = ("--max-requests-per-connection", str(PER_CONNECTION), "--no-access-log")
        with serve_app("benchmarks.soak_app:app", *limit, certificate=certificate, app_dir=ROOT) as server:
            for number, run in enumerate((blocking, asynchronous)):
                watch = Watch(f"{run.__name__:<12}", half)
                run(server, certificate, steps(Random(arguments.seed + number), half), watch)
                well.append(watch.verdict())
    sys.exit(0 if all(well) else 1)


if __name__ == "__main__":
    main()
