"""Makes requests of which the caller has decided everything: another library, on whose behalf they go."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from plait import urls
from plait.client.contents import add_content
from plait.client.making import authority_of, start_of
from plait.client.messages import Request
from plait.errors import LocalProtocolError
from plait.fields import Field, outbound_fields
from plait.urls import Url

if TYPE_CHECKING:
    from plait.client.options import Content
    from plait.client.plan import Plan
    from plait.client.timeouts import Timeouts

__all__ = ["exact_request"]

#: What a request line can carry (RFC 9112 §3.2), whether or not it is a URI's.
_TARGET = re.compile(r"[!-~]+").fullmatch


def exact_request(
    plan: Plan,
    method: str,
    url: str | Url,
    fields: Iterable[Field],
    content: Content | None,
    timeout: float | Timeouts | None,
) -> Request:
    """Make a request; see :meth:`plait.client.methods.Methods.exact_request`.

    Args:
        plan: What is done for it beside sending it.
        method: The method.
        url: Where it goes.
        fields: Pairs of name and value, bytes.
        content: Its content.
        timeout: How long it may take.

    Raises:
        LocalProtocolError: HTTP cannot carry it.
    """
    where = urls.parse(url) if isinstance(url, str) else url
    if not _TARGET(where.target):
        raise LocalProtocolError(f"{where.target!r} is not a target that a request can carry")
    given = outbound_fields(fields)
    hosts = [value for name, value in given if name == b"host"]
    authority = authority_of(hosts) if hosts else where.authority
    start, idempotent = start_of(method, where.origin.scheme, authority)
    request = Request(where.origin, start, b"", None, idempotent, timeout, plan)
    add_content(request, given, content)
    start.append((b":path", where.target.encode("ascii")))
    # RFC 9113 §8.3.1: one name for the server, in :authority.
    start += [field for field in given if field[0] != b"host"]
    return request
