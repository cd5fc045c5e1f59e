"""Receives texts of numbers and of true or false from cast; gives typed arrays and the rows that do not fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.pipeline.transforms.arrays import flags, present, without

NUMBER = r"\A[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\z"
WHOLE = r"\A[+-]?[0-9]+\z"
EXACT = 2.0**53  # whole numbers below it are exact in a double


@dataclass(slots=True)
class Cast:
    """`values` has null where the text is null, empty or does not fit. Row masks are None when there are none."""

    values: pa.Array
    wrong: np.ndarray | None = None  # not of the type
    beyond: np.ndarray | None = None  # of the type's kind, but more than it holds


def to_double(texts: pa.Array) -> Cast:
    """Decimal numbers, as JSON numbers or as text. NaN and infinity are no numbers; 1e400 is beyond."""
    try:
        values = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        numeric = flags(pc.match_substring_regex(texts, NUMBER))
        values = without(texts, ~numeric).cast(pa.float64())
        wrong = ~numeric & filled(texts)
        values, _, beyond = _finite(texts, values)
        return Cast(values, wrong if wrong.any() else None, beyond)
    return Cast(*_finite(texts, values))


def _finite(texts: pa.Array, values: pa.Array) -> tuple[pa.Array, np.ndarray | None, np.ndarray | None]:
    """Take out what the reader of numbers made of words (nan, inf) and of numbers too large for a double."""
    infinite = ~np.isfinite(pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False))
    if not infinite.any():
        return values, None, None
    numeric = flags(pc.match_substring_regex(texts, NUMBER))
    wrong, beyond = infinite & ~numeric, infinite & numeric
    return without(values, infinite), wrong if wrong.any() else None, beyond if beyond.any() else None


def to_integer(texts: pa.Array, kind: pa.DataType) -> Cast:
    """Whole numbers of 32 or 64 bits, also written 2024.0 or 2.024e3. 1.5 is wrong; 2^63 is beyond."""
    number = to_double(texts)
    values = number.values
    floats = pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False)
    wrong = merge(number.wrong, floats != np.floor(floats))
    limits = np.iinfo(np.int32 if kind == pa.int32() else np.int64)
    beyond = (floats < limits.min) | (floats > limits.max)  # as doubles: 2^63 itself is found by `_exact`
    large = np.abs(floats) >= EXACT
    if large.any():  # a double may have lost digits: read them again, or refuse 1e18, which has none
        digits = flags(pc.match_substring_regex(texts, WHOLE)) & large
        exact, over = _exact(texts, digits)
        beyond |= over | (large & ~digits)
    out = beyond | wrong if wrong is not None else beyond
    whole = np.where(out | large, 0, floats).astype(np.int64)
    if large.any():
        whole = np.where(digits, exact, whole)
    typed = pa.array(np.where(out, 0, whole), mask=out | ~present(values)).cast(kind)
    return Cast(typed, wrong, merge(number.beyond, beyond))


def _exact(texts: pa.Array, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """64-bit values of `rows`, which are whole numbers in digits, and which of them do not fit."""
    try:
        return pc.fill_null(without(texts, ~rows).cast(pa.int64()), 0).to_numpy(), np.zeros(len(rows), dtype=bool)
    except pa.ArrowInvalid:  # at least one does not fit: look at each, these are few
        exact, over = np.zeros(len(rows), np.int64), np.zeros(len(rows), dtype=bool)
        for row in np.flatnonzero(rows).tolist():
            text = texts[row].as_py().lstrip("+-0")
            value = int(text) * (-1 if texts[row].as_py()[0] == "-" else 1) if len(text) <= 19 else None
            if value is None or not -(2**63) <= value < 2**63:
                over[row] = True
            else:
                exact[row] = value
        return exact, over


def to_boolean(texts: pa.Array) -> Cast:
    """true and false in any case, 1 and 0."""
    lower = pc.utf8_lower(texts)
    true = flags(pc.is_in(lower, pa.array(["true", "1", "1.0"])))
    false = flags(pc.is_in(lower, pa.array(["false", "0", "0.0"])))
    wrong = ~true & ~false & filled(texts)
    return Cast(pa.array(true, mask=~(true | false)), wrong if wrong.any() else None)


def filled(texts: pa.Array) -> np.ndarray:
    """True where there is a text and it is not empty: an empty text stands for a missing value."""
    return flags(pc.not_equal(texts, ""))


def merge(first: np.ndarray | None, second: np.ndarray) -> np.ndarray | None:
    """Either of two row masks; None when no row is left."""
    both = second if first is None else first | second
    return both if both.any() else None
