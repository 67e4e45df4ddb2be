"""How urgent a response is (RFC 9218): the parameters, and reading them out of a field value."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["DEFAULT_PRIORITY", "Priority", "parse_priority"]


class Priority(NamedTuple):
    """When a response is sent, beside others on its connection (RFC 9218 §4).

    Attributes:
        urgency: From 0, the most urgent, to 7.
        incremental: Whether it is of use in pieces, and so shares the connection with others of its
            urgency; those that are not are sent one after another.
    """

    urgency: int = 3
    incremental: bool = False


DEFAULT_PRIORITY = Priority()

_KEY = rb"[a-z*][a-z0-9_\-.*]*"
_ITEM = (
    rb"(?:-?[0-9]{1,15}(?:\.[0-9]{1,3})?"  # integer or decimal
    rb'|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"'  # string
    rb"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*"  # token
    rb"|:[A-Za-z0-9+/=]*:"  # bytes
    rb"|\?[01]"  # boolean
    rb"|@-?[0-9]{1,15})"  # date
)
_PARAMETERS = rb"(?:; *" + _KEY + rb"(?:=" + _ITEM + rb")?)*"
_INNER_LIST = (
    rb"\( *(?:" + _ITEM + _PARAMETERS + rb"(?: +" + _ITEM + _PARAMETERS + rb")*)? *\)"
)  # fmt: skip
#: One member of a dictionary (RFC 9651 §3.2): its key, and its value where that is one item.
_MEMBER = re.compile(
    rb"(" + _KEY + rb")(?:=(?:(" + _ITEM + rb")|" + _INNER_LIST + rb"))?" + _PARAMETERS
).match
#: A longer one than anybody needs is none: it can change with every frame of a client.
_VALUE_MAX = 1024
_COMMA = re.compile(rb"[ \t]*,[ \t]*").match


def parse_priority(value: bytes, base: Priority = DEFAULT_PRIORITY) -> Priority | None:
    """Read a priority field value (RFC 9218 §5), a dictionary of structured fields.

    Args:
        value: The field value; of several, joined by commas.
        base: What holds for parameters that the value does not have, or has of a wrong type or out of
            range, which are ignored (RFC 9218 §4).

    Returns:
        The priority, or None when the value is no dictionary, or longer than 1,024 bytes, and so is ignored
        as a whole.
    """
    if len(value) > _VALUE_MAX:
        return None
    urgency, incremental = base
    value = value.strip(b" ")
    position = 0
    while value:
        member = _MEMBER(value, position)
        if member is None:
            return None
        key, item = member.groups()
        if key == b"u":
            if item is not None and len(item) == 1 and item in b"01234567":
                urgency = int(item)
        elif key == b"i":
            if member.end(1) == member.end() or value[member.end(1)] != 0x3D or item == b"?1":
                incremental = True
            elif item == b"?0":
                incremental = False
        position = member.end()
        if position == len(value):
            break
        comma = _COMMA(value, position)
        if comma is None:
            return None
        position = comma.end()
    return Priority(urgency, incremental)
