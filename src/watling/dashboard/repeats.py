"""Receives shaped batches of one stream in the order of offsets; gives them back with repeated events marked, as the pipeline does.

It remembers the newest ids only, bounded in number: an older repeat is found by the pipeline alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from watling.contracts.model import Contract
from watling.pipeline.transforms import deduplicate
from watling.pipeline.transforms.fingerprint import FINGERPRINT

REMEMBERED = 200_000  # ids a stream at least, twice as many at most; about 50 bytes each
IDS = pa.schema([("id", pa.string()), ("event_time", pa.timestamp("us", "UTC"))])

Prints = npt.NDArray[np.uint64]


@dataclass(slots=True)
class _Run:
    """Landed ids: sorted fingerprints, the same unsorted beside their rows."""

    ordered: Prints
    prints: Prints
    rows: pa.Table


@dataclass(slots=True)
class _Generation:
    runs: list[_Run] = field(default_factory=list)
    count: int = 0

    def add(self, prints: Prints, rows: pa.Table) -> None:
        """Equal sizes merge, as in a binary counter: the number of runs stays logarithmic."""
        self.runs.append(_Run(np.sort(prints), prints, rows))
        self.count += len(prints)
        while len(self.runs) > 1 and len(self.runs[-1].prints) * 2 > len(self.runs[-2].prints):
            last, before = self.runs.pop(), self.runs.pop()
            ordered = np.concatenate((before.ordered, last.ordered))
            ordered.sort(kind="stable")  # two sorted runs: a merge
            both = np.concatenate((before.prints, last.prints))
            self.runs.append(_Run(ordered, both, pa.concat_tables((before.rows, last.rows)).combine_chunks()))

    def among(self, wanted: Prints) -> list[pa.Table]:
        """Rows whose fingerprint is one of `wanted` (sorted, not empty)."""
        found = []
        for run in self.runs:
            at = np.searchsorted(run.ordered, wanted)
            at[at == len(run.ordered)] = 0
            hits = wanted[run.ordered[at] == wanted]
            if len(hits):
                found.append(run.rows.filter(pa.array(np.isin(run.prints, hits))))
        return found


class Repeats:
    """The newest ids of one stream. Used by one thread."""

    def __init__(self, contract: Contract, remembered: int = REMEMBERED) -> None:
        self.contract = contract
        self._remembered = remembered
        self._young, self._old = _Generation(), _Generation()

    def mark(self, shaped: pa.Table) -> pa.Table:
        """The batch with `duplicate` in `_reason` of rows that repeat an event; the others are remembered."""
        if shaped.num_rows == 0 or not self.contract.dedup_window_s:
            return shaped
        known = self._known(shaped)
        marked = deduplicate.step(shaped, self.contract, known)
        new = self._good(marked)
        if new.num_rows:
            prints = new[FINGERPRINT].to_numpy()
            self._young.add(prints, new.select(IDS.names).cast(IDS).combine_chunks())
            if self._young.count >= self._remembered:
                self._young, self._old = _Generation(), self._young
        return marked

    def _known(self, shaped: pa.Table) -> pa.Table:
        prints = self._good(shaped)[FINGERPRINT].to_numpy()
        if not len(prints):
            return IDS.empty_table()
        prints = np.unique(prints)
        found = [*self._young.among(prints), *self._old.among(prints)]
        return pa.concat_tables(found) if found else IDS.empty_table()

    def _good(self, shaped: pa.Table) -> pa.Table:
        names = [self.contract.id_column, self.contract.time_column, "_reason", FINGERPRINT]
        rows = shaped.select(names).rename_columns(["id", "event_time", "_reason", FINGERPRINT])
        able = np.ones(rows.num_rows, dtype=bool)
        for name, null in (("_reason", True), ("id", False), ("event_time", False), (FINGERPRINT, False)):
            able &= np.asarray(rows[name].combine_chunks().is_null()) == null
        return rows.filter(pa.array(able))
