"""Every contender but the browsers, each as the process it is, against plait's server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab_app import answer
from tests.support.loads import Wanted, most_under_way, received, run_load, times
from tests.support.servers import Certificate, RunningServer, free_port, make_certificate, serve_app
from tests.support.small_server import small_server

HTTP1 = ["h1x1", "h1x6", "requests", "httpx", "pycurl"]
HTTP2 = ["h2-serial", "h2-chunks", "h2-static", "h2-priorities", "h2", "h2x2", "httpx-h2", "pycurl-h2"]
SERIAL = ["h1x1", "h2-serial", "requests"]
#: Requests under way at once, of a load with three in flight.
AT_ONCE = {"h1x6": 6, "httpx": 6, "pycurl": 6, "h2x2": 4} | dict.fromkeys(SERIAL, 1)

#: A graph with everything in it that may go wrong: chains, a delay, error, redirect, coded and no content.
PATHS = ["/0", "/a", "/b", "/c", "/gone", "/elsewhere", "/gzip", "/empty", "/after-a", "/late", "/0", "/last"]
PARENTS = [None, 0, 0, 0, 0, 0, 0, None, 1, 2, 3, 9]
DELAYS = {9: 0.04}
GRAPH: list[Wanted] = [
    (path, kind, parent, DELAYS.get(index, 0.0))
    for index, (path, parent, kind) in enumerate(
        zip(PATHS, PARENTS, ["document", "style", "script", "font", "image", "data"] * 2, strict=True)
    )
]
EXPECTED = received([answer(path) for path in PATHS])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Return a certificate for localhost."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def server(certificate: Certificate) -> Iterator[RunningServer]:
    """Run plait with TLS, both versions of HTTP."""
    with serve_app("lab_app:app", "--no-access-log", certificate=certificate) as running:
        yield running


def run(name: str, server: RunningServer, certificate: Certificate, **changes: Any) -> dict[str, Any]:
    return run_load(name, server.url(""), changes.pop("graph", GRAPH), cafile=str(certificate.ca), **changes)


def check_graph(result: dict[str, Any], graph: list[Wanted] = GRAPH) -> None:
    """Nothing is asked for before it is known, and nothing is known before what makes it known is there."""
    phases = times(result)
    assert phases.keys() == set(range(len(graph)))
    for index, (_, _, parent, delay) in enumerate(graph):
        one = phases[index]
        begin = 0 if parent is None else phases[parent]["done"]
        assert begin + delay * 1e6 - 2 <= one["known"] <= one["sent"] + 2
        assert one["sent"] <= one["answered"] <= one["done"] <= result["load"] * 1e6 + 1


@pytest.mark.parametrize("name", [*HTTP1, *HTTP2])
def test_every_contender_fetches_the_whole_graph_and_tells_how(
    name: str, server: RunningServer, certificate: Certificate
) -> None:
    result = run(name, server, certificate, in_flight=3, headers=[["x-lab", f"by {name}"]])

    assert result["failure"] is None
    assert sorted(result["received"]) == EXPECTED
    check_graph(result)
    phases = times(result)
    order = [index for index, *_ in result["received"]]
    assert result["latencies"] == pytest.approx([phases[i]["done"] - phases[i]["sent"] for i in order], abs=2)
    assert most_under_way(result) <= AT_ONCE.get(name, 3)

    connections = result["timeline"]["connections"]
    assert (
        result["connections"]
        == len(connections)
        <= {"h1x6": 6, "h2x2": 2, "httpx": 6, "pycurl": 6}.get(name, 1)
    )
    # One that was opened in vain, since others were quicker, carries nothing.
    assert {one["connection"] for one in phases.values()} <= set(range(len(connections)))
    spent = sum(secured - started for _, started, _, secured in connections)
    assert result["handshakes"] == pytest.approx(spent / 1e6, abs=1e-4)
    for port, started, connected, secured in connections:
        assert port > 0
        assert 0 <= started <= connected <= secured
    assert result["bytes_sent"] > 40 * len(GRAPH)
    assert result["bytes_received"] > sum(size for _, _, size, _ in EXPECTED)
    assert result["tcp"]["segments_sent"] > 0
    assert result["peak_memory"] > 5_000_000
    version = "2" if name in HTTP2 else "1.1"
    asked = [line for line in server.output().splitlines() if f"'by {name}'" in line]
    assert sorted(line.split()[1] for line in asked) == sorted(PATHS)
    assert {line.split()[0] for line in asked} == {version}


def test_header_bytes_are_counted_before_and_after_compression(
    server: RunningServer, certificate: Certificate
) -> None:
    plain, static, dynamic = (
        run(name, server, certificate)["fields"] for name in ("h1x1", "h2-static", "h2")
    )
    assert plain["request"] == plain["request_wire"] == static["request"] == dynamic["request"]
    assert plain["response"] == plain["response_wire"]
    assert dynamic["request_wire"] < static["request_wire"] < plain["request_wire"]
    assert dynamic["response_wire"] < static["response_wire"] < plain["response_wire"]


def test_priorities_are_those_that_a_browser_gives_each_kind(
    server: RunningServer, certificate: Certificate
) -> None:
    result = run("h2-priorities", server, certificate, headers=[["x-lab", "priorities"]])
    assert result["failure"] is None
    told = {
        line.split()[1]: line.split("'")[1]
        for line in server.output().splitlines()
        if "'priorities'" in line and line.split()[1] != "/0"
    }
    assert [told[path] for path in PATHS[1:6]] == ["u=0", "u=1", "u=0", "i", "u=1, i"]


@pytest.mark.parametrize("name", ["h2", "requests", "httpx", "pycurl"])
def test_content_codings_are_asked_for_only_as_the_workload_says(
    name: str, server: RunningServer, certificate: Certificate
) -> None:
    def asked(label: str, headers: list[list[str]]) -> str:
        run(name, server, certificate, graph=GRAPH[:1], headers=[["x-lab", label], *headers])
        return next(line.split("'")[5] for line in server.output().splitlines() if f"'{label}'" in line)

    assert asked(f"plain {name}", []) in ("-", "identity")
    assert asked(f"coded {name}", [["accept-encoding", "gzip"]]) == "gzip"


@pytest.mark.parametrize("name", SERIAL)
def test_serial_contenders_keep_to_the_order_of_the_workload(
    name: str, server: RunningServer, certificate: Certificate
) -> None:
    graph: list[Wanted] = [("/0", "data", None, 0.0), ("/1", "data", 0, 0.0)]
    graph += [(f"/{n}", "data", None, 0.0) for n in range(2, 9)]
    result = run(name, server, certificate, graph=graph)
    assert [index for index, *_ in result["received"]] == list(range(9))


def test_a_chunk_is_read_to_its_end_before_the_next_is_sent(
    server: RunningServer, certificate: Certificate
) -> None:
    graph: list[Wanted] = [(f"/{n}", "data", None, 0.0) for n in range(11)]
    result = run("h2-chunks", server, certificate, graph=graph, in_flight=4)
    phases = times(result)
    chunks = [range(0, 4), range(4, 8), range(8, 11)]
    ends = [max(phases[index]["done"] for index in chunk) for chunk in chunks]
    for end, chunk in zip(ends, chunks[1:], strict=False):
        assert all(phases[index]["sent"] >= end for index in chunk)


def test_a_window_is_refilled_while_others_are_under_way(
    server: RunningServer, certificate: Certificate
) -> None:
    graph: list[Wanted] = [(f"/{n}", "data", None, 0.0) for n in range(40)]
    result = run("h2", server, certificate, graph=graph, in_flight=10)
    assert 1 < most_under_way(result) <= 10
    assert sorted(result["received"]) == received([answer(f"/{n}") for n in range(40)])


@pytest.mark.parametrize("name", ["h1x6", "httpx", "pycurl"])
def test_whoever_is_done_first_makes_its_children_known_while_others_take_their_time(name: str) -> None:
    child_asked = threading.Event()

    def before_answering(path: str) -> None:
        if path == "/child":
            child_asked.set()
        elif path == "/slow":
            child_asked.wait(20)

    graph: list[Wanted] = [
        ("/slow", "data", None, 0.0),
        ("/quick", "data", None, 0.0),
        ("/child", "data", 1, 0.0),
    ]
    with small_server({path: b"x" for path, *_ in graph}) as small:
        small.before_answering = before_answering
        phases = times(run_load(name, small.target.base_url, graph))
    assert phases[1]["done"] <= phases[2]["sent"] < phases[0]["done"]


def test_only_the_first_requests_of_a_long_load_are_in_its_timeline(
    server: RunningServer, certificate: Certificate
) -> None:
    graph: list[Wanted] = [(f"/{n}", "data", None, 0.0) for n in range(30)]
    result = run("h2", server, certificate, graph=graph, timeline=12)
    assert times(result).keys() == set(range(12))
    assert len(result["latencies"]) == len(result["received"]) == 30


@pytest.mark.parametrize("name", ["h2", "httpx-h2", "pycurl-h2"])
def test_http2_is_spoken_without_tls_too(name: str) -> None:
    with serve_app("lab_app:app", "--no-access-log", certificate=None) as plain:
        result = run_load(name, plain.url(""), GRAPH)
        asked = [line for line in plain.output().splitlines() if " /" in line]
    assert sorted(result["received"]) == EXPECTED
    assert {line.split()[0] for line in asked} == {"2"}
    assert all(connected == secured for *_, connected, secured in result["timeline"]["connections"])


@pytest.mark.parametrize("name", ["h1x6", "requests", "httpx", "pycurl"])
def test_http1_is_spoken_without_tls_too(name: str) -> None:
    contents = {path: path.encode() for path in ("/0", "/1", "/2")}
    graph: list[Wanted] = [(path, "data", 0 if index else None, 0.0) for index, path in enumerate(contents)]
    with small_server(contents) as small:
        result = run_load(name, small.target.base_url, graph)
    assert sorted(result["received"]) == received([(200, None, content) for content in contents.values()])
    check_graph(result, graph)
    assert all(connected == secured for *_, connected, secured in result["timeline"]["connections"])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("h2", "NoCommonProtocol: "),
        ("httpx-h2", "PlaitError: https://localhost:PORT answered with HTTP/1.1, not HTTP/2"),
        ("pycurl-h2", "PlaitError: https://localhost:PORT answered with HTTP/1.1, not HTTP/2"),
    ],
)
def test_a_server_without_http2_fails_the_load_of_those_that_need_it(
    name: str, sentence: str, certificate: Certificate
) -> None:
    with small_server({"/": b"x"}, certificate=(certificate.chain, certificate.key)) as small:
        base_url = f"https://localhost:{small.server_port}"
        result = run_load(name, base_url, [("/", "data", None, 0.0)], cafile=str(certificate.ca))
    assert result.keys() == {"failure"}
    assert result["failure"].startswith(sentence.replace("PORT", str(small.server_port)))


@pytest.mark.parametrize("name", ["h1x6", "h2", "requests", "httpx", "pycurl"])
def test_a_server_that_is_not_there_or_not_trusted_fails_the_load(
    name: str, server: RunningServer, tmp_path: Path
) -> None:
    nowhere = run_load(name, f"http://127.0.0.1:{free_port()}", GRAPH)
    assert nowhere.keys() == {"failure"}
    assert nowhere["failure"]
    other = make_certificate(tmp_path)
    distrusted = run(name, server, other)
    assert distrusted.keys() == {"failure"}
    assert "certificate" in distrusted["failure"].lower()


def test_curl_goes_to_the_address_that_the_name_stands_for() -> None:
    with small_server({"/": b"x"}) as small:
        base_url = f"http://server.invalid:{small.server_port}"
        result = run_load("pycurl", base_url, [("/", "data", None, 0.0)], address="127.0.0.1")
    assert result["received"] == received([(200, None, b"x")])


@pytest.mark.parametrize("name", ["h2", "requests", "httpx", "pycurl"])
def test_any_certificate_is_taken_when_that_is_asked_for(
    name: str, server: RunningServer, certificate: Certificate
) -> None:
    result = run_load(name, server.url(""), GRAPH[:3], insecure=True)
    assert result["failure"] is None


def test_an_unknown_contender_fails_the_load_with_the_names_there_are() -> None:
    result = run_load("h4", "http://127.0.0.1:9", GRAPH)
    assert result["failure"].startswith("ConfigError: 'h4' is not a contender; ")
