"""Receives texts of times from cast; gives UTC timestamps in microseconds and the rows that are none.

ISO 8601 `YYYY-MM-DD`, `T` or a blank, `hh:mm[:ss[.fraction]]`, then `Z`, `±hh`, `±hhmm`, `±hh:mm` or nothing (UTC);
digits of the fraction past microseconds are cut. Or a number since 1970 within 2000 to 2286: seconds, milliseconds or
microseconds, told apart by its size. A date alone is no time of an event.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.pipeline.transforms.arrays import flags, present, spans, without
from watling.pipeline.transforms.numbers import Cast, filled, to_double

UTC = pa.timestamp("us", "UTC")
COLON, POINT, ZERO, NINE = ord(":"), ord("."), ord("0"), ord("9")
COMMON = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})"
WIDTH = 36  # bytes of the longest form, and some
FIRST_S, LAST_S = 946_684_800, 10_000_000_000  # 2000-01-01 and the first second with eleven digits
UNITS_US = {1: 1_000_000, 1_000: 1_000, 1_000_000: 1}  # parts of a second a unit has -> its microseconds
PIECE = 16_384  # rows looked at together: 10 MB of matrices
DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])


def to_timestamp(texts: pa.Array) -> Cast:
    """`texts` (string) -> timestamps (us, UTC)."""
    if _has_clock(texts):
        try:  # one form for a whole batch is the rule: that of its first value
            return Cast(_cast(texts, re.search(ZONE + r"\Z", texts.drop_null()[0].as_py()) is not None))
        except (pa.ArrowInvalid, IndexError):
            pass
    return _any_form(texts)


def _cast(texts: pa.Array, zoned: bool) -> pa.Array:
    return texts.cast(UTC) if zoned else texts.cast(pa.timestamp("us")).cast(UTC)


def _has_clock(texts: pa.Array) -> bool:
    """True when every text has hh:mm after its date, so that a reader which also takes less may be used."""
    content, start, end = spans(texts)
    there = present(texts)
    long = end - start >= 16
    return bool((~there | (long & (content[np.minimum(start + 13, len(content) - 1)] == COLON))).all())


def _any_form(texts: pa.Array) -> Cast:
    """The common forms at once, the rest on a matrix, what is left as numbers."""
    values = pa.nulls(len(texts), UTC)
    common = np.zeros(len(texts), dtype=bool)
    for zoned in (True, False):
        form = flags(pc.match_substring_regex(texts, COMMON + (ZONE if zoned else "") + r"\z"))
        if form.any():
            try:
                values = pc.coalesce(values, _cast(without(texts, ~form), zoned))
            except pa.ArrowInvalid:  # the form of a date that there is not, such as 30 February
                continue
            common |= form
    rest = filled(texts) & ~common
    if not rest.any():
        return Cast(values)
    rows = np.flatnonzero(rest)
    others = texts.take(pa.array(rows))
    pieces = [_iso(others.slice(i, PIECE)) for i in range(0, len(rows), PIECE)]
    micros, ok = (np.concatenate(part) for part in zip(*pieces, strict=True))
    number, fits = _epoch(others)
    micros = np.where(fits & ~ok, number, micros)
    ok |= fits
    where = np.full(len(texts), -1, np.int64)
    where[rows] = np.arange(len(rows))
    found = pa.array(micros, mask=~ok).cast(UTC).take(pa.array(where, mask=where < 0))
    rest[rows[ok]] = False
    return Cast(pc.coalesce(values, found), rest if rest.any() else None)


def _epoch(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    numbers = pc.fill_null(to_double(texts).values, 0.0).to_numpy()
    micros, fits = np.zeros(len(numbers), np.int64), np.zeros(len(numbers), dtype=bool)
    for parts, factor in UNITS_US.items():
        mine = (numbers >= FIRST_S * parts) & (numbers < LAST_S * parts)
        micros[mine] = np.rint(numbers[mine] * factor).astype(np.int64)
        fits |= mine
    return micros, fits


def _iso(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(microseconds since 1970, which rows are ISO 8601), all rows at once on a matrix of their first bytes."""
    content, start, end = spans(texts)
    size = np.where(present(texts), end - start, 0)
    at = start[:, None] + np.arange(WIDTH)
    chars = content[np.minimum(at, len(content) - 1)].astype(np.int16)
    chars[np.arange(WIDTH) >= size[:, None]] = 0
    digit = (chars >= ZERO) & (chars <= NINE)
    value = np.where(digit, chars - ZERO, 0).astype(np.int64)

    def number(*columns: int) -> np.ndarray:
        total = np.zeros(len(value), np.int64)
        for column in columns:
            total = total * 10 + value[:, column]
        return total

    ok = (size >= 16) & (size < WIDTH)
    ok &= digit[:, [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15]].all(axis=1)
    ok &= (chars[:, 4] == ord("-")) & (chars[:, 7] == ord("-")) & (chars[:, 13] == COLON)
    ok &= (chars[:, 10] == ord("T")) | (chars[:, 10] == ord(" "))
    year, month, day = number(0, 1, 2, 3), number(5, 6), number(8, 9)
    hour, minute = number(11, 12), number(14, 15)
    with_seconds = chars[:, 16] == COLON
    second = np.where(with_seconds, number(17, 18), 0)
    ok &= ~with_seconds | digit[:, [17, 18]].all(axis=1)
    with_fraction = with_seconds & (chars[:, 19] == POINT)
    length = np.where(with_fraction, np.cumprod(digit[:, 20:29], axis=1).sum(axis=1), 0)
    ok &= ~with_fraction | (length > 0)
    known = np.arange(20, 26) < (20 + length)[:, None]
    fraction = (np.where(known, value[:, 20:26], 0) * 10 ** np.arange(5, -1, -1)).sum(axis=1)
    zone_at = np.where(with_fraction, 20 + length, np.where(with_seconds, 19, 16))
    offset, zone_ok = _zone(chars, digit, value, zone_at, size)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    month_ok = (month >= 1) & (month <= 12)
    month = np.where(month_ok, month, 1)
    length_of_month = DAYS_BEFORE[month] - DAYS_BEFORE[month - 1] + (leap & (month == 2))
    ok &= zone_ok & month_ok & (year >= 1) & (day >= 1) & (day <= length_of_month)
    ok &= (hour < 24) & (minute < 60) & (second < 60)
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 + DAYS_BEFORE[month - 1]
    days += (leap & (month > 2)) + day - 1 - 719_162  # days from 0001-01-01 to 1970-01-01
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset
    return np.where(ok, seconds * 1_000_000 + fraction, 0), ok


def _zone(
    chars: np.ndarray, digit: np.ndarray, value: np.ndarray, at: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(offset in seconds, whether what stands from `at` to the end is a zone or nothing)."""
    rows = np.arange(len(chars))
    near = np.minimum(at[:, None] + np.arange(6), chars.shape[1] - 1)
    mark = chars[rows, at]
    digits, values = digit[rows[:, None], near], value[rows[:, None], near]
    left = size - at
    colon = chars[rows, near[:, 3]] == COLON
    hours = values[:, 1] * 10 + values[:, 2]
    minutes = np.where(colon, values[:, 4] * 10 + values[:, 5], values[:, 3] * 10 + values[:, 4])
    minutes = np.where(left == 3, 0, minutes)
    signed = ((mark == ord("+")) | (mark == ord("-"))) & digits[:, 1] & digits[:, 2] & (hours < 24) & (minutes < 60)
    signed &= (
        (left == 3) | ((left == 5) & digits[:, 3] & digits[:, 4]) | ((left == 6) & colon & digits[:, 4] & digits[:, 5])
    )
    offset = np.where(signed, (hours * 3_600 + minutes * 60) * np.where(mark == ord("-"), -1, 1), 0)
    return offset, (left == 0) | ((mark == ord("Z")) & (left == 1)) | signed
