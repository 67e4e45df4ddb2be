"""Requests as callers say them, and responses as they read them."""

from __future__ import annotations

import io

import pytest

from plait.client.headers import Headers
from plait.client.making import RequestMaker
from plait.client.messages import Request, Response
from plait.errors import LocalProtocolError


def field(request: Request, name: bytes) -> bytes | None:
    return dict(request.fields).get(name)


def make(method: str = "GET", url: str = "/", **options: object) -> Request:
    return RequestMaker("https://example.com").make(method, url, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("base", "url", "expected"),
    [
        ("https://example.com", "/a", b"/a"),
        ("https://example.com", "a", b"/a"),
        ("https://example.com/api/", "/a", b"/api/a"),
        ("https://example.com/api", "a?b", b"/api/a?b"),
        ("https://example.com/api?x", "", b"/api"),
        ("https://example.com/api", "?b", b"/api?b"),
        ("https://example.com", "/login?next=https://other.example/", b"/login?next=https://other.example/"),
        ("https://example.com", "/proxy/https://other.example/", b"/proxy/https://other.example/"),
        ("https://example.com/api", "/a b#c", b"/api/a%20b"),
        ("https://example.com", "https://other.example/b", b"/b"),
        (None, "https://other.example/b", b"/b"),
    ],
)
def test_a_url_continues_the_base(base: str | None, url: str, expected: bytes) -> None:
    assert field(RequestMaker(base).make("GET", url), b":path") == expected


@pytest.mark.parametrize("url", ["/path", "path", ""])
def test_a_path_without_a_base_is_refused(url: str) -> None:
    with pytest.raises(LocalProtocolError):
        RequestMaker(None).make("GET", url)


def test_a_url_without_a_scheme_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="without a scheme"):
        make(url="//other.example/")


def test_pseudo_fields_come_first() -> None:
    names = [name for name, _ in make("POST", headers={"X-A": "1"}, content=b"x").fields]
    assert names[:4] == [b":method", b":scheme", b":authority", b":path"]
    assert not [name for name in names[4:] if name.startswith(b":")]


@pytest.mark.parametrize("method", ["", "GE T", "GET\r\n", "CONNECT", "connect", "GÉT", 7])
def test_what_is_no_method_is_refused(method: str) -> None:
    with pytest.raises(LocalProtocolError):
        make(method)


def test_standard_methods_are_taken_in_lower_case_and_others_as_they_are() -> None:
    assert field(make("get"), b":method") == b"GET"
    assert field(make("Purge"), b":method") == b"Purge"


@pytest.mark.parametrize(
    "headers",
    [
        {"a b": "1"}, {"": "1"}, {":path": "/"}, {"x": "a\r\nb: c"}, {"x": "a\x00"}, {"x": "€"}, {"ü": "1"},
        {"x": 1}, [("x",)], {"content-length": "ten"}, {"content-length": "-1"},
    ],
)  # fmt: skip
def test_fields_http_cannot_carry_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        make(headers=headers)


def test_fields_about_a_connection_are_left_out() -> None:
    request = make(headers={"Connection": "close", "Transfer-Encoding": "chunked", "X-A": "1"})
    assert field(request, b"x-a") == b"1"
    assert not {b"connection", b"transfer-encoding"} & {name for name, _ in request.fields}


def test_fields_of_the_caller_replace_the_default_ones_and_host_the_authority() -> None:
    request = make(headers={"User-Agent": "mine", "Host": "other.example"})
    assert [value for name, value in request.fields if name == b"user-agent"] == [b"mine"]
    assert field(request, b":authority") == b"other.example"
    assert field(request, b"host") is None


def test_content_is_measured_and_announced() -> None:
    assert field(make("POST", content="Käse"), b"content-length") == b"5"
    assert field(make("POST", content=b""), b"content-length") == b"0"
    assert field(make("POST", content=io.BytesIO(b"x")), b"content-length") == b"1"
    assert field(make("POST", content=iter([b"x"])), b"content-length") is None
    assert (
        field(make("POST", content=iter([b"x"]), headers={"content-length": "1"}), b"content-length") == b"1"
    )


def test_content_that_differs_from_its_length_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="has 1 bytes, not 2"):
        make("POST", content=b"x", headers={"content-length": "2"})


def test_json_is_announced_and_excludes_content() -> None:
    request = make("POST", json={"ä": None})
    assert request.content == '{"ä":null}'.encode()
    assert field(request, b"content-type") == b"application/json"
    with pytest.raises(LocalProtocolError, match="not both"):
        make("POST", json=1, content=b"1")


def test_content_of_another_type_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="not int"):
        make("POST", content=7)


@pytest.mark.parametrize(
    "content", [{"a": "b"}, {}, ["a"], [b"a", None], (1,), "\ud800", io.StringIO("text"), type, True]
)
def test_content_that_is_none_is_refused_before_anything_is_sent(content: object) -> None:
    with pytest.raises(LocalProtocolError):
        make("POST", content=content)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", float("nan"), {b"a": 1}, "\ud800"])
def test_what_cannot_be_said_in_json_is_refused(value: object) -> None:
    with pytest.raises(LocalProtocolError, match="JSON"):
        make("POST", json=value)


def test_a_list_that_holds_itself_is_refused_as_json() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(LocalProtocolError, match="JSON"):
        make("POST", json=endless)


@pytest.mark.parametrize("length", ["-1", "+5", "five", "0, 0", "1" * 5000])
def test_a_content_length_that_is_no_number_is_refused(length: str) -> None:
    with pytest.raises(LocalProtocolError, match="not a number of bytes"):
        make("POST", headers={"content-length": length}, content=iter([b"x"]))


@pytest.mark.parametrize("host", ["", "a b", "a/b", "user@host", "é", "a#b"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(LocalProtocolError, match="host and port"):
        make(headers={"host": host})


def test_a_request_has_one_host() -> None:
    with pytest.raises(LocalProtocolError, match="host and port"):
        make(headers=[("host", "a"), ("host", "b")])


@pytest.mark.parametrize("url", [None, 5, b"/a"])
def test_a_url_that_is_no_text_is_refused(url: object) -> None:
    with pytest.raises(LocalProtocolError, match="a URL is text"):
        make(url=url)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match="a URL is text"):
        RequestMaker(None).make("GET", url)  # type: ignore[arg-type]
    if url is not None:
        with pytest.raises(LocalProtocolError, match="a URL is text"):
            RequestMaker(url)  # type: ignore[arg-type]


@pytest.mark.parametrize("cookies", [5, "a=b", [("a", "b")]])
def test_cookies_of_a_request_are_a_mapping(cookies: object) -> None:
    with pytest.raises(LocalProtocolError, match="mapping"):
        make(cookies=cookies)


def test_parameters_that_can_be_read_once_replace_those_of_the_client() -> None:
    maker = RequestMaker("https://example.com", params={"a": "1", "b": "2"})
    request = maker.make("GET", "/", params=(pair for pair in [("a", "3")]))
    assert field(request, b":path") == b"/?b=2&a=3"


def test_a_client_refuses_parameters_that_are_none() -> None:
    with pytest.raises(LocalProtocolError, match="parameters"):
        RequestMaker("https://example.com", params=5)  # type: ignore[arg-type]


def test_content_at_hand_can_be_sent_again_and_an_iterator_cannot() -> None:
    assert make("POST", content=b"x").replayable
    assert not make("POST", content=iter([b"x"])).replayable


@pytest.mark.parametrize(
    "headers",
    [
        (("accept", "text/html"), ("cookie", "a=b"), ("cookie", "c=d")),
        (),
        (("host", "other.example"), ("x", "y")),
        (("content-length", "0"),),
    ],
)
def test_headers_that_cannot_change_mean_what_others_mean(headers: tuple[tuple[str, str], ...]) -> None:
    maker = RequestMaker("https://example.com")
    expected = maker.make("GET", "/a", headers=list(headers))
    for _ in range(2):
        made = maker.make("GET", "/a", headers=headers)
        assert (made.fields, made.length) == (expected.fields, expected.length)
    assert maker.make("GET", "/b", headers=headers).fields != expected.fields
    assert field(maker.make("POST", "/a", headers=headers, content=b""), b":method") == b"POST"


def test_headers_in_a_tuple_that_can_change_are_read_every_time() -> None:
    maker, headers = RequestMaker("https://example.com"), (["x", "1"],)
    assert field(maker.make("GET", "/", headers=headers), b"x") == b"1"  # type: ignore[arg-type]
    headers[0][1] = "2"
    assert field(maker.make("GET", "/", headers=headers), b"x") == b"2"  # type: ignore[arg-type]


def test_wrong_headers_in_a_tuple_are_refused_every_time() -> None:
    maker = RequestMaker("https://example.com")
    for _ in range(2):
        with pytest.raises(LocalProtocolError):
            maker.make("GET", "/", headers=(("x\n", "1"),))


def test_headers_ignore_case_and_keep_every_value() -> None:
    headers = Headers([(b"set-cookie", b"a=1"), (b"vary", b"x"), (b"set-cookie", b"b=2"), (b"vary", b"y")])
    assert headers["Vary"] == headers["VARY"] == "x, y"
    assert headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert "SET-COOKIE" in headers
    assert "missing" not in headers
    assert headers.get("missing") is None
    assert list(headers) == ["set-cookie", "vary"]
    assert len(headers) == 2
    assert headers.raw()[1] == ("vary", "x")


@pytest.mark.parametrize(
    ("content_type", "content", "text"),
    [
        (None, "Käse".encode(), "Käse"),
        (b"text/plain; charset=ISO-8859-1", "Käse".encode("latin-1"), "Käse"),
        (b'text/plain; Charset="utf-16"', "Käse".encode("utf-16"), "Käse"),
        (b"text/plain; charset=no-such", "Käse".encode(), "Käse"),
        (b"text/plain", b"\xff", "�"),
    ],
)
def test_text_is_decoded_in_the_charset_named(content_type: bytes | None, content: bytes, text: str) -> None:
    fields = [] if content_type is None else [(b"content-type", content_type)]
    assert Response(200, fields, content, "HTTP/2").text == text
