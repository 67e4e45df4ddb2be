"""What a program pays at its start."""

from __future__ import annotations

import subprocess
import sys

HEAVY = [
    "asyncio", "concurrent.futures", "email", "http.client", "httptools", "json",
    "plait.drivers.server_tls", "plait.server", "plait.server_config", "urllib.request", "uvloop",
]  # fmt: skip


def test_the_blocking_client_imports_neither_asyncio_nor_the_server() -> None:
    program = f"import sys, plait; plait.Client(); print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_asyncio_client_imports_nothing_of_the_server() -> None:
    program = "import sys, plait; plait.AsyncClient; print([one for one in sys.modules if 'server' in one])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    program = "import plait; print(hasattr(plait, 'Session'), hasattr(plait, 'AsyncClient'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_errors_are_there_before_anything_was_used() -> None:
    program = "import plait; print(plait.errors.PlaitError.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "PlaitError"
