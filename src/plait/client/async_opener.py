"""Opens connections for the asyncio client."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from plait.client.async_driver import LinkDriver
from plait.client.timeouts import finite
from plait.drivers.addresses import connect_failure
from plait.drivers.dial import dial, dial_through, resolve
from plait.errors import ConnectTimeout, PlaitError, TlsTimeout
from plait.urls import Origin

if TYPE_CHECKING:
    from plait.client.async_client import AsyncClient

__all__ = ["connect"]

#: Seconds that asyncio gives a handshake, which has limits of ours.
_HANDSHAKE = 86_400.0


async def connect(client: AsyncClient, origin: Origin) -> None:
    """Open a connection that the client's pool knows of, and tell the client's core what came of it.

    Args:
        client: The client.
        origin: Where the connection is to lead.
    """
    core = client._core
    peer = f"{origin.host}:{origin.port}"
    error: PlaitError
    driver = LinkDriver(client, origin)
    limits = core.limits_to_connect(origin)
    local = core.config.local_address
    shaking = False
    try:
        if core.mounts is not None and (application := core.mounts.at(origin)) is not None:
            driver.protocol = application.protocol
            async with asyncio.timeout(finite(limits.connect)):
                await application.connect(origin, driver)
            if driver.error is not None:
                raise driver.error
            return
        tls = core.routes.context_for(origin)
        async with asyncio.timeout(finite(limits.connect)):
            proxy = core.routes.proxy_for(origin)
            driver.began = monotonic()
            if proxy is not None and core.routes.tunnels(origin, proxy):
                driver.started = driver.began
                sock = await dial_through(proxy, origin.host, origin.port, local)
            else:
                host, port = core.routes.place(*(proxy or origin)[1:3])
                if core.try_share(origin, None):
                    return
                addresses = await resolve(host, port, local)
                if core.try_share(origin, addresses):
                    return
                driver.started = monotonic()
                sock = await dial(addresses, local)
            driver.dialled(sock)
            shaking = tls is not None
            async with asyncio.timeout(finite(limits.tls)):
                await asyncio.get_running_loop().create_connection(
                    lambda: driver,
                    sock=sock,
                    ssl=tls,
                    server_hostname=origin.host if tls is not None else None,
                    # Its own limit would end the handshake first, and in other words.
                    ssl_handshake_timeout=_HANDSHAKE if tls is not None else None,
                )
    except TimeoutError:
        late = f"no connection to {peer} in time"
        error = TlsTimeout(f"{late}: the TLS handshake did not end") if shaking else ConnectTimeout(late)
    except PlaitError as failure:
        error = failure
    except (OSError, ValueError) as failure:
        error = connect_failure(peer, failure)
    else:
        if driver.error is None:
            client._connected()
            return
        error = driver.error
    core.failed(origin, error)
