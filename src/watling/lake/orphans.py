"""Receives the lake; removes files and pictures that nothing names, once they are old enough to belong to nobody.

A writer's file stands unnamed between its writing and its commit. No batch may commit that is older than half the
orphan age, so what is older than the whole of it is nobody's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import pyarrow.compute as pc
import pyarrow.fs as pafs
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table

from watling.contracts.model import Contract
from watling.lake.expire import reached
from watling.lake.objects import PREFIX, ObjectStore
from watling.lake.read import read

log = logging.getLogger(__name__)


def remove_orphan_files(table: Table, age_s: float) -> int:
    """Delete files under the table's location that no kept snapshot names and that are older than `age_s`. How many."""
    if not isinstance(table.io, PyArrowFileIO):
        log.warning("orphans of %s are not looked for: its file system cannot be listed", ".".join(table.name()))
        return 0
    scheme, netloc, root = PyArrowFileIO.parse_location(table.location(), table.io.properties)
    filesystem = table.io.fs_by_scheme(scheme, netloc)
    oldest = time.time() - age_s
    # list first, then read what is named: a file committed in between is named by then
    found = [
        info.path
        for folder in ("data", "metadata")
        for info in filesystem.get_file_info(
            pafs.FileSelector(f"{root}/{folder}", recursive=True, allow_not_found=True)
        )
        if info.type == pafs.FileType.File and info.mtime is not None and info.mtime.timestamp() < oldest
    ]
    if not found:
        return 0
    table.refresh()
    named = {PyArrowFileIO.parse_location(path, table.io.properties)[2] for path in reached(table)}
    orphans = [path for path in found if path not in named]
    for path in orphans:
        filesystem.delete_file(path)
    return len(orphans)


def remove_orphan_objects(
    store: ObjectStore, tables: Sequence[tuple[Table, Contract]], age_s: float, keep_days: float | None
) -> int:
    """Delete pictures older than `age_s` that no kept snapshot names, and all older than `keep_days`. How many.

    Rows keep the reference of a picture that was removed for its age.
    """
    now = time.time()
    candidates = {o.digest: o for o in store.each() if now - o.written_at > age_s}
    if not candidates:
        return 0
    named = _named_objects(tables)
    removed = 0
    for digest, stored in candidates.items():
        too_old = keep_days is not None and now - stored.written_at > keep_days * 86400
        if (too_old or digest not in named) and now - store.written_at(digest) > age_s:  # not used again meanwhile
            store.remove(digest)
            removed += 1
    return removed


def _named_objects(tables: Sequence[tuple[Table, Contract]]) -> set[str]:
    named: set[str] = set()
    for table, contract in tables:
        columns = [f.name for f in contract.fields if f.picture]
        if not columns:
            continue
        # rows are only ever added or moved between files: the current snapshot names all that older ones do
        table.refresh()
        for batch in read(table, columns):
            for column in batch.columns:
                references = column.filter(pc.starts_with(column, PREFIX))
                named |= {r.removeprefix(PREFIX) for r in pc.unique(references).to_pylist()}
    return named
