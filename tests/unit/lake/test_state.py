"""The state that a stream's writer keeps: what a restart and the audit believe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watling.lake.errors import LakeError, StateConflict
from watling.lake.state import (
    AcceptedLoss,
    Generation,
    PartitionDelta,
    PartitionState,
    StreamState,
    dump_state,
    merge_ranges,
    parse_state,
)

ranges = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=30)


def one(partition: PartitionState) -> StreamState:
    return StreamState(3, "me", {0: Generation("vehicle_data", "abc", {0: partition})})


@given(ranges)
def test_merged_ranges_cover_the_same_offsets(pairs: list[tuple[int, int]]) -> None:
    """If merging lost or added an offset, the audit would call a gap a loss or a loss a gap."""
    merged = merge_ranges(pairs)
    assert {i for a, b in merged for i in range(a, b)} == {i for a, b in pairs for i in range(a, b)}
    assert all(merged[i][1] < merged[i + 1][0] for i in range(len(merged) - 1))


@given(
    st.integers(0, 2**62),
    st.integers(0, 10**12),
    ranges,
    ranges,
    st.text(max_size=30),
)
def test_state_survives_its_summary(first: int, count: int, gaps: list, lost: list, writer: str) -> None:
    """If a state did not read back as it was written, a restart would seek to a wrong offset."""
    state = StreamState(
        7,
        writer,
        {
            0: Generation(
                "t",
                "id",
                {
                    3: PartitionState(
                        first, first + count, count, 2, 1, 5, 0, 9, merge_ranges(gaps), merge_ranges(lost), 11
                    )
                },
            ),
            1: Generation("t", "id2", {}),
        },
        (AcceptedLoss("2026-01-01", 5, "disk broke"),),
    )
    assert parse_state(dump_state(state)) == state


def test_a_batch_that_does_not_begin_where_the_table_stands_is_refused() -> None:
    """Otherwise a late writer would settle offsets twice."""
    state = one(PartitionState(0, 10))
    with pytest.raises(StateConflict, match="stands at offset 10"):
        state.advance(0, {0: PartitionDelta(8, 20)})


def test_advance_counts_landed_lost_and_gaps() -> None:
    """The ledger next − first = consumed + gaps + lost must hold after any batch."""
    delta = PartitionDelta(10, 20, landed=3, quarantined=2, duplicates=1, lost=((10, 13),), gaps=((18, 20),))
    state = one(PartitionState(0, 10, landed=10)).advance(0, {0: delta, 1: PartitionDelta(0, 4, landed=4)})
    partition = state.generations[0].partitions[0]
    assert (partition.next, partition.landed, partition.quarantined, partition.lost, partition.gap_offsets) == (
        20,
        13,
        2,
        3,
        2,
    )
    assert (
        partition.next - partition.first
        == partition.landed + partition.quarantined + partition.lost + partition.gap_offsets
    )
    assert state.generations[0].partitions[1].landed == 4


def test_deltas_follow_one_another_only_without_a_hole() -> None:
    """A hole between two fetches would be offsets that nobody accounts for."""
    assert PartitionDelta(0, 5, landed=5).then(PartitionDelta(5, 9, landed=4)).next == 9
    with pytest.raises(StateConflict):
        PartitionDelta(0, 5).then(PartitionDelta(6, 9))


def test_a_newer_format_is_refused_by_name() -> None:
    """An old Watling must not guess at a newer one's offsets."""
    text = dump_state(one(PartitionState(0, 1))).replace('"format":1', '"format":99')
    with pytest.raises(LakeError, match="99"):
        parse_state(text)
