"""enviroCar recordings: what each car reports arrives in the wire's units, and trip ends stay private."""

from __future__ import annotations

import gzip
import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from watling.devices.sources.ids import NAMESPACE
from watling.devices.sources.trim import metres

from .conftest import Read


def track(tmp_path: Path, fuel: str, phenomena: dict[str, Any], n: int = 3) -> Path:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [7.0 + i / 100, 51.0]},
            "properties": {"id": f"m{i}", "time": f"2017-03-01T10:00:0{i}Z", "phenomenons": phenomena},
        }
        for i in range(n)
    ]
    sensor = {
        "type": "car",
        "properties": {"id": "car1", "manufacturer": "Ford", "model": "C", "constructionYear": 2010, "fuelType": fuel},
    }
    path = tmp_path / f"{fuel}.json"
    path.write_text(
        json.dumps(
            {"type": "FeatureCollection", "features": features, "properties": {"id": "t1", "sensor": sensor}}, indent=1
        )
    )
    return path


def test_every_row_of_every_car_and_day(data: Path, read: Read) -> None:
    """A car's day would be missing from the lake, or twice in it."""
    found, faults = read("envirocar", data / "telemetry/envirocar_2017_main.csv.gz", trim_ends=0)
    assert faults.count == 0
    assert {s: len(r) for s, r in found.items()} == {"vehicle": 32_764, "gps": 32_764}
    with gzip.open(data / "telemetry/envirocar_2017_main.csv.gz", "rt") as lines:
        cells = [line.split(",") for line in lines][1:]
    by_hand = Counter((c[1], c[7][:10]) for c in cells)
    for stream in ("vehicle", "gps"):
        assert Counter((r["vehicle_id"], r["timestamp"][:10]) for r in found[stream]) == by_hand
        assert len({r["id"] for r in found[stream]}) == 32_764
    assert not {r["id"] for r in found["vehicle"]} & {r["id"] for r in found["gps"]}
    first = found["vehicle"][0]
    assert first["speed"] == pytest.approx(120.94759356975555)  # the car's speed; gps has the receiver's
    assert found["gps"][0]["speed"] == pytest.approx(120.58679040210734)
    assert first["location"] == [50.897854958557666, 6.2747597283574725]
    assert (first["make"], first["model"], first["year"], first["fuelType"]) == ("Toyota", "Avensis", 2011, "Petrol")
    assert first["direction"] == "South-West"
    assert first["_key"] == first["vehicle_id"]
    assert all(a["_due"] <= b["_due"] for a, b in zip(found["gps"], found["gps"][1:], strict=False))


def test_ids_are_those_of_the_documented_rule(data: Path, read: Read) -> None:
    """A replay repeated by another version would double the lake."""
    found, _ = read("envirocar", data / "telemetry/envirocar_2017_main.csv.gz", trim_ends=0)
    name = "envirocar|vehicle|574e78cbe4b09078f97bbb4a|1487225438000000|58a5d5b4268d1b08d8780632|0"
    assert found["vehicle"][0]["id"] == str(uuid.uuid5(NAMESPACE, name))


def test_geojson_and_csv_of_a_trip_agree(data: Path, read: Read) -> None:
    """The same trip from the API and from the table would be two trips."""
    from_json, faults = read("envirocar", data / "telemetry/envirocar_raw_json", trim_ends=0)
    from_csv, _ = read("envirocar", data / "telemetry/envirocar_2017_main.csv.gz", trim_ends=0)
    assert faults.count == 0
    trips = {r["trip"] for r in from_json["vehicle"]}
    table = {r["id"]: r for r in from_csv["vehicle"]}
    assert len(trips) == 5
    assert len(from_json["vehicle"]) == sum(r["trip"] in trips for r in table.values())
    for record in from_json["vehicle"]:
        other = table[record["id"]]
        assert record["location"] == pytest.approx(other["location"])
        assert record.get("rpm") == pytest.approx(other.get("rpm"))
        assert record["make"] == other["make"]


def test_trip_ends_are_not_shown(data: Path, read: Read) -> None:
    """A driver's home would be on the map."""
    path = data / "telemetry/envirocar_raw_json/58ad9ad8268d1b08d85aa19b.json"
    whole, _ = read("envirocar", path, trim_ends=0)
    trimmed, faults = read("envirocar", path)
    gone = len(whole["gps"]) - len(trimmed["gps"])
    assert gone == faults.skipped["within 500 m of where a trip begins or ends"] > 0
    for end in (whole["gps"][0], whole["gps"][-1]):
        shown = trimmed["gps"][0] if end is whole["gps"][0] else trimmed["gps"][-1]
        assert metres(*end["location"], *shown["location"]) > 500
    assert {r["id"] for r in trimmed["gps"]} < {r["id"] for r in whole["gps"]}


def test_a_short_trip_is_not_shown_at_all(tmp_path: Path, read: Read) -> None:
    """A trip around the block shows nothing but home."""
    path = track(tmp_path, "diesel", {"Speed": {"unit": "km/h", "value": 5}}, n=1)
    assert read("envirocar", path)[0] == {}


def test_units_are_converted(tmp_path: Path, read: Read) -> None:
    """Miles an hour would be shown as kilometres an hour."""
    phenomena = {
        "Speed": {"unit": "mph", "value": 60},
        "GPS Speed": {"unit": "m/s", "value": 10},
        "CO2": {"unit": "g/s", "value": 2},
        "GPS Altitude": {"unit": "ft", "value": 100},
        "Consumption": {"unit": "bushels", "value": 3},
    }
    found, _ = read("envirocar", track(tmp_path, "diesel", phenomena), trim_ends=0)
    vehicle, gps = found["vehicle"][0], found["gps"][0]
    assert vehicle["speed"] == pytest.approx(96.56064)
    assert gps["speed"] == pytest.approx(36)
    assert vehicle["co2"] == pytest.approx(7.2)
    assert vehicle["altitude"] == pytest.approx(30.48)
    assert "fuelRate" not in vehicle  # a unit nobody knows is left out, not guessed
    assert vehicle["fuelType"] == "Diesel"


def test_an_electric_car_has_no_exhaust(tmp_path: Path, read: Read) -> None:
    """An electric car would count into the city's CO2."""
    phenomena = {
        "GPS Speed": {"unit": "km/h", "value": 30},
        "CO2": {"unit": "kg/h", "value": 0},
        "Rpm": {"unit": "u/min", "value": 0},
    }
    found, _ = read("envirocar", track(tmp_path, "electric", phenomena), trim_ends=0)
    record = found["vehicle"][0]
    assert record["speed"] == 30  # no OBD speed: the receiver's
    assert not {"co2", "rpm", "fuelRate"} & set(record)


def test_a_broken_feature_costs_itself_alone(tmp_path: Path, read: Read) -> None:
    """One damaged measurement would lose the trip."""
    path = track(tmp_path, "petrol", {"Speed": {"unit": "km/h", "value": 50}})
    text = path.read_text()
    path.write_text(text.replace('"2017-03-01T10:00:01Z"', "2017-03-01T10:00:01Z"))
    found, faults = read("envirocar", path, trim_ends=0)
    assert [r["timestamp"] for r in found["gps"]] == ["2017-03-01T10:00:00Z", "2017-03-01T10:00:02Z"]
    assert faults.count == 1
    assert faults.sample[0].line == [i for i, t in enumerate(text.splitlines(), 1) if t == "  {"][1]
    assert "not valid JSON" in faults.sample[0].message


def test_a_track_that_ends_early_keeps_what_came(tmp_path: Path, read: Read) -> None:
    """A download that broke off would lose all that had arrived."""
    path = track(tmp_path, "petrol", {"Speed": {"unit": "km/h", "value": 50}})
    whole = json.loads(path.read_text())
    text = json.dumps({"properties": whole["properties"], "features": whole["features"]})
    path.write_text(text[: text.rindex('"phenomenons"')])
    found, faults = read("envirocar", path, trim_ends=0)
    assert len(found["gps"]) == 2
    assert faults.count == 1


def test_a_table_of_something_else_is_named(tmp_path: Path, read: Read) -> None:
    """The user would wait for records that never come."""
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    found, faults = read("envirocar", path)
    assert found == {}
    assert "not an enviroCar table: no column track_id" in str(faults.sample[0])
