"""What programs do with requests: calls whose results do not depend on what is mounted."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from io import BytesIO, StringIO, TextIOWrapper
from time import sleep
from typing import Any

import requests
from requests.auth import HTTPDigestAuth

from tests.support.servers import free_port

__all__ = ["CALLS"]

#: What differs by the version of HTTP, and by the time of day.
PASSING = {"connection", "transfer-encoding", "date", "keep-alive"}

Call = Callable[[requests.Session, str], Any]


def told(response: requests.Response) -> dict[str, Any]:
    """Return what a program can see of a response."""
    return {
        "status": (response.status_code, response.reason, response.ok),
        "fields": sorted(
            (name.lower(), value) for name, value in response.headers.items() if name.lower() not in PASSING
        ),
        "repeated": response.raw.headers.getlist("x-a"),
        "content": response.content,
        "text": response.text,
        "encoding": response.encoding,
        "url": response.url,
        "request": (response.request.method, response.request.url),
        "history": [(one.status_code, one.url) for one in response.history],
        "next": response.next and response.next.url,
        "cookies": sorted(response.cookies.items()),
        "closed": response.raw.closed,
        "pickled": pickle.loads(pickle.dumps(response)).content,
    }


def _got(path: str, method: str = "GET", **options: Any) -> Call:
    def call(session: requests.Session, url: str) -> Any:
        return told(session.request(method, url + path, **options))

    return call


def _sent(**options: Any) -> Call:
    """Return a call that tells what the server saw of a request."""

    def call(session: requests.Session, url: str) -> Any:
        made = {name: value() if callable(value) else value for name, value in options.items()}
        return session.request(made.pop("method", "POST"), f"{url}/upload", **made).json()

    return call


def _streamed(path: str, how: Callable[[requests.Response], Any]) -> Call:
    def call(session: requests.Session, url: str) -> Any:
        with session.get(url + path, stream=True) as response:
            return response.status_code, how(response), response.raw.closed

    return call


def _numbers() -> Iterator[bytes]:
    for number in range(100):
        yield b"%d" % number * 100


def _broken() -> Iterator[bytes]:
    yield b"some"
    raise ZeroDivisionError("the content's own")


def _cookies(session: requests.Session, url: str) -> Any:
    session.get(f"{url}/set?cookie=a%3D1&cookie=b%3D2%3B%20Path%3D/elsewhere")
    return session.get(f"{url}/upload").json()["headers"][-1], sorted(session.cookies.items())


def _hooks(session: requests.Session, url: str) -> Any:
    seen: list[int] = []
    session.get(f"{url}/upload", hooks={"response": lambda response, **_: seen.append(response.status_code)})
    return seen


def _prepared(session: requests.Session, url: str) -> Any:
    prepared = requests.Request("POST", f"{url}/upload", data="ü", headers={"X-B": "1", "x-a": "2"}).prepare()
    return session.send(prepared, verify=session.verify).json()


def _left_early(session: requests.Session, url: str) -> Any:
    response = session.get(f"{url}/bytes?n=1048576", stream=True)
    first = next(response.iter_content(1000))
    response.close()
    return len(first), response.raw.closed, session.get(f"{url}/upload").status_code


def _read_twice(session: requests.Session, url: str) -> Any:
    response = session.get(f"{url}/lines", stream=True)
    list(response.iter_content(1000))
    return list(response.iter_content(1000))


class _Form:
    """Content that tells how much is left of it, as a streamed form of requests-toolbelt does."""

    def __init__(self) -> None:
        self.len = 300_000

    def read(self, size: int) -> bytes:
        size = min(size, self.len)
        self.len -= size
        return bytes(size)


def _slow() -> Iterator[bytes]:
    for _ in range(3):
        sleep(0.1)
        yield b"abc"


def _copied(response: requests.Response) -> int:
    copy = BytesIO()
    shutil.copyfileobj(response.raw, copy)
    return copy.tell()


def _decoded_file(response: requests.Response) -> list[Any]:
    response.raw.decode_content = True
    return [response.raw.read(100), response.raw.tell() > 0, response.raw.read()]


def _after_close(session: requests.Session, url: str) -> Any:
    session.get(f"{url}/upload")
    session.close()
    return session.get(f"{url}/upload").status_code


def _path(session: requests.Session, url: str) -> Any:
    seen = session.get(f"{url}/%7Ea%2fb/../c d/ü?q=%zz&a=[1]|{{}}#part").json()
    return seen["path"], seen["query"]


def _with_a_name(session: requests.Session, url: str) -> Any:
    return session.get(url.replace("//", "//us%40er:pa:ss@") + "/upload").json()


def _refused(session: requests.Session, url: str) -> Any:
    return session.get(f"http://127.0.0.1:{free_port()}/")


def _not_tls(session: requests.Session, url: str) -> Any:
    return session.get(url.replace("https", "http") + "/upload")


CALLS: dict[str, Call] = {
    "get": _got("/upload"),
    "get with params": _got("/upload", params={"a": ["1", "2"], "b": "ü &|"}),
    "head": _got("/bytes?n=10", "HEAD"),
    "options": _got("/upload", "OPTIONS"),
    "204": _got("/status?status=204"),
    "304": _got("/status?status=304"),
    "404": _got("/status?status=404"),
    "500 to a POST": _got("/status?status=500", "POST", data=b"abc"),
    "repeated fields": _got("/repeated"),
    "nothing": _got("/bytes?n=0"),
    "much": _got("/bytes?n=200000"),
    "gzip": _got("/coded?as=gzip"),
    "deflate": _got("/coded?as=deflate"),
    "brotli": _got("/coded?as=br"),
    "wrongly coded": _got("/coded?as=wrong"),
    "no length": _got("/lines"),
    "redirect not followed": _got("/to?status=302&location=/upload", allow_redirects=False),
    "redirects": _got("/to?status=301&location=/to?status%3D302%26location%3D/upload"),
    "redirect of a POST": _got("/to?status=303&location=/upload", "POST", json=[1]),
    "redirect with content": _got("/to?status=307&location=/upload", "POST", json=[1]),
    "redirect with a generator": _got("/to?status=307&location=/upload", "POST", data=_numbers()),
    "a loop": _got("/loop"),
    "basic": _sent(method="GET", auth=("me", "secret")),
    "digest": _got("/digest?algorithm=MD5", auth=HTTPDigestAuth("Mufasa", "Circle of Life")),
    "wrong digest": _got("/digest?algorithm=MD5", auth=HTTPDigestAuth("Mufasa", "wrong")),
    "fields": _sent(headers={"X-B": "1", "x-a": "2", "User-Agent": "mine"}),
    "fields left out": _sent(headers={"User-Agent": None, "Accept-Encoding": None, "Accept": None}),
    "latin-1": _sent(headers={"x-a": b"\xe4"}),
    "another host": _sent(headers={"host": "other.example"}),
    "json": _sent(json={"a": [1, "ü"]}),
    "a form": _sent(data={"a": ["1", "2"]}),
    "files": _sent(
        files=lambda: {"f": ("name.txt", BytesIO(b"abc" * 1000), "text/plain")},
        headers={"content-type": "multipart/form-data"},
    ),
    "bytes": _sent(data=b"x" * 300_000),
    "text": _sent(data="ü" * 100),
    "a file": _sent(data=lambda: BytesIO(b"abc" * 100_000)),
    "a file of text": _sent(data=lambda: StringIO("abc" * 1000)),
    "nothing to POST": _sent(),
    "a generator": _sent(method="PUT", data=_numbers),
    "a generator that fails": _sent(method="PUT", data=_broken),
    "an empty file": _sent(data=BytesIO),
    "an empty generator": _sent(data=lambda: iter([])),
    "empty pieces": _sent(data=lambda: iter([b"", b"a", b"", b"b"])),
    "a bytearray": _sent(data=bytearray(b"abc")),
    "a streamed form": _sent(data=_Form),
    "slow content": _sent(data=_slow, timeout=(20, 0.2)),  # which is not the server's
    "content expected": _sent(data=b"abc", headers={"expect": "100-continue"}),
    "a method of one's own": _sent(method="PURGE"),
    "a name in the URL": _with_a_name,
    "a path in need of encoding": _path,
    "after close": _after_close,
    "cookies": _cookies,
    "hooks": _hooks,
    "a prepared request": _prepared,
    "raw": _streamed("/coded?as=gzip", lambda response: response.raw.read()),
    "raw, decoded": _streamed("/coded?as=gzip", lambda response: response.raw.read(decode_content=True)),
    "raw, in part": _streamed(
        "/bytes?n=100000", lambda response: [len(response.raw.read(n)) for n in (1, 70_000, 70_000, 1)]
    ),
    "raw, as a file": _streamed("/bytes?n=300000", _copied),
    "raw, as JSON": _streamed("/upload", lambda response: json.load(response.raw)["path"]),
    "raw, as text": _streamed("/lines", lambda response: list(TextIOWrapper(response.raw, "utf-8"))),
    "raw, line by line": _streamed("/lines", lambda response: [*response.raw]),
    "raw, decoded in part": _streamed("/coded?as=gzip", _decoded_file),
    "byte by byte": _streamed("/bytes?n=500", lambda response: [*response.iter_content(1)]),
    "content": _streamed("/coded?as=br", lambda response: b"".join(response.iter_content(1000))),
    "chunks": _streamed("/bytes?n=100000", lambda response: [*map(len, response.iter_content(8192))]),
    "all at once": _streamed("/bytes?n=100000", lambda response: [*map(len, response.iter_content(None))]),
    "lines": _streamed("/lines", lambda response: list(response.iter_lines())),
    "lines of text": _streamed("/lines", lambda response: list(response.iter_lines(decode_unicode=True))),
    "unicode": _streamed("/lines", lambda response: "".join(response.iter_content(100, decode_unicode=True))),
    "left early": _left_early,
    "read twice": _read_twice,
    "refused port": _refused,
    "a name without an address": lambda session, url: session.get("http://nowhere.invalid/"),
    "wrong name": lambda session, url: session.get(url.replace("localhost", "127.0.0.2")),
    "no TLS asked for": _not_tls,
    "unknown authority": _got("/upload", verify=True),
    "no authority asked for": _got("/upload", verify=False),
    "no such file of authorities": _got("/upload", verify="/nowhere/ca.pem"),
    "no such certificate": _got("/upload", cert="/nowhere/cert.pem"),
    "unknown scheme": lambda session, url: session.get("ftp://localhost/"),
    "no scheme": lambda session, url: session.get("localhost/"),
    "no host": lambda session, url: session.get("https:///path"),
    "a bad label": lambda session, url: session.get("https://.example.com/"),
    "a bad port": lambda session, url: session.get("https://localhost:port/"),
    "a bad field": _got("/", headers={"x-a": "b\r\nc: d"}),
    "a bad name": _got("/", headers={"x a\n": "b"}),
    "a field beyond latin-1": _got("/", headers={"x-a": "€"}),
    "a bad timeout": _got("/upload", timeout=(1, 2, 3)),
    "no time": _got("/upload", timeout=0),
    "a bad proxy": _got("/upload", proxies={"https": "http:///"}),
    "broken off": _got("/broken?announced=100"),
    "broken off, no length": _got("/broken?announced=0"),
    "broken off, streamed": _streamed("/broken?announced=100", lambda response: [*response.iter_content(5)]),
    "read timeout": _got("/silent", timeout=(20, 0.1)),
    "read timeout in content": _got("/stuck", timeout=(20, 0.5)),  # the head is to come in time
}  # fmt: skip
