"""Serves until it is told to stop, in this process or in several: ``plait serve`` and ``plait.serve``."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from plait.certificates import Change
from plait.config import HttpVersions
from plait.errors import ConfigError
from plait.server.applications import make_gateway
from plait.server.gateway import MakeGateway
from plait.server.listening import Bound, bind
from plait.server.logs import configure
from plait.server.metrics import Metrics
from plait.server.notify import Notifier
from plait.server.pid_file import pid_file
from plait.server.process import hold_standard_streams
from plait.server.server import Server
from plait.server.worker import Worker, handle_signals, insist, run_in_loop
from plait.server_config import LogFormat, ServerConfig

__all__ = ["serve"]

logger = logging.getLogger("plait.server")


def serve(config: ServerConfig, make: MakeGateway = make_gateway) -> None:
    """Serve an application until SIGINT or SIGTERM, on uvloop where it exists.

    One worker that is never replaced serves in this process. Otherwise this process supervises:
    it makes the sockets, and every worker is a fork of it that imports the application itself.

    Args:
        config: What, where and how.
        make: Makes the gateway of another kind of application than ``config.app`` can name.

    Raises:
        ConfigError: A certificate, key, address or log is wrong, or an option that this system has
            no means for.
        PlaitError: The address is taken, or the application failed to start.
    """
    hold_standard_streams()
    configure(config)
    if config.workers > 1 or config.reload or config.max_requests:
        _supervise(config, make)
    else:
        run_in_loop(lambda: _serve_here(config, make))


# -- one process -----------------------------------------------------------------------------------


async def _serve_here(config: ServerConfig, make: MakeGateway) -> None:
    server = Server(config, make)
    notifier = Notifier()

    def stop() -> None:
        notifier.stopping()
        server.stop()

    def give_up() -> None:
        stop()
        server.stop()

    def reload() -> None:
        notifier.reloading()
        server.reopen()
        server.reload()
        notifier.ready()

    def ping() -> None:
        assert notifier.interval is not None
        notifier.alive()
        asyncio.get_running_loop().call_later(notifier.interval, ping)

    def ready(server: Server) -> None:
        stack.enter_context(pid_file(config.pid_file))
        _announce(server.listening, config)
        notifier.ready()
        notifier.status("serving")

    handle_signals(
        {
            "SIGINT": stop,
            "SIGTERM": stop,
            "SIGQUIT": give_up,
            "SIGHUP": reload,
            "SIGUSR1": server.reopen,
            # They would halt a process that has no handler; there are no workers to add here.
            "SIGTTIN": _say_alone,
        }
    )
    insist(("SIGINT", "SIGTERM"))
    if notifier.interval is not None:
        ping()
    with ExitStack() as stack:
        await server.serve(ready)


def _say_alone() -> None:
    logger.warning("SIGTTIN adds no worker here: one process serves alone without --workers")


# -- several processes -----------------------------------------------------------------------------


def _supervise(config: ServerConfig, make: MakeGateway) -> None:
    option = _supervised_by(config)
    if not hasattr(os, "fork"):
        raise ConfigError(f"{option} needs processes that fork, which this system does not have")
    if config.reload and config.app is not None and not isinstance(config.app, str):
        raise ConfigError("--reload imports the application anew, so it needs its name, MODULE:APP")
    from plait.server.reload import watching
    from plait.server.supervisor import Supervisor

    notifier = Notifier()
    with ExitStack() as stack:
        bound = bind(config)

        def stop_listening() -> None:
            for one in bound:
                one.close()

        def reload() -> None:
            # Here, so that workers to come have the new certificates and still one ticket key.
            for one in bound:
                if one.tls is not None:
                    try:
                        one.tls.reload()
                    except ConfigError as error:
                        logger.error("reload: %s", error)

        stack.callback(stop_listening)
        metrics = None
        if config.metrics:
            metrics = Metrics(config)
            stack.callback(metrics.close)
        changes = None
        if config.reload:
            changes = stack.enter_context(watching(config.reload_dir or (config.app_dir or Path(),)))

        def work(channel: socket.socket) -> int:
            return Worker(
                lambda: Server(config, make, bound, metrics),
                channel,
                timeout=config.worker_timeout,
                requests=config.max_requests,
                jitter=config.max_requests_jitter,
            ).run()

        stack.enter_context(pid_file(config.pid_file))
        Supervisor(
            work,
            workers=config.workers,
            timeout=config.worker_timeout,
            grace=config.grace,
            notifier=notifier,
            changes=changes,
            on_ready=lambda: _announce(bound, config),
            on_reload=reload,
            on_stop=stop_listening,
        ).run()


def _supervised_by(config: ServerConfig) -> str:
    """Name the option that asks for a supervisor."""
    if config.workers > 1:
        return f"--workers {config.workers}"
    return "--reload" if config.reload else "--max-requests"


# -- what both have --------------------------------------------------------------------------------


def _announce(listening: Sequence[Bound], config: ServerConfig) -> None:
    versions = {
        HttpVersions.AUTO: "HTTP/2 and HTTP/1.1",
        HttpVersions.HTTP_1: "HTTP/1.1",
        HttpVersions.HTTP_2: "HTTP/2",
    }[config.http]
    # Whoever collects lines of JSON wants no other lines among them.
    say = _say if config.log_format is LogFormat.TEXT else logger.info
    workers = f" with {config.workers} workers" if config.workers > 1 else ""
    for bound in listening:
        say(f"serving {versions} on {bound.where}{workers} (Ctrl-C stops)")
        development = bound.listener.development
        if development is not None:
            if development.change is Change.AUTHORITY_RENEWED:
                say("the certificate authority was near its end and was renewed: it has to be trusted anew")
            say(f"development certificate, signed by {development.ca}; try:")
            say(f"  {bound.curl}")


def _say(line: str) -> None:
    print(f"plait: {line}", file=sys.stderr, flush=True)
