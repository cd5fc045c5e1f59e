"""Receives a contract; gives the Arrow schema of its stream's table to the pipeline and the lake."""

from __future__ import annotations

import pyarrow as pa

from watling.contracts.model import PROVENANCE, ColumnType, Contract

TYPES: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
"""The Arrow type of each column type."""


def compile(contract: Contract) -> pa.Schema:
    """Contract columns in their order, then provenance; a required column is not nullable."""
    return pa.schema(
        [pa.field(f.name, TYPES[f.type], nullable=not f.required) for f in (*contract.fields, *PROVENANCE)]
    )
