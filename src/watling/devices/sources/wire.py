"""Receives rows of an adapter; gives the wire's records: key, JSON bytes, and when each is due.

This is where a record gets its id and its (perhaps shifted) time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.devices.encode import encode, iso
from watling.devices.port import WIRE
from watling.devices.sources.ids import uuid5s
from watling.devices.sources.rows import DEVICE, DUE, ID, INTERNAL, ROW, TIME, UTC, VALUE, Rows

RETOLD = frozenset({"id", "timestamp", "time", "eventTime"})
"""Wire names of a record's id and time."""


@dataclass(frozen=True, slots=True)
class Play:
    """How a recording is played: microseconds added to event times and to due times, and which round it is.

    Event times that are shifted, and rounds after the first, give other ids: they are other events.
    """

    shift: int = 0
    due_shift: int = 0
    round: int = 0


def records(source: str, rows: Rows, play: Play) -> pa.Table:
    """Encode a batch. Gives a table of WIRE, row for row."""
    table = rows.table
    time = _moved(table.column(TIME).combine_chunks(), play.shift)
    due = _moved(table.column(DUE).combine_chunks(), play.due_shift)
    device = table.column(DEVICE).combine_chunks()
    if VALUE in table.column_names:
        value = table.column(VALUE)
        if play.shift or play.round:
            value = _retold(value.to_pylist(), _ids(source, rows, time, play), time)
        return pa.Table.from_arrays([device.cast(pa.binary()), value, due], schema=WIRE)
    fields = [i for i, name in enumerate(table.column_names) if name not in INTERNAL]
    schema = pa.schema([("id", pa.string()), ("timestamp", UTC), *(table.schema.field(i) for i in fields)])
    columns = [_ids(source, rows, time, play), time, *(table.column(i) for i in fields)]
    value = encode(pa.Table.from_arrays(columns, schema=schema))
    return pa.Table.from_arrays([device.cast(pa.binary()), value, due], schema=WIRE)


def _retold(values: list[bytes], ids: pa.Array, time: pa.Array) -> pa.Array:
    """Recorded objects with another id and time; all else stays."""
    told = []
    for value, known, stamp in zip(values, ids.to_pylist(), iso(time).to_pylist(), strict=True):
        rest = {k: v for k, v in json.loads(value).items() if k not in RETOLD}
        told.append(json.dumps({"id": known, "timestamp": stamp, **rest}, ensure_ascii=False).encode())
    return pa.array(told, pa.binary())


def _moved(times: pa.Array, micros: int) -> pa.Array:
    if not micros:
        return times
    return pa.array(np.asarray(times.cast(pa.int64())) + micros).cast(UTC)


def _ids(source: str, rows: Rows, time: pa.Array, play: Play) -> pa.Array:
    table = rows.table
    known = table.column(ID).combine_chunks() if ID in table.column_names else None
    if known is not None and not play.shift and not play.round and known.null_count == 0:
        return known
    micros = time.cast(pa.int64()).cast(pa.string())
    row = pc.fill_null(table.column(ROW).combine_chunks(), "")
    device = table.column(DEVICE).combine_chunks()
    if known is not None:
        row = pc.coalesce(known, row)
    names = pc.binary_join_element_wise(f"{source}|{rows.stream}", device, micros, row, str(play.round), "|")
    made = pa.array(uuid5s(names.to_pylist()), pa.string())
    return pc.coalesce(known, made) if known is not None and not play.shift and not play.round else made
