"""Who asks: Basic, Bearer and netrc credentials, and what a scheme of one's own looks like.

Digest is in ``digest.py``.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any, cast

from plait.client.messages import Request, Response
from plait.errors import ConfigError
from plait.fields import FieldSection, outbound_fields

if TYPE_CHECKING:
    import os

__all__ = ["Auth", "AuthInput", "BasicAuth", "BearerAuth", "NetrcAuth", "as_auth", "authorize"]

AuthFlow = Generator[Request, Response, None] | AsyncGenerator[Request, Response]


class Auth:
    """Says who asks. Subclass it, and write :meth:`auth_flow`.

    Attributes:
        value: What the ``authorization`` field says, where it is known without asking, else None.
        waits: Whether :meth:`auth_flow` may take its time; it is run by whoever waits for the response.
        elsewhere: Whether it has credentials for other servers, too: those that redirects lead to.
    """

    value: str | None = None
    waits = True
    elsewhere = False

    def auth_flow(self, request: Request) -> AuthFlow:
        """Yield requests to send, and be given their responses; the last one is the caller's.

        Args:
            request: What the caller wants; its ``headers`` can be changed.
        """
        raise NotImplementedError


AuthInput = tuple[str, str] | Auth | Callable[[Request], Any] | None


class BasicAuth(Auth):
    """A name and a password (RFC 7617), sent as UTF-8 with every request.

    Args:
        username: The name, without a colon.
        password: The password.

    Raises:
        ConfigError: They are not str, or the name holds a colon, or either a control character.
    """

    def __init__(self, username: str, password: str) -> None:
        self.value: str = basic(username, password)


def basic(username: str, password: str) -> str:
    """Return the value of an ``authorization`` field with a name and a password."""
    if not isinstance(username, str) or not isinstance(password, str):
        raise ConfigError("auth takes a name and a password, both str")
    if ":" in username:
        raise ConfigError(f"{username!r} holds a colon, which a name for Basic authentication cannot")
    pair = f"{username}:{password}"
    if any(letter < " " or letter == "\x7f" for letter in pair):
        raise ConfigError("a name or password with a control character cannot be sent")
    return f"Basic {b64encode(pair.encode()).decode()}"


class BearerAuth(Auth):
    """A token (RFC 6750), sent with every request.

    Args:
        token: The token.

    Raises:
        ConfigError: It is not a str that a field can carry.
    """

    def __init__(self, token: str) -> None:
        if not isinstance(token, str) or not token or not all("!" <= letter <= "~" for letter in token):
            raise ConfigError("a bearer token is one word of ASCII characters")
        self.value: str = f"Bearer {token}"


class NetrcAuth(Auth):
    """Names and passwords by host, from a netrc file.

    Args:
        file: Its path; by default what ``NETRC`` in the environment says, or ``~/.netrc``.

    Raises:
        ConfigError: It cannot be read.
    """

    waits = False
    elsewhere = True

    def __init__(self, file: str | os.PathLike[str] | None = None) -> None:
        import netrc
        import os

        path = file or os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
        try:
            self._netrc = netrc.netrc(os.fspath(path))
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {os.fspath(path)!r}: {error}") from error

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        found = self._netrc.authenticators(request.origin.host)
        if found is not None and "authorization" not in request.headers:
            request.headers["authorization"] = basic(found[0] or found[1] or "", found[2] or "")
        yield request


class _FromCallable(Auth):
    """A callable: it changes the request, returns another, or is a generator of requests."""

    def __init__(self, function: Callable[[Request], Any]) -> None:
        self._function = function

    def auth_flow(self, request: Request) -> AuthFlow:
        made = self._function(request)
        if hasattr(made, "asend") or hasattr(made, "send"):
            return cast(AuthFlow, made)
        return _once(request if made is None else made)


def _once(request: Request) -> Generator[Request, Response, None]:
    yield request


def as_auth(auth: AuthInput) -> Auth:
    """Make an :class:`Auth` of what a caller gives.

    Raises:
        ConfigError: It is no such thing.
    """
    if isinstance(auth, Auth):
        return auth
    if isinstance(auth, tuple) and len(auth) == 2:
        return BasicAuth(*auth)
    if callable(auth):
        return _FromCallable(auth)
    raise ConfigError(
        f"auth is a pair of name and password, an Auth or a callable, not {type(auth).__name__}"
    )


def authorize(auth: AuthInput, given: FieldSection, names: set[bytes]) -> Auth | None:
    """Say who asks, for one request: in a field, or by what is returned.

    Args:
        auth: Who asks; None for nobody.
        given: The request's fields, in which it is said where that takes one field.
        names: Those of fields of which the client's own do not count; ``authorization`` is added.

    Raises:
        ConfigError: ``auth`` is no such thing.
    """
    names.add(b"authorization")  # what the client says does not count
    if auth is None:
        return None
    given[:] = [field for field in given if field[0] != b"authorization"]
    known = as_auth(auth)
    if known.value is None:
        return known
    given += outbound_fields([(b"authorization", known.value.encode("latin-1"))])
    return None
