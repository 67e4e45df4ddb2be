"""Serve any Python web app over HTTP/2, and fetch with real multiplexing.

The public names are imported when they are first used: a program that only fetches pays for neither
the server nor asyncio.
"""

from __future__ import annotations

from plait._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plait import errors
    from plait.client.async_client import AsyncClient
    from plait.client.async_websocket import AsyncWebSocket
    from plait.client.auth import Auth, BasicAuth, BearerAuth, NetrcAuth
    from plait.client.cookies import Cookies
    from plait.client.digest import DigestAuth
    from plait.client.har import HarRecorder
    from plait.client.headers import Headers
    from plait.client.interim import Interim
    from plait.client.messages import Request, Response
    from plait.client.progress import Progress
    from plait.client.pushed import Pushed
    from plait.client.retries import Retries
    from plait.client.server_sent_events import ServerSentEvent
    from plait.client.statistics import ConnectionStatistics, Statistics, Timing
    from plait.client.sync_client import Client, Pending
    from plait.client.sync_websocket import WebSocket
    from plait.client.timeouts import Timeouts
    from plait.client.trace import FrameEvent
    from plait.config import ClientConfig, HttpVersions
    from plait.errors import StatusError, WebSocketClosed, WebSocketRefused
    from plait.integrations.in_process import AppTransport
    from plait.protocol.priorities import Priority
    from plait.server.embedding import serve

__all__ = [
    "AppTransport",
    "AsyncClient",
    "AsyncWebSocket",
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "Client",
    "ClientConfig",
    "ConnectionStatistics",
    "Cookies",
    "DigestAuth",
    "FrameEvent",
    "HarRecorder",
    "Headers",
    "HttpVersions",
    "Interim",
    "NetrcAuth",
    "Pending",
    "Priority",
    "Progress",
    "Pushed",
    "Request",
    "Response",
    "Retries",
    "ServerSentEvent",
    "Statistics",
    "StatusError",
    "Timeouts",
    "Timing",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketRefused",
    "__version__",
    "errors",
    "serve",
]

_HOMES = {
    "AppTransport": "plait.integrations.in_process",
    "AsyncClient": "plait.client.async_client",
    "AsyncWebSocket": "plait.client.async_websocket",
    "Auth": "plait.client.auth",
    "BasicAuth": "plait.client.auth",
    "BearerAuth": "plait.client.auth",
    "Client": "plait.client.sync_client",
    "ClientConfig": "plait.config",
    "ConnectionStatistics": "plait.client.statistics",
    "Cookies": "plait.client.cookies",
    "DigestAuth": "plait.client.digest",
    "FrameEvent": "plait.client.trace",
    "HarRecorder": "plait.client.har",
    "Headers": "plait.client.headers",
    "HttpVersions": "plait.config",
    "Interim": "plait.client.interim",
    "NetrcAuth": "plait.client.auth",
    "Pending": "plait.client.sync_client",
    "Priority": "plait.protocol.priorities",
    "Progress": "plait.client.progress",
    "Pushed": "plait.client.pushed",
    "Request": "plait.client.messages",
    "Response": "plait.client.messages",
    "Retries": "plait.client.retries",
    "ServerSentEvent": "plait.client.server_sent_events",
    "Statistics": "plait.client.statistics",
    "StatusError": "plait.errors",
    "Timeouts": "plait.client.timeouts",
    "Timing": "plait.client.statistics",
    "WebSocket": "plait.client.sync_websocket",
    "WebSocketClosed": "plait.errors",
    "WebSocketRefused": "plait.errors",
    "serve": "plait.server.embedding",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "errors":
        return import_module("plait.errors")  # which makes it an attribute
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'plait' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value
