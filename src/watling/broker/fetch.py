"""Receives offsets to read a topic from; gives its records as Arrow tables to the pipeline, and where to go on.

Partitions are assigned by hand: no consumer group, no stored offsets. Only committed records are read. A fetch costs
a fixed number of Python calls, whatever the number of records (docs/decisions/0004-batch-fetch.md).
"""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import pyarrow as pa

from watling.broker import librdkafka, walk
from watling.broker.columns import copied
from watling.broker.errors import BrokerUnreachable
from watling.contracts.records import RECORDS
from watling.errors import WatlingError
from watling.ops.memory import let_compiler_go

log = logging.getLogger(__name__)

C_BATCH = 10_000  # messages a C call; larger ones fall out of the processor's caches
WAIT_SLICE_S = 0.2
LINGER_S = 0.05  # at the end of all partitions: how long records may gather before a fetch returns early
SMALL_CHUNK = 1_000  # rows: chunks smaller than this on average are joined into one
CLOSE_S = 10.0


class OffsetOutOfRange(WatlingError):
    """The broker does not have that offset: retention went past it, or the topic ends below it."""

    def __init__(self, topic: str, partition: int, position: int, why: str) -> None:
        super().__init__(
            f"topic {topic} partition {partition}: offset {position} is not on the broker ({why}). "
            "Compare it with the partition's watermarks, then assign where to go on.",
            topic=topic,
            partition=partition,
            position=position,
        )
        self.topic = topic
        self.partition = partition
        self.position = position


class TopicGone(WatlingError):
    """The topic, or a partition that was assigned, does not exist. `missing` holds those partitions."""

    def __init__(self, topic: str, missing: frozenset[int]) -> None:
        super().__init__(
            f"topic {topic} has no partition {', '.join(map(str, sorted(missing)))} any more: it was deleted, or this is another cluster. "
            "Make the topic, or check the broker's address.",
            topic=topic,
            missing=missing,
        )
        self.topic = topic
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Fetched:
    """One fetch. `records` has the columns of RECORDS, each partition in order of offset.

    `positions` are the next offsets of all assigned partitions, past transaction markers. `gaps` are offsets that hold
    no record for a reader of committed records, as (partition, from, to exclusive). `at_end` are the partitions read
    to their end, as of now. `bytes` counts values, keys and headers.
    """

    records: pa.Table
    positions: dict[int, int]
    gaps: list[tuple[int, int, int]]
    at_end: frozenset[int]
    bytes: int


@dataclass(slots=True)
class _Gathered:
    """What was copied and not yet given to the caller. It outlives an exception, so that nothing copied is lost."""

    tables: list[pa.Table] = field(default_factory=list)
    gaps: list[tuple[int, int, int]] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    moved: bool = False


class Fetcher:
    """Reads partitions of one topic from given offsets on. One thread at a time; any number of Fetchers side by side.

    Args:
        config: librdkafka properties: `bootstrap.servers`, security, and what should differ from `librdkafka.TUNING`.
        topic: its name.
        positions: partition to the first offset to read.

    Raises:
        ConfigError: properties that librdkafka refuses.
    """

    def __init__(self, config: Mapping[str, object], topic: str, positions: Mapping[int, int]) -> None:
        self.topic = topic
        self._lib = librdkafka.library()
        self._functions = np.array([librdkafka.address(name) for name in walk.ADDRESSES], np.int64)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._messages = np.zeros(C_BATCH, np.int64)  # pointers; [_begin, _end) are held and not yet settled
        self._rows = np.zeros(C_BATCH, np.int64)
        self._gaps = np.zeros((C_BATCH, 3), np.int64)
        self._totals = np.zeros(7, np.int64)
        self._begin = self._end = 0
        self._gathered = _Gathered()
        self._error: WatlingError | None = None
        self._away = False
        self._queue = 0
        self._started: list[int] = []
        self._troubles: list[tuple[int, str]] = []  # errors of the topic, told while we ask for messages
        self._on_error = librdkafka.ERROR_CALLBACK(self._note)
        self._client = librdkafka.new_consumer(config, self._on_error)
        self._main = self._lib.rd_kafka_queue_get_main(self._client)
        self._topic = self._lib.rd_kafka_topic_new(self._client, topic.encode(), None)
        try:
            if not self._topic:
                code = self._lib.rd_kafka_last_error()
                raise WatlingError(f"topic {topic}: {librdkafka.error_text(code)}", topic=topic)
            self.assign(positions)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def assign(self, positions: Mapping[int, int]) -> None:
        """Read these partitions from these offsets on, and no others. What was fetched and not given is forgotten.

        Raises:
            ValueError: a negative partition or offset.
            WatlingError: the Fetcher is closed, or librdkafka refuses.
        """
        if any(p < 0 or o < 0 for p, o in positions.items()):
            raise ValueError(f"partitions and offsets are not negative: {dict(positions)}")
        with self._lock:
            self._check_open()
            self._stop()
            size = max(positions, default=-1) + 1
            self._positions = np.full(size, np.iinfo(np.int64).max, np.int64)  # a record of no assigned one is left out
            self._at_end = np.zeros(size, np.bool_)
            self._error = None
            self._queue = self._lib.rd_kafka_queue_new(self._client)
            for partition, offset in positions.items():
                self._positions[partition] = offset
                if self._lib.rd_kafka_consume_start_queue(self._topic, partition, offset, self._queue) != 0:
                    text = librdkafka.error_text(self._lib.rd_kafka_last_error())
                    raise WatlingError(f"topic {self.topic} partition {partition} from offset {offset}: {text}")
                self._started.append(partition)

    @property
    def positions(self) -> dict[int, int]:
        """The next offset of each assigned partition, after what the last fetch gave."""
        return {p: int(self._positions[p]) for p in self._started}

    def fetch(self, max_records: int, max_bytes: int, timeout_s: float) -> Fetched:
        """Wait for records until one of the three bounds is met, or all partitions are at their end.

        A record that would go past `max_bytes` waits for the next call; one that is larger than that comes alone.
        A broker that is away gives empty fetches until it is back.

        Raises:
            OffsetOutOfRange, TopicGone, BrokerUnreachable: after everything read before it was given; the same error
                again at each call until `assign`.
            WatlingError: the Fetcher is closed.
        """
        if max_records < 1 or max_bytes < 1:
            raise ValueError("max_records and max_bytes are at least 1")
        begun = time.monotonic()
        deadline = begun + timeout_s
        with self._lock:
            self._check_open()
            self._serve_events()
            while self._error is None and not self._closing.is_set():
                if self._begin == self._end and not self._receive(begun, deadline):
                    break
                if not self._settle(max_records, max_bytes):
                    break
            if self._error is not None and not self._gathered.moved:
                raise self._error
            return self._give()

    def close(self) -> None:
        """Stop reading and give all memory back. Waits 10 s at most; again is harmless."""
        self._closing.set()
        if not self._client:
            return
        closer = threading.Thread(target=self._close, name=f"close-{self.topic}", daemon=True)
        closer.start()
        closer.join(CLOSE_S)
        if closer.is_alive():
            log.warning("topic %s: the Kafka client did not close within %g s and is left behind", self.topic, CLOSE_S)

    def _close(self) -> None:
        with self._lock:
            client, self._client = self._client, 0
            if not client:
                return
            self._stop()
            if self._topic:
                self._lib.rd_kafka_topic_destroy(self._topic)
            self._lib.rd_kafka_queue_destroy(self._main)
            self._lib.rd_kafka_destroy_flags(client, librdkafka.DESTROY_NO_CONSUMER_CLOSE)

    def _check_open(self) -> None:
        if not self._client or self._closing.is_set():
            raise WatlingError(f"the fetch of topic {self.topic} is closed", topic=self.topic)

    def _stop(self) -> None:
        """Forget the assignment with all that waits of it: the queue goes, so nothing of it can come later."""
        walk.destroy(self._messages, self._begin, self._end, self._functions)
        self._begin = self._end = 0
        self._gathered = _Gathered()
        for partition in self._started:
            self._lib.rd_kafka_consume_stop(self._topic, partition)
        self._started = []
        if self._queue:
            self._lib.rd_kafka_queue_destroy(self._queue)
            self._queue = 0

    def _receive(self, begun: float, deadline: float) -> bool:
        """Take messages from librdkafka's queue. False: the fetch is over, by time or because all there is was read."""
        if self._poll(0, C_BATCH):
            return True
        while not self._closing.is_set():
            now = time.monotonic()
            until = deadline
            if self._gathered.moved and self._started and self._at_end[self._started].all():
                until = min(deadline, begun + LINGER_S)
            if now >= until:
                return False
            # one message only: a larger call waits for its full number until the time is up
            if self._poll(min(until - now, WAIT_SLICE_S), 1):
                return True
            self._serve_events()
            if self._error is not None:
                break
        return False

    def _poll(self, wait_s: float, size: int) -> bool:
        count = self._lib.rd_kafka_consume_batch_queue(
            self._queue, int(wait_s * 1000), self._messages.ctypes.data, size
        )
        self._begin, self._end = 0, max(int(count), 0)
        if count > 0 and self._away:
            self._away = False
            log.warning("topic %s: Kafka answers again", self.topic)
        while self._troubles:
            self._judge(*self._troubles.pop(0))
        return self._end > 0

    def _note(self, client: int, code: int, text: bytes | None, opaque: int | None) -> None:  # noqa: ARG002 - C's signature
        self._troubles.append((code, (text or b"").decode(errors="replace")))

    def _settle(self, max_records: int, max_bytes: int) -> bool:
        """Copy what is held as far as the bounds let us. False: a bound is met."""
        done = self._gathered
        while self._begin < self._end:
            room = max_records - done.rows
            if room <= 0 or (done.rows > 0 and done.bytes >= max_bytes):
                return False
            positions, at_end = self._positions.copy(), self._at_end.copy()
            stop = walk.measure(
                self._messages,
                self._begin,
                self._end,
                positions,
                at_end,
                room,
                max_bytes - done.bytes,
                done.rows,
                self._functions,
                self._rows,
                self._gaps,
                self._totals,
            )
            rows, gaps = int(self._totals[0]), int(self._totals[1])
            if rows:
                table = copied(self._messages, self._rows[:rows], self._totals, self._functions)
                self._positions, self._at_end = positions, at_end
                done.tables.append(table)
                done.gaps.extend((int(p), int(a), int(b)) for p, a, b in self._gaps[:gaps])
                done.rows += rows
                done.bytes += int(self._totals[2] + self._totals[3] + self._totals[5] + self._totals[6])
                done.moved = True
            self._release(stop)
            let_compiler_go()
            if self._begin < self._end and not self._event():
                return False
            if self._error is not None:
                return False
        return done.rows < max_records and done.bytes < max_bytes

    def _release(self, stop: int) -> None:
        begin, self._begin = self._begin, stop
        walk.destroy(self._messages, begin, stop, self._functions)

    def _event(self) -> bool:
        """Settle the event that the walk stopped at. False: it is a record, which waits for the next call."""
        pointer = int(self._messages[self._begin])
        message = librdkafka.Message.from_address(pointer)
        code, partition, offset = message.err, message.partition, message.offset
        if code == 0:
            return False
        text = (self._lib.rd_kafka_message_errstr(pointer) or b"").decode(errors="replace")
        self._release(self._begin + 1)
        if partition in self._started:
            if code == librdkafka.PARTITION_EOF:
                self._reach_end(partition, offset)
                return True
            if code == librdkafka.AUTO_OFFSET_RESET:
                self._error = OffsetOutOfRange(self.topic, partition, int(self._positions[partition]), text)
                return True
        self._judge(code, f"partition {partition}: {text}")
        return True

    def _reach_end(self, partition: int, end: int) -> None:
        position = int(self._positions[partition])
        if end > position:  # transaction markers, aborted or compacted records behind the last one
            self._gathered.gaps.append((partition, position, end))
            self._positions[partition] = end
        if end > position or not self._at_end[partition]:
            self._gathered.moved = True
        self._at_end[partition] = True

    def _judge(self, code: int, text: str) -> None:
        """An error of the topic: final ones are kept for the caller, others librdkafka tries again by itself."""
        if code in librdkafka.GONE:
            there = librdkafka.partitions_there(self._client, self._topic, 5.0)
            if there is not None and not there.issuperset(self._started):
                self._error = TopicGone(self.topic, frozenset(self._started) - there)
            return
        if code in librdkafka.DENIED:
            self._error = BrokerUnreachable(
                f"topic {self.topic}: reading is not allowed ({text}). Give this user read access to the topic.",
                topic=self.topic,
            )
            return
        if code == librdkafka.FATAL:
            self._check_fatal()
            return
        log.warning("topic %s: %s (%s)", self.topic, text, librdkafka.error_text(code))

    def _serve_events(self) -> None:
        """Read librdkafka's log and errors; without this they pile up."""
        lib = self._lib
        while event := lib.rd_kafka_queue_poll(self._main, 0):
            try:
                if lib.rd_kafka_event_type(event) == librdkafka.EVENT_LOG:
                    facility, text, level = ctypes.c_char_p(), ctypes.c_char_p(), ctypes.c_int()
                    if lib.rd_kafka_event_log(event, facility, text, level) == 0:
                        log.debug("topic %s: %s", self.topic, (text.value or b"").decode(errors="replace"))
                elif lib.rd_kafka_event_type(event) == librdkafka.EVENT_ERROR:
                    why = (lib.rd_kafka_event_error_string(event) or b"").decode(errors="replace")
                    self._client_error(lib.rd_kafka_event_error(event), why)
            finally:
                lib.rd_kafka_event_destroy(event)

    def _client_error(self, code: int, why: str) -> None:
        """Connections are librdkafka's to mend: it is said once that they are broken, and once that they work."""
        if code == librdkafka.FATAL:
            self._check_fatal()
        elif not self._away:
            self._away = True
            log.warning("topic %s: Kafka does not answer: %s. Reading goes on when it is back.", self.topic, why)

    def _check_fatal(self) -> None:
        if (why := librdkafka.fatal_error(self._client)) is not None:
            self._error = BrokerUnreachable(
                f"topic {self.topic}: the Kafka client failed for good: {why}. Start the pipeline again.",
                topic=self.topic,
            )

    def _give(self) -> Fetched:
        done, self._gathered = self._gathered, _Gathered()
        if not done.tables:
            records = RECORDS.empty_table()
        elif len(done.tables) == 1:
            records = done.tables[0]
        else:
            records = pa.concat_tables(done.tables)
            if done.rows < SMALL_CHUNK * len(done.tables):
                records = records.combine_chunks()
        at_end = frozenset(p for p in self._started if self._at_end[p])
        return Fetched(records, self.positions, done.gaps, at_end, done.bytes)
