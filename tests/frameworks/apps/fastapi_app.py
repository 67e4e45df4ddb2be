"""The site in FastAPI: its own way where it has one, and Starlette's, which it stands on, for the rest."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, HTTPException, UploadFile, WebSocket
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel
from starlette.middleware.sessions import SessionMiddleware

from tests.frameworks.apps.shared import Digest, asignal, notes
from tests.frameworks.apps.starlette_app import MessageTypes, lifespan, routes, socket

__all__ = ["app"]

app = FastAPI(lifespan=lifespan)
app.add_middleware(SessionMiddleware, secret_key="a secret of the tests", https_only=True)
app.add_middleware(MessageTypes)


class Book(BaseModel):
    """What ``/json`` takes."""

    title: str
    pages: int


@app.get("/items/{name}")
async def item(name: str) -> dict[str, str]:
    return {"name": name, "url": str(app.url_path_for("slash"))}


@app.get("/json")
def get_json() -> dict[str, str]:
    """Answer from a thread, as FastAPI has it for what is no coroutine."""
    return {"method": "GET"}


@app.post("/json", status_code=201)
async def post_json(book: Book) -> dict[str, Book]:
    return {"got": book}


@app.post("/upload")
async def upload(title: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    told = {"name": file.filename, "type": file.content_type, **Digest.of(await file.read())}
    return {"title": title, "file": told}


@app.post("/background")
async def background(name: str, tasks: BackgroundTasks) -> str:
    async def work() -> None:
        await asignal(name)
        notes.add(name, "worked")

    tasks.add_task(work)
    return "working"


@app.get("/private")
def private(credentials: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> str:
    if (credentials.username, credentials.password) != ("ada", "lovelace"):
        raise HTTPException(401)
    return f"for {credentials.username}"


@app.websocket("/socket")
async def talk(websocket: WebSocket) -> None:
    await socket(websocket)


app.router.routes.extend(routes)
