"""Receives shaped and deduplicated records from an engine; gives it the rows of the stream's table and those of quarantine."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Contract
from watling.contracts.records import HEADERS
from watling.contracts.targets import arrow

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

GIVEN = ("stream", "topic", "_kafka_generation", "_replay_id")
FROM_RECORD = {
    "record_time": "_ingested_at",
    "raw": "value",
    "reason": "_reason",
    "field": "_field",
    "message": "_message",
}


def split(shaped: pa.Table, contract: Contract, generation: int) -> tuple[pa.Table, pa.Table]:
    """(good rows in the schema of `targets.arrow`, the others in REJECTED), each in the order of `shaped`."""
    schema = arrow.compile(contract)
    landed = shaped.select([n for n in schema.names if n not in GIVEN])
    rejected = shaped.select([FROM_RECORD.get(n, n) for n in REJECTED.names if n not in GIVEN])
    if shaped["_reason"].null_count == shaped.num_rows:
        rejected = rejected.slice(0, 0)
    else:
        good = pc.is_null(shaped["_reason"])
        landed, rejected = landed.filter(good), rejected.filter(pc.invert(good))
    return _complete(landed, schema, contract, generation), _complete(rejected, REJECTED, contract, generation)


def _complete(rows: pa.Table, schema: pa.Schema, contract: Contract, generation: int) -> pa.Table:
    size = rows.num_rows
    given = {
        "stream": pa.repeat(pa.scalar(contract.name), size),
        "topic": pa.repeat(pa.scalar(contract.topic), size),
        "_kafka_generation": pa.array(np.full(size, generation, np.int32)),
        "_replay_id": pa.nulls(size, pa.string()),
    }
    return pa.table([given[n] if n in given else rows[FROM_RECORD.get(n, n)] for n in schema.names], schema=schema)
