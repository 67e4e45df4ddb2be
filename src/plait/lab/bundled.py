"""The workloads that come with plait: what each is made of, and what a contender is to fetch.

The proportions, and where they are from, are in docs/workloads.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from random import Random

from plait.bookstore.catalogue import Catalogue
from plait.errors import ConfigError
from plait.lab import filler
from plait.lab.workload import Expected, Kind, Resource, Workload

__all__ = ["BUNDLED", "Bundle", "Content", "bookstore_workload", "bundle", "bundled_workload"]

BUNDLED = {
    "many-small": "a page of 100 images of 1 to 4 KB",
    "mixed-page": "a page of 71 resources and 1.9 MB, as the median of the web's home pages",
    "few-large": "a page of 6 images of 0.5 to 1 MB",
    "api-crawl": "131 small JSON documents three levels deep, asked for with a token and cookies",
}
"""The names of the bundled workloads, with what each is."""

SEED = 9113

_KB = 1024

# As Chromium sends them for a page's parts; the same for all, because a workload has one set.
_BROWSER_HEADERS = (
    ("accept", "*/*"),
    ("accept-encoding", "identity"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("cache-control", "no-cache"),
    ("cookie", "session=4f1c2d7a9b0e4c6d8f3a5b7c9d1e2f40; theme=light; consent=necessary"),
    ("pragma", "no-cache"),
    ("sec-ch-ua", '"Chromium";v="142", "Not_A Brand";v="99"'),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", '"Linux"'),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-mode", "no-cors"),
    ("sec-fetch-site", "same-origin"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/142.0.0.0 Safari/537.36",
    ),
)

_TYPES = {
    Kind.DOCUMENT: "text/html; charset=utf-8",
    Kind.STYLE: "text/css; charset=utf-8",
    Kind.SCRIPT: "text/javascript; charset=utf-8",
    Kind.FONT: "font/woff2",
    Kind.IMAGE: "image/png",
    Kind.DATA: "application/json",
}


@dataclass(frozen=True, slots=True)
class Content:
    """What a resource answers.

    Attributes:
        media_type: The content-type field.
        body: The content.
    """

    media_type: str
    body: bytes


class Bundle:
    """One workload while it is put together, and the contents of its resources.

    Args:
        name: Its name, the first segment of every path.
        headers: Fields of every request.

    Attributes:
        contents: What each path answers.
        resources: What is fetched.
    """

    def __init__(self, name: str, headers: tuple[tuple[str, str], ...]) -> None:
        self.name = name
        self.headers = headers
        self.contents: dict[str, Content] = {}
        self.resources: list[Resource] = []

    def add(self, name: str, kind: Kind, body: bytes, parent: int | None = None) -> int:
        """Add a resource, and return its index."""
        path = f"/{self.name}/{name}"
        self.contents[path] = Content(_TYPES[kind], body)
        self.resources.append(Resource(path=path, kind=kind, parent=parent))
        return len(self.resources) - 1

    def workload(self) -> Workload:
        """Say what to fetch and what to expect."""
        first = self.resources[0]
        return Workload(
            name=self.name,
            resources=tuple(self.resources),
            expected=tuple(_expected(self.contents[resource.path].body) for resource in self.resources),
            page=first.path if first.kind is Kind.DOCUMENT else None,
            headers=self.headers,
        )


@cache
def bundle(name: str) -> Bundle:
    """Make a bundled workload and its contents, the same every time.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in _MAKERS:
        raise ConfigError(f"{name!r} is not a bundled workload; there is: {', '.join(BUNDLED)}")
    return _MAKERS[name](Random(f"{SEED} {name}"))


def bundled_workload(name: str) -> Workload:
    """Say what to fetch of a bundled workload, served by :mod:`plait.lab.site`.

    Args:
        name: One of ``BUNDLED``.

    Raises:
        ConfigError: There is none of this name.
    """
    return bundle(name).workload()


def bookstore_workload(catalogue: Catalogue, requests: int | None = None) -> Workload:
    """Say what to fetch of a bookstore: its ids first, then each book.

    Args:
        catalogue: The books it serves; what is received is compared with them, and not with another
            answer of the same server.
        requests: How many resources, from the first; None takes all.

    Raises:
        ConfigError: There are not so many.
    """
    contents = {"/": catalogue.ids_json} | {f"/book?id={book.id}": book.json for book in catalogue}
    count = len(contents) if requests is None else requests
    if not 1 <= count <= len(contents):
        raise ConfigError(f"the bookstore has 1 to {len(contents):,} resources, not {count:,}")
    paths = list(contents)[:count]
    return Workload(
        name="bookstore",
        resources=tuple(Resource(path=path, parent=None if path == "/" else 0) for path in paths),
        expected=tuple(_expected(contents[path]) for path in paths),
        headers=(("accept", "*/*"), ("accept-encoding", "identity")),
    )


def _expected(body: bytes) -> Expected:
    return Expected(status=200, size=len(body), digest=sha256(body).hexdigest())


def _page(title: str, head: list[str], body: list[str], size: int, random: Random) -> bytes:
    """Write a page of a size, or as small as it can be."""
    start = f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
    page = "\n".join([start + "\n".join(head), "</head>", "<body>", *body])
    end = "\n</body>\n</html>\n"
    rest = size - len(page) - len(end) - len("\n<p></p>")
    filling = f"\n<p>{filler.text(rest, random)}</p>" if rest > 0 else ""
    return f"{page}{filling}{end}".encode("ascii")


def _images(name: str, sizes: list[int], random: Random) -> Bundle:
    """Make a page with nothing but images."""
    made = Bundle(name, _BROWSER_HEADERS)
    names = [f"image-{number:03}.png" for number in range(len(sizes))]
    made.add("", Kind.DOCUMENT, _page(name, [], [f'<img src="{one}" alt="">' for one in names], 0, random))
    for one, size in zip(names, sizes, strict=True):
        made.add(one, Kind.IMAGE, filler.png(size, random), parent=0)
    return made


def _many_small(random: Random) -> Bundle:
    return _images("many-small", [random.randint(1 * _KB, 4 * _KB) for _ in range(100)], random)


def _few_large(random: Random) -> Bundle:
    return _images("few-large", [random.randint(512 * _KB, 1024 * _KB) for _ in range(6)], random)


def _mixed_page(random: Random) -> Bundle:
    made = Bundle("mixed-page", _BROWSER_HEADERS)
    styles = [f"style-{number}.css" for number in range(8)]
    scripts = [f"script-{number:02}.js" for number in range(24)]
    fonts = [f"font-{number}.woff2" for number in range(4)]
    images = [f"image-{number:02}.png" for number in range(34)]
    backgrounds, pictures = images[:6], images[6:]
    head = [f'<link rel="stylesheet" href="{name}">' for name in styles]
    head += [f'<script src="{name}" defer></script>' for name in scripts[:8]]
    body = [f'<div class="part-{number}">{filler.text(40, random)}</div>' for number in range(8)]
    body += [f'<img src="{name}" alt="">' for name in pictures]
    body += [f'<script src="{name}"></script>' for name in scripts[8:]]
    made.add("", Kind.DOCUMENT, _page("mixed-page", head, body, 18 * _KB, random))
    # What each style sheet makes known: the fonts in the first, as they usually are, and the
    # backgrounds in those behind it.
    wanted: list[list[str]] = [fonts, *([name] for name in backgrounds), []]
    sizes = filler.spread(78 * _KB, len(styles), 0.8, random)
    parents = {}
    for number, (name, size) in enumerate(zip(styles, sizes, strict=True)):
        index = made.add(name, Kind.STYLE, _style(number, wanted[number], size, random), parent=0)
        parents.update(dict.fromkeys(wanted[number], index))
    for name, size in zip(scripts, filler.spread(613 * _KB, len(scripts), 1.1, random), strict=True):
        made.add(name, Kind.SCRIPT, filler.script(size, random), parent=0)
    image_sizes = dict(zip(images, filler.spread(1054 * _KB, len(images), 1.3, random), strict=True))
    for name in pictures:
        made.add(name, Kind.IMAGE, filler.png(image_sizes[name], random), parent=0)
    for name, size in zip(fonts, filler.spread(131 * _KB, len(fonts), 0.3, random), strict=True):
        made.add(name, Kind.FONT, filler.font(size, random), parent=parents[name])
    for name in backgrounds:
        made.add(name, Kind.IMAGE, filler.png(image_sizes[name], random), parent=parents[name])
    return made


def _style(number: int, wanted: list[str], size: int, random: Random) -> bytes:
    """Write a style sheet that uses what it names, on the page's part of its number."""
    lines = []
    for place, name in enumerate(wanted):
        if name.endswith(".woff2"):
            lines.append(f"@font-face {{ font-family: face-{place}; src: url({name}) format('woff2'); }}")
            lines.append(f".part-{place} {{ font-family: face-{place}, sans-serif; }}")
        else:
            lines.append(f".part-{number} {{ background: url({name}); }}")
    length = sum(len(line) + 1 for line in lines)
    while length < size - 100:
        line = f".{random.choice('abcdef')}{random.randrange(10**6)} {{ margin: {random.randrange(99)}px; }}"
        lines.append(line)
        length += len(line) + 1
    return "\n".join([*lines, f"/* {filler.text(max(size - length - 6, 0), random)} */"]).encode("ascii")


def _api_crawl(random: Random) -> Bundle:
    """Shelves that lead to lists of books, which lead to books."""
    token = ".".join(random.randbytes(count).hex() for count in (18, 240, 128))
    headers = (
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("authorization", f"Bearer {token}"),
        (
            "cookie",
            "; ".join(f"{name}={random.randbytes(24).hex()}" for name in ("session", "csrf", "device")),
        ),
        ("user-agent", "catalogue-sync/4.2 (+https://catalogue.example/sync)"),
        ("x-api-version", "2026-01-01"),
        ("x-tenant-id", random.randbytes(16).hex()),
    )
    made = Bundle("api-crawl", headers)
    shelves = range(1, 11)
    books = {shelf: [shelf * 1000 + number for number in range(1, 13)] for shelf in shelves}
    made.add("shelves", Kind.DATA, _json({"shelves": [f"/api-crawl/shelves/{shelf}" for shelf in shelves]}))
    lists = {
        shelf: made.add(
            f"shelves/{shelf}",
            Kind.DATA,
            _json({"shelf": shelf, "books": [f"/api-crawl/books/{book}" for book in books[shelf]]}),
            parent=0,
        )
        for shelf in shelves
    }
    for shelf in shelves:
        for book in books[shelf]:
            about = {
                "id": book,
                "shelf": f"/api-crawl/shelves/{shelf}",
                "title": filler.text(random.randint(10, 40), random).title(),
                "summary": filler.text(random.randint(100, 700), random),
            }
            made.add(f"books/{book}", Kind.DATA, _json(about), parent=lists[shelf])
    return made


def _json(value: object) -> bytes:
    return json.dumps(value).encode("ascii")


_MAKERS: dict[str, Callable[[Random], Bundle]] = {
    "many-small": _many_small,
    "mixed-page": _mixed_page,
    "few-large": _few_large,
    "api-crawl": _api_crawl,
}
