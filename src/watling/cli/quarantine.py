"""Receives `watling quarantine …`; lists what did not fit, shows single records, and replays what now fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import contracts, open_lake, settings
from watling.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from watling.pipeline.replay import Replayed

JSON = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
RAW_SHOWN = 4_000  # characters of a record for people; --json has all of it


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name="quarantine", help="What did not fit its contract, and why: list, show, replay.")

    @group.command(
        "list",
        epilog=examples(
            ("watling quarantine list", "by stream, reason and field; the largest first"),
            ("watling quarantine list --stream vehicle --json", "for a script"),
        ),
    )
    def list_(
        context: typer.Context,
        stream: Annotated[str | None, typer.Option(help="Only of this stream.", metavar="NAME")] = None,
        json_: JSON = False,
    ) -> None:
        """What is in quarantine now, duplicates among it; what replay released is left out."""
        found = settings(context)
        catalog = open_lake(found)
        from watling.lake.quarantine import list_groups

        groups = list_groups(catalog, found, stream)
        if json_:
            output.as_json(groups)
            return
        if not groups:
            output.say("Nothing is in quarantine.")
            return
        rows = [[g.stream, g.reason, g.field, g.count, g.newest, g.sample, g.message] for g in groups]
        output.table(["stream", "reason", "field", "records", "newest", "for example", "which says"], rows)

    @group.command(
        epilog=examples(
            ("watling quarantine show vehicle/0/3/1234", "stream, generation, partition, offset: as `list` names it"),
            ("watling quarantine show vehicle/0/3/1234 --raw > record.json", "its bytes alone"),
        )
    )
    def show(
        context: typer.Context,
        name: Annotated[str, typer.Argument(metavar="STREAM/GENERATION/PARTITION/OFFSET")],
        raw: Annotated[bool, typer.Option("--raw", help="Write the record's bytes alone.")] = False,
        json_: JSON = False,
    ) -> None:
        """One record: its bytes, where it came from, what is wrong with it and what to do."""
        found = settings(context)
        catalog = open_lake(found)
        from watling.lake import quarantine

        record = quarantine.show(catalog, found, name)
        if raw:
            import sys

            sys.stdout.buffer.write(record["raw"] or b"")
            sys.stdout.buffer.flush()
        elif json_:
            output.as_json(record)
        else:
            for key, value in record.items():
                if key != "raw":
                    output.say(f"{key:18} {output.cell(_plain(value))}")
            text = (record["raw"] or b"").decode("utf-8", "backslashreplace")
            output.say(output.printable(text[:RAW_SHOWN]))
            if len(text) > RAW_SHOWN:
                output.note(f"… {len(text) - RAW_SHOWN:,} more characters; --raw gives all of it")

    @group.command(
        epilog=examples(
            ("watling quarantine replay", "after a contract was changed: land what now fits"),
            ("watling quarantine replay --stream vehicle --reason out_of_range", "only these"),
        )
    )
    def replay(
        context: typer.Context,
        stream: Annotated[list[str] | None, typer.Option("--stream", help="Only of this stream; may be repeated.", metavar="NAME")] = None,
        reason: Annotated[list[str] | None, typer.Option("--reason", help="Only with this reason; may be repeated.", metavar="REASON")] = None,
        json_: JSON = False,
    ) -> None:  # fmt: skip
        """Judge what is in quarantine by today's contracts; what now fits lands, exactly once. May run beside the pipeline."""
        found = settings(context)
        known = contracts(found)
        catalog = open_lake(found)
        from watling.cli.signals import stop_on_signals
        from watling.pipeline.replay import replay as again

        stop = stop_on_signals()
        line = output.Line()
        try:
            done = again(
                catalog,
                found,
                known,
                stream,
                reasons=reason,
                stop=stop.event,
                on_file=lambda now: line.show(f"{now.read:,} looked at · {now.landed:,} landed"),
            )
        finally:
            line.end()
        if json_:
            output.as_json(done.json())
        else:
            _tell(done)
        if stop.event.is_set():
            output.note("stopped before the end; run it again for the rest")
            raise typer.Exit(EXIT_INTERRUPTED)


def _tell(done: Replayed) -> None:
    if not done.read:
        output.say("There was nothing to replay.")
        return
    output.say(f"{done.read:,} looked at: {done.landed:,} landed (replay {done.replay_id}).")
    if done.already:
        output.say(f"{done.already:,} had been landed by a replay that was cut short; they are marked now.")
    for why, count in done.remaining.most_common():
        output.say(f"{count:,} stay: {why}")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return ", ".join(f"{h['key']}={_plain(h['value'])}" if isinstance(h, dict) else str(h) for h in value)
    return value if isinstance(value, str | type(None)) or hasattr(value, "isoformat") else str(value)
