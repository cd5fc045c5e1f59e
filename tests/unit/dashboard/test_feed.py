"""Where the page begins to read, so that lake and page meet; and that it counts repeats out as the pipeline does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pipeline.batches import CONTRACTS, records
from watling.dashboard import HotState
from watling.dashboard.feed import where_to_start
from watling.dashboard.repeats import Repeats
from watling.pipeline.plan import shape

VEHICLE = CONTRACTS["vehicle"]
NOON = datetime(2026, 11, 24, 11, tzinfo=UTC)


def shaped(ids: list[str], first: int = 0, after_s: int = 0) -> pa.Table:
    values: list[bytes | None] = [
        json.dumps(
            {
                "id": i,
                "vehicle_id": f"v-{i}",
                "timestamp": (NOON + timedelta(seconds=after_s)).isoformat(),
                "location": [51.5, -0.1],
                "speed": 50,
                "direction": "North",
                "make": "Ford",
                "model": "Transit",
                "year": 2024,
                "fuelType": "Diesel",
            }
        ).encode()
        for i in ids
    ]
    return shape(records(values, first), VEHICLE)


def reasons(table: pa.Table) -> list[str | None]:
    return table["_reason"].to_pylist()  # type: ignore[no-any-return]


@given(
    st.dictionaries(st.integers(0, 5), st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1),
    st.dictionaries(st.integers(0, 5), st.integers(0, 120)),
    st.integers(0, 40),
    st.integers(0, 200),
)
def test_no_record_is_left_out_or_counted_twice(
    sizes: dict[int, tuple[int, int]], settled: dict[int, int], back: int, reach: int
) -> None:
    """Every record at or above the lake's offsets is read and counted once, or told as skipped."""
    marks = {p: (low, low + size) for p, (low, size) in sizes.items()}
    start = where_to_start(marks, settled, back=back, reach=reach)
    skipped = 0
    for partition, (low, end) in marks.items():
        seam, position = start.seam[partition], start.positions[partition]
        assert low <= position <= end
        assert low <= seam <= end
        if low <= settled.get(partition, low) <= end:
            assert seam == settled.get(partition, low)
        assert position <= max(low, end - back)  # the map is warm at once
        skipped += max(0, position - seam)
    assert start.skipped == skipped
    if sum(end - start.seam[p] for p, (_, end) in marks.items()) <= reach:
        assert start.skipped == 0


def test_a_repeat_is_marked_within_a_batch_and_over_batches() -> None:
    """A producer's retry must not look like twice the traffic."""
    repeats = Repeats(VEHICLE)
    assert reasons(repeats.mark(shaped(["a", "b", "a"]))) == [None, None, "duplicate"]
    assert reasons(repeats.mark(shaped(["c", "b"], 3))) == [None, "duplicate"]
    late = VEHICLE.dedup_window_s + 1
    assert reasons(repeats.mark(shaped(["a"], 5, after_s=late))) == [None]  # outside the window it is another event


def test_the_memory_of_ids_is_bounded_and_keeps_the_newest() -> None:
    """A page that runs for a month must not grow, nor forget what came a moment ago."""
    repeats = Repeats(VEHICLE, remembered=100)
    for batch in range(60):
        repeats.mark(shaped([f"{batch}-{i}" for i in range(10)], batch * 10))
    assert repeats._young.count + repeats._old.count <= 200
    assert len(repeats._young.runs) + len(repeats._old.runs) < 20
    assert reasons(repeats.mark(shaped(["59-0", "51-3", "0-0"], 600))) == ["duplicate", "duplicate", None]


def test_what_the_lake_has_warms_the_map_and_is_not_counted_again() -> None:
    """Lake and page together must count each record once."""
    hot = HotState(CONTRACTS)
    hot.apply("vehicle", shaped(["a", "b"]), landed=True)
    hot.apply("vehicle", shaped(["c"], 2))
    counts = hot.counts()["vehicle"]
    assert (counts["seen"], counts["bad"]) == (1, 0)
    assert hot.tally()["fleet"]["total"] == 3
