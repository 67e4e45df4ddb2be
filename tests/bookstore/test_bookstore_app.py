"""What the bookstore answers, asked in memory."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.bookstore.app import create_app
from plait.bookstore.catalogue import Book, Catalogue, load
from tests.support.bookstore import ask, real_catalogue

BOOKS = {
    1: {"title": "Dune", "author": "Frank Herbert", "score": "410"},
    42: {"title": "Solaris", "author": "Stanisław Lem"},
}
CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)
app = create_app(Catalogue(Book.from_fields(id, fields) for id, fields in BOOKS.items()))


async def test_the_root_lists_every_id() -> None:
    answer = await ask(app, "/")
    assert answer.status == 200
    assert answer.json() == [1, 42]
    assert answer.headers["vary"] == "accept"


@pytest.mark.parametrize("id", BOOKS)
async def test_a_book_is_found_by_its_id(id: int) -> None:
    answer = await ask(app, f"/book?id={id}")
    assert answer.status == 200
    assert answer.json() == BOOKS[id]


@pytest.mark.parametrize("query", ["id=%34%32", "page=2&id=42", "id=42&", "id=42&page="])
async def test_the_id_is_read_however_the_query_spells_it(query: str) -> None:
    assert (await ask(app, f"/book?{query}")).json() == BOOKS[42]


@pytest.mark.parametrize("id", ["2", "3000", "9" * 5000])
async def test_an_unknown_id_is_not_found(id: str) -> None:
    answer = await ask(app, f"/book?id={id}")
    assert answer.status == 404
    assert answer.json() == {"error": "there is no book with this id"}


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("/book", "the id is missing"),
        ("/book?", "the id is missing"),
        ("/book?ID=1", "the id is missing"),
        ("/book?id=1&id=42", "the id is given more than once"),
        ("/book?id=", "an id is a positive integer"),
        ("/book?id", "an id is a positive integer"),
        ("/book?id=0", "an id is a positive integer"),
        ("/book?id=01", "an id is a positive integer"),
        ("/book?id=-1", "an id is a positive integer"),
        ("/book?id=+1", "an id is a positive integer"),
        ("/book?id=1.0", "an id is a positive integer"),
        ("/book?id=one", "an id is a positive integer"),
        ("/book?id=1%00", "an id is a positive integer"),
        ("/book?id=%EF%BC%91", "an id is a positive integer"),  # a full-width 1
    ],
)
async def test_a_missing_or_malformed_id_is_a_bad_request(target: str, error: str) -> None:
    answer = await ask(app, target)
    assert answer.status == 400
    assert answer.json() == {"error": error}


@given(query=st.text(st.characters(max_codepoint=255), max_size=20) | st.from_regex(r"\Aid=[%0-9&=id]*\Z"))
@settings(deadline=None)
async def test_any_query_gets_an_answer_of_its_own(query: str) -> None:
    answer = await ask(app, f"/book?{query}")
    assert answer.status in (200, 400, 404)
    assert ("error" in answer.json()) == (answer.status != 200)


@pytest.mark.parametrize("path", ["/books", "/book/", "/book/1", "//", ""])
async def test_any_other_path_is_not_found(path: str) -> None:
    for method in ("GET", "POST"):
        answer = await ask(app, path, method)
        assert answer.status == 404
        assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("target", ["/", "/book?id=1", "/book", "/favicon.ico"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
async def test_only_get_and_head_are_allowed(target: str, method: str) -> None:
    answer = await ask(app, target, method)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("target", ["/", "/book?id=1", "/book?id=2", "/book", "/favicon.ico", "/none"])
async def test_head_answers_as_get_without_the_content(target: str) -> None:
    get, head = await ask(app, target), await ask(app, target, "HEAD")
    assert (head.status, head.headers, head.content) == (get.status, get.headers, b"")
    assert get.headers["content-length"] == str(len(get.content))


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (CHROMIUM, True),
        ("text/html", True),
        ("Text/HTML", True),
        ("text/html, application/json;q=0.5", True),
        ("text/html;q=0.2 , */*;q=0.1", True),
        ("text/html, */*;q=0", True),
        ("", False),
        ("*/*", False),
        ("text/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=0.5, */*", False),
        ("text/html;q=0", False),
        ("text/html;q=0.0, application/json;q=0", False),
        ("text/html-like", False),
        (";;,=;q=,text/html;q=nan;q=0.5,*/*;q=0.9", False),
    ],
)
async def test_html_goes_only_to_whom_prefers_it(accept: str, html: bool) -> None:
    answer = await ask(app, "/", accept=accept)
    assert answer.headers["content-type"].startswith("text/html" if html else "application/json")
    assert answer.headers["vary"] == "accept"
    assert answer.headers["content-length"] == str(len(answer.content))


async def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = (await ask(app, "/", accept=CHROMIUM)).content.decode()
    assert re.findall(r"""(?:src|href)=["']?([^"' >]+)""", page) == ["/favicon.ico"]
    assert "://" not in page
    assert (await ask(app, "/favicon.ico")).headers["content-type"] == "image/svg+xml"


async def test_a_response_changed_by_middleware_does_not_change_the_next() -> None:
    async def changing(scope: Any, receive: Any, send: Any) -> None:
        async def change(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"server", b"x")]
            await send(message)

        await app(scope, receive, change)

    assert "server" in (await ask(changing, "/book?id=1")).headers
    assert "server" not in (await ask(app, "/book?id=1")).headers


async def test_lifespan_is_answered_from_startup_to_shutdown() -> None:
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


async def test_a_scope_it_does_not_understand_raises() -> None:
    async def unused(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(NotImplementedError, match="websocket"):
        await app({"type": "websocket"}, unused, unused)


async def test_every_real_book_is_served() -> None:
    path = real_catalogue()
    real = create_app(load(path))
    books = json.loads(path.read_text())
    assert (await ask(real, "/")).json() == [int(id) for id in books]
    for id, book in books.items():
        assert (await ask(real, f"/book?id={id}")).json() == book
