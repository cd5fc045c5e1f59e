"""Receives Kafka records from an engine; gives it typed rows, each good or with a reason: the steps, in order."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from watling.contracts.model import Contract
from watling.contracts.records import RECORDS
from watling.pipeline.transforms import cast, decode, fingerprint, locate, picture, rename, validate
from watling.pipeline.transforms.faults import COLUMNS

Step = Callable[[pa.Table, Contract], pa.Table]

STEPS: tuple[Step, ...] = (
    decode.step,  # bytes -> text of each wire field
    rename.step,  # wire fields -> text of each column; positions in two
    cast.step,  # text -> types and units
    validate.step,  # required, ranges, allowed values, lengths, event time
    locate.step,  # position -> H3 cell
    picture.step,  # base64 -> bytes beside their reference
    fingerprint.step,  # id -> 64 bits, for deduplication
)
"""Each keeps rows and their order, and only adds to what it got. `deduplicate` follows: it needs the past."""


def shape(records: pa.Table, contract: Contract) -> pa.Table:
    """RECORDS -> RECORDS, the contract's columns, `_reason, _field, _message` (null: good), `_fingerprint` [, `_object`]."""
    table = records
    for step in STEPS:
        table = step(table, contract)
    names = [*RECORDS.names, *(f.name for f in contract.fields), *COLUMNS, fingerprint.FINGERPRINT]
    return table.select([*names, *([picture.OBJECT] if picture.OBJECT in table.column_names else [])])
