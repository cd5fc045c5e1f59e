"""Receives one topic's records from Kafka, from the table's offsets on; gives them to the stream's pipe, in order.

A thread a stream, with a consumer of its own: partitions are assigned, no group takes part. It knows three ways that
a topic breaks the thread of offsets: gaps (markers, compaction), records that retention deleted before they were read
(counted as lost, the stream goes on), and a topic that was made anew or cut short (the stream stops).
"""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from watling.broker.fetch import Fetched, Fetcher, OffsetOutOfRange, TopicGone
from watling.errors import WatlingError
from watling.lake.commit import Settled
from watling.lake.state import PartitionDelta, Range
from watling.ops.failpoints import failpoint
from watling.pipeline.engines.embedded.pipe import Budget, Piece, Pipe
from watling.pipeline.engines.topics import TopicChanged, tell_loss

log = logging.getLogger(__name__)

FETCH_BYTES = 8 * 1024 * 1024
FETCH_WAIT_S = 0.25
RECORD_OVERHEAD = 64  # bytes that offsets, time and Arrow's own take beside a record's value

Watermarks = Callable[[], Mapping[int, tuple[int, int]]]
"""{partition: (low, high)} of the topic as the broker has them now."""


class Reader(threading.Thread):
    """Reads until stopped. `failed` holds what ended it, if anything did; `at_end` the partitions read to their end."""

    def __init__(
        self,
        pipe: Pipe,
        config: Mapping[str, Any],
        positions: Mapping[int, int],
        budget: Budget,
        watermarks: Watermarks,
        fetch_records: int,
    ) -> None:
        super().__init__(name=f"read-{pipe.contract.name}", daemon=True)
        self.failed: WatlingError | None = None
        self.positions = dict(positions)
        self.at_end: set[int] = set()
        self._pipe = pipe
        self._config = dict(config)
        self._budget = budget
        self._watermarks = watermarks
        self._fetch_records = fetch_records
        self._ending = threading.Event()
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def seek(self, positions: Mapping[int, int], settled: Mapping[int, Settled], timeout_s: float = 30) -> bool:
        """Read from these offsets on, in place of wherever the reader stands. True when it has happened.

        What the pipe holds of the old positions is discarded; `settled` is what quarantine holds above the new ones.
        """
        done = threading.Event()

        def order() -> None:
            self._pipe.discard_waiting()
            self._pipe.settled = dict(settled)
            self.positions = dict(positions)
            self.at_end = set()
            done.set()

        self._orders.put(order)
        return done.wait(timeout_s)

    def grow(self, added: Mapping[int, int]) -> None:
        """Read these partitions too, from the offsets given."""
        self._orders.put(lambda: self.positions.update({p: o for p, o in added.items() if p not in self.positions}))

    def end(self) -> None:
        """Ask the thread to end; `join` waits for it."""
        self._ending.set()

    def run(self) -> None:
        """The thread's life."""
        stream = self._pipe.contract.name
        try:
            fetcher = Fetcher(self._config, self._pipe.contract.topic, self.positions)
            try:
                self._read(fetcher)
            finally:
                fetcher.close()
        except WatlingError as error:
            self.failed = error
        except Exception as error:
            log.exception("reader of stream %s", stream)
            self.failed = WatlingError(f"stream {stream}: reading failed: {type(error).__name__}: {error}")

    def _read(self, fetcher: Fetcher) -> None:
        while not self._ending.is_set():
            self._obey(fetcher)
            if not self._budget.wait(0.2):
                continue
            try:
                fetched = fetcher.fetch(self._fetch_records, FETCH_BYTES, FETCH_WAIT_S)
            except OffsetOutOfRange as error:
                self._out_of_range(fetcher, error.partition)
                continue
            except TopicGone as error:
                raise TopicChanged(
                    self._pipe.contract.name, self._pipe.contract.topic, f"{error.message.rstrip('.')}."
                ) from error
            self._take(fetched)

    def _obey(self, fetcher: Fetcher) -> None:
        obeyed = False
        while not self._orders.empty():
            self._orders.get()()
            obeyed = True
        if obeyed:
            self.at_end.clear()
            fetcher.assign(self.positions)

    def _take(self, fetched: Fetched) -> None:
        deltas = {
            partition: PartitionDelta(self.positions[partition], position)
            for partition, position in fetched.positions.items()
            if position != self.positions[partition]
        }
        gaps: dict[int, list[Range]] = {}
        for partition, start, stop in fetched.gaps:
            gaps.setdefault(partition, []).append((start, stop))
        for partition, found in gaps.items():
            deltas[partition] = replace(deltas[partition], gaps=tuple(found))
        if deltas:
            failpoint("fetched")
            self._pipe.offer(Piece(fetched.records, deltas, fetched.bytes + fetched.records.num_rows * RECORD_OVERHEAD))
        # only now: whoever sees these positions finds in the pipe what lies below them
        self.positions.update(fetched.positions)
        self.at_end = set(fetched.at_end)

    def _out_of_range(self, fetcher: Fetcher, partition: int) -> None:
        """The broker no longer has our offset: retention went past us (lost), or the topic ends below it (changed)."""
        topic, position = self._pipe.contract.topic, self.positions[partition]
        try:
            low, high = self._watermarks()[partition]
        except (WatlingError, KeyError):  # away just now: ask again in a moment
            self._ending.wait(random.uniform(0.5, 1.5))  # noqa: S311
            fetcher.assign(self.positions)
            return
        if position > high:
            raise TopicChanged(
                self._pipe.contract.name,
                topic,
                f"partition {partition} ends at offset {high}, the table already holds everything below {position}.",
            )
        if position < low:
            self.lose(partition, low)
        fetcher.assign(self.positions)

    def lose(self, partition: int, low: int) -> None:
        """Record that the broker deleted everything from the position up to `low` before it was read."""
        position = self.positions[partition]
        tell_loss(self._pipe.contract, partition, position, low)
        delta = PartitionDelta(position, low, lost=((position, low),))
        self.positions[partition] = low
        self._pipe.offer(Piece(self._pipe.no_records(), {partition: delta}, 0))
