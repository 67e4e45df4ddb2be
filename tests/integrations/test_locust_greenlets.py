"""Many greenlets on one client: they share its connections, and none is in the way of another."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.servers import ROOT, make_certificate, serve_app


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what came of what ``tests.support.greenlets`` does."""
    certificate = make_certificate(tmp_path_factory.mktemp("certificate"))
    options = ("--grace", "0", "--max-concurrent-streams", "100")
    with serve_app("scrapy_site:app", *options, certificate=certificate) as server:
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.greenlets", server.url(""), str(certificate.ca)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    results: dict[str, Any] = json.loads(done.stdout)
    return results


def test_greenlets_share_a_connection_of_the_client_for_threads(came: dict[str, Any]) -> None:
    assert came["threads"] == {"statuses": [200], "connections": 1}


def test_greenlets_share_a_connection_of_locusts_client(came: dict[str, Any]) -> None:
    assert came["greenlets"] == {"statuses": [200], "connections": 1}


def test_a_user_that_is_stopped_takes_its_request_along_and_no_other(came: dict[str, Any]) -> None:
    stopped = came["stopped"]

    assert stopped["connections"] == [[3, 1]]  # three requests, of which one was reset
    assert (stopped["after"], stopped["counted"]) == (200, ["/echo", "/echo"])


def test_connections_are_closed_when_the_test_stops(came: dict[str, Any]) -> None:
    assert (came["stopped"]["clients"], came["stopped"]["closed"]) == (0, True)


def test_a_handshake_that_takes_too_long_is_counted_as_that(came: dict[str, Any]) -> None:
    assert came["handshake"] == {"status": 0, "error": "TlsTimeout"}


def test_no_request_waits_where_the_server_takes_no_more_on_a_connection(came: dict[str, Any]) -> None:
    assert came["more than fit"]["exchanges"] == [100, 30]


def test_what_is_wrong_with_a_class_of_users_is_said_in_a_sentence(came: dict[str, Any]) -> None:
    version, option, host, url = came["options"]

    assert version == 'Users cannot send requests: http must be "auto", "1" or "2", not \'3\''
    assert "'htpp'" in option
    assert host.startswith("there is no host")
    assert "'x' is not a URL" in url
