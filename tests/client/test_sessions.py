"""What all requests of a client have in common: defaults, redirects and cookies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import httpx
import pytest
import requests

import plait
from plait.client.making import RequestMaker
from plait.errors import (
    ConfigError,
    LocalProtocolError,
    RemoteProtocolError,
    StatusError,
    TooManyRedirects,
)
from tests.support.faces import Face
from tests.support.servers import Certificate, RunningServer, serve_app

Make = Callable[..., Face]


@pytest.fixture(scope="module")
def site(certificate: Certificate) -> Iterator[RunningServer]:
    """Run the application of tests/support/session_app.py."""
    with serve_app("session_app:app", certificate=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def other(certificate: Certificate) -> Iterator[RunningServer]:
    """Run it once more: another origin."""
    with serve_app("session_app:app", certificate=certificate) as running:
        yield running


@pytest.fixture
def make(make_client: Make, site: RunningServer, certificate: Certificate) -> Make:
    """Return what makes a client of each kind for the site."""

    def made(**options: Any) -> Face:
        return make_client(site.url(""), verify=certificate.ca, **options)

    return made


# -- defaults ----------------------------------------------------------------------------------------


def test_fields_and_parameters_of_the_client_go_with_every_request_that_has_no_others(make: Make) -> None:
    with make(headers={"X-A": "1", "X-B": "1", "User-Agent": "mine"}, params={"a": 1, "b": 1}) as client:
        seen = client.get("/", headers={"x-b": "2"}, params={"b": 2}).json()
        assert seen["query"] == "a=1&b=2"
        assert (seen["headers"]["x-a"], seen["headers"]["x-b"]) == ("1", "2")
        assert seen["headers"]["user-agent"] == "mine"
        assert client.get("/").json()["query"] == "a=1&b=1"


def test_a_field_that_is_none_is_left_out() -> None:
    maker = RequestMaker("https://example.com", headers={"x-a": "1", "accept": None})
    names = [name for name, _ in maker.make("GET", "/", headers={"x-a": None, "user-agent": None}).fields]
    assert not {b"x-a", b"user-agent", b"accept"} & set(names)


def test_what_a_client_sends_can_be_changed_later() -> None:
    client = plait.Client("https://example.com")
    assert "x-a" not in client.build_request("GET", "/").headers
    client.headers["X-A"] = "1"
    client.params = {"q": ["a", "b"]}
    request = client.build_request("GET", "/", headers=(("x-b", "2"),))
    assert (request.headers["x-a"], request.headers["x-b"]) == ("1", "2")
    assert request.url == "https://example.com/?q=a&q=b"
    del client.headers["x-a"]
    assert "x-a" not in client.build_request("GET", "/", headers=(("x-b", "2"),)).headers
    client.close()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"headers": {"x\n": "1"}}, LocalProtocolError),
        ({"headers": {"x": 1}}, LocalProtocolError),
        ({"params": {"x": object()}}, LocalProtocolError),
        ({"cookies": {"a b": "1"}}, LocalProtocolError),
        ({"cookies": {"a": "1;\r\n"}}, LocalProtocolError),
        ({"auth": 7}, ConfigError),
        ({"auth": ("a:b", "c")}, ConfigError),
        ({"auth": ("a", "b\n")}, ConfigError),
        ({"event_hooks": {"requests": [print]}}, ConfigError),
        ({"event_hooks": {"request": [7]}}, ConfigError),
        ({"max_redirects": 0}, ConfigError),
    ],
)
def test_what_a_client_cannot_do_is_refused_at_once(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        plait.Client("https://example.com", **options)


def test_an_option_that_there_is_not_is_told_with_the_one_that_may_be_meant() -> None:
    with pytest.raises(ConfigError, match=r"^there is no option 'proxies'; did you mean 'proxy'\?$"):
        plait.Client(proxies={})
    wrong: dict[str, Any] = {"allow_redirects": True}
    with plait.Client() as client, pytest.raises(ConfigError, match=r"'allow_redirects'.*'follow_redirects'"):
        client.get("https://example.com", **wrong)


def test_a_request_can_be_built_changed_and_sent(make: Make) -> None:
    with make() as client:
        request = client.build_request("POST", "/a", content=b"x")
        request.headers["x-a"] = "1"
        request.headers["host"] = "other.example"
        seen = client.send(request).json()
        assert (seen["method"], seen["headers"]["x-a"]) == ("POST", "1")
        assert seen["headers"]["host"] == "other.example"
        with pytest.raises(LocalProtocolError):
            request.headers["x"] = "a\r\nb: c"


# -- what a response tells ----------------------------------------------------------------------------


def test_a_response_tells_what_it_answers(make: Make, site: RunningServer) -> None:
    with make() as client:
        response = client.get("/a b?c", params={"d": 1})
        assert response.url == site.url("/a%20b?c&d=1")
        assert (response.request.method, response.request.url) == ("GET", response.url)
        assert (response.ok, response.reason, response.history) == (True, "OK", ())
        assert response.raise_for_status() is response
        response = client.get("/status", params={"status": 418})
        assert (response.ok, response.reason) == (False, "I'm a Teapot")
        with pytest.raises(StatusError, match="418 I'm a Teapot, an error of the client") as caught:
            response.raise_for_status()
        assert caught.value.response is response
        with pytest.raises(StatusError, match=r"/status\?status=599 answered 599, an error of the server"):
            client.get("/status?status=599").raise_for_status()
        with client.stream("GET", "/status?status=404") as streamed:
            assert (streamed.ok, streamed.url) == (False, site.url("/status?status=404"))


LINKS = '<https://a.example/?b,c;d>; rel="next last"; title="a \\"b\\", c", </e>; rel=prev, <x>'


def test_links_are_taken_apart() -> None:
    response = plait.Response(200, [(b"link", LINKS.encode())], b"", "HTTP/2")
    following = {"url": "https://a.example/?b,c;d", "rel": "next last", "title": 'a "b", c'}
    assert response.links == {
        "next": following,
        "last": following,
        "prev": {"url": "/e", "rel": "prev"},
        "x": {"url": "x"},
    }


def test_the_charset_can_be_said() -> None:
    response = plait.Response(200, [], "Käse".encode("latin-1"), "HTTP/2")
    assert response.encoding == "utf-8"
    response.encoding = "latin-1"
    assert response.text == "Käse"
    with pytest.raises(LocalProtocolError, match="'no-such' is not the name of a charset"):
        response.encoding = "no-such"


# -- redirects -----------------------------------------------------------------------------------------


def test_redirects_are_not_followed_unless_asked_to(make: Make, site: RunningServer) -> None:
    with make() as client:
        response = client.get("/to", params={"status": 302, "location": "/there?a=b#c"})
        assert (response.status, response.content, response.is_redirect) == (302, b"this way", True)
        assert response.next is not None
        assert response.next.url == site.url("/there?a=b")
        assert client.send(response.next).json()["path"] == "/there"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_redirect_is_followed_and_remembered(make: Make, site: RunningServer, streamed: bool) -> None:
    first = {"status": 301, "location": "/to?status=307&location=there/b%C3%BCcher"}
    with make(follow_redirects=True) as client:
        if streamed:
            with client.stream("GET", "/to", params=first) as stream:
                content, response = stream.read(), stream
        else:
            response = client.get("/to", params=first)
            content = response.content
        assert b'"/there/b\\u00fccher"' in content
        assert response.url == site.url("/there/b%C3%BCcher")
        assert [(one.status, one.content) for one in response.history] == [
            (301, b"this way"),
            (307, b"this way"),
        ]
        assert client.get("/to", params=first, follow_redirects=False).status == 301
        assert client.statistics.connections_opened == 1


METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"]


def moved(status: int, method: str) -> str:
    """Return the method after a redirect, as RFC 9110 §15.4 and browsers have it."""
    if status == 303 and method != "HEAD":
        return "GET"
    return "GET" if status in (301, 302) and method == "POST" else method


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_method_after_a_redirect(
    make: Make, site: RunningServer, certificate: Certificate, status: int
) -> None:
    to = {"status": str(status), "location": "/there"}
    with make(follow_redirects=True) as client:
        for method in METHODS:
            content = b"content" if method in ("POST", "PUT") else None
            response = client.request(method, "/to", params=to, content=content, headers={"x-a": "1"})
            assert response.request.method == moved(status, method)
            if method == "HEAD":
                continue
            seen = response.json()
            assert seen["method"] == moved(status, method)
            kept = content is not None and moved(status, method) == method
            assert (seen["content"], seen["headers"]["x-a"]) == ("content" if kept else "", "1")
            assert ("content-length" in seen["headers"]) is kept
    # Others go further for the sake of old browsers; where they agree with each other, so does this.
    with httpx.Client(verify=site_context(certificate), base_url=site.url(""), follow_redirects=True) as hx:
        for method in METHODS:
            response = requests.request(method, site.url("/to"), params=to, verify=str(certificate.ca))
            theirs = {response.request.method, hx.request(method, "/to", params=to).request.method}
            if len(theirs) == 1 and not (status == 302 and method in ("PUT", "DELETE")):
                assert theirs == {moved(status, method)}


def site_context(certificate: Certificate) -> Any:
    import ssl

    return ssl.create_default_context(cafile=certificate.ca)


def test_a_file_is_sent_again_and_an_iterator_is_not(make: Make) -> None:
    to = {"status": 308, "location": "/there"}
    with make(follow_redirects=True) as client:
        file = BytesIO(b"not this: content")
        file.seek(10)
        assert client.post("/to", params=to, content=file).json()["content"] == "content"
        with pytest.raises(LocalProtocolError, match="it came from an iterator"):
            client.post("/to", params=to, content=iter([b"content"]))
        to["status"] = 303
        assert client.post("/to", params=to, content=iter([b"content"])).json()["method"] == "GET"


def test_credentials_do_not_go_to_another_server(make: Make, other: RunningServer) -> None:
    own = {"authorization": "Bearer a", "cookie": "a=b", "x-a": "1"}
    with make(follow_redirects=True) as client:
        seen = client.get("/to", params={"status": 302, "location": "/there"}, headers=own).json()
        assert (seen["headers"]["authorization"], seen["headers"]["cookie"]) == ("Bearer a", "a=b")
        elsewhere = {"status": 302, "location": other.url("/there")}
        seen = client.get("/to", params=elsewhere, headers=own).json()
        assert seen["headers"]["x-a"] == "1"
        assert seen["headers"]["host"] == other.url("").removeprefix("https://")
        assert not {"authorization", "cookie"} & set(seen["headers"])
        for auth in [("name", "password"), add_credentials]:
            seen = client.get("/to", params=elsewhere, auth=auth, cookies={"a": "b"}).json()
            assert not {"authorization", "cookie"} & set(seen["headers"])


def add_credentials(request: plait.Request) -> None:
    request.headers["authorization"] = "Custom"


def test_a_redirect_without_end_ends(make: Make) -> None:
    with make(follow_redirects=True, max_redirects=5) as client:
        with pytest.raises(TooManyRedirects, match="/loop was redirected more than 5 times"):
            client.get("/loop")
        assert client.statistics.exchanges == 6
        assert client.get("/").status == 200


@pytest.mark.parametrize(
    "location", ["javascript:alert(1)", "ftp://a.example/", "https://a:b@a.example/", "https://["]
)
def test_a_redirect_to_nowhere_is_told(make: Make, location: str) -> None:
    with make(follow_redirects=True) as client:
        with pytest.raises(RemoteProtocolError, match="redirects to"):
            client.get("/to", params={"status": 302, "location": location})
        with pytest.raises(RemoteProtocolError, match="there can be one only"):
            client.get("/to", params={"status": 302, "location": ["/a", "/b"]})


def test_many_requests_that_are_redirected_share_a_connection(make: Make) -> None:
    with make(follow_redirects=True) as client:
        pending = [
            client.submit("GET", "/to", params={"status": 302, "location": f"/{n}"}) for n in range(100)
        ]
        assert [one.result().json()["path"] for one in pending] == [f"/{n}" for n in range(100)]
        assert client.statistics.connections_opened == 1


def test_requests_that_are_redirected_elsewhere_are_given_back_as_they_come(
    site: RunningServer, other: RunningServer, certificate: Certificate
) -> None:
    with plait.Client(site.url(""), verify=certificate.ca, follow_redirects=True) as client:
        to = {"status": 302, "location": other.url("/there")}
        arriving = client.as_completed([client.submit("GET", "/to", params=to) for _ in range(20)])
        assert {pending.result().url for pending in arriving} == {other.url("/there")}


# -- cookies -------------------------------------------------------------------------------------------


def cookies_of(response: plait.Response) -> dict[str, str]:
    """Return the cookies that the server was sent."""
    field = response.json()["headers"].get("cookie", "")
    return dict(pair.split("=", 1) for pair in field.split("; ")) if field else {}


def test_cookies_are_kept_sent_back_and_told(make: Make) -> None:
    with make(cookies={"own": "1"}) as client:
        assert cookies_of(client.get("/")) == {"own": "1"}
        response = client.get(
            "/set", params={"cookie": ["a=1; Path=/; HttpOnly; SameSite=Lax", "b=2; Secure"]}
        )
        assert dict(response.cookies) == {"a": "1", "b": "2"}
        assert dict(client.cookies) == {"own": "1", "a": "1", "b": "2"}
        assert cookies_of(client.get("/")) == {"own": "1", "a": "1", "b": "2"}
        assert cookies_of(client.get("/", cookies={"a": "mine"})) == {"own": "1", "a": "mine", "b": "2"}
        assert cookies_of(client.get("/", headers={"cookie": "c=3"})) == {"c": "3"}
        client.get("/set", params={"cookie": "a=; Max-Age=0"})
        del client.cookies["own"]
        assert cookies_of(client.get("/")) == {"b": "2"}
        client.cookies.clear()
        assert cookies_of(client.get("/")) == {}


def test_a_client_can_be_told_to_keep_no_cookies(make: Make) -> None:
    with make(keep_cookies=False) as client:
        client.get("/set", params={"cookie": "a=1"})
        assert cookies_of(client.get("/")) == {}


def test_a_cookie_set_by_a_redirect_goes_with_what_follows(make: Make, other: RunningServer) -> None:
    with make(follow_redirects=True, cookies={"b": "2"}) as client:
        client.get("/set", params={"cookie": "a=1"})
        to = {"status": 302, "location": "/there"}
        assert cookies_of(client.get("/to", params=to, cookies={"c": "3"})) == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize(
    ("set_by", "value", "asked", "sent"),
    [
        ("https://a.example/", "n=1", "https://a.example/b", True),
        ("https://a.example/", "n=1", "https://b.a.example/", False),  # for its own host alone
        ("https://b.a.example/", "n=1; Domain=a.example", "https://c.a.example/", True),
        ("https://c.b.a.example/", "n=1; Domain=.a.example", "https://a.example/", True),
        ("https://a.example/", "n=1; Domain=b.example", "https://b.example/", False),
        ("https://a.example/", "n=1; Domain=example", "https://b.example/", False),  # a top-level domain
        ("https://a.co.uk/", "n=1; Domain=co.uk", "https://b.co.uk/", False),
        ("https://a.example/", "n=1; Path=/b", "https://a.example/b/c", True),
        ("https://a.example/", "n=1; Path=/b", "https://a.example/bc", False),
        ("https://a.example/b/c", "n=1", "https://a.example/b/d", True),
        ("https://a.example/b/c", "n=1", "https://a.example/", False),
        ("https://a.example/", "n=1; Secure", "http://a.example/", False),
        ("http://a.example/", "n=1; Secure", "https://a.example/", False),
        ("http://a.example/", "n=1", "https://a.example:8443/", True),  # ports do not count
        ("https://a.example/", "n=1; Max-Age=60", "https://a.example/", True),
        ("https://a.example/", "n=1; Max-Age=-1", "https://a.example/", False),
        ("https://a.example/", "n=1; Expires=Wed, 01 Jan 2020 00:00:00 GMT", "https://a.example/", False),
        ("https://a.example/", "n=1; Expires=Wed, 01 Jan 2120 00:00:00 GMT", "https://a.example/", True),
        ("https://a.example/", "__Host-n=1; Secure; Path=/", "https://a.example/", True),
        ("https://a.example/", "__Host-n=1; Secure; Path=/; Domain=a.example", "https://a.example/", False),
        ("https://a.example/", "__Secure-n=1", "https://a.example/", False),
        ("http://localhost/", "n=1", "http://localhost:8000/", True),
        ("http://localhost/", "n=1; Domain=localhost", "http://localhost/", True),
        ("http://127.0.0.1/", "n=1; Domain=127.0.0.1", "http://127.0.0.1:8000/", True),
        ("http://127.0.0.1/", "n=1; Domain=0.0.1", "http://126.0.0.1/", False),
        ("http://[::1]/", "n=1", "http://[::1]:8000/", True),
        ("https://a.example/", "garbage", "https://a.example/", None),
        ("https://a.example/", "n=" + "1" * 9000, "https://a.example/", False),
    ],
)
def test_who_is_sent_a_cookie(set_by: str, value: str, asked: str, sent: bool | None) -> None:
    maker = RequestMaker(None)
    fields = [(b"set-cookie", value.encode())]
    request = maker.make("GET", set_by)
    maker.note(plait.Response(200, fields, b"", "HTTP/2", request))
    if sent is not None:
        assert ("cookie" in maker.make("GET", asked).headers) is sent
    else:
        maker.make("GET", asked)


def test_a_server_cannot_fill_the_memory_with_cookies() -> None:
    maker = RequestMaker(None)
    request = maker.make("GET", "https://a.example/")
    for start in range(0, 1000, 100):
        fields = [(b"set-cookie", b"n%d=1" % n) for n in range(start, start + 100)]
        maker.note(plait.Response(200, fields, b"", "HTTP/2", request))
    assert len(maker.cookies) == 180
    assert "n999" in maker.cookies
