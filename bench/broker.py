"""How long the embedded broker takes to start, and what it weighs: with and without Java's archive and second compiler.

`python bench/broker.py [--rounds 3]` runs the variants in turn, so that a busy machine is busy for all of them.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

from watling.broker import admin, archive, jars, node
from watling.broker.client import admin_client, producer_config
from watling.config import Settings, load_settings
from watling.ops.process import spawn, stop

RECORDS, SIZE = 500_000, 256
C1 = "-XX:TieredStopAtLevel=1"
VARIANTS = {  # name: (with the archive, with C1 alone, with the small first heap)
    "Java's defaults": (False, False, False),
    "C1 alone": (False, True, False),
    "archive": (True, False, False),
    "archive, C1": (True, True, False),
    "archive, C1, -Xms32m (as shipped)": (True, True, True),
}


def measure(home: Path, settings: Settings, paths: list[Path], shape: tuple[bool, bool, bool]) -> tuple[float, ...]:
    """(seconds to an answer, CPU seconds to that, resident MB idle, CPU seconds for the records, resident MB then)."""
    cached, c1, small = shape
    left_out = {*(() if c1 else (C1,)), *(() if small else ("-Xms32m",))}
    line = [part for part in node.command(settings, home, archive.ready() if cached else None) if part not in left_out]
    node.configure(settings, home)
    began = time.monotonic()
    child = spawn(line, log=home / node.OUT, environment=node.environment(paths), dies_with_parent=True, folder=home)
    process = psutil.Process(child.pid)
    try:
        while True:
            try:
                admin.ping(settings, 1.0)
                break
            except Exception:
                if child.poll() is not None or time.monotonic() - began > 90:
                    raise
                time.sleep(0.02)
        seconds, cpu = time.monotonic() - began, sum(process.cpu_times()[:2])
        time.sleep(2)
        idle, before = process.memory_info().rss, sum(process.cpu_times()[:2])
        load(settings)
        return seconds, cpu, idle / 1e6, sum(process.cpu_times()[:2]) - before, process.memory_info().rss / 1e6
    finally:
        stop(process, 20)


def load(settings: Settings) -> None:
    """Write the records to a topic of their own."""
    topic = f"load-{random.randrange(10**9)}"
    client = admin_client(settings)
    client.create_topics([NewTopic(topic, 4, 1)])[topic].result(30)
    producer = Producer({**producer_config(settings), "queue.buffering.max.messages": 100_000})
    values = [os.urandom(SIZE // 2).hex().encode() for _ in range(1000)]
    for number in range(RECORDS):
        while True:
            try:
                producer.produce(topic, value=values[number % 1000], partition=number % 4)
                break
            except BufferError:
                producer.poll(0.05)
    producer.flush(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    paths = jars.resolve(archive.LOCK)
    archive.build()
    found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    home = Path(tempfile.mkdtemp(prefix="watling-bench-")).resolve()
    try:
        settings = load_settings(home=home, broker={"port": node.free_port("127.0.0.1")})
        (home / "logs").mkdir()
        node.configure(settings, home)
        node.format_data(settings, home, paths, archive.ready())
        for _ in range(rounds):
            for name, shape in VARIANTS.items():
                found[name].append(measure(home, settings, paths, shape))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"median of {rounds}, in turn; {RECORDS:,} records of {SIZE} bytes, lz4, 4 partitions")
    print("| | start s | start CPU s | idle MB | CPU s for the records | MB after |\n|---|---|---|---|---|---|")
    for name, rows in found.items():
        one = [statistics.median(column) for column in zip(*rows, strict=True)]
        print(f"| {name} | {one[0]:.1f} | {one[1]:.1f} | {one[2]:.0f} | {one[3]:.1f} | {one[4]:.0f} |")


if __name__ == "__main__":
    main()
