from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.endpoints import _parse as twisted_parse
from twisted.internet.endpoints import _parseTCP, quoteStringArgument

from plait.drivers.server_tls import KeyPair
from plait.errors import ConfigError
from plait.server.endpoints import Activated, Inherited, Listener, Tcp, Unix, _split, listeners, parse
from plait.server_config import ClientCertificates, ServerConfig


def refused(description: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(description)
    return str(caught.value)


def test_the_string_of_the_twisted_experiment_works_as_it_stands() -> None:
    listener = parse("ssl:port=8080:privateKey=privkey.pem:certKey=cert.pem")
    assert listener.address == Tcp("0.0.0.0", 8080)
    assert listener.certificates == (KeyPair(Path("cert.pem"), Path("privkey.pem")),)
    assert listener.tls


@pytest.mark.parametrize("description", ["tcp:8080", "tcp:port=8080", "tcp:8080:interface=", "tcp:8080:"])
def test_tcp_listens_without_tls_on_every_ipv4_address(description: str) -> None:
    listener = parse(description)
    assert listener == Listener(address=Tcp("0.0.0.0", 8080), description=description)
    assert not listener.tls


@pytest.mark.parametrize(
    ("description", "host", "port", "backlog"),
    [
        ("tcp:80:interface=127.0.0.1", "127.0.0.1", 80, 2048),
        ("tcp:80:127.0.0.1:5", "127.0.0.1", 80, 5),
        (r"tcp:port=0:interface=\:\:1", "::1", 0, 2048),
        ("tcp:backlog=10:interface=localhost:port=65535", "localhost", 65535, 10),
    ],
)
def test_tcp_arguments_go_by_name_or_by_position(
    description: str, host: str, port: int, backlog: int
) -> None:
    listener = parse(description)
    assert (listener.address, listener.backlog) == (Tcp(host, port), backlog)


def test_ssl_arguments_go_by_position_too() -> None:
    listener = parse("ssl:443:key.pem:cert.pem:extraCertChain=chain.pem:interface=10.0.0.1")
    assert listener.address == Tcp("10.0.0.1", 443)
    assert listener.certificates == (KeyPair(Path("cert.pem"), Path("key.pem"), Path("chain.pem")),)


def test_the_key_file_holds_the_certificate_unless_another_is_named() -> None:
    listener = parse("ssl:443:privateKey=both.pem")
    assert listener.certificates == (KeyPair(Path("both.pem"), Path("both.pem")),)


def test_without_a_key_file_it_is_server_pem() -> None:
    key = Path("server.pem")
    assert parse("ssl:443").certificates == (KeyPair(key, key),)
    assert parse("ssl:443:certKey=c.pem").certificates == (KeyPair(Path("c.pem"), key),)


def test_without_files_of_its_own_ssl_has_the_certificates_of_the_options() -> None:
    given = (KeyPair(Path("a"), Path("b")), KeyPair(Path("c"), Path("d")))
    assert parse("ssl:443", given).certificates == given
    assert parse("ssl:443:privateKey=k", given).certificates == (KeyPair(Path("k"), Path("k")),)
    assert parse("tcp:443", given).certificates == ()


@pytest.mark.parametrize(
    ("description", "address"),
    [
        ("unix:/run/a.sock", Unix(Path("/run/a.sock"))),
        ("unix:/run/a.sock:mode=660", Unix(Path("/run/a.sock"), 0o660)),
        ("unix:a.sock:600:lockfile=0", Unix(Path("a.sock"), 0o600, lock=False)),
        ("unix:address=a.sock:lockfile=1", Unix(Path("a.sock"))),
        ("fd:3", Inherited(3)),
        ("fd:fileno=14", Inherited(14)),
        ("systemd:domain=INET:index=0", Activated(0, "INET")),
        ("systemd:INET6:1", Activated(1, "INET6")),
        ("systemd:domain=UNIX:name=web", Activated("web", "UNIX")),
        ("systemd:index=2", Activated(2)),
    ],
)
def test_sockets_in_the_file_system_and_sockets_that_are_open_already(
    description: str, address: object
) -> None:
    listener = parse(description)
    assert listener.address == address
    assert not listener.tls
    given = (KeyPair(Path("a"), Path("b")),)
    assert parse(f"{description}:tls=yes", given).certificates == given


def test_a_backslash_takes_the_next_character_literally() -> None:
    (pair,) = parse(r"ssl:443:privateKey=C\:/a\=b\\c.pem").certificates
    assert pair.key == Path(r"C:/a=b\c.pem")


@pytest.mark.parametrize(
    ("description", "complaint"),
    [
        ("", "there are no '' endpoints"),
        ("=tcp", "it does not begin with a type"),
        ("port=80", "it does not begin with a type"),
        ("tcp", "it names no port"),
        ("tcp:interface=127.0.0.1", "it names no port"),
        ("tcp:", "port is '', not a number"),
        ("tcp:http", "port is 'http', not a number"),
        ("tcp:-1", "port is '-1', not a number"),
        ("tcp:65536", "port is '65536', not a number from 0 to 65535"),
        ("tcp:8_0", "port is '8_0', not a number"),
        ("tcp:٨٠", "not a number"),
        ("tcp:" + "9" * 5000, "not a number"),
        ("tcp:80:backlog=0", "backlog is '0', not a number from 1"),
        ("tcp:80:port=81", "port is given twice"),
        ("tcp:port=80:port=81", "port is given twice"),
        ("tcp:80:privateKey=key.pem", "tcp has no argument 'privateKey'"),
        ("ssl:443:privatekey=key.pem", "ssl has no argument 'privatekey'"),
        ("tcp:80:127.0.0.1:5:6", "'6' is one argument too many"),
        ("tcp:80\\", "it ends in a backslash that escapes nothing"),
        ("ssl:443:privateKey=key.pem\\", "it ends in a backslash that escapes nothing"),
        ("ssl:443:privateKey=", "privateKey is '', not the name of a file"),
        ("ssl:443:certKey=\0", "certKey is '\\x00', not the name of a file"),
        ("ssl:443:sslmethod=TLSv1_METHOD", "sslmethod is not supported"),
        ("ssl:443:dhParameters=dh.pem", "dhParameters is not supported"),
        ("TCP:80", "there are no 'TCP' endpoints, only tcp, ssl, unix, fd and systemd"),
        ("unix", "it names no path"),
        ("unix:", "address is '', not the name of a file"),
        ("unix:a:mode=888", "mode is '888', not permissions"),
        ("unix:a:mode=1777", "mode is '1777', not permissions"),
        ("unix:a:lockfile=perhaps", "lockfile is 'perhaps', neither yes nor no"),
        ("unix:a:tls=yes", "tls needs --cert and --key"),
        ("fd", "it names no fileno"),
        ("fd:stdin", "fileno is 'stdin', not a number"),
        ("systemd", "it takes either an index or a name"),
        ("systemd:index=0:name=web", "it takes either an index or a name"),
        ("systemd:domain=IPX:index=0", "domain is 'IPX', not INET, INET6 or UNIX"),
        ("systemd:INET:first", "index is 'first', not a number"),
    ],
)
def test_a_bad_endpoint_string_gets_one_sentence_that_quotes_it(description: str, complaint: str) -> None:
    message = refused(description)
    assert complaint in message
    assert f"endpoint {description!r}: " in message
    assert "\n" not in message


@given(st.text("ab:=\\", max_size=12) | st.text(st.characters(codec="ascii"), max_size=20))
@example("a=b=c")
@example("a:=")
@example("\\")
def test_strings_are_split_as_twisted_splits_them(description: str) -> None:
    try:
        expected = twisted_parse(description)
    except RuntimeError:  # its own answer to a backslash at the end
        expected = None
    try:
        found = _split(description)
    except ConfigError as error:
        if "is given twice" in str(error):  # where Twisted lets the last value win, without a word
            return
        found = None
    assert found == expected


@given(
    port=st.integers(0, 65535),
    interface=st.text(min_size=1),
    backlog=st.integers(1, 2**31 - 1),
)
def test_what_twisted_quotes_and_reads_is_read_the_same_here(port: int, interface: str, backlog: int) -> None:
    description = f"tcp:{port}:interface={quoteStringArgument(interface)}:backlog={backlog}"
    (_, *values), named = twisted_parse(description)
    (their_port, _), their_options = _parseTCP(None, *values, **named)
    listener = parse(description)
    assert listener.address == Tcp(interface, their_port)
    assert listener.backlog == their_options["backlog"]
    assert their_options["interface"] == interface


def test_without_endpoint_strings_host_port_and_files_are_used() -> None:
    config = ServerConfig(host="::1", port=1, cert=(Path("c.pem"),), key=(Path("k.pem"),))
    pairs = (KeyPair(Path("c.pem"), Path("k.pem")),)
    assert listeners(config) == (Listener(address=Tcp("::1", 1), certificates=pairs),)


def test_insecure_listens_without_tls_and_makes_no_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert listeners(ServerConfig(insecure=True)) == (Listener(address=Tcp("127.0.0.1", 8443)),)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("host", "named"),
    [("127.0.0.1", ()), ("", ()), ("0.0.0.0", ()), ("::", ()), ("192.0.2.7", ("192.0.2.7",))],
)
def test_without_a_certificate_the_development_certificate_is_made_for_the_host(
    host: str, named: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plait.certificates.default_directory", lambda: tmp_path)
    (listener,) = listeners(ServerConfig(host=host))
    assert listener.certificates == (KeyPair(tmp_path / "cert.pem", tmp_path / "key.pem"),)
    assert listener.development is not None
    assert listener.development.ca == tmp_path / "ca.pem"
    assert listener.development.names == ("localhost", "127.0.0.1", "::1", *named)


def test_every_endpoint_string_becomes_a_listener() -> None:
    config = ServerConfig(listen=("tcp:80", "ssl:443:both.pem"))
    assert listeners(config) == (parse("tcp:80"), parse("ssl:443:both.pem"))


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (ServerConfig(listen=("tcp:80",), cert=(Path("c"),), key=(Path("k"),)), "--cert is of no use"),
        (ServerConfig(listen=("tcp:80", "ssl:443"), insecure=True), "takes no ssl endpoint beside it"),
        (
            ServerConfig(listen=("tcp:80",), client_ca=Path("c"), client_cert=ClientCertificates.REQUIRED),
            "--client-cert asks nobody",
        ),
    ],
)
def test_options_that_contradict_endpoint_strings_are_refused(config: ServerConfig, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        listeners(config)
