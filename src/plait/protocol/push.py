"""What a server may promise (RFC 9113 §8.4): the request of a pushed response."""

from __future__ import annotations

import re
from collections.abc import Iterable

from plait.errors import LocalProtocolError
from plait.fields import Field, FieldSection, outbound_fields

__all__ = ["promised_request"]

_PSEUDO_FIELDS = frozenset({b":method", b":scheme", b":authority", b":path"})
#: Safe and cacheable (RFC 9110 §9.2): what else may be promised does not exist.
_METHODS = frozenset({b"GET", b"HEAD"})
_PATH = re.compile(rb"/[\x21\x22\x24-\x7e]*").fullmatch
#: What a request without content does not have.
_ABOUT_CONTENT = frozenset({b"content-length", b"expect", b"trailer"})


def promised_request(fields: Iterable[Field], authority: bytes) -> FieldSection:
    """Validate the request that a pushed response is to answer (RFC 9113 §8.4, §8.4.1).

    Args:
        fields: Pseudo-fields first.
        authority: What the server is known to speak for: that of the request the push belongs to.

    Raises:
        LocalProtocolError: It may not be promised.
    """
    pseudo: dict[bytes, bytes] = {}
    rest: list[Field] = []
    for name, value in fields:
        if rest or not name.startswith(b":"):
            rest.append((name, value))
        elif name in pseudo or name not in _PSEUDO_FIELDS:
            raise LocalProtocolError(f"a promised request has no {name!r} or no second one")
        else:
            pseudo[name] = value
    if missing := _PSEUDO_FIELDS - pseudo.keys():
        raise LocalProtocolError(f"a promised request needs {sorted(missing)[0]!r}")
    if pseudo[b":method"] not in _METHODS:
        raise LocalProtocolError(f"only GET and HEAD can be promised, not {pseudo[b':method']!r}")
    if pseudo[b":scheme"] not in (b"https", b"http"):
        raise LocalProtocolError(f"{pseudo[b':scheme']!r} is not a scheme that can be promised")
    if not _PATH(pseudo[b":path"]):
        raise LocalProtocolError(f"{pseudo[b':path']!r} is not a path that can be promised")
    if pseudo[b":authority"].lower() != authority.lower():
        raise LocalProtocolError(f"this connection promises nothing for {pseudo[b':authority']!r}")
    section = outbound_fields(rest)
    for name, _ in section:
        if name in _ABOUT_CONTENT:
            raise LocalProtocolError(f"a promised request has no content, and so no {name.decode()!r}")
    return [*pseudo.items(), *section]
