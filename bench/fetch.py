"""How fast records come out of Kafka: Watling's fetch against confluent-kafka's consumer, same topic, same run.

    python bench/fetch.py --bootstrap 127.0.0.1:9092 --records 2000000

Writes a topic of its own (the tutorial's vehicle event, lz4, 4 partitions) and removes it. Without --bootstrap it
starts an embedded broker in a temporary home. Each way runs in turn, `--rounds` times; the best of each is shown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from watling.broker.fetch import Fetcher

PARTITIONS = 4
BATCH = 20_000


def write(bootstrap: str, topic: str, records: int) -> int:
    """Produce the records. Returns their bytes."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": "lz4",
            "linger.ms": 50,
            "queue.buffering.max.messages": 500_000,
            "batch.size": 1_000_000,
        }
    )
    total = 0
    for i in range(records):
        value = json.dumps(
            {
                "id": str(uuid.UUID(int=i * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128)),
                "vehicle_id": f"vehicle-{i % 1000}",
                "timestamp": f"2026-11-24T10:{i // 60 % 60:02d}:{i % 60:02d}.{i % 1_000_000:06d}+00:00",
                "location": [51.5 + i % 9973 / 9973, -0.1 - i % 7919 / 7919],
                "speed": i % 4000 / 100,
                "direction": "North-East",
                "make": "BMW",
                "model": "C500",
                "year": 2024,
                "fuelType": "Hybrid",
            }
        ).encode()
        total += len(value)
        while True:
            try:
                producer.produce(topic, value, f"vehicle-{i % 1000}".encode(), i % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(120)
    return total


def by_watling(bootstrap: str, topic: str, records: int) -> int:
    """Arrow tables of all columns."""
    count = 0
    with Fetcher({"bootstrap.servers": bootstrap}, topic, dict.fromkeys(range(PARTITIONS), 0)) as fetcher:
        while count < records:
            count += fetcher.fetch(BATCH, 1 << 26, 1.0).records.num_rows
    return count


def consumer(bootstrap: str, topic: str) -> Consumer:
    made = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "fetch.queue.backoff.ms": 5,  # the same favour that our own fetch gets
        }
    )
    made.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    return made


def by_objects(bootstrap: str, topic: str, records: int) -> int:
    """Message objects only; nothing taken out of them."""
    count, reading = 0, consumer(bootstrap, topic)
    while count < records:
        count += len(reading.consume(10_000, 1.0))
    reading.close()
    return count


def by_objects_to_arrow(bootstrap: str, topic: str, records: int) -> int:
    """The same columns as ours, out of message objects."""
    count, reading = 0, consumer(bootstrap, topic)
    while count < records:
        messages = reading.consume(10_000, 1.0)
        pa.table(
            {
                "value": pa.array([m.value() for m in messages], pa.large_binary()),
                "key": pa.array([m.key() for m in messages], pa.large_binary()),
                "headers": pa.array([m.headers() for m in messages], pa.null()),
                "partition": pa.array([m.partition() for m in messages], pa.int32()),
                "offset": pa.array([m.offset() for m in messages], pa.int64()),
                "time": pa.array([m.timestamp()[1] for m in messages], pa.int64()),
            }
        )
        count += len(messages)
    reading.close()
    return count


WAYS: dict[str, Callable[[str, str, int], int]] = {
    "watling fetch, all columns in Arrow": by_watling,
    "confluent consume(), objects only": by_objects,
    "confluent consume(), all columns in Arrow": by_objects_to_arrow,
}


@contextlib.contextmanager
def broker(bootstrap: str | None) -> Iterator[str]:
    """The address given, or an embedded broker for as long as it is needed."""
    if bootstrap:
        yield bootstrap
        return
    from watling.broker import embedded
    from watling.config import load_settings

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home=Path(home), broker={"port": port})
        embedded.start(settings, attached=True)
        try:
            yield settings.bootstrap_servers
        finally:
            embedded.stop(settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", help="host:port of a running Kafka")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with broker(options.bootstrap) as bootstrap:
        admin = AdminClient({"bootstrap.servers": bootstrap})
        topic = f"bench-fetch-{uuid.uuid4().hex[:8]}"
        created = admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
        created[topic].result(30)
        try:
            size = write(bootstrap, topic, options.records)
            print(f"{options.records:,} records of {size / options.records:.0f} bytes, {PARTITIONS} partitions, lz4")
            best: dict[str, tuple[float, float]] = {}
            by_watling(bootstrap, topic, min(options.records, 1000))  # compile
            for _ in range(options.rounds):
                for name, way in WAYS.items():
                    wall, cpu = time.perf_counter(), time.process_time()
                    way(bootstrap, topic, options.records)
                    cost = (time.perf_counter() - wall, time.process_time() - cpu)
                    best[name] = min(best.get(name, cost), cost)
            base_wall, base_cpu = best["confluent consume(), all columns in Arrow"]
            print(f"{'way':45} {'records/s':>12} {'µs CPU':>8} {'speed':>7} {'CPU':>7}")
            for name, (wall, cpu) in best.items():
                print(
                    f"{name:45} {options.records / wall:12,.0f} {cpu / options.records * 1e6:8.2f} "
                    f"{base_wall / wall:6.1f}x {base_cpu / cpu:6.1f}x"
                )
        finally:
            removed = admin.delete_topics([topic])
            removed[topic].exception(30)


if __name__ == "__main__":
    main()
