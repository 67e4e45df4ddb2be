"""The same calls as a user of Locust's and as one of plait's: the same comes of them, and is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.servers import ROOT, free_port, make_certificate, serve_app


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Make the calls as both, and return what came of them."""
    certificate = make_certificate(tmp_path_factory.mktemp("certificate"))
    refused = f"http://localhost:{free_port()}/"
    with serve_app("scrapy_site:app", "--grace", "0", certificate=certificate) as server:
        processes = {
            kind: subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.support.locust_calls",
                    kind,
                    server.url(""),
                    refused,
                    certificate.ca,
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            for kind in ("locust", "plait")
        }
        results: dict[str, Any] = {}
        for kind, process in processes.items():
            output, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
            results[kind] = json.loads(output.splitlines()[-1])
    return results


def test_the_calls_of_locusts_own_user_have_the_same_results(came: dict[str, Any]) -> None:
    for name, result in came["locust"].items():
        assert came["plait"][name] == result, name
