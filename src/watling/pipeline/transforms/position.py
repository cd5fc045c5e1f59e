"""Receives the text of a wire field that holds a position, from rename; gives the texts of its latitude and longitude.

Forms: `[51.5, -0.12]`, `"(51.5, -0.12)"`, `"51.5, -0.12"`, `{"latitude": 51.5, "longitude": -0.12}` (also lat, lon, lng).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Part
from watling.pipeline.transforms.arrays import end_bytes, flags, present, spans
from watling.pipeline.transforms.json_reader import read_objects

KEYS: dict[Part, tuple[str, ...]] = {"latitude": ("latitude", "lat"), "longitude": ("longitude", "lon", "lng")}
MAX_BYTES = 1024  # no position is longer
BRACKETS = {ord("["): ord("]"), ord("("): ord(")")}


def split(texts: pa.Array) -> tuple[dict[Part, pa.Array], np.ndarray]:
    """`texts` (string) -> (text of each part, null where it is missing; rows that are no position, boolean)."""
    bad = np.zeros(len(texts), dtype=bool)
    there = present(texts)
    _, start, end = spans(texts)
    first, last = end_bytes(texts)
    there &= end > start
    bad |= there & (end - start > MAX_BYTES)
    as_object = there & ~bad & (first == ord("{"))
    as_pair = there & ~bad & ~as_object
    if not as_object.any():
        return _pairs(texts, as_pair, first, last, bad), bad
    return _merge(_pairs(texts, as_pair, first, last, bad), _objects(texts, as_object, bad), as_object), bad


def _pairs(
    texts: pa.Array, rows: np.ndarray, first: np.ndarray, last: np.ndarray, bad: np.ndarray
) -> dict[Part, pa.Array]:
    """Two values with one comma between them, in brackets of one kind or in none."""
    opened = np.isin(first, list(BRACKETS)) & rows
    closed = np.zeros(len(first), dtype=bool)
    for left, right in BRACKETS.items():
        closed |= (first == left) & (last == right)
    inner = pc.utf8_slice_codeunits(texts, 1, -1)
    if not opened[rows].all():
        inner = pc.if_else(pa.array(opened), inner, texts)
    pieces = pc.split_pattern(inner, ",", max_splits=2)
    pair = flags(pc.equal(pc.list_value_length(pieces), 2)) & rows
    wrong = rows & (~pair | (opened & ~closed) | (~opened & np.isin(last, list(BRACKETS.values()))))
    bad |= wrong
    good = rows & ~wrong
    if not good.any():
        return dict.fromkeys(KEYS, pa.nulls(len(texts), pa.string()))
    numbers = pa.array(np.flatnonzero(good)) if not good.all() else None
    flat = (pieces if numbers is None else pieces.take(numbers)).flatten()
    flat = pc.utf8_trim(flat, ' \t\r\n"')
    back = None if numbers is None else pa.array(np.cumsum(good) - 1, mask=~good)
    parts: dict[Part, pa.Array] = {}
    for at, part in enumerate(KEYS):
        values = flat.take(pa.array(np.arange(at, len(flat), 2)))
        values = pc.if_else(pc.equal(values, "null"), pa.scalar(None, pa.string()), values)
        parts[part] = values if back is None else values.take(back)
    return parts


def _objects(texts: pa.Array, rows: np.ndarray, bad: np.ndarray) -> dict[Part, pa.Array]:
    only = pc.if_else(pa.array(rows), texts, pa.scalar(None, pa.string())).cast(pa.large_string())
    wires, read = read_objects(only, tuple(key for keys in KEYS.values() for key in keys), rows)
    bad |= rows & ~flags(read)
    return {part: pc.coalesce(*(wires[key] for key in keys)) for part, keys in KEYS.items()}


def _merge(pairs: dict[Part, pa.Array], objects: dict[Part, pa.Array], rows: np.ndarray) -> dict[Part, pa.Array]:
    mask = pa.array(rows)
    return {part: pc.if_else(mask, objects[part], pairs[part]) for part in KEYS}
