"""Receives pointers to messages from the fetch; gives their records as an Arrow table, copied out of librdkafka."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from watling.broker import walk
from watling.contracts.records import HEADERS, RECORDS


def copied(messages: np.ndarray, rows: np.ndarray, totals: np.ndarray, functions: np.ndarray) -> pa.Table:
    """The records of `messages` at the indexes `rows`, with the columns of RECORDS and each column in one buffer.

    `totals` are what `walk.measure` found for exactly these rows; `functions` the addresses of `walk.ADDRESSES`.
    """
    count = len(rows)
    _, _, value_bytes, key_bytes, headers, name_bytes, content_bytes = (int(n) for n in totals)
    partitions, offsets, times = np.empty(count, np.int32), np.empty(count, np.int64), np.empty(count, np.int64)
    values, keys = _Bytes(count, value_bytes, np.int64), _Bytes(count, key_bytes, np.int64)
    names, contents = _Bytes(headers, name_bytes, np.int32), _Bytes(headers, content_bytes, np.int32)
    header_ends, header_there = np.zeros(count + 1, np.int32), np.zeros(count, np.uint8)
    walk.take(
        messages,
        rows,
        functions,
        partitions,
        offsets,
        times,
        values.ends,
        values.there,
        values.data,
        keys.ends,
        keys.there,
        keys.data,
        header_ends,
        header_there,
        names.ends,
        names.data,
        contents.ends,
        contents.there,
        contents.data,
    )
    columns = [
        values.array(pa.large_binary()),
        keys.array(pa.large_binary()),
        _headers(count, header_ends, header_there, names, contents),
        pa.array(partitions),
        pa.array(offsets),
        pa.array(times).view(RECORDS.field("_ingested_at").type),
    ]
    return pa.Table.from_arrays(columns, schema=RECORDS)


class _Bytes:
    """Buffers of a column of byte strings: offsets, 1 where not null, content."""

    def __init__(self, rows: int, size: int, width: Any) -> None:
        self.ends = np.zeros(rows + 1, width)
        self.there = np.ones(rows, np.uint8)
        self.data = np.empty(size, np.uint8)

    def array(self, kind: pa.DataType) -> pa.Array:
        valid, nulls = _bitmap(self.there)
        buffers = [valid, pa.py_buffer(self.ends), pa.py_buffer(self.data)]
        return pa.Array.from_buffers(kind, len(self.there), buffers, null_count=nulls)


def _bitmap(there: np.ndarray) -> tuple[pa.Buffer | None, int]:
    nulls = len(there) - int(np.count_nonzero(there))
    return (pa.py_buffer(np.packbits(there, bitorder="little")), nulls) if nulls else (None, 0)


def _headers(rows: int, ends: np.ndarray, there: np.ndarray, names: _Bytes, contents: _Bytes) -> pa.Array:
    if not there.any():
        return pa.nulls(rows, HEADERS)
    entries = pa.StructArray.from_arrays(
        [_utf8(names.array(pa.binary())), contents.array(pa.binary())], fields=list(HEADERS.value_type)
    )
    valid, nulls = _bitmap(there)
    return pa.Array.from_buffers(HEADERS, rows, [valid, pa.py_buffer(ends)], null_count=nulls, children=[entries])


def _utf8(names: pa.Array) -> pa.Array:
    """Header names as text; what is not UTF-8 in them becomes the replacement character."""
    try:
        return names.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([name.as_py().decode("utf-8", errors="replace") for name in names], pa.string())
