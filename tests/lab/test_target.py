from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plait.errors import ConfigError, ConnectFailed
from plait.lab.target import Target, is_loopback, parse_target, spoken_versions
from tests.support.servers import (
    Certificate,
    free_port,
    make_certificate,
    serve_bookstore,
    serve_hypercorn,
    serve_nghttpd,
)
from tests.support.small_server import small_server
from tests.support.tools import require_tool


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@contextmanager
def speaking(words: bytes) -> Iterator[Target]:
    """Serve something that is not HTTP: say the words to everyone, and close."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):  # the client may be gone first
                    connection.sendall(words)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1000):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield Target(scheme="http", host="127.0.0.1", port=listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_url_gives_scheme_host_and_port() -> None:
    assert parse_target("https://localhost:8443/").base_url == "https://localhost:8443"
    assert parse_target("https://localhost").port == 443
    assert parse_target("http://localhost").port == 80
    assert parse_target("http://[::1]:8080").base_url == "http://[::1]:8080"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("localhost:8443", "is not the URL of a server"),
        ("ftp://localhost", "is not the URL of a server"),
        ("https://", "is not the URL of a server"),
        ("https://localhost:99999", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://local host", "is not the URL of a server"),
        ("https://localhost/books", "is more than a server"),
        ("https://localhost?x=1", "is more than a server"),
        ("https://me@localhost", "is more than a server"),
    ],
)
def test_what_is_not_the_url_of_a_server_is_quoted(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_target(url)
    assert complaint in str(refusal.value)
    assert repr(url) in str(refusal.value)


def test_trust_is_no_question_without_tls() -> None:
    with pytest.raises(ConfigError, match="is not encrypted"):
        parse_target("http://localhost", insecure=True)


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for name, sentence in (
        ("ca.pem", r"ca\.pem holds no certificate that can be trusted"),
        ("missing.pem", r"cannot read .*missing\.pem: No such file or directory"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            spoken_versions(parse_target(f"https://127.0.0.1:{free_port()}", cafile=tmp_path / name))


def test_loopback_is_told_from_elsewhere() -> None:
    assert is_loopback(parse_target("http://localhost"))
    assert is_loopback(parse_target("http://127.3.2.1"))
    assert is_loopback(parse_target("http://[::1]"))
    assert not is_loopback(parse_target("http://192.0.2.1"))


def test_a_name_without_an_address_is_reported() -> None:
    with pytest.raises(ConnectFailed, match=r"^nowhere\.invalid has no address: "):
        is_loopback(parse_target("https://nowhere.invalid"))


def test_both_versions_are_found_by_alpn(certificate: Certificate) -> None:
    with serve_hypercorn("interop_app:app", certificate=certificate) as server:
        target = parse_target(f"https://localhost:{server.port}", cafile=certificate.ca)
        assert spoken_versions(target) == {"1", "2"}


def test_a_server_without_alpn_speaks_http_1(certificate: Certificate) -> None:
    with small_server({"/": b"hello"}, certificate=(certificate.chain, certificate.key)) as server:
        target = parse_target(f"https://localhost:{server.server_port}", cafile=certificate.ca)
        assert spoken_versions(target) == {"1"}


def test_a_server_without_tls_may_speak_http_1_only() -> None:
    with small_server({"/": b"hello"}) as server:
        assert spoken_versions(server.target) == {"1"}


def test_both_versions_are_found_without_tls() -> None:
    with serve_bookstore("--no-access-log", certificate=None) as server:
        assert spoken_versions(parse_target(f"http://localhost:{server.port}")) == {"1", "2"}


def test_a_server_of_http_2_only_is_found(certificate: Certificate, tmp_path: Path) -> None:
    with serve_nghttpd(require_tool("nghttpd"), tmp_path, certificate=certificate) as server:
        target = parse_target(f"https://localhost:{server.port}", cafile=certificate.ca)
        assert spoken_versions(target) == {"2"}


def test_an_untrusted_certificate_is_named_with_what_helps(certificate: Certificate) -> None:
    with small_server({}, certificate=(certificate.chain, certificate.key)) as server:
        url = f"https://localhost:{server.server_port}"
        with pytest.raises(ConnectFailed, match=r"is not trusted: .*--cacert FILE .*--insecure"):
            spoken_versions(parse_target(url))
        assert spoken_versions(parse_target(url, insecure=True)) == {"1"}


def test_a_closed_port_is_reported() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectFailed, match=f"^cannot connect to {url}: Connection refused$"):
        spoken_versions(parse_target(url))


@pytest.mark.parametrize("words", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail ready\r\n"])
def test_a_server_that_does_not_speak_http_is_reported(words: bytes) -> None:
    with speaking(words) as target, pytest.raises(ConnectFailed, match="does not answer as an HTTP server"):
        spoken_versions(target)


def test_a_server_that_does_not_speak_tls_is_reported() -> None:
    with small_server({}) as server:
        url = f"https://127.0.0.1:{server.server_port}"
        with pytest.raises(ConnectFailed, match=f"^{url} does not speak TLS"):
            spoken_versions(parse_target(url))
