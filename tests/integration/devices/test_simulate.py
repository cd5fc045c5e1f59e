"""The simulator and the producer against a real broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.conftest import free_port
from watling.broker import embedded
from watling.broker.client import client_config
from watling.config import Settings, load_settings
from watling.devices.port import WIRE, WireBatch
from watling.devices.producer import MAX, Progress, SendReport, send
from watling.devices.simulate import FleetOptions, Simulation
from watling.errors import UnreachableError, UsageError

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class Listed:
    """A source of given batches; `before` is called ahead of each."""

    def __init__(self, batches: list[WireBatch], before: Callable[[int], None] = lambda _: None) -> None:
        self.list, self.before = batches, before

    def batches(self) -> Iterator[WireBatch]:
        for i, batch in enumerate(self.list):
            self.before(i)
            yield batch


def batch(keys: list[bytes], values: list[bytes], at_s: list[float], stream: str = "gps") -> WireBatch:
    due = pa.array([int((START.timestamp() + s) * 1e6) for s in at_s], pa.int64()).cast(WIRE.field("due").type)
    return WireBatch(stream, pa.table([pa.array(keys, pa.binary()), pa.array(values, pa.binary()), due], schema=WIRE))


def ends(settings: Settings, topic: str) -> dict[int, int]:
    consumer = Consumer({**client_config(settings), "group.id": "test"})
    try:
        parts = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in parts}
    finally:
        consumer.close()


def read(settings: Settings, topic: str, since: dict[int, int]) -> list[tuple[int, bytes, bytes]]:
    """Partition, key and value of all records from those offsets on."""
    to = ends(settings, topic)
    consumer = Consumer({**client_config(settings), "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, p, since.get(p, 0)) for p in to])
    left = sum(to.values()) - sum(since.values())
    found: list[tuple[int, bytes, bytes]] = []
    deadline = time.monotonic() + 60
    while len(found) < left and time.monotonic() < deadline:
        for message in consumer.consume(10_000, 0.5):
            assert message.error() is None
            found.append((message.partition(), message.key(), message.value()))
    consumer.close()
    assert len(found) == left
    return found


def test_what_is_simulated_is_what_arrives(kafka: Settings) -> None:
    """If this fails, records are lost, doubled or changed on the way in; or a device's records change their order."""
    options = FleetOptions(vehicles=200, seed=21, start=START, duration=timedelta(seconds=20), incident_rate=100)
    wanted: dict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
    for b in Simulation(options).batches():
        wanted[b.stream] += zip(b.records["key"].to_pylist(), b.records["value"].to_pylist(), strict=True)
    send(
        Simulation(FleetOptions(vehicles=1, start=START, duration=timedelta(seconds=1))), kafka, speed=MAX
    )  # makes topics
    for speed in (MAX, 10.0):  # the same bytes at any speed
        before = {s: ends(kafka, f"{s}_data") for s in wanted}
        report = send(Simulation(options), kafka, speed=speed)
        assert (report.failed, report.unsent) == (0, 0)
        assert report.streams == {s: len(rows) for s, rows in wanted.items()}
        for stream, rows in wanted.items():
            got = read(kafka, f"{stream}_data", before[stream])
            assert sorted((k, v) for _, k, v in got) == sorted(rows)
            for key in {k for k, _ in rows}:
                mine = [(p, v) for p, k, v in got if k == key]
                assert len({p for p, _ in mine}) == 1
                assert [v for _, v in mine] == [v for k, v in rows if k == key]


def test_speed_is_kept(kafka: Settings) -> None:
    """If this fails, a replay at speed 1 or 10 does not take the time that was recorded."""
    many = [batch([b"a"] * 5, [b"{}"] * 5, [i + k / 5 for k in range(5)]) for i in range(6)]
    for speed in (2.0, 10.0):
        report = send(Listed(many), kafka, speed=speed)
        assert report.sent == 30
        assert 5.8 / speed <= report.seconds < 5.8 / speed + 1.5
        assert report.max_lag_s < 0.5


def test_refused_records_are_counted(kafka: Settings) -> None:
    """If this fails, a record that Kafka refuses disappears without a word."""
    report = send(Listed([batch([b"a", b"a"], [b"x" * 20_000_000, b"{}"], [0, 0])]), kafka, speed=MAX)
    assert (report.sent, report.failed) == (1, 1)
    assert sum(report.reasons.values()) == 1


def test_unknown_stream_and_no_broker(tmp_path: Path, kafka: Settings) -> None:
    """If this fails, a mistyped stream or a broker that is not running is not said."""
    with pytest.raises(UsageError, match="no contract"):
        send(Listed([batch([b"a"], [b"{}"], [0], stream="nonsense")]), kafka)
    with pytest.raises(UnreachableError):
        send(Listed([]), load_settings(home=tmp_path, broker={"port": free_port()}))


def test_stop_flushes(kafka: Settings) -> None:
    """If this fails, Ctrl-C loses what was already taken."""
    stop = threading.Event()
    before = ends(kafka, "gps_data")
    source = Simulation(FleetOptions(vehicles=300, start=START, rate=2))
    told: list[Progress] = []

    def watch(progress: Progress) -> None:
        told.append(progress)
        if progress.sent > 1_500:
            stop.set()

    report = send(source, kafka, speed=5, stop=stop, progress=watch, every_s=0.2)
    assert report.interrupted
    assert report.unsent == 0
    assert sum(ends(kafka, "gps_data").values()) - sum(before.values()) == report.streams["gps"]
    assert "sent" in told[-1].line()


def test_broker_away_is_waited_for(tmp_path: Path) -> None:
    """If this fails, a restart of the broker loses or doubles records."""
    settings = load_settings(home=tmp_path, broker={"port": free_port()})
    embedded.start(settings)
    try:
        values = [[b'{"n":%d}' % (i * 100 + k) for k in range(100)] for i in range(40)]
        batches = [batch([b"d%d" % (k % 7) for k in range(100)], v, [i * 0.25] * 100) for i, v in enumerate(values)]
        waited: list[bool] = []

        def outage(i: int) -> None:
            if i == 10:
                embedded.stop(settings)
            if i == 30:
                embedded.start(settings)

        report = send(
            Listed(batches, outage), settings, speed=1, progress=lambda p: waited.append(p.waiting), every_s=0.2
        )
        assert (report.sent, report.failed, report.unsent) == (4_000, 0, 0)
        assert any(waited)
        got = read(settings, "gps_data", {})
        assert sorted(v for _, _, v in got) == sorted(v for vs in values for v in vs)
        for key in {k for _, k, _ in got}:
            numbers = [int(v[5:-1]) for _, k, v in got if k == key]
            assert numbers == sorted(numbers)
    finally:
        embedded.stop(settings)


def test_full_queue_holds_the_source_back(tmp_path: Path) -> None:
    """If this fails, memory grows without bound while the broker is away, or the wait has no end."""
    settings = load_settings(home=tmp_path, broker={"port": free_port()})
    embedded.start(settings)
    taken: list[int] = []

    def before(i: int) -> None:
        taken.append(i)
        if i == 1:
            embedded.stop(settings)

    batches = [batch([b"a"] * 10_000, [b"x" * 100] * 10_000, [0] * 10_000) for _ in range(30)]
    try:
        with pytest.raises(UnreachableError, match="records wait"):
            send(Listed(batches, before), settings, speed=MAX, patience_s=6)
        assert max(taken) <= 12  # the queue holds 100,000
    finally:
        embedded.stop(settings)


def test_ctrl_c_of_the_command(kafka: Settings, tmp_path: Path) -> None:
    """If this fails, Ctrl-C on `watling simulate` ends in a traceback or loses records."""
    environment = {**os.environ, "WATLING_HOME": str(kafka.home), "WATLING_BROKER__PORT": str(kafka.broker.port)}
    before = sum(ends(kafka, "vehicle_data").values())
    command = [sys.executable, "-m", "watling", "simulate", "--vehicles", "50", "--json"]
    child = subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 90
        while sum(ends(kafka, "vehicle_data").values()) == before and time.monotonic() < deadline:
            assert child.poll() is None, child.communicate()
            time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=40)
    finally:
        child.kill()
    assert child.returncode == 130, err
    report = json.loads(out)
    assert report["unsent"] == 0
    assert sum(ends(kafka, "vehicle_data").values()) - before == report["streams"]["vehicle"]
    assert "Traceback" not in err
    assert isinstance(SendReport(**report), SendReport)


def test_the_city_lands_whole(tmp_path: Path) -> None:
    """If this fails, what the demo shows is not what was sent: the lake lacks rows, or quarantine holds good ones."""
    settings = load_settings(home=tmp_path, broker={"port": free_port()})
    environment = {**os.environ, "WATLING_HOME": str(tmp_path), "WATLING_BROKER__PORT": str(settings.broker.port)}

    def watling(*arguments: str) -> str:
        command = [sys.executable, "-m", "watling", *arguments]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    embedded.start(settings)
    try:
        options = FleetOptions(
            vehicles=200, seed=4, start=START, duration=timedelta(seconds=70), incident_rate=100, repeat_rate=0.01
        )
        sent = send(Simulation(options), settings, speed=MAX)
        repeated = sum(
            len(b.records) - len(set(b.records["value"].to_pylist())) for b in _joined(Simulation(options).batches())
        )
        watling("run", "--once")
        audit = json.loads(watling("audit", "--json"))
        assert audit["ok"]
        quarantined = 0
        for stream, count in sent.streams.items():
            ledger = audit["streams"][stream]
            assert ledger["consumed"] == count
            assert ledger["quarantined"] == ledger["duplicates"]
            quarantined += ledger["quarantined"]
        assert quarantined == repeated > 0
        rows = json.loads(
            watling(
                "sql",
                "select count(*) n, count(distinct snapshot) p, min(snapshot_bytes) b from traffic",
                "--format",
                "json",
            )
        )
        assert rows[0]["n"] == sent.streams["traffic"]
        assert rows[0]["p"] > 40
        assert rows[0]["b"] > 2_000
    finally:
        embedded.stop(settings)


def _joined(batches: Iterator[WireBatch]) -> Iterator[WireBatch]:
    """One batch a stream."""
    parts: dict[str, list[pa.Table]] = defaultdict(list)
    for b in batches:
        parts[b.stream].append(b.records)
    for stream, tables in parts.items():
        yield WireBatch(stream, pa.concat_tables(tables))
