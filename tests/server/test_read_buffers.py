"""What a server reads TLS into is memory that it has, not mapped anew for every request."""

from __future__ import annotations

import http.client
import platform
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import ROOT, free_port, make_certificate, plait

REQUESTS = 200


def page_faults(pid: int) -> int:
    """Return how often a process touched memory that the kernel had yet to give it (proc(5))."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that maps large blocks anew")
def test_requests_on_the_first_connection_of_all_cost_no_page_faults(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    port = free_port()
    command = plait("serve", "benchmarks.hello:app", "--app-dir", ROOT, "--port", str(port))
    with subprocess.Popen(
        [*command, "--cert", certificate.chain, "--key", certificate.key], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            # Without a connection to see whether it accepts: the end of that one would change what is seen.
            assert "serving" in process.stderr.readline()
            connection = http.client.HTTPSConnection("localhost", port, context=certificate.context())
            before = 0
            for number in range(REQUESTS + 10):
                if number == 10:
                    before = page_faults(process.pid)
                connection.request("GET", "/")
                assert connection.getresponse().read() == b"Hello, World!\n"
            assert page_faults(process.pid) - before < REQUESTS / 2
            connection.close()
        finally:
            process.terminate()
