"""A site below a path of a proxy's: what a framework makes of the root path, and when its lifespan ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.servers import Certificate
from tests.support.sites import APPLICATIONS, run_site


@pytest.mark.parametrize("name", APPLICATIONS)
def test_addresses_begin_with_the_root_path_and_the_lifespan_ends(
    name: str, tmp_path: Path, certificate: Certificate
) -> None:
    # What the proxy serves as /shop/items/one comes as /items/one.
    with run_site(name, tmp_path, certificate, "--root-path", "/shop") as site:
        assert site.ask("GET", "/describe").json()["path"] == "/shop/describe"
        if name != "fastapi":  # which has a path instead of an address
            assert site.ask("GET", "/items/one").json()["url"] == site.server.url("/shop/slash/")
        assert site.ask("GET", "/slash").headers["location"] in {
            "/shop/slash/",
            site.server.url("/shop/slash/"),
        }
        assert site.ask("GET", "/text").status_code == 200
        assert not (tmp_path / "stopped").exists()
    assert (tmp_path / "stopped").exists() == (name in {"starlette", "fastapi"})
