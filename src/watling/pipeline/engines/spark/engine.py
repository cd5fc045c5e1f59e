"""Receives settings and contracts; runs every stream from Kafka to the lake on Spark, one query a stream, one committer.

The twin of the embedded engine: the same steps in executors, the same committer in this process. The tables say where
a stream goes on; Spark's checkpoints are kept where they agree and set aside where they do not.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watling.config import Settings
from watling.contracts.model import Contract
from watling.errors import UnreachableError, WatlingError
from watling.lake.errors import FencedError
from watling.pipeline.engines import lifecycle
from watling.pipeline.engines.lifecycle import Progress, RunReport
from watling.pipeline.engines.locks import hold_stream
from watling.pipeline.engines.meter import Meter
from watling.pipeline.engines.spark.checkpoint import Checkpoint
from watling.pipeline.engines.spark.session import session
from watling.pipeline.engines.spark.source import open_stream
from watling.pipeline.engines.spark.stream import Ending, Stream

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

log = logging.getLogger(__name__)

TICK_S = 0.1
END_S = 120.0  # after a stop, how long the batch in hand may take
STARTS = 5  # of a query in a row without a batch in between


@dataclass(slots=True)
class _Running:
    """A stream with its query."""

    stream: Stream
    query: StreamingQuery | None = None
    done: bool = False
    starts: int = 0
    again_at: float = 0.0
    started_at: float = 0.0


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
    master: str | None = None,
) -> RunReport:
    """Run the streams until `stop` is set, or with `once` until the end offsets seen at the start are committed.

    `master` wins over the settings' `spark.master`. `on_progress` is called about once a second with what
    `watling status` shows for each stream.

    Raises:
        FencedError: another writer claimed a stream; everything was stopped.
        UnreachableError: broker, lake or Spark's master do not answer at the start.
        UsageError: an unknown stream, another writer of this home holds it, or Spark cannot run here.
    """
    engine = _Engine(settings, contracts, streams, stop or threading.Event(), on_progress)
    return engine.run(master, once=once, take_over=take_over, accept_new_topic=accept_new_topic)


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
        self.over = threading.Event()  # set with `stop`, and when the work is done
        self.abandon = threading.Event()
        self.on_progress = on_progress
        self.running: dict[str, _Running] = {}
        self.writer = lifecycle.writer_name("spark")

    def run(self, master: str | None, *, once: bool, take_over: bool, accept_new_topic: bool) -> RunReport:
        began = time.monotonic()
        with ExitStack() as stack:
            for name in self.contracts:
                stack.enter_context(hold_stream(self.settings, name, self.writer, take_over))
            self.spark = stack.enter_context(session(self.settings, master))
            ground = lifecycle.ground(self.settings, self.contracts, self.writer, self.stop, self.abandon)
            self.committer, self.objects = ground.committer, ground.objects
            try:
                for contract in self.contracts.values():
                    self._open(contract, ground.topic_ids.get(contract.topic), accept_new_topic)
                lifecycle.begin([r.stream for r in self.running.values()], self._watch, self._maintain)
                self._loop(once)
            finally:
                self.over.set()
                self.stop.set()
                self._end_queries()
        for one in self.running.values():
            if isinstance(one.stream.error, FencedError):
                raise one.stream.error
        return RunReport(
            {n: lifecycle.report(self.committer, n, r.stream.before, r.stream.error) for n, r in self.running.items()},
            time.monotonic() - began,
        )

    def _open(self, contract: Contract, topic_id: str | None, accept_new_topic: bool) -> None:
        """Claim a stream and make ready to read it. A stream that may not be read is marked, the others go on."""
        name, topic = contract.name, contract.topic
        claimed = lifecycle.claim(self.settings, self.committer, contract, topic_id, accept_new_topic)
        state, marks, error = claimed.state, claimed.marks, claimed.error
        stream = Stream(
            contract,
            self.settings,
            self.committer,
            self.objects,
            Checkpoint(self.spark, self._checkpoint(name), topic),
            Meter(contract, state, {p: high for p, (_, high) in marks.items()}),
            claimed.before,
            state.generation,
            self.committer.settled(name) if error is None else {},
            self.settings.pipeline.dedup_memory_bytes // max(1, len(self.contracts)),
            self.spark.sparkContext.defaultParallelism,
            self.stop,
            error,
        )
        if error is not None:
            stream.meter.stopped(error.message)
        self.running[name] = _Running(stream, done=error is not None)

    def _checkpoint(self, name: str) -> str:
        base = self.settings.spark.checkpoints or (self.settings.home.resolve() / "spark" / "checkpoints").as_uri()
        return f"{base.rstrip('/')}/{name}"

    def _start(self, one: _Running, once: bool) -> None:
        """Start the stream's query where its table stands."""
        stream = one.stream
        nexts = stream.nexts()
        stream.checkpoint.settle(nexts)
        trigger: dict[str, Any] = (
            {"availableNow": True}
            if once
            else {"processingTime": f"{round(self.settings.pipeline.commit_interval_s * 1000)} milliseconds"}
        )
        one.starts += 1
        one.started_at = time.monotonic()
        one.query = (
            open_stream(self.spark, self.settings, stream.contract, nexts)
            .writeStream.queryName(f"watling {stream.contract.name}")
            .option("checkpointLocation", stream.checkpoint.folder)
            .foreachBatch(_landing(stream))
            .trigger(**trigger)
            .start()
        )

    def _loop(self, once: bool) -> None:
        while True:
            now = time.monotonic()
            for one in self.running.values():
                if one.done:
                    continue
                if one.query is None:
                    if now >= one.again_at:
                        self._start(one, once)
                elif not self._active(one):
                    self._ended(one, once)
            if any(isinstance(r.stream.error, FencedError) for r in self.running.values()):
                return
            if all(r.done for r in self.running.values()) or self.stop.wait(TICK_S):
                return

    @staticmethod
    def _active(one: _Running) -> bool:
        """Whether the stream's query runs.

        Raises:
            UnreachableError: Spark's JVM is gone.
        """
        assert one.query is not None
        try:
            return bool(one.query.isActive)
        except Exception as error:
            raise UnreachableError(
                f"Spark's driver process does not answer any more ({type(error).__name__}): it was killed, or ran out of "
                "memory (`spark.driver_memory`). What was committed stays; the next start goes on from there."
            ) from error

    def _ended(self, one: _Running, once: bool) -> None:
        """What follows from a query's end: done, a new one after a moment, or the end of its stream."""
        stream, query = one.stream, one.query
        assert query is not None
        failed = query.exception()
        one.query = None
        if stream.error is None and failed is None:
            one.done = once
        elif stream.error is None and not self.stop.is_set():
            if stream.landed_at > one.started_at:
                one.starts = 1
            why = str(failed).strip().splitlines()[0][:500]
            if one.starts < STARTS:
                wait = min(30.0, 2.0**one.starts) * random.uniform(0.5, 1.5)  # noqa: S311
                one.again_at = time.monotonic() + wait
                log.warning(
                    "the query of stream %s ended, it is begun again in %.1f s: %s", stream.contract.name, wait, why
                )
                return
            log.error("the query of stream %s failed", stream.contract.name, exc_info=failed)
            stream.error = WatlingError(
                f"stream {stream.contract.name}: Spark's query failed {STARTS} times in a row: {why}. The log has the whole; "
                "what was committed stays, and the next start goes on from there."
            )
        if stream.error is not None:
            one.done = True
            log.error("%s", stream.error.message)
            stream.meter.stopped(stream.error.message)

    def _end_queries(self) -> None:
        """Let each batch in hand come to its end, then stop the queries. `stop` is set: no batch begins any more."""
        deadline = time.monotonic() + END_S
        for one in self.running.values():
            if one.query is None:
                continue
            name = one.stream.contract.name
            if one.stream.working.acquire(timeout=max(0.1, deadline - time.monotonic())):
                one.stream.working.release()
            else:
                log.error("stream %s: its batch did not end in time; the next start reads it again", name)
            try:
                one.query.stop()
            except Exception as error:  # the JVM may be gone: nothing of what is committed hangs on it
                log.warning("the query of stream %s did not stop in order: %s", name, error)

    def _watch(self) -> None:
        lifecycle.watch(self.settings, [r.stream for r in self.running.values()], self.over, self.on_progress)

    def _maintain(self) -> None:
        lifecycle.keep_up(self.settings, self.all_contracts, self.over)


def _landing(stream: Stream) -> Callable[[DataFrame, int], None]:
    """What Spark calls with each batch. While the engine stops, the batch is left for the next start."""

    def land(frame: DataFrame, number: int) -> None:
        try:
            stream.land(frame, number)
        except Ending:
            raise RuntimeError("the engine stops") from None

    return land
