"""Forms that devices send, units, messages and the two tables that a batch becomes."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from watling.contracts import Contract, Field, Wire
from watling.contracts.targets import arrow
from watling.pipeline.plan import shape
from watling.pipeline.split import REJECTED, split
from watling.pipeline.transforms import json_reader
from watling.testing import hostile_records

from .batches import CONTRACTS, records

GOOD = {
    "id": "a",
    "vehicle_id": "v-secret",
    "timestamp": "2026-11-24T10:00:00Z",
    "location": [51.5, -0.12],
    "speed": 50,
}
VEHICLE = CONTRACTS["vehicle"]


def one(contract: Contract = VEHICLE, **fields: Any) -> dict[str, Any]:
    event = {k: v for k, v in {**GOOD, **fields}.items() if v is not ...}
    return shape(records([json.dumps(event).encode()]), contract).to_pylist()[0]


def with_field(field: Field) -> Contract:
    return replace(VEHICLE, fields=(*VEHICLE.fields, field))


@pytest.mark.parametrize(
    "text",
    ["2026-11-24T10:00:00Z", "2026-11-24 10:00:00", "2026-11-24T11:00:00+01:00", "2026-11-24T06:30-0330",
     "2026-11-24T10:00:00.000000999Z", 1795514400, "1795514400000", 1795514400000000, 1795514400.0],
)  # fmt: skip
def test_times_in_the_forms_that_devices_use(text: Any) -> None:
    """Else a fleet that writes its clock another way ends in quarantine, or lands an hour off."""
    row = one(timestamp=text)
    assert (row["_reason"], row["event_time"]) == (None, datetime(2026, 11, 24, 10, tzinfo=UTC))


@pytest.mark.parametrize(
    "text", ["2026-11-24", "2026-02-30T10:00:00Z", "24/11/2026 10:00", 20261124, "10:00", True, {}, 5]
)
def test_what_is_no_time_is_not_guessed(text: Any) -> None:
    """Else an event lands at midnight, or in 1970, and nobody notices."""
    assert one(timestamp=text)["_reason"] == "wrong_type"


@pytest.mark.parametrize(
    "location",
    [[51.5, -0.12], ["51.5", "-0.12"], "(51.5, -0.12)", "51.5,-0.12", {"latitude": 51.5, "longitude": -0.12},
     {"lat": "51.5", "lng": -0.12}, {"lon": -0.12, "lat": 51.5}],
)  # fmt: skip
def test_positions_in_the_forms_that_devices_use(location: Any) -> None:
    """Else vehicles are missing from the map."""
    row = one(location=location)
    assert (row["_reason"], row["latitude"], row["longitude"], row["h3"]) == (None, 51.5, -0.12, "89194ad14d7ffff")


def test_positions_of_several_forms_in_one_batch() -> None:
    """Else a mixed fleet lands with positions swapped between its vehicles."""
    forms = [
        [51.0, 1.0],
        "(52.0, 2.0)",
        {"lat": 53.0, "lon": 3.0},
        "54.0, 4.0",
        [55.0],
        None,
        {"lng": 7.0, "lat": 57.0},
    ]
    table = shape(
        records([json.dumps({**GOOD, "id": str(n), "location": f}).encode() for n, f in enumerate(forms)]), VEHICLE
    )
    assert table["latitude"].to_pylist() == [51.0, 52.0, 53.0, 54.0, None, None, 57.0]
    assert table["longitude"].to_pylist() == [1.0, 2.0, 3.0, 4.0, None, None, 7.0]
    assert table["_reason"].to_pylist() == [None, None, None, None, "wrong_type", "missing", None]


def test_the_first_alias_that_is_not_null_wins() -> None:
    """Else a device that sends both names is read by the wrong one."""
    assert one(speed=None, speed_kmh=7)["speed_kmh"] == 7.0
    assert one(speed=5, speed_kmh=7)["speed_kmh"] == 5.0
    assert one(location=..., lat=1, lon=2)["latitude"] == 1.0
    assert one(id=..., deviceId="d")["id"] == "d"


def test_units_are_those_of_the_alias_that_was_sent() -> None:
    """Else miles an hour land as km/h."""
    wires = (Wire("tempC"), Wire("tempF", scale=5 / 9, offset=-160 / 9), Wire("tempK", offset=-273.15))
    contract = with_field(Field("temperature_c", 100, "double", wires, unit="Cel", minimum=-90, maximum=60))
    batch = [{"tempC": 20}, {"tempF": "68"}, {"tempK": 293.15}, {}, {"tempF": 500}, {"tempK": "warm"}]
    table = shape(records([json.dumps({**GOOD, "id": str(n), **b}).encode() for n, b in enumerate(batch)]), contract)
    assert [None if v is None else round(v, 9) for v in table["temperature_c"].to_pylist()][:4] == [20, 20, 20, None]
    assert table["_reason"].to_pylist() == [None, None, None, None, "out_of_range", "wrong_type"]
    assert table["_field"].to_pylist()[4:] == ["tempF", "tempK"]


def test_scaled_whole_numbers() -> None:
    """Else an interval sent in minutes is stored as if it were seconds."""
    contract = with_field(Field("interval_s", 100, "int", (Wire("seconds"), Wire("minutes", scale=60))))
    assert one(contract, minutes=1.5)["interval_s"] == 90
    assert one(contract, seconds=10**9, minutes=1)["interval_s"] == 10**9
    assert one(contract, minutes=10**9)["_reason"] == "out_of_range"


def test_long_numbers_keep_every_digit() -> None:
    """Else ids of 64 bits are rounded to their neighbours."""
    contract = with_field(Field("serial", 100, "long", (Wire("serial"),)))
    for value in (2**53 + 1, 2**63 - 1, -(2**63), 0, -7):
        assert one(contract, serial=value)["serial"] == value
        assert one(contract, serial=str(value))["serial"] == value
    for value, reason in (
        (2**63, "out_of_range"),
        (-(2**63) - 1, "out_of_range"),
        (1.5, "wrong_type"),
        (1e300, "out_of_range"),
    ):
        assert one(contract, serial=value)["_reason"] == reason


def test_text_columns_take_numbers_as_they_are_and_refuse_objects() -> None:
    """Else a numeric trip id lands rounded, or an object as its JSON text."""
    assert one(trip=12345678901234567890123)["trip"] == "12345678901234567890123"
    assert one(trip='{"looks": "like an object"}')["trip"] == '{"looks": "like an object"}'
    row = one(trip={"id": 1})
    assert (row["_reason"], row["_field"], row["trip"]) == ("wrong_type", "trip", None)


def test_wire_names_that_differ_by_case_alone_and_names_with_quotes() -> None:
    """Else one of two fields is read for both, or a name breaks the reader."""
    names = ("Total", "total", "it's", 'say "it"', "a/b~c", "größe")
    contract = replace(
        VEHICLE, fields=(*VEHICLE.fields, *(Field(f"c{n}", 100 + n, "string", (Wire(w),)) for n, w in enumerate(names)))
    )
    row = one(contract, **{name: f"value of {name}" for name in names})
    assert [row[f"c{n}"] for n in range(len(names))] == [f"value of {name}" for name in names]
    assert one(contract, **{name: {"an": "object"} for name in names[2:3]})["_field"] == "it's"
    assert one(contract, **{"a/b~c": [1]})["_field"] == "a/b~c"


def test_booleans() -> None:
    """Else a contract with a switch in it cannot be used."""
    contract = with_field(Field("lights", 100, "boolean", (Wire("lights"),)))
    assert [one(contract, lights=v)["lights"] for v in (True, "FALSE", 1, "0", None, "")] == [
        True,
        False,
        True,
        False,
        None,
        None,
    ]
    assert one(contract, lights="on")["_reason"] == "wrong_type"


def test_messages_name_the_field_the_value_and_what_to_do() -> None:
    """Else nobody can mend the device without reading our source."""
    row = one(speed=612.0)
    assert row["_message"] == (
        "speed is 612.0 km/h; the contract allows 0 to 400 km/h. Check the device's unit or widen the contract."
    )
    assert one(speed=..., speed_kmh="fast\n" + "x" * 500)["_message"].startswith('speed_kmh is "fast\\nxxx')
    assert max(len(one(make={"a": "x" * 9000})["_message"]), len(one(year="y" * 9000)["_message"])) < 300
    row = one(id=...)
    assert row["_field"] == "id"
    assert row["_message"].startswith("id (or deviceId) is missing")


@pytest.mark.parametrize(
    "fields", [{"vehicle_id": {"n": "v-secret"}}, {"location": [51.123, 999.5]}, {"location": "at 51.123"}]
)
def test_messages_do_not_repeat_what_is_personal(fields: dict[str, Any]) -> None:
    """Else quarantine's messages, which are shown on a page, tell where somebody lives."""
    row = one(**fields)
    assert row["_reason"] is not None
    assert not any(secret in row["_message"] for secret in ("v-secret", "51.123", "999.5"))


def test_the_first_fault_counts_and_is_always_the_same() -> None:
    """Else the reason of a record changes from run to run."""
    row = one(speed=999, year="old", make={})
    assert (row["_reason"], row["_field"]) == ("wrong_type", "make")


@pytest.mark.parametrize(
    ("time", "reason"),
    [("1999-12-31T23:59:59Z", "out_of_range"), ("2000-01-01T00:00:00Z", None), ("2026-11-25T12:00:00Z", None),
     ("2026-11-25T12:00:00.000001Z", "out_of_range")],
)  # fmt: skip
def test_event_times_from_2000_to_a_day_after_the_record(time: str, reason: str | None) -> None:
    """Else a device with a flat clock battery writes to days that nobody looks at."""
    assert one(timestamp=time)["_reason"] == reason


def test_a_record_without_a_time_of_its_own_sets_no_latest_event_time() -> None:
    """Else everything that an old producer sends, which stamps no records, ends in quarantine."""
    batch = records([json.dumps(GOOD).encode()])
    epoch = pa.array([0], pa.timestamp("us", "UTC"))
    unstamped = batch.set_column(batch.schema.get_field_index("_ingested_at"), "_ingested_at", epoch)
    assert shape(unstamped, VEHICLE)["_reason"].to_pylist() == [None]


def test_half_a_position_is_none() -> None:
    """Else a gps record lands on a meridian of its own."""
    contract = CONTRACTS["gps"]
    assert one(contract, location=..., lat=51.5)["_reason"] == "missing"
    row = one(contract, location=...)
    assert (row["_reason"], row["h3"]) == (None, None)


def test_split_gives_both_tables_their_exact_schemas_and_bytes() -> None:
    """Else the lake refuses the batch, or quarantine cannot be replayed."""
    values = [json.dumps(GOOD).encode(), b"\xff\x00raw", None]
    landed, rejected = split(shape(records(values, 40, 2), VEHICLE), VEHICLE, 5)
    assert landed.schema == arrow.compile(VEHICLE)
    assert rejected.schema == REJECTED
    assert landed.select(["_kafka_generation", "_kafka_partition", "_kafka_offset", "_replay_id"]).to_pylist() == [
        {"_kafka_generation": 5, "_kafka_partition": 2, "_kafka_offset": 40, "_replay_id": None}
    ]
    assert rejected.select(["stream", "topic", "_kafka_offset", "key", "headers", "raw", "reason"]).to_pylist() == [
        {"stream": "vehicle", "topic": "vehicle_data", "_kafka_offset": offset, "key": b"k",
         "headers": [{"key": "h", "value": b"1"}], "raw": raw, "reason": reason}
        for offset, raw, reason in ((41, b"\xff\x00raw", "not_utf8"), (42, None, "tombstone"))
    ]  # fmt: skip


@pytest.mark.parametrize("stream", list(CONTRACTS))
def test_an_empty_batch(stream: str) -> None:
    """Else a fetch that gave nothing stops the pipeline."""
    landed, rejected = split(shape(records([]), CONTRACTS[stream]), CONTRACTS[stream], 0)
    assert (landed.num_rows, rejected.num_rows) == (0, 0)
    assert landed.schema == arrow.compile(CONTRACTS[stream])


def test_records_that_are_larger_than_the_contract_allows() -> None:
    """Else one camera's giant record fills the memory of the steps."""
    contract = replace(VEHICLE, max_record_bytes=500)
    table = shape(records([json.dumps({**GOOD, "other": "x" * size}).encode() for size in (10, 1000)]), contract)
    assert table["_reason"].to_pylist() == [None, "too_large"]


def test_a_clean_batch_is_not_walked_record_by_record() -> None:
    """Else the pipeline slows to the speed of a Python loop, and nobody sees where."""

    def calls(size: int) -> int:
        batch = records([json.dumps({**GOOD, "id": str(n)}).encode() for n in range(size)])
        shape(batch, VEHICLE)
        count = 0

        def profile(_frame: Any, event: str, _arg: Any) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(profile)
        try:
            split(shape(batch, VEHICLE), VEHICLE, 0)
        finally:
            sys.setprofile(None)
        return count

    assert calls(5_000) == calls(50)


def test_threads_do_not_disturb_each_other() -> None:
    """Else rows of one stream appear in another when the pipeline uses two threads."""
    work = [(c, records([v for v, _ in hostile_records(c, 300, n)])) for n in range(3) for c in CONTRACTS.values()]
    expected = [shape(table, contract) for contract, table in work]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda w: shape(w[1], w[0]), work))
    assert all(a.equals(b) for a, b in zip(found, expected, strict=True))


def test_a_batch_that_is_a_slice_of_another() -> None:
    """Else rows shift when an engine hands over part of a fetch."""
    values = [v for v, _ in hostile_records(VEHICLE, 200, 5)]
    table = pa.concat_tables([records(values[:70]), records(values[70:], 70)])
    assert shape(table.slice(33, 90), VEHICLE).equals(shape(records(values[33:123], 33), VEHICLE))


@pytest.mark.parametrize("size", [1, 300, 2_000])
def test_records_read_in_small_pieces_stay_in_their_rows(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else large records, which are read in several pieces to save memory, move their neighbours."""
    table = records([v for v, _ in hostile_records(VEHICLE, 150, 9)])
    expected = shape(table, VEHICLE)
    monkeypatch.setattr(json_reader, "PIECE_BYTES", size)
    assert shape(table, VEHICLE).equals(expected)
