"""From a name to an application: what is found, how it is called, and what is said when it is not."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse
from starlette.routing import Route

from plait.errors import ConfigError
from plait.server.applications import load_environment, make_gateway
from plait.server.asgi import AsgiGateway
from plait.server.gateway import Gateway
from plait.server.interfaces import interface_of
from plait.server.wsgi import WsgiGateway
from plait.server_config import Interface, ServerConfig
from tests.support.servers import plait
from tests.support.serving import h2_client, serving

ASGI, WSGI = Interface.ASGI, Interface.WSGI


# -- which interface an application has -----------------------------------------------------------------


async def function(scope: Any, receive: Any, send: Any) -> None: ...


def plain_function_that_returns_an_awaitable(scope: Any, receive: Any, send: Any) -> Any: ...


def wsgi_function(environ: Any, start_response: Any) -> Any: ...


def wsgi_function_with_an_option(environ: Any, start_response: Any, option: Any = None) -> Any: ...


class Instance:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    async def method(self, scope: Any, receive: Any, send: Any) -> None: ...

    def wsgi_method(self, environ: Any, start_response: Any) -> Any: ...


class Awaitable:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def __await__(self) -> Iterator[None]:
        yield


class Wsgi:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


class WsgiClass:
    """The class of PEP 3333's own example."""

    def __init__(self, environ: Any, start_response: Any) -> None: ...

    def __iter__(self) -> Iterator[bytes]:
        yield b""


class AnyArguments:
    async def __call__(self, *args: Any, **kwargs: Any) -> None: ...


def decorated(app: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(app)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return app(*args, **kwargs)

    return wrapper


async def with_settings(settings: Any, scope: Any, receive: Any, send: Any) -> None: ...


def wsgi_with_settings(settings: Any, environ: Any, start_response: Any) -> Any: ...


class Endpoint(HTTPEndpoint):
    async def get(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")


@pytest.mark.parametrize(
    ("app", "interface"),
    [
        (function, ASGI),
        (plain_function_that_returns_an_awaitable, ASGI),
        (Instance(), ASGI),
        (Instance().method, ASGI),
        (Awaitable, ASGI),
        (AnyArguments(), ASGI),
        (Endpoint, ASGI),
        (Starlette(), ASGI),
        (decorated(function), ASGI),
        (functools.partial(with_settings, {}), ASGI),
        (functools.partial(functools.partial(with_settings), {}), ASGI),
        (lambda scope, receive, send: function(scope, receive, send), ASGI),
        (wsgi_function, WSGI),
        (wsgi_function_with_an_option, WSGI),
        (Wsgi(), WSGI),
        (WsgiClass, WSGI),
        (Instance().wsgi_method, WSGI),
        (decorated(wsgi_function), WSGI),
        (functools.partial(wsgi_with_settings, {}), WSGI),
        (flask.Flask(__name__), WSGI),
        (flask.Flask(__name__).wsgi_app, WSGI),
    ],
)
def test_it_is_told_by_what_an_application_is(app: Any, interface: Interface) -> None:
    assert interface_of(app, "'m:app'") is interface


def factory() -> Any: ...


def asgi_2(scope: Any) -> Any: ...


class Asgi2:
    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


async def two(receive: Any, send: Any) -> None: ...


def anything(*args: Any) -> Any: ...


def four(a: Any, b: Any, c: Any, d: Any) -> Any: ...


@pytest.mark.parametrize(
    ("app", "says"),
    [
        (factory, "'m:app' takes no arguments: if it makes the application, say --factory"),
        (asgi_2, "as applications of ASGI 2 do: wrap it with"),
        (Asgi2, "as applications of ASGI 2 do: wrap it with"),
        (two, "'m:app' is asynchronous, and does not take scope, receive and send"),
        (anything, "takes any arguments, so it cannot be told how it is called: say --interface"),
        (four, "takes neither ASGI's three arguments nor WSGI's two"),
        (type, "say --interface asgi or --interface wsgi"),
    ],
)
def test_what_cannot_be_told_is_asked_for_in_one_sentence(app: Any, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        interface_of(app, "'m:app'")
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def gateway(app: Any, **options: Any) -> Gateway:
    """Make the gateway that a server would."""

    async def make() -> Gateway:
        return make_gateway(ServerConfig(app=app, **options), asyncio.get_running_loop(), None)

    return asyncio.run(make())


def test_the_interface_may_be_said() -> None:
    assert isinstance(gateway(function), AsgiGateway)
    assert isinstance(gateway(wsgi_function), WsgiGateway)
    assert isinstance(gateway(anything, interface=ASGI), AsgiGateway)
    assert isinstance(gateway(anything, interface=WSGI), WsgiGateway)


# -- naming it -------------------------------------------------------------------------------------------

MODULE = """
import os

async def app(scope, receive, send): ...

def make():
    return app

def picky(name):
    return app

async def slow():
    return app

def failing():
    raise KeyError("DATABASE")

def leaving():
    raise SystemExit("no")

def nothing():
    return None

SETTING = os.environ.get("SETTING")
OTHER = os.environ.get("OTHER")
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with a module that no other test has imported."""
    (tmp_path / "named_app.py").write_text(MODULE)
    monkeypatch.delitem(sys.modules, "named_app", raising=False)
    monkeypatch.setattr(sys, "path", sys.path[:])
    return tmp_path


def test_a_factory_makes_the_application(directory: Path) -> None:
    made = gateway("named_app:make", app_dir=directory, factory=True)
    assert isinstance(made, AsgiGateway)
    assert made.app is sys.modules["named_app"].app
    assert gateway(lambda: made.app, factory=True).app is made.app  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("picky", "'named_app:picky' is no factory, which is called without arguments: missing"),
        ("slow", "the factory 'named_app:slow' is a coroutine function"),
        ("failing", "the factory 'named_app:failing' failed: KeyError: 'DATABASE'"),
        ("leaving", "the factory 'named_app:leaving' ended in sys.exit('no')"),
        ("nothing", "what 'named_app:nothing' makes is NoneType, not an application"),
        ("SETTING", "'named_app:SETTING' is no factory, but NoneType"),
    ],
)
def test_a_factory_that_makes_none_is_one_sentence(directory: Path, name: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        gateway(f"named_app:{name}", app_dir=directory, factory=True)
    assert says in str(raised.value)


def test_a_factory_named_without_saying_so_is_noticed(directory: Path) -> None:
    with pytest.raises(ConfigError, match="say --factory"):
        gateway("named_app:make", app_dir=directory)


@pytest.mark.parametrize(("app", "says"), [(5, "int"), (None, "no application")])
def test_what_cannot_be_called_is_no_application(app: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        gateway(app)


@pytest.mark.parametrize(("name", "says"), [("nowhere", "does not exist"), ("a file", "is not a directory")])
def test_a_directory_that_is_none_is_said(directory: Path, name: str, says: str) -> None:
    (directory / "a file").touch()
    with pytest.raises(ConfigError, match=says) as raised:
        gateway("named_app:app", app_dir=directory / name)
    assert name in str(raised.value)


def test_the_directory_comes_first_on_the_path(directory: Path) -> None:
    (directory / "json.py").write_text("")
    gateway("named_app:app", app_dir=directory)
    assert sys.path[0] == str(directory)


# -- root path -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root_path", ["app", "/app/", "/"])
def test_a_root_path_begins_with_a_slash_and_ends_without(root_path: str) -> None:
    with pytest.raises(ConfigError, match="root_path"):
        gateway(function, root_path=root_path)


async def test_paths_begin_with_the_root_path() -> None:
    scopes: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan here")
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async with serving(app, root_path="/café") as running, h2_client(running) as client:
        await client.response(client.request(b"GET", b"/a%20b?c"))
        await client.response(client.request(b"GET", b"/caf%C3%A9/a"))
        await client.response(client.request(b"OPTIONS", b"*"))
    first, second, third = scopes
    assert (first["root_path"], first["path"]) == ("/café", "/café/a b")
    assert first["raw_path"] == b"/caf%C3%A9/a%20b"
    # The proxy takes the root path away, and a client cannot make up another reading.
    assert second["path"] == "/café/café/a"
    assert (third["path"], third["raw_path"]) == ("*", b"*")


# -- environment file ------------------------------------------------------------------------------------


def test_the_environment_file_is_read_before_the_application(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = directory / "env"
    file.write_text('# settings\nexport SETTING="from the file"  # said\nOTHER=file\n\nTHIRD=${OTHER}\n')
    for name in ("SETTING", "THIRD"):
        monkeypatch.setenv(name, "")  # so that they are restored
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTHER", "set before")
    gateway("named_app:app", app_dir=directory, env_file=file)
    module = sys.modules["named_app"]
    assert (module.SETTING, module.OTHER) == ("from the file", "set before")
    assert os.environ["THIRD"] == "set before"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"GOOD=1\nno assignment\n", "line 2 is not NAME=VALUE: 'no assignment'"),
        (b"A='unclosed\n", "line 1 is not NAME=VALUE"),
        (b"\xff=1\n", "not utf-8"),
    ],
)
def test_an_environment_file_with_another_line_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "env").write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load_environment(tmp_path / "env")
    assert says in str(raised.value)
    assert "GOOD" not in os.environ


def test_an_environment_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the environment file .*no such file"):
        load_environment(tmp_path / "env")


# -- as a user meets it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["named_app:make"], "say --factory"),
        (["named_app:app", "--app-dir", "nowhere"], "nowhere"),
        (["named_app:picky", "--factory"], "is no factory"),
        (["named_app:app", "--env-file", "missing"], "cannot read the environment file missing"),
        (["named_app:app", "--root-path", "app"], "must begin with /"),
        (["named_app:app", "--interface", "cgi"], "cgi"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_status_2(
    directory: Path, arguments: list[str], says: str
) -> None:
    done = subprocess.run(
        plait("serve", *arguments, "--insecure", "--port", "0"),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


# -- a framework -----------------------------------------------------------------------------------------


async def test_starlette_uses_what_it_is_offered(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 1000)

    def send_file(request: Request) -> FileResponse:
        assert "http.response.pathsend" in request.scope["extensions"]
        return FileResponse(file)

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{request.url.path} {len(await request.body())}")

    routes = [Route("/file", send_file), Route("/echo", echo, methods=["POST"])]
    async with serving(Starlette(routes=routes), root_path="/app") as running, h2_client(running) as client:
        message = await client.response(client.request(b"GET", b"/file"))
        assert message.content == bytes(range(256)) * 1000
        message = await client.response(client.request(b"POST", b"/echo", content=bytes(5000)))
        assert message.content == b"/app/echo 5000"
