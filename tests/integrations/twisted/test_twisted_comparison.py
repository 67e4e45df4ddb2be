"""The same calls to the same resources, by Twisted's ``Site`` and by plait's, over both versions of HTTP.

Where they come to something else, it is in ``DIFFERENCES``, with a sentence why; ``docs/twisted.md`` has
the same table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest

from tests.support.comparison_calls import CALLS, SEQUENCES, make_files
from tests.support.comparison_client import Caller, Outcome
from tests.support.raw_client import SECONDS, Origin
from tests.support.servers import ROOT, Certificate, free_port, run_server

TWISTED_1, TWISTED_2 = ("twisted", "http/1.1"), ("twisted", "h2")
PLAIT_1, PLAIT_2 = ("plait", "http/1.1"), ("plait", "h2")

#: Who comes to something else than plait's HTTP/2.
TWISTEDS_HTTP2 = frozenset({TWISTED_2})
HTTP1 = frozenset({TWISTED_1, PLAIT_1})
ALL = TWISTEDS_HTTP2 | HTTP1
_NAMES = {TWISTEDS_HTTP2: "Twisted's HTTP/2", HTTP1: "HTTP/1.1", ALL: "both"}

#: Seconds to wait for what is expected to be missing.
_MISSING = 0.2


@dataclass(frozen=True, slots=True)
class Difference:
    """Where plait's HTTP/2 comes to something else.

    Attributes:
        calls: Names of calls.
        whose: Who comes to something else than plait's HTTP/2.
        what: What is asked for, in words.
        theirs: What they do.
        ours: What plait's HTTP/2 does, and why.
        unanswered: Whether HTTP/1.1 says nothing at all.
    """

    calls: tuple[str, ...]
    whose: frozenset[tuple[str, str]]
    what: str
    theirs: str
    ours: str
    unanswered: bool = False


DIFFERENCES = [
    Difference(
        (
            "its transport",
            "a resource aborts the connection",
            "a resource aborts the connection before the response",
        ),
        TWISTEDS_HTTP2,
        "`request.transport`",
        "is None, so that what uses it fails",
        "is the stream, with addresses, `ISSLTransport` and `abortConnection`, as over HTTP/1.1",
    ),
    Difference(
        ("a resource loses the connection", "a resource loses the connection before the response"),
        TWISTEDS_HTTP2,
        "`request.loseConnection()` in the middle of a response",
        "ends it as if it were whole, and `notifyFinish` is not told",
        "cuts it off, as HTTP/1.1 does: the client knows that content is missing (RFC 9113 §8.1.1)",
    ),
    Difference(
        ("a client leaves a push producer", "a client leaves a pull producer"),
        TWISTEDS_HTTP2,
        "a client that leaves while a producer writes",
        "the producer is never told to stop",
        "`stopProducing` is called, as over HTTP/1.1",
    ),
    Difference(
        ("a push producer",),
        TWISTEDS_HTTP2,
        "a push producer of much content",
        "is paused when the client's window is full, whatever waits in memory",
        "is paused when more than `write_buffer` bytes wait, as over HTTP/1.1",
    ),
    Difference(
        ("write of str",),
        TWISTEDS_HTTP2,
        "`request.write` of text",
        "nothing is sent on the connection any more, on no stream",
        "raises `TypeError` in the resource, as over HTTP/1.1",
    ),
    Difference(
        ("HEAD of what writes in pieces", "HEAD with gzip"),
        TWISTEDS_HTTP2,
        "HEAD where GET writes piece by piece, or is compressed",
        "sends content",
        "sends none, as RFC 9110 §9.3.2 says",
    ),
    Difference(
        ("a method of one's own", "a method in small letters", "neither content nor length"),
        TWISTEDS_HTTP2,
        "a request other than GET and HEAD, without content",
        "`request.content` is a temporary file",
        "it is in memory, since the request has ended with its head",
    ),
    Difference(
        ("less than content-length", "more than content-length"),
        ALL,
        "content shorter or longer than the resource's `Content-Length`",
        "Twisted's HTTP/2 passes it on as whole; HTTP/1.1 waits, or takes the rest for the next response",
        "the stream is reset and the mistake is logged: a wrong length is malformed (RFC 9113 §8.1.1)",
    ),
    Difference(
        ("a content-length that is none", "a value with NUL"),
        ALL,
        "a `Content-Length` that is no number, a value with NUL",
        "is sent as it is",
        "500, and the mistake is logged: clients would take it for malformed (RFC 9113 §8.2.1)",
    ),
    Difference(
        ("status 99", "status 101", "status 600", "status 1000"),
        ALL,
        "a status that is none, or that of no final response",
        "is sent as it is",
        "500, and the mistake is logged (RFC 9110 §15; 101 is not in HTTP/2, RFC 9113 §8.6)",
    ),
    Difference(
        ("204 with content",),
        ALL,
        "204 from a resource that returns content",
        "has the `Content-Length` of content that is not there",
        "has none (RFC 9110 §8.6)",
    ),
    Difference(
        ("te from a resource",),
        ALL,
        "`TE` set by a resource",
        "Twisted's HTTP/2 fails, and sends content without a head; HTTP/1.1 sends the field",
        "is left out, since it is about the connection (RFC 9113 §8.2.2)",
    ),
    Difference(
        ("keep-alive from a resource", "upgrade from a resource"),
        HTTP1,
        "`Keep-Alive` or `Upgrade` set by a resource",
        "is sent",
        "is left out, since it is about the connection (RFC 9113 §8.2.2)",
    ),
    Difference(
        ("a phrase with a line break",),
        HTTP1,
        "a reason phrase with a line break",
        "what comes after it is taken for a field",
        "there are no phrases in HTTP/2",
    ),
    Difference(
        ("cookies in two fields",),
        HTTP1,
        "cookies that come in several fields",
        "stay apart",
        "are joined with `; ` before resources see them (RFC 9113 §8.2.3)",
    ),
    Difference(
        ("an address instead of a path", "GET *"),
        ALL,
        "a path that does not begin with `/`, `*` without OPTIONS",
        "404 or 405 from the resource tree",
        "the stream is reset: the request is malformed (RFC 9113 §8.3.1)",
    ),
    Difference(
        ("a path of 20,000 bytes",),
        ALL,
        "a path of more than 16 KiB",
        "Twisted's HTTP/2 takes it; HTTP/1.1 leaves the client without an answer",
        "414, the limit being `max_target_size`",
        unanswered=True,
    ),
    Difference(
        ("200 fields", "600 fields"),
        ALL,
        "a request of more than 100 fields",
        "Twisted's HTTP/2 takes any number, HTTP/1.1 takes 500",
        "431, the limit being `max_header_fields`",
    ),
]


def rows() -> Iterator[str]:
    """Yield the lines of the table in ``docs/twisted.md``."""
    yield "| what | who differs | they | plait's HTTP/2 |"
    yield "|---|---|---|---|"
    for one in DIFFERENCES:
        yield f"| {one.what} | {_NAMES[one.whose]} | {one.theirs} | {one.ours} |"


@pytest.fixture(scope="module")
def callers(
    certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], Caller]]:
    """Run both sites, and return what calls them over both versions of HTTP."""
    files = make_files(tmp_path_factory.mktemp("files"))
    with ExitStack() as stack:
        callers = {}
        for kind in ("twisted", "plait"):
            port = free_port()
            program = [sys.executable, "-m", "tests.support.comparison_site", kind, str(port)]
            server = run_server([*program, certificate.chain, certificate.key, files], port=port)
            stack.enter_context(server)
            for version in ("http/1.1", "h2"):
                caller = Caller(Origin(port, str(certificate.ca)), version)
                callers[kind, version] = stack.enter_context(closing(caller))
        yield callers


@pytest.mark.parametrize("name", CALLS)
def test_a_call_comes_to_the_same_but_for_the_differences_that_are_written_down(
    name: str, callers: dict[tuple[str, str], Caller]
) -> None:
    known = [one for one in DIFFERENCES if name in one.calls]
    differing = frozenset(face for one in known for face in one.whose)
    unanswered = TWISTEDS_HTTP2 | HTTP1 if any(one.unanswered for one in known) else TWISTEDS_HTTP2
    found = {
        face: call(CALLS[name], _MISSING if face in differing & unanswered else SECONDS)
        for face, call in callers.items()
    }

    assert found[PLAIT_1] == found[TWISTED_1]
    assert {face: one for face, one in found.items() if face not in differing} == {
        face: found[PLAIT_2] for face in found if face not in differing
    }
    assert [face for face in differing if found[face] == found[PLAIT_2]] == [], "no longer differs"


@pytest.mark.parametrize("name", SEQUENCES)
def test_calls_that_follow_from_one_another_come_to_the_same(
    name: str, callers: dict[tuple[str, str], Caller]
) -> None:
    found: dict[tuple[str, str], list[Outcome]] = {
        face: SEQUENCES[name](call) for face, call in callers.items()
    }

    assert found == dict.fromkeys(found, found[PLAIT_2])
    assert len(set(found[PLAIT_2])) > 1


def test_the_page_has_the_table_of_differences() -> None:
    assert "\n".join(rows()) in (ROOT / "docs" / "twisted.md").read_text()
    assert {name for one in DIFFERENCES for name in one.calls} <= CALLS.keys()
