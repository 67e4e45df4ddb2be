"""The content of a request: what may be one, and the fields about it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from plait.errors import LocalProtocolError
from plait.fields import FieldSection

if TYPE_CHECKING:
    from plait.client.forms import FormInput
    from plait.client.messages import Request
    from plait.client.options import Content

__all__ = ["add_content", "form_content"]

#: Digits of a content-length: more than any content has.
_DIGITS_MAX = 18
_BYTES = (bytes, bytearray, memoryview)


def add_content(request: Request, given: FieldSection, content: Content | None, json: Any = None) -> None:
    """Give a request its content, and the fields about that.

    Args:
        request: The request.
        given: Its fields, to which those about the content are added.
        content: The content, or None.
        json: The same as JSON.

    Raises:
        LocalProtocolError: It is no content, or not what its fields say.
    """
    names = {name for name, _ in given}
    if json is not None:
        if content is not None:
            raise LocalProtocolError("a request has content or json, not both")
        content = _encode_json(json)
        if b"content-type" not in names:
            given.append((b"content-type", b"application/json"))
    request.content, length = _body(content)
    if b"content-length" in names:
        announced = [value for name, value in given if name == b"content-length"]
        if len(announced) > 1 or not announced[0].isdigit() or len(announced[0]) > _DIGITS_MAX:
            said = b", ".join(announced).decode("latin-1")
            raise LocalProtocolError(f"content-length {said[:100]!r} is not a number of bytes")
        if content is None:
            length = 0
        if length is not None and length != int(announced[0]):
            raise LocalProtocolError(f"the content has {length} bytes, not {announced[0].decode()}")
        length = int(announced[0])
    elif length is not None:
        given.append((b"content-length", b"%d" % length))
    request.length = length


def form_content(data: FormInput | None, files: Any, given: FieldSection) -> Content:
    """Return a form as content, and say in a field which kind it is.

    Args:
        data: Names and values, or None.
        files: Names and files, or None.
        given: The request's fields, to which content-type is added.

    Raises:
        LocalProtocolError: There are files, and a field says content-type already.
    """
    from plait.client.forms import Multipart, encode_form

    said = any(name == b"content-type" for name, _ in given)
    if files is None:
        if not said:
            given.append((b"content-type", b"application/x-www-form-urlencoded"))
        return encode_form(data or ())
    if said:
        raise LocalProtocolError("a form with files says in content-type what parts it; leave that field out")
    form = Multipart(data, files)
    given.append((b"content-type", form.content_type))
    return form


def _encode_json(value: Any) -> bytes:
    from json import dumps

    try:
        return dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise LocalProtocolError(f"this cannot be said in JSON: {error}") from error


def _body(content: Content | None) -> tuple[bytes | Iterable[bytes] | AsyncIterable[bytes], int | None]:
    """Return content in one of the forms a request holds, and its length where that is known."""
    if content is None:
        return b"", None
    if isinstance(content, str):
        try:
            content = content.encode()
        except UnicodeEncodeError:
            raise LocalProtocolError("the content holds half a character") from None
    if isinstance(content, _BYTES):
        content = bytes(content)
        return content, len(content)
    if hasattr(content, "read"):
        from plait.client.file_content import FileContent

        file = FileContent(content)
        return file, file.length
    if isinstance(content, Mapping):
        raise LocalProtocolError("content is bytes, str or an iterable; a form is data=, and JSON is json=")
    if isinstance(content, list | tuple):
        # The others are found out when they are sent.
        wrong = next((piece for piece in content if not isinstance(piece, _BYTES)), b"")
        if not isinstance(wrong, bytes):
            raise LocalProtocolError(f"content must come in pieces of bytes, not {type(wrong).__name__}")
    if isinstance(content, Iterable | AsyncIterable):
        return cast("Iterable[bytes] | AsyncIterable[bytes]", content), getattr(content, "length", None)
    raise LocalProtocolError(f"content must be bytes, str or an iterable, not {type(content).__name__}")
