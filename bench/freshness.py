"""How fresh the tables are under a steady load, and whether commits stay quick: a paced producer, five streams, `watling run`.

    python bench/freshness.py [--rate 20000] [--seconds 60]

Starts an embedded broker in a temporary home, the pipeline as its command, and sends `--rate` records a second over the
five streams. A record's freshness is the time of the snapshot that holds it less its Kafka timestamp, both read from
the tables afterwards: when it could be queried, to when it was sent. The first seconds, in which the pipeline starts, are
left out (`--settle`). Commit times come from what the pipeline tells (`commit_seconds`); the resident sizes of pipeline
and broker are looked at twice a second. No figure is asserted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pipeline import free_port, new_producer, vehicle_event

from watling.broker import admin, embedded
from watling.config import Settings, load_settings
from watling.contracts import load_contracts
from watling.lake.catalog import open_catalog
from watling.ops import progress

TICK_S = 0.02
SHARES = {"vehicle": 0.4, "gps": 0.3, "traffic": 0.1, "weather": 0.1, "emergency": 0.1}


def gps(id_: str, number: int, when: str) -> bytes:
    return (
        f'{{"id": "{id_}", "vehicle_id": "vehicle-{number % 1000}", "timestamp": "{when}", "speed": {number % 4000 / 100}, '
        f'"direction": "North-East", "vehicleType": "private"}}'
    ).encode()


def traffic(id_: str, number: int, when: str) -> bytes:
    return (
        f'{{"id": "{id_}", "vehicle_id": "vehicle-{number % 1000}", "camera_id": "camera-{number % 50}", '
        f'"location": [51.5, -0.1], "timestamp": "{when}", "snapshot": "snapshot-{number % 100}.jpg"}}'
    ).encode()


def weather(id_: str, number: int, when: str) -> bytes:
    return (
        f'{{"id": "{id_}", "vehicle_id": "vehicle-{number % 1000}", "location": [51.5, -0.1], "timestamp": "{when}", '
        f'"temperature": {number % 300 / 10}, "weatherCondition": "Rain", "precipitation": 1.5, "windSpeed": 20, '
        f'"humidity": 80, "airQualityIndex": 42.5}}'
    ).encode()


def emergency(id_: str, number: int, when: str) -> bytes:
    return (
        f'{{"id": "{id_}", "vehicle_id": "vehicle-{number % 1000}", "incidentId": "{id_}", "type": "Accident", '
        f'"timestamp": "{when}", "location": [51.5, -0.1], "status": "Active", "description": "one lane closed"}}'
    ).encode()


EVENTS: dict[str, Callable[[str, int, str], bytes]] = {
    "vehicle": vehicle_event,
    "gps": gps,
    "traffic": traffic,
    "weather": weather,
    "emergency": emergency,
}


def send(settings: Settings, topics: dict[str, str], rate: int, seconds: float) -> tuple[int, float]:
    """Send at the rate; a tick that comes late sends what is due. Gives (records, seconds it took)."""
    producer, rng = new_producer(settings.bootstrap_servers), random.Random(3)
    streams, weights = list(SHARES), list(SHARES.values())
    began, sent = time.monotonic(), 0
    while (now := time.monotonic() - began) < seconds:
        due = int(now * rate) - sent
        when = datetime.now(UTC).isoformat()
        for stream in rng.choices(streams, weights, k=due):
            id_ = str(uuid.UUID(int=rng.getrandbits(128), version=4))
            producer.produce(topics[stream], EVENTS[stream](id_, sent, when), f"vehicle-{sent % 1000}".encode())
            sent += 1
        producer.poll(0)
        time.sleep(max(0.0, TICK_S - (time.monotonic() - began - now)))
    producer.flush(60)
    return sent, time.monotonic() - began


class Watch:
    """Twice a second, from the side: commit times that the pipeline tells, and resident sizes in MB."""

    def __init__(self, settings: Settings, pipeline: int, broker: int) -> None:
        self.commits: list[tuple[float, float]] = []  # (seconds since the start, seconds a commit took)
        self.pipeline: list[float] = []
        self.broker: list[float] = []
        self._settings = settings
        self._processes = (psutil.Process(pipeline), psutil.Process(broker))
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        began = time.monotonic()
        seen: dict[str, float] = {}
        while not self._end.wait(0.5):
            for told in progress.read_all(self._settings, "pipeline"):
                for name, body in told.body.get("streams", {}).items():
                    if body["last_commit"] and seen.get(name) != body["last_commit"]:
                        seen[name] = body["last_commit"]
                        self.commits.append((time.monotonic() - began, body["commit_seconds"]))
            with contextlib.suppress(psutil.Error):
                for process, sizes in zip(self._processes, (self.pipeline, self.broker), strict=True):
                    sizes.append(process.memory_info().rss / 1e6)

    def stop(self) -> None:
        self._end.set()
        self._thread.join(5)


@contextlib.contextmanager
def pipeline(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """`watling run`, ended by Ctrl-C's signal."""
    environment = os.environ | {
        "WATLING_HOME": str(settings.home),
        "WATLING_BROKER__PORT": str(settings.broker.port),
        "WATLING_LAKE__SNAPSHOTS_KEPT": "10000",  # `ages` reads each commit
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "watling", "run"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()


def ages(settings: Settings, contracts: dict[str, object]) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """(freshness in s of each row, its record's time in s, commits by stream), from the files that each append added.

    Files that maintenance has replaced since are still there: the snapshots are kept.
    """
    fresh, times, commits = [], [], {}
    catalog = open_catalog(settings)
    for stream in contracts:
        table = catalog.load_table((settings.lake.namespace, stream))
        snapshots = sorted(table.snapshots(), key=lambda s: s.sequence_number or 0)
        appended = [s for s in snapshots if s.summary is not None and s.summary.operation.value == "append"]
        commits[stream] = len(appended)
        for snapshot in appended:
            for manifest in snapshot.manifests(table.io):
                if manifest.added_snapshot_id != snapshot.snapshot_id:
                    continue
                for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                    if entry.snapshot_id != snapshot.snapshot_id:
                        continue
                    with table.io.new_input(entry.data_file.file_path).open() as file:
                        column = pq.read_table(pa.PythonFile(file, mode="r"), columns=["_ingested_at"])["_ingested_at"]
                    at = column.cast(pa.int64()).to_numpy() / 1e6
                    fresh.append(snapshot.timestamp_ms / 1e3 - at)
                    times.append(at)
    return np.concatenate(fresh), np.concatenate(times), commits


def quantiles(values: np.ndarray) -> str:
    p50, p95, top = np.percentile(values, [50, 95, 100])
    return f"p50 {p50:.2f}  p95 {p95:.2f}  max {top:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=20_000, help="records a second over the five streams")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--settle", type=float, default=5, help="seconds at the start that are not counted")
    options = parser.parse_args()
    contracts = load_contracts(None)
    topics = {name: contract.topic for name, contract in contracts.items()}
    with tempfile.TemporaryDirectory(prefix="bench-freshness-") as home:
        settings = load_settings(home=Path(home), broker={"port": free_port()})
        status = embedded.start(settings, attached=True)
        try:
            admin.ensure_topics(settings, contracts)
            with pipeline(settings) as running:
                deadline = time.monotonic() + 60
                while not progress.read_all(settings, "pipeline") and time.monotonic() < deadline:
                    time.sleep(0.1)
                watch = Watch(settings, running.pid, status.pid or os.getpid())
                load = os.getloadavg()[0]
                began = time.time()
                sent, took = send(settings, topics, options.rate, options.seconds)
                time.sleep(5)  # the last commits
                watch.stop()
            fresh, times, commits = ages(settings, contracts)
        finally:
            embedded.stop(settings)
    print(
        f"sent {sent:,} records in {took:.1f} s ({sent / took:,.0f}/s) over five streams; landed {len(fresh):,}; load {load:.1f}"
    )
    counted = times >= began + options.settle
    print(
        f"\nfreshness in s, record's timestamp to its commit, after {options.settle:g} s: {quantiles(fresh[counted])}"
    )
    for start in np.arange(0, options.seconds, options.seconds / 4):
        part = (times >= began + start) & (times < began + start + options.seconds / 4)
        if part.any():
            print(f"  records of second {start:3.0f} to {start + options.seconds / 4:3.0f}: {quantiles(fresh[part])}")
    print("\ntime of a round's commits in s")
    for start in np.arange(0, options.seconds, options.seconds / 4):
        part = np.array([c for at, c in watch.commits if start <= at < start + options.seconds / 4])
        if len(part):
            print(f"  second {start:3.0f} to {start + options.seconds / 4:3.0f}: {quantiles(part)}")
    print("commits: " + ", ".join(f"{name} {count}" for name, count in commits.items()))
    if watch.pipeline:
        parts = " ".join(f"{part.max():.0f}" for part in np.array_split(np.array(watch.pipeline), 8) if len(part))
        print(
            f"resident, MB: pipeline up to {max(watch.pipeline):.0f} (by eighths of the run: {parts}), "
            f"broker up to {max(watch.broker):.0f}"
        )


if __name__ == "__main__":
    main()
