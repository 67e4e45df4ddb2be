"""Text that comes in pieces: characters and lines that are cut in two, put together again."""

from __future__ import annotations

import codecs

from plait.errors import ContentDecodingError

__all__ = ["Lines", "Text"]


class Text:
    """Makes text of bytes; what is no text becomes U+FFFD.

    Args:
        charset: The name of the charset.
    """

    def __init__(self, charset: str) -> None:
        self._decoder = codecs.getincrementaldecoder(charset)("replace")

    def feed(self, data: bytes) -> str:
        """Take bytes, and return the characters that are complete."""
        return self._decoder.decode(data)

    def finish(self) -> str:
        """Return what is left at the end."""
        return self._decoder.decode(b"", True)


class Lines:
    """Takes text apart at the ends of lines: LF, CR LF or CR.

    A line is given as soon as its end has come: after a CR nobody waits for the LF that may follow.

    Args:
        limit: Characters that a line may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begun: list[str] = []
        self._size = 0
        self._after_cr = False

    def feed(self, text: str) -> list[str]:
        """Take text, and return the lines that end in it, without their ends.

        Raises:
            ContentDecodingError: A line is too long.
        """
        if not text:
            return []
        if self._after_cr and text[0] == "\n":
            text = text[1:]
        self._after_cr = text.endswith("\r") if text else False
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if len(lines) > 1:
            lines[0] = "".join([*self._begun, lines[0]])
            self._begun.clear()
            self._size = 0
        rest = lines.pop()
        if rest:
            self._begun.append(rest)
            self._size += len(rest)
        if self._size > self._limit:
            raise ContentDecodingError(f"a line is longer than {self._limit} characters")
        return lines

    def finish(self) -> list[str]:
        """Return what is left at the end, if that is anything."""
        rest = "".join(self._begun)
        self._begun.clear()
        return [rest] if rest else []
