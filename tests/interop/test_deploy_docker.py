"""The Dockerfile and deploy/docker/: checked by their own tools, and run by hand, without Docker."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deployment import DEPLOY
from tests.support.servers import ROOT, free_port, plait, run_server
from tests.support.tools import require_script, require_tool

COMPOSE = DEPLOY / "docker" / "compose.yaml"
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]


def steps() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each with what follows it."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [
        (name, rest.strip()) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)
    ]


def step(name: str) -> str:
    """Return what follows the one instruction of this name in the last stage."""
    last = max(at for at, (instruction, _) in enumerate(steps()) if instruction == "FROM")
    (found,) = (rest for instruction, rest in steps()[last:] if instruction == name)
    return found


ENVIRONMENT = dict(word.split("=", 1) for word in shlex.split(step("ENV")))


def test_hadolint_finds_nothing_wrong() -> None:
    command = [require_script("hadolint"), "--no-color", "--failure-threshold", "style", ROOT / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_compose_takes_the_file() -> None:
    command = [require_script("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", COMPOSE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_compose_names_files_that_are_there() -> None:
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert not source.startswith(".") or (COMPOSE.parent / source).exists()
    assert (COMPOSE.parent / SERVICES["app"]["build"] / "Dockerfile").exists()


def run_in(environment: dict[str, str], command: list[str | Path]) -> list[str | Path]:
    """Return a command with an environment of a container."""
    return ["env", *(f"{name}={value}" for name, value in environment.items() if name != "PATH"), *command]


def healthcheck() -> list[str]:
    """Return the command of HEALTHCHECK, with the interpreter there is here."""
    _, _, words = step("HEALTHCHECK").partition(" CMD ")
    program, *arguments = json.loads(words)
    assert program == "python"
    return [sys.executable, *arguments]


def cases() -> dict[str, tuple[dict[str, str], list[str]]]:
    """Return environment and command of what is run: the image as it is, and the service of compose.yaml."""
    app = SERVICES["app"]
    return {
        "image": (ENVIRONMENT, json.loads(step("CMD"))),
        "compose": ({**ENVIRONMENT, **app["environment"]}, app["command"]),
    }


@pytest.mark.parametrize("case", ["image", "compose"])
def test_what_the_container_runs_is_well_until_it_drains(case: str, tmp_path: Path) -> None:
    environment, (program, *arguments) = cases()[case]
    assert program == "plait"
    arguments = [str(ROOT / "examples") if word == "/app" else word for word in arguments]
    port, health = free_port(), free_port()
    assert environment["PLAIT_HOST"] == "0.0.0.0"
    environment = environment | {
        "PLAIT_HOST": "127.0.0.1",
        "PLAIT_PORT": str(port),
        "PLAIT_METRICS": environment["PLAIT_METRICS"].rpartition(":")[0] + f":{health}",
        "XDG_DATA_HOME": str(tmp_path),  # where the development certificate goes
    }
    command = run_in(environment, plait(*arguments))
    how: list[Any] = ["--insecure"] if case == "image" else ["--http2-prior-knowledge"]
    scheme = "https" if case == "image" else "http"
    check = run_in(environment, list[str | Path](healthcheck()))
    with run_server(command, port=port, scheme=scheme, exit_status=0) as server:
        asked = [require_tool("curl"), "--silent", "--show-error", "--fail", *how, server.url()]
        assert subprocess.run(asked, capture_output=True, check=True).stdout
        assert subprocess.run(check, check=False, capture_output=True).returncode == 0
        server.process.send_signal(signal.Signals[step("STOPSIGNAL")])
        server.process.wait(20)
    assert subprocess.run(check, check=False, capture_output=True).returncode == 1
