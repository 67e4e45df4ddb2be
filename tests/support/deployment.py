"""What is in deploy/, as it is shipped but for ports and paths, and proxies running with it."""

from __future__ import annotations

import getpass
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import ROOT, Certificate, RunningServer, free_port, plait, run_server
from tests.support.tools import require_script, require_tool

__all__ = ["DEPLOY", "Site", "behind", "caddy", "changed", "envoy", "haproxy", "nginx", "passthrough", "tcp"]

DEPLOY = ROOT / "deploy"


def changed(name: str, directory: Path, changes: Mapping[str, object]) -> Path:
    """Write a file of deploy/ into a directory, with what its user has to change changed.

    Args:
        name: Its path below deploy/.
        directory: Where the copy goes.
        changes: What stands there, and what takes its place everywhere. All of it has to be there.

    Returns:
        The copy.
    """
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        assert old in text, f"deploy/{name} has no {old!r}"
        text = text.replace(old, str(new))
    copy = directory / Path(name).name
    copy.write_text(text)
    return copy


@dataclass
class Site:
    """A proxy with plait behind it.

    Attributes:
        proxy: The proxy.
        server: plait.
        version: The version of HTTP that the proxy speaks to it.
        certificate: What the public side serves TLS with.
    """

    proxy: RunningServer
    server: RunningServer
    version: str
    certificate: Certificate

    def curl(self, path: str, *arguments: str | Path) -> bytes:
        """Run curl through the proxy, which must succeed, and return what it got."""
        return subprocess.run(
            [require_tool("curl"), "--silent", "--show-error", "--fail", "--max-time", "60",
             "--cacert", self.certificate.ca, *arguments, self.proxy.url(path)],
            capture_output=True, check=True,
        ).stdout  # fmt: skip

    def wait(self) -> None:
        """Wait until the proxy lets requests through: some look first whether plait is well."""
        deadline = time.monotonic() + 20
        while True:
            try:
                self.curl("/ignored")
                return
            except subprocess.CalledProcessError:
                assert time.monotonic() < deadline, self.proxy.output()[-2000:]
                time.sleep(0.1)  # between two attempts; there is no event to wait for


@contextmanager
def behind(listen: str, *options: str | Path, tls: bool = False) -> Iterator[tuple[RunningServer, int]]:
    """Run plait, with its metrics; yield it and the port of those.

    Args:
        listen: Its endpoint.
        options: Further options.
        tls: Whether they say something of TLS.
    """
    health = free_port()
    how = () if tls else ("--insecure",)
    command = plait(
        "serve", "deployed_app:app", "--app-dir", ROOT / "tests" / "support", "--listen", listen,
        "--metrics", f"127.0.0.1:{health}", *how, *options,
    )  # fmt: skip
    with run_server(command, port=health, exit_status=0) as running:
        yield running, health
        assert "Traceback" not in running.output(), running.output()


def tcp(port: int) -> str:
    """Return the endpoint of a port on the loopback address."""
    return f"tcp:{port}:interface=127.0.0.1"


@contextmanager
def nginx(directory: Path, certificate: Certificate, *options: str) -> Iterator[Site]:
    """Run nginx with deploy/nginx/plait.conf."""
    program = require_tool("nginx")
    port, path = free_port(), directory / "plait.sock"
    included = changed(
        "nginx/plait.conf",
        directory,
        {
            "/run/plait.sock": path,
            "listen 443 ": f"listen 127.0.0.1:{port} ",
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "/etc/ssl/example.com/chain.pem": certificate.chain,
            "/etc/ssl/example.com/key.pem": certificate.key,
        },
    )
    main = directory / "nginx.conf"
    temporary = "".join(
        f"{name}_temp_path {directory / name};\n"
        for name in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    )
    main.write_text(
        f"daemon off; user {getpass.getuser()}; pid {directory / 'pid'}; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off;\n{temporary} include {included}; }}\n"
    )
    command = [program, "-c", main, "-p", directory, "-e", "stderr"]
    with (
        behind(f"unix:{path}:mode=600", "--trust", "unix", *options) as (server, _),
        run_server(command, port=port) as proxy,
    ):
        yield Site(proxy, server, "1.1", certificate)


@contextmanager
def haproxy(directory: Path, certificate: Certificate, *options: str) -> Iterator[Site]:
    """Run haproxy with deploy/haproxy/haproxy.cfg."""
    program = require_tool("haproxy")
    both = directory / "both.pem"
    both.write_bytes(certificate.chain.read_bytes() + certificate.key.read_bytes())
    port, back = free_port(), free_port()
    with behind(tcp(back), "--trust", "127.0.0.1", *options) as (server, health):
        configuration = changed(
            "haproxy/haproxy.cfg",
            directory,
            {
                "bind :443 ": f"bind 127.0.0.1:{port} ",
                "bind :80\n": f"bind 127.0.0.1:{free_port()}\n",
                "/etc/haproxy/example.com.pem": both,
                "127.0.0.1:8000 ": f"127.0.0.1:{back} ",
                "port 9100 ": f"port {health} ",
            },
        )
        with run_server([program, "-db", "-W", "-f", configuration], port=port) as proxy:
            yield Site(proxy, server, "2", certificate)


@contextmanager
def passthrough(directory: Path, certificate: Certificate, *options: str) -> Iterator[Site]:
    """Run haproxy with deploy/haproxy/passthrough.cfg: plait ends TLS."""
    program = require_tool("haproxy")
    port, back = free_port(), free_port()
    tls = ("--cert", certificate.chain, "--key", certificate.key)
    proxies = ("--proxy-protocol", "--trust", "127.0.0.1")
    with behind(f"ssl:{back}:interface=127.0.0.1", *tls, *proxies, *options, tls=True) as (server, health):
        configuration = changed(
            "haproxy/passthrough.cfg",
            directory,
            {
                "bind :443\n": f"bind 127.0.0.1:{port}\n",
                "127.0.0.1:8443 ": f"127.0.0.1:{back} ",
                "port 9100 ": f"port {health} ",
            },
        )
        with run_server([program, "-db", "-W", "-f", configuration], port=port) as proxy:
            yield Site(proxy, server, "as the client", certificate)


@contextmanager
def caddy(directory: Path, certificate: Certificate, *options: str) -> Iterator[Site]:
    """Run Caddy with deploy/caddy/Caddyfile."""
    program = require_tool("caddy")
    port, back = free_port(), free_port()
    with behind(tcp(back), "--trust", "127.0.0.1", *options) as (server, health):
        configuration = changed(
            "caddy/Caddyfile",
            directory,
            {
                # The certificate Caddy would otherwise get from an authority on the internet.
                "{$SITE:example.com} {\n": "{\n\tadmin off\n\tauto_https off\n\tdefault_sni localhost\n}\n"
                f"https://localhost:{port} {{\n\ttls {certificate.chain} {certificate.key}\n",
                "{$PLAIT:127.0.0.1}:8000 ": f"127.0.0.1:{back} ",
                "health_port 9100": f"health_port {health}",
            },
        )
        command = [
            "env", f"HOME={directory}", f"XDG_DATA_HOME={directory}", f"XDG_CONFIG_HOME={directory}",
            program, "run", "--adapter", "caddyfile", "--config", configuration,
        ]  # fmt: skip
        with run_server(command, port=port) as proxy:
            yield Site(proxy, server, "2", certificate)


@contextmanager
def envoy(directory: Path, certificate: Certificate, *options: str) -> Iterator[Site]:
    """Run Envoy with deploy/envoy/envoy.yaml."""
    program = require_script("envoy")
    port, back = free_port(), free_port()
    with behind(tcp(back), "--trust", "127.0.0.1", *options) as (server, health):
        configuration = changed(
            "envoy/envoy.yaml",
            directory,
            {
                "address: 0.0.0.0, port_value: 8443": f"address: 127.0.0.1, port_value: {port}",
                "/etc/envoy/chain.pem": certificate.chain,
                "/etc/envoy/key.pem": certificate.key,
                "address: plait, port_value: 8000": f"address: 127.0.0.1, port_value: {back}",
                "port_value: 9100": f"port_value: {health}",
            },
        )
        command = [program, "--config-path", configuration, "--disable-hot-restart"]
        with run_server([*command, "--concurrency", "1", "--log-level", "warning"], port=port) as proxy:
            yield Site(proxy, server, "2", certificate)
