"""Receives fetched records of one stream; gives prepared batches to the committer, in order and bounded in bytes.

Raw records are shaped by a shared pool as soon as a chunk is full, the rest when the batch is taken. Then the batch
meets the past (duplicates), is split, and its data files are written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table

from watling.contracts.model import Contract, Reason
from watling.contracts.records import RECORDS
from watling.lake.commit import Batch, Settled
from watling.lake.state import PartitionDelta
from watling.lake.write import write_rows
from watling.ops.failpoints import failpoint
from watling.pipeline.engines.judged import RECENT, Prepared, good, prepared
from watling.pipeline.engines.recent import RecentIds
from watling.pipeline.split import split
from watling.pipeline.surely import shape_surely
from watling.pipeline.transforms import deduplicate

CHUNK_RECORDS = 12_000

Store = Callable[[pa.ChunkedArray], None]
"""Puts pictures (binary, null where there is none) into the lake's object folder, before the rows that name them."""


class Budget:
    """Bytes of records between Kafka and the lake, over all streams of a process."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._room = threading.Condition()

    def wait(self, timeout_s: float) -> bool:
        """True when there is room now or within the time."""
        with self._room:
            return self._room.wait_for(lambda: self.used < self.limit, timeout_s)

    def add(self, size: int) -> None:
        """Count bytes in (positive) or out (negative)."""
        with self._room:
            self.used += size
            if size < 0:
                self._room.notify_all()


@dataclass(frozen=True, slots=True)
class Piece:
    """One fetch: its records and how it moves each partition on."""

    records: pa.Table
    deltas: dict[int, PartitionDelta]
    size: int


@dataclass(slots=True)
class _Pending:
    raw: list[pa.Table] = field(default_factory=list)
    raw_rows: int = 0
    shaped: list[Future[pa.Table]] = field(default_factory=list)
    deltas: dict[int, PartitionDelta] = field(default_factory=dict)
    rows: int = 0
    size: int = 0
    since: float = 0.0
    judged: tuple[Prepared, pa.Table | None] | None = None  # once taken: a failed write does not judge again
    judged_on: int | None = None


class Pipe:
    """The way of one stream through this process. `offer` is called by its reader, everything else by the engine."""

    def __init__(
        self,
        contract: Contract,
        recent: RecentIds,
        pool: Executor,
        budget: Budget,
        store: Store,
        arrived: threading.Event,
    ) -> None:
        self.contract = contract
        self.recent = recent
        self.generation = 0
        self.settled: dict[int, Settled] = {}
        self.ends: dict[int, int] = {}  # end offsets as the broker last told them
        self._store = store
        self._arrived = arrived
        self._pool = pool
        self._budget = budget
        self._lock = threading.Lock()
        self._pending = _Pending()
        self._held: _Pending | None = None
        self._closed = False

    def offer(self, piece: Piece) -> None:
        """Take a fetch in. Its bytes count against the budget until they are committed or discarded."""
        records, deltas = self._without_settled(piece)
        with self._lock:
            if self._closed:
                return
            pending = self._pending
            if not pending.deltas:
                pending.since = time.monotonic()
            for partition, delta in deltas.items():
                earlier = pending.deltas.get(partition)
                pending.deltas[partition] = delta if earlier is None else earlier.then(delta)
            pending.size += piece.size
            self._budget.add(piece.size)
            pending.rows += records.num_rows
            if records.num_rows:
                pending.raw.append(records)
                pending.raw_rows += records.num_rows
                if pending.raw_rows >= CHUNK_RECORDS:
                    self._shape_raw(pending)
        self._arrived.set()

    def waiting(self) -> tuple[int, int, float]:
        """(rows, bytes, seconds since the first of them came) not yet taken; (0, 0, 0.0) for nothing at all."""
        with self._lock:
            pending = self._pending
            if not pending.deltas:
                return 0, 0, 0.0
            return pending.rows, pending.size, time.monotonic() - pending.since

    def prepare(self, table: Table) -> Prepared | None:
        """Take everything waiting as one batch, judged, with its data files written. None when nothing waits.

        What was taken is held until `done` or `discard_taken`; after a failure in between (a full disk) the next call
        goes on with it.
        """
        if self._held is None:
            with self._lock:
                if not self._pending.deltas:
                    return None
                if self._pending.raw:
                    self._shape_raw(self._pending)
                self._held, self._pending = self._pending, _Pending()
            self._held.judged_on = table.metadata.current_snapshot_id
        held = self._held
        if held.judged is None:
            held.judged = self._judge(held)
            held.shaped = []  # their memory is free before the files are written, so the next batch may come in meanwhile
            self._budget.add(-held.size)
            held.size = 0
        prepared, rows = held.judged
        if rows is not None:
            prepared.batch.files = write_rows(table, rows)
            held.judged = (prepared, None)  # a commit that must wait does not write them again
            failpoint("data_written")
        prepared.batch.judged_on = held.judged_on
        return prepared

    def _judge(self, held: _Pending) -> tuple[Prepared, pa.Table | None]:
        """Duplicates against the past and within the batch; rows to land, everything else as quarantine has it."""
        deltas = {p: replace(d, end=self.ends.get(p, 0)) for p, d in held.deltas.items()}
        batch = Batch(self.contract.name, self.generation, deltas)
        if not held.shaped:
            return Prepared(batch, RECENT.empty_table(), None, 0, {}), None
        shaped = pa.concat_tables((f.result() for f in held.shaped), promote_options="default")
        shaped = deduplicate.step(shaped, self.contract, self.recent.among(good(shaped, RECENT.names)))
        if "_object" in shaped.column_names:
            self._store(good(shaped, ["_object"])["_object"])
        rows, batch.rejected = split(shaped, self.contract, self.generation)
        _count(deltas, rows["_kafka_partition"], batch.rejected)
        return prepared(batch, shaped), rows

    def done(self, prepared: Prepared) -> None:
        """The batch is committed: remember its ids, free its bytes."""
        self.recent.add(prepared.landed)
        self._free_held()

    def discard_waiting(self) -> None:
        """Forget what was fetched and not taken: the reader begins elsewhere."""
        with self._lock:
            self._budget.add(-self._pending.size)
            self._pending = _Pending()

    def discard_taken(self) -> None:
        """Forget the batch that was taken and may not be committed."""
        self._free_held()

    @property
    def holds(self) -> bool:
        """True when a batch was taken and is neither done nor discarded."""
        return self._held is not None

    @property
    def busy(self) -> bool:
        """True when anything at all is on its way to the lake."""
        with self._lock:
            return self._held is not None or bool(self._pending.deltas)

    def close(self) -> None:
        """The stream ends: what is in here is let go, and what its reader still brings is not taken in."""
        with self._lock:
            self._closed = True
        self.discard_waiting()
        self.discard_taken()

    @staticmethod
    def no_records() -> pa.Table:
        """A fetch without records, for what only moves offsets on."""
        return RECORDS.empty_table()

    def _free_held(self) -> None:
        if self._held is not None:
            self._budget.add(-self._held.size)
            self._held = None

    def _shape_raw(self, pending: _Pending) -> None:
        records = pa.concat_tables(pending.raw)
        pending.raw, pending.raw_rows = [], 0
        pending.shaped.append(self._pool.submit(shape_surely, records, self.contract))

    def _without_settled(self, piece: Piece) -> tuple[pa.Table, dict[int, PartitionDelta]]:
        """Drop records that quarantine held when this writer claimed the stream, and count them as what they are."""
        if not self.settled or piece.records.num_rows == 0:
            return piece.records, piece.deltas
        partitions = piece.records["_kafka_partition"].to_numpy()
        offsets = piece.records["_kafka_offset"].to_numpy()
        keep = np.ones(len(offsets), dtype=bool)
        deltas = dict(piece.deltas)
        for partition, settled in list(self.settled.items()):
            mine = np.flatnonzero(partitions == partition)
            found = np.isin(settled.offsets, offsets[mine])
            keep[mine[np.isin(offsets[mine], settled.offsets)]] = False
            count, duplicates = int(found.sum()), int(settled.duplicate[found].sum())
            if partition in deltas:
                old = deltas[partition]
                deltas[partition] = replace(
                    old, quarantined=old.quarantined + count, duplicates=old.duplicates + duplicates
                )
                if old.next > settled.offsets[-1]:
                    del self.settled[partition]
        return piece.records.filter(pa.array(keep)), deltas


def _count(deltas: dict[int, PartitionDelta], landed: pa.ChunkedArray, rejected: pa.Table) -> None:
    """Add to each partition's delta how many of its records landed and how many did not."""
    where = rejected["_kafka_partition"].to_numpy()
    duplicate = pc.equal(rejected["reason"], Reason.DUPLICATE.value).to_numpy()
    landed_in = landed.to_numpy()
    for partition, delta in deltas.items():
        deltas[partition] = replace(
            delta,
            landed=delta.landed + int((landed_in == partition).sum()),
            quarantined=delta.quarantined + int((where == partition).sum()),
            duplicates=delta.duplicates + int(((where == partition) & duplicate).sum()),
        )
