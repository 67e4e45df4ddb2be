"""What many greenlets do with one client, as a process of its own: gevent patches the standard library.

``python -m tests.support.greenlets URL CA`` prints what came of it, as JSON.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import gevent
import locust  # first, as it patches what comes after it
from gevent.pool import Group
from locust.env import Environment

import plait
from plait.integrations.locust import HttpUser
from plait.integrations.locust.sharing import Sharing


def many_at_once(client: plait.Client) -> dict[str, Any]:
    """Have fifty greenlets ask four times each."""

    def ask(number: int) -> list[int]:
        return [client.get(f"/echo?{number}").status for _ in range(4)]

    greenlets = [gevent.spawn(ask, number) for number in range(50)]
    gevent.joinall(greenlets, raise_error=True)
    statuses = {status for greenlet in greenlets for status in greenlet.value}
    return {"statuses": sorted(statuses), "connections": client.statistics.connections_opened}


def patched_threads(url: str, ca: str) -> dict[str, Any]:
    """Use the client for threads, whose locks and polls are gevent's here."""
    with plait.Client(url, verify=ca) as client:
        return many_at_once(client)


def users(environment: Environment, count: int, url: str, ca: str, **more: Any) -> list[Any]:
    """Make users of a class of their own."""
    made = type("Users", (HttpUser,), {"host": url, "verify": ca, "abstract": False, **more})
    return [made(environment) for _ in range(count)]


def sharing_of(user: Any) -> Sharing:
    return Sharing.of(user.environment, type(user))


def a_user_is_stopped(url: str, ca: str) -> dict[str, Any]:
    """Stop one of two users in the middle of a request."""
    environment = Environment()
    stopped, other = users(environment, 2, url, ca)
    counted: list[Any] = []
    environment.events.request.add_listener(lambda **meta: counted.append(meta["name"]))
    waiting = gevent.spawn(stopped.client.get, "/silence")
    other.client.get("/echo")
    waiting.kill()
    after = other.client.get("/echo").status_code
    (client,) = sharing_of(other).clients
    connections = [[one.exchanges, one.resets_sent] for one in client.statistics.connections]
    environment.events.test_stop.fire(environment=environment)
    return {
        "after": after,
        "counted": counted,
        "connections": connections,
        "clients": len(sharing_of(other).clients),
        "closed": all(link.endpoint.closed for link in client._core.pool.links),
    }


def nobody_shakes_hands(ca: str) -> dict[str, Any]:
    """Ask a server that never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://localhost:{listening.getsockname()[1]}"
        (user,) = users(Environment(), 1, url, ca, plait_options={"tls_timeout": 0.2})
        response = user.client.get("/")
    return {"status": response.status_code, "error": type(response.error).__name__}


def more_than_fit(url: str, ca: str) -> dict[str, Any]:
    """Have more requests wait for a response at once than the server takes on a connection: 100."""
    asking = users(Environment(), 130, url, ca)
    group = Group()
    for user in asking:
        group.spawn(user.client.get, "/silence", timeout=1)
    group.join()
    (client,) = sharing_of(asking[0]).clients
    return {"exchanges": [one.exchanges for one in client.statistics.connections]}


def bad_options(url: str, ca: str) -> list[str]:
    """Give users what they cannot be."""
    said = []
    for more in (
        {"plait_options": {"http": "3"}},
        {"plait_options": {"htpp": "2"}},
        {"host": None},
        {"host": "x"},
    ):
        try:
            users(Environment(), 1, url, ca, **more)
        except locust.exception.StopTest as error:
            said.append(str(error))
    return said


def main() -> None:
    """Do all of it, and print what came of it."""
    url, ca = sys.argv[1:]
    results = {
        "threads": patched_threads(url, ca),
        "greenlets": many_at_once(users(Environment(), 1, url, ca)[0].client._client),
        "stopped": a_user_is_stopped(url, ca),
        "handshake": nobody_shakes_hands(ca),
        "more than fit": more_than_fit(url, ca),
        "options": bad_options(url, ca),
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
