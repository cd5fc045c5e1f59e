"""Receives columns of texts; gives the drafting of mappings those that hold the time, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from watling.devices.sources import columns
from watling.devices.sources.faults import Faults

FORMATS = (
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d-%m-%Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y%m%d%H%M%S",
)
DATES = ("%d/%m/%Y", "%Y-%m-%d", "%d.%m.%Y", "%d-%m-%Y", "%m/%d/%Y", "%d/%m/%y")
CLOCKS = ((r"^\d{1,2}:\d{2}:\d{2}$", "%H:%M:%S"), (r"^\d{1,2}:\d{2}$", "%H:%M"), (r"^\d{4}$", "%H%M"))
EPOCHS = (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9))
RECENT = (631_152_000.0, 4_102_444_800.0)  # 1990 to 2100, in seconds since 1970


@dataclass(frozen=True, slots=True)
class Time:
    """The columns that hold the time, and how: `iso`, `epoch` (how: unit) or `format` (how: strptime format)."""

    columns: tuple[str, ...]
    kind: str
    how: str


def find(texts: Mapping[str, pa.Array], likely: Sequence[str]) -> Time | None:
    """The time among columns: those that are `likely` by name first, then a date beside a time of day, then any."""
    for name in likely:
        if (found := _time(texts[name])) is not None and not _is_date(texts[name]):
            return Time((name,), *found)
    days = [n for n in texts if _is_date(texts[n])]
    clocks = [(n, c) for n in texts if (c := _clock(texts[n])) is not None]
    for day in days[:1]:
        for clock, form in clocks[:1]:
            return Time((day, clock), "format", f"{_date_format(texts[day])} {form}")
    for name in texts:
        if (found := _time(texts[name])) is not None and found[0] != "epoch":
            return Time((name,), *found)
    return None


def _date_format(text: pa.Array) -> str | None:
    return next((f for f in DATES if _most(text, _readable(text, (f,)))), None)


def _is_date(text: pa.Array) -> bool:
    return len(text) > text.null_count and _date_format(text) is not None


def _clock(text: pa.Array) -> str | None:
    """The format of a column of times of day."""
    for pattern, form in CLOCKS:
        if len(text) > text.null_count and _most(text, pc.sum(pc.match_substring_regex(text, pattern)).as_py() or 0):
            return form
    return None


def _most(text: pa.Array, good: int) -> bool:
    present = len(text) - int(text.null_count)
    return present - good <= max(1, present // 10) and good > 0


def _time(text: pa.Array) -> tuple[str, str] | None:
    """How a column's times are read: `("iso", "")`, `("epoch", unit)` or `("format", format)`."""
    if text.null_count == len(text):
        return None
    if (unit := _epoch(text)) is not None:
        return "epoch", unit
    for fmt in FORMATS:
        if _most(text, _readable(text, (fmt,))):
            return "format", fmt
    return ("iso", "") if not _numeric(text) and _most(text, _readable(text, ())) else None


def _readable(text: pa.Array, formats: tuple[str, ...]) -> int:
    found = columns.instants(text, "UTC", Faults(), formats)
    return len(found) - int(found.null_count)


def _numeric(text: pa.Array) -> bool:
    return bool(columns.numbers(text).null_count < len(text))


def _epoch(text: pa.Array) -> str | None:
    values = columns.numbers(text).drop_null()
    if not len(values) or len(values) < 0.9 * (len(text) - text.null_count):
        return None
    middle = float(pc.quantile(values, 0.5)[0].as_py())
    return next((name for name, per in EPOCHS if RECENT[0] <= middle / per < RECENT[1]), None)


def ambiguous(text: pa.Array, fmt: str) -> bool:
    """True if day and month could change places in all dates of the sample. `fmt` is the date's part."""
    swapped = fmt.replace("%d", "%x").replace("%m", "%d").replace("%x", "%m")
    day = pc.utf8_slice_codeunits(text, 0, 10)
    return fmt.startswith("%d") and _readable(day, (swapped,)) == _readable(day, (fmt,))
