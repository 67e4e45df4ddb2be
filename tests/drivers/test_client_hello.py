from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.drivers.client_hello import offered_protocols


def hello(*protocols: str) -> bytes:
    """Return the message with which OpenSSL begins."""
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()[5:]  # without the record's header


def test_the_protocols_a_client_offers_are_read() -> None:
    assert offered_protocols(hello("h2", "http/1.1")) == [b"h2", b"http/1.1"]
    assert offered_protocols(hello("spdy/1")) == [b"spdy/1"]


def test_a_client_may_offer_none() -> None:
    assert offered_protocols(hello()) is None


@given(st.binary(max_size=200))
def test_a_malformed_message_is_left_to_tls(message: bytes) -> None:
    offered_protocols(message)


def test_a_message_cut_short_is_left_to_tls() -> None:
    whole = hello("h2")
    for size in range(len(whole)):
        found = offered_protocols(whole[:size])
        assert found is None or len(found) <= 1
