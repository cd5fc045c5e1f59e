"""Receives a table and conditions; gives its rows as Arrow batches, files pruned by partition and statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, EqualTo, GreaterThanOrEqual, LessThan
from pyiceberg.table import Table

# their constructors take (column, value); to a type checker they are pydantic models that do not
EQUAL: Any = EqualTo
AT_LEAST: Any = GreaterThanOrEqual
BELOW: Any = LessThan
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999


def equal(column: str, value: str | int) -> BooleanExpression:
    """Rows whose column has that value."""
    condition: BooleanExpression = EQUAL(column, value)
    return condition


def at_least(column: str, value: int) -> BooleanExpression:
    """Rows whose column is that value or more."""
    condition: BooleanExpression = AT_LEAST(column, value)
    return condition


def below(column: str, value: int) -> BooleanExpression:
    """Rows whose column is less than that value."""
    condition: BooleanExpression = BELOW(column, value)
    return condition


def during(column: str, low_us: int, high_us: int) -> BooleanExpression:
    """Rows whose timestamp column lies in [low, high), microseconds since 1970."""
    return And(
        AT_LEAST(column, _iso(low_us)),
        BELOW(column, _iso(high_us)),
    )


def every(*conditions: BooleanExpression) -> BooleanExpression:
    """Rows that meet all the conditions."""
    result: BooleanExpression = AlwaysTrue()
    for condition in conditions:
        result = And(result, condition)
    return result


def read(
    table: Table, columns: Sequence[str], condition: BooleanExpression | None = None, snapshot_id: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches of the named columns, in that order, of the table's current snapshot or of `snapshot_id`."""
    scan = table.scan(row_filter=condition or AlwaysTrue(), selected_fields=tuple(columns), snapshot_id=snapshot_id)
    for batch in scan.to_arrow_batch_reader():
        yield batch.select(list(columns))


def _iso(microseconds: int) -> str:
    return (EPOCH + timedelta(microseconds=min(max(microseconds, FIRST_US), LAST_US))).isoformat()
