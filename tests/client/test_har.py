"""HTTP Archives of what a client did, held to the format's own words and read by another reader."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import plait
from plait.client.recording import Record
from plait.errors import ConfigError, ExchangeReset, PlaitError, TotalTimeout
from plait.lab.har import read_har
from tests.support.faces import Face
from tests.support.raw_h2 import Peer, raw_server
from tests.support.session_app import CODED, CONTENT, app

Make = Callable[..., Face]


def read(file: Path) -> list[dict[str, Any]]:
    """Read an archive, and return its entries, each of which has everything that HAR 1.2 asks for."""
    log = json.loads(file.read_text())["log"]
    assert log["version"] == "1.2"
    assert log["creator"] == {"name": "plait", "version": plait.__version__}
    for entry in log["entries"]:
        check(entry)
    entries: list[dict[str, Any]] = log["entries"]
    return entries


def check(entry: dict[str, Any]) -> None:
    """Check an entry against http://www.softwareishard.com/blog/har-12-spec/."""
    assert datetime.fromisoformat(entry["startedDateTime"]).tzinfo is not None
    assert entry["cache"] == {}
    timings = entry["timings"]
    assert {"send", "wait", "receive"} <= set(timings) <= {
        "blocked", "dns", "connect", "ssl", "send", "wait", "receive",
    }  # fmt: skip
    assert min(timings[name] for name in ("send", "wait", "receive")) >= 0
    assert all(value == -1 or value >= 0 for value in timings.values())
    assert timings["ssl"] <= timings["connect"]  # of which it is a part
    parts = (value for name, value in timings.items() if name != "ssl" and value != -1)
    assert entry["time"] == pytest.approx(sum(parts), abs=0.01)
    request, response = entry["request"], entry["response"]
    for message in (request, response):
        assert isinstance(message["httpVersion"], str)
        for name in ("headersSize", "bodySize"):
            assert type(message[name]) is int
            assert message[name] >= -1
        for pair in (*message["headers"], *message["cookies"]):
            assert isinstance(pair["name"], str)
            assert isinstance(pair["value"], str)
    assert isinstance(request["method"], str)
    assert "#" not in request["url"]
    assert all(set(pair) == {"name", "value"} for pair in request["queryString"])
    if "postData" in request:
        assert {"mimeType", "params", "text"} <= set(request["postData"])
    assert type(response["status"]) is int
    assert isinstance(response["statusText"], str)
    assert isinstance(response["redirectURL"], str)
    assert type(response["content"]["size"]) is int
    assert isinstance(response["content"]["mimeType"], str)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the name of an archive that is still to be written."""
    return tmp_path / "out.har"


@pytest.fixture
def record(make_client: Make, file: Path) -> Callable[..., Any]:
    """Return what does something with a client of the application, and returns the entries of its archive."""

    def recorded(do: Callable[[Face], object], *, http: str = "2", **options: Any) -> list[dict[str, Any]]:
        known = {name: options.pop(name) for name in ("content_limit", "secrets") if name in options}
        with (
            plait.HarRecorder(file, **known) as recorder,
            make_client(
                "https://shop.example",
                transport=plait.AppTransport(app, http=http),
                record=recorder,
                **options,
            ) as client,
        ):
            do(client)
        return read(file)

    return recorded


def named(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {pair["name"]: pair["value"] for pair in pairs}


# -- one exchange --------------------------------------------------------------------------------


@pytest.mark.parametrize(("http", "version"), [("1", "HTTP/1.1"), ("2", "HTTP/2")])
def test_an_exchange_is_an_entry(record: Callable[..., Any], http: str, version: str) -> None:
    before = datetime.now(UTC)
    (entry,) = record(lambda client: client.get("/books?a=1&b=c%20d&a="), http=http)
    request, response = entry["request"], entry["response"]
    assert (request["method"], request["url"]) == ("GET", "https://shop.example/books?a=1&b=c%20d&a=")
    assert request["queryString"] == [
        {"name": "a", "value": "1"},
        {"name": "b", "value": "c d"},
        {"name": "a", "value": ""},
    ]
    assert request["httpVersion"] == response["httpVersion"] == version
    assert named(request["headers"])["accept"] == "*/*"
    assert (request["bodySize"], request["headersSize"]) == (0, -1)
    assert "postData" not in request
    assert (response["status"], response["statusText"]) == (200, "OK")
    length = int(named(response["headers"])["content-length"])
    assert response["bodySize"] == response["content"]["size"] == length
    assert response["content"]["comment"] == "not kept"
    assert entry["connection"] == "1"
    # Milliseconds are as fine as the format gets.
    started = datetime.fromisoformat(entry["startedDateTime"])
    assert -0.01 < (started - before).total_seconds() < 60


def test_the_server_and_its_bytes_are_in_it_where_they_are_known(make_client: Make, file: Path) -> None:
    def ordinary(peer: Peer) -> None:
        peer.start()
        peer.serve()

    options = {"http": "2", "measure": True, "headers": {"priority": "u=1"}}
    with (
        raw_server(ordinary) as server,
        plait.HarRecorder(file) as recorder,
        make_client(server.url, record=recorder, **options) as client,
    ):
        counted = [client.get("/").statistics for _ in range(2)]
    first, second = read(file)
    assert first["serverIPAddress"] == "127.0.0.1"
    assert first["timings"]["connect"] > 0
    assert second["timings"]["connect"] == second["timings"]["dns"] == second["timings"]["ssl"] == -1
    for entry, one in zip((first, second), counted, strict=True):
        assert entry["request"]["headersSize"] == one.fields.request
        assert entry["response"]["headersSize"] == one.fields.response
        assert entry["response"]["_transferSize"] == one.fields.response_wire + 2
        assert entry["request"]["_priority"] == "u=1"


# -- what is shown -------------------------------------------------------------------------------


def exchange_secrets(client: Face) -> None:
    client.post(
        "/set?cookie=basket%3D42%3B+Path%3D/%3B+Domain%3Dshop.example%3B+Secure%3B+HttpOnly%3B"
        "+Expires%3DWed,+21+Oct+2065+07:28:00+GMT",
        headers={"authorization": "Bearer token", "cookie": "a=1; b=2"},
        data={"password": "swordfish"},
    )


def test_credentials_cookies_and_contents_are_hidden(record: Callable[..., Any], file: Path) -> None:
    (entry,) = record(exchange_secrets)
    headers = named(entry["request"]["headers"])
    assert headers["authorization"] == "(12 bytes hidden)"
    assert named(entry["request"]["cookies"]) == {"a": "(1 bytes hidden)", "b": "(1 bytes hidden)"}
    assert named(entry["response"]["cookies"]) == {"basket": "(2 bytes hidden)"}
    assert entry["request"]["postData"]["comment"] == "not kept"
    for secret in ("token", "swordfish"):
        assert secret not in file.read_text()


def test_they_are_shown_to_those_who_ask(record: Callable[..., Any]) -> None:
    (entry,) = record(exchange_secrets, secrets=True, content_limit=1000)
    assert named(entry["request"]["headers"])["authorization"] == "Bearer token"
    assert named(entry["request"]["cookies"]) == {"a": "1", "b": "2"}
    (cookie,) = entry["response"]["cookies"]
    assert cookie == {
        "name": "basket",
        "value": "42",
        "path": "/",
        "domain": "shop.example",
        "expires": "2065-10-21T07:28:00+00:00",
        "httpOnly": True,
        "secure": True,
    }
    assert entry["request"]["postData"]["mimeType"] == "application/x-www-form-urlencoded"
    assert entry["request"]["postData"]["text"] == "password=swordfish"


def test_content_is_kept_as_far_as_it_was_asked_for(record: Callable[..., Any]) -> None:
    def ask(client: Face) -> None:
        assert client.get("/coded?as=gzip").content == CONTENT
        client.post("/", content=b"\xff\0\xfe")
        client.post("/", content=b"x" * 200)

    coded, binary, long = record(ask, content_limit=100)
    content = coded["response"]["content"]
    assert content["text"] == CONTENT[:100].decode()
    assert content["comment"] == f"the first 100 of {len(CONTENT):,} bytes"
    assert content["mimeType"] == "text/plain; charset=utf-8"
    assert content["size"] == len(CONTENT)
    assert coded["response"]["bodySize"] == len(CODED["gzip"])
    assert content["compression"] == len(CONTENT) - len(CODED["gzip"])
    assert base64.b64decode(binary["request"]["postData"]["text"]) == b"\xff\0\xfe"
    assert binary["request"]["postData"]["comment"] == "in base64"
    assert long["request"]["postData"]["text"] == "x" * 100
    assert long["request"]["postData"]["comment"] == "the first 100 of 200 bytes"
    assert long["request"]["bodySize"] == 200


def test_what_is_no_text_in_its_charset_is_base64(make_client: Make, file: Path) -> None:
    def pictures(peer: Peer) -> None:
        peer.start()
        peer.respond(*peer.requests(), content=b"\x89PNG", fields=(("content-type", "image/png"),))
        peer.drain()

    with (
        raw_server(pictures) as server,
        plait.HarRecorder(file, content_limit=100) as recorder,
        make_client(server.url, http="2", record=recorder) as client,
    ):
        client.get("/")
    (entry,) = read(file)
    content = entry["response"]["content"]
    assert (content["encoding"], base64.b64decode(content["text"])) == ("base64", b"\x89PNG")


# -- several for one -----------------------------------------------------------------------------


def test_each_step_of_a_redirect_is_an_entry(record: Callable[..., Any]) -> None:
    def follow(client: Face) -> None:
        client.get("/to?status=302&location=/to%3Fstatus%3D301%26location%3D/there", follow_redirects=True)

    steps = record(follow)
    assert [step["response"]["status"] for step in steps] == [302, 301, 200]
    assert [step["response"]["redirectURL"] for step in steps] == [
        "https://shop.example/to?status=301&location=/there",
        "https://shop.example/there",
        "",
    ]
    assert [step["request"]["url"] for step in steps[1:]] == [
        step["response"]["redirectURL"] for step in steps[:-1]
    ]
    starts = [step["startedDateTime"] for step in steps]
    assert starts == sorted(starts)


def test_what_authentication_takes_is_in_it(record: Callable[..., Any]) -> None:
    auth = plait.DigestAuth("Mufasa", "Circle of Life")
    steps = record(lambda client: client.get("/digest?algorithm=SHA-256", auth=auth))
    assert [step["response"]["status"] for step in steps] == [401, 200]


def test_a_streamed_response_is_an_entry_once_it_is_left(record: Callable[..., Any]) -> None:
    def stream(client: Face) -> None:
        with client.stream("GET", "/coded?as=gzip", follow_redirects=True) as response:
            response.read()
        with client.stream("GET", "/to?status=302&location=/coded%3Fas%3Dgzip", follow_redirects=True):
            pass

    read_to_its_end, redirect, left = record(stream)
    assert read_to_its_end["response"]["bodySize"] == len(CODED["gzip"])
    assert read_to_its_end["response"]["content"]["comment"] == "read piece by piece, and not kept"
    assert redirect["response"]["status"] == 302
    assert left["response"]["status"] == 200
    assert left["response"]["bodySize"] < len(CODED["gzip"])


# -- those that fail -----------------------------------------------------------------------------


def test_what_came_to_nothing_is_an_entry_without_a_status(make_client: Make, file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    with (
        plait.HarRecorder(file) as recorder,
        make_client(record=recorder) as client,
        pytest.raises(PlaitError) as caught,
    ):
        client.get(f"http://127.0.0.1:{port}/")
    (entry,) = read(file)
    assert entry["response"]["status"] == 0
    assert entry["response"]["_error"] == entry["comment"] == str(caught.value)
    assert "serverIPAddress" not in entry
    assert "connection" not in entry


def test_a_response_that_broke_off_is_an_entry_with_what_was_there(make_client: Make, file: Path) -> None:
    def breaking(peer: Peer) -> None:
        peer.start()
        (stream,) = peer.requests()
        peer.engine.send_headers(stream, [(":status", "200"), ("content-length", "10")])
        peer.engine.send_data(stream, b"half")
        peer.engine.reset_stream(stream, error_code=2)
        peer.flush()
        peer.drain()

    with (
        raw_server(breaking) as server,
        plait.HarRecorder(file) as recorder,
        make_client(server.url, http="2", record=recorder) as client,
        pytest.raises(ExchangeReset) as caught,
    ):
        client.post("/")
    (entry,) = read(file)
    assert entry["response"]["status"] == 200
    assert entry["response"]["_error"] == str(caught.value)
    assert entry["serverIPAddress"] == "127.0.0.1"


def test_one_that_took_too_long_tells_how_long(make_client: Make, file: Path) -> None:
    def mute(peer: Peer) -> None:
        peer.start()
        peer.drain()

    with (
        raw_server(mute) as server,
        plait.HarRecorder(file) as recorder,
        make_client(server.url, http="2", record=recorder) as client,
        pytest.raises(TotalTimeout),
    ):
        client.get("/", timeout=0.2)
    (entry,) = read(file)
    assert entry["time"] >= 190
    assert entry["timings"]["wait"] > 0


# -- the file ------------------------------------------------------------------------------------


def test_the_lab_compares_by_what_a_client_recorded(record: Callable[..., Any], file: Path) -> None:
    def browse(client: Face) -> None:
        for path in ("/", "/book?id=1", "/book?id=2"):
            client.get(path)
        client.post("/basket", content=b"1")

    record(browse)
    source = read_har(file, "https://shop.example:443")
    assert [resource.path for resource in source.resources] == ["/", "/book?id=1", "/book?id=2"]


def test_an_archive_of_nothing_is_whole(file: Path) -> None:
    recorder = plait.HarRecorder(file)
    recorder.close()
    recorder.close()
    assert read(file) == []


def test_what_ends_after_the_archive_was_closed_is_left_out(make_client: Make, file: Path) -> None:
    recorder = plait.HarRecorder(file)
    transport = plait.AppTransport(app)
    with make_client("https://shop.example", transport=transport, record=recorder) as client:
        client.get("/")
        recorder.close()
        client.get("/")
    assert len(read(file)) == 1


def test_a_file_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write .*: No such file or directory"):
        plait.HarRecorder(tmp_path / "nowhere" / "out.har")


def test_one_without_harfile_is_told_how_to_get_it() -> None:
    program = (
        "import sys; sys.modules['harfile'] = None\n"
        "import plait\n"
        "try:\n    plait.HarRecorder('out.har')\n"
        "except plait.errors.ConfigError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'HTTP Archives need harfile: pip install "plait[har]"'


def test_anything_may_take_the_records(make_client: Make) -> None:
    records: list[Record] = []
    transport = plait.AppTransport(app)
    with make_client("https://shop.example", transport=transport, record=records.append) as client:
        response = client.get("/")
    (one,) = records
    assert one.response is not None
    assert one.response.content == response.content
    assert (one.error, one.timing) == (None, response.timing)
