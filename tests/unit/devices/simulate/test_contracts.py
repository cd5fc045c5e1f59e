"""All that the simulator sends fits the contracts, and the pictures are pictures."""

from __future__ import annotations

import base64
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest
from PIL import Image

from watling.contracts import builtin_contracts
from watling.contracts.records import RECORDS
from watling.devices.simulate import FleetOptions, Simulation
from watling.devices.simulate.roads import load_roads
from watling.errors import UsageError
from watling.pipeline.plan import shape

from .conftest import START, collect

CLIPS = Path(__file__).resolve().parents[5] / "shared/data/cameras"


def test_every_record_fits_its_contract() -> None:
    """If this fails, the demo fills quarantine."""
    options = FleetOptions(vehicles=300, seed=11, start=START, duration=timedelta(seconds=90), incident_rate=200)
    counts = dict.fromkeys(builtin_contracts(), 0)
    for batch in Simulation(options).batches():
        n = len(batch.records)
        records = pa.table(
            {
                "value": batch.records["value"].cast(pa.large_binary()),
                "key": batch.records["key"].cast(pa.large_binary()),
                "headers": pa.nulls(n, RECORDS.field("headers").type),
                "_kafka_partition": pa.array(np.zeros(n, np.int32)),
                "_kafka_offset": pa.array(np.arange(n)),
                "_ingested_at": batch.records["due"],
            },
            schema=RECORDS,
        )
        contract = builtin_contracts()[batch.stream]
        shaped = shape(records, contract)
        bad = shaped.filter(pa.compute.is_valid(shaped["_reason"]))
        assert len(bad) == 0, bad.select(["_reason", "_field", "_message"]).slice(0, 3).to_pylist()
        for name in ("latitude", "longitude"):
            assert shaped[name].null_count == 0
        counts[batch.stream] += n
        key = shaped[contract.key].cast(pa.large_binary()).to_pylist()
        assert key == batch.records["key"].to_pylist()
    assert all(counts.values()), counts


def test_pictures_show_what_is_counted(city: dict[str, list[dict[str, Any]]]) -> None:
    """If this fails, a camera's tile is broken, or its count is not what it saw."""
    assert len({r["camera_id"] for r in city["traffic"]}) == 45
    for record in city["traffic"][::7]:
        data = base64.b64decode(record["snapshot"])
        picture = Image.open(io.BytesIO(data))
        picture.load()
        assert (picture.format, picture.size) == ("JPEG", (352, 288))
        assert len(data) < 40_000
    assert sum(r["cars"] + r["trucks"] for r in city["traffic"]) > 20
    assert any(r["flow"] > 0 for r in city["traffic"])


def test_more_vehicles_change_the_picture() -> None:
    """If this fails, pictures show an empty road whatever drives there."""
    from watling.devices.simulate.cameras import Seen, View, load_cameras
    from watling.devices.simulate.pictures import draw
    from watling.devices.simulate.roads import Network

    camera = load_cameras(Network(load_roads()))[0]
    empty = View((), 0, 0, 0.0, None, 0.0)
    full = View(tuple(Seen(float(d), d % 3, 0, d % 2 == 0) for d in range(0, 400, 40)), 10, 0, 0.0, None, 0.0)
    night = START.replace(hour=23)
    assert (
        len(
            {draw(camera, view, when, rain) for view in (empty, full) for when in (START, night) for rain in (0.0, 4.0)}
        )
        == 8
    )


def test_weather_moves(city: dict[str, list[dict[str, Any]]]) -> None:
    """If this fails, it rains at the same place for ever."""
    from watling.devices.simulate.weather import Weather, load_stations

    weather, stations = Weather(1, 0.3), load_stations()
    lat, lon = [s.latitude for s in stations], [s.longitude for s in stations]
    hours = np.asarray([weather.rain_mmh(lat, lon, 1.8e9 + 600 * k) for k in range(6 * 24 * 20)])
    assert 0.2 < (hours > 0).mean() < 0.4
    west, east = np.argmin(lon), np.argmax(lon)
    lag = [np.corrcoef(hours[: len(hours) - k, west], hours[k:, east])[0, 1] for k in range(24)]
    assert 4 <= int(np.argmax(lag)) <= 23  # what rains in the west comes to the east an hour or more later
    assert len({r["station"] for r in city["weather"]}) == len(stations)


def test_frames_from_recorded_films(tmp_path: Path) -> None:
    """If this fails, --clips shows no film, or does not say what is missing."""
    pytest.importorskip("av", reason="needs the extra clips (PyAV)")
    with pytest.raises(UsageError, match="no film"):
        next(Simulation(FleetOptions(vehicles=5, start=START, clips=tmp_path)).batches())
    if not CLIPS.is_dir():
        pytest.skip("needs the recordings in ../shared/data")
    records = collect(FleetOptions(vehicles=5, start=START, duration=timedelta(seconds=30), clips=CLIPS))["traffic"]
    picture = Image.open(io.BytesIO(base64.b64decode(records[0]["snapshot"])))
    assert picture.size == (352, 288)


@pytest.mark.parametrize(
    "wrong", [{"vehicles": 0}, {"rate": 0}, {"late_rate": 2}, {"seed": -1}, {"duration": timedelta(0)}]
)
def test_wrong_options_are_said(wrong: dict[str, Any]) -> None:
    """If this fails, a slip of the hand starts an endless or empty run."""
    with pytest.raises(UsageError, match=next(iter(wrong))):
        FleetOptions(**wrong)
