"""Receives a tile and a filter; gives the tile's rows from the lake, and how old and how complete they are."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pyarrow as pa

from watling.dashboard.history.filter import Filter, condition
from watling.dashboard.history.held import HeldFile
from watling.dashboard.history.models import Column, ColumnKind, TileAnswer
from watling.dashboard.history.past import Past
from watling.dashboard.history.tiles import EACH, Tile
from watling.query.formats import plain
from watling.query.sql import Answer
from watling.query.stores import named, readable

MAX_ROWS = 2_000
BUCKETS = 120
LATE_S = 60
COVERS_KEPT = 512
FILES_KEPT = 50_000
BACK_MS = (300_000, 3_600_000)
WIDTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 10800, 21600, 43200, 86400, 604800)


@dataclass(frozen=True, slots=True)
class Cover:
    """Rows of a stream that a filter lets through, the newest event time (ms) among them, and how many were late."""

    rows: int = 0
    newest_ms: int | None = None
    late: int = 0


@dataclass(slots=True)
class _Cell:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Cover | None = None


class Covers:
    """What each filter covers of each stream, asked of the lake once. Safe to use from several threads."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._lock = threading.Lock()
        self._cells: OrderedDict[Hashable, _Cell] = OrderedDict()
        self._files: OrderedDict[str, Cover] = OrderedDict()

    def of(self, stream: str, wanted: Filter, cancel: threading.Event) -> Cover:
        """The cover of one stream."""
        key = (stream, wanted, self._past.marks([stream], wanted))
        with self._lock:
            cell = self._cells.setdefault(key, _Cell())
            self._cells.move_to_end(key)
            while len(self._cells) > COVERS_KEPT:
                self._cells.popitem(last=False)
        with cell.lock:  # held for one query at most, which has a limit of its own
            if cell.value is None:
                cell.value = self._asked(stream, wanted, cancel)
            return cell.value

    def _asked(self, stream: str, wanted: Filter, cancel: threading.Event) -> Cover:
        """Files that lie in the range as a whole are counted once for all: nobody writes to a file again."""
        held = self._past.held(stream)
        inside = [f for f in held.files if f.within(*wanted.range_us)]
        means = condition(wanted, held.contract) is not None
        if not means or not inside or held.deletes or not wanted.by_time_alone:
            return _summed(self._counted(stream, wanted, cancel).values())
        found = {f.location: known for f in inside if (known := self._files.get(f.location)) is not None}
        if missing := {f.location for f in inside} - found.keys():
            counted = self._counted(stream, None, cancel, lambda f: f.location in missing)
            if counted.keys() != {readable(location) for location in missing}:  # merged away in between
                return _summed(self._counted(stream, wanted, cancel).values())
            found |= {location: counted[readable(location)] for location in missing}
        with self._lock:
            self._files |= found
            for location in found:
                self._files.move_to_end(location)
            while len(self._files) > FILES_KEPT:
                self._files.popitem(last=False)
        edge = self._counted(stream, wanted, cancel, lambda f: not f.within(*wanted.range_us))
        return _summed([*found.values(), *edge.values()])

    def _counted(
        self,
        stream: str,
        wanted: Filter | None,
        cancel: threading.Event,
        among: Callable[[HeldFile], bool] | None = None,
    ) -> dict[str, Cover]:
        """What the files hold: in one under the filter, each for itself, by its path, without."""
        event = named(self._past.contracts[stream].time_column)
        sql = (
            f"SELECT {'filename' if wanted is None else repr('')} AS file, "  # noqa: S608 - names of contracts
            f"count(*) AS n, epoch_ms(max({event})) AS newest, "
            f"count(*) FILTER (WHERE epoch_us(_ingested_at) - epoch_us({event}) > {LATE_S * 1_000_000}) AS late "
            f"FROM {named(stream)} GROUP BY 1"
        )
        rows = self._past.ask(sql, [stream], wanted, cancel, max_rows=FILES_KEPT, among=among, all_of_it=True).rows
        return {r["file"]: Cover(r["n"], r["newest"], r["late"]) for r in rows.to_pylist()}


def _summed(covers: Iterable[Cover]) -> Cover:
    parts = list(covers)
    return Cover(
        sum(c.rows for c in parts),
        max((c.newest_ms for c in parts if c.newest_ms is not None), default=None),
        sum(c.late for c in parts),
    )


class TileAnswers:
    """Answers tiles over one lake. Its methods run in the pool's threads."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self.covers = Covers(past)

    def answer(self, tile: Tile, wanted: Filter, cancel: threading.Event) -> TileAnswer:
        """The tile's rows under the filter; `committed_ms` is left open.

        Raises:
            QueryError: the tile's SQL does not fit the lake, or a limit was met.
        """
        begun = time.monotonic()
        streams = tile.reads(tuple(self._past.contracts))
        fitting = [s for s in streams if condition(wanted, self._past.contracts[s]) is not None]
        if not fitting:
            return _nothing(time.monotonic() - begun)
        values = {"bucket": bucket(wanted)}
        rows: pa.Table | None = None
        cut = False
        for asked, more in [([s], {"stream": s}) for s in fitting] if tile.each else [(list(streams), {})]:
            sql = tile.sql if not tile.each else f"WITH {EACH} AS (FROM {named(asked[0])}) FROM ({tile.sql})"
            got = self._rows(tile, sql, asked, wanted, cancel, {**values, **more})
            rows = got.rows if rows is None else pa.concat_tables([rows, got.rows], promote_options="permissive")
            cut = cut or got.cut or rows.num_rows > MAX_ROWS
        assert rows is not None
        covers = [self.covers.of(s, wanted, cancel) for s in fitting]
        return TileAnswer(
            columns=self._columns(tile, rows.schema, streams),
            rows=cells(rows.slice(0, MAX_ROWS)),
            cut=cut,
            as_of_ms=max((c.newest_ms for c in covers if c.newest_ms is not None), default=None),
            committed_ms=None,
            rows_seen=sum(c.rows for c in covers),
            late=sum(c.late for c in covers),
            seconds=round(time.monotonic() - begun, 4),
            streams=fitting,
            applies=True,
        )

    def _rows(
        self, tile: Tile, sql: str, streams: list[str], wanted: Filter, cancel: threading.Event, values: dict[str, Any]
    ) -> Answer:
        """The tile's rows. Those that it takes from the end of the range are looked for there first."""
        for back_ms in BACK_MS if tile.newest is not None else ():
            newest = max((t for s in streams if (t := self._past.held(s).extent()[1]) is not None), default=0)
            end = min(wanted.end_ms, newest + 1)
            if end - back_ms <= wanted.start_ms:
                break
            late = wanted.during(end - back_ms, wanted.end_ms)
            got = self._past.ask(sql, streams, late, cancel, max_rows=MAX_ROWS, values=values)
            if tile.newest is not None and got.rows.num_rows >= tile.newest:
                return got
        every = tile.newest is None
        return self._past.ask(sql, streams, wanted, cancel, max_rows=MAX_ROWS, values=values, all_of_it=every)

    def _columns(self, tile: Tile, schema: pa.Schema, streams: tuple[str, ...]) -> list[Column]:
        units = {f.name: f.unit for s in streams for f in self._past.contracts[s].fields}
        return [Column(name=f.name, type=kind(f.type), unit=tile.units.get(f.name, units.get(f.name))) for f in schema]


def bucket(wanted: Filter) -> timedelta:
    """A round width of time of which BUCKETS or fewer fill the range."""
    seconds = (wanted.end_ms - wanted.start_ms) / 1000
    return timedelta(seconds=next((w for w in WIDTHS_S if seconds / w <= BUCKETS), WIDTHS_S[-1]))


def kind(type_: pa.DataType) -> ColumnKind:
    """How the page treats a column of this type."""
    if pa.types.is_timestamp(type_):
        return "time"
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "number"
    return "text"


def cells(rows: pa.Table) -> list[list[Any]]:
    """Rows as JSON can hold them, times in ms since 1970."""
    columns = []
    for column in rows.columns:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
        columns.append([plain(v) for v in column.to_pylist()])
    return [list(row) for row in zip(*columns, strict=True)]


def _nothing(seconds: float) -> TileAnswer:
    return TileAnswer(
        columns=[],
        rows=[],
        cut=False,
        as_of_ms=None,
        committed_ms=None,
        rows_seen=0,
        late=None,
        seconds=round(seconds, 4),
        streams=[],
        applies=False,
    )
