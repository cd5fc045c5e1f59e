"""Receives a stream's records from Kafka and the pipeline's steps; gives the hot state shaped batches, for as long as the page runs.

It begins at the lake's next offsets, so that what the lake holds and what the page counts itself meet without gap or
overlap. First records from a little before are read, to show the city at once; they are not counted again. When the
lake is too far behind, or the page is, it skips ahead and says so: the page is about now, the lake has all of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa

from watling.contracts.model import Contract
from watling.dashboard.hot import HotState
from watling.dashboard.repeats import Repeats
from watling.errors import WatlingError
from watling.ops.patience import Patience

BACK_RECORDS = 10_000  # a partition
REACH_RECORDS = 100_000  # a stream: how far behind the lake's offsets may lie to begin there
BACK_RECORDS_PICTURES = 100  # a picture may have megabytes
REACH_RECORDS_PICTURES = 400
SKIP_RECORDS = 200_000
FETCH_RECORDS = 10_000
FETCH_BYTES = 16 * 1024 * 1024
SHORTEST_FETCH_S, LONGEST_FETCH_S = 0.05, 0.1
COST_SHARE = 3  # a fetch gathers for so many times what its batch costs
CHECK_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
STOP_S = 5.0

log = logging.getLogger(__name__)

Watermarks = Callable[[str], dict[int, tuple[int, int]]]
"""topic -> {partition: (first offset there is, end offset)}."""
Settled = Callable[[Contract], Mapping[int, int]]
"""stream -> {partition: the lake's next offset}; a partition that is not there begins at its first record."""
Shape = Callable[[pa.Table, Contract], pa.Table]


class Fetched(Protocol):
    @property
    def records(self) -> pa.Table: ...
    @property
    def positions(self) -> dict[int, int]: ...


class Reader(Protocol):
    """What `broker.fetch.Fetcher` offers."""

    def fetch(self, max_records: int, max_bytes: int, timeout_s: float) -> Fetched: ...
    def assign(self, positions: Mapping[int, int]) -> None: ...
    def close(self) -> None: ...


Open = Callable[[str, dict[int, int]], Reader]
"""(topic, first offset of each partition) -> a reader."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where to read from, below which offset the lake has the records already, and how many were left out between."""

    positions: Mapping[int, int]
    seam: Mapping[int, int] = field(default_factory=dict)
    skipped: int = 0


def where_to_start(marks: Mapping[int, tuple[int, int]], settled: Mapping[int, int], *, back: int, reach: int) -> Start:
    """`marks` are (first, end) offsets, `settled` the lake's next ones. `back` records a partition before the end are
    read in any case; the lake's offsets are begun at when at most `reach` records lie behind them."""
    seam = {}
    for partition, (low, end) in marks.items():
        following = settled.get(partition, low)
        seam[partition] = max(low, following) if following <= end else low  # past the end: another topic of that name
    warm = {partition: max(low, end - back) for partition, (low, end) in marks.items()}
    behind = sum(end - seam[partition] for partition, (_, end) in marks.items())
    if behind <= reach:
        return Start({p: min(warm[p], seam[p]) for p in marks}, seam)
    skipped = sum(max(0, warm[p] - seam[p]) for p in marks)
    return Start(warm, seam, skipped)


class KafkaFeed:
    """Follows one stream in a thread of its own. A fault is shown on the page and tried again."""

    def __init__(
        self,
        contract: Contract,
        open_reader: Open,
        watermarks: Watermarks,
        shape: Shape,
        settled: Settled = lambda _: {},
    ) -> None:
        self.contract = contract
        self._open = open_reader
        self._watermarks = watermarks
        self._shape = shape
        self._settled = settled
        self._repeats = Repeats(contract)
        self._positions: dict[int, int] = {}
        self._seam: dict[int, int] = {}
        self._skipped = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        pictures = any(f.picture for f in contract.fields)
        self._back = BACK_RECORDS_PICTURES if pictures else BACK_RECORDS
        self._reach = REACH_RECORDS_PICTURES if pictures else REACH_RECORDS

    def start(self, hot: HotState) -> None:
        """Begin to follow."""
        self._thread = threading.Thread(target=self._run, args=(hot,), name=f"page-{self.contract.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, within a few seconds."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _run(self, hot: HotState) -> None:
        patience = Patience(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while not self._stopping.is_set():
            try:
                if self._follow(hot):
                    patience.over()
                    continue
                hot.report_fault(self.contract.name, f"the topic {self.contract.topic} does not exist yet")
            except WatlingError as error:
                hot.report_fault(self.contract.name, error.message)
            except Exception as error:
                log.exception("the page cannot follow %s", self.contract.topic)
                hot.report_fault(self.contract.name, f"{type(error).__name__}: {error}")
            patience.wait(self._stopping)

    def _begin(self, hot: HotState) -> None:
        """Set the positions: where it was, as far as the broker still has that, else by the lake's offsets."""
        marks = self._watermarks(self.contract.topic)
        known = {p for p, at in self._positions.items() if p in marks and marks[p][0] <= at <= marks[p][1]}
        if known and known == self._positions.keys():
            self._positions |= {p: low for p, (low, _) in marks.items() if p not in known}
            return
        start = where_to_start(marks, self._settled(self.contract), back=self._back, reach=self._reach)
        self._positions = dict(start.positions)
        self._seam = {p: max(at, start.seam[p]) for p, at in start.positions.items()}
        self._skip(hot, start.skipped)

    def _skip(self, hot: HotState, records: int) -> None:
        if records:
            self._skipped += records
            log.warning("the page leaves out %d records of %s to be with the newest", records, self.contract.topic)
        hot.report_skipped(self.contract.name, self._skipped)

    def _follow(self, hot: HotState) -> bool:
        """Read until the topic's partitions change or the page stops. False: there is no such topic."""
        self._begin(hot)
        if not self._positions:
            return False
        reader = self._open(self.contract.topic, self._positions)
        hot.report_fault(self.contract.name, None)
        self._pass_seam(reader)
        gather = LONGEST_FETCH_S
        try:
            checked = time.monotonic()
            while not self._stopping.is_set():
                fetched = reader.fetch(FETCH_RECORDS, FETCH_BYTES, gather)
                self._positions.update(fetched.positions)  # first: a batch that fails is not read again for ever
                if fetched.records.num_rows:
                    begun = time.monotonic()
                    self._give(hot, reader, self._shape(fetched.records, self.contract))
                    cost = time.monotonic() - begun
                    gather = min(max(cost * COST_SHARE, SHORTEST_FETCH_S), LONGEST_FETCH_S)
                if time.monotonic() - checked > CHECK_S:
                    checked = time.monotonic()
                    marks = self._watermarks(self.contract.topic)
                    if marks.keys() != fetched.positions.keys():
                        break
                    self._catch_up(hot, reader, marks)
        finally:
            reader.close()
        return True

    def _give(self, hot: HotState, reader: Reader, shaped: pa.Table) -> None:
        """Before the seam: only what the lake had when the page began, of all partitions; what came later is read again
        after it, so that of two equal events the one in the lake is the first."""
        if not self._seam:
            hot.apply(self.contract.name, self._repeats.mark(shaped))
            return
        seams = np.zeros(max(self._seam) + 1, dtype=np.int64)
        for partition, offset in self._seam.items():
            seams[partition] = offset
        landed = shaped["_kafka_offset"].to_numpy() < seams[shaped["_kafka_partition"].to_numpy()]
        hot.apply(self.contract.name, self._repeats.mark(shaped.filter(pa.array(landed))), landed=True)
        self._pass_seam(reader)

    def _pass_seam(self, reader: Reader) -> None:
        if self._seam and all(self._positions[p] >= offset for p, offset in self._seam.items()):
            self._positions |= self._seam
            self._seam = {}
            reader.assign(self._positions)

    def _catch_up(self, hot: HotState, reader: Reader, marks: Mapping[int, tuple[int, int]]) -> None:
        behind = sum(max(0, end - self._positions[p]) for p, (_, end) in marks.items())
        if behind > SKIP_RECORDS:
            ahead = {p: max(self._positions[p], end - self._back) for p, (_, end) in marks.items()}
            self._skip(hot, sum(ahead[p] - self._positions[p] for p in ahead))
            self._positions = ahead
            reader.assign(ahead)
