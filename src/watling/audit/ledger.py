"""Receives a stream's table and quarantine, pinned; gives how often each offset stands in them.

Rows are read, not counters: of each row its generation, partition and offset, in windows of offsets, so that memory
stays flat however long the stream is. What the state says of gaps and losses is held against the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import BooleanExpression
from pyiceberg.table import Table

from watling.audit.report import Fault, Kind, Partition, Range
from watling.contracts.model import Reason
from watling.lake.read import at_least, below, equal, every, read
from watling.lake.state import PartitionState, StreamState

WINDOW_OFFSETS = 16_000_000  # of each partition at a time: a byte each
MAX_RANGES = 1000
PLACE = ["_kafka_generation", "_kafka_partition", "_kafka_offset"]
MOST = 127
REPLAYED = 128  # bit: a row at this offset was landed by quarantine replay

Key = tuple[int, int]  # generation, partition


@dataclass(slots=True)
class Found:
    """Offsets of one fault in one partition: how many, and the first ranges of them."""

    count: int = 0
    ranges: list[Range] = field(default_factory=list)

    def add(self, offsets: np.ndarray) -> None:
        """Offsets, sorted."""
        if len(offsets) == 0:
            return
        self.count += len(offsets)
        cuts = np.flatnonzero(np.diff(offsets) > 1) + 1
        starts = offsets[np.r_[0, cuts]]
        stops = offsets[np.r_[cuts - 1, len(offsets) - 1]] + 1
        for start, stop in zip(starts[: MAX_RANGES + 1].tolist(), stops[: MAX_RANGES + 1].tolist(), strict=True):
            if self.ranges and self.ranges[-1][1] == start:
                self.ranges[-1] = (self.ranges[-1][0], stop)
            elif len(self.ranges) < MAX_RANGES:
                self.ranges.append((start, stop))


@dataclass(slots=True)
class Tally:
    """What was counted in one partition. `unexplained` are offsets without a row that no named range accounts for."""

    state: PartitionState
    landed: int = 0
    quarantined: int = 0
    duplicates: int = 0
    unexplained: Found = field(default_factory=Found)
    doubled: Found = field(default_factory=Found)
    outside: Found = field(default_factory=Found)

    @property
    def unnamed(self) -> int:
        """Offsets that the state counts as gaps, losses or erased without naming them."""
        named = sum(b - a for a, b in (*self.state.gaps, *self.state.lost_ranges))
        return max(self.state.gap_offsets + self.state.lost + self.state.erased - named, 0)

    @property
    def missing(self) -> int:
        """Offsets for which nothing accounts."""
        return max(self.unexplained.count - self.unnamed, 0)

    def faults(self, key: Key) -> list[Fault]:
        """What is wrong with the rows."""
        found: list[tuple[Kind, int, Found]] = [
            ("missing", self.missing, self.unexplained),
            ("doubled", self.doubled.count, self.doubled),
            ("outside", self.outside.count, self.outside),
        ]
        return [Fault(kind, *key, count, tuple(f.ranges)) for kind, count, f in found if count]

    def partition(self) -> Partition:
        """The counts for the report."""
        s = self.state
        consumed = s.next - s.first - s.gap_offsets - s.lost - s.erased
        return Partition(
            s.first,
            s.next,
            consumed,
            self.landed,
            self.quarantined,
            self.duplicates,
            s.gap_offsets,
            s.lost,
            s.erased,
        )


def tally(stream: str, table: Table, quarantine: Table | None, state: StreamState) -> dict[Key, Tally]:
    """Count the stream's offsets in the current snapshots of both tables, which the caller pinned by loading them.

    Rows of quarantine at or above a partition's next offset belong to a commit that is still to come: no fault.
    """
    tallies = {(g, p): Tally(s) for g, p, s in state.each()}
    if not tallies:
        return tallies
    for window in _windows([t.state for t in tallies.values()]):
        counts = _Counts(tallies, window)
        for batch in read(table, [*PLACE, "_replay_id"], _within(window)):
            counts.landed(batch)
        if quarantine is not None and quarantine.current_snapshot() is not None:
            condition = every(equal("stream", stream), _within(window))
            for batch in read(quarantine, [*PLACE, "reason", "released_at"], condition):
                counts.rejected(batch)
        counts.settle()
    return tallies


Window = tuple[int | None, int | None]  # from, to (exclusive); None: unbounded


def _windows(states: list[PartitionState]) -> Iterator[Window]:
    first, last = min(s.first for s in states), max(s.next for s in states)
    cuts = list(range(first + WINDOW_OFFSETS, last, WINDOW_OFFSETS))
    yield from zip([None, *cuts], [*cuts, None], strict=True)


def _within(window: Window) -> BooleanExpression:
    parts: list[BooleanExpression] = []
    if window[0] is not None:
        parts.append(at_least("_kafka_offset", window[0]))
    if window[1] is not None:
        parts.append(below("_kafka_offset", window[1]))
    return every(*parts)


class _Counts:
    """How often each offset of one window was seen, a byte an offset, all partitions one after the other."""

    def __init__(self, tallies: Mapping[Key, Tally], window: Window) -> None:
        self._tallies = tallies
        shape = (max(g for g, _ in tallies) + 1, max(p for _, p in tallies) + 1)
        self._low, self._high = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
        self._base, self._first = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        size = 0
        for key, one in tallies.items():
            low = one.state.first if window[0] is None else max(one.state.first, window[0])
            high = one.state.next if window[1] is None else min(one.state.next, window[1])
            self._low[key], self._high[key], self._base[key] = low, max(low, high), size
            self._first[key] = one.state.first
            size += max(high - low, 0)
        self._seen = np.zeros(size, np.uint8)

    def landed(self, batch: pa.RecordBatch) -> None:
        """Rows of the stream's table."""
        generations, partitions, offsets = _places(batch)
        inside, at = self._find(generations, partitions, offsets)
        self._outside(generations[~inside], partitions[~inside], offsets[~inside])
        self._add(at)
        replayed = pc.is_valid(batch.column("_replay_id")).to_numpy(zero_copy_only=False)[inside]
        self._seen[at[replayed]] |= REPLAYED
        for key, count in _counts_by(generations[inside], partitions[inside]):
            self._tallies[key].landed += count

    def rejected(self, batch: pa.RecordBatch) -> None:
        """Rows of quarantine; those released stand in the table, marked or matched by what replay landed."""
        open_ = pc.is_null(batch.column("released_at")).to_numpy(zero_copy_only=False)
        generations, partitions, offsets = (column[open_] for column in _places(batch))
        duplicate = pc.equal(batch.column("reason"), Reason.DUPLICATE.value).to_numpy(zero_copy_only=False)[open_]
        inside, at = self._find(generations, partitions, offsets)
        generations, partitions, duplicate = generations[inside], partitions[inside], duplicate[inside]
        kept = self._seen[at] & REPLAYED == 0
        self._add(at[kept])
        for key, count in _counts_by(generations[kept], partitions[kept]):
            self._tallies[key].quarantined += count
        kept &= duplicate
        for key, count in _counts_by(generations[kept], partitions[kept]):
            self._tallies[key].duplicates += count

    def settle(self) -> None:
        """Compare what was seen with what the states say."""
        for key, one in self._tallies.items():
            low, high, base = int(self._low[key]), int(self._high[key]), int(self._base[key])
            seen = self._seen[base : base + high - low] & MOST
            expected = np.ones(high - low, np.bool_)
            for start, stop in (*one.state.gaps, *one.state.lost_ranges):
                expected[max(start - low, 0) : max(stop - low, 0)] = False
            one.unexplained.add(np.flatnonzero((seen == 0) & expected) + low)
            one.doubled.add(np.flatnonzero(seen > 1) + low)
            one.outside.add(np.flatnonzero((seen > 0) & ~expected) + low)

    def _find(
        self, generations: np.ndarray, partitions: np.ndarray, offsets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which rows lie in known ranges, and the indexes of those."""
        known = (generations >= 0) & (generations < self._low.shape[0])
        known &= (partitions >= 0) & (partitions < self._low.shape[1])
        g, p = np.where(known, generations, 0), np.where(known, partitions, 0)
        low = self._low[g, p]
        inside = known & (offsets >= low) & (offsets < self._high[g, p])
        return inside, (self._base[g, p] + offsets - low)[inside]

    def _add(self, at: np.ndarray) -> None:
        if len(at) == 0:
            return
        start, stop = int(at.min()), int(at.max()) + 1
        if stop - start <= 16 * len(at):
            found = np.bincount(at - start)
            places: np.ndarray | slice = slice(start, stop)
        else:
            places, found = np.unique(at, return_counts=True)
        old = self._seen[places]
        self._seen[places] = np.minimum((old & MOST) + found, MOST).astype(np.uint8) | (old & REPLAYED)

    def _outside(self, generations: np.ndarray, partitions: np.ndarray, offsets: np.ndarray) -> None:
        for g, p in {(int(g), int(p)) for g, p in zip(generations, partitions, strict=True)}:
            mine = np.unique(offsets[(generations == g) & (partitions == p)])
            owner = self._tallies.get((g, p)) or self._tallies[max(self._tallies)]
            owner.outside.add(mine)


def _places(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    g, p, o = (batch.column(name).to_numpy(zero_copy_only=False) for name in PLACE)
    return g, p, o


def _counts_by(generations: np.ndarray, partitions: np.ndarray) -> Iterator[tuple[Key, int]]:
    if len(generations) == 0:
        return
    width = int(partitions.max()) + 1
    counts = np.bincount(generations.astype(np.int64) * width + partitions)
    for code in np.flatnonzero(counts).tolist():
        yield (code // width, code % width), int(counts[code])
