"""Requests and responses of real frameworks, whatever the version of HTTP: every call is made over both."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.sites import LARGE, Site, only

CONTENT = bytes(range(256)) * 8_000  # 2 MB


def digest(content: bytes) -> dict[str, Any]:
    """Return what the sites tell of content."""
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_arrives_with_its_content(site: Site, method: str) -> None:
    content = b"" if method == "GET" else b"some content"
    answer = site.ask(method, "/describe", content=content, headers={"content-type": "text/plain"})

    told = answer.json()
    assert (told["method"], told["content"]) == (method, digest(content))
    assert (told["scheme"], told["host"]) == ("https", f"localhost:{site.server.port}")


@pytest.mark.parametrize("path", ["/text", "/file", "/cookies"])
def test_head_has_the_fields_of_get_and_no_content(site: Site, path: str) -> None:
    head, get = site.ask("HEAD", path), site.ask("GET", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))


def test_paths_and_queries_are_unicode(site: Site) -> None:
    assert site.ask("GET", "/items/%E2%82%AC%20%2b").json()["name"] == "\u20ac +"
    told = site.ask("GET", "/describe?q=%E2%82%AC&q=b+c&empty=&%C3%A4=%26").json()
    assert told["query"] == [["q", "\u20ac"], ["q", "b c"], ["empty", ""], ["\xe4", "&"]]


def test_fields_arrive_that_come_twice_or_are_not_ascii(site: Site) -> None:
    fields = [(b"x-many", b"one"), (b"x-many", b"two"), (b"x-latin", b"caf\xe9"), (b"x-empty", b"")]
    told = site.ask("GET", "/describe", headers=fields).json()["headers"]

    assert told["x-many"].replace(", ", ",") == "one,two"
    assert (told["x-latin"], told["x-empty"]) == ("caf\xe9", "")


def test_fields_leave_that_are_there_twice_or_are_not_ascii(site: Site) -> None:
    fields = site.ask("GET", "/fields").headers.raw

    assert (b"x-latin", b"caf\xe9") in [(name.lower(), value) for name, value in fields]
    if not site.name.startswith("django"):  # whose responses have a field once
        assert [value for name, value in fields if name.lower() == b"x-twice"] == [b"one", b"two"]


def test_many_cookies_are_set_and_come_back(site: Site) -> None:
    crumbs = site.ask("GET", "/cookies/set").headers.get_list("set-cookie")
    assert len(crumbs) == 20
    assert all("HttpOnly" in crumb and "Secure" in crumb for crumb in crumbs)

    wanted = {f"c{number}": str(number) for number in range(20)}
    together = "; ".join(crumb.split(";")[0] for crumb in crumbs)
    assert site.ask("GET", "/cookies", headers={"cookie": together}).json() == wanted
    apart = [("cookie", crumb.split(";")[0]) for crumb in crumbs]
    assert site.ask_over("2", "GET", "/cookies", headers=apart).json() == wanted


def test_json_comes_and_goes(site: Site) -> None:
    book = {"title": "Gr\xf6\xdfe", "pages": 320}
    answer = site.ask("POST", "/json", json=book)
    assert (answer.status_code, answer.json()) == (201, {"got": book})


def test_a_form_is_read(site: Site) -> None:
    answer = site.ask("POST", "/form", content=b"a=1&b=%E2%82%AC+x&a=2", headers={
        "content-type": "application/x-www-form-urlencoded"
    })  # fmt: skip
    assert sorted(answer.json()) == [["a", "1"], ["a", "2"], ["b", "\u20ac x"]]


def test_a_file_is_uploaded_with_a_form(site: Site) -> None:
    file = ("gr\xf6\xdfe.bin", CONTENT, "image/png")
    told = site.ask("POST", "/upload", data={"title": "h\xe9llo"}, files={"file": file}).json()

    assert told == {
        "title": "h\xe9llo",
        "file": {"name": "gr\xf6\xdfe.bin", "type": "image/png", **digest(CONTENT)},
    }


def test_uploads_stream_with_a_length_and_without(site: Site) -> None:
    def in_pieces() -> Iterator[bytes]:
        for start in range(0, len(CONTENT), 10_000):
            yield CONTENT[start : start + 10_000]

    assert site.ask("POST", "/digest", content=CONTENT).json() == digest(CONTENT)
    # HTTP/1.1 sends it in chunks; over HTTP/2 there just is no content-length, without which Django reads
    # nothing as a WSGI application.
    told = site.ask("PUT", "/digest", content=in_pieces).json()
    assert told == digest(b"" if site.name == "django-wsgi" else CONTENT)
    assert site.ask("POST", "/digest", content=b"").json() == digest(b"")


def test_downloads_stream(site: Site) -> None:
    answer = site.ask("GET", "/download?size=3000001")
    assert answer.content == (bytes(range(256)) * 11_719)[:3_000_001]
    assert "content-length" not in answer.headers


def test_a_redirect_leads_there(site: Site) -> None:
    answer = site.ask("GET", "/redirect")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/describe?redirected=yes"

    told = site.ask("GET", "/redirect", follow_redirects=True).json()
    assert (told["path"], told["query"]) == ("/describe", [["redirected", "yes"]])


def test_addresses_made_by_the_framework_lead_back_to_the_server(site: Site) -> None:
    # A missing slash at the end is the framework's own redirect.
    answer = site.ask("GET", "/slash")
    assert answer.is_redirect
    assert answer.headers["location"] in {"/slash/", site.server.url("/slash/")}
    assert site.ask("GET", "/slash", follow_redirects=True).text == "slash"
    if site.name != "fastapi":  # which has a path instead of an address
        assert site.ask("GET", "/items/one").json()["url"] == site.server.url("/slash/")


def test_what_is_not_there_is_404_and_what_is_not_allowed_405(site: Site) -> None:
    assert site.ask("GET", "/nowhere").status_code == 404
    answer = site.ask("DELETE", "/json")
    assert answer.status_code == 405
    assert {"GET", "POST"} >= set(answer.headers["allow"].replace(" ", "").split(",")) - {"HEAD", "OPTIONS"}


def test_an_exception_is_500_and_in_the_log(site: Site) -> None:
    assert site.ask("GET", "/fail").status_code == 500
    site.until_said("ZeroDivisionError: as asked for, at once")
    assert site.ask("GET", "/text").status_code == 200


def test_responses_without_content_have_none(site: Site) -> None:
    answer = site.ask("GET", "/empty")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    answer = site.ask("GET", "/unchanged")
    assert (answer.status_code, answer.headers["etag"], answer.content) == (304, '"same"', b"")
    assert site.ask("GET", "/text").text.startswith("0123456789")


def test_a_file_is_sent_under_its_name(site: Site) -> None:
    answer = site.ask("GET", "/file")
    assert answer.content == LARGE
    assert answer.headers["content-length"] == str(len(LARGE))
    assert "filename*=utf-8''gr%c3%b6%c3%9fe.bin" in answer.headers["content-disposition"].lower()


@only("starlette", "fastapi", "flask")
def test_parts_of_a_file_are_sent(site: Site) -> None:
    parts = (("100-199", 100, 200), ("399000-", 399_000, 400_000), ("-5", 399_995, 400_000))
    for wanted, start, end in parts:
        answer = site.ask("GET", "/files/large.bin", headers={"range": f"bytes={wanted}"})
        assert (answer.status_code, answer.content) == (206, LARGE[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/400000"
    assert site.ask("GET", "/files/large.bin", headers={"range": "bytes=400000-"}).status_code == 416


def test_a_file_that_has_not_changed_is_not_sent_again(site: Site) -> None:
    etag = site.ask("GET", "/files/large.bin").headers["etag"]
    answer = site.ask("GET", "/files/large.bin", headers={"if-none-match": etag})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert site.ask("GET", "/files/large.bin", headers={"if-none-match": '"other"'}).content == LARGE


@only("starlette", "fastapi", "django", "django-wsgi")
def test_gzip_of_the_framework_comes_through(site: Site) -> None:
    for path in ("/text", "/download?size=100000"):
        plain = site.ask("GET", path).content
        for client in site.clients.values():
            with client.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
                packed = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == "gzip"
            assert len(packed) < len(plain) / 10
            assert gzip.decompress(packed) == plain


def test_a_session_is_kept_in_a_signed_cookie(site: Site) -> None:
    for version in site.clients:
        cookies: dict[str, str] = {}
        for visit in (1, 2, 3):
            field = "; ".join(f"{name}={value}" for name, value in cookies.items())
            answer = site.ask_over(version, "GET", "/visit", headers={"cookie": field} if field else {})
            assert answer.json() == visit
            cookies.update(answer.cookies)


def test_a_name_and_a_password_let_in(site: Site) -> None:
    assert site.ask("GET", "/private").status_code == 401
    assert site.ask("GET", "/private", auth=("ada", "wrong")).status_code == 401
    answer = site.ask("GET", "/private", auth=("ada", "lovelace"))
    assert (answer.status_code, answer.text.strip('"')) == (200, "for ada")


@only("starlette", "fastapi")
def test_what_the_lifespan_yields_is_the_state_of_requests(site: Site) -> None:
    assert site.ask("GET", "/state").json() == "by the lifespan"
