"""Counts, weather, incidents and phone logs: totals that can be checked by hand in the files."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from watling.devices.sources import SourceError, columns, grid
from watling.devices.sources.faults import Faults
from watling.devices.sources.trim import metres

from .conftest import Read


def test_jamcam(data: Path, read: Read) -> None:
    """Cameras would be missing, or stand in the wrong street."""
    found, faults = read("jamcam", data / "cameras")
    records = found["traffic"]
    assert faults.count == 0
    assert len(records) == len({r["id"] for r in records}) == 243_128
    with gzip.open(data / "cameras/jamcam_hourly_counts_20190726_20190807.csv.gz", "rt") as lines:
        by_hand = Counter(line.split(",")[1][:10] for line in lines)
    del by_hand["hour"]
    assert Counter(r["timestamp"][:10] for r in records) == by_hand
    first = next(r for r in records if r["camera_id"] == "JamCams_00001.01251")
    assert {k: first[k] for k in ("timestamp", "location", "cars", "trucks", "persons", "interval")} == {
        "timestamp": "2019-07-26T16:00:00Z",
        "location": [51.5262, -0.08563],
        "cars": 25,
        "trucks": 4,
        "persons": 17,
        "interval": 3600,
    }


def test_jamcam_in_local_time_and_with_tfls_list(data: Path, read: Read, tmp_path: Path) -> None:
    """The user could not say what the file does not."""
    path = tmp_path / "counts.csv"
    path.write_text(
        "id,hour,cars,trucks,persons\nJamCams_00001.01445,2019-07-26 16:00:00,1,2,3\nJamCams_00001.01445,never,1,2,3\n"
    )
    extra = {"cameras": str(data / "cameras/tfl_camera_list_2012-04-20.xml")}
    found, faults = read("jamcam", path, timezone="Europe/London", extra=extra)
    assert found["traffic"][0]["timestamp"] == "2019-07-26T15:00:00Z"
    assert found["traffic"][0]["location"] == [51.649628, -0.060391203]
    assert [str(f) for f in faults.sample] == [f"{path}:3: time 'never' cannot be read"]
    with pytest.raises(SourceError, match="no positions"):
        read("jamcam", path, extra={"cameras": str(path)})


def test_webtris(data: Path, read: Read) -> None:
    """Flow, speed or hour of the motorway would be wrong."""
    found, faults = read("webtris", data / "traffic/webtris_site7090_15min_20230619_20230625.csv")
    records = found["traffic"]
    assert faults.count == 0
    assert len(records) == len({r["id"] for r in records}) == 7 * 96
    first = records[0]
    assert first["timestamp"] == "2023-06-18T23:14:00Z"  # 00:14 British Summer Time
    assert (first["flow"], first["cars"], first["trucks"], first["interval"]) == (73 * 4, 51, 22, 900)
    assert first["meanSpeed"] == pytest.approx(64 * 1.609344)
    assert first["location"] == [54.0427801172768, -2.7690379732385]
    monday = [r for r in records if datetime.fromisoformat(r["timestamp"]).timestamp() < 1687215540 + 86400][:96]
    assert sum(r["flow"] / 4 for r in monday) == 40_042
    _, faults = read("webtris", data / "traffic")
    assert [f.message[:38] for f in faults.sample] == ["not a WebTRIS 15-minute report: no col"]


def test_webtris_periods_without_counts(tmp_path: Path, read: Read) -> None:
    """A broken sensor would be an empty motorway."""
    path = tmp_path / "r.csv"
    path.write_text(
        "SiteId,Report Date,Time Period Ending,Avg mph,Total Volume\n1,2023-01-01T00:00:00,00:14:00,,\n1,2023-01-01T00:00:00,00:29:00,60,8\n"
    )
    found, faults = read("webtris", path)
    assert len(found["traffic"]) == 1
    assert faults.skipped == {"a period in which the site counted nothing": 1}
    assert faults.notes == {"site without a known position": 1}


def test_aurn(data: Path, read: Read) -> None:
    """Wind would be a third of itself, missing values would be zero."""
    found, faults = read("aurn", data / "weather/london_aurn_aq_met_hourly_2009Q1Q3.csv.gz")
    records = found["weather"]
    assert faults.count == 0
    assert len(records) == len({r["id"] for r in records}) == 26_208
    assert Counter(r["station"] for r in records) == dict.fromkeys({r["station"] for r in records}, 6_552)
    first, second = records[:2]
    assert first["timestamp"] == "2009-01-01T00:00:00Z"
    assert first["windSpeed"] == pytest.approx(2.066666666666667 * 3.6)
    assert (first["nox_ugm3"], first["no2_ugm3"], first["pm25_ugm3"], first["pm10_ugm3"]) == (113, 46, 42, 46)
    assert not {"nox_ugm3", "no2_ugm3", "pm25_ugm3", "pm10_ugm3"} & set(second)
    assert second["visibility"] == 5000
    assert sum(min(r.get("pm10_ugm3", 0), r.get("pm25_ugm3", 0)) < 0 for r in records) == 12


def test_aurn_hours_stamped_24_or_with_their_start(tmp_path: Path, read: Read) -> None:
    """The day's last hour would be lost or land a day early."""
    path = tmp_path / "a.csv"
    path.write_text("date,site,nox\n2009-07-01 24:00:00,X,1\n2009-07-01 23:00:00,X,-9x\n")
    found, _ = read("aurn", path)
    assert [r["timestamp"] for r in found["weather"]] == ["2009-07-01T23:00:00Z", "2009-07-02T00:00:00Z"]
    assert found["weather"][0]["nox_ugm3"] == "-9x"
    found, _ = read("aurn", path, extra={"stamp": "start"})
    assert found["weather"][0]["timestamp"] == "2009-07-02T00:00:00Z"
    with pytest.raises(SourceError, match="start or its end"):
        read("aurn", path, extra={"stamp": "middle"})


def test_london_fire_brigade(data: Path, read: Read) -> None:
    """Incidents would lie streets away or an hour off in summer."""
    path = data / "incidents/lfb_animal_special_service_2009_2016.csv"
    found, faults = read("lfb", path)
    records = found["emergency"]
    assert faults.count == 0
    assert len(records) == len({r["id"] for r in records}) == 4_714
    with path.open(newline="") as lines:
        rows = {r["IncidentNumber"]: r for r in csv.DictReader(lines)}
    assert Counter(r["incidentId"] for r in records) == dict.fromkeys(rows, 1)
    assert {r["type"] for r in records} == {"Special Service"}
    assert all(49 < r["location"][0] < 52.5 and -1 < r["location"][1] < 1 for r in records)
    summer = next(r for r in records if "/07/2012" in rows[r["incidentId"]]["DateTimeOfCall"])
    wall = datetime.strptime(rows[summer["incidentId"]]["DateTimeOfCall"], "%d/%m/%Y %H:%M")
    assert (wall - datetime.fromisoformat(summer["timestamp"]).replace(tzinfo=None)).total_seconds() == 3600


def test_collisions_of_leeds(data: Path, read: Read) -> None:
    """Casualties of one collision would be taken for duplicates; times before ten past midnight would be lost."""
    path = data / "incidents/leeds_road_collisions_2016.csv"
    found, faults = read("stats19", path)
    records = found["emergency"]
    assert faults.count == 0
    assert len(records) == len({r["id"] for r in records}) == 2_549
    assert len({r["incidentId"] for r in records}) == 1_926
    assert Counter(r["severity"] for r in records) == {"Slight": 2_218, "Serious": 322, "Fatal": 9}
    assert not any("38" in r["description"] and "Male" in r["description"] for r in records)
    assert sum(faults.notes.values()) == 2  # 30 October 2016, between one and two
    first = next(r for r in records if r["incidentId"] == "2181280")
    assert first["timestamp"] == "2016-01-08T19:05:00Z"


def test_stats19(data: Path, read: Read) -> None:
    """Codes would be shown instead of words; other tables of the same release would be read as collisions."""
    paths = sorted((data / "incidents").glob("stats19_sample*.csv"))
    found, faults = read("stats19", *paths)
    assert len(found["emergency"]) == 8
    assert faults.count == 0
    assert sum(faults.skipped.values()) == 2
    record = next(r for r in found["emergency"] if r["incidentId"] == "20231700H1732")
    assert record["timestamp"] == "2023-09-30T13:55:00Z"
    assert (record["severity"], record["road"], record["description"]) == (
        "Slight",
        "B1277",
        "vehicles: 3; casualties: 2",
    )
    assert record["location"] == [54.660304, -1.209676]


def test_the_grid_agrees_with_published_positions(data: Path) -> None:
    """Incidents given on the British grid would lie beside the road."""
    path = data / "incidents/stats19_sample_dft-road-casualty-statistics-collision-2023.csv"
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    e, n, lat, lon = (
        pa.array([float(r[c]) for r in rows])
        for c in ("location_easting_osgr", "location_northing_osgr", "latitude", "longitude")
    )
    found = [np.asarray(v) for v in grid.wgs84(e, n)]
    assert metres(*found, np.asarray(lat), np.asarray(lon)).max() < 5
    off = grid.wgs84(pa.array([0.0, None, 9e9]), pa.array([0.0, 1.0, 1.0]))
    assert off[0].null_count == 3


def test_phone(data: Path, read: Read) -> None:
    """Fifty positions a second would collapse into one, or stand in another hour."""
    found, faults = read("phone", data / "telemetry/balzer_car_dresden_2014-03-26.csv")
    records = found["gps"]
    assert faults.count == 0
    assert len(records) == len({r["id"] for r in records}) == 10_800
    assert records[0]["timestamp"] == "2014-03-26T12:38:25.119146Z"
    assert (records[-1]["_due"] - records[0]["_due"]).total_seconds() == pytest.approx(10_800 / 50, rel=0.01)
    assert {r["vehicle_id"] for r in records} == {"balzer_car_dresden_2014-03-26"}
    assert (records[0]["accuracy_m"], records[0]["satellites"]) == (4.4, 5)
    fixes = list({tuple(r["location"]): r for r in records}.values())
    steps = [metres(*a["location"], *b["location"]) for a, b in pairwise(fixes)]
    mean_kmh = sum(steps) / (records[-1]["_due"] - records[0]["_due"]).total_seconds() * 3.6
    assert mean_kmh == pytest.approx(np.mean([r["speed"] for r in records]), rel=0.1)  # the unit is km/h


def test_phone_without_millis(tmp_path: Path, read: Read) -> None:
    """Logs that only have the receiver's clock could not be replayed."""
    path = tmp_path / "p.csv"
    path.write_text("date,time,latitude,longitude,speed\n260314,123825300,51,13,5\n260314,xx,51,13,5\n")
    found, faults = read("phone", path, extra={"device": "me"})
    assert found["gps"][0]["timestamp"] == "2014-03-26T12:38:25.300000Z"
    assert found["gps"][0]["_key"] == "me"
    assert [f.line for f in faults.sample] == [3]


def test_parquet(tmp_path: Path, read: Read) -> None:
    """A table from a warehouse could not be replayed."""
    times = pa.array(np.arange(100_000) * 1_000_000 + 1_500_000_000_000_000, pa.timestamp("us"))
    place = pa.StructArray.from_arrays(
        [pa.array(np.full(100_000, 51.5)), pa.array(np.full(100_000, -0.1))], ["lat", "lon"]
    )
    table = pa.table(
        {
            "car": pa.array(["c"] * 99_999 + [None]),
            "when": times,
            "at": place,
            "v": pa.array(np.arange(100_000, dtype=np.float32)),
            "on": pa.array([True] * 100_000),
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=20_000)
    (tmp_path / "m.yaml").write_text(
        "stream: gps\nfields: {vehicle_id: car, timestamp: when, location: {latitude: at.lat, longitude: at.lon}, speed: {column: v, unit: m/s}, on: on}\n"
    )
    found, faults = read("parquet", tmp_path / "a.parquet", map=tmp_path / "m.yaml")
    assert len(found["gps"]) == 99_999
    assert found["gps"][2]["speed"] == pytest.approx(7.2)
    assert found["gps"][2]["location"] == [51.5, -0.1]
    assert found["gps"][2]["on"] is True
    assert [f.line for f in faults.sample] == [100_000]
    raw = bytearray((tmp_path / "a.parquet").read_bytes())
    raw[1000:60_000] = b"\xaa" * 59_000
    (tmp_path / "b.parquet").write_bytes(raw)
    found, faults = read("parquet", tmp_path / "b.parquet", map=tmp_path / "m.yaml")
    assert 0 < len(found["gps"]) < 99_999
    assert len(found["gps"]) + faults.count >= 99_999
    (tmp_path / "c.parquet").write_bytes(b"PAR1 nonsense")
    assert read("parquet", tmp_path / "c.parquet", map=tmp_path / "m.yaml")[1].count == 1


def test_times() -> None:
    """Devices write times in many ways; each would be a quarantine of its own."""
    faults = Faults()
    texts = [
        "2024-01-01T10:00:00Z",
        "2024-01-01 10:00",
        "2024-07-01T10:00:00.123456789",
        "2024-01-01T10:00:00+02:00",
        "yesterday",
        None,
        "2024-13-01T00:00:00Z",
        "2024-01-01T24:00:00",
    ]
    found = columns.instants(pa.array(texts), "Europe/London", faults)
    assert [None if t is None else t.isoformat() for t in found.to_pylist()] == [
        "2024-01-01T10:00:00+00:00",
        "2024-01-01T10:00:00+00:00",
        "2024-07-01T09:00:00.123456+00:00",
        "2024-01-01T08:00:00+00:00",
        None,
        None,
        None,
        "2024-01-02T00:00:00+00:00",
    ]


@pytest.mark.parametrize(("wall", "utc", "note"), [
    ("2016-10-30 00:59:59", "2016-10-29T23:59:59+00:00", ""),
    ("2016-10-30 01:00:00", "2016-10-30T00:00:00+00:00", "twice"),
    ("2016-10-30 01:59:59", "2016-10-30T00:59:59+00:00", "twice"),
    ("2016-10-30 02:00:00", "2016-10-30T02:00:00+00:00", ""),
    ("2016-03-27 00:59:59", "2016-03-27T00:59:59+00:00", ""),
    ("2016-03-27 01:00:00", "2016-03-27T01:00:00+00:00", "does not exist"),
    ("2016-03-27 01:30:00", "2016-03-27T01:30:00+00:00", "does not exist"),
    ("2016-03-27 02:00:00", "2016-03-27T01:00:00+00:00", ""),
])  # fmt: skip
def test_the_hours_of_the_clock_change(wall: str, utc: str, note: str) -> None:
    """Incidents of those two nights would be an hour off, or lost."""
    faults = Faults()
    found = columns.instants(pa.array([wall]), "Europe/London", faults)
    assert found[0].as_py().isoformat() == utc
    assert [n for n in faults.notes if note in n or not note] == list(faults.notes)
    assert bool(faults.notes) == bool(note)


def test_numbers() -> None:
    """Texts that are no numbers would become numbers, or NaN that is no JSON."""
    texts = pa.array(["1", " 2.5 ", "+3", ".5", "1e3", "NaN", "inf", "0x10", "", None, "1,5"])
    assert columns.numbers(texts).to_pylist() == [1, 2.5, 3, 0.5, 1000, None, None, None, None, None, None]
