"""Forms as content, read by parsers that were written elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import multipart
import pytest
import requests

from plait.client.making import RequestMaker
from plait.errors import LocalProtocolError
from tests.support.faces import Face
from tests.support.servers import Certificate, RunningServer, serve_app

Make = Callable[..., Face]


@pytest.fixture(scope="module")
def site(certificate: Certificate) -> Iterator[RunningServer]:
    """Run the application of tests/support/session_app.py."""
    with serve_app("session_app:app", certificate=certificate) as running:
        yield running


FORMS: list[Any] = [
    {"a": "1", "b": "x y&z=ä"},
    [("a", "1"), ("a", "2"), ("b", "")],
    {"a": ["1", "2"], "b": 3},
    {"a": True, "b": None, "c": b"\xff", "d": 1.5},
    {},
]


@pytest.mark.parametrize("data", FORMS, ids=range(len(FORMS)))
def test_a_form_is_what_others_send(data: Any) -> None:
    request = RequestMaker("https://a.example").make("POST", "/", data=data)
    assert isinstance(request.content, bytes)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["content-length"] == str(len(request.content))
    ours = parse_qsl(request.content.decode(), keep_blank_values=True, encoding="latin-1")
    prepared = requests.Request("POST", "https://a.example", data=data).prepare().body or ""
    theirs = parse_qsl(str(prepared), keep_blank_values=True, encoding="latin-1")
    if data and isinstance(data, dict) and "d" in data:
        theirs = [(name, value.lower() if name == "a" else value) for name, value in theirs]
    assert ours == theirs


def parsed(content: bytes, content_type: str) -> list[tuple[str, str | None, str, bytes]]:
    """Return the parts of a form with files: name, name of the file, media type and content."""
    _, options = multipart.parse_options_header(content_type)
    parser = multipart.MultipartParser(BytesIO(content), options["boundary"], len(content))
    parts = list(parser)
    result = [(part.name, part.filename, part.content_type, part.raw) for part in parts]
    for part in parts:
        part.close()
    return result


@pytest.mark.parametrize("version", ["auto", "1"])
def test_a_form_with_files_arrives(
    make_client: Make, site: RunningServer, certificate: Certificate, tmp_path: Path, version: str
) -> None:
    large = bytes(range(256)) * 2000
    (tmp_path / "large.png").write_bytes(large)
    with (
        (tmp_path / "large.png").open("rb") as file,
        make_client(site.url(""), verify=certificate.ca, http=version) as client,
    ):
        files = {
            "image": file,
            "several": [("a.txt", "text ä"), ("b", b"bytes", "text/x-b", {"X-A": "1"}), (None, b"unnamed")],
            "memory": BytesIO(b"in memory"),
        }
        seen = client.post("/", data={"a": ["1", 2], "ä": None}, files=files).json()
    content = seen["content"].encode("latin-1")
    assert seen["headers"]["content-length"] == str(len(content))
    assert parsed(content, seen["headers"]["content-type"]) == [
        ("a", None, "text/plain", b"1"),
        ("a", None, "text/plain", b"2"),
        ("image", "large.png", "image/png", large),
        ("several", "a.txt", "text/plain", "text ä".encode()),
        ("several", "b", "text/x-b", b"bytes"),
        ("several", None, "text/plain", b"unnamed"),
        ("memory", "memory", "application/octet-stream", b"in memory"),
    ]
    assert b"X-A: 1\r\n" in content


def test_names_are_escaped_as_browsers_do() -> None:
    request = RequestMaker("https://a.example").make("POST", "/", files={'a"b\r\n': ('ä"\n.txt', b"")})
    content = b"".join(request.content)  # type: ignore[arg-type]
    assert 'name="a%22b%0D%0A"; filename="ä%22%0A.txt"\r\n'.encode() in content
    theirs = httpx.Request("POST", "https://a.example", files={'a"b\r\n': ('ä"\n.txt', b"")}).read()
    assert content.split(b"\r\n")[1] == theirs.split(b"\r\n")[1]


def test_a_form_of_unknown_length_is_sent_all_the_same(
    make_client: Make, site: RunningServer, certificate: Certificate
) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"through a pipe")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, make_client(site.url(""), verify=certificate.ca) as client:
        request = client.build_request("POST", "/", files={"a": ("name", pipe)})
        assert (request.length, request.replayable) == (None, False)
        seen = client.send(request).json()
    assert "content-length" not in seen["headers"]
    parts = parsed(seen["content"].encode("latin-1"), seen["headers"]["content-type"])
    assert parts == [("a", "name", "application/octet-stream", b"through a pipe")]


def test_a_form_with_files_is_sent_again_from_its_beginning(
    make_client: Make, site: RunningServer, certificate: Certificate
) -> None:
    with make_client(site.url(""), verify=certificate.ca, follow_redirects=True) as client:
        to = {"status": 307, "location": "/there"}
        seen = client.post("/to", params=to, files={"a": BytesIO(b"again")}).json()
    assert seen["path"] == "/there"
    assert parsed(seen["content"].encode(), seen["headers"]["content-type"])[0][3] == b"again"


@pytest.mark.parametrize(
    "options",
    [
        {"data": b"bytes"},
        {"data": 7},
        {"data": {"a": object()}},
        {"data": {"a": "1"}, "content": b""},
        {"data": {"a": "1"}, "json": 1},
        {"files": b"bytes"},
        {"files": {"a": 7}},
        {"files": {"a": ("name",)}},
        {"files": {"a": ("name", StringIO("text"), None, {"x\n": "1"})}},
        {"files": {"a": ("name", b"", "text/plain\r\nx: y")}},
        {"files": {7: b""}},
        {"files": {"a": b""}, "data": {"a": object()}},
        {"files": {"a": b""}, "headers": {"content-type": "multipart/form-data"}},
    ],
)
def test_what_is_no_form_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        RequestMaker("https://a.example").make("POST", "/", **options)


def test_a_file_in_text_mode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with (tmp_path / "file").open() as file, pytest.raises(LocalProtocolError, match="in binary mode"):
        RequestMaker("https://a.example").make("POST", "/", content=file)


def test_a_file_that_grows_is_sent_as_long_as_it_was_announced(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"line\n")
    with path.open("rb") as file:
        request = RequestMaker("https://a.example").make("POST", "/", content=file)
        path.write_bytes(b"line\nanother\n")
        assert b"".join(request.content) == b"line\n"  # type: ignore[arg-type]
