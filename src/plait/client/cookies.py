"""Cookies (RFC 6265), kept by the standard library's jar.

What the jar does not hold to is held to here: no ``Secure`` cookie is set over http, and the prefixes
``__Secure-`` and ``__Host-`` mean what they say (RFC 6265bis §4.1.3). A cookie for a whole top-level
domain, or for ``co.uk`` and the like, is refused; the list of every public suffix is not at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from plait.errors import LocalProtocolError
from plait.fields import Field, outbound_fields

if TYPE_CHECKING:
    from plait.client.messages import Request
    from plait.urls import Url

__all__ = ["CookieInput", "Cookies"]

CookieInput = Mapping[str, str] | CookieJar

#: Set-Cookie fields of one response that are read, and characters of one (RFC 6265 §6.1 asks for 4096).
_FIELDS_MAX = 200
_LENGTH_MAX = 8192
#: Cookies kept of one domain (§6.1 asks for 50, browsers keep 180); the oldest go.
_DOMAIN_MAX = 180
_PORT = re.compile(r":[0-9]+$").search
_IPV4 = re.compile(r"[0-9]+(\.[0-9]+){3}").fullmatch


class _Policy(DefaultCookiePolicy):
    """The standard library's, and what RFC 6265bis says beyond it."""

    def set_ok(self, cookie: Cookie, request: Any) -> bool:
        host = request.hostname
        if cookie.domain_specified and (host.startswith("[") or "." not in host or _IPV4(host)):
            # RFC 6265 §5.1.3: an address has no subdomains; nor has the likes of "localhost".
            if cookie.domain.lstrip(".") != host:
                return False
            cookie.domain_specified = False
            cookie.domain = _jar_name(host)
        if cookie.secure and request.type != "https":
            return False
        name = cookie.name.lower()
        if name.startswith("__secure-") and not cookie.secure:
            return False
        if name.startswith("__host-") and (
            not cookie.secure or cookie.domain_specified or not cookie.path_specified or cookie.path != "/"
        ):
            return False
        return super().set_ok(cookie, request)


class Cookies(MutableMapping[str, str]):
    """Cookies by name, whichever server set them.

    A cookie that is set here goes to the host of the client's base URL, or to every server where there is
    none; :meth:`set` says more. Several cookies may have one name: then the mapping gives that of the
    longest path.

    Args:
        home: The client's base URL, or None.

    Attributes:
        jar: The standard library's cookie jar, in which they are.
    """

    def __init__(self, home: Url | None = None) -> None:
        # RFC 6265 §5.4: without a domain attribute a cookie is for its own host alone.
        policy = _Policy(strict_domain=True, strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain)
        self.jar = CookieJar(policy)
        self._home = home.origin.host if home is not None else ""
        #: Cookies for every server.
        self._everywhere: dict[str, str] = {}

    # -- the mapping -----------------------------------------------------------------------------

    def __getitem__(self, name: str) -> str:
        found = [cookie for cookie in self.jar if cookie.name == name]
        if found:
            return max(found, key=lambda cookie: len(cookie.path)).value or ""
        return self._everywhere[name]

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        found = [cookie for cookie in self.jar if cookie.name == name]
        for cookie in found:
            self.jar.clear(cookie.domain, cookie.path, cookie.name)
        if self._everywhere.pop(name, None) is None and not found:
            raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(cookie.name for cookie in self.jar), **self._everywhere})

    def __len__(self) -> int:
        return len({*(cookie.name for cookie in self.jar), *self._everywhere})

    def __repr__(self) -> str:
        return f"Cookies({dict(self)!r})"

    def set(self, name: str, value: str, *, domain: str = "", path: str = "/", secure: bool = False) -> None:
        """Set a cookie, until the client ends.

        Args:
            name: Its name.
            value: Its value.
            domain: The host it is for; with a leading dot, subdomains too. By default the host of the
                base URL, or every server where there is none.
            path: What the path of a request begins with for it to be sent.
            secure: Whether it is sent over https only.

        Raises:
            LocalProtocolError: The name or the value is not one that a cookie can have.
        """
        _pair(name, value)
        domain = (domain or self._home).lower()
        if not domain:
            self._everywhere[name] = value
            return
        self.jar.set_cookie(
            Cookie(
                version=0,
                name=name,
                value=value,
                port=None,
                port_specified=False,
                domain=_jar_name(domain),
                domain_specified=domain.startswith("."),
                domain_initial_dot=domain.startswith("."),
                path=path,
                path_specified=True,
                secure=secure,
                expires=None,
                discard=True,
                comment=None,
                comment_url=None,
                rest={},
            )
        )

    def update(self, other: Any = (), /, **more: str) -> None:
        """Take over other cookies: a mapping, pairs, or a ``http.cookiejar.CookieJar``."""
        if isinstance(other, Cookies):
            self._everywhere.update(other._everywhere)
            other = other.jar
        if isinstance(other, CookieJar):
            for cookie in other:
                self.jar.set_cookie(cookie)
            other = ()
        super().update(other, **more)

    # -- for requests and responses --------------------------------------------------------------

    def take(self, request: Request, values: list[str]) -> None:
        """Take the cookies that a response sets.

        Args:
            request: What it answers.
            values: The values of its ``set-cookie`` fields.
        """
        values = [value for value in values[:_FIELDS_MAX] if len(value) <= _LENGTH_MAX]
        self.jar.extract_cookies(_Answer(values), _Asked(request))  # type: ignore[arg-type]
        if len(self.jar) > _DOMAIN_MAX:
            self._evict()

    def _evict(self) -> None:
        by_domain: dict[str, list[Cookie]] = {}
        for cookie in self.jar:
            by_domain.setdefault(cookie.domain, []).append(cookie)
        for cookies in by_domain.values():
            for cookie in cookies[:-_DOMAIN_MAX]:
                self.jar.clear(cookie.domain, cookie.path, cookie.name)

    def field_for(self, request: Request, own: Mapping[str, str]) -> Field | None:
        """Return the ``cookie`` field for a request, or None.

        Args:
            request: The request.
            own: Cookies of its own.

        Raises:
            LocalProtocolError: One of these is not one that HTTP can carry.
        """
        asked = _Asked(request)
        self.jar.add_cookie_header(asked)  # type: ignore[arg-type]
        pairs = [_pair(name, value) for name, value in {**self._everywhere, **own}.items()]
        taken = {pair.partition("=")[0] for pair in pairs}
        kept = [pair for pair in asked.cookies if pair.partition("=")[0] not in taken]
        value = "; ".join([*kept, *pairs])
        if not value:
            return None
        return outbound_fields([(b"cookie", value.encode("latin-1", "replace"))])[0]


def _jar_name(host: str) -> str:
    """Return what the jar calls a host: one without a dot gets a domain."""
    return host if "." in host or ":" in host else f"{host}.local"


def _pair(name: str, value: str) -> str:
    # RFC 6265 §4.1.1 allows less; servers set more, and expect it back.
    if (
        not isinstance(name, str)
        or not isinstance(value, str)
        or not name
        or any(letter in "=;, \t" for letter in name)
        or ";" in value
        or not all(" " <= letter <= "~" for letter in name + value)
    ):
        raise LocalProtocolError(f"{name!r} with the value {value!r} is not a cookie")
    return f"{name}={value}"


class _Asked:
    """A request, as the standard library's jar wants to see one."""

    unverifiable = False

    def __init__(self, request: Request) -> None:
        self._url = request.url
        self.type = request.origin.scheme
        self.host = request.fields[2][1].decode("latin-1")
        self.origin_req_host = self.host
        #: Without the port.
        self.hostname = self.host.rpartition(":")[0] if _PORT(self.host) else self.host
        self.cookies: list[str] = []

    def get_full_url(self) -> str:
        return self._url

    def get_header(self, name: str, default: str | None = None) -> str | None:
        return default

    def has_header(self, name: str) -> bool:
        return False

    def add_unredirected_header(self, name: str, value: str) -> None:
        if name == "Cookie":
            self.cookies = value.split("; ")


class _Answer:
    """A response, as the standard library's jar wants to see one."""

    def __init__(self, values: list[str]) -> None:
        self._values = values

    def info(self) -> _Answer:
        return self

    def get_all(self, name: str, default: list[str]) -> list[str]:
        return self._values if name.lower() == "set-cookie" else default
