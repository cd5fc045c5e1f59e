"""Receives `watling page`; serves the page in the foreground, with the status that `watling status` prints."""

from __future__ import annotations

from typing import Annotated

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import contracts, settings


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
        from watling.app import Status
        from watling.cli.signals import stop_on_signals
        from watling.dashboard import serve

        stop = stop_on_signals(twice=False)  # the server raises them again when it has ended

        def ready(address: str) -> None:
            output.note(f"the page is at {address}")
            if open_:
                open_browser(address)

        serve(found, contracts=known, status=Status(found, known), ready=ready)
        raise typer.Exit(stop.exit_code())


def open_browser(address: str) -> None:
    """Open the address, where there is a browser; in the background, without waiting for it."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
