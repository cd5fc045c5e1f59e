"""Receives settings and contracts; runs every stream from Kafka to the lake in this process, one committer for all.

Readers (a thread a stream) fill pipes; a pool shapes; this module's loop takes what is due, has it judged and written,
and commits: quarantine first, then each stream's table.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from watling.broker import admin
from watling.broker.client import client_config
from watling.config import Settings
from watling.contracts.model import Contract
from watling.errors import WatlingError
from watling.lake.commit import TRANSIENT
from watling.lake.errors import FencedError, LakeUnreachable, NotWritten, Overtaken, StaleBatch
from watling.lake.state import StreamState
from watling.ops.memory import release_early
from watling.ops.patience import Patience
from watling.pipeline.engines import lifecycle
from watling.pipeline.engines.embedded.pipe import Budget, Pipe
from watling.pipeline.engines.embedded.reader import Reader
from watling.pipeline.engines.judged import Prepared
from watling.pipeline.engines.lifecycle import Progress, RunReport
from watling.pipeline.engines.locks import hold_stream
from watling.pipeline.engines.meter import Meter
from watling.pipeline.engines.recent import RecentIds
from watling.pipeline.engines.topics import TopicChanged

log = logging.getLogger(__name__)

TICK_S = 0.05
TOPICS_EVERY_S = 10.0
MISSING_ROUNDS = 6


@dataclass(slots=True)
class _Stream:
    contract: Contract
    pipe: Pipe
    reader: Reader
    meter: Meter
    before: StreamState
    ends: dict[int, int]
    error: WatlingError | None = None
    committed_at: float = field(default_factory=time.monotonic)
    interval_s: float = 1.0
    rewind: bool = False  # its batch must be read again
    looked_at: float = field(default_factory=time.monotonic)  # for partitions that were added
    missing: int = 0  # rounds in a row in which the broker did not know its topic

    @property
    def drained(self) -> bool:
        """Everything below the end offsets seen at the start is committed (or the stream has stopped)."""
        if self.error is not None:
            return True
        reader = self.reader
        read = all(p in reader.at_end or reader.positions.get(p, 0) >= end for p, end in self.ends.items())
        return read and not self.rewind and not self.pipe.busy


def run(
    settings: Settings,
    contracts: Mapping[str, Contract],
    *,
    once: bool = False,
    take_over: bool = False,
    accept_new_topic: bool = False,
    streams: Sequence[str] | None = None,
    stop: threading.Event | None = None,
    on_progress: Progress | None = None,
) -> RunReport:
    """Run the streams until `stop` is set, or with `once` until the end offsets seen at the start are committed.

    `on_progress` is called about once a second with what `watling status` shows for each stream.

    Raises:
        FencedError: another writer claimed a stream; everything was stopped.
        UnreachableError: broker or lake do not answer at the start.
        UsageError: an unknown stream, or another writer of this home holds it.
    """
    release_early()
    engine = _Engine(settings, contracts, streams, stop or threading.Event(), on_progress)
    return engine.run(once=once, take_over=take_over, accept_new_topic=accept_new_topic)


class _Engine:
    def __init__(
        self,
        settings: Settings,
        contracts: Mapping[str, Contract],
        names: Sequence[str] | None,
        stop: threading.Event,
        on_progress: Progress | None,
    ) -> None:
        self.settings = settings
        self.all_contracts = contracts
        self.contracts = lifecycle.chosen(contracts, names)
        self.stop = stop
        self.arrived = threading.Event()  # a fetch came in: what it made due is taken without a tick's delay
        self.abandon = threading.Event()
        self.on_progress = on_progress
        self.budget = Budget(settings.pipeline.batch_bytes)
        self.streams: dict[str, _Stream] = {}
        self.writer = lifecycle.writer_name("embedded")
        self._fenced: FencedError | None = None
        self._patience = Patience(*lifecycle.PAUSES_S)

    def run(self, *, once: bool, take_over: bool, accept_new_topic: bool) -> RunReport:
        began = time.monotonic()
        with ExitStack() as stack:
            for name in self.contracts:
                stack.enter_context(hold_stream(self.settings, name, self.writer, take_over))
            ground = lifecycle.ground(self.settings, self.contracts, self.writer, self.stop, self.abandon)
            self.committer, self.objects = ground.committer, ground.objects
            self.pool = stack.enter_context(ThreadPoolExecutor(self.settings.pipeline.threads, "shape"))
            self.judges = stack.enter_context(ThreadPoolExecutor(self.settings.pipeline.threads, "judge"))
            try:
                for contract in self.contracts.values():
                    self._open(contract, ground.topic_ids.get(contract.topic), accept_new_topic)
                lifecycle.begin(list(self.streams.values()), self._watch, self._maintain)
                self._loop(once)
            finally:
                self.stop.set()
                for stream in self.streams.values():
                    stream.reader.end()
                self._join_readers()
        if self._fenced is not None:
            raise self._fenced
        return RunReport(
            {n: lifecycle.report(self.committer, n, s.before, s.error) for n, s in self.streams.items()},
            time.monotonic() - began,
        )

    def _open(self, contract: Contract, topic_id: str | None, accept_new_topic: bool) -> None:
        """Claim a stream and start reading it. A stream that may not be read is marked, the others go on."""
        name = contract.name
        claimed = lifecycle.claim(self.settings, self.committer, contract, topic_id, accept_new_topic)
        state, marks, error = claimed.state, claimed.marks, claimed.error
        recent = RecentIds(
            contract.dedup_window_s,
            self.settings.pipeline.dedup_memory_bytes // max(1, len(self.contracts)),
            lifecycle.ids_of(self.committer, name),
            self.settings.home.resolve() / "run",
        )
        pipe = Pipe(contract, recent, self.pool, self.budget, self.objects.put, self.arrived)
        pipe.generation = state.generation
        pipe.settled = self.committer.settled(name) if error is None else {}
        reader = Reader(
            pipe,
            client_config(self.settings),
            lifecycle.next_offsets(state, state.generation),
            self.budget,
            lambda: admin.watermarks(self.settings, contract.topic),
            self.settings.pipeline.fetch_records,
        )
        ends = {p: high for p, (_, high) in marks.items()}
        meter = Meter(contract, state, ends)
        self.streams[name] = _Stream(
            contract,
            pipe,
            reader,
            meter,
            claimed.before,
            ends,
            error,
            interval_s=self.settings.pipeline.commit_interval_s,
        )
        if error is None:
            for partition, position in reader.positions.copy().items():
                if partition in marks and position < marks[partition][0]:
                    reader.lose(partition, marks[partition][0])
            reader.start()

    def _loop(self, once: bool) -> None:
        while True:
            alive = [s for s in self.streams.values() if s.error is None]
            for stream in alive:
                if stream.reader.failed is not None:
                    self._end_stream(stream, stream.reader.failed)
            stopping = self.stop.is_set()
            if stopping:
                for stream in alive:
                    stream.reader.end()
                self._join_readers()
            drained = once and all(s.drained for s in self.streams.values())
            for stream in alive:
                if stream.rewind and stream.error is None:
                    self._rewind(stream)
            due = [s for s in alive if not s.rewind and s.error is None and self._due(s, everything=stopping or once)]
            if due:
                self._commit(due)
            if self._fenced is not None or drained or (stopping and not due) or not alive:
                return
            if stopping and self.abandon.is_set():
                return
            if not due:
                self.arrived.wait(TICK_S)
                self.arrived.clear()

    def _due(self, stream: _Stream, everything: bool) -> bool:
        rows, size, age = stream.pipe.waiting()
        if stream.pipe.holds:
            return True
        if age == 0.0 and rows == 0 and size == 0:
            return False
        full = rows >= self.settings.pipeline.batch_records or size >= self.settings.pipeline.batch_bytes // 2
        starved = self.budget.used >= self.budget.limit
        ended = everything and not stream.reader.is_alive()
        at_end = everything and all(p in stream.reader.at_end for p in stream.reader.positions)
        return full or starved or ended or at_end or time.monotonic() - stream.committed_at >= stream.interval_s

    def _commit(self, due: list[_Stream]) -> None:
        prepared: dict[str, Prepared] = {}
        for stream, result in zip(due, self.judges.map(self._prepare, due), strict=True):
            if isinstance(result, WatlingError):
                self._end_stream(stream, result)
            elif result is not None:
                prepared[stream.contract.name] = result
        try:  # after the batches are taken: all of them was fetched before this answer
            ids = admin.topic_ids(self.settings, [s.contract.topic for s in due])
        except WatlingError as error:  # whether the offsets still mean this topic cannot be known: hold the batches
            log.warning("broker away, commits wait: %s", error.message)
            self._patience.wait(self.stop)
            return
        for stream in due:
            name, topic = stream.contract.name, stream.contract.topic
            known = self.committer.state(name).generations[stream.pipe.generation].topic_id
            stream.missing = 0 if topic in ids else stream.missing + 1
            if ids.get(topic) == known:
                continue
            prepared.pop(name, None)
            if 0 < stream.missing < MISSING_ROUNDS:  # a broker that has just started may not know its topics yet
                self.stop.wait(random.uniform(0.5, 1.0))  # noqa: S311
                continue
            why = f"topic {topic} was deleted" + (" and made again" if topic in ids else "")
            self._end_stream(stream, TopicChanged(name, topic, why + " while it was read."))
        began = time.monotonic()
        results = self.committer.commit([p.batch for p in prepared.values()])
        for name, answer in results.items():
            self._settle(self.streams[name], prepared[name], answer, time.monotonic() - began)

    def _prepare(self, stream: _Stream) -> Prepared | WatlingError | None:
        """Judge and write a batch; a full disk or a store that is away keeps it for the next round."""
        name = stream.contract.name
        table = self.committer.table(name)
        try:
            return stream.pipe.prepare(table)
        except OSError as error:
            log.error("stream %s: the lake cannot be read or written, the batch waits: %s", name, error)
            with contextlib.suppress(*TRANSIENT):  # maintenance may have removed files of the snapshot that we hold
                table.refresh()
            self._patience.wait(self.stop)
            return None
        except Exception as error:  # a fault of ours: this stream ends, the others go on
            log.exception("stream %s", name)
            return WatlingError(f"stream {name}: a batch could not be judged ({type(error).__name__}: {error})")

    def _settle(self, stream: _Stream, prepared: Prepared, result: StreamState | Exception, seconds: float) -> None:
        """What follows from the committer's answer for one stream."""
        if isinstance(result, StreamState):
            stream.pipe.done(prepared)
            self._patience.over()
            stream.committed_at = time.monotonic()
            pipeline = self.settings.pipeline
            many = prepared.days > pipeline.many_days
            longest = pipeline.many_days_interval_s
            stream.interval_s = longest if many else max(pipeline.commit_interval_s, min(3 * seconds, longest))
            stream.meter.committed(prepared, result, seconds, stream.interval_s)
        elif isinstance(result, FencedError):
            log.error("%s", result.message)
            self._fenced = result
        elif isinstance(result, StaleBatch | Overtaken):
            log.warning("%s", result.message)
            stream.pipe.discard_taken()
            stream.rewind = True
        elif isinstance(result, NotWritten):
            log.error("%s", result.message)
            self._patience.wait(self.stop)
        elif isinstance(result, LakeUnreachable):
            log.error("%s The batch is not committed; the next start fetches it again.", result.message)
            stream.pipe.close()
        else:
            assert isinstance(result, WatlingError)
            self._end_stream(stream, result)

    def _rewind(self, stream: _Stream) -> None:
        """Read again from the table's next offset, as a new start would. Tried again while the lake is away."""
        name = stream.contract.name
        if not stream.reader.is_alive():  # it ends anyway, and its successor begins there
            stream.pipe.discard_waiting()
            stream.rewind = False
            return
        try:
            self.committer.table(name).refresh()
            settled = self.committer.settled(name)
        except TRANSIENT as error:
            log.warning("stream %s: the lake is away, reading again waits: %s", name, error)
            self._patience.wait(self.stop)
            return
        stream.pipe.recent.forget()
        if not stream.reader.seek(self._nexts(name), settled):
            self._end_stream(stream, WatlingError(f"stream {name}: the reader did not answer within 30 s"))
        stream.rewind = False

    def _nexts(self, name: str) -> dict[int, int]:
        state = self.committer.state(name)
        return lifecycle.next_offsets(state, state.generation)

    def _end_stream(self, stream: _Stream, error: WatlingError) -> None:
        log.error("%s", error.message)
        stream.error = error
        stream.reader.end()
        stream.pipe.close()
        stream.meter.stopped(error.message)

    def _join_readers(self) -> None:
        for stream in self.streams.values():
            if stream.reader.ident is not None:  # one that was refused at the start never ran
                stream.reader.join(10)

    def _watch(self) -> None:
        lifecycle.watch(self.settings, self.streams.values(), self.stop, self.on_progress, self._seen)

    def _seen(self, stream: _Stream, ends: dict[int, int]) -> None:
        """Where the topic ends; now and then: partitions added to it."""
        stream.pipe.ends = ends
        now = time.monotonic()
        if now - stream.looked_at <= TOPICS_EVERY_S:
            return
        stream.looked_at = now
        if added := {p: 0 for p in ends if p not in stream.reader.positions}:
            name, topic = stream.contract.name, stream.contract.topic
            log.info("stream %s: topic %s has new partitions: %s", name, topic, sorted(added))
            stream.reader.grow(added)

    def _maintain(self) -> None:
        lifecycle.keep_up(self.settings, self.all_contracts, self.stop)
