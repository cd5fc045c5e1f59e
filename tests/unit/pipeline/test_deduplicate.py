"""Which of two equal events stays, by window and by offset."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from watling.pipeline.plan import shape
from watling.pipeline.transforms import deduplicate

from .batches import CONTRACTS, records

CONTRACT = CONTRACTS["weather"]
NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)
WINDOW = CONTRACT.dedup_window_s
Event = tuple[str, int, int]  # id, seconds after noon, partition


def recent(*rows: tuple[str, int]) -> pa.Table:
    times = [NOON + timedelta(seconds=s) for _, s in rows]
    ids = pa.array([i for i, _ in rows], pa.string())
    return pa.table({"id": ids, "event_time": pa.array(times, pa.timestamp("us", "UTC"))})


def shaped(events: list[Event]) -> pa.Table:
    """One batch; offsets count within the partition, rows stand in the order given."""
    parts, next_offset = [], {0: 0, 1: 0}
    for id_, seconds, partition in events:
        value = json.dumps({"id": id_, "timestamp": (NOON + timedelta(seconds=seconds)).isoformat()}).encode()
        parts.append(records([value], next_offset[partition], partition))
        next_offset[partition] += 1
    return shape(pa.concat_tables(parts), CONTRACT)


def reasons(table: pa.Table) -> list[str | None]:
    return table["_reason"].to_pylist()


def test_the_first_offset_wins_and_the_message_says_where_it_is() -> None:
    """Else a report counts an event twice, or keeps another copy after a restart."""
    table = deduplicate.step(shaped([("a", 0, 0), ("b", 0, 0), ("a", 10, 0)]), CONTRACT, recent())
    assert reasons(table) == [None, None, "duplicate"]
    assert table["_field"].to_pylist()[2] == "id"
    assert "partition 0, offset 0" in table["_message"].to_pylist()[2]


def test_order_is_that_of_partition_and_offset_not_of_rows() -> None:
    """Else the copy that lands depends on which partition was fetched first."""
    assert reasons(deduplicate.step(shaped([("a", 0, 1), ("a", 0, 0)]), CONTRACT, recent())) == ["duplicate", None]


def test_an_event_that_stands_in_the_lake_wins() -> None:
    """Else a device that sends again after a restart of the pipeline is counted twice."""
    table = deduplicate.step(shaped([("a", 0, 0), ("b", 0, 0)]), CONTRACT, recent(("a", WINDOW)))
    assert reasons(table) == ["duplicate", None]
    assert "the lake holds it already" in table["_message"].to_pylist()[0]


def test_the_window_includes_its_edge_and_nothing_after() -> None:
    """Else a device that numbers its events anew each day loses some."""
    table = deduplicate.step(shaped([("a", 0, 0), ("a", WINDOW, 0), ("a", WINDOW + 1, 0)]), CONTRACT, recent())
    assert reasons(table) == [None, "duplicate", None]


def test_a_record_that_is_bad_takes_no_part() -> None:
    """Else a good event is lost because a broken one of the same id came before."""
    bad = records([b'{"id": "a", "timestamp": "never"}'])
    good = records([json.dumps({"id": "a", "timestamp": NOON.isoformat()}).encode()], 1)
    table = shape(pa.concat_tables([bad, good]), CONTRACT)
    assert reasons(deduplicate.step(table, CONTRACT, recent())) == ["wrong_type", None]


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from([0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW]),
            st.integers(0, 1),
        ),
        max_size=12,
    ),
    past=st.lists(st.tuples(st.sampled_from("abx"), st.sampled_from([0, WINDOW, 2 * WINDOW])), max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_it_is_what_an_obvious_loop_says_and_doing_it_twice_changes_nothing(
    events: list[Event], past: list[tuple[str, int]]
) -> None:
    """Else duplicates land or events are lost in some order that nobody tried by hand."""
    if not events:
        return
    table = deduplicate.step(shaped(events), CONTRACT, recent(*past))
    kept = list(past)
    expected: dict[int, str | None] = {}
    for at, (id_, seconds, _) in sorted(enumerate(events), key=lambda e: e[1][2]):  # stable: offsets within a partition
        repeats = any(i == id_ and abs(s - seconds) <= WINDOW for i, s in kept)
        expected[at] = "duplicate" if repeats else None
        if not repeats:
            kept.append((id_, seconds))
    assert reasons(table) == [expected[i] for i in range(len(events))]
    assert deduplicate.step(table, CONTRACT, recent(*past)).equals(table)
