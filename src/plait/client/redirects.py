"""Where a redirect leads: the next request, made of a response (RFC 9110 §15.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from plait import urls
from plait.client.messages import Request
from plait.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from plait.client.messages import ResponseHead
    from plait.urls import Origin

__all__ = ["next_request"]

#: What a URL may hold as it is; all else, bytes beyond ASCII among it, is percent-encoded.
_URL_CHARACTERS = "".join(map(chr, range(0x21, 0x7F)))
#: Fields about content, which go when the content does.
_ABOUT_CONTENT = frozenset(
    b"content-type content-length content-encoding content-language content-location expect trailer".split()
)
#: Fields that say who asks, which are nobody else's business.
_ABOUT_CALLER = frozenset({b"authorization", b"proxy-authorization", b"cookie"})


def next_request(response: ResponseHead) -> Request | None:
    """Return the request that a redirect asks for, without cookies of the client's; None if it is none.

    Args:
        response: The response; its request must be known.

    Raises:
        RemoteProtocolError: It leads nowhere that a request can go.
        LocalProtocolError: The content would have to be sent again, and is gone.
    """
    if not response.is_redirect:
        return None
    request = response.request
    where = _location(response)
    method = request.fields[0][1]
    # RFC 9110 §15.4.2-4: POST becomes GET, as it does in every browser; 307 and 308 change nothing.
    drops_content = (response.status == 303 and method not in (b"GET", b"HEAD")) or (
        response.status in (301, 302) and method == b"POST"
    )
    plan = request.plan
    dropped = {b"cookie"} if plan is None or not plan.has_cookie_field else set()
    stays = where.origin == request.origin
    if not stays and not _secures(request.origin, where.origin):
        dropped |= _ABOUT_CALLER
        if plan is not None:
            auth = plan.auth if plan.auth is not None and plan.auth.elsewhere else None
            plan = plan.but(cookies=None, has_cookie_field=False, auth=auth)
    if drops_content:
        dropped |= _ABOUT_CONTENT
    elif not request.replayable:
        raise LocalProtocolError(
            f"{request.url} redirects to {where}, and the content cannot be sent there: "
            f"it came from an iterator"
        )
    fields = [
        (b":method", b"GET") if drops_content else request.fields[0],
        (b":scheme", where.origin.scheme.encode()),
        request.fields[2] if stays else (b":authority", where.authority),
        (b":path", where.target.encode("ascii")),
        *(field for field in request.fields[4:] if field[0] not in dropped),
    ]
    return Request(
        where.origin,
        fields,
        b"" if drops_content else request.content,
        None if drops_content else request.length,
        drops_content or request.idempotent,
        request.timeout,
        plan,
    )


def _location(response: ResponseHead) -> urls.Url:
    request = response.request
    values = set(response.headers.get_all("location"))
    location = " and ".join(values)
    if len(values) == 1:
        base = f"{request.origin}{request.fields[3][1].decode('latin-1')}"
        target = quote(location.strip().encode("latin-1"), safe=_URL_CHARACTERS)
        try:
            return urls.parse(urls.of_handshake(urljoin(base, target)))
        except (LocalProtocolError, ValueError) as error:
            reason = str(error)
    else:
        reason = "there can be one only"
    raise RemoteProtocolError(f"{request.url} redirects to {location!r}: {reason}")


def _secures(here: Origin, there: Origin) -> bool:
    """Whether it is the same server, over TLS at last."""
    return (
        here.host == there.host
        and (here.scheme, here.port) == ("http", 80)
        and (there.scheme, there.port) == ("https", 443)
    )
