"""What programs do with httpx: calls whose results do not depend on what its transport is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from io import BytesIO
from types import ModuleType
from typing import Any

from tests.support.servers import free_port

__all__ = ["CALLS", "AsyncHost", "Host", "told"]

#: What differs by what a connection needs, and by the time of day.
PASSING = {"connection", "transfer-encoding", "date", "keep-alive"}


class Host:
    """A client of the library, as calls use it.

    Args:
        module: httpx or httpx2.
        transport: What it sends by; None for the library's own.
        options: Of the client.
    """

    def __init__(self, module: ModuleType, transport: Any, **options: Any) -> None:
        self.module: Any = module
        self.client = self.module.Client(transport=transport, **options)

    def request(self, method: str, url: str, **options: Any) -> Any:
        return self.client.request(method, url, **options)

    def stream(self, method: str, url: str, how: str, **options: Any) -> tuple[Any, list[Any]]:
        """Send a request and read the response in pieces, by the method ``how``."""
        with self.client.stream(method, url, **options) as response:
            return response, list(getattr(response, how)())

    def pieces(self, pieces: Iterable[bytes]) -> Any:
        """Return content that is read while it is sent."""
        return (piece for piece in pieces)

    def close(self) -> None:
        self.client.close()


class AsyncHost(Host):
    """The same with the library's asynchronous client, on an event loop of its own."""

    def __init__(self, module: ModuleType, transport: Any, **options: Any) -> None:
        self.module = module
        self._runner = asyncio.Runner()
        self.run = self._runner.run
        self.client = self.module.AsyncClient(transport=transport, **options)

    def request(self, method: str, url: str, **options: Any) -> Any:
        return self.run(self.client.request(method, url, **options))

    def stream(self, method: str, url: str, how: str, **options: Any) -> tuple[Any, list[Any]]:
        async def stream() -> tuple[Any, list[Any]]:
            async with self.client.stream(method, url, **options) as response:
                return response, [piece async for piece in getattr(response, "a" + how)()]

        return self.run(stream())

    def pieces(self, pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
        async def each() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        return each()

    def close(self) -> None:
        self.run(self.client.aclose())
        self._runner.close()


def told(response: Any) -> dict[str, Any]:
    """Return what a program can see of a response."""
    return {
        "status": response.status_code,
        "reason": response.reason_phrase,
        "version": response.http_version,
        "fields": [(name, value) for name, value in response.headers.multi_items() if name not in PASSING],
        "content": response.content if response.is_stream_consumed else None,
        "text": response.text if response.is_stream_consumed else None,
        "encoding": response.encoding,
        "url": str(response.url),
        "method": response.request.method,
        "history": [(one.status_code, str(one.url)) for one in response.history],
        "next": str(response.next_request),
        "cookies": sorted((cookie.name, cookie.value) for cookie in response.cookies.jar),
        "closed": response.is_closed,
    }


def _got(path: str, method: str = "GET", **options: Any) -> Callable[[Host, str], Any]:
    def call(host: Host, url: str) -> Any:
        return told(host.request(method, url + path, **options))

    return call


def _sent(**options: Any) -> Callable[[Host, str], Any]:
    """Return a call that tells what the server saw of a request."""

    def call(host: Host, url: str) -> Any:
        made = {name: value() if callable(value) else value for name, value in options.items()}
        return host.request(made.pop("method", "POST"), f"{url}/upload", **made).json()

    return call


def _streamed(path: str, how: str) -> Callable[[Host, str], Any]:
    def call(host: Host, url: str) -> Any:
        response, pieces = host.stream("GET", url + path, how)
        joined = pieces if how == "iter_lines" else type(pieces[0])().join(pieces)
        return response.status_code, joined, response.is_closed, response.num_bytes_downloaded

    return call


def _uploaded(host: Host, url: str) -> Any:
    def numbers() -> Iterator[bytes]:
        for number in range(100):
            yield b"%d" % number * 100

    return host.request("PUT", f"{url}/upload", content=host.pieces(numbers())).json()


def _failing_upload(host: Host, url: str) -> Any:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise ZeroDivisionError("the content's own")

    return told(host.request("PUT", f"{url}/upload", content=host.pieces(broken())))


def _consumed_upload(host: Host, url: str) -> Any:
    content = host.pieces([b"once"])
    return host.request(
        "PUT", f"{url}/to?status=307&location=/upload", content=content, follow_redirects=True
    )


def _cookies(host: Host, url: str) -> Any:
    host.request("GET", f"{url}/set?cookie=a%3D1&cookie=b%3D2%3B%20Path%3D/elsewhere")
    return host.request("GET", f"{url}/upload").json()["headers"][-1], dict(host.client.cookies)


def _hooks(host: Host, url: str) -> Any:
    seen: list[str] = []

    class Auth(host.module.Auth):  # type: ignore[misc, name-defined]
        requires_response_body = True

        def auth_flow(self, request: Any) -> Iterator[Any]:
            response = yield request
            seen.append(f"{response.status_code} {len(response.content)}")
            request.headers["x-token"] = "1"
            yield request

    answer = host.request("GET", f"{url}/upload", auth=Auth())
    return seen, [pair for pair in answer.json()["headers"] if pair[0] == "x-token"]


def _refused(host: Host, url: str) -> Any:
    return host.request("GET", f"http://127.0.0.1:{free_port()}/")


def _by_another_name(host: Host, url: str) -> Any:
    return host.request("GET", url.replace("localhost", "127.0.0.2"))


def _limited(path: str, **limits: float) -> Callable[[Host, str], Any]:
    def call(host: Host, url: str) -> Any:
        return host.request("GET", url + path, timeout=host.module.Timeout(20, **limits))

    return call


CALLS: dict[str, Callable[[Host, str], Any]] = {
    "get": _got("/upload"),
    "get with params": _got("/upload", params={"a": ["1", "2"], "b": "ü &"}),
    "head": _got("/bytes?n=10", "HEAD"),
    "options": _got("/upload", "OPTIONS"),
    "204": _got("/status?status=204"),
    "304": _got("/status?status=304"),
    "404": _got("/status?status=404"),
    "500 to a POST": _got("/status?status=500", "POST", content=b"abc"),
    "repeated fields": _got("/repeated"),
    "nothing": _got("/bytes?n=0"),
    "a mebibyte": _got("/bytes?n=1048576"),
    "gzip": _got("/coded?as=gzip"),
    "deflate": _got("/coded?as=deflate"),
    "brotli": _got("/coded?as=br"),
    "wrongly coded": _got("/coded?as=wrong"),
    "no length": _got("/lines"),
    "redirect not followed": _got("/to?status=302&location=/upload"),
    "redirects": _got("/to?status=301&location=/to?status%3D302%26location%3D/upload", follow_redirects=True),
    "redirect of a POST": _got("/to?status=303&location=/upload", "POST", json=[1], follow_redirects=True),
    "redirect with content": _got("/to?status=307&location=/upload", "POST", json=[1], follow_redirects=True),
    "a loop": _got("/loop", follow_redirects=True),
    "basic": _sent(method="GET", auth=("me", "secret")),
    "digest": _got("/digest?algorithm=MD5", auth=None),
    "fields in order": _sent(headers=[("X-B", "1"), ("x-a", "2"), ("X-B", "3"), ("User-Agent", "mine")]),
    "latin-1": _sent(headers={"x-a": b"\xe4"}),
    "another host": _sent(headers={"host": "other.example"}),
    "json": _sent(json={"a": [1, "ü"]}),
    "a form": _sent(data={"a": ["1", "2"]}),
    "files": _sent(
        files=lambda: {"f": ("name.txt", BytesIO(b"abc" * 1000), "text/plain")},
        headers={"content-type": "multipart/form-data; boundary=b"},
    ),
    "bytes": _sent(content=b"x" * 300_000),
    "nothing to POST": _sent(),
    "a generator": _uploaded,
    "a generator that fails": _failing_upload,
    "a generator redirected": _consumed_upload,
    "cookies": _cookies,
    "an auth flow": _hooks,
    "raw": _streamed("/coded?as=gzip", "iter_raw"),
    "streamed": _streamed("/coded?as=gzip", "iter_bytes"),
    "lines": _streamed("/lines", "iter_lines"),
    "text": _streamed("/lines", "iter_text"),
    "refused port": _refused,
    "wrong name": _by_another_name,
    "unknown scheme": lambda host, url: host.request("GET", "ftp://localhost/"),
    "no scheme": lambda host, url: host.request("GET", "localhost/"),
    "broken off": _got("/broken?announced=100"),
    "broken off, no length": _got("/broken?announced=0"),
    "read timeout": _limited("/silent", read=0.1),
    "read timeout in content": _limited("/stuck", read=0.1),
}  # fmt: skip
