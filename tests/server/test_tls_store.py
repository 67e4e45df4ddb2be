"""Certificates by name and by kind of key, read anew while the server serves; clients' certificates."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from cryptography import x509

from plait.config import HttpVersions
from plait.drivers.server_tls import KeyPair
from plait.drivers.tls_info import describe
from plait.errors import ConfigError
from plait.server.tls_store import TlsStore
from plait.server_config import ClientCertificates
from tests.support.handshake import handshake
from tests.support.servers import Certificate
from tests.support.serving import h2_client, serving

REQUIRED = ClientCertificates.REQUIRED


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Issuer(NamedTuple):
    """Makes certificates of one authority in one directory."""

    authority: trustme.CA
    directory: Path

    def issue(self, file: str, *names: str, kind: trustme.KeyType = trustme.KeyType.ECDSA) -> KeyPair:
        leaf = self.authority.issue_cert(*names, key_type=kind)
        pair = KeyPair(self.directory / f"{file}.pem", self.directory / f"{file}-key.pem")
        leaf.private_key_pem.write_to_path(str(pair.key))
        pair.cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return pair

    def context(self) -> ssl.SSLContext:
        """A client that trusts the authority."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


@pytest.fixture
def issuer(authority: trustme.CA, tmp_path: Path) -> Issuer:
    return Issuer(authority, tmp_path)


async def never(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Fail, since no handshake is to lead to a request."""
    raise AssertionError(scope["type"])


class Shaken(NamedTuple):
    """What a handshake came to."""

    names: set[str]
    kind: str
    server: ssl.SSLObject
    client: ssl.SSLObject


def shake(store: TlsStore, client: ssl.SSLContext, name: str | None, session: Any = None) -> Shaken:
    """Shake hands in memory; the failure of the side that fails first is raised."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    accepted = store.context.wrap_bio(to_server, to_client, server_side=True)
    connected = client.wrap_bio(to_client, to_server, server_hostname=name, session=session)
    for _ in range(6):
        for side in (connected, accepted):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    try:
        connected.read(1)  # for the tickets of TLS 1.3
    except ssl.SSLWantReadError:
        pass
    certificate = x509.load_der_x509_certificate(connected.getpeercert(binary_form=True) or b"")
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return Shaken(
        set(alternatives.get_values_for_type(x509.DNSName)),
        type(certificate.public_key()).__name__.strip("_"),
        accepted,
        connected,
    )


# -- by name ----------------------------------------------------------------------------------------


def test_a_client_gets_the_certificate_of_the_name_it_asks_for(issuer: Issuer) -> None:
    store = TlsStore(
        [
            issuer.issue("first", "first.example"),
            issuer.issue("second", "second.example", "also.example"),
            issuer.issue("wild", "*.second.example"),
            issuer.issue("exact", "exact.second.example"),
        ]
    )
    client = issuer.context()
    assert shake(store, client, "first.example").names == {"first.example"}
    for name in ("second.example", "also.example", "SECOND.example"):
        assert shake(store, client, name).names == {"second.example", "also.example"}
    assert shake(store, client, "any.second.example").names == {"*.second.example"}
    assert shake(store, client, "exact.second.example").names == {"exact.second.example"}


def test_a_client_that_asks_for_no_name_or_another_gets_the_first(issuer: Issuer) -> None:
    store = TlsStore([issuer.issue("first", "first.example"), issuer.issue("second", "second.example")])
    client = issuer.context()
    client.check_hostname = False
    for name in (None, "third.example", "deep.any.first.example"):
        assert shake(store, client, name).names == {"first.example"}


def test_two_kinds_of_key_for_one_name_serve_each_client_what_it_can_verify(issuer: Issuer) -> None:
    store = TlsStore(
        [
            issuer.issue("rsa", "a.example", kind=trustme.KeyType.RSA),
            issuer.issue("ec", "a.example"),
            issuer.issue("other", "b.example"),
        ]
    )
    client = issuer.context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    for suites, kind in (("ECDHE+aRSA", "RSAPublicKey"), ("ECDHE+aECDSA", "ECPublicKey")):
        client.set_ciphers(suites)
        assert shake(store, client, "a.example").kind == kind
        client.check_hostname = False
        assert shake(store, client, None).kind == kind
        client.check_hostname = True


def test_one_of_several_certificates_that_is_wrong_is_named(issuer: Issuer) -> None:
    good, other = issuer.issue("good", "a.example"), issuer.issue("other", "b.example")
    mixed = KeyPair(other.cert, good.key)
    with pytest.raises(ConfigError, match=f"{good.key} does not belong to certificate {other.cert}"):
        TlsStore([good, mixed])


# -- what RFC 7301 and RFC 9113 ask for ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("http", "offered"),
    [
        (HttpVersions.AUTO, ["spdy/1"]),
        (HttpVersions.HTTP_1, ["h2"]),
        (HttpVersions.HTTP_2, ["http/1.1", "http/1.0"]),
    ],
)
def test_a_client_that_offers_only_other_protocols_is_told_so(
    issuer: Issuer, http: HttpVersions, offered: list[str]
) -> None:
    store = TlsStore([issuer.issue("a", "localhost")], http)
    client = issuer.context()
    client.set_alpn_protocols(offered)
    with pytest.raises(ssl.SSLError, match="alert no application protocol"):
        handshake(store.context, client)
    # And the next client is not taken for it.
    assert handshake(store.context, issuer.context()).alpn is None


def test_the_chosen_context_keeps_the_rules_of_http_2(issuer: Issuer) -> None:
    store = TlsStore([issuer.issue("a", "localhost", kind=trustme.KeyType.RSA)])
    client = issuer.context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    for suite in ("AES128-SHA", "ECDHE-RSA-AES128-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256"):
        client.set_ciphers(suite)
        with pytest.raises(ssl.SSLError):
            handshake(store.context, client)
    client.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert handshake(store.context, client).tls == "TLSv1.2"
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        handshake(store.context, client)


# -- clients' certificates ------------------------------------------------------------------------------


def client_files(issuer: Issuer, tmp_path: Path) -> tuple[Path, trustme.CA]:
    clients = trustme.CA()
    ca = tmp_path / "clients.pem"
    clients.cert_pem.write_to_path(str(ca))
    return ca, clients


def test_what_is_told_of_a_connection_with_a_clients_certificate(issuer: Issuer, tmp_path: Path) -> None:
    ca, clients = client_files(issuer, tmp_path)
    pair = issuer.issue("a", "a.example")
    store = TlsStore([pair], client_ca=ca, client_cert=REQUIRED)
    client = issuer.context()
    leaf = clients.issue_cert("jo@example.org", common_name="Jo, of Example", organization_name="Org")
    leaf.configure_cert(client)
    told = describe(shake(store, client, "a.example").server)
    assert told["server_cert"].strip() == pair.cert.read_text().strip()
    own, *others = told["client_cert_chain"]
    assert own == leaf.cert_chain_pems[0].bytes().decode()
    assert [other.strip() for other in others] == [ca.read_text().strip()]
    assert "CN=Jo\\, of Example" in told["client_cert_name"]
    assert told["client_cert_error"] is None
    assert told["tls_version"] == 0x0304
    assert told["cipher_suite"] in (0x1301, 0x1302, 0x1303)


def test_what_is_told_of_a_connection_without_one(issuer: Issuer, tmp_path: Path) -> None:
    ca, _ = client_files(issuer, tmp_path)
    store = TlsStore([issuer.issue("a", "a.example")], client_ca=ca, client_cert=ClientCertificates.OPTIONAL)
    client = issuer.context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    told = describe(shake(store, client, "a.example").server)
    assert (told["client_cert_chain"], told["client_cert_name"]) == ([], None)
    assert (told["tls_version"], told["cipher_suite"]) == (0x0303, 0xC02B)


@pytest.mark.parametrize("mode", [ClientCertificates.OPTIONAL, REQUIRED])
def test_a_certificate_of_another_authority_lets_nobody_in(
    issuer: Issuer, tmp_path: Path, mode: ClientCertificates
) -> None:
    ca, _ = client_files(issuer, tmp_path)
    store = TlsStore([issuer.issue("a", "localhost")], client_ca=ca, client_cert=mode)
    client = issuer.context()
    issuer.authority.issue_cert("jo@example.org").configure_cert(client)
    with pytest.raises(ssl.SSLError):
        handshake(store.context, client)


def test_without_a_certificate_nobody_gets_in_where_one_is_required(issuer: Issuer, tmp_path: Path) -> None:
    ca, clients = client_files(issuer, tmp_path)
    pairs = [issuer.issue("a", "localhost"), issuer.issue("b", "b.example")]
    store = TlsStore(pairs, client_ca=ca, client_cert=REQUIRED)
    with pytest.raises(ssl.SSLError):
        handshake(store.context, issuer.context())
    client = issuer.context()
    clients.issue_cert("jo@example.org").configure_cert(client)
    client.set_alpn_protocols(["h2"])
    assert handshake(store.context, client).alpn == "h2"
    assert handshake(store.context, client, "b.example").alpn == "h2"


@pytest.mark.parametrize(
    ("version", "offered", "alert"),
    [
        (ssl.TLSVersion.TLSv1_3, "spdy/1", "no application protocol"),
        (ssl.TLSVersion.TLSv1_3, "h2", "certificate required"),
        (ssl.TLSVersion.TLSv1_2, "h2", "handshake failure"),
    ],
)
async def test_a_client_is_told_over_the_network_why_a_handshake_failed(
    issuer: Issuer,
    tmp_path: Path,
    version: ssl.TLSVersion,
    offered: str,
    alert: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ca, _ = client_files(issuer, tmp_path)
    pair = issuer.issue("a", "localhost")
    served = Certificate(ca=pair.cert, chain=pair.cert, key=pair.key)
    client = issuer.context()
    client.maximum_version = version
    client.set_alpn_protocols([offered])

    def ask(port: int) -> None:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as connection,
            client.wrap_socket(connection, server_hostname="localhost") as secured,
        ):
            secured.sendall(b"x" * 100_000)
            secured.recv(1)

    caplog.set_level("DEBUG", "plait.server")
    async with serving(never, certificate=served, client_ca=ca, client_cert=REQUIRED) as running:
        with pytest.raises(ssl.SSLError, match=f"alert {alert}"):
            await asyncio.to_thread(ask, running.port)
    assert "a TLS handshake failed" in caplog.text


def foreign_hello(issuer: Issuer) -> bytes:
    """Return the first bytes of a client that speaks none of the server's protocols."""
    client = issuer.context()
    client.set_alpn_protocols(["spdy/1"])
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        client.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


async def test_after_a_failed_handshake_a_client_has_to_leave(issuer: Issuer) -> None:
    pair = issuer.issue("a", "localhost")
    served = Certificate(ca=pair.cert, chain=pair.cert, key=pair.key)
    async with serving(never, certificate=served, handshake_timeout=0.5) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(foreign_hello(issuer))
        async with asyncio.timeout(20):
            assert (await reader.read()).startswith(b"\x15")  # the type of an alert's record
        writer.close()


async def test_who_speaks_http_where_there_is_tls_is_not_kept_waiting(issuer: Issuer) -> None:
    pair = issuer.issue("a", "localhost")
    served = Certificate(ca=pair.cert, chain=pair.cert, key=pair.key)
    async with serving(never, certificate=served, handshake_timeout=600.0) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


def test_what_comes_after_a_failed_handshake_is_thrown_away(issuer: Issuer) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    store = TlsStore([issuer.issue("a", "localhost")])
    server = store.context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(foreign_hello(issuer))
    for _ in range(3):
        incoming.write(b"more" * 1000)
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        assert not incoming.pending
    assert outgoing.read().startswith(b"\x15")


def test_a_file_of_authorities_that_is_none_is_named(issuer: Issuer, tmp_path: Path) -> None:
    pair = issuer.issue("a", "localhost")
    for content, complaint in ((None, "cannot read CA file"), (b"nothing", "holds no certificate")):
        ca = tmp_path / "bad.pem"
        if content is not None:
            ca.write_bytes(content)
        with pytest.raises(ConfigError, match=complaint):
            TlsStore([pair], client_ca=ca, client_cert=REQUIRED)


async def test_an_application_sees_who_its_client_is(issuer: Issuer, tmp_path: Path) -> None:
    ca, _ = client_files(issuer, tmp_path)
    pair = issuer.issue("a", "localhost")
    seen: list[dict[str, Any]] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError
        seen.append(scope["extensions"]["tls"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    files = tmp_path / "trusted.pem"
    issuer.authority.cert_pem.write_to_path(str(files))
    certificate = Certificate(ca=files, chain=pair.cert, key=pair.key)
    options: dict[str, Any] = {"client_ca": ca, "client_cert": ClientCertificates.OPTIONAL}
    async with serving(app, certificate=certificate, **options) as running, h2_client(running) as client:
        await client.response(client.request())
        await client.response(client.request())
    assert seen[0] is seen[1]
    assert seen[0]["client_cert_chain"] == []
    assert seen[0]["server_cert"].strip() == pair.cert.read_text().strip()


# -- anew -----------------------------------------------------------------------------------------------


def touch(pair: KeyPair, seconds: int) -> None:
    """Date the files, since two writes may fall into one tick of the file system's clock."""
    for file in (pair.cert, pair.key):
        os.utime(file, (seconds, seconds))


def test_changed_files_are_read_anew_within_ten_seconds(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    store = TlsStore([issuer.issue("a", "localhost")])
    client = issuer.context()
    client.check_hostname = False
    store.refresh(100)
    touch(issuer.issue("a", "new.example"), 1)
    store.refresh(109)
    assert shake(store, client, None).names == {"localhost"}
    with caplog.at_level(logging.INFO):
        store.refresh(110)
        store.refresh(120)
        store.refresh(130)
    assert shake(store, client, None).names == {"new.example"}
    assert len(caplog.records) == 1


def test_files_that_do_not_fit_change_nothing_and_are_said_once(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    def errors() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.levelno >= logging.ERROR]

    pair = issuer.issue("a", "localhost")
    key = pair.key.read_bytes()
    store = TlsStore([pair])
    client = issuer.context()
    store.refresh(100)
    new = issuer.issue("a", "localhost")
    new_key = new.key.read_bytes()
    new.key.write_bytes(key)
    touch(new, 1)
    for now in (110, 120, 130):
        store.refresh(now)
    (record,) = errors()
    assert f"{pair.key} does not belong to certificate {pair.cert}" in record.getMessage()
    shake(store, client, "localhost")
    new.key.write_bytes(new_key)  # the other file of the two, a moment later
    touch(new, 2)
    store.refresh(140)
    assert len(errors()) == 1
    shake(store, client, "localhost")
    pair.key.unlink()
    with pytest.raises(ConfigError, match="cannot read private key"):
        store.reload()
    shake(store, client, "localhost")


async def test_a_connection_goes_on_while_the_certificate_changes(issuer: Issuer, tmp_path: Path) -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["extensions"]["tls"]["server_cert"].encode()})

    pair = issuer.issue("a", "localhost")
    before = pair.cert.read_bytes()
    ca = tmp_path / "trusted.pem"
    issuer.authority.cert_pem.write_to_path(str(ca))
    certificate = Certificate(ca=ca, chain=pair.cert, key=pair.key)
    async with serving(app, certificate=certificate) as running, h2_client(running) as old:
        assert (await old.response(old.request())).content.strip() == before.strip()
        issuer.issue("a", "localhost")
        running.server.reload()
        async with h2_client(running) as new:
            assert (await new.response(new.request())).content.strip() == pair.cert.read_bytes().strip()
        assert (await old.response(old.request())).content.strip() == before.strip()


def test_sessions_outlive_a_certificate(issuer: Issuer) -> None:
    store = TlsStore([issuer.issue("a", "localhost")])
    client = issuer.context()
    session = shake(store, client, "localhost").client.session
    issuer.issue("a", "localhost")
    store.reload()
    assert shake(store, client, "localhost", session).client.session_reused


def test_sessions_do_not_outlive_the_authorities_that_let_a_client_in(issuer: Issuer, tmp_path: Path) -> None:
    ca, clients = client_files(issuer, tmp_path)
    store = TlsStore([issuer.issue("a", "localhost")], client_ca=ca, client_cert=REQUIRED)
    client = issuer.context()
    clients.issue_cert("jo@example.org").configure_cert(client)
    session = shake(store, client, "localhost").client.session
    resumed = shake(store, client, "localhost", session)
    assert resumed.client.session_reused
    assert len(describe(resumed.server)["client_cert_chain"]) == 1
    other = trustme.CA()
    ca.write_bytes(other.cert_pem.bytes())
    store.reload()
    with pytest.raises(ssl.SSLError):
        shake(store, client, "localhost", session)


def test_an_expired_certificate_is_served_with_a_warning(
    issuer: Issuer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leaf = issuer.authority.issue_cert(
        "localhost", not_before=datetime(2019, 1, 1, tzinfo=UTC), not_after=datetime(2020, 2, 3, tzinfo=UTC)
    )
    both = tmp_path / "both.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(str(both))
    TlsStore([KeyPair(both, both)])
    (record,) = caplog.records
    assert record.getMessage() == f"certificate {both} has expired on 2020-02-03"


# -- in several processes ---------------------------------------------------------------------------------


def test_a_session_begun_with_one_process_goes_on_with_another(issuer: Issuer) -> None:
    store = TlsStore([issuer.issue("a", "localhost"), issuer.issue("b", "b.example")])
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    children = []
    for listener in listeners:
        pid = os.fork()
        if pid == 0:
            try:
                while True:
                    accepted, _ = listener.accept()
                    with store.context.wrap_socket(accepted, server_side=True) as tls:
                        tls.send(b"x")
            finally:
                os._exit(1)
        children.append(pid)
    try:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for name in ("localhost", "b.example"):
                client = issuer.context()
                client.minimum_version = client.maximum_version = version
                session = None
                reused = []
                for listener in (*listeners, *listeners):
                    raw = socket.create_connection(listener.getsockname(), timeout=20)
                    with client.wrap_socket(raw, server_hostname=name, session=session) as tls:
                        assert tls.recv(1) == b"x"
                        reused.append(tls.session_reused)
                        session = tls.session
                assert reused == [False, True, True, True]
    finally:
        for pid in children:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        for listener in listeners:
            listener.close()
