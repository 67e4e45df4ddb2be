"""Makes calls as a user of Locust's, as a process of its own: Locust patches the standard library.

``python -m tests.support.locust_calls KIND URL REFUSED CA`` makes them with ``locust`` (its ``HttpUser``) or
``plait``, and prints what came of each, and what was counted, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import locust  # first, before anything that it patches
from locust.env import Environment
from locust.exception import CatchResponseError, ResponseError

from plait.integrations.locust import HttpUser

#: Fields of a request that every client writes in its own way.
_OWN = {"host", "user-agent", "accept", "accept-encoding", "connection"}


class Calls:
    """The calls of one user, by name; each is a method.

    Args:
        user: The user.
        other: Another user.
        refused: A URL where nobody listens.
    """

    def __init__(self, user: Any, other: Any, refused: str) -> None:
        self.user = user
        self.client = user.client
        self.other = other.client
        self.refused = refused

    def a_page(self) -> Any:
        return self.client.get("/echo")

    def a_page_by_name(self) -> Any:
        return self.client.get("/echo", name="a name")

    def a_page_with_parameters(self) -> Any:
        return self.client.get("/echo", params={"a": "1", "b": "two"}, headers={"X-One": "1"})

    def no_such_page(self) -> Any:
        return self.client.get("/status?code=404")

    def no_such_page_as_expected(self) -> Any:
        with self.client.get("/status?code=404", catch_response=True) as response:
            response.success()
        return response

    def a_page_that_is_wrong(self) -> Any:
        with self.client.get("/echo", catch_response=True) as response:
            response.failure("it is wrong")
        return response

    def an_error_that_nobody_judges(self) -> Any:
        with self.client.get("/status?code=500", catch_response=True) as response:
            pass
        return response

    def an_error_of_a_response_in_the_block(self) -> Any:
        with self.client.get("/echo", catch_response=True) as response:
            raise ResponseError("unexpected")
        return response

    def an_error_in_the_block(self) -> Any:
        with self.client.get("/echo", catch_response=True):
            raise KeyError("the task's own")

    def a_failure_then_an_error_in_the_block(self) -> Any:
        with self.client.get("/echo", catch_response=True) as response:
            response.failure("first")
            raise KeyError("the task's own")
        return response

    def a_block_that_was_not_asked_for(self) -> Any:
        with self.client.get("/echo") as response:
            return response

    def a_judgement_without_a_block(self) -> Any:
        return self.client.get("/echo", catch_response=True).failure("it is late")

    def raising(self) -> Any:
        with self.client.get("/status?code=503", catch_response=True) as response:
            try:
                response.raise_for_status()
            except Exception:
                response.failure("as it says")
        return response

    def a_redirect(self) -> Any:
        return self.client.get("/redirect")

    def a_redirect_that_is_not_followed(self) -> Any:
        return self.client.get("/redirect", allow_redirects=False)

    def a_head(self) -> Any:
        return self.client.head("/redirect")

    def content(self) -> Any:
        return self.client.post("/echo", b"some bytes")

    def text(self) -> Any:
        return self.client.put("/echo", data="some text")

    def a_form(self) -> Any:
        return self.client.post("/echo", {"a": "1", "b": "two words"})

    def sent_json(self) -> Any:
        return self.client.patch("/echo", json=[1])

    def other_methods(self) -> Any:
        self.client.delete("/echo")
        return self.client.options("/echo")

    def cookies(self) -> Any:
        self.client.get("/set-cookie")
        return self.client.get("/echo")

    def cookies_of_another_user(self) -> Any:
        self.client.get("/set-cookie")
        return self.other.get("/echo")

    def fields_of_the_session(self) -> Any:
        self.client.headers["X-Session"] = "1"
        return self.client.get("/echo")

    def coded_content(self) -> Any:
        return self.client.get("/gzip")

    def requests_under_one_name(self) -> Any:
        with self.client.rename_request("together"):
            self.client.get("/echo?1")
            return self.client.get("/echo?2")

    def a_context(self) -> Any:
        return self.client.get("/echo", context={"of": "the call"})

    def a_refused_port(self) -> Any:
        return self.client.get(self.refused)

    def silence(self) -> Any:
        return self.client.get("/silence", timeout=0.3)

    def silence_of_two_kinds(self) -> Any:
        return self.client.get("/silence", timeout=(20, 0.3))

    def no_url(self) -> Any:
        return self.client.get("http://")

    def rest(self) -> Any:
        with self.user.rest("POST", "/echo", json=[1]) as response:
            assert response.js["size"]
        return response

    def rest_without_json(self) -> Any:
        with self.user.rest("GET", "/gzip") as response:
            pass
        return response

    def rest_that_is_wrong(self) -> Any:
        with self.user.rest("GET", "/echo") as response:
            assert response.js["size"] == 1, "the size is wrong"
        return response

    def rest_without_a_response(self) -> Any:
        with self.user.rest("GET", self.refused) as response:
            assert response.js is None
        return response

    def rest_without_a_cache(self) -> Any:
        with self.user.rest_("GET", "/echo") as response:
            pass
        return response


def calls() -> Iterator[tuple[str, Callable[[Calls], Any]]]:
    """Yield every call and its name."""
    for name, function in vars(Calls).items():
        if not name.startswith("_"):
            yield name.replace("_", " "), function


def told(response: Any) -> dict[str, Any]:
    """Return what a response tells, without what clients do in their own ways."""
    text = response.text
    if text and text.startswith('{"method"'):
        echo = json.loads(text)
        echo["headers"] = [field for field in echo["headers"] if field[0] not in _OWN]
        text = json.dumps(echo)
    return {
        "status": response.status_code,
        "url": response.url.partition("_=")[0] if response.status_code else None,
        "text": text,
        "type": response.headers.get("Content-Type") if response.headers else None,
        "history": [one.url for one in response.history] if response.status_code else [],
    }


def said(error: Exception) -> str:
    """Return what went wrong, without the words that each library has for it."""
    if "Connection refused" in str(error):
        return "refused"
    return str(error) if isinstance(error, CatchResponseError) else "other"


def main() -> None:
    """Make the calls, and print what came of them."""
    kind, url, refused, ca = sys.argv[1:]
    base: Any = {"locust": locust.HttpUser, "plait": HttpUser}[kind]

    class User(base):  # type: ignore[misc]
        host = url.replace("https://", "https://reader:s%40cret@")
        verify = ca

        def context(self) -> dict[str, Any]:
            return {"user": "it"}

    environment = Environment(user_classes=[User])
    counted: list[dict[str, Any]] = []

    @environment.events.request.add_listener
    def on_request(**meta: Any) -> None:
        error = meta["exception"]
        assert 0 <= meta.pop("response_time") < 60_000
        if "/gzip" in meta["url"] or "/status" in meta["url"]:
            assert meta["response_length"] == 12
        else:
            assert (meta.pop("response_length") > 0) == (error is None or "wrong" in str(error))
        assert meta.pop("start_time") > 0
        assert meta.pop("response") is not None
        meta["url"] = meta["url"].partition("_=")[0]
        counted.append({**meta, "exception": None if error is None else said(error)})

    results: dict[str, Any] = {}
    for name, call in calls():
        users = User(environment), User(environment)
        if kind == "locust":
            for user in users:
                user.client.verify = ca
        counted.clear()
        try:
            came = told(call(Calls(*users, refused)))
        except Exception as error:
            came = {"raised": isinstance(error, KeyError | locust.exception.LocustError | ValueError)}
            if kind == "plait":
                came["raised"] |= type(error).__name__ == "LocalProtocolError"
        results[name] = {"came": came, "counted": list(counted)}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
