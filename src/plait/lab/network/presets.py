"""Networks with names; docs/network.md says where each figure comes from, and which are assumptions."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PRESETS", "Preset"]


class Preset(NamedTuple):
    """A network that has a name.

    Attributes:
        title: What it stands for.
        spec: Its specification, as ``--network`` takes it.
    """

    title: str
    spec: str


# No more than 50 Mbit/s anywhere: some 6,000 packets a second with the acknowledgements, which the emulated
# link still carries on a small machine beside a client and a server. Queues are in packets: a device's memory
# does not change with the distance to a server.
PRESETS: dict[str, Preset] = {
    "fiber": Preset("fibre to the home", "rtt=10ms,down=50mbit,up=50mbit,queue=400p"),
    "cable": Preset("a cable modem", "rtt=28ms,down=25mbit,up=3mbit,down-queue=200p,up-queue=100p"),
    "4g": Preset("a telephone on LTE", "rtt=70ms,down=12mbit,up=12mbit,queue=280p"),
    "3g": Preset("a telephone on HSPA", "rtt=300ms,down=1600kbit,up=768kbit,down-queue=160p,up-queue=80p"),
    "satellite": Preset(
        "a geostationary satellite", "rtt=600ms,down=20mbit,up=3mbit,down-queue=1000p,up-queue=150p"
    ),
    "lossy-wifi": Preset(
        "bad radio in the last room", "rtt=30ms,down=20mbit,up=20mbit,queue=200p,burst-loss=1%/5"
    ),
}
