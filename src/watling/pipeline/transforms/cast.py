"""Receives the text of each contract column from rename; gives validate the typed columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Contract, Field, Reason
from watling.contracts.targets.arrow import TYPES
from watling.pipeline.transforms.arrays import PART, TEXT, WIRE, end_bytes, flags, present, put, whole, without
from watling.pipeline.transforms.faults import Faults, Sent
from watling.pipeline.transforms.json_reader import kinds_of
from watling.pipeline.transforms.numbers import Cast, to_boolean, to_double, to_integer
from watling.pipeline.transforms.timestamps import to_timestamp

EXPECTED = {
    "string": "text",
    "int": "a whole number",
    "long": "a whole number",
    "double": "a number",
    "boolean": "true or false",
    "timestamp": "a time such as 2026-11-24T08:15:30Z",
}
HOLDS = {"int": "a whole number of 32 bits", "long": "a whole number of 64 bits", "double": "a number up to 1.8e308"}


def step(table: pa.Table, contract: Contract) -> pa.Table:
    """`$text.<column>` -> `<column>` in the contract's type and unit; null where it is missing or does not fit.

    Reasons: wrong_type, and out_of_range for a number that the type does not hold.
    """
    faults, sent = Faults(table), Sent(table)
    columns: dict[str, pa.Array] = {}
    for field in contract.fields:
        kind = TYPES[field.type]
        texts = whole(table[TEXT + field.name]) if field.wires else pa.nulls(table.num_rows, pa.string())
        if texts.null_count == len(texts):
            columns[field.name] = pa.nulls(table.num_rows, kind)
            continue
        cast = _cast(table, sent, field, texts, kind)
        columns[field.name] = cast.values
        if cast.wrong is not None:
            message = _Message(sent, field, EXPECTED[field.type], "Mend it in the device")
            faults.add(cast.wrong, Reason.WRONG_TYPE, sent.name(field), message)
        if cast.beyond is not None:
            message = _Message(sent, field, HOLDS[field.type], "Check the device")
            faults.add(cast.beyond, Reason.OUT_OF_RANGE, sent.name(field), message)
    return faults.apply(put(table, columns))


def _cast(table: pa.Table, sent: Sent, field: Field, texts: pa.Array, kind: pa.DataType) -> Cast:
    if field.type == "timestamp":
        return to_timestamp(texts)
    if field.type == "boolean":
        return to_boolean(texts)
    if field.type == "string":
        return _to_text(table, sent, field, texts)
    scale = _scale(table, field)
    if scale is None:
        return to_double(texts) if field.type == "double" else to_integer(texts, kind)
    cast = to_double(texts)
    values = pc.add(pc.multiply(cast.values, scale[0]), scale[1])
    if field.type == "double":
        return Cast(values, cast.wrong, cast.beyond)
    limit = 2.0**31 if field.type == "int" else 2.0**63
    over = flags(pc.greater_equal(pc.abs(values), limit))
    rounded = pc.round(without(values, over)).cast(kind)
    return Cast(rounded, cast.wrong, over | cast.beyond if cast.beyond is not None else over)


def _scale(table: pa.Table, field: Field) -> tuple[pa.Array | float, pa.Array | float] | None:
    """Factor and summand of each row, by the wire that won; None when no wire of this column has any."""
    if all(w.scale == 1.0 and w.offset == 0.0 for w in field.wires):
        return None
    factor, summand = np.ones(table.num_rows), np.zeros(table.num_rows)
    for wire in reversed(field.wires):
        name = f"{PART}{wire.name}.{wire.part}" if wire.part else WIRE + wire.name
        if name in table.column_names:
            mine = present(whole(table[name]))
            factor[mine], summand[mine] = wire.scale, wire.offset
    return pa.array(factor), pa.array(summand)


def _to_text(table: pa.Table, sent: Sent, field: Field, texts: pa.Array) -> Cast:
    """Text as it is; an array or object given for it is wrong. Only texts that look like one are asked about."""
    first, _ = end_bytes(texts)
    suspects = np.flatnonzero(((first == ord("{")) | (first == ord("["))) & present(texts))
    if not len(suspects):
        return Cast(texts)
    names = {row: sent.wire(field, row).name for row in suspects.tolist()} if len(field.wires) > 1 else {}
    wrong = np.zeros(len(texts), dtype=bool)
    raw = whole(table["value"])
    for name in dict.fromkeys(names.values()) if names else (field.wires[0].name,):
        rows = np.array([row for row in suspects.tolist() if not names or names[row] == name])
        asked = raw.take(pa.array(rows)).cast(pa.large_string())
        kinds = kinds_of(asked, name)
        wrong[rows[flags(pc.is_in(kinds, pa.array(["OBJECT", "ARRAY"])))]] = True
    return Cast(without(texts, wrong), wrong) if wrong.any() else Cast(texts)


@dataclass(slots=True)
class _Message:
    sent: Sent
    field: Field
    expected: str
    advice: str

    def __call__(self, row: int) -> str:
        unit = f" in {self.field.unit}" if self.field.unit else ""
        found = self.sent.shown(self.field, row)
        return f"{found}; the contract expects {self.expected}{unit}. {self.advice} or mend the contract."
