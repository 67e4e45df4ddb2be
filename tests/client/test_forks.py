"""A process that forks: the child has connections of its own, and the parent notices nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import ROOT, Certificate, RunningServer

SYNC = """
import os, sys, threading
import plait
url, ca = sys.argv[1:]
with plait.Client(url, verify=ca) as client:
    stop = threading.Event()
    def busy():
        while not stop.is_set():
            assert client.get("/small").status == 200
    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert client.get("/small").status == 200
    port = client.statistics.connections[0].port
    with client.stream("GET", "/large") as response:
        pieces = response.iter_bytes()
        size = len(next(pieces))
        unsent = client.submit("GET", "/small")
        children = []
        for _ in range(3):
            child = os.fork()
            if not child:
                try:
                    assert client.statistics.connections == ()
                    contents = [client.submit("GET", "/small") for _ in range(20)]
                    assert [one.result().content for one in contents] == [b"small\\n"] * 20
                    (connection,) = client.statistics.connections
                    assert connection.port != port
                    try:
                        unsent.result()
                    except plait.errors.PlaitError as error:
                        assert "forked" in str(error), error
                    else:
                        os._exit(4)
                    client.close()
                except BaseException as error:
                    import traceback
                    traceback.print_exc()
                    os._exit(3)
                os._exit(0)
            children.append(child)
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        size += sum(map(len, pieces))
        assert size == 1 << 20, size
    assert unsent.result().status == 200
    stop.set()
    for thread in threads:
        thread.join()
    assert client.statistics.connections_opened == 1
    print("done")
"""

ASYNC = """
import asyncio, os, sys
import plait
url, ca = sys.argv[1:]
client = plait.AsyncClient(url, verify=ca)
async def parent():
    assert (await client.get("/small")).status == 200
    async with client.stream("GET", "/large") as response:
        pieces = response.iter_bytes()
        size = len(await anext(pieces))
        child = os.fork()
        if not child:
            return None
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        async for piece in pieces:
            size += len(piece)
        assert size == 1 << 20, size
    assert client.statistics.connections_opened == 1
    await client.aclose()
    print("done")
async def in_child():
    assert client.statistics.connections == ()
    assert (await client.get("/small")).content == b"small\\n"
    await client.aclose()
before = os.getpid()
def child():
    try:
        asyncio.run(in_child())
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(3)
    os._exit(0)
fork = os.fork
def forked():
    pid = fork()
    if not pid:
        import threading
        # A thread of its own has no loop yet.
        thread = threading.Thread(target=child)
        thread.start()
        thread.join()
        os._exit(4)
    return pid
os.fork = forked
asyncio.run(parent())
"""


@pytest.mark.parametrize("program", [SYNC, ASYNC], ids=["Client", "AsyncClient"])
def test_a_child_has_connections_of_its_own(
    program: str, nghttpd: RunningServer, certificate: Certificate, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, nghttpd.url(), certificate.ca],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
