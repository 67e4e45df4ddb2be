"""URLs as a client needs them."""

from __future__ import annotations

from typing import Any

import pytest

from plait.errors import LocalProtocolError
from plait.urls import Origin, Params, parse, query


@pytest.mark.parametrize(
    ("url", "origin", "authority", "target"),
    [
        ("https://example.com", Origin("https", "example.com", 443), b"example.com", "/"),
        ("HTTPS://Example.COM:443/a?b#c", Origin("https", "example.com", 443), b"example.com", "/a?b"),
        ("http://localhost:8080?q", Origin("http", "localhost", 8080), b"localhost:8080", "/?q"),
        ("https://[::1]:8443/", Origin("https", "::1", 8443), b"[::1]:8443", "/"),
        (
            "https://bücher.example/",
            Origin("https", "xn--bcher-kva.example", 443),
            b"xn--bcher-kva.example",
            "/",
        ),
        ("https://h/ä b/%20?x=ü|", Origin("https", "h", 443), b"h", "/%C3%A4%20b/%20?x=%C3%BC%7C"),
    ],
)
def test_a_url_is_taken_apart(url: str, origin: Origin, authority: bytes, target: str) -> None:
    assert parse(url) == (origin, authority, target)


@pytest.mark.parametrize(
    "url",
    [
        "", "/path", "example.com", "https:example.com", "https://", "https://:80/", "ftp://example.com/",
        "https://user:secret@example.com/", "https://exa mple.com/", "https://example.com:0/",
        "https://example.com:65536/", "https://example.com:http/", "https://[::1/", "https://a\r\nb/",
        "https://example.com/\r\nx: y", "https://example.com/\x00", "https://a:1:2/",
        "https://h:" + "9" * 5000, "https://a..b/", "https://.a/", "https://.../", f"https://{'a' * 64}.com/",
        f"https://{'a.' * 200}com/", "https://[1:2:3:4:5:6:7:8:9]/", "https://[....]/", "https://h/\udcff",
        "https://\udcff.com/", "https://[fe80::1%25eth0]/",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(LocalProtocolError):
        parse(url)


@pytest.mark.parametrize("url", ["x" * 1_000_000, f"https://{'a' * 1_000_000}/", f"{'a' * 1_000_000}://x/"])
def test_what_refuses_a_long_url_is_a_short_sentence(url: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        parse(url)
    assert len(str(caught.value)) < 600


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(LocalProtocolError, match=r"example\.com") as caught:
        parse("https://user:secret@example.com/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ""),
        ({"id": 7}, "id=7"),
        ({"a b": "c&d=e", "ü": "ß"}, "a%20b=c%26d%3De&%C3%BC=%C3%9F"),
        ({"x": ["1", 2, None], "y": None, "z": True, "f": 1.5}, "x=1&x=2&z=true&f=1.5"),
        ([("k", "1"), ("k", "2")], "k=1&k=2"),
        ({"raw": b"\xff"}, "raw=%FF"),
    ],
)
def test_parameters_become_a_query(params: Params, expected: str) -> None:
    assert query(params) == expected


def test_a_parameter_that_is_no_text_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="'x'"):
        query({"x": object()})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "params", [5, "a=b", b"a", [1], [("a",)], [("a", "b", "c")], {None: "x"}, {"a": "\ud800"}]
)
def test_what_are_no_parameters_is_refused(params: Any) -> None:
    with pytest.raises(LocalProtocolError, match="parameter"):
        query(params)


def test_a_mapping_is_no_value_of_a_parameter() -> None:
    with pytest.raises(LocalProtocolError, match="the parameter 'a' has the value"):
        query({"a": {"b": "c"}})
