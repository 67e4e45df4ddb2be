"""Field sections: what goes out is validated whole, what comes in is judged once."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import LocalProtocolError
from plait.fields import RequestHead, outbound_fields
from plait.server_config import Limits

HEAD = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]


def head(*fields: tuple[bytes, bytes], without: bytes = b"", **limits: int) -> RequestHead:
    return RequestHead([*(f for f in HEAD if f[0] != without), *fields], Limits(**limits))


# -- out --------------------------------------------------------------------------------------------


def test_names_become_lower_case_and_values_lose_their_margins() -> None:
    assert outbound_fields([(b"X-A", b" \tone two\t "), (b"x-b", b"")]) == [
        (b"x-a", b"one two"),
        (b"x-b", b""),
    ]


def test_order_and_repetition_are_kept() -> None:
    fields = [(b"set-cookie", b"a=1"), (b"x", b"1"), (b"set-cookie", b"b=2")]
    assert outbound_fields(fields) == fields


def test_pairs_may_be_lists() -> None:
    assert outbound_fields([[b"x", b"1"]]) == [(b"x", b"1")]
    assert outbound_fields(iter([(b"x", b"1")])) == [(b"x", b"1")]


@pytest.mark.parametrize(
    "name", [b"Connection", b"keep-alive", b"Proxy-Connection", b"transfer-encoding", b"UPGRADE", b"TE"]
)
def test_connection_specific_fields_are_dropped(name: bytes) -> None:
    """RFC 9113 §8.2.2."""
    for _ in range(2):  # judged, then known
        assert outbound_fields([(b"a", b"1"), (name, b"x"), (b"b", b"2")]) == [(b"a", b"1"), (b"b", b"2")]


def test_te_may_say_that_trailers_are_taken() -> None:
    """RFC 9113 §8.2.2."""
    assert outbound_fields([(b"TE", b"Trailers")]) == [(b"te", b"Trailers")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"", b"x"),
        (b" x", b"x"),
        (b"x ", b"x"),
        (b"x:y", b"x"),
        (b":status", b"200"),
        (b"x\n", b"x"),
        (b"x\x00", b"x"),
        ("é".encode(), b"x"),
        (b"x", b"a\r"),
        (b"x", b"a\nb"),
        (b"x", b"a\r\nb: c"),
        (b"x", b"a\0b"),
        (b"x", b"a\x7fb"),
        (b"x", b"a\x01b"),
        ("x", b"x"),
        (b"x", "x"),
        (b"x", None),
        (None, b"x"),
        (b"x", 5),
        (bytearray(b"x"), b"x"),
        (b"x", [b"a"]),
    ],
)
def test_what_http_cannot_carry_is_refused_each_time(name: object, value: object) -> None:
    for _ in range(2):
        with pytest.raises(LocalProtocolError):
            outbound_fields([(name, value)])  # type: ignore[list-item]


@pytest.mark.parametrize("value", [b"a\tb", "é".encode(), b"\xff\x80", b'"quoted \\" text"'])
def test_what_http_can_carry_passes(value: bytes) -> None:
    """RFC 9110 §5.5: obs-text and inner tabs are allowed."""
    assert outbound_fields([(b"x", value)]) == [(b"x", value)]


def test_what_is_handed_out_is_the_callers_own() -> None:
    first = outbound_fields([(b"x", b"1")])
    first.append((b"y", b"2"))
    assert outbound_fields([(b"x", b"1")]) == [(b"x", b"1")]


def test_memory_does_not_grow_with_the_values_seen() -> None:
    from plait import fields

    for number in range(20_000):
        outbound_fields([(b"x", b"%d" % number), (b"x-long", b"v" * 300 + b"%d" % number)])
    assert len(fields._known) <= 5000


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_whatever_passes_is_what_the_grammar_allows(name: bytes, value: bytes) -> None:
    try:
        found = outbound_fields([(name, value)])
    except LocalProtocolError:
        return
    for got_name, got_value in found:
        assert re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9a-z]+", got_name)
        assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", got_value)
        assert got_value == got_value.strip(b" \t")


# -- in ---------------------------------------------------------------------------------------------


def test_pseudo_fields_become_attributes_and_the_host_comes_first() -> None:
    found = head((b"accept", b"*/*"))
    assert (found.method, found.target, found.authority) == (b"GET", b"/", b"a.example")
    assert found.fields == [(b"host", b"a.example"), (b"accept", b"*/*")]
    assert found.refusal is None
    assert found.content_length is None
    assert not found.expects_continue


def test_a_host_stands_in_for_a_missing_authority() -> None:
    found = head((b"accept", b"*/*"), (b"host", b"b.example"), without=b":authority")
    assert found.authority == b"b.example"
    assert found.fields == [(b"host", b"b.example"), (b"accept", b"*/*")]


def test_neither_host_nor_authority_leaves_no_host() -> None:
    found = head((b"accept", b"*/*"), without=b":authority")
    assert found.authority == b""
    assert found.fields == [(b"accept", b"*/*")]


@pytest.mark.parametrize("host", [b"a.example", b"A.Example"])
def test_a_host_equal_to_the_authority_is_one_field(host: bytes) -> None:
    found = head((b"host", host))
    assert found.refusal is None
    assert found.fields == [(b"host", b"a.example")]


@pytest.mark.parametrize("hosts", [[b"b.example"], [b"a.example", b"b.example"], [b"a.example:443"], [b""]])
def test_a_host_other_than_the_authority_is_refused(hosts: list[bytes]) -> None:
    """RFC 9113 §8.3.1."""
    found = head(*((b"host", host) for host in hosts))
    assert found.refusal is not None
    assert found.refusal[0] == 400


def test_two_hosts_are_refused() -> None:
    found = head((b"host", b"a.example"), (b"host", b"b.example"), without=b":authority")
    assert found.refusal is not None
    assert found.refusal[0] == 400


def test_crumbs_are_joined_where_the_first_was() -> None:
    found = head((b"x", b"1"), (b"cookie", b"a=1"), (b"y", b"2"), (b"cookie", b"b=2"), (b"cookie", b"c=3"))
    assert found.fields[1:] == [(b"x", b"1"), (b"cookie", b"a=1; b=2; c=3"), (b"y", b"2")]


def test_length_and_expectation_are_read_and_stay_fields() -> None:
    found = head((b"content-length", b"12"), (b"expect", b"100-Continue"))
    assert found.content_length == 12
    assert found.expects_continue
    assert found.fields[1:] == [(b"content-length", b"12"), (b"expect", b"100-Continue")]


@pytest.mark.parametrize(
    ("fields", "limits", "status"),
    [
        ([(b"x", b"1")] * 7, {"max_header_fields": 10}, 431),
        ([(b"cookie", b"a=1")] * 7, {"max_header_fields": 10}, 431),
        ([(b"x", b"v" * 1000)], {"max_header_size": 1000}, 431),
        ([(b"x", b"")] * 20, {"max_header_size": 800}, 431),
        ([], {"max_target_size": 1}, None),
    ],
)
def test_limits_are_acted_on(
    fields: list[tuple[bytes, bytes]], limits: dict[str, int], status: int | None
) -> None:
    refusal = head(*fields, **limits).refusal
    assert (refusal and refusal[0]) == status


def test_sizes_are_counted_with_their_overhead() -> None:
    """RFC 9113 §6.5.2: 32 octets a field beside its name and value."""
    size = sum(len(name) + len(value) + 32 for name, value in HEAD)
    assert head(max_header_size=size).refusal is None
    refusal = head(max_header_size=size - 1).refusal
    assert refusal is not None
    assert refusal[0] == 431


def test_a_long_target_is_refused() -> None:
    found = RequestHead([*HEAD[:3], (b":path", b"/" + b"a" * 100)], Limits(max_target_size=100))
    assert found.refusal is not None
    assert found.refusal[0] == 414


def test_a_tunnel_is_refused() -> None:
    found = RequestHead([(b":method", b"CONNECT"), (b":authority", b"a:443")], Limits())
    assert found.refusal is not None
    assert found.refusal[0] == 501
