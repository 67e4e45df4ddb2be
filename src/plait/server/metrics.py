"""Figures for Prometheus and health for orchestrators, on a listener of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from plait.errors import ConfigError
from plait.protocol.events import error_name
from plait.server import figures as fig
from plait.server.figures import BUCKETS, CLASSES, METHODS, RESET_CODES, VERSIONS, Board
from plait.server.interfaces import Receive, Scope, Send
from plait.server.listening import bind
from plait.server.phase import Phase
from plait.server_config import Interface, ServerConfig

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["Metrics", "MetricsApp"]

_TEXT = "text/plain; charset=utf-8"


class Metrics:
    """What is made once for all workers, before they fork: shared memory, and a socket.

    Args:
        config: The server's; ``metrics`` is where to listen.

    Attributes:
        config: Of the server that answers for figures and health.
        board: What all workers count on.
        listening: What it listens with.

    Raises:
        ConfigError: The address is none, or the library is missing.
        PlaitError: The address is taken.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = _own_config(config.metrics)
        self.listening = bind(self.config)
        self.board = Board()

    def close(self) -> None:
        """Close it all in this process."""
        for bound in self.listening:
            bound.close()
        self.board.close()


def _own_config(address: str) -> ServerConfig:
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or (":" in host and not bracketed):
        raise ConfigError(f"metrics must be HOST:PORT, such as 127.0.0.1:9100, not {address!r}")
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise ConfigError('--metrics needs prometheus-client: pip install "plait[metrics]"') from None
    return ServerConfig(
        host=host[1:-1] if bracketed else host,
        port=int(port),
        interface=Interface.ASGI,
        insecure=True,
        access_log=False,
        websockets=False,
        grace=1.0,
    )


class MetricsApp:
    """An ASGI application: ``/metrics``, ``/livez`` and ``/readyz``.

    Args:
        board: What all workers count on.
        refresh: Brings this process's own row up to date.
    """

    def __init__(self, board: Board, refresh: Callable[[], None]) -> None:
        from prometheus_client import CollectorRegistry

        self._board = board
        self._refresh = refresh
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        status, content_type, content = self._answer(scope)
        headers = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store")]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, scope: Scope) -> tuple[int, str, bytes]:
        path = scope["path"]
        if path not in ("/metrics", "/livez", "/readyz"):
            return 404, _TEXT, b"not found: there are /metrics, /livez and /readyz\n"
        if scope["method"] not in ("GET", "HEAD"):
            return 405, _TEXT, b"only GET and HEAD\n"
        if path == "/livez":
            return 200, _TEXT, b"live\n"  # the loop turns, or nobody would say so
        self._refresh()
        if path == "/readyz":
            return self._ready()
        from prometheus_client.exposition import choose_encoder

        accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
        encode, content_type = choose_encoder(accepted.decode("latin-1"))
        return 200, content_type, encode(self._registry)

    def _ready(self) -> tuple[int, str, bytes]:
        """Tell whether any worker serves: one that is replaced drains while its successor does."""
        phases = self._board.phases()
        if Phase.SERVING in phases:
            return 200, _TEXT, b"ready\n"
        return 503, _TEXT, b"draining\n" if Phase.DRAINING in phases else b"starting\n"

    def collect(self) -> Iterator[Metric]:
        """Yield every figure, as prometheus-client asks for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        sums = self._board.totals()

        def counter(name: str, help: str, index: int) -> Metric:
            return CounterMetricFamily(f"plait_{name}", help, value=sums[index])

        def by_version(family: Any, index: int, names: tuple[str, ...] = VERSIONS) -> Metric:
            for offset, version in enumerate(names):
                family.add_metric([version], sums[index + offset])
            metric: Metric = family
            return metric

        requests = CounterMetricFamily(
            "plait_requests", "Requests answered.", labels=["protocol", "method", "status"]
        )
        index = fig.REQUESTS
        for version in VERSIONS:
            for method in METHODS:
                for status in CLASSES:
                    if sums[index]:
                        requests.add_metric([version, method, status], sums[index])
                    index += 1
        yield requests
        durations = HistogramMetricFamily(
            "plait_request_duration_seconds",
            "From a request's head to the end of its application's work.",
            labels=["protocol"],
        )
        ends = [*map(str, BUCKETS), "+Inf"]
        for number, version in enumerate(VERSIONS):
            start = fig.DURATIONS + number * len(ends)
            total = 0.0
            buckets = []
            for offset, end in enumerate(ends):
                total += sums[start + offset]
                buckets.append((end, total))
            durations.add_metric([version], buckets, sums[fig.DURATION_SUMS + number])
        yield durations
        resets = CounterMetricFamily(
            "plait_stream_resets", "Streams of HTTP/2 that were reset.", labels=["by", "code"]
        )
        for side, by in enumerate(("server", "client")):
            for code in range(RESET_CODES + 1):
                count = sums[fig.RESETS + side * (RESET_CODES + 1) + code]
                if count:
                    resets.add_metric([by, error_name(code) if code < RESET_CODES else "other"], count)
        yield resets
        yield by_version(
            CounterMetricFamily("plait_connections", "Connections opened.", labels=["protocol"]),
            fig.CONNECTIONS,
        )
        yield by_version(
            GaugeMetricFamily("plait_connections_open", "Connections open now.", labels=["protocol"]),
            fig.OPEN,
            (*VERSIONS, "unknown"),
        )
        yield by_version(
            CounterMetricFamily("plait_websocket_sessions", "WebSocket sessions ended.", labels=["protocol"]),
            fig.SESSIONS,
        )
        yield counter("received_bytes", "Bytes received, without TLS and TCP.", fig.RECEIVED)
        yield counter("sent_bytes", "Bytes sent, without TLS and TCP.", fig.SENT)
        yield counter(
            "tls_handshake_failures", "Connections that ended in TLS's handshake.", fig.HANDSHAKE_FAILURES
        )
        yield counter("worker_starts", "Processes that began to serve.", fig.STARTS)
        yield GaugeMetricFamily(
            "plait_requests_in_progress", "Requests whose application is at work.", value=sums[fig.RUNNING]
        )
        yield GaugeMetricFamily("plait_streams_open", "Streams of HTTP/2 open now.", value=sums[fig.STREAMS])
