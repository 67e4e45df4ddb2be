"""The same calls with httpx's own transports and with plait's: the results are equal."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest

from plait.integrations import httpx as over_httpx
from plait.integrations import httpx2 as over_httpx2
from tests.support.httpx_calls import CALLS, AsyncHost, Host
from tests.support.servers import Certificate, RunningServer

LIBRARIES: list[tuple[Any, Any]] = [(httpx, over_httpx), (httpx2, over_httpx2)]
Pair = tuple[Host, Host, str]


@pytest.fixture(
    scope="module",
    params=[
        (library, kind, http2)
        for library in LIBRARIES
        for kind in (Host, AsyncHost)
        # The two libraries' own HTTP/1.1 is the same.
        for http2 in ((True,) if library is LIBRARIES[0] else (False, True))
    ],
    ids=lambda param: f"{param[0][0].__name__}-{param[1].__name__}-HTTP/{1 + param[2]}",
)
def pair(request: pytest.FixtureRequest, site: RunningServer, certificate: Certificate) -> Iterator[Pair]:
    """Return two clients, the library's own and one over plait, and where the site is."""
    (library, plait), kind, http2 = request.param
    context = ssl.create_default_context(cafile=certificate.ca)
    own, ours = library.HTTPTransport, plait.Transport
    if kind is AsyncHost:
        own, ours = library.AsyncHTTPTransport, plait.AsyncTransport
    native = kind(library, own(verify=context, http2=http2), timeout=20)
    over_plait = kind(library, ours(verify=str(certificate.ca), http2=http2), timeout=20)
    yield native, over_plait, site.url("")
    native.close()
    over_plait.close()


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_the_same_over_plait(pair: Pair, name: str) -> None:
    native, over_plait, url = pair
    assert outcome(over_plait, url, name) == outcome(native, url, name)


def outcome(host: Host, url: str, name: str) -> Any:
    """Return what came of a call: its result, or what kind of error and of which request."""
    host.client.cookies.clear()
    try:
        return CALLS[name](host, url)
    except Exception as error:
        where = getattr(error, "_request", None)
        return type(error), where and (where.method, str(where.url).partition("//")[0])
