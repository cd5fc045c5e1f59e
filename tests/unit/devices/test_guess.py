"""Drafting a mapping: what the draft says must replay."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from watling.devices.guess import guess
from watling.devices.replay import replay
from watling.devices.sources import Faults, SourceError

DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.parametrize(
    ("file", "stream", "own", "rows"),
    [
        ("telemetry/envirocar_2017_main.csv.gz", "vehicle", "envirocar", 32_764),
        ("cameras/jamcam_hourly_counts_20190726_20190807.csv.gz", "traffic", "jamcam", 243_128),
        ("weather/london_aurn_aq_met_hourly_2009Q1Q3.csv.gz", "weather", "aurn", 26_208),
        ("incidents/lfb_animal_special_service_2009_2016.csv", "emergency", "lfb", 4_714),
        ("telemetry/balzer_car_dresden_2014-03-26.csv", "gps", "phone", 10_800),
    ],
)
def test_drafts_of_real_files_replay(tmp_path: Path, file: str, stream: str, own: str, rows: int) -> None:
    """The user would start from a draft that does not run."""
    if not DATA.is_dir():
        pytest.skip(f"the recordings are not here: {DATA}")
    draft = guess(DATA / file)
    assert (draft.source, draft.stream) == ("csv", stream)
    assert f"watling replay {own} " in draft.text
    assert set(draft.missing) <= {"vehicle_id"}
    (tmp_path / "m.yaml").write_text(draft.text)
    faults = Faults()
    batches = replay("csv", [DATA / file], speed="max", map=tmp_path / "m.yaml", faults=faults)
    assert sum(len(b.records) for b in batches) == rows
    assert faults.count == 0


def test_units_dates_and_doubts(tmp_path: Path) -> None:
    """A draft that hides its doubts would be believed."""
    path = tmp_path / "a.csv"
    path.write_text("Reg;Date;Time;Lat;Long;Speed (mph);Temp [°F]\nAB1;03/04/2024;10:00;51.5;-0.1;30;50\n")
    text = guess(path).text
    assert 'delimiter: ";"' in text
    assert 'timestamp: {columns: [Date, Time], format: "%d/%m/%Y %H:%M"}  # day before month?' in text
    assert 'speed: {column: "Speed (mph)", unit: "mph"}' in text
    assert "location: {latitude: Lat, longitude: Long}" in text
    assert "timezone: UTC  # the times carry no zone" in text
    (tmp_path / "m.yaml").write_text(text)
    found = [b.records["value"][0].as_py() for b in replay("csv", [path], speed="max", map=tmp_path / "m.yaml")]
    assert b'"timestamp":"2024-04-03T10:00:00Z"' in found[0]
    assert b'"speed":48.28032' in found[0]


def test_ndjson_and_parquet(tmp_path: Path) -> None:
    """Formats other than CSV would have to be mapped from nothing."""
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"dev":{"deviceId":"d1"},"ts":1500000000123,"pos":{"lat":51.5,"lng":-0.1},"speed_mph":10}\nbroken\n'
    )
    draft = guess(path)
    assert (draft.source, draft.stream, draft.missing) == ("ndjson", "gps", ()) or draft.stream == "vehicle"
    for part in (
        "vehicle_id: dev.deviceId",
        "timestamp: {column: ts, epoch: ms}",
        "location: {latitude: pos.lat, longitude: pos.lng}",
        'unit: "mph"',
    ):
        assert part in draft.text
    table = pa.table(
        {"station": ["s"], "when": pa.array([0], pa.timestamp("us", "UTC")), "temp": [1.0], "humidity": [2.0]}
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    draft = guess(tmp_path / "a.parquet")
    assert (draft.source, draft.stream, draft.missing) == ("parquet", "weather", ())
    path = tmp_path / "wire.ndjson"
    path.write_text('{"id":"1","vehicle_id":"d1","timestamp":"2024-01-01T00:00:00Z","speed":3}\n')
    assert "byte for byte" in guess(path).text


def test_what_is_no_recording(tmp_path: Path) -> None:
    """The user would see a traceback."""
    for name, content in (
        ("a.csv", b"no table here\n"),
        ("b.csv", b"a,b\n"),
        ("c.json", b"{broken\n"),
        ("d.parquet", b"PAR1"),
        ("e.csv", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError):
            guess(tmp_path / name)
