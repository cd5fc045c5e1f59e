"""Receives newline-delimited JSON, with a mapping or already in the wire's shape; gives rows of one stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts import builtin_contracts
from watling.devices.sources import columns, mapping
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.lines import blocks
from watling.devices.sources.rows import ID, JSON, VALUE, Options, Rows, SourceError, rows

SUFFIXES = (".ndjson", ".jsonl", ".json")


@dataclass(frozen=True, slots=True)
class _Cells:
    file: str
    lines: np.ndarray[tuple[int], np.dtype[np.int64]]
    objects: list[dict[str, Any]]

    def column(self, name: str) -> pa.Array:
        return pa.array([text(_at(o, name)) for o in self.objects], pa.string())

    def json(self, name: str) -> columns.Field:
        found = [_at(o, name) for o in self.objects]
        return pa.array([None if v is None else json.dumps(v, ensure_ascii=False) for v in found], pa.string()), JSON

    def filter(self, mask: np.ndarray) -> _Cells:
        return _Cells(self.file, self.lines[mask], [o for o, m in zip(self.objects, mask, strict=True) if m])


def _at(value: Any, path: str) -> Any:
    if isinstance(value, dict) and path in value:
        return value[path]
    for part in path.split("."):
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value)


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield batches. A line that is not a JSON object is a fault.

    With a mapping that has fields, columns are members or paths with dots (`position.lat`, `coords.0`). Without, the
    records are the wire's and are sent byte for byte; the stream is the mapping's, or the one that the file is named
    after (`vehicle_data.ndjson`, `gps-monday.ndjson`).

    Raises:
        SourceError: the stream is not known.
    """
    rules = mapping.load(options.map) if options.map is not None else mapping.Mapping(_stream(member, options))
    for first, data in blocks(member, faults):
        cells, texts = _parsed(member.name, first, data, faults)
        if cells.objects:
            result = (
                mapping.apply(rules, cells, faults, options.timezone)
                if rules.fields
                else _as_it_is(rules, cells, texts, faults, options)
            )
            if result is not None:
                yield result


def _stream(member: Member, options: Options) -> str:
    if "stream" in options.extra:
        return options.extra["stream"]
    name = PurePath(member.name.rpartition("!")[2]).name.lower()
    for contract in builtin_contracts().values():
        if name.startswith((contract.name, contract.topic)):
            return contract.name
    raise SourceError(
        f"{member.name}: which stream is it? Name the file after it (vehicle.ndjson) or give --map FILE with `stream: vehicle`.",
        path=member.name,
    )


def _parsed(file: str, first: int, data: bytes, faults: Faults) -> tuple[_Cells, list[bytes]]:
    objects: list[dict[str, Any]] = []
    lines: list[int] = []
    texts: list[bytes] = []
    for line, raw in enumerate(data.split(b"\n"), first):
        raw = raw.strip()
        if not raw:
            continue
        try:
            value = json.loads(raw)
        except UnicodeDecodeError:
            faults.add(file, line, "the line is not UTF-8")
            continue
        except json.JSONDecodeError as error:
            faults.add(file, line, f"the line is not JSON: {error.msg} at character {error.pos + 1}")
            continue
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, or nested without end
            faults.add(file, line, f"the line is not JSON that can be read: {error}")
            continue
        if not isinstance(value, dict):
            faults.add(file, line, "the line is JSON but not an object")
            continue
        objects.append(value)
        lines.append(line)
        texts.append(raw)
    return _Cells(file, np.asarray(lines, np.int64), objects), texts


def _as_it_is(
    rules: mapping.Mapping, cells: _Cells, texts: list[bytes], faults: Faults, options: Options
) -> Rows | None:
    time_texts = pa.array([text(_first(o, mapping.TIME_WIRES)) for o in cells.objects], pa.string())
    time = columns.instants(time_texts, options.timezone or rules.timezone, faults)
    devices = (rules.key, *mapping.DEVICE_WIRES) if rules.key else mapping.DEVICE_WIRES
    device = pa.array([text(_first(o, devices)) for o in cells.objects], pa.string())
    good = np.asarray(pc.and_(pc.is_valid(time), pc.is_valid(device)))
    for i in np.flatnonzero(~good):
        message = (
            "no vehicle, camera, station or incident id"
            if time[int(i)].is_valid
            else mapping.unreadable_time(time_texts[int(i)].as_py())
        )
        faults.add(cells.file, int(cells.lines[i]), message)
    if not good.any():
        return None
    keep = pa.array(good)
    cells, time, device = cells.filter(good), time.filter(keep), device.filter(keep)
    line = pa.array(cells.lines).cast(pa.string())
    known = pa.array([text(_first(o, ("id",))) for o in cells.objects], pa.string())
    result = rows(rules.stream, {}, time=time, device=device, row=pc.coalesce(known, line))
    raw = pa.array([t for t, m in zip(texts, good, strict=True) if m], pa.binary())

    return Rows(result.stream, result.table.append_column(ID, known).append_column(VALUE, raw))


def _first(record: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((record[n] for n in names if record.get(n) not in (None, "")), None)
