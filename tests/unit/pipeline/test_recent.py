"""Recent ids in little memory: what does not fit goes to files, and duplicates are found all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from watling.pipeline.engines.recent import IDS, RecentIds
from watling.pipeline.transforms.fingerprint import FINGERPRINT, fingerprint

WINDOW_S = 3600
HOUR_US = WINDOW_S * 1_000_000
NOON = 470_000 * HOUR_US


def rows(ids: list[str], times: list[int]) -> pa.Table:
    array = pa.array(ids, pa.string())
    return pa.table(
        [array, pa.array(times, IDS.field("event_time").type), fingerprint(array)], [*IDS.names, FINGERPRINT]
    )


class Lake:
    """What was committed; counts how often it is read."""

    def __init__(self) -> None:
        self.held = IDS.empty_table()
        self.reads = 0

    def load(self, low: int, high: int) -> Iterator[pa.RecordBatch]:
        self.reads += 1
        times = self.held["event_time"].cast(pa.int64()).to_numpy()
        yield from self.held.filter(pa.array((times >= low) & (times < high))).combine_chunks().to_batches()


@pytest.mark.parametrize("memory", [1 << 30, 4096, 1])
def test_a_repeated_id_is_found_however_little_memory_there_is(tmp_path: Path, memory: int) -> None:
    """A duplicate would land when its first event was pushed out of memory."""
    lake = Lake()
    recent = RecentIds(WINDOW_S, memory, lake.load, tmp_path / "run")
    rng = np.random.default_rng(1)
    for batch in range(12):
        ids = [f"{batch}-{i}" for i in range(500)]
        times = (NOON + rng.integers(0, 2 * HOUR_US, 500)).tolist()
        fresh = rows(ids, times)
        assert recent.among(fresh).num_rows == 0
        lake.held = pa.concat_tables([lake.held, fresh.select(IDS.names).cast(IDS)])
        recent.add(fresh)
    chosen = rng.integers(0, lake.held.num_rows, 800)
    again = lake.held.take(pa.array(chosen))
    strangers = [f"new-{i}" for i in range(800)]
    mixed = rows(
        again["id"].to_pylist() + strangers, again["event_time"].cast(pa.int64()).to_pylist() + [NOON] * len(strangers)
    )
    found = set(recent.among(mixed)["id"].to_pylist())
    assert found == set(again["id"].to_pylist())
    held = sum(bucket.nbytes for bucket in recent._buckets.values())
    assert held <= max(memory, 500 * 8)
    assert list((tmp_path / "run").glob("*")) == []


def test_ids_of_a_restart_are_read_within_the_bound(tmp_path: Path) -> None:
    """A start over a full window of ids would need as much memory as the window has ids."""
    lake = Lake()
    count = 20_000
    lake.held = pa.table([pa.array([str(i) for i in range(count)]), pa.array([NOON + i for i in range(count)])], IDS.names).cast(IDS)  # fmt: skip
    recent = RecentIds(WINDOW_S, 16_384, lake.load, tmp_path / "run")
    asked = rows(["17", "none"], [NOON + HOUR_US // 2] * 2)
    assert set(recent.among(asked)["id"].to_pylist()) == {"17"}
    assert sum(bucket.nbytes for bucket in recent._buckets.values()) <= 16_384
    reads = lake.reads
    assert recent.among(rows(["other"], [NOON])).num_rows == 0
    assert lake.reads == reads, "the buckets are known: the lake is not read again"
