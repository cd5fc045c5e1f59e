"""A city for a test: a home and topics of its own on the shared broker, and a process that drains them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka import Producer

from tests.conftest import wait_until
from watling.broker import admin
from watling.config import Settings, load_settings
from watling.contracts import load_contracts
from watling.contracts.model import Contract
from watling.lake.catalog import open_catalog
from watling.lake.state import StreamState, read_state
from watling.lake.tables import load_table

NOW = datetime.now(UTC).replace(microsecond=0)
HERE = Path(__file__).parent


@dataclass
class City:
    """`streams` are the streams in play; every topic's name carries a tag of its own."""

    settings: Settings
    contracts: dict[str, Contract]
    streams: tuple[str, ...]
    environment: dict[str, str]
    sent: dict[str, int] = field(default_factory=dict)

    def send(self, stream: str, values: Sequence[bytes | None], partition: int | None = None) -> None:
        """Produce values and wait until the broker has them."""
        producer = Producer(
            {"bootstrap.servers": self.settings.bootstrap_servers, "linger.ms": 5, "message.max.bytes": 16 << 20}
        )
        topic = self.contracts[stream].topic
        for number, value in enumerate(values):
            where = {} if partition is None else {"partition": partition}
            producer.produce(topic, value=value, key=f"k{number % 7}", **where)
            producer.poll(0)
        assert producer.flush(60) == 0
        self.sent[stream] = self.sent.get(stream, 0) + len(values)

    def start(self, failpoint: str = "", **options: Any) -> subprocess.Popen[str]:
        """Start the engine in a process of its own."""
        body = json.dumps({"once": True, "streams": list(self.streams), **options})
        environment = {**os.environ, **self.environment, "WATLING_FAILPOINT": failpoint}
        return subprocess.Popen(
            [sys.executable, str(HERE / "drain.py"), body],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def drain(self, failpoint: str = "", expect: int | None = 0, **options: Any) -> dict[str, Any]:
        """Run the engine until the topics are drained. -9 is what a failpoint makes of it."""
        process = self.start(failpoint, **options)
        out, err = process.communicate(timeout=120)
        assert expect is None or process.returncode == expect, (process.returncode, out, err[-3000:])
        return json.loads(out) if out.strip() else {}

    def rows(self, table: str, columns: Sequence[str] = ("id", "_kafka_partition", "_kafka_offset")) -> pa.Table:
        """Rows of a table as it stands."""
        loaded = load_table(open_catalog(self.settings), self.settings, table)
        assert loaded is not None
        return loaded.scan(selected_fields=tuple(columns)).to_arrow().select(list(columns))

    def remake_topic(self, stream: str) -> None:
        """Delete the stream's topic and make it anew, empty, under its name."""
        topic = self.contracts[stream].topic
        admin.delete_topic(self.settings, topic)
        assert wait_until(lambda: topic not in admin.topic_ids(self.settings, [topic]), 20)
        admin.ensure_topics(self.settings, {stream: self.contracts[stream]})

    def state(self, stream: str) -> StreamState:
        """The stream's state as it stands."""
        loaded = load_table(open_catalog(self.settings), self.settings, stream)
        assert loaded is not None
        return read_state(loaded)

    def settled(self, stream: str) -> int:
        """Records of the stream that its table has settled; 0 before there is one."""
        return sum(state.next - state.first for _, _, state in self._begun(stream).each())

    def landed(self, stream: str = "vehicle") -> int:
        """Rows that the stream's table says it landed; 0 before there is one."""
        return self._begun(stream).total("landed")

    def _begun(self, stream: str) -> StreamState:
        loaded = load_table(open_catalog(self.settings), self.settings, stream)
        return StreamState() if loaded is None else read_state(loaded)

    def places(self, stream: str) -> list[tuple[int, int, int]]:
        """(generation, partition, offset) of every row of the stream, in its table and in quarantine, sorted."""
        columns = ["_kafka_generation", "_kafka_partition", "_kafka_offset"]
        landed = self.rows(stream, columns)
        held = self.rows("quarantine", ["stream", "released_at", *columns]).to_pylist()
        places = [tuple(r.values()) for r in landed.to_pylist()]
        places += [tuple(r[c] for c in columns) for r in held if r["stream"] == stream and r["released_at"] is None]
        return sorted(places)  # type: ignore[arg-type]

    def assert_whole(self, stream: str) -> None:
        """Each record below the next offset stands exactly once, in the table or in quarantine."""
        state = self.state(stream)
        expected = [
            (generation, partition, offset)
            for generation, partition, s in state.each()
            for offset in range(s.first, s.next)
            if not any(a <= offset < b for a, b in (*s.gaps, *s.lost_ranges))
        ]
        assert self.places(stream) == expected


def event(number: int, vehicle: int | None = None, **more: Any) -> bytes:
    """A vehicle event as an unmodified producer of the tutorial family sends it."""
    at = NOW - timedelta(seconds=600) + timedelta(milliseconds=number)
    body = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        "vehicle_id": f"vehicle-{number % 10 if vehicle is None else vehicle}",
        "timestamp": at.isoformat(),
        "location": [51.5 + number % 100 / 1000, -0.1],
        "speed": 30 + number % 40,
        "direction": "North-East",
        "make": "BMW",
        "model": "C500",
        "year": 2024,
        "fuelType": "Hybrid",
    }
    return json.dumps({**body, **more}).encode()


@pytest.fixture
def make_city(kafka: Settings, tmp_path: Path) -> Any:
    def make(*streams: str, partitions: int = 3, catalog: Mapping[str, str] | None = None, **environment: str) -> City:
        # `make soak` runs these tests on a store too
        if catalog is None and os.environ.get("WATLING_TEST_LAKE") == "s3":
            from tests.integration.s3.server import shared

            catalog = shared(tmp_path / "store").catalog(tmp_path / "home")
        tag = uuid.uuid4().hex[:8]
        folder = tmp_path / "contracts"
        folder.mkdir(exist_ok=True)
        for name in streams:
            text = resources.files("watling.contracts").joinpath(f"builtin/{name}.odcs.yaml").read_text()
            (folder / f"{name}.odcs.yaml").write_text(text.replace(f"{name}_data", f"{name}_{tag}"))
        env = {
            "WATLING_HOME": str(tmp_path / "home"),
            "WATLING_CONTRACTS": str(folder),
            "WATLING_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "WATLING_BROKER__PARTITIONS": str(partitions),
            "WATLING_LAKE__CATALOG": json.dumps(dict(catalog or {})),
            **environment,
        }
        settings = load_settings(
            home=tmp_path / "home",
            contracts=folder,
            kafka={"bootstrap_servers": kafka.bootstrap_servers},
            broker={"partitions": partitions},
            lake={"catalog": dict(catalog or {})},
        )
        contracts = load_contracts(folder)
        admin.ensure_topics(settings, {n: contracts[n] for n in streams})
        return City(settings, contracts, streams, env)

    return make


@pytest.fixture
def city(make_city: Any) -> City:
    """A city with the vehicle stream on three partitions."""
    return make_city("vehicle")
