"""The two hosts of an emulated link: their namespaces, their devices and what their names mean."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from plait.lab.network.namespaces import (
    EmulationUnavailable,
    Namespaces,
    leave_network,
    private_mounts,
    replace_file,
)

__all__ = [
    "CLIENT_ADDRESS",
    "SERVER_ADDRESS",
    "Attachment",
    "Hosts",
    "leave_mounts",
    "make_hosts",
    "needs",
    "set_parameter",
]

CLIENT_ADDRESS = "10.77.0.2"
SERVER_ADDRESS = "10.77.0.1"

_DEVICE = "plait"
_MTU = 1500
# Packets that the kernel keeps until the link reads them: more than any congestion window here.
_BACKLOG = 10_000

# From <linux/if_tun.h>: a device for IP packets, without a header of its own before each.
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000

_LINK = 253  # RT_SCOPE_LINK of <linux/rtnetlink.h>
_ROOT = 0xFFFFFFFF  # TC_H_ROOT of <linux/pkt_sched.h>


@dataclass(slots=True)
class Attachment:
    """Where the link is plugged into a host.

    Attributes:
        device: The TUN device: reading gives what the host sends, writing is what it receives.
        counters: The host's ``/proc/net/dev``.
    """

    device: int
    counters: IO[bytes]

    def overruns(self) -> int:
        """Count the packets for which the device had no room since it was made."""
        self.counters.seek(0)
        for line in self.counters:
            name, _, figures = line.partition(b":")
            if name.strip() == _DEVICE.encode():
                return int(figures.split()[11])  # proc_pid_net(5): the fourth of what was transmitted
        raise LookupError(f"no device {_DEVICE} in /proc/net/dev")


@dataclass(slots=True)
class Hosts:
    """Both hosts, joined by nothing yet.

    Attributes:
        client: The namespaces of the client's host.
        server: Those of the server's.
        client_end: Where the link is plugged into the client's host.
        server_end: And into the server's.
    """

    client: Namespaces
    server: Namespaces
    client_end: Attachment
    server_end: Attachment


def make_hosts(congestion_control: str, names: Collection[str]) -> Hosts:
    """Make the two hosts, and leave this process, which has one thread, on the server's.

    Args:
        congestion_control: What TCP uses across the link.
        names: Names that mean the server's address on the client's host.

    Raises:
        EmulationUnavailable: When the kernel, or who runs this machine, does not allow it.
    """
    with needs("the kernel does not allow network namespaces"):
        user = os.open("/proc/self/ns/user", os.O_RDONLY) if leave_network() else None
        client_net = os.open("/proc/self/ns/net", os.O_RDONLY)
    client_end = _attach(CLIENT_ADDRESS, SERVER_ADDRESS, congestion_control)
    mount = leave_mounts(names)
    with needs("the kernel does not allow a second network namespace"):
        leave_network()
        server_net = os.open("/proc/self/ns/net", os.O_RDONLY)
    server_end = _attach(SERVER_ADDRESS, CLIENT_ADDRESS, congestion_control)
    return Hosts(
        client=Namespaces(user, client_net, mount),
        server=Namespaces(user, server_net, None),
        client_end=client_end,
        server_end=server_end,
    )


def leave_mounts(names: Collection[str]) -> int:
    """Move this process into a mount namespace of its own, where names mean the server.

    Args:
        names: The names; without any, files are the machine's.

    Returns:
        The namespace, as an open file descriptor.

    Raises:
        EmulationUnavailable: The kernel does not allow it.
    """
    with needs("the kernel does not allow a mount namespace"):
        private_mounts()
        if names:
            replace_file("/etc/hosts", _hosts_file(names))
        return os.open("/proc/self/ns/mnt", os.O_RDONLY)


@contextmanager
def needs(sentence: str) -> Iterator[None]:
    """Say what is missing when the kernel refuses.

    Args:
        sentence: The beginning of what to say.

    Raises:
        EmulationUnavailable: Instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise EmulationUnavailable(f"{sentence} ({error.strerror})") from error


def _attach(address: str, peer: str, congestion_control: str) -> Attachment:
    """Give this network namespace an address, and a device through which its peer is reached."""
    try:
        from pyroute2 import IPRoute, NetlinkError
    except ModuleNotFoundError as error:
        raise EmulationUnavailable("pyroute2 is not installed (pip install 'plait[lab]')") from error

    # What one connection learned of the path must not start the next one off (RFC 9040 §3.1).
    set_parameter("ipv4/tcp_no_metrics_save", "1")
    # Nothing but what the contenders send is to be on the link.
    if os.path.exists("/proc/sys/net/ipv6"):
        set_parameter("ipv6/conf/default/disable_ipv6", "1")
    device = _open_device()
    with needs("the kernel does not allow devices to be configured"):
        try:
            with IPRoute() as ip:
                (loopback,), (index,) = ip.link_lookup(ifname="lo"), ip.link_lookup(ifname=_DEVICE)
                ip.link("set", index=loopback, state="up")
                ip.link("set", index=index, state="up", mtu=_MTU, txqlen=_BACKLOG)
                # The queue of the link is the one that the network was described with. A queue of the
                # device's own before it, fq_codel say, would drop and pace on another's behalf.
                ip.tc("replace", "noqueue", index, handle=0, parent=_ROOT)
                ip.addr("add", index=index, address=address, prefixlen=32)
                # With the route and not by sysctl: a namespace may not choose as its default what
                # net.ipv4.tcp_allowed_congestion_control of the machine leaves out.
                metrics = {"cc_algo": congestion_control}
                ip.route("add", dst=f"{peer}/32", oif=index, scope=_LINK, metrics=metrics)
        except NetlinkError as error:
            raise OSError(error.code, os.strerror(error.code)) from error
    return Attachment(device, open("/proc/net/dev", "rb", buffering=0))


def _open_device() -> int:
    try:
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        kind = "there is no" if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO) else "no access to"
        raise EmulationUnavailable(f"{kind} /dev/net/tun ({error.strerror})") from error
    with needs("the kernel does not allow a TUN device to be made"):
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def set_parameter(name: str, value: str) -> None:
    """Set a parameter of this network namespace.

    Args:
        name: Its path below /proc/sys/net.
        value: What it is to be.
    """
    path = f"/proc/sys/net/{name}"
    with needs(f"{path} cannot be written"), open(path, "w") as file:
        file.write(value)


def _hosts_file(names: Collection[str]) -> str:
    """Write the machine's hosts file anew, with names that mean the server, and mean nothing else.

    Args:
        names: The names.
    """
    wanted = {name.lower() for name in names}
    lines = [f"{SERVER_ADDRESS} {name}" for name in sorted(wanted)]
    with open("/etc/hosts", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            address, *others = line.partition("#")[0].split() or [""]
            kept = [name for name in others if name.lower() not in wanted]
            if kept:
                lines.append(" ".join([address, *kept]))
    return "\n".join(lines) + "\n"
