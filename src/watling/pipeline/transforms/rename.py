"""Receives the text of each wire field from decode; gives cast the text that each contract column is made of."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Contract, Reason, Wire
from watling.pipeline.transforms import position
from watling.pipeline.transforms.arrays import PART, TEXT, WIRE, put, whole
from watling.pipeline.transforms.faults import HIDDEN, Faults, printable


def step(table: pa.Table, contract: Contract) -> pa.Table:
    """`$wire.*` columns -> the same, `$part.<wire>.<part>` of positions, and `$text.<column>` for each column.

    Of the wires of a column the first that is not null wins. A position that is none is `wrong_type`.
    """
    faults = Faults(table)
    columns: dict[str, pa.Array] = {}
    for name in dict.fromkeys(w.name for f in contract.fields for w in f.wires if w.part):
        texts = whole(table[WIRE + name])
        if texts.null_count == len(texts):
            continue
        parts, bad = position.split(texts)
        columns |= {f"{PART}{name}.{part}": array for part, array in parts.items()}
        if bad.any():
            personal = any(f.personal for f in contract.fields for w in f.wires if w.name == name)
            faults.add(bad, Reason.WRONG_TYPE, name, _Message(name, texts, personal))
    for field in contract.fields:
        if field.wires:
            columns[TEXT + field.name] = _first(table, columns, field.wires)
    return faults.apply(put(table, columns))


def _first(table: pa.Table, parts: dict[str, pa.Array], wires: tuple[Wire, ...]) -> pa.Array:
    candidates = []
    for wire in wires:
        array = parts.get(f"{PART}{wire.name}.{wire.part}") if wire.part else whole(table[WIRE + wire.name])
        if array is None or array.null_count == len(array):
            continue
        candidates.append(array)
        if not array.null_count:
            break
    if not candidates:
        return pa.nulls(table.num_rows, pa.string())
    return candidates[0] if len(candidates) == 1 else pc.coalesce(*candidates)


class _Message:
    def __init__(self, name: str, texts: pa.Array, personal: bool) -> None:
        self._name, self._texts, self._personal = name, texts, personal

    def __call__(self, row: int) -> str:
        found = f"does not fit {HIDDEN}" if self._personal else f"is {printable(self._texts[row].as_py())}"
        return (
            f"{self._name} {found}; the contract expects a position: [latitude, longitude], "
            f'{{"latitude": ..., "longitude": ...}} or "(latitude, longitude)". Send one of these.'
        )
