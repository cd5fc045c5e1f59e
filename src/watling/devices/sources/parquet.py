"""Receives Parquet files and a mapping; gives rows of the stream that the mapping names."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from watling.devices.sources import columns, mapping
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import BROKEN, Member
from watling.devices.sources.rows import JSON, Options, Rows, SourceError

SUFFIXES = (".parquet", ".pq")
BATCH = 16_384


@dataclass(frozen=True, slots=True)
class _Cells:
    file: str
    lines: np.ndarray[tuple[int], np.dtype[np.int64]]
    table: pa.Table

    def column(self, name: str) -> pa.Array:
        array = self._array(name)
        if array is None:
            return pa.nulls(len(self.lines), pa.string())
        if pa.types.is_nested(array.type) or pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
            return pa.array([None if v is None else _dumps(v) for v in array.to_pylist()], pa.string())
        text = array.cast(pa.string())
        return pc.if_else(pc.equal(text, ""), None, text)

    def json(self, name: str) -> columns.Field:
        array = self._array(name)
        if array is None or array.null_count == len(array):
            return None
        kind = array.type
        if pa.types.is_floating(kind):
            return columns.numbers(array)
        if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or (pa.types.is_timestamp(kind) and kind.tz):
            return array
        if pa.types.is_nested(kind):
            return self.column(name), JSON
        return self.column(name)

    def _array(self, name: str) -> pa.Array | None:
        if name not in self.table.column_names:
            return None
        array = self.table.column(name).combine_chunks()
        return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array

    def filter(self, mask: np.ndarray) -> _Cells:
        return _Cells(self.file, self.lines[mask], self.table.filter(pa.array(mask)))


def _dumps(value: Any) -> str:
    return (
        value.decode("utf-8", errors="replace")
        if isinstance(value, bytes)
        else json.dumps(value, default=str, ensure_ascii=False)
    )


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield batches of up to 16,384 rows. Members of structs are columns with dots (`position.lat`). `line` in faults is
    the row, from 1. A row group that cannot be read is a fault; the others are read.

    Raises:
        SourceError: no mapping is given, or it has no fields.
    """
    if options.map is None:
        raise SourceError("parquet needs --map FILE. Draft it: watling replay-guess PATH > map.yaml", source="parquet")
    rules = mapping.load(options.map)
    if not rules.fields:
        raise SourceError(f"{options.map}: a parquet mapping needs `fields`.", path=str(options.map))
    with tempfile.TemporaryFile() as spill:  # Parquet is read from its end: what is compressed is unpacked to disk
        try:
            file = parquet.ParquetFile(str(member.path) if member.plain else _unpacked(member, spill), memory_map=False)
        except (pa.ArrowException, *BROKEN) as error:
            faults.add(member.name, 0, f"not a Parquet file that can be read: {error}")
            return
        with file:
            yield from _groups(member.name, file, rules, options, faults)


def _unpacked(member: Member, spill: IO[bytes]) -> IO[bytes]:
    with member.open() as stream:
        shutil.copyfileobj(stream, spill, 1024 * 1024)
    spill.seek(0)
    return spill


def _groups(
    file: str, source: parquet.ParquetFile, rules: mapping.Mapping, options: Options, faults: Faults
) -> Iterator[Rows]:
    top = set(source.schema_arrow.names)
    wanted = sorted({c if c in top else c.split(".")[0] for c in rules.columns} & top)
    missing = [c for c in rules.columns if c not in top and c.split(".")[0] not in top]
    if missing:
        faults.add(file, 0, f"no column {', '.join(missing)}; there are {', '.join(sorted(top))}")
    begin = 1
    for group in range(source.num_row_groups):
        count, at = source.metadata.row_group(group).num_rows, begin
        begin += count
        try:
            for batch in source.iter_batches(batch_size=BATCH, row_groups=[group], columns=wanted, use_threads=False):
                table = _flat(pa.Table.from_batches([batch]))
                cells = _Cells(file, np.arange(at, at + len(table), dtype=np.int64), table)
                at += len(table)
                result = mapping.apply(rules, cells, faults, options.timezone)
                if result is not None:
                    yield result
        except (pa.ArrowException, *BROKEN) as error:
            faults.add(file, at, f"{begin - at} rows of row group {group} cannot be read: {error}", count=begin - at)


def _flat(table: pa.Table) -> pa.Table:
    while any(pa.types.is_struct(t) for t in table.schema.types):
        table = table.flatten()
    return table
