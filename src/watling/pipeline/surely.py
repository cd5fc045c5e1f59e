"""Receives records from an engine; shapes them even if a step fails on one of them, which then goes to quarantine alone.

No record may stop a stream. A step that raises is a fault of ours: it is logged as such, and the record that it fails
on is found by halving, so that its neighbours land.
"""

from __future__ import annotations

import logging

import pyarrow as pa

from watling.contracts.model import Contract, Reason
from watling.pipeline.plan import shape

log = logging.getLogger(__name__)


def shape_surely(records: pa.Table, contract: Contract) -> pa.Table:
    """As `plan.shape`, but a record that no step survives is marked instead of raised."""
    try:
        return shape(records, contract)
    except Exception as error:
        if records.num_rows > 1:
            middle = records.num_rows // 2
            halves = (records.slice(0, middle), records.slice(middle))
            return pa.concat_tables((shape_surely(h, contract) for h in halves), promote_options="default")
        log.exception("a step failed on one record of stream %s; it is kept in quarantine", contract.name)
        return _set_aside(records, contract, error)


def _set_aside(record: pa.Table, contract: Contract, error: Exception) -> pa.Table:
    """One record with its fault, in the columns that `shape` gives."""
    like = shape(record.slice(0, 0), contract).schema
    fault = {
        "_reason": Reason.WRONG_TYPE.value,
        "_message": f"Watling failed to read this record ({type(error).__name__}). That is a fault of Watling: the log has "
        "the details. The record is kept as it came; replay it after an update.",
    }
    columns = [
        record[field.name]
        if field.name in record.column_names
        else pa.array([fault[field.name]], field.type)
        if field.name in fault
        else pa.nulls(1, field.type)
        for field in like
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema([f.with_nullable(True) for f in like]))
