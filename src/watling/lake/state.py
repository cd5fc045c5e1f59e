"""Receives a table's snapshots; gives the state that the stream's writer keeps in their summaries.

The state says, for each generation of the topic and each partition, up to which offset everything is settled
(in the stream's table or in quarantine), the counts so far, and the offsets that Kafka never gave out (gaps).
It travels in the same atomic snapshot as the rows it speaks of. It is that of the newest ancestor that has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from watling.lake.errors import LakeError, StateConflict, StateMissing

FORMAT = 1
STATE = "watling.state"
COMMIT_ID = "watling.commit-id"
MAX_GAPS = 1000

Range = tuple[int, int]  # from, to (exclusive)


def merge_ranges(ranges: Iterable[Range], limit: int | None = None) -> tuple[Range, ...]:
    """Sorted, merged, non-empty ranges; of more than `limit` the newest are kept."""
    merged: list[Range] = []
    for start, stop in sorted(r for r in ranges if r[0] < r[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return tuple(merged if limit is None else merged[-limit:])


@dataclass(frozen=True, slots=True)
class PartitionState:
    """Below `next` every offset since `first` is settled. Counts are records, cumulative.

    `quarantined` includes `duplicates` and not what replay released. `gap_offsets` counts all offsets that were never
    records (transaction markers, compaction); `gaps` names the newest of them as merged ranges. `end` is the highest
    end offset of the partition that the writer has seen: what is owed should the topic be made anew.
    """

    first: int
    next: int
    landed: int = 0
    quarantined: int = 0
    duplicates: int = 0
    lost: int = 0
    erased: int = 0
    gap_offsets: int = 0
    gaps: tuple[Range, ...] = ()
    lost_ranges: tuple[Range, ...] = ()
    end: int = 0


@dataclass(frozen=True, slots=True)
class PartitionDelta:
    """What one batch adds for one partition: offsets `start` (inclusive) to `next` (exclusive) become settled."""

    start: int
    next: int
    landed: int = 0
    quarantined: int = 0
    duplicates: int = 0
    lost: tuple[Range, ...] = ()
    gaps: tuple[Range, ...] = ()
    end: int = 0

    def then(self, later: PartitionDelta) -> PartitionDelta:
        """This batch followed by one that begins where this one ends."""
        if later.start != self.next:
            raise StateConflict(f"a batch beginning at offset {later.start} cannot follow one ending at {self.next}")
        return PartitionDelta(
            self.start,
            later.next,
            self.landed + later.landed,
            self.quarantined + later.quarantined,
            self.duplicates + later.duplicates,
            self.lost + later.lost,
            self.gaps + later.gaps,
            max(self.end, later.end),
        )


@dataclass(frozen=True, slots=True)
class Generation:
    """One life of a topic: Kafka's id for it, and where each of its partitions stands."""

    topic: str
    topic_id: str
    partitions: Mapping[int, PartitionState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AcceptedLoss:
    """A loss that somebody looked at and recorded: the audit no longer fails for that many records."""

    at: str
    records: int
    reason: str


@dataclass(frozen=True, slots=True)
class StreamState:
    """Everything a writer of a stream must know. `epoch` and `writer` name the newest claim."""

    epoch: int = 0
    writer: str = ""
    generations: Mapping[int, Generation] = field(default_factory=dict)
    accepted: tuple[AcceptedLoss, ...] = ()

    @property
    def generation(self) -> int:
        """Number of the current generation, 0 before the first."""
        return max(self.generations, default=0)

    @property
    def lost(self) -> int:
        """Records lost in all generations, accepted or not."""
        return sum(p.lost for _, _, p in self.each())

    def each(self) -> Iterator[tuple[int, int, PartitionState]]:
        """(generation, partition, state) in order."""
        for number, generation in sorted(self.generations.items()):
            for partition, state in sorted(generation.partitions.items()):
                yield number, partition, state

    def total(self, name: str) -> int:
        """Sum of one count over all generations and partitions."""
        return sum(int(getattr(p, name)) for _, _, p in self.each())

    def advance(self, generation: int, deltas: Mapping[int, PartitionDelta]) -> StreamState:
        """The state after a batch.

        Raises:
            StateConflict: a delta does not begin at the partition's next offset.
        """
        current = self.generations[generation]
        partitions = dict(current.partitions)
        for number, delta in deltas.items():
            old = partitions.get(number) or PartitionState(delta.start, delta.start)
            if old.next != delta.start:
                raise StateConflict(
                    f"topic {current.topic}, partition {number}: the table stands at offset {old.next}, "
                    f"the batch begins at {delta.start}",
                )
            partitions[number] = replace(
                old,
                next=delta.next,
                landed=old.landed + delta.landed,
                quarantined=old.quarantined + delta.quarantined,
                duplicates=old.duplicates + delta.duplicates,
                lost=old.lost + sum(stop - start for start, stop in delta.lost),
                lost_ranges=merge_ranges((*old.lost_ranges, *delta.lost), MAX_GAPS),
                gap_offsets=old.gap_offsets + sum(stop - start for start, stop in delta.gaps),
                gaps=merge_ranges((*old.gaps, *delta.gaps), MAX_GAPS),
                end=max(old.end, delta.end, delta.next),
            )
        return replace(self, generations={**self.generations, generation: replace(current, partitions=partitions)})

    def released(self, counts: Mapping[tuple[int, int], tuple[int, int]]) -> StreamState:
        """The state after quarantine replay: {(generation, partition): (released, of them duplicates)} move to landed."""
        generations = dict(self.generations)
        for (number, partition), (count, duplicates) in counts.items():
            generation = generations[number]
            old = generation.partitions[partition]
            new = replace(
                old,
                landed=old.landed + count,
                quarantined=old.quarantined - count,
                duplicates=old.duplicates - duplicates,
            )
            generations[number] = replace(generation, partitions={**generation.partitions, partition: new})
        return replace(self, generations=generations)


def dump_state(state: StreamState) -> str:
    """The state as the compact JSON that a snapshot's summary carries."""
    return json.dumps(
        {
            "format": FORMAT,
            "epoch": state.epoch,
            "writer": state.writer,
            "generations": {
                str(number): {
                    "topic": g.topic,
                    "topic_id": g.topic_id,
                    "partitions": {str(p): _dump_partition(s) for p, s in sorted(g.partitions.items())},
                }
                for number, g in sorted(state.generations.items())
            },
            **({"accepted": [[a.at, a.records, a.reason] for a in state.accepted]} if state.accepted else {}),
        },
        separators=(",", ":"),
    )


def _dump_partition(state: PartitionState) -> dict[str, Any]:
    body: dict[str, Any] = {"first": state.first, "next": state.next}
    for name in ("landed", "quarantined", "duplicates", "lost", "erased", "gap_offsets", "end"):
        if value := getattr(state, name):
            body[name] = value
    for name in ("gaps", "lost_ranges"):
        if ranges := getattr(state, name):
            body[name] = [list(r) for r in ranges]
    return body


def parse_state(text: str) -> StreamState:
    """The state from a summary's JSON.

    Raises:
        LakeError: a newer format than this version knows, or text that is not a state.
    """
    try:
        body = json.loads(text)
        if body["format"] > FORMAT:
            raise LakeError(
                f"the table's state has format {body['format']}, this Watling knows {FORMAT}: use the newer Watling"
            )
        return StreamState(
            epoch=body["epoch"],
            writer=body["writer"],
            generations={
                int(number): Generation(
                    g["topic"], g["topic_id"], {int(p): _parse_partition(s) for p, s in g["partitions"].items()}
                )
                for number, g in body["generations"].items()
            },
            accepted=tuple(AcceptedLoss(*a) for a in body.get("accepted", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LakeError(f"the table's state cannot be read ({error!r}): roll back to a snapshot before it") from error


def _parse_partition(body: dict[str, Any]) -> PartitionState:
    body = dict(body)
    for name in ("gaps", "lost_ranges"):
        body[name] = tuple((int(a), int(b)) for a, b in body.get(name, ()))
    return PartitionState(**body)


def ancestors(table: Table, start: Snapshot | None = None) -> Iterator[Snapshot]:
    """The snapshots that led to the current one (or to `start`), newest first, as far as they are kept."""
    snapshot = start or table.current_snapshot()
    while snapshot is not None:
        yield snapshot
        snapshot = table.snapshot_by_id(snapshot.parent_snapshot_id) if snapshot.parent_snapshot_id else None


def summary_value(snapshot: Snapshot, key: str) -> str | None:
    """One property of a snapshot's summary, or None."""
    return snapshot.summary.additional_properties.get(key) if snapshot.summary is not None else None


def newest_value(table: Table, key: str, start: Snapshot | None = None) -> str | None:
    """The property of the newest ancestor that has it, or None."""
    for snapshot in ancestors(table, start):
        if (value := summary_value(snapshot, key)) is not None:
            return value
    return None


def read_state(table: Table, snapshot: Snapshot | None = None) -> StreamState:
    """The stream's state as of the table's current snapshot, or of `snapshot`. An empty state before any snapshot.

    Raises:
        StateMissing: there are snapshots, but none carries a state.
    """
    text = newest_value(table, STATE, snapshot)
    if text is None:
        if table.current_snapshot() is None:
            return StreamState()
        raise StateMissing(".".join(table.name()))
    return parse_state(text)
