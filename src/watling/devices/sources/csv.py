"""Receives delimited text and a mapping; gives rows of the stream that the mapping names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from watling.devices.sources import columns, mapping, table
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.rows import Options, Rows, SourceError

SUFFIXES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True, slots=True)
class _Cells:
    block: table.Block

    @property
    def file(self) -> str:
        return self.block.file

    @property
    def lines(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return self.block.lines

    def column(self, name: str) -> pa.Array:
        return self.block.column(name)

    def json(self, name: str) -> columns.Field:
        array = self.block.column(name)
        return None if array.null_count == len(array) else array

    def filter(self, mask: np.ndarray) -> _Cells:
        return _Cells(self.block.keep(pa.array(mask)))


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield batches. Empty cells are left out. A column that the mapping names and the file lacks is a fault; if it
    holds the time or the device, nothing of the file is read.

    Raises:
        SourceError: no mapping is given, or it has no fields.
    """
    if options.map is None:
        raise SourceError("csv needs --map FILE. Draft it: watling replay-guess PATH > map.yaml", source="csv")
    rules = mapping.load(options.map)
    if not rules.fields:
        raise SourceError(f"{options.map}: a csv mapping needs `fields`.", path=str(options.map))
    names = table.header(member, delimiter=rules.delimiter, encoding=rules.encoding)
    missing = [c for c in rules.columns if c not in names]
    if missing:
        faults.add(member.name, 1, f"no column {', '.join(missing)}; the header has {', '.join(names)}")
        needed = {c for w in (rules.time, rules.device) if w for c in rules.fields[w].columns}
        if needed & set(missing):
            return
    for block in table.read(member, faults, wanted=rules.columns, delimiter=rules.delimiter, encoding=rules.encoding):
        result = mapping.apply(rules, _Cells(block), faults, options.timezone)
        if result is not None:
            yield result
