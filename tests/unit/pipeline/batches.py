"""Receives values; gives the tests of the steps record batches, and rows to compare."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from watling.contracts import Contract, load_contracts
from watling.contracts.records import RECORDS

CONTRACTS = load_contracts(None)
STREAMS = tuple(CONTRACTS)
INGESTED = datetime(2026, 11, 24, 12, tzinfo=UTC)


def records(values: list[bytes | None], first: int = 0, partition: int = 0) -> pa.Table:
    size = len(values)
    return pa.table(
        {
            "value": pa.array(values, pa.large_binary()),
            "key": pa.array([b"k"] * size, pa.large_binary()),
            "headers": pa.array([[("h", b"1")]] * size, RECORDS.field("headers").type),
            "_kafka_partition": pa.array([partition] * size, pa.int32()),
            "_kafka_offset": pa.array(range(first, first + size), pa.int64()),
            "_ingested_at": pa.array([INGESTED] * size, pa.timestamp("us", "UTC")),
        },
        schema=RECORDS,
    )


def typed(shaped: pa.Table, contract: Contract) -> list[dict[str, Any]]:
    """The contract's columns that come from the wire, row by row."""
    return shaped.select([f.name for f in contract.fields if f.wires]).to_pylist()
