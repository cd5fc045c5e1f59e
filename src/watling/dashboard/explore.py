"""Receives SQL from the page; gives rows as JSON, or a CSV or Parquet file, read only and bounded as `watling sql` is.

The pool stops a query when its time is over or whoever asked has left.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from watling.config import MIB, Settings
from watling.contracts.model import PROVENANCE, Contract
from watling.dashboard.history.models import UNREADABLE
from watling.dashboard.history.pool import QueryPool
from watling.lake.tables import QUARANTINE, QUARANTINE_SCHEMA
from watling.query.formats import plain, write
from watling.query.sql import Answer, Limits

LONGEST_SQL = 100_000  # characters
MAX_ROWS = 10_000  # on the page; a file may have more
MAX_BYTES = 32 * MIB
MAX_CELL = 2_000  # characters of one value on the page; a file has all of it
EXACT = 2**53 - 1  # JavaScript counts no further: a larger number travels as text
ROWS_AT_ONCE = 200
OLD_FILE_S = 3600
MEDIA = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


class SqlQuestion(BaseModel):
    """One reading statement. `limit`: rows at most."""

    model_config = ConfigDict(extra="forbid")
    sql: Annotated[str, Field(min_length=1, max_length=LONGEST_SQL)]
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 1_000


class SqlExport(BaseModel):
    """One reading statement, answered as a file."""

    model_config = ConfigDict(extra="forbid")
    sql: Annotated[str, Field(min_length=1, max_length=LONGEST_SQL)]
    format: Literal["csv", "parquet"] = "csv"


def explore_routes(settings: Settings, contracts: Mapping[str, Contract], pool: QueryPool) -> APIRouter:
    """The routes under `/api/sql`."""
    routes = APIRouter(prefix="/api/sql", tags=["explore"])
    units = _units(contracts)
    errors: dict[int | str, dict[str, Any]] = {
        **UNREADABLE,
        422: {"description": "What is wrong with the query"},
        503: {"description": "No lake yet, or too many queries at once"},
        504: {"description": "Out of time"},
    }

    known = tables(contracts)

    @routes.get("/tables", summary="The tables that SQL may name, with their columns")
    def listed() -> list[dict[str, Any]]:
        return known

    @routes.post(
        "",
        summary="Rows of one reading statement",
        response_class=Response,
        responses={**errors, 200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
    )
    async def sql(question: SqlQuestion, request: Request) -> Response:
        whole = pool.limits(question.limit)
        limits = replace(whole, max_bytes=min(whole.max_bytes, MAX_BYTES))

        def work(cancel: threading.Event) -> bytes:
            return encoded(answered(pool.sql().execute(question.sql, limits, cancel=cancel), limits, units))

        return Response(await pool.run(request, work), media_type="application/json")

    @routes.post(
        "/export",
        summary="Rows of one reading statement as a file",
        response_class=FileResponse,
        responses={**errors, 200: {"content": {"text/csv": {}, MEDIA["parquet"]: {}}}},
    )
    async def export(question: SqlExport, request: Request) -> FileResponse:
        limits = pool.limits(settings.query.max_rows)

        def work(cancel: threading.Event) -> tuple[Path, bool]:
            answer = pool.sql().execute(question.sql, limits, cancel=cancel)
            return _file(settings, answer, question.format), answer.cut

        path, cut = await pool.run(request, work)
        name = time.strftime(f"watling-%Y%m%d-%H%M%S.{question.format}", time.gmtime())
        headers = {"x-watling-truncated": "true" if cut else "false", "cache-control": "no-store"}
        gone = BackgroundTask(path.unlink, missing_ok=True)
        return FileResponse(path, filename=name, media_type=MEDIA[question.format], headers=headers, background=gone)

    return routes


def tables(contracts: Mapping[str, Contract]) -> list[dict[str, Any]]:
    """[{name, description, columns: [{name, type, unit, description}]}]: a table a stream, and quarantine."""
    streams = [
        {
            "name": contract.name,
            "description": contract.description,
            "columns": [
                {"name": f.name, "type": f.type, "unit": f.unit, "description": f.description}
                for f in (*contract.fields, *PROVENANCE)
            ],
        }
        for contract in contracts.values()
    ]
    held = [
        {"name": f.name, "type": str(f.field_type), "unit": None, "description": f.doc or ""}
        for f in QUARANTINE_SCHEMA.fields
    ]
    about = "What did not fit its contract, with its bytes and the reason; released_at is set once replay landed it"
    return [*streams, {"name": QUARANTINE, "description": about, "columns": held}]


def answered(answer: Answer, limits: Limits, units: Mapping[str, str]) -> dict[str, Any]:
    """An answer as the page gets it: `columns` {name, type (Arrow's), unit}, `rows`, and what cut them, if anything."""
    names, types = answer.rows.column_names, answer.rows.schema.types
    columns = [_column(column) for column in answer.rows.columns]
    by = None if not answer.cut else "rows" if answer.rows.num_rows >= limits.max_rows else "bytes"
    return {
        "columns": [{"name": n, "type": str(t), "unit": units.get(n)} for n, t in zip(names, types, strict=True)],
        "rows": [list(row) for row in zip(*columns, strict=True)],
        "truncated": answer.cut,
        "cut_by": by,
        "seconds": round(answer.seconds, 3),
        "limits": {"rows": limits.max_rows, "bytes": limits.max_bytes, "seconds": limits.timeout_s},
        "snapshots": {name: None if number is None else str(number) for name, number in answer.snapshots.items()},
    }


def encoded(body: dict[str, Any]) -> bytes:
    """The body as JSON, in the query's own thread and some rows at a time: one long encoding would hold the interpreter,
    and with it the live frames of everybody."""
    rows = body["rows"]
    parts = [
        json.dumps(rows[i : i + ROWS_AT_ONCE], ensure_ascii=False, allow_nan=False)[1:-1]
        for i in range(0, len(rows), ROWS_AT_ONCE)
    ]
    head = json.dumps({key: value for key, value in body.items() if key != "rows"}, ensure_ascii=False)
    return f'{head[:-1]}, "rows": [{", ".join(parts)}]}}'.encode("utf-8", "replace")


def _column(column: pa.ChunkedArray) -> list[Any]:
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError):  # a time outside the years that Python knows, or with nanoseconds
        values = column.cast(pa.string()).to_pylist()
    return [cell(value) for value in values]


def cell(value: Any) -> Any:
    """A value as the page can hold it: whole numbers beyond 2⁵³ as text, long texts cut."""
    value = plain(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT:
        return str(value)
    if isinstance(value, dict) and value.keys() == {"base64"}:  # bytes that are no text
        value = f"base64:{value['base64']}"
    if isinstance(value, str) and len(value) > MAX_CELL:
        return f"{value[:MAX_CELL]}… ({len(value):,} characters; a file has all of them)"
    return value


def _units(contracts: Mapping[str, Contract]) -> dict[str, str]:
    """{column: unit} of the columns that have the same unit wherever they stand."""
    found: dict[str, set[str | None]] = {}
    for contract in contracts.values():
        for field in contract.fields:
            found.setdefault(field.name, set()).add(field.unit)
    return {name: unit for name, units in found.items() if len(units) == 1 and (unit := next(iter(units)))}


def _file(settings: Settings, answer: Answer, form: Literal["csv", "parquet"]) -> Path:
    """The answer as a file under the home's `tmp/`. Those that an ended page left are removed on the way."""
    folder = settings.home.resolve() / "tmp" / "export"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if time.time() - old.stat().st_mtime > OLD_FILE_S:
            old.unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=f".{form}", delete=False) as file:
        try:
            write(answer.rows, form, file)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return Path(file.name)
