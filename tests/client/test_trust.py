"""Whom a client trusts, who it says it is, and how it says that it does not trust somebody."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

import plait
from plait.errors import CertificateProblem, CertificateRefused, ConfigError, PlaitError
from tests.support.faces import Face
from tests.support.openssl import openssl
from tests.support.servers import Certificate, RunningServer, make_certificate, serve_app

Make = Callable[..., Face]


def issued(directory: Path, authority: trustme.CA, leaf: trustme.LeafCert) -> Certificate:
    certificate = Certificate(
        ca=directory / "ca.pem", chain=directory / "chain.pem", key=directory / "key.pem"
    )
    authority.cert_pem.write_to_path(certificate.ca)
    leaf.private_key_pem.write_to_path(certificate.key)
    leaf.cert_chain_pems[0].write_to_path(certificate.chain)
    return certificate


@pytest.mark.parametrize(
    ("name", "begins", "ends", "problem", "sentence"),
    [
        ("other.test", -1, 1, CertificateProblem.NAME, "it is for another name"),
        ("localhost", -2, -1, CertificateProblem.EXPIRED, "certificate has expired"),
        ("localhost", 1, 2, CertificateProblem.NOT_YET_VALID, "certificate is not yet valid"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told(
    make_client: Make,
    tmp_path: Path,
    name: str,
    begins: int,
    ends: int,
    problem: CertificateProblem,
    sentence: str,
) -> None:
    authority = trustme.CA()
    today = datetime.now(UTC)
    leaf = authority.issue_cert(
        name, not_before=today + timedelta(days=begins), not_after=today + timedelta(days=ends)
    )
    certificate = issued(tmp_path, authority, leaf)
    with (
        serve_app("interop_app:app", certificate=certificate) as server,
        make_client(server.url(), verify=certificate.ca) as client,
        pytest.raises(CertificateRefused, match=rf"of localhost:\d+ is refused: {sentence}") as caught,
    ):
        client.get("/")
    assert caught.value.problem is problem
    assert caught.value.unprocessed


@pytest.mark.parametrize("verify", ["another authority", "the system's"])
def test_an_authority_that_nobody_trusts_is_told(
    make_client: Make, nghttpd: RunningServer, tmp_path: Path, verify: str
) -> None:
    other = make_certificate(tmp_path)
    with (
        make_client(nghttpd.url(), verify=other.ca if verify == "another authority" else True) as client,
        pytest.raises(CertificateRefused, match="its authority is not trusted") as caught,
    ):
        client.get("/")
    assert caught.value.problem is CertificateProblem.AUTHORITY


def test_a_certificate_that_signs_itself_is_told(make_client: Make, tmp_path: Path) -> None:
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", chain,
    )  # fmt: skip
    with (
        serve_app("interop_app:app", certificate=Certificate(chain, chain, key)) as server,
        make_client(server.url()) as client,
        pytest.raises(
            CertificateRefused, match="it is signed by itself, and not among those trusted"
        ) as caught,
    ):
        client.get("/")
    assert caught.value.problem is CertificateProblem.SELF_SIGNED


def test_a_pin_lets_in_who_has_it(
    make_client: Make, nghttpd: RunningServer, certificate: Certificate
) -> None:
    own = ssl.PEM_cert_to_DER_cert(certificate.chain.read_text().strip())
    asked = []

    def is_pinned(host: str, chain: Sequence[bytes]) -> bool:
        asked.append((host, len(chain)))
        return hashlib.sha256(chain[0]).digest() == hashlib.sha256(own).digest()

    with make_client(nghttpd.url(), verify=certificate.ca, check_certificate=is_pinned) as client:
        assert client.get("/small").status == client.get("/small").status == 200
    assert asked == [("localhost", 2)]  # its own and its authority's; once for the connection
    with make_client(nghttpd.url(), verify=False, check_certificate=is_pinned) as client:
        assert client.get("/small").status == 200


def _refuse(host: str, chain: Sequence[bytes]) -> bool:
    return False


def _fail(host: str, chain: Sequence[bytes]) -> bool:
    raise KeyError(host)


@pytest.mark.parametrize(
    ("check", "sentence"),
    [(_refuse, "check_certificate said no"), (_fail, r"check_certificate raised KeyError\('localhost'\)")],
)
def test_a_pin_keeps_out_who_has_it_not(
    make_client: Make,
    nghttpd: RunningServer,
    certificate: Certificate,
    check: Callable[[str, Sequence[bytes]], bool],
    sentence: str,
) -> None:
    with make_client(nghttpd.url(), verify=certificate.ca, check_certificate=check) as client:
        with pytest.raises(CertificateRefused, match=sentence) as caught:
            client.get("/small")
        assert caught.value.problem is CertificateProblem.PIN
        assert client.statistics.exchanges == 0


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return the authority, certificate and key of a client."""
    authority = trustme.CA()
    certificate = issued(tmp_path, authority, authority.issue_cert("client@example.com"))
    return certificate.ca, certificate.chain, certificate.key


def test_a_client_says_who_it_is(
    make_client: Make, certificate: Certificate, own: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    ca, chain, key = own
    joined = tmp_path / "joined.pem"
    joined.write_bytes(chain.read_bytes() + key.read_bytes())
    locked = tmp_path / "locked.pem"
    openssl("pkey", "-aes256", "-passout", "pass:open", "-in", key, "-out", locked)
    options = ("--client-ca", str(ca), "--client-cert", "required")
    with serve_app("interop_app:app", *options, certificate=certificate) as server:
        for cert in (joined, str(joined), (chain, key), (chain, locked, "open")):
            with make_client(server.url(), verify=certificate.ca, cert=cert) as client:
                assert client.get("/").status == 200
        with make_client(server.url(), verify=certificate.ca) as client, pytest.raises(PlaitError):
            client.get("/")
    for cert, sentence in [
        ((chain, locked), "is encrypted: give its passphrase"),
        ((chain, locked, "shut"), "has another passphrase"),
        (chain, "holds no private key"),
        (tmp_path / "missing.pem", "cannot read certificate"),
        ((certificate.chain, key), "does not belong to"),
        ((), "cert must be a path"),
    ]:
        with pytest.raises(ConfigError, match=sentence):
            plait.Client(cert=cert)
