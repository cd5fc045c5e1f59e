"""Receives rows as Arrow; gives Parquet data files in the table's folder, not yet part of the table."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from pyiceberg.typedef import Record

ROW_GROUP_ROWS = 1_000_000
DAY_US = 86_400_000_000
REPEATING_SHARE = 0.5  # a dictionary pays when fewer than this share of a sample's values are distinct
SAMPLE_ROWS = 2_000


def write_rows(
    table: Table, rows: pa.Table, *, sort: bool = True, compression_level: int | None = None
) -> list[DataFile]:
    """Write rows as zstd Parquet, one file for each partition touched.

    `rows` has the table's columns by name and type (absent optional ones become null); order within a file follows
    the table's sort order. The files belong to no snapshot until a committer appends them.
    """
    if rows.num_rows == 0:
        return []
    rows = _conform(table, rows)
    if sort and (keys := _sort_keys(table)):
        rows = _in_order(rows, pc.sort_indices(rows, sort_keys=keys))
    return [_write_file(table, part, partition, compression_level) for partition, part in _partitions(table, rows)]


def _conform(table: Table, rows: pa.Table) -> pa.Table:
    """Columns in the table's order with field ids; what the batch lacks is null."""
    schema = schema_to_pyarrow(table.schema(), include_field_ids=True)
    columns = []
    for field in schema:
        index = rows.schema.get_field_index(field.name)
        if index < 0:
            columns.append(pa.nulls(rows.num_rows, field.type))
            continue
        column = rows.column(index)
        columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _in_order(rows: pa.Table, order: pa.Array) -> pa.Table:
    """`rows.take(order)`, a column in one piece at a time; those that are null throughout stay as they are."""
    columns = [
        column if column.null_count == len(column) else pa.chunked_array([column.combine_chunks().take(order)])
        for column in rows.columns
    ]
    return pa.Table.from_arrays(columns, schema=rows.schema)


def _sort_keys(table: Table) -> list[tuple[str, str]]:
    return [(table.schema().find_column_name(f.source_id) or "", "ascending") for f in table.sort_order().fields]


def _partitions(table: Table, rows: pa.Table) -> Iterator[tuple[Any, pa.Table]]:
    """(partition value, rows) for the one partition field of our tables, order within kept."""
    fields = table.spec().fields
    if not fields:
        yield None, rows
        return
    field = fields[0]
    column = rows.column(table.schema().find_column_name(field.source_id) or "").combine_chunks()
    if isinstance(field.transform, DayTransform):
        values = np.floor_divide(column.cast(pa.int64()).to_numpy(zero_copy_only=False), DAY_US)
        low, high = int(values.min()), int(values.max())
        if low == high:
            yield low, rows
            return
        order = np.argsort(values, kind="stable")
        values = values[order]
        starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
        rows = rows.take(pa.array(order))
        for start, stop in zip(starts, [*starts[1:], len(values)], strict=True):
            yield int(values[start]), rows.slice(start, stop - start)
        return
    for value in pc.unique(column).to_pylist():
        yield value, rows.filter(pc.equal(column, pa.scalar(value, column.type)))


def _write_file(table: Table, rows: pa.Table, partition: Any, compression_level: int | None) -> DataFile:
    spec = table.spec()
    record = Record() if partition is None else Record(partition)
    folder = "" if partition is None else spec.partition_to_path(record, table.schema()) + "/"
    path = table.location_provider().new_data_location(f"{folder}{uuid.uuid4().hex}.parquet")
    properties = table.properties
    output = table.io.new_output(path)
    with output.create(overwrite=False) as stream:
        writer = pq.ParquetWriter(
            stream,
            rows.schema,
            compression=properties.get("write.parquet.compression-codec", "zstd"),
            compression_level=compression_level or int(properties.get("write.parquet.compression-level", "1")),
            use_dictionary=_repeating(rows) or False,
            write_page_index=True,
            store_schema=False,
        )
        writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
        writer.close()
        metadata = writer.writer.metadata
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=metadata,
        stats_columns=compute_statistics_plan(table.schema(), properties),
        parquet_column_mapping=parquet_path_to_id_mapping(table.schema()),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=record,
        file_size_in_bytes=len(output),
        sort_order_id=None,
        spec_id=spec.spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _repeating(rows: pa.Table) -> list[str]:
    """Columns for which a Parquet dictionary pays, judged on the first rows."""
    head = rows.slice(0, SAMPLE_ROWS)
    return [
        name
        for name, column in zip(head.column_names, head.columns, strict=True)
        if not pa.types.is_nested(column.type) and pc.count_distinct(column).as_py() <= REPEATING_SHARE * head.num_rows
    ]
