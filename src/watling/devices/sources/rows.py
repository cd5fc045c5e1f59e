"""Receives nothing; gives adapters and the replay the shape of what passes between them.

An adapter turns one file into `Rows`: wire fields of one stream, not yet encoded, each with its event time, the time at
which it became known, its device and what tells it apart from others of that device and time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from watling.devices.sources.faults import Faults
from watling.errors import UsageError

if TYPE_CHECKING:
    from watling.devices.sources.files import Member

UTC = pa.timestamp("us", tz="UTC")

TIME = "_time"  # event time: goes into the record as `timestamp`
DUE = "_due"  # when the record became known: orders and paces the replay
DEVICE = "_device"  # string: the Kafka key, and part of the record's id
ROW = "_row"  # string or null: what tells records of one device and time apart
ID = "_id"  # optional column, string or null: the id that the recording itself gives
VALUE = "_value"  # optional column, binary: the record's bytes as recorded, sent unless time or round differ

META = pa.schema([(TIME, UTC), (DUE, UTC), (DEVICE, pa.string()), (ROW, pa.string())])
"""The columns every `Rows.table` has beside the wire fields. `_time`, `_due` and `_device` are never null."""

SAME = "_same"  # optional column, string: equal while a polled entity has not changed; else the record's id is taken
INTERNAL = frozenset({TIME, DUE, DEVICE, ROW, ID, VALUE, SAME})

JSON = {b"watling.json": b"1"}
"""Metadata of a string column whose texts are JSON values already."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch of one stream. `table` has the columns of META, then one column a wire field (null: left out)."""

    stream: str
    table: pa.Table


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may say about a source.

    `timezone` is the zone of times that carry none (each adapter has its own default), `trim_ends` metres around the
    first and last point of a trip, `extra` further settings by name, as texts (`cameras`, `sites`, `stops`, `device`, …).
    """

    map: Path | None = None
    trim_ends: float | None = None
    timezone: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


class SourceError(UsageError):
    """A source, its paths or its options cannot be used."""


Read = Callable[["Member", Options, Faults], Iterator[Rows]]
"""Reads one file. Batches come in the file's order and hold at most some 16,384 rows each."""


def rows(
    stream: str,
    fields: Mapping[str, Any],
    *,
    time: pa.Array,
    device: pa.Array,
    row: pa.Array | None = None,
    due: pa.Array | None = None,
) -> Rows:
    """Put a batch together from wire fields (arrays, or a pair of array and field metadata) and its meta columns."""
    n = len(time)
    names = [pa.field(TIME, UTC), pa.field(DUE, UTC), pa.field(DEVICE, pa.string()), pa.field(ROW, pa.string())]
    arrays = [
        time.cast(UTC),
        (time if due is None else due).cast(UTC),
        device.cast(pa.string()),
        pa.nulls(n, pa.string()) if row is None else row.cast(pa.string()),
    ]
    for name, value in fields.items():
        if value is None:
            continue
        array, metadata = value if isinstance(value, tuple) else (value, None)
        names.append(pa.field(name, array.type, metadata=metadata))
        arrays.append(array)
    return Rows(stream, pa.Table.from_arrays(arrays, schema=pa.schema(names)))
