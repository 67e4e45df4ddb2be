"""What a message costs a WebSocket client.

``python -m benchmarks.websocket_clients`` runs each client as its own process, rounds interleaved, against
one echo over TLS on plait: plait's two clients over HTTP/2 and HTTP/1.1, and the two of the ``websockets``
library, which speaks HTTP/1.1. It compares the CPU time of a message that goes there and comes back, once the
WebSocket is open: small ones and large ones, one at a time and many together. Nothing is compressed.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import subprocess
import sys
import tempfile
import time
from ast import literal_eval
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

from benchmarks.report import print_environment, print_figure
from tests.support.servers import ROOT, make_certificate, serve_app

__all__ = ["main"]

#: Bytes of a message, and how many are sent before their echoes are received.
LOADS = ((16, 1), (16, 50), (16_384, 1), (16_384, 50))


def echo_blocking(http: str, url: str, ca: str, messages: int) -> list[float]:
    """Return the microseconds of CPU time that a message there and back took of this process, load by load.

    Args:
        http: The version to speak, by plait's client; ``"library"`` for the library's.
        url: Of the echo, ``wss``.
        ca: The authority of its certificate.
        messages: How many there are of each load.
    """
    opened: AbstractContextManager[Any]
    with ExitStack() as stack:
        if http == "library":
            from websockets.sync.client import connect

            context = ssl.create_default_context(cafile=ca)
            opened = connect(url, ssl=context, compression=None, proxy=None)
        else:
            import plait

            client = stack.enter_context(plait.Client(verify=ca, http=http))
            opened = client.websocket(url, compression=None)
        websocket = stack.enter_context(opened)
        websocket.recv()
        took = []
        for size, together in LOADS:
            message = bytes(size)
            began = time.process_time()
            for _ in range(messages // together):
                for _ in range(together):
                    websocket.send(message)
                for _ in range(together):
                    assert len(websocket.recv()) == size
            took.append((time.process_time() - began) / messages * 1e6)
        return took


async def _echo_asyncio(http: str, url: str, ca: str, messages: int) -> list[float]:
    opened: AbstractAsyncContextManager[Any]
    async with AsyncExitStack() as stack:
        if http == "library":
            from websockets.asyncio.client import connect

            context = ssl.create_default_context(cafile=ca)
            opened = connect(url, ssl=context, compression=None, proxy=None)
        else:
            import plait

            client = await stack.enter_async_context(plait.AsyncClient(verify=ca, http=http))
            opened = client.websocket(url, compression=None)
        websocket = await stack.enter_async_context(opened)
        await websocket.recv()
        took = []
        for size, together in LOADS:
            message = bytes(size)
            began = time.process_time()
            for _ in range(messages // together):
                for _ in range(together):
                    await websocket.send(message)
                for _ in range(together):
                    assert len(await websocket.recv()) == size
            took.append((time.process_time() - began) / messages * 1e6)
        return took


def echo_asyncio(http: str, url: str, ca: str, messages: int) -> list[float]:
    """Do what :func:`echo_blocking` does, with asyncio."""
    return asyncio.run(_echo_asyncio(http, url, ca, messages))


#: Each client, by how it waits: the row's name, the function, its first argument.
CLIENTS = {
    "threads that wait": [
        ("plait, HTTP/1.1", "echo_blocking", "1"),
        ("plait, HTTP/2", "echo_blocking", "2"),
        ("websockets", "echo_blocking", "library"),
    ],
    "asyncio": [
        ("plait, HTTP/1.1", "echo_asyncio", "1"),
        ("plait, HTTP/2", "echo_asyncio", "2"),
        ("websockets", "echo_asyncio", "library"),
    ],
}


def main() -> None:
    """Measure and print what a message takes, for each size, alone and together."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.websocket_clients", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=10_000)
    arguments = parser.parse_args()
    print_environment("plait", "websockets")
    with tempfile.TemporaryDirectory(prefix="plait-benchmark-") as directory:
        certificate = make_certificate(Path(directory))
        with serve_app("websocket_app:app", "--no-access-log", certificate=certificate) as server:
            url = server.url("/").replace("https", "wss", 1)
            for waits, clients in CLIENTS.items():
                taken: dict[str, list[list[float]]] = {name: [] for name, _, _ in clients}
                for number in range(arguments.rounds):
                    for name, function, http in clients if number % 2 else reversed(clients):
                        words = (http, url, str(certificate.ca), arguments.messages)
                        taken[name].append(in_a_process(function, words))
                for load, (size, together) in enumerate(LOADS):
                    samples = {name: [one[load] for one in rounds] for name, rounds in taken.items()}
                    title = f"CPU time of a message of {size} bytes, {together} at a time, {waits}"
                    print_figure(title, "µs", samples, targets={}, plait="plait, HTTP/1.1")


def in_a_process(function: str, arguments: tuple[Any, ...]) -> list[float]:
    """Call a function of this module in a process of its own.

    Raises:
        SystemExit: It failed.
    """
    command = f"from benchmarks.websocket_clients import {function}; print({function}{arguments!r})"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{function}{arguments!r} failed:\n{done.stderr}")
    taken: list[float] = literal_eval(done.stdout.splitlines()[-1])
    return taken


if __name__ == "__main__":
    main()
