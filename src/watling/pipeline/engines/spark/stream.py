"""Receives a stream's micro-batches from Spark; lands each exactly once: shaped, judged, written, committed.

What Spark planned and what the table holds are compared by offsets: rows below the table's next offset are settled and
dropped, a batch that begins above it ends the stream. The committer is the embedded engine's own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.broker import admin
from watling.config import Settings
from watling.contracts.model import Contract, Reason
from watling.errors import WatlingError
from watling.lake.commit import TRANSIENT, Batch, Committer, Settled
from watling.lake.errors import LakeUnreachable, NotWritten, Overtaken, StaleBatch, StateConflict
from watling.lake.objects import ObjectStore
from watling.lake.state import PartitionDelta, Range, StreamState, merge_ranges
from watling.ops.failpoints import failpoint
from watling.ops.patience import Patience
from watling.pipeline.engines.judged import RECENT, good, prepared
from watling.pipeline.engines.lifecycle import PAUSES_S, ids_of, next_offsets
from watling.pipeline.engines.meter import Meter
from watling.pipeline.engines.recent import RecentIds
from watling.pipeline.engines.spark import tasks
from watling.pipeline.engines.spark.checkpoint import Checkpoint
from watling.pipeline.engines.topics import TopicChanged, tell_loss
from watling.pipeline.split import REJECTED
from watling.pipeline.transforms import deduplicate

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

log = logging.getLogger(__name__)

MISSING_ROUNDS = 6
T = TypeVar("T")
Marks = dict[int, tuple[int, int]]
Span = dict[int, Range]
"""What of a batch is not settled yet: {partition: (from, to)}."""


class Ending(Exception):
    """The engine stops: this batch is not begun, the next start reads it."""


@dataclass(slots=True)
class Stream:
    """One stream of one run. `land` is called by Spark, one batch at a time; `error` is what ended it, if anything did."""

    contract: Contract
    settings: Settings
    committer: Committer
    store: ObjectStore
    checkpoint: Checkpoint
    meter: Meter
    before: StreamState
    generation: int
    settled: dict[int, Settled]
    dedup_bytes: int
    parallelism: int
    stop: threading.Event
    error: WatlingError | None = None
    patience: Patience = field(default_factory=lambda: Patience(*PAUSES_S))
    landed_at: float = field(default_factory=time.monotonic)
    timings: dict[str, float] = field(default_factory=dict)  # seconds by part, over all batches
    working: threading.Lock = field(default_factory=threading.Lock)
    recent: RecentIds = field(init=False)

    def __post_init__(self) -> None:
        spill = self.settings.home.resolve() / "run"
        self.recent = RecentIds(
            self.contract.dedup_window_s, self.dedup_bytes, ids_of(self.committer, self.contract.name), spill
        )

    def nexts(self) -> dict[int, int]:
        """{partition: next offset} of the table."""
        return next_offsets(self.committer.state(self.contract.name), self.generation)

    def land(self, frame: DataFrame, number: int) -> None:
        """Land batch `number`. When this returns Spark notes the batch as done; when it raises, the query ends.

        Raises:
            Ending: the engine stops. WatlingError: also kept as `error`.
        """
        with self.working:
            if self.stop.is_set() or self.error is not None:
                raise Ending(self.contract.name)
            try:
                self._land(frame, number)
                self.landed_at = time.monotonic()
                self.patience.over()
            except Ending:
                raise
            except WatlingError as error:
                self.error = error
                raise
            except Exception as error:
                if not _of_spark(error):  # a fault of ours: this stream ends, the others go on
                    log.exception("stream %s", self.contract.name)
                    self.error = WatlingError(
                        f"stream {self.contract.name}: a batch could not be landed ({type(error).__name__}: {error})"
                    )
                raise

    def _land(self, frame: DataFrame, number: int) -> None:
        from pyspark import StorageLevel

        span = self._span(*self.checkpoint.range(number))
        if not span:
            return
        marks = self._marks(span)
        chunks = frame.mapInArrow(tasks.shaping(self.contract), tasks.SHAPED).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            narrow = self._timed("shape", lambda: _unpacked(chunks.select("narrow").toArrow()["narrow"], tasks.NARROW))
            failpoint("fetched")
            later = self._marks(span)
            while not self._commit(chunks, narrow, span, marks, later):
                span = self._span(*self.checkpoint.range(number))
                if not span:
                    return
        finally:
            chunks.unpersist()

    def _span(self, planned: Mapping[int, int], ends: Mapping[int, int]) -> Span:
        """The batch's offsets from the table's next on."""
        nexts = self.nexts()
        offsets: Span = {}
        for partition, end in sorted(ends.items()):
            begins = planned.get(partition, 0)
            start = nexts.get(partition, 0)
            if begins > start:
                raise StateConflict(
                    f"stream {self.contract.name}: the batch begins at offset {begins} of partition {partition}, the table "
                    f"stands at {start}. What lies between would be skipped, so nothing is done: start again."
                )
            if end < begins:
                raise self._changed(f"partition {partition} ends at offset {end}, {begins} was read before.")
            if end > start:
                offsets[partition] = (start, end)
        return offsets

    def _commit(self, chunks: DataFrame, narrow: pa.Table, span: Span, marks: Marks, later: Marks) -> bool:
        """Judge, write and commit. False when it must be done again, against the table as it is then."""
        name = self.contract.name
        table = self.committer.table(name)
        began = time.monotonic()
        batch = Batch(name, self.generation, {}, judged_on=table.metadata.current_snapshot_id)
        starts = {p: start for p, (start, _) in span.items()}
        settled = {p: s.offsets for p, s in self.settled.items()}
        try:
            rows = tasks.keep(narrow, starts, settled)
            judged, verdict = self._judge(rows)
            batch.deltas = self._deltas(narrow, judged, span, marks, later)
            self._took("judge", began)
            if judged.num_rows:
                orders = tasks.Orders(
                    self.contract, self.generation, tasks.skeleton(table), self.store, starts, settled, verdict
                )
                self._timed("write", lambda: self._write(chunks, orders, batch, judged))
        except OSError as error:
            log.error("stream %s: the lake cannot be read or written, the batch waits: %s", name, error)
            self._wait()
            return self._afresh()
        failpoint("data_written")
        self._marks(span)  # the topic is still the one that was read
        committing = time.monotonic()
        result = self.committer.commit([batch])[name]
        self._took("commit", committing)
        if isinstance(result, StreamState):
            told = prepared(batch, judged)
            self.recent.add(told.landed.cast(RECENT))
            self._forget_settled()
            self.meter.committed(
                told,
                result,
                time.monotonic() - committing,
                self.settings.pipeline.commit_interval_s,
            )
            return True
        if isinstance(result, StaleBatch | Overtaken | NotWritten):
            log.warning("%s", result.message)
            if isinstance(result, NotWritten):
                self._wait()
            return self._afresh()
        if isinstance(result, LakeUnreachable):  # only while the engine stops
            log.error("%s The batch is not committed; the next start reads it again.", result.message)
            raise Ending(name)
        raise result

    def _judge(self, rows: pa.Table) -> tuple[pa.Table, pa.Table]:
        """(the rows with duplicates marked, VERDICT of those)."""
        empty = pa.nulls(rows.num_rows, pa.string())
        rows = rows.append_column("_field", empty).append_column("_message", empty)
        if not rows.num_rows:
            return rows, tasks.VERDICT.empty_table()
        judged = deduplicate.step(rows, self.contract, self.recent.among(good(rows, RECENT.names)))
        found = pc.and_(pc.is_null(rows["_reason"]), pc.is_valid(judged["_reason"]))
        verdict = judged.select(tasks.VERDICT.names).filter(found)
        return judged, verdict.cast(tasks.VERDICT)

    def _write(self, chunks: DataFrame, orders: tasks.Orders, batch: Batch, judged: pa.Table) -> None:
        """Have the executors write the data files, and take what they tell of them.

        Raises:
            OSError: the store cannot be written.
        """
        if chunks.rdd.getNumPartitions() > self.parallelism:
            chunks = chunks.coalesce(self.parallelism)  # fewer and larger files
        told = chunks.select("rows").mapInArrow(tasks.writing(orders), tasks.WRITTEN).toArrow()
        for failed in told["failed"].drop_null().to_pylist():
            raise OSError(failed)
        batch.files = [file for value in told["files"] for file in tasks.files_of(value.as_buffer().to_pybytes())]
        batch.rejected = _unpacked(told["rejected"], REJECTED)
        bad = judged.num_rows - judged["_reason"].null_count
        written = sum(f.record_count for f in batch.files)
        if (written, batch.rejected.num_rows) != (judged["_reason"].null_count, bad):
            raise OSError(  # a lost executor's records were read again, and retention had taken some of them
                f"{written} rows and {batch.rejected.num_rows} rejected ones were written, "
                f"{judged['_reason'].null_count} and {bad} were judged"
            )

    def _deltas(
        self, narrow: pa.Table, judged: pa.Table, span: Span, marks: Marks, later: Marks
    ) -> dict[int, PartitionDelta]:
        """How the batch moves each partition on: counts, gaps, and what retention deleted before it was read."""
        everything = _by_partition(narrow)
        where, offsets = judged["_kafka_partition"].to_numpy(), judged["_kafka_offset"].to_numpy()
        good = pc.is_null(judged["_reason"]).to_numpy()
        duplicate = pc.fill_null(pc.equal(judged["_reason"], Reason.DUPLICATE.value), False).to_numpy()
        deltas = {}
        for partition, (start, end) in span.items():
            seen = everything.get(partition, np.empty(0, np.int64))
            seen = seen[(seen >= start) & (seen < end)]
            low, moved = marks.get(partition, (0, 0))[0], later.get(partition, (0, 0))[0]
            gaps, lost = _missing(seen, start, end, low, moved)
            for a, b in lost:
                tell_loss(self.contract, partition, a, b)
            mine = where == partition
            held = self.settled.get(partition)
            there = np.isin(held.offsets, seen) if held is not None else np.empty(0, bool)
            assert len(offsets[mine]) + int(there.sum()) == len(seen), "a record was judged twice or not at all"
            deltas[partition] = PartitionDelta(
                start,
                end,
                int((mine & good).sum()),
                int((mine & ~good).sum()) + int(there.sum()),
                int((mine & duplicate).sum()) + (int(held.duplicate[there].sum()) if held is not None else 0),
                lost,
                gaps,
                later.get(partition, (0, 0))[1],
            )
        return deltas

    def _marks(self, span: Span) -> Marks:
        """Watermarks of the topic, which is still the table's own; waits for a broker that is away.

        Raises:
            TopicChanged: it was deleted, made anew or cut short. Ending: the engine stops.
        """
        name, topic = self.contract.name, self.contract.topic
        known = self.committer.state(name).generations[self.generation].topic_id
        missing = 0
        while True:
            try:
                found = admin.topic_ids(self.settings, [topic]).get(topic)
                marks = dict(admin.watermarks(self.settings, topic)) if found == known else {}
            except WatlingError as error:
                log.warning("broker away, the batch of stream %s waits: %s", name, error.message)
                self._wait()
                continue
            if found is None and (missing := missing + 1) < MISSING_ROUNDS:  # one that has just started may not know it
                self._wait()
                continue
            if found != known:
                raise self._changed(
                    f"topic {topic} was deleted" + (" and made again" if found else "") + " while it was read."
                )
            for partition, (_, end) in span.items():
                if partition not in marks or marks[partition][1] < end:
                    high = marks.get(partition, (0, 0))[1]
                    raise self._changed(f"partition {partition} ends at offset {high}, {end} was read before.")
            return marks

    def _changed(self, why: str) -> TopicChanged:
        return TopicChanged(self.contract.name, self.contract.topic, why)

    def _afresh(self) -> bool:
        """Look at the table and at quarantine as they are now; the batch is judged again."""
        while True:
            try:
                self.committer.table(self.contract.name).refresh()
                self.settled = self.committer.settled(self.contract.name)
                self.recent.forget()
                return False
            except TRANSIENT as error:
                log.warning("stream %s: the lake is away, judging again waits: %s", self.contract.name, error)
                self._wait()

    def _wait(self) -> None:
        """A moment before something is tried again. Raises Ending when the engine stops."""
        if self.patience.wait(self.stop):
            raise Ending(self.contract.name)

    def _forget_settled(self) -> None:
        for partition, following in self.nexts().items():
            held = self.settled.get(partition)
            if held is not None and following > held.offsets[-1]:
                del self.settled[partition]

    def _timed(self, part: str, work: Callable[[], T]) -> T:
        began = time.monotonic()
        try:
            return work()
        finally:
            self._took(part, began)

    def _took(self, part: str, since: float) -> None:
        self.timings[part] = self.timings.get(part, 0.0) + time.monotonic() - since


def _missing(
    seen: np.ndarray, start: int, end: int, low: int, moved: int
) -> tuple[tuple[Range, ...], tuple[Range, ...]]:
    """(gaps, lost) of the offsets `start` to `end`, of which `seen` were read; the watermark went from `low` to `moved`.

    Below `low` everything unread was deleted by retention. What is missing between `low` and `moved` may have been
    deleted while it was read: it counts as lost too, since a gap cannot be told from it any more.
    """
    edges = np.concatenate(([start - 1], np.sort(seen), [end]))
    at = np.flatnonzero(np.diff(edges) > 1)
    holes = [(int(edges[i]) + 1, int(edges[i + 1])) for i in at]
    limit = max(low, moved)
    lost = merge_ranges((a, min(b, limit)) for a, b in holes)
    gaps = merge_ranges((max(a, limit), b) for a, b in holes)
    return gaps, lost


def _by_partition(rows: pa.Table) -> dict[int, np.ndarray]:
    """{partition: offsets}, without those that were told twice."""
    partitions, offsets = rows["_kafka_partition"].to_numpy(), rows["_kafka_offset"].to_numpy()
    return {int(p): np.unique(offsets[partitions == p]) for p in np.unique(partitions)}


def _unpacked(column: pa.ChunkedArray, schema: pa.Schema) -> pa.Table:
    """All tables of a column of `tasks.pack`, as one."""
    return pa.concat_tables([schema.empty_table(), *(tasks.unpack(v.as_buffer()).cast(schema) for v in column)])


def _of_spark(error: Exception) -> bool:
    """True for what Spark or the bridge to its JVM raises: the query ends, and a new one may go on."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return isinstance(error, PySparkException | Py4JError)
