"""Telling retransmissions from the headers of packets."""

from __future__ import annotations

import struct

import pytest

from plait.lab.network.flows import Flows, is_stray, ports_of

FIN, SYN, ACK = 0x01, 0x02, 0x10


def packet(
    sequence: int, size: int, flags: int = ACK, *, ports: tuple[int, int] = (40000, 443), options: int = 0
) -> bytes:
    """Make an IPv4 packet with a TCP segment; checksums and addresses are of no interest."""
    ip = struct.pack(">BBHHHBBHII", 0x45 + options, 0, 0, 0, 0, 64, 6, 0, 0, 0) + bytes(4 * options)
    tcp = struct.pack(">HHIIHHHH", *ports, sequence % 2**32, 0, 8 << 12 | flags, 1000, 0, 0) + bytes(12)
    return ip + tcp + bytes(size)


def test_data_that_goes_on_is_not_resent_and_data_from_before_is() -> None:
    flows = Flows()
    assert [flows.is_resent(packet(at, 1000)) for at in (1, 1001, 2001, 1001, 3001)] == [
        *(False, False, False),
        True,
        False,
    ]


def test_a_gap_is_not_a_retransmission_and_filling_it_is() -> None:
    flows = Flows()
    assert not flows.is_resent(packet(1, 100))
    assert not flows.is_resent(packet(301, 100))
    assert flows.is_resent(packet(101, 200))


def test_acknowledgements_are_never_resent() -> None:
    flows = Flows()
    flows.is_resent(packet(1, 100))
    assert not any(flows.is_resent(packet(at, 0)) for at in (101, 101, 50))


def test_a_syn_and_a_fin_are_resent_like_data() -> None:
    flows = Flows()
    assert [flows.is_resent(packet(7, 0, SYN)) for _ in range(3)] == [False, True, True]
    assert not flows.is_resent(packet(8, 100))
    assert [flows.is_resent(packet(108, 0, FIN | ACK)) for _ in range(2)] == [False, True]


def test_a_new_connection_between_the_same_ports_begins_anew() -> None:
    flows = Flows()
    flows.is_resent(packet(1_000_000, 100))
    assert not flows.is_resent(packet(5000, 0, SYN))
    assert not flows.is_resent(packet(5001, 100))


def test_sequence_numbers_wrap() -> None:
    flows = Flows()
    assert not flows.is_resent(packet(2**32 - 50, 100))
    assert not flows.is_resent(packet(50, 100))
    assert flows.is_resent(packet(2**32 - 50, 100))
    assert not flows.is_resent(packet(150, 100))


def test_connections_are_told_apart() -> None:
    flows = Flows()
    assert not flows.is_resent(packet(1000, 100, ports=(1, 2)))
    assert not flows.is_resent(packet(10, 100, ports=(3, 2)))


def test_headers_with_options_are_read() -> None:
    flows = Flows()
    assert not flows.is_resent(packet(1, 100, options=3))
    assert flows.is_resent(packet(1, 100, options=3))
    assert ports_of(packet(1, 100, options=3)) == (40000, 443)


@pytest.mark.parametrize("cut", [20, 21, 23, 39])
def test_packets_cut_short_are_neither_resent_nor_fatal(cut: int) -> None:
    assert not Flows().is_resent(packet(1, 100)[:cut])
    assert ports_of(packet(1, 100)[:cut]) in {(0, 0), (40000, 443)}


def test_what_is_not_tcp_has_no_sequence() -> None:
    icmp = bytearray(packet(1, 100))
    icmp[9] = 1
    flows = Flows()
    assert [flows.is_resent(bytes(icmp)) for _ in range(2)] == [False, False]
    assert ports_of(bytes(icmp)) == (0, 0)


def test_a_connection_that_was_not_seen_to_begin_is_a_stray_in_both_directions() -> None:
    begun: set[bytes] = set()
    there, back = (40000, 443), (443, 40000)
    assert is_stray(packet(1, 100, ports=there), begun, down=False)
    assert is_stray(packet(1, 0, FIN | ACK, ports=back), begun, down=True)
    assert not is_stray(packet(7, 0, SYN, ports=there), begun, down=False)
    assert not is_stray(packet(9, 0, SYN | ACK, ports=back), begun, down=True)
    assert not is_stray(packet(8, 100, ports=there), begun, down=False)
    assert not is_stray(packet(10, 100, ports=back), begun, down=True)
    assert is_stray(packet(8, 100, ports=(40001, 443)), begun, down=False)


def test_what_is_not_tcp_is_no_stray() -> None:
    udp = bytearray(packet(1, 100))
    udp[9] = 17
    assert not is_stray(bytes(udp), set(), down=False)
