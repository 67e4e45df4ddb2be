"""Forms as content: application/x-www-form-urlencoded, and multipart/form-data (RFC 7578)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from secrets import token_hex
from typing import Any

from plait import urls
from plait.client.file_content import FileContent
from plait.errors import LocalProtocolError
from plait.fields import outbound_fields

__all__ = ["FileInput", "FormInput", "Multipart", "encode_form"]

FormInput = urls.Params
#: Content, or a name and content, and then perhaps its media type, and then further fields.
FileInput = Any

#: Bytes of a part that are yielded at once.
_PIECE = 65_536


def encode_form(data: FormInput) -> bytes:
    """Encode a form (application/x-www-form-urlencoded).

    Args:
        data: Names and values, as a mapping or as pairs; what values may be, see
            :func:`plait.urls.query`.

    Raises:
        LocalProtocolError: A name or value is of another type.
    """
    _check(data)
    return urls.query(data).replace("%20", "+").encode()


def _check(data: FormInput) -> None:
    if isinstance(data, str | bytes | bytearray) or not isinstance(data, Iterable):
        raise LocalProtocolError(
            f"data must be names and values of a form, not {type(data).__name__}; else say content"
        )


class Multipart:
    """A form with files (multipart/form-data), sent piece by piece.

    Args:
        data: Names and values, as :func:`encode_form` takes them; they come first.
        files: Names and files, as a mapping or as pairs, a list for several of one name. A file is
            content: bytes, str or an open file in binary mode; or a tuple of its name and content, and
            then perhaps its media type, and then further fields, a mapping. With None as its name it
            is a plain value, in its place between the files.

    Attributes:
        content_type: What content-type says.
        length: Bytes of it, None where a file's length cannot be told.
        replayable: Whether it can be sent again.

    Raises:
        LocalProtocolError: A name, value or file is not what it must be.
    """

    __slots__ = ("_parts", "content_type", "length", "replayable")

    def __init__(self, data: FormInput | None, files: Any) -> None:
        boundary = token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}".encode()
        self._parts: list[bytes | FileContent] = []
        if data is not None:
            _check(data)
            pairs: Iterable[Any] = data.items() if isinstance(data, Mapping) else data
            for name, value in pairs:
                is_one = isinstance(value, str | bytes) or not isinstance(value, Iterable)
                for one in [value] if is_one else value:
                    if one is not None:
                        self._add(boundary, _head(name, None, None, {}), _plain(name, one))
        try:
            for name, given in files.items() if isinstance(files, Mapping) else files:
                for one in given if isinstance(given, list) else [given]:
                    self._add_file(boundary, name, one)
        except (TypeError, ValueError) as error:
            raise LocalProtocolError(f"files must be names and files, not {files!r}: {error}") from None
        self._parts.append(f"--{boundary}--\r\n".encode())
        self.length: int | None = 0
        self.replayable = True
        for part in self._parts:
            length = len(part) if isinstance(part, bytes) else part.length
            self.length = None if length is None or self.length is None else self.length + length
            self.replayable = self.replayable and (isinstance(part, bytes) or part.replayable)

    def _add_file(self, boundary: str, name: str, given: FileInput) -> None:
        filename: str | None
        if isinstance(given, tuple):
            filename, content, *more = given
        else:
            path = getattr(given, "name", None)
            filename = os.path.basename(path) if isinstance(path, str) and path[:1] != "<" else name
            content, more = given, []
        media_type = more[0] if more else None
        if media_type is None and filename is not None:
            import mimetypes

            media_type = mimetypes.guess_type(filename)[0] or "application/octet-stream"
        body: bytes | FileContent
        if isinstance(content, str):
            body = content.encode()
        elif isinstance(content, bytes | bytearray | memoryview):
            body = bytes(content)
        elif hasattr(content, "read"):
            body = FileContent(content)
        else:
            raise LocalProtocolError(
                f"the file {name!r} must be bytes, str or an open file, not {type(content).__name__}"
            )
        self._add(boundary, _head(name, filename, media_type, more[1] if len(more) > 1 else {}), body)

    def _add(self, boundary: str, head: bytes, content: bytes | FileContent) -> None:
        self._parts += [f"--{boundary}\r\n".encode() + head, content, b"\r\n"]

    def __iter__(self) -> Iterator[bytes]:
        gathered = bytearray()
        for part in self._parts:
            for piece in [part] if isinstance(part, bytes) else part:
                gathered += piece
                if len(gathered) >= _PIECE:
                    yield bytes(gathered)
                    gathered.clear()
        if gathered:
            yield bytes(gathered)


def _head(name: str, filename: str | None, media_type: str | None, more: Mapping[str, str]) -> bytes:
    """Return a part's field section."""
    disposition = b'form-data; name="%b"' % _quoted(name)
    if filename is not None:
        disposition += b'; filename="%b"' % _quoted(filename)
    fields = [(b"Content-Disposition", disposition)]
    if media_type is not None:
        fields.append((b"Content-Type", media_type.encode("latin-1", "replace")))
    for key, value in more.items():
        if key.lower() == "content-type":
            del fields[1:]
        fields.append((key.encode("latin-1", "replace"), value.encode("latin-1", "replace")))
    outbound_fields(fields)
    return b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"


def _quoted(name: str) -> bytes:
    # RFC 7578 §4.2 says UTF-8 and no more; this is how the HTML standard and every browser escape.
    if not isinstance(name, str):
        raise LocalProtocolError(f"the name of a part of a form must be str, not {type(name).__name__}")
    return name.encode().replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A")


def _plain(name: str, value: Any) -> bytes:
    """Return a plain value of a form."""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, bytes):
        return value
    if isinstance(value, str | int | float):
        return str(value).encode()
    raise LocalProtocolError(f"the parameter {name!r} has the value {value!r}")
