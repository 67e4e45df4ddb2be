"""A Twisted tree, a Site, services and a few things that are none, for ``plait serve --twisted``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application import internet, service, strports
from twisted.internet import reactor as _reactor
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutput
from twisted.python.threadpool import ThreadPool
from twisted.web import server
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.static import File
from twisted.web.wsgi import WSGIResource

#: Tests write another text here and reload.
VERSION = "one"

#: One line for each start and end of a worker, and for what tests wait for.
_LIVES = Path(os.environ.get("WORKSHOP_LIVES", os.devnull))

reactor: Any = _reactor


def _note(what: str) -> None:
    with _LIVES.open("a") as lives:
        lives.write(f"{what} {os.getpid()}\n")


class Page(Resource):
    """A page that a function renders."""

    isLeaf = True

    def __init__(self, render: Callable[[Any], Any]) -> None:
        super().__init__()
        self._render = render

    def render(self, request: Any) -> Any:
        """Answer with bytes, or with what a deferred comes to."""
        result = self._render(request)
        if isinstance(result, bytes | int):
            return result

        def answer(content: bytes) -> None:
            request.write(content)
            request.finish()

        result.addCallbacks(answer, request.processingFailed)
        return NOT_DONE_YET


app = Resource()


def page(render: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Put a page into the tree by the name of its function."""
    app.putChild(render.__name__.encode(), Page(render))
    return render


def index(request: Any) -> bytes:
    return f"{os.getpid()} {VERSION}".encode()


@page
def client(request: Any) -> bytes:
    address = request.getClientAddress()
    certificate = request.transport.getPeerCertificate() if request.isSecure() else None
    name = certificate.get_subject().O if certificate is not None else None
    return f"{type(address).__name__} {request.getClientIP()} {request.isSecure()} {name}".encode()


@page
def version(request: Any) -> bytes:
    return bytes(request.clientproto)


@page
def fail(request: Any) -> bytes:
    raise ValueError("the resource's own fault")


@page
def deferred(request: Any) -> Any:
    return deferLater(reactor, 0.02, lambda: b"in the end")


@page
def thread(request: Any) -> Any:
    return deferToThread(lambda: b"from a thread")


@page
def process(request: Any) -> Any:
    return getProcessOutput("/bin/sh", ["-c", "exec >&- 2>&-; sleep 0.05"]).addCallback(lambda _: b"it ended")


@page
def digest(request: Any) -> bytes:
    return hashlib.sha256(request.content.read()).hexdigest().encode()


@page
def visits(request: Any) -> bytes:
    session = request.getSession()
    session.visits = getattr(session, "visits", 0) + 1
    return b"%d" % session.visits


@page
def everything(request: Any) -> Any:
    request.earlyHints([b"</version>; rel=preload; as=fetch"])
    pushed = request.push(b"/version")
    request.setTrailer(b"x-sum", b"7")
    request.write(b"pushed " if pushed else b"not pushed ")
    return deferLater(reactor, 0.02, lambda: b"at all")


@page
def unfinished(request: Any) -> int:
    request.write(b"not all")
    request.transport.loseConnection()
    return NOT_DONE_YET


@page
def patient(request: Any) -> int:
    _note("asked")
    request.notifyFinish().addErrback(lambda failure: _note(failure.type.__name__))
    return NOT_DONE_YET


@page
def wait(request: Any) -> int:
    def look() -> None:
        if _LIVES.with_name("go").exists():
            request.write(index(request))
            request.finish()
        else:
            reactor.callLater(0.01, look)

    _note("waiting")
    look()
    return NOT_DONE_YET


@page
def stop(request: Any) -> bytes:
    reactor.stop()
    reactor.stop()
    return b"as you wish"


def _wsgi(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("content-type", "text/plain")])
    return [environ["SERVER_PROTOCOL"].encode(), b" ", environ["wsgi.input"].read()]


threads = ThreadPool(minthreads=0, maxthreads=2)
reactor.callWhenRunning(threads.start)
reactor.addSystemEventTrigger("after", "shutdown", threads.stop)
app.putChild(b"", Page(index))
app.putChild(b"files", File(str(Path(__file__).parent)))
app.putChild(b"wsgi", WSGIResource(reactor, threads, _wsgi))
reactor.callWhenRunning(_note, "up")
reactor.addSystemEventTrigger("before", "shutdown", _note, "down")


# -- what else --twisted may name ----------------------------------------------------------------


class Marked(server.Request):
    """A request class of the site's own."""

    def process(self) -> None:
        self.setHeader(b"x-marked", b"yes")
        super().process()


site = Site(app, requestFactory=Marked, logPath=str(_LIVES.with_name("site.log")))
site.displayTracebacks = True


class Hooks(service.Service):
    """A service that notes when it is started and stopped, each of which takes a while."""

    def startService(self) -> Any:
        super().startService()
        return deferLater(reactor, 0.02, _note, "started")

    def stopService(self) -> Any:
        super().stopService()
        return deferLater(reactor, 0.02, _note, "stopped")


application = service.Application("a web site")
_site = Site(app)
for _where in ("tcp:1", "tcp:2"):
    strports.service(_where, _site).setServiceParent(application)
Hooks().setServiceParent(application)

listening = strports.service("tcp:1", Site(app))

elsewhere = service.MultiService()
internet.TCPServer(1, Site(app)).setServiceParent(elsewhere)
internet.TCPServer(int(os.environ.get("ELSEWHERE", "0")), Factory()).setServiceParent(elsewhere)


class Broken(service.MultiService):
    """A service that does not start."""

    def startService(self) -> None:
        raise KeyError("DATABASE")


broken = Broken()
internet.TCPServer(1, Site(app)).setServiceParent(broken)


def make() -> Resource:
    """Make the tree."""
    return app


def running() -> None:
    """Do what no factory should."""
    reactor.run()


number = 7
