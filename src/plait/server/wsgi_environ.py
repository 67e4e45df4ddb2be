"""The environment a WSGI application is called with (PEP 3333, RFC 3875 §4.1)."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper

if TYPE_CHECKING:
    from plait.server.wsgi_call import WsgiCall

__all__ = ["make_environ"]

_WITHOUT_HTTP = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}


class _FileWrapper(FileWrapper):
    """``wsgi.file_wrapper``, in pieces worth handing from thread to loop."""

    def __init__(self, filelike: Any, blksize: int = 65536) -> None:
        super().__init__(filelike, max(blksize, 65536))


def make_environ(call: WsgiCall, source: io.BufferedIOBase) -> dict[str, Any]:
    """Make the environment of one call.

    Args:
        call: The call.
        source: The request's content.
    """
    gateway, driver = call.gateway, call.driver
    request = call.exchange.request
    path, _, query = request.target.partition(b"?")
    version = call.exchange.endpoint.connection.http_version
    # Never empty, says the PEP: a Unix socket has no name of its own.
    host, port = driver.server or (request.authority.decode("latin-1") or "localhost", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method.decode("latin-1"),
        # The proxy has taken the root path away from the target.
        "SCRIPT_NAME": gateway.root_path.encode().decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "REQUEST_URI": request.target.decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{version}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": driver.scheme,
        "wsgi.input": source,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": gateway.multithread,
        "wsgi.multiprocess": gateway.multiprocess,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": _FileWrapper,
    }
    if driver.client is not None:
        environ["REMOTE_ADDR"] = driver.client[0]
        environ["REMOTE_PORT"] = str(driver.client[1])
    for raw_name, raw_value in request.fields:
        if b"_" in raw_name:
            continue  # it would pass for the field with a dash, which a proxy may have judged
        name = raw_name.decode("latin-1").upper()
        key = _WITHOUT_HTTP.get(name) or "HTTP_" + name.replace("-", "_")
        value = raw_value.decode("latin-1")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ
