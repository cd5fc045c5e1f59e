"""Receives batches from a source (simulator, replay, polling); sends them to Kafka in time and says how it goes.

Nothing is dropped: a full queue or a broker that is away holds the source back until it answers again.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from watling.broker.admin import ensure_topics
from watling.broker.client import producer_config
from watling.config import Settings
from watling.contracts import load_contracts
from watling.devices.port import Source, WireBatch
from watling.errors import UnreachableError, UsageError, WatlingError

log = logging.getLogger("watling.kafka")

MAX = math.inf
"""Speed without pacing: as fast as the broker takes it."""

CHUNK = 2_000  # records between two looks at the clock, at `stop` and at what librdkafka reports
NAP_S = 0.1  # longest sleep, so that `stop` is seen soon
QUEUE_RECORDS = 100_000
QUEUE_KIB = 128 * 1024
FULL_QUEUE_WAIT_S = 0.05
STOP_FLUSH_S = 10.0  # how long Ctrl-C waits for what is under way
PATIENCE_S = 900.0  # without one delivery in this time the broker is given up


class ProduceError(WatlingError):
    """The producer cannot go on: librdkafka reports a fatal error."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the sending stands. `rate` is delivered records a second of late; `lag_s` how far behind the schedule
    the last record left (0 at speed max); `queued` what waits for the broker; `waiting` that it takes nothing now."""

    sent: int
    failed: int
    queued: int
    rate: float
    lag_s: float
    waiting: bool

    def line(self) -> str:
        """One line for a terminal."""
        text = f"{self.rate:,.0f} records/s · {self.sent:,} sent · {self.failed:,} failed · {self.lag_s:.1f} s behind"
        return f"{text} · waiting for the broker with {self.queued:,} records" if self.waiting else text


@dataclass(frozen=True, slots=True)
class SendReport:
    """How the sending ended, in records: `sent` were acknowledged by the broker, `failed` refused (`reasons` counts
    them by librdkafka's text), `unsent` still waited when it was stopped. `max_lag_s` is the worst delay."""

    sent: int
    failed: int
    unsent: int
    seconds: float
    max_lag_s: float
    interrupted: bool
    streams: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)


def parse_speed(text: str) -> float:
    """`1`, `10`, `0.5` or `max` as a number. Raises UsageError."""
    if text.strip().lower() == "max":
        return MAX
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not (speed > 0 and math.isfinite(speed)):
        raise UsageError(f"speed {text!r} is neither a number above 0 nor max: try --speed 1, 10 or max", speed=text)
    return speed


def send(
    source: Source,
    settings: Settings,
    *,
    speed: float = 1.0,
    progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    every_s: float = 1.0,
    patience_s: float = PATIENCE_S,
) -> SendReport:
    """Send everything `source` yields, each record at its `due` (relative to the first, divided by `speed`).

    Returns when all of it is acknowledged, or soon after `stop` is set or Ctrl-C (what is under way is flushed for
    up to 10 s). `progress` is called about every `every_s` seconds.

    Raises:
        UnreachableError: no broker at the start, or not one delivery in `patience_s` seconds while records wait.
        UsageError: a stream without a contract.
        ProduceError: a fatal error of the producer.
    """
    contracts = load_contracts(settings.contracts_dir)
    ensure_topics(settings, contracts)
    topics = {name: contract.topic for name, contract in contracts.items()}
    run = _Run(producer_config(settings), topics, progress, stop or threading.Event(), every_s, patience_s)
    try:
        try:
            run.pump(source.batches(), speed)
        except KeyboardInterrupt:
            run.stop.set()
        return run.finish()
    finally:
        run.close()


class _Run:
    """One call of `send`: the producer, the clock and the counts."""

    def __init__(
        self,
        config: Mapping[str, object],
        topics: Mapping[str, str],
        progress: Callable[[Progress], None] | None,
        stop: threading.Event,
        every_s: float,
        patience_s: float,
    ) -> None:
        self.producer = Producer(
            {
                "batch.size": 1_000_000,
                "partitioner": "murmur2_random",  # as Java's producers: one device, one partition, whoever sends
                **config,
                "message.timeout.ms": 0,  # wait for the broker rather than lose
                "queue.buffering.max.messages": QUEUE_RECORDS,
                "queue.buffering.max.kbytes": QUEUE_KIB,
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
                "error_cb": self._error,
            },
            logger=log,
        )
        self.topics, self.progress, self.stop, self.every_s = topics, progress, stop, every_s
        self.patience_s = patience_s
        self.streams: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.produced = self.failed = 0
        self.lag_s = self.max_lag_s = 0.0
        self.waiting = False
        self.fatal: KafkaError | None = None
        self.began = self._told = self._moved = time.monotonic()
        self._told_sent = self._moved_sent = 0

    @property
    def queued(self) -> int:
        return len(self.producer)

    @property
    def sent(self) -> int:
        return max(0, self.produced - self.failed - self.queued)

    def pump(self, batches: Iterator[WireBatch], speed: float) -> None:
        """Send batch by batch until the source ends or `stop` is set."""
        first: float | None = None
        start = 0.0
        for batch in batches:
            if self.stop.is_set():
                return
            if batch.stream not in self.topics:
                raise UsageError(
                    f"stream {batch.stream!r} has no contract: add one to the contracts folder, or check the mapping",
                    stream=batch.stream,
                )
            due = np.asarray(batch.records.column("due").cast("int64")) / 1e6
            if first is None and len(due):
                first, start = float(due[0]), time.monotonic()
                self.began = self._told = start
            at = 0
            while at < len(due) and not self.stop.is_set():
                end = min(at + CHUNK, len(due))
                if speed != MAX and first is not None:
                    now = first + (time.monotonic() - start) * speed
                    ready = int(np.searchsorted(due[at:end], now, side="right"))
                    if ready == 0:
                        self._idle(min((due[at] - now) / speed, NAP_S))
                        continue
                    end = at + ready
                self._produce(batch, at, end)
                if speed != MAX and first is not None:
                    self.lag_s = max(0.0, time.monotonic() - start - (float(due[end - 1]) - first) / speed)
                    self.max_lag_s = max(self.max_lag_s, self.lag_s)
                at = end
                self._tick()

    def finish(self) -> SendReport:
        """Wait for what is under way and count up."""
        deadline = time.monotonic() + STOP_FLUSH_S
        while self.queued and not (self.stop.is_set() and time.monotonic() > deadline):
            try:
                before = self.queued
                self.producer.flush(NAP_S)
                self.waiting = self.queued == before
                self._tick()
            except KeyboardInterrupt:  # the first one stops the source, the next one the waiting
                if self.stop.is_set():
                    break
                self.stop.set()
                deadline = time.monotonic() + STOP_FLUSH_S
        self.waiting = self.queued > 0
        self._check()
        report = SendReport(
            sent=self.sent,
            failed=self.failed,
            unsent=self.queued,
            seconds=time.monotonic() - self.began,
            max_lag_s=self.max_lag_s,
            interrupted=self.stop.is_set(),
            streams=dict(self.streams),
            reasons=dict(self.reasons),
        )
        self._tell(whole=True)
        return report

    def close(self) -> None:
        """Let go of the broker; what is still unsent (and reported so) is given up."""
        self.producer.purge()
        self.producer.flush(1.0)
        self.producer.close()

    def _produce(self, batch: WireBatch, at: int, end: int) -> None:
        rows = batch.records.slice(at, end - at)
        topic, produce = self.topics[batch.stream], self.producer.produce
        done = 0
        if not self.queued:
            self._moved = time.monotonic()
        for key, value in zip(rows.column("key").to_pylist(), rows.column("value").to_pylist(), strict=True):
            while True:
                try:
                    produce(topic, value, key)
                except BufferError:
                    self.waiting = True
                    self._idle(FULL_QUEUE_WAIT_S)
                    if self.stop.is_set() and time.monotonic() - self._moved > STOP_FLUSH_S:
                        break
                    continue
                except KafkaException as error:
                    self._refused(error.args[0])
                self.produced += 1
                done += 1
                break
        self.waiting = False
        self.streams[batch.stream] += done

    def _idle(self, seconds: float) -> None:
        """Sleep in librdkafka, which reports meanwhile; at the schedule's short distances too."""
        self.producer.poll(max(0.001, seconds))
        self._tick()

    def _tick(self) -> None:
        self.producer.poll(0)
        self._check()
        now = time.monotonic()
        if self.sent != self._moved_sent or not self.queued:
            self._moved, self._moved_sent = now, self.sent
        elif now - self._moved > self.patience_s:
            raise UnreachableError(
                f"the broker took nothing for {self.patience_s:.0f} s: {self.queued:,} records wait, {self.sent:,} were "
                "sent. Start it (watling broker start) or check kafka.bootstrap_servers, then run this again",
                queued=self.queued,
                sent=self.sent,
            )
        if now - self._told >= self.every_s:
            self._tell()

    def _tell(self, whole: bool = False) -> None:
        now, sent = time.monotonic(), self.sent
        since, before = (self.began, 0) if whole else (self._told, self._told_sent)
        rate = (sent - before) / max(now - since, 0.001)
        self._told, self._told_sent = now, sent
        if self.progress is not None:
            waiting = self.waiting or (self.queued > 0 and now - self._moved > 2.0)
            self.progress(Progress(sent, self.failed, self.queued, max(0.0, rate), self.lag_s, waiting))

    def _check(self) -> None:
        if self.fatal is not None:
            raise ProduceError(
                f"Kafka's producer gave up after {self.sent:,} records: {self.fatal.str()}. Run the command again; "
                "records that were sent twice are recognised by their id",
                sent=self.sent,
                queued=self.queued,
            )

    def _refused(self, error: KafkaError) -> None:
        if error.fatal():
            self.fatal = error
        self.failed += 1
        self.reasons[error.str()] += 1

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._refused(error)

    def _error(self, error: KafkaError) -> None:
        if error.fatal():
            self.fatal = error
