"""Receives typed columns from cast; gives locate the same with a reason where a value is not what the contract allows."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Contract, Field, Reason
from watling.pipeline.transforms.arrays import flags, present, whole
from watling.pipeline.transforms.faults import Faults, Sent

SECOND_US = 1_000_000
POSITION = ("latitude", "longitude")


def step(table: pa.Table, contract: Contract) -> pa.Table:
    """Sets reasons, column by column: missing, out_of_range, not_allowed, too_large. Changes no value."""
    faults, sent = Faults(table), Sent(table)
    for field in contract.fields:
        values = whole(table[field.name])
        if field.required and not field.derived:
            _required(faults, field, values)
        if values.null_count == len(values):
            continue
        if field.name == contract.time_column:
            _time(faults, sent, table, contract, field, values)
        if field.type in ("int", "long", "double"):
            _range(faults, sent, field, values)
        if field.type == "string":
            _text(faults, sent, field, values)
    _whole_position(faults, table, contract)
    return faults.apply(table)


def _required(faults: Faults, field: Field, values: pa.Array) -> None:
    lacking = ~present(values)
    if field.type == "string":
        lacking |= flags(pc.equal(values, ""))
    if lacking.any():
        name, *others = dict.fromkeys(w.name for w in field.wires)
        also = f" (or {', '.join(others)})" if others else ""
        message = f"{name}{also} is missing or empty; the contract requires it. Send it, or make {field.name} optional."
        faults.add(lacking, Reason.MISSING, name, message)


def _range(faults: Faults, sent: Sent, field: Field, values: pa.Array) -> None:
    low, high = field.minimum, field.maximum
    if low is None and high is None:
        return
    found = pc.min_max(values)
    if (low is None or found["min"].as_py() >= low) and (high is None or found["max"].as_py() <= high):
        return
    outside = np.zeros(len(values), dtype=bool)
    if low is not None:
        outside |= flags(pc.less(values, low))
    if high is not None:
        outside |= flags(pc.greater(values, high))
    allowed = (
        f"{low:g} to {high:g}"
        if low is not None and high is not None
        else f"{low:g} or more"
        if low is not None
        else f"{high:g} or less"
    )
    _note(faults, sent, field, outside, Reason.OUT_OF_RANGE, allowed, "Check the device's unit or widen the contract.")


def _text(faults: Faults, sent: Sent, field: Field, values: pa.Array) -> None:
    if field.allowed is not None:
        other = ~flags(pc.is_in(values, pa.array(field.allowed, pa.string()))) & present(values)
        advice = "Mend the device or allow the value in the contract."
        _note(faults, sent, field, other, Reason.NOT_ALLOWED, ", ".join(field.allowed), advice)
    if field.max_length is not None and not field.picture:
        long = flags(pc.greater(pc.utf8_length(values), field.max_length))
        advice = "Shorten it or raise the contract's length."
        _note(faults, sent, field, long, Reason.TOO_LARGE, f"{field.max_length} characters", advice)


def _time(faults: Faults, sent: Sent, table: pa.Table, contract: Contract, field: Field, values: pa.Array) -> None:
    """Between the contract's first time and the record's own time + what devices' clocks may be ahead.

    A record without a time of its own (the epoch) sets no latest.
    """
    moments = pc.fill_null(values.cast(pa.int64()), 0).to_numpy()
    first = micros(contract.event_time_min)
    recorded = whole(table["_ingested_at"]).cast(pa.int64()).to_numpy()
    late = (moments > recorded + contract.event_time_ahead_s * SECOND_US) & (recorded > 0)
    outside = ((moments < first) | late) & present(values)
    allowed = f"{contract.event_time_min} to the record's own time + {contract.event_time_ahead_s} s"
    advice = "Check the device's clock or widen the contract."
    _note(faults, sent, field, outside, Reason.OUT_OF_RANGE, allowed, advice)


def _whole_position(faults: Faults, table: pa.Table, contract: Contract) -> None:
    """Half a position is none: the missing half is at fault."""
    fields = [f for f in contract.fields if f.name in POSITION]
    if len(fields) != len(POSITION):
        return
    there = [present(whole(table[f.name])) for f in fields]
    for at, field in enumerate(fields):
        half = there[1 - at] & ~there[at]
        if half.any():
            name, other = field.wires[0].name, fields[1 - at].name
            message = f"the record has a {other} and no {field.name}; send both or neither."
            faults.add(half, Reason.MISSING, name, message)


def _note(
    faults: Faults, sent: Sent, field: Field, rows: np.ndarray, reason: Reason, allowed: str, advice: str
) -> None:
    if not rows.any():
        return
    unit = f" {field.unit}" if field.unit and reason is Reason.OUT_OF_RANGE else ""

    def message(row: int) -> str:
        return f"{sent.shown(field, row, unit=True)}; the contract allows {allowed}{unit}. {advice}"

    faults.add(rows, reason, sent.name(field), message)


def micros(text: str) -> int:
    """Microseconds since 1970 of an ISO 8601 time; UTC where it names no offset."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp()) * SECOND_US
