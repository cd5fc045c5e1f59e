"""Receives `watling sql`; asks the lake and writes the rows in the form that was asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, cast

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import open_lake, settings
from watling.cli.values import duration, moment
from watling.errors import UsageError

if TYPE_CHECKING:
    from watling.query.formats import Format
    from watling.query.sql import Answer

FORMATS = "table, json, csv, parquet"
LONGEST_QUERY = 1_000_000  # characters


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            (
                'watling sql "select make, round(avg(speed_kmh), 1) from vehicle group by 1"',
                "tables are called as the streams",
            ),
            ('watling sql "select reason, count(*) from quarantine group by 1" --format json', "an array of objects"),
            ('watling sql "from gps" --format parquet --out gps.parquet', "a file"),
            ('watling sql "select count(*) from vehicle" --as-of 2026-05-04T08:00:00', "as it was then"),
            ('watling sql "select count(*) from vehicle at (version => 123)"', "one snapshot of one table"),
            ("watling sql - < report.sql", "the query from a file"),
        )
    )
    def sql(
        context: typer.Context,
        query: Annotated[str, typer.Argument(metavar="QUERY", help="One reading statement; - reads it from stdin.")],
        format_: Annotated[str, typer.Option("--format", help=f"One of: {FORMATS}.", metavar="FORMAT")] = "table",
        out: Annotated[Path | None, typer.Option(help="Write it there instead of to stdout.", metavar="FILE")] = None,
        as_of: Annotated[str | None, typer.Option(help="All tables as they were at that time.", metavar="TIME")] = None,
        snapshot: Annotated[int | None, typer.Option(help="All tables as of that snapshot of one of them.", metavar="ID")] = None,
        max_rows: Annotated[int | None, typer.Option(help="At most so many rows. Default: query.max_rows.", metavar="N")] = None,
        timeout: Annotated[str | None, typer.Option(help="Stop it after that. Default: query.timeout_s.", metavar="TIME")] = None,
    ) -> None:  # fmt: skip
        """Ask the lake in SQL (DuckDB's), reading only, with limits of rows, time and memory."""
        limits = {
            **({"max_rows": max_rows} if max_rows is not None else {}),
            **({"timeout_s": duration(timeout, "--timeout")} if timeout else {}),
        }
        found = settings(context, **({"query": limits} if limits else {}))
        form = _form(format_, out)
        text = _text(query)
        catalog = open_lake(found)
        from watling.query import formats
        from watling.query import sql as room
        from watling.query.statement import Moment

        if as_of is not None and snapshot is not None:
            raise UsageError("give --as-of or --snapshot, not both")
        lake = room.open_lake(found, catalog)
        try:
            answer = lake.execute(text, moment=Moment(snapshot, moment(as_of, "--as-of") if as_of else None))
        finally:
            lake.close()
        if out is None:
            width = os.get_terminal_size().columns if output.is_terminal() else 0
            sys.stdout.flush()
            formats.write(answer.rows, form, sys.stdout.buffer, width)
            sys.stdout.buffer.flush()
        else:
            _write(out, lambda file: formats.write(answer.rows, form, file))
        _remark(answer, form, found.query.max_rows)


def _form(text: str, out: Path | None) -> Format:
    from watling.query.formats import FORMATS as known

    if text not in known:
        raise UsageError(f"there is no format {text!r}: one of {FORMATS}")
    if text == "parquet" and out is None and output.is_terminal():
        raise UsageError("Parquet is no text for a terminal: give --out FILE, or send it into a pipe")
    return text


def _text(query: str) -> str:
    if query != "-":
        return query
    text = sys.stdin.read(LONGEST_QUERY + 1)
    if len(text) > LONGEST_QUERY:
        raise UsageError(f"a query of more than {LONGEST_QUERY:,} characters is not read")
    return text


def _write(path: Path, write: object) -> None:
    assert callable(write)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(cast("IO[bytes]", file))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _remark(answer: Answer, form: Format, max_rows: int) -> None:
    rows = answer.rows.num_rows
    if answer.cut:
        output.note(f"cut at {rows:,} rows: there are more. Raise --max-rows (now {max_rows:,}), or aggregate.")
    elif form == "table":
        output.note(f"{rows:,} row{'' if rows == 1 else 's'} in {answer.seconds:.2f} s")
