"""Receives batches of written data files and rejected rows; gives committed snapshots. The one piece of code that commits.

Order of a batch: data files (already written), then quarantine, then the stream's table. A restart reads the stream's
next offset and what quarantine holds at or above it, so a death between the two loses and doubles nothing. Every
commit asserts its base snapshot; on conflict the newest claim wins and everything else is rebuilt on top.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    AuthorizationExpiredError,
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
    UnauthorizedError,
)
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from watling.config import Settings
from watling.contracts.model import Contract, Reason
from watling.errors import WatlingError
from watling.lake.errors import FencedError, LakeError, LakeUnreachable, NotWritten, Overtaken, StaleBatch
from watling.lake.read import at_least, equal, every, read
from watling.lake.state import (
    COMMIT_ID,
    STATE,
    PartitionDelta,
    StreamState,
    ancestors,
    dump_state,
    newest_value,
    read_state,
    summary_value,
)
from watling.lake.tables import ensure_quarantine_table, ensure_stream_table
from watling.lake.write import write_rows
from watling.ops.failpoints import failpoint
from watling.ops.patience import Patience

log = logging.getLogger(__name__)

CLAIMS = "watling.claims"
REPLAY = "watling.replay"  # marks a snapshot by which quarantine replay landed rows
BACKOFF_FIRST_S, BACKOFF_LAST_S = 0.05, 5.0
GONE = (FileNotFoundError, PermissionError)  # not transient, whatever they derive from
TRANSIENT = (
    CommitFailedException,
    CommitStateUnknownException,
    ServiceUnavailableError,
    ServerError,
    TooManyRequestsError,
    UnauthorizedError,  # a token that is being renewed
    AuthorizationExpiredError,
    DBAPIError,
    PoolTimeout,
    OSError,
)
GONE_TRIES = 5


@dataclass(slots=True)
class Batch:
    """What one stream wants committed: `deltas` settle offsets, `files` hold the landed rows, `rejected` the others.

    `rejected` has quarantine's columns without `quarantined_at` and `released_at`. `judged_on` is the snapshot of the
    stream's table against which duplicates were looked for. `created` is `time.time()`, as the files' own times are.
    """

    stream: str
    generation: int
    deltas: dict[int, PartitionDelta]
    files: list[DataFile] = field(default_factory=list)
    rejected: pa.Table | None = None
    judged_on: int | None = None
    created: float = field(default_factory=time.time)
    commit_id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class Settled:
    """Offsets at or above a partition's next offset that quarantine already holds, sorted, with their reasons."""

    offsets: np.ndarray
    duplicate: np.ndarray


@dataclass(slots=True)
class _Owned:
    table: Table
    epoch: int


Build = Callable[[Table], tuple[list[DataFile], dict[str, str]] | None]


class Committer:
    """Owns streams for one process and commits their batches, one call at a time.

    `writer` names this process to whoever is fenced by it. `stop` ends the waiting for a catalog that is away.
    """

    def __init__(self, catalog: Catalog, settings: Settings, writer: str, stop: threading.Event) -> None:
        self.catalog = catalog
        self.settings = settings
        self.writer = writer
        self._stop = stop
        self._lock = threading.Lock()
        self._owned: dict[str, _Owned] = {}
        self._quarantine = ensure_quarantine_table(catalog, settings)

    def claim(self, contract: Contract) -> StreamState:
        """Become the stream's one writer: a commit without rows to its table, then to quarantine.

        Only after both may the next offset be read: what the last owner still wrote before stands below it.
        """
        stream = contract.name
        with self._lock:
            table = ensure_stream_table(self.catalog, self.settings, contract)
            epoch = 0

            def claim_stream(table: Table) -> tuple[list[DataFile], dict[str, str]]:
                nonlocal epoch
                state = read_state(table)
                epoch = max(state.epoch, read_claims(self._quarantine).get(stream, (0, ""))[0]) + 1
                return [], {STATE: dump_state(replace(state, epoch=epoch, writer=self.writer))}

            def claim_quarantine(quarantine: Table) -> tuple[list[DataFile], dict[str, str]]:
                claims = read_claims(quarantine)
                self._refuse_newer(stream, claims, epoch)
                return [], {CLAIMS: json.dumps({**claims, stream: (epoch, self.writer)})}

            self._quarantine.refresh()
            self._attempt(table, claim_stream, uuid.uuid4().hex)
            self._attempt(self._quarantine, claim_quarantine, uuid.uuid4().hex)
            table.refresh()
            state = read_state(table)
            self._check_owner(stream, state, epoch)
            self._owned[stream] = _Owned(table, epoch)
            return state

    def table(self, stream: str) -> Table:
        """The claimed stream's table, as of this committer's last commit or refresh."""
        return self._owned[stream].table

    def state(self, stream: str) -> StreamState:
        """The stream's state as of this committer's last commit or refresh."""
        return read_state(self._owned[stream].table)

    def settled(self, stream: str) -> dict[int, Settled]:
        """By partition, what quarantine holds at or above the next offset of the current generation."""
        state = self.state(stream)
        nexts = {p: s.next for g, p, s in state.each() if g == state.generation}
        if not nexts:
            return {}
        columns = ["_kafka_partition", "_kafka_offset", "reason"]
        condition = every(
            equal("stream", stream),
            equal("_kafka_generation", state.generation),
            at_least("_kafka_offset", min(nexts.values())),
        )
        self._quarantine.refresh()
        batches = list(read(self._quarantine, columns, condition))
        if not batches:
            return {}
        rows = pa.Table.from_batches(batches)
        partitions, offsets = rows["_kafka_partition"].to_numpy(), rows["_kafka_offset"].to_numpy()
        duplicate = pc.equal(rows["reason"], Reason.DUPLICATE.value).to_numpy()
        result = {}
        for partition, following in nexts.items():
            mask = (partitions == partition) & (offsets >= following)
            if mask.any():
                order = np.argsort(offsets[mask])
                result[partition] = Settled(offsets[mask][order], duplicate[mask][order])
        return result

    def commit(self, batches: Sequence[Batch]) -> dict[str, StreamState | Exception]:
        """Commit the batches, at most one a stream: their rejected rows together, then each stream's table.

        Gives for each stream its new state, or what hindered it: `FencedError`, `StateConflict`, `StaleBatch`,
        `Overtaken`, or `LakeUnreachable` when `stop` was set while the catalog was away. Nothing is retried after such an answer.
        """
        with self._lock:
            results: dict[str, StreamState | Exception] = {}
            live = []
            for batch in batches:
                try:
                    self._refuse_stale(batch)
                    live.append(batch)
                except StaleBatch as error:
                    results[batch.stream] = error
            live = self._commit_rejected(live, results)
            failpoint("quarantine_committed")
            for batch in live:
                try:
                    results[batch.stream] = self._commit_stream(batch)
                except WatlingError as error:
                    results[batch.stream] = error
            failpoint("stream_committed")
            return results

    def _commit_rejected(self, batches: list[Batch], results: dict[str, StreamState | Exception]) -> list[Batch]:
        """Quarantine's commit for all batches that have rejected rows. Gives the batches that may go on."""
        waiting = {b.stream: b for b in batches if b.rejected is not None and b.rejected.num_rows}
        if not waiting:
            return batches
        now = datetime.now(UTC)
        joint = uuid.uuid4().hex
        files = {}
        for stream, batch in waiting.items():
            assert batch.rejected is not None
            stamped = batch.rejected.append_column(
                "quarantined_at", pa.array([now] * batch.rejected.num_rows, pa.timestamp("us", "UTC"))
            )
            try:
                files[stream] = write_rows(self._quarantine, stamped)
            except OSError as error:
                results[stream] = NotWritten(f"stream {stream}: quarantine cannot be written, the batch waits: {error}")
        waiting = {stream: batch for stream, batch in waiting.items() if stream in files}
        if not waiting:
            return [b for b in batches if b.stream not in results]

        def build(quarantine: Table) -> tuple[list[DataFile], dict[str, str]] | None:
            claims = read_claims(quarantine)
            for stream in list(waiting):
                try:
                    self._refuse_newer(stream, claims, self._owned[stream].epoch)
                    self._refuse_stale(waiting[stream])
                except (FencedError, StaleBatch) as error:
                    results[stream] = error
                    del waiting[stream]
            if not waiting:
                return None
            ids = ",".join((joint, *(b.commit_id for b in waiting.values())))
            return [f for s in waiting for f in files[s]], {CLAIMS: json.dumps(claims), COMMIT_ID: ids}

        try:
            self._attempt(self._quarantine, build, joint)
        except LakeUnreachable as error:
            for stream in waiting:
                results[stream] = error
        return [b for b in batches if b.stream not in results]

    def _commit_stream(self, batch: Batch) -> StreamState:
        owned = self._owned[batch.stream]

        def build(table: Table) -> tuple[list[DataFile], dict[str, str]]:
            self._refuse_stale(batch)
            state = read_state(table)
            self._check_owner(batch.stream, state, owned.epoch)
            if replayed_since(table, batch.judged_on):
                raise Overtaken(f"stream {batch.stream}: quarantine replay landed rows while a batch was judged")
            return batch.files, {
                STATE: dump_state(state.advance(batch.generation, batch.deltas)),
                COMMIT_ID: batch.commit_id,
            }

        self._attempt(owned.table, build, batch.commit_id)
        return read_state(owned.table)

    def update_state(self, stream: str, change: Callable[[StreamState], StreamState]) -> StreamState:
        """A commit without rows that changes the state alone (a new generation, a loss found)."""
        with self._lock:
            owned = self._owned[stream]

            def build(table: Table) -> tuple[list[DataFile], dict[str, str]]:
                state = read_state(table)
                self._check_owner(stream, state, owned.epoch)
                return [], {STATE: dump_state(change(state))}

            self._attempt(owned.table, build, uuid.uuid4().hex)
            return read_state(owned.table)

    def _attempt(self, table: Table, build: Build, commit_id: str) -> None:
        attempt(table, build, commit_id, self._stop)

    def _refuse_stale(self, batch: Batch) -> None:
        """Data files that may be taken for orphans before the commit is in must not be committed."""
        if time.time() - batch.created > self.settings.lake.orphan_age_hours * 1800:
            raise StaleBatch(f"stream {batch.stream}: a batch waited too long and is fetched again")

    @staticmethod
    def _check_owner(stream: str, state: StreamState, epoch: int) -> None:
        if state.epoch != epoch:
            raise FencedError(stream, state.writer, state.epoch, epoch)

    @staticmethod
    def _refuse_newer(stream: str, claims: Mapping[str, tuple[int, str]], epoch: int) -> None:
        newest, owner = claims.get(stream, (0, ""))
        if newest > epoch:
            raise FencedError(stream, owner, newest, epoch)


def read_claims(quarantine: Table) -> dict[str, tuple[int, str]]:
    """{stream: (epoch, writer)} of the newest claims that quarantine has seen."""
    text = newest_value(quarantine, CLAIMS)
    return {stream: (int(epoch), str(writer)) for stream, (epoch, writer) in json.loads(text or "{}").items()}


def append(table: Table, files: Sequence[DataFile], properties: Mapping[str, str]) -> None:
    """One append snapshot on exactly the base that `table` holds. Never rebased by the library (retries are off).

    Raises:
        CommitFailedException: the table moved on; nothing was committed.
    """
    transaction = _Transaction(table)
    with transaction.update_snapshot(snapshot_properties=dict(properties)).merge_append() as update:
        for file in files:
            update.append_data_file(file)
    transaction.commit_transaction()


class _Transaction(Transaction):
    """Stages one snapshot, and nothing that is asked of the metadata until it is committed depends on that snapshot.

    The library's own builds the new metadata, as a deep copy with each snapshot in it, whenever it is asked: 16 times
    a commit, a fifth of what a fast drain computed.
    """

    @property
    def table_metadata(self) -> TableMetadata:
        return self._table.metadata


def attempt(table: Table, build: Build, commit_id: str, stop: threading.Event) -> None:
    """Build on the table as it stands and append, again and again on top of what others committed, until it is in.

    `build` gets the refreshed table, judges it (raising what ends the attempt) and gives files and summary
    properties, or None when nothing is left to do. An attempt whose outcome is unknown counts as done when its
    `commit_id` is found in the ancestry.

    Raises:
        LakeUnreachable: `stop` was set while the catalog was away.
    """
    patience = Patience(BACKOFF_FIRST_S, BACKOFF_LAST_S)
    tries = 0
    while True:
        try:
            if tries:
                table.refresh()
                if committed(table, commit_id):
                    return
            built = build(table)
            if built is not None:
                files, properties = built
                append(table, files, {COMMIT_ID: commit_id, **properties})
            return
        except NoSuchTableError as error:
            raise LakeError(f"table {'.'.join(table.name())} is gone from the catalog") from error
        except TRANSIENT as error:
            tries += 1
            conflict = isinstance(error, CommitFailedException)
            if isinstance(error, GONE) and tries >= GONE_TRIES:
                raise LakeError(f"table {'.'.join(table.name())}: a file it needs cannot be read: {error}") from error
            if not conflict:
                log.warning("commit to %s did not answer, trying again: %s", ".".join(table.name()), error)
            if patience.wait(stop):
                if not conflict:
                    raise LakeUnreachable(
                        f"table {'.'.join(table.name())}: the catalog did not answer: {error}"
                    ) from error
                time.sleep(BACKOFF_FIRST_S)


def committed(table: Table, commit_id: str) -> bool:
    """True when a snapshot in the ancestry carries the id."""
    return any(commit_id in (summary_value(s, COMMIT_ID) or "").split(",") for s in ancestors(table))


def replayed_since(table: Table, snapshot_id: int | None) -> bool:
    """True when quarantine replay landed rows after that snapshot (None: never asked), or may have: it has expired."""
    if snapshot_id is None:
        return False
    for snapshot in ancestors(table):
        if snapshot.snapshot_id == snapshot_id:
            return False
        if summary_value(snapshot, REPLAY) is not None:
            return True
    return True


def carried_on(table: Table, keys: Sequence[str]) -> dict[str, str]:
    """What a commit by anybody but the writer must carry on: the newest values of these keys, where there are any."""
    return {key: value for key in keys if (value := newest_value(table, key)) is not None}
