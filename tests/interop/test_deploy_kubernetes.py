"""The manifests in deploy/kubernetes/: against the schemas of Kubernetes, and against what plait takes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.deployment import DEPLOY
from tests.support.servers import ROOT, free_port, plait, run_server
from tests.support.tools import require_tool

MANIFESTS = [
    manifest
    for file in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for manifest in yaml.safe_load_all(file.read_text())
]
OF_KUBERNETES = [one for one in MANIFESTS if "gateway.networking" not in one["apiVersion"]]
#: The first that has preStop's ``sleep`` without being asked for it, and the latest there is a schema of.
VERSIONS = ["1.30", kubernetes_validate.latest_version()]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", OF_KUBERNETES, ids=lambda one: one["kind"])
def test_a_manifest_is_what_kubernetes_takes(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def the(kind: str) -> dict[str, Any]:
    """Return the manifest of a kind, of which there is one."""
    manifest: dict[str, Any]
    (manifest,) = (one for one in MANIFESTS if one["kind"] == kind)
    return manifest


DEPLOYMENT = the("Deployment")
POD = DEPLOYMENT["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
ENVIRONMENT = {variable["name"]: variable["value"] for variable in CONTAINER["env"]}


def test_the_manifests_mean_each_other() -> None:
    """Schemas do not know names: what selects, selects the pods, and what refers, refers to what is there."""
    labels = POD["metadata"]["labels"]
    service, name = the("Service"), DEPLOYMENT["metadata"]["name"]
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels
    assert the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert the("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == name
    (port,) = service["spec"]["ports"]
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert port["targetPort"] in ports
    assert ports == {
        "http": int(ENVIRONMENT["PLAIT_PORT"]),
        "metrics": int(ENVIRONMENT["PLAIT_METRICS"].rpartition(":")[2]),
    }
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert CONTAINER[probe]["httpGet"]["port"] == "metrics"
    ((path,),) = (rule["http"]["paths"] for rule in the("Ingress")["spec"]["rules"])
    backend = path["backend"]["service"]
    assert (backend["name"], backend["port"]["name"]) == (service["metadata"]["name"], port["name"])
    ((backend,),) = (rule["backendRefs"] for rule in the("HTTPRoute")["spec"]["rules"])
    assert (backend["name"], backend["port"]) == (service["metadata"]["name"], port["port"])
    (parent,) = the("HTTPRoute")["spec"]["parentRefs"]
    assert parent["name"] == the("Gateway")["metadata"]["name"]


def test_a_pod_has_the_time_that_plait_takes_to_end() -> None:
    before = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = float(ENVIRONMENT["PLAIT_GRACE"])
    assert POD["spec"]["terminationGracePeriodSeconds"] >= before + grace + 10


def curl(*arguments: str) -> str:
    """Run curl, and return what it got."""
    command = [require_tool("curl"), "--silent", "--show-error", "--max-time", "20", *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_a_pod_starts_serves_drains_and_ends() -> None:
    """What runs in the container runs here, on other ports, and Kubernetes' part is played by hand."""
    port, health = free_port(), free_port()
    environment = {
        **ENVIRONMENT,
        "PLAIT_HOST": "127.0.0.1",
        "PLAIT_PORT": str(port),
        "PLAIT_METRICS": f"127.0.0.1:{health}",
        "PLAIT_TRUST": "127.0.0.1",
    }
    theirs = {"hello:app": "deployed_app:app", "/app": str(ROOT / "tests" / "support")}
    program, *arguments = [theirs.get(word, word) for word in CONTAINER["args"]]
    assert program == "plait"
    command = ["env", *(f"{name}={value}" for name, value in environment.items()), *plait(*arguments)]

    def probe(kind: str) -> int:
        url = f"http://127.0.0.1:{health}{CONTAINER[f'{kind}Probe']['httpGet']['path']}"
        return int(curl("--output", os.devnull, "--write-out", "%{http_code}", url))

    with run_server(command, port=port, scheme="http", exit_status=0) as server:
        assert [probe(kind) for kind in ("startup", "liveness", "readiness")] == [200, 200, 200]
        # As a gateway does that goes by the Service's appProtocol.
        asked = curl("--http2-prior-knowledge", "--header", "x-forwarded-for: 192.0.2.1", server.url())
        seen = json.loads(asked)
        assert (seen["http_version"], seen["client"][0]) == ("2", "192.0.2.1")
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as client,
            client.makefile("rb") as got,
        ):
            client.sendall(b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            client.sendall(b"6\r\nhello\n\r\n")
            assert any(line == b"hello\n" for line in got)
            server.process.terminate()
            while probe("readiness") == 200:
                pass  # the signal is on its way
            # Well but not ready, and what is in flight goes on.
            assert [probe("liveness"), probe("readiness")] == [200, 503]
            client.sendall(b"6\r\nworld\n\r\n0\r\n\r\n")
            assert got.read().endswith(b"world\n\r\n0\r\n\r\n")
        server.process.wait(20)
