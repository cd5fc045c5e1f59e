"""Recordings in formats of one's own: CSV and NDJSON by a mapping file."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from watling.devices.sources import SourceError
from watling.devices.sources.mapping import MappingError, load

from .conftest import Read

MAP = """\
stream: vehicle
timezone: Europe/London
fields:
  vehicle_id: car
  timestamp: {column: when, format: "%d/%m/%Y %H:%M"}
  speed: {column: spd, unit: mph}
  location: {latitude: lat, longitude: lon}
  make: {value: Ford}
"""
CSV = """\
car,when,spd,lat,lon
A1,01/07/2020 10:00,10,51.5,-0.1
"A,2",30/10/2016 01:30,fast,51.5,-0.1
A3,29/03/2020 01:30,,xx,-0.1
A4,nope,1,2,3
A5,1
,01/07/2020 10:00,10,51.5,-0.1
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "map.yaml"
    path.write_text(MAP)
    return path


def test_csv_by_a_mapping(tmp_path: Path, rules: Path, read: Read) -> None:
    """Columns would land under the wrong name, unit or hour."""
    path = tmp_path / "a.csv"
    path.write_text(CSV)
    found, faults = read("csv", path, map=rules)
    by_car = {r["vehicle_id"]: r for r in found["vehicle"]}
    assert list(by_car) == ["A,2", "A3", "A1"]  # in order of time
    assert by_car["A1"]["timestamp"] == "2020-07-01T09:00:00Z"
    assert by_car["A1"]["speed"] == pytest.approx(16.09344)
    assert by_car["A1"]["location"] == [51.5, -0.1]
    assert by_car["A1"]["make"] == "Ford"
    assert by_car["A,2"]["speed"] == "fast"  # sent as it stands: quarantine names it
    assert by_car["A3"]["location"] == ["xx", -0.1]
    assert "speed" not in by_car["A3"]
    assert by_car["A,2"]["timestamp"] == "2016-10-30T00:30:00Z"  # happened twice: the first
    assert by_car["A3"]["timestamp"] == "2020-03-29T01:30:00Z"  # never happened: 02:30 on the wall
    assert {f.line: f.message for f in faults.sample} == {
        5: "time 'nope' cannot be read",
        6: "2 columns where the header has 5",
        7: "no vehicle_id",
    }
    assert faults.count == 3
    assert sum(faults.notes.values()) == 2


@pytest.mark.parametrize("packed", ["gz", "zip"])
def test_compressed_files_are_read_as_they_are(tmp_path: Path, rules: Path, read: Read, packed: str) -> None:
    """The user would have to unpack by hand."""
    path = tmp_path / f"a.csv.{packed}"
    if packed == "gz":
        path.write_bytes(gzip.compress(CSV.encode()))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("b/a.csv", CSV)
            archive.writestr("readme.md", "no table")
    found, faults = read("csv", path, map=rules)
    assert len(found["vehicle"]) == 3
    assert faults.count == 3


def test_a_truncated_gzip_keeps_what_can_be_read(tmp_path: Path, rules: Path, read: Read) -> None:
    """A broken download would give nothing, or end the replay of the files after it."""
    rows = "car,when,spd,lat,lon\n" + "".join(f"A{i},01/07/2020 10:00,{i},51.{i},-0.1\n" for i in range(50_000))
    packed = gzip.compress(rows.encode())
    (tmp_path / "a.csv.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "b.csv").write_text(CSV)
    found, faults = read("csv", tmp_path, map=rules)
    assert 5_000 < len(found["vehicle"]) < 50_000
    assert {"A1", "A3"} <= {r["vehicle_id"] for r in found["vehicle"]}
    assert any("cannot be read further" in f.message and f.line > 5_000 for f in faults.sample)


def test_a_bomb_is_not_unpacked(tmp_path: Path, rules: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file would fill the machine."""
    monkeypatch.setattr("watling.devices.sources.files.FREE", 1_000_000)
    monkeypatch.setattr("watling.devices.sources.files.MAX_RATIO", 10)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"car,when,spd,lat,lon\n" + b"A1,01/07/2020 10:00,1,51.5,-0.1\n" * 1_000_000))
    found, faults = read("csv", path, map=rules)
    assert len(found.get("vehicle", [])) < 100_000
    assert "compressed size" in faults.sample[-1].message


def test_hostile_lines(tmp_path: Path, rules: Path, read: Read) -> None:
    """One odd line would shift or hide its neighbours."""
    good = b"A%d,01/07/2020 10:00,1,51.5,-0.1\n"
    parts = [
        b"\xef\xbb\xbfcar,when,spd,lat,lon\n",
        good % 1,
        b'A2,"01/07/2020 10:00,1,51.5,-0.1\n',
        good % 3,
        b"\n\n",
        good % 4,
        b"\xff\xfe,1,2,3,4\n",
        good % 5,
        b"A\x006,01/07/2020 10:00,1,2,3\n",
    ]
    parts += [
        b'"A\n7",01/07/2020 10:00,1,2,3\n',
        good % 8,
        b"x" * 5_000_000 + b"\n",
        good % 9,
        b"\xff" + good % 10,
        b"A11,01/07/2020 10:00,1,51.5,-0.1",
    ]
    path = tmp_path / "a.csv"
    path.write_bytes(b"".join(parts))
    found, faults = read("csv", path, map=rules)
    assert {r["vehicle_id"] for r in found["vehicle"]} == {"A1", "A3", "A4", "A5", "A\x006", "A\n7", "A8", "A9", "A11"}
    assert {f.line for f in faults.sample} == {3, 8, 14, 16}
    assert faults.count == 4


def test_crlf_and_delimiters(tmp_path: Path, read: Read) -> None:
    """A file from a spreadsheet in Germany would not read."""
    (tmp_path / "m.yaml").write_text(
        'stream: gps\ndelimiter: ";"\nencoding: latin-1\nfields: {vehicle_id: Gerät, timestamp: {column: t, epoch: ms}, route: r}\n'
    )
    path = tmp_path / "a.csv"
    path.write_bytes("Gerät;t;r\r\nb1;1500000000123;Süd\r\n".encode("latin-1"))
    found, faults = read("csv", path, map=tmp_path / "m.yaml")
    assert faults.count == 0
    assert found["gps"][0]["route"] == "Süd"
    assert found["gps"][0]["timestamp"] == "2017-07-14T02:40:00.123000Z"


def test_a_mapping_reports_all_its_faults(tmp_path: Path) -> None:
    """The user would correct one fault a run."""
    path = tmp_path / "m.yaml"
    path.write_text(
        "stream: gps\nfield: 3\ntimezone: Mars/Base\nfields: {speed: {column: s, unit: parsec}, location: {latitude: a}, x: 7}\n"
    )
    with pytest.raises(MappingError) as error:
        load(path)
    text = str(error.value)
    for part in (
        "field: unknown",
        "Mars/Base",
        "parsec",
        "latitude and longitude come together",
        "x: must be",
        "no timestamp",
        "key:",
    ):
        assert part in text
    path.write_text("{")
    with pytest.raises(MappingError, match=r"m\.yaml"):
        load(path)


def test_missing_columns_are_named(tmp_path: Path, rules: Path, read: Read) -> None:
    """A renamed column would be silently empty."""
    path = tmp_path / "a.csv"
    path.write_text("car,when,lat,lon\nA1,01/07/2020 10:00,51.5,-0.1\n")
    found, faults = read("csv", path, map=rules)
    assert len(found["vehicle"]) == 1
    assert "no column spd" in faults.sample[0].message
    path.write_text("car,lat,lon\nA1,51.5,-0.1\n")
    assert read("csv", path, map=rules)[0] == {}


def test_wire_records_go_out_byte_for_byte(tmp_path: Path, read: Read) -> None:
    """A recording of the tutorial's producers would not be what they sent."""
    from watling.devices.replay import replay

    lines = [
        b'{"id": "x1",  "vehicle_id":"v1","timestamp":"2024-01-01T10:00:01","location":"(51.5, -0.12)","speed":"33"}',
        b'{"deviceId":"x2","time":"2024-01-01T10:00:00Z","speed":1e3}',
    ]
    path = tmp_path / "vehicle_data.ndjson"
    path.write_bytes(
        b"\n".join([lines[0], b"not json", b"[1]", b"", lines[1], b'{"vehicle_id":"v"}', b"\xff{}", b"[" * 100_000])
    )
    batches = list(replay("ndjson", [path], speed="max"))
    assert [v for b in batches for v in b.records["value"].to_pylist()] == [lines[1], lines[0]]
    assert [k for b in batches for k in b.records["key"].to_pylist()] == [b"x2", b"v1"]
    _, faults = read("ndjson", path)
    assert sorted(f.line for f in faults.sample) == [2, 3, 6, 7, 8]


def test_ndjson_by_a_mapping(tmp_path: Path, read: Read) -> None:
    """Nested records of another system could not be replayed."""
    (tmp_path / "m.yaml").write_text(
        "stream: gps\nfields: {vehicle_id: dev.id, timestamp: {column: ts, epoch: s}, location: {latitude: pos.1, longitude: pos.0}, speed: {column: v, unit: m/s}, route: line}\n"
    )
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps({"dev": {"id": "d1"}, "ts": 1500000000.25, "pos": [-0.1, 51.5], "v": 10, "line": "9"}) + "\n"
    )
    found, faults = read("ndjson", path, map=tmp_path / "m.yaml")
    assert faults.count == 0
    record = found["gps"][0]
    assert record["speed"] == 36
    assert record["location"] == [51.5, -0.1]
    assert record["timestamp"] == "2017-07-14T02:40:00.250000Z"
    assert record["_key"] == "d1"


def test_trip_ends_of_any_car_can_be_trimmed(data: Path, tmp_path: Path, read: Read) -> None:
    """Only enviroCar's drivers would have their homes kept off the map."""
    rows = "".join(f"{c},{1_500_000_000 + i},{51 + i / 1000 + c},0\n" for c in (1, 2) for i in range(100))
    (tmp_path / "a.csv").write_text("car,t,lat,lon\n" + rows)
    fields = "{vehicle_id: car, timestamp: {column: t, epoch: s}, location: {latitude: lat, longitude: lon}}"
    (tmp_path / "m.yaml").write_text(f"stream: gps\nfields: {fields}\n")
    found, faults = read("csv", tmp_path / "a.csv", map=tmp_path / "m.yaml", trim_ends=500)
    assert len(found["gps"]) == 2 * 90  # a step is 111 m: five points at each end
    assert sum(faults.skipped.values()) == 20
    with pytest.raises(SourceError, match="no trips"):
        read("jamcam", data / "cameras", trim_ends=500)
    (tmp_path / "gps.ndjson").write_text('{"vehicle_id":"v","timestamp":"2024-01-01T00:00:00Z"}\n')
    with pytest.raises(SourceError, match="give --map"):
        read("ndjson", tmp_path / "gps.ndjson", trim_ends=500)
    phone = data / "telemetry/balzer_car_dresden_2014-03-26.csv"
    assert 0 < len(read("phone", phone, trim_ends=100)[0]["gps"]) < 10_800


def test_what_cannot_be_is_said(tmp_path: Path, read: Read) -> None:
    """The user would see a traceback."""
    (tmp_path / "x.ndjson").write_text("{}\n")
    (tmp_path / "x.csv").write_text("a\n1\n")
    for source, path, part in (
        ("csv", tmp_path / "x.csv", "--map"),
        ("ndjson", tmp_path / "x.ndjson", "which stream"),
        ("ndjson", tmp_path / "nowhere", "no such file"),
        ("teapot", tmp_path, "there is no source"),
    ):
        with pytest.raises(SourceError, match=part):
            read(source, path)
