"""Receives what the steps find wrong, row by row; gives the table with `_reason, _field, _message` set.

The first fault of a record stays: steps in their order, within a step the columns in the contract's order.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Field, Reason, Wire
from watling.pipeline.transforms.arrays import PART, WIRE, flags, put, whole

COLUMNS = ("_reason", "_field", "_message")
SHOWN = 80
HIDDEN = "(its value is personal and not shown)"

Message = str | Callable[[int], str]
"""What a person can act on; a function gets the row."""


class Faults:
    """Collects the faults that one step finds. Costs nothing while there are none."""

    def __init__(self, table: pa.Table) -> None:
        reason = whole(table["_reason"]) if "_reason" in table.column_names else pa.nulls(table.num_rows, pa.string())
        self._judged: np.ndarray | None = flags(pc.is_valid(reason)) if reason.null_count < len(reason) else None
        self._found: dict[int, tuple[str, str | None, str]] = {}

    def open(self, rows: np.ndarray) -> np.ndarray:
        """Those of `rows` (boolean mask or row numbers) that have no fault yet, as row numbers."""
        numbers = np.flatnonzero(rows) if rows.dtype == bool else rows
        return numbers if self._judged is None else numbers[~self._judged[numbers]]

    def add(self, rows: np.ndarray, reason: Reason, field: str | Callable[[int], str] | None, message: Message) -> None:
        """Note a fault of each of `rows` (boolean mask or row numbers) that has none yet."""
        for row in self.open(rows).tolist():
            if row not in self._found:
                name = field(row) if callable(field) else field
                self._found[row] = (reason.value, name, message(row) if callable(message) else message)

    def apply(self, table: pa.Table) -> pa.Table:
        """The table (of the same rows) with what was found."""
        if COLUMNS[0] not in table.column_names:
            table = put(table, dict.fromkeys(COLUMNS, pa.nulls(table.num_rows, pa.string())))
        if not self._found:
            return table
        rows = np.fromiter(self._found, np.int64, len(self._found))
        where = np.full(table.num_rows, -1, np.int64)
        where[rows] = np.arange(len(rows))
        new = where >= 0
        pick = pa.array(where, mask=~new)
        columns = {}
        for at, name in enumerate(COLUMNS):
            values = pa.array([fault[at] for fault in self._found.values()], pa.string()).take(pick)
            old = whole(table[name])
            columns[name] = values if old.null_count == len(old) else pc.if_else(pa.array(new), values, old)
        return put(table, columns)


class Sent:
    """What the device sent for a column, looked up for the records at fault."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._arrays: dict[str, pa.Array] = {}

    def wire(self, field: Field, row: int) -> Wire:
        """The wire that gave `field` its value in this row: the first that is not null; the first of all if none is."""
        for wire in field.wires:
            array = self._array(f"{PART}{wire.name}.{wire.part}" if wire.part else WIRE + wire.name)
            if array is not None and array[row].is_valid:
                return wire
        return field.wires[0]

    def name(self, field: Field) -> Callable[[int], str]:
        """The wire's name, by row."""
        return lambda row: self.wire(field, row).name

    def shown(self, field: Field, row: int, unit: bool = False) -> str:
        """`<wire> is <value>` as the device sent it, shortened and printable; not the value where it is personal."""
        name = self.wire(field, row).name
        if field.personal:
            return f"{name} does not fit {HIDDEN}"
        array = self._array(WIRE + name)
        text = array[row].as_py() if array is not None else None
        return f"{name} is {printable(text)}{f' {field.unit}' if unit and field.unit else ''}"

    def _array(self, name: str) -> pa.Array | None:
        if name not in self._arrays:
            if name not in self._table.column_names:
                return None
            self._arrays[name] = whole(self._table[name])
        return self._arrays[name]


def printable(text: str | None) -> str:
    """At most 80 characters of a value, quoted unless it is a plain number, unprintable characters escaped."""
    if text is None:
        return "missing"
    short = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    if (
        short.isprintable()
        and short.replace(".", "").replace("-", "").replace("+", "").isalnum()
        and short[:1] in "-.0123456789"
    ):
        return short
    if short[:1] in "{[":
        return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in short)
    quoted = json.dumps(short, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in quoted)
