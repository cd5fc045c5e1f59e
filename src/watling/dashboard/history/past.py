"""Receives SQL over streams and a filter from the routes; gives rows of the lake, of the files that the filter may touch.

Each stream that the SQL names becomes a common table expression over the Parquet files whose bounds meet the time range,
read by Iceberg field id, with the filter as its condition. Values are bound, paths come from the lake's metadata.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from watling.config import Settings
from watling.contracts.model import PROVENANCE, Contract, Field
from watling.dashboard.history.filter import Filter, condition
from watling.dashboard.history.held import Held, HeldFile, Shelf
from watling.dashboard.history.pool import QueryPool
from watling.query.errors import FileGone
from watling.query.sql import Answer
from watling.query.stores import named, quoted, readable

SQL_TYPES = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "long": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
}
_PARAMETER = re.compile(r"\$([a-z_][a-z0-9_]*)")


class Past:
    """The lake as the page's history routes ask it. Its methods run in the pool's threads."""

    def __init__(self, settings: Settings, contracts: Mapping[str, Contract], pool: QueryPool) -> None:
        self.contracts = dict(contracts)
        self.pool = pool
        self._shelf = Shelf(settings)

    def held(self, stream: str, *, anew: bool = False) -> Held:
        """What the lake holds of the stream.

        Raises:
            LakeUnreachable: there is no lake yet, or it does not answer.
        """
        return self._shelf.look(self.pool.catalog(), self.contracts[stream], anew=anew)

    def marks(self, streams: Sequence[str], wanted: Filter | None) -> Hashable:
        """What an answer depends on besides its question. Stays while commits touch other times only."""
        return tuple(self._mark(self.held(s), wanted) for s in streams)

    @staticmethod
    def _mark(held: Held, wanted: Filter | None) -> Hashable:
        if held.deletes or wanted is None:
            return held.snapshot_id
        return frozenset(f.location for f in held.during(*wanted.range_us))

    def ask(
        self,
        sql: str,
        streams: Sequence[str],
        wanted: Filter | None,
        cancel: threading.Event,
        *,
        max_rows: int,
        values: Mapping[str, Any] | None = None,
        among: Callable[[HeldFile], bool] | None = None,
        all_of_it: bool = False,
    ) -> Answer:
        """Run a SELECT over the streams, each under its name. `values` are its own `$parameters`. A stream that the
        filter cannot speak of is empty; without a filter all rows are meant. `among` leaves out files. `all_of_it`: the
        SELECT reads every row rather than the newest few, so the time of rows need not be looked at in files that lie
        in the range as a whole; without a filter it may tell rows apart by `filename`.

        Raises:
            QueryError: the SQL does not fit; QueryTimeout, QueryCancelled; LakeUnreachable.
        """
        for last in (False, True):
            held = {s: self.held(s, anew=last) for s in streams}
            views, bound = [], dict(values or {})
            for stream, one in held.items():
                text, more = source(one, wanted, among, all_of_it)
                views.append(f"{named(stream)} AS NOT MATERIALIZED ({text})")
                bound |= more
            whole = f"WITH {', '.join(views)} FROM ({sql})"
            used = set(_PARAMETER.findall(whole))
            try:
                return self.pool.sql().over(
                    whole,
                    [h.table for h in held.values() if h.table is not None],
                    self.pool.limits(max_rows),
                    {k: v for k, v in bound.items() if k in used},
                    cancel,
                )
            except FileGone:
                if last:
                    raise
        raise AssertionError("not reached")


def source(
    held: Held, wanted: Filter | None, among: Callable[[HeldFile], bool] | None = None, all_of_it: bool = False
) -> tuple[str, dict[str, Any]]:
    """(SELECT over the stream's rows that are meant, the values of its parameters)."""
    contract = held.contract
    found = condition(wanted, contract) if wanted is not None else None
    by_file = wanted is None and all_of_it
    if held.table is None or held.snapshot is None or (wanted is not None and found is None):
        return _empty(contract, by_file), {}
    files: Sequence[HeldFile] = held.files if wanted is None else held.during(*wanted.range_us)
    files = [f for f in files if among is None or among(f)]
    if not files or (held.deletes and by_file):
        return _empty(contract, by_file), {}
    where = f" WHERE {found.sql}" if found is not None else ""
    values = dict(found.values) if found is not None else {}
    if held.deletes:
        location = quoted(readable(held.table.metadata_location))
        return f"FROM iceberg_scan({location}, snapshot_from_id = {held.snapshot.snapshot_id}::UBIGINT){where}", values
    name = "files_" + re.sub(r"[^a-z0-9_]", "_", contract.name.lower())
    what = "SELECT *, filename" if by_file else "SELECT *"
    parts = [(name, files, where)]
    if all_of_it and wanted is not None and wanted.by_time_alone:
        inside = [f for f in files if f.within(*wanted.range_us)]
        edge = [f for f in files if not f.within(*wanted.range_us)]
        parts = [(f"{name}_inside", inside, ""), (name, edge, where)]
    texts = []
    for parameter, some, condition_ in parts:
        if some:
            values[parameter] = [readable(f.location) for f in some]
            texts.append(f"({what} FROM read_parquet(${parameter}, schema = {_schema(held)}){condition_})")
    return "FROM (" + " UNION ALL ".join(texts) + ")", values


def columns(contract: Contract) -> tuple[Field, ...]:
    """All columns of the stream's table."""
    return (*contract.fields, *PROVENANCE)


def _schema(held: Held) -> str:
    """DuckDB's `schema` of read_parquet: columns by Iceberg field id, null in files that are older than the column."""
    assert held.table is not None
    ids = {f.name: f.field_id for f in held.table.schema().fields}
    entries = [
        f"{ids.get(f.name, f.field_id)}: {{name: {quoted(f.name)}, type: '{SQL_TYPES[f.type]}', default_value: NULL}}"
        for f in columns(held.contract)
        if f.name in ids or f.field_id not in ids.values()
    ]
    return f"MAP {{{', '.join(entries)}}}"


def _empty(contract: Contract, by_file: bool) -> str:
    nulls = ", ".join(f"NULL::{SQL_TYPES[f.type]} AS {named(f.name)}" for f in columns(contract))
    return f"SELECT {nulls}{', NULL::VARCHAR AS filename' if by_file else ''} LIMIT 0"
