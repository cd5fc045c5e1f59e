"""Receives a stream, a filter and a resolution; gives the H3 cells that its rows lie in, counted in SQL."""

from __future__ import annotations

import threading
import time

from fastapi import HTTPException

from watling.contracts.model import Contract
from watling.dashboard.history.answers import Covers
from watling.dashboard.history.filter import Filter, condition
from watling.dashboard.history.models import Cells
from watling.dashboard.history.past import Past

MAX_CELLS = 20_000
COARSEST = 0
SPEEDS = ("speed_kmh", "mean_speed_kmh")


def speed_column(contract: Contract) -> str | None:
    """The column that has the speed in km/h."""
    names = {f.name for f in contract.fields}
    return next((s for s in SPEEDS if s in names), None)


def parent_sql(resolution: int) -> str:
    """SQL for the ancestor at that resolution of the H3 text in column `h3`, as text.

    The resolution's four bits are set and every digit below it becomes 7, see
    https://h3geo.org/docs/core-library/h3Indexing.
    """
    keep = ~(15 << 52) & (1 << 60) - 1
    below = (1 << 3 * (15 - resolution)) - 1
    return f"printf('%x', (('0x' || h3)::BIGINT & {keep}) | {resolution << 52} | {below})"


def cells(past: Past, covers: Covers, stream: str, wanted: Filter, resolution: int, cancel: threading.Event) -> Cells:
    """The fullest first; coarser than asked where there would be more than MAX_CELLS or the lake has no finer ones.

    Raises:
        QueryError: a limit was met.
    """
    begun = time.monotonic()
    contract = past.contracts[stream]
    if all(f.name != "h3" for f in contract.fields):
        raise HTTPException(422, f"stream {stream} has no positions")
    resolution = min(resolution, contract.h3_resolution)
    speed = speed_column(contract) or "NULL::DOUBLE"
    while True:
        cell = "h3" if resolution == contract.h3_resolution else parent_sql(resolution)
        sql = (
            f"SELECT {cell} AS cell, sum(n)::BIGINT AS n, sum(total) / nullif(sum(known), 0) AS mean FROM ("  # noqa: S608
            f"SELECT h3, count(*) AS n, sum({speed}) AS total, count({speed}) AS known "
            f'FROM "{stream}" WHERE h3 IS NOT NULL GROUP BY h3) GROUP BY 1 ORDER BY n DESC, cell'
        )
        answer = past.ask(sql, [stream], wanted, cancel, max_rows=MAX_CELLS, all_of_it=True)
        if not answer.cut or resolution == COARSEST:
            break
        resolution -= 1
    newest = covers.of(stream, wanted, cancel).newest_ms if condition(wanted, contract) is not None else None
    names, counts, means = (column.to_pylist() for column in answer.rows.columns)
    return Cells(
        resolution=resolution,
        cells=[(c, n, None if m is None else round(m, 2)) for c, n, m in zip(names, counts, means, strict=True)],
        as_of_ms=newest,
        seconds=round(time.monotonic() - begun, 4),
    )
