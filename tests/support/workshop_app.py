"""An application that says which process it runs in, and does to it what a test asks for."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

#: Tests write another text here and reload.
VERSION = "one"

#: One line for each start and end of a worker.
_LIVES = Path(os.environ.get("WORKSHOP_LIVES", os.devnull))


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    match scope["path"]:
        case "/wait":
            _note("waiting")
            while not _LIVES.with_name("go").exists():  # noqa: ASYNC110  # the test is another process
                await asyncio.sleep(0.01)
        case "/hang":
            time.sleep(600)  # noqa: ASYNC251  # a worker that hangs is what is asked for
        case "/die":
            os._exit(3)
    content = f"{os.getpid()} {VERSION}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": content})


async def _live(receive: Any, send: Any) -> None:
    await receive()
    _note("up")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    _note("down")
    await send({"type": "lifespan.shutdown.complete"})


def _note(what: str) -> None:
    with _LIVES.open("a") as lives:
        lives.write(f"{what} {os.getpid()}\n")
