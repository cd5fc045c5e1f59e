"""Receives the lake, the live status and the jobs; gives the operations view: commits, files, quarantine with samples,
the audit's verdict, and the buttons' routes.

Commits and files come from Iceberg's metadata alone; quarantine is asked in SQL. Both are kept for some seconds, so that
many viewers cost as much as one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from watling.audit import last_verdict
from watling.config import Settings
from watling.contracts.model import Contract, Reason
from watling.dashboard.history.models import UNREADABLE
from watling.dashboard.history.pool import QueryPool, refusal
from watling.dashboard.jobs import JobRunning, Jobs
from watling.errors import WatlingError
from watling.lake.state import ancestors
from watling.lake.tables import QUARANTINE, load_table
from watling.query.sql import LakeSql, Limits

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
COMMITS = 60  # told one by one; all of the hour are in `minutes`
SMALL = 0.75  # of the target size: what maintenance merges
TABLES_FOR_S, QUARANTINE_FOR_S = 2.0, 5.0
MANIFESTS_KEPT = 2_000
GROUPS, SAMPLES, SAMPLE_BYTES = 100, 3, 400

LIVE = (
    *("state", "message", "rate", "lag_records", "lag_seconds", "freshness_seconds"),
    *("landed", "quarantined", "duplicates", "lost", "last_commit"),
)

GROUPED = f"""
SELECT stream, reason, field, count(*) AS records, epoch_ms(max(record_time)) AS newest_ms,
  arg_max(message, record_time) AS message,
  arg_max({{'generation': _kafka_generation, 'partition': _kafka_partition, 'offset': _kafka_offset}}, record_time, {SAMPLES}) AS places
FROM quarantine WHERE released_at IS NULL GROUP BY ALL ORDER BY records DESC, stream, reason, field LIMIT {GROUPS}
"""  # noqa: S608 - constants of this module
SAMPLED = f"""
SELECT stream, _kafka_generation AS generation, _kafka_partition AS partition, _kafka_offset AS "offset", reason, field,
  message, epoch_ms(record_time) AS at, CAST(raw AS BLOB)[1:{SAMPLE_BYTES}] AS raw, octet_length(CAST(raw AS BLOB)) AS raw_bytes
FROM quarantine WHERE released_at IS NULL AND _kafka_offset IN (SELECT unnest(CAST($offsets AS BIGINT[])))
  AND concat_ws('/', stream, _kafka_generation, _kafka_partition, _kafka_offset) IN (SELECT unnest(CAST($names AS VARCHAR[])))
"""  # noqa: S608


class ReplayOrder(BaseModel):
    """Which open records to judge again; nothing: all of them."""

    model_config = ConfigDict(extra="forbid")
    stream: Annotated[str | None, Field(max_length=64)] = None
    reason: Reason | None = None


class AuditOrder(BaseModel):
    """Nothing to choose yet."""

    model_config = ConfigDict(extra="forbid")


class Kept:
    """An answer and how old it may grow."""

    def __init__(self, ask: Callable[[threading.Event], dict[str, Any]], for_s: float) -> None:
        self._ask = ask
        self._for_s = for_s
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._body: dict[str, Any] = {}

    def __call__(self, cancel: threading.Event) -> dict[str, Any]:
        """The answer, asked anew when it is too old. While one thread asks, others get what there was."""
        if not self._lock.acquire(blocking=not self._body):
            return self._body
        try:
            if time.monotonic() - self._at > self._for_s:
                self._body = self._ask(cancel)
                self._at = time.monotonic()
            return self._body
        finally:
            self._lock.release()

    def forget(self) -> None:
        """What was asked before is out of date."""
        self._at = float("-inf")


class LakeMeter:
    """Sizes and commits of the tables, from metadata. Manifests never change, so each is read once."""

    def __init__(self, settings: Settings, tables: Callable[[str], Table | None]) -> None:
        self._small_bytes = settings.lake.target_file_bytes * SMALL
        self._tables = tables
        self._manifests: dict[str, tuple[int, int, int]] = {}  # path: files, small ones, bytes

    def table(self, name: str, now_ms: int) -> dict[str, Any] | None:
        """One table's commits of the last hour, files and snapshots; None before it is made."""
        table = self._tables(name)
        if table is None:
            return None
        return {
            "snapshots": len(table.metadata.snapshots),
            "files": self._files(table),
            **commits(ancestors(table), now_ms),
        }

    def _files(self, table: Table) -> dict[str, int]:
        snapshot = table.current_snapshot()
        read = [self._manifest(m, table) for m in snapshot.manifests(table.io)] if snapshot is not None else []
        files, small, size = (sum(column) for column in zip(*read, strict=True)) if read else (0, 0, 0)
        return {
            "count": files,
            "bytes": size,
            "small": small,
            "small_below": int(self._small_bytes),
            "rows": _total(snapshot, "total-records"),
        }

    def _manifest(self, manifest: ManifestFile, table: Table) -> tuple[int, int, int]:
        known = self._manifests.get(manifest.manifest_path)
        if known is None:
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            sizes = [entry.data_file.file_size_in_bytes for entry in entries]
            known = (len(sizes), sum(size < self._small_bytes for size in sizes), sum(sizes))
            while len(self._manifests) >= MANIFESTS_KEPT:
                self._manifests.pop(next(iter(self._manifests)), None)
            self._manifests[manifest.manifest_path] = known
        return known


def commits(snapshots: Any, now_ms: int) -> dict[str, Any]:
    """`commits`: the newest ones of the last hour, newest first. `minutes`: [ms, commits, rows, files, bytes] of each of
    the last 60 minutes, oldest first, merges of files (which add no row) left out. `merges`: how many of those."""
    newest: list[dict[str, Any]] = []
    first = now_ms // MINUTE_MS - 59
    minutes = [[(first + i) * MINUTE_MS, 0, 0, 0, 0] for i in range(60)]
    merges = 0
    for snapshot in snapshots:
        if snapshot.timestamp_ms < now_ms - HOUR_MS:
            break
        kind = snapshot.summary.operation if snapshot.summary is not None else Operation.APPEND
        rows, files, size = (_total(snapshot, k) for k in ("added-records", "added-data-files", "added-files-size"))
        merge = kind is not Operation.APPEND
        merges += merge
        if len(newest) < COMMITS:
            newest.append(
                {"at": snapshot.timestamp_ms, "kind": "merge" if merge else "rows", "rows": 0 if merge else rows, "files": files, "bytes": size}
            )  # fmt: skip
        place = snapshot.timestamp_ms // MINUTE_MS - first
        if not merge and 0 <= place < 60:
            for column, amount in enumerate((1, rows, files, size), 1):
                minutes[place][column] += amount
    return {"commits": newest, "minutes": minutes, "merges": merges}


def quarantined(lake: LakeSql, limits: Limits, cancel: threading.Event) -> dict[str, Any]:
    """{stream: [{reason, field, records, newest_ms, message, samples}]} of the open records, the largest groups first."""
    if QUARANTINE not in lake.tables():
        return {}
    groups = lake.execute(GROUPED, limits, cancel=cancel).rows.to_pylist()
    for group in groups:
        group["names"] = [
            f"{group['stream']}/{p['generation']}/{p['partition']}/{p['offset']}" for p in group["places"]
        ]
    wanted = {
        "offsets": sorted({p["offset"] for group in groups for p in group["places"]}),
        "names": [name for group in groups for name in group["names"]],
    }
    samples = {}
    if groups:
        for row in lake.execute(SAMPLED, limits, parameters=wanted, cancel=cancel).rows.to_pylist():
            raw: bytes | None = row["raw"]
            name = f"{row['stream']}/{row['generation']}/{row['partition']}/{row['offset']}"
            samples[name] = {**row, "name": name, "raw": None if raw is None else raw.decode("utf-8", "replace")}
    found: dict[str, list[dict[str, Any]]] = {}
    for group in groups:
        found.setdefault(group["stream"], []).append(
            {
                **{key: group[key] for key in ("reason", "field", "records", "newest_ms", "message")},
                "samples": [samples[name] for name in group["names"] if name in samples],
            }
        )
    return found


def operations_routes(
    settings: Settings,
    contracts: Mapping[str, Contract],
    pool: QueryPool,
    jobs: Jobs,
    status: Callable[[], dict[str, Any]],
) -> APIRouter:
    """The routes of the operations view. `status` gives what `/api/status` does."""
    routes = APIRouter(prefix="/api", tags=["operations"])
    meter = LakeMeter(settings, lambda name: load_table(pool.catalog(), settings, name))
    names = (*contracts, QUARANTINE)
    tables = Kept(lambda _: {name: meter.table(name, _now_ms()) for name in names}, TABLES_FOR_S)
    held = Kept(lambda cancel: quarantined(pool.sql(), pool.limits(10_000), cancel), QUARANTINE_FOR_S)

    @routes.get(
        "/operations",
        summary="Per stream: lag, rate, freshness, commits, files, quarantine with samples; jobs; the audit's verdict",
        responses={
            503: {"description": "No lake yet, or too many queries at once"},
            504: {"description": "Out of time"},
        },
    )
    async def operations(request: Request) -> dict[str, Any]:
        def work(cancel: threading.Event) -> tuple[dict[str, Any], dict[str, Any]]:
            return tables(cancel), held(cancel)

        measured, open_ = await pool.run(request, work)
        now = status()
        return {
            "at": _now_ms(),
            "streams": {
                name: {
                    **{key: now["streams"][name].get(key) for key in LIVE},
                    "table": measured.get(name),
                    "quarantine": open_.get(name, []),
                }
                for name in contracts
            },
            "quarantine_table": measured.get(QUARANTINE),
            "broker": now["broker"],
            "pipeline": now["pipeline"],
            "audit": last_verdict(settings),
            "jobs": [job.json() for job in jobs.newest()],
        }

    def begin(kind: Literal["replay", "audit"], **asked: Any) -> dict[str, Any]:
        try:
            pool.catalog()  # without a lake there is nothing to look at, and the work would make an empty one
            job = jobs.start(kind, **asked)
        except JobRunning as error:
            raise HTTPException(409, error.message) from error
        except WatlingError as error:
            raise refusal(error) from error
        held.forget()
        tables.forget()
        return job.json()

    busy: dict[int | str, dict[str, Any]] = {
        **UNREADABLE,
        409: {"description": "Another job runs"},
        503: {"description": "No lake yet"},
    }

    @routes.post(
        "/quarantine/replay",
        status_code=202,
        summary="Judge open records by today's contracts; land what now fits. A job",
        responses={**busy, 404: {"description": "No such stream"}},
    )
    def replay(order: ReplayOrder) -> dict[str, Any]:
        if order.stream is not None and order.stream not in contracts:
            raise HTTPException(404, f"no stream {order.stream!r}; there are: {', '.join(contracts)}")
        return begin(
            "replay",
            streams=[order.stream] if order.stream else None,
            reasons=[order.reason.value] if order.reason else None,
        )

    @routes.post("/audit", status_code=202, summary="Check each consumed record. A job", responses=busy)
    def audit(order: AuditOrder) -> dict[str, Any]:  # noqa: ARG001 - its content type is what counts
        return begin("audit")

    unknown: dict[int | str, dict[str, Any]] = {404: {"description": "No such job"}}

    @routes.get("/jobs/{id}", summary="How a job goes", responses=unknown)
    def job(id: Annotated[str, Path(max_length=32)]) -> dict[str, Any]:
        found = jobs.get(id)
        if found is None:
            raise HTTPException(404, f"no job {id!r}: the page remembers the last ones since it started")
        if found.state != "running":
            held.forget()
            tables.forget()
        return found.json()

    @routes.post("/jobs/{id}/stop", summary="End a job after the file in hand", responses={**UNREADABLE, **unknown})
    def stop(id: Annotated[str, Path(max_length=32)], order: AuditOrder) -> dict[str, Any]:  # noqa: ARG001
        found = jobs.stop(id)
        if found is None:
            raise HTTPException(404, f"no job {id!r}: the page remembers the last ones since it started")
        return found.json()

    return routes


def _total(snapshot: Snapshot | None, key: str) -> int:
    return int(snapshot.summary.get(key, 0) or 0) if snapshot is not None and snapshot.summary is not None else 0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
