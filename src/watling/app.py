"""Receives settings and contracts; asks pipeline, lake and broker how it goes; gives one status to the command and the page.

One of the places that compose rooms. Rooms are imported when they are needed, so that status stays quick.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from watling.config import Settings
from watling.contracts.model import PROVENANCE, Contract
from watling.errors import UnreachableError, WatlingError
from watling.ops import progress

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

INGESTED_ID = next(f.field_id for f in PROVENANCE if f.name == "_ingested_at")
PING_S = 2.0
FIRST_RECORDS_S = 2.0


class Status:
    """What `watling status --json` prints and the page shows. What a running pipeline tells of its streams comes first;
    of the others, lake and broker are asked. Keep one and read it again: it remembers what it need not ask twice.
    """

    def __init__(self, settings: Settings, contracts: Mapping[str, Contract]) -> None:
        self._settings = settings
        self._contracts = contracts
        self._catalog: Catalog | None = None
        self._newest: dict[str, tuple[int, int | None]] = {}  # stream: (snapshot, newest record in ms)
        self._waiting: dict[
            tuple[str, int], tuple[int, int]
        ] = {}  # topic, partition: (offset, its record's time in ms)
        self._broker: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """The status as plain values: ages in seconds, rates in records a second, times as ISO 8601.

        Raises:
            WatlingError: the lake cannot be read.
        """
        self._broker = broker_status(self._settings)
        told = progress.read_all(self._settings, "pipeline")
        live: dict[str, dict[str, Any]] = {}
        for one in reversed([p for p in told if p.fresh]):
            live.update({name: _told(body) for name, body in one.body.get("streams", {}).items()})
        streams = {}
        for name, contract in self._contracts.items():
            streams[name] = self._stream(name, contract, live.get(name))
        supervisor = progress.read(self._settings, "up")
        return {
            "streams": streams,
            "broker": self._broker,
            "pipeline": _pipeline(told),
            "supervisor": dict(supervisor.body) if supervisor is not None and supervisor.fresh else None,
        }

    def _stream(self, name: str, contract: Contract, live: dict[str, Any] | None) -> dict[str, Any]:
        if live is not None and live["freshness_seconds"] is not None and live["error"] is None:
            return live
        known = self._ask(name, contract)
        if live is None:
            return {"topic": contract.topic, "rate": 0.0, **known, "error": None}
        for key in ("freshness_seconds", "last_commit", "lag_records", "lag_seconds"):
            if live[key] is None:
                live[key] = known[key]
        return live

    def _ask(self, name: str, contract: Contract) -> dict[str, Any]:
        """What lake and broker say of a stream that no running pipeline speaks of."""
        known: dict[str, Any] = {"landed": 0, "quarantined": 0, "duplicates": 0, "lost": 0, "reasons": {}}
        known |= {"freshness_seconds": None, "last_commit": None}
        nexts: dict[int, int] = {}
        table = self._table(name)
        if table is not None:
            from watling.lake.state import read_state

            state = read_state(table)
            snapshot = table.current_snapshot()
            known |= {k: state.total(k) for k in ("landed", "quarantined", "duplicates")} | {"lost": state.lost}
            known["last_commit"] = _iso(snapshot.timestamp_ms / 1000) if snapshot else None
            known["freshness_seconds"] = _age(self._newest_ms(name, table))
            if state.generations:
                nexts = {p: s.next for p, s in state.generations[state.generation].partitions.items()}
        return {**known, **self._lag(contract.topic, nexts)}

    def _table(self, name: str) -> Table | None:
        if self._catalog is None:
            if not lake_exists(self._settings):
                return None
            from watling.lake.catalog import open_catalog

            self._catalog = open_catalog(self._settings)
        from watling.lake.tables import load_table

        return load_table(self._catalog, self._settings, name)

    def _lag(self, topic: str, nexts: Mapping[int, int]) -> dict[str, Any]:
        """Records that wait in the topic, and how long the oldest of them has waited."""
        unknown = {"lag_records": None, "lag_seconds": None}
        if not self._broker["running"]:
            return unknown
        from watling.broker import admin

        try:
            marks = admin.watermarks(self._settings, topic)
        except UnreachableError:
            self._broker["running"] = False
            return unknown
        waiting = {p: max(low, nexts.get(p, 0)) for p, (low, high) in marks.items() if high > max(low, nexts.get(p, 0))}
        records = sum(marks[p][1] - start for p, start in waiting.items())
        if not waiting:
            return {"lag_records": 0, "lag_seconds": 0.0}
        unseen = {p: o for p, o in waiting.items() if self._waiting.get((topic, p), (None,))[0] != o}
        if unseen:
            found = first_record_times(self._settings, topic, unseen)
            self._waiting |= {(topic, p): (unseen[p], at) for p, at in found.items()}
        since = [self._waiting[topic, p][1] for p in waiting if (topic, p) in self._waiting]
        return {"lag_records": records, "lag_seconds": _age(min(since)) if since else None}

    def _newest_ms(self, name: str, table: Table) -> int | None:
        snapshot = table.current_snapshot()
        if snapshot is None:
            return None
        known = self._newest.get(name)
        if known is None or known[0] != snapshot.snapshot_id:
            known = (snapshot.snapshot_id, newest_ingested_ms(table))
            self._newest[name] = known
        return known[1]


def lake_exists(settings: Settings) -> bool:
    """False when opening the lake would only make an empty one."""
    return bool(settings.lake.catalog) or (settings.home / "lake" / "catalog.db").is_file()


def first_record_times(settings: Settings, topic: str, positions: Mapping[int, int]) -> dict[int, int]:
    """{partition: time in ms since 1970 of the first record from that offset on}, of those that answer soon."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    from watling.broker.client import client_config

    config = {
        **client_config(settings),
        "group.id": "watling-status",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "queued.min.messages": 1,
        "fetch.message.max.bytes": 65_536,
    }
    found: dict[int, int] = {}
    consumer = Consumer(config)
    try:
        consumer.assign([TopicPartition(topic, p, offset) for p, offset in positions.items()])
        deadline = time.monotonic() + FIRST_RECORDS_S
        while len(found) < len(positions) and (left := deadline - time.monotonic()) > 0:
            for message in consumer.consume(100, min(left, 0.2)):
                partition = message.partition()
                if message.error() is None and partition is not None:
                    found.setdefault(partition, int(message.timestamp()[1]))
    except KafkaException:
        pass  # the lag's age stays unknown
    finally:
        consumer.close()
    return found


def newest_ingested_ms(table: Table) -> int | None:
    """The newest `_ingested_at` of the table's current rows in ms since 1970, from its manifests alone."""
    from pyiceberg.conversions import from_bytes
    from pyiceberg.types import TimestamptzType

    snapshot = table.current_snapshot()
    newest = None
    for manifest in snapshot.manifests(table.io) if snapshot else ():
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            bound = (entry.data_file.upper_bounds or {}).get(INGESTED_ID)
            if bound is not None:
                newest = max(newest or 0, int(from_bytes(TimestamptzType(), bound)) // 1000)
    return newest


def broker_status(settings: Settings) -> dict[str, Any]:
    """The broker's part of the status. `running` means that it answers (embedded: that its process lives)."""
    from watling.broker import admin, embedded

    if settings.embedded_broker:
        return {"embedded": True, **asdict(embedded.status(settings))}
    try:
        cluster = admin.ping(settings, PING_S)
        return {"embedded": False, "running": True, "address": settings.bootstrap_servers, "cluster_id": cluster}
    except WatlingError as error:
        return {"embedded": False, "running": False, "address": settings.bootstrap_servers, "error": error.message}


def _told(body: Mapping[str, Any]) -> dict[str, Any]:
    """A stream's entry as the pipeline told it, with its times as texts."""
    at = body.get("last_commit")
    return {**body, "last_commit": _iso(at) if isinstance(at, int | float) else at}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _age(ms: int | None) -> float | None:
    return None if ms is None else round(max(0.0, time.time() - ms / 1000), 1)


def _pipeline(told: list[progress.Progress]) -> dict[str, Any]:
    """The pipeline's part of the status: `running`, `stalled` (lives, but is silent), `died`, `stopped`."""
    if not told:
        return {"running": False, "state": "stopped"}
    alive = [p for p in told if p.running]
    one = (alive or told)[0]
    state = ("running" if any(p.fresh for p in alive) else "stalled") if alive else "died"
    return {
        "running": bool(alive),
        "state": state,
        "engine": one.body.get("engine"),
        "pid": one.identity.pid,
        "since": datetime.fromtimestamp(one.identity.created, UTC).isoformat(timespec="seconds"),
        "told_seconds_ago": round(one.age_s, 1),
        "others": [p.identity.pid for p in alive if p is not one],
    }
