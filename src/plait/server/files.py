"""Reading files for responses: a piece at a time, and never blocking the event loop on a disk."""

from __future__ import annotations

import asyncio
import os
import stat

__all__ = ["PIECE", "open_regular", "read_piece"]

#: Bytes read at a time.
PIECE = 131_072

#: Linux can be asked for what is in memory only (preadv2(2)).
_IN_MEMORY_ONLY: int | None = getattr(os, "RWF_NOWAIT", None)


async def open_regular(path: str) -> tuple[int, int]:
    """Open a regular file for reading.

    Args:
        path: Its path.

    Returns:
        Its descriptor, which the caller closes, and its size in bytes.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    return await asyncio.get_running_loop().run_in_executor(None, _open_regular, path)


def _open_regular(path: str) -> tuple[int, int]:
    # O_NONBLOCK: opening a pipe would wait for its other end.
    flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file", path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_size


async def read_piece(descriptor: int, offset: int, size: int) -> bytes:
    """Read part of a file: at once when it is in memory, else in a thread.

    Args:
        descriptor: The open file.
        offset: Where to begin, in bytes.
        size: How many bytes to read at most, of which ``PIECE`` are read at most.

    Returns:
        One byte at least.

    Raises:
        OSError: It cannot be read, or ends at the offset.
    """
    size = min(size, PIECE)
    data = None if _IN_MEMORY_ONLY is None else _read_in_memory(descriptor, offset, size)
    if data is None:
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(None, _read, descriptor, offset, size)
    if not data:
        raise OSError(0, "the file is shorter than it was")
    return data


def _read_in_memory(descriptor: int, offset: int, size: int) -> bytes | None:
    assert _IN_MEMORY_ONLY is not None
    buffer = bytearray(size)
    try:
        length = os.preadv(descriptor, [buffer], offset, _IN_MEMORY_ONLY)
    except OSError:
        # It would take a wait, or the file system cannot tell; any real failure comes again in the thread.
        return None
    return bytes(memoryview(buffer)[:length])


def _read(descriptor: int, offset: int, size: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    # Windows: a file of the server's own, so nobody else minds where its position is.
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)
