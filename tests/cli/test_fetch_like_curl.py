"""The same command lines with curl and with ``plait fetch``: the same output, files and requests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fetch_process import Forking
from tests.support.servers import Certificate, RunningServer, make_certificate, serve_app
from tests.support.tools import require_tool

# URL is the server's, without a slash at its end; the status is success for both, or failure for both.
LINES = [
    # methods and fields
    ("URL/echo",),
    ("-X", "DELETE", "URL/echo"),
    ("-X", "PROPFIND", "URL/echo"),
    ("-H", "X-One: 1", "-H", "x-two:2", "URL/echo"),
    ("-H", "X-Empty;", "URL/echo"),
    ("-H", "Accept:", "URL/echo"),
    ("-H", "accept: text/html", "URL/echo"),
    ("-H", "@headers", "URL/echo"),
    ("-H", "Host: other.example", "URL/echo"),
    ("-A", "me/1", "URL/echo"),
    ("-A", "", "URL/echo"),
    ("-e", "https://from.example/", "URL/echo"),
    ("URL/one/../two/./three/..?x=/../",),
    ("--path-as-is", "URL/one/../two"),
    # content
    ("-d", "a=1", "URL/echo"),
    ("-d", "a=1", "-d", "b=2&c=ä", "URL/echo"),
    ("-d", "", "URL/echo"),
    ("-d", "@lines", "URL/echo"),
    ("-d", "@-", "URL/echo"),
    ("-d", "a=1", "--data-binary", "@lines", "--data-raw", "@lines", "URL/echo"),
    ("--data-binary", "@bytes", "URL/echo"),
    ("--data-urlencode", "a b&c", "--data-urlencode", "=x y", "--data-urlencode", "n=ä/~", "URL/echo"),
    ("--data-urlencode", "@lines", "--data-urlencode", "n@lines", "URL/echo"),
    ("-d", "a=1", "-X", "PUT", "URL/echo"),
    ("-d", "a=1", "-H", "content-type: text/plain", "URL/echo"),
    ("-G", "-d", "a=1", "-d", "b=2", "URL/echo"),
    ("-G", "-d", "a=1", "--data-urlencode", "q=x y", "URL/echo?z=0"),
    ("--json", '{"a": 1}', "URL/echo"),
    ("--json", '{"a":', "--json", " 1}", "URL/echo"),
    ("--json", "@json", "-H", "accept: text/html", "URL/echo"),
    ("-F", "a=1", "-F", "file=@lines", "-F", "b=2", "URL/echo"),
    ("-F", "file=@bytes;type=image/x-odd;filename=other.txt", "URL/echo"),
    ("-F", "text=<lines", "-F", "t=1;type=text/html", "--form-string", "s=@a;type=b", "URL/echo"),
    ("-T", "lines", "URL/up/"),
    ("-T", "lines", "URL/up/name"),
    ("-T", "lines", "-X", "POST", "URL/up/name"),
    # who asks
    ("-u", "me:secret", "URL/echo"),
    ("-u", "me:secret", "URL/basic"),
    ("--digest", "-u", "me:secret", "URL/digest"),
    ("--oauth2-bearer", "token", "URL/echo"),
    ("--netrc-file", "netrc", "URL/echo"),
    ("-b", "a=1; b=2", "URL/echo"),
    ("-b", "jar", "URL/echo"),
    ("-c", "out", "-b", "", "URL/cookies", "-o", "nothing"),
    # responses
    ("-i", "URL/status/404"),
    ("-I", "URL/whole"),
    ("-i", "URL/early"),
    ("-s", "-i", "URL/trailers", "-H", "te: trailers"),
    ("-s", "-f", "URL/status/404"),
    ("-s", "-f", "URL/status/200"),
    ("-s", "--fail-with-body", "URL/status/500"),
    ("URL/redirect/2",),
    ("-L", "URL/redirect/2"),
    ("-L", "-i", "URL/redirect/2"),
    ("-L", "-d", "a=1", "URL/redirect/1"),
    ("-L", "-d", "a=1", "URL/redirect/1?status=307"),
    ("-L", "-d", "a=1", "URL/redirect/1?status=303"),
    ("-s", "-L", "--max-redirs", "1", "URL/redirect/3"),
    ("URL/gzip",),
    ("--compressed", "URL/coded"),
    ("-r", "10-19", "URL/file"),
    ("-r", "-5", "URL/file"),
    # connections
    ("--resolve", "elsewhere.example:PORT:127.0.0.1", "-k", "https://elsewhere.example:PORT/echo"),
    ("--resolve", "*:PORT:127.0.0.1", "-k", "https://elsewhere.example:PORT/echo"),
    ("--connect-to", "elsewhere.example:9:localhost:PORT", "-k", "https://elsewhere.example:9/echo"),
    ("--connect-to", "::localhost:PORT", "-k", "https://elsewhere.example:9/echo"),
    ("-4", "URL/echo"),
    ("-s", "-6", "https://127.0.0.1:PORT/echo"),
    ("--interface", "127.0.0.1", "URL/echo"),
    # files
    ("-o", "out", "URL/status/200"),
    ("-o", "deep/er/out", "--create-dirs", "URL/status/200"),
    ("--output-dir", "deep", "--create-dirs", "-O", "URL/status/200?x=1"),
    ("-O", "URL/status/200", "-o", "second", "URL/status/404"),
    ("-o", "a", "-o", "b", "URL/status/200", "URL/status/404", "URL/echo"),
    ("-o", "empty", "URL/empty"),
    ("-i", "-o", "with-head", "URL/status/200"),
    ("-D", "head", "URL/status/200"),
    ("-D", "-", "-o", "out", "URL/status/200"),
    ("-J", "-O", "URL/attachment?is=attachment%3B%20filename%3Dreport.txt"),
    ("-J", "-O", 'URL/attachment?is=attachment%3B%20filename%3D"../../up.txt"'),
    ("-C", "-", "-o", "begun", "URL/file"),
    ("-C", "1000", "-o", "begun", "URL/file"),
    ("-C", "-", "-o", "new", "URL/file"),
    ("-s", "-C", "-", "-o", "begun", "URL/whole"),
    # several
    ("URL/status/[200-204:2]",),
    ("-o", "file-#1-#2", "URL/{status,echo}/[201-202]"),
    ("-g", "URL/echo?a[1-2]"),
    ("-O", "URL/one/{a,b}.txt"),
    # what it was like
    ("-w", "%{http_code} %{response_code} %{size_download} %{num_redirects}\\n", "URL/status/404"),
    (
        "-w",
        "%{method} %{scheme} %{content_type} %{http_version} %{urlnum} %{num_connects}\\t%%\\n",
        "URL/echo",
    ),
    ("-L", "-w", "%{url_effective} %{url} %{redirect_url}|%{num_redirects}\\n", "URL/redirect/2"),
    ("-w", "%{redirect_url}\\n", "URL/redirect/1"),
    ("-o", "out", "-w", "%{filename_effective} %header{content-length} %{unheard_of}\\n", "URL/status/200"),
    ("-o", "a", "-w", "%{remote_ip} %{remote_port} %{exitcode} %{errormsg}.%{onerror}no\\n", "URL/echo"),
    ("-o", "a", "-w", "@format", "URL/echo"),
    ("-w", "%{size_upload} %{num_headers}\\n", "-d", "abc", "URL/echo", "-o", "a"),
]

#: Each over one version of HTTP, and the next over the other.
LINES_BY_TURNS = [(line, ("--http2", "--http1.1")[at % 2]) for at, line in enumerate(LINES)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def server(certificate: Certificate) -> Iterator[RunningServer]:
    with serve_app("fetch_app:app", "--no-access-log", certificate=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def plait() -> Iterator[Forking]:
    with Forking() as forking:
        yield forking


def prepare(directory: Path) -> Path:
    """Make a directory with the files that the command lines name."""
    directory.mkdir()
    for name, content in {
        "headers": "X-File: 1\nX-Other: 2\n",
        "lines": "first\r\nsecond & third\n",
        "json": '{"b": [2]}\n',
        "netrc": "machine localhost login me password secret\n",
        "jar": "# Netscape HTTP Cookie File\nlocalhost\tFALSE\t/\tFALSE\t0\ta\tfrom-jar\n",
        "begun": "0123456789",
        "format": "%{http_code}\\n%{size_download}\\n",
    }.items():
        (directory / name).write_bytes(content.encode())
    (directory / "bytes").write_bytes(bytes(range(256)))
    return directory


def files(directory: Path) -> dict[str, bytes]:
    """Return what is in a directory, without the date that differs from second to second."""
    found = {
        str(one.relative_to(directory)): one.read_bytes() for one in directory.rglob("*") if one.is_file()
    }
    return {name: same(content) for name, content in found.items()}


def same(content: bytes) -> bytes:
    """Leave out of an output what differs from one run to the next: dates, and remarks in a cookie jar."""
    kept = []
    for line in content.split(b"\n"):
        if line.lower().startswith(b"date:") or line.startswith(b"# "):
            continue
        if line.count(b"\t") == 6:
            line = b"\t".join(
                part if at != 4 else str(part != b"0").encode() for at, part in enumerate(line.split(b"\t"))
            )
        kept.append(line)
    if any(line.count(b"\t") == 6 for line in kept):
        kept = sorted(line for line in kept if line)
    return b"\n".join(kept)


@pytest.mark.parametrize(("line", "version"), LINES_BY_TURNS, ids=[" ".join(line) for line in LINES])
def test_a_command_line_does_what_it_does_with_curl(
    line: tuple[str, ...],
    version: str,
    server: RunningServer,
    certificate: Certificate,
    plait: Forking,
    tmp_path: Path,
) -> None:
    curl = require_tool("curl")
    options = ["--cacert", str(certificate.ca), version]
    arguments = [
        *options,
        *(word.replace("URL", server.url("")).replace("PORT", str(server.port)) for word in line),
    ]
    here, there = prepare(tmp_path / "plait"), prepare(tmp_path / "curl")

    with subprocess.Popen(
        [curl, "-q", *arguments], cwd=there, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as theirs:  # fmt: skip
        ours = plait("fetch", *arguments, cwd=here, stdin=b"from\nstdin")
        stdout, stderr = theirs.communicate(b"from\nstdin")

    assert same(ours.stdout) == same(stdout), (ours.stderr, stderr)
    assert files(here) == files(there)
    assert (ours.status == 0) == (theirs.returncode == 0), (ours.stderr, stderr)
    assert "Traceback" not in ours.stderr
