"""The process that keeps a link of netem: it makes two hosts and a router, and tells the kernel what to be.

It runs as ``python -m plait.lab.network.netem_link``, started and told what to be by
:class:`plait.lab.network.netem.NetemLink`. When that process is gone, whichever way, it kills what is left on
the two hosts and ends; the namespaces, devices and queueing disciplines go with it.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from plait.lab.network.channel import Channel
from plait.lab.network.hosts import CLIENT_ADDRESS, SERVER_ADDRESS, leave_mounts, needs, set_parameter
from plait.lab.network.link_process import answer_all, direction_of, keep_link, listen
from plait.lab.network.namespaces import (
    EmulationUnavailable,
    Namespaces,
    leave_network,
)
from plait.lab.network.netem import Netem, line, propagation
from plait.lab.network.profile import Direction

__all__ = ["Cables", "Device", "make_cables"]

HOST_DEVICE = "plait"
# Both ends of a cable have addresses that are known, so that nobody has to ask for them across the link.
HOST_MAC, ROUTER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
LINK_SCOPE = 253  # RT_SCOPE_LINK of <linux/rtnetlink.h>
PERMANENT = 0x80  # NUD_PERMANENT of <linux/neighbour.h>

# From <linux/netlink.h>, <linux/rtnetlink.h> and <linux/pkt_sched.h>.
NLMSG_ERROR = 2
RTM_NEWQDISC, RTM_DELQDISC = 36, 37
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE, NLM_F_CREATE = 1, 4, 0x100, 0x400
TCA_KIND, TCA_OPTIONS = 1, 2
TC_H_ROOT = 0xFFFFFFFF
HANDLE = 0x10000


class Device:
    """One device that packets leave through."""

    def __init__(self, name: str) -> None:
        """Take a device of the network namespace that this process is in now.

        Args:
            name: The device.
        """
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._index = socket.if_nametoindex(name)

    def be(self, netem: Netem | None) -> None:
        """Have netem hold what leaves, with nothing of before in it; with None pass it on at once.

        Raises:
            OSError: The kernel refuses, ENOENT when it has no netem.
        """
        try:
            self._request(RTM_DELQDISC, 0, b"")
        except FileNotFoundError:
            pass  # there was none
        if netem is not None:
            options = netem.encode()
            attributes = struct.pack("=HH8s", 10, TCA_KIND, b"netem")
            attributes += struct.pack("=HH", 4 + len(options), TCA_OPTIONS) + options
            self._request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, attributes)

    def _request(self, kind: int, flags: int, attributes: bytes) -> None:
        # struct nlmsghdr and struct tcmsg
        handle = HANDLE if kind == RTM_NEWQDISC else 0
        body = struct.pack("=BxxxiIII", 0, self._index, handle, TC_H_ROOT, 0) + attributes
        flags |= NLM_F_REQUEST | NLM_F_ACK
        self._netlink.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body)
        answer = self._netlink.recv(65536)
        answered, number = struct.unpack_from("=4xH10xi", answer)
        if answered != NLMSG_ERROR or number:  # an acknowledgement is an error of number 0
            raise OSError(-number, os.strerror(-number))


@dataclass(slots=True)
class Cables:
    """Two hosts and the router between them.

    Attributes:
        client: The namespaces of the client's host.
        server: Those of the server's.
        client_out: What the client's host sends through.
        server_out: What the server's host sends through.
        to_client: What the router sends to the client's host through.
        to_server: And to the server's.
    """

    client: Namespaces
    server: Namespaces
    client_out: Device
    server_out: Device
    to_client: Device
    to_server: Device

    def probe(self) -> None:
        """Find out whether there is netem.

        Raises:
            EmulationUnavailable: There is none, or it is not allowed.
        """
        with needs("the kernel does not allow netem"):
            try:
                self.to_client.be(Netem(seed=0))
            except FileNotFoundError as error:
                raise EmulationUnavailable("the kernel has no netem") from error
            self.to_client.be(None)

    def be(self, network: dict[str, Any] | None, seed: int) -> None:
        """Be a network from now on.

        Args:
            network: Its directions as dictionaries; None as fast as can be.
            seed: Of everything random.
        """
        for side, host, router in (
            ("down", self.server_out, self.to_client),
            ("up", self.client_out, self.to_server),
        ):
            direction = direction_of(network[side]) if network else Direction()
            own = (2 * seed + (side == "up")) % 2**64
            host.be(propagation(direction, own))
            router.be(line(direction, own))


def make_cables(congestion_control: str, names: Collection[str]) -> Cables:
    """Make two hosts and a router, and leave this process, which has one thread, on the router.

    Args:
        congestion_control: What TCP uses across the link.
        names: Names that mean the server's address on the client's host.

    Raises:
        EmulationUnavailable: The kernel does not allow all this.
    """
    with needs("the kernel does not allow network namespaces"):
        user = os.open("/proc/self/ns/user", os.O_RDONLY) if leave_network() else None
        client = Namespaces(None, os.open("/proc/self/ns/net", os.O_RDONLY), None)
    mount = leave_mounts(names)
    with needs("the kernel does not allow three network namespaces"):
        leave_network()
        server = Namespaces(None, os.open("/proc/self/ns/net", os.O_RDONLY), None)
        leave_network()
        router = Namespaces(None, os.open("/proc/self/ns/net", os.O_RDONLY), None)
    set_parameter("ipv4/ip_forward", "1")
    ends = []
    for host, address, peer, name in (
        (client, CLIENT_ADDRESS, SERVER_ADDRESS, "client"),
        (server, SERVER_ADDRESS, CLIENT_ADDRESS, "server"),
    ):
        with needs("the kernel does not allow a pair of virtual Ethernet devices"):
            _plug(name, host.net, address)
            ends.append(Device(name))
            host.enter()
            _attach(address, peer, congestion_control)
            ends.append(Device(HOST_DEVICE))
            router.enter()
    to_client, client_out, to_server, server_out = ends
    return Cables(
        client=Namespaces(user, client.net, mount),
        server=Namespaces(user, server.net, None),
        client_out=client_out,
        server_out=server_out,
        to_client=to_client,
        to_server=to_server,
    )


@contextmanager
def _routing() -> Iterator[Any]:
    """Yield what configures devices and routes of this namespace, and raise OSError when it is refused."""
    try:
        from pyroute2 import IPRoute, NetlinkError
    except ModuleNotFoundError as error:
        raise EmulationUnavailable("pyroute2 is not installed (pip install 'plait[lab]')") from error
    try:
        with IPRoute() as ip:
            yield ip
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error


def _plug(name: str, host: int, address: str) -> None:
    """Make a cable from this namespace, the router's, to a host's."""
    with _routing() as ip:
        peer = {"ifname": HOST_DEVICE, "net_ns_fd": host, "address": HOST_MAC}
        ip.link("add", ifname=name, kind="veth", address=ROUTER_MAC, peer=peer)
        (index,) = ip.link_lookup(ifname=name)
        ip.link("set", index=index, state="up")
        ip.neigh("add", dst=address, lladdr=HOST_MAC, ifindex=index, state=PERMANENT)
        ip.route("add", dst=f"{address}/32", oif=index, scope=LINK_SCOPE)


def _attach(address: str, peer: str, congestion_control: str) -> None:
    """Give this namespace, a host's, its address and the way to its peer."""
    # What one connection learned of the path must not start the next one off (RFC 9040 §3.1).
    set_parameter("ipv4/tcp_no_metrics_save", "1")
    # Nothing but what the contenders send is to be on the link.
    if os.path.exists("/proc/sys/net/ipv6"):
        set_parameter(f"ipv6/conf/{HOST_DEVICE}/disable_ipv6", "1")
    with _routing() as ip:
        (loopback,), (index,) = ip.link_lookup(ifname="lo"), ip.link_lookup(ifname=HOST_DEVICE)
        ip.link("set", index=loopback, state="up")
        # Packets as they are on a wire, and not 64 kB of them in one, which netem would lose as one.
        ip.link("set", index=index, state="up", gso_max_segs=1)
        ip.addr("add", index=index, address=address, prefixlen=32)
        ip.neigh("add", dst=peer, lladdr=ROUTER_MAC, ifindex=index, state=PERMANENT)
        metrics = {"cc_algo": congestion_control}
        ip.route("add", dst=f"{peer}/32", oif=index, scope=LINK_SCOPE, metrics=metrics)


def _make(congestion_control: str, names: Collection[str]) -> Cables:
    cables = make_cables(congestion_control, names)
    cables.probe()
    return cables


def _serve(cables: Cables, channel: Channel, owner: int) -> None:
    def answer(message: dict[str, Any]) -> None:
        match message:
            case {"begin": network, "seed": seed}:
                cables.be(network, seed)
                channel.send({})
            case {"listen": port}:
                _listen(cables, channel, port)

    answer_all(channel, owner, answer)


def _listen(cables: Cables, channel: Channel, port: int) -> None:
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    cables.server._replace(user=None).enter()
    try:
        listen(channel, port)
    finally:
        Namespaces(None, here, None).enter()
        os.close(here)


if __name__ == "__main__":
    keep_link(sys.argv[1:], _make, _serve)
