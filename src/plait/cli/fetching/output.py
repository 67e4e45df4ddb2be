"""Where content goes: standard output, in the order of the URLs, or files."""

from __future__ import annotations

import asyncio
import os
import re
import select
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote
from weakref import WeakValueDictionary

from plait.cli.fetching.options import Given
from plait.cli.fetching.targets import Target, remote_name
from plait.errors import PlaitError

if TYPE_CHECKING:
    from tempfile import SpooledTemporaryFile

__all__ = ["File", "Names", "Ordered", "Stream", "Turn", "safe_name"]

#: Bytes kept for a response whose turn it is not yet, before they go to a temporary file.
_KEPT = 65_536
#: Bytes after which it waits, while the response whose turn it is flows.
_HELD_BACK = 1_048_576
_PIECE = 65_536
_FILENAME = re.compile(r';\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))', re.IGNORECASE)
_FILENAME_CODED = re.compile(r";\s*filename\*\s*=\s*(UTF-8|ISO-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)


class Stream:
    """A file that may block, such as standard output: a pipe is written to without keeping others waiting.

    Args:
        file: The file.
        name: What it is called where it cannot be written to.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._number = file.fileno()
        mode = os.fstat(self._number).st_mode
        self.is_terminal = file.isatty()
        # Files and devices such as /dev/null keep nobody waiting.
        self._blocks = self.is_terminal or not (stat.S_ISREG(mode) or stat.S_ISCHR(mode))
        self._is_pipe = stat.S_ISFIFO(mode)

    async def write(self, data: bytes) -> None:
        """Write, all of it.

        Raises:
            OSError: Nobody reads any more, or there is no room.
        """
        if self._blocks and not self._has_room(len(data)):
            await asyncio.to_thread(self._write, data)
        else:
            self._write(data)

    def _has_room(self, size: int) -> bool:
        # A pipe that can be written to takes so many bytes at once (POSIX, write()).
        if not self._is_pipe or size > select.PIPE_BUF:
            return False
        return bool(select.select([], [self._number], [], 0)[1])

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._name) from error


class Turn:
    """A response's place in the order of what is written to standard output.

    Args:
        before: The place before it, None for the first.
    """

    def __init__(self, before: Turn | None) -> None:
        self._before = before
        self._over = asyncio.Event()
        self.flows = False

    @property
    def is_here(self) -> bool:
        """Whether all responses before it are written."""
        return self._before is None or self._before._over.is_set()

    @property
    def first_flows(self) -> bool:
        """Whether the response whose turn it is will need no connection any more."""
        one: Turn | None = self
        while one is not None and not one.is_here:
            one = one._before
        return one is not None and one.flows

    async def wait(self) -> None:
        """Wait until it is here."""
        if self._before is not None:
            await self._before._over.wait()
            self._before = None

    def end(self) -> None:
        """Let the next one have its turn."""
        self._over.set()


class Ordered:
    """Writes one response to a stream, when its turn has come; until then it keeps it.

    Args:
        stream: Where it goes.
        turn: Its turn.
        refuses_binary: Whether content with bytes that no text has is refused.
    """

    def __init__(self, stream: Stream, turn: Turn, *, refuses_binary: bool) -> None:
        self.name = ""
        self._stream = stream
        self._turn = turn
        self._kept: SpooledTemporaryFile[bytes] | None = None
        self._refuses_binary = refuses_binary

    async def write(self, data: bytes, *, is_text: bool = False) -> None:
        """Take content.

        Args:
            data: Some of it.
            is_text: Whether it can be shown on a terminal whatever is in it.

        Raises:
            PlaitError: It is binary, and would go to a terminal.
            OSError: Nobody reads any more, or there is no room.
        """
        if self._refuses_binary and not is_text and b"\0" in data:
            raise PlaitError("the content is binary, and not for a terminal: -o FILE keeps it, -o - shows it")
        if not self._turn.is_here:
            if self._kept is None:
                from tempfile import SpooledTemporaryFile

                self._kept = SpooledTemporaryFile(max_size=_KEPT)  # noqa: SIM115 – closed when its turn has come
            self._kept.write(data)
            # It may wait only for what needs no connection that this response holds.
            if self._kept.tell() < _HELD_BACK or not self._turn.first_flows:
                return
            await self._turn.wait()
            await self._release()
            return
        await self._release()
        await self._stream.write(data)

    async def _release(self) -> None:
        if self._kept is not None:
            with self._kept as kept:
                kept.seek(0)
                while piece := kept.read(_PIECE):
                    await self._stream.write(piece)
            self._kept = None

    def restart(self) -> None:
        """Forget what was kept: the request goes out again."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    async def close(self) -> None:
        """Wait until the turn has come, and write what was kept."""
        await self._turn.wait()
        await self._release()


class File:
    """Writes one response into a file, which comes to be with the first byte.

    Args:
        path: Where.
        make_directories: Whether directories are made for it.
        lock: Held while it is written: of several responses for one file, the last one stays.
        resumes: Whether it goes on at the end of the file.
        new: Whether it must not be there yet: else ``.1``, ``.2`` … is added to its name.
    """

    def __init__(
        self,
        path: Path,
        *,
        make_directories: bool,
        lock: asyncio.Lock,
        resumes: bool = False,
        new: bool = False,
    ) -> None:
        self.path = path
        self.name = str(path)
        self._make_directories = make_directories
        self._lock = lock
        self._resumes = resumes
        self._new = new
        self._file: IO[bytes] | None = None

    async def write(self, data: bytes) -> None:
        """Take content.

        Raises:
            PlaitError: The file cannot be written.
        """
        if self._file is None:
            await self._lock.acquire()
        try:
            if self._file is None:
                if self._make_directories:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._create()
            self._file.write(data)
        except OSError as error:
            if self._file is None:
                self._lock.release()
            raise PlaitError(f"cannot write {self.path}: {error.strerror}") from error

    def _create(self) -> IO[bytes]:
        if not self._new:
            return self.path.open("ab" if self._resumes else "wb")
        number = 0
        while True:
            path = self.path.with_name(f"{self.path.name}.{number}") if number else self.path
            try:
                file = path.open("xb")
            except FileExistsError:
                number += 1
                continue
            self.name = str(path)
            return file

    async def close(self) -> None:
        """Close the file.

        Raises:
            PlaitError: It cannot be written to its end.
        """
        if self._file is not None:
            file, self._file = self._file, None
            self._lock.release()
            try:
                file.close()
            except OSError as error:
                raise PlaitError(f"cannot write {self.path}: {error.strerror}") from error


class Names:
    """Says which file a response goes into.

    Args:
        given: The options.
    """

    def __init__(self, given: Given) -> None:
        self._given = given
        #: For each URL of the command line: the name that -o says, or None for -O.
        self._said = [
            value if kind == "output" else None
            for kind, value in given.order
            if kind in ("output", "remote_name")
        ]
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    def lock(self, path: Path) -> asyncio.Lock:
        """Return what is held while a file is written."""
        lock = self._locks.get(path)
        if lock is None:
            lock = self._locks[path] = asyncio.Lock()
        return lock

    def path_for(self, target: Target, disposition: str | None = None) -> Path | None:
        """Return the file for a URL's content, None for standard output.

        Args:
            target: The URL.
            disposition: What the response calls itself, in ``content-disposition``.

        Raises:
            PlaitError: Its URL gives it no name.
        """
        given = self._given
        if target.argument < len(self._said):
            said = self._said[target.argument]
        elif given.remote_name_all or (given.output_dir is not None and not self._said):
            said = None
        else:
            return None
        if said == "-":
            return None
        if said is None:
            name = ""
            if given.remote_header_name and disposition is not None:
                name = safe_name(disposition)
            name = name or remote_name(target.url)
            if name in ("", ".", ".."):
                raise PlaitError("the URL ends with no name for a file: -o gives it one")
        else:
            name = re.sub(r"#([1-9][0-9]*)", lambda found: self._part(target, found), said)
        path = Path(name)
        return path if given.output_dir is None else Path(given.output_dir) / path

    def is_standard_output(self, target: Target) -> bool:
        """Whether a URL's content goes there."""
        try:
            return self.path_for(target) is None
        except PlaitError:
            return False

    @staticmethod
    def _part(target: Target, found: re.Match[str]) -> str:
        number = int(found[1]) - 1
        # A part is a part of a name, and leads nowhere else.
        return target.parts[number].replace("/", "_") if number < len(target.parts) else found[0]


def safe_name(disposition: str) -> str:
    """Return the name in a ``content-disposition`` (RFC 6266), ``""`` for none that is only a name.

    Of a path the last part is taken, as RFC 6266 §4.3 advises; a dot at its beginning becomes ``_``, so that
    no server writes a ``.bashrc``.
    """
    name = ""
    if coded := _FILENAME_CODED.search(f";{disposition}"):
        name = unquote(coded[2], encoding=coded[1])
    elif plain := _FILENAME.search(f";{disposition}"):
        name = re.sub(r"\\(.)", r"\1", plain[1]) if plain[1] is not None else plain[2]
    name = re.split(r"[/\\]", name)[-1].strip()
    if any(letter < " " or letter == "\x7f" for letter in name) or len(name.encode(errors="replace")) > 255:
        return ""
    return f"_{name[1:]}" if name.startswith(".") else name
