"""Receives Arrow columns; gives the steps whole arrays and a view of their bytes, without a copy where there is none needed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

WIRE = "$wire."
"""Prefix of a column that holds the text of one wire field, as decode found it."""
PART = "$part."
"""Prefix of a column that holds the text of one part of a position: `$part.<wire>.<latitude|longitude>`."""
TEXT = "$text."
"""Prefix of a column that holds the text that a contract column is made of."""


def whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The column as one array."""
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def flags(mask: pa.Array) -> np.ndarray:
    """A boolean Arrow array as NumPy; null counts as false."""
    if mask.null_count:
        mask = pc.fill_null(mask, False)
    return np.asarray(mask.to_numpy(zero_copy_only=False))


def present(array: pa.Array) -> np.ndarray:
    """True where the value is not null."""
    if not array.null_count:
        return np.ones(len(array), dtype=bool)
    return flags(pc.is_valid(array))


def spans(array: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(bytes, start, end) of a string or binary array: value i is `bytes[start[i]:end[i]]`; a null may span anything."""
    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, offsets, data = array.buffers()
    kind = np.dtype(np.int64 if wide else np.int32)
    at = np.frombuffer(offsets, kind)[array.offset : array.offset + len(array) + 1] if offsets else np.zeros(1, kind)
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    return content, at[:-1], at[1:]


def end_bytes(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """First and last byte of each string or binary value; 0 where it is empty. Meaningless for a null."""
    content, start, end = spans(array)
    last = len(content) - 1
    filled = end > start
    return content[np.minimum(start, last)] * filled, content[np.clip(end - 1, 0, last)] * filled


def without(array: pa.Array, rows: np.ndarray) -> pa.Array:
    """The array (not nested) with null where `rows` (boolean) is true; the values are shared, not copied."""
    kept = np.concatenate((np.zeros(array.offset, dtype=bool), present(array) & ~rows))
    validity = pa.py_buffer(np.packbits(kept, bitorder="little"))
    return pa.Array.from_buffers(array.type, len(array), [validity, *array.buffers()[1:]], offset=array.offset)


def put(table: pa.Table, columns: dict[str, pa.Array]) -> pa.Table:
    """The table with these columns set, in their places if they are there already, else at the end."""
    all_columns = dict(zip(table.column_names, table.columns, strict=True)) | columns
    return pa.table(all_columns)
