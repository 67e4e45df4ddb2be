"""Field sections as a client's callers see them: to read, and to change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping

from plait.errors import LocalProtocolError
from plait.fields import Field, FieldSection, outbound_fields

__all__ = ["Headers", "MutableHeaders"]


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


def _encode_field(name: str, value: str) -> Field | None:
    """Return a field as it is sent; None for one about the connection, which is not.

    Raises:
        LocalProtocolError: HTTP cannot carry it.
    """
    try:
        fields = outbound_fields([(name.encode("ascii"), value.encode("latin-1"))])
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"{error.object!r} is not text that a field can carry") from None
    except AttributeError:
        raise LocalProtocolError("headers must be pairs of name and value, both str") from None
    return fields[0] if fields else None


class MutableHeaders(MutableMapping[str, str]):
    """A field section that can be changed: of a request, or of all requests of a client.

    Args:
        fields: The section; it is changed in place. Pseudo-fields at its beginning are left alone, and
            ``host`` stands for ``:authority`` among them.
        changed: Called after a change.
    """

    __slots__ = ("_changed", "_fields")

    def __init__(self, fields: FieldSection, changed: Callable[[], None] = lambda: None) -> None:
        self._fields = fields
        self._changed = changed

    def _where(self, name: str) -> list[int]:
        lower = name.lower().encode("latin-1", "replace")
        if lower == b"host" and self._fields and self._fields[0][0] == b":method":
            lower = b":authority"
        return [at for at, field in enumerate(self._fields) if field[0] == lower]

    def __getitem__(self, name: str) -> str:
        """Return a field's value, joined with commas when it is there more than once."""
        found = self._where(name)
        if not found:
            raise KeyError(name)
        return ", ".join(self._fields[at][1].decode("latin-1") for at in found)

    def __setitem__(self, name: str, value: str) -> None:
        """Set a field's only value.

        Raises:
            LocalProtocolError: HTTP cannot carry it.
        """
        field = _encode_field(name, value)
        if field is None:
            return
        found = self._where(name)
        for at in reversed(found[1:]):
            del self._fields[at]
        if found:
            self._fields[found[0]] = (self._fields[found[0]][0], field[1])
        else:
            self._fields.append(field)
        self._changed()

    def add(self, name: str, value: str) -> None:
        """Add a field, beside others of this name.

        Raises:
            LocalProtocolError: HTTP cannot carry it.
        """
        field = _encode_field(name, value)
        if field is not None:
            self._fields.append(field)
            self._changed()

    def __delitem__(self, name: str) -> None:
        found = self._where(name)
        if not found or self._fields[found[0]][0] == b":authority":
            raise KeyError(name)
        for at in reversed(found):
            del self._fields[at]
        self._changed()

    def __iter__(self) -> Iterator[str]:
        return iter({name.decode(): None for name, _ in self._fields if name[:1] != b":"})

    def __len__(self) -> int:
        return len({name for name, _ in self._fields if name[:1] != b":"})

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._where(name))

    def __repr__(self) -> str:
        return f"MutableHeaders({[field for field in self._fields if field[0][:1] != b':']!r})"
