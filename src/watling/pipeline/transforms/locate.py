"""Receives positions from validate; gives picture their H3 cells."""

from __future__ import annotations

import h3ronpy
import numpy as np
import pyarrow as pa
from h3ronpy.vector import coordinates_to_cells

from watling.contracts.model import Contract
from watling.pipeline.transforms.arrays import present, put, whole

CELL = "h3"


def step(table: pa.Table, contract: Contract) -> pa.Table:
    """Sets column `h3` (text of the cell at the contract's resolution), null without a position or with a faulty one."""
    names = {f.name for f in contract.fields}
    if not {CELL, "latitude", "longitude"} <= names:
        return table
    latitude, longitude = whole(table["latitude"]), whole(table["longitude"])
    if latitude.null_count == len(latitude) or longitude.null_count == len(longitude):
        return table
    where = present(latitude) & present(longitude)
    reason = whole(table["_reason"])
    if reason.null_count < len(reason):
        where &= ~present(reason)
    if where.all():
        return put(table, {CELL: _cells(latitude, longitude, contract.h3_resolution)})
    if not where.any():
        return table
    rows = pa.array(where)
    cells = _cells(latitude.filter(rows), longitude.filter(rows), contract.h3_resolution)
    return put(table, {CELL: cells.take(pa.array(np.cumsum(where) - 1, mask=~where))})


def _cells(latitude: pa.Array, longitude: pa.Array, resolution: int) -> pa.Array:
    cells = coordinates_to_cells(latitude, longitude, resolution)
    return pa.array(h3ronpy.cells_to_string(cells)).cast(pa.string())
