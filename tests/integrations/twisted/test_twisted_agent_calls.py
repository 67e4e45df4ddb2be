"""The same calls by Twisted's agent and by plait's come to the same, but for the version of HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from http.cookiejar import CookieJar
from io import BytesIO
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.web import client, server
from twisted.web.client import (
    ContentDecoderAgent,
    CookieAgent,
    FileBodyProducer,
    GzipDecoder,
    HTTPConnectionPool,
    RedirectAgent,
    readBody,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer
from zope.interface.verify import verifyObject

from plait.integrations.twisted import Agent, Site
from tests.support.agent_site import site_url
from tests.support.reactor import Reader, in_reactor, policy_for, reactor
from tests.support.servers import Certificate, free_port

pytestmark = [
    pytest.mark.usefixtures("reactor_thread"),
    # Twisted's own server: where it reads a certificate, and where it has no resource.
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:twisted.web.resource._UnsafeNoResource:DeprecationWarning"),
]


@pytest.fixture(scope="module", params=[server.Site, Site], ids=["twisted", "plait"])
def site(request: pytest.FixtureRequest, certificate: Certificate, reactor_thread: None) -> Iterator[str]:
    """Serve with Twisted's own site, and with plait's: Twisted's agent finds HTTP/1.1, plait's HTTP/2."""
    with site_url(certificate, request.param) as url:
        yield url


@implementer(IBodyProducer)
class Produced:
    """A body producer that writes pieces at once.

    Args:
        pieces: What it writes.
        length: What it says of that.
        failure: What it fails with in the end, or None.
    """

    def __init__(
        self, *pieces: bytes, length: Any = UNKNOWN_LENGTH, failure: Exception | None = None
    ) -> None:
        self.length = length
        self._pieces = pieces
        self._failure = failure
        self.stopped = False

    def startProducing(self, consumer: Any) -> Deferred[None]:
        for piece in self._pieces:
            consumer.write(piece)
        return succeed(None) if self._failure is None else fail(self._failure)

    def pauseProducing(self) -> None:
        """Go on all the same."""

    def resumeProducing(self) -> None:
        """Nothing was held back."""

    def stopProducing(self) -> None:
        self.stopped = True


async def told(request: Callable[[], Any]) -> Any:
    """Do a call, and return all that can be told of it, the version of HTTP excepted."""
    try:
        deferred = request()
    except Exception as error:
        return "raised", type(error), str(error)
    try:
        response = await deferred
    except Exception as error:
        reasons = getattr(error, "reasons", [])
        return "failed", type(error), [reason.type for reason in reasons]
    verifyObject(IResponse, response)
    headers = {n: v for n, v in response.headers.getAllRawHeaders() if n.lower() not in (b"date", b"server")}
    reader = Reader()
    response.deliverBody(reader)
    await reader.ended
    known = response.code, response.phrase, response.length, headers, response.request.method
    return "response", *known, response.request.absoluteURI, reader.content, reader.reason.type


KINDS: tuple[Any, ...] = (client.Agent, Agent)
Call = Callable[[Any, str], Any]

CALLS: dict[str, Call] = {
    "GET": lambda agent, url: agent.request(b"GET", f"{url}/echo?a=1&b=%20;x".encode()),
    "headers": lambda agent, url: agent.request(
        b"GET", f"{url}/echo".encode(), Headers({b"X-Custom": [b"yes"], b"Cookie": [b"a=1; b=2"]})
    ),
    "Host": lambda agent, url: agent.request(
        b"GET", f"{url}/echo".encode(), Headers({b"host": [b"a.example"]})
    ),
    "no path": lambda agent, url: agent.request(b"GET", f"{url}/echo?".encode()),
    "404": lambda agent, url: agent.request(b"GET", f"{url}/nowhere".encode()),
    "500": lambda agent, url: agent.request(b"GET", f"{url}/echo?status=500".encode()),
    "204": lambda agent, url: agent.request(b"GET", f"{url}/echo?status=204&size=0".encode()),
    "304": lambda agent, url: agent.request(b"GET", f"{url}/echo?status=304&size=0".encode()),
    "empty": lambda agent, url: agent.request(b"GET", f"{url}/echo?size=0".encode()),
    "large": lambda agent, url: agent.request(b"GET", f"{url}/echo?size=3000000".encode()),
    "HEAD": lambda agent, url: agent.request(b"HEAD", f"{url}/echo".encode()),
    "without content-length": lambda agent, url: agent.request(b"GET", f"{url}/streamed".encode()),
    "a redirect": lambda agent, url: agent.request(b"GET", f"{url}/redirect".encode()),
    "POST without content": lambda agent, url: agent.request(b"POST", f"{url}/echo".encode()),
    "DELETE": lambda agent, url: agent.request(b"DELETE", f"{url}/echo".encode()),
    "POST of a file": lambda agent, url: agent.request(
        b"POST", f"{url}/echo".encode(), None, FileBodyProducer(BytesIO(b"x" * 1_000_000))
    ),
    "POST of pieces": lambda agent, url: agent.request(
        b"POST", f"{url}/echo".encode(), None, Produced(b"a" * 70_000, b"b" * 70_000, length=140_000)
    ),
    "PUT of nothing": lambda agent, url: agent.request(
        b"PUT", f"{url}/echo".encode(), None, Produced(length=0)
    ),
    "too little content": lambda agent, url: agent.request(
        b"POST", f"{url}/echo".encode(), None, Produced(b"abc", length=4)
    ),
    "too much content": lambda agent, url: agent.request(
        b"POST", f"{url}/echo".encode(), None, Produced(b"abc", length=2)
    ),
    "a producer that fails": lambda agent, url: agent.request(
        b"POST", f"{url}/echo".encode(), None, Produced(b"abc", failure=OSError("the disk is gone"))
    ),
    "two Hosts": lambda agent, url: agent.request(
        b"GET", f"{url}/echo".encode(), Headers({b"host": [b"a", b"b"]})
    ),
    "a URI that is none": lambda agent, url: agent.request(b"GET", f"{url}/a b".encode()),
    "a method that is none": lambda agent, url: agent.request(b"G T", f"{url}/echo".encode()),
    "a method that is text": lambda agent, url: agent.request("GET", f"{url}/echo".encode()),
    "a scheme nobody knows": lambda agent, url: agent.request(b"GET", b"gopher://localhost/"),
    "nobody listens": lambda agent, url: agent.request(b"GET", f"https://localhost:{free_port()}/".encode()),
    "a host nobody knows": lambda agent, url: agent.request(b"GET", b"https://nowhere.invalid/"),
    "a name not in the certificate": lambda agent, url: agent.request(
        b"GET", url.replace("localhost", "127.0.0.2").encode()
    ),
    "the server goes before its response": lambda agent, url: agent.request(
        b"POST", f"{url}/broken".encode()
    ),
}
#: What differs: HTTP/1.1 breaks the connection, and says no more than that.
ONLY_OUTER = {"the server goes before its response"}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_comes_to_what_it_comes_to_with_twisteds_agent(
    name: str, site: str, certificate: Certificate
) -> None:
    async def both() -> list[Any]:
        agents = [kind(reactor, policy_for(certificate.ca), connectTimeout=10) for kind in KINDS]
        return [await told(partial(CALLS[name], agent, site)) for agent in agents]

    twisteds, plaits = in_reactor(both)
    if name in ONLY_OUTER:
        twisteds, plaits = twisteds[:2], plaits[:2]
    assert plaits == twisteds


def test_a_response_says_that_it_came_over_http2(site: str, certificate: Certificate) -> None:
    """And its phrase is the standard one: HTTP/2 carries none (RFC 9113 §8.3.2)."""

    async def call(path: str) -> Any:
        agent = Agent(reactor, policy_for(certificate.ca))
        verifyObject(IAgent, agent)
        response = await agent.request(b"GET", f"{site}{path}".encode())
        await readBody(response)
        return response

    response = in_reactor(partial(call, "/nowhere"))
    assert isinstance(response, client.Response)
    assert response.version == (b"HTTP", 2, 0)
    assert response.phrase == b"Not Found"
    assert in_reactor(partial(call, "/echo?status=299")).phrase == b""


def test_connect_is_refused_before_anything_is_sent(site: str, certificate: Certificate) -> None:
    async def call() -> Any:
        agent = Agent(reactor, policy_for(certificate.ca))
        try:
            await agent.request(b"CONNECT", site.encode())
        except client.RequestGenerationFailed as error:
            return error.reasons[0].value, agent.core.pool.links

    error, links = in_reactor(call)
    assert "CONNECT" in str(error)
    assert not links


# -- the agents that Twisted wraps around an agent -----------------------------------------------


def test_twisteds_redirect_agent_follows_redirects_on_the_same_connection(
    site: str, certificate: Certificate
) -> None:
    async def call() -> Any:
        agent = Agent(reactor, policy_for(certificate.ca), pool=HTTPConnectionPool(reactor))
        response = await RedirectAgent(agent).request(b"GET", f"{site}/redirect".encode())
        content = await readBody(response)
        links = len(agent.core.pool.links)
        await agent.pool.closeCachedConnections()
        return response, content, links

    response, content, links = in_reactor(call)
    assert b"/echo?from=redirect" in content
    assert response.previousResponse.code == 302
    assert response.request.absoluteURI.endswith(b"/echo?from=redirect")
    assert links == 1


def test_twisteds_cookie_agent_keeps_cookies(site: str, certificate: Certificate) -> None:
    async def calls() -> bytes:
        agent = CookieAgent(Agent(reactor, policy_for(certificate.ca)), CookieJar())
        await readBody(await agent.request(b"GET", f"{site}/echo?cookie=a&cookie=b".encode()))
        content: bytes = await readBody(await agent.request(b"GET", f"{site}/echo".encode()))
        return content

    assert json.loads(in_reactor(calls))["cookie"] == "a=b"


def test_twisteds_decoder_agent_decodes(site: str, certificate: Certificate) -> None:
    async def call() -> Any:
        agent = ContentDecoderAgent(Agent(reactor, policy_for(certificate.ca)), [(b"gzip", GzipDecoder)])
        response = await agent.request(b"GET", f"{site}/compressed".encode())
        return response.length, await readBody(response)

    assert in_reactor(call) == (UNKNOWN_LENGTH, b"plain " * 1000)
