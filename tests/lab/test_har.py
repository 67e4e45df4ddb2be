from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plait.errors import ConfigError
from plait.lab import har_entries
from plait.lab.bundled import bundled_workload
from plait.lab.har import read_har
from plait.lab.source import Source
from plait.lab.workload import Kind, Resource
from tests.support.har_recorder import DATA, record
from tests.support.servers import serve_app

SITE = "https://site.example:443"
EPOCH = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()


def an_entry(path: str, start: float = 0, length: float = 10, /, **more: Any) -> dict[str, Any]:
    """An entry; times in milliseconds."""
    date = datetime.fromtimestamp(EPOCH + start / 1000, UTC).isoformat(timespec="microseconds")
    url = path if "://" in path or path.startswith("data:") else f"https://site.example{path}"
    kind = {"css": "stylesheet", "js": "script", "woff2": "font", "png": "image", "json": "fetch"}
    made: dict[str, Any] = {
        "startedDateTime": date,
        "time": length,
        "_resourceType": kind.get(path.rpartition(".")[2], "document"),
        "request": {"method": "GET", "url": url, "headers": []},
        "response": {"status": 200, "content": {"mimeType": "x-unknown/x-unknown"}, "redirectURL": ""},
    }
    for name, value in more.items():
        if name in ("method", "headers", "url"):
            made["request"][name] = value
        elif name in ("status", "redirectURL", "content"):
            made["response"][name] = value
        else:
            made[name] = value
    return made


def by_parser(path: str) -> dict[str, Any]:
    return {"type": "parser", "url": f"https://site.example{path}", "lineNumber": 3}


def by_script(*urls: str) -> dict[str, Any]:
    return {"type": "script", "stack": {"callFrames": [{"functionName": "", "url": url} for url in urls]}}


def save(directory: Path, *entries: Any) -> Path:
    file = directory / "site.har"
    file.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}))
    return file


def read(directory: Path, *entries: Any, origin: str | None = SITE) -> Source:
    return read_har(save(directory, *entries), origin)


def test_without_initiators_the_document_makes_everything_known(tmp_path: Path) -> None:
    source = read(tmp_path, an_entry("/"), an_entry("/a.css", 5), an_entry("/b.js", 30))
    assert source.page == "/"
    assert source.resources == (
        Resource(path="/", kind=Kind.DOCUMENT),
        Resource(path="/a.css", kind=Kind.STYLE, parent=0, delay=0.0),
        Resource(path="/b.js", kind=Kind.SCRIPT, parent=0, delay=0.02),
    )
    assert source.remarks == ()
    assert source.asked_for == frozenset()


def test_a_style_sheet_makes_its_fonts_known(tmp_path: Path) -> None:
    entries = [
        an_entry("/"),
        an_entry("/a.css", 10, 20, _initiator=by_parser("/")),
        an_entry("/f.woff2?v=1", 40, _initiator=by_parser("/a.css"), _resourceType="font"),
    ]
    font = read(tmp_path, *entries).resources[2]
    assert font == Resource(path="/f.woff2?v=1", kind=Kind.FONT, parent=1, delay=0.01)


def test_a_script_makes_known_what_the_nearest_frame_of_its_stack_fetched(tmp_path: Path) -> None:
    stack = by_script("https://site.example/b.js", "https://site.example/a.js")
    far = {
        "type": "script",
        "stack": {"callFrames": [], "parent": by_script("https://site.example/a.js")["stack"]},
    }
    entries = [
        an_entry("/"),
        an_entry("/a.js", 1),
        an_entry("/b.js", 2),
        an_entry("/data.json", 20, _initiator=stack),
        an_entry("/more.json", 21, _initiator=far),
    ]
    assert [one.parent for one in read(tmp_path, *entries).resources] == [None, 0, 0, 2, 1]


def test_a_referer_tells_the_parent_where_there_is_no_initiator(tmp_path: Path) -> None:
    referer = [{"name": "Referer", "value": "https://site.example/a.css"}]
    entries = [an_entry("/"), an_entry("/a.css", 10), an_entry("/f.woff2", 30, headers=referer)]
    assert read(tmp_path, *entries).resources[2].parent == 1


def test_entries_are_put_in_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    entries = [an_entry("/b.js", 30), an_entry("/", 0), an_entry("/a.css", 20)]
    assert [one.path for one in read(tmp_path, *entries).resources] == ["/", "/a.css", "/b.js"]


def test_time_spent_on_other_origins_is_the_delay_of_what_they_made_known(tmp_path: Path) -> None:
    cdn = "https://cdn.example/lib.js"
    entries = [
        an_entry("/", 0, 10),
        an_entry(cdn, 10, 50, _initiator=by_parser("/")),
        an_entry("/data.json", 65, _initiator=by_script(cdn)),
    ]
    source = read(tmp_path, *entries)
    assert source.resources[1] == Resource(path="/data.json", kind=Kind.DATA, parent=0, delay=0.055)
    assert source.remarks == ("left alone in site.har: 1 of other origins (https://cdn.example:443)",)


def test_what_is_left_alone_is_counted(tmp_path: Path) -> None:
    entries = [
        an_entry("/"),
        an_entry("/a.png", 1),
        an_entry("/a.png", 2, _fromCache="memory"),
        an_entry("/post", 3, method="POST"),
        an_entry("/gone.png", 4, status=404),
        an_entry("/blocked.png", 5, status=0),
        an_entry("data:image/png;base64,AA", 6),
        an_entry("blob:https://site.example/1", 7),
        an_entry("wss://site.example/socket", 8),
        an_entry("/events", 9, _resourceType="eventsource"),
        an_entry("/film", 10, headers=[{"name": "Range", "value": "bytes=0-"}]),
        an_entry("/poll.json", 9_000),
    ]
    source = read(tmp_path, *entries)
    assert [one.path for one in source.resources] == ["/", "/a.png"]
    assert source.remarks == (
        "left alone in site.har: 2 failed, 2 not fetched by HTTP, 2 streams without an end, "
        "1 from the memory of the page itself, 1 not GET, 1 parts of a content, "
        "1 after 5 seconds in which nothing was fetched",
    )


def test_what_was_fetched_twice_is_fetched_twice(tmp_path: Path) -> None:
    entries = [an_entry("/"), an_entry("/a.json", 1), an_entry("/a.json", 30)]
    assert [one.path for one in read(tmp_path, *entries).resources] == ["/", "/a.json", "/a.json"]


@pytest.mark.parametrize("more", [{"_fromCache": "disk"}, {"status": 304}, {"_fromCache": "memory"}])
def test_what_came_from_the_cache_is_fetched_and_remarked(tmp_path: Path, more: dict[str, Any]) -> None:
    source = read(tmp_path, an_entry("/"), an_entry("/a.css", 1, **more))
    assert len(source.resources) == 2
    assert source.remarks[0].startswith("1 of the resources in site.har came from the browser's cache")


def test_a_redirect_makes_known_where_it_leads_and_is_what_a_browser_opens(tmp_path: Path) -> None:
    entries = [
        an_entry("/old", 0, 10, status=301, redirectURL="/new"),
        an_entry("/new", 12),
        an_entry("/a.css", 30),
    ]
    source = read(tmp_path, *entries)
    assert [(one.path, one.parent) for one in source.resources] == [
        ("/old", None),
        ("/new", 0),
        ("/a.css", 1),
    ]
    assert source.page == "/old"


def test_the_first_of_several_pages_is_taken(tmp_path: Path) -> None:
    entries = [
        an_entry("/", 0, pageref="page_1"),
        an_entry("/a.css", 10, pageref="page_1"),
        an_entry("/other", 20, pageref="page_2", _initiator=by_parser("/")),
        an_entry("/b.css", 30, pageref="page_2"),
    ]
    source = read(tmp_path, *entries)
    assert [one.path for one in source.resources] == ["/", "/a.css"]
    assert source.remarks == ("left alone in site.har: 2 of other pages",)


def test_without_an_origin_the_site_is_that_of_the_first_page(tmp_path: Path) -> None:
    entries = [
        an_entry("http://localhost:8000/"),
        an_entry("http://localhost:8000/a.css", 5),
        an_entry("/b.css", 6),
    ]
    source = read(tmp_path, *entries, origin=None)
    assert [one.path for one in source.resources] == ["/", "/a.css"]
    assert source.page == "/"


def test_resources_without_a_page_are_all_known_from_the_beginning(tmp_path: Path) -> None:
    source = read(tmp_path, an_entry("/a.json"), an_entry("/b.json", 30))
    assert source.page is None
    assert [one.parent for one in source.resources] == [None, None]


def test_media_types_tell_the_kind_where_the_browser_does_not(tmp_path: Path) -> None:
    def an(path: str, start: float, media_type: str) -> dict[str, Any]:
        made = an_entry(path, start, content={"mimeType": media_type})
        del made["_resourceType"]
        return made

    entries = [
        an("/", 0, "text/html; charset=utf-8"),
        an("/1", 10, "text/css"),
        an("/2", 11, "application/javascript"),
        an("/3", 12, "font/woff2"),
        an("/4", 13, "image/avif"),
        an("/5", 14, "application/json"),
    ]
    assert [one.kind for one in read(tmp_path, *entries).resources] == list(Kind)


def test_letters_that_urls_do_not_have_are_encoded_as_a_browser_does(tmp_path: Path) -> None:
    source = read(tmp_path, an_entry("/"), an_entry("/caf\u00e9 1.png?q=\u00fc#top", 10))
    assert source.resources[1].path == "/caf%C3%A9%201.png?q=%C3%BC"


def test_a_har_of_another_site_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, an_entry("/"), an_entry("/a.css", 1), origin="https://elsewhere.example:443")
    assert str(refusal.value).endswith(
        "site.har holds nothing of https://elsewhere.example:443; "
        "it holds 2 of other origins (https://site.example:443)"
    )


def test_a_har_without_a_page_is_refused_where_the_page_is_to_tell_the_site(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no page: none of its 1 entries is a document"):
        read(tmp_path, an_entry("/a.json"), origin=None)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("text", "entry 2: 'text' is not an object"),
        ({}, "entry 2: request is missing and is not an object"),
        ({"request": {}, "response": {}}, "entry 2: request.url is missing and is not a URL"),
        (an_entry("/a", url=7), "entry 2: request.url 7 is not a URL"),
        (an_entry("/a", status="200"), "entry 2: response.status '200' is not a status code"),
        (an_entry("/a", method=None), "entry 2: request.method is missing and is not a method"),
        (
            an_entry("/a", startedDateTime="yesterday"),
            "startedDateTime 'yesterday' is not a date such as 2026-",
        ),
        (an_entry("/a", startedDateTime=0), "startedDateTime 0 is not a date"),
        (an_entry("/a", 0, float("nan")), "entry 2: time nan is not a number of milliseconds"),
        (an_entry("/a", 0, float("inf")), "entry 2: time inf is not a number"),
        (an_entry("/a", 0, -1.0), "entry 2: time -1.0 is not a number"),
        (an_entry("/a", 0, 10**400), "is not a number"),
        (an_entry("/a", time=None), "entry 2: time is missing and is not a number"),
        (an_entry("/a", time=True), "entry 2: time True is not a number"),
    ],
)
def test_a_malformed_entry_is_quoted_with_its_number(tmp_path: Path, entry: Any, complaint: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, an_entry("/"), entry)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not JSON at line 1, column 1"),
        (b"<html>", "not JSON at line 1, column 1"),
        (b"\xff\xfe", "it is not UTF-8 at byte 0"),
        (b"[]", "it has no list log.entries"),
        (b'{"log": 1}', "it has no list log.entries"),
        (b'{"log": {"entries": {}}}', "it has no list log.entries"),
        (b'{"log": {"entries": []}}', "has no entries: nothing was recorded"),
        (b"[" * 100_000, "its JSON cannot be read"),
        (b"9" * 10_000, "its JSON cannot be read"),
    ],
)
def test_what_is_no_har_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    file = tmp_path / "site.har"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as refusal:
        read_har(file, SITE)
    assert complaint in str(refusal.value)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    file = save(tmp_path, an_entry("/"))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert read_har(file, SITE).page == "/"


def test_a_har_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(har_entries, "SIZE_LIMIT", 2**20)
    file = save(tmp_path, an_entry("/"), "x" * 2**20)
    with pytest.raises(ConfigError, match=r"is larger than 1 MiB: save it without the contents"):
        read_har(file, SITE)


def test_a_missing_har_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere.har: No such file"):
        read_har(tmp_path / "nowhere.har", SITE)


def same_graph(source: Source) -> None:
    """Check that a recording of the mixed page has the dependencies that the page was made with."""
    workload = bundled_workload("mixed-page")
    assert source.page == workload.page
    assert edges(source.resources) == edges(workload.resources)


def edges(resources: tuple[Resource, ...]) -> Mapping[str, tuple[Kind, str | None]]:
    return {
        one.path: (one.kind, None if one.parent is None else resources[one.parent].path) for one in resources
    }


def test_what_chromium_recorded_of_the_mixed_page_is_what_it_was_made_of() -> None:
    source = read_har(DATA / "mixed-page.har", "http://localhost:8000")
    same_graph(source)
    assert source.remarks == ()


def test_chromium_fetches_the_mixed_page_as_it_was_made(tmp_path: Path) -> None:
    with serve_app("plait.lab.site:app", certificate=None) as server:
        har = record(server.url("/mixed-page/"), tmp_path)
    file = tmp_path / "live.har"
    file.write_text(json.dumps(har))
    same_graph(read_har(file, None))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
urls = st.sampled_from(
    ["https://site.example/a", "https://site.example/b#c", "https://[::1", "//x", "https://site.example//x",
     "https://other.example/", "data:,", "https://site.example:99999/", "https://site.example/\ud800", ""]
)  # fmt: skip


@st.composite
def wild_entries(draw: st.DrawFn) -> Any:
    """An entry with something in it that should not be there."""
    entry = an_entry("/", draw(st.integers(0, 10_000)))
    entry["request"]["url"] = draw(urls)
    entry["_initiator"] = draw(values | st.fixed_dictionaries({"url": urls, "stack": values}))
    for _ in range(draw(st.integers(0, 2))):
        part = draw(st.sampled_from([entry, entry["request"], entry["response"]]))
        if isinstance(part, dict) and part:
            part[draw(st.sampled_from(sorted(part)))] = draw(values)
    return entry


@given(st.lists(wild_entries(), max_size=6), st.sampled_from([SITE, None]))
def test_whatever_a_har_holds_it_is_read_or_refused(entries: list[Any], origin: str | None) -> None:
    with TemporaryDirectory() as directory:
        try:
            source = read(Path(directory), *entries, origin=origin)
        except ConfigError as refusal:
            sentence = str(refusal)
        else:
            sentence = ""
            assert_in_order(source)
    assert "\n" not in sentence
    assert len(sentence) < 600


def assert_in_order(source: Source) -> None:
    for index, one in enumerate(source.resources):
        assert one.parent is None or one.parent < index
        assert 0 <= one.delay < 10 * 24 * 3600


@given(st.binary(max_size=200))
@example(b'{"log": {"entries": [' + b"[" * 900 + b"]" * 900 + b"]}}")
def test_whatever_a_file_holds_it_is_read_or_refused(content: bytes) -> None:
    with TemporaryDirectory() as directory:
        file = Path(directory) / "site.har"
        file.write_bytes(content)
        with pytest.raises(ConfigError):
            read_har(file, SITE)
