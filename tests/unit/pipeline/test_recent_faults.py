"""The past of a stream when the lake fails while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

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
