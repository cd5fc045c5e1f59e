"""Receives a table; removes snapshots that nobody needs and the files that only they name.

Kept are: the last ones, the newest of each hour within the age, the newest that carries the writer's state, and for
a quarter of an hour the snapshots before a replacement of files, so that a query planned on them can end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

from watling.config import LakeConfig
from watling.lake.commit import CLAIMS
from watling.lake.state import STATE, ancestors, newest_value, summary_value

log = logging.getLogger(__name__)

REPLACED_KEPT_S = 900
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Expired:
    """Snapshots removed and files deleted with them."""

    snapshots: int = 0
    files: int = 0


def expire(table: Table, config: LakeConfig) -> Expired:
    """Remove what has outlived its use. The current snapshot, branches and tags always stay."""
    table.refresh()
    kept = _kept(table, config)
    expired = [s for s in table.metadata.snapshots if s.snapshot_id not in kept]
    if not expired:
        return Expired()
    try:
        table.maintenance.expire_snapshots().by_ids([s.snapshot_id for s in expired]).commit()
    except CommitFailedException:
        return Expired()  # somebody committed at the same moment: the next pass does it
    files = _reached(table, expired, all_there=False) - _reached(table, table.metadata.snapshots)
    for path in files:
        try:
            table.io.delete(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("expired file %s is left to orphan removal: %s", path, error)
    return Expired(len(expired), len(files))


def _kept(table: Table, config: LakeConfig) -> set[int]:
    metadata = table.metadata
    snapshots = sorted(metadata.snapshots, key=lambda s: s.timestamp_ms)
    now = time.time() * 1000
    kept = {ref.snapshot_id for ref in metadata.refs.values()}
    kept |= {s.snapshot_id for s in snapshots[-config.snapshots_kept :]}
    hours = {
        s.timestamp_ms // HOUR_MS: s.snapshot_id
        for s in snapshots
        if now - s.timestamp_ms < config.snapshot_age_hours * HOUR_MS
    }
    kept |= set(hours.values())
    for key in (STATE, CLAIMS):  # with the way down to it: a hole in the ancestry would hide it
        if newest_value(table, key) is None:
            continue
        for snapshot in ancestors(table):
            kept.add(snapshot.snapshot_id)
            if summary_value(snapshot, key) is not None:
                break
    for snapshot in snapshots:
        replaced = snapshot.summary is not None and snapshot.summary.operation is not Operation.APPEND
        if replaced and snapshot.parent_snapshot_id and now - snapshot.timestamp_ms < REPLACED_KEPT_S * 1000:
            kept.add(snapshot.parent_snapshot_id)
    return kept


def _reached(table: Table, snapshots: Iterable[Snapshot], all_there: bool = True) -> set[str]:
    """Paths of manifest lists, manifests and live data files that the snapshots name.

    A manifest that is missing raises FileNotFoundError: what it names must not be taken for unnamed. Only for expired
    snapshots (`all_there` false) it is what an earlier pass left.
    """
    paths: set[str] = set()
    manifests = {}
    for snapshot in snapshots:
        try:
            listed = snapshot.manifests(table.io)
        except FileNotFoundError:
            if all_there:
                raise
            continue
        paths.add(snapshot.manifest_list)
        manifests.update({m.manifest_path: m for m in listed})
    for path, manifest in manifests.items():
        if path in paths:
            continue
        try:
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        except FileNotFoundError:
            if all_there:
                raise
            continue
        paths.add(path)
        paths |= {entry.data_file.file_path for entry in entries}
    return paths


def reached(table: Table) -> set[str]:
    """All paths that the table's kept snapshots and its metadata log name."""
    log_files = {entry.metadata_file for entry in table.metadata.metadata_log}
    return _reached(table, table.metadata.snapshots) | log_files | {table.metadata_location}
