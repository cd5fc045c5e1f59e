"""Receives nothing; gives the fetch, the steps and the engines the shape of a batch of Kafka records."""

from __future__ import annotations

import pyarrow as pa

HEADERS = pa.list_(
    pa.field(
        "element",
        pa.struct([pa.field("key", pa.string(), nullable=False), pa.field("value", pa.binary())]),
        nullable=False,
    )
)
"""Headers in the order they were sent; keys may repeat, a value may be null."""

RECORDS = pa.schema(
    [
        pa.field("value", pa.large_binary()),  # null: a tombstone
        pa.field("key", pa.large_binary()),
        pa.field("headers", HEADERS),  # null: none were sent
        pa.field("_kafka_partition", pa.int32(), nullable=False),
        pa.field("_kafka_offset", pa.int64(), nullable=False),
        pa.field("_ingested_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
"""One row a record, in the order of each partition. `_ingested_at` is the record's timestamp (epoch if it has none)."""
