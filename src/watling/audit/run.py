"""Receives settings; proves from the tables' rows, stream by stream, that nothing was lost or doubled. May run beside
the pipeline, maintenance and replay: a fault is looked for again on fresh snapshots before it is reported.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from watling.audit.broker_log import records_in_gaps
from watling.audit.ledger import Key, Tally, tally
from watling.audit.report import AuditReport, Fault, Partition, Range, StreamAudit
from watling.broker import admin
from watling.broker.client import client_config
from watling.config import Settings
from watling.contracts import load_contracts
from watling.contracts.model import Contract
from watling.errors import UnreachableError, UsageError
from watling.lake.catalog import open_catalog
from watling.lake.commit import attempt
from watling.lake.errors import LakeError
from watling.lake.state import STATE, AcceptedLoss, StreamState, dump_state, read_state
from watling.lake.tables import QUARANTINE, load_table

log = logging.getLogger(__name__)

LOOKS_AGAIN = 3
LOOK_AGAIN_S = 1.0
CONFIRM_S = 10.0  # for asking the broker about gaps, all streams together
PING_S = 3.0


@dataclass(frozen=True, slots=True)
class _Topic:
    """A topic as the broker has it now; no marks: there is no such topic."""

    topic_id: str | None
    marks: Mapping[int, tuple[int, int]]


def run_audit(
    settings: Settings,
    *,
    catalog: Catalog | None = None,
    contracts: Mapping[str, Contract] | None = None,
    look_again_s: float = LOOK_AGAIN_S,
) -> AuditReport:
    """Check every configured stream. Reads only.

    Raises:
        LakeUnreachable: the catalog does not answer.
        LakeError: a table's files or state cannot be read.
    """
    contracts = contracts if contracts is not None else load_contracts(settings.contracts_dir)
    catalog = catalog or open_catalog(settings)
    broker_there = _broker_answers(settings)
    deadline = time.monotonic() + CONFIRM_S
    streams = {}
    for name, contract in contracts.items():
        for look in range(LOOKS_AGAIN + 1):
            last = look == LOOKS_AGAIN
            try:
                audit = _audit_stream(settings, catalog, contract, broker_there, deadline)
            except OSError as error:  # maintenance removed a file of the snapshot that was being read
                if last:
                    raise LakeError(
                        f"stream {name}: a file of its table cannot be read: {error}. If the file is gone, restore it "
                        "or roll the table back; the audit cannot vouch for it."
                    ) from error
            else:
                if last or not [f for f in audit.faults if f.kind != "lost"]:
                    break
            time.sleep(look_again_s * random.uniform(0.8, 1.2))  # noqa: S311
        streams[name] = audit
    return AuditReport(datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), streams)


def accept_loss(settings: Settings, stream: str, reason: str, *, catalog: Catalog | None = None) -> int:
    """Record that the stream's losses to retention were looked into. Gives how many records are newly accepted.

    The record travels in the table's state; it may be written beside a running pipeline.

    Raises:
        UsageError: no reason, no such table, or nothing lost that is not accepted already.
    """
    if not reason.strip():
        raise UsageError("a loss is accepted with a reason: --reason TEXT")
    table = load_table(catalog or open_catalog(settings), settings, stream)
    if table is None:
        raise UsageError(f"there is no table {stream}: nothing of it was read, so nothing was lost")
    accepted = 0

    def build(table: Table) -> tuple[list[DataFile], dict[str, str]]:
        nonlocal accepted
        state = read_state(table)
        accepted = _unaccepted(state)
        if accepted <= 0:
            raise UsageError(f"stream {stream}: there is no loss that is not accepted already")
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        entry = AcceptedLoss(at, accepted, reason.strip())
        return [], {STATE: dump_state(replace(state, accepted=(*state.accepted, entry)))}

    attempt(table, build, uuid.uuid4().hex, threading.Event())
    return accepted


def _audit_stream(
    settings: Settings, catalog: Catalog, contract: Contract, broker_there: bool, deadline: float
) -> StreamAudit:
    topic = _topic(settings, contract.topic) if broker_there else None
    table = load_table(catalog, settings, contract.name)
    state = StreamState() if table is None else read_state(table)
    quarantine = load_table(catalog, settings, QUARANTINE)  # after the stream's: rows come to it first
    if table is None or not state.generations:
        return StreamAudit(contract.topic, lag=_lag(topic, state))
    confirm = _Confirmer(settings, topic, state, deadline)
    tallies = tally(contract.name, table, quarantine, confirm.named(state))
    confirm.unnamed(contract.topic, tallies)
    generations: dict[int, dict[int, Partition]] = {}
    faults: list[Fault] = []
    for key, one in tallies.items():
        generations.setdefault(key[0], {})[key[1]] = one.partition()
        faults += one.faults(key)
    if _unaccepted(state) > 0:
        faults += [Fault("lost", g, p, s.lost, s.lost_ranges) for g, p, s in state.each() if s.lost]
    return StreamAudit(
        contract.topic,
        generations,
        {number: g.topic_id for number, g in state.generations.items()},
        tuple(faults),
        sum(a.records for a in state.accepted),
        _lag(topic, state),
    )


def _unaccepted(state: StreamState) -> int:
    return state.lost - sum(a.records for a in state.accepted)


class _Confirmer:
    """Asks the broker whether gaps of a stream's current generation really hold no record. One that does is missing."""

    def __init__(self, settings: Settings, topic: _Topic | None, state: StreamState, deadline: float) -> None:
        self._settings = settings
        self._topic = topic if topic is not None and state.generations else None
        self._number = state.generation
        if self._topic is not None and self._topic.topic_id != state.generations[self._number].topic_id:
            self._topic = None
        self._deadline = deadline

    def named(self, state: StreamState) -> StreamState:
        """The state without what it wrongly names as gaps."""
        if self._topic is None:
            return state
        current = state.generations[self._number]
        wrong = self._ask(current.topic, {p: s.gaps for p, s in current.partitions.items()})
        partitions = dict(current.partitions)
        for partition, offsets in wrong.items():
            old = partitions[partition]
            partitions[partition] = replace(
                old, gap_offsets=old.gap_offsets - len(offsets), gaps=_without(old.gaps, offsets)
            )
        return replace(state, generations={**state.generations, self._number: replace(current, partitions=partitions)})

    def unnamed(self, topic: str, tallies: Mapping[Key, Tally]) -> None:
        """Offsets without a row that only a count accounts for: where the broker has a record, the count is wrong."""
        mine = {p: t for (g, p), t in tallies.items() if g == self._number and t.unnamed and t.unexplained.count}
        for partition, offsets in self._ask(topic, {p: t.unexplained.ranges for p, t in mine.items()}).items():
            old = mine[partition].state
            mine[partition].state = replace(old, gap_offsets=max(old.gap_offsets - len(offsets), 0))

    def _ask(self, topic: str, gaps: Mapping[int, Sequence[Range]]) -> dict[int, list[int]]:
        if self._topic is None or not any(gaps.values()):
            return {}
        try:
            return records_in_gaps(client_config(self._settings), topic, gaps, self._topic.marks, self._deadline)
        except UnreachableError as error:
            log.info("gaps of topic %s are not confirmed: %s", topic, error)
            return {}


def _without(ranges: Sequence[Range], offsets: Sequence[int]) -> tuple[Range, ...]:
    """The ranges without these offsets (sorted)."""
    left: list[Range] = []
    for start, stop in ranges:
        for offset in offsets:
            if start <= offset < stop:
                left.append((start, offset))
                start = offset + 1
        left.append((start, stop))
    return tuple((a, b) for a, b in left if a < b)


def _broker_answers(settings: Settings) -> bool:
    try:
        admin.ping(settings, PING_S)
    except UnreachableError:
        return False
    return True


def _topic(settings: Settings, name: str) -> _Topic | None:
    try:
        topic_id = admin.topic_ids(settings, [name]).get(name)
        return _Topic(topic_id, admin.watermarks(settings, name) if topic_id else {})
    except UnreachableError:
        return None


def _lag(topic: _Topic | None, state: StreamState) -> int | None:
    """Records of the topic that are not settled yet. A topic made anew is all of it lag."""
    if topic is None:
        return None
    current = state.generations.get(state.generation)
    if current is None or current.topic_id != topic.topic_id:
        return sum(high - low for low, high in topic.marks.values())
    nexts = {p: s.next for p, s in current.partitions.items()}
    return sum(max(high - nexts.get(p, low), 0) for p, (low, high) in topic.marks.items())
