"""Receives a contract; gives the Iceberg schema of its stream's table, with the contract's field ids, to the lake."""

from __future__ import annotations

from pyiceberg.schema import Schema
from pyiceberg.types import (
    BooleanType,
    DoubleType,
    IntegerType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    TimestamptzType,
)

from watling.contracts.model import PROVENANCE, ColumnType, Contract, Field

TYPES: dict[ColumnType, PrimitiveType] = {
    "string": StringType(),
    "int": IntegerType(),
    "long": LongType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
    "timestamp": TimestamptzType(),
}
"""The Iceberg type of each column type."""


def compile(contract: Contract) -> Schema:
    """Contract columns under their own field ids, then provenance. Ids never change once a table has them."""
    return Schema(*(nested_field(f) for f in (*contract.fields, *PROVENANCE)))


def nested_field(field: Field) -> NestedField:
    """The Iceberg column of `field`; its unit stands at the end of the comment."""
    doc = f"{field.description} [{field.unit}]".strip() if field.unit else field.description
    return NestedField(
        field_id=field.field_id, name=field.name, field_type=TYPES[field.type], required=field.required, doc=doc or None
    )
