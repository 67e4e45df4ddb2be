"""What is compared: one of the workloads that come with plait, an application, or a server that runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from plait.bookstore.generate import bundled
from plait.errors import ConfigError
from plait.lab.bundled import BUNDLED, bookstore_workload, bundled_workload
from plait.lab.har import read_har
from plait.lab.headers import Headers, merged, read_header
from plait.lab.paths import quoted, read_paths
from plait.lab.prepare import prepare, prepare_page
from plait.lab.source import Source
from plait.lab.target import Target, is_loopback, parse_target
from plait.lab.workload import Workload

__all__ = ["BOOKSTORE", "Choice", "Subject", "subject_of"]

BOOKSTORE = "bookstore"

Maker = Callable[[Target, frozenset[str]], Workload]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a user says of what is to be fetched.

    Attributes:
        name: A bundled workload, ``module:app`` or a URL.
        paths: A file of paths.
        har: What a browser recorded.
        page: Whether it is the page and what belongs to it.
        requests: How many of the resources, from the first; None takes all.
        headers: Lines such as ``cookie: a=b``, sent with every request.
        cacert: The authority to trust for a URL.
        insecure: Take any certificate.
        own: Whether the server is the user's own: robots.txt is for others.
    """

    name: str
    paths: Path | None = None
    har: Path | None = None
    page: bool = False
    requests: int | None = None
    headers: tuple[str, ...] = ()
    cacert: Path | None = None
    insecure: bool = False
    own: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is compared.

    Attributes:
        arguments: What plait is told to serve, when the server is ours; None when it is somebody else's.
        target: The server, when it is somebody else's.
        known: The workload, when it need not be found out by asking the server.
        make: Makes the workload otherwise, of a server that runs and the versions of HTTP it speaks.
    """

    arguments: tuple[str, ...] | None = None
    target: Target | None = None
    known: Workload | None = None
    make: Maker | None = None

    @property
    def elsewhere(self) -> bool:
        """Whether the server is another machine, whose owner may mind."""
        return self.target is not None and not is_loopback(self.target)


def subject_of(choice: Choice, say: Callable[[str], None]) -> Subject:
    """Find out what a user wants compared.

    Args:
        choice: What the user says of it.
        say: Is told what is left out, in sentences.

    Raises:
        ConfigError: It is nothing that can be compared, or what is said of it does not go together.
    """
    named = {"--paths": choice.paths, "--har": choice.har, "--page": choice.page}
    ways = [option for option, given in named.items() if given]
    if len(ways) > 1:
        raise ConfigError(f"{' and '.join(ways)} both say what to fetch: give one of them")
    headers = tuple(read_header(line) for line in choice.headers)
    name = choice.name
    if name == BOOKSTORE or name in BUNDLED:
        if ways:
            raise ConfigError(f"{ways[0]} is for a server of yours: {name} has its own resources")
        _refuse_trust(choice)
        if name == BOOKSTORE:
            workload = bookstore_workload(bundled(), choice.requests)
            return Subject(arguments=(BOOKSTORE,), known=_with(workload, headers))
        workload = _first(bundled_workload(name), choice.requests)
        return Subject(arguments=("serve", "plait.lab.site:app"), known=_with(workload, headers))
    if ":" not in name:
        near = get_close_matches(name, [BOOKSTORE, *BUNDLED], n=1)
        hint = f"; did you mean {near[0]}?" if near else f", nor one of {', '.join([BOOKSTORE, *BUNDLED])}"
        raise ConfigError(f"{quoted(name)} is no URL and no MODULE:APP{hint}")
    if not ways:
        raise ConfigError(f"what to fetch from {name}? --paths FILE, --har FILE or --page says it")
    if "://" not in name:
        _refuse_trust(choice)
        return Subject(arguments=("serve", name), make=_maker(choice, None, "/", headers, say))
    url, path = _split(name) if choice.page else (name, "/")
    target = parse_target(url, cafile=choice.cacert, insecure=choice.insecure)
    return Subject(target=target, make=_maker(choice, target.base_url, path, headers, say))


def _maker(
    choice: Choice,
    origin: str | None,
    page: str,
    headers: Headers,
    say: Callable[[str], None],
) -> Maker:
    """Read what is to be fetched; return what asks a server for it.

    Args:
        choice: What the user says of it.
        origin: Whose resources of a recording are meant; None for those of its page, wherever it was.
        page: Where the page is.
        headers: Fields of every request.
        say: Is told what is left out.
    """
    source: Source | None = None
    if choice.paths:
        source = read_paths(choice.paths)
    elif choice.har:
        source = read_har(choice.har, origin)

    def make(target: Target, versions: frozenset[str]) -> Workload:
        if source is None:
            found = prepare_page(target, page, versions=versions, own=choice.own, headers=headers)
        else:
            found = prepare(target, source, versions=versions, own=choice.own, headers=headers)
        for remark in found.remarks:
            say(remark)
        return _first(found.workload, choice.requests)

    return make


def _first(workload: Workload, requests: int | None) -> Workload:
    """Return the beginning of a workload."""
    if requests is None:
        return workload
    return replace(
        workload,
        resources=workload.resources[:requests],
        expected=workload.expected[:requests],
        page=None,  # a browser cannot be told to leave a part of a page alone
    )


def _with(workload: Workload, headers: Headers) -> Workload:
    """Return a workload with further fields."""
    return replace(workload, headers=merged(workload.headers, headers))


def _split(url: str) -> tuple[str, str]:
    """Take the path of a page off its URL."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "", "", "")), urlunsplit(
        ("", "", parts.path or "/", parts.query, "")
    )


def _refuse_trust(choice: Choice) -> None:
    if choice.cacert or choice.insecure or choice.own:
        raise ConfigError("--cacert, --insecure and --i-own-this are about a server that runs: give its URL")
