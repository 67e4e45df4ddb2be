"""Where a server listens: endpoint strings as Twisted writes them, and what the options say.

The grammar is that of ``twisted.internet.endpoints.serverFromString``, so that a string copied
from a ``twist web --listen`` line works as it stands::

    ssl:port=8443:privateKey=privkey.pem:certKey=cert.pem
    tcp:8080:interface=127.0.0.1
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from plait.certificates import CertificatePaths, ensure
from plait.config import ServerConfig
from plait.errors import ConfigError

__all__ = ["Listener", "listeners", "parse"]

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
}
"""The arguments of each type of endpoint, in the order in which Twisted takes them unnamed."""

_REFUSED = {
    "sslmethod": "plait speaks TLS 1.2 and 1.3 only",
    "dhParameters": "plait offers elliptic-curve key exchange only",
}

_EVERY_ADDRESS = {"", "0.0.0.0", "::"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One address to listen on.

    Attributes:
        host: The address.
        port: The TCP port; 0 lets the system choose.
        cert: PEM file of the certificate, or None to serve without TLS.
        key: PEM file of its private key; None exactly when ``cert`` is.
        chain: PEM file of the intermediate certificates when they are not in ``cert``.
        development: The development certificate's files, when ``cert`` is one of them.
        backlog: How many connections may wait to be accepted; the kernel has a limit of its own.
    """

    host: str
    port: int
    cert: Path | None = None
    key: Path | None = None
    chain: Path | None = None
    development: CertificatePaths | None = None
    backlog: int = 2048

    @property
    def tls(self) -> bool:
        """Whether connections here speak TLS."""
        return self.cert is not None


def listeners(config: ServerConfig) -> tuple[Listener, ...]:
    """Say where a server listens, and make the development certificate when it needs one.

    Args:
        config: The endpoint strings, when there are any, take the place of host and port.

    Raises:
        ConfigError: An endpoint string is malformed or contradicts the other options, or the
            development certificate cannot be made.
    """
    if config.listen:
        if config.cert:
            raise ConfigError("--listen names its own certificate, so it goes without --cert and --key")
        found = tuple(parse(description) for description in config.listen)
        if config.insecure and any(listener.tls for listener in found):
            raise ConfigError("--insecure serves without TLS, so --listen takes no ssl endpoint beside it")
        return found
    if config.insecure:
        return (Listener(host=config.host, port=config.port),)
    if config.cert:
        return (Listener(host=config.host, port=config.port, cert=config.cert[0], key=config.key[0]),)
    made = ensure(names=() if config.host in _EVERY_ADDRESS else (config.host,))
    return (Listener(host=config.host, port=config.port, cert=made.cert, key=made.key, development=made),)


def parse(description: str) -> Listener:
    """Read one endpoint string.

    Args:
        description: A ``tcp:`` or ``ssl:`` endpoint in Twisted's grammar: arguments separated by
            colons, named or in Twisted's order, with ``\\`` before a colon, an equals sign or a
            backslash that is meant literally. Paths are relative to the working directory.

    Raises:
        ConfigError: The string is malformed, or asks for what plait does not have.
    """
    positional, named = _split(description)
    if not positional:
        raise _malformed(description, "it does not begin with a type such as tcp: or ssl:")
    kind, *values = positional
    names = _POSITIONS.get(kind)
    if names is None:
        raise ConfigError(
            f"endpoint {description!r}: {kind!r} endpoints are not supported yet, only tcp and ssl are"
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
    if "port" not in arguments:
        raise _malformed(description, "it names no port")
    listener = Listener(
        # Without an interface Twisted listens on every IPv4 address of the machine.
        host=arguments.get("interface") or "0.0.0.0",
        port=_number(description, "port", arguments["port"], range(65536)),
        backlog=_number(description, "backlog", arguments.get("backlog", "2048"), range(1, 2**31)),
    )
    if kind == "tcp":
        return listener
    files = {
        # Twisted's default is a file with both parts in the working directory.
        name: _path(description, name, arguments.get(name, "server.pem"))
        for name in ("privateKey", "certKey", "extraCertChain")
        if name in arguments or name == "privateKey"
    }
    return replace(
        listener,
        cert=files.get("certKey", files["privateKey"]),
        key=files["privateKey"],
        chain=files.get("extraCertChain"),
    )


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


def _number(description: str, name: str, text: str, allowed: range) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) in allowed):
        raise _malformed(description, f"{name} is {text!r}, not a number from {allowed[0]} to {allowed[-1]}")
    return int(text)


def _path(description: str, name: str, text: str) -> Path:
    if not text or "\0" in text:
        raise _malformed(description, f"{name} is {text!r}, not the name of a file")
    return Path(text)


def _malformed(description: str, why: str) -> ConfigError:
    return ConfigError(f"malformed endpoint {description!r}: {why}")
