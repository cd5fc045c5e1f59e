"""Receives `watling status`; shows each stream's rate, lag, freshness and counts, and what runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from watling.cli import output
from watling.cli.broker import show as show_broker
from watling.cli.examples import examples
from watling.cli.flags import contracts, settings
from watling.errors import EXIT_UNREACHABLE


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            ("watling status", "once"),
            ("watling status --json", "streams.<name>.lag_records and so on, for a script"),
        )
    )
    def status(
        context: typer.Context, json_: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False
    ) -> None:
        """How it goes: per stream rate, lag, freshness, landed, quarantined, last commit. Ends with 3 when nothing runs."""
        found = settings(context)
        known = contracts(found)
        from watling.app import Status

        now = Status(found, known).read()
        if json_:
            output.as_json(now)
        else:
            show(now)
        if not now["pipeline"]["running"] and not (now["broker"]["running"] and now["broker"]["embedded"]):
            raise typer.Exit(EXIT_UNREACHABLE)


COLUMNS = ["stream", "rate/s", "lag", "lag time", "freshness", "landed", "quarantined", "duplicates", "lost", "last commit"]  # fmt: skip


def rows(streams: dict[str, dict[str, Any]]) -> list[list[Any]]:
    """The streams' part of a status as rows under `COLUMNS`."""
    return [
        [
            name,
            s["rate"],
            s["lag_records"],
            output.seconds(s["lag_seconds"]),
            output.seconds(s["freshness_seconds"]),
            s["landed"],
            s["quarantined"],
            s["duplicates"],
            s["lost"],
            ago(s["last_commit"]),
        ]
        for name, s in streams.items()
    ]


def show(now: dict[str, Any]) -> None:
    """A status for people."""
    show_broker(now["broker"])
    output.say(pipeline_line(now["pipeline"]))
    output.say()
    output.table(COLUMNS, rows(now["streams"]))
    for name, stream in now["streams"].items():
        if stream["error"]:
            output.say(f"{name}: {stream['error']}")


def pipeline_line(pipeline: dict[str, Any]) -> str:
    """The pipeline's part of a status as a line."""
    match pipeline["state"]:
        case "running":
            return f"The pipeline runs (pid {pipeline['pid']}, engine {pipeline['engine']})."
        case "stalled":
            told = output.seconds(pipeline["told_seconds_ago"])
            return f"The pipeline (pid {pipeline['pid']}) has told nothing for {told}: is its disk or catalog hanging? Look at logs/pipeline.log."
        case "died":
            return "The pipeline died. Look at logs/pipeline.log in the home, then `watling run`: it goes on from the last commit."
    return "The pipeline does not run. Start it with `watling run`, or all with `watling up`."


def ago(text: str | None) -> str | None:
    """An ISO time as an age."""
    if text is None:
        return None
    age = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    return f"{output.seconds(max(0.0, age))} ago"
