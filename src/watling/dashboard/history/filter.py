"""Receives the filter parameters of a request and a contract; gives the rows meant as a condition with bound values."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import HTTPException, Query

from watling.contracts.model import Contract
from watling.query.stores import named

LAST_MS = 15 * 60_000
MAX_RANGE_MS = 366 * 86_400_000
MAX_MS = 32_503_680_000_000  # the year 3000
MAX_VALUES = 50
MAX_VALUE_LENGTH = 200
CELL_RESOLUTIONS = range(0, 11)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Area = tuple[float, float, float, float]

_CELL = re.compile(r"8[0-9a-f]{14}")


@dataclass(frozen=True, slots=True)
class Filter:
    """Rows with `start_ms` <= event_time < `end_ms` (ms since 1970), in the area (west, south, east, north, degrees; west
    beyond east crosses the date line), in the H3 cell, of that stream, and whose columns have one of the values.
    Hashable."""

    start_ms: int
    end_ms: int
    area: Area | None = None
    cell: str | None = None
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    stream: str | None = None

    @property
    def range_us(self) -> tuple[int, int]:
        """Start and end in µs since 1970."""
        return self.start_ms * 1000, self.end_ms * 1000

    @property
    def by_time_alone(self) -> bool:
        """Of a stream that it means at all, only the time of a row decides."""
        return self.area is None and self.cell is None and not self.where

    def during(self, start_ms: int, end_ms: int) -> Filter:
        """The same filter over another time."""
        return replace(self, start_ms=start_ms, end_ms=end_ms)


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL over a stream's columns, and the values that its `$names` stand for."""

    sql: str
    values: Mapping[str, Any]


def moment(ms: int) -> datetime:
    """A time in ms since 1970 as a datetime in UTC."""
    return EPOCH + timedelta(milliseconds=ms)


def condition(wanted: Filter, contract: Contract) -> Condition | None:
    """The filter as SQL over the stream, or None where it means another stream, or columns that this one has not."""
    if wanted.stream not in (None, contract.name):
        return None
    there = {f.name for f in contract.fields}
    texts = {f.name for f in contract.fields if f.type == "string"}
    time_column = named(contract.time_column)
    parts = [f"{time_column} >= $from_time", f"{time_column} < $to_time"]
    values: dict[str, Any] = {"from_time": moment(wanted.start_ms), "to_time": moment(wanted.end_ms)}
    if wanted.area is not None:
        if not {"latitude", "longitude"} <= there:
            return None
        west, south, east, north = wanted.area
        values |= {"west": west, "south": south, "east": east, "north": north}
        across = "AND" if west <= east else "OR"
        parts.append(f"latitude BETWEEN $south AND $north AND (longitude >= $west {across} longitude <= $east)")
    if wanted.cell is not None:
        resolution = contract.h3_resolution
        if "h3" not in there or int(wanted.cell[1], 16) > resolution:
            return None
        low, high = f"cell_low_{resolution}", f"cell_high_{resolution}"
        values[low], values[high] = descendants(wanted.cell, resolution)
        parts.append(f"h3 BETWEEN ${low} AND ${high}")
    for i, (column, chosen) in enumerate(wanted.where):
        if column not in texts:
            return None
        names = [f"where_{i}_{j}" for j in range(len(chosen))]
        values |= dict(zip(names, chosen, strict=True))
        parts.append(f"{named(column)} IN ({', '.join('$' + n for n in names)})")
    return Condition(" AND ".join(parts), values)


def descendants(cell: str, resolution: int) -> tuple[str, str]:
    """First and last H3 text that a descendant of the cell at that resolution can have.

    Layout of an index: https://h3geo.org/docs/core-library/h3Indexing (4 bits mode, 3 reserved, 4 resolution, 7 base
    cell, 15 digits of 3 bits, unused digits 7). All texts have 15 characters, so they sort as the numbers do.
    """
    number = int(cell, 16)
    own = number >> 52 & 15
    number = number & ~(15 << 52) | resolution << 52
    below = 3 * (15 - own)
    unused = (1 << 3 * (15 - resolution)) - 1
    stem = number >> below << below
    return f"{stem | unused:015x}", f"{stem | (1 << below) - 1:015x}"


def make_reader(contracts: Mapping[str, Contract]) -> Callable[..., Filter]:
    """A FastAPI dependency that reads the filter. Refuses with 422 and a sentence."""
    columns = {f.name for c in contracts.values() for f in c.fields if f.type == "string"}

    def read_filter(
        from_ms: Annotated[
            int | None,
            Query(alias="from", ge=0, le=MAX_MS, description="ms since 1970; default 15 minutes before `to`"),
        ] = None,
        to_ms: Annotated[
            int | None, Query(alias="to", ge=0, le=MAX_MS, description="ms since 1970, default now")
        ] = None,
        area: Annotated[
            str | None,
            Query(max_length=120, description="west,south,east,north in degrees", examples=["-1.9,51.4,0.2,52.6"]),
        ] = None,
        cell: Annotated[str | None, Query(max_length=20, description="an H3 cell, resolution 10 at most")] = None,
        where: Annotated[
            list[str], Query(max_length=MAX_VALUES, description="column:value; equal columns are alternatives")
        ] = [],  # noqa: B006 - FastAPI copies it
        stream: Annotated[str | None, Query(max_length=64, description="rows of this stream alone")] = None,
    ) -> Filter:
        end = to_ms if to_ms is not None else (time.time_ns() // 1_000_000_000 + 1) * 1000  # shared for a second
        start = from_ms if from_ms is not None else max(0, end - LAST_MS)
        if start >= end:
            raise HTTPException(422, "`from` must be before `to`")
        if end - start > MAX_RANGE_MS:
            raise HTTPException(422, "the time range is longer than 366 days: choose a shorter one")
        return Filter(start, end, _area(area), _cell_of(cell), _where(where, columns), stream)

    return read_filter


def _area(text: str | None) -> Area | None:
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise HTTPException(422, "`area` must be four numbers: west,south,east,north in degrees") from None
    if not all(map(math.isfinite, (west, south, east, north))):
        raise HTTPException(422, "`area` must be four finite numbers")
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise HTTPException(422, "`area` must lie within -180..180 and -90..90, south not beyond north")
    return west, south, east, north


def _cell_of(text: str | None) -> str | None:
    if text is None:
        return None
    if not _CELL.fullmatch(text) or not _is_cell(int(text, 16)):
        raise HTTPException(422, "`cell` must be an H3 cell index of 15 hexadecimal digits, resolution 10 at most")
    return text


def _is_cell(number: int) -> bool:
    resolution, base = number >> 52 & 15, number >> 45 & 127
    digits = [number >> 3 * (14 - i) & 7 for i in range(15)]
    return (
        resolution in CELL_RESOLUTIONS
        and number >> 56 & 7 == 0
        and base < 122
        and all(d != 7 for d in digits[:resolution])
        and all(d == 7 for d in digits[resolution:])
    )


def _where(texts: list[str], columns: set[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    chosen: dict[str, dict[str, None]] = {}
    for text in texts:
        column, colon, value = text.partition(":")
        if not colon or column not in columns:
            raise HTTPException(422, "`where` must be column:value with a text column of some stream's contract")
        if len(value) > MAX_VALUE_LENGTH or "\0" in value or not value.isprintable():
            raise HTTPException(422, f"a value of `where` is text of {MAX_VALUE_LENGTH} characters at most")
        chosen.setdefault(column, {})[value] = None
    return tuple((column, tuple(values)) for column, values in sorted(chosen.items()))
