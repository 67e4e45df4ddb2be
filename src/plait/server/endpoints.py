"""Where a server listens: endpoint strings as Twisted writes them, and what the options say.

The grammar is that of ``twisted.internet.endpoints.serverFromString``, so that a string copied
from a ``twist web --listen`` line works as it stands::

    ssl:port=8443:privateKey=privkey.pem:certKey=cert.pem
    tcp:8080:interface=127.0.0.1
    unix:/run/plait/web.sock:mode=660
    systemd:domain=INET:index=0

``fd:3`` is plait's own: a socket that whoever started the process has opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plait.certificates import CertificatePaths, ensure
from plait.drivers.server_tls import KeyPair
from plait.errors import ConfigError
from plait.server_config import ServerConfig

__all__ = ["Activated", "Address", "Inherited", "Listener", "Tcp", "Unix", "listeners", "parse"]

_POSITIONS = {
    "tcp": ("port", "interface", "backlog"),
    "ssl": (
        "port",
        "privateKey",
        "certKey",
        "sslmethod",
        "interface",
        "backlog",
        "extraCertChain",
        "dhParameters",
    ),
    "unix": ("address", "mode", "backlog", "lockfile", "tls"),
    "fd": ("fileno", "backlog", "tls"),
    "systemd": ("domain", "index", "name", "backlog", "tls"),
}
"""The arguments of each type of endpoint, in the order in which Twisted takes them unnamed."""

_REFUSED = {
    "sslmethod": "plait speaks TLS 1.2 and 1.3 only",
    "dhParameters": "plait offers elliptic-curve key exchange only",
}

#: What stands for every address of the machine; "" for those of IPv4 and of IPv6.
EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})

_NO, _YES = ("0", "no", "false"), ("1", "yes", "true")


@dataclass(frozen=True, slots=True)
class Tcp:
    """A TCP port.

    Attributes:
        host: An address, or a name, which stands for all of its addresses; "" for every address.
        port: The port; 0 lets the system choose.
    """

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Unix:
    """A socket in the file system.

    Attributes:
        path: Its file.
        mode: The permissions of the file.
        lock: Whether ``PATH.lock`` keeps two servers from taking the socket from each other.
    """

    path: Path
    mode: int = 0o666
    lock: bool = True


@dataclass(frozen=True, slots=True)
class Inherited:
    """A socket that this process was started with.

    Attributes:
        number: Its descriptor.
    """

    number: int


@dataclass(frozen=True, slots=True)
class Activated:
    """A socket that systemd has opened (sd_listen_fds(3)).

    Attributes:
        which: Its place among those handed over, from 0, or its name.
        domain: The family it must have, INET, INET6 or UNIX; "" for any.
    """

    which: int | str
    domain: str = ""


Address = Tcp | Unix | Inherited | Activated


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One address to listen on.

    Attributes:
        address: Where.
        certificates: What to serve TLS with, the default first; empty to serve without TLS.
        development: The development certificate's files, when that is what is served.
        backlog: How many connections may wait to be accepted; the kernel has a limit of its own.
        description: The endpoint string, when there is one.
    """

    address: Address
    certificates: tuple[KeyPair, ...] = ()
    development: CertificatePaths | None = None
    backlog: int = 2048
    description: str = ""

    @property
    def tls(self) -> bool:
        """Whether connections here speak TLS."""
        return bool(self.certificates)


def listeners(config: ServerConfig) -> tuple[Listener, ...]:
    """Say where a server listens, and make the development certificate when it needs one.

    Args:
        config: The endpoint strings, when there are any, take the place of host and port.

    Raises:
        ConfigError: An endpoint string is malformed or contradicts the other options, or the
            development certificate cannot be made.
    """
    given = tuple(KeyPair(cert, key) for cert, key in zip(config.cert, config.key, strict=True))
    if config.listen:
        found = tuple(parse(description, given) for description in config.listen)
        if config.insecure and any(listener.tls for listener in found):
            raise ConfigError("--insecure serves without TLS, so --listen takes no ssl endpoint beside it")
        if given and not any(listener.certificates == given for listener in found):
            raise ConfigError("--cert is of no use: no --listen endpoint is TLS without a key of its own")
        if config.client_ca is not None and not any(listener.tls for listener in found):
            raise ConfigError("--client-cert asks nobody: no --listen endpoint is TLS")
        return found
    address = Tcp(config.host, config.port)
    if config.insecure or given:
        return (Listener(address=address, certificates=given),)
    made = ensure(names=() if config.host in EVERY_ADDRESS else (config.host,))
    return (Listener(address=address, certificates=(KeyPair(made.cert, made.key),), development=made),)


def parse(description: str, given: tuple[KeyPair, ...] = ()) -> Listener:
    """Read one endpoint string.

    Args:
        description: An endpoint in Twisted's grammar: a type, such as ``tcp``, and arguments separated
            by colons, named or in Twisted's order, with ``\\`` before a colon, an equals sign or a
            backslash that is meant literally. Paths are relative to the working directory.
        given: The certificates of an endpoint that is to speak TLS and names none.

    Raises:
        ConfigError: The string is malformed, or asks for what plait does not have.
    """
    kind, arguments = _arguments(description)
    certificates: tuple[KeyPair, ...] = ()
    address: Address
    if kind in ("tcp", "ssl"):
        # Without an interface Twisted listens on every IPv4 address of the machine.
        host = arguments.get("interface") or "0.0.0.0"
        address = Tcp(host, _number(description, "port", _required(description, arguments, "port"), 65535))
        if kind == "ssl":
            certificates = _certificates(description, arguments, given)
    else:
        if kind == "unix":
            path = _path(description, "address", _required(description, arguments, "address"))
            lock = _yes_or_no(description, "lockfile", arguments.get("lockfile", "1"))
            address = Unix(path, _mode(description, arguments.get("mode", "666")), lock)
        elif kind == "fd":
            fileno = _required(description, arguments, "fileno")
            address = Inherited(_number(description, "fileno", fileno, 2**31 - 1))
        else:
            address = _activated(description, arguments)
        if _yes_or_no(description, "tls", arguments.get("tls", "0")):
            if not given:
                raise ConfigError(f"endpoint {description!r}: tls needs --cert and --key")
            certificates = given
    backlog = _number(description, "backlog", arguments.get("backlog", "2048"), 2**31 - 1, at_least=1)
    return Listener(address=address, certificates=certificates, backlog=backlog, description=description)


def _arguments(description: str) -> tuple[str, dict[str, str]]:
    """Take an endpoint string apart: its type, and its arguments by name."""
    positional, named = _split(description)
    if not positional:
        raise _malformed(description, "it does not begin with a type such as tcp: or ssl:")
    kind, *values = positional
    names = _POSITIONS.get(kind)
    if names is None:
        *others, last = _POSITIONS
        raise ConfigError(
            f"endpoint {description!r}: there are no {kind!r} endpoints, only {', '.join(others)} and {last}"
        )
    if len(values) > len(names):
        raise _malformed(description, f"{values[len(names)]!r} is one argument too many")
    arguments = dict(zip(names, values, strict=False))
    for name, value in named.items():
        if name not in names:
            raise _malformed(description, f"{kind} has no argument {name!r}")
        if name in arguments:
            raise _malformed(description, f"{name} is given twice")
        arguments[name] = value
    for name, reason in _REFUSED.items():
        if name in arguments:
            raise ConfigError(f"endpoint {description!r}: {name} is not supported, because {reason}")
    return kind, arguments


def _certificates(
    description: str, arguments: dict[str, str], given: tuple[KeyPair, ...]
) -> tuple[KeyPair, ...]:
    files = {
        name: _path(description, name, arguments[name])
        for name in ("privateKey", "certKey", "extraCertChain")
        if name in arguments
    }
    if not files and given:
        return given
    # Twisted's default is a file with both parts in the working directory.
    key = files.get("privateKey", Path("server.pem"))
    return (KeyPair(files.get("certKey", key), key, files.get("extraCertChain")),)


def _activated(description: str, arguments: dict[str, str]) -> Activated:
    domain = arguments.get("domain", "")
    if domain not in ("", "INET", "INET6", "UNIX"):
        raise _malformed(description, f"domain is {domain!r}, not INET, INET6 or UNIX")
    if ("name" in arguments) == ("index" in arguments):
        raise _malformed(description, "it takes either an index or a name")
    if "name" in arguments:
        return Activated(arguments["name"], domain)
    return Activated(_number(description, "index", arguments["index"], 65535), domain)


def _split(description: str) -> tuple[list[str], dict[str, str]]:
    """Split an endpoint string into its positional and its named arguments, unescaped."""
    positional: list[str] = []
    named: dict[str, str] = {}
    name: str | None = None
    text = ""
    characters = iter(description + ":")  # the end ends an argument as a colon does
    for character in characters:
        if character == "\\":
            text += next(characters)
        elif character == "=" and name is None:
            name, text = text, ""
        elif character != ":":
            text += character  # a second equals sign belongs to the value
        elif name is None:
            positional.append(text)
            text = ""
        elif name in named:
            raise _malformed(description, f"{name} is given twice")
        else:
            named[name] = text
            name, text = None, ""
    if text or name is not None:
        raise _malformed(description, "it ends in a backslash that escapes nothing")
    return positional, named


def _required(description: str, arguments: dict[str, str], name: str) -> str:
    if name not in arguments:
        raise _malformed(description, f"it names no {'path' if name == 'address' else name}")
    return arguments[name]


def _number(description: str, name: str, text: str, at_most: int, *, at_least: int = 0) -> int:
    allowed = range(at_least, at_most + 1)
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) in allowed):
        raise _malformed(description, f"{name} is {text!r}, not a number from {at_least} to {at_most}")
    return int(text)


def _mode(description: str, text: str) -> int:
    if not (text and len(text) <= 4 and set(text) <= set("01234567") and int(text, 8) <= 0o777):
        raise _malformed(description, f"mode is {text!r}, not permissions such as 660")
    return int(text, 8)


def _yes_or_no(description: str, name: str, text: str) -> bool:
    if text.lower() not in (*_NO, *_YES):
        raise _malformed(description, f"{name} is {text!r}, neither yes nor no")
    return text.lower() in _YES


def _path(description: str, name: str, text: str) -> Path:
    if not text or "\0" in text:
        raise _malformed(description, f"{name} is {text!r}, not the name of a file")
    return Path(text)


def _malformed(description: str, why: str) -> ConfigError:
    return ConfigError(f"malformed endpoint {description!r}: {why}")
