"""Field blocks in HPACK (RFC 7541), by hand where the encoder would not write them."""

from __future__ import annotations

import pytest

from tests.support.conformance_app import SMALL
from tests.support.raw_client import Code, Flag, H2Client, Kind, frame, get

#: GET https / from the static table, and "localhost" as a literal (RFC 7541 appendix A).
REQUEST = b"\x82\x87\x84\x41\x09localhost"
#: The same without putting anything into the table.
UNINDEXED = b"\x82\x87\x84\x01\x09localhost"


def send(client: H2Client, block: bytes) -> int:
    """Send a whole request whose field block is given; return its stream."""
    stream = client.new_stream()
    client.send(frame(Kind.HEADERS, block, flags=Flag.END_HEADERS | Flag.END_STREAM, stream=stream))
    return stream


ENCODINGS = {
    "indexed field": UNINDEXED,
    "literal with incremental indexing, indexed name": REQUEST,
    "literal with incremental indexing, new name": UNINDEXED + b"\x40\x06x-test\x02ok",
    "literal without indexing, indexed name": UNINDEXED + b"\x0f\x2b\x02ok",
    "literal without indexing, new name": UNINDEXED + b"\x00\x06x-test\x02ok",
    "literal never indexed, indexed name": UNINDEXED + b"\x1f\x2b\x02ok",
    "literal never indexed, new name": UNINDEXED + b"\x10\x06x-test\x02ok",
    "literal with Huffman codes": UNINDEXED + b"\x00\x85\xf2\xb2\x4a\x84\xff\x85\xf2\xb2\x4a\x84\xff",
    "empty value": UNINDEXED + b"\x00\x06x-test\x00",
    "empty value with Huffman code": UNINDEXED + b"\x00\x06x-test\x80",
    "integer with a needless octet": UNINDEXED + b"\x00\x06x-test\x7f\x80\x00" + b"~" * 127,
    "table size of 0": b"\x20" + REQUEST,
    "table size as large as allowed": b"\x3f\xe1\x1f" + REQUEST,
    "two table sizes": b"\x20\x3f\xe1\x1f" + REQUEST,
}  # fmt: skip


@pytest.mark.parametrize("block", ENCODINGS.values(), ids=ENCODINGS)
def test_every_encoding_of_a_field_is_read(client: H2Client, block: bytes) -> None:
    """§5, §6."""
    assert client.response(send(client, block)).content == SMALL
    client.expect_service()


def test_fields_of_the_dynamic_table_are_read(client: H2Client) -> None:
    """§2.3.2, §6.1: the request after the first is all indexes."""
    send(client, REQUEST + b"\x40\x06x-test\x02ok")
    assert client.response(send(client, b"\x82\x87\x84\xbf\xbe")).content == SMALL
    assert client.response(send(client, b"\x82\x87\x84\xbf\x7e\x03new")).content == SMALL


def test_fields_are_evicted_from_a_table_that_shrinks(client: H2Client) -> None:
    """§4.3: a reference to one of them is an error."""
    assert client.response(send(client, REQUEST)).content == SMALL
    send(client, b"\x20\x82\x87\x84\xbe")
    client.expect_connection_error(Code.COMPRESSION_ERROR)


def test_a_field_larger_than_the_table_empties_it(client: H2Client) -> None:
    """§4.4."""
    large = b"\x40\x06x-test\x7f\x81\x1f" + b"~" * 4096
    assert client.response(send(client, UNINDEXED + b"\x40\x06x-seen\x02ok" + large)).content == SMALL
    send(client, UNINDEXED + b"\xbe")
    client.expect_connection_error(Code.COMPRESSION_ERROR)


def test_the_table_is_kept_in_step_by_requests_that_are_refused(client: H2Client) -> None:
    """RFC 9113 §4.3: a malformed request's field block is decoded all the same."""
    stream = send(client, b"\x82\x87\x84\x41\x09localhost\x40\x06X-TEST\x02ok\x40\x06x-test\x02ok")
    client.expect_stream_error(stream, Code.PROTOCOL_ERROR)
    assert client.response(send(client, b"\x82\x87\x84\xc0\xbe")).content == SMALL


BROKEN = {
    "index 0": UNINDEXED + b"\x80",  # §6.1
    "index beyond both tables": UNINDEXED + b"\xbe",  # §2.3.3
    "index far beyond both tables": UNINDEXED + b"\xff\xff\x7f",
    "name index beyond both tables": UNINDEXED + b"\x7e\x02ok",
    "name index beyond both tables, not indexed": UNINDEXED + b"\x0f\x30\x02ok",
    "integer without end": UNINDEXED + b"\xff" + b"\xff" * 20,  # §5.1
    "integer beyond 32 bits": UNINDEXED + b"\xff\xff\xff\xff\xff\xff\x0f",
    "block that ends within an integer": UNINDEXED + b"\xff",
    "block that ends within a name": UNINDEXED + b"\x40\x06x-te",
    "block that ends before a value": UNINDEXED + b"\x40\x06x-test",
    "block that ends within a value": UNINDEXED + b"\x40\x06x-test\x04ok",
    "table size after a field": UNINDEXED + b"\x20",  # §4.2
    "table size beyond the setting": b"\x3f\xe2\x1f" + UNINDEXED,  # §6.3
    "Huffman padding longer than 7 bits": UNINDEXED + b"\x00\x85\xf2\xb2\x4a\x84\xff\x82\x1f\xff",  # §5.2
    "Huffman padding that is no prefix of EOS": UNINDEXED + b"\x00\x85\xf2\xb2\x4a\x84\xff\x81\x18",
    "EOS within a string": UNINDEXED + b"\x00\x85\xf2\xb2\x4a\x84\xff\x85\x1f\xff\xff\xff\xff",
}  # fmt: skip


@pytest.mark.parametrize("block", BROKEN.values(), ids=BROKEN)
def test_a_field_block_that_cannot_be_decoded_is_a_connection_error(client: H2Client, block: bytes) -> None:
    """RFC 9113 §4.3."""
    send(client, block)
    client.expect_connection_error(Code.COMPRESSION_ERROR)


def test_a_broken_block_of_trailers_is_a_connection_error(client: H2Client) -> None:
    """RFC 9113 §4.3."""
    stream = client.open(get(b"/echo", method=b"POST"))
    client.send(frame(Kind.HEADERS, b"\x80", flags=Flag.END_HEADERS | Flag.END_STREAM, stream=stream))
    client.expect_connection_error(Code.COMPRESSION_ERROR)


def test_the_server_keeps_to_the_table_its_client_allows(client: H2Client) -> None:
    """§4.2, §6.3: after SETTINGS say 0, nothing may come from the dynamic table."""
    client.expect_service()
    client.send(frame(Kind.SETTINGS, b"\x00\x01\x00\x00\x00\x00"))
    client.wait_for(lambda received: received.kind == Kind.SETTINGS)
    client.decoder.max_allowed_table_size = 0
    client.expect_service()
    client.expect_service()
