"""The audit over real tables, sound and tampered with."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.small_lake import NOON, SmallLake
from watling.audit import AuditReport, accept_loss, ledger, run_audit
from watling.errors import UsageError
from watling.lake.compact import compact
from watling.lake.state import Generation, PartitionState, read_state
from watling.lake.write import write_rows

pytestmark = pytest.mark.integration


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    made = SmallLake(tmp_path / "home", ("vehicle", "gps"), partitions=2, kafka={"bootstrap_servers": "127.0.0.1:1"})
    made.land("vehicle", 0, 100, 10)
    made.land("vehicle", 110, 50, 5, reason="duplicate")
    made.land("vehicle", 0, 20, partition=1)
    made.land("gps", 0, 30, 3)
    return made


@pytest.fixture(autouse=True)
def _short_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    from watling.audit import run

    monkeypatch.setattr(run, "PING_S", 0.3)


def audit(lake: SmallLake, look_again_s: float = 0.01) -> AuditReport:
    return run_audit(lake.settings, catalog=lake.catalog, look_again_s=look_again_s)


def faults(report: AuditReport, stream: str = "vehicle") -> list[tuple[Any, ...]]:
    return [(f.kind, f.generation, f.partition, f.count, f.ranges) for f in report.streams[stream].faults]


def test_a_sound_lake_in_the_designs_shape(lake: SmallLake) -> None:
    """Scripts and the page read this shape; its sums are the promise."""
    body = audit(lake).json()
    assert body["ok"] is True
    assert set(body["streams"]) == {"vehicle", "gps", "traffic", "weather", "emergency"}
    assert body["streams"]["vehicle"] == {
        "topic": "vehicle_data",
        "consumed": 185,
        "landed": 170,
        "quarantined": 15,
        "duplicates": 5,
        "missing": 0,
        "doubled": 0,
        "lost_to_retention": 0,
        "erased": 0,
        "lag": None,
        "partitions": {
            "0": {"first": 0, "next": 165, "consumed": 165, "landed": 150, "quarantined": 15, "gaps": 0},
            "1": {"first": 0, "next": 20, "consumed": 20, "landed": 20, "quarantined": 0, "gaps": 0},
        },
        "generations": {},
    }
    empty = body["streams"]["weather"]
    assert (empty["consumed"], empty["landed"], empty["partitions"], empty["lag"]) == (0, 0, {}, None)


def test_doubled_rows_are_named(lake: SmallLake) -> None:
    """A record that landed twice counts twice on every report."""
    lake.smuggle("vehicle", lake.rows("vehicle", [3, 4, 5, 40]))
    lake.smuggle("vehicle", lake.rows("vehicle", [4]))
    report = audit(lake)
    assert not report.ok
    assert faults(report) == [("doubled", 0, 0, 4, ((3, 6), (40, 41)))]
    assert report.json()["streams"]["vehicle"]["doubled"] == 4
    assert report.json()["streams"]["vehicle"]["faults"][0]["offsets"] == [[3, 5], [40, 40]]
    assert any("3 to 5, 40" in line for line in report.lines())
    assert report.streams["gps"].ok


def test_missing_rows_are_named(lake: SmallLake) -> None:
    """A record that vanished from the table is what the audit is for."""
    lake.remove("vehicle", "_kafka_partition = 1 and _kafka_offset >= 7 and _kafka_offset < 9")
    lake.remove("quarantine", "stream = 'vehicle' and _kafka_offset = 105")
    assert sorted(faults(audit(lake))) == [("missing", 0, 0, 1, ((105, 106),)), ("missing", 0, 1, 2, ((7, 9),))]


def test_in_both_tables_is_doubled(lake: SmallLake) -> None:
    """A record that landed and stands in quarantine was counted twice."""
    lake.smuggle("quarantine", lake.rejected("vehicle", [50]).append_column("quarantined_at", [[NOON]]))
    assert faults(audit(lake)) == [("doubled", 0, 0, 1, ((50, 51),))]


def test_rows_beyond_the_state_are_outside(lake: SmallLake) -> None:
    """A row above the next offset would come a second time."""
    lake.smuggle("vehicle", lake.rows("vehicle", [165, 166]))
    assert faults(audit(lake)) == [("outside", 0, 0, 2, ((165, 167),))]


def test_what_quarantine_holds_above_the_next_offset_is_no_fault(lake: SmallLake) -> None:
    """A pipeline that died between its two commits is sound."""
    lake.smuggle("quarantine", lake.rejected("vehicle", [165, 166]).append_column("quarantined_at", [[NOON] * 2]))
    report = audit(lake)
    assert report.ok
    assert report.streams["vehicle"].total("quarantined") == 15


def test_replayed_records_count_once(lake: SmallLake) -> None:
    """Quarantine replay lands a record and then marks it; a death between the two must not look like doubling."""
    lake.smuggle("vehicle", lake.rows("vehicle", [100, 101], _replay_id="r1"))
    report = audit(lake)
    assert report.ok, faults(report)
    assert (report.streams["vehicle"].total("landed"), report.streams["vehicle"].total("quarantined")) == (172, 13)
    assert report.streams["vehicle"].total("consumed") == 185


def test_a_released_record_that_never_landed_is_missing(lake: SmallLake) -> None:
    """The mark alone proves nothing."""
    table = lake.catalog.load_table(("watling", "quarantine"))
    lake.remove("quarantine", "stream = 'vehicle' and _kafka_offset = 100")
    table.refresh()
    row = lake.rejected("vehicle", [100]).append_column("quarantined_at", [[NOON]])
    lake.smuggle("quarantine", row.append_column("released_at", [[NOON]]))
    assert faults(audit(lake)) == [("missing", 0, 0, 1, ((100, 101),))]


def test_gaps_are_no_records(lake: SmallLake) -> None:
    """Transaction markers and compaction leave offsets that never were records."""
    lake.land("vehicle", 165, 5, gaps=[(170, 172)])
    report = audit(lake)
    partition = report.streams["vehicle"].generations[0][0]
    assert report.ok
    assert (partition.next, partition.gaps, partition.consumed, partition.landed) == (172, 2, 170, 155)
    assert partition.next - partition.first == partition.consumed + partition.gaps + partition.lost + partition.erased


def test_more_gaps_than_are_named(lake: SmallLake) -> None:
    """A stream of small transactions has more gaps than the state can name."""
    first = 165
    for _ in range(3):
        gaps = [(first + 2 * i + 1, first + 2 * i + 2) for i in range(500)]
        result = first + 1000
        rows = lake.rows("vehicle", [first + 2 * i for i in range(500)])
        from watling.lake.commit import Batch
        from watling.lake.state import PartitionDelta

        delta = PartitionDelta(first, result, landed=500, gaps=tuple(gaps))
        files = write_rows(lake.committer.table("vehicle"), rows)
        answer = lake.committer.commit([Batch("vehicle", 0, {0: delta}, files)])["vehicle"]
        assert not isinstance(answer, Exception)
        first = result
    assert audit(lake).ok
    lake.remove("vehicle", "_kafka_partition = 0 and _kafka_offset = 165")
    report = audit(lake)
    assert report.json()["streams"]["vehicle"]["missing"] == 1


def test_losses_fail_until_they_are_accepted(lake: SmallLake) -> None:
    """Records that retention deleted unread are lost, and somebody must have looked at it."""
    lake.land("vehicle", 165, 5, lost=[(170, 180)])
    report = audit(lake)
    assert not report.ok
    assert faults(report) == [("lost", 0, 0, 10, ((170, 180),))]
    assert report.json()["streams"]["vehicle"]["lost_to_retention"] == 10
    assert report.json()["streams"]["vehicle"]["missing"] == 0
    assert any("--accept-loss vehicle" in line for line in report.lines())
    assert accept_loss(lake.settings, "vehicle", "disk was full", catalog=lake.catalog) == 10
    report = audit(lake)
    assert report.ok
    assert report.json()["streams"]["vehicle"]["lost_to_retention"] == 10
    assert report.json()["streams"]["vehicle"]["accepted"] == 10
    with pytest.raises(UsageError, match="no loss"):
        accept_loss(lake.settings, "vehicle", "again", catalog=lake.catalog)
    lake.land("vehicle", 180, 1, lost=[(181, 182)])  # the writer goes on over the record
    assert not audit(lake).ok
    state = read_state(lake.catalog.load_table(("watling", "vehicle")))
    assert [(a.records, a.reason) for a in state.accepted] == [(10, "disk was full")]


@pytest.mark.parametrize(("stream", "reason", "says"), [("vehicle", " ", "reason"), ("nosuch", "x", "no table")])
def test_accepting_needs_a_reason_and_a_table(lake: SmallLake, stream: str, reason: str, says: str) -> None:
    """An empty reason helps nobody who reads it later."""
    with pytest.raises(UsageError, match=says):
        accept_loss(lake.settings, stream, reason, catalog=lake.catalog)


def test_generations_are_kept_apart(lake: SmallLake) -> None:
    """Offsets of a topic that was made again begin at 0 once more; they are other records."""
    again = Generation("vehicle_data", "another-id", {0: PartitionState(0, 0)})
    lake.change("vehicle", lambda s: replace(s, generations={**s.generations, 1: again}))
    body = audit(lake).json()["streams"]["vehicle"]
    assert list(body["generations"]) == ["0"]
    assert body["generations"]["0"]["partitions"]["0"]["landed"] == 150
    assert body["partitions"] == {"0": {"first": 0, "next": 0, "consumed": 0, "landed": 0, "quarantined": 0, "gaps": 0}}
    assert body["landed"] == 170


def test_windows_of_offsets_add_up(lake: SmallLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream longer than one window of memory must be judged the same."""
    lake.smuggle("vehicle", lake.rows("vehicle", [3, 4, 5, 40, 500]))
    lake.remove("vehicle", "_kafka_partition = 1 and _kafka_offset >= 7 and _kafka_offset < 15")
    whole = audit(lake)
    monkeypatch.setattr(ledger, "WINDOW_OFFSETS", 7)
    parts = audit(lake)
    assert whole.streams == parts.streams
    assert len(faults(parts)) == 3


def test_compaction_changes_nothing(lake: SmallLake) -> None:
    """Maintenance rewrites files; the same rows must be found."""
    for i in range(10):
        lake.land("gps", 33 + i * 2, 2)
    before = audit(lake)
    done = compact(lake.catalog.load_table(("watling", "gps")), 1 << 27, threading.Event())
    assert done.files_before > done.files_after
    assert audit(lake).streams == before.streams


def test_a_fault_that_heals_is_not_reported(lake: SmallLake) -> None:
    """Beside a running replay, two tables pinned one after the other may differ for a moment."""
    lake.remove("vehicle", "_kafka_partition = 1 and _kafka_offset = 7")
    healer = threading.Timer(0.5, lambda: lake.smuggle("vehicle", lake.rows("vehicle", [7], partition=1)))
    healer.start()
    report = audit(lake, look_again_s=1.0)
    healer.join()
    assert report.ok, faults(report)


def test_beside_a_busy_writer(lake: SmallLake) -> None:
    """The audit runs while the pipeline commits; it must neither cry wolf nor stop it."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        offset = 165
        try:
            while not stop.is_set():
                lake.land("vehicle", offset, 5, 2)
                offset += 7
        except BaseException as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reports = [audit(lake) for _ in range(5)]
    finally:
        stop.set()
        writer.join(60)
    assert not failed
    assert all(r.ok for r in reports), [faults(r) for r in reports]
    consumed = [r.streams["vehicle"].total("consumed") for r in reports]
    assert consumed == sorted(consumed)
    assert consumed[-1] > consumed[0]


def test_memory_and_time_of_a_million_rows(lake: SmallLake) -> None:
    """The audit is run every night; it must not need the stream's size in memory."""
    import psutil
    import pyarrow as pa

    rows = lake.rows("gps", [0])
    count = 1_000_000
    columns = {
        name: pa.array(range(33, 33 + count), pa.int64())
        if name == "_kafka_offset"
        else pa.array([f"i{i}" for i in range(count)])
        if name == "id"
        else pa.repeat(rows[name][0], count)
        for name in rows.column_names
    }
    lake.smuggle("gps", pa.table(columns, schema=rows.schema))
    lake.change(
        "gps",
        lambda s: replace(
            s,
            generations={
                0: replace(
                    s.generations[0],
                    partitions={**s.generations[0].partitions, 0: PartitionState(0, 33 + count, landed=30 + count)},
                )
            },
        ),
    )
    del columns
    process = psutil.Process()
    before, begun = process.memory_info().rss, time.monotonic()
    report = audit(lake)
    assert report.ok, faults(report, "gps")
    assert report.streams["gps"].total("landed") == 1_000_030
    assert process.memory_info().rss - before < 150_000_000
    assert time.monotonic() - begun < 10
