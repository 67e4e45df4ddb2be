"""Servers written elsewhere, and plait: each with the site of ``peer_app.py``, for plait's client."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.peer_app import FILES
from tests.support.servers import (
    ROOT,
    Certificate,
    RunningServer,
    free_port,
    run_server,
)
from tests.support.servers import plait as plait_command
from tests.support.tools import require_tool

__all__ = ["PEERS", "WAYS", "Peer", "nginx"]

_SUPPORT = ROOT / "tests" / "support"


@dataclass(frozen=True)
class Peer:
    """A server that runs.

    Attributes:
        server: It, over TLS.
        clear: Where it listens without TLS.
        method: With what method content is sent to ``/echo``; what PUT puts there is fetched then.
    """

    server: RunningServer
    clear: int = 0
    method: str = "POST"

    def url(self, way: str) -> str:
        """Return its address for one of the :data:`WAYS`."""
        return f"http://localhost:{self.clear}" if "clear" in way else self.server.url("")


def write_files(folder: Path) -> Path:
    """Write the site's files into a folder, and return it."""
    folder.mkdir(exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@contextmanager
def nghttpd(directory: Path, certificate: Certificate) -> Iterator[Peer]:
    """Run nghttpd twice; it serves files and echoes, and that is all."""
    program = require_tool("nghttpd")
    port, clear = free_port(), free_port()
    common = [
        program, "--address=127.0.0.1", f"--htdocs={write_files(directory / 'site')}", "--echo-upload",
    ]  # fmt: skip
    with (
        run_server([*common, str(port), certificate.key, certificate.chain], port=port) as server,
        run_server([*common, "--no-tls", str(clear)], port=clear),
    ):
        yield Peer(server, clear)


@contextmanager
def nginx(
    directory: Path, certificate: Certificate, settings: Mapping[str, str | int] | None = None
) -> Iterator[Peer]:
    """Run nginx.

    Args:
        directory: Where its files go.
        certificate: What it serves TLS with.
        settings: Directives, such as ``keepalive_requests``.
    """
    program = require_tool("nginx")
    port, clear = free_port(), free_port()
    site = write_files(directory / "site")
    os.chmod(directory, 0o755)
    temporary = "".join(
        f"{name}_temp_path {directory / name};\n"
        for name in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    )
    more = "".join(f"{name} {value};\n" for name, value in (settings or {}).items())
    configuration = directory / "nginx.conf"
    configuration.write_text(
        f"""
daemon off; user {getpass.getuser()}; pid {directory / "pid"}; error_log stderr;
events {{}}
http {{
    access_log off; {temporary} {more}
    types {{ text/plain txt; }}
    client_max_body_size 16m;
    gzip on; gzip_types text/plain; gzip_min_length 100;
    server {{
        listen 127.0.0.1:{port} ssl http2; listen 127.0.0.1:{clear} http2;
        ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key};
        root {site};
        location = /204 {{ return 204; }}
        location = /304 {{ return 304; }}
        location = /echo {{ dav_methods PUT; }}
        location = /told {{ return 200 "$http_cookie\\n$http_x_large"; }}
        location = /repeated {{
            add_header x-repeated one; add_header x-repeated two;
            add_header set-cookie a=1; add_header set-cookie b=2;
            return 200;
        }}
    }}
}}
"""
    )
    command = [program, "-c", configuration, "-p", directory, "-e", "stderr"]
    with run_server(command, port=port) as server:
        yield Peer(server, clear, method="PUT")


@contextmanager
def caddy(directory: Path, certificate: Certificate) -> Iterator[Peer]:
    """Run Caddy."""
    program = require_tool("caddy")
    port, clear = free_port(), free_port()
    configuration = directory / "Caddyfile"
    configuration.write_text(
        f"""
{{
	admin off
	auto_https off
	default_sni localhost
	servers 127.0.0.1:{clear} {{
		protocols h1 h2c
	}}
}}
(site) {{
	bind 127.0.0.1
	root * {write_files(directory / "site")}
	encode gzip
	respond /204 204
	respond /304 304
	respond /echo "{{http.request.body}}"
	respond /told "{{header.Cookie}}
{{header.X-Large}}"
	header /repeated +x-repeated one
	header /repeated +x-repeated two
	header /repeated +set-cookie a=1
	header /repeated +set-cookie b=2
	respond /repeated 200
	file_server
}}
https://localhost:{port} {{
	tls {certificate.chain} {certificate.key}
	import site
}}
http://localhost:{clear} {{
	import site
}}
"""
    )
    command = [
        "env", f"HOME={directory}", f"XDG_DATA_HOME={directory}", f"XDG_CONFIG_HOME={directory}",
        program, "run", "--adapter", "caddyfile", "--config", configuration,
    ]  # fmt: skip
    with run_server(command, port=port) as server:
        yield Peer(server, clear)


@contextmanager
def h2o(directory: Path, certificate: Certificate) -> Iterator[Peer]:
    """Run h2o."""
    program = require_tool("h2o")
    port, clear = free_port(), free_port()
    configuration = directory / "h2o.yaml"
    configuration.write_text(
        f"""
user: {getpass.getuser()}
temp-buffer-path: {directory}
listen:
  host: 127.0.0.1
  port: {port}
  ssl: {{certificate-file: {certificate.chain}, key-file: {certificate.key}}}
listen: {{host: 127.0.0.1, port: {clear}}}
compress: [gzip]
hosts:
  default:
    paths:
      /:
        file.dir: {write_files(directory / "site")}
      /repeated:
        mruby.handler: |
          Proc.new {{|env| [200, {{"x-repeated" => "one\\ntwo", "set-cookie" => "a=1\\nb=2"}}, ["small\\n"]]}}
      /204:
        mruby.handler: "Proc.new {{|env| [204, {{}}, []]}}"
      /304:
        mruby.handler: "Proc.new {{|env| [304, {{}}, []]}}"
      /echo:
        mruby.handler: "Proc.new {{|env| [200, {{}}, [env['rack.input'].read]]}}"
      /told:
        mruby.handler: |
          Proc.new {{|env| [200, {{}}, [env["HTTP_COOKIE"].to_s, "\\n", env["HTTP_X_LARGE"].to_s]]}}
"""
    )
    with run_server([program, "--mode", "worker", "--conf", configuration], port=port) as server:
        yield Peer(server, clear)


@contextmanager
def hypercorn(directory: Path, certificate: Certificate) -> Iterator[Peer]:
    """Run Hypercorn."""
    port, clear = free_port(), free_port()
    command = [
        sys.executable, "-m", "hypercorn", "--bind", f"127.0.0.1:{port}",
        "--insecure-bind", f"127.0.0.1:{clear}",
        "--certfile", certificate.chain, "--keyfile", certificate.key, "peer_app:app",
    ]  # fmt: skip
    with run_server(command, port=port, cwd=_SUPPORT) as server:
        yield Peer(server, clear)


@contextmanager
def granian(directory: Path, certificate: Certificate) -> Iterator[Peer]:
    """Run Granian, twice."""
    port, clear = free_port(), free_port()

    def command(port: int, *more: str | Path) -> list[str | Path]:
        return [
            sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1",
            "--port", str(port), "--no-ws", *more, "peer_app:app",
        ]  # fmt: skip

    tls = ("--ssl-certificate", certificate.chain, "--ssl-keyfile", certificate.key)
    with (
        run_server(command(port, *tls), port=port, cwd=_SUPPORT) as server,
        run_server(command(clear), port=clear, cwd=_SUPPORT),
    ):
        yield Peer(server, clear)


@contextmanager
def twisted(directory: Path, certificate: Certificate) -> Iterator[Peer]:
    """Run Twisted's own site."""
    port = free_port()
    command = [
        sys.executable, "-m", "tests.support.peer_app", str(port), certificate.chain, certificate.key,
    ]  # fmt: skip
    with run_server(command, port=port) as server:
        yield Peer(server)


@contextmanager
def plait(directory: Path, certificate: Certificate) -> Iterator[Peer]:
    """Run plait."""
    port, clear = free_port(), free_port()
    command = plait_command(
        "serve", "peer_app:app", "--app-dir", _SUPPORT, "--cert", certificate.chain, "--key", certificate.key,
        "--listen", f"ssl:{port}:interface=127.0.0.1", "--listen", f"tcp:{clear}:interface=127.0.0.1",
    )  # fmt: skip
    with run_server(command, port=port, exit_status=0) as server:
        yield Peer(server, clear)


#: By their names.
PEERS: dict[str, Callable[[Path, Certificate], AbstractContextManager[Peer]]] = {
    one.__name__: one for one in (nghttpd, nginx, caddy, h2o, hypercorn, granian, twisted, plait)
}
_ALL = ("2", "1", "2 clear", "1 clear")
#: The versions of HTTP that each speaks, over TLS and, clear, without.
WAYS = {
    **dict.fromkeys(PEERS, _ALL),
    "nghttpd": ("2", "2 clear"),
    "nginx": ("2", "1", "2 clear"),  # 1.22 has one version on a port
    "twisted": ("2", "1"),
}
