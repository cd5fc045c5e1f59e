"""Receives a recording of unknown shape; gives a mapping file to start from, as text with remarks.

Only a sample is read. What is guessed is a draft for a person: each doubt stands beside it as a comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from watling.contracts import builtin_contracts
from watling.devices import when
from watling.devices.names import SYNONYMS, UNIT_TEXTS
from watling.devices.sources import SOURCES, adapter, ndjson, table
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import BROKEN, Member, members
from watling.devices.sources.rows import Options, SourceError

SAMPLE = 20_000
DELIMITERS = (",", ";", "\t", "|")
SPEEDS = {"speed", "meanSpeed", "windSpeed"}
DEVICES = {
    "vehicle": "vehicle_id",
    "gps": "vehicle_id",
    "traffic": "camera_id",
    "weather": "station",
    "emergency": "incidentId",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """A drafted mapping. `text` is the file; `source` reads it; `missing` are the wire fields a person must add."""

    text: str
    source: str
    stream: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sample:
    source: str
    names: Sequence[str]
    texts: Mapping[str, pa.Array]
    settings: Mapping[str, str]


def guess(path: Path | str) -> Draft:
    """Draft a mapping for a CSV, NDJSON or Parquet file (gzip and zip too), from its first rows.

    Raises:
        SourceError: the file cannot be read as any of them, or holds no row.
    """
    path = Path(path)
    member = next(members([path], (".csv", ".tsv", ".txt", ".ndjson", ".jsonl", ".json", ".parquet", ".pq")))
    sample = _sample(member)
    known = _own_adapter(member) if sample.source == "csv" else None
    found = _matches(sample)
    stream = _stream(found)
    return _draft(path, sample, found, stream, known)


def _sample(member: Member) -> _Sample:
    name = member.name.lower().removesuffix(".gz")
    try:
        if name.endswith((".parquet", ".pq")):
            return _from_parquet(member)
        with member.open() as stream:
            head = stream.read(64 * 1024).lstrip(b"\xef\xbb\xbf \r\n\t")
    except (pa.ArrowException, *BROKEN) as error:
        raise SourceError(f"{member.name}: cannot be read: {error}", path=member.name) from None
    if head.startswith(b"{"):
        return _from_ndjson(member)
    return _from_csv(member, head)


def _from_parquet(member: Member) -> _Sample:
    if not member.plain:
        raise SourceError(f"{member.name}: unpack the Parquet file to draft a mapping for it.", path=member.name)
    with parquet.ParquetFile(member.path) as file:
        batch = next(file.iter_batches(batch_size=SAMPLE), None)
    if batch is None:
        raise SourceError(f"{member.name}: there is no row in it.", path=member.name)
    flat = pa.Table.from_batches([batch])
    while any(pa.types.is_struct(t) for t in flat.schema.types):
        flat = flat.flatten()
    simple = [
        n
        for n, t in zip(flat.column_names, flat.schema.types, strict=True)
        if not pa.types.is_nested(t) and not pa.types.is_binary(t)
    ]
    return _Sample("parquet", simple, {n: flat.column(n).combine_chunks().cast(pa.string()) for n in simple}, {})


def _from_ndjson(member: Member) -> _Sample:
    cells: dict[str, list[str | None]] = {}
    count = 0
    with member.open() as stream:
        for line in islice(stream, SAMPLE):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                for name, text in _leaves("", record):
                    cells.setdefault(name, [None] * count).append(text)
                count += 1
                for column in cells.values():
                    column.extend([None] * (count - len(column)))
    if not count:
        raise SourceError(f"{member.name}: no line of it is a JSON object.", path=member.name)
    return _Sample("ndjson", list(cells), {n: pa.array(c, pa.string()) for n, c in cells.items()}, {})


def _leaves(prefix: str, value: object) -> list[tuple[str, str | None]]:
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in _leaves(f"{prefix}.{k}" if prefix else str(k), v)]
    if isinstance(value, list):
        if len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
            return [(f"{prefix}.{i}", json.dumps(v)) for i, v in enumerate(value)]
        return []
    return [(prefix, ndjson.text(value))]


def _from_csv(member: Member, head: bytes) -> _Sample:
    encoding = "utf-8"
    try:
        head[: head.rfind(b"\n")].decode("utf-8")
    except UnicodeDecodeError:
        encoding = "latin-1"
    first = head.split(b"\n", 1)[0].decode(encoding, errors="replace")
    delimiter = max(DELIMITERS, key=first.count)
    if first.count(delimiter) == 0:
        raise SourceError(f"{member.name}: neither a table (CSV), nor JSON lines, nor Parquet.", path=member.name)
    block = next(table.read(member, Faults(), delimiter=delimiter, encoding=encoding), None)
    if block is None:
        raise SourceError(f"{member.name}: a header, but no row below it.", path=member.name)
    names = block.table.column_names
    settings = {k: v for k, v, usual in (("delimiter", delimiter, ","), ("encoding", encoding, "utf-8")) if v != usual}
    return _Sample("csv", names, {n: block.column(n).slice(0, SAMPLE) for n in names}, settings)


def _own_adapter(member: Member) -> str | None:
    """A source that reads this table without a mapping."""
    for name in SOURCES:
        if name in {"csv", "ndjson", "parquet", "gtfs-rt", "siri-vm"}:
            continue
        _, read = adapter(name)
        try:
            if any(len(r.table) for r in islice(read(member, Options(trim_ends=0), Faults()), 1)):
                return name
        except SourceError:
            continue
    return None


def _plain(name: str) -> tuple[str, str | None]:
    """A column's name without case, punctuation and unit, and the unit."""
    tail = name.rpartition(".")[2] if "." in name and not name.rpartition(".")[2].isdigit() else name
    match = re.fullmatch(r"(.*?)\s*[\[(]\s*([^\])]*)\s*[\])]", tail)
    base, unit = (match[1], match[2].lower()) if match else (tail, "")
    if not unit:
        head, _, last = base.replace("-", "_").rpartition("_")
        if (
            head
            and last.lower() in UNIT_TEXTS
            and last.lower() not in {"c", "f", "k", "in"} | ({"ms"} if "time" in head else set())
        ):
            base, unit = head, last.lower()
    return re.sub(r"[^a-z0-9]", "", base.lower()), UNIT_TEXTS.get(unit)


def _matches(sample: _Sample) -> dict[str, tuple[str, str | None]]:
    """Wire field to column and unit; the first column that matches a better synonym wins."""
    found: dict[str, tuple[int, str, str | None]] = {}
    for name in sample.names:
        plain, unit = _plain(name)
        for wire, words in SYNONYMS.items():
            exact = re.sub(r"[^a-z0-9]", "", wire.lower())
            rank = -1 if plain == exact else words.index(plain) if plain in words else None
            if rank is not None and (wire not in found or rank < found[wire][0]):
                found[wire] = (rank, name, unit)
    found.pop("timestamp", None)
    return {wire: (name, unit) for wire, (_, name, unit) in found.items()}


def _stream(found: Mapping[str, object]) -> str:
    """The built-in stream of whose fields most are there; ties go to the device that is named."""
    shared = {"timestamp", "latitude", "longitude", "vehicle_id"}
    scores: dict[str, float] = {}
    for contract in builtin_contracts().values():
        wires = {w.name for f in contract.fields for w in f.wires}
        scores[contract.name] = len((set(found) & wires) - shared) + (0.5 if DEVICES[contract.name] in found else 0)
    best = max(scores, key=lambda s: scores[s])
    return best if scores[best] > 0 else "gps"


def _repeating_id(sample: _Sample) -> str | None:
    """A column called id that names devices, not records: its values repeat."""
    for name in sample.names:
        if (
            _plain(name)[0] == "id"
            and 0 < pc.count_distinct(sample.texts[name]).as_py() <= len(sample.texts[name]) // 2
        ):
            return name
    return None


def _draft(
    path: Path, sample: _Sample, found: Mapping[str, tuple[str, str | None]], stream: str, known: str | None
) -> Draft:
    wires = {w.name for f in builtin_contracts()[stream].fields for w in f.wires}
    device = DEVICES[stream]
    lines = [f"# Drafted from the first rows of {path.name}: check each line, then"]
    lines.append(f"#   watling replay {sample.source} {path.name} --map THIS_FILE")
    if sample.source == "ndjson" and {device, "timestamp"} <= set(sample.names):
        lines.append(
            f"# These look like the wire's records: `stream: {stream}` alone, without fields, sends them byte for byte"
        )
    if known:
        lines.append(f"# This file needs no mapping: watling replay {known} {path.name}")
    lines.append(f"stream: {stream}")
    lines.extend(f"{k}: {json.dumps(v)}" for k, v in sample.settings.items())
    fields: list[str] = []
    used: set[str] = set()
    missing: list[str] = []
    who = (
        device
        if device in found
        else next((w for w in ("vehicle_id", "camera_id", "station", "incidentId") if w in found), None)
    )
    if who is None and (repeating := _repeating_id(sample)) is not None:
        used.add(repeating)
        fields.append(f"  {device}: {_quoted(repeating)}")
    elif who is None:
        missing.append(device)
        fields.append(f"  {device}: {{value: device-1}}  # no column names the device: give its name here")
    else:
        used.add(found[who][0])
        fields.append(f"  {device}: {_quoted(found[who][0])}")
    fields.extend(_time_lines(sample, lines, missing, used))
    fields.extend(_place_lines(found, stream, missing, used))
    for wire, (name, unit) in found.items():
        if wire in {who, device, "latitude", "longitude", "easting", "northing"} or wire not in wires or name in used:
            continue
        used.add(name)
        fields.append(
            f"  {wire}: {{column: {_quoted(name)}, unit: {json.dumps(unit)}}}" if unit else f"  {wire}: {_quoted(name)}"
        )
    if stream == "emergency":
        fields.extend(
            f"  {w}: {{value: Other}}  # required; map the column's words with values: {{…}}"
            for w in ("type",)
            if w not in found
        )
    left = [n for n in sample.names if n not in used]
    if left:
        fields.append(f"  # not mapped: {', '.join(left)}")
    text = "\n".join([*lines, "fields:", *fields]) + "\n"
    return Draft(text, sample.source, stream, tuple(missing))


def _time_lines(sample: _Sample, head: list[str], missing: list[str], used: set[str]) -> list[str]:
    words = SYNONYMS["timestamp"]
    likely = sorted((words.index(p), n) for n in sample.names if (p := _plain(n)[0]) in words)
    found = when.find(sample.texts, [n for _, n in likely])
    if found is None:
        missing.append("timestamp")
        return ["  timestamp: CHANGE_ME  # no column looks like a time"]
    used.update(found.columns)
    texts = sample.texts[found.columns[0]]
    name = _quoted(found.columns[0])
    if found.kind == "epoch":
        return [f"  timestamp: {{column: {name}, epoch: {found.how}}}"]
    zoned = found.kind == "iso" and pc.all(pc.match_substring_regex(texts, r"(Z|[+-]\d\d:?\d\d)$")).as_py()
    if not zoned:
        head.append("timezone: UTC  # the times carry no zone: local ones are e.g. Europe/London")
    if found.kind == "iso":
        return [f"  timestamp: {name}"]
    doubt = (
        "  # day before month? no date in the sample tells" if when.ambiguous(texts, found.how.split(" ")[0]) else ""
    )
    which = f"column: {name}" if len(found.columns) == 1 else f"columns: [{', '.join(map(_quoted, found.columns))}]"
    return [f"  timestamp: {{{which}, format: {json.dumps(found.how)}}}{doubt}"]


def _place_lines(
    found: Mapping[str, tuple[str, str | None]], stream: str, missing: list[str], used: set[str]
) -> list[str]:
    for a, b in (("latitude", "longitude"), ("easting", "northing")):
        if a in found and b in found:
            used.update((found[a][0], found[b][0]))
            return [f"  location: {{{a}: {_quoted(found[a][0])}, {b}: {_quoted(found[b][0])}}}"]
    if stream in {"vehicle", "emergency"}:
        missing.append("location")
        return [
            "  # location is required: {latitude: COLUMN, longitude: COLUMN} or {easting: COLUMN, northing: COLUMN}"
        ]
    return []


def _quoted(text: str) -> str:
    return (
        text
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", text)
        and text.lower() not in {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
        else json.dumps(text, ensure_ascii=False)
    )
