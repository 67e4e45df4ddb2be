"""A site with many resources, under Twisted's ``Site`` or plait's, to be compared call by call.

``python -m tests.support.comparison_site twisted|plait PORT CERT KEY FILES``
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import endpoints, error, reactor, task
from twisted.internet.interfaces import ISSLTransport
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web import (
    guard,
    http,
    proxy,
    resource,
    rewrite,
    script,
    server,
    static,
    twcgi,
    util,
    vhost,
    wsgi,
)
from twisted.web.pages import errorPage, forbidden, notFound
from twisted.web.resource import EncodingResourceWrapper, IResource, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory
from zope.interface import implementer

from plait.integrations.twisted import RequestMixin
from plait.integrations.twisted import Site as PlaitSite

__all__ = ["KEY", "LARGE", "main"]

#: Names the call a request is part of.
KEY = b"x-key"

#: More than goes into one frame, or what a site holds in memory of an upload.
LARGE = b"0123456789abcdef" * 20_000

_reactor: Any = reactor
Render = Callable[[Any], Any]


# -- what the test is told beside the responses --------------------------------------------------


@dataclass(eq=False)
class _Asked:
    """A wish for so many notes of a call, which is kept waiting."""

    key: bytes
    count: int
    request: Any
    timeout: Any = None


class Notes:
    """What resources noted of each call, and failures that were logged."""

    def __init__(self) -> None:
        self._of: dict[bytes, list[str]] = defaultdict(list)
        self._waiting: list[_Asked] = []
        self._failures: list[str] = []

    def add(self, request: Any, note: str) -> None:
        """Note something about a request."""
        key = request.requestHeaders.getRawHeaders(KEY, [b""])[0]
        self._of[key].append(note)
        for one in list(self._waiting):
            if one.key == key and len(self._of[key]) >= one.count:
                one.timeout.reset(0)

    def observe(self, event: LogEvent) -> None:
        """Keep the failures that are logged."""
        failure = event.get("log_failure")
        if failure is not None:
            name = failure.type.__name__
            # Who finds a wrong type says it in words of its own.
            self._failures.append(name if name == "TypeError" else f"{name}: {failure.getErrorMessage()}")

    def render(self, request: Any) -> object:
        """Answer with the notes of a call, once there are so many."""
        key, count, seconds = (request.args[name][0] for name in (b"key", b"count", b"seconds"))
        asked = _Asked(key, int(count), request)
        self._waiting.append(asked)
        late = 0 if len(self._of[key]) >= asked.count else float(seconds)
        asked.timeout = _reactor.callLater(late, self._tell, asked)
        return NOT_DONE_YET

    def _tell(self, asked: _Asked) -> None:
        self._waiting.remove(asked)
        request, key = asked.request, asked.key
        told = {"notes": self._of[key], "failures": self._failures}
        self._failures = []
        request.write(json.dumps(told).encode())
        request.finish()


NOTES = Notes()


# -- resources -----------------------------------------------------------------------------------


class Leaf(Resource):
    """Does what a function says, whatever the method."""

    isLeaf = True

    def __init__(self, render: Render) -> None:
        super().__init__()
        self.render = render  # type: ignore[method-assign]


class GetOnly(Resource):
    """Has a ``render_GET`` and, by Twisted, a ``render_HEAD``."""

    isLeaf = True

    def __init__(self, render: Render) -> None:
        super().__init__()
        self.render_GET = render


class Post(Resource):
    """Has more than one method, and neither GET nor HEAD."""

    isLeaf = True

    def render_POST(self, request: Any) -> bytes:
        return b"posted"

    def render_PUT(self, request: Any) -> bytes:
        return b"put"


class NoHead(Resource):
    """Has a GET, and says that it has no HEAD."""

    isLeaf = True

    def render(self, request: Any) -> Any:
        if request.method != b"GET":
            raise resource.UnsupportedMethod([b"GET"])
        if b"later" in request.args:
            request.notifyFinish().addBoth(lambda result: NOTES.add(request, "finished"))
            _reactor.callLater(0.01, finish, request, b"late")
            return NOT_DONE_YET
        return b"faked"


ROOT: dict[str, Resource] = {}


def at(*names: str) -> Callable[[Render], Render]:
    """Put a function into the tree, for all methods."""

    def put(render: Render) -> Render:
        for name in names:
            ROOT[name] = Leaf(render)
        return render

    return put


def finish(request: Any, *pieces: bytes) -> None:
    """Write what is left, and finish."""
    for piece in pieces:
        request.write(piece)
    request.finish()


def outcome(function: Callable[[], object]) -> object:
    """Return what a call returns, or raises."""
    try:
        return function()
    except Exception as caught:
        return f"{type(caught).__name__}: {caught}"


def plain(value: object) -> Any:
    """Make bytes and what is made of them fit for JSON."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return sorted([plain(name), plain(one)] for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value if value is None or isinstance(value, (str, int)) else str(value)


#: Fields of requests that one version of HTTP has and the other has not, or that are the comparison's own.
_OF_A_VERSION = (b"connection", b"transfer-encoding", KEY)


@at("seen")
def seen(request: Any) -> bytes:
    """Tell all that a request says of itself."""
    headers = {
        name.lower(): values
        for name, values in request.requestHeaders.getAllRawHeaders()
        if name.lower() not in _OF_A_VERSION
    }
    content = request.content.read()
    host = request.getHost()
    told = {
        "method": request.method,
        "uri": request.uri,
        "path": request.path,
        "prepath": request.prepath,
        "postpath": request.postpath,
        "args": request.args,
        "headers": headers,
        "getAllHeaders": {n: v for n, v in request.getAllHeaders().items() if n.lower() not in _OF_A_VERSION},
        "getHeader": [request.getHeader("X-Test"), request.getHeader(b"x-test"), request.getHeader("x-none")],
        "cookies": request.received_cookies,
        "getCookie": [request.getCookie(b"a"), request.getCookie(b"none")],
        "user": outcome(request.getUser),
        "password": outcome(request.getPassword),
        "isSecure": request.isSecure(),
        "getHost": [type(host).__name__, host.host, host.port],
        "getClientAddress": [type(request.getClientAddress()).__name__, request.getClientAddress().host],
        "getClientIP": request.getClientIP(),
        "getRequestHostname": outcome(request.getRequestHostname),
        "prePathURL": outcome(request.prePathURL),
        "URLPath": outcome(lambda: str(request.URLPath())),
        "links": [outcome(lambda: request.sibLink(b"x")), outcome(lambda: request.childLink(b"x"))],
        "content": content if len(content) < 300 else [len(content), hashlib.sha256(content).hexdigest()],
        "kept in memory": type(request.content).__name__ == "BytesIO",
        "clientproto": request.clientproto.partition(b"/")[0],
    }
    request.setHeader(b"content-type", b"application/json")
    return json.dumps({name: plain(value) for name, value in told.items()}).encode()


@at("transport")
def transport(request: Any) -> bytes:
    """Tell what the request's transport and channel say."""
    carrier = request.transport
    return json.dumps(
        [
            type(carrier.getPeer()).__name__,
            type(carrier.getHost()).__name__,
            ISSLTransport.providedBy(carrier),
            request.channel.isSecure(),
            type(request.channel.getPeer()).__name__,
        ]
    ).encode()


class Node(Resource):
    """Has a child of every name, which tells how it was found."""

    def __init__(self, names: list[bytes]) -> None:
        super().__init__()
        self._names = names

    def getChild(self, path: bytes, request: Any) -> Any:
        if path == b"raise":
            raise RuntimeError("no such child")
        if path == b"none":
            return None
        return Node([*self._names, path])

    def render(self, request: Any) -> bytes:
        return json.dumps([plain(self._names), plain(request.prepath), plain(request.postpath)]).encode()


@at("status")
def status(request: Any) -> bytes:
    """Answer with any status, and content all the same."""
    arguments = request.args
    phrase = arguments.get(b"phrase", [None])[0]
    request.setResponseCode(int(arguments[b"code"][0]), phrase)
    content: bytes = arguments.get(b"content", [b""])[0]
    return content


@at("pieces")
def pieces(request: Any) -> object:
    """Write three pieces, each in a turn of its own."""
    request.notifyFinish().addBoth(lambda result: NOTES.add(request, f"finished: {result}"))
    for number, piece in enumerate((b"one ", b"two ", b"three")):
        _reactor.callLater(0.005 * number, request.write, piece)
    _reactor.callLater(0.015, request.finish)
    return NOT_DONE_YET


@at("at-once")
def at_once(request: Any) -> object:
    """Write and finish before anything is returned."""
    finish(request, b"one ", b"", b"two")
    return NOT_DONE_YET


@at("large")
def large(request: Any) -> bytes:
    """Return more than any window has room for."""
    return LARGE


@at("empty")
def empty(request: Any) -> bytes:
    """Return nothing."""
    return b""


@at("deferred")
def deferred(request: Any) -> object:
    """Finish by a deferred."""
    task.deferLater(_reactor, 0.01, lambda: b"deferred").addCallback(
        lambda content: finish(request, content)
    ).addErrback(request.processingFailed)
    return NOT_DONE_YET


@at("deferred-failure")
def deferred_failure(request: Any) -> object:
    """Fail by a deferred, as Twisted's documents tell."""
    task.deferLater(_reactor, 0.01, lambda: 1 / 0).addErrback(request.processingFailed)
    return NOT_DONE_YET


@at("wrong-length")
def wrong_length(request: Any) -> object:
    """Write other than what content-length says."""
    request.setHeader(b"content-length", request.args[b"length"][0])
    finish(request, b"12345")
    return NOT_DONE_YET


@at("raise")
def raises(request: Any) -> bytes:
    """Raise before anything is written."""
    raise RuntimeError("the resource failed")


@at("raise-after-write")
def raises_after_write(request: Any) -> bytes:
    """Raise when the response has begun."""
    request.write(b"begun ")
    raise RuntimeError("the resource failed")


@at("return")
def returns(request: Any) -> object:
    """Return what is no bytes."""
    return {b"str": "text", b"none": None, b"int": 7, b"list": [b"a"]}[request.args[b"what"][0]]


@at("write")
def writes(request: Any) -> object:
    """Write what is no bytes."""
    what = {b"str": "text", b"none": None, b"int": 7, b"bytearray": bytearray(b"array")}
    request.write(what[request.args[b"what"][0]])
    request.finish()
    return NOT_DONE_YET


@at("twice")
def twice(request: Any) -> object:
    """Finish, then write and finish again."""
    finish(request, b"once")
    NOTES.add(request, f"write: {outcome(lambda: request.write(b'more'))}")
    NOTES.add(request, f"finish: {outcome(request.finish)}")
    return NOT_DONE_YET


@at("notify")
def notify(request: Any) -> object:
    """Note what becomes of the request."""
    request.notifyFinish().addBoth(lambda result: NOTES.add(request, f"finished: {result}"))
    return b"notified"


def _left(request: Any, reason: Failure) -> None:
    """Note how a request learns that its client is gone, and what it can do then."""
    NOTES.add(request, f"left: {reason.check(error.ConnectionLost, error.ConnectionDone) is not None}")
    NOTES.add(request, f"write: {outcome(lambda: request.write(b'more'))}")
    NOTES.add(request, f"finish: {outcome(request.finish)}")


@at("leave")
def leave(request: Any) -> object:
    """Write, and wait for the client to leave."""
    request.notifyFinish().addErrback(lambda reason: _left(request, reason))
    NOTES.add(request, "asked")
    if b"silent" not in request.args:
        request.write(b"begun")
    return NOT_DONE_YET


@at("lose")
def lose(request: Any) -> object:
    """Lose the connection in the middle of a response."""
    request.notifyFinish().addErrback(lambda _: NOTES.add(request, "left"))
    if b"silent" not in request.args:
        request.write(b"begun")
    if b"abort" in request.args:
        request.transport.abortConnection()
    else:
        request.loseConnection()
    return NOT_DONE_YET


class Push:
    """A push producer that notes when it is told to stop."""

    def __init__(self, request: Any, size: int) -> None:
        self._request = request
        self._left = size
        self._paused = False
        self._ended = False
        self.pauses = 0
        request.registerProducer(self, True)
        self._go()

    def _go(self) -> None:
        while not self._paused and not self._ended:
            piece = b"x" * min(self._left, 8192)
            self._left -= len(piece)
            self._request.write(piece)
            if not self._left:
                self._ended = True
                self._request.unregisterProducer()
                NOTES.add(self._request, f"was paused: {self.pauses > 0}")
                self._request.finish()

    def pauseProducing(self) -> None:
        self._paused = True
        self.pauses += 1

    def resumeProducing(self) -> None:
        self._paused = False
        self._go()

    def stopProducing(self) -> None:
        self._ended = True
        NOTES.add(self._request, "stopped")


class Pull:
    """A pull producer."""

    def __init__(self, request: Any, size: int) -> None:
        self._request = request
        self._left = size
        request.registerProducer(self, False)

    def resumeProducing(self) -> None:
        piece = b"x" * min(self._left, 8192)
        self._left -= len(piece)
        self._request.write(piece)
        if not self._left:
            self._request.unregisterProducer()
            self._request.finish()

    def stopProducing(self) -> None:
        NOTES.add(self._request, "stopped")


@at("push-producer", "pull-producer")
def produce(request: Any) -> object:
    """Let a producer write the response."""
    size = int(request.args[b"size"][0])
    (Push if request.path == b"/push-producer" else Pull)(request, size)
    return NOT_DONE_YET


@at("two-producers")
def two_producers(request: Any) -> object:
    """Register one producer more than there may be."""
    request.registerProducer(producer := object(), True)
    NOTES.add(request, str(outcome(lambda: request.registerProducer(object(), True))).partition(":")[0])
    assert producer is not None
    request.unregisterProducer()
    finish(request, b"produced")
    return NOT_DONE_YET


@at("headers")
def headers(request: Any) -> bytes:
    """Send fields of all kinds."""
    request.setHeader(b"x-one", b"1")
    request.setHeader("X-Text", "text")
    request.responseHeaders.addRawHeader(b"x-two", b"a")
    request.responseHeaders.addRawHeader(b"x-two", b"b")
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    request.setHeader(b"content-language", b"de")
    request.setHeader(b"x-empty", b"")
    return b"content"


@at("header")
def header(request: Any) -> bytes:
    """Send one field."""
    request.responseHeaders.addRawHeader(request.args[b"name"][0], request.args[b"value"][0])
    return b"content"


@at("cookies")
def cookies(request: Any) -> bytes:
    """Set cookies."""
    request.addCookie(b"a", b"1", path=b"/", max_age=10, secure=True, httpOnly=True, sameSite="lax")
    request.addCookie("b", "2; \r\nx: y", domain="localhost", expires="Wed, 21 Oct 2037 07:28:00 GMT")
    request.addCookie(b"a", b"\xfc", comment=b"twice")
    return b"content"


@at("redirect")
def redirect(request: Any) -> bytes:
    """Redirect by the request's own call."""
    request.redirect(request.args[b"to"][0])
    return b""


@at("cached")
def cached(request: Any) -> bytes:
    """Answer conditionally."""
    modified = request.setLastModified(1_000_000_000)
    tagged = request.setETag(b'"tag"')
    if http.CACHED in (modified, tagged):
        return b""
    return b"fresh"


@at("set-host")
def set_host(request: Any) -> bytes:
    """Say what the server is called."""
    request.setHost(b"example.com", int(request.args[b"port"][0]), ssl=int(request.args[b"ssl"][0]))
    return b" ".join((request.prePathURL(), request.getHeader(b"host"), b"%d" % request.isSecure()))


@at("session")
def session(request: Any) -> bytes:
    """Count the visits of a session."""
    visits = request.getSession()
    visits.count = getattr(visits, "count", 0) + 1
    return b"visit %d, the same session: %d" % (visits.count, request.session is visits)


@at("root-url")
def root_url(request: Any) -> bytes:
    """Tell the root's address, as a site behind a path would."""
    request.rememberRootURL()
    url: bytes = request.getRootURL()
    return url


@at("streamed-upload")
def streamed_upload(request: Any) -> bytes:
    """Take content that was noted as it came."""
    return b"%d" % len(request.content.read())


def wsgi_application(environ: dict[str, Any], start_response: Any) -> Any:
    """Tell the environment, or do what the path says."""
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise RuntimeError("the application failed")
    if path == "/status":
        start_response("204 Nothing", [("X-Status", "yes")])
        return []
    if path == "/pieces":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (piece for piece in (b"one ", b"", b"two"))
    if path == "/write":
        start_response("201 Made", [("Content-Type", "text/plain"), ("X-Two", "a"), ("X-Two", "b")])(
            b"written "
        )
        return [b"and returned"]
    content = environ["wsgi.input"].read()
    told = {name: value for name, value in environ.items() if isinstance(value, (str, bool))}
    for name in ("SERVER_PROTOCOL", "HTTP_TRANSFER_ENCODING", "HTTP_CONNECTION", "HTTP_X_KEY", "REMOTE_PORT"):
        told.pop(name, None)
    told["content"] = hashlib.sha256(content).hexdigest()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told, sort_keys=True).encode()]


@implementer(IRealm)
class Realm:
    """Has the one resource, which tells who asks."""

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:
        name = plain(avatarId)
        return IResource, Leaf(lambda request: f"for {name}".encode()), lambda: None


def guarded(factory: Any) -> Resource:
    """Guard a resource."""
    portal = Portal(Realm(), [InMemoryUsernamePasswordDatabaseDontUse(me=b"secret")])
    return guard.HTTPAuthSessionWrapper(portal, [factory])


class Application(Resource):
    """Has no leaf of its own: it finds each by its path."""

    def getChild(self, path: bytes, request: Any) -> Any:
        match path:
            case b"":
                return Leaf(lambda _: b"root")
            case b"later":
                return util.DeferredResource(task.deferLater(_reactor, 0.01, Leaf, lambda _: b"later"))
            case b"never":
                return util.DeferredResource(task.deferLater(_reactor, 0.01, lambda: 1 / 0))
        return notFound()


def rewritten(request: Any) -> None:
    """Send a part of the tree elsewhere."""
    if request.postpath[:1] == [b"old"]:
        request.postpath[:1] = [b"seen"]
        request.path = b"/rewritten/" + b"/".join(request.postpath)


def tree(files: str, inner: int) -> Resource:
    """Return the root.

    Args:
        files: A directory.
        inner: A port without TLS where a part of the same tree is.
    """
    root = Application()
    hosts = vhost.NameVirtualHost()
    hosts.default = Leaf(lambda _: b"the default host")
    hosts.addHost(b"one.example", Leaf(lambda _: b"one"))
    hosts.addHost(b"two.example", Leaf(lambda _: b"two"))
    directory = static.File(files)
    directory.processors = {".rpy": script.ResourceScript, ".cgi": twcgi.CGIScript}
    directory.ignoreExt(".html")
    directory.childNotFound = notFound(message="not among the files")
    parts: dict[str, Resource] = {
        **ROOT,
        "notes": Leaf(NOTES.render),
        "node": Node([]),
        "get": GetOnly(lambda _: b"got"),
        "post": Post(),
        "no-head": NoHead(),
        "files": directory,
        "data": static.Data(b"some data", "text/x-data"),
        "moved": util.Redirect(b"/elsewhere"),
        "parent": util.ParentRedirect(),
        "error": errorPage(418, "Teapot", "short & stout"),
        "forbidden": forbidden(),
        "gzip": EncodingResourceWrapper(Leaf(large), [GzipEncoderFactory()]),
        "gzip-pieces": EncodingResourceWrapper(Leaf(pieces), [GzipEncoderFactory()]),
        "wsgi": wsgi.WSGIResource(_reactor, _reactor.getThreadPool(), wsgi_application),
        "basic": guarded(guard.BasicCredentialFactory(b"a realm")),
        "digest": guarded(guard.DigestCredentialFactory(b"md5", b"a realm")),
        "hosts": hosts,
        "vhost": vhost.VHostMonsterResource(),
        "rewritten": rewrite.RewriterResource(Inside(Leaf(seen)), rewritten),
        "proxied": proxy.ReverseProxyResource("127.0.0.1", inner, b"/proxied"),
    }
    for name, part in parts.items():
        root.putChild(name.encode(), part)
    return root


class Inside(Resource):
    """Has the one child."""

    def __init__(self, child: Resource) -> None:
        super().__init__()
        self.putChild(b"seen", child)


class Behind(Resource):
    """What the reverse proxy asks: it tells the method, the address and the content."""

    isLeaf = True

    def render(self, request: Any) -> bytes:
        request.setHeader(b"x-behind", b"yes")
        if b"code" in request.args:
            request.setResponseCode(int(request.args[b"code"][0]))
        fields = {name: value for name, value in request.getAllHeaders().items() if name.startswith(b"x-te")}
        return json.dumps([plain(request.method), plain(request.uri), plain(fields)]).encode() + (
            request.content.read()
        )


class Streaming:
    """Notes content as it comes, for requests that ask for it."""

    def handleContentChunk(self, data: bytes) -> None:
        super().handleContentChunk(data)  # type: ignore[misc]
        if self.requestHeaders.hasHeader(b"x-note"):  # type: ignore[attr-defined]
            NOTES.add(self, f"content: {self.content.tell() > 0}")  # type: ignore[attr-defined]

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)  # type: ignore[misc]
        if self.requestHeaders.hasHeader(b"x-note"):  # type: ignore[attr-defined]
            NOTES.add(self, "lost")


def main() -> None:
    """Serve until interrupted."""
    kind, port, certificate, key, files = sys.argv[1:]
    make: Any = {"twisted": server.Site, "plait": PlaitSite}[kind]
    # One name, since error pages show it.
    bases = {"twisted": (server.Request,), "plait": (RequestMixin, server.Request)}[kind]
    factory: Any = type("SiteRequest", (Streaming, *bases), {})
    inner = _reactor.listenTCP(0, server.Site(Behind()), interface="127.0.0.1")
    site = make(tree(files, inner.getHost().port), factory)
    site.log = lambda request: None
    globalLogPublisher.addObserver(NOTES.observe)
    where = f"ssl:port={port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
    endpoints.serverFromString(_reactor, where).listen(site)
    _reactor.run()


if __name__ == "__main__":
    main()
