"""The same topics through every engine: the same tables, cell by cell, the same quarantine, the same state."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.integration.parity.conftest import BUILTIN, REFERENCE, Road
from tests.integration.parity.lakes import comparable, differences
from watling.audit import run_audit
from watling.contracts.model import Reason

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
STREAMS = (*BUILTIN, "measure")


@pytest.mark.parametrize("stream", STREAMS)
def test_the_same_rows(road: Road, engine: str, stream: str) -> None:
    """Else an answer in SQL depends on which engine happened to write the row."""
    assert differences(road.lakes[REFERENCE].rows(stream), road.lakes[engine].rows(stream)) == []


@pytest.mark.parametrize("stream", STREAMS)
def test_the_same_quarantine(road: Road, engine: str, stream: str) -> None:
    """Else a device is told another reason after a move to Spark, or its bytes are kept changed."""
    one, other = (road.lakes[e].rows("quarantine", stream) for e in (REFERENCE, engine))
    assert differences(one, other) == []


@pytest.mark.parametrize("stream", STREAMS)
def test_the_same_state(road: Road, engine: str, stream: str) -> None:
    """Else a handover between the engines reads a record twice or never, or counts that do not fit the rows."""
    assert road.lakes[engine].state(stream) == road.lakes[REFERENCE].state(stream)


@pytest.mark.parametrize("table", [*STREAMS, "quarantine"])
def test_the_same_tables(road: Road, engine: str, table: str) -> None:
    """Else a reader of the lake that names columns by id or partition breaks after a move."""
    assert road.lakes[engine].schema(table) == road.lakes[REFERENCE].schema(table)


def test_the_same_pictures_and_replay(road: Road, engine: str) -> None:
    """Else a row names a picture that one engine never kept, or replay releases other records."""
    assert road.lakes[engine].objects() == road.lakes[REFERENCE].objects() != set()
    one, other = road.replayed[REFERENCE], road.replayed[engine]
    assert (other.read, other.landed, other.already) == (one.read, one.landed, one.already)
    assert other.remaining == one.remaining


@pytest.mark.parametrize("name", [REFERENCE, "spark"])
def test_the_cases_are_cases(road: Road, name: str) -> None:
    """A comparison of two empty tables proves nothing: every record is there, every reason occurs, the audit is clean."""
    if name in road.absent:
        pytest.skip(road.absent[name])
    lake = road.lakes[name]
    report = run_audit(lake.settings, contracts=road.contracts)
    assert report.ok, report.lines()
    found = report.json()["streams"]
    assert {s: found[s]["consumed"] for s in STREAMS} == road.sent
    assert set(lake.rows("quarantine")["reason"].to_pylist()) == {r.value for r in Reason}
    rows = lake.rows("measure")
    bits = set(rows["reading"].to_pylist())
    assert -(2**63) in bits, "no -0.0 landed"
    assert pc.max(rows["count"]).as_py() > 2**31  # the wider type took
    assert "Stagecoach" in rows["operator"].to_pylist()
    assert pc.sum(rows["_replay_id"]).as_py() == road.replayed[name].landed > 10
    assert any("\x00" in (note or "") for note in rows["note"].to_pylist())


def test_a_changed_cell_is_seen(road: Road) -> None:
    """A comparison that cannot fail would let every difference through."""
    rows = road.lakes[REFERENCE].rows("measure")
    assert differences(rows, rows.slice(1)) != []
    for name in rows.column_names:
        column = rows[name].to_pylist()
        kind = rows.schema.field(name).type
        at = next((i for i, v in enumerate(column) if v is not None), None)
        if at is None or pa.types.is_timestamp(kind):
            continue
        value = column[at]
        column[at] = (not value) if isinstance(value, bool) else value + 1 if isinstance(value, int) else value + " "
        changed = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), pa.array(column, kind))
        assert differences(rows, changed) != [], name
    minus = pa.table({n: [0] for n in ("_kafka_generation", "_kafka_partition", "_kafka_offset")} | {"reading": [-0.0]})
    plus = minus.set_column(3, "reading", pa.array([0.0]))
    assert differences(comparable(minus), comparable(plus)) != []
