"""Receives shaped and judged rows; gives what engines remember of a batch and tell of it once it is committed."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from watling.lake.commit import Batch

DAY_US = 86_400_000_000
RECENT = pa.schema([("id", pa.string()), ("event_time", pa.timestamp("us", "UTC")), ("_fingerprint", pa.uint64())])


@dataclass(slots=True)
class Prepared:
    """A batch that only needs its commit, and what to remember once it is in."""

    batch: Batch
    landed: pa.Table  # schema RECENT
    newest_record_us: int | None
    days: int
    reasons: dict[str, int]


def prepared(batch: Batch, judged: pa.Table) -> Prepared:
    """What there is to say of a batch whose rows are judged: RECENT's columns, `_ingested_at`, `_reason`."""
    landed = good(judged, RECENT.names)
    newest = pc.max(judged["_ingested_at"].cast(pa.int64())).as_py() if judged.num_rows else None
    reasons = pc.value_counts(judged["_reason"].drop_null()).to_pylist()
    days = len(pc.unique(pc.divide(landed["event_time"].cast(pa.int64()), DAY_US))) if landed.num_rows else 0
    return Prepared(batch, landed, newest, days, {r["values"]: r["counts"] for r in reasons})


def good(rows: pa.Table, names: list[str]) -> pa.Table:
    """These columns of the rows without a fault."""
    faults = rows["_reason"]
    wanted = rows.select(names)
    return wanted if faults.null_count == len(faults) else wanted.filter(pc.is_null(faults))
