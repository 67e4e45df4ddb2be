"""What goes into a client and what comes out: requests, responses and their field sections."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, cast

from plait import urls
from plait._version import __version__
from plait.errors import LocalProtocolError
from plait.fields import Field, FieldSection, outbound_fields
from plait.urls import Origin, Params

if TYPE_CHECKING:
    from plait.client.statistics import Timing

__all__ = ["Content", "Headers", "HeaderInput", "Request", "RequestMaker", "RequestOptions", "Response"]

Content = bytes | bytearray | memoryview | str | Iterable[bytes] | AsyncIterable[bytes]
HeaderInput = Mapping[str, str] | Iterable[tuple[str, str]]

#: Methods whose effect is the same however often they arrive (RFC 9110 §9.2.2).
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_STANDARD_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_CHARSET = r";\s*charset\s*=\s*\"?([^\s\";]+)"
_DEFAULT_FIELDS: FieldSection = [(b"accept", b"*/*"), (b"user-agent", b"plait/" + __version__.encode())]
_STARTS_MAX = 1024
#: Bytes read at once from a file that is sent.
_PIECE = 65_536


class Headers(Mapping[str, str]):
    """A field section: names without regard to case, and every name as often as it came.

    Args:
        fields: Pairs of name and value, as they came.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[Field]) -> None:
        self._fields = [(name.decode("ascii"), value.decode("latin-1")) for name, value in fields]

    def __getitem__(self, name: str) -> str:
        """Return a field's value, joined with commas when it came more than once (RFC 9110 §5.2)."""
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def get_all(self, name: str) -> list[str]:
        """Return every value of a field, in order; Set-Cookie makes sense in this way only."""
        name = name.lower()
        return [value for known, value in self._fields if known == name]

    def raw(self) -> list[tuple[str, str]]:
        """Return all fields in the order they came, names in lower-case."""
        return list(self._fields)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._fields))

    def __len__(self) -> int:
        return len(dict(self._fields))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


class RequestOptions(TypedDict, total=False):
    """What a request can be told, beside its method and URL.

    Attributes:
        params: Parameters, added to the URL's query.
        headers: Fields, names and values as str; a tuple of tuples is read once for all requests with it.
        content: Content: bytes, str (sent as UTF-8), a file or an iterable of bytes; for the
            asynchronous client an asynchronous iterable, too.
        json: Content, sent as JSON.
        timeout: Seconds in all, after which the request is given up.
    """

    params: Params | None
    headers: HeaderInput | None
    content: Content | None
    json: Any
    timeout: float | None


class Request:
    """One request, validated and ready to be sent, as often as its content allows.

    Attributes:
        origin: Where it goes.
        fields: Its field section, pseudo-fields first.
        content: ``b""``, bytes, or an iterable that yields them once.
        length: Bytes of content its field section announces, or None.
        idempotent: Whether sending it twice does what sending it once does.
        timeout: Seconds it may take in all, or None.
    """

    __slots__ = ("content", "fields", "idempotent", "length", "origin", "timeout")

    def __init__(
        self,
        origin: Origin,
        fields: FieldSection,
        content: bytes | Iterable[bytes] | AsyncIterable[bytes],
        length: int | None,
        idempotent: bool,
        timeout: float | None,
    ) -> None:
        self.origin = origin
        self.fields = fields
        self.content = content
        self.length = length
        self.idempotent = idempotent
        self.timeout = timeout

    @property
    def replayable(self) -> bool:
        """Whether its content can be sent again."""
        return type(self.content) is bytes


class RequestMaker:
    """Makes requests out of what the caller of a client says; refuses what HTTP cannot carry.

    Args:
        base_url: The URL that relative ones continue, or None.

    Raises:
        LocalProtocolError: The base URL is no http or https URL.
    """

    def __init__(self, base_url: str | None) -> None:
        self._base: urls.Url | None = None
        if base_url is not None:
            base = urls.parse(base_url)
            self._base = base._replace(target=base.target.partition("?")[0].rstrip("/"))
        #: What requests of one method to one authority begin with.
        self._starts: dict[tuple[str, str, bytes], tuple[FieldSection, bool]] = {}
        #: What requests without content end with, by what their callers gave as headers.
        self._ends: dict[tuple[tuple[str, str], ...], FieldSection] = {}

    def make(
        self,
        method: str,
        url: str,
        *,
        params: Params | None = None,
        headers: HeaderInput | None = None,
        content: Content | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> Request:
        """Make a request; see :class:`RequestOptions`.

        Raises:
            LocalProtocolError: The method, the URL, a field or the content is not one HTTP can carry.
        """
        where = urls.parse(url) if self._base is None else urls.join(self._base, url)
        target = where.target
        if params is not None and (added := urls.query(params)):
            target = f"{target}{'&' if '?' in target else '?'}{added}"
        key = (method, where.origin.scheme, where.authority)
        start = self._starts.get(key)
        if start is None:
            start = _start(*key)
            if len(self._starts) >= _STARTS_MAX:
                self._starts.clear()
            self._starts[key] = start
        path = (b":path", target.encode("ascii"))
        if content is None and json is None and (end := self._end(headers)) is not None:
            return Request(where.origin, [*start[0], path, *end], b"", None, start[1], timeout)
        fields = [*start[0], path]
        given = [] if headers is None else _encode(headers)
        body, length = _add_fields(fields, given, content, json)
        return Request(where.origin, fields, body, length, start[1], timeout)

    def _end(self, headers: HeaderInput | None) -> FieldSection | None:
        """Return the fields behind the pseudo-fields, where they depend on the headers alone.

        Many requests have the same ones: given as a tuple, which cannot change, they are read once.
        """
        if headers is None:
            return _DEFAULT_FIELDS
        if type(headers) is not tuple:
            return None
        try:
            end = self._ends.get(headers)
        except TypeError:  # a list is in it, which can change
            return None
        if end is None:
            given = _encode(headers)
            if any(name in (b"host", b"content-length") for name, _ in given):
                return None
            end = []
            _add_fields(end, given, None, None)
            if len(self._ends) >= _STARTS_MAX:
                self._ends.clear()
            self._ends[headers] = end
        return end


def _start(method: str, scheme: str, authority: bytes) -> tuple[FieldSection, bool]:
    if not isinstance(method, str) or not _METHOD(method):
        raise LocalProtocolError(f"{method!r} is not a method")
    name = (method.upper() if method.upper() in _STANDARD_METHODS else method).encode()
    if name == b"CONNECT":
        raise LocalProtocolError("CONNECT asks for a tunnel, and this client opens none")
    fields = [(b":method", name), (b":scheme", scheme.encode()), (b":authority", authority)]
    return fields, name in _IDEMPOTENT


def _add_fields(
    fields: FieldSection, given: FieldSection, content: Content | None, json: Any
) -> tuple[bytes | Iterable[bytes] | AsyncIterable[bytes], int | None]:
    """Add a request's fields to its pseudo-fields; return its content and the length of it."""
    names = {name for name, _ in given}
    for name, value in given:
        if name == b"host":
            # RFC 9113 §8.3.1: one name for the server, in :authority.
            fields[2] = (b":authority", value)
            given = [field for field in given if field[0] != b"host"]
            break
    if json is not None:
        if content is not None:
            raise LocalProtocolError("a request has content or json, not both")
        from json import dumps

        content = dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        if b"content-type" not in names:
            given.append((b"content-type", b"application/json"))
    body, length = _body(content)
    if b"content-length" in names:
        announced = [value for name, value in given if name == b"content-length"]
        if len(announced) > 1 or not announced[0].isdigit():
            raise LocalProtocolError(f"content-length {b', '.join(announced).decode()!r} is not a number")
        if length is not None and length != int(announced[0]):
            raise LocalProtocolError(f"the content has {length} bytes, not {announced[0].decode()}")
        length = int(announced[0])
    elif length is not None:
        given.append((b"content-length", b"%d" % length))
    fields += [field for field in _DEFAULT_FIELDS if field[0] not in names]
    fields += given
    return body, length


def _encode(headers: HeaderInput) -> FieldSection:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in pairs]
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"{error.object!r} is not text that a field can carry") from None
    except (AttributeError, TypeError, ValueError):
        raise LocalProtocolError("headers must be pairs of name and value, both str") from None
    return outbound_fields(encoded)


def _body(content: Content | None) -> tuple[bytes | Iterable[bytes] | AsyncIterable[bytes], int | None]:
    """Return content in one of the forms a request holds, and its length where that is known."""
    if content is None:
        return b"", None
    if isinstance(content, str):
        content = content.encode()
    if isinstance(content, bytes | bytearray | memoryview):
        content = bytes(content)
        return content, len(content)
    read: Callable[[int], bytes] | None = getattr(content, "read", None)
    if read is not None:
        # Iterating over a file would yield its lines.
        return iter(lambda: read(_PIECE), b""), None
    if isinstance(content, Iterable | AsyncIterable):
        return cast("Iterable[bytes] | AsyncIterable[bytes]", content), None
    raise LocalProtocolError(f"content must be bytes, str or an iterable, not {type(content).__name__}")


class Response:
    """A response, complete.

    Attributes:
        status: The status code.
        content: The content, as it came.
        http_version: ``"HTTP/2"`` or ``"HTTP/1.1"``.
    """

    __slots__ = ("_fields", "_headers", "_times", "content", "http_version", "status")

    def __init__(
        self,
        status: int,
        fields: Sequence[Field],
        content: bytes,
        http_version: str,
        times: tuple[float, float, float, float, int],
    ) -> None:
        self.status = status
        self.content = content
        self.http_version = http_version
        self._times = times
        self._fields = fields
        self._headers: Headers | None = None

    @property
    def headers(self) -> Headers:
        """The field section."""
        if self._headers is None:
            self._headers = Headers(self._fields)
        return self._headers

    @property
    def elapsed(self) -> float:
        """Seconds from the request, when there was a connection for it, to the end of the response."""
        return self._times[3] - self._times[1]

    @property
    def timing(self) -> Timing:
        """When everything happened."""
        from plait.client.statistics import Timing

        return Timing(*self._times)

    @property
    def text(self) -> str:
        """The content as text, in the charset that content-type names, or else UTF-8."""
        return decode_text(self.content, self.headers)

    def json(self) -> Any:
        """Return the content, parsed as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        from json import loads

        return loads(self.content)

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.content)} bytes, {self.http_version}>"


def decode_text(content: bytes, headers: Headers) -> str:
    """Decode content in the charset that its field section names, or else as UTF-8."""
    match = re.search(_CHARSET, headers.get("content-type", ""), re.IGNORECASE)
    try:
        return content.decode(match[1] if match else "utf-8", "replace")
    except LookupError:
        return content.decode("utf-8", "replace")
