"""Receives the record batches of many files; gives them in order of when they are due, with bounded memory.

Files are merged by time. Inside a file, records may be out of order by up to a window of 16 MiB; one that is further
off is sent as soon as it is read, and counted. A file is opened when the merge reaches its first record, so that a folder
of thousands of trips does not stand open at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from watling.devices.sources.faults import Faults

WINDOW = 16 * 1024 * 1024  # bytes of records held for sorting, over all open files
SMALLEST = 256 * 1024  # of one file
MAX_OPEN = 256

FOREVER = np.iinfo(np.int64).max

Batch = tuple[str, pa.Table]
"""A stream's name and a table with at least `due` (timestamp, UTC)."""


@dataclass(slots=True)
class Source:
    """One file to merge. `begin` (microseconds) is the smallest due time of its first batch."""

    begin: int
    open: Callable[[], Iterator[Batch]]


@dataclass(slots=True)
class _Open:
    batches: Iterator[Batch]
    bound: int = -FOREVER  # every record due up to here has been read
    waiting: dict[str, list[tuple[np.ndarray, pa.Table]]] = field(default_factory=dict)
    held: int = 0  # records
    size: int = 0  # their bytes

    def advance(self, window: int, faults: Faults) -> None:
        """Read until more than `window` bytes are held, or the end; then the bound moves on by half of them."""
        late = 0
        while self.size <= window:
            batch = next(self.batches, None)
            if batch is None:
                self.bound = FOREVER
                break
            stream, table = batch
            due = micros(table)
            late += int((due < self.bound).sum()) if self.bound > -FOREVER else 0
            self.waiting.setdefault(stream, []).append((due, table))
            self.held += len(table)
            self.size += table.nbytes
        else:
            every = np.sort(np.concatenate([d for parts in self.waiting.values() for d, _ in parts]))
            self.bound = max(self.bound, int(every[self.held // 2]))
        faults.note("out of order by more than the sort window, sent late", late)

    def take(self, until: int) -> Iterator[Batch]:
        """Give and forget what is due up to `until`."""
        for stream, parts in self.waiting.items():
            left: list[tuple[np.ndarray, pa.Table]] = []
            for due, table in parts:
                ripe = due <= until
                if ripe.all():
                    yield stream, table
                elif ripe.any():
                    yield stream, table.filter(pa.array(ripe))
                    left.append((due[~ripe], table.filter(pa.array(~ripe))))
                else:
                    left.append((due, table))
            self.waiting[stream] = left
        left_over = [table for parts in self.waiting.values() for _, table in parts]
        self.held, self.size = sum(map(len, left_over)), sum(t.nbytes for t in left_over)


def micros(table: pa.Table) -> np.ndarray:
    """The due times of a batch, in microseconds since 1970."""
    return np.asarray(table.column("due").combine_chunks().cast(pa.int64()))


def merged(sources: Sequence[Source], faults: Faults) -> Iterator[dict[str, pa.Table]]:
    """Yield, step by step, what is due next: a sorted table a stream. Later steps are due later."""
    waiting = sorted(sources, key=lambda s: s.begin, reverse=True)
    files: list[_Open] = []
    while files or waiting:
        if not files:
            files.append(_Open(waiting.pop().open()))
        share = max(SMALLEST, WINDOW // len(files))
        for file in files:
            if file.bound == -FOREVER:
                file.advance(share, faults)
        until = min(f.bound for f in files)
        if waiting and waiting[-1].begin <= until and len(files) < MAX_OPEN:
            files.append(_Open(waiting.pop().open()))
            continue
        step: dict[str, list[pa.Table]] = {}
        for file in files:
            for stream, table in file.take(until):
                step.setdefault(stream, []).append(table)
        if step:
            yield {stream: _sorted(tables) for stream, tables in step.items()}
        files = [f for f in files if f.bound < FOREVER or f.held]
        for file in files:
            if file.bound <= until:
                file.advance(share, faults)


def _sorted(tables: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(tables)
    due = micros(table)
    if len(due) < 2 or bool((due[1:] >= due[:-1]).all()):
        return table
    return table.take(pa.array(np.argsort(due, kind="stable")))
