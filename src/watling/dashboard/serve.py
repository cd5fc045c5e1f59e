"""Receives the settings and the page's sources from the command; serves the page until SIGTERM or SIGINT."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence

import uvicorn
from fastapi import FastAPI

from watling.config import Settings
from watling.contracts import Contract
from watling.dashboard.app import Feed, create_app, follow_broker, read_one
from watling.dashboard.status import StatusSource
from watling.errors import UsageError
from watling.ops.memory import release_early

GRACE_S = 3
MAX_MESSAGE_BYTES = 4096  # viewers send confirmations only


class PortTaken(UsageError):
    """The page's address cannot be listened on. `host` and `port` say which."""


def listen(settings: Settings) -> socket.socket:
    """A bound socket at the page's address.

    Raises:
        PortTaken: another program has it, or the address is none of this machine's.
    """
    host, port = settings.page.host, settings.page.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise PortTaken(
            f"the page cannot listen on {host}:{port} ({error.strerror}): "
            "stop the program that has it, or choose another by WATLING_PAGE__PORT",
            host=host,
            port=port,
        ) from error
    return bound


def serve(
    settings: Settings,
    *,
    contracts: Mapping[str, Contract],
    status: StatusSource,
    feeds: Sequence[Feed] | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page and block. SIGTERM and SIGINT end it within a few seconds, viewers are told to come again.

    `status` tells totals and lag. `feeds` fill the map; without them it follows the broker of `settings`. `ready` is
    called with the page's address once it listens.

    Raises:
        PortTaken: before anything starts.
    """
    release_early()
    bound = listen(settings)
    feeds = follow_broker(settings, contracts) if feeds is None else feeds
    app = create_app(settings, contracts=contracts, status=status, feeds=feeds, read_record=read_one(settings))
    server = _Server(config(app), lambda: ready(address(settings)) if ready else None)
    try:
        server.run(sockets=[bound])
    finally:
        bound.close()


def config(app: FastAPI) -> uvicorn.Config:
    """How uvicorn serves the page."""
    return uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # costs forty times the encoding, for every viewer anew
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


def address(settings: Settings) -> str:
    """Where a browser finds the page."""
    host = f"[{settings.page.host}]" if ":" in settings.page.host else settings.page.host
    return f"http://{host}:{settings.page.port}/"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()
