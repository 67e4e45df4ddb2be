"""The site in Starlette; the paths are those of every site of this folder."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser, requires
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.frameworks.apps.shared import (
    CONNECTION,
    FOLDER,
    LATIN,
    LINKS,
    Digest,
    allowed,
    asignal,
    events,
    gathering,
    notes,
    pieces,
    signal,
)

__all__ = ["app", "lifespan", "routes"]

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def describe(request: Request) -> Response:
    """Tell what came."""
    names = sorted(set(request.headers.keys()) - {CONNECTION})
    return JSONResponse(
        {
            "method": request.method,
            "path": request.url.path,
            "scheme": request.url.scheme,
            "host": request.headers["host"],
            "query": request.query_params.multi_items(),
            "headers": {name: ",".join(request.headers.getlist(name)) for name in names},
            "content": Digest.of(await request.body()),
        }
    )


async def item(request: Request) -> Response:
    return JSONResponse({"name": request.path_params["name"], "url": str(request.url_for("slash"))})


async def slash(request: Request) -> Response:
    return PlainTextResponse("slash")


async def fields(request: Request) -> Response:
    response = PlainTextResponse("fields", headers={"x-latin": LATIN})
    response.headers.append("x-twice", "one")
    response.headers.append("x-twice", "two")
    return response


async def set_cookies(request: Request) -> Response:
    response = PlainTextResponse("cookies")
    for number in range(20):
        response.set_cookie(f"c{number}", str(number), httponly=True, secure=True)
    return response


async def cookies(request: Request) -> Response:
    return JSONResponse(request.cookies)


class Json(HTTPEndpoint):
    """Two methods; Starlette answers the others with 405."""

    async def get(self, request: Request) -> Response:
        return JSONResponse({"method": "GET"})

    async def post(self, request: Request) -> Response:
        return JSONResponse({"got": await request.json()}, status_code=201)


async def form(request: Request) -> Response:
    async with request.form() as posted:
        return JSONResponse(posted.multi_items())


async def upload(request: Request) -> Response:
    async with request.form() as posted:
        file: Any = posted["file"]
        told = {"name": file.filename, "type": file.content_type, **Digest.of(await file.read())}
        return JSONResponse({"title": posted["title"], "file": told})


async def digest(request: Request) -> Response:
    told = Digest()
    async for piece in request.stream():
        told.add(piece)
    return JSONResponse(told.result())


async def download(request: Request) -> Response:
    size = int(request.query_params["size"])
    return StreamingResponse(pieces(size), media_type="application/octet-stream")


async def server_sent(request: Request) -> Response:
    name = request.query_params["name"]

    async def stream() -> AsyncIterator[bytes]:
        yield events(1)
        await asignal(name)
        yield events(2)

    return StreamingResponse(stream(), media_type="text/event-stream")


async def go(request: Request) -> Response:
    signal(request.path_params["name"]).set()
    return Response(status_code=204)


async def noted(request: Request) -> Response:
    return JSONResponse(notes.of(request.path_params["name"]))


async def redirect(request: Request) -> Response:
    return RedirectResponse("/describe?redirected=yes", status_code=303)


async def fail(request: Request) -> Response:
    raise ZeroDivisionError("as asked for, at once")


async def fail_late(request: Request) -> Response:
    def stream() -> Iterator[bytes]:
        yield from pieces(100_000)
        raise ZeroDivisionError("as asked for, late")

    return StreamingResponse(stream())


async def background(request: Request) -> Response:
    name = request.query_params["name"]

    async def work() -> None:
        await asignal(name)
        notes.add(name, "worked")

    return PlainTextResponse("working", background=BackgroundTask(work))


async def watch(request: Request) -> Response:
    name = request.query_params["name"]
    notes.add(name, "watching")
    while not await request.is_disconnected():  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    notes.add(name, "disconnected")
    return PlainTextResponse("nobody reads this")


async def endless(request: Request) -> Response:
    name = request.query_params["name"]

    async def stream() -> AsyncIterator[bytes]:
        try:
            while True:
                for piece in pieces(100_000):
                    yield piece
        finally:
            notes.add(name, "closed")

    return StreamingResponse(stream())


async def file(request: Request) -> Response:
    return FileResponse(FOLDER / "large.bin", filename="gr\xf6\xdfe.bin")


async def visit(request: Request) -> Response:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JSONResponse(request.session["visits"])


@requires("authenticated", status_code=401)
async def private(request: Request) -> Response:
    return PlainTextResponse(f"for {request.user.display_name}")


async def empty(request: Request) -> Response:
    return Response(status_code=204)


async def unchanged(request: Request) -> Response:
    return Response(status_code=304, headers={"etag": '"same"'})


async def text(request: Request) -> Response:
    return PlainTextResponse("0123456789" * 1000)


async def together(request: Request) -> Response:
    met = gathering(request.query_params["name"], int(request.query_params["count"]))
    await met.meet()
    assert request.client is not None
    return JSONResponse(request.client.port)


async def state(request: Request) -> Response:
    return JSONResponse(request.state.started)


async def hints(request: Request) -> Response:
    await request.send_early_hints(*LINKS)
    return PlainTextResponse("hinted")


async def push(request: Request) -> Response:
    await request.send_push_promise("/text")
    return PlainTextResponse("pushed")


class Trailing(Response):
    """A response with trailers, for which Starlette has no class of its own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trailers = "http.response.trailers" in scope["extensions"]
        await send(
            {"type": "http.response.start", "status": 200, "headers": self.raw_headers, "trailers": trailers}
        )
        await send({"type": "http.response.body", "body": self.body})
        if trailers:
            await send({"type": "http.response.trailers", "headers": [(b"x-checksum", b"abc")]})


async def trailers(request: Request) -> Response:
    response = Trailing("content")
    del response.headers["content-length"]  # which leaves no room for trailers in HTTP/1.1
    return response


async def socket(websocket: WebSocket) -> None:
    """Say how it came, and echo; note how it ended."""
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=offered[-1] if offered else None, headers=[(b"x-from", b"app")])
    await websocket.send_json(
        {
            "version": websocket.scope["http_version"],
            "url": websocket.url.path,
            "query": websocket.query_params.multi_items(),
            "cookies": websocket.cookies,
        }
    )
    try:
        while (message := await websocket.receive())["type"] == "websocket.receive":
            if message.get("text") == "close":
                await websocket.close(4000, "as you wish")
                return
            await websocket.send({**message, "type": "websocket.send"})
    except WebSocketDisconnect as error:
        message = {"code": error.code}
    if "name" in websocket.query_params:
        notes.add(websocket.query_params["name"], f"disconnected {message['code']}")


async def denied(websocket: WebSocket) -> None:
    await websocket.send_denial_response(JSONResponse({"denied": True}, status_code=402))


class Basic(AuthenticationBackend):
    """Name and password (RFC 7617)."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
        authorization = conn.headers.get("authorization")
        if not allowed(authorization):
            return None
        name = base64.b64decode(str(authorization).split()[1]).decode().split(":")[0]
        return AuthCredentials(["authenticated"]), SimpleUser(name)


class MessageTypes:
    """Notes the types of the messages of a response, under the name in the field ``x-messages``."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = dict(scope.get("headers", ())).get(b"x-messages")

        async def noting(message: Message) -> None:
            if name is not None:
                notes.add(name.decode(), message["type"])
            await send(message)

        await self.app(scope, receive, noting)


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
    yield {"started": "by the lifespan"}
    (FOLDER / "stopped").touch()


#: For some paths only: Starlette's middleware swallows pushes.
gzip = [Middleware(GZipMiddleware)]

routes = [
    Route("/describe", describe, methods=METHODS),
    Route("/items/{name}", item),
    Route("/slash/", slash, name="slash"),
    Route("/fields", fields),
    Route("/cookies/set", set_cookies),
    Route("/cookies", cookies),
    Route("/json", Json),
    Route("/form", form, methods=["POST"]),
    Route("/upload", upload, methods=["POST"]),
    Route("/digest", digest, methods=["POST", "PUT"]),
    Route("/download", download, middleware=gzip),
    Route("/events", server_sent),
    Route("/go/{name}", go, methods=["POST"]),
    Route("/notes/{name}", noted),
    Route("/redirect", redirect),
    Route("/fail", fail),
    Route("/fail-late", fail_late),
    Route("/background", background, methods=["POST"]),
    Route("/watch", watch),
    Route("/endless", endless),
    Route("/file", file),
    Mount("/files", StaticFiles(directory=FOLDER)),
    Route("/visit", visit),
    Route("/private", private),
    Route("/empty", empty),
    Route("/unchanged", unchanged),
    Route("/text", text, middleware=gzip),
    Route("/together", together),
    Route("/state", state),
    Route("/hints", hints),
    Route("/push", push),
    Route("/trailers", trailers),
    WebSocketRoute("/socket", socket),
    WebSocketRoute("/denied", denied),
]

app = Starlette(
    routes=routes,
    lifespan=lifespan,
    middleware=[
        Middleware(MessageTypes),
        Middleware(SessionMiddleware, secret_key="a secret of the tests", https_only=True),
        Middleware(AuthenticationMiddleware, backend=Basic()),
    ],
)
