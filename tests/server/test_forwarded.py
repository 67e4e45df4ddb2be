"""Whom a server takes for the client when proxies say so, and when somebody else does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import ConfigError
from plait.server.forwarded import Hop, elements
from plait.server.trust import Trust
from tests.support.serving import h1_client, h2_client, serving

#: The proxy that connects, and one before it.
TRUSTED = ("127.0.0.1", "10.0.0.0/8", "2001:db8:f::/48")


async def who(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    fields = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    seen = {"client": scope["client"], "scheme": scope["scheme"], "fields": fields}
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


async def seen(trust: tuple[str, ...], *fields: tuple[str, str]) -> dict[str, Any]:
    async with serving(who, trust=trust) as running, h2_client(running) as client:
        more = [(name.encode(), value.encode("latin-1")) for name, value in fields]
        message = await client.response(client.request(b"GET", b"/", *more))
        answer: dict[str, Any] = json.loads(message.content)
        return answer


@pytest.mark.parametrize(
    ("fields", "client", "scheme"),
    [
        ([("x-forwarded-for", "192.0.2.7")], ["192.0.2.7", 0], "http"),
        ([("x-forwarded-for", "192.0.2.7:4711")], ["192.0.2.7", 4711], "http"),
        ([("x-forwarded-for", "2001:db8::7")], ["2001:db8::7", 0], "http"),
        ([("x-forwarded-for", "[2001:db8::7]:4711")], ["2001:db8::7", 4711], "http"),
        ([("x-forwarded-for", "::ffff:192.0.2.7")], ["192.0.2.7", 0], "http"),
        ([("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")], ["192.0.2.7", 0], "https"),
        ([("x-forwarded-proto", "HTTPS")], ["127.0.0.1", None], "https"),
        ([("x-forwarded-proto", "wss")], ["127.0.0.1", None], "https"),
        ([("x-forwarded-proto", "gopher")], ["127.0.0.1", None], "http"),
        # What a client wrote itself stands before what proxies have added.
        ([("x-forwarded-for", "1.1.1.1, 192.0.2.7")], ["192.0.2.7", 0], "http"),
        ([("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.7")], ["192.0.2.7", 0], "http"),
        ([("x-forwarded-for", "1.1.1.1, 192.0.2.7, 10.1.2.3, 2001:db8:f::1")], ["192.0.2.7", 0], "http"),
        ([("x-forwarded-for", "1.1.1.1, unknown, 10.1.2.3")], None, "http"),
        ([("x-forwarded-for", "10.1.1.1, 10.2.2.2")], ["10.1.1.1", 0], "http"),
        ([("x-forwarded-for", "")], ["127.0.0.1", None], "http"),
        ([("x-forwarded-for", ", 192.0.2.7,,")], ["192.0.2.7", 0], "http"),
        # Each proxy has said how it was connected to, or the outermost alone has.
        (
            [("x-forwarded-for", "192.0.2.7, 10.1.2.3"), ("x-forwarded-proto", "https, http")],
            ["192.0.2.7", 0],
            "https",
        ),
        (
            [("x-forwarded-for", "192.0.2.7, 10.1.2.3"), ("x-forwarded-proto", "https")],
            ["192.0.2.7", 0],
            "https",
        ),
        (
            [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https, http")],
            ["192.0.2.7", 0],
            "http",
        ),
        ([("forwarded", "for=192.0.2.7;proto=https;by=10.0.0.1")], ["192.0.2.7", 0], "https"),
        ([("forwarded", 'For="[2001:db8::7]:4711"')], ["2001:db8::7", 4711], "http"),
        ([("forwarded", 'for="192.0.2.7:_port"')], ["192.0.2.7", 0], "http"),
        ([("forwarded", 'for="192\\.0.2.7"')], ["192.0.2.7", 0], "http"),
        ([("forwarded", "for=_hidden;proto=https")], None, "https"),
        ([("forwarded", "for=unknown")], None, "http"),
        ([("forwarded", "proto=https")], ["127.0.0.1", None], "https"),
        ([("forwarded", "for=192.0.2.7, proto=https")], None, "https"),
        ([("forwarded", "for=1.1.1.1;proto=https, for=192.0.2.7")], ["192.0.2.7", 0], "http"),
        ([("forwarded", "for=192.0.2.7;proto=https, for=10.0.0.1;proto=http")], ["192.0.2.7", 0], "https"),
        ([("forwarded", 'for="1.1.1.1'), ("forwarded", "for=192.0.2.7")], None, "http"),
        ([("forwarded", "for=192.0.2.7;for=1.1.1.1")], None, "http"),
        ([("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "192.0.2.7")], ["192.0.2.7", 0], "http"),
        ([("x-forwarded-host", "evil.example"), ("x-forwarded-port", "1")], ["127.0.0.1", None], "http"),
    ],
)
async def test_a_trusted_proxy_is_believed_as_far_as_proxies_wrote_it(
    fields: list[tuple[str, str]], client: list[Any] | None, scheme: str
) -> None:
    answer = await seen(TRUSTED, *fields)
    if client is not None and client[1] is None:
        client = ["127.0.0.1", answer["client"][1]]
        assert client[1] > 0  # the proxy's own
    assert (answer["client"], answer["scheme"]) == (client, scheme)
    assert answer["fields"]["host"] != "evil.example"


@pytest.mark.parametrize("trust", [(), ("10.0.0.0/8",), ("unix",)])
async def test_nobody_else_is_believed_and_the_fields_are_left_alone(trust: tuple[str, ...]) -> None:
    fields = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https", "forwarded": "for=192.0.2.7"}
    answer = await seen(trust, *fields.items())
    assert (answer["client"][0], answer["scheme"]) == ("127.0.0.1", "http")
    assert fields.items() <= answer["fields"].items()


async def test_each_request_on_one_connection_has_its_own_client(capfd: pytest.CaptureFixture[str]) -> None:
    async with serving(who, trust=TRUSTED, access_log=True) as running, h1_client(running) as h1:
        for number in (1, 2):
            h1.writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 192.0.2.%d\r\n\r\n" % number)
            head = await h1.head()
            size = int(head.lower().partition(b"content-length: ")[2].split()[0])
            assert json.loads(await h1.reader.readexactly(size))["client"] == [f"192.0.2.{number}", 0]
    logged = capfd.readouterr().out
    assert "192.0.2.1 - - " in logged
    assert "192.0.2.2 - - " in logged


@pytest.mark.parametrize("name", ["10.0.0.1/8", "localhost", "", "10.0.0.0/33", "fe80::/129"])
def test_what_is_no_network_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(ConfigError, match="is neither an address nor a network") as caught:
        Trust([name])
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_trust_is_by_address_and_by_unix() -> None:
    trust = Trust(["10.0.0.0/8", "::1", "unix"])
    assert ("10.255.0.1", 1) in trust
    assert ("::1", 1) in trust
    assert None in trust
    assert ("11.0.0.1", 1) not in trust
    assert ("::2", 1) not in trust
    assert None not in Trust(["10.0.0.0/8"])


@given(st.binary(max_size=60) | st.text('for=";,\\ 1.ab[]:_', max_size=30).map(str.encode))
def test_any_field_is_read_or_refused(value: bytes) -> None:
    hops = elements(value)
    assert hops is None or all(isinstance(hop, Hop) for hop in hops)


def test_a_field_longer_than_any_chain_of_proxies_is_not_read() -> None:
    assert elements(b"for=192.0.2.1," * 2000 + b"for=192.0.2.2") is None


def test_the_examples_of_rfc_7239_are_read() -> None:
    assert elements(b'for="_gazonk"') == [Hop(None, None)]
    assert elements(b'For="[2001:db8:cafe::17]:4711"') == [Hop(("2001:db8:cafe::17", 4711), None)]
    assert elements(b"for=192.0.2.60;proto=http;by=203.0.113.43") == [Hop(("192.0.2.60", 0), "http")]
    assert elements(b"for=192.0.2.43, for=198.51.100.17") == [
        Hop(("192.0.2.43", 0), None),
        Hop(("198.51.100.17", 0), None),
    ]
    assert elements(b'for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown')[1:] == [  # type: ignore[index]
        Hop(("2001:db8:cafe::17", 0), None),
        Hop(None, None),
    ]


@pytest.mark.parametrize("trust", [(), ("127.0.0.1",)])
async def test_no_proxy_is_made_to_hand_on_http_2_by_an_upgrade(trust: tuple[str, ...]) -> None:
    """What came after that would be its client's, and be believed as the proxy's own."""
    upgrade = (
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
        b"http2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
    )
    async with serving(who, trust=trust) as running, h1_client(running) as h1:
        h1.writer.write(upgrade)
        assert (await h1.reader.readline()).split()[1] == (b"200" if trust else b"101")
