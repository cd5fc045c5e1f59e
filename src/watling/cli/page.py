"""Receives `watling page`; wires the page with its sources and serves it in the foreground."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import contracts, settings

if TYPE_CHECKING:
    from watling.config import Settings
    from watling.contracts.model import Contract
    from watling.dashboard import Feed


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            ("watling page --open", "and open the browser"),
            ("WATLING_PAGE__PORT=8700 watling page", "on another port"),
        )
    )
    def page(
        context: typer.Context,
        open_: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = False,
    ) -> None:
        """Serve the live page alone: what other processes of this home do. `/metrics` is for Prometheus."""
        found = settings(context)
        known = contracts(found)
        from watling.cli.signals import stop_on_signals

        stop = stop_on_signals()

        def ready(address: str) -> None:
            output.note(f"the page is at {address}")
            if open_:
                open_browser(address)

        serve_page(found, known, ready)
        raise typer.Exit(stop.exit_code())


def feeds(found: Settings, known: Mapping[str, Contract]) -> list[Feed]:
    """What fills the page's map: each topic's newest records, shaped by the pipeline's own steps."""
    from watling.broker import admin
    from watling.broker.client import client_config
    from watling.broker.fetch import Fetcher
    from watling.dashboard.feed import KafkaFeed
    from watling.pipeline.plan import shape

    config = {**client_config(found), "client.id": "watling-page"}
    return [
        KafkaFeed(
            contract,
            lambda topic, positions: Fetcher(config, topic, positions),
            lambda topic: admin.watermarks(found, topic),
            shape,
        )
        for contract in known.values()
    ]


def serve_page(found: Settings, known: Mapping[str, Contract], ready: Callable[[str], None] | None = None) -> None:
    """Serve the page until SIGINT or SIGTERM. `ready` is told the address once it listens."""
    from watling.app import Status
    from watling.dashboard import serve

    serve(found, contracts=known, status=Status(found, known), feeds=feeds(found, known), ready=ready)


def open_browser(address: str) -> None:
    """Open the address, where there is a browser; in the background, without waiting for it."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
