"""How long a request may take: what a caller says, and what holds once it is put together."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from plait.config import ClientConfig
from plait.errors import ConfigError

__all__ = ["TimeLimits", "Timeouts", "finite", "limits_of", "longest"]


#: Seconds of ten thousand years.
_FOR_EVER = 10**12


class Timeouts(NamedTuple):
    """How long one request may take, step by step, in seconds.

    None leaves a step to the client's own limit, and ``math.inf`` takes the limit away. What is over ends
    this request alone.

    Attributes:
        connect: Until there is a connection, TLS included.
        tls: Until TLS is there, once TCP is.
        pool: Until a connection has room.
        write: Without the server taking any of the request's content.
        read: Without a byte of the response.
        total: For everything together.
    """

    connect: float | None = None
    tls: float | None = None
    pool: float | None = None
    write: float | None = None
    read: float | None = None
    total: float | None = None


class TimeLimits(NamedTuple):
    """The same, every step known; ``inf`` where there is no limit."""

    connect: float
    tls: float
    pool: float
    write: float
    read: float
    total: float

    def but(self, timeout: float | Timeouts) -> TimeLimits:
        """Return these limits, changed as a request wants them.

        Args:
            timeout: Seconds in all, or step by step.

        Raises:
            ConfigError: It is not a time, or not one greater than zero.
        """
        if not isinstance(timeout, Timeouts):
            timeout = Timeouts(total=timeout)
        changes = {name: value for name, value in timeout._asdict().items() if value is not None}
        for name, value in changes.items():
            if not isinstance(value, int | float) or not value > 0:  # which NaN is not either
                raise ConfigError(f"the timeout {name} must be greater than zero seconds, not {value!r}")
            # Of whole numbers there are some that no clock can count.
            changes[name] = float(value) if value < _FOR_EVER else inf
        return self._replace(**changes)


def limits_of(config: ClientConfig) -> TimeLimits:
    """Return what holds for the requests of a client that say nothing themselves."""
    return TimeLimits(
        connect=config.connect_timeout,
        tls=config.tls_timeout or inf,
        pool=config.pool_timeout,
        write=config.write_timeout or config.read_timeout,
        read=config.read_timeout,
        total=config.total_timeout or inf,
    )


def finite(seconds: float) -> float | None:
    """Return a limit as asyncio takes it: None for no limit."""
    return None if seconds == inf else seconds


def longest(limits: list[TimeLimits]) -> TimeLimits:
    """Return the longest of some limits, step by step: those of what several requests wait for."""
    return TimeLimits(*map(max, zip(*limits, strict=True)))
