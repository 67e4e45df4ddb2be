"""The site in Django, as ASGI and as WSGI; the paths are those of every site of this folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.core.wsgi import get_wsgi_application
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseNotModified,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path, reverse
from django.views.decorators.http import condition, require_http_methods

from tests.frameworks.apps.shared import (
    CONNECTION,
    FOLDER,
    LATIN,
    Digest,
    allowed,
    asignal,
    events,
    gathering,
    notes,
    pieces,
    signal,
)

__all__ = ["asgi", "wsgi"]

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="a secret of the tests",
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        SESSION_COOKIE_SECURE=True,
        MIDDLEWARE=[
            "django.middleware.gzip.GZipMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
        ],
        LOGGING={
            "version": 1,
            "handlers": {"stderr": {"class": "logging.StreamHandler"}},
            "loggers": {"django": {"handlers": ["stderr"], "level": "ERROR", "propagate": False}},
        },
    )
    django.setup()


def describe(request: HttpRequest) -> HttpResponse:
    """Tell what came."""
    fields = [(name.lower(), value) for name, value in request.headers.items()]
    return JsonResponse(
        {
            "method": request.method,
            "path": request.path,
            "scheme": request.scheme,
            "host": request.get_host(),
            "query": [[name, value] for name, values in request.GET.lists() for value in values],
            "headers": {name: value for name, value in fields if name != CONNECTION},
            "content": Digest.of(request.body),
        }
    )


def item(request: HttpRequest, name: str) -> HttpResponse:
    return JsonResponse({"name": name, "url": request.build_absolute_uri(reverse("slash"))})


def slash(request: HttpRequest) -> HttpResponse:
    return HttpResponse("slash")


def fields(request: HttpRequest) -> HttpResponse:
    return HttpResponse("fields", headers={"x-latin": LATIN})


def set_cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("cookies")
    for number in range(20):
        response.set_cookie(f"c{number}", str(number), httponly=True, secure=True)
    return response


def cookies(request: HttpRequest) -> HttpResponse:
    return JsonResponse(request.COOKIES)


@require_http_methods(["GET", "POST"])
def jsons(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        return JsonResponse({"method": "GET"})
    return JsonResponse({"got": json.loads(request.body)}, status=201)


def form(request: HttpRequest) -> HttpResponse:
    posted = [[name, value] for name, values in request.POST.lists() for value in values]
    return JsonResponse(posted, safe=False)


def upload(request: HttpRequest) -> HttpResponse:
    file: Any = request.FILES["file"]
    told = {"name": file.name, "type": file.content_type, **Digest.of(file.read())}
    return JsonResponse({"title": request.POST["title"], "file": told})


def digest(request: HttpRequest) -> HttpResponse:
    told = Digest()
    while piece := request.read(65_536):
        told.add(piece)
    return JsonResponse(told.result())


def download(request: HttpRequest) -> HttpResponse:
    """Stream: in the form that each interface asks for."""
    size = int(request.GET["size"])

    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces(size):
            yield piece

    content = stream() if isinstance(request, ASGIRequest) else pieces(size)
    return StreamingHttpResponse(content, content_type="application/octet-stream")


def server_sent(request: HttpRequest) -> HttpResponse:
    name = request.GET["name"]

    async def stream() -> AsyncIterator[bytes]:
        yield events(1)
        await asignal(name)
        yield events(2)

    def stream_in_a_thread() -> Iterator[bytes]:
        yield events(1)
        signal(name).wait(20)
        yield events(2)

    content = stream() if isinstance(request, ASGIRequest) else stream_in_a_thread()
    return StreamingHttpResponse(content, content_type="text/event-stream")


def go(request: HttpRequest, name: str) -> HttpResponse:
    signal(name).set()
    return HttpResponse(status=204)


def noted(request: HttpRequest, name: str) -> HttpResponse:
    return JsonResponse(notes.of(name), safe=False)


def redirect(request: HttpRequest) -> HttpResponse:
    response = HttpResponseRedirect("/describe?redirected=yes")
    response.status_code = 303
    return response


def fail(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError("as asked for, at once")


def fail_late(request: HttpRequest) -> HttpResponse:
    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces(100_000):
            yield piece
        raise ZeroDivisionError("as asked for, late")

    def stream_in_a_thread() -> Iterator[bytes]:
        yield from pieces(100_000)
        raise ZeroDivisionError("as asked for, late")

    return StreamingHttpResponse(stream() if isinstance(request, ASGIRequest) else stream_in_a_thread())


_tasks: set[asyncio.Task[None]] = set()


async def background(request: HttpRequest) -> HttpResponse:
    name = request.GET["name"]

    async def work() -> None:
        await asignal(name)
        notes.add(name, "worked")

    task = asyncio.create_task(work())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return HttpResponse("working")


async def watch(request: HttpRequest) -> HttpResponse:
    name = request.GET["name"]
    notes.add(name, "watching")
    try:
        await asignal(name)
    except asyncio.CancelledError:
        notes.add(name, "disconnected")
        raise
    return HttpResponse("nobody left")


class Endless(StreamingHttpResponse):
    """A response that notes its end, which is what Django sees to; its iterator is left to the collector."""

    def __init__(self, name: str) -> None:
        super().__init__(self.stream())
        self.name = name

    async def stream(self) -> AsyncIterator[bytes]:
        while True:
            for piece in pieces(100_000):
                yield piece

    def close(self) -> None:
        super().close()
        notes.add(self.name, "closed")


def endless(request: HttpRequest) -> HttpResponse:
    name = request.GET["name"]
    if isinstance(request, ASGIRequest):
        return Endless(name)

    def stream() -> Iterator[bytes]:
        try:
            while True:
                yield from pieces(100_000)
        finally:
            notes.add(name, "closed")

    return StreamingHttpResponse(stream())


def file(request: HttpRequest) -> HttpResponse:
    return FileResponse((FOLDER / "large.bin").open("rb"), as_attachment=True, filename="gr\xf6\xdfe.bin")


def etag(request: HttpRequest) -> str:
    return f'"{(FOLDER / "large.bin").stat().st_mtime_ns}"'


@condition(etag_func=etag)
def files(request: HttpRequest) -> HttpResponse:
    return HttpResponse((FOLDER / "large.bin").read_bytes(), content_type="application/octet-stream")


def visit(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse(request.session["visits"], safe=False)


def private(request: HttpRequest) -> HttpResponse:
    if not allowed(request.headers.get("authorization")):
        return HttpResponse("not for you", status=401)
    return HttpResponse("for ada")


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


def unchanged(request: HttpRequest) -> HttpResponse:
    response = HttpResponseNotModified()
    response["etag"] = '"same"'
    return response


def text(request: HttpRequest) -> HttpResponse:
    return HttpResponse("0123456789" * 1000, content_type="text/plain")


def _port(request: HttpRequest) -> HttpResponse:
    return JsonResponse(int(request.META["REMOTE_PORT"]), safe=False)


def together_in_threads(request: HttpRequest) -> HttpResponse:
    assert gathering(request.GET["name"], int(request.GET["count"])).wait()
    return _port(request)


async def together(request: HttpRequest) -> HttpResponse:
    if not isinstance(request, ASGIRequest):
        return await asyncio.to_thread(together_in_threads, request)
    await gathering(request.GET["name"], int(request.GET["count"])).meet()
    return _port(request)


urlpatterns = [
    path("describe", describe),
    path("items/<str:name>", item),
    path("slash/", slash, name="slash"),
    path("fields", fields),
    path("cookies/set", set_cookies),
    path("cookies", cookies),
    path("json", jsons),
    path("form", form),
    path("upload", upload),
    path("digest", digest),
    path("download", download),
    path("events", server_sent),
    path("go/<str:name>", go),
    path("notes/<str:name>", noted),
    path("redirect", redirect),
    path("fail", fail),
    path("fail-late", fail_late),
    path("background", background),
    path("watch", watch),
    path("endless", endless),
    path("file", file),
    path("files/large.bin", files),
    path("visit", visit),
    path("private", private),
    path("empty", empty),
    path("unchanged", unchanged),
    path("text", text),
    path("together", together),
]

_http = get_asgi_application()
wsgi = get_wsgi_application()


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Take WebSockets at one path, as sites do that need no more of them, and leave the rest to Django."""
    if scope["type"] != "websocket" or scope["path"] != "/socket":
        await _http(scope, receive, send)
        return
    await receive()
    offered = scope["subprotocols"]
    accept = {"subprotocol": offered[-1] if offered else None, "headers": [(b"x-from", b"app")]}
    await send({"type": "websocket.accept", **accept})
    how = {"version": scope["http_version"], "url": scope["path"]}
    await send({"type": "websocket.send", "text": json.dumps(how)})
    while (message := await receive())["type"] == "websocket.receive":
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4000, "reason": "as you wish"})
        else:
            await send({**message, "type": "websocket.send"})
