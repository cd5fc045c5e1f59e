"""Receives the quarantine table; gives what is in it: counts by reason, single records, and files to replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from watling.config import Settings
from watling.errors import UsageError
from watling.lake.read import equal, every, read
from watling.lake.tables import QUARANTINE, load_table


@dataclass(frozen=True, slots=True)
class Group:
    """Records of one stream that share reason and field, and are not released."""

    stream: str
    reason: str
    field: str | None
    count: int
    newest: datetime
    sample: str  # `stream/generation/partition/offset` of the newest
    message: str | None


def list_groups(catalog: Catalog, settings: Settings, stream: str | None = None) -> list[Group]:
    """What is in quarantine, the largest groups first."""
    table = load_table(catalog, settings, QUARANTINE)
    if table is None or table.current_snapshot() is None:
        return []
    condition = equal("stream", stream) if stream else None
    columns = ["stream", "reason", "field", "record_time", "_kafka_generation", "_kafka_partition", "_kafka_offset"]
    groups: dict[tuple[str, str, str | None], tuple[int, dict[str, Any]]] = {}
    for batch in read(table, [*columns, "message", "released_at"], condition):
        open_ = pa.Table.from_batches([batch]).filter(pc.is_null(batch.column("released_at")))
        if open_.num_rows == 0:
            continue
        keys = ["stream", "reason", "field"]
        indexed = open_.append_column("_row", pa.array(range(open_.num_rows))).sort_by("record_time")
        for row in (
            indexed.group_by(keys, use_threads=False).aggregate([("_row", "count"), ("_row", "last")]).to_pylist()
        ):
            newest = open_.slice(row["_row_last"], 1).to_pylist()[0]
            key = (row["stream"], row["reason"], row["field"])
            count, known = groups.get(key, (0, newest))
            groups[key] = (count + row["_row_count"], max(known, newest, key=lambda r: r["record_time"]))
    found = [
        Group(stream_, reason, field, count, newest["record_time"], name_of(newest), newest["message"])
        for (stream_, reason, field), (count, newest) in groups.items()
    ]
    return sorted(found, key=lambda g: (-g.count, g.stream, g.reason))


def name_of(row: Mapping[str, Any]) -> str:
    """How a quarantined record is called: `stream/generation/partition/offset`."""
    return f"{row['stream']}/{row['_kafka_generation']}/{row['_kafka_partition']}/{row['_kafka_offset']}"


def parse_name(name: str) -> BooleanExpression:
    """The condition for one record.

    Raises:
        UsageError: not of the form `stream/generation/partition/offset`.
    """
    parts = name.split("/")
    if len(parts) != 4 or not all(p.isdecimal() for p in parts[1:]):
        raise UsageError(
            f"{name!r} is not a quarantined record's name: it looks like vehicle/0/3/1234 (stream, generation, partition, offset)"
        )
    return every(
        equal("stream", parts[0]),
        equal("_kafka_generation", int(parts[1])),
        equal("_kafka_partition", int(parts[2])),
        equal("_kafka_offset", int(parts[3])),
    )


def show(catalog: Catalog, settings: Settings, name: str) -> dict[str, Any]:
    """One record with everything known of it; `raw` and header values are bytes.

    Raises:
        UsageError: there is no such record.
    """
    condition = parse_name(name)
    table = load_table(catalog, settings, QUARANTINE)
    if table is not None and table.current_snapshot() is not None:
        for batch in table.scan(row_filter=condition).to_arrow_batch_reader():
            for row in batch.to_pylist():
                return dict(row)
    raise UsageError(f"no record {name} in quarantine. `watling quarantine list` names a sample of each kind")


def files_of(table: Table, stream: str) -> Iterator[tuple[DataFile, pa.Table]]:
    """Each data file of the stream's part of quarantine with its rows, as the table stands when this is called."""
    for task in list(table.scan(row_filter=equal("stream", stream)).plan_files()):
        yield task.file, ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue()).to_table([task])
