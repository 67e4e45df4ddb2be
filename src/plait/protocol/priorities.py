"""How urgent a response is (RFC 9218): the parameters, and field values that say them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from plait.errors import LocalProtocolError

__all__ = ["DEFAULT_PRIORITY", "Priority", "parse_priority", "priority_value"]


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

_URGENCIES = frozenset({b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7"})
_INCREMENTAL = {b"?0": False, b"?1": True}
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
    try:
        for key, item in _members(value.strip(b" ")):
            if key == b"u" and item in _URGENCIES:
                urgency = int(item)
            elif key == b"i" and item in _INCREMENTAL:
                incremental = _INCREMENTAL[item]
    except ValueError:
        return None
    return Priority(urgency, incremental)


def priority_value(priority: Priority | str) -> bytes:
    """Return the value of a priority field that is to be sent (RFC 9218 §5), ``b""`` for the default.

    Args:
        priority: What it says, or the value itself.

    Raises:
        LocalProtocolError: It is neither, or says what no server would understand.
    """
    if isinstance(priority, str):
        value = priority.encode("ascii", "replace").strip(b" ")
        try:
            members = dict(_members(value))
        except ValueError:
            members = {b"u": b""}
        if len(value) > _VALUE_MAX or not (
            members.get(b"u", b"3") in _URGENCIES and members.get(b"i", b"?0") in _INCREMENTAL
        ):
            raise LocalProtocolError(f'{priority!r} is no priority; one is written as "u=1, i"')
        return value
    if not isinstance(priority, Priority):
        raise LocalProtocolError(f"a priority is a plait.Priority or its text, not {priority!r}")
    urgency, incremental = priority
    if type(urgency) is not int or not 0 <= urgency <= 7 or type(incremental) is not bool:
        raise LocalProtocolError(
            f"an urgency is from 0 to 7, and incremental True or False, not {priority!r}"
        )
    said = [b"u=%d" % urgency] if urgency != DEFAULT_PRIORITY.urgency else []
    return b", ".join([*said, b"i"] if incremental else said)


def _members(value: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the members of a dictionary: a key and its item, ``b""`` where that is a list.

    Raises:
        ValueError: It is no dictionary.
    """
    position = 0
    while value:
        member = _MEMBER(value, position)
        if member is None:
            raise ValueError
        key, item = member.groups()
        if item is None:
            # RFC 9651 §3.2: a key alone is true.
            is_list = member.end(1) < member.end() and value[member.end(1)] == 0x3D
            item = b"" if is_list else b"?1"
        yield key, item
        position = member.end()
        if position == len(value):
            break
        comma = _COMMA(value, position)
        if comma is None:
            raise ValueError
        position = comma.end()
