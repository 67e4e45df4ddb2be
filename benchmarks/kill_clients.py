"""The clients of ``benchmarks.kill``: each is a process that asks without a pause and counts what came.

None of them hides a loss: requests are POSTs, which no client may send again unless the server said that
it has not touched them (RFC 9113 §8.7); or, from h2load, what no code here would send again.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import h2.events
import h2.exceptions

import plait
from plait.errors import ConnectFailed, PlaitError
from tests.support.pairs import Engine, request_fields

__all__ = ["Tally", "main"]

#: Requests in flight on one HTTP/2 connection.
IN_FLIGHT = 16
#: Seconds without a byte after which a response counts as lost.
PATIENCE = 30.0


@dataclass
class Tally:
    """What became of one client's requests.

    Attributes:
        served: Answered with what was asked for.
        wrong: Complete by HTTP's framing, and something else than what was asked for.
        again: Not touched, said the server, and sent again.
        unconnected: Connections that came to nothing before the first request on them.
        cut: When a request was lost that the server did not say this of, on the monotonic clock.
    """

    served: int = 0
    wrong: int = 0
    again: int = 0
    unconnected: int = 0
    cut: list[float] = field(default_factory=list)

    def answer(self, number: int, content: bytes) -> None:
        """Take note of a complete response."""
        if content == expected(number):
            self.served += 1
        else:
            self.wrong += 1

    def lose(self, requests: int = 1) -> None:
        """Take note of requests whose response will not come."""
        self.cut += [time.monotonic()] * requests


def expected(number: int) -> bytes:
    """Return what the application answers to a request."""
    return b"%08d\n" % number * 300


class Gone(Exception):
    """Nobody listens any more: the server has ended."""


async def _connect(
    port: int, context: ssl.SSLContext, tally: Tally
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        except ConnectionRefusedError:
            raise Gone from None
        except (OSError, ssl.SSLError):
            tally.unconnected += 1


async def h1(port: int, ca: str, tally: Tally) -> None:
    """HTTP/1.1: one request after the other on a connection kept open, written by hand."""
    context = ssl.create_default_context(cafile=ca)
    number = 0
    while True:
        reader, writer = await _connect(port, context, tally)
        try:
            close = False
            while not close:
                number += 1
                writer.write(b"POST /%d HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n" % number)
                async with asyncio.timeout(PATIENCE):
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    content = b""
                    while size := int(await reader.readuntil(b"\r\n"), 16):
                        content += (await reader.readexactly(size + 2))[:-2]
                    await reader.readuntil(b"\r\n")
                tally.answer(number, content)
                close = b"connection: close" in head
        except (OSError, EOFError, TimeoutError):
            tally.lose()
        writer.transport.abort()


async def h2_by_hand(port: int, ca: str, tally: Tally) -> None:
    """HTTP/2 on an engine that is not plait's: as many requests in flight as there may be."""
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    number = 0
    while True:
        reader, writer = await _connect(port, context, tally)
        engine = Engine(client=True)
        engine.initiate_connection()
        waiting: dict[int, tuple[int, bytearray]] = {}
        last: int | None = None
        try:
            while last is None or waiting:
                while last is None and len(waiting) < IN_FLIGHT:
                    number += 1
                    stream = engine.get_next_available_stream_id()
                    engine.send_headers(
                        stream,
                        request_fields(b"POST", b"/%d" % number),
                        end_stream=True,
                    )
                    waiting[stream] = (number, bytearray())
                writer.write(engine.data_to_send())
                async with asyncio.timeout(PATIENCE):
                    data = await reader.read(65536)
                if not data:
                    break
                for event in engine.receive_data(data):
                    match event:
                        case h2.events.DataReceived():
                            waiting[event.stream_id][1].extend(event.data)
                            engine.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        case h2.events.StreamEnded():
                            asked, content = waiting.pop(event.stream_id)
                            tally.answer(asked, bytes(content))
                        case h2.events.StreamReset():
                            del waiting[event.stream_id]
                            if event.error_code == 7:
                                tally.again += 1
                            else:
                                tally.lose()
                        case h2.events.ConnectionTerminated():
                            last = event.last_stream_id or 0
                            untouched = [stream for stream in waiting if stream > last]
                            tally.again += len(untouched)
                            for stream in untouched:
                                del waiting[stream]
        except (OSError, TimeoutError, h2.exceptions.ProtocolError):
            pass
        tally.lose(len(waiting))
        writer.transport.abort()


async def plait_client(port: int, ca: str, tally: Tally) -> None:
    """``plait.AsyncClient``, which sends again by itself what the server has not touched."""
    numbers = iter(range(10**9))
    async with plait.AsyncClient(f"https://localhost:{port}", verify=ca) as client:

        async def ask() -> None:
            while True:
                number = next(numbers)
                try:
                    response = await client.post(f"/{number}", content=b"")
                except ConnectFailed as error:
                    if "refused" in str(error).lower():
                        return
                    tally.unconnected += 1
                except PlaitError:
                    tally.lose()
                else:
                    tally.answer(number, response.content)

        await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))


def h2load(port: int, tally: Tally) -> None:
    """nghttp2's ``h2load``, run again and again: it ends at a GOAWAY by its own rule."""
    while True:
        done = subprocess.run(
            ["h2load", "-n", "400", "-c", "2", "-m", "8", f"https://127.0.0.1:{port}/1"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        counts = re.search(r"(\d+) started, (\d+) done, (\d+) succeeded", done.stdout)
        if counts is None or counts[1] == "0":
            raise Gone
        started, finished, succeeded = map(int, counts.groups())
        tally.served += succeeded
        # Requests that its library does not send any more after a GOAWAY, or that the server refused.
        tally.again += finished - succeeded
        tally.lose(started - finished)


CLIENTS: dict[str, Callable[..., object]] = {
    "plait.AsyncClient": plait_client,
    "HTTP/2 by hand": h2_by_hand,
    "HTTP/1.1 by hand": h1,
    "h2load": h2load,
}


def main() -> None:
    """Run one client until nobody listens any more, and print its tally."""
    name, port, ca = sys.argv[1:]
    tally = Tally()
    try:
        if name == "h2load":
            h2load(int(port), tally)
        else:
            asyncio.run(CLIENTS[name](int(port), ca, tally))  # type: ignore[arg-type]
    except Gone:
        pass
    print(json.dumps(asdict(tally)))


if __name__ == "__main__":
    main()
