"""Receives the catalog and a stream's contract; gives what the lake holds of the stream: its files with their bounds.

Read from Iceberg's metadata alone. Manifests are read once each, so that a new commit costs what it added.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from watling.config import Settings
from watling.contracts.model import PROVENANCE, Contract
from watling.lake.errors import LakeUnreachable
from watling.lake.state import ancestors
from watling.lake.tables import load_table

LOOK_EVERY_S = 0.5
MANIFESTS_KEPT = 2_000
_IDS = {f.name: f.field_id for f in PROVENANCE}
_NEVER, _EVER = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class HeldFile:
    """One data file: its location, rows, and the bounds (inclusive) of event time (µs since 1970), partition, offset."""

    location: str
    rows: int
    times: tuple[int, int]
    partitions: tuple[int, int]
    offsets: tuple[int, int]

    def within(self, start_us: int, end_us: int) -> bool:
        """All its rows are of [start, end)."""
        return start_us <= self.times[0] and self.times[1] < end_us


@dataclass(frozen=True, slots=True)
class Held:
    """A stream in the lake. `table` None: nobody made it yet. `committed_ms`: when rows were last appended.
    `deletes`: some rows of the files are deleted, so that the files alone do not say what is there."""

    contract: Contract
    table: Table | None = None
    snapshot: Snapshot | None = None
    committed_ms: int | None = None
    files: tuple[HeldFile, ...] = ()
    deletes: bool = False

    @property
    def snapshot_id(self) -> int | None:
        return self.snapshot.snapshot_id if self.snapshot is not None else None

    def during(self, start_us: int, end_us: int) -> list[HeldFile]:
        """Files that may hold rows of [start, end)."""
        return [f for f in self.files if f.times[0] < end_us and f.times[1] >= start_us]

    def extent(self) -> tuple[int | None, int | None, int]:
        """First and last event time (ms since 1970, None without rows) and the number of rows."""
        first = min((f.times[0] for f in self.files), default=_NEVER)
        last = max((f.times[1] for f in self.files), default=_EVER)
        known = bool(self.files) and first > _NEVER and last < _EVER
        return (
            first // 1000 if known else None,
            last // 1000 if known else None,
            sum(f.rows for f in self.files),
        )


class Shelf:
    """What the lake holds, looked at again at most every LOOK_EVERY_S. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Held]] = {}
        self._manifests: OrderedDict[str, tuple[HeldFile, ...]] = OrderedDict()

    def look(self, catalog: Catalog, contract: Contract, *, anew: bool = False) -> Held:
        """What the lake holds of the stream now. `anew`: whatever was known a moment ago.

        Raises:
            LakeUnreachable: the catalog or the store does not answer.
        """
        with self._lock:
            known = self._known.get(contract.name)
            if known is not None and not anew and time.monotonic() - known[0] < LOOK_EVERY_S:
                return known[1]
            try:
                held = self._held(load_table(catalog, self._settings, contract.name), contract, known)
            except Exception as error:  # each kind of catalog and store has exceptions of its own
                raise LakeUnreachable(f"the lake does not answer: {type(error).__name__}: {error}") from error
            self._known[contract.name] = (time.monotonic(), held)
            return held

    def _held(self, table: Table | None, contract: Contract, known: tuple[float, Held] | None) -> Held:
        snapshot = table.current_snapshot() if table is not None else None
        if table is None or snapshot is None:
            return Held(contract, table)
        if known is not None and known[1].snapshot_id == snapshot.snapshot_id:
            return known[1]
        files: list[HeldFile] = []
        deletes = False
        for manifest in snapshot.manifests(table.io):
            if manifest.content == ManifestContent.DELETES:
                deletes = True
            else:
                files.extend(self._files(manifest, table, contract))
        appended = next(
            (s.timestamp_ms for s in ancestors(table) if s.summary and s.summary.operation == Operation.APPEND),
            snapshot.timestamp_ms,
        )
        return Held(contract, table, snapshot, appended, tuple(files), deletes)

    def _files(self, manifest: ManifestFile, table: Table, contract: Contract) -> tuple[HeldFile, ...]:
        known = self._manifests.get(manifest.manifest_path)
        if known is None:
            known = tuple(_each(manifest, table, contract))
            self._manifests[manifest.manifest_path] = known
            while len(self._manifests) > MANIFESTS_KEPT:
                self._manifests.popitem(last=False)
        else:
            self._manifests.move_to_end(manifest.manifest_path)
        return known


def _each(manifest: ManifestFile, table: Table, contract: Contract) -> Iterator[HeldFile]:
    time_id = table.schema().find_field(contract.time_column).field_id
    for entry in manifest.fetch_manifest_entry(table.io):
        file = entry.data_file
        if file.content == DataFileContent.DATA:
            yield HeldFile(
                file.file_path,
                file.record_count,
                _bounds(file, time_id),
                _bounds(file, _IDS["_kafka_partition"]),
                _bounds(file, _IDS["_kafka_offset"]),
            )


def _bounds(file: DataFile, field_id: int) -> tuple[int, int]:
    low, high = (file.lower_bounds or {}).get(field_id), (file.upper_bounds or {}).get(field_id)
    return (_NEVER if low is None else _number(low), _EVER if high is None else _number(high))


def _number(value: bytes) -> int:
    """An Iceberg single value: int and long are little-endian, of four and eight bytes."""
    return int(struct.unpack("<i" if len(value) == 4 else "<q", value)[0])
