"""Receives a table with many small files; gives the same rows in few, sorted, beside a running writer.

Files of similar size in one partition are merged when there are enough of them (size-tiered, so a row is rewritten
a logarithmic number of times). The commit carries the writer's state on, and gives up when a file that it
replaces is no longer live.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table

from watling.lake.commit import CLAIMS, carried_on
from watling.lake.state import STATE
from watling.lake.write import write_rows
from watling.ops.failpoints import failpoint
from watling.ops.patience import Patience

log = logging.getLogger(__name__)

MIN_FILES = 8
MAX_ROWS = 120_000  # of one merge: bounds its memory, 0.6 KB a row of vehicle (docs/decisions/0007-memory.md)
TIER = 4.0  # files within this factor of each other are of one size
TRIES = 8
PAUSES_S = (0.05, 2.0)  # between tries: the first, the longest


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a pass did: files before and after, rows rewritten."""

    files_before: int = 0
    files_after: int = 0
    rows: int = 0

    def __add__(self, other: Compacted) -> Compacted:
        return Compacted(
            self.files_before + other.files_before, self.files_after + other.files_after, self.rows + other.rows
        )


def compact(table: Table, target_bytes: int, stop: threading.Event) -> Compacted:
    """Merge small files of the table as it stands. Rows, state and claims stay as they are."""
    table.refresh()
    done = Compacted()
    for group in _groups(list(table.scan().plan_files()), target_bytes):
        if stop.is_set():
            break
        done += _merge(table, group, stop)
    return done


def _groups(tasks: Sequence[FileScanTask], target_bytes: int) -> list[list[FileScanTask]]:
    """Files worth merging together: one partition, similar sizes, together within the bounds."""
    partitions: dict[tuple[int, str], list[FileScanTask]] = defaultdict(list)
    for task in tasks:
        file = task.file
        if file.file_size_in_bytes < target_bytes * 0.75 and not task.delete_files:
            partitions[(file.spec_id, repr(file.partition))].append(task)
    groups: list[list[FileScanTask]] = []
    for members in partitions.values():
        members.sort(key=lambda t: t.file.file_size_in_bytes)
        group: list[FileScanTask] = []
        rows = size = 0
        for task in members:
            file = task.file
            fits = rows + file.record_count <= MAX_ROWS and size + file.file_size_in_bytes <= target_bytes
            similar = not group or file.file_size_in_bytes <= TIER * max(group[0].file.file_size_in_bytes, 16_384)
            if group and not (fits and similar):
                groups.append(group)
                group, rows, size = [], 0, 0
            group.append(task)
            rows += file.record_count
            size += file.file_size_in_bytes
        groups.append(group)
    return [g for g in groups if len(g) >= MIN_FILES]


def _merge(table: Table, group: Sequence[FileScanTask], stop: threading.Event) -> Compacted:
    rows = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue()).to_table(group)
    expected = sum(t.file.record_count for t in group)
    if rows.num_rows != expected:
        log.error("compaction of %s left out: read %d rows of %d", ".".join(table.name()), rows.num_rows, expected)
        return Compacted()
    new = write_rows(table, rows, compression_level=3)
    failpoint("compaction_written")
    if not replace_files(table, [t.file for t in group], new, stop):
        return Compacted()
    return Compacted(len(group), len(new), rows.num_rows)


def replace_files(
    table: Table,
    old: Sequence[DataFile],
    new: Sequence[DataFile],
    stop: threading.Event,
    properties: dict[str, str] | None = None,
) -> bool:
    """One snapshot in which `new` stands for `old`; state and claims are carried on. False when an old file is gone.

    New files of an attempt that did not end in a commit are left to orphan removal.
    """
    paths = {f.file_path for f in old}
    patience = Patience(*PAUSES_S)
    for _ in range(TRIES):
        live = {t.file.file_path for t in table.scan().plan_files()}
        if not paths <= live:
            return False
        transaction = table.transaction()
        carried = carried_on(table, (STATE, CLAIMS))
        try:
            with transaction.update_snapshot(
                snapshot_properties={**carried, **(properties or {})}
            ).overwrite() as update:
                for file in old:
                    update.delete_data_file(file)
                for file in new:
                    update.append_data_file(file)
            transaction.commit_transaction()
            return True
        except (CommitFailedException, ValidationException):
            patience.wait(stop)
            table.refresh()
    log.info("replacing files of %s gave up after %d conflicts", ".".join(table.name()), TRIES)
    return False
