"""Receives `watling lake …`; keeps the tables small and quick, and tells how large they are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import contracts, open_lake, settings
from watling.errors import EXIT_INTERRUPTED, UsageError

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from watling.lake.maintain import TableMaintained

JSON = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
SNAPSHOTS_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name="lake", help="The Iceberg tables: maintain, info.")

    @group.command(
        epilog=examples(
            ("watling lake maintain", "the pipeline does this by itself; this is all of it, now"),
            ("WATLING_LAKE__SNAPSHOT_AGE_HOURS=1 watling lake maintain", "keep less of the past"),
        )
    )
    def maintain(
        context: typer.Context,
        orphans: Annotated[bool, typer.Option("--orphans/--no-orphans", help="Also remove files that no snapshot names.")] = True,
        orphan_age: Annotated[str | None, typer.Option(help="Only those older than this. Default: lake.orphan_age_hours.", metavar="TIME")] = None,
        json_: JSON = False,
    ) -> None:  # fmt: skip
        """Compact small files, expire old snapshots, remove orphans. May run beside the pipeline; no row changes."""
        from watling.cli.values import duration

        age = {"orphan_age_hours": duration(orphan_age, "--orphan-age") / 3600} if orphan_age else {}
        found = settings(context, **({"lake": age} if age else {}))
        known = contracts(found)
        catalog = open_lake(found)
        from watling.cli.signals import stop_on_signals
        from watling.lake.maintain import maintain as work

        stop = stop_on_signals()
        done = work(catalog, found, known, orphans=orphans, stop=stop.event, on_table=None if json_ else _tell)
        if json_:
            output.as_json(done.as_dict())
        elif done.objects:
            output.say(f"{done.objects:,} pictures removed")
        if stop.event.is_set():
            raise typer.Exit(EXIT_INTERRUPTED)

    @group.command(
        epilog=examples(
            ("watling lake info", "rows, files, bytes and snapshots of each table"),
            ("watling lake info vehicle", "its snapshots, for --snapshot of `watling sql`"),
            ("watling lake info --json", "also where each table's newest metadata lies, for Spark, Trino or Polars"),
        )
    )
    def info(
        context: typer.Context,
        table: Annotated[str | None, typer.Argument(metavar="[TABLE]", help="A stream's name, or quarantine.")] = None,
        json_: JSON = False,
    ) -> None:
        """How large the tables are, and what snapshots they have."""
        found = settings(context)
        known = contracts(found)
        catalog = open_lake(found)
        from watling.lake.tables import QUARANTINE, load_table

        names = [*known, QUARANTINE]
        if table is not None and table not in names:
            raise UsageError(f"no such table: {table}. There are: {', '.join(names)}")
        tables = {n: t for n in ([table] if table else names) if (t := load_table(catalog, found, n)) is not None}
        if json_:
            output.as_json({name: about(t, snapshots=table is not None) for name, t in tables.items()})
        elif table is None:
            bodies = [about(t) for t in tables.values()]
            rows = [
                [n, b["rows"], b["files"], output.size(b["bytes"]), b["snapshots"], b["newest"], b["location"]]
                for n, b in zip(tables, bodies, strict=True)
            ]
            output.table(["table", "rows", "data files", "size", "snapshots", "newest", "location"], rows)
        elif table in tables:
            _show_snapshots(tables[table])
        else:
            output.say(f"{table} has no table yet: it is made at its stream's first run.")


def _tell(name: str, done: TableMaintained) -> None:
    what = []
    if done.compacted.files_before:
        what.append(f"{done.compacted.files_before:,} files became {done.compacted.files_after:,}")
    if done.expired.snapshots:
        what.append(f"{done.expired.snapshots:,} snapshots expired")
    if removed := done.expired.files + done.orphans:
        what.append(f"{removed:,} files removed")
    output.say(f"{name}: {', '.join(what) or 'nothing to do'} ({done.seconds:.1f} s)")


def about(table: Table, *, snapshots: bool = False) -> dict[str, Any]:
    """A table's size, from its newest snapshot's summary; with `snapshots` all that are kept."""
    current = table.current_snapshot()
    body: dict[str, Any] = {
        "rows": _total(current, "total-records"),
        "files": _total(current, "total-data-files"),
        "bytes": _total(current, "total-files-size"),
        "snapshots": len(table.metadata.snapshots),
        "newest": _time(current.timestamp_ms) if current else None,
        "location": table.location(),
        "metadata": table.metadata_location,
    }
    if snapshots:
        body["snapshots"] = [_snapshot(s) for s in _newest_first(table)]
    return body


def _show_snapshots(table: Table) -> None:
    body = about(table)
    output.say(f"{body['rows']:,} rows in {body['files']:,} files, {output.size(body['bytes'])}")
    output.say(f"newest metadata: {body['metadata']}")
    output.say()
    every = [_snapshot(s) for s in _newest_first(table)]
    rows = [[str(s["id"]), s["time"], s["operation"], s["added"], s["rows"]] for s in every[:SNAPSHOTS_SHOWN]]
    output.table(["snapshot", "time", "operation", "rows added", "rows"], rows)
    if len(every) > SNAPSHOTS_SHOWN:
        output.note(f"… {len(every) - SNAPSHOTS_SHOWN:,} older ones; --json has all of them")


def _newest_first(table: Table) -> list[Any]:
    return sorted(table.metadata.snapshots, key=lambda s: -s.timestamp_ms)


def _snapshot(snapshot: Any) -> dict[str, Any]:
    operation = snapshot.summary.operation.value if snapshot.summary is not None else None
    return {
        "id": snapshot.snapshot_id,
        "time": _time(snapshot.timestamp_ms),
        "operation": operation,
        "added": _total(snapshot, "added-records"),
        "rows": _total(snapshot, "total-records"),
    }


def _total(snapshot: Any, key: str) -> int:
    return int(snapshot.summary.get(key, 0) or 0) if snapshot is not None and snapshot.summary is not None else 0


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
