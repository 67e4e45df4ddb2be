"""The process that carries packets between the two hosts of an emulated link, and measures itself.

It runs as ``python -m plait.lab.network.tun_link``, started and told what to be by
:class:`plait.lab.network.emulator.Emulator`. When that process is gone, whichever way, it kills what
is left on the two hosts and ends; the namespaces and devices go with it.
"""

from __future__ import annotations

import gc
import os
import select
import sys
import time
from collections import deque
from typing import Any

from plait.lab.network.channel import Channel
from plait.lab.network.flows import Flows, is_stray, ports_of
from plait.lab.network.hosts import Attachment, Hosts, make_hosts
from plait.lab.network.link_process import direction_of, keep_link, listen
from plait.lab.network.namespaces import wake_exactly
from plait.lab.network.profile import Direction
from plait.lab.network.shaper import Fate, Shaper

__all__ = ["LOSSES_KEPT", "Lane", "TunLink"]

LOSSES_KEPT = 10_000
"""Losses that are told one by one; all of them are counted."""

_WINDOW = 0.1  # seconds: `busy` is that of the busiest such time
_BATCH = 32  # packets read in one go before those that are due are delivered
_LARGEST = 2048
_BIN = 1e-5  # seconds: lateness is known to this
_BINS = 5000
_EARLIEST = 5e-4  # seconds: the longest that this ever spins
# Waking up costs more than a packet does. Within a stream of packets this is how long they are let gather,
# as a network card's interrupt moderation does; in seconds.
_PAUSE = 2e-4
_QUIET = 5e-3  # seconds without a packet after which a run has come to its end
_PATIENCE = 0.1  # and for how long that is waited for
_RESENT = "resent"


class Lane:
    """One direction: reads packets from one device, shapes them, and writes them to the other."""

    def __init__(self, source: int, sink: int, *, down: bool) -> None:
        """Join two devices.

        Args:
            source: The device of the host that sends.
            sink: The device of the host that receives.
            down: Whether this is from the server to the client.
        """
        self.source = source
        self.sink = sink
        self._down = down
        self.rest()

    def rest(self) -> None:
        """Be empty, and let everything pass at once."""
        self.begin(Direction(), "", [], [0] * (_BINS + 1), None)

    def begin(
        self,
        direction: Direction,
        seed: str,
        losses: list[Any],
        late: list[int],
        begun: set[bytes] | None,
    ) -> None:
        """Be empty, with nothing counted, and shape like this.

        Args:
            direction: How to shape.
            seed: Of everything random.
            losses: Where to note what got lost or was sent again.
            late: Where to count packets by how late they were delivered.
            begun: The connections that began since, for both directions; those from before are over, and
                what is still sent for them, a FIN again perhaps, gets nowhere. None lets it pass.
        """
        self.queue: deque[tuple[float, bytes]] = deque()  # what is on its way, and when it is due
        self.shaper = Shaper(direction, seed)
        self.delay = direction.delay
        self.resent = 0
        self.refused = 0
        self.latest = 0.0
        self._flows = Flows()
        self._losses = losses
        self._late = late
        self._begun = begun

    def take(self) -> None:
        """Read what the sending host has sent, as far as a batch goes."""
        source, read, clock, begun, down = self.source, os.read, time.monotonic, self._begun, self._down
        arrive, is_resent, append = self.shaper.arrive, self._flows.is_resent, self.queue.append
        try:
            for _ in range(_BATCH):
                packet = read(source, _LARGEST)
                if packet[0] >> 4 != 4:
                    continue  # not IPv4: nothing of ours
                if begun is not None and is_stray(packet, begun, down=down):
                    continue
                now = clock()
                if is_resent(packet):
                    self.resent += 1
                    self._note(now, packet, _RESENT)
                due = arrive(now, len(packet))
                if isinstance(due, Fate):
                    self._note(now, packet, due.value)
                else:
                    append((due, packet))
        except BlockingIOError:
            pass

    def deliver(self) -> None:
        """Write what is due to the receiving host."""
        queue, sink, write, clock, late = self.queue, self.sink, os.write, time.monotonic, self._late
        while queue:
            due, packet = queue[0]
            by = clock() - due
            if by < 0:
                break
            queue.popleft()
            bin_ = int(by / _BIN)
            late[bin_ if bin_ < _BINS else _BINS] += 1
            if by > self.latest:
                self.latest = by
            try:
                write(sink, packet)
            except OSError:
                self.refused += 1

    def traffic(self) -> dict[str, int]:
        """Count what was delivered and what was not, as :class:`plait.lab.samples.Traffic` has it."""
        shaper = self.shaper
        waiting = len(self.queue)
        return {
            "packets": shaper.packets - waiting,
            "bytes": shaper.bytes - sum(len(packet) for _, packet in self.queue),
            "lost": shaper.lost,
            "dropped": shaper.dropped,
            "resent": self.resent,
        }

    def _note(self, now: float, packet: bytes, kind: str) -> None:
        if len(self._losses) < LOSSES_KEPT:
            port = ports_of(packet)[self._down]
            self._losses.append((int(now * 1e6), port, self._down, kind))


class TunLink:
    """Both directions, what they cost, and the conversation with the process that uses them."""

    def __init__(self, hosts: Hosts, channel: Channel, owner: int) -> None:
        """Join two hosts, as if by nothing.

        Args:
            hosts: The hosts.
            channel: To the process that says what to be.
            owner: That process, as a file descriptor.
        """
        self._hosts = hosts
        self._channel = channel
        self._owner = owner
        client, server = hosts.client_end, hosts.server_end
        self._down = Lane(server.device, client.device, down=True)
        self._up = Lane(client.device, server.device, down=False)
        self._begin(None, 0)

    def run(self) -> None:
        """Carry packets until the process that uses the link is gone."""
        lanes = down, up = self._down, self._up
        control = self._channel.fileno()
        everything = [down.source, up.source, control, self._owner]
        wait_for, clock, cpu = select.select, time.monotonic, time.process_time
        early = 0.0  # how long waking up takes, lately
        rested = 0.0  # until when packets are let gather
        while True:
            wake = self._window_ends
            for lane in lanes:
                if lane.queue and lane.queue[0][0] < wake:
                    wake = lane.queue[0][0]
            asked = clock()
            if wake < rested:
                wake = rested
            rest = max(0.0, wake - early - asked)
            ready = wait_for(everything, (), (), rest)[0]
            now = clock()
            if not ready:
                if rest:
                    # An idle processor needs some 100 microseconds to wake up. To be in time for what is
                    # due, this gets up as much earlier, and asks again and again until it is.
                    early += (min(now - asked - rest, _EARLIEST) - early) / 8
                if now < wake:
                    continue
            began = cpu()
            for lane in lanes:
                if lane.source in ready:
                    lane.take()
                if lane.queue:
                    lane.deliver()
            self._carrying += cpu() - began
            rested = clock() + self._pause
            if now >= self._window_ends:
                self._end_window()
            if self._owner in ready:
                return
            if control in ready:
                try:
                    self._answer()
                except (EOFError, OSError):
                    return

    def _answer(self) -> None:
        message, _ = self._channel.receive()
        match message:
            case {"begin": network, "seed": seed}:
                self._begin(network, seed)
                self._channel.send({})
            case {"end": _}:
                self._channel.send(self._end())
            case {"listen": port}:
                listen(self._channel, port)

    def _begin(self, network: dict[str, Any] | None, seed: int) -> None:
        self._settle()
        self._losses: list[tuple[int, int, bool, str]] = []
        self._late = [0] * (_BINS + 1)
        begun: set[bytes] = set()
        for name, lane in ("down", self._down), ("up", self._up):
            direction = direction_of(network[name]) if network else Direction()
            lane.begin(direction, f"{name} {seed}", self._losses, self._late, begun)
        self._pause = min(_PAUSE, min(lane.delay for lane in (self._down, self._up)) / 10)
        self._overruns = self._count_overruns()
        self._busiest = self._capacity = 0.0
        self._open_window()

    def _open_window(self) -> None:
        self._carrying = 0.0
        self._window_handled = self._handled()
        self._window_began = time.monotonic()
        self._window_ends = self._window_began + _WINDOW

    def _end_window(self) -> None:
        busy = self._carrying / max(time.monotonic() - self._window_began, _WINDOW)
        if busy > self._busiest:
            self._busiest = busy
            self._capacity = (self._handled() - self._window_handled) / self._carrying
        self._open_window()

    def _handled(self) -> int:
        shapers = self._down.shaper, self._up.shaper
        return sum(shaper.packets + shaper.lost + shaper.dropped for shaper in shapers)

    def _end(self) -> dict[str, Any]:
        self._end_window()
        lanes = self._down, self._up
        latest = max(lane.latest for lane in lanes)
        refused = sum(lane.refused for lane in lanes)
        report = {
            "use": {
                "down": self._down.traffic(),
                "up": self._up.traffic(),
                "late_median": min(_quantile(self._late, 0.5), latest),
                "late_p99": min(_quantile(self._late, 0.99), latest),
                "late_max": latest,
                "busy": min(self._busiest, 1.0),
                "capacity": self._capacity,
                "overruns": self._count_overruns() - self._overruns + refused,
            },
            "losses": self._losses,
        }
        self._release()
        return report

    def _release(self) -> None:
        """Deliver what is on its way now, and what comes next at once."""
        now = time.monotonic()
        for lane in self._down, self._up:
            left = deque((now, packet) for _, packet in lane.queue)
            lane.rest()
            lane.queue.extend(left)

    def _settle(self) -> None:
        """Let connections that were left half closed come to their end, so that none does in the next run."""
        self._release()
        lanes = self._down, self._up
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            for lane in lanes:
                lane.take()
                lane.deliver()
            if not select.select([lane.source for lane in lanes], (), (), _QUIET)[0]:
                break

    def _count_overruns(self) -> int:
        ends: tuple[Attachment, ...] = (self._hosts.client_end, self._hosts.server_end)
        return sum(end.overruns() for end in ends)


def _quantile(counts: list[int], share: float) -> float:
    """Return the upper edge of the bin that a share of everything is below; infinity beyond the last."""
    wanted = share * sum(counts)
    seen = 0
    for index, count in enumerate(counts[:-1]):
        seen += count
        if seen >= wanted:
            return (index + 1) * _BIN
    return float("inf")


def _hurry() -> None:
    """Get the CPU as soon as there is a packet, as far as this user may."""
    wake_exactly()
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        try:
            os.nice(-20)
        except OSError:
            pass  # as fast as anybody, and what that costs is measured


def _serve(hosts: Hosts, channel: Channel, owner: int) -> None:
    _hurry()
    gc.collect()
    gc.freeze()
    gc.disable()  # nothing here is cyclic, and a collection is a pause
    TunLink(hosts, channel, owner).run()


if __name__ == "__main__":
    keep_link(sys.argv[1:], make_hosts, _serve)
