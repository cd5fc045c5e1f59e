"""Receives enviroCar tracks as GeoJSON; gives the columns that the CSV of the same tracks has.

The text is read piece by piece: a feature at a time, never the whole file. A feature that is not valid JSON is a
fault; reading goes on behind it.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from watling.devices.sources.faults import Faults
from watling.devices.sources.files import BROKEN, Member
from watling.devices.sources.table import Block

CHUNK = 256 * 1024
MAX_FEATURE = 8 * 1024 * 1024
_DECODE = json.JSONDecoder()
_SPACE = re.compile(r"[\s,]*")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.S)
_NEXT = re.compile(r'\}(?=\s*,\s*\{\s*"(?:type|properties|geometry|id)"\s*:)')
_KEY = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*:\s*', re.S)


@dataclass(frozen=True, slots=True)
class _Element:
    """One element of the list of features, and the line it begins at."""

    line: int
    feature: Any


class _Text:
    """A window on the text: `text[at:]` is what is not yet taken. `line` is that of `at`."""

    def __init__(self, member: Member, faults: Faults) -> None:
        self.name, self._faults = member.name, faults
        self._raw = member.open()
        self._stream = io.TextIOWrapper(self._raw, encoding="utf-8-sig", errors="replace")
        self.text, self.at, self.line, self.ended = "", 0, 1, False

    def more(self) -> bool:
        """Read on; False at the end."""
        if self.ended:
            return False
        try:
            chunk = self._stream.read(max(CHUNK, len(self.text) - self.at))
        except BROKEN as error:
            self._faults.add(self.name, self.line, f"the file cannot be read further: {error or type(error).__name__}")
            chunk = ""
        self.ended = not chunk
        self.text, self.at = self.text[self.at :] + chunk, 0
        return not self.ended

    def take(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def skip(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Take what the pattern matches, reading on while it could match more."""
        while True:
            match = pattern.match(self.text, self.at)
            if (
                (match is None or match.end() == len(self.text))
                and len(self.text) - self.at < MAX_FEATURE
                and self.more()
            ):
                continue
            if match is not None:
                self.take(match.end())
            return match

    def value(self) -> Any:
        """Take one JSON value. Raises ValueError, with nothing taken, if it is none."""
        while True:
            try:
                found, end = _DECODE.raw_decode(self.text, self.at)
            except (ValueError, RecursionError):
                if self._end() is None and len(self.text) - self.at < MAX_FEATURE and self.more():
                    continue
                raise ValueError from None
            if end == len(self.text) and self.more():
                continue
            self.take(end)
            return found

    def _end(self) -> int | None:
        """Where what stands at `at` ends: before the next feature, or where its brackets close."""
        following = _NEXT.search(self.text, self.at)
        if following is not None:
            return following.end()
        depth = 0
        for token in _TOKEN.finditer(self.text, self.at):
            if token[0] in "{[":
                depth += 1
            elif token[0] in "}]":
                depth -= 1
                if depth <= 0:
                    return token.end()
        return None

    def leave(self) -> bool:
        """Go behind a value that is no JSON; False if its end is nowhere to be found."""
        end = self._end()
        if end is None:
            return False
        self.take(end)
        return True

    def close(self) -> None:
        self._stream.close()


def tracks(member: Member, faults: Faults, batch: int, wanted: frozenset[str]) -> Iterator[Block]:
    """Yield blocks of up to `batch` measurements of a FeatureCollection, with the `wanted` phenomena; `sensor`
    properties become columns."""
    sensor = _sensor(member)
    rows: list[dict[str, str | None]] = []
    lines: list[int] = []
    for line, feature in _features(member, faults):
        row = _measurement(feature, wanted)
        if row is None:
            faults.add(member.name, line, "not a measurement: a feature has properties with a time, and a point")
            continue
        rows.append(row)
        lines.append(line)
        if len(rows) >= batch:
            yield _block(member.name, sensor, rows, lines)
            rows, lines = [], []
    if rows:
        yield _block(member.name, sensor, rows, lines)


def _sensor(member: Member) -> dict[str, str | None]:
    for key, value in _members(member, Faults(), features=False):
        if key == "properties" and isinstance(value, dict):
            sensor = value.get("sensor")
            about = sensor.get("properties") if isinstance(sensor, dict) else None
            about = about if isinstance(about, dict) else {}
            names = {
                "vehicle_id": "id",
                "make": "manufacturer",
                "model": "model",
                "year": "constructionYear",
                "fuel": "fuelType",
            }
            return {"track_id": _string(value.get("id")), **{k: _string(about.get(v)) for k, v in names.items()}}
    return {}


def _string(value: Any) -> str | None:
    return None if value is None else str(value)


def _features(member: Member, faults: Faults) -> Iterator[tuple[int, Any]]:
    for key, value in _members(member, faults, features=True):
        if key == "features" and isinstance(value, _Element):
            yield value.line, value.feature


def _members(member: Member, faults: Faults, features: bool) -> Iterator[tuple[str, Any]]:
    """Walk the top object: `(key, value)`; for `features` each element as `("features", _Element)`."""
    try:
        text = _Text(member, faults)
    except BROKEN as error:
        faults.add(member.name, 0, f"the file cannot be read: {error}")
        return
    try:
        if text.skip(re.compile(r"\s*\{")) is None:
            faults.add(member.name, text.line, "not a GeoJSON object")
            return
        while (key := text.skip(_KEY)) is not None:
            name = key[1]
            if name == "features" and text.skip(re.compile(r"\[")) is not None:
                for line, feature in _elements(text, faults):
                    if features:
                        yield name, _Element(line, feature)
            else:
                yield name, text.value()
            text.skip(_SPACE)
        if text.skip(re.compile(r"\s*\}")) is None:
            faults.add(member.name, text.line, "the file ends inside a track, or is no JSON from here on")
    except ValueError:
        faults.add(member.name, text.line, "no JSON from here on")
    finally:
        text.close()


def _elements(text: _Text, faults: Faults) -> Iterator[tuple[int, Any]]:
    while True:
        text.skip(_SPACE)
        if text.skip(re.compile(r"\]")) is not None:
            return
        line = text.line
        try:
            yield line, text.value()
        except ValueError:
            if not text.leave():
                return  # the walk reports that the file ends here
            faults.add(text.name, line, "the feature is not valid JSON")


def _measurement(feature: Any, wanted: frozenset[str]) -> dict[str, str | None] | None:
    try:
        about, point = feature["properties"], feature["geometry"]["coordinates"]
        row = {"time": _string(about["time"]), "lon": _string(point[0]), "lat": _string(point[1])}
        for name, value in about.get("phenomenons", {}).items():
            if name in wanted:
                row[f"{name} [{value.get('unit', '')}]"] = _string(value.get("value"))
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    return row


def _block(file: str, sensor: dict[str, str | None], rows: list[dict[str, str | None]], lines: list[int]) -> Block:
    names = list(dict.fromkeys(k for r in rows for k in r))
    data = {n: pa.array([r.get(n) for r in rows], pa.string()) for n in names}
    data |= {k: pa.array([v] * len(rows), pa.string()) for k, v in sensor.items() if k not in data}
    return Block(file, pa.table(data), np.asarray(lines, np.int64))
