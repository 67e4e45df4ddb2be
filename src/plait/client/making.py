"""Makes requests out of what the caller of a client says; refuses what HTTP cannot carry."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Unpack

from plait import urls
from plait._version import __version__
from plait.client.headers import MutableHeaders
from plait.client.messages import Request
from plait.client.plan import Plan
from plait.errors import ConfigError, LocalProtocolError
from plait.fields import Field, FieldSection, outbound_fields
from plait.urls import Origin, Params

if TYPE_CHECKING:
    from plait.client.auth import AuthInput
    from plait.client.cookies import CookieInput, Cookies
    from plait.client.forms import FormInput
    from plait.client.interim import Interim
    from plait.client.messages import Response
    from plait.client.options import Content, HeaderInput, Hooks, MoreOptions, SessionOptions
    from plait.client.progress import Progress
    from plait.client.retries import Retries
    from plait.client.timeouts import Timeouts
    from plait.client.trailers import TrailerInput
    from plait.config import ClientConfig
    from plait.protocol.priorities import Priority

__all__ = ["RequestMaker", "authority_of", "start_of"]

#: Methods whose effect is the same however often they arrive (RFC 9110 §9.2.2).
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_STANDARD_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_STARTS_MAX = 1024
_UNSAID: Any = object()


class RequestMaker:
    """Makes requests out of what the caller of a client says; knows what all of them have in common.

    Args:
        base_url: The URL that relative ones continue, or None.
        config: The client's options; by default the usual ones.
        session: What all requests have in common, see :class:`~plait.client.options.SessionOptions`.

    Attributes:
        headers: Fields that every request has.
        exact_plan: What is done for a request of which its caller has decided everything.

    Raises:
        LocalProtocolError: The base URL is no http or https URL, or a field, parameter or cookie is not
            one HTTP can carry.
        ConfigError: What is given as ``auth`` or ``event_hooks`` is no such thing.
    """

    def __init__(
        self,
        base_url: str | None,
        config: ClientConfig | None = None,
        **session: Unpack[SessionOptions],
    ) -> None:
        if config is None:
            from plait.config import ClientConfig

            config = ClientConfig()
        self._config = config
        self._base: urls.Url | None = None
        if base_url is not None:
            base = urls.parse(base_url)
            self._base = base._replace(target=base.target.partition("?")[0].rstrip("/"))
        #: What requests of one method to one authority begin with.
        self._starts: dict[tuple[str, str, bytes], tuple[FieldSection, bool]] = {}
        #: What requests without content end with, by what their callers gave as headers.
        self._ends: dict[tuple[tuple[str, str], ...], FieldSection] = {}
        self._fields: FieldSection = [
            (b"accept", b"*/*"),
            (b"user-agent", b"plait/" + __version__.encode()),
        ]
        self.headers = MutableHeaders(self._fields, self._ends.clear)
        noted = {b"set-cookie"} if config.keep_cookies else set()
        if config.decode:
            from plait.client.accepting import accept_encoding

            noted.add(b"content-encoding")
            self._fields.append((b"accept-encoding", accept_encoding()))
        self._plan = Plan(config, frozenset(noted))
        self._plan.follow = config.max_redirects if config.follow_redirects else 0
        if config.retries:
            self._plan.retries = _retries(config.retries)
        self.exact_plan = Plan(config, frozenset())
        self.exact_plan.retries = self._plan.retries
        if config.record is not None:
            from plait.client.telling import Teller

            self._plan.record = self.exact_plan.record = Teller(config.record, "record")
            self.exact_plan.settled()
        self._params: list[tuple[str, str]] = []
        self._cookies: Cookies | None = None
        #: Set-Cookie fields that nobody has read yet, and the requests that they answer.
        self._news: deque[tuple[Request, list[str]]] = deque()
        #: Whether there is more to a request than its fields.
        self._has_more = False
        if any(value is not None for value in session.values()):
            self._begin_session(**session)
        self._plan.settled()

    def _begin_session(
        self,
        headers: HeaderInput | None = None,
        params: Params | None = None,
        cookies: CookieInput | None = None,
        auth: AuthInput = None,
        event_hooks: Hooks | None = None,
    ) -> None:
        plan = self._plan
        if headers is not None:
            given, left_out = _encode(headers)
            names = left_out | {name for name, _ in given}
            self._fields[:] = [field for field in self._fields if field[0] not in names]
            self._fields += given
        if params is not None:
            self.params = params
        if cookies is not None:
            self.cookies.update(cookies)
        if auth is not None:
            from plait.client.auth import as_auth

            known = as_auth(auth)
            if known.value is None:
                plan.auth = known
            else:
                self.headers["authorization"] = known.value
        for kind, hooks in (event_hooks or {}).items():
            functions = tuple(hooks) if isinstance(hooks, Iterable) else (hooks,)
            if kind not in ("request", "response") or not all(map(callable, functions)):
                raise ConfigError('event_hooks are {"request": [functions], "response": [functions]}')
            setattr(plan, f"{kind}_hooks", functions)

    # -- what all requests have in common --------------------------------------------------------

    @property
    def params(self) -> Params:
        """Parameters that every query has."""
        return list(self._params)

    @params.setter
    def params(self, params: Params) -> None:
        if isinstance(params, Iterator):
            params = list(params)
        urls.query(params)  # refuses what is none
        # Each name's part of the query, encoded.
        pairs: Iterable[Any] = params.items() if isinstance(params, Mapping) else params
        self._params = [(name, part) for name, value in pairs if (part := urls.query([(name, value)]))]
        self._has_more = self._has_more or bool(self._params)

    @property
    def cookies(self) -> Cookies:
        """The cookies, those of the latest responses included."""
        cookies = self._cookies
        if cookies is None:
            from plait.client.cookies import Cookies

            cookies = self._cookies = Cookies(self._base)
            self._has_more = True
        while self._news:
            try:
                cookies.take(*self._news.popleft())
            except IndexError:  # another thread has it
                break
        return cookies

    def note(self, response: Response) -> None:
        """Take note of what the fields of a response say about requests to come, or about its content."""
        request = response.request
        set_cookies = response.headers.get_all("set-cookie")
        if set_cookies and self._config.keep_cookies:
            # Read when there is another request, or somebody asks: a client's process starts without it.
            self._news.append((request, set_cookies))
            self._has_more = True
        if self._config.decode and (values := response.headers.get_all("content-encoding")):
            from plait.client.accepting import codings_of

            response.codings = codings_of(values, request.method, response.status)

    def cookie_field(self, request: Request) -> Field | None:
        """Return the cookies for a request, or None."""
        if self._cookies is None and not self._news and (request.plan is None or not request.plan.cookies):
            return None
        return self.cookies.field_for(request, (request.plan and request.plan.cookies) or {})

    def promised(self, origin: Origin, fields: FieldSection) -> Request:
        """Return the request that a pushed response answers."""
        plan = self._plan.but(retries=None)  # it is the server's, and not to be sent
        return Request(origin, fields, b"", None, True, None, plan)

    # -- one request -----------------------------------------------------------------------------

    def make(
        self,
        method: str,
        url: str,
        *,
        params: Params | None = None,
        headers: HeaderInput | None = None,
        timeout: float | Timeouts | None = None,
        **more: Unpack[MoreOptions],
    ) -> Request:
        """Make a request; see :class:`~plait.client.options.RequestOptions`.

        Raises:
            LocalProtocolError: The method, the URL, a field or the content is not one HTTP can carry.
        """
        try:
            where = urls.parse(url) if self._base is None else urls.join(self._base, url)
        except TypeError:
            raise LocalProtocolError(f"a URL is text, and {url!r} is none") from None
        target = where.target
        if self._params:
            target = self._with_params(target, params)
        elif params is not None and (added := urls.query(params)):
            target = f"{target}{'&' if '?' in target else '?'}{added}"
        key = (method, where.origin.scheme, where.authority)
        start = self._starts.get(key)
        if start is None:
            start = start_of(*key)
            if len(self._starts) >= _STARTS_MAX:
                self._starts.clear()
            self._starts[key] = start
        path = (b":path", target.encode("ascii"))
        if not more and not self._has_more and (end := self._end(headers)) is not None:
            return Request(where.origin, [*start[0], path, *end], b"", None, start[1], timeout, self._plan)
        request = Request(where.origin, [*start[0], path], b"", None, start[1], timeout, self._plan)
        self._finish(request, headers, **more)
        return request

    def _end(self, headers: HeaderInput | None) -> FieldSection | None:
        """Return the fields behind the pseudo-fields, where they depend on the headers alone.

        Many requests have the same ones: given as a tuple, which cannot change, they are read once.
        """
        if headers is None:
            return self._fields
        if type(headers) is not tuple:
            return None
        try:
            end = self._ends.get(headers)
        except TypeError:  # a list is in it, which can change
            return None
        if end is None:
            given, left_out = _encode(headers)
            if any(name in (b"host", b"content-length", b"cookie", b"range", b"expect") for name, _ in given):
                return None
            end = self._defaults({*left_out, *(name for name, _ in given)}) + given
            if len(self._ends) >= _STARTS_MAX:
                self._ends.clear()
            self._ends[headers] = end
        return end

    def _defaults(self, names: set[bytes]) -> FieldSection:
        """Return the client's own fields, but not those of certain names."""
        return [field for field in self._fields if field[0] not in names]

    def _with_params(self, target: str, params: Params | None) -> str:
        """Return a target with the client's parameters and the request's."""
        if isinstance(params, Iterator):
            params = list(params)
        own = urls.query(params) if params is not None else ""
        names = set(params if isinstance(params, Mapping) else (pair[0] for pair in params or ()))
        parts = [part for name, part in self._params if name not in names]
        added = "&".join([*parts, own] if own else parts)
        return f"{target}{'&' if '?' in target else '?'}{added}" if added else target

    def _finish(
        self,
        request: Request,
        headers: HeaderInput | None,
        *,
        content: Content | None = None,
        json: Any = None,
        data: FormInput | None = None,
        files: Any = None,
        cookies: Mapping[str, str] | None = None,
        auth: AuthInput = _UNSAID,
        follow_redirects: bool | None = None,
        progress: Callable[[Progress], Any] | None = None,
        retries: int | Retries | None = None,
        on_interim: Callable[[Interim], Any] | None = None,
        trailers: TrailerInput | None = None,
        priority: Priority | str | None = None,
        **unknown: Any,
    ) -> None:
        """Add to a request what its fast way has not: fields, content, cookies and a plan of its own."""
        for name in unknown:
            from plait.client.options import RequestOptions
            from plait.config import no_option

            raise no_option(name, RequestOptions.__annotations__)
        given, left_out = ([], set()) if headers is None else _encode(headers)
        if data is not None or files is not None:
            if content is not None or json is not None:
                raise LocalProtocolError("a request has a form, content or json, and only one of them")
            from plait.client.contents import form_content

            content = form_content(data, files, given)
        if trailers is None:
            from plait.client.contents import add_content

            add_content(request, given, content, json)
        else:
            from plait.client.trailers import add_trailed_content

            add_trailed_content(request, given, content, json, trailers)
        names = left_out | {name for name, _ in given}
        if priority is not None:
            _prioritize(priority, given, names)
        changes: dict[str, Any] = {}
        if follow_redirects is not None:
            changes["follow"] = self._config.max_redirects if follow_redirects else 0
        if cookies:
            if not isinstance(cookies, Mapping):
                raise LocalProtocolError(f"cookies of a request are a mapping, not {type(cookies).__name__}")
            changes["cookies"] = cookies
        if progress is not None:
            if not callable(progress):
                raise ConfigError(f"progress is a function, not {type(progress).__name__}")
            changes["progress"] = progress
        if on_interim is not None:
            if not callable(on_interim):
                raise ConfigError(f"on_interim is a function, not {type(on_interim).__name__}")
            changes["on_interim"] = on_interim
        if b"expect" in names and _expects_continue(given):
            if request.content == b"":
                # RFC 9110 §10.1.1
                raise LocalProtocolError("expect: 100-continue is for requests with content")
            changes["expects_continue"] = True
        if b"cookie" in names:
            changes["has_cookie_field"] = True
        plan = self._plan
        if auth is not _UNSAID:
            from plait.client.auth import authorize

            changes["auth"] = authorize(auth, given, names)
        if retries is not None:
            changes["retries"] = _retries(retries)
        if changes:
            plan = request.plan = plan.but(**changes)
        host = [value for name, value in given if name == b"host"]
        if host:
            # RFC 9113 §8.3.1: one name for the server, in :authority.
            request.fields[2] = (b":authority", authority_of(host))
            given = [field for field in given if field[0] != b"host"]
        if b"range" in names:
            # RFC 9110 §14.2: a part of something coded cannot be undone.
            names.add(b"accept-encoding")
        request.fields += self._defaults(names)
        request.fields += given
        if b"cookie" not in names and (field := self.cookie_field(request)) is not None:
            request.fields.append(field)


def start_of(method: str, scheme: str, authority: bytes) -> tuple[FieldSection, bool]:
    """Return the pseudo-fields before ``:path``, and whether the method is idempotent.

    Raises:
        LocalProtocolError: It is not a method, or CONNECT.
    """
    if not isinstance(method, str) or not _METHOD(method):
        raise LocalProtocolError(f"{method!r} is not a method")
    name = (method.upper() if method.upper() in _STANDARD_METHODS else method).encode()
    if name.upper() == b"CONNECT":
        raise LocalProtocolError("CONNECT asks for a tunnel, and this client opens none")
    fields = [(b":method", name), (b":scheme", scheme.encode()), (b":authority", authority)]
    return fields, name in _IDEMPOTENT


def authority_of(hosts: list[bytes]) -> bytes:
    """Return what ``host`` fields say.

    Raises:
        LocalProtocolError: There are several, or it is no host and port (RFC 9110 §7.2).
    """
    if len(hosts) > 1 or not re.fullmatch(rb"[\w.~%!$&'()*+,;=:\[\]-]+", hosts[0]):
        raise LocalProtocolError(f"host {b', '.join(hosts).decode('latin-1')!r} is not a host and port")
    return hosts[0]


def _prioritize(priority: Priority | str, given: FieldSection, names: set[bytes]) -> None:
    """Say how urgent the response is; the default goes without saying (RFC 9218 §5)."""
    from plait.protocol.priorities import priority_value

    if b"priority" in names:
        raise LocalProtocolError("a request has a priority or a priority field, not both")
    names.add(b"priority")  # what the client says does not count
    if value := priority_value(priority):
        given.append((b"priority", value))


def _expects_continue(given: FieldSection) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in given)


def _retries(retries: int | Retries) -> Retries | None:
    from plait.client.retries import retries_of

    return retries_of(retries)


def _encode(headers: HeaderInput) -> tuple[FieldSection, set[bytes]]:
    """Return the fields that a caller gives, and the names of those to leave out."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        encoded = [
            (name.encode("ascii"), None if value is None else value.encode("latin-1"))
            for name, value in pairs
        ]
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"{error.object!r} is not text that a field can carry") from None
    except (AttributeError, TypeError, ValueError):
        raise LocalProtocolError("headers must be pairs of name and value, both str") from None
    left_out = {name.lower() for name, value in encoded if value is None}
    return outbound_fields([(name, value) for name, value in encoded if value is not None]), left_out
