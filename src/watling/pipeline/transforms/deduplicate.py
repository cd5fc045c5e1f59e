"""Receives shaped records and the recent ids that an engine remembers; gives the same with repeated events marked.

Not part of `plan.STEPS`: it alone looks at the past, so the engine calls it in the order of offsets.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Contract, Reason
from watling.pipeline.transforms.arrays import flags, present, whole
from watling.pipeline.transforms.faults import Faults, printable
from watling.pipeline.transforms.fingerprint import FINGERPRINT

SECOND_US = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def step(table: pa.Table, contract: Contract, recent: pa.Table) -> pa.Table:
    """Marks good rows of `table` that repeat an event as `duplicate`.

    `recent` has `id` (string) and `event_time` of rows that stand in the lake; it may hold more than is needed. A row
    repeats one when the ids are equal and the event times at most the contract's window apart: one in `recent`, or an
    earlier good row of this batch by (partition, offset) that is no duplicate itself. A window of 0 switches it off.
    """
    window = contract.dedup_window_s * SECOND_US
    if not table.num_rows or not window:
        return table
    rows = _suspects(table, contract, recent)
    if not len(rows):
        return table
    part = table.select([contract.id_column, contract.time_column, "_kafka_partition", "_kafka_offset"])
    part = part.take(pa.array(rows))
    ids = part[contract.id_column].to_pylist()
    times = part[contract.time_column].cast(pa.int64()).to_numpy()
    partitions, offsets = part["_kafka_partition"].to_numpy(), part["_kafka_offset"].to_numpy()
    stands = _standing(recent, set(ids))
    kept: dict[str, list[tuple[int, int, int]]] = {}
    hidden = contract.field(contract.id_column).personal
    name = contract.field(contract.id_column).wires[0].name
    faults = Faults(table)
    for at in np.lexsort((offsets, partitions)).tolist():
        id_, time = ids[at], int(times[at])
        where = None
        for other in stands.get(id_, ()):
            if abs(other - time) <= window:
                where = f"the lake holds it already, with event time {_clock(other)}"
                break
        else:
            for other, partition, offset in kept.get(id_, ()):
                if abs(other - time) <= window:
                    where = f"it came first at partition {partition}, offset {offset}, with event time {_clock(other)}"
                    break
        if where is None:
            kept.setdefault(id_, []).append((time, int(partitions[at]), int(offsets[at])))
            continue
        what = "this id" if hidden else printable(id_)
        message = f"event {what} is sent again: {where}. Nothing to do unless the device numbers its events anew."
        faults.add(rows[at : at + 1], Reason.DUPLICATE, name, message)
    return faults.apply(table)


def _suspects(table: pa.Table, contract: Contract, recent: pa.Table) -> np.ndarray:
    """Numbers of the good rows whose fingerprint repeats, or whose id is a recent one."""
    prints = whole(table[FINGERPRINT])
    able = ~present(whole(table["_reason"])) & present(prints) & present(whole(table[contract.time_column]))
    good = np.flatnonzero(able)
    if not len(good):
        return good
    numbers = prints.to_numpy() if len(good) == len(prints) else prints.take(pa.array(good)).to_numpy()
    ordered = np.sort(numbers)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    suspect = np.isin(numbers, repeated) if len(repeated) else np.zeros(len(numbers), dtype=bool)
    if recent.num_rows:
        known = flags(pc.is_in(whole(table[contract.id_column]), recent["id"].combine_chunks()))
        suspect |= known[good]
    return good[suspect]


def _standing(recent: pa.Table, wanted: set[str]) -> dict[str, list[int]]:
    stands: dict[str, list[int]] = {}
    if recent.num_rows:
        mine = recent.filter(pc.is_in(recent["id"], pa.array(list(wanted), pa.string())))
        for id_, time in zip(mine["id"].to_pylist(), mine["event_time"].cast(pa.int64()).to_pylist(), strict=True):
            stands.setdefault(id_, []).append(time)
    return {id_: sorted(times) for id_, times in stands.items()}  # what is told does not hang on the order of files


def _clock(micros: int) -> str:
    return (EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")
