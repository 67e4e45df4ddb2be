"""Content of a given size that is what its type says: images that a browser draws, styles it applies."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from math import exp
from random import Random
from statistics import NormalDist

__all__ = ["font", "png", "script", "spread", "text"]

_WORDS = (
    "harbor", "lantern", "meridian", "orchard", "parallax", "quarry", "river", "signal", "timber", "umbra",
    "valley", "willow", "amber", "beacon", "copper", "drift", "ember", "fathom", "glimmer", "hollow",
)  # fmt: skip


def spread(total: int, count: int, sigma: float, random: Random) -> list[int]:
    """Part a number of bytes as sizes on the web lie: few large, many small.

    Args:
        total: Bytes of all together.
        count: How many there are.
        sigma: Of the logarithm of the sizes, which follow a normal distribution.
        random: Decides the order.

    Returns:
        The sizes, whose sum is the total.
    """
    normal = NormalDist(sigma=sigma)
    weights = [exp(normal.inv_cdf((place + 0.5) / count)) for place in range(count)]
    sizes = [int(total * weight / sum(weights)) for weight in weights]
    sizes[-1] += total - sum(sizes)
    random.shuffle(sizes)
    return sizes


def text(size: int, random: Random) -> str:
    """Make words, ``size`` characters of them."""
    return " ".join(random.choices(_WORDS, k=size // 5 + 1))[:size]


def script(size: int, random: Random) -> bytes:
    """Make a script of a size of at least 100 bytes, which does nothing, by small functions."""
    lines = ['"use strict";']
    length = len(lines[0])
    for number in range(size):
        line = f"function part{number}(value) {{ return value + {random.randrange(10**9)}; }}"
        if length + len(line) + 1 > size - 10:
            break
        lines.append(line)
        length += len(line) + 1
    rest = size - length - 4
    return "\n".join([*lines, f"// {text(rest, random)}"]).encode("ascii")


def png(size: int, random: Random) -> bytes:
    """Make an image of grey noise, whose size in bytes is given and at least 100.

    Noise does not shrink, and an image that is sent is as small as it gets.
    """
    side = 1
    while _png_size(side + 1) <= size - 12:
        side += 1
    rows = b"".join(b"\0" + random.randbytes(side) for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    # A private chunk, which readers pass over (PNG, 3rd edition, §5.4), makes up for what is missing.
    filling = size - _png_size(side) - 12
    chunks = [(b"IHDR", header), (b"ruSt", bytes(filling)), (b"IDAT", _stored(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunks(chunks))


def _png_size(side: int) -> int:
    raw = side * (side + 1)
    # zlib's header and checksum (RFC 1950 §2.2), and five bytes before every stored block (RFC 1951 §3.2.4).
    stored = raw + 6 + 5 * len(range(0, raw, 65535))
    return 8 + (12 + 13) + (12 + stored) + 12


def _stored(raw: bytes) -> bytes:
    """Write the zlib format without compressing; what ``zlib`` makes of it depends on its version."""
    blocks = [raw[start : start + 65535] for start in range(0, len(raw), 65535)]
    parts = [b"\x78\x01"]
    for number, block in enumerate(blocks, 1):
        parts += [struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF), block]
    return b"".join(parts) + struct.pack(">I", zlib.adler32(raw))


def _chunks(chunks: list[tuple[bytes, bytes]]) -> Iterator[bytes]:
    for name, data in chunks:
        yield struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def font(size: int, random: Random) -> bytes:
    """Make what is sent as a font: the signature of WOFF 2 and noise, for a browser to fetch and drop."""
    return b"wOF2" + random.randbytes(size - 4)
