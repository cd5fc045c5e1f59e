"""Receives the ids that a stream landed; tells which ids of a batch may stand in the lake already.

Ids are kept as 64-bit fingerprints, sorted, in buckets of event time as wide as the contract's window, so a record
needs three of them. A bucket that is not in memory is read from the lake when a batch needs it, so forgetting one is
never wrong, only slower. Over the memory bound unneeded buckets are dropped, needed ones move to unlinked files, of which
only what a look-up touches is in memory, and only during it. A hit is confirmed by the full id: from the last commits held as they are, else from the lake.
"""

from __future__ import annotations

import mmap
import tempfile
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.pipeline.transforms.fingerprint import fingerprint

SECOND_US = 1_000_000
MIN_WIDTH_S = 60
EXACT_BYTES = 8 * 1024 * 1024
TABLE_BYTES = 4096  # what a table takes beside its values, however few: a quiet stream commits some a second
EXACT_SHARE = 8  # at most one part in so many of the memory for ids is for those held as they are
MAX_RANGES = 8
PROBES = 4096  # look-ups in a file at a time: each may touch a page of it
IDS = pa.schema([("id", pa.string()), ("event_time", pa.timestamp("us", "UTC"))])

Load = Callable[[int, int], Iterable[pa.RecordBatch]]
"""(from, to) in microseconds of event time, `to` exclusive -> what the lake holds there, columns id and event_time."""


@dataclass(slots=True)
class _Spilled:
    """A sorted run in a file that nobody else sees."""

    mapping: mmap.mmap
    values: np.ndarray

    def contains(self, fingerprints: np.ndarray) -> np.ndarray:
        hits = []
        for start in range(0, len(fingerprints), PROBES):
            hits.append(_among(self.values, fingerprints[start : start + PROBES]))
            self.mapping.madvise(mmap.MADV_DONTNEED)  # stays in the system's cache as long as there is room
        return np.concatenate(hits)


@dataclass(slots=True)
class _Bucket:
    runs: list[np.ndarray] = field(default_factory=list)
    files: list[_Spilled] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        return sum(run.nbytes for run in self.runs)

    def add(self, sorted_fingerprints: np.ndarray) -> None:
        """Keep the number of runs logarithmic: equal sizes merge, as in a binary counter."""
        self.runs.append(sorted_fingerprints)
        while len(self.runs) > 1 and len(self.runs[-1]) * 2 > len(self.runs[-2]):
            last = self.runs.pop()
            merged = np.concatenate((self.runs[-1], last))
            merged.sort(kind="stable")  # two sorted runs: it merges them, ten times as fast as sorting
            self.runs[-1] = merged

    def spill(self, folder: Path) -> None:
        """Move what is in memory to a file of its own. Killed or not, the file goes with the process."""
        folder.mkdir(parents=True, exist_ok=True)
        run = np.concatenate(self.runs)
        run.sort()
        with tempfile.TemporaryFile(dir=folder) as file:
            run.tofile(file)
            file.flush()
            mapping = mmap.mmap(file.fileno(), run.nbytes, access=mmap.ACCESS_READ)
        self.files.append(_Spilled(mapping, np.frombuffer(mapping, np.uint64)))
        self.runs = []

    def contains(self, fingerprints: np.ndarray) -> np.ndarray:
        """Which of these (not empty, best sorted) stand in some run."""
        hit = np.zeros(len(fingerprints), dtype=bool)
        for run in self.runs:
            hit |= _among(run, fingerprints)
        for file in self.files:
            hit |= file.contains(fingerprints)
        return hit


def _among(run: np.ndarray, fingerprints: np.ndarray) -> np.ndarray:
    at = np.searchsorted(run, fingerprints)
    at[at == len(run)] = 0
    found: np.ndarray = run[at] == fingerprints
    return found


def _held(fingerprints: np.ndarray, kept: pa.Table) -> int:
    return int(kept.nbytes + fingerprints.nbytes + TABLE_BYTES)


class RecentIds:
    """The past of one stream, as far as duplicates need it. Used by one thread.

    `window_s` is the contract's; `memory_bytes` bounds what stays in memory; `load` reads the lake as it is committed;
    `spill` is a folder for the overflow.
    """

    def __init__(self, window_s: int, memory_bytes: int, load: Load, spill: Path) -> None:
        self._window_us = window_s * SECOND_US
        self._width_us = max(window_s, MIN_WIDTH_S) * SECOND_US
        self._memory = memory_bytes
        self._load = load
        self._spill = spill
        self._buckets: OrderedDict[int, _Bucket] = OrderedDict()
        self._exact: deque[tuple[np.ndarray, pa.Table]] = deque()  # the last commits as they were
        self._exact_bytes = 0
        self._exact_limit = min(EXACT_BYTES, memory_bytes // EXACT_SHARE)

    def among(self, rows: pa.Table) -> pa.Table:
        """Ids that the lake holds and some row of `rows` may repeat, with their event times (schema `IDS`).

        `rows` has `id`, `event_time`, `_fingerprint`, none of them null. The answer holds, for each row that repeats an
        id within the window, at least one such occurrence.
        """
        if rows.num_rows == 0 or self._window_us == 0:
            return IDS.empty_table()
        fingerprints = rows["_fingerprint"].to_numpy()
        times = rows["event_time"].cast(pa.int64()).to_numpy()
        hits = self._candidates(fingerprints, times)
        if not hits.any():
            return IDS.empty_table()
        suspects = rows.select(["id", "event_time"]).filter(pa.array(hits)).cast(IDS)
        found = self._from_last_commits(fingerprints[hits])
        open_ = ~self._within_window(suspects, found)
        if not open_.any():
            return found
        suspects = suspects.filter(pa.array(open_))
        bounds = suspects["event_time"].cast(pa.int64())
        low, high = pc.min(bounds).as_py() - self._window_us, pc.max(bounds).as_py() + self._window_us + 1
        wanted = pc.unique(suspects["id"])
        parts = [batch.filter(pc.is_in(batch.column("id"), value_set=wanted)) for batch in self._load(low, high)]
        return pa.concat_tables([found, pa.Table.from_batches(parts, IDS)])

    def add(self, rows: pa.Table) -> None:
        """Remember landed rows (`id`, `event_time`, `_fingerprint`), after their commit."""
        if rows.num_rows == 0 or self._window_us == 0:
            return
        # copies: DuckDB's buffers hold 2,048 rows even for one, and a column's text lies in one piece with that of all
        fingerprints = np.array(rows["_fingerprint"])
        kept = rows.select(["id", "event_time"]).cast(IDS).take(np.arange(rows.num_rows))
        keys = rows["event_time"].cast(pa.int64()).to_numpy() // self._width_us
        for key in np.unique(keys):
            bucket = self._buckets.get(int(key))
            if bucket is not None:  # one that is not loaded will be read from the lake with these rows in it
                bucket.add(np.sort(fingerprints[keys == key]))
        self._exact.append((fingerprints, kept))
        self._exact_bytes += _held(fingerprints, kept)
        while self._exact_bytes > self._exact_limit and len(self._exact) > 1:
            self._exact_bytes -= _held(*self._exact.popleft())

    def forget(self) -> None:
        """Somebody else landed rows in the table: read again what is needed."""
        self._buckets.clear()
        self._exact.clear()
        self._exact_bytes = 0

    def _candidates(self, fingerprints: np.ndarray, times: np.ndarray) -> np.ndarray:
        keys = times // self._width_us
        unique = np.unique(keys)
        needed = {int(k) + step for k in unique for step in (-1, 0, 1)}
        self._ensure(needed)
        hits = np.zeros(len(fingerprints), dtype=bool)
        for key in unique:
            mine = np.flatnonzero(keys == key) if len(unique) > 1 else np.arange(len(keys))
            near = [b for step in (-1, 0, 1) if (b := self._buckets[int(key) + step]).runs or b.files]
            if near:
                mine = mine[np.argsort(fingerprints[mine])]  # sorted look-ups stay in the processor's caches
                for bucket in near:
                    hits[mine] |= bucket.contains(fingerprints[mine])
        return hits

    def _ensure(self, needed: set[int]) -> None:
        missing = sorted(needed - self._buckets.keys())
        for key in missing:
            self._buckets[key] = _Bucket()
        wanted = set(missing)
        try:
            for first, last in _ranges(missing):
                for batch in self._load(first * self._width_us, (last + 1) * self._width_us):
                    fingerprints = fingerprint(batch.column("id")).to_numpy()
                    keys = batch.column("event_time").cast(pa.int64()).to_numpy() // self._width_us
                    for key in np.unique(keys):
                        if int(key) in wanted:
                            self._buckets[int(key)].add(np.sort(fingerprints[keys == key]))
                    self._spill_over()
        except BaseException:
            for key in missing:  # half loaded is not loaded: the next try reads them again
                self._buckets.pop(key, None)
            raise
        for key in needed:
            self._buckets.move_to_end(key)
        self._bound(needed)

    def _bound(self, needed: set[int]) -> None:
        used = sum(b.nbytes for b in self._buckets.values())
        for key in list(self._buckets):
            if used <= self._memory and len(self._buckets) <= 4096 + len(needed):
                return
            if key not in needed:
                used -= self._buckets.pop(key).nbytes
        self._spill_over()

    def _spill_over(self) -> None:
        """Move the largest buckets to files until the others fit into memory."""
        used = sum(b.nbytes for b in self._buckets.values())
        while used > self._memory:
            largest = max(self._buckets.values(), key=lambda b: b.nbytes)
            used -= largest.nbytes
            largest.spill(self._spill)

    def _from_last_commits(self, fingerprints: np.ndarray) -> pa.Table:
        parts = [table.filter(pa.array(np.isin(held, fingerprints))) for held, table in self._exact]
        return pa.concat_tables(parts) if parts else IDS.empty_table()

    def _within_window(self, suspects: pa.Table, found: pa.Table) -> np.ndarray:
        """For each suspect: does `found` hold its id within the window?"""
        times: dict[str, list[int]] = {}
        for id_, at in zip(found["id"].to_pylist(), found["event_time"].cast(pa.int64()).to_pylist(), strict=True):
            times.setdefault(id_, []).append(at)
        pairs: Iterator[tuple[str, int]] = zip(
            suspects["id"].to_pylist(), suspects["event_time"].cast(pa.int64()).to_pylist(), strict=True
        )
        return np.array(
            [any(abs(at - t) <= self._window_us for t in times.get(id_, ())) for id_, at in pairs], dtype=bool
        )


def _ranges(keys: list[int]) -> list[tuple[int, int]]:
    """Sorted keys as at most MAX_RANGES inclusive ranges, the widest holes left out."""
    if not keys:
        return []
    holes = sorted(range(1, len(keys)), key=lambda i: keys[i - 1] - keys[i])[: MAX_RANGES - 1]
    cuts = sorted(i for i in holes if keys[i] - keys[i - 1] > 1)
    starts = [0, *cuts]
    return [(keys[a], keys[b - 1]) for a, b in zip(starts, [*cuts, len(keys)], strict=True)]
