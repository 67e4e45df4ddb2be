"""Files of a directory: what is served, to whom, in which form, and what never is."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plait.errors import ConfigError
from plait.server.representations import Range, Validators, choose_coding, range_of, status_of
from plait.server.static import _names
from tests.support.pairs import Message
from tests.support.serving import H2Client, h1_client, h2_client, serving

WHEN = 1_500_000_000
STYLE = b"body { color: teal }\n" * 100


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a directory with files that are for everybody, and some that are not."""
    root = tmp_path / "site"
    (root / "docs").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / ".git").mkdir()
    (root / ".well-known").mkdir()
    for name, content in {
        "style.css": STYLE,
        "style.css.gz": gzip.compress(STYLE),
        "style.css.br": b"brotli",
        "style.css.zst": b"zstandard",
        "index.html": b"<p>home",
        "docs/index.html": b"<p>docs",
        "nothing.txt": b"",
        "archive.tar.gz": b"tar",
        "thing": b"?",
        "a b.txt": b"blank",
        ".env": b"SECRET",
        ".git/config": b"SECRET",
        ".well-known/security.txt": b"Contact",
    }.items():
        (root / name).write_bytes(content)
        os.utime(root / name, (WHEN, WHEN))
    (tmp_path / "outside.txt").write_bytes(b"SECRET")
    (root / "leak.txt").symlink_to(tmp_path / "outside.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "hidden.txt").symlink_to(root / ".env")
    (root / "inner.txt").symlink_to(root / "docs" / "index.html")
    os.mkfifo(root / "pipe")
    return root


@asynccontextmanager
async def client_of(app: Any = None, **options: Any) -> AsyncIterator[H2Client]:
    async with serving(app, **options) as running, h2_client(running) as client:
        yield client


async def get(
    client: H2Client, path: str, method: bytes = b"GET", **fields: str
) -> tuple[int, dict[str, str], bytes]:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    message: Message = await client.response(client.request(method, path.encode(), *sent))
    head = {name.decode(): value.decode() for name, value in message.head}
    return int(head.pop(":status")), head, bytes(message.content)


async def test_a_file_is_served_with_its_type_and_its_validators(site: Path) -> None:
    async with client_of(static=site) as client:
        status, head, content = await get(client, "/style.css")
    assert (status, content) == (200, STYLE)
    assert head["content-type"] == "text/css; charset=utf-8"
    assert head["content-length"] == str(len(STYLE))
    assert head["last-modified"] == formatdate(WHEN, usegmt=True)
    assert head["etag"].startswith('"')
    assert head["accept-ranges"] == "bytes"
    assert head["vary"] == "accept-encoding"
    assert head["x-content-type-options"] == "nosniff"
    assert "content-encoding" not in head


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/thing", "application/octet-stream"),
        ("/archive.tar.gz", "application/gzip"),
        ("/nothing.txt", "text/plain; charset=utf-8"),
        ("/a%20b.txt", "text/plain; charset=utf-8"),
        ("/inner.txt", "text/plain; charset=utf-8"),
        ("/.well-known/security.txt", "text/plain; charset=utf-8"),
        ("/style.css?version=1", "text/css; charset=utf-8"),
    ],
)
async def test_every_file_has_a_type(site: Path, path: str, kind: str) -> None:
    async with client_of(static=site) as client:
        status, head, _ = await get(client, path)
    assert (status, head["content-type"]) == (200, kind)
    assert "content-encoding" not in head


@pytest.mark.parametrize(
    "path",
    [
        "/.env", "/.git/config", "/.git/", "/leak.txt", "/up/outside.txt", "/up/", "/hidden.txt", "/pipe",
        "/../outside.txt", "/%2e%2e/outside.txt", "/docs/../../outside.txt", "/docs/%2e%2e/style.css",
        "/docs%2findex.html", "/docs%5cindex.html", "/..%2foutside.txt", "/style.css%00", "/style.css/",
        "//style.css", "/docs//index.html", "/./style.css", "/nowhere", "/empty/", "/empty", "/" + "a" * 300,
        "/%ff", "/~root", "/c:/windows",
    ],
)  # fmt: skip
async def test_what_is_not_for_everybody_is_not_found(site: Path, path: str) -> None:
    async with client_of(static=site) as client:
        status, _, content = await get(client, path)
    assert (status, content) == (404, b"not found\n")


@given(st.binary(max_size=60))
@example(b"/..")
@example(b"/%2e%2e/%2e%2e")
@example(b"/a%2f..%2f..")
def test_no_path_leads_out_of_the_directory(path: bytes) -> None:
    names = _names(path)
    if names is not None:
        joined = os.path.normpath(os.path.join("/root/here", *names))
        assert joined == "/root/here" or joined.startswith("/root/here/")
        assert "\0" not in joined


async def test_a_directory_is_its_index_and_goes_with_a_slash(site: Path) -> None:
    async with client_of(static=site) as client:
        assert (await get(client, "/"))[2] == b"<p>home"
        assert (await get(client, "/docs/"))[2] == b"<p>docs"
        status, head, _ = await get(client, "/docs?a=b")
    assert (status, head["location"]) == (301, "./docs/?a=b")


async def test_only_get_and_head_are_there(site: Path) -> None:
    async with client_of(static=site) as client:
        status, head, content = await get(client, "/style.css", b"HEAD")
        assert (status, head["content-length"], content) == (200, str(len(STYLE)), b"")
        for method in (b"POST", b"PUT", b"DELETE", b"OPTIONS"):
            status, head, _ = await get(client, "/style.css", method)
            assert (status, head["allow"]) == (405, "GET, HEAD")


async def test_a_client_that_has_the_file_gets_304(site: Path) -> None:
    async with client_of(static=site) as client:
        _, first, _ = await get(client, "/style.css")
        for fields in (
            {"if_none_match": first["etag"]},
            {"if_none_match": f'"other", W/{first["etag"]}'},
            {"if_modified_since": first["last-modified"]},
        ):
            status, head, content = await get(client, "/style.css", **fields)
            assert (status, content) == (304, b"")
            assert head["etag"] == first["etag"]
            assert head["vary"] == "accept-encoding"
        status, _, _ = await get(client, "/style.css", if_match='"other"')
        assert status == 412


async def test_part_of_a_file_is_served(site: Path) -> None:
    async with client_of(static=site) as client:
        _, first, _ = await get(client, "/style.css")
        status, head, content = await get(client, "/style.css", range="bytes=5-9")
        assert (status, content) == (206, STYLE[5:10])
        assert head["content-range"] == f"bytes 5-9/{len(STYLE)}"
        assert (await get(client, "/style.css", range="bytes=-4"))[2] == STYLE[-4:]
        status, head, _ = await get(client, "/style.css", range="bytes=999999-")
        assert (status, head["content-range"]) == (416, f"bytes */{len(STYLE)}")
        assert (await get(client, "/style.css", range="bytes=0-1", if_range=first["etag"]))[0] == 206
        assert (await get(client, "/style.css", range="bytes=0-1", if_range='"other"'))[0] == 200
        assert (await get(client, "/style.css", range="bytes=0-1,5-6"))[0] == 200
        assert (await get(client, "/nothing.txt", range="bytes=0-"))[0] == 416


async def test_a_compressed_variant_goes_to_who_takes_it(site: Path) -> None:
    etags = set()
    async with client_of(static=site) as client:
        for accepted, coding, expected in [
            ("gzip, deflate, br, zstd", "br", b"brotli"),
            ("gzip, zstd", "zstd", b"zstandard"),
            ("gzip", "gzip", gzip.compress(STYLE)),
            ("gzip;q=0", None, STYLE),
            ("deflate", None, STYLE),
        ]:
            status, head, content = await get(client, "/style.css", accept_encoding=accepted)
            assert (status, head.get("content-encoding"), head["vary"]) == (200, coding, "accept-encoding")
            assert head["content-type"] == "text/css; charset=utf-8"
            assert len(content) == len(expected)
            etags.add(head["etag"])
        _, head, _ = await get(client, "/index.html", accept_encoding="gzip")
        assert "vary" not in head
    assert len(etags) == 4


async def test_a_large_file_is_sent_piece_by_piece_over_both_versions(tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    (tmp_path / "large.bin").write_bytes(content)
    async with serving(None, static=tmp_path) as running:
        async with h2_client(running) as client:
            assert (await get(client, "/large.bin"))[2] == content
        async with h1_client(running) as h1:
            h1.writer.write(b"GET /large.bin HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            assert (await h1.rest()).endswith(content)


# -- beside an application --------------------------------------------------------------------------


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"app " + scope["raw_path"]})


async def test_mounts_stand_beside_an_application_and_the_longest_path_wins(site: Path) -> None:
    mounts = (f"/static={site}", f"/static/more={site / 'docs'}")
    async with client_of(app, mount=mounts) as client:
        assert (await get(client, "/static/style.css"))[2] == STYLE
        assert (await get(client, "/static/more/index.html"))[2] == b"<p>docs"
        assert (await get(client, "/static/more/style.css"))[0] == 404
        assert (await get(client, "/staticfile"))[2] == b"app /staticfile"
        assert (await get(client, "/"))[2] == b"app /"
        status, head, _ = await get(client, "/static")
        assert (status, head["location"]) == (301, "./static/")
        assert (await get(client, "/static/../x"))[0] == 404


async def test_mounts_stand_below_no_root_path(site: Path) -> None:
    async with client_of(app, mount=(f"/static={site}",), root_path="/outer") as client:
        assert (await get(client, "/static/style.css"))[2] == STYLE
        assert (await get(client, "/x"))[2] == b"app /outer/x"


async def test_mounts_without_an_application_leave_the_rest_not_found(site: Path) -> None:
    async with client_of(None, mount=(f"/static={site}",)) as client:
        assert (await get(client, "/static/style.css"))[2] == STYLE
        assert (await get(client, "/"))[0] == 404


@pytest.mark.parametrize(
    ("mounts", "says"),
    [
        (("static=.",), "PATH=DIR"),
        (("/static",), "PATH=DIR"),
        (("/static=",), "PATH=DIR"),
        (("/a=.", "/a/=."), "has the path '/a/' twice"),
        (("/a=/no/such/directory",), "there is no directory /no/such/directory to serve at /a"),
    ],
)
async def test_a_mount_that_cannot_be_is_one_sentence(mounts: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        async with serving(app, mount=mounts):
            pass


async def test_two_directories_for_the_root_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match="--static serves a directory at /, where --mount"):
        async with serving(None, static=Path(), mount=("/=.",)):
            pass


# -- conditions, ranges and codings -----------------------------------------------------------------

NOW = Validators('"a"', WHEN)
BEFORE, AFTER = formatdate(WHEN - 1, usegmt=True), formatdate(WHEN + 1, usegmt=True)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"if-none-match": '"a"'}, 304),
        ({"if-none-match": 'W/"a"'}, 304),
        ({"if-none-match": '"b" , "a"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"b"'}, 200),
        ({"if-none-match": "a"}, 200),
        ({"if-none-match": '"b"', "if-modified-since": AFTER}, 200),
        ({"if-modified-since": AFTER}, 304),
        ({"if-modified-since": BEFORE}, 200),
        ({"if-modified-since": "Friday, 14-Jul-17 02:40:00 GMT"}, 304),
        ({"if-modified-since": "Fri Jul 14 02:40:00 2017"}, 304),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-modified-since": ""}, 200),
        ({"if-match": '"a"'}, 200),
        ({"if-match": 'W/"a"'}, 412),
        ({"if-match": "*"}, 200),
        ({"if-match": '"b", "c"'}, 412),
        ({"if-match": '"a"', "if-unmodified-since": BEFORE}, 200),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-unmodified-since": AFTER}, 200),
        ({"if-match": '"b"', "if-none-match": '"a"'}, 412),
    ],
)
def test_conditions_are_evaluated_in_their_order(fields: dict[str, str], status: int) -> None:
    assert status_of(fields, NOW) == status


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-0", Range(0, 1)),
        ("bytes=0-", Range(0, 10)),
        ("bytes=9-", Range(9, 10)),
        ("bytes=5-99", Range(5, 10)),
        ("bytes=-3", Range(7, 10)),
        ("bytes=-99", Range(0, 10)),
        ("BYTES=1-2", Range(1, 3)),
        ("bytes= 1-2 ", Range(1, 3)),
        ("bytes=10-", Range(0, 0)),
        ("bytes=-0", Range(0, 0)),
        ("bytes=3-2", None),
        ("bytes=1-2,4-5", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=1", None),
        ("bytes=+1-2", None),
        ("bytes=1--2", None),
        ("lines=1-2", None),
        ("1-2", None),
        ("", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_a_range_is_read_as_rfc_9110_has_it(text: str, expected: Range | None) -> None:
    assert range_of({"range": text}, NOW, 10) == expected


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        ('"a"', True),
        ('W/"a"', False),
        ('"b"', False),
        (NOW.last_modified, True),
        (BEFORE, False),
        ("", False),
    ],
)
def test_a_range_of_what_the_file_was_before_is_the_whole_file(condition: str, taken: bool) -> None:
    found = range_of({"range": "bytes=0-0", "if-range": condition}, NOW, 10)
    assert (found is not None) is taken


@given(st.text(max_size=40), st.integers(0, 100))
def test_whatever_the_range_it_lies_within_the_file(text: str, size: int) -> None:
    found = range_of({"range": f"bytes={text}"}, NOW, size)
    assert found is None or found == Range(0, 0) or 0 <= found.start < found.end <= size


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("br;q=0.5, gzip", "gzip"),
        ("br, gzip", "br"),
        ("*", "br"),
        ("*;q=0", None),
        ("br;q=0, *", "gzip"),
        ("gzip;q=0.5, identity", None),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("gzip; q=0.000", None),
        ("gzip;q=2, nonsense;;", None),
    ],
)
def test_the_coding_is_the_one_the_client_likes_best(accepted: str | None, coding: str | None) -> None:
    assert choose_coding(accepted, ["br", "gzip"]) == coding
