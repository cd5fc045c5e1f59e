"""What the engine spark works out about a batch, without Spark: holes, losses, verdicts, what executors are handed."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watling.config import load_settings
from watling.contracts import load_contracts
from watling.contracts.records import RECORDS
from watling.lake.catalog import open_catalog
from watling.lake.commit import Committer
from watling.lake.objects import ObjectStore
from watling.lake.write import write_rows
from watling.pipeline.engines.spark import tasks
from watling.pipeline.engines.spark.stream import _missing
from watling.pipeline.split import split
from watling.pipeline.surely import shape_surely

EVENT = b'{"id": "a", "vehicle_id": "v", "timestamp": "2026-11-24T11:30:00Z", "location": [51.5, -0.1]}'


def records(offsets: list[int], partition: int = 0, value: bytes = EVENT) -> pa.Table:
    count = len(offsets)
    columns = [[value] * count, [b"k"] * count, [None] * count, [partition] * count, offsets, [0] * count]
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, RECORDS, strict=True)], schema=RECORDS)


@pytest.mark.parametrize(
    ("seen", "low", "moved", "gaps", "lost"),
    [
        ([10, 11, 12, 13, 14], 0, 0, (), ()),
        ([10, 11, 13], 0, 0, ((12, 13), (14, 15)), ()),  # a marker, and one at the end
        ([], 0, 0, ((10, 15),), ()),  # all aborted
        ([13, 14], 13, 13, (), ((10, 13),)),  # retention went past before the batch
        ([], 40, 40, (), ((10, 15),)),
        ([14], 12, 12, ((12, 14),), ((10, 12),)),
        ([10, 14], 0, 13, ((13, 14),), ((11, 13),)),  # it went on while the batch was read: a doubt counts as loss
    ],
)
def test_holes_are_gaps_or_losses(seen: list[int], low: int, moved: int, gaps: object, lost: object) -> None:
    """A loss that is taken for a gap is never told; a gap that is taken for a loss makes the audit fail."""
    assert _missing(np.array(seen, np.int64), 10, 15, low, moved) == (gaps, lost)


@given(st.sets(st.integers(0, 30)), st.integers(0, 35), st.integers(0, 35))
def test_every_offset_is_seen_a_gap_or_lost(seen: set[int], low: int, more: int) -> None:
    """Counts must add up: else the audit finds records that were never there."""
    gaps, lost = _missing(np.array(sorted(seen), np.int64), 0, 31, low, low + more)
    told = [o for ranges in (gaps, lost) for a, b in ranges for o in range(a, b)]
    assert sorted([*told, *seen]) == list(range(31))


def test_a_verdict_marks_the_records_that_it_names() -> None:
    """A duplicate marked at another record's place lands twice and hides a good one."""
    contract = load_contracts(None)["vehicle"]
    shaped = pa.concat_tables([shape_surely(records([5, 6, 7], p), contract) for p in (2, 0)])
    names = [(2, 6), (0, 5), (1, 7), (0, 99)]
    verdict = pa.Table.from_arrays(
        [
            pa.array([p for p, _ in names], pa.int32()),
            pa.array([o for _, o in names], pa.int64()),
            pa.array(["duplicate"] * 4),
            pa.array(["id"] * 4),
            pa.array([f"{p}/{o}" for p, o in names]),
        ],
        schema=tasks.VERDICT,
    )
    marked = tasks.marked(shaped, verdict)
    assert marked["_message"].to_pylist() == [None, "2/6", None, "0/5", None, None]
    assert marked["_reason"].to_pylist() == [None, "duplicate", None, "duplicate", None, None]
    assert marked.schema.names == shaped.schema.names


def test_settled_records_are_dropped() -> None:
    """What table and quarantine have already must not come again."""
    rows = tasks.keep(records([5, 6, 7, 8]), {0: 6}, {0: np.array([7])})
    assert rows["_kafka_offset"].to_pylist() == [6, 8]
    assert tasks.keep(records([5], partition=3), {0: 6}, {}).num_rows == 0


def test_a_table_and_its_files_travel_to_an_executor_and_back(tmp_path: Path) -> None:
    """Executors write with what they are handed, and the driver commits what they tell: neither may lose its meaning."""
    import threading

    settings = load_settings(home=tmp_path)
    catalog = open_catalog(settings)
    contract = load_contracts(None)["vehicle"]
    committer = Committer(catalog, settings, "test", threading.Event())
    committer.claim(contract)
    orders = tasks.Orders(
        contract, 0, tasks.skeleton(committer.table("vehicle")), ObjectStore(settings, catalog), {0: 0}, {}, tasks.VERDICT.empty_table()
    )  # fmt: skip
    orders = pickle.loads(pickle.dumps(orders))
    shaped = tasks.unpack(pa.py_buffer(tasks.pack(shape_surely(records([1, 2]), contract))))
    rows, _ = split(shaped, contract, 0)
    told = pickle.dumps(write_rows(tasks.revive(orders.table), rows))
    (file,) = tasks.files_of(told)
    assert (file.record_count, Path(file.file_path.removeprefix("file://")).is_file()) == (2, True)
    assert file.partition == write_rows(committer.table("vehicle"), rows)[0].partition
