"""The past of a stream when the lake fails while it is read, and when it runs for weeks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psutil
import pyarrow as pa
import pytest

from tests.unit.pipeline.batches import records
from watling.contracts import load_contracts
from watling.ops.memory import release_early
from watling.pipeline import plan
from watling.pipeline.engines.judged import RECENT, good
from watling.pipeline.engines.recent import IDS, RecentIds
from watling.pipeline.transforms.fingerprint import fingerprint

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_load_that_failed_is_not_taken_for_an_empty_past(tmp_path: Path) -> None:
    """Otherwise a hiccup of the store would let duplicates of the whole window land."""
    held = pa.RecordBatch.from_pylist([{"id": "a", "event_time": NOON}], schema=IDS)
    fails = True

    def load(low: int, high: int) -> Iterator[pa.RecordBatch]:
        yield held.slice(0, 0)
        if fails:
            raise OSError("the store is away")
        if low <= int(NOON.timestamp() * 1e6) < high:
            yield held

    recent = RecentIds(3600, 1 << 20, load, tmp_path)
    rows = pa.table({"id": ["a"], "event_time": pa.array([NOON], IDS.field("event_time").type)})
    rows = rows.append_column("_fingerprint", fingerprint(rows["id"].combine_chunks()))
    with pytest.raises(OSError, match="away"):
        recent.among(rows)
    fails = False
    assert recent.among(rows)["id"].to_pylist() == ["a"]


def test_many_commits_of_one_row_take_no_more_memory_than_few(tmp_path: Path) -> None:
    """A quiet stream commits a row a second: what is kept of each must not be counted as the row's few bytes alone."""
    release_early()  # as a pipeline does
    vehicle = load_contracts(None)["vehicle"]
    recent = RecentIds(vehicle.dedup_window_s, 6 << 20, lambda low, high: iter(()), tmp_path)
    process = psutil.Process()

    def commit(count: int) -> int:
        for _ in range(count):
            value = {"id": str(uuid4()), "vehicle_id": "v", "timestamp": NOON.isoformat(), "location": [51.5, -0.1]}
            rows = good(plan.shape(records([json.dumps(value).encode()]), vehicle), RECENT.names)
            assert rows.num_rows == 1
            recent.among(rows)
            recent.add(rows)
        return int(process.memory_info().rss)

    few = commit(150)
    assert commit(450) - few < 7 << 20  # held whole, each takes 30 kB
