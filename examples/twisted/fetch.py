"""Fetch the bookstore over HTTP/2, on Twisted: ``python fetch.py https://localhost:8443 ca.pem``."""

import json
import sys
from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.internet.task import react
from twisted.web.client import BrowserLikePolicyForHTTPS, HTTPConnectionPool, readBody

from plait.integrations.twisted import Agent  # from twisted.web.client import Agent


async def crawl(reactor, url, authority):
    policy = BrowserLikePolicyForHTTPS(trustRootFromCertificates([authority]))
    pool = HTTPConnectionPool(reactor)
    agent = Agent(reactor, policy, pool=pool)
    versions = set()

    async def fetch(path):
        response = await agent.request(b"GET", f"{url}{path}".encode())
        versions.add(response.version)
        return json.loads(await readBody(response))

    ids = await fetch("/")
    books = await gatherResults([Deferred.fromCoroutine(fetch(f"/book?id={id}")) for id in ids])
    print(f"{len(books)} books, over {versions}")
    await pool.closeCachedConnections()


if len(sys.argv) != 3:
    sys.exit("usage: python fetch.py URL CA_FILE")
_, url, ca = sys.argv
authority = Certificate.loadPEM(Path(ca).read_bytes())
react(lambda reactor: Deferred.fromCoroutine(crawl(reactor, url, authority)))
