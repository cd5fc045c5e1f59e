"""Receives what an adapter could not read or left out; gives the replay a bounded sample of it and exact counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

SAMPLE = 100
TEXT = 200  # characters of a message that are kept
KINDS = 200  # different reasons that are counted apart


@dataclass(frozen=True, slots=True)
class Fault:
    """One record that could not be read. `line` counts from 1; 0 where the format has no lines."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


@dataclass(slots=True)
class Faults:
    """Broken records and records left out on purpose. Memory is bounded whatever the input holds.

    `count` is the number of broken records, `sample` the first `limit` of them.
    `skipped` counts by reason what was left out on purpose (a trimmed trip end, a trip update without a position).
    `notes` counts by reason what was read but is worth saying (a local time that happened twice).
    """

    limit: int = SAMPLE
    count: int = 0
    sample: list[Fault] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, file: str, line: int, message: str, count: int = 1) -> None:
        """Report `count` broken records; the first is named."""
        self.count += count
        if len(self.sample) < self.limit:
            self.sample.append(Fault(file, line, message if len(message) <= TEXT else message[: TEXT - 1] + "…"))

    def skip(self, reason: str, count: int = 1) -> None:
        """Count records left out on purpose."""
        _count(self.skipped, reason, count)

    def note(self, reason: str, count: int = 1) -> None:
        """Count records that were read with a remark."""
        _count(self.notes, reason, count)


def _count(counter: Counter[str], reason: str, count: int) -> None:
    if count:
        counter[reason if reason in counter or len(counter) < KINDS else "other"] += count
