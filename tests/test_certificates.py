from __future__ import annotations

import json
import os
import shlex
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plait.certificates import CertificatePaths, Change, curl_line, ensure, identity
from plait.config import HttpVersions
from plait.drivers.server_tls import KeyPair, server_context
from plait.drivers.tls import client_context
from plait.errors import ConfigError
from tests.support.handshake import handshake
from tests.support.openssl import openssl, self_signed

NOW = datetime(2030, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FILES = ["ca-key.pem", "ca.pem", "cert.pem", "issued.json", "key.pem"]


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def loaded(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names_in(path: Path) -> list[str]:
    alternatives = loaded(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in alternatives]


def usable(paths: CertificatePaths, name: str = "localhost") -> bool:
    return (
        handshake(server_context(KeyPair(paths.cert, paths.key)), client_context(paths.ca), name).alpn == "h2"
    )


def refused(directory: Path, *names: str, force: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        ensure(directory, names, force=force)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_openssl_verifies_the_certificate_for_each_of_its_names(tmp_path: Path) -> None:
    made = ensure(tmp_path, ["books.test", "*.shop.test", "192.0.2.7", "bücher.test"])
    verify = ("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", made.ca)
    for host in ("localhost", "books.test", "a.shop.test", "xn--bcher-kva.test"):
        assert openssl(*verify, "-verify_hostname", host, made.cert).endswith(": OK\n")
    for address in ("127.0.0.1", "::1", "192.0.2.7"):
        assert openssl(*verify, "-verify_ip", address, made.cert).endswith(": OK\n")
    assert "hostname mismatch" in openssl(*verify, "-verify_hostname", "other.test", made.cert, check=False)


def test_dates_stay_within_what_browsers_take(tmp_path: Path) -> None:
    made = ensure(tmp_path, now=NOW)
    leaf, authority = loaded(made.cert), loaded(made.ca)
    assert leaf.not_valid_before_utc == authority.not_valid_before_utc == NOW - DAY
    assert leaf.not_valid_after_utc == made.not_after == NOW + 396 * DAY
    assert authority.not_valid_after_utc == NOW + 3650 * DAY


def test_trust_stores_list_the_authority_by_its_name(tmp_path: Path) -> None:
    made = ensure(tmp_path)
    assert loaded(made.ca).subject.rfc4514_string() == f"CN={made.authority},O=plait"
    assert loaded(made.ca).issuer == loaded(made.ca).subject == loaded(made.cert).issuer


def test_the_authority_issues_certificates_and_no_further_authorities(tmp_path: Path) -> None:
    extensions = loaded(ensure(tmp_path).ca).extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)


def test_curl_trusts_a_server_by_the_line_printed_for_it(tmp_path: Path) -> None:
    class Hello(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    made = ensure(tmp_path / "a directory")
    with HTTPServer(("127.0.0.1", 0), Hello) as server:
        context = server_context(KeyPair(made.cert, made.key), http=HttpVersions.HTTP_1)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            command = shlex.split(curl_line(made, "127.0.0.1", server.server_port))
            done = subprocess.run([*command, "-sS", "--noproxy", "*"], capture_output=True, check=False)
            assert (done.stdout, done.stderr, done.returncode) == (b"hello", b"", 0)
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "https://localhost:8443/"),
        ("0.0.0.0", "https://localhost:8443/"),
        ("::", "https://localhost:8443/"),
        ("books.test", "https://books.test:8443/"),
        ("::1", "'https://[::1]:8443/'"),
    ],
)
def test_the_curl_line_is_ready_for_a_shell(host: str, url: str, tmp_path: Path) -> None:
    made = ensure(tmp_path)
    assert curl_line(made, host, 8443) == f"curl --cacert {tmp_path}/ca.pem {url}"


def test_keys_and_directory_are_for_their_user_alone_whatever_the_umask(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "plait"
    before = os.umask(0)
    try:
        ensure(directory)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes == {
        "ca-key.pem": 0o600,
        "ca.pem": 0o644,
        "cert.pem": 0o644,
        "issued.json": 0o600,
        "key.pem": 0o600,
    }
    assert directory.stat().st_mode & 0o777 == 0o700


def test_keys_are_never_readable_by_others_on_their_way_to_disk(tmp_path: Path) -> None:
    code = f"""
import os, sys
directory = {str(tmp_path)!r}
os.umask(0)
def watch(event, arguments):
    if event in ("os.chmod", "os.rename"):  # the first comes when a file is written, as it was created
        modes = {{name: os.stat(os.path.join(directory, name)).st_mode for name in os.listdir(directory)}}
        assert not any(mode & 0o077 for name, mode in modes.items() if "key" in name), modes
        if event == "os.rename":
            print(os.path.basename(arguments[1]))
sys.addaudithook(watch)
from plait.certificates import ensure
ensure(directory)
"""
    output = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert sorted(output.split()) == FILES


def test_a_second_call_changes_nothing_and_imports_no_cryptography(tmp_path: Path) -> None:
    ensure(tmp_path, ["books.test"])
    before = contents(tmp_path)
    code = (
        f"import sys; from plait.certificates import ensure; print(ensure({str(tmp_path)!r}).change.value,"
        " {'cryptography', 'trustme', 'platformdirs', 'idna', 'tempfile'} & {*sys.modules})"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "nothing set()\n"
    assert contents(tmp_path) == before


def test_the_default_is_a_directory_of_the_users_data(tmp_path: Path) -> None:
    code = "from plait.certificates import ensure; print(ensure().ca)"
    environment = os.environ | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    output = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)
    assert Path(output.strip()).is_relative_to(tmp_path)
    assert Path(output.strip()).parent.name == "plait"


def test_the_certificate_is_renewed_in_its_last_month_by_the_same_authority(tmp_path: Path) -> None:
    first = ensure(tmp_path, ["books.test"], now=NOW)
    authority, old = first.ca.read_bytes(), first.cert.read_bytes()
    almost = first.not_after - 30 * DAY
    assert ensure(tmp_path, now=almost).change is Change.NOTHING
    second = ensure(tmp_path, now=almost + timedelta(seconds=1))
    assert second.change is Change.CERTIFICATE_RENEWED
    assert second.ca.read_bytes() == authority
    assert second.cert.read_bytes() != old
    assert second.not_after > first.not_after
    assert second.authority == first.authority
    assert "books.test" in second.names
    assert openssl("verify", "-CAfile", second.ca, "-no_check_time", second.cert).endswith(": OK\n")


def test_the_authority_is_renewed_in_its_last_month(tmp_path: Path) -> None:
    first = ensure(tmp_path, ["books.test"], now=NOW)
    authority = first.ca.read_bytes()
    later = NOW + 3650 * DAY - 29 * DAY
    second = ensure(tmp_path, now=later)
    assert second.change is Change.AUTHORITY_RENEWED
    assert second.ca.read_bytes() != authority
    assert second.authority != first.authority
    assert "books.test" in second.names
    assert openssl("verify", "-CAfile", second.ca, "-no_check_time", second.cert).endswith(": OK\n")
    assert ensure(tmp_path, now=later).change is Change.NOTHING


def test_a_certificate_never_outlives_its_authority(tmp_path: Path) -> None:
    ensure(tmp_path, now=NOW)
    late = NOW + 3650 * DAY - 100 * DAY
    made = ensure(tmp_path, now=late)
    assert made.change is Change.CERTIFICATE_RENEWED
    assert made.not_after == NOW + 3650 * DAY
    assert loaded(made.cert).not_valid_after_utc == loaded(made.ca).not_valid_after_utc


def test_a_new_name_is_added_to_those_that_were_there(tmp_path: Path) -> None:
    first = ensure(tmp_path, ["a.test"])
    authority = first.ca.read_bytes()
    second = ensure(tmp_path, ["b.test"])
    assert second.change is Change.CERTIFICATE_RENEWED
    assert second.ca.read_bytes() == authority
    assert sorted(names_in(second.cert)) == sorted(second.names)
    assert {*second.names} == {"localhost", "127.0.0.1", "::1", "a.test", "b.test"}
    assert usable(second, "a.test")
    assert ensure(tmp_path, ["A.test", "b.test."]).change is Change.NOTHING


def test_without_the_authoritys_key_the_certificate_is_used_until_another_is_needed(tmp_path: Path) -> None:
    made = ensure(tmp_path)
    made.ca_key.unlink()
    assert ensure(tmp_path).change is Change.NOTHING
    again = ensure(tmp_path, ["a.test"])
    assert again.change is Change.AUTHORITY_RENEWED
    assert usable(again, "a.test")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ca.pem", Change.AUTHORITY_RENEWED),
        ("cert.pem", Change.CERTIFICATE_RENEWED),
        ("key.pem", Change.CERTIFICATE_RENEWED),
    ],
)
def test_a_file_that_was_deleted_is_made_again(tmp_path: Path, name: str, change: Change) -> None:
    ensure(tmp_path)
    (tmp_path / name).unlink()
    made = ensure(tmp_path)
    assert made.change is change
    assert usable(made)


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem", "cert.pem", "key.pem"])
def test_a_file_of_somebody_elses_is_never_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    assert refused(tmp_path) == (
        f"{tmp_path / name} was not made by plait cert, or was changed since; "
        "--force writes over it, --out chooses another directory"
    )
    assert contents(tmp_path) == {name: b"precious"}


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
def test_a_file_of_ours_that_was_replaced_is_never_written_over(tmp_path: Path, name: str) -> None:
    ensure(tmp_path)
    (tmp_path / name).write_text("precious")
    before = contents(tmp_path)
    assert str(tmp_path / name) in refused(tmp_path)
    assert contents(tmp_path) == before


def test_force_starts_over_and_forgets_the_names(tmp_path: Path) -> None:
    _, key = self_signed(tmp_path, "cert")
    key.rename(tmp_path / "key.pem")
    first = ensure(tmp_path, ["a.test"], force=True)
    assert first.change is Change.CREATED
    assert usable(first, "a.test")
    second = ensure(tmp_path, force=True)
    assert second.change is Change.AUTHORITY_RENEWED
    assert second.authority != first.authority
    assert "a.test" not in second.names
    assert usable(second)
    assert sorted(contents(tmp_path)) == FILES


@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"null", b"[1]", b'"x"', b"\xff", b"[" * 100_000, b"names", b"not_after", b"sha256"],
    ids=lambda damage: damage[:10].decode("latin-1"),
)
def test_files_whose_record_is_lost_or_damaged_count_as_somebody_elses(tmp_path: Path, damage: bytes) -> None:
    made = ensure(tmp_path)
    record = tmp_path / "issued.json"
    if damage in (b"names", b"not_after", b"sha256"):
        record.write_text(json.dumps(json.loads(record.read_bytes()) | {damage.decode(): 7}))
    else:
        record.write_bytes(damage)
    before = contents(tmp_path)
    assert "was not made by plait cert" in refused(tmp_path)
    assert contents(tmp_path) == before
    assert usable(ensure(tmp_path, force=True))
    assert made.ca.exists()


@pytest.mark.parametrize("survivors", range(5))
@pytest.mark.parametrize(
    "step", [timedelta(), 380 * DAY, 3640 * DAY], ids=["new name", "certificate", "authority"]
)
def test_a_renewal_cut_short_anywhere_is_taken_up_again(
    tmp_path: Path, survivors: int, step: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    ensure(tmp_path, now=now - step)
    replace, written = os.replace, []

    def power_cut(source: str, target: Path) -> None:
        if len(written) == survivors:
            raise KeyboardInterrupt
        replace(source, target)
        written.append(target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", power_cut)
        for _ in range(2):  # even twice in a row
            written.clear()
            try:
                ensure(tmp_path, ["a.test"], now=now)
            except KeyboardInterrupt:
                pass
    assert usable(ensure(tmp_path, ["a.test"], now=now), "a.test")
    assert sorted(contents(tmp_path)) == FILES


def test_processes_that_start_together_end_with_one_certificate_for_all(tmp_path: Path) -> None:
    directory = tmp_path / "plait"
    code = (
        "import sys; from plait.certificates import ensure\n"
        "input(); print(ensure(sys.argv[1], [sys.argv[2]]).authority)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, directory, f"n{number}.test"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    authorities = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0] * 4
    assert len(authorities) == 1
    made = ensure(directory, [f"n{number}.test" for number in range(4)])
    assert made.change is Change.NOTHING
    assert all(usable(made, f"n{number}.test") for number in range(4))
    assert sorted(contents(directory)) == FILES


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("precious")
    for force in (False, True):
        assert refused(place, force=force) == (
            f"{place} is not a directory, so no certificate can be kept there"
        )
    assert refused(place / "below") == f"cannot keep a certificate: {place / 'below'}: Not a directory"
    assert place.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert refused(tmp_path).endswith(": Permission denied")
    tmp_path.chmod(0o700)


def test_a_directory_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").mkdir()
    message = f"cannot keep a certificate: {tmp_path / 'cert.pem'}: Is a directory"
    assert refused(tmp_path) == message
    assert refused(tmp_path, force=True) == message


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("localhost", "localhost"),
        ("Books.Test", "books.test"),
        ("books.test.", "books.test"),
        ("*.books.test", "*.books.test"),
        ("bücher.test", "xn--bcher-kva.test"),
        ("*.bücher.test", "*.xn--bcher-kva.test"),
        ("xn--bcher-kva.test", "xn--bcher-kva.test"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("1.test", "1.test"),
    ],
)
def test_a_name_is_brought_to_the_form_it_has_in_a_certificate(name: str, inside: str) -> None:
    assert identity(name) == inside


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            " ",
            ".",
            "..",
            "*",
            "*.",
            "a b",
            " a",
            "a..b",
            ".a",
            "a.*",
            "*.*.a",
            "a*.b",
            "-a",
            "a-",
            "a_b",
        ),
        *("10.0.0.0/8", "::/0", "fe80::1%eth0", "[::1]", "me@books.test", "https://books.test", "a:80"),
        *(
            "1.2.3",
            "256.1.1.1",
            "*.1.1",
            "1",
            "a\n",
            "a\0",
            "a" * 64,
            "a." * 127 + "a",
            "xn--a",
            "\ud800",
            "ab--c",
        ),
    ],
)
def test_what_is_no_name_is_refused_and_nothing_is_made(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path / "new", name) == f"{name!r} is neither a host name nor an IP address"
    assert not (tmp_path / "new").exists()


@given(name=st.text(max_size=20) | st.ip_addresses().map(str) | st.text("ab1.-*:ü", max_size=20))
@example("0.0.0.0")
@example("0..")
@example("a\N{IDEOGRAPHIC FULL STOP}")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_is_refused_in_one_sentence_or_comes_out_of_the_certificate(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    try:
        inside = identity(name)
    except ConfigError:
        with pytest.raises(ConfigError, match=r"\A.* is neither a host name nor an IP address\Z"):
            ensure(names=[name])
        return
    assert identity(inside) == inside
    made = ensure(tmp_path_factory.mktemp("names"), [name])
    assert inside in names_in(made.cert)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(made.cert, made.key)
