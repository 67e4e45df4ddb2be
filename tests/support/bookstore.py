"""Asking the bookstore in memory, and the real catalogue where there is one."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Answer", "ask", "real_catalogue"]


@dataclass(frozen=True)
class Answer:
    """A response as the application sent it."""

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        """Decode the content, which must be declared as JSON."""
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.content)


async def ask(app: Any, target: str, method: str = "GET", **headers: str) -> Answer:
    """Send one request to an ASGI application, and check that its messages make one response.

    Args:
        app: The application.
        target: Path and query, as on the request line.
        method: The method.
        headers: Request fields; an underscore stands for a hyphen.
    """
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "2",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8443),
    }
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start, *bodies = messages
    assert start["type"] == "http.response.start"
    assert [body["type"] for body in bodies] == ["http.response.body"]
    fields = [(name.decode("ascii"), value.decode("ascii")) for name, value in start["headers"]]
    assert len(fields) == len(dict(fields)), "a field is sent twice"
    return Answer(start["status"], dict(fields), bodies[0]["body"])


def real_catalogue() -> Path:
    """Find the 3,000 real books, which are third-party data and no part of the repository.

    They are named by BOOKSTORE_BOOKS or lie in shared/data/books.json beside the checkout; elsewhere the
    test is skipped.
    """
    named = os.environ.get("BOOKSTORE_BOOKS")
    parents = Path(__file__).resolve().parents
    places = [Path(named)] if named else [parent / "shared" / "data" / "books.json" for parent in parents]
    for place in places:
        if place.is_file():
            return place
    pytest.skip("the real books are not here; BOOKSTORE_BOOKS names the file")
