"""What must hold for all inputs: rows never shift, batches may be cut anywhere, the result is that of obvious Python."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watling.contracts import Contract, Reason
from watling.pipeline import plan
from watling.pipeline.plan import shape
from watling.pipeline.split import split
from watling.testing import FORMS, NO_NUMBERS, NO_POSITIONS, NO_TIMES, hostile_records

from .batches import CONTRACTS, INGESTED, STREAMS, records, typed
from .reference import judge

SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-200, 3000),
    st.floats(),
    st.floats(-180, 180),
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            "12",
            "-0",
            "1e3",
            "1e400",
            "5.",
            ".5",
            "nan",
            "null",
            "true",
            "None",
            "Active",
            "{}",
            "[1]",
            *FORMS,
            *NO_TIMES,
        ]
    ),
    st.sampled_from(NO_NUMBERS),
    st.from_regex(r"\A-?[0-9]{0,3}\.?[0-9]{0,3}([eE][+-]?[0-9]{1,3})?\Z"),
)
times = st.one_of(
    st.sampled_from(FORMS),
    st.from_regex(r"\A(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9](:[0-6][0-9](\.[0-9]{0,10})?)?(Z|[+-][0-2][0-9](:?[0-6][0-9])?)?\Z"),
    st.datetimes().map(lambda t: t.isoformat()),
)  # fmt: skip
positions = st.one_of(
    st.sampled_from(NO_POSITIONS),
    st.tuples(st.floats(-100, 100), st.floats(-200, 200)).map(list),
    st.lists(scalars.filter(lambda v: v != "null" and not (isinstance(v, str) and "\\" in json.dumps(v))), max_size=3),
    st.tuples(st.floats(-90, 90), st.floats(-180, 180)).map(str),
    st.dictionaries(st.sampled_from(["lat", "lng", "lon", "latitude", "longitude", "x"]), scalars, max_size=4),
)
values = st.one_of(
    scalars, times, positions, st.lists(scalars, max_size=2), st.dictionaries(st.text(max_size=3), scalars, max_size=2)
)


def events(contract: Contract) -> st.SearchStrategy[dict[str, Any]]:
    """Objects in which most fields could be right and any may be wrong."""
    likely: dict[str, st.SearchStrategy[Any]] = {}
    for field in contract.fields:
        for wire in field.wires:
            best = positions if wire.part else times if field.type == "timestamp" else scalars
            if field.type == "string":
                best = st.one_of(st.text(max_size=8), st.sampled_from(field.allowed or ("a",)))
            likely[wire.name] = st.one_of(best, best, best, values)
    required = {f.wires[0].name: likely[f.wires[0].name] for f in contract.fields if f.required}
    return st.fixed_dictionaries(required, optional={k: v for k, v in likely.items() if k not in required})


def encoded(contract: Contract) -> st.SearchStrategy[bytes]:
    return st.tuples(events(contract), st.booleans(), st.sampled_from([None, 1])).map(
        lambda e: json.dumps(e[0], ensure_ascii=e[1], indent=e[2]).encode("utf-8", "replace")
    )


def batches(contract: Contract) -> st.SearchStrategy[list[bytes | None]]:
    return st.lists(st.one_of(encoded(contract), encoded(contract), st.binary(max_size=20), st.none()), max_size=8)


@st.composite
def damaged(draw: st.DrawFn, contract: Contract) -> bytes:
    """A record cut, doubled, or with bytes written over it."""
    value = draw(encoded(contract))
    at = draw(st.integers(0, len(value)))
    return value[:at] + draw(st.binary(max_size=4)) + draw(st.sampled_from([value[at:], value[at + 1 :], b"", value]))


@pytest.mark.parametrize("stream", STREAMS)
@given(data=st.data())
@SLOW
def test_a_batch_becomes_what_slow_and_obvious_python_makes_of_it(stream: str, data: st.DataObject) -> None:
    """Else a user's value lands changed, or a record is judged wrongly."""
    contract = CONTRACTS[stream]
    batch = data.draw(batches(contract))
    shaped = shape(records(batch), contract)
    rows = typed(shaped, contract)
    for value, row, reason in zip(batch, rows, shaped["_reason"].to_pylist(), strict=True):
        expected, fault = judge(value, contract, INGESTED)
        assert reason == fault, value
        if expected is not None:
            assert row == {name: expected[name] for name in row}, value


@pytest.mark.parametrize("stream", STREAMS)
@given(data=st.data())
@SLOW
def test_no_neighbour_moves_a_row(stream: str, data: st.DataObject) -> None:
    """Else a device's reading lands as another's because of a third one's broken record."""
    contract = CONTRACTS[stream]
    batch = data.draw(st.lists(st.one_of(damaged(contract), st.binary(max_size=40), encoded(contract)), max_size=8))
    together = shape(records(batch), contract)
    alone = [shape(records([value], first), contract) for first, value in enumerate(batch)]
    assert together.to_pylist() == [row for table in alone for row in table.to_pylist()]
    known = {None, *(r.value for r in Reason)}
    assert set(together["_reason"].to_pylist()) <= known


@pytest.mark.parametrize("stream", STREAMS)
@given(seed=st.integers(0, 10**9), cut=st.integers(0, 60))
@settings(max_examples=8, deadline=None)
def test_a_batch_may_be_cut_anywhere(stream: str, seed: int, cut: int) -> None:
    """Else the tables depend on how fast the records came, and two engines disagree."""
    contract = CONTRACTS[stream]
    batch = records([value for value, _ in hostile_records(contract, 60, seed)])
    whole = shape(batch, contract)
    parts = pa.concat_tables([shape(batch.slice(0, cut), contract), shape(batch.slice(cut), contract)])
    assert whole.schema == parts.schema
    assert whole.equals(parts)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_step_done_twice_is_done_once(stream: str) -> None:
    """Else a batch that an engine tries again after a failure lands changed."""
    contract = CONTRACTS[stream]
    table = records([value for value, _ in hostile_records(contract, 400, 7)])
    for step in plan.STEPS:
        table = step(table, contract)
        again = step(table, contract)
        assert again.equals(table), step.__module__


@pytest.mark.parametrize("stream", STREAMS)
def test_ten_thousand_hostile_records(stream: str) -> None:
    """Else one bad device stops a city's stream, or takes its neighbours' records with it."""
    contract = CONTRACTS[stream]
    corpus = hostile_records(contract, 10_000, 20261124)
    shaped = shape(records([value for value, _ in corpus]), contract)
    assert [
        (i, r) for i, (r, (_, e)) in enumerate(zip(shaped["_reason"].to_pylist(), corpus, strict=True)) if r != e
    ] == []
    landed, rejected = split(shaped, contract, 3)
    landed.validate(full=True)
    rejected.validate(full=True)
    assert landed["_kafka_offset"].to_pylist() == [i for i, (_, reason) in enumerate(corpus) if reason is None]
    assert rejected["_kafka_offset"].to_pylist() == [i for i, (_, reason) in enumerate(corpus) if reason is not None]
    assert rejected["raw"].to_pylist() == [value for value, reason in corpus if reason is not None]
    assert all(rejected["message"].to_pylist())
    for row in landed.to_pylist():
        value = corpus[row["_kafka_offset"]][0]
        if value is not None and len(value) < 50_000:
            expected, fault = judge(value.replace(b",}", b"}"), contract, INGESTED)
            assert fault is None
            assert expected is not None
            assert {f.name: row[f.name] for f in contract.fields if f.wires} == {
                f.name: expected[f.name] for f in contract.fields if f.wires
            }
