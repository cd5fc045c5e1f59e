"""A small lake for tests: written by the lake's own committer, and then, where a test wants it, tampered with."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from watling.config import Settings, load_settings
from watling.contracts import load_contracts
from watling.contracts.model import Contract
from watling.contracts.targets import arrow
from watling.lake.catalog import open_catalog
from watling.lake.commit import Batch, Committer, append
from watling.lake.state import STATE, Generation, PartitionDelta, PartitionState, StreamState, dump_state, read_state
from watling.lake.write import write_rows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class SmallLake:
    """Streams with their topics begun; `topic` suffixes the topics' names so that a shared broker can have them."""

    def __init__(self, home: Path, streams: Sequence[str] = ("vehicle",), partitions: int = 1, **settings: Any) -> None:
        self.settings: Settings = load_settings(home=home, **settings)
        self.contracts = load_contracts(None)
        self.catalog = open_catalog(self.settings)
        self.partitions = partitions
        self.committer = Committer(self.catalog, self.settings, "test", threading.Event())
        for stream in streams:
            self.begin(self.contracts[stream])

    def begin(self, contract: Contract, topic_id: str = "topic-id") -> None:
        self.contracts[contract.name] = contract
        if not self.committer.claim(contract).generations:
            starts = {p: PartitionState(0, 0) for p in range(self.partitions)}
            self.change(
                contract.name, lambda s: replace(s, generations={0: Generation(contract.topic, topic_id, starts)})
            )

    def change(self, stream: str, change: Callable[[StreamState], StreamState]) -> None:
        self.committer.update_state(stream, change)

    def rows(self, stream: str, offsets: Sequence[int], partition: int = 0, **columns: Any) -> pa.Table:
        """Good rows at those offsets; `columns` are constants for all of them."""
        contract = self.contracts[stream]
        filled: dict[str, Any] = {
            "vehicle_id": "v",
            "latitude": 51.5,
            "longitude": -0.1,
            "incident_id": "i",
            "camera_id": "c",
            "type": "Fire",
            "_kafka_generation": 0,
            "_kafka_partition": partition,
            "_ingested_at": NOON,
            **columns,
        }
        schema = arrow.compile(contract)
        return pa.Table.from_pylist(
            [
                {
                    **{k: v for k, v in filled.items() if k in schema.names},
                    "id": f"id-{partition}-{o}",
                    "event_time": NOON + timedelta(minutes=o),
                    "_kafka_offset": o,
                }
                for o in offsets
            ],
            schema=schema,
        )

    def rejected(self, stream: str, offsets: Sequence[int], partition: int = 0, reason: str = "not_json") -> pa.Table:
        count = len(offsets)
        return pa.table(
            {
                "stream": [stream] * count,
                "topic": [self.contracts[stream].topic] * count,
                "_kafka_generation": pa.array([0] * count, pa.int32()),
                "_kafka_partition": pa.array([partition] * count, pa.int32()),
                "_kafka_offset": pa.array(list(offsets), pa.int64()),
                "record_time": pa.array([NOON] * count, pa.timestamp("us", "UTC")),
                "raw": pa.array([b'{"a":"\xc3\xa9"'] * count, pa.large_binary()),
                "reason": [reason] * count,
            }
        )

    def land(
        self,
        stream: str,
        start: int,
        good: int,
        bad: int = 0,
        partition: int = 0,
        reason: str = "not_json",
        gaps: Sequence[tuple[int, int]] = (),
        lost: Sequence[tuple[int, int]] = (),
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        """A batch: `good` rows, then `bad` ones, then the gaps and losses (given as ranges behind them)."""
        stop = max([start + good + bad, *(b for _, b in gaps), *(b for _, b in lost)])
        delta = PartitionDelta(
            start,
            stop,
            landed=good,
            quarantined=bad,
            duplicates=bad if reason == "duplicate" else 0,
            gaps=tuple(gaps),
            lost=tuple(lost),
        )
        offsets = range(start, start + good)
        files = write_rows(self.committer.table(stream), self.rows(stream, offsets, partition, **(columns or {})))
        rejected = self.rejected(stream, range(start + good, start + good + bad), partition, reason) if bad else None
        result = self.committer.commit([Batch(stream, 0, {partition: delta}, files, rejected)])[stream]
        assert not isinstance(result, Exception), result

    def smuggle(self, name: str, rows: pa.Table) -> None:
        """Append rows without moving the state, as no honest writer does."""
        table = self.catalog.load_table((self.settings.lake.namespace, name))
        files = write_rows(table, rows)
        append(table, files, {STATE: dump_state(read_state(table))} if name != "quarantine" else {})

    def remove(self, name: str, condition: str) -> None:
        """Delete rows and keep the state."""
        table = self.catalog.load_table((self.settings.lake.namespace, name))
        state = {STATE: dump_state(read_state(table))} if name != "quarantine" else {}
        table.delete(condition, snapshot_properties={**state, "test": uuid.uuid4().hex})
