"""From what somebody says is to be fetched to what can be measured: everything is fetched before that.

A resource that answers differently over the two versions of HTTP would make two downloads out of one
comparison. It is reported and left out, with what depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import sha256

from plait.errors import ConfigError, PlaitError
from plait.lab.fetching import Answer, Fetcher, fetcher, site_headers
from plait.lab.headers import Headers, merged
from plait.lab.robots import ALLOW_ALL, Robots, robots_of
from plait.lab.source import Source, kind_of
from plait.lab.target import Target, is_loopback
from plait.lab.workload import Expected, Kind, Resource, Workload

__all__ = ["Prepared", "prepare", "prepare_page"]

_NAMED = 5  # paths a remark names before it counts the rest

_VERSIONS = {"1": "HTTP/1.1", "2": "HTTP/2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What can be measured, and what cannot.

    Attributes:
        workload: What every contender fetches.
        remarks: What was left out and why, in sentences.
    """

    workload: Workload
    remarks: tuple[str, ...]


def prepare(
    target: Target,
    source: Source,
    *,
    versions: frozenset[str],
    own: bool,
    headers: Headers = (),
) -> Prepared:
    """Fetch every resource of a source once over each version of HTTP, and keep those that can be compared.

    Args:
        target: The server.
        source: What is to be fetched.
        versions: The versions it speaks, of ``"1"`` and ``"2"``.
        own: Whether its robots.txt need not be asked, because it is the user's own; that of a server on
            this machine never is.
        headers: Headers of every request, with names in lower-case; beside those of
            :func:`plait.lab.fetching.site_headers`, or instead of them.

    Raises:
        ConfigError: HTTP cannot carry the headers.
        PlaitError: The server breaks off, answers a path that the user named with an error, or nothing
            is left.
    """
    fields = merged(site_headers(), headers)
    with ExitStack() as stack:
        fetchers = _fetchers(target, versions, fields, stack)
        return _prepare(source, fetchers, _rules(fetchers[0], own), fields)


def prepare_page(
    target: Target,
    path: str,
    *,
    versions: frozenset[str],
    own: bool,
    headers: Headers = (),
) -> Prepared:
    """Read a page for what a browser fetches with it, and prepare that.

    Args:
        target: The server.
        path: Where the page is.
        versions: The versions the server speaks, of ``"1"`` and ``"2"``.
        own: As in :func:`prepare`.
        headers: As in :func:`prepare`.

    Raises:
        ConfigError: HTTP cannot carry the headers, or what reads pages is not installed.
        PlaitError: As in :func:`prepare`, or the page is none.
    """
    try:
        from plait.lab.page import read_page
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"reading a page needs {error.name}, which is not installed: pip install 'plait[lab]'"
        ) from error
    fields = merged(site_headers(), headers)
    with ExitStack() as stack:
        fetchers = _fetchers(target, versions, fields, stack)
        robots = _rules(fetchers[0], own)
        return _prepare(read_page(fetchers[0], path, robots), fetchers, robots, fields)


def _fetchers(target: Target, versions: frozenset[str], headers: Headers, stack: ExitStack) -> list[Fetcher]:
    return [stack.enter_context(fetcher(target, version, headers)) for version in sorted(versions)]


def _rules(ask: Fetcher, own: bool) -> Robots:
    return ALLOW_ALL if own or is_loopback(ask.target) else robots_of(ask)


def _prepare(source: Source, fetchers: Sequence[Fetcher], robots: Robots, headers: Headers) -> Prepared:
    target = fetchers[0].target
    left: dict[str, list[str]] = {}
    answers: dict[str, list[Answer]] = {}
    for path in dict.fromkeys(resource.path for resource in source.resources):
        if not robots.allow(path):
            left.setdefault("being forbidden by robots.txt", []).append(path)
            continue
        asked = _ask(fetchers, path)
        found = [answer for _, answer in asked]
        if path in source.asked_for and found[0].status >= 400:
            raise PlaitError(
                f"{target.base_url}{path} answers {found[0].status}: there is nothing to compare"
            )
        if _differ(*found):
            each_time = len(fetchers) == 1 or _differ(found[0], fetchers[0].again(path))
            what = "each time" if each_time else "over the two versions"
            values = " and ".join(
                f"{answer.status} with {len(answer.content):,} bytes {when}" for when, answer in asked
            )
            left.setdefault(f"answering differently {what}", []).append(f"{path} ({values})")
        elif found[0].status >= 400:
            left.setdefault("answering with an error", []).append(f"{path} ({found[0].status})")
        else:
            answers[path] = found
    remarks = [
        *source.remarks,
        *(f"left out for {reason}: {_several(paths)}" for reason, paths in left.items()),
    ]
    kept, lost = _without(source.resources, answers)
    if lost:
        remarks.append(f"left out because what makes them known is: {_several(lost)}")
    redirects = {
        resource.path: answers[resource.path][0].location
        for resource in kept
        if 300 <= answers[resource.path][0].status < 400
    }
    if redirects:
        named = [f"{path} (to {location or 'nowhere'})" for path, location in redirects.items()]
        remarks.append(f"redirects are fetched and not followed: {_several(named)}")
    if not kept:
        raise PlaitError(f"{target.base_url}: nothing is left to compare; {'; '.join(remarks)}")
    workload = Workload(
        name=source.name,
        resources=tuple(_with_kind(resource, answers[resource.path][0]) for resource in kept),
        expected=tuple(_expected(answers[resource.path]) for resource in kept),
        page=source.page if any(resource.path == source.page for resource in kept) else None,
        headers=headers,
    )
    return Prepared(workload=workload, remarks=tuple(remarks))


def _ask(fetchers: Sequence[Fetcher], path: str) -> list[tuple[str, Answer]]:
    """Fetch a path twice: once over each version of HTTP or, where there is one, once more over that."""
    if len(fetchers) == 1:
        return [("first", fetchers[0].get(path)), ("then", fetchers[0].again(path))]
    return [(f"over {_VERSIONS[one.version]}", one.get(path)) for one in fetchers]


def _differ(one: Answer, other: Answer) -> bool:
    return (one.status, len(one.content)) != (other.status, len(other.content))


def _without(
    resources: Sequence[Resource], answers: Mapping[str, object]
) -> tuple[list[Resource], list[str]]:
    """Keep what is answered and what leads to it is, with the parents counted anew; and name the others."""
    kept: list[Resource] = []
    lost: list[str] = []
    places: dict[int, int] = {}
    for index, resource in enumerate(resources):
        if resource.path not in answers:
            continue
        if resource.parent is not None and resource.parent not in places:
            lost.append(resource.path)
            continue
        places[index] = len(kept)
        parent = None if resource.parent is None else places[resource.parent]
        kept.append(replace(resource, parent=parent))
    return kept, lost


def _with_kind(resource: Resource, answer: Answer) -> Resource:
    return replace(resource, kind=kind_of(answer.media_type)) if resource.kind is Kind.DATA else resource


def _expected(answers: Sequence[Answer]) -> Expected:
    digests = {sha256(answer.content).hexdigest() for answer in answers}
    return Expected(
        status=answers[0].status,
        size=len(answers[0].content),
        digest=digests.pop() if len(digests) == 1 else None,
    )


def _several(things: Sequence[str]) -> str:
    more = f" and {len(things) - _NAMED:,} more" if len(things) > _NAMED else ""
    return ", ".join(things[:_NAMED]) + more
