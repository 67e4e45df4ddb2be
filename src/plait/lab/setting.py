"""Where a comparison takes place: the link, the server at its far end, and the workload it answers."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from plait.errors import ConfigError
from plait.lab.network.emulator import Emulator
from plait.lab.network.link import Link
from plait.lab.network.local import LocalHost, Loopback
from plait.lab.network.netem import NetemLink
from plait.lab.network.relay import RelayLink, splice
from plait.lab.samples import Medium
from plait.lab.server_process import Running, running_server
from plait.lab.subject import Subject
from plait.lab.target import Target, is_loopback, spoken_versions
from plait.lab.workload import Workload

__all__ = ["LinkKind", "Setting", "setting"]

#: What our own servers are called at the end of an emulated link: their certificate is for it.
_NAME = "localhost"


class LinkKind(StrEnum):
    """What an emulated network is made of."""

    TUN = "tun"
    """Two network namespaces and a link in user space, which anybody may make on most systems."""
    NETEM = "netem"
    """Two network namespaces and the kernel's own emulator."""
    RELAY = "relay"
    """A relay that delays bytes, where nothing else is to be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Everything in its place.

    Attributes:
        link: What lies in between.
        target: The server, as the client's host knows it.
        address: What the target's name stands for on the client's host; None when it needs no help.
        workload: What is fetched.
        versions: The versions of HTTP that the server speaks.
        server: The server, when it is ours; None when it is somebody else's.
    """

    link: Link
    target: Target
    address: str | None
    workload: Workload
    versions: frozenset[str]
    server: Running | None


@contextmanager
def setting(
    subject: Subject, kind: LinkKind | None, congestion_control: str | None = None
) -> Iterator[Setting]:
    """Put everything in its place, and clear it away at the end.

    Args:
        subject: What is compared.
        kind: What the emulated network is made of; None for whatever network there is.
        congestion_control: TCP's, on an emulated network.

    Raises:
        PlaitError: The server does not start or answer, or the system cannot emulate a network.
    """
    with ExitStack() as stack:
        if subject.arguments is not None:
            found = _own_server(subject, kind, congestion_control, stack)
        else:
            found = _other_server(subject, kind, congestion_control, stack)
        yield found


def _own_server(
    subject: Subject, kind: LinkKind | None, congestion_control: str | None, stack: ExitStack
) -> Setting:
    assert subject.arguments is not None
    versions = frozenset("12")
    workload = subject.known
    if workload is None:
        assert subject.make is not None
        # What is to be expected is found out here, where the server can be reached without the link.
        with running_server(subject.arguments, host=LocalHost()) as near:
            workload = subject.make(near.target, versions)
    address = None
    link: Link
    if kind is LinkKind.TUN or kind is LinkKind.NETEM:
        link = stack.enter_context(_emulated(kind, congestion_control, _NAME))
        address = link.server_address
        server = stack.enter_context(
            running_server(subject.arguments, host=link.server, address=address, name=_NAME)
        )
        target = server.target
    else:
        server = stack.enter_context(running_server(subject.arguments, host=LocalHost()))
        target = server.target
        if kind is LinkKind.RELAY:
            link, target = _relayed(target, stack)
        else:
            link = Loopback(Medium.LOOPBACK)
    return Setting(
        link=link,
        target=target,
        address=address,
        workload=workload,
        versions=versions,
        server=server,
    )


def _other_server(
    subject: Subject, kind: LinkKind | None, congestion_control: str | None, stack: ExitStack
) -> Setting:
    target = subject.target
    assert target is not None
    assert subject.make is not None
    near = is_loopback(target)
    if kind is LinkKind.RELAY and not near:
        raise ConfigError(
            f"--link relay reaches servers on this machine only, and {target.host} is elsewhere"
        )
    if kind in (LinkKind.TUN, LinkKind.NETEM) and _is_address(target.host):
        raise ConfigError(
            f"an emulated network reaches servers by name: give {target.base_url} the name its certificate "
            f"has, such as localhost, instead of {target.host}"
        )
    versions = spoken_versions(target)
    workload = subject.make(target, versions)
    address = None
    link: Link
    if kind is LinkKind.TUN or kind is LinkKind.NETEM:
        emulator = stack.enter_context(_emulated(kind, congestion_control, target.host))
        listener = emulator.server.listen(target.port)
        stack.enter_context(splice(listener, (target.host, target.port)))
        link, address = emulator, emulator.server_address
    elif kind is LinkKind.RELAY:
        link, target = _relayed(target, stack)
    else:
        link = Loopback(Medium.LOOPBACK if near else Medium.REAL)
    return Setting(
        link=link, target=target, address=address, workload=workload, versions=versions, server=None
    )


@contextmanager
def _emulated(kind: LinkKind, congestion_control: str | None, name: str) -> Iterator[Emulator]:
    """Make a network of two hosts, on one of which a name stands for the other."""
    make = Emulator if kind is LinkKind.TUN else NetemLink
    with make(congestion_control=congestion_control, names=(name,)) as link:
        yield link


def _relayed(target: Target, stack: ExitStack) -> tuple[Link, Target]:
    link = stack.enter_context(RelayLink((target.host, target.port)))
    return link, replace(target, port=link.port)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
