from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest

from plait.errors import ConfigError, ConnectFailed, PlaitError
from plait.lab.bundled import BUNDLED, bundled_workload
from plait.lab.prepare import Prepared, prepare
from plait.lab.source import Source
from plait.lab.target import Target
from plait.lab.workload import Expected, Kind, Resource
from tests.support.servers import RunningServer, serve_app
from tests.support.small_server import small_server

HTTP_1 = frozenset("1")
BOTH = frozenset("12")


def source_of(*paths: str, parents: tuple[int | None, ...] = (), asked: bool = True) -> Source:
    pairs = zip(paths, parents or [None] * len(paths), strict=True)
    return Source(
        name="test",
        resources=tuple(Resource(path=path, parent=parent) for path, parent in pairs),
        asked_for=frozenset(paths if asked else ()),
    )


def prepared(server: RunningServer, source: Source) -> Prepared:
    target = Target(scheme="http", host="localhost", port=server.port)
    return prepare(target, source, versions=BOTH, own=False)


def test_what_to_expect_is_fetched_twice_each() -> None:
    with small_server({"/1": b"one", "/2": b"two!"}) as server:
        made = prepare(server.target, source_of("/1", "/2", "/1"), versions=HTTP_1, own=False)
        assert server.asked == ["/1", "/1", "/2", "/2"]
    assert [resource.path for resource in made.workload.resources] == ["/1", "/2", "/1"]
    one = Expected(status=200, size=3, digest=sha256(b"one").hexdigest())
    assert made.workload.expected == (
        one,
        Expected(status=200, size=4, digest=sha256(b"two!").hexdigest()),
        one,
    )
    assert made.remarks == ()


def test_a_path_of_the_user_that_answers_an_error_is_refused() -> None:
    with small_server({"/1": b"one"}) as server, pytest.raises(PlaitError, match=r"/2 answers 404"):
        prepare(server.target, source_of("/1", "/2"), versions=HTTP_1, own=False)


def test_a_part_of_a_page_that_answers_an_error_is_left_out_with_what_it_makes_known() -> None:
    source = source_of("/", "/gone", "/lost", "/here", parents=(None, 0, 1, 0), asked=False)
    with small_server({"/": b"page", "/lost": b"font", "/here": b"image"}) as server:
        made = prepare(server.target, source, versions=HTTP_1, own=False)
    assert [(one.path, one.parent) for one in made.workload.resources] == [("/", None), ("/here", 0)]
    assert made.remarks == (
        "left out for answering with an error: /gone (404)",
        "left out because what makes them known is: /lost",
    )


def test_nothing_left_to_compare_is_an_error_with_its_reason() -> None:
    with (
        small_server({}) as server,
        pytest.raises(PlaitError, match=r"nothing is left to compare; left out for .*: /gone \(404\)"),
    ):
        prepare(server.target, source_of("/gone", asked=False), versions=HTTP_1, own=False)


def test_a_server_that_breaks_off_is_named_with_the_path() -> None:
    with small_server({"/1": b"one"}) as server:
        server.before_answering = lambda path: (_ for _ in ()).throw(ConnectionResetError)
        with pytest.raises(ConnectFailed, match=r"broke off while /1 was fetched over HTTP/1.1"):
            prepare(server.target, source_of("/1"), versions=HTTP_1, own=False)


def test_a_server_on_this_machine_is_not_asked_for_its_robots() -> None:
    with small_server({"/1": b"one", "/robots.txt": b"user-agent: *\ndisallow: /"}) as server:
        prepare(server.target, source_of("/1"), versions=HTTP_1, own=False)
        assert set(server.asked) == {"/1"}


def test_answers_that_differ_between_the_versions_are_named_and_left_out() -> None:
    source = source_of("/same", "/status", "/length", "/after", parents=(None, None, None, 2), asked=False)
    with serve_app("two_faced_app:app", certificate=None) as server:
        made = prepared(server, source)
    assert [one.path for one in made.workload.resources] == ["/same"]
    assert made.remarks == (
        "left out for answering differently over the two versions: "
        "/status (200 with 4 bytes over HTTP/1.1 and 503 with 4 bytes over HTTP/2), "
        "/length (200 with 8 bytes over HTTP/1.1 and 200 with 6 bytes over HTTP/2)",
        "left out because what makes them known is: /after",
    )


def test_content_that_differs_at_the_same_length_is_known_by_its_size_only() -> None:
    with serve_app("two_faced_app:app", certificate=None) as server:
        made = prepared(server, source_of("/content", "/same"))
    assert made.workload.expected == (
        Expected(status=200, size=1, digest=None),
        Expected(status=200, size=4, digest=sha256(b"same").hexdigest()),
    )


def test_an_answer_that_is_another_each_time_is_named_as_that() -> None:
    source = source_of("/same", "/counter", asked=False)
    with serve_app("two_faced_app:app", certificate=None) as server:
        both = prepared(server, source)
        target = Target(scheme="http", host="localhost", port=server.port)
        one = prepare(target, source, versions=HTTP_1, own=False)
    assert both.remarks == (
        "left out for answering differently each time: "
        "/counter (200 with 1 bytes over HTTP/1.1 and 200 with 2 bytes over HTTP/2)",
    )
    assert one.remarks == (
        "left out for answering differently each time: "
        "/counter (200 with 4 bytes first and 200 with 5 bytes then)",
    )


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        (("x-€", "1"), "'x-€' is not text that a header can carry"),
        (("a b", "1"), "b'a b' is not a field name"),
        (("a", "1\n2"), "the value of the field 'a' holds a control character"),
    ],
)
def test_headers_that_http_cannot_carry_are_refused(field: tuple[str, str], complaint: str) -> None:
    with small_server({"/": b""}) as server, pytest.raises(ConfigError) as refusal:
        prepare(server.target, source_of("/"), versions=HTTP_1, own=False, headers=(field,))
    assert str(refusal.value) == complaint


def test_headers_of_the_user_are_sent_and_those_of_the_same_name_are_not() -> None:
    headers = (("cookie", "a=b"), ("accept-encoding", "identity"))
    with serve_app("two_faced_app:app", certificate=None) as server:
        target = Target(scheme="http", host="localhost", port=server.port)
        made = prepare(target, source_of("/echo"), versions=BOTH, own=False, headers=headers)
    assert [field for field in made.workload.headers if field[0] != "user-agent"] == [
        ("accept", "*/*"),
        *headers,
    ]
    assert made.workload.expected[0].size == len("a=b identity")


def test_redirects_are_measured_as_they_are_and_remarked() -> None:
    with serve_app("two_faced_app:app", certificate=None) as server:
        made = prepared(server, source_of("/elsewhere"))
    assert made.workload.expected[0].status == 302
    assert made.remarks == ("redirects are fetched and not followed: /elsewhere (to /same)",)


def test_sizes_are_those_of_the_transfer_and_kinds_those_of_the_answers() -> None:
    with serve_app("two_faced_app:app", certificate=None) as server:
        made = prepared(server, source_of("/coded.css"))
    assert made.workload.resources[0].kind is Kind.STYLE
    assert made.workload.expected[0].size < 200  # of 10,000 bytes
    assert dict(made.workload.headers)["accept-encoding"] == "gzip"


@pytest.mark.parametrize("name", BUNDLED)
def test_the_site_answers_what_its_workload_expects(name: str, site: RunningServer) -> None:
    workload = bundled_workload(name)
    source = Source(name=name, resources=workload.resources)
    made = prepared(site, source)
    assert made.workload.expected == workload.expected
    assert made.workload.resources == workload.resources
    assert made.remarks == ()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serve_app(
        "plait.lab.site:app", certificate=None, app_dir=tmp_path_factory.mktemp("empty")
    ) as server:
        yield server
