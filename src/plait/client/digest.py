"""Digest authentication (RFC 7616)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Mapping
from itertools import count
from secrets import token_hex

from plait.client.auth import Auth
from plait.client.messages import Request, Response
from plait.errors import ConfigError, RemoteProtocolError

__all__ = ["DigestAuth", "parse_challenges"]

#: Algorithms by name, the strongest last, as hashlib calls them (RFC 7616 §3.3).
_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
#: What a challenge begins with, and one of its parameters (RFC 9110 §11.3, §11.6.1).
_SCHEME = re.compile(rf"\s*,*\s*({_TOKEN})(?:\s+|$)(?!\s*=)")
_PARAMETER = re.compile(rf'\s*,*\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*(?:,|$)')
_TOKEN68 = re.compile(r"\s*[A-Za-z0-9\-._~+/]+=*\s*(?:,|$)")
_ESCAPED = re.compile(r"\\(.)")


def parse_challenges(value: str) -> list[tuple[str, dict[str, str]]]:
    """Take a WWW-Authenticate field apart.

    Args:
        value: Its value, joined with commas if there were several.

    Returns:
        Each challenge: its scheme in lower-case, and its parameters. What cannot be read ends the list.
    """
    challenges: list[tuple[str, dict[str, str]]] = []
    at = 0
    while at < len(value):
        parameter = _PARAMETER.match(value, at)
        if parameter is not None and challenges:
            name, quoted, token = parameter.groups()
            challenges[-1][1][name.lower()] = token if token is not None else _ESCAPED.sub(r"\1", quoted)
            at = parameter.end()
        elif (scheme := _SCHEME.match(value, at)) is not None:
            challenges.append((scheme[1].lower(), {}))
            at = scheme.end()
        elif challenges and (opaque := _TOKEN68.match(value, at)) is not None:
            at = opaque.end()
        else:
            break
    return challenges


class DigestAuth(Auth):
    """A name and a password, proved and not sent (RFC 7616).

    MD5, SHA-256 and SHA-512-256, their session variants, ``qop=auth`` or none as in RFC 2069. The server's
    nonce is used for the requests that follow, so that only the first is asked for it.

    Args:
        username: The name.
        password: The password.

    Raises:
        ConfigError: They are not str.
    """

    waits = False

    def __init__(self, username: str, password: str) -> None:
        if not isinstance(username, str) or not isinstance(password, str):
            raise ConfigError("auth takes a name and a password, both str")
        self._username = username
        self._password = password
        self._known: _Challenge | None = None

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Send the request; answer the server's challenge, and once more if only its nonce is old."""
        challenge = self._known
        if challenge is not None:
            request.headers["authorization"] = self._answer(challenge, request)
        response = yield request
        for _ in range(2):
            found = _strongest(response) if response.status == 401 else None
            if found is None or (
                challenge is not None and not found.stale and found.realm == challenge.realm
            ):
                return  # no challenge, or the same again: name or password is wrong
            self._known = challenge = found
            request.headers["authorization"] = self._answer(challenge, request)
            response = yield request

    def _answer(self, challenge: _Challenge, request: Request) -> str:
        uri = request.fields[3][1].decode("latin-1")
        username, realm, nonce = self._username, challenge.realm, challenge.nonce
        cnonce = token_hex(16)
        nc = f"{next(challenge.uses):08x}"
        digest = challenge.digest
        secret = digest(username, realm, self._password)
        if challenge.is_session:
            # RFC 7616 §3.4.2: of the first request, whose nonces stay part of it.
            challenge.first = challenge.first or cnonce
            cnonce = challenge.first
            secret = digest(secret, nonce, cnonce)
        what = digest(request.method, uri)
        plain = {
            "realm": _quote(realm),
            "nonce": _quote(nonce),
            "uri": _quote(uri),
            "algorithm": challenge.algorithm,
        }
        if challenge.hashes_username:
            plain = {"username": _quote(digest(username, realm)), "userhash": "true", **plain}
        elif username.isascii():
            plain = {"username": _quote(username), **plain}
        else:
            from urllib.parse import quote

            plain = {"username*": f"UTF-8''{quote(username, safe='')}", **plain}  # RFC 7616 §3.4
        if challenge.qop:
            plain["response"] = _quote(digest(secret, nonce, nc, cnonce, "auth", what))
            plain |= {"qop": "auth", "nc": nc, "cnonce": _quote(cnonce)}
        else:
            plain["response"] = _quote(digest(secret, nonce, what))
        if challenge.opaque is not None:
            plain["opaque"] = _quote(challenge.opaque)
        return "Digest " + ", ".join(f"{name}={value}" for name, value in plain.items())


class _Challenge:
    """What a server asks.

    Raises:
        ValueError: It cannot be answered: an algorithm or a quality of protection that is not known.
    """

    def __init__(self, said: Mapping[str, str]) -> None:
        self.realm = said.get("realm", "")
        self.nonce = said["nonce"]
        self.opaque = said.get("opaque")
        self.stale = said.get("stale", "").lower() == "true"
        self.hashes_username = said.get("userhash", "").lower() == "true"
        self.algorithm = said.get("algorithm", "MD5")
        name = self.algorithm.upper()
        self.is_session = name.endswith("-SESS")
        self._hash = _HASHES[name.removesuffix("-SESS")]
        hashlib.new(self._hash, usedforsecurity=False)
        self.strength = list(_HASHES).index(name.removesuffix("-SESS"))
        self.qop = "qop" in said
        if self.qop and "auth" not in re.split(r"[\s,]+", said["qop"].lower()):
            raise ValueError(f"quality of protection {said['qop']!r}")
        self.uses = count(1)
        self.first = ""

    def digest(self, *parts: str) -> str:
        """Return the digest of strings, joined with colons."""
        return hashlib.new(self._hash, ":".join(parts).encode(), usedforsecurity=False).hexdigest()


def _strongest(response: Response) -> _Challenge | None:
    """Return the strongest of a response's challenges that can be answered, None without any for Digest.

    Raises:
        RemoteProtocolError: There are some, and none can be answered.
    """
    value = ", ".join(response.headers.get_all("www-authenticate"))
    asked = [said for scheme, said in parse_challenges(value) if scheme == "digest"]
    found: list[_Challenge] = []
    reason = ""
    for said in asked:
        try:
            found.append(_Challenge(said))
        except (ValueError, KeyError) as error:
            reason = str(error)
    if asked and not found:
        raise RemoteProtocolError(f"{response.url} asks for Digest authentication with {reason}")
    return max(found, key=lambda challenge: challenge.strength, default=None)


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
