"""Receives a block of a table, its times and its devices; gives the rows that have both, and faults for the others."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.table import Block


def complete(block: Block, time: pa.Array, texts: pa.Array, device: str, faults: Faults) -> tuple[Block, pa.Array]:
    """Keep the rows with a readable time and a value in the column `device`; report the others by line.

    `texts` are the times as they stand in the file, for the messages.
    """
    named = pc.is_valid(block.column(device))
    read = pc.is_valid(time)
    good = pc.and_(named, read)
    if pc.all(good).as_py() is not False:
        return block, time
    nameless = block.reject(pc.invert(named), f"no {device}", faults)
    nameless.reject(pc.invert(read.filter(named)), "time {} cannot be read", faults, texts.filter(named))
    return block.keep(good), time.filter(good)


def has_columns(member: Member, names: list[str], needed: tuple[str, ...], what: str, faults: Faults) -> bool:
    """True if the header has all `needed`; else one fault that says what the file is not."""
    missing = [n for n in needed if n not in names]
    if missing:
        faults.add(member.name, 1, f"not {what}: no column {', '.join(missing)}")
    return not missing
