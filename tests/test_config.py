"""Options: what is wrong is said at once, in one sentence, before any socket opens."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from plait.config import ClientConfig, HttpVersions
from plait.errors import ConfigError
from plait.server_config import ClientCertificates, Limits, ServerConfig


@pytest.mark.parametrize("kind", [Limits, ServerConfig, ClientConfig])
def test_the_defaults_are_valid_and_frozen(kind: type[Any]) -> None:
    config = kind()
    name = dataclasses.fields(config)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, name, 1)
    with pytest.raises(TypeError):
        kind(1)


@pytest.mark.parametrize("kind", [Limits, ServerConfig, ClientConfig])
def test_every_option_says_what_it_is_for(kind: type[Any]) -> None:
    for one in dataclasses.fields(kind):
        if one.name != "limits":
            assert one.metadata["help"].endswith(".")
            assert one.metadata["help"][0].isupper()


@pytest.mark.parametrize("value", [0, -1, math.nan])
@pytest.mark.parametrize("one", dataclasses.fields(Limits), ids=lambda one: one.name)
def test_a_limit_must_be_positive_or_zero_where_that_means_none(
    one: dataclasses.Field[float], value: float
) -> None:
    if value == 0 and "off_by_zero" in one.metadata:
        assert getattr(Limits(**{one.name: 0}), one.name) == 0
        assert "; 0 for n" in one.metadata["help"]
        return
    with pytest.raises(ConfigError, match=f"^{one.name} must be greater than zero"):
        Limits(**{one.name: value})


@pytest.mark.parametrize("value", [0, -1, math.nan, "1", None], ids=repr)
@pytest.mark.parametrize(
    "name",
    [
        one.name
        for one in dataclasses.fields(ClientConfig)
        if one.name not in {"http", "header_table_size", "proxy", "local_address", "cert", "retries"}
        and not isinstance(one.default, bool)
        and "Callable" not in str(one.type)
    ],
)
def test_an_option_of_a_client_must_be_positive(name: str, value: Any) -> None:
    if value is None and ClientConfig.__dataclass_fields__[name].default is None:
        assert getattr(ClientConfig(**{name: value}), name) is None
        return
    with pytest.raises(ConfigError, match=f"^{name} must be greater than zero"):
        ClientConfig(**{name: value})


def test_a_header_table_may_be_as_small_as_nothing() -> None:
    assert ClientConfig(header_table_size=0).header_table_size == 0
    for size in (-1, 2**31, math.nan):
        with pytest.raises(ConfigError, match=r"^header_table_size must be from 0 to 2147483647, not"):
            ClientConfig(header_table_size=size)


def test_a_whole_number_must_fit_into_what_http_2_has_for_it() -> None:
    assert Limits(stream_window=2**31 - 1).stream_window == 2**31 - 1
    for config, name in [(Limits, "stream_window"), (ClientConfig, "connection_window")]:
        with pytest.raises(ConfigError, match=f"^{name} must be at most"):
            config(**{name: 2**31})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"port": -1}, "port"),
        ({"port": 65_536}, "port"),
        ({"grace": -0.1}, "grace"),
        ({"grace": math.nan}, "grace"),
        ({"cert": (Path("c.pem"),)}, "each --cert needs a --key"),
        ({"key": (Path("k.pem"),)}, "each --key needs a --cert"),
        ({"cert": (Path("c"), Path("d")), "key": (Path("k"),)}, "each --cert needs a --key"),
        ({"insecure": True, "cert": (Path("c.pem"),), "key": (Path("k.pem"),)}, "--insecure"),
        ({"client_cert": ClientCertificates.REQUIRED}, "--client-cert needs --client-ca"),
        ({"client_ca": Path("ca.pem")}, "--client-ca is of no use unless --client-cert"),
        (
            {"client_ca": Path("c"), "client_cert": ClientCertificates.REQUIRED, "insecure": True},
            "--insecure serves without TLS, so it asks no client",
        ),
        ({"proxy_protocol": True}, "--proxy-protocol needs --trust"),
        ({"alt_svc": 'h3=":443"\r\nx: y'}, "alt_svc must be the value of a field"),
        ({"origin": ("https://a.example", "a.example")}, "an origin has the form https://HOST .*'a.example'"),
        ({"origin": ("https://a.example/",)}, "an origin has the form"),
        ({"workers": 0}, "workers must be greater than zero"),
        ({"threads": 0}, "threads must be greater than zero"),
        ({"worker_timeout": math.nan}, "worker_timeout must be greater than zero"),
        ({"max_requests": -1}, "max_requests must not be negative"),
        ({"max_requests_jitter": -1}, "max_requests_jitter must not be negative"),
        ({"app": "a:b", "static": Path("d")}, "--static serves files without an application"),
    ],
)
def test_a_server_that_cannot_be_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ServerConfig(**options)


def test_versions_are_named_as_on_the_command_line() -> None:
    assert [version.value for version in HttpVersions] == ["auto", "1", "2"]


def test_responses_nobody_reads_leave_room_for_the_others() -> None:
    """The engine returns credit for a connection only when half its window is used up."""
    config = ClientConfig()
    assert config.connection_window >= 2 * config.max_in_flight * config.stream_window
