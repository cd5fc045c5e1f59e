"""Receives the typed columns; gives deduplicate and the engines 64 bits for each event id."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Contract
from watling.pipeline.transforms.arrays import put, whole
from watling.pipeline.transforms.json_reader import compute

FINGERPRINT = "_fingerprint"


def step(table: pa.Table, contract: Contract) -> pa.Table:
    """Sets `_fingerprint` (uint64) of the event id; null where the id is."""
    return put(table, {FINGERPRINT: fingerprint(table[contract.id_column])})


def fingerprint(ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    """64-bit hashes of texts; the same within one version of DuckDB, so never stored."""
    array = whole(ids)
    if not len(array):
        return pa.array([], pa.uint64())
    hashes = whole(compute("select hash(v) as h from input", v=array)["h"])
    return pc.if_else(array.is_valid(), hashes, pa.scalar(None, pa.uint64())) if array.null_count else hashes
