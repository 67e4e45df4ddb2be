"""Field sections (RFC 9110 §5): what comes in is judged once, what goes out is validated whole.

Outbound sections are checked before the first field is encoded: a failure in the middle of encoding
would leave the two ends of HPACK with different tables (RFC 7541 §2.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from plait.errors import LocalProtocolError

if TYPE_CHECKING:
    from plait.server_config import Limits

__all__ = [
    "CONNECTION_SPECIFIC",
    "Field",
    "FieldSection",
    "RequestHead",
    "interim_fields",
    "outbound_fields",
    "section_size",
    "too_large",
    "trailer_fields",
]

Field = tuple[bytes, bytes]
FieldSection = list[Field]

#: Fields about one connection, which have no place in HTTP/2 (RFC 9113 §8.2.2) and which plait's own
#: serializer adds in HTTP/1.1.
CONNECTION_SPECIFIC = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)

#: Fields that a recipient needs before the content, or that could change what it made of the head:
#: framing, routing, request modifiers, authentication, control data, the content's own format.
_NOT_IN_TRAILERS = frozenset(
    b"content-length content-encoding content-type content-range host trailer te expect range max-forwards "
    b"cache-control pragma if-match if-none-match if-modified-since if-unmodified-since if-range "
    b"authorization proxy-authorization proxy-authenticate www-authenticate cookie set-cookie "
    b"age date expires location retry-after vary warning".split()
)

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch  # RFC 9110 §5.6.2
_FORBIDDEN_IN_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search  # RFC 9110 §5.5

#: What a request's head is judged by; all other fields pass through.
_JUDGED = frozenset(
    {
        b":method",
        b":path",
        b":authority",
        b":scheme",
        b":protocol",
        b"cookie",
        b"content-length",
        b"host",
        b"expect",
        b"priority",
        b"te",
    }
)
_NO_HOST = (b"host", b"")

#: Fields already found good: most responses of a site share most of their fields. None stands for a
#: field that is dropped.
_known: dict[Field, Field | None] = {}
_KNOWN_MAX = 4096
_KNOWN_VALUE_MAX = 256


def outbound_fields(fields: Iterable[Iterable[bytes]]) -> FieldSection:
    """Validate fields to be sent, and give them the form both versions of HTTP share.

    Names become lower-case (RFC 9113 §8.2.1), surrounding white space of values goes, and
    connection-specific fields are dropped, ``TE`` among them unless it says ``trailers`` (§8.2.2).

    Args:
        fields: Pairs of name and value, bytes.

    Raises:
        LocalProtocolError: A name or value is not one HTTP can carry.
    """
    result: FieldSection = []
    append = result.append
    for name, value in fields:
        try:
            known = _known[name, value]
        except (KeyError, TypeError):
            known = _check(name, value)
        if known is not None:
            append(known)
    return result


def interim_fields(status: int, fields: Iterable[Iterable[bytes]]) -> FieldSection:
    """Validate the field section of an interim response (RFC 9110 §15.2), as ``outbound_fields`` does.

    Args:
        status: From 100 to 199, but not 101, which is no interim response.
        fields: Pairs of name and value, bytes.

    Raises:
        LocalProtocolError: The status is not that of an interim response, or a name or value is not one
            HTTP can carry.
    """
    if not 100 <= status <= 199 or status == 101:
        raise LocalProtocolError(f"{status} is not the status of an interim response")
    # RFC 9110 §8.6: an interim response has no content-length.
    return [field for field in outbound_fields(fields) if field[0] != b"content-length"]


def trailer_fields(fields: Iterable[Iterable[bytes]]) -> FieldSection:
    """Validate a trailer section to be sent, as :func:`outbound_fields` does a head's.

    Args:
        fields: Pairs of name and value, bytes.

    Raises:
        LocalProtocolError: A name or value is not one HTTP can carry, or the field has no place in
            trailers (RFC 9110 §6.5.1).
    """
    section = outbound_fields(fields)
    for name, _ in section:
        if name in _NOT_IN_TRAILERS:
            raise LocalProtocolError(f"the field {name.decode()!r} has no place in a trailer section")
    return section


def _check(name: bytes, value: bytes) -> Field | None:
    if not isinstance(name, bytes) or not isinstance(value, bytes):
        raise LocalProtocolError(f"a field's name and value must be bytes, not {name!r}: {value!r}")
    if not _TOKEN(name):
        raise LocalProtocolError(f"{name!r} is not a field name")
    lower = name.lower()
    stripped = value.strip(b" \t")
    if _FORBIDDEN_IN_VALUE(stripped):
        raise LocalProtocolError(f"the value of the field {lower.decode()!r} holds a control character")
    field: Field | None = (lower, stripped)
    if lower in CONNECTION_SPECIFIC or (lower == b"te" and stripped.lower() != b"trailers"):
        field = None
    if len(value) <= _KNOWN_VALUE_MAX:
        if len(_known) >= _KNOWN_MAX:
            _known.clear()
        _known[name, value] = field
    return field


def section_size(fields: Sequence[Field]) -> int:
    """Return the size of a field section, in bytes, as limits on it count (RFC 9113 §6.5.2)."""
    return sum(len(name) + len(value) + 32 for name, value in fields)


def too_large(limits: Limits) -> tuple[int, str]:
    """Return the status and the sentence that refuse content over the limit."""
    return 413, f"the request's content is more than {limits.max_content_size} bytes"


class RequestHead:
    """A request's control data and field section, as a server sees them.

    Attributes:
        accepts_trailers: Whether the client said so (RFC 9110 §10.1.4).
        method: The method, case kept.
        authority: ``:authority``, or the ``host`` field where that is missing; may be empty.
        target: ``:path``, or the request target of HTTP/1.1 in origin or asterisk form.
        protocol: What is to be spoken on the tunnel that the client asks for, by extended CONNECT
            (RFC 8441 §4) or by HTTP/1.1's Upgrade: ``b"websocket"``, or ``b""`` for no tunnel.
        fields: The field section without pseudo-fields, with ``host`` first and one ``cookie``
            field at most.
        content_length: What the client declared, or None.
        expects_continue: Whether the client waits for a 100 before it sends content.
        priority: The ``priority`` field (RFC 9218 §5), unread, or ``b""``.
        refusal: The status code and the sentence to refuse the request with, or None.
    """

    __slots__ = (
        "accepts_trailers",
        "authority",
        "content_length",
        "expects_continue",
        "fields",
        "method",
        "priority",
        "protocol",
        "refusal",
        "target",
    )

    def __init__(self, headers: Sequence[Field], limits: Limits) -> None:
        """Judge a received field section.

        Args:
            headers: Pseudo-fields and fields, names in lower-case, as the connection received them.
            limits: ``max_header_fields``, where cookie crumbs count one by one, before they are
                joined; ``max_header_size``, counted as RFC 9113 §6.5.2 counts; ``max_target_size``;
                ``max_content_size``, which a content-length is held to here.
        """
        method = target = authority = protocol = b""
        host: bytes | None = None
        crumbs: list[bytes] | None = None
        self.refusal: tuple[int, str] | None = None
        self.accepts_trailers = self.expects_continue = False
        self.content_length: int | None = None
        self.priority = b""
        fields: FieldSection = [_NO_HOST]
        append = fields.append
        size = 0
        for field in headers:
            name, value = field
            size += len(name) + len(value)
            if name not in _JUDGED:
                append(field)
            elif name == b":path":
                target = value
            elif name == b":method":
                method = value
            elif name == b":authority":
                authority = value
            elif name == b":scheme":
                continue  # the transport knows it
            elif name == b"cookie":
                if crumbs is None:
                    crumbs = [value]
                    append(field)
                else:
                    crumbs.append(value)
            elif name == b"content-length":
                # The connections have refused what is not a number already (RFC 9110 §8.6).
                self.content_length = int(value)
                if 0 < limits.max_content_size < self.content_length:
                    self.refusal = too_large(limits)
                append(field)
            elif name == b"host":
                if host is not None and host != value:
                    self.refusal = (400, "the request names two hosts")
                host = value
            elif name == b"expect":
                self.expects_continue = value.lower() == b"100-continue"
                append(field)
            elif name == b"te":
                options = value.lower().split(b",")
                self.accepts_trailers |= b"trailers" in [option.strip(b" \t") for option in options]
                append(field)
            elif name == b"priority":
                self.priority = self.priority + b"," + value if self.priority else value
                append(field)
            elif name == b":protocol":
                protocol = value

        if host is not None:
            if authority and authority.lower() != host.lower():
                # RFC 9113 §8.3.1: a request whose host and :authority differ is malformed.
                self.refusal = (400, "the request's host and :authority differ")
            authority = authority or host
        if authority:
            # Where ASGI wants it: first, in place of any other.
            fields[0] = (b"host", authority)
        else:
            del fields[0]
        if crumbs is not None and len(crumbs) > 1:
            # RFC 9113 §8.2.3: crumbs are joined before they leave HTTP/2.
            index = next(i for i, (name, _) in enumerate(fields) if name == b"cookie")
            fields[index] = (b"cookie", b"; ".join(crumbs))
        count = len(headers)
        if count > limits.max_header_fields:
            self.refusal = (431, f"the request has more than {limits.max_header_fields} fields")
        if size + 32 * count > limits.max_header_size:
            self.refusal = (431, f"the request's fields are more than {limits.max_header_size} bytes")
        if len(target) > limits.max_target_size:
            self.refusal = (414, f"the request target is longer than {limits.max_target_size} bytes")
        if method == b"CONNECT" and protocol != b"websocket":
            # The engine has refused an extended CONNECT without scheme or path (RFC 8441 §4).
            self.refusal = (501, "this server opens no tunnels but for WebSocket")
        self.method = method
        self.protocol = protocol
        self.authority = authority
        self.target = target
        self.fields = fields
