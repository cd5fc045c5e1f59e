"""Receives `watling audit`; tells whether anything was lost or doubled, from the rows themselves."""

from __future__ import annotations

from typing import Annotated

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import contracts, open_lake, settings
from watling.errors import EXIT_FOUND, UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            ("watling audit", "a line a stream; exits 1 if a record is missing, doubled or lost"),
            ("watling audit --json", "the same for a script, by partition"),
            ('watling audit --accept-loss vehicle --reason "disk full on 3 May"', "a loss was looked into: record it"),
        )
    )
    def audit(
        context: typer.Context,
        accept_loss: Annotated[str | None, typer.Option(metavar="STREAM", help="Record the stream's losses to retention as looked into.")] = None,
        reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for --accept-loss.")] = None,
        json_: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    ) -> None:  # fmt: skip
        """Check that each consumed record stands exactly once in its table or in quarantine. May run beside everything."""
        if (accept_loss is None) != (reason is None):
            raise UsageError("--accept-loss STREAM and --reason TEXT go together")
        found = settings(context)
        known = contracts(found)
        catalog = open_lake(found, or_empty=accept_loss is None)
        from watling import audit as room

        if accept_loss is not None and reason is not None:
            if accept_loss not in known:
                raise UsageError(f"no such stream: {accept_loss}. There are: {', '.join(known)}")
            count = room.accept_loss(found, accept_loss, reason, catalog=catalog)
            output.say(f"{accept_loss}: {count:,} lost records are recorded as looked into")
            return
        report = room.run_audit(found, catalog=catalog, contracts=known)
        room.keep_verdict(found, report)
        if json_:
            output.as_json(report.json())
        else:
            for line in report.lines():
                output.say(line)
        if not report.ok:
            raise typer.Exit(EXIT_FOUND)
