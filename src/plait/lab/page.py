"""A page read for what a browser fetches with it from the same origin, without running its scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from plait.errors import PlaitError
from plait.lab.addresses import locate, resolve
from plait.lab.css import Reference, references, references_of_style
from plait.lab.fetching import Answer, Fetcher
from plait.lab.robots import Robots
from plait.lab.source import OTHER_ORIGIN, LeftAlone, Source, kind_of
from plait.lab.viewport import choose, matches
from plait.lab.workload import Kind, Resource

__all__ = ["PAGE_RESOURCES", "TEXT_LIMIT", "read_page"]

PAGE_RESOURCES = 2000
"""Resources of one page; what comes after them is left alone."""

TEXT_LIMIT = 8 * 1024 * 1024
"""Bytes of a page or a style sheet that are read."""

_AS = {"style": Kind.STYLE, "script": Kind.SCRIPT, "font": Kind.FONT, "image": Kind.IMAGE}

# The HTML standard, § Scripting: what else a script element holds is data.
_SCRIPTS = re.compile(r"module|(text|application)/(x-)?(javascript|ecmascript)|text/(jscript|livescript)|")

_IMAGES = re.compile(r"image/(avif|webp|png|apng|jpeg|gif|svg\+xml|bmp|x-icon)|")

_FRAMES = ("iframe", "frame", "embed", "object")


def read_page(fetcher: Fetcher, path: str, robots: Robots) -> Source:
    """Fetch a page and its style sheets, and find what a browser fetches with them.

    What scripts fetch is not found, and whether a style applies to anything is not asked.

    Args:
        fetcher: Fetches from the site.
        path: Where the page is.
        robots: What may be fetched.

    Raises:
        PlaitError: The page cannot be fetched, may not be, or is none.
    """
    where = f"{fetcher.target.base_url}{path}"
    if not robots.allow(path):
        raise PlaitError(f"{where} may not be fetched by programs: its robots.txt says so")
    answer = fetcher.get(path)
    if 300 <= answer.status < 400 and answer.location:
        raise PlaitError(f"{where} answers {answer.status} and leads to {answer.location}: give that")
    if answer.status >= 300:
        raise PlaitError(f"{where} answers {answer.status}: there is nothing to compare")
    if answer.media_type and kind_of(answer.media_type) is not Kind.DOCUMENT:
        raise PlaitError(f"{where} is {answer.media_type}, which is no page")
    try:
        text = _text(answer)
    except PlaitError as error:
        raise PlaitError(f"{where} cannot be read: {error}") from error
    page = _Page(where, text)
    # Grows while it is read: a style sheet may import others.
    for index, resource in enumerate(page.resources):
        if resource.kind is Kind.STYLE and robots.allow(resource.path):
            page.read_style(index, fetcher.get(resource.path))
    return Source(
        name=where,
        resources=tuple(page.resources),
        asked_for=frozenset({path}),
        page=path,
        remarks=(f"left alone on {path}: {page.left}",) if page.left else (),
    )


class _Page:
    """The resources of a page, in the order in which they become known.

    Args:
        url: Where the page is.
        text: What it holds.

    Attributes:
        resources: The page, and what was found.
        left: What was not fetched.
    """

    def __init__(self, url: str, text: str) -> None:
        address = locate(url)
        assert address is not None
        self._origin = address.origin
        self._base = url
        self._letters = frozenset(map(ord, text))
        self._seen = {address}
        self.resources = [Resource(path=address.path, kind=Kind.DOCUMENT)]
        self.left = LeftAlone()
        self._read(text)

    def _read(self, text: str) -> None:
        tree = LexborHTMLParser(text)
        # Where scripts run the one is text, and the other is for scripts to use (HTML standard, § Scripting).
        for node in tree.css("noscript, template"):
            node.decompose()
        base = tree.css_first("base[href]")
        if base is not None:
            self._base = resolve(self._base, base.attributes["href"] or "") or self._base
        icon = None
        for node in tree.root.traverse() if tree.root else ():
            given = {name: value or "" for name, value in node.attributes.items()}
            if node.tag == "link" and "icon" in given.get("rel", "").lower().split():
                icon = given.get("href")  # a browser fetches one of them, and of equals the last
                continue
            for url, kind in self._named(node, given):
                self._add(self._base, url, kind, parent=0)
            if style := given.get("style"):
                self._add_all(self._base, references_of_style(style), parent=0)
        if icon:
            self._add(self._base, icon, Kind.IMAGE, parent=0)

    def read_style(self, index: int, answer: Answer) -> None:
        """Find what a style sheet names.

        Args:
            index: Which of the resources it is.
            answer: What it answers.
        """
        if answer.status >= 300:
            return
        try:
            css = answer.decoded(TEXT_LIMIT)
        except PlaitError:
            self.left.add("style sheets that cannot be read for what they name", None)
            return
        base = f"{self._origin}{self.resources[index].path}"
        self._add_all(base, references(css, self._letters, _charset(answer)), parent=index)

    def _named(self, node: LexborNode, given: dict[str, str]) -> Iterator[tuple[str | None, Kind]]:
        """Yield what one element makes a browser fetch."""
        match node.tag:
            case "link":
                yield from _linked(given)
            case "script":
                if "nomodule" not in given and _SCRIPTS.fullmatch(given.get("type", "").strip().lower()):
                    yield given.get("src"), Kind.SCRIPT
            case "style":
                inner = references(node.text(deep=True), self._letters)
                self._add_all(self._base, inner, parent=0)
            case "img":
                if given.get("loading", "").lower() == "lazy":
                    self.left.add("images that load when they are scrolled to", None)
                else:
                    yield _image(node, given), Kind.IMAGE
            case "input" if given.get("type", "").lower() == "image":
                yield given.get("src"), Kind.IMAGE
            case "image" | "use" | "feImage":  # of SVG
                yield given.get("href") or given.get("xlink:href"), Kind.IMAGE
            case "video":
                yield given.get("poster"), Kind.IMAGE
                if "src" in given:
                    self.left.add("films and sounds", None)
            case "audio" if "src" in given:
                self.left.add("films and sounds", None)
            case tag if tag in _FRAMES:
                self.left.add("frames", None)

    def _add_all(self, base: str, found: list[Reference], parent: int) -> None:
        for url, kind in found:
            self._add(base, url, kind, parent)

    def _add(self, base: str, url: str | None, kind: Kind, parent: int) -> None:
        if not url or url.startswith("#"):
            return
        absolute = resolve(base, url)
        address = locate(absolute) if absolute else None
        if address is None or address in self._seen:
            return
        self._seen.add(address)
        if address.origin != self._origin:
            self.left.add(OTHER_ORIGIN, address.origin)
        elif len(self.resources) >= PAGE_RESOURCES:
            self.left.add(f"after the first {PAGE_RESOURCES:,}", None)
        else:
            self.resources.append(Resource(path=address.path, kind=kind, parent=parent))


def _linked(given: dict[str, str]) -> Iterator[tuple[str | None, Kind]]:
    """Yield what a link element makes a browser fetch."""
    relations = given.get("rel", "").lower().split()
    href = given.get("href")
    if "stylesheet" in relations and "disabled" not in given:
        yield href, Kind.STYLE  # whatever its media are: a browser fetches it, only later
    elif "preload" in relations and matches(given.get("media", "")):
        kind = _AS.get(given.get("as", "").lower(), Kind.DATA)
        if kind is Kind.IMAGE and "imagesrcset" in given:
            href = choose(given["imagesrcset"], given.get("imagesizes", ""), href)
        yield href, kind
    elif "modulepreload" in relations:
        yield href, Kind.SCRIPT
    elif "manifest" in relations:
        yield href, Kind.DATA


def _image(node: LexborNode, given: dict[str, str]) -> str | None:
    """Pick what an img element draws, among the sources of the picture around it and its own."""
    if node.parent is not None and node.parent.tag == "picture":
        for source in node.parent.css("source"):
            has = {name: value or "" for name, value in source.attributes.items()}
            if matches(has.get("media", "")) and _IMAGES.fullmatch(has.get("type", "").strip().lower()):
                url = choose(has.get("srcset", ""), has.get("sizes", ""), None)
                if url is not None:
                    return url
    return choose(given.get("srcset", ""), given.get("sizes", ""), given.get("src"))


def _charset(answer: Answer) -> str | None:
    match = re.search(r";\s*charset\s*=\s*[\"']?([^\s;\"']+)", answer.media_type, re.IGNORECASE)
    return match[1] if match else None


def _text(answer: Answer) -> str:
    content = answer.decoded(TEXT_LIMIT)
    said = re.search(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w-]+)", content[:1024], re.IGNORECASE)
    charset = _charset(answer) or (said[1].decode("ascii") if said else "utf-8")
    try:
        return content.decode(charset, "replace")
    except (LookupError, ValueError):  # there is no such encoding
        return content.decode("utf-8", "replace")
