from __future__ import annotations

import pytest

from plait.lab.bundled import BUNDLED, bundle
from plait.lab.site import app
from tests.support.bookstore import ask

PATHS = [path for name in BUNDLED for path in bundle(name).contents]


async def test_every_resource_is_served_with_its_type_and_length() -> None:
    for path in PATHS:
        answer = await ask(app, path)
        content = bundle(path.split("/")[1]).contents[path]
        assert answer.status == 200
        assert answer.content == content.body
        assert answer.headers["content-type"] == content.media_type
        assert answer.headers["content-length"] == str(len(content.body))


async def test_pages_are_asked_for_again_and_their_parts_are_kept() -> None:
    page, part = await ask(app, "/mixed-page/"), await ask(app, "/mixed-page/style-0.css")
    assert page.headers["cache-control"] == "no-cache"
    assert part.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert page.headers["etag"] != part.headers["etag"]


async def test_nothing_is_left_behind_in_a_browser_for_other_servers() -> None:
    assert "strict-transport-security" not in (await ask(app, "/mixed-page/")).headers


async def test_head_has_the_fields_and_no_content() -> None:
    answer = await ask(app, "/few-large/", "HEAD")
    assert answer.content == b""
    assert answer.headers == (await ask(app, "/few-large/")).headers


@pytest.mark.parametrize("path", ["/", "/mixed-page", "/mixed-page/nothing", "/robots.txt"])
async def test_other_paths_are_not_found(path: str) -> None:
    assert (await ask(app, path)).status == 404


async def test_other_methods_are_not_allowed() -> None:
    answer = await ask(app, "/mixed-page/", "POST")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


async def test_other_scopes_are_refused_as_asgi_asks() -> None:
    with pytest.raises(NotImplementedError):
        await ask_websocket()


async def ask_websocket() -> None:
    async def nothing() -> dict[str, object]:
        return {}

    async def ignore(message: object) -> None:
        pass

    await app({"type": "websocket"}, nothing, ignore)
