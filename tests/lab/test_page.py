from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import PlaitError
from plait.lab import page as page_module
from plait.lab.bundled import bundled_workload
from plait.lab.fetching import Answer
from plait.lab.har import read_har
from plait.lab.page import read_page
from plait.lab.prepare import prepare_page
from plait.lab.robots import ALLOW_ALL, Robots
from plait.lab.source import Source
from plait.lab.target import Target
from plait.lab.workload import Kind
from tests.support.har_recorder import record
from tests.support.memory_site import MemorySite
from tests.support.servers import serve_app
from tests.support.tricky_page_app import FETCHED


def site(contents: Mapping[str, str | bytes | Answer]) -> MemorySite:
    """A site whose paths answer CSS where they end so, and else HTML."""

    def answer(path: str, content: str | bytes | Answer) -> Answer:
        if isinstance(content, Answer):
            return content
        media_type = "text/css" if path.endswith(".css") else "text/html"
        data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        return Answer(status=200, content=data, media_type=media_type)

    return MemorySite({path: answer(path, content) for path, content in contents.items()})


def read(page: str | bytes | Answer, robots: Robots = ALLOW_ALL, **contents: str) -> Source:
    named = {f"/{name.replace('_', '.')}": content for name, content in contents.items()}
    return read_page(site({"/dir/page": page, **named}).fetcher(), "/dir/page", robots)


def named(source: Source) -> list[str]:
    return [resource.path for resource in source.resources[1:]]


@contextmanager
def serving_app(app: str) -> Iterator[Target]:
    with serve_app(app, certificate=None) as server:
        yield Target(scheme="http", host="localhost", port=server.port)


def test_a_page_is_its_own_first_resource() -> None:
    source = read("<p>words")
    assert [(one.path, one.kind, one.parent) for one in source.resources] == [
        ("/dir/page", Kind.DOCUMENT, None)
    ]
    assert source.page == "/dir/page"
    assert source.asked_for == {"/dir/page"}
    assert source.name == "https://site.example:443/dir/page"
    assert source.remarks == ()


def test_references_are_relative_to_the_page_or_to_its_base() -> None:
    assert named(read("<img src=a.png><img src=/b.png><img src=../c.png>")) == [
        "/dir/a.png",
        "/b.png",
        "/c.png",
    ]
    assert named(read("<base href=/else/><img src=a.png>")) == ["/else/a.png"]


def test_what_a_style_sheet_names_is_relative_to_it_and_known_through_it() -> None:
    source = read(
        '<link rel=stylesheet href="/a.css">', a_css="@import 'b.css'; p { background: url(c.png) }"
    )
    assert [(one.path, one.kind, one.parent) for one in source.resources[1:]] == [
        ("/a.css", Kind.STYLE, 0),
        ("/b.css", Kind.STYLE, 1),
        ("/c.png", Kind.IMAGE, 1),
    ]


def test_style_sheets_that_import_each_other_are_read_once() -> None:
    source = read("<link rel=stylesheet href=/a.css>", a_css="@import '/b.css'", b_css="@import '/a.css'")
    assert named(source) == ["/a.css", "/b.css"]


def test_style_sheets_without_an_end_are_read_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "PAGE_RESOURCES", 10)
    sheets = {f"s{number}_css": f"@import '/s{number + 1}.css'" for number in range(100)}
    source = read("<link rel=stylesheet href=/s0.css>", **sheets)
    assert len(source.resources) == 10
    assert source.remarks == ("left alone on /dir/page: 1 after the first 10",)


def test_of_several_icons_the_last_is_fetched() -> None:
    icons = (
        "<link rel=icon href=1.ico><link rel='shortcut icon' href=2.ico><link rel=apple-touch-icon href=3>"
    )
    assert named(read(icons)) == ["/dir/2.ico"]


def test_what_is_left_alone_is_counted() -> None:
    page = """<iframe src=a></iframe><img loading=lazy src=b.png><video src=c></video><audio src=d></audio>
    <script src=https://cdn.example/x.js></script><img src=//img.example/y.png><img src=https://cdn.example/z.png>"""
    assert read(page).remarks == (
        "left alone on /dir/page: 3 of other origins (https://cdn.example:443, https://img.example:443), "
        "2 films and sounds, 1 frames, 1 images that load when they are scrolled to",
    )


def test_a_style_sheet_that_robots_may_not_read_is_not_asked_for() -> None:
    made = site(
        {"/": "<link rel=stylesheet href=/private/a.css>", "/private/a.css": "p{background:url(b.png)}"}
    )
    source = read_page(made.fetcher(), "/", Robots("user-agent: *\ndisallow: /private"))
    assert made.asked == ["/"]
    assert named(source) == ["/private/a.css"]  # which is for who prepares it to report


def test_a_page_that_robots_may_not_read_is_refused() -> None:
    with pytest.raises(PlaitError, match=r"/dir/page may not be fetched by programs: its robots.txt says so"):
        read("", Robots("user-agent: *\ndisallow: /dir"))


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (Answer(status=404, content=b""), "answers 404: there is nothing to compare"),
        (Answer(status=301, content=b"", location="/x/"), "answers 301 and leads to /x/: give that"),
        (Answer(status=200, content=b"", media_type="image/png"), "is image/png, which is no page"),
        (
            Answer(status=200, content=b"", media_type="text/html", coding="br"),
            "is coded as 'br', which was not",
        ),
        (Answer(status=200, content=b"<p>", coding="gzip"), "says that it is gzip, and is not"),
    ],
)
def test_what_is_no_page_is_refused(answer: Answer, complaint: str) -> None:
    with pytest.raises(PlaitError) as refusal:
        read(answer)
    assert complaint in str(refusal.value)
    assert "https://site.example:443/dir/page" in str(refusal.value)


def test_a_coded_page_is_decoded() -> None:
    content = gzip.compress(b"<img src=a.png>")
    answer = Answer(status=200, content=content, media_type="text/html", coding="gzip")
    assert named(read(answer)) == ["/dir/a.png"]


@pytest.mark.parametrize(
    ("media_type", "head"),
    [("text/html; charset=windows-1251", b""), ("text/html", b"<meta charset=windows-1251>")],
)
def test_the_encoding_of_a_page_is_that_which_it_says(media_type: str, head: bytes) -> None:
    content = head + "<img src=\u043a.png>".encode("windows-1251")
    source = read(Answer(status=200, content=content, media_type=media_type))
    assert named(source) == ["/dir/%D0%BA.png"]


@pytest.mark.parametrize("charset", ["no-such", "base64", "undefined", "\u00e9"])
def test_an_encoding_that_there_is_not_is_taken_for_utf_8(charset: str) -> None:
    content = f'<meta charset="{charset}"><img src=a.png>'.encode()
    assert named(read(Answer(status=200, content=content, media_type="text/html"))) == ["/dir/a.png"]


def test_the_mixed_page_is_read_as_it_was_made() -> None:
    workload = bundled_workload("mixed-page")
    with serving_app("plait.lab.site:app") as target:
        made = prepare_page(target, "/mixed-page/", versions=frozenset("12"), own=False)
    found = {
        one.path: (
            one.kind,
            expected,
            None if one.parent is None else made.workload.resources[one.parent].path,
        )
        for one, expected in zip(made.workload.resources, made.workload.expected, strict=True)
    }
    assert found == {
        one.path: (one.kind, expected, None if one.parent is None else workload.resources[one.parent].path)
        for one, expected in zip(workload.resources, workload.expected, strict=True)
    }
    assert made.workload.page == "/mixed-page/"
    assert made.remarks == ()


def test_choices_are_made_as_a_desktop_browser_makes_them() -> None:
    with serving_app("tricky_page_app:app") as target:
        made = prepare_page(target, "/", versions=frozenset("12"), own=False)
    assert {one.path for one in made.workload.resources} == FETCHED


def test_chromium_makes_the_same_choices(tmp_path: Path) -> None:
    with serve_app("tricky_page_app:app", certificate=None) as server:
        har = record(server.url("/"), tmp_path)
    file = tmp_path / "page.har"
    file.write_text(json.dumps(har))
    assert {one.path for one in read_har(file, None).resources} == FETCHED


pieces = st.sampled_from(
    ["<", ">", "<img src=", "<link rel=stylesheet href=", "<style>", "</style>", "<![CDATA[", "<!--",
     "<base href=", '"', "'", "a.css", "//", "https://[", "\x00", "\ud800", "srcset=", "1x", ",", " ", "url(",
     "@import ", "<svg>", "<template>", "<noscript>", "<picture><source media=", "style=", "{", "}", "(",
     "&#xD800;", "\u00e9"]
)  # fmt: skip


@given(st.lists(pieces | st.text(max_size=8), max_size=30).map("".join), st.binary(max_size=60))
def test_whatever_a_page_holds_it_is_read(page: str, noise: bytes) -> None:
    data = page.encode("utf-8", "surrogatepass") + noise
    source = read(Answer(status=200, content=data, media_type="text/html"), **{"a_css": page})
    for index, one in enumerate(source.resources):
        assert one.parent is None or one.parent < index
        assert one.path.isascii()
        assert " " not in one.path
