"""The same calls with requests as it is and over plait: the results are equal."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import urllib3

from plait.integrations.requests import Adapter
from tests.support.requests_calls import CALLS
from tests.support.servers import Certificate, RunningServer

Pair = tuple[requests.Session, requests.Session, str]


@pytest.fixture(scope="module", params=["1", "auto"])
def pair(request: pytest.FixtureRequest, site: RunningServer, certificate: Certificate) -> Iterator[Pair]:
    """Return two sessions, one as it is and one over plait, and where the site is."""
    with requests.Session() as native, requests.Session() as over_plait:
        for session in (native, over_plait):
            session.trust_env = False  # or a file of authorities that the environment names would be taken
            session.verify = str(certificate.ca)
        for scheme in ("http://", "https://"):
            over_plait.mount(scheme, Adapter(http=request.param))
        yield native, over_plait, site.url("")


@pytest.mark.parametrize("name", CALLS)
def test_a_call_gives_the_same_over_plait(pair: Pair, name: str) -> None:
    native, over_plait, url = pair
    assert outcome(over_plait, url, name) == outcome(native, url, name)


def outcome(session: requests.Session, url: str, name: str) -> Any:
    """Return what came of a call: its result and its warnings, or what kind of error and of which request."""
    session.cookies.clear()
    with warnings.catch_warnings(record=True, category=urllib3.exceptions.InsecureRequestWarning) as warned:
        warnings.simplefilter("always", urllib3.exceptions.InsecureRequestWarning)
        try:
            return CALLS[name](session, url), [str(one.message) for one in warned]
        except Exception as error:
            request = getattr(error, "request", None)
            reason = getattr(error.args[0], "reason", None) if error.args else None
            return type(error), type(reason), request and (request.method, request.url.partition(":")[0])
