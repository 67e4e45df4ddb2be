"""Who asks: credentials of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests.auth

import plait
from plait.client.digest import parse_challenges
from plait.client.making import RequestMaker
from plait.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from tests.support.faces import Face
from tests.support.servers import Certificate, RunningServer, serve_app

Make = Callable[..., Face]


@pytest.fixture(scope="module")
def site(certificate: Certificate) -> Iterator[RunningServer]:
    """Run the application of tests/support/session_app.py."""
    with serve_app("session_app:app", certificate=certificate) as running:
        yield running


@pytest.fixture
def make(make_client: Make, site: RunningServer, certificate: Certificate) -> Make:
    """Return what makes a client of each kind for the site."""

    def made(**options: Any) -> Face:
        return make_client(site.url(""), verify=certificate.ca, **options)

    return made


def sent(client: Face, url: str = "/", **options: Any) -> str | None:
    """Return the authorization that the server was sent."""
    value: str | None = client.get(url, **options).json()["headers"].get("authorization")
    return value


def test_a_name_and_a_password_are_sent_as_others_send_them(make: Make) -> None:
    pair = ("Käse", "p:ä")
    with make(auth=pair) as client:
        expected = httpx.Request("GET", "https://a.example/")
        next(httpx.BasicAuth(*pair).auth_flow(expected))
        assert sent(client) == expected.headers["authorization"]
        assert sent(client, auth=None) is None
        assert sent(client, auth=plait.BearerAuth("a.b")) == "Bearer a.b"
        assert sent(client, headers={"authorization": "own"}) == "own"
        assert sent(client, headers={"authorization": "own"}, auth=("a", "b")) == "Basic YTpi"


def test_the_fields_of_one_request_are_its_own() -> None:
    maker = RequestMaker("https://example.com", auth=("a", "b"))
    maker.make("GET", "/", auth=None)
    assert maker.make("GET", "/").headers["authorization"] == "Basic YTpi"


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"])
def test_digest_proves_the_password(make: Make, algorithm: str) -> None:
    with make() as client:
        auth = plait.DigestAuth("Mufasa", "Circle of Life")
        response = client.get("/digest", params={"algorithm": algorithm}, auth=auth)
        assert response.status == 200
        assert client.statistics.exchanges == 2
        wrong = plait.DigestAuth("Mufasa", "Circle")
        assert client.get("/digest", params={"algorithm": algorithm}, auth=wrong).status == 401
        assert client.statistics.exchanges == 4
        with client.stream("GET", "/digest", params={"algorithm": algorithm}, auth=wrong) as streamed:
            assert streamed.status == 401


def test_digest_with_content_that_is_gone_says_so(make: Make) -> None:
    with make(auth=plait.DigestAuth("Mufasa", "Circle of Life")) as client:
        url = "/digest?algorithm=MD5"
        with pytest.raises(LocalProtocolError, match="wants the content again"):
            client.post(url, content=iter([b"content"]))
        assert client.post(url, content=b"content").json()["content"] == "content"


def response_to(request: plait.Request, value: str, status: int = 401) -> plait.Response:
    fields = [(b"www-authenticate", value.encode())]
    return plait.Response(status, fields, b"", "HTTP/2", request)


def test_digest_uses_a_nonce_again_counts_and_takes_a_new_one_when_it_is_stale() -> None:
    auth = plait.DigestAuth("Mufasa", "Circle of Life")
    request = RequestMaker("https://example.com").make("GET", "/dir/index.html")
    flow = auth.auth_flow(request)
    assert next(flow) is request
    assert "authorization" not in request.headers
    flow.send(response_to(request, 'Digest realm="r", nonce="one", qop="auth"'))
    assert 'nonce="one"' in request.headers["authorization"]
    assert "nc=00000001" in request.headers["authorization"]
    flow = auth.auth_flow(request)
    next(flow)
    assert "nc=00000002" in request.headers["authorization"]
    flow.send(response_to(request, 'Digest realm="r", nonce="two", qop="auth", stale=TRUE'))
    assert 'nonce="two"' in request.headers["authorization"]
    with pytest.raises(StopIteration):
        flow.send(response_to(request, 'Digest realm="r", nonce="three", qop="auth"'))


def test_digest_answers_as_the_examples_of_the_rfc_do(monkeypatch: pytest.MonkeyPatch) -> None:
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    monkeypatch.setattr("plait.client.digest.token_hex", lambda size: cnonce)
    challenge = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    for algorithms, expected in [
        (["MD5"], "8ca523f5e9506fed4657c9700eebdbec"),
        (["MD5", "SHA-256"], "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ]:
        request = RequestMaker("http://www.example.org").make("GET", "/dir/index.html")
        flow = plait.DigestAuth("Mufasa", "Circle of Life").auth_flow(request)
        next(flow)
        flow.send(response_to(request, ", ".join(map(challenge.format, algorithms))))
        assert f'response="{expected}"' in request.headers["authorization"]


def test_digest_hides_or_encodes_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    # RFC 7616 §3.9.2.
    name, password = "Jäsøn Doe", "Secret, or not?"
    monkeypatch.setattr("plait.client.digest.token_hex", lambda size: "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm")
    challenge = (
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
        'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
        'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8'
    )
    for userhash, expected in [
        (", userhash=true", 'username="793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"'),
        ("", "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe"),
    ]:
        request = RequestMaker("http://api.example.org").make("GET", "/doe.json")
        flow = plait.DigestAuth(name, password).auth_flow(request)
        next(flow)
        flow.send(response_to(request, challenge + userhash))
        assert expected in request.headers["authorization"]


def test_what_digest_cannot_answer_is_told() -> None:
    request = RequestMaker("https://example.com").make("GET", "/")
    for value in ['Digest realm="r"', 'Digest nonce="n", algorithm=FOO', 'Digest nonce="n", qop="auth-int"']:
        flow = plait.DigestAuth("a", "b").auth_flow(request)
        next(flow)
        with pytest.raises(RemoteProtocolError, match="asks for Digest authentication with"):
            flow.send(response_to(request, value))


def test_challenges_are_told_apart() -> None:
    value = 'Basic realm="a, b=c", , Negotiate abc==, DIGEST realm = "\\"q\\"" ,nonce=n,, Bearer'
    assert parse_challenges(value) == [
        ("basic", {"realm": "a, b=c"}),
        ("negotiate", {}),
        ("digest", {"realm": '"q"', "nonce": "n"}),
        ("bearer", {}),
    ]


def test_names_and_passwords_come_from_a_netrc_file(
    make: Make, site: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine localhost login a password b\nmachine a.example login c password d\n")
    with make(auth=plait.NetrcAuth(file)) as client:
        assert sent(client) == "Basic YTpi"
        assert sent(client, headers={"authorization": "own"}) == "own"
    monkeypatch.setenv("NETRC", str(file))
    request = RequestMaker(None).make("GET", "https://a.example/")
    next(plait.NetrcAuth().auth_flow(request))
    assert request.headers["authorization"] == requests.auth._basic_auth_str("c", "d")
    with pytest.raises(ConfigError, match="cannot read"):
        plait.NetrcAuth(tmp_path / "none")
    file.write_text("machine")
    with pytest.raises(ConfigError, match="cannot read"):
        plait.NetrcAuth(file)


class Token(plait.Auth):
    """Fetches a token where it is told to, and a new one when the server says so."""

    def auth_flow(self, request: plait.Request) -> Generator[plait.Request, plait.Response, None]:
        maker = RequestMaker(f"{request.origin}")
        token = yield maker.make("POST", "/token", content=b"please")
        request.headers["authorization"] = f"Bearer {token.json()['content']}"
        yield request


def test_a_flow_of_ones_own_may_send_requests_of_its_own(make: Make) -> None:
    with make(auth=Token()) as client:
        assert sent(client) == "Bearer please"
        with client.stream("GET", "/") as response:
            assert b"Bearer please" in response.read()
        pending = [client.submit("GET", "/") for _ in range(10)]
        for one in pending:
            assert one.result().json()["headers"]["authorization"] == "Bearer please"


def test_a_callable_may_change_the_request_or_give_another(make: Make) -> None:
    def change(request: plait.Request) -> None:
        request.headers["authorization"] = "changed"

    with make(auth=change) as client:
        assert sent(client) == "changed"
        other = client.build_request("GET", "/", headers={"authorization": "other"}, auth=None)
        assert sent(client, auth=lambda request: other) == "other"
        with pytest.raises(ConfigError, match="auth must give requests, not int"):
            client.get("/", auth=lambda request: 7)
        with pytest.raises(ZeroDivisionError):
            client.get("/", auth=lambda request: 1 // 0)
        assert sent(client) == "changed"


def test_a_callable_may_use_the_client_itself(make: Make) -> None:
    with make() as client:
        if isinstance(client, plait.Client):

            def change(request: plait.Request) -> None:
                request.headers["authorization"] = client.get("/token").json()["path"]

            assert sent(client, auth=change) == "/token"


async def test_what_an_asyncio_client_calls_may_be_a_coroutine_or_an_asynchronous_generator(
    site: RunningServer, certificate: Certificate
) -> None:
    async with plait.AsyncClient(site.url(""), verify=certificate.ca) as client:

        async def change(request: plait.Request) -> None:
            await asyncio.sleep(0)
            request.headers["authorization"] = (await client.get("/token")).json()["path"]

        async def flow(request: plait.Request) -> AsyncGenerator[plait.Request, plait.Response]:
            response = yield request
            await asyncio.sleep(0)
            request.headers["authorization"] = response.json()["path"]
            yield request

        for auth in (change, flow):
            seen = (await client.get("/token", auth=auth)).json()
            assert seen["headers"]["authorization"] == "/token"


def test_a_coroutine_is_nothing_for_a_client_that_waits(
    site: RunningServer, certificate: Certificate
) -> None:
    async def change(request: plait.Request) -> None:
        pass

    with (
        plait.Client(site.url(""), verify=certificate.ca) as client,
        pytest.raises(ConfigError, match="a coroutine function needs an AsyncClient"),
    ):
        client.get("/", auth=change)


def test_hooks_see_every_request_and_every_response(make: Make) -> None:
    seen: list[str] = []

    def asked(request: plait.Request) -> None:
        request.headers["x-hook"] = "1"
        seen.append(f"{request.method} {request.url.partition('/to')[1] or '/'}")

    def answered(response: plait.Response) -> None:
        seen.append(str(response.status))

    hooks = {"request": [asked], "response": [answered]}
    with make(event_hooks=hooks, follow_redirects=True) as client:
        to = {"status": 303, "location": "/"}
        assert client.post("/to", params=to).json()["headers"]["x-hook"] == "1"
        assert seen == ["POST /to", "303", "GET /", "200"]
        with client.stream("GET", "/") as response:
            assert b"x-hook" in response.read()


def test_what_a_hook_raises_the_caller_sees(make: Make) -> None:
    with make(event_hooks={"response": [plait.Response.raise_for_status]}) as client:
        with pytest.raises(plait.StatusError):
            client.get("/status?status=500")
        with pytest.raises(plait.StatusError), client.stream("GET", "/status?status=500"):
            pass
        assert client.get("/").status == 200


def test_a_hook_may_use_the_client_from_many_requests_at_once(
    site: RunningServer, certificate: Certificate
) -> None:
    paths: list[str] = []

    def answered(response: plait.Response) -> None:
        paths.append(inner.get("/inner").json()["path"])

    hooks = {"response": [answered]}
    with (
        plait.Client(site.url(""), verify=certificate.ca) as inner,
        plait.Client(site.url(""), verify=certificate.ca, event_hooks=hooks) as client,
    ):
        arriving = client.as_completed([client.submit("GET", "/") for _ in range(20)])
        assert [one.result().status for one in arriving] == [200] * 20
        assert paths == ["/inner"] * 20
