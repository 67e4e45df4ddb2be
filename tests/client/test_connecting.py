"""Connections that do not come to be: each failure has its own sentence."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

import plait
from plait.errors import ConfigError, ConnectFailed, ConnectTimeout, NameNotResolved, TlsFailed
from tests.support.faces import Face
from tests.support.servers import Certificate, RunningServer, free_port, make_certificate, serve_app

Make = Callable[..., Face]


@contextmanager
def listener(reply: bytes | None = None) -> Iterator[int]:
    """Accept one connection, and answer the first bytes with a reply; without one, never answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            sock, _ = listening.accept()
            with sock:
                sock.settimeout(20)
                if reply is not None and sock.recv(65536):
                    sock.sendall(reply)
                while sock.recv(65536):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(20)


def test_a_certificate_of_an_unknown_authority_is_refused(
    make_client: Make, nghttpd: RunningServer, tmp_path: Path
) -> None:
    other = make_certificate(tmp_path)
    with (
        make_client(nghttpd.url(), verify=other.ca) as client,
        pytest.raises(
            ConnectFailed,
            match=r"certificate of localhost:\d+ is refused: .*unable to get local issuer|self.signed",
        ),
    ):
        client.get("/")


def test_a_certificate_for_another_name_is_refused(
    make_client: Make, nghttpd: RunningServer, certificate: Certificate
) -> None:
    # 127.0.0.2 is this machine, too, and no name of the certificate.
    with (
        make_client(f"https://127.0.0.2:{nghttpd.port}", verify=certificate.ca) as client,
        pytest.raises(ConnectFailed, match="refused"),
    ):
        client.get("/")


def test_an_expired_certificate_is_refused(make_client: Make, tmp_path: Path) -> None:
    authority = trustme.CA()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    leaf = authority.issue_cert("localhost", not_before=yesterday - timedelta(days=1), not_after=yesterday)
    certificate = Certificate(ca=tmp_path / "ca.pem", chain=tmp_path / "chain.pem", key=tmp_path / "key.pem")
    authority.cert_pem.write_to_path(certificate.ca)
    leaf.private_key_pem.write_to_path(certificate.key)
    leaf.cert_chain_pems[0].write_to_path(certificate.chain)
    with (
        serve_app("interop_app:app", certificate=certificate) as server,
        make_client(server.url(), verify=certificate.ca) as client,
        pytest.raises(ConnectFailed, match="certificate has expired"),
    ):
        client.get("/")


def test_nothing_is_checked_when_told_so(make_client: Make, nghttpd: RunningServer) -> None:
    with make_client(nghttpd.url(), verify=False) as client:
        assert client.get("/small").content == b"small\n"


def test_a_port_nobody_listens_on_is_refused(make_client: Make) -> None:
    port = free_port()
    with make_client(f"http://127.0.0.1:{port}") as client:
        pending = [client.submit("GET", "/") for _ in range(3)]
        for one in pending:
            with pytest.raises(
                ConnectFailed, match=rf"cannot connect to 127\.0\.0\.1:{port}: Connection refused"
            ):
                one.result()


def test_a_host_without_an_address_is_told(make_client: Make) -> None:
    with (
        make_client() as client,
        pytest.raises(ConnectFailed, match=r"nowhere\.invalid:80 cannot be resolved"),
    ):
        client.get("http://nowhere.invalid/")


def test_a_server_without_tls_is_told(make_client: Make) -> None:
    with (
        listener(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port,
        make_client(f"https://127.0.0.1:{port}") as client,
        pytest.raises(TlsFailed, match="does not speak TLS"),
    ):
        client.get("/")


def test_a_server_without_http2_is_told_when_http2_is_demanded(
    make_client: Make, certificate: Certificate
) -> None:
    with serve_app("interop_app:app", "--http", "1", certificate=certificate) as server:
        with (
            make_client(server.url(), verify=certificate.ca, http="2") as client,
            pytest.raises(ConnectFailed, match=rf"localhost:{server.port} does not speak HTTP/2$"),
        ):
            client.get("/")
        with make_client(server.url(), verify=certificate.ca) as client:
            assert client.get("/").http_version == "HTTP/1.1"


def test_a_server_without_http1_is_told_when_http1_is_demanded(
    make_client: Make, certificate: Certificate
) -> None:
    with (
        serve_app("interop_app:app", "--http", "2", certificate=certificate) as server,
        make_client(server.url(), verify=certificate.ca, http="1") as client,
        pytest.raises(ConnectFailed, match=rf"localhost:{server.port} does not speak HTTP/1.1$"),
    ):
        client.get("/")


def test_a_handshake_that_stalls_ends_in_a_timeout(make_client: Make) -> None:
    with (
        listener() as port,
        make_client(f"https://127.0.0.1:{port}", connect_timeout=0.2) as client,
        pytest.raises(ConnectTimeout, match=r"no connection to 127\.0\.0\.1"),
    ):
        client.get("/")


def test_a_server_that_closes_during_the_handshake_is_told(make_client: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            sock, _ = listening.accept()
            sock.recv(65536)
            sock.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            make_client(f"https://127.0.0.1:{listening.getsockname()[1]}") as client,
            pytest.raises(ConnectFailed),
        ):
            client.get("/")
        thread.join(20)


def test_options_that_are_wrong_are_refused_at_once(tmp_path: Path) -> None:
    for options in ({"http": "3"}, {"max_in_flight": 0}):
        with pytest.raises(ConfigError):
            plait.Client(**options)
        with pytest.raises(ConfigError):
            plait.AsyncClient(**options)
    with pytest.raises(ConfigError, match="cannot read CA file"):
        plait.Client(verify=tmp_path / "missing.pem")


def test_a_second_use_after_a_failure_connects_again(make_client: Make) -> None:
    port = free_port()
    with make_client(f"http://127.0.0.1:{port}", http="1") as client:
        with pytest.raises(ConnectFailed):
            client.get("/")
        with socket.create_server(("127.0.0.1", port)) as listening:

            def serve() -> None:
                sock, _ = listening.accept()
                with sock:
                    sock.recv(65536)
                    sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                    sock.recv(65536)

            thread = threading.Thread(target=serve)
            thread.start()
            assert client.get("/").status == 204
    thread.join(20)


def test_a_refused_port_has_the_systems_number(make_client: Make) -> None:
    with make_client() as client, pytest.raises(ConnectFailed, match="Connection refused") as caught:
        client.get(f"http://127.0.0.1:{free_port()}/")

    assert caught.value.errno == errno.ECONNREFUSED


def test_a_name_without_an_address_is_told_from_a_server_that_is_not_there(make_client: Make) -> None:
    with make_client() as client, pytest.raises(NameNotResolved, match=r"nowhere\.invalid:80 cannot be"):
        client.get("http://nowhere.invalid/")


def test_a_streamed_response_tells_who_answers(
    make_client: Make, nghttpd: RunningServer, certificate: Certificate
) -> None:
    with make_client(nghttpd.url(), verify=certificate.ca) as client, client.stream("GET", "/") as response:
        peer = response.peer
        response.read()

    assert (peer.address, peer.port) == ("127.0.0.1", nghttpd.port)
    assert peer.tls.selected_alpn_protocol() == "h2"
    assert peer.tls.getpeercert(binary_form=True)
    assert peer.local[0] == "127.0.0.1"


def test_connections_come_from_the_address_that_is_asked_for(make_client: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        seen: list[str] = []

        def serve() -> None:
            sock, address = listening.accept()
            seen.append(address[0])
            with sock:
                sock.recv(65536)
                sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with make_client(local_address="127.0.0.3") as client:
            assert client.get(f"http://localhost:{listening.getsockname()[1]}/").status == 204
        thread.join(20)

    assert seen == ["127.0.0.3"]


def test_what_is_no_address_to_come_from_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="local_address must be an IP address, not 'eth0'"):
        plait.Client(local_address="eth0")


def test_no_server_of_another_family_is_reached_from_an_address(make_client: Make) -> None:
    with make_client(local_address="::1") as client, pytest.raises(NameNotResolved):
        client.get("http://127.0.0.1:80/")


def test_another_place_to_connect_to_changes_neither_request_nor_certificate(
    make_client: Make, plait_server: RunningServer, certificate: Certificate
) -> None:
    def connect_to(host: str, port: int) -> tuple[str, int]:
        return ("127.0.0.1", plait_server.port) if (host, port) == ("localhost", 9) else (host, port)

    with make_client("https://localhost:9", verify=certificate.ca, connect_to=connect_to) as client:
        response = client.get("/")
    assert response.request.headers["host"] == "localhost:9"


def test_who_names_no_place_to_connect_to_is_told(make_client: Make) -> None:
    with (
        make_client("http://localhost", connect_to=lambda host, port: 5) as client,
        pytest.raises(ConfigError, match="connect_to gave no host and port for localhost:80"),
    ):
        client.get("/")
    with pytest.raises(ConfigError, match="connect_to must be a function"):
        plait.Client(connect_to="localhost")
