"""Receives Arrow batches in Spark's executors; shapes Kafka's records, later writes the rows, with the steps of `pipeline`.

Two jobs a batch. The first shapes: a row a chunk, with all of it as one compressed Arrow stream (`rows`), which Spark
keeps, and what the driver needs to find duplicates (`narrow`). The second gets the driver's verdict, splits and writes
data files, and gives their metadata: nothing is committed here.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from watling.contracts.model import Contract
from watling.contracts.records import HEADERS, RECORDS
from watling.lake.objects import ObjectStore
from watling.lake.write import write_rows
from watling.pipeline.split import REJECTED, split
from watling.pipeline.surely import shape_surely
from watling.pipeline.transforms.arrays import whole
from watling.pipeline.transforms.faults import COLUMNS
from watling.pipeline.transforms.json_reader import compute

Task = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
NARROW = pa.schema(
    [
        ("id", pa.string()),
        ("event_time", pa.timestamp("us", "UTC")),
        ("_kafka_partition", pa.int32()),
        ("_kafka_offset", pa.int64()),
        ("_ingested_at", pa.timestamp("us", "UTC")),
        ("_reason", pa.string()),
        ("_fingerprint", pa.uint64()),
    ]
)
"""What the driver needs of every record."""
SHAPED = "narrow binary, rows binary"
WRITTEN = "files binary, rejected binary, failed string"
WRITE_BYTES = (
    256 * 1024 * 1024
)  # of shaped rows: what a task holds at a time, and so the most that a data file comes from
READ_HEADERS = """
    select list_transform(
        from_json(v, '[{"k": "VARCHAR", "v": "VARCHAR"}]'),
        lambda h: {'key': decode(from_base64(h.k)), 'value': from_base64(h.v)}
    ) as headers from input
"""
VERDICT = pa.schema(
    [
        ("_kafka_partition", pa.int32()),
        ("_kafka_offset", pa.int64()),
        *((name, pa.string()) for name in COLUMNS),
    ]
)
"""Records that the driver found to repeat an event, with what quarantine says of them."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What the second job must know.

    Of each partition the records at or above `starts` count, but for those of `settled` (sorted offsets).
    """

    contract: Contract
    generation: int
    table: bytes  # of `skeleton`
    store: ObjectStore
    starts: Mapping[int, int]
    settled: Mapping[int, np.ndarray]
    verdict: pa.Table  # schema VERDICT


def shaping(contract: Contract) -> Task:
    """The first job: source.COLUMNS -> SHAPED, a row a batch."""

    def shape(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                shaped = shape_surely(records(batch), contract)
                yield _row([pack(shaped.select(NARROW.names)), pack(shaped)], ["narrow", "rows"])

    return shape


def writing(orders: Orders) -> Task:
    """The second job: SHAPED.rows -> WRITTEN. A store that cannot be written is told as `failed`, not raised."""

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held: list[pa.Table] = []
        for batch in batches:
            for value in batch.column(0):
                held.append(unpack(value.as_buffer()))
                if sum(t.nbytes for t in held) >= WRITE_BYTES:
                    yield _written(held, orders)
                    held = []
        if held:
            yield _written(held, orders)

    return write


def _written(parts: list[pa.Table], orders: Orders) -> pa.RecordBatch:
    shaped = pa.concat_tables(parts, promote_options="default")
    shaped = marked(keep(shaped, orders.starts, orders.settled), orders.verdict)
    try:
        if "_object" in shaped.column_names:
            orders.store.put(shaped.filter(pc.is_null(shaped["_reason"]))["_object"])
        rows, rejected = split(shaped, orders.contract, orders.generation)
        files = write_rows(revive(orders.table), rows)
        return _row([pickle.dumps(files), pack(rejected), None], ["files", "rejected", "failed"])
    except OSError as error:
        said = f"{type(error).__name__}: {error}"
        return _row([pickle.dumps([]), pack(REJECTED.empty_table()), said], ["files", "rejected", "failed"])


def records(batch: pa.RecordBatch) -> pa.Table:
    """What Spark read from Kafka (source.COLUMNS), in the shape of RECORDS."""
    columns = [
        _headers(column) if field.name == "headers" else column.cast(field.type)
        for column, field in zip(batch.columns, RECORDS, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=RECORDS)


def _headers(texts: pa.Array) -> pa.Array:
    """Headers as source.COLUMNS writes them, as HEADERS has them."""
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), HEADERS)
    column = whole(compute(READ_HEADERS, v=texts)["headers"])
    entries = column.values
    kind = HEADERS.value_type
    inner = pa.StructArray.from_arrays([entries.field(f.name).cast(f.type) for f in kind], fields=list(kind))
    return pa.Array.from_buffers(
        HEADERS, len(column), column.buffers()[:2], null_count=column.null_count, offset=column.offset, children=[inner]
    )


def keep(rows: pa.Table, starts: Mapping[int, int], settled: Mapping[int, np.ndarray]) -> pa.Table:
    """The rows that are not settled yet: at or above their partition's start and not in quarantine already."""
    partitions, offsets = rows["_kafka_partition"].to_numpy(), rows["_kafka_offset"].to_numpy()
    wanted = np.zeros(len(offsets), dtype=bool)
    for partition, start in starts.items():
        mine = (partitions == partition) & (offsets >= start)
        if partition in settled:
            mine &= ~np.isin(offsets, settled[partition])
        wanted |= mine
    return rows if wanted.all() else rows.filter(pa.array(wanted))


def marked(shaped: pa.Table, verdict: pa.Table) -> pa.Table:
    """The rows with the driver's verdict on those that it names."""
    if not verdict.num_rows or not shaped.num_rows:
        return shaped
    partitions, offsets = shaped["_kafka_partition"].to_numpy(), shaped["_kafka_offset"].to_numpy()
    named, at = verdict["_kafka_partition"].to_numpy(), verdict["_kafka_offset"].to_numpy()
    found = np.full(len(offsets), -1, np.int64)
    for partition in np.unique(named):
        theirs, ours = np.flatnonzero(named == partition), np.flatnonzero(partitions == partition)
        theirs = theirs[np.argsort(at[theirs])]
        place = np.minimum(np.searchsorted(at[theirs], offsets[ours]), len(theirs) - 1)
        same = at[theirs][place] == offsets[ours]
        found[ours[same]] = theirs[place[same]]
    hit = found >= 0
    if not hit.any():
        return shaped
    pick = pa.array(found, mask=~hit)
    for name in COLUMNS:
        new = verdict[name].combine_chunks().take(pick)
        old = shaped[name]
        index = shaped.schema.get_field_index(name)
        shaped = shaped.set_column(index, pa.field(name, pa.string()), pc.if_else(pa.array(hit), new, old))
    return shaped


def skeleton(table: Table) -> bytes:
    """What an executor needs to write files of the table; its snapshots, however many, stay here."""
    bare: dict[str, Any] = {
        "snapshots": [],
        "snapshot_log": [],
        "metadata_log": [],
        "current_snapshot_id": None,
        "refs": {},
    }
    metadata = table.metadata.model_copy(update=bare)
    return pickle.dumps((table.name(), metadata, table.metadata_location, table.io))


def revive(packed: bytes) -> Table:
    """The table of `skeleton`: good for writing data files, tied to no catalog."""
    name, metadata, location, io = pickle.loads(packed)  # noqa: S301 - made by the driver of this very job
    return Table(name, metadata, location, io, NoopCatalog("executor"))


def files_of(packed: bytes) -> list[DataFile]:
    """The data files that a task of the second job wrote."""
    found: list[DataFile] = pickle.loads(packed)  # noqa: S301 - made by this job's own executors
    return found


def pack(table: pa.Table) -> bytes:
    """A table as a compressed Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def unpack(packed: pa.Buffer) -> pa.Table:
    """The table of `pack`."""
    return pa.ipc.open_stream(packed).read_all()


def _row(values: list[Any], names: list[str]) -> pa.RecordBatch:
    arrays = [pa.array([v], pa.large_binary() if isinstance(v, bytes) else pa.large_string()) for v in values]
    return pa.RecordBatch.from_arrays(arrays, names)
