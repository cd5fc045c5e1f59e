"""Made-up city data in the shape that the pipeline's steps give it, for tests of the page and for looking at it."""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.conftest import free_port
from tests.integration.dashboard.lake_page import served_app
from tests.integration.small_lake import SmallLake
from watling.config import PageConfig, Settings
from watling.contracts import builtin_contracts
from watling.dashboard import HotState, create_app, serve
from watling.dashboard.serve import address

PA_TYPES = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
CONTRACTS = builtin_contracts()


def shaped(stream: str, rows: list[dict[str, Any]], *, at_ms: int | None = None, offset: int = 0) -> pa.Table:
    """A shaped batch. A row's keys are columns; `_reason` makes it a bad one; `value` is its raw record."""
    at_ms = int(time.time() * 1000) if at_ms is None else at_ms
    count = len(rows)
    columns: dict[str, pa.Array] = {
        "value": pa.array([r.get("value", b"{}") for r in rows], pa.large_binary()),
        "key": pa.nulls(count, pa.large_binary()),
        "_kafka_partition": pa.array([0] * count, pa.int32()),
        "_kafka_offset": pa.array(range(offset, offset + count), pa.int64()),
        "_ingested_at": pa.array([r.get("_ingested_ms", at_ms) * 1000 for r in rows], pa.int64()).cast(
            PA_TYPES["timestamp"]
        ),
    }
    for field in CONTRACTS[stream].fields:
        values = [r.get(field.name) for r in rows]
        if field.type == "timestamp":
            micros = [None if "_reason" in r else r.get("event_ms", at_ms) * 1000 for r in rows]
            columns[field.name] = pa.array(micros, pa.int64()).cast(PA_TYPES["timestamp"])
        else:
            columns[field.name] = pa.array(values, PA_TYPES[field.type])
    for name in ("_reason", "_field", "_message"):
        columns[name] = pa.array([r.get(name) for r in rows], pa.string())
    return pa.table(columns)


ROUTE = [  # M1 -> M6, a few points: enough for a test to move along
    (51.6003, -0.2335), (51.7480, -0.4122), (51.8827, -0.4917), (52.0399, -0.6935), (52.2303, -0.9351),
    (52.3943, -1.1722), (52.4300, -1.4800), (52.5100, -1.7300), (52.5150, -1.8600),
]  # fmt: skip


class MadeUpCity:
    """A feed: vehicles on the London–Birmingham route, cameras, weather stations, incidents and some bad records."""

    def __init__(self, vehicles: int = 400, route: list[tuple[float, float]] = ROUTE, hz: float = 1.0) -> None:
        self.vehicles, self.hz = vehicles, hz
        self.route = np.array(route)
        self.stop_flag = threading.Event()
        self.landed = dict.fromkeys(CONTRACTS, 0)
        self.bad = dict.fromkeys(CONTRACTS, 0)
        self.offset = 0
        random = np.random.default_rng(7)
        self.random = random
        self.progress = random.random(vehicles)
        self.speed = random.normal(96, 18, vehicles).clip(8, 128)
        self.way = random.choice([-1, 1], vehicles)
        self.side = random.normal(0, 0.02, (vehicles, 2)) * (random.random(vehicles) < 0.35)[:, None]

    def start(self, hot: HotState) -> None:
        self.thread = threading.Thread(target=self._run, args=(hot,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.stop_flag.set()
        self.thread.join(5)

    def _run(self, hot: HotState) -> None:
        tick = 0
        while not self.stop_flag.wait(1 / self.hz):
            self.step(hot, tick)
            tick += 1

    def step(self, hot: HotState, tick: int) -> None:
        metres = self.speed / 3.6 / self.hz
        self.progress = (self.progress + self.way * metres / 173_000) % 1.0
        self.speed = (self.speed + self.random.normal(0, 2, self.vehicles)).clip(0, 130)
        ends = self.progress * (len(self.route) - 1)
        at = ends.astype(int)
        share = (ends - at)[:, None]
        place = self.route[at] * (1 - share) + self.route[np.minimum(at + 1, len(self.route) - 1)] * share + self.side
        ahead = self.route[np.minimum(at + 1, len(self.route) - 1)] - self.route[at]
        heading = np.degrees(np.arctan2(ahead[:, 1] * math.cos(math.radians(52)), ahead[:, 0]))
        heading = np.where(self.way > 0, heading, heading + 180) % 360
        makes = [("Ford", "Transit"), ("Tesla", "Model 3"), ("Volvo", "FH16"), ("Toyota", "Prius"), ("BMW", "320d")]
        fuels = ["Diesel", "Electric", "Petrol", "Hybrid"]
        kinds = ["Car", "Van", "Truck", "Bus"]
        rows = [
            {
                "id": f"{i}-{tick}", "vehicle_id": f"WAT-{i:05d}", "latitude": float(place[i, 0]), "longitude": float(place[i, 1]),
                "speed_kmh": float(self.speed[i]), "heading_deg": float(heading[i]), "make": makes[i % 5][0],
                "model": makes[i % 5][1], "fuel_type": fuels[i % 4], "vehicle_type": kinds[(i // 3) % 4], "year": 2015 + i % 11,
                "direction": "North-East",
            }
            for i in range(self.vehicles) if (i % 37 or tick < 5)
        ]  # fmt: skip
        self._give(hot, "vehicle", rows)
        self._give(
            hot,
            "gps",
            [
                {k: r[k] for k in ("id", "vehicle_id", "latitude", "longitude", "speed_kmh", "heading_deg")}
                for r in rows[::2]
            ],
        )
        cameras = [
            {
                "id": f"c{i}-{tick}",
                "camera_id": f"JAM-{i:03d}",
                "latitude": float(self.route[i % 9][0] + 0.02),
                "longitude": float(self.route[i % 9][1]),
                "cars": float(self.random.integers(0, 40)),
                "trucks": 3.0,
                "persons": 1.0,
                "mean_speed_kmh": 88.0,
            }
            for i in range(9)
        ]
        self._give(hot, "traffic", cameras[tick % 9 :][:2])
        sky = ["Clear", "Clouds", "Rain", "Fog"]
        weather = [
            {
                "id": f"w{i}-{tick}",
                "vehicle_id": f"WX-{i}",
                "station": f"Station {i}",
                "latitude": float(self.route[i][0]),
                "longitude": float(self.route[i][1] - 0.1),
                "temperature_c": 8.0 + i / 2,
                "weather_condition": sky[i % 4],
                "wind_speed_kmh": 14.0,
                "humidity_pct": 70.0,
                "air_quality_index": 40.0 + i,
            }
            for i in range(9)
        ]
        self._give(hot, "weather", weather if tick % 5 == 0 else [])
        kinds = ["Accident", "Fire", "Medical", "Breakdown", "Flood"]
        incidents = [
            {
                "id": f"e{i}-{tick}",
                "incident_id": f"INC-{i:04d}",
                "type": kinds[i % 5],
                "status": "Active" if i % 3 else "Resolved",
                "latitude": float(self.route[i % 9][0] + 0.03),
                "longitude": float(self.route[i % 9][1] + 0.05),
                "description": [
                    "Two cars, lane 2 closed",
                    "Vehicle fire on the hard shoulder",
                    "Person unwell",
                    "Lorry with a burst tyre",
                    "Standing water",
                ][i % 5],
                "road": "M1",
            }
            for i in range(14)
        ]
        if tick % 10 == 0:
            self._give(hot, "emergency", incidents)
        if tick % 2 == 0:
            raw = json.dumps(
                {
                    "id": f"b{tick}",
                    "vehicle_id": "WAT-00007",
                    "timestamp": "now",
                    "location": [51.5, -0.1],
                    "speed": 512,
                }
            )
            self._give(hot, "vehicle", [
                {"value": raw.encode(), "_reason": "out_of_range", "_field": "speed_kmh", "_message": "speed 512 is above 400 km/h: mend the device or widen the contract"},
                {"value": b"{\"id\": ", "_reason": "not_json", "_message": "the record ends inside an object: the producer cut it off"},
            ])  # fmt: skip
            self._give(hot, "weather", [{"value": b"", "_reason": "empty", "_message": "the record has no bytes"}])

    def _give(self, hot: HotState, stream: str, rows: list[dict[str, Any]]) -> None:
        if rows:
            hot.apply(stream, shaped(stream, rows, offset=self.offset))
            self.offset += len(rows)
            bad = sum("_reason" in r for r in rows)
            self.bad[stream] += bad
            self.landed[stream] += len(rows) - bad

    def read(self) -> dict[str, Any]:
        """The status of a lake that has all of it after half a second."""
        return {
            "streams": {
                name: {"landed": self.landed[name], "quarantined": self.bad[name], "duplicates": 0, "lag_records": 12, "lag_seconds": 0.4, "freshness_seconds": 1.2, "last_commit": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
                for name in CONTRACTS
            },
            "broker": {"running": True}, "pipeline": {"running": True},
        }  # fmt: skip


@contextmanager
def served(city: MadeUpCity, port: int = 0) -> Iterator[tuple[str, MadeUpCity]]:
    """The page over a made-up city in a thread of this process, at the address given; its lake has tables and no row."""
    with tempfile.TemporaryDirectory(prefix="watling-city-") as home:
        settings = SmallLake(Path(home), tuple(CONTRACTS), page={"port": port or free_port()}).settings
        app = create_app(settings, contracts=CONTRACTS, status=city, feeds=[city])
        with served_app(settings, app):
            yield address(settings), city


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8699)
    parser.add_argument("--vehicles", type=int, default=400)
    parser.add_argument("--hz", type=float, default=1.0)
    parser.add_argument("--route", type=Path, help="a GeoJSON with a line to drive along")
    options = parser.parse_args()
    route = ROUTE
    if options.route:
        lines = json.loads(options.route.read_text())["features"]
        line = next(f for f in lines if f["properties"]["route"].startswith("M1"))
        route = [(lat, lon) for lon, lat in line["geometry"]["coordinates"]]
    city = MadeUpCity(options.vehicles, route, options.hz)
    settings = Settings(page=PageConfig(port=options.port))
    serve(settings, contracts=CONTRACTS, status=city, feeds=[city], ready=print)


if __name__ == "__main__":
    main()
