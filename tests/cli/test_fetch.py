"""``plait fetch`` as a user meets it: where content goes, what goes wrong, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from plait.cli.fetch import command
from tests.support.fetch_process import Done, Forking
from tests.support.servers import (
    Certificate,
    RunningServer,
    free_port,
    make_certificate,
    plait,
    serve_app,
    serve_bookstore,
)

SECONDS = 60


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def server(certificate: Certificate) -> Iterator[RunningServer]:
    with serve_app("fetch_app:app", "--no-access-log", certificate=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def bookstore(certificate: Certificate) -> Iterator[RunningServer]:
    with serve_bookstore("--no-access-log", certificate=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def forking() -> Iterator[Forking]:
    with Forking() as running:
        yield running


class Fetch:
    """Runs ``plait fetch`` in a directory of its own, trusting the tests' authority."""

    def __init__(self, forking: Forking, certificate: Certificate, directory: Path) -> None:
        self._forking = forking
        self._certificate = certificate
        self.directory = directory

    def __call__(self, *arguments: str | Path, stdin: bytes = b"", closed: tuple[str, ...] = ()) -> Done:
        return self._forking(*self.line(*arguments)[3:], cwd=self.directory, stdin=stdin, closed=closed)

    def line(self, *arguments: str | Path) -> list[str | Path]:
        """Return the whole command line, for a process that the test looks after."""
        return plait("fetch", "--cacert", self._certificate.ca, *arguments)


@pytest.fixture
def fetch(forking: Forking, certificate: Certificate, tmp_path: Path) -> Fetch:
    (tmp_path / "work").mkdir()
    return Fetch(forking, certificate, tmp_path / "work")


# -- many ------------------------------------------------------------------------------------------


def test_many_urls_come_in_their_order_over_one_connection(fetch: Fetch, server: RunningServer) -> None:
    done = fetch(server.url("/slow?seconds=0.2&name=first"), server.url("/status/[210-240]"))
    expected = ["slow first", *(f"status {number}" for number in range(210, 241))]
    assert done.stdout.decode().splitlines() == expected
    assert re.fullmatch(
        r"plait: 32 responses \(32 × 2xx\), \d+ B in [\d.]+ s over 1 HTTP/2 connection\n", done.stderr
    )


def test_a_file_of_paths_continues_the_url(fetch: Fetch, bookstore: RunningServer) -> None:
    (fetch.directory / "paths").write_text(
        "\ufeff# books\nbook?id=1\n\n/book?id=2\r\n" + bookstore.url("/book?id=3")
    )
    done = fetch("--paths", "paths", bookstore.url(""), "-w", "\\n")
    titles = [json.loads(line)["title"] for line in done.stdout.splitlines()]
    assert titles == ["Frankenstein", "The Last Man", "Five Weeks in a Balloon"]


def test_paths_come_from_standard_input_and_go_into_files(fetch: Fetch, bookstore: RunningServer) -> None:
    paths = "".join(f"/book?id={number}\n" for number in range(1, 301)).encode()
    done = fetch("--paths", "-", bookstore.url(""), "-o", "book-#1.json", "--output-dir", "books",
                 "--create-dirs", stdin=paths)  # fmt: skip
    assert done.status == 0, done.stderr
    assert len(list((fetch.directory / "books").iterdir())) == 300
    assert json.loads((fetch.directory / "books" / "book-300.json").read_text())["title"]
    assert "300 responses" in done.stderr


def test_paths_of_standard_input_are_fetched_as_they_come(fetch: Fetch, server: RunningServer) -> None:
    process = subprocess.Popen(
        fetch.line("-s", "--paths", "-", server.url("")), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (200, 250, 299):
            process.stdin.write(b"/status/%d\n" % number)
            process.stdin.flush()
            assert process.stdout.readline() == b"status %d\n" % number
        process.stdin.close()
        assert process.wait(SECONDS) == 0


def test_a_large_response_that_is_not_its_turn_waits_without_memory(
    fetch: Fetch, server: RunningServer
) -> None:
    size = 30 * 2**20
    urls = [server.url("/slow?seconds=0.3"), *(server.url(f"/big?size={size}") for _ in range(3))]
    status, length, memory = measured(fetch.line("-s", *urls))
    assert (status, length) == (0, 3 * size + len("slow \n"))
    assert memory < 80 * 2**20


def test_a_large_download_goes_into_a_file_without_memory(fetch: Fetch, server: RunningServer) -> None:
    size = 120 * 2**20
    file = fetch.directory / "big"
    status, _, memory = measured(fetch.line("-s", "-o", file, server.url(f"/big?size={size}")))
    assert status == 0
    assert file.stat().st_size == size
    file.unlink()
    assert memory < 100 * 2**20


#: What a process began with counts among its most: a small one starts it, and not pytest.
MEASURE = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


def measured(line: list[str | Path]) -> tuple[int, int, int]:
    """Run a command line; return its status, the length of its output, and the most memory it had."""
    with subprocess.Popen(
        [sys.executable, "-c", MEASURE, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        length = 0
        while piece := process.stdout.read(2**20):
            length += len(piece)
        memory = int(process.stderr.read()) * 1024
    return process.returncode, length, memory


def test_several_responses_for_one_file_do_not_mix(fetch: Fetch, server: RunningServer) -> None:
    fetch("-O", server.url("/file?[1-20]"), server.url("/x/file?[1-20]"))
    assert (fetch.directory / "file").stat().st_size == 1_000_000


def test_no_clobber_adds_numbers(fetch: Fetch, server: RunningServer) -> None:
    done = fetch("--no-clobber", "-o", "out", "-w", "%{filename_effective}\\n", server.url("/status/20[0-2]"))
    assert sorted(done.stdout.split()) == [b"out", b"out.1", b"out.2"]
    contents = {(fetch.directory / name).read_text() for name in ("out", "out.1", "out.2")}
    assert contents == {"status 200\n", "status 201\n", "status 202\n"}


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="a%20b.txt"', "a b.txt"),
        ("attachment; filename=../../evil", "evil"),
        ('attachment; filename="..\\\\..\\\\evil"', "evil"),
        ("attachment; filename=/etc/passwd", "passwd"),
        ("attachment; filename=.bashrc", "_bashrc"),
        ("attachment; filename=..", "_."),
        ("attachment; filename*=UTF-8''na%25C3%25AFve.txt; filename=naive.txt", "naïve.txt"),
        ('attachment; filename="a%250Ab"', "a%0Ab"),
        ("attachment; filename*=UTF-8''a%250Ab", "attachment"),
        ("attachment", "attachment"),
    ],
)
def test_a_name_that_the_server_says_is_never_a_path(
    fetch: Fetch, server: RunningServer, disposition: str, name: str
) -> None:
    fetch("-g", "-OJ", server.url("/attachment?is=" + disposition.replace(";", "%3B").replace(" ", "%20")))
    assert [one.name for one in fetch.directory.iterdir()] == [name]


def test_a_name_that_the_server_says_writes_over_nothing(fetch: Fetch, server: RunningServer) -> None:
    (fetch.directory / "mine").write_text("mine")
    fetch("-OJ", server.url("/attachment?is=attachment%3B%20filename%3Dmine"))
    assert (fetch.directory / "mine").read_text() == "mine"
    assert (fetch.directory / "mine.1").read_text() == "attached\n"


# -- trying again ----------------------------------------------------------------------------------


def test_it_tries_again_as_often_as_it_is_told(fetch: Fetch, server: RunningServer) -> None:
    done = fetch(
        "--retry", "2", "--retry-delay", "0.01", "-w", "%{num_retries}", server.url("/flaky/a?times=2")
    )
    assert done.stdout == b"at last\n2"
    done = fetch("--retry", "1", "--retry-delay", "0.01", "-f", server.url("/flaky/b?times=9"))
    assert done.status == 1
    assert done.stderr.endswith("the server answered 503 Service Unavailable\n")


def test_a_status_that_stays_is_not_tried_again(fetch: Fetch, server: RunningServer) -> None:
    done = fetch("--retry", "2", "-w", "%{num_retries}", server.url("/flaky/c?status=404"))
    assert done.stdout == b"not yet\n0"


def test_a_server_that_is_away_is_tried_again_only_on_request(fetch: Fetch) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    again = ("--retry", "1", "--retry-delay", "0.01", "-w", "%{num_retries} %{http_code}")
    assert fetch(*again, url).stdout == b"0 000"
    assert fetch(*again, "--retry-connrefused", url).stdout == b"1 000"
    assert fetch(*again, "--retry-all-errors", url).stdout == b"1 000"


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_failure_is_one_sentence_and_spares_the_others(fetch: Fetch, server: RunningServer) -> None:
    away = f"http://127.0.0.1:{free_port()}/"
    done = fetch(away, server.url("/status/200"))
    assert done.status == 1
    assert done.stdout == b"status 200\n"
    first, summary = done.stderr.splitlines()
    assert first == f"plait: {away}: cannot connect to {away[7:-1]}: Connection refused"
    assert summary.startswith("plait: 1 response (1 × 2xx), 1 failed")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "missing argument URL"),
        (("--paths", "nowhere", "http://x/"), "cannot read nowhere: No such file"),
        (("--paths", "-", "http://x/", "http://y/"), "--paths takes one URL"),
        (("http://x/[5-1]",), r"\[5-1\].* no range"),
        (("http://x/[1-9999999999]",), "no range"),
        (("http://x/{a,b}[1-900000]",), "1800000 URLs"),
        (("ftp://x/",), "ftp"),
        (("-d", "a", "-F", "b=1", "http://x/"), "one content"),
        (("-d", "@nowhere", "http://x/"), "cannot read nowhere"),
        (("-F", "nothing", "http://x/"), "no part of a form"),
        (("-F", "a=@nowhere", "http://x/"), "cannot read nowhere"),
        (("-T", "nowhere", "http://x/"), "cannot read nowhere"),
        (("-H", "nothing", "http://x/"), "no field"),
        (("-H", "a b: c", "http://x/"), "field name"),
        (("-X", "A B", "http://x/"), "not a method"),
        (("-b", "a=1; b", "http://x/"), "no cookie"),
        (("-m", "-1", "http://x/"), "no number of seconds"),
        (("-m", "nan", "http://x/"), "no number of seconds"),
        (("-C", "x", "http://x/"), "-C takes an offset"),
        (("--http1.1", "--http2-prior-knowledge", "http://x/"), "choose one"),
        (("-u", "a:b", "--oauth2-bearer", "c", "http://x/"), "one way"),
        (("--key", "k", "http://x/"), "--key belongs to"),
        (("--cacert", "nowhere", "http://x/"), "nowhere"),
        (("-x", "ftp://x", "http://x/"), "proxy"),
        (("--window", "0", "http://x/"), "--window"),
        (("-D", "no/where", "http://x/"), "cannot write no/where"),
        (("--nonsense", "http://x/"), "(?i)no such option"),
    ],
)
def test_wrong_use_is_one_sentence(
    forking: Forking, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    (tmp_path / "work").mkdir()
    done = forking("fetch", *options, cwd=tmp_path / "work")
    assert done.stdout == b""
    assert done.stderr.startswith("plait: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert re.search(says, done.stderr), done.stderr
    assert done.status == 2


@pytest.mark.parametrize(
    ("path", "options", "says"),
    [
        ("/status/404", ("-f",), "the server answered 404 Not Found"),
        ("/redirect/3", ("-L", "--max-redirs", "2"), "redirected more than 2 times"),
        ("/redirect/1", ("-L", "--max-redirs", "0"), "it leads somewhere else"),
        ("/slow?seconds=20", ("-m", "0.1"), "no complete response within 0.1 seconds"),
        ("/slow?seconds=20", ("--read-timeout", "0.1"), "the server sent nothing for 0.1 seconds"),
        ("/", ("-O",), "the URL ends with no name for a file"),
        ("/status/200", ("-o", "no/where"), "cannot write no/where: No such file"),
        ("/whole", ("-C", "10"), "the server does not send parts"),
    ],
)
def test_what_goes_wrong_names_the_url(
    fetch: Fetch, server: RunningServer, path: str, options: tuple[str, ...], says: str
) -> None:
    done = fetch(*options, server.url(path))
    assert done.status == 1
    assert re.fullmatch(rf"plait: {re.escape(server.url(''))}/.*{says}.*\n", done.stderr), done.stderr


def test_silence_holds_for_failures_unless_they_are_wanted(fetch: Fetch, server: RunningServer) -> None:
    url = server.url("/status/404")
    assert fetch("-s", "-f", url).stderr == ""
    assert fetch("-s", "-S", "-f", url).stderr == f"plait: {url}: the server answered 404 Not Found\n"


def test_a_certificate_nobody_knows_is_one_sentence(
    forking: Forking, server: RunningServer, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    done = forking("fetch", server.url("/status/200"), cwd=tmp_path / "work")
    assert done.status == 1
    assert "the certificate of localhost" in done.stderr
    assert done.stderr.count("\n") == 1
    assert forking("fetch", "-k", server.url("/status/200"), cwd=tmp_path / "work").stdout == b"status 200\n"


def test_a_download_that_breaks_off_leaves_what_came(fetch: Fetch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")

        thread = threading.Thread(target=answer)
        thread.start()
        done = fetch("-o", "part", f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()
    assert done.status == 1
    assert done.stderr.endswith(": the server closed the connection in the middle of a response\n")
    assert (fetch.directory / "part").read_text() == "only this"


def answering(fetch: Fetch, response: bytes, *options: str) -> Done:
    """Fetch from a server that says the same to every request, over HTTP/1.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(response)

        thread = threading.Thread(target=answer)
        thread.start()
        done = fetch(*options, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    return done


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (b"", "the server closed the connection before it answered"),
        (b"SSH-2.0\r\n\r\n", "the message is malformed"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nz\r\n", "chunk"),
        (b"HTTP/1.1 200 OK\r\nx: \x1b[31m\r\n\r\n", "Invalid header value char"),
    ],
)
def test_what_breaks_a_response_is_told(fetch: Fetch, response: bytes, says: str) -> None:
    done = answering(fetch, response)
    assert done.status == 1
    assert re.fullmatch(rf"plait: http://127.0.0.1:\d+/: .*{says}.*\n", done.stderr), done.stderr


@pytest.mark.parametrize("after", [b"\xb2", b"", b"soon", b"0"])
def test_what_retry_after_says_may_be_anything(fetch: Fetch, after: bytes) -> None:
    response = b"HTTP/1.1 503 Busy\r\nretry-after: " + after + b"\r\ncontent-length: 0\r\n\r\n"
    done = answering(fetch, response, "--retry", "1", "--retry-max-time", "0.5", "-w", "%{http_code}")
    assert (done.status, done.stdout, done.stderr) == (0, b"503", "")


def test_cookies_of_any_bytes_go_through_a_jar(fetch: Fetch) -> None:
    cookies = b"set-cookie: n\xffx=y\r\nset-cookie: tab=a\tb\r\nset-cookie: last=1\r\n"
    answering(fetch, b"HTTP/1.1 200 OK\r\n" + cookies + b"content-length: 0\r\n\r\n", "-c", "jar")
    lines = (fetch.directory / "jar").read_bytes().splitlines()[2:]
    assert [line.split(b"\t")[5:] for line in lines] == [[b"n\xffx", b"y"], [b"last", b"1"]]
    done = answering(fetch, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "-vv", "-b", "jar")
    assert done.status == 0
    assert "> cookie: n" in done.stderr


def test_a_url_that_is_none_is_wrong_use_and_spares_the_others(fetch: Fetch, server: RunningServer) -> None:
    done = fetch("http://", server.url("/status/200"))
    assert (done.status, done.stdout) == (2, b"status 200\n")
    assert done.stderr.startswith("plait: http://: 'http://' names no host\n")


def test_standard_streams_may_be_closed(fetch: Fetch, server: RunningServer) -> None:
    url = server.url("/status/200")
    assert fetch("-o", "kept", url, closed=("stdin", "stdout", "stderr")).status == 0
    assert (fetch.directory / "kept").read_text() == "status 200\n"
    done = fetch(url, closed=("stdout",))
    assert (done.status, done.stderr) == (1, "plait: standard output: Bad file descriptor\n")
    for line in (("--paths", "-"), ("-d", "@-"), ("-T", "-")):
        done = fetch(*line, url, closed=("stdin",))
        assert (done.status, done.stderr) == (2, "plait: cannot read standard input: it is closed\n")


@pytest.mark.parametrize("option", ["-o", "-D", "-c", "--har"])
def test_a_full_disk_is_one_sentence_that_names_the_file(
    fetch: Fetch, server: RunningServer, option: str
) -> None:
    done = fetch("-s", "-S", option, "/dev/full", server.url("/status/[200-220]"))
    assert done.status == 1
    assert re.fullmatch(
        r"(plait: \S*: )?(plait: )?.*/dev/full: No space left on device", done.stderr.splitlines()[0]
    )
    assert "Traceback" not in done.stderr


# -- how it ends -----------------------------------------------------------------------------------


def test_ctrl_c_is_quiet(fetch: Fetch, server: RunningServer) -> None:
    process = subprocess.Popen(
        fetch.line(server.url("/status/200"), server.url("/slow?seconds=60")),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"status 200\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
        assert process.stderr.read() == b""


def test_ctrl_c_ends_it_while_it_waits_for_paths(fetch: Fetch, server: RunningServer) -> None:
    process = subprocess.Popen(
        fetch.line("--paths", "-", server.url("")),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"/status/200\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"status 200\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
        assert process.stderr.read() == b""


def test_a_reader_that_has_seen_enough_is_no_error(fetch: Fetch, server: RunningServer) -> None:
    process = subprocess.Popen(
        fetch.line(server.url(f"/big?size={2**30}")), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(SECONDS) == 1
        assert process.stderr.read() == b""


def test_it_imports_neither_the_server_nor_the_lab(server: RunningServer) -> None:
    program = (
        "import sys; from plait.cli.main import main\n"
        f"sys.argv = ['plait', 'fetch', '-k', {server.url('/status/200')!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('plait.server', 'plait.lab', 'plait.bookstore', 'plait.integrations', 'rich', 'uvloop')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "status 200\n[]\n"


# -- terminals -------------------------------------------------------------------------------------


def on_terminal(line: list[str | Path], *, stdout: int | None = None, typed: bytes = b"") -> tuple[int, str]:
    """Run a command line on a terminal of its own; return its status and what the terminal shows."""
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        line, stdin=secondary, stdout=secondary if stdout is None else stdout, stderr=secondary,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"}, start_new_session=True,
    )  # fmt: skip
    os.close(secondary)
    shown = b""
    while select.select([primary], [], [], SECONDS)[0]:
        try:
            piece = os.read(primary, 65536)
        except OSError:  # how Linux says that nobody has the other end any more
            break
        shown += piece
        if typed and b": " in shown:
            os.write(primary, typed)
            typed = b""
    os.close(primary)
    return process.wait(SECONDS), shown.decode()


def test_binary_content_is_kept_from_a_terminal(fetch: Fetch, server: RunningServer) -> None:
    status, shown = on_terminal(fetch.line(server.url("/big?size=100")))
    assert status == 1
    assert "binary, and not for a terminal" in shown
    assert "\0" not in shown
    status, shown = on_terminal(fetch.line("-o", "-", server.url("/big?size=100")))
    assert (status, shown.count("\0")) == (0, 100)
    assert on_terminal(fetch.line(server.url("/status/200"))) == (0, "status 200\r\n")


def test_a_password_is_asked_for_and_not_shown(fetch: Fetch, server: RunningServer) -> None:
    line = fetch.line("-u", "reader", server.url("/echo"))
    status, shown = on_terminal(line, typed=b"secret\n")
    assert status == 0
    assert "Password for reader: " in shown
    assert "Basic cmVhZGVyOnNlY3JldA==" in shown
    assert "secret" not in shown


def test_progress_is_drawn_on_a_terminal_only(fetch: Fetch, server: RunningServer) -> None:
    urls = [server.url("/status/[210-220]"), server.url("/slow?seconds=0.5")]
    status, shown = on_terminal(fetch.line("--output-dir", fetch.directory, *urls))
    assert status == 0
    assert "11/12" in shown
    assert "12 responses" in shown
    status, shown = on_terminal(fetch.line("-s", "--output-dir", fetch.directory, urls[0]))
    assert (status, shown) == (0, "")


def test_stats_tell_of_each_connection(fetch: Fetch, server: RunningServer) -> None:
    done = fetch("-s", "--stats", server.url("/status/[210-220]"))
    assert re.match(r"connection 1 from port \d+: HTTP/2, 11 requests, .* sent, .* received, ", done.stderr)


def test_what_is_written_out_may_go_to_standard_error(fetch: Fetch, server: RunningServer) -> None:
    done = fetch("-o", "x", "-w", "out %{stderr}err %{stdout}out\\n", server.url("/status/200"))
    assert (done.stdout, done.stderr) == (b"out out\n", "err ")


def test_times_written_out_are_in_order(fetch: Fetch, server: RunningServer) -> None:
    done = fetch("-o", "x", "-w", "%{json}", server.url("/slow?seconds=0.05"))
    told = json.loads(done.stdout)
    names = ("namelookup", "connect", "appconnect", "pretransfer", "starttransfer", "total")
    times = [told[f"time_{name}"] for name in names]
    assert times == sorted(times)
    assert told["time_starttransfer"] - told["time_pretransfer"] >= 0.05


def test_an_upload_of_standard_input_is_sent_as_it_comes(fetch: Fetch, server: RunningServer) -> None:
    came = json.loads(fetch("-T", "-", server.url("/up"), stdin=b"x" * 200_000).stdout)
    assert came["method"] == "PUT"
    assert came["content"] == "x" * 200_000
    assert "content-length" not in came["fields"]


def test_credentials_in_a_url_are_sent_and_not_shown(fetch: Fetch, server: RunningServer) -> None:
    url = server.url("/echo").replace("https://", "https://me:se%63ret@")
    came = json.loads(fetch(url).stdout)
    assert came["fields"]["authorization"] == "Basic bWU6c2VjcmV0"
    away = f"http://me:secret@127.0.0.1:{free_port()}/"
    assert "secret" not in fetch(away).stderr


# -- what happened ---------------------------------------------------------------------------------


def test_verbose_shows_the_frames(fetch: Fetch, server: RunningServer) -> None:
    done = fetch("-v", "-u", "me:secret", server.url("/status/200"))
    lines = done.stderr.splitlines()
    assert done.stdout == b"status 200\n"
    for expected in (
        r"\* Connected to 127.0.0.1 port \d+ .*",
        r"\* Secured: TLSv1.3, .*ALPN h2.*",
        r"> SETTINGS: .*ENABLE_PUSH=0.*",
        r"> HEADERS stream 1 END_STREAM\+END_HEADERS: .*",
        r">   :path: /status/200",
        r">   authorization: \(\d+ bytes hidden\)",
        r"<   :status: 200",
        r"< DATA stream 1.*: 11 bytes",
    ):
        assert any(re.fullmatch(expected, line) for line in lines), (expected, done.stderr)
    assert (
        "authorization: Basic bWU6c2VjcmV0"
        in fetch("-vv", "-u", "me:secret", server.url("/status/200")).stderr
    )


def test_verbose_shows_http1_as_curl_does(fetch: Fetch, server: RunningServer) -> None:
    done = fetch("-v", "--http1.1", "-A", "me", server.url("/status/200"))
    said = done.stderr.replace("\r", "")
    assert f"> GET /status/200 HTTP/1.1\n> host: localhost:{server.port}\n" in said
    assert "> user-agent: me\n> \n< HTTP/1.1 200" in said
    assert "< content-length: 11\n" in said


def test_timing_draws_what_the_time_went_into(fetch: Fetch, server: RunningServer) -> None:
    urls = [server.url(path) for path in ("/slow?seconds=0.3", "/status/404", "/redirect/1")]
    done = fetch("-s", "-L", "--timing", *urls)
    legend, slow, fast, there, then = done.stderr.splitlines()
    assert legend.startswith(". queue  d dns  c connect  t tls  s send  w wait  r receive  over ")
    assert slow.startswith("200 https://localhost:")
    assert fast.startswith("404 https://localhost:")
    assert slow.count("w") > 20
    assert slow.count("w") > fast.count("w")
    assert there.startswith("302 https://localhost:")
    assert then.startswith("200 https://localhost:")


@pytest.mark.parametrize("columns", [20, 300])
def test_timing_has_room_in_any_terminal(fetch: Fetch, server: RunningServer, columns: int) -> None:
    line = [
        "env",
        f"COLUMNS={columns}",
        *fetch.line("-s", "--timing", "-o", "/dev/null", server.url("/status/200")),
    ]
    status, shown = on_terminal(line)
    rows = re.sub("\x1b\\[[0-9;]*m", "", shown).splitlines()
    assert status == 0
    assert rows[-1].endswith(" ms")
    assert len(rows[-1]) <= columns


def test_an_archive_holds_every_exchange(fetch: Fetch, server: RunningServer) -> None:
    done = fetch("-s", "-L", "--har", "all.har", server.url("/redirect/1"), server.url("/status/404"))
    assert done.status == 0
    entries = json.loads((fetch.directory / "all.har").read_text())["log"]["entries"]
    assert sorted(one["response"]["status"] for one in entries) == [200, 302, 404]
    assert fetch("--har", "no/where", server.url("/status/200")).status == 2


def test_a_line_that_is_no_path_fails_alone_and_names_its_url(fetch: Fetch, server: RunningServer) -> None:
    lines = b"/status/200\n//elsewhere\n\xff\xfe?\xe9\nhttp://\nstatus/201\n"
    done = fetch("--paths", "-", server.url(""), stdin=lines)
    assert done.status == 1
    assert done.stdout.startswith(b"status 200\n")
    assert b"/%FF%FE?%E9" in done.stdout
    assert done.stdout.endswith(b"status 201\n")
    assert [line.split(": ")[1] for line in done.stderr.splitlines()[:-1]] == ["//elsewhere", "http://"]


def test_a_failed_path_names_its_whole_url(fetch: Fetch) -> None:
    base = f"http://me:secret@127.0.0.1:{free_port()}/api/"
    done = fetch("-s", "-S", "--paths", "-", base, stdin=b"book?id=1\n")
    assert done.stderr.startswith(f"plait: {base.replace('me:secret@', '')}book?id=1: cannot connect")


def test_an_offset_to_resume_from_is_kept_when_tried_again(fetch: Fetch, server: RunningServer) -> None:
    (fetch.directory / "part").write_bytes(b"0123456789")
    line = ("--retry", "1", "--retry-delay", "0.01", "--retry-all-errors", "-C", "10", "-o", "part")
    done = fetch(*line, server.url("/broken/resume"))
    assert done.status == 0, done.stderr
    assert (fetch.directory / "part").read_bytes() == b"0123456789" + b"the rest"


def test_proxies_are_left_out_for_hosts_that_are_named(fetch: Fetch, server: RunningServer) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    url = server.url("/status/200")
    assert fetch("-x", proxy, url).status == 1
    assert fetch("-x", proxy, "--noproxy", "localhost", url).stdout == b"status 200\n"
    assert fetch("-x", proxy, "--noproxy", "*", url).stdout == b"status 200\n"
    assert fetch("-x", proxy, "--noproxy", "other.example", url).status == 1


TAKE_TEXT = [
    one.opts[0] for one in command.params if isinstance(one, click.Option) and not (one.is_flag or one.count)
]


@pytest.mark.parametrize("value", ["a=@\udcff", "ä€:\x01", ""])
def test_no_value_of_an_option_leads_to_a_traceback(fetch: Fetch, value: str) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    for option in TAKE_TEXT:
        done = fetch(option, value, url)
        assert "Traceback" not in done.stderr, (option, done.stderr)
        assert done.status in (1, 2) or option in ("--paths", "-C"), (option, done.stderr)
        assert all(line.startswith("plait: ") for line in done.stderr.splitlines()), (option, done.stderr)


def test_responses_that_wait_for_their_turn_leave_connections_to_the_one_whose_turn_it_is(
    fetch: Fetch, server: RunningServer
) -> None:
    # Six connections, and more responses than these that are held back, while the first is sent elsewhere.
    size = 3 * 2**20
    urls = [server.url("/redirect/3"), *(server.url(f"/big?size={size}&{number}") for number in range(12))]
    status, length, _ = measured(fetch.line("-s", "-L", "--http1.1", *urls))
    assert status == 0
    assert 12 * size < length < 12 * size + 1000


def test_a_certificate_of_its_own_is_shown(fetch: Fetch, certificate: Certificate) -> None:
    options = ("--client-ca", certificate.ca, "--client-cert", "required", "--no-access-log")
    with serve_app("fetch_app:app", *options, certificate=certificate) as strict:
        url = strict.url("/status/200")
        assert fetch(url).status == 1
        done = fetch("--cert", certificate.chain, "--key", certificate.key, url)
    assert done.stdout == b"status 200\n", done.stderr
