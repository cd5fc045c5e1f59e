"""Receives SQL and the lake's catalog; gives rows as Arrow to the command line and to the page.

DuckDB reads the Iceberg tables where they lie, on this machine or in S3, each under its stream's name. It can read
nothing else: no other file or address, no extension but those it came with, no setting. Every query is bounded in time,
rows and memory.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from watling.config import MIB, QueryConfig, Settings
from watling.lake.catalog import open_catalog
from watling.lake.errors import LakeUnreachable
from watling.lake.state import ancestors
from watling.lake.tables import load_table
from watling.query.errors import FileGone, QueryCancelled, QueryError, QueryTimeout
from watling.query.statement import Moment, missing_table, one_line, read_statement
from watling.query.stores import Place, named, open_places, place_of, quoted, readable

BATCH_ROWS = 20_000
WATCH_S = 0.05
_MISSING = re.compile(r"Table with name (.+?) does not exist")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may use. `max_bytes` bounds the rows that are kept, as Arrow."""

    timeout_s: float = 30.0
    max_rows: int = 1_000_000
    max_bytes: int = 512 * MIB

    @classmethod
    def of(cls, config: QueryConfig) -> Limits:
        """The limits of the settings."""
        return cls(config.timeout_s, config.max_rows, max(config.memory_mb // 2, 32) * MIB)


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a query. `cut`: there were more than the limits let through. `snapshots`: what was read, by table."""

    rows: pa.Table
    cut: bool
    seconds: float
    snapshots: Mapping[str, int | None]


class LakeSql:
    """SQL over one lake. Any number of threads may ask at once; they share its memory limit."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._lock = threading.Lock()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._places: frozenset[Place] = frozenset()
        self._running: dict[int, threading.Event] = {}

    def tables(self) -> list[str]:
        """Names of the tables there are.

        Raises:
            LakeUnreachable: the catalog does not answer.
        """
        try:
            return sorted(name[-1] for name in self._catalog.list_tables(self._settings.lake.namespace))
        except Exception as error:  # each kind of catalog has exceptions of its own
            raise LakeUnreachable(f"the lake's catalog does not answer: {type(error).__name__}: {error}") from error

    def execute(
        self,
        sql: str,
        limits: Limits | None = None,
        *,
        moment: Moment | None = None,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        cancel: threading.Event | None = None,
    ) -> Answer:
        """Run one reading statement.

        `moment` chooses the snapshot for all tables: by id (the other tables then as of that snapshot's time) or by
        time. `cancel`, once set, stops the query.

        Raises:
            QueryError: what is wrong with the query; QueryTimeout, QueryCancelled: it was stopped.
            LakeUnreachable: the catalog does not answer.
        """
        limits = limits or Limits.of(self._settings.query)
        begun = time.monotonic()
        stopped = cancel or threading.Event()
        for last in (False, True):
            try:
                return self._once(sql, limits, moment or Moment(), parameters, stopped, begun)
            except duckdb.Error as error:
                if last or not isinstance(error, duckdb.IOException):
                    raise self._explained(error, limits, stopped) from None
                # else a file that maintenance removed in between: once more on the tables as they are now
        raise AssertionError("not reached")

    def over(
        self,
        sql: str,
        tables: Iterable[Table],
        limits: Limits,
        parameters: Mapping[str, Any],
        cancel: threading.Event,
    ) -> Answer:
        """Run a statement of our own, which names the files of these tables itself, under the same bounds.

        Raises:
            FileGone: a file that the statement names is no longer there; the others as `execute`.
        """
        begun = time.monotonic()
        connection = self._cursor(tables)
        try:
            with self._watched(connection, begun + limits.timeout_s, cancel):
                rows, cut = _collect(connection.execute(sql, parameters), limits)
        except duckdb.Error as error:
            raise self._explained(error, limits, cancel) from None
        finally:
            connection.close()
        return Answer(rows, cut, time.monotonic() - begun, {})

    def _once(
        self,
        sql: str,
        limits: Limits,
        moment: Moment,
        parameters: Sequence[Any] | Mapping[str, Any] | None,
        stopped: threading.Event,
        begun: float,
    ) -> Answer:
        there = self.tables()
        statement = read_statement(sql, there)
        wanted = statement.tables | {table for table, _ in statement.moments.values()}
        loaded = self._load(wanted or frozenset(there))
        chosen = _resolve(loaded, moment)
        views = {name: (loaded[name], chosen[name]) for name in loaded if name in statement.tables or not wanted}
        for view, (name, own) in statement.moments.items():
            views[view] = (loaded[name], _resolve({name: loaded[name]}, own)[name])
        connection = self._cursor(loaded.values())
        try:
            with self._watched(connection, begun + limits.timeout_s, stopped):
                for view, (table, snapshot) in views.items():
                    connection.execute(_view(view, table, snapshot))
                rows, cut = _collect(connection.execute(statement.sql, parameters), limits)
        finally:
            connection.close()
        read = {view: snapshot.snapshot_id if snapshot else None for view, (_, snapshot) in views.items()}
        return Answer(rows, cut, time.monotonic() - begun, read)

    def interrupt(self) -> None:
        """Stop every query that runs now."""
        with self._lock:
            for stopped in self._running.values():
                stopped.set()

    def close(self) -> None:
        """Stop what runs and give the memory back."""
        self.interrupt()
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _explained(self, error: duckdb.Error, limits: Limits, stopped: threading.Event) -> QueryError:
        text = str(error)
        if isinstance(error, duckdb.InterruptException):
            if stopped.is_set():
                return QueryCancelled("the query was stopped")
            return QueryTimeout(
                f"the query took longer than {limits.timeout_s:g} s and was stopped. Read less (a time range on "
                "event_time skips files), or raise the limit with WATLING_QUERY__TIMEOUT_S.",
                timeout_s=limits.timeout_s,
            )
        if isinstance(error, duckdb.IOException):
            return FileGone(one_line(error))
        if isinstance(error, duckdb.CatalogException) and (match := _MISSING.search(text)):
            return missing_table(match[1], self.tables())
        if isinstance(error, duckdb.PermissionException):
            return QueryError("SQL here reads the lake's tables and nothing else: no other files, no network")
        if isinstance(error, duckdb.OutOfMemoryException):
            return QueryError(
                f"the query needs more than the {self._settings.query.memory_mb} MB it may use. "
                "Read less, or raise the limit with WATLING_QUERY__MEMORY_MB."
            )
        return QueryError(one_line(error))

    def _load(self, names: frozenset[str]) -> dict[str, Table]:
        loaded = {name: load_table(self._catalog, self._settings, name) for name in sorted(names)}
        return {name: table for name, table in loaded.items() if table is not None}

    def _cursor(self, tables: Iterable[Table]) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the locked database, which may read the places of these tables."""
        places = frozenset(place_of(table) for table in tables)
        with self._lock:
            if self._database is None or not places <= self._places:
                new = {place.folder for place in places}  # a catalog may hand out other keys for a folder in time
                self._places = places | {place for place in self._places if place.folder not in new}
                self._database = _locked(self._settings, self._places)  # the old one lives on in its cursors
            return self._database.cursor()

    @contextmanager
    def _watched(
        self, connection: duckdb.DuckDBPyConnection, deadline: float, stopped: threading.Event
    ) -> Iterator[None]:
        """Interrupt what runs on the connection once time is up or `stopped` is set."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(WATCH_S):
                if stopped.is_set() or time.monotonic() > deadline:
                    connection.interrupt()  # again and again: between two statements it has no effect

        watcher = threading.Thread(target=watch, name="query-watch", daemon=True)
        with self._lock:
            self._running[id(over)] = stopped
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            with self._lock:
                self._running.pop(id(over), None)


def open_lake(settings: Settings, catalog: Catalog | None = None) -> LakeSql:
    """SQL over the lake of these settings. Close it when done."""
    return LakeSql(settings, catalog or open_catalog(settings))


def _locked(settings: Settings, places: frozenset[Place]) -> duckdb.DuckDBPyConnection:
    """A database in memory that reads these places, and whose settings nothing can change any more."""
    config = settings.query
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",
            "threads": str(config.threads),
            "memory_limit": f"{config.memory_mb}MiB",
        }
    )
    open_places(connection, places)
    temporary = settings.home.resolve() / "tmp" / "query"
    temporary.mkdir(parents=True, exist_ok=True)
    for setting in (
        f"temp_directory = {quoted(str(temporary))}",
        f"max_temp_directory_size = '{4 * config.memory_mb}MiB'",
        "TimeZone = 'UTC'",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def _collect(result: Any, limits: Limits) -> tuple[pa.Table, bool]:
    """Rows up to the limits, and whether there were more."""
    reader = result.to_arrow_reader(BATCH_ROWS)
    batches: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in _read(reader):
        if rows + batch.num_rows > limits.max_rows:
            batches.append(batch.slice(0, limits.max_rows - rows))
            return pa.Table.from_batches(batches, reader.schema), True
        if size > limits.max_bytes:
            return pa.Table.from_batches(batches, reader.schema), True
        batches.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
    return pa.Table.from_batches(batches, reader.schema), False


def _read(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The reader's batches. What DuckDB raises between two of them comes through Arrow as OSError: here it is its own."""
    try:
        yield from reader
    except OSError as error:
        raise (duckdb.InterruptException if "INTERRUPT" in str(error) else duckdb.Error)(str(error)) from None


def _view(name: str, table: Table, snapshot: Snapshot | None) -> str:
    source = f"iceberg_scan({quoted(readable(table.metadata_location))}"
    if snapshot is not None:
        return f"CREATE TEMP VIEW {named(name)} AS FROM {source}, snapshot_from_id = {snapshot.snapshot_id}::UBIGINT)"
    return f"CREATE TEMP VIEW {named(name)} AS FROM {source}) LIMIT 0"


def _resolve(tables: Mapping[str, Table], moment: Moment) -> dict[str, Snapshot | None]:
    """Each table's snapshot at that moment; None: the table had none yet."""
    if moment.snapshot is not None:
        owner = {n: s for n, t in tables.items() if (s := t.snapshot_by_id(moment.snapshot)) is not None}
        if not owner:
            raise QueryError(
                f"no table of this query has a snapshot {moment.snapshot}: it never was, or it has expired. "
                "`watling lake info` lists the snapshots there are."
            )
        time_ms = next(iter(owner.values())).timestamp_ms
        return {n: owner.get(n) or _at(n, t, time_ms) for n, t in tables.items()}
    if moment.time is None:
        return {name: table.current_snapshot() for name, table in tables.items()}
    milliseconds = int(moment.time.timestamp() * 1000)
    return {name: _at(name, table, milliseconds) for name, table in tables.items()}


def _at(name: str, table: Table, milliseconds: int) -> Snapshot | None:
    """The newest snapshot at that time.

    Raises:
        QueryError: that snapshot has expired.
    """
    oldest = None
    for snapshot in ancestors(table):
        if snapshot.timestamp_ms <= milliseconds:
            return snapshot
        oldest = snapshot
    if oldest is not None and (oldest.sequence_number or 0) > 1:  # the first of a table has number 1
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(oldest.timestamp_ms / 1000))
        raise QueryError(f"table {name} no longer has a snapshot of that time: its oldest is of {when}")
    return None
