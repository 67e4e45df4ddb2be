"""Records with plausible timelines, by a crude model of a link: to look at reports, and to test them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import replace

from plait.lab.network.profile import Network
from plait.lab.record import Cell, Record, ResourceInfo
from plait.lab.samples import ConnectionTimes, Fields, LinkUse, Loss, RequestTimes, Sample, Timeline, Traffic
from tests.support.lab_samples import link_use, measurement, record

__all__ = ["DEFAULT", "simulated"]

DEFAULT = ("h1x1", "h1x6", "h1xN", "h2-static", "h2", "h1x6-again")
_MODELLED = 300
"""Requests whose times are modelled one by one."""
_HANDSHAKES = 2
"""Round trips before the first request: TCP and TLS 1.3."""
_SHAPES = {"h1x1": (1, 1), "h1x6": (6, 1), "h1xN": (60, 1), "h2-serial": (1, 1), "h2xN": (6, 17)}
"""Connections, and requests under way on each."""


def simulated(
    networks: Sequence[Network],
    *,
    contenders: Sequence[str] = DEFAULT,
    blocks: int = 20,
    requests: int = 3001,
    size: int = 700,
    seed: int = 1,
    **changes: object,
) -> Record:
    """Make a record of a crawl as it might have been on each network.

    Args:
        networks: One for each cell.
        contenders: By name.
        blocks: How many.
        requests: Of each load.
        size: Bytes of each response.
        seed: Of the noise.
        changes: Attributes of the record.
    """
    chance = random.Random(seed)
    resources = tuple(
        ResourceInfo(path="/" if index == 0 else f"/book?id={index * 7 % 3989}", kind="data", size=size)
        for index in range(requests)
    )
    cells = [_cell(network, contenders, blocks, requests, size, chance) for network in networks]
    made = record(*cells, **{"resources": resources, **changes})
    order = sorted(made.contenders, key=lambda one: contenders.index(one.name))
    return replace(made, contenders=tuple(order))


def _cell(
    network: Network, contenders: Sequence[str], blocks: int, requests: int, size: int, chance: random.Random
) -> Cell:
    samples = []
    for block in range(blocks):
        order = chance.sample(list(contenders), len(contenders))
        for position, name in enumerate(order):
            samples.append(_sample(network, name, block, position, requests, size, chance))
    return Cell(network=network, samples=tuple(samples))


def _sample(
    network: Network, name: str, block: int, position: int, requests: int, size: int, chance: random.Random
) -> Sample:
    connections, under_way = _SHAPES.get(name.removesuffix("-again"), (1, 100))
    # Crawls go on as they began: the model draws the beginning, and the rest takes its share.
    modelled = min(requests, _MODELLED)
    timeline = _timeline(network, connections, under_way, modelled, size, chance)
    load = max(one.done for one in timeline.requests) / 1e6 * requests / modelled
    over_h2 = name.startswith("h2")
    lost = sum(one.kind == "lost" for one in timeline.losses)
    wire = 38 * requests if over_h2 else 190 * requests
    packets = Traffic(packets=requests + 40, bytes=requests * (size + 60), lost=lost, dropped=0, resent=lost)
    use: LinkUse = link_use(down=packets, late_p99=chance.uniform(2e-4, 6e-4), busy=chance.uniform(0.1, 0.3))
    measured = measurement(
        load,
        user=0.06e-3 * requests * chance.lognormvariate(0, 0.05),
        system=0.02e-3 * requests,
        peak_memory=int(31e6 * chance.lognormvariate(0, 0.03)),
        connections=connections,
        handshakes=connections * 2 * network.rtt * 1.05,
        bytes_sent=wire // 2 + 900 * connections,
        bytes_received=wire + size * requests,
        fields=Fields(
            request=112 * requests,
            request_wire=(24 if over_h2 else 112) * requests,
            response=190 * requests,
            response_wire=(38 if over_h2 else 190) * requests,
        ),
        latencies=(round(1e6 * load / requests),) * requests,
        timeline=timeline,
    )
    return Sample(
        block=block, position=position, contender=name, failure=None, measurement=measured, link=use
    )


def _timeline(
    network: Network, connections: int, under_way: int, requests: int, size: int, chance: random.Random
) -> Timeline:
    rtt, rate = network.rtt * chance.lognormvariate(0, 0.015), network.down.rate or 1e9
    loss = network.down.loss.rate if network.down.loss else 0.0
    ready = _HANDSHAKES * rtt * chance.lognormvariate(0, 0.01)
    slots = [(ready, index % connections) for index in range(connections * under_way)]
    heapq.heapify(slots)
    ports = [50000 + index for index in range(connections)]
    link_free = ready
    # What was lost holds everything up that comes after it on the same connection.
    held = [0.0] * connections
    found, losses = [], []
    known = 0.0
    for index in range(requests):
        free, connection = heapq.heappop(slots)
        sent = max(free, known)
        first = sent + rtt + 0.0004 * chance.lognormvariate(0, 0.5)
        link_free = max(link_free, first) + 8 * (size + 60) / rate
        answered = max(first, held[connection])
        if chance.random() < loss * max(1.0, size / 1400):
            at = link_free
            losses.append(Loss(int(1e6 * at), ports[connection], True, "lost"))
            losses.append(Loss(int(1e6 * (at + 1.2 * rtt)), ports[connection], True, "resent"))
            held[connection] = at + 1.5 * rtt
        done = max(link_free, answered, held[connection])
        found.append((sent, connection, answered, done, index))
        heapq.heappush(slots, (done, connection))
        if index == 0:
            known = done
    order = sorted(found)
    times = [
        RequestTimes(index, connection, 0 if index == 0 else _us(known), _us(sent), _us(answered), _us(done))
        for sent, connection, answered, done, index in order
    ]
    opened = tuple(
        ConnectionTimes(port, 0 if number == 0 else _us(known), _us(rtt) + (0 if number == 0 else _us(known)),
                        _us(2 * rtt) + (0 if number == 0 else _us(known)))
        for number, port in enumerate(ports)
    )  # fmt: skip
    return Timeline(connections=opened, requests=tuple(times), losses=tuple(losses))


def _us(seconds: float) -> int:
    return round(1e6 * seconds)
