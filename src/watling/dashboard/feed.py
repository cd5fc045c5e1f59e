"""Receives a stream's records from Kafka and the pipeline's steps; gives the hot state shaped batches, for as long as the page runs.

It reads from a little before the end, so that a page just started shows the city at once, and skips ahead when it
falls behind: the page is about now, the lake has all of it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import pyarrow as pa

from watling.contracts.model import Contract
from watling.dashboard.hot import HotState
from watling.errors import WatlingError

BACK_RECORDS = 10_000  # a partition
BACK_RECORDS_PICTURES = 100  # a picture may have megabytes
SKIP_RECORDS = 100_000
FETCH_RECORDS = 10_000
FETCH_BYTES = 16 * 1024 * 1024
FETCH_S = 0.25
CHECK_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
STOP_S = 5.0

log = logging.getLogger(__name__)

Watermarks = Callable[[str], dict[int, tuple[int, int]]]
"""topic -> {partition: (first offset there is, end offset)}."""
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


class KafkaFeed:
    """Follows one stream in a thread of its own. A fault is shown on the page and tried again."""

    def __init__(self, contract: Contract, open_reader: Open, watermarks: Watermarks, shape: Shape) -> None:
        self.contract = contract
        self._open = open_reader
        self._watermarks = watermarks
        self._shape = shape
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        pictures = any(field.picture for field in contract.fields)
        self._back = BACK_RECORDS_PICTURES if pictures else BACK_RECORDS

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
        pause = FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                if self._follow(hot):
                    pause = FIRST_PAUSE_S
                    continue
                hot.report_fault(self.contract.name, f"the topic {self.contract.topic} does not exist yet")
            except WatlingError as error:
                hot.report_fault(self.contract.name, error.message)
            except Exception as error:
                log.exception("the page cannot follow %s", self.contract.topic)
                hot.report_fault(self.contract.name, f"{type(error).__name__}: {error}")
            self._stopping.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _from_the_end(self, back: int) -> dict[int, int]:
        marks = self._watermarks(self.contract.topic)
        return {partition: max(low, end - back) for partition, (low, end) in marks.items()}

    def _follow(self, hot: HotState) -> bool:
        """Read until the topic's partitions change or the page stops. False: there is no such topic."""
        positions = self._from_the_end(self._back)
        if not positions:
            return False
        reader = self._open(self.contract.topic, positions)
        hot.report_fault(self.contract.name, None)
        try:
            checked = time.monotonic()
            while not self._stopping.is_set():
                fetched = reader.fetch(FETCH_RECORDS, FETCH_BYTES, FETCH_S)
                if fetched.records.num_rows:
                    hot.apply(self.contract.name, self._shape(fetched.records, self.contract))
                if time.monotonic() - checked > CHECK_S:
                    checked = time.monotonic()
                    marks = self._watermarks(self.contract.topic)
                    if marks.keys() != fetched.positions.keys():
                        break
                    behind = sum(max(0, end - fetched.positions[p]) for p, (_, end) in marks.items())
                    if behind > SKIP_RECORDS:
                        log.warning("the page is %d records behind on %s and skips ahead", behind, self.contract.topic)
                        reader.assign({p: max(low, end - self._back) for p, (low, end) in marks.items()})
        finally:
            reader.close()
        return True
