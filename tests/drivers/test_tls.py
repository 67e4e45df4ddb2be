from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from plait.config import HttpVersions
from plait.drivers.server_tls import KeyPair, server_context
from plait.drivers.tls import client_context
from plait.errors import ConfigError
from tests.support.handshake import handshake
from tests.support.openssl import openssl, self_signed

AUTO, HTTP_1, HTTP_2 = HttpVersions.AUTO, HttpVersions.HTTP_1, HttpVersions.HTTP_2


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two certificates and their keys: rsa and ec."""
    directory = tmp_path_factory.mktemp("pem")
    self_signed(directory, "rsa")
    self_signed(directory, "ec", algorithm="ec")
    return directory


def refused(cert: Path, key: Path, chain: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        server_context(KeyPair(cert, key, chain))
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("server", "client", "agreed"),
    [
        (AUTO, AUTO, "h2"),
        (HTTP_1, AUTO, "http/1.1"),
        (AUTO, HTTP_1, "http/1.1"),
        (HTTP_2, AUTO, "h2"),
        (AUTO, HTTP_2, "h2"),
        (HTTP_1, HTTP_2, None),
    ],
)
def test_alpn_agrees_on_the_best_version_both_sides_speak(
    pem: Path, server: HttpVersions, client: HttpVersions, agreed: str | None
) -> None:
    accepting = server_context(KeyPair(pem / "rsa.pem", pem / "rsa-key.pem"), http=server)
    connecting = client_context(pem / "rsa.pem", client)
    assert handshake(accepting, connecting).alpn == agreed


@pytest.mark.parametrize("name", ["rsa", "ec"])
def test_over_tls_1_2_only_ephemeral_aead_suites_are_offered(pem: Path, name: str) -> None:
    accepting = server_context(KeyPair(pem / f"{name}.pem", pem / f"{name}-key.pem"))
    older = [cipher for cipher in accepting.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    assert older
    assert all(cipher["name"].startswith("ECDHE-") and cipher["aead"] for cipher in older)

    connecting = client_context(pem / f"{name}.pem")
    connecting.maximum_version = ssl.TLSVersion.TLSv1_2
    agreed = handshake(accepting, connecting)
    assert agreed.tls == "TLSv1.2"
    assert agreed.cipher.startswith("ECDHE-")
    connecting.set_ciphers("AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA")
    with pytest.raises(ssl.SSLError):
        handshake(accepting, connecting)


def test_a_server_neither_compresses_nor_renegotiates_nor_speaks_tls_1_1(pem: Path) -> None:
    context = server_context(KeyPair(pem / "rsa.pem", pem / "rsa-key.pem"))
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_one_file_may_hold_both_certificate_and_key(pem: Path, tmp_path: Path) -> None:
    both = tmp_path / "server.pem"
    both.write_bytes((pem / "ec-key.pem").read_bytes() + (pem / "ec.pem").read_bytes())
    assert handshake(server_context(KeyPair(both, both)), client_context(pem / "ec.pem")).alpn == "h2"


def test_a_chain_in_a_file_of_its_own_is_sent_after_the_certificate(pem: Path) -> None:
    accepting = server_context(KeyPair(pem / "ec.pem", pem / "ec-key.pem", pem / "rsa.pem"))
    connecting = client_context(pem / "ec.pem")
    assert handshake(accepting, connecting).chain_length == 2


def test_an_encrypted_key_is_refused_and_nobody_is_asked(pem: Path, tmp_path: Path) -> None:
    for kind in ("-traditional", "-aes128"):  # PKCS #1 and PKCS #8 say so in different words
        key = tmp_path / f"encrypted{kind}.pem"
        openssl("rsa", "-aes128", "-passout", "pass:secret", "-in", pem / "rsa-key.pem", "-out", key, kind)
        assert refused(pem / "rsa.pem", key) == (
            f"private key {key} is encrypted, and plait takes no passphrase; decrypt it first"
        )


@pytest.mark.parametrize("other", ["ec-key.pem", "another-key.pem"])
def test_a_key_of_another_certificate_is_refused(pem: Path, other: str) -> None:
    self_signed(pem, "another")
    cert, key = pem / "rsa.pem", pem / other
    assert refused(cert, key) == f"private key {key} does not belong to certificate {cert}"


def test_a_file_that_cannot_be_read_is_named(pem: Path, tmp_path: Path) -> None:
    cert, key, missing = pem / "rsa.pem", pem / "rsa-key.pem", tmp_path / "missing.pem"
    assert refused(missing, key) == f"cannot read certificate {missing}: No such file or directory"
    assert refused(cert, missing) == f"cannot read private key {missing}: No such file or directory"
    assert refused(tmp_path, key) == f"cannot read certificate {tmp_path}: Is a directory"
    assert (
        refused(cert, key, missing) == f"cannot read certificate chain {missing}: No such file or directory"
    )


def test_a_file_that_is_not_pem_is_named(pem: Path, tmp_path: Path) -> None:
    cert, key, der = pem / "rsa.pem", pem / "rsa-key.pem", tmp_path / "cert.der"
    openssl("x509", "-in", cert, "-outform", "DER", "-out", der)
    assert refused(der, key) == f"certificate {der} holds no certificate in PEM format"
    assert refused(cert, der) == f"private key {der} holds no private key in PEM format"
    assert refused(key, cert) == f"certificate {key} holds no certificate in PEM format"
    assert refused(cert, key, key) == f"certificate chain {key} holds no certificate in PEM format"


def test_a_damaged_file_is_named(pem: Path, tmp_path: Path) -> None:
    cert, key, bad = pem / "rsa.pem", pem / "rsa-key.pem", tmp_path / "bad.pem"
    for content in (b"MIIB", b"not base64 at all \xff", b""):
        bad.write_bytes(b"-----BEGIN CERTIFICATE-----\n" + content + b"\n-----END CERTIFICATE-----\n")
        assert refused(bad, key) == f"certificate {bad} is damaged"
        assert refused(cert, key, bad) == f"certificate chain {bad} is damaged"
        bad.write_bytes(b"-----BEGIN PRIVATE KEY-----\n" + content + b"\n-----END PRIVATE KEY-----\n")
        assert refused(cert, bad) == f"private key {bad} cannot be used: it is damaged"


def test_a_key_too_small_for_tls_today_is_refused(pem: Path) -> None:
    cert, key = self_signed(pem, "small", algorithm="rsa:512")
    assert refused(cert, key) == f"certificate {cert} is too weak for TLS today: ee key too small"


def test_a_client_refuses_a_server_it_has_no_reason_to_trust(pem: Path) -> None:
    accepting = server_context(KeyPair(pem / "rsa.pem", pem / "rsa-key.pem"))
    for verify in (True, pem / "ec.pem"):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(accepting, client_context(verify))


def test_a_client_refuses_a_certificate_for_another_name(pem: Path) -> None:
    accepting = server_context(KeyPair(pem / "rsa.pem", pem / "rsa-key.pem"))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(accepting, client_context(str(pem / "rsa.pem")), "example.org")


def test_a_client_told_not_to_verify_takes_any_certificate(pem: Path) -> None:
    accepting = server_context(KeyPair(pem / "rsa.pem", pem / "rsa-key.pem"))
    assert handshake(accepting, client_context(False), "example.org").alpn == "h2"


def test_a_given_context_is_used_with_our_alpn_offer(pem: Path) -> None:
    accepting = server_context(KeyPair(pem / "rsa.pem", pem / "rsa-key.pem"))
    given = ssl.create_default_context(cafile=pem / "rsa.pem")
    assert client_context(given, HTTP_1) is given
    assert handshake(accepting, given).alpn == "http/1.1"


def test_authorities_in_a_file_take_the_place_of_the_systems(pem: Path) -> None:
    assert len(client_context(pem / "rsa.pem").get_ca_certs()) == 1


def test_authorities_may_be_a_hashed_directory(pem: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes((pem / "rsa.pem").read_bytes())
    openssl("rehash", tmp_path)
    accepting = server_context(KeyPair(pem / "rsa.pem", pem / "rsa-key.pem"))
    assert handshake(accepting, client_context(tmp_path)).alpn == "h2"


def test_a_file_of_authorities_that_is_none_is_named(pem: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    for content, message in (
        (None, f"cannot read CA file {bad}: No such file or directory"),
        ("nothing here", f"CA file {bad} holds no certificate in PEM format"),
        (
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            f"CA file {bad} holds a damaged certificate",
        ),
    ):
        if content is not None:
            bad.write_text(content)
        with pytest.raises(ConfigError) as caught:
            client_context(bad)
        assert str(caught.value) == message


def test_a_client_pays_for_no_import_beyond_ssl() -> None:
    code = "import sys, plait.drivers.tls; print({'tempfile', 'cryptography', 'asyncio'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
