"""Receives rows of a query; writes them as a table for people, JSON, CSV or Parquet."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

Format = Literal["table", "json", "csv", "parquet"]
BATCH_ROWS = 5_000
CELL_WIDTH = 60


def write(rows: pa.Table, form: Format, out: IO[bytes], width: int = 0) -> None:
    """Write all rows to a binary stream. `width` bounds the lines of `table` (0: not at all).

    `json` is one array of objects; times are ISO 8601 in UTC, NaN and infinity are null, bytes are text where they are
    UTF-8 and `{"base64": …}` elsewhere. `csv` has a header line, an empty field for null and JSON for nested values.
    """
    {"table": _table, "json": _json, "csv": _csv, "parquet": _parquet}[form](rows, out, width)


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, date | clock):
        return value.isoformat()
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, tuple):  # an entry of a map
        return [plain(v) for v in value]
    return str(value)


def _iso(value: datetime) -> str:
    moment = value.astimezone(UTC) if value.tzinfo is not None else value
    return moment.isoformat().replace("+00:00", "Z")


def _text(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _values(column: pa.ChunkedArray) -> list[Any]:
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):  # a time outside the years that Python knows, or with nanoseconds
        return list(column.cast(pa.string()).to_pylist())


def _rows(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    for batch in rows.to_batches(BATCH_ROWS):
        part = pa.Table.from_batches([batch])
        yield from zip(*(_values(c) for c in part.columns), strict=True)


def _keys(names: list[str]) -> list[str]:
    """Column names, repeated ones numbered: an object cannot hold the same key twice."""
    seen: dict[str, int] = {}
    keys = []
    for name in names:
        count = seen[name] = seen.get(name, 0) + 1
        keys.append(name if count == 1 else f"{name}_{count}")
    return keys


def _json(rows: pa.Table, out: IO[bytes], width: int) -> None:  # noqa: ARG001 - one signature for all
    keys = _keys(rows.column_names)
    out.write(b"[")
    for number, row in enumerate(_rows(rows)):
        entry = dict(zip(keys, (plain(v) for v in row), strict=True))
        out.write(
            (",\n " if number else "\n ").encode() + json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace")
        )
    out.write(b"\n]\n" if rows.num_rows else b"]\n")


def _csv(rows: pa.Table, out: IO[bytes], width: int) -> None:  # noqa: ARG001 - one signature for all
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(rows.column_names)
    for number, row in enumerate(_rows(rows), 1):
        writer.writerow([_field(v) for v in row])
        if number % BATCH_ROWS == 0:
            _flush(buffer, out)
    _flush(buffer, out)


def _flush(buffer: io.StringIO, out: IO[bytes]) -> None:
    out.write(buffer.getvalue().encode("utf-8", "replace"))
    buffer.seek(0)
    buffer.truncate()


def _field(value: Any) -> Any:
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _parquet(rows: pa.Table, out: IO[bytes], width: int) -> None:  # noqa: ARG001 - one signature for all
    pq.write_table(rows.rename_columns(_keys(rows.column_names)), out, compression="zstd")


def _table(rows: pa.Table, out: IO[bytes], width: int) -> None:
    if rows.column_names == ["explain_key", "explain_value"]:  # a drawing already
        out.write("".join(rows["explain_value"].to_pylist()).encode())
        return
    right = [pa.types.is_integer(f.type) or pa.types.is_floating(f.type) for f in rows.schema]
    cells = [[_cell(v) for v in row] for row in _rows(rows)]
    sizes = [
        max(len(name), *(len(row[i]) for row in cells)) if cells else len(name)
        for i, name in enumerate(rows.column_names)
    ]

    def line(values: list[str]) -> str:
        text = "  ".join(v.rjust(s) if r else v.ljust(s) for v, s, r in zip(values, sizes, right, strict=True)).rstrip()
        return text if width <= 0 or len(text) <= width else text[: width - 1] + "…"

    out.write((line(list(rows.column_names)) + "\n" + line(["─" * s for s in sizes]) + "\n").encode())
    for row in cells:
        out.write((line(row) + "\n").encode("utf-8", "replace"))


def _cell(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    if isinstance(value, timedelta):
        return str(value)
    value = plain(value)
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else str(value)
    text = "".join(c if c.isprintable() else "�" for c in text)
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 1] + "…"


FORMATS: tuple[Format, ...] = ("table", "json", "csv", "parquet")
"""Names of the formats, for the command line."""
