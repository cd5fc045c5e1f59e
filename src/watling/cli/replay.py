"""Receives the options of `watling replay` and `watling replay-guess`; sends recordings to Kafka, drafts mappings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import settings
from watling.cli.values import moment, pairs
from watling.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

SOURCES = "envirocar, gtfs-rt, siri-vm, jamcam, webtris, aurn, lfb, stats19, phone, csv, ndjson, parquet"


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command(
        epilog=examples(
            ("watling replay envirocar trips.csv.gz --shift-to now", "78 recorded trips as if they began now"),
            ("watling replay gtfs-rt positions.pb --speed max", "a snapshot of all buses, at once"),
            ("watling replay csv log.csv --map mapping.yaml --speed 10", "your own recording, ten times as fast"),
            ("watling replay ndjson events.ndjson --set stream=vehicle", "records that are the wire's already"),
            ("watling replay phone drive.csv --loop --speed max --json", "again and again, a load for tests"),
        )
    )
    def replay(
        context: typer.Context,
        source: Annotated[str, typer.Argument(metavar="SOURCE", help=f"What wrote the recording: {SOURCES}.")],
        paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files or folders; gzip and zip are read as they are.")],
        speed: Annotated[str, typer.Option(help="1 keeps the time between records, 10 divides it by ten, max does not wait.")] = "1",
        shift_to: Annotated[str | None, typer.Option(help="Move the first record to now or to a time, all others with it.", metavar="now|TIME")] = None,
        loop: Annotated[bool, typer.Option("--loop", help="Begin again after the end, with other ids.")] = False,
        map_: Annotated[Path | None, typer.Option("--map", help="Mapping for csv, ndjson and parquet; `watling replay-guess` drafts one.", metavar="FILE")] = None,
        trim_ends: Annotated[float | None, typer.Option(help="Leave out what lies so near a trip's first and last point. Default: 500 for envirocar, else 0.", metavar="METRES")] = None,
        timezone: Annotated[str | None, typer.Option(help="Zone of times that carry none, such as Europe/London.", metavar="ZONE")] = None,
        set_: Annotated[list[str] | None, typer.Option("--set", help="A further setting of the source, such as cameras=FILE, sites=FILE, stops=FILE, device=NAME, stream=NAME.", metavar="NAME=VALUE")] = None,
        json_: Annotated[bool, typer.Option("--json", help="At the end print what was sent as JSON.")] = False,
    ) -> None:  # fmt: skip
        """Send a recording to Kafka, each record when it is due. A broken record is named, counted and left out."""
        found = settings(context)
        from watling.cli.sending import end, send_and_report
        from watling.cli.signals import stop_on_signals
        from watling.devices.producer import parse_speed
        from watling.devices.replay import Replay
        from watling.devices.sources import Faults, Options, adapter

        adapter(source)
        if missing := [str(p) for p in paths if not p.exists()]:
            raise UsageError(f"no such file or folder: {', '.join(missing)}")
        how_fast = parse_speed(speed)
        faults = Faults()
        options = Options(map_, trim_ends, timezone, pairs(set_, "--set"))
        recording = Replay(source, paths, how_fast, _shift(shift_to), loop, options, faults)
        stop = stop_on_signals()
        report = send_and_report(found, recording, "replay", speed=how_fast, json=json_, stop=stop.event, faults=faults)
        end(report, stop.by)

    @app.command(
        name="replay-guess",
        epilog=examples(
            ("watling replay-guess log.csv > mapping.yaml", "then look it through, and use it"),
            ("watling replay csv log.csv --map mapping.yaml", "like this"),
        ),
    )
    def replay_guess(
        path: Annotated[Path, typer.Argument(metavar="PATH", help="A CSV, NDJSON or Parquet file.")],
        out: Annotated[Path | None, typer.Option(help="Write it there instead of to stdout.", metavar="FILE")] = None,
    ) -> None:
        """Draft a mapping for a recording from its first rows. Each doubt stands beside it as a comment."""
        from watling.devices.guess import guess

        if not path.is_file():
            raise UsageError(f"no such file: {path}")
        draft = guess(path)
        if out is None:
            output.say(draft.text.rstrip("\n"))
        else:
            from watling.cli.contracts import write_text

            write_text(out, draft.text)
        if draft.missing:
            output.note(f"still to be named by you: {', '.join(draft.missing)}")
        output.note(f"then: watling replay {draft.source} {path} --map {out or 'mapping.yaml'}")


def _shift(text: str | None) -> datetime | Literal["now"] | None:
    if text is None:
        return None
    return "now" if text == "now" else moment(text, "--shift-to")
