"""How fast a topic becomes a table: Watling's pipeline against the tutorial's Spark job, same broker, topic and run.

    python bench/pipeline.py [--records 2000000] [--rounds 2] [--no-spark]

Starts an embedded broker in a temporary home and fills a topic with vehicle events of the tutorial family (about 256
bytes, 4 partitions, lz4, unique ids, event times within one hour), and a second one of which 1% are bad. Rounds
alternate between the engines. In each, an engine's process reads the whole topic twice, into fresh folders: cold, then
warm. Watling validates, quarantines and deduplicates and commits to Iceberg; the Spark job parses and writes Parquet.

CPU is that of all processes of an engine, without the broker; memory is the largest sum of their resident sizes,
looked at 20 times a second. The Spark leg needs `.bench/venv` (`make bench` makes it) and a JDK 17 or later (JAVA_HOME, else
the system's); where either is missing it is left out, and the output says so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 4
CLEAN = "vehicle_data"
ROOT = Path(__file__).resolve().parents[1]
SPARK_PYTHON = ROOT / ".bench" / "venv" / "bin" / "python"
MAKES = ("BMW", "Ford", "Volvo", "Toyota", "Vauxhall")
DIRECTIONS = ("North-East", "North", "South-West", "West")
BAD = (
    b'{"id": "cut off", "vehicle_id": ',
    b"[1, 2, 3]",
    b"\xff\xfe no text",
    b"",
    b'{"id": "%s", "vehicle_id": "v", "timestamp": "yesterday", "location": [51.5, -0.1], "speed": 30}',
    b'{"id": "%s", "vehicle_id": "v", "timestamp": "%s", "location": [51.5, -0.1], "speed": 4000}',
    b'{"id": "%s", "vehicle_id": "v", "timestamp": "%s", "location": [151.5, -0.1], "speed": "fast"}',
    b'{"vehicle_id": "v", "timestamp": "%s", "location": [51.5, -0.1], "speed": 30}',
)


# --- input -------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """An embedded broker on a free port, for as long as it is needed."""
    from watling.broker import embedded
    from watling.config import load_settings

    with tempfile.TemporaryDirectory(prefix="bench-broker-") as home:
        settings = load_settings(home=Path(home), broker={"port": free_port()})
        embedded.start(settings, attached=True)
        try:
            yield settings.bootstrap_servers
        finally:
            embedded.stop(settings)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_topic(bootstrap: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)


def new_producer(bootstrap: str) -> Producer:
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": "lz4",
            "linger.ms": 50,
            "queue.buffering.max.messages": 500_000,
            "batch.size": 1_000_000,
        }
    )


def vehicle_event(id_: str, number: int, when: str) -> bytes:
    """The tutorial's vehicle event."""
    return (
        f'{{"id": "{id_}", "vehicle_id": "vehicle-{number % 1000}", "timestamp": "{when}", '
        f'"location": [{51.5 + number % 9973 / 9973:.6f}, {-0.1 - number % 7919 / 7919:.6f}], "speed": {number % 4000 / 100}, '
        f'"direction": "{DIRECTIONS[number // 7 % 4]}", "make": "{MAKES[number % 1000 % 5]}", "model": "C500", "year": 2024, '
        f'"fuelType": "Hybrid"}}'
    ).encode()


def fill(bootstrap: str, topic: str, records: int, bad_share: float = 0.0) -> tuple[int, int]:
    """Write the topic. Gives (bytes, bad records)."""
    producer, rng = new_producer(bootstrap), random.Random(7)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)  # one hour of one day
    total = bad = 0
    for number in range(records):
        id_ = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        when = (start + timedelta(seconds=3599 * number / records)).isoformat()
        if bad_share and rng.random() < bad_share:
            shape = BAD[bad % len(BAD)]
            given = (id_.encode(), when.encode())[-shape.count(b"%s") :] if shape.count(b"%s") else ()
            value = shape % given if given else shape
            bad += 1
        else:
            value = vehicle_event(id_, number, when)
        total += len(value)
        while True:
            try:
                producer.produce(topic, value, f"vehicle-{number % 1000}".encode(), number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(120)
    return total, bad


# --- an engine's process, watched from here -----------------------------------------------------------------------------


@dataclass
class Leg:
    """What one pass of an engine cost."""

    engine: str
    phase: str
    records: int
    seconds: float
    cpu: float
    peak_mb: float = 0.0

    @property
    def rate(self) -> float:
        return self.records / self.seconds

    @property
    def micros(self) -> float:
        return self.cpu / self.records * 1e6


@dataclass
class Watched:
    """A process with its children: CPU so far, largest resident size since `reset`."""

    process: psutil.Process
    peak: int = 0
    _gone: dict[int, float] = field(default_factory=dict)
    _end: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while not self._end.wait(0.05):
            total = 0
            for one in self._all():
                with contextlib.suppress(psutil.Error):
                    total += one.memory_info().rss
            self.peak = max(self.peak, total)

    def _all(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return [self.process, *self.process.children(recursive=True)]
        return []

    def cpu(self) -> float:
        for one in self._all():
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                self._gone[one.pid] = times.user + times.system
        return sum(self._gone.values())

    def stop(self) -> None:
        self._end.set()


def passes(engine: str, command: list[str], environment: dict[str, str], records: int, expected: int) -> list[Leg]:
    """Run an engine's process: cold and warm pass."""
    legs = []
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | environment,
    ) as child:
        assert child.stdin is not None
        watched = Watched(psutil.Process(child.pid))
        watched.start()
        try:
            _line(child, engine)
            for phase in ("cold", "warm"):
                before, watched.peak = watched.cpu(), 0
                child.stdin.write("go\n")
                child.stdin.flush()
                answer = _line(child, engine)
                if answer["landed"] != expected:
                    raise SystemExit(f"{engine}: {answer['landed']:,} rows in place of {expected:,}")
                cpu = answer["cpu"] if "cpu" in answer else watched.cpu() - before
                legs.append(Leg(engine, phase, records, answer["seconds"], cpu, watched.peak / 1e6))
            child.stdin.close()
            child.wait(60)
        finally:
            watched.stop()
            if child.poll() is None:
                child.kill()
    return legs


def _line(child: subprocess.Popen[str], engine: str) -> dict[str, float]:
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise SystemExit(f"{engine}: its process ended early; run it by hand to see why: {child.args}")


def watling_child(bootstrap: str, topic: str, home: str, more: list[str]) -> None:
    """Two passes in this process, into fresh homes."""
    from watling.config import load_settings
    from watling.contracts import load_contracts
    from watling.pipeline.engines import embedded

    contracts = {"vehicle": replace(load_contracts(None)["vehicle"], topic=topic)}
    print(json.dumps({"ready": os.getpid()}), flush=True)
    number = 0
    while sys.stdin.readline():
        flags = {"pipeline": json.loads(more[0])} if more else {}
        settings = load_settings(home=Path(home) / str(number), kafka={"bootstrap_servers": bootstrap}, **flags)
        began, cpu = time.perf_counter(), time.process_time()
        report = embedded.run(settings, contracts, once=True, streams=["vehicle"])
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        done = report.streams["vehicle"]
        print(json.dumps({"seconds": seconds, "cpu": cpu, "landed": done.landed, "bad": done.quarantined}), flush=True)
        number += 1


def watling(bootstrap: str, topic: str, records: int, expected: int, name: str = "watling") -> list[Leg]:
    with tempfile.TemporaryDirectory(prefix="bench-watling-") as home:
        return passes(name, [sys.executable, __file__, "--child", bootstrap, topic, home], {}, records, expected)


def spark(bootstrap: str, topic: str, records: int, java_home: str, jars: str) -> list[Leg]:
    with tempfile.TemporaryDirectory(prefix="bench-spark-") as out:
        job = str(Path(__file__).with_name("spark_job.py"))
        command = [str(SPARK_PYTHON), job, bootstrap, topic, out, jars, "2"]
        return passes("tutorial's Spark job", command, {"JAVA_HOME": java_home}, records, records)


def spark_parts() -> tuple[str, str] | str:
    """(JAVA_HOME, jars) for the Spark leg, or why there is none."""
    from watling.broker import jars

    if not SPARK_PYTHON.exists():
        return f"{SPARK_PYTHON} is not there (`make bench` makes it)"
    java = os.environ.get("JAVA_HOME") or (
        str(Path(found).resolve().parents[1]) if (found := shutil.which("java")) else ""
    )
    if not java:
        return "no JDK found: set JAVA_HOME to one of version 17 or later"
    return java, ",".join(str(path) for path in jars.resolve("spark-4.1"))


# --- the memory of the command itself -------------------------------------------------------------------------------------


def command(bootstrap: str, records: int) -> None:
    """`watling run --once` as a user starts it, all five streams, and the largest resident size that the kernel saw."""
    with tempfile.TemporaryDirectory(prefix="bench-command-") as home:
        environment = {"WATLING_HOME": home, "WATLING_KAFKA__BOOTSTRAP_SERVERS": bootstrap}
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "watling", "run", "--once"],
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"watling run --once ended with {child.returncode}")
        cpu = (usage.ru_utime + usage.ru_stime) / records * 1e6
        print(
            f"\n`watling run --once`, five streams, start included: {records / seconds:,.0f} records/s, {cpu:.2f} µs CPU a "
            f"record, peak {usage.ru_maxrss * 1024 / 1e6:.0f} MB resident"
        )


# --- the table -----------------------------------------------------------------------------------------------------------


def show(legs: list[Leg]) -> None:
    print(f"\n{'engine':26} {'pass':5} {'records/s':>11} {'(all rounds)':>26} {'CPU µs':>7} {'peak MB':>8}")
    kinds = dict.fromkeys((leg.engine, leg.phase) for leg in legs)
    for engine, phase in kinds:
        mine = [leg for leg in legs if (leg.engine, leg.phase) == (engine, phase)]
        rates = " ".join(f"{leg.rate / 1000:.0f}k" for leg in mine)
        rate, cpu = (statistics.median(getattr(leg, what) for leg in mine) for what in ("rate", "micros"))
        print(f"{engine:26} {phase:5} {rate:11,.0f} {rates:>26} {cpu:7.2f} {max(leg.peak_mb for leg in mine):8.0f}")
    for phase in ("cold", "warm"):
        ours = [leg for leg in legs if (leg.engine, leg.phase) == ("watling", phase)]
        theirs = [leg for leg in legs if leg.engine.startswith("tutorial") and leg.phase == phase]
        pairs = list(zip(ours, theirs, strict=False))
        if pairs:
            speed = [a.rate / b.rate for a, b in pairs]
            cpu = [b.micros / a.micros for a, b in pairs]
            rounds = " ".join(f"{x:.2f}" for x in speed)
            print(
                f"Watling : Spark, {phase}: {statistics.median(speed):.2f}x the speed (rounds: {rounds}), "
                f"1/{statistics.median(cpu):.2f} of the CPU"
            )


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        bootstrap, topic, home, *more = sys.argv[2:]
        watling_child(bootstrap, topic, home, more)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-spark", action="store_true")
    options = parser.parse_args()
    records = options.records
    with broker() as bootstrap:
        for topic in (CLEAN, "some-bad", "gps_data", "traffic_data", "weather_data", "emergency_data"):
            make_topic(bootstrap, topic)
        size, _ = fill(bootstrap, CLEAN, records)
        _, bad = fill(bootstrap, "some-bad", records, 0.01)
        print(
            f"{records:,} vehicle events of {size / records:.0f} bytes, {PARTITIONS} partitions, lz4; load {os.getloadavg()[0]:.1f}"
        )
        parts = "left out by --no-spark" if options.no_spark else spark_parts()
        if isinstance(parts, str):
            print(f"no Spark leg: {parts}")
        legs: list[Leg] = []
        for _ in range(options.rounds):
            legs += watling(bootstrap, CLEAN, records, records)
            if not isinstance(parts, str):
                legs += spark(bootstrap, CLEAN, records, *parts)
            legs += watling(bootstrap, "some-bad", records, records - bad, "watling, 1% bad")
        show(legs)
        command(bootstrap, records)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
