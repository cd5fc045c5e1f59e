"""Receives two lakes that engines filled from the same topics; gives every difference between their tables."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog

from watling.config import Settings
from watling.lake.catalog import open_catalog
from watling.lake.objects import ObjectStore
from watling.lake.state import dump_state, read_state
from watling.lake.tables import load_table

PLACE = [("_kafka_generation", "ascending"), ("_kafka_partition", "ascending"), ("_kafka_offset", "ascending")]
ENGINE_MADE = ("quarantined_at", "released_at", "_replay_id")  # times and names of a run; whether they are null counts
SHOWN = 20


class Lake:
    """What one engine left behind."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalog: Catalog = open_catalog(settings)

    def rows(self, table: str, stream: str | None = None) -> pa.Table:
        """Rows of a table in the order of Kafka, doubles as their bits; `stream` picks its part of quarantine."""
        loaded = load_table(self.catalog, self.settings, table)
        assert loaded is not None, f"{self.settings.home} has no table {table}"
        rows = loaded.scan().to_arrow()
        if stream is not None:
            rows = rows.filter(pc.equal(rows["stream"], stream))
        return comparable(rows)

    def schema(self, table: str) -> tuple[Any, ...]:
        """Columns with ids, types and requiredness, partitioning and order of a table."""
        loaded = load_table(self.catalog, self.settings, table)
        assert loaded is not None
        columns = tuple((f.field_id, f.name, str(f.field_type), f.required) for f in loaded.schema().fields)
        return columns, str(loaded.spec()), str(loaded.sort_order())

    def state(self, stream: str) -> dict[str, Any]:
        """Offsets, counts and gaps by partition as the snapshot carries them, without who wrote them."""
        loaded = load_table(self.catalog, self.settings, stream)
        assert loaded is not None
        body = json.loads(dump_state(read_state(loaded)))
        return {"generations": body["generations"], "accepted": body.get("accepted")}

    def objects(self) -> set[str]:
        """The pictures that are kept, by their SHA-256."""
        return {o.digest for o in ObjectStore(self.settings, self.catalog).each()}


def comparable(rows: pa.Table) -> pa.Table:
    """Rows in the order of Kafka. Doubles become their bits: NaN equals itself and -0.0 is not 0.0."""
    rows = rows.sort_by(PLACE)
    columns = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        whole = column.combine_chunks()
        if isinstance(whole, pa.ChunkedArray):
            whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], whole.type)
        if name in ENGINE_MADE:
            whole = pc.is_valid(whole)
        elif pa.types.is_float64(whole.type):
            whole = whole.view(pa.int64())
        columns[name] = whole
    return pa.table(columns)


def differences(one: pa.Table, other: pa.Table) -> list[str]:
    """Every cell in which two tables of `comparable` differ, the first few of them in words; empty when they are equal."""
    if one.schema.names != other.schema.names or one.schema.types != other.schema.types:
        return [f"columns: {one.schema} against {other.schema}"]
    places = [list(zip(*(t[n].to_pylist() for n, _ in PLACE), strict=True)) for t in (one, other)]
    if places[0] != places[1]:
        ours, theirs = set(places[0]), set(places[1])
        only = sorted(ours ^ theirs)
        return [f"{len(places[0])} rows against {len(places[1])}; not in both or not once: {only[:SHOWN]}"]
    found = []
    for name in one.schema.names:
        if one[name].equals(other[name]):
            continue
        for place, a, b in zip(places[0], one[name].to_pylist(), other[name].to_pylist(), strict=True):
            if a != b:
                found.append(f"{place} {name}: {str(a)[:200]!r} against {str(b)[:200]!r}")
    return found[:SHOWN]
