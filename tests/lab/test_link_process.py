"""What a process that keeps a link does whatever the link is made of."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from typing import Any

import pytest

from plait.lab.network.channel import Channel
from plait.lab.network.link_process import answer_all, direction_of
from plait.lab.network.profile import Direction, Loss


def refuse(message: dict[str, Any]) -> None:
    raise AssertionError(f"nothing was asked for, but {message}")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file descriptors of processes")
def test_it_ends_with_its_owner_though_somebody_holds_the_channel_open() -> None:
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)  # or a failure would hang
    with ours, theirs, subprocess.Popen([sys.executable, "-c", ""]) as process:
        owner = os.pidfd_open(process.pid)
        try:
            select.select([owner], (), ())
            answer_all(Channel(theirs), owner, refuse)
        finally:
            os.close(owner)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file descriptors of processes")
def test_it_answers_and_ends_with_the_channel() -> None:
    ours, theirs = socket.socketpair()
    answered: list[dict[str, Any]] = []
    owner = os.pidfd_open(os.getpid())
    try:
        with ours, theirs:
            Channel(ours).send({"begin": 1})
            ours.shutdown(socket.SHUT_WR)
            answer_all(Channel(theirs), owner, answered.append)
    finally:
        os.close(owner)
    assert answered == [{"begin": 1}]


def test_a_direction_is_the_same_behind_the_channel() -> None:
    values = {
        "delay": 0.1,
        "jitter": 0.0,
        "rate": 1e6,
        "queue": 5,
        "loss": {"rate": 0.1, "burst": 4, "bad": 1},
    }
    expected = Direction(delay=0.1, rate=1e6, queue=5, loss=Loss(rate=0.1, burst=4))
    assert direction_of(values) == expected
    assert direction_of(values) == expected  # what was carried is left as it is
