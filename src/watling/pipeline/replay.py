"""Receives quarantined records and today's contracts; lands what now fits, exactly once, and keeps the trail.

For each data file of quarantine: judge its open records below the stream's next offset, land the good ones with a
`_replay_id` in one commit on the stream's table (counts move with it in the state), then mark them released in
quarantine. A death between the two is found by the next replay: what stands in the table already is only marked.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from watling.config import Settings
from watling.contracts.model import Contract, Reason
from watling.contracts.records import RECORDS
from watling.errors import UsageError, WatlingError
from watling.lake.commit import REPLAY, append
from watling.lake.compact import compact, replace_files
from watling.lake.objects import ObjectStore
from watling.lake.quarantine import files_of
from watling.lake.read import at_least, during, read
from watling.lake.state import STATE, StreamState, dump_state, read_state
from watling.lake.tables import QUARANTINE, ensure_stream_table, load_table
from watling.lake.write import write_rows
from watling.ops.failpoints import failpoint
from watling.ops.patience import Patience
from watling.pipeline.split import split
from watling.pipeline.surely import shape_surely
from watling.pipeline.transforms import deduplicate

log = logging.getLogger(__name__)

TRIES = 20
PAUSES_S = (0.05, 1.0)  # between tries: the first, the longest
PLACE = ["_kafka_generation", "_kafka_partition", "_kafka_offset"]
Place = tuple[int, int, int]


@dataclass(slots=True)
class Replayed:
    """What a replay did: records looked at, landed, found landed already, and still not fitting by reason."""

    replay_id: str
    read: int = 0
    landed: int = 0
    already: int = 0
    remaining: Counter[str] = field(default_factory=Counter)

    def json(self) -> dict[str, Any]:
        """As commands and page tell it; `remaining` by reason, the most frequent first."""
        return {
            "replay_id": self.replay_id,
            "read": self.read,
            "landed": self.landed,
            "already": self.already,
            "remaining": dict(self.remaining.most_common()),
        }


def replay(
    catalog: Catalog,
    settings: Settings,
    contracts: Mapping[str, Contract],
    streams: Sequence[str] | None = None,
    *,
    reasons: Sequence[str] | None = None,
    stop: threading.Event | None = None,
    on_file: Callable[[Replayed], None] | None = None,
) -> Replayed:
    """Replay the open records of these streams (default: all), of these reasons (default: all).

    May run beside the pipeline and maintenance.

    Raises:
        UsageError: an unknown stream or reason.
    """
    stop = stop or threading.Event()
    if unknown := sorted(set(streams or ()) - contracts.keys()):
        raise UsageError(f"no such stream: {', '.join(unknown)}. There are: {', '.join(sorted(contracts))}")
    if unknown := sorted(set(reasons or ()) - {r.value for r in Reason}):
        raise UsageError(f"no such reason: {', '.join(unknown)}. There are: {', '.join(r.value for r in Reason)}")
    done = Replayed(f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}")
    quarantine = load_table(catalog, settings, QUARANTINE)
    if quarantine is None or quarantine.current_snapshot() is None:
        return done
    compact(quarantine, settings.lake.target_file_bytes, stop)
    for name in streams or sorted(contracts):
        if load_table(catalog, settings, name) is None:
            continue
        table = ensure_stream_table(catalog, settings, contracts[name])
        store = ObjectStore(settings, catalog)
        quarantine.refresh()
        for file, rows in files_of(quarantine, name):
            if stop.is_set():
                return done
            _replay_file(table, quarantine, store, contracts[name], file, rows, reasons, done, stop)
            if on_file is not None:
                on_file(done)
    return done


def _replay_file(
    table: Table,
    quarantine: Table,
    store: ObjectStore,
    contract: Contract,
    file: DataFile,
    rows: pa.Table,
    reasons: Sequence[str] | None,
    done: Replayed,
    stop: threading.Event,
) -> None:
    table.refresh()
    state = read_state(table)
    open_ = pc.and_(pc.is_null(rows["released_at"]), _settled(rows, state))
    if reasons:
        open_ = pc.and_(open_, pc.is_in(rows["reason"], value_set=pa.array(list(reasons))))
    candidates = rows.filter(open_)
    if candidates.num_rows == 0:
        return
    done.read += candidates.num_rows
    already = _landed_already(table, candidates)
    fresh = _without(candidates, already)
    landed: set[Place] = set()
    duplicates: set[Place] = set()
    if fresh.num_rows:
        landed, duplicates, beside = _land(table, store, contract, fresh, done, stop)
        already |= beside
    done.landed += len(landed)
    done.already += len(already)
    for place, reason in zip(_places(candidates), candidates["reason"].to_pylist(), strict=True):
        if place not in landed and place not in already:
            done.remaining[Reason.DUPLICATE.value if place in duplicates else reason] += 1
    released = landed | already
    if released or duplicates:
        failpoint("replay_landed")
        if not _mark(quarantine, file, rows, released, duplicates, stop):
            log.warning(
                "records landed by replay %s are not marked in quarantine yet: run the replay again", done.replay_id
            )


def _settled(rows: pa.Table, state: StreamState) -> pa.Array:
    """Rows below the next offset of their generation and partition: the writer is done with them."""
    nexts = {(g, p): s.next for g, p, s in state.each()}
    return pa.array([offset < nexts.get((g, p), 0) for g, p, offset in _places(rows)], pa.bool_())


def _places(rows: pa.Table) -> list[Place]:
    return list(zip(*(rows[name].to_pylist() for name in PLACE), strict=True))


def _without(rows: pa.Table, places: set[Place]) -> pa.Table:
    return rows.filter(pa.array([p not in places for p in _places(rows)], pa.bool_()))


def _landed_already(table: Table, candidates: pa.Table) -> set[Place]:
    """Places of candidates that a replay landed before it died, or that are not yet marked."""
    wanted = set(_places(candidates))
    low = pc.min(candidates["_kafka_offset"]).as_py()
    found: set[Place] = set()
    for batch in read(table, [*PLACE, "_replay_id"], at_least("_kafka_offset", low)):
        replayed = pa.Table.from_batches([batch]).filter(pc.is_valid(batch.column("_replay_id")))
        found |= wanted & set(_places(replayed))
    return found


def _land(
    table: Table, store: ObjectStore, contract: Contract, fresh: pa.Table, done: Replayed, stop: threading.Event
) -> tuple[set[Place], set[Place], set[Place]]:
    """Judge and land. Gives the places landed, those that fit now but whose id stands in the lake, and those that another
    replay landed meanwhile."""
    shaped = pa.concat_tables(
        (
            _shape(fresh.filter(pc.equal(fresh["_kafka_generation"], g)), contract, g)
            for g in pc.unique(fresh["_kafka_generation"]).to_pylist()
        ),
        promote_options="default",
    )
    good = shaped.filter(pc.is_null(shaped["_reason"]))
    duplicates: set[Place] = set()
    beside: set[Place] = set()
    if good.num_rows == 0:
        return set(), duplicates, beside
    seen_files: set[str] = set()
    recent = _ids_near(table, contract, good, seen_files)
    patience = Patience(*PAUSES_S)
    for _ in range(TRIES):
        judged = deduplicate.step(good, contract, recent)
        keep = judged.filter(pc.is_null(judged["_reason"]))
        duplicates = set(_places(judged)) - set(_places(keep))
        if keep.num_rows == 0:
            return set(), duplicates, beside
        if "_object" in keep.column_names:
            store.put(keep["_object"])
        parts = []
        for generation in pc.unique(keep["_kafka_generation"]).to_pylist():
            part, _ = split(keep.filter(pc.equal(keep["_kafka_generation"], generation)), contract, generation)
            ids = pa.array([done.replay_id] * part.num_rows, pa.string())
            parts.append(part.set_column(part.schema.get_field_index("_replay_id"), "_replay_id", ids))
        files = write_rows(table, pa.concat_tables(parts))
        counts = _counts(keep, fresh)
        state = read_state(table).released(counts)
        try:
            append(table, files, {STATE: dump_state(state), REPLAY: done.replay_id})
            return set(_places(keep)), duplicates, beside
        except CommitFailedException:
            patience.wait(stop)
            table.refresh()
            beside |= _landed_already(table, fresh)
            good = _without(good, beside)
            if good.num_rows == 0:
                return set(), set(), beside
            recent = pa.concat_tables([recent, _ids_near(table, contract, good, seen_files)])
    raise WatlingError(
        f"stream {contract.name}: replay met {TRIES} conflicting commits in a row and gave up; nothing of this file was "
        "landed. Run it again, or at a quieter time.",
    )


def _shape(rows: pa.Table, contract: Contract, generation: int) -> pa.Table:
    records = pa.Table.from_arrays(
        [
            rows[column].cast(RECORDS.field(name).type)
            for name, column in (
                ("value", "raw"),
                ("key", "key"),
                ("headers", "headers"),
                ("_kafka_partition", "_kafka_partition"),
                ("_kafka_offset", "_kafka_offset"),
                ("_ingested_at", "record_time"),
            )
        ],
        schema=pa.schema(
            [RECORDS.field(n) for n in ("value", "key", "headers", "_kafka_partition", "_kafka_offset", "_ingested_at")]
        ),
    ).select(RECORDS.names)
    shaped = shape_surely(records, contract)
    return shaped.append_column("_kafka_generation", pa.array(np.full(shaped.num_rows, generation, np.int32)))


def _ids_near(table: Table, contract: Contract, good: pa.Table, seen_files: set[str]) -> pa.Table:
    """Ids in the lake that `good` may repeat, out of data files not seen by an earlier call."""
    schema = pa.schema([("id", pa.string()), ("event_time", pa.timestamp("us", "UTC"))])
    window = contract.dedup_window_s * 1_000_000
    times = good["event_time"].cast(pa.int64())
    condition = during("event_time", pc.min(times).as_py() - window, pc.max(times).as_py() + window + 1)
    scan = table.scan(row_filter=condition, selected_fields=tuple(schema.names))
    tasks = [t for t in scan.plan_files() if t.file.file_path not in seen_files]
    seen_files |= {t.file.file_path for t in tasks}
    wanted = pc.unique(good["id"])
    parts = []
    projected = table.schema().select(*schema.names)
    for batch in ArrowScan(table.metadata, table.io, projected, AlwaysTrue()).to_record_batches(tasks):
        part = pa.Table.from_batches([batch]).select(schema.names).cast(schema)
        parts.append(part.filter(pc.is_in(part["id"], value_set=wanted)))
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _counts(keep: pa.Table, fresh: pa.Table) -> dict[tuple[int, int], tuple[int, int]]:
    """{(generation, partition): (released, of them counted as duplicates until now)}."""
    was = dict(zip(_places(fresh), fresh["reason"].to_pylist(), strict=True))
    released: Counter[tuple[int, int]] = Counter()
    duplicates: Counter[tuple[int, int]] = Counter()
    for place in _places(keep):
        released[place[:2]] += 1
        duplicates[place[:2]] += was[place] == Reason.DUPLICATE.value
    return {key: (count, duplicates[key]) for key, count in released.items()}


def _mark(
    quarantine: Table,
    file: DataFile,
    rows: pa.Table,
    released: set[Place],
    duplicates: set[Place],
    stop: threading.Event,
) -> bool:
    """Rewrite the file with `released_at` set where landed, and reason `duplicate` where the id stands in the lake."""
    places = _places(rows)
    now = datetime.now(UTC)
    at = [now if p in released else old for p, old in zip(places, rows["released_at"].to_pylist(), strict=True)]
    reason = [
        Reason.DUPLICATE.value if p in duplicates else old
        for p, old in zip(places, rows["reason"].to_pylist(), strict=True)
    ]
    for name, values in (("released_at", at), ("reason", reason)):
        index = rows.schema.get_field_index(name)
        rows = rows.set_column(index, rows.schema.field(index), pa.array(values, rows.schema.field(index).type))
    return replace_files(quarantine, [file], write_rows(quarantine, rows), stop)
