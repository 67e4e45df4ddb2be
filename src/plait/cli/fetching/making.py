"""The client that the options ask for."""

from __future__ import annotations

import os
import re
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from plait.cli.fetching.options import Given
from plait.client.auth import AuthInput, BearerAuth, NetrcAuth
from plait.errors import ConfigError

if TYPE_CHECKING:
    from plait.client.async_client import AsyncClient

__all__ = ["client_for", "who_asks"]

#: Host and port, None for any; host and port to connect to instead, None for the same.
Rule = tuple[str | None, int | None, str | None, int | None]

_HOST = r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)"
_RESOLVE = re.compile(rf"\+?{_HOST}:([0-9]{{1,5}}):(\[?[0-9A-Fa-f:.]+\]?)").fullmatch
_CONNECT_TO = re.compile(rf"{_HOST}:([0-9]{{0,5}}):{_HOST}:([0-9]{{0,5}})").fullmatch
#: Redirects that are followed where any number is allowed.
_ANY_NUMBER = 1_000_000


def who_asks(given: Given) -> AuthInput:
    """Return who asks; a password that was not given is asked for.

    Raises:
        ConfigError: There can be only one.
    """
    ways = [given.user is not None, given.oauth2_bearer is not None, given.netrc or given.netrc_file]
    if sum(map(bool, ways)) > 1:
        raise ConfigError("say who asks in one way: -u, --oauth2-bearer or -n")
    if given.oauth2_bearer is not None:
        return BearerAuth(given.oauth2_bearer)
    if given.user is not None:
        name, colon, password = given.user.partition(":")
        if not colon:
            password = _password(name)
        if given.digest:
            from plait.client.digest import DigestAuth

            return DigestAuth(name, password)
        return name, password
    if given.netrc or given.netrc_file is not None:
        return NetrcAuth(given.netrc_file)
    return None


def _password(name: str) -> str:
    """Ask for a password.

    Raises:
        ConfigError: There is nobody to ask.
    """
    import warnings
    from getpass import GetPassWarning, getpass

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", GetPassWarning)
            return getpass(f"Password for {name}: ")
    except (GetPassWarning, EOFError) as error:
        raise ConfigError("-u takes NAME:PASSWORD where there is no terminal to ask on") from error


def client_for(given: Given, **more: Any) -> AsyncClient:
    """Make the client.

    Args:
        given: The options.
        more: Further options of the client.

    Raises:
        ConfigError: An option is wrong.
    """
    from plait.client.async_client import AsyncClient

    options: dict[str, Any] = {
        "http": _versions(given),
        "max_in_flight": given.window,
        "decode": given.compressed,
        "follow_redirects": given.location and given.max_redirs != 0,
        "keep_cookies": given.cookie_jar is not None or any("=" not in one for one in given.cookie),
        "connect_timeout": given.connect_timeout or inf,
        "read_timeout": given.read_timeout or inf,
        # How long a request waits for its turn is a matter of how many there are.
        "pool_timeout": inf,
        **_proxies(given),
        "cert": _certificate(given),
        **_where(given),
        **more,
    }
    if given.max_redirs:
        options["max_redirects"] = _ANY_NUMBER if given.max_redirs < 0 else given.max_redirs
    verify = False if given.insecure else True if given.cacert is None else given.cacert
    return AsyncClient(verify=verify, **options)


def _where(given: Given) -> dict[str, Any]:
    """Return where connections come from and lead to."""
    if given.ipv4 + given.ipv6 + (given.interface is not None) > 1:
        raise ConfigError("choose one of -4, -6 and --interface")
    # Addresses that stand for any of their family.
    local = "0.0.0.0" if given.ipv4 else "::" if given.ipv6 else _address(given.interface)
    rules = [_resolve_rule(one) for one in given.resolve] + [_connect_rule(one) for one in given.connect_to]

    def place(host: str, port: int) -> tuple[str, int]:
        for known, number, there, other in rules:
            if known in (None, host) and number in (None, port):
                return there or host, other or port
        return host, port

    return {"local_address": local, "connect_to": place if rules else None}


def _address(text: str | None) -> str | None:
    if text is None:
        return None
    import ipaddress

    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError as error:
        raise ConfigError(f"--interface takes an address of this machine, not {text!r}") from error


def _resolve_rule(text: str) -> Rule:
    found = _RESOLVE(text)
    if found is None:
        raise ConfigError(f"--resolve takes HOST:PORT:ADDRESS, not {text!r}")
    host = found[1].strip("[]").lower()
    return None if host == "*" else host, int(found[2]), found[3].strip("[]"), None


def _connect_rule(text: str) -> Rule:
    found = _CONNECT_TO(text)
    if found is None:
        raise ConfigError(f"--connect-to takes HOST:PORT:HOST:PORT, not {text!r}")
    host, port, there, other = (part.strip("[]").lower() or None for part in found.groups())
    return host, port and int(port), there, other and int(other)


def _versions(given: Given) -> str:
    chosen = [
        version
        for version, said in (
            ("1", given.http1), ("auto", given.http2), ("2", given.http2_prior_knowledge)
        )
        if said
    ]  # fmt: skip
    if len(chosen) > 1:
        raise ConfigError("choose one of --http1.1, --http2 and --http2-prior-knowledge")
    return chosen[0] if chosen else "auto"


def _certificate(given: Given) -> Any:
    if given.cert is None:
        if given.key is not None:
            raise ConfigError("--key belongs to a --cert")
        return None
    file, colon, passphrase = given.cert.partition(":")
    secret = given.passphrase if given.passphrase is not None else passphrase if colon else None
    if secret is not None:
        return file, given.key or file, secret
    return (file, given.key) if given.key is not None else file


def _proxies(given: Given) -> dict[str, Any]:
    """Return which proxy leads where; as with curl, the environment has a say."""
    if given.noproxy == "*":
        return {}
    proxy = _proxy(given) if given.proxy else None
    if given.noproxy is None:
        # To look for what is not there would cost a program that fetches one URL a tenth of its time.
        return {"proxy": proxy, "trust_env": any(name.lower().endswith("_proxy") for name in os.environ)}
    # Exceptions are the environment's to tell, and this process has one of its own.
    os.environ["no_proxy"] = given.noproxy
    if proxy is not None:
        os.environ["http_proxy"] = os.environ["https_proxy"] = proxy
    return {"trust_env": True}


def _proxy(given: Given) -> str:
    assert given.proxy is not None
    scheme, mark, rest = given.proxy.rpartition("://")
    if given.proxy_user is not None and "@" not in rest:
        name, _, password = given.proxy_user.partition(":")
        rest = f"{quote(name, safe='')}:{quote(password, safe='')}@{rest}"
    return f"{scheme or 'http'}{mark or '://'}{rest}"
