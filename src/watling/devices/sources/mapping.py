"""Receives a mapping file (YAML) and the cells of a table; gives rows of the stream that the mapping names.

docs/replay.md describes the format. All faults of a mapping are reported at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from watling.contracts import builtin_contracts
from watling.devices.sources import columns, grid
from watling.devices.sources.faults import Faults
from watling.devices.sources.rows import JSON, Rows, SourceError, rows
from watling.devices.sources.units import UNITS

EPOCHS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
TIME_WIRES = ("timestamp", "time", "eventTime")
DEVICE_WIRES = (
    "vehicle_id",
    "vehicleId",
    "camera_id",
    "cameraId",
    "station",
    "incident_id",
    "incidentId",
    "deviceId",
    "id",
)
MAX_BYTES = 1024 * 1024
TOP = {"stream", "key", "timezone", "delimiter", "encoding", "fields"}


class MappingError(SourceError):
    """A mapping file that does not fit. `problems` lists all of them."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        super().__init__(
            f"{path}: " + "; ".join(problems) + ". See docs/replay.md, or draft one with `watling replay-guess`.",
            path=str(path),
            problems=problems,
        )
        self.problems = problems


@dataclass(frozen=True, slots=True)
class From:
    """Where one wire field comes from. `column` names a column or, in NDJSON, a path with dots; `joined` more columns
    whose texts follow it, each after a space (a date and a time of day)."""

    column: str = ""
    joined: tuple[str, ...] = ()
    value: Any = None
    scale: float = 1.0
    offset: float = 0.0
    number: bool = False
    format: str | None = None
    epoch: str | None = None
    timezone: str | None = None
    values: MappingOf[str, str] | None = None
    pair: tuple[str, str] | None = None  # latitude and longitude, or easting and northing
    grid: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return self.pair or ((self.column, *self.joined) if self.column else ())


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping file. `fields` is empty when records are the wire's already."""

    stream: str
    fields: MappingOf[str, From] = field(default_factory=dict)
    key: str | None = None
    timezone: str = "UTC"
    delimiter: str = ","
    encoding: str = "utf-8"

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c for f in self.fields.values() for c in f.columns))

    @property
    def time(self) -> str | None:
        """The wire field that is the event time."""
        return next((w for w in TIME_WIRES if w in self.fields), None)

    @property
    def device(self) -> str | None:
        """The wire field that is the key."""
        return self.key or next((w for w in DEVICE_WIRES if w in self.fields), None)


class Cells(Protocol):
    """The cells of a batch, whatever the format."""

    @property
    def file(self) -> str: ...

    @property
    def lines(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]: ...

    def column(self, name: str) -> pa.Array:
        """A column as texts; numbers as their digits."""
        ...

    def json(self, name: str) -> columns.Field:
        """A column as it stands in the record, for the wire."""
        ...

    def filter(self, mask: np.ndarray) -> Cells: ...


@cache
def numeric_wires(stream: str) -> frozenset[str]:
    """Wire names that the contract of a built-in stream reads as numbers."""
    contract = builtin_contracts().get(stream)
    fields = contract.fields if contract else ()
    return frozenset(w.name for f in fields if f.type in ("int", "long", "double") for w in f.wires if w.part is None)


def load(path: Path) -> Mapping:
    """Read a mapping file. Raises MappingError with every problem."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MappingError(path, ["larger than 1 MiB: not a mapping"])
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise MappingError(path, [" ".join(str(error).split())]) from None
    return parse(document, path)


def parse(document: Any, path: Path) -> Mapping:
    """Check a document. Raises MappingError with every problem."""
    if not isinstance(document, dict):
        raise MappingError(path, ["the file must be a mapping with `stream` and `fields`"])
    problems = [f"{k}: unknown; known are {', '.join(sorted(TOP))}" for k in document if k not in TOP]
    stream = document.get("stream")
    if not isinstance(stream, str) or not stream:
        problems.append("stream: missing; name the stream, such as vehicle")
        stream = ""
    given = document.get("fields") or {}
    if not isinstance(given, dict):
        problems.append("fields: must map wire fields to columns")
        given = {}
    fields = {str(wire): _from(str(wire), spec, stream, problems) for wire, spec in given.items()}
    timezone = str(document.get("timezone", "UTC"))
    for zone in {timezone, *(f.timezone for f in fields.values() if f.timezone)}:
        try:
            columns.zone(zone)
        except SourceError as error:
            problems.append(error.message)
    delimiter = str(document.get("delimiter", ","))
    if len(delimiter) != 1:
        problems.append("delimiter: must be one character")
    key = document.get("key")
    mapping = Mapping(
        stream, fields, str(key) if key else None, timezone, delimiter, str(document.get("encoding", "utf-8"))
    )
    try:
        "".encode(mapping.encoding)
    except LookupError:
        problems.append(f"encoding: {mapping.encoding} is not known")
    if fields and mapping.time is None:
        problems.append("fields: no timestamp; name the column that holds the time")
    if fields and (mapping.device is None or mapping.device not in fields):
        problems.append("key: none of the fields identifies the device; add one such as vehicle_id, or set key")
    if problems:
        raise MappingError(path, problems)
    return mapping


def _from(wire: str, spec: Any, stream: str, problems: list[str]) -> From:
    numeric = wire in numeric_wires(stream)
    if isinstance(spec, str):
        return From(column=spec, number=numeric)
    if not isinstance(spec, dict):
        problems.append(f"{wire}: must be a column's name or a mapping")
        return From()
    known = {
        "column",
        "columns",
        "value",
        "unit",
        "scale",
        "offset",
        "type",
        "format",
        "epoch",
        "timezone",
        "values",
        "latitude",
        "longitude",
        "easting",
        "northing",
    }
    problems.extend(f"{wire}.{k}: unknown; known are {', '.join(sorted(known))}" for k in spec if k not in known)
    scale, offset = 1.0, 0.0
    unit = spec.get("unit")
    if unit is not None and unit not in UNITS:
        problems.append(f"{wire}.unit: {unit} is not known; known are {', '.join(UNITS)}")
    elif unit is not None:
        scale, offset = UNITS[unit]
    try:
        scale, offset = float(spec.get("scale", scale)), float(spec.get("offset", offset))
    except (TypeError, ValueError):
        problems.append(f"{wire}: scale and offset must be numbers")
    epoch = spec.get("epoch")
    if epoch is not None and epoch not in EPOCHS:
        problems.append(f"{wire}.epoch: {epoch} is not one of {', '.join(EPOCHS)}")
    pair = None
    for a, b in (("latitude", "longitude"), ("easting", "northing")):
        if (a in spec) != (b in spec):
            problems.append(f"{wire}: {a} and {b} come together")
        elif a in spec:
            pair = (str(spec[a]), str(spec[b]))
    joined = spec.get("columns", [])
    if not isinstance(joined, list) or len(joined) == 1:
        problems.append(f"{wire}.columns: must be a list of two or more columns, whose texts are joined by spaces")
        joined = []
    if pair is None and not joined and "column" not in spec and "value" not in spec:
        problems.append(f"{wire}: name a column, a value, or a pair of coordinates")
    values = spec.get("values")
    if values is not None and not isinstance(values, dict):
        problems.append(f"{wire}.values: must map texts to texts")
        values = None
    number = spec.get("type") == "number" or (spec.get("type") is None and (numeric or scale != 1.0 or offset != 0.0))
    zone = spec.get("timezone")
    return From(
        column=str(joined[0]) if joined else str(spec.get("column", "")),
        joined=tuple(str(c) for c in joined[1:]),
        value=spec.get("value"),
        scale=scale,
        offset=offset,
        number=number,
        format=spec.get("format"),
        epoch=epoch,
        timezone=str(zone) if zone else None,
        values={str(k): str(v) for k, v in values.items()} if values is not None else None,
        pair=pair,
        grid="easting" in spec,
    )


def apply(mapping: Mapping, cells: Cells, faults: Faults, timezone: str | None = None) -> Rows | None:
    """Turn cells into rows. Records without a readable time or without a device are faults; None if none is left."""
    time_wire, device_wire = mapping.time, mapping.device
    if time_wire is None or device_wire is None:
        raise SourceError("the mapping names no time or no device", stream=mapping.stream)
    spec = mapping.fields[time_wire]
    time = _time(spec, cells, spec.timezone or timezone or mapping.timezone, faults)
    device = _text(mapping.fields[device_wire], cells)
    bad_time, bad_device = np.asarray(pc.is_null(time)), np.asarray(pc.is_null(device))
    if bad_time.any() or bad_device.any():
        texts = _texts(spec, cells)
        for i in np.flatnonzero(bad_time | bad_device):
            message = unreadable_time(texts[int(i)].as_py()) if bad_time[i] else f"no {device_wire}"
            faults.add(cells.file, int(cells.lines[i]), message)
        good = ~(bad_time | bad_device)
        if not good.any():
            return None
        cells, time, device = cells.filter(good), time.filter(pa.array(good)), device.filter(pa.array(good))
    fields: dict[str, Any] = {
        wire: _field(f, cells) for wire, f in mapping.fields.items() if wire != time_wire and wire != "id"
    }
    position = pa.array(cells.lines).cast(pa.string())
    known = _text(mapping.fields["id"], cells) if "id" in mapping.fields else None
    result = rows(
        mapping.stream,
        fields,
        time=time,
        device=device,
        row=position if known is None else pc.coalesce(known, position),
    )
    return result if known is None else Rows(result.stream, result.table.append_column("_id", known))


def unreadable_time(text: str | None) -> str:
    return "no time" if text is None else f"time {text!r} cannot be read"


def _time(spec: From, cells: Cells, timezone: str, faults: Faults) -> pa.Array:
    text = _texts(spec, cells)
    if spec.epoch:
        return columns.epoch(columns.numbers(text), EPOCHS[spec.epoch])
    return columns.instants(text, timezone, faults, (spec.format,) if spec.format else ())


def _texts(spec: From, cells: Cells) -> pa.Array:
    """The texts of the field's column, or of its columns joined; null where one is missing."""
    first = cells.column(spec.column)
    return pc.binary_join_element_wise(first, *map(cells.column, spec.joined), " ") if spec.joined else first


def _text(spec: From, cells: Cells) -> pa.Array:
    if spec.column:
        text = _texts(spec, cells)
        return columns.renamed(text, spec.values) if spec.values else text
    return columns.constant(str(spec.value), len(cells.lines))


def _field(spec: From, cells: Cells) -> columns.Field:
    if spec.pair is not None:
        first, second = (cells.column(c) for c in spec.pair)
        if spec.grid:
            return columns.location(*grid.wgs84(columns.numbers(first), columns.numbers(second)))
        return columns.coordinates(first, second)[0]
    if not spec.column:
        return columns.constant(json.dumps(spec.value, ensure_ascii=False), len(cells.lines)), JSON
    if spec.values or spec.joined:
        return _text(spec, cells)
    if spec.number:
        return columns.number(cells.column(spec.column), spec.scale, spec.offset)
    return cells.json(spec.column)
