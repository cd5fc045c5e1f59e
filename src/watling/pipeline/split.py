"""Receives shaped and deduplicated records from an engine; gives it the rows of the stream's table and those of quarantine."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Contract
from watling.contracts.targets import arrow
from watling.pipeline.records import HEADERS

REJECTED = pa.schema(
    [
        pa.field("stream", pa.string(), nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("_kafka_generation", pa.int32(), nullable=False),
        pa.field("_kafka_partition", pa.int32(), nullable=False),
        pa.field("_kafka_offset", pa.int64(), nullable=False),
        pa.field("record_time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("key", pa.large_binary()),
        pa.field("headers", HEADERS),
        pa.field("raw", pa.large_binary()),  # the bytes as they came; null for a tombstone
        pa.field("reason", pa.string(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("message", pa.string()),
    ]
)
"""Rows for quarantine; the lake adds when they were put there."""

FROM_RECORD = {
    "record_time": "_ingested_at",
    "raw": "value",
    "reason": "_reason",
    "field": "_field",
    "message": "_message",
}


def split(shaped: pa.Table, contract: Contract, generation: int) -> tuple[pa.Table, pa.Table]:
    """(good rows in the schema of `targets.arrow`, the others in REJECTED), each in the order of `shaped`."""
    good = pc.is_null(shaped["_reason"])
    all_good = shaped["_reason"].null_count == shaped.num_rows
    landed = shaped if all_good else shaped.filter(good)
    rejected = shaped.slice(0, 0) if all_good else shaped.filter(pc.invert(good))
    return _rows(landed, contract, generation), _rejected(rejected, contract, generation)


def _rows(landed: pa.Table, contract: Contract, generation: int) -> pa.Table:
    schema = arrow.compile(contract)
    given = {
        "_kafka_generation": _all(generation, landed.num_rows),
        "_replay_id": pa.nulls(landed.num_rows, pa.string()),
    }
    return pa.table([given[n] if n in given else landed[n] for n in schema.names], schema=schema)


def _rejected(rejected: pa.Table, contract: Contract, generation: int) -> pa.Table:
    size = rejected.num_rows
    given = {
        "stream": pa.repeat(pa.scalar(contract.name), size),
        "topic": pa.repeat(pa.scalar(contract.topic), size),
        "_kafka_generation": _all(generation, size),
    }
    columns = [given[n] if n in given else rejected[FROM_RECORD.get(n, n)] for n in REJECTED.names]
    return pa.table(columns, schema=REJECTED)


def _all(value: int, size: int) -> pa.Array:
    return pa.array(np.full(size, value, np.int32))
