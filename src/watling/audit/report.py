"""Receives what was counted; gives the audit's report as JSON and as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Range = tuple[int, int]  # from, to (exclusive)
Kind = Literal["missing", "doubled", "outside", "lost"]

WHAT: dict[Kind, str] = {
    "missing": "neither in the table nor in quarantine",
    "doubled": "more than once in the table and quarantine together",
    "outside": "rows where the table's state knows of no record",
    "lost": "deleted by retention before they were read",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in one partition. `ranges` are offsets, merged, at most 1,000; `count` counts all of them."""

    kind: Kind
    generation: int
    partition: int
    count: int
    ranges: tuple[Range, ...]

    def json(self) -> dict[str, Any]:
        """As plain values; the ends of ranges are inclusive, as a person reads them."""
        return {
            "kind": self.kind,
            "generation": self.generation,
            "partition": self.partition,
            "count": self.count,
            "offsets": [[a, b - 1] for a, b in self.ranges],
        }

    def line(self, stream: str) -> str:
        """One sentence."""
        shown = ", ".join(str(a) if b == a + 1 else f"{a} to {b - 1}" for a, b in self.ranges[:10])
        more = ", …" if len(self.ranges) > 10 else ""
        return (
            f"{stream}: {self.count} {self.kind} in partition {self.partition}, generation {self.generation} "
            f"({WHAT[self.kind]}): offsets {shown or 'not known'}{more}"
        )


@dataclass(frozen=True, slots=True)
class Partition:
    """Counts of one partition, in records; `gaps` in offsets."""

    first: int
    next: int
    consumed: int = 0
    landed: int = 0
    quarantined: int = 0
    duplicates: int = 0
    gaps: int = 0
    lost: int = 0
    erased: int = 0

    def json(self) -> dict[str, int]:
        """As plain values."""
        names = ("first", "next", "consumed", "landed", "quarantined", "gaps")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class StreamAudit:
    """One stream. `generations` → partition → counts; the newest generation is the current one. `accepted` records of
    those lost were accepted. `lag`: None when the broker is away."""

    topic: str
    generations: Mapping[int, Mapping[int, Partition]] = field(default_factory=dict)
    topic_ids: Mapping[int, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    accepted: int = 0
    lag: int | None = None

    @property
    def ok(self) -> bool:
        """Nothing missing, doubled or where it should not be, and no loss that nobody accepted."""
        return not self.faults

    def total(self, name: str) -> int:
        """Sum of one count over all generations and partitions."""
        return sum(int(getattr(p, name)) for parts in self.generations.values() for p in parts.values())

    def count(self, *kinds: Kind) -> int:
        """How many offsets the faults of these kinds have."""
        return sum(f.count for f in self.faults if f.kind in kinds)

    def json(self) -> dict[str, Any]:
        """The design's shape; `accepted` and `faults` only where there are any."""
        current = max(self.generations, default=0)
        body: dict[str, Any] = {"topic": self.topic}
        body |= {name: self.total(name) for name in ("consumed", "landed", "quarantined", "duplicates")}
        body |= {"missing": self.count("missing"), "doubled": self.count("doubled", "outside")}
        body |= {"lost_to_retention": self.total("lost"), "erased": self.total("erased"), "lag": self.lag}
        body["partitions"] = _partitions(self.generations.get(current, {}))
        body["generations"] = {
            str(n): {"topic_id": self.topic_ids.get(n, ""), "partitions": _partitions(parts)}
            for n, parts in sorted(self.generations.items())
            if n != current
        }
        if self.accepted:
            body["accepted"] = self.accepted
        if self.faults:
            body["faults"] = [f.json() for f in self.faults]
        return body


@dataclass(frozen=True, slots=True)
class AuditReport:
    """All streams. `checked_at` is ISO 8601 in UTC."""

    checked_at: str
    streams: Mapping[str, StreamAudit]

    @property
    def ok(self) -> bool:
        """True when no stream has a fault."""
        return all(s.ok for s in self.streams.values())

    def json(self) -> dict[str, Any]:
        """The shape that `watling audit --json` prints."""
        return {
            "ok": self.ok,
            "checked_at": self.checked_at,
            "streams": {name: stream.json() for name, stream in self.streams.items()},
        }

    def lines(self) -> list[str]:
        """For people: a line a stream, a line a fault, and what to do."""
        lines = []
        for name, stream in self.streams.items():
            lag = "lag not known (broker away)" if stream.lag is None else f"lag {stream.lag:,}"
            lines.append(
                f"{'ok  ' if stream.ok else 'BAD '} {name}: {stream.total('consumed'):,} consumed = "
                f"{stream.total('landed'):,} landed + {stream.total('quarantined'):,} quarantined "
                f"({stream.total('duplicates'):,} duplicates); {stream.total('lost'):,} lost to retention; {lag}"
            )
        for name, stream in self.streams.items():
            lines += [fault.line(name) for fault in stream.faults]
            if stream.count("lost"):
                lines.append(f"{name}: once looked into, record it: watling audit --accept-loss {name} --reason TEXT")
        return lines


def _partitions(parts: Mapping[int, Partition]) -> dict[str, Any]:
    return {str(number): part.json() for number, part in sorted(parts.items())}
