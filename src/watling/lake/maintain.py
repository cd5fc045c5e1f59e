"""Receives the lake; keeps it fast beside running writers: compacts, expires, removes orphans. No row changes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pyiceberg.catalog import Catalog

from watling.config import Settings
from watling.contracts.model import Contract
from watling.lake.compact import Compacted, compact
from watling.lake.expire import Expired, expire
from watling.lake.objects import ObjectStore
from watling.lake.orphans import remove_orphan_files, remove_orphan_objects
from watling.lake.tables import QUARANTINE, load_table

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TableMaintained:
    """What a pass did to one table."""

    compacted: Compacted
    expired: Expired
    orphans: int
    seconds: float


@dataclass(slots=True)
class Maintained:
    """What a pass did to the lake."""

    tables: dict[str, TableMaintained] = field(default_factory=dict)
    objects: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"tables": {n: asdict(t) for n, t in self.tables.items()}, "objects_removed": self.objects}


def maintain(
    catalog: Catalog,
    settings: Settings,
    contracts: Mapping[str, Contract],
    *,
    orphans: bool = True,
    stop: threading.Event | None = None,
    on_table: Callable[[str, TableMaintained], None] | None = None,
) -> Maintained:
    """One pass over the tables of all contracts and quarantine. Without `orphans` only what is quick and frequent.

    `on_table` is told of each table as it is done.
    """
    stop = stop or threading.Event()
    result = Maintained()
    age_s = settings.lake.orphan_age_hours * 3600
    with_pictures = []
    for name in [*contracts, QUARANTINE]:
        if stop.is_set():
            return result
        table = load_table(catalog, settings, name)
        if table is None or table.current_snapshot() is None:
            continue
        began = time.monotonic()
        compacted = compact(table, settings.lake.target_file_bytes, stop)
        expired = expire(table, settings.lake)
        removed = remove_orphan_files(table, age_s) if orphans else 0
        result.tables[name] = TableMaintained(compacted, expired, removed, round(time.monotonic() - began, 3))
        if name in contracts and any(f.picture for f in contracts[name].fields):
            with_pictures.append((table, contracts[name]))
        if on_table is not None:
            on_table(name, result.tables[name])
    if orphans and with_pictures and not stop.is_set():
        store = ObjectStore(settings, catalog)
        result.objects = remove_orphan_objects(store, with_pictures, age_s, settings.lake.object_age_days)
    return result
