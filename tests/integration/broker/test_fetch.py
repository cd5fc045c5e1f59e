"""The fetch against a real broker: what confluent-kafka's own consumer returns is the measure."""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from watling.broker import fetch as module
from watling.broker.errors import BrokerUnreachable
from watling.broker.fetch import Fetched, Fetcher, OffsetOutOfRange, TopicGone
from watling.contracts.records import RECORDS
from watling.errors import ConfigError, WatlingError

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

MakeTopic = Callable[..., str]


@pytest.fixture(scope="module")
def bootstrap(request: pytest.FixtureRequest) -> str:
    return os.environ.get("FETCH_KAFKA") or request.getfixturevalue("kafka").bootstrap_servers


@pytest.fixture
def make_topic(bootstrap: str) -> Iterator[MakeTopic]:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    made: list[str] = []

    def make(partitions: int = 1, **config: str) -> str:
        name = f"fetch-{uuid.uuid4().hex[:12]}"
        settings = {"retention.ms": "-1", **{key.replace("_", "."): value for key, value in config.items()}}
        wait(admin.create_topics([NewTopic(name, partitions, 1, config=settings)]))
        made.append(name)
        return name

    yield make
    for future in admin.delete_topics(made).values() if made else ():
        future.exception(30)


def wait(futures: dict[Any, Any]) -> None:
    for future in futures.values():
        future.result(30)


def produce(bootstrap: str, topic: str, records: list[dict[str, Any]], **config: Any) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": 16_000_000, "linger.ms": 5, **config})
    for record in records:
        producer.produce(topic, **{"partition": 0, **record})
        producer.poll(0)
    assert producer.flush(60) == 0


def drain(fetcher: Fetcher, max_records: int = 5000, max_bytes: int = 1 << 24, timeout_s: float = 40) -> list[Fetched]:
    """Fetch until all partitions are at their end."""
    fetches = []
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        fetched = fetcher.fetch(max_records, max_bytes, 0.5)
        fetches.append(fetched)
        if fetched.at_end == frozenset(fetched.positions):
            return fetches
    raise AssertionError(f"not at the end after {timeout_s} s: {fetches[-1]}")


def fetch_until_it_raises(fetcher: Fetcher) -> None:
    for _ in range(60):
        assert fetcher.fetch(10, 1000, 0.5).records.num_rows == 0


def rows(fetches: list[Fetched]) -> list[dict[str, Any]]:
    return [row for fetched in fetches for row in fetched.records.to_pylist()]


def by_confluent(bootstrap: str, topic: str, partitions: int) -> list[dict[str, Any]]:
    """The same rows by confluent-kafka's consumer."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "parity",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    found, open_partitions = [], set(range(partitions))
    deadline = time.monotonic() + 40
    while open_partitions and time.monotonic() < deadline:
        for message in consumer.consume(1000, 0.5):
            if message.error():
                open_partitions.discard(message.partition())
                continue
            kind, stamp = message.timestamp()
            headers = message.headers()
            found.append(
                {
                    "value": message.value(),
                    "key": message.key(),
                    "headers": None if headers is None else [{"key": k, "value": v} for k, v in headers],
                    "_kafka_partition": message.partition(),
                    "_kafka_offset": message.offset(),
                    "ms": stamp if kind else 0,
                }
            )
    consumer.close()
    assert not open_partitions
    return found


def comparable(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    result = []
    for row in found:
        row = dict(row)
        if "_ingested_at" in row:
            row["ms"] = round(row.pop("_ingested_at").timestamp() * 1000)
        result.append(row)
    return sorted(result, key=lambda r: (r["_kafka_partition"], r["_kafka_offset"]))


def hostile(seed: int, count: int) -> list[dict[str, Any]]:
    """Records with every shape of value, key and headers that a topic may hold."""
    draw = random.Random(seed)

    def content() -> bytes | None:
        return draw.choice(
            [
                None,
                b"",
                b"\n",
                b"\0",
                b"\0\r\n\0",
                b"[" * draw.randint(1, 300),
                b"\xff\xfe\xed\xa0\x80",
                '{"név":"ő"}'.encode(),
                draw.randbytes(draw.randint(0, 700)),
            ]
        )

    def headers() -> list[tuple[str, bytes | None]] | None:
        if draw.random() < 0.5:
            return None
        names = ["a", "a", "", "név", "x" * 50, "trace-id"]
        return [(draw.choice(names), content()) for _ in range(draw.randint(0, 5))]

    return [
        {"value": content(), "key": content(), "headers": headers(), "timestamp": 1_700_000_000_000 + i}
        for i in range(count)
    ]


def test_gives_what_confluents_consumer_gives(bootstrap: str, make_topic: MakeTopic) -> None:
    """A value, key, header or time that differs from what was sent would be stored wrong for ever."""
    topic = make_topic(3)
    records = [{**r, "partition": i % 3} for i, r in enumerate(hostile(1, 6000))]
    produce(bootstrap, topic, records, **{"compression.type": "lz4"})
    with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0, 1: 0, 2: 0}) as fetcher:
        fetches = drain(fetcher, max_records=777)
    assert all(f.records.schema.equals(RECORDS) for f in fetches)
    for fetched in fetches:
        fetched.records.validate(full=True)
    assert comparable(rows(fetches)) == comparable(by_confluent(bootstrap, topic, 3))
    assert fetches[-1].positions == {0: 2000, 1: 2000, 2: 2000}
    assert all(f.gaps == [] for f in fetches)
    assert max(f.records.num_rows for f in fetches) <= 777


def test_nulls_and_empties_stay_apart(bootstrap: str, make_topic: MakeTopic) -> None:
    """A tombstone read as an empty value, or the reverse, would get the wrong reason in quarantine."""
    topic = make_topic()
    sent = [
        {"value": None, "key": b"k"},
        {"value": b"", "key": None},
        {"value": b"v", "key": b"", "headers": [("h", None), ("h", b""), ("h", b"1")]},
    ]
    produce(bootstrap, topic, sent)
    with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0}) as fetcher:
        got = rows(drain(fetcher))
    assert [(r["value"], r["key"]) for r in got] == [(None, b"k"), (b"", None), (b"v", b"")]
    assert [r["headers"] for r in got] == [
        None,
        None,
        [{"key": "h", "value": None}, {"key": "h", "value": b""}, {"key": "h", "value": b"1"}],
    ]


def test_large_records_pass_and_the_byte_bound_keeps_them_apart(bootstrap: str, make_topic: MakeTopic) -> None:
    """A camera's picture of 12 MB must come through, and two of them must not double the memory of a batch."""
    topic = make_topic(max_message_bytes="16777216")
    big = [random.Random(i).randbytes(12_000_000 + i) for i in range(3)]
    produce(bootstrap, topic, [{"value": b"small"}] + [{"value": v} for v in big] + [{"value": b"last"}])
    with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0}) as fetcher:
        fetches = [f for f in drain(fetcher, max_bytes=8 << 20) if f.records.num_rows]
    assert [r["value"] for r in rows(fetches)] == [b"small", *big, b"last"]
    for fetched in fetches:
        assert fetched.bytes <= 8 << 20 or fetched.records.num_rows == 1
        assert fetched.bytes == sum(len(v) for v in fetched.records["value"].to_pylist())


def test_times_of_the_log_and_of_the_sender(bootstrap: str, make_topic: MakeTopic) -> None:
    """Freshness and the check of event times stand on the record's time."""
    created, appended = make_topic(), make_topic(message_timestamp_type="LogAppendTime")
    before = time.time()
    for topic in (created, appended):
        produce(bootstrap, topic, [{"value": b"1", "timestamp": 1_500_000_000_123}])
    for topic, low, high in (
        (created, 1_500_000_000.123, 1_500_000_000.123),
        (appended, before - 1, time.time() + 1),
    ):
        with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0}) as fetcher:
            (row,) = rows(drain(fetcher))
        assert low <= row["_ingested_at"].timestamp() <= high


def test_transactions_leave_gaps_and_positions_pass_their_markers(bootstrap: str, make_topic: MakeTopic) -> None:
    """An offset that is neither a record nor a gap would make the audit cry wolf, or hide a loss."""
    topic = make_topic()
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(30)
    for number, commit in enumerate([True, False, True, False]):
        producer.begin_transaction()
        for i in range(5):
            producer.produce(topic, f"{number}-{i}".encode(), partition=0)
        if commit:
            producer.commit_transaction(30)
        else:
            producer.flush(30)
            producer.abort_transaction(30)
    with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0}) as fetcher:
        fetches = drain(fetcher)
        while fetcher.positions != {0: 24}:  # the last marker is written after the abort has answered
            fetches.append(fetcher.fetch(100, 1 << 20, 0.5))
    assert [r["value"].decode() for r in rows(fetches)] == [f"{n}-{i}" for n in (0, 2) for i in range(5)]
    hidden = [o for f in fetches for _, start, stop in f.gaps for o in range(start, stop)]
    assert hidden == [*range(5, 12), *range(17, 24)]
    assert fetches[-1].positions == {0: 24}


def test_an_open_transaction_holds_the_end(bootstrap: str, make_topic: MakeTopic) -> None:
    """Records that may still be aborted must not land."""
    topic = make_topic()
    produce(bootstrap, topic, [{"value": b"plain"}])
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"open", partition=0)
    producer.flush(30)
    with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0}) as fetcher:
        assert [r["value"] for r in rows(drain(fetcher))] == [b"plain"]
        assert fetcher.positions == {0: 1}
        producer.commit_transaction(30)
        fetches = []
        while fetcher.positions != {0: 3}:
            fetches.append(fetcher.fetch(10, 1000, 0.5))
        assert [r["value"] for r in rows(fetches)] == [b"open"]


def test_compaction_leaves_gaps(bootstrap: str, make_topic: MakeTopic) -> None:
    """Records that compaction removed are gaps, not losses."""
    topic = make_topic(
        cleanup_policy="compact", segment_ms="100", min_cleanable_dirty_ratio="0.001", max_compaction_lag_ms="100"
    )
    for i in range(30):
        produce(bootstrap, topic, [{"value": str(i).encode(), "key": b"same"}])
    time.sleep(0.5)
    produce(bootstrap, topic, [{"value": b"roll", "key": b"other"}])
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0}) as fetcher:
            fetches = drain(fetcher)
        gaps = [g for f in fetches for g in f.gaps]
        if gaps:
            break
        time.sleep(1)
    offsets = [r["_kafka_offset"] for r in rows(fetches)]
    hidden = [o for _, a, b in gaps for o in range(a, b)]
    assert gaps
    assert sorted(offsets + hidden) == list(range(31))


def test_starts_where_it_is_told_and_seeks(bootstrap: str, make_topic: MakeTopic) -> None:
    """A restart at the table's offset must neither skip nor repeat a record."""
    topic = make_topic(2)
    produce(bootstrap, topic, [{"value": str(i).encode(), "partition": i % 2} for i in range(2000)])
    with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 990}) as fetcher:
        assert [r["_kafka_offset"] for r in rows(drain(fetcher))] == list(range(990, 1000))
        for start in (0, 500, 999, 3):
            fetcher.fetch(10, 10_000, 0.01)
            fetcher.assign({0: start, 1: start})
            fetches = drain(fetcher, max_records=101)
            got = comparable(rows(fetches))
            assert [r["_kafka_offset"] for r in got] == [*range(start, 1000), *range(start, 1000)]
            assert all(f.gaps == [] for f in fetches)


def test_reaching_the_end_is_told_and_taken_back(bootstrap: str, make_topic: MakeTopic) -> None:
    """`watling run --once` ends by this, and lag shows by it."""
    topic = make_topic(2)
    produce(bootstrap, topic, [{"value": b"1", "partition": 0}])
    with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0, 1: 0}) as fetcher:
        last = drain(fetcher)[-1]
        assert last.positions == {0: 1, 1: 0}
        assert fetcher.fetch(10, 1000, 0.05).at_end == {0, 1}
        produce(bootstrap, topic, [{"value": b"2", "partition": 1}])
        begun = time.monotonic()
        fetched = fetcher.fetch(10, 1000, 10)
        assert time.monotonic() - begun < 5  # it does not wait for time to run out once all there is was read
        assert [r["value"] for r in fetched.records.to_pylist()] == [b"2"]


def test_out_of_range_is_raised_after_the_others_were_given(bootstrap: str, make_topic: MakeTopic) -> None:
    """Retention that goes past one partition must not lose what was read of the others."""
    topic = make_topic(2)
    produce(bootstrap, topic, [{"value": str(i).encode(), "partition": i % 2} for i in range(200)])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wait(admin.delete_records([TopicPartition(topic, 1, 60)]))
    with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0, 1: 10}) as fetcher:
        got: list[Fetched] = []

        def fetch_on() -> None:
            for _ in range(20):
                got.append(fetcher.fetch(1000, 1 << 20, 0.5))

        with pytest.raises(OffsetOutOfRange) as caught:
            fetch_on()
        assert (caught.value.partition, caught.value.position) == (1, 10)
        with pytest.raises(OffsetOutOfRange):
            fetcher.fetch(1000, 1 << 20, 0.5)
        fetcher.assign({**fetcher.positions, 1: 60})
        got += drain(fetcher)
    offsets = comparable(rows(got))
    assert [r["_kafka_offset"] for r in offsets if r["_kafka_partition"] == 0] == list(range(100))
    assert [r["_kafka_offset"] for r in offsets if r["_kafka_partition"] == 1] == list(range(60, 100))


def test_an_offset_past_the_end_is_out_of_range(bootstrap: str, make_topic: MakeTopic) -> None:
    """A topic that was made again and is shorter than the table says must be noticed."""
    topic = make_topic()
    produce(bootstrap, topic, [{"value": b"1"}])
    with (
        Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 500}) as fetcher,
        pytest.raises(OffsetOutOfRange, match="offset 500"),
    ):
        fetch_until_it_raises(fetcher)


def test_a_deleted_topic_is_told(bootstrap: str, make_topic: MakeTopic) -> None:
    """A stream whose topic is gone must say so, not stand still."""
    topic = make_topic()
    produce(bootstrap, topic, [{"value": b"1"}])
    with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0}) as fetcher:
        assert len(rows(drain(fetcher))) == 1
        admin = AdminClient({"bootstrap.servers": bootstrap})
        wait(admin.delete_topics([topic]))
        with pytest.raises(TopicGone, match=topic):
            fetch_until_it_raises(fetcher)


def test_a_topic_that_never_was_is_told(bootstrap: str) -> None:
    """A misspelt topic must not look like an empty one."""
    with Fetcher({"bootstrap.servers": bootstrap}, "no-such-topic", {0: 0}) as fetcher, pytest.raises(TopicGone):
        fetch_until_it_raises(fetcher)


def test_a_broker_that_is_away_gives_empty_fetches() -> None:
    """A broker's restart must not end the pipeline."""
    with Fetcher({"bootstrap.servers": "127.0.0.1:1"}, "t", {0: 7}) as fetcher:
        begun = time.monotonic()
        fetched = fetcher.fetch(10, 1000, 0.5)
        assert 0.3 < time.monotonic() - begun < 3
        assert (fetched.records.num_rows, fetched.positions, fetched.at_end) == (0, {0: 7}, frozenset())
        assert fetched.records.schema.equals(RECORDS)


def test_settings_that_do_not_fit_are_named(bootstrap: str) -> None:
    """A mistyped TLS setting must be found by its name."""
    with pytest.raises(ConfigError) as caught:
        Fetcher({"bootstrap.servers": bootstrap, "no.such": 1, "security.protocol": "QUANTUM"}, "t", {0: 0})
    assert "no.such" in str(caught.value)
    assert "security.protocol" in str(caught.value)


def test_settings_cannot_take_the_promises_away(bootstrap: str, make_topic: MakeTopic) -> None:
    """A pass-through `isolation.level` or `auto.offset.reset` would break exactly once."""
    topic = make_topic()
    produce(bootstrap, topic, [{"value": b"1"}])
    config = {"bootstrap.servers": bootstrap, "auto.offset.reset": "earliest", "isolation.level": "read_uncommitted"}
    with Fetcher(config, topic, {0: 9}) as fetcher, pytest.raises(OffsetOutOfRange):
        fetch_until_it_raises(fetcher)


def test_many_fetchers_in_many_threads(bootstrap: str, make_topic: MakeTopic) -> None:
    """Each stream has a thread and a Fetcher of its own; none may see another's records."""
    topics = [make_topic(2) for _ in range(4)]
    for number, topic in enumerate(topics):
        produce(bootstrap, topic, [{"value": f"{number}".encode(), "partition": i % 2} for i in range(3000)])
    found: dict[int, list[dict[str, Any]]] = {}

    def read(number: int) -> None:
        with Fetcher({"bootstrap.servers": bootstrap}, topics[number], {0: 0, 1: 0}) as fetcher:
            found[number] = rows(drain(fetcher, max_records=500))

    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number in range(4):
        assert len(found[number]) == 3000
        assert {r["value"] for r in found[number]} == {str(number).encode()}


def test_memory_stays_flat(bootstrap: str, make_topic: MakeTopic) -> None:
    """Days of small fetches and seeks must not fill the machine."""
    topic = make_topic()
    produce(bootstrap, topic, [{"value": b"x" * 1000, "headers": [("h", b"y" * 100)]} for _ in range(20_000)])
    process = psutil.Process()
    with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0}) as fetcher:
        sizes = []
        for round_ in range(12):
            fetcher.assign({0: 0})
            if round_ % 2:
                drain(fetcher, max_records=37)
            else:
                fetcher.fetch(5, 1000, 5)  # the rest is held and thrown away by the next assign
            sizes.append(process.memory_info().rss)
    assert sizes[-1] - sizes[4] < 20_000_000, sizes


def test_memory_is_bounded_when_nobody_fetches(bootstrap: str, make_topic: MakeTopic) -> None:
    """Lag must not become memory: librdkafka reads ahead only so far."""
    topic = make_topic(4)
    content = [random.Random(i).randbytes(10_000) for i in range(100)]
    produce(bootstrap, topic, [{"value": content[i % 100], "partition": i % 4} for i in range(30_000)])
    process = psutil.Process()
    before = process.memory_info().rss
    with Fetcher({"bootstrap.servers": bootstrap}, topic, dict.fromkeys(range(4), 0)) as fetcher:
        fetcher.fetch(1, 1, 10)
        time.sleep(3)
        assert process.memory_info().rss - before < 120_000_000


def test_close_is_quick_and_final(bootstrap: str, make_topic: MakeTopic) -> None:
    """Ctrl-C must not hang on a connection, also with records held back."""
    topic = make_topic()
    produce(bootstrap, topic, [{"value": b"x" * 100} for _ in range(5000)])
    fetcher = Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0})
    fetcher.fetch(1, 1, 10)
    begun = time.monotonic()
    fetcher.close()
    fetcher.close()
    assert time.monotonic() - begun < 5
    with pytest.raises(WatlingError, match="closed"):
        fetcher.fetch(1, 1, 1)


def test_close_ends_a_waiting_fetch(bootstrap: str, make_topic: MakeTopic) -> None:
    """Stopping the pipeline must not wait for a fetch that waits for records."""
    fetcher = Fetcher({"bootstrap.servers": bootstrap}, make_topic(), {0: 0})
    thread = threading.Thread(target=lambda: fetcher.fetch(1, 1, 60))
    thread.start()
    time.sleep(0.5)
    begun = time.monotonic()
    fetcher.close()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - begun < 5


def test_a_failing_copy_loses_nothing(bootstrap: str, make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that runs out in the middle of a fetch must not make records vanish."""
    topic = make_topic()
    produce(bootstrap, topic, [{"value": str(i).encode()} for i in range(1000)])
    real, calls = module.copied, []

    def failing(*arguments: Any) -> pa.Table:
        calls.append(1)
        if len(calls) % 3 == 2:
            raise MemoryError
        return real(*arguments)

    monkeypatch.setattr(module, "copied", failing)
    monkeypatch.setattr(module, "C_BATCH", 100)
    got: list[Fetched] = []
    with Fetcher({"bootstrap.servers": bootstrap}, topic, {0: 0}) as fetcher:
        while fetcher.positions != {0: 1000} or fetcher.fetch(1, 1, 0).records.num_rows:
            try:
                got.append(fetcher.fetch(150, 1 << 20, 0.5))
            except MemoryError:
                continue
    assert [r["_kafka_offset"] for r in rows(got)] == list(range(1000))


def test_denied_is_an_unreachable_broker_error() -> None:
    """Commands end with exit code 3 when reading is not allowed."""
    assert BrokerUnreachable("x").exit_code == 3
