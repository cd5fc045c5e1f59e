"""Receives columns of text; gives adapters numbers, times in UTC and texts, and says which cells could not be read.

Local times become UTC with the zone's rules. The hour that happens twice in autumn is read as its first time (summer
time); an hour that does not exist in spring is read as if the clock had not gone forward, which is one hour later on
the wall. Both are counted by the caller's `Faults.note`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.devices.sources.faults import Faults
from watling.devices.sources.rows import JSON, UTC, SourceError

KMH_PER_MPH = 1.609344
KMH_PER_MS = 3.6
KMH_PER_KNOT = 1.852

NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
PLAIN = r"^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$"
COMPASS = ("North", "North-East", "East", "South-East", "South", "South-West", "West", "North-West")

Field: TypeAlias = pa.Array | tuple[pa.Array, dict[bytes, bytes]] | None
"""A wire field of a batch: an array, or texts that are JSON values already."""


def numbers(text: pa.Array) -> pa.Array:
    """Doubles; null where a text is empty or not a decimal number (`NaN` and `inf` are not)."""
    if not pa.types.is_string(text.type) and not pa.types.is_large_string(text.type):
        return _finite(text.cast(pa.float64()))
    try:
        return _finite(text.cast(pa.float64()))
    except pa.ArrowInvalid:
        trimmed = pc.utf8_trim_whitespace(text)
        good = pc.match_substring_regex(trimmed, NUMBER)
        plus = pc.if_else(pc.starts_with(trimmed, "+"), pc.utf8_slice_codeunits(trimmed, 1), trimmed)
        return _finite(pc.if_else(good, plus, None).cast(pa.float64()))


def _finite(array: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_finite(array), array, None)


def number(text: pa.Array, scale: float = 1.0, offset: float = 0.0) -> Field:
    """A wire field of numbers, times `scale` plus `offset`. A text that is no number is sent as it stands:
    the pipeline names it, with its bytes, in quarantine. None when the whole column is empty."""
    if text.null_count == len(text):
        return None
    value = numbers(text)
    bad = value.null_count != text.null_count
    if scale != 1.0:
        value = pc.multiply(value, scale)
    if offset != 0.0:
        value = pc.add(value, offset)
    if not bad:
        return value
    quoted = pa.array(
        [
            json.dumps(t) if t is not None and v is None else None
            for t, v in zip(text.to_pylist(), value.to_pylist(), strict=True)
        ],
        pa.string(),
    )
    return pc.coalesce(value.cast(pa.string()), quoted), JSON


def constant(value: Any, n: int) -> pa.Array:
    """`n` times the same text or number."""
    return pa.repeat(pa.scalar(value), n)


def renamed(text: pa.Array, names: Mapping[str, str]) -> pa.Array:
    """Texts replaced by `names`; those it does not hold stay as they are."""
    codes = pc.dictionary_encode(text)
    words = pa.array([names.get(w, w) for w in codes.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(codes.indices, words).cast(pa.string())


def location(latitude: pa.Array, longitude: pa.Array) -> Field:
    """The wire's `[lat, lon]`; null where either is missing."""
    lat, lon = (c if isinstance(c, pa.Array) else pa.array(c) for c in (latitude, longitude))
    if lat.null_count == len(lat):
        return None
    return pc.binary_join_element_wise("[", _text(lat), ",", _text(lon), "]", ""), JSON


def _text(array: pa.Array) -> pa.Array:
    return array if pa.types.is_string(array.type) else array.cast(pa.string())


def coordinates(latitude: pa.Array, longitude: pa.Array) -> tuple[Field, pa.Array, pa.Array]:
    """From two text columns: the wire's location, and both as doubles (null where they are no numbers).

    Texts that are no numbers make the location what stands there, so that quarantine can name it.
    """
    lat, lon = numbers(latitude), numbers(longitude)
    if lat.null_count == latitude.null_count and lon.null_count == longitude.null_count:
        return location(lat, lon), lat, lon
    pairs = zip(latitude.to_pylist(), longitude.to_pylist(), lat.to_pylist(), lon.to_pylist(), strict=True)
    texts = [
        None if a is None or b is None else json.dumps([x if x is not None else a, y if y is not None else b])
        for a, b, x, y in pairs
    ]
    return (pa.array(texts, pa.string()), JSON), lat, lon


def compass(degrees: pa.Array) -> pa.Array:
    """The nearest of eight compass points of a heading in degrees; null where that is null."""
    values = np.asarray(pc.fill_null(degrees, 0.0), dtype=np.float64)
    index = (np.round(np.mod(values, 360.0) / 45.0).astype(np.int8)) % 8
    points = pa.DictionaryArray.from_arrays(pa.array(index), pa.array(COMPASS)).cast(pa.string())
    return pc.if_else(pc.is_valid(degrees), points, None)


def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name. Raises SourceError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SourceError(
            f"time zone {name!r} is not known. Use an IANA name such as Europe/London.", timezone=name
        ) from None


def instants(text: pa.Array, timezone: str, faults: Faults, formats: Sequence[str] = ()) -> pa.Array:
    """Times in UTC (microseconds); null where a text cannot be read.

    ISO 8601 texts may carry an offset or `Z`; those without are in `timezone`. `formats` are strptime formats tried
    in order instead. `24:00` is the next day's midnight.
    """
    text = pc.utf8_trim_whitespace(text)
    late = pc.match_substring_regex(text, r"[T ]24:00(:00)?$")
    if pc.any(late).as_py():
        text = pc.if_else(late, pc.replace_substring_regex(text, r"([T ])24:00", r"\100:00"), text)
    if formats:
        naive = _by_formats(text, formats)
        result = localize(naive, timezone, faults)
    else:
        result = _iso(text, timezone, faults)
    if pc.any(late).as_py():
        day = pa.scalar(86_400_000_000, pa.duration("us"))
        result = pc.if_else(pc.fill_null(late, False), pc.add(result, day), result)
    return result


def _by_formats(text: pa.Array, formats: Sequence[str]) -> pa.Array:
    result = pa.nulls(len(text), pa.timestamp("us"))
    for fmt in formats:
        if result.null_count == 0:
            break
        result = pc.coalesce(result, pc.strptime(text, fmt, "us", error_is_null=True))
    return result


def _iso(text: pa.Array, timezone: str, faults: Faults) -> pa.Array:
    offset = pc.match_substring_regex(text, r"(Z|z|[+-]\d\d:?\d\d)$")
    all_offset, any_offset = pc.all(offset).as_py() is not False, pc.any(offset).as_py()
    aware = _cast_iso(text if all_offset else pc.if_else(offset, text, None), UTC) if any_offset else None
    if all_offset and aware is not None:
        return aware
    naive = localize(
        _cast_iso(pc.if_else(pc.fill_null(offset, False), None, text), pa.timestamp("us")), timezone, faults
    )
    return naive if aware is None else pc.coalesce(aware, naive)


def _cast_iso(text: pa.Array, to: pa.DataType) -> pa.Array:
    try:
        return text.cast(to)
    except pa.ArrowInvalid:
        return pa.array([_one(t, to) for t in text.to_pylist()], to)


def _one(text: str | None, to: pa.DataType) -> Any:
    if text is None:
        return None
    for candidate in (
        text,
        text.replace("z", "Z"),
        text[:26] + ("Z" if text.endswith("Z") else ""),
    ):  # nanoseconds are cut
        try:
            return pa.scalar(candidate).cast(to).as_py()
        except (pa.ArrowInvalid, ValueError, OverflowError):
            continue
    return None


def epoch(values: pa.Array, per_second: float) -> pa.Array:
    """Times from numbers of seconds (1), milliseconds (1000), … since 1970; null where out of any calendar."""
    seconds = pc.divide(values, per_second)
    sane = pc.and_(pc.greater(seconds, -62_135_596_800.0), pc.less(seconds, 253_402_300_800.0))
    micros = pc.round(pc.multiply(pc.if_else(sane, seconds, None), 1e6))
    return micros.cast(pa.int64()).cast(UTC)


def localize(naive: pa.Array, timezone: str, faults: Faults) -> pa.Array:
    """Wall-clock times of a zone to UTC. What is ambiguous or does not exist is noted in `faults`."""
    if timezone.upper() in {"UTC", "GMT", "Z"}:
        return naive.cast(UTC)
    zone(timezone)
    early = pc.assume_timezone(naive, timezone, ambiguous="earliest", nonexistent="earliest")
    try:
        exact = pc.assume_timezone(naive, timezone)
    except pa.ArrowInvalid:
        late = pc.assume_timezone(naive, timezone, ambiguous="latest", nonexistent="latest")
        differ = pc.fill_null(pc.not_equal(early, late), False)
        wall = pc.local_timestamp(early)
        twice = pc.and_(differ, pc.fill_null(pc.equal(wall, naive), False))
        never = pc.and_(differ, pc.invert(twice))
        faults.note(f"local time that happens twice in {timezone}, read as its first", pc.sum(twice).as_py() or 0)
        faults.note(f"local time that does not exist in {timezone}, read as one hour later", pc.sum(never).as_py() or 0)
        exact = _shift_missing(naive, early, never) if pc.any(never).as_py() else early
    return exact.cast(UTC)


def _shift_missing(naive: pa.Array, early: pa.Array, never: pa.Array) -> pa.Array:
    """In the gap Arrow offers only its edge: count on with the clock of three hours before."""
    hours = pa.scalar(3 * 3_600_000_000, pa.duration("us"))
    before = pc.assume_timezone(pc.subtract(naive, hours), early.type.tz, ambiguous="earliest", nonexistent="earliest")
    return pc.if_else(never, pc.add(before, hours), early)
