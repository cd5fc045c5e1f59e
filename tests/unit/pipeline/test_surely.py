"""A fault of ours in a step must not stop a stream: the record goes aside, its neighbours land."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from watling.contracts import load_contracts
from watling.contracts.records import RECORDS
from watling.pipeline import plan, surely
from watling.pipeline.split import split

VEHICLE = load_contracts(None)["vehicle"]


def records(values: list[bytes]) -> pa.Table:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        {"value": v, "key": None, "headers": None, "_kafka_partition": 0, "_kafka_offset": i, "_ingested_at": at}
        for i, v in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, schema=RECORDS)


def test_a_record_that_breaks_a_step_goes_aside_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this one poison record would end the pipeline again and again."""
    good = b'{"id":"%d","vehicle_id":"v","timestamp":"2025-12-31T23:00:00Z","location":[51,0]}'
    values = [good % n for n in range(20)]
    values[7] = b"poison"

    def breaks(table: pa.Table, contract: object) -> pa.Table:
        if b"poison" in table["value"].to_pylist():
            raise ZeroDivisionError("a bug")
        return table

    monkeypatch.setattr(plan, "STEPS", (breaks, *plan.STEPS))
    landed, rejected = split(surely.shape_surely(records(values), VEHICLE), VEHICLE, 0)
    assert landed["_kafka_offset"].to_pylist() == [n for n in range(20) if n != 7]
    assert rejected["_kafka_offset"].to_pylist() == [7]
    assert rejected["raw"].to_pylist() == [b"poison"]
    assert "ZeroDivisionError" in rejected["message"][0].as_py()
