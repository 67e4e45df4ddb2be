"""Imports go down only: the table of the layers, held against every import of the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import plait

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "plait"

# A layer may import itself and what stands to its right; a module of the package's root is a layer too.
BASE = {"errors", "_version", "fields", "urls", "config", "server_config", "certificates"}
CORE = {*BASE, "protocol", "drivers"}
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "_version": set(),
    "config": {"errors"},
    "server_config": {"errors", "config"},
    "fields": {"errors", "server_config"},
    "urls": {"errors", "config"},
    "certificates": {"errors", "config"},
    "protocol": BASE - {"certificates"},
    "drivers": {*BASE, "protocol"},
    "server": CORE,
    "client": CORE,
    "bookstore": {*CORE, "client"},
    "lab": {*CORE, "client", "bookstore"},
    "integrations": {*CORE, "server", "client"},
    "cli": {*CORE, "server", "client", "bookstore", "lab", "integrations"},
    "__main__": {"cli"},
}

# Libraries that only some modules may know, by the prefix of the module's name.
RESERVED = {
    "asyncio": ("drivers", "server", "client", "lab", "integrations", "cli.fetching"),
    "socket": ("drivers", "server", "client", "lab"),
    "ssl": ("drivers", "server", "client", "lab", "certificates"),
    "threading": (
        "drivers",
        "client",
        "lab",
        "integrations.httpx_family",
        "integrations.in_process",
        "integrations.locust",
        "integrations.urllib3_pool",
        "server.log_writer",
        "server.wsgi",
        "server.wsgi_call",
    ),
    "time": ("drivers", "server", "client", "lab", "integrations.locust", "cli.fetching"),
    "uvloop": ("drivers", "server"),
    "twisted": ("integrations.twisted",),
    "zope": ("integrations.twisted",),
    "OpenSSL": ("integrations.twisted",),
    "httpx": ("integrations.httpx", "lab.contenders.libraries"),
    "httpx2": ("integrations.httpx2",),
    "requests": ("integrations.requests", "lab.contenders.libraries"),
    "urllib3": (
        "integrations.requests",
        "integrations.urllib3_pool",
        "integrations.urllib3_response",
        "lab.contenders.libraries",
    ),
    "ngh2": ("protocol",),
    "httptools": ("protocol",),
    "hpack": ("protocol.frame_details",),
    "websockets": (
        "protocol.websocket_session",
        "server",
        "client.async_websocket",
        "client.sync_websocket",
        "client.websocket_handshake",
        "client.websocket_session",
    ),
    "scrapy": ("integrations.scrapy",),
    "locust": ("integrations.locust",),
    "gevent": ("integrations.locust",),
    "trustme": ("certificates",),
    "ctypes": ("lab.network.namespaces",),
    "pyroute2": ("lab.network.hosts", "lab.network.netem_link"),
    "click": ("cli",),
    "selectolax": ("lab.page",),
    "tinycss2": ("lab.css",),
    "rich": ("cli", "lab.terminal"),
    "brotli": ("client.decoding",),
    "harfile": ("client.har", "client.har_entries"),
    "watchfiles": ("server.reload",),
    "python_socks": ("drivers.proxies",),
    "truststore": ("drivers.tls",),
    "prometheus_client": ("server.metrics",),
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the dotted name of a module below the package: ``server.asgi``, ``errors``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything a module imports, whenever it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(name: str) -> str:
    """Return the layer of what ``plait.NAME`` is: a layer itself, or a public name that one defines."""
    if name in LAYERS:
        return name
    return "_version" if name == "__version__" else getattr(plait, name).__module__.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    name = name_of(path)
    layer = name.split(".")[0]
    for imported in imports_of(path):
        library, *rest = imported.split(".")
        if library == "plait" and name != "__init__":
            assert layer_of(rest[0]) in {layer, *LAYERS[layer]}, f"{name} imports {imported}"
        elif library in RESERVED:
            allowed = any(f"{name}.".startswith(f"{prefix}.") for prefix in RESERVED[library])
            assert allowed, f"{name} imports {imported}"


def test_the_table_itself_goes_down_only() -> None:
    order = list(LAYERS)
    for layer, below in LAYERS.items():
        assert all(order.index(name) < order.index(layer) for name in below), layer
