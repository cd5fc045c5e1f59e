"""Receives a number of rows; prints how long each of the page's answers about the past takes over a lake of that many.

The lake is written by Watling's own writer and committer: a day of event time, five streams, a file for every quarter of a
million rows. Each question is asked with a range that differs by a few milliseconds, so that none is answered from memory,
over the whole day and over the last 15 minutes. Time is that of the whole request inside the server, without a network.
An answer that the page's own limit stopped (`page.query_timeout_s`) is printed as `stopped`.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h3ronpy
import httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fastapi.testclient import TestClient
from h3ronpy.vector import coordinates_to_cells

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.integration.small_lake import NOON, SmallLake
from watling.dashboard import create_app
from watling.lake.commit import Batch
from watling.lake.state import PartitionDelta
from watling.lake.write import write_rows

SHARES = {"vehicle": 0.5, "gps": 0.4, "weather": 0.05, "traffic": 0.03, "emergency": 0.02}
AT_ONCE = 3  # as web/src/state/history.svelte.ts has it
FILE_ROWS = 250_000
DAY_S = 82_800  # of one UTC day that begins at midnight
VEHICLES = 10_000
MIDNIGHT_US = int(NOON.timestamp() // 86_400 * 86_400 * 1_000_000)


class NoStatus:
    def read(self) -> dict[str, Any]:
        return {}


def picked(random: np.random.Generator, values: list[str | None], count: int) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(random.integers(0, len(values), count)))


def named(what: str, numbers: np.ndarray[Any, Any]) -> pa.Array:
    return pc.binary_join_element_wise(what, pa.array(numbers).cast(pa.string()), "")


def rows(random: np.random.Generator, stream: str, start: int, count: int, total: int) -> pa.Table:
    """Rows `start` to `start + count` of `total`, spread evenly over the day, in order of time."""
    vehicle = random.integers(0, VEHICLES, count)
    event = MIDNIGHT_US + ((start + np.arange(count)) * (DAY_S * 1_000_000 / total)).astype(np.int64)
    along = (vehicle % 1000) / 1000 + random.random(count) * 0.05
    latitude, longitude = 51.5 + along, -0.1 - along * 1.7 + random.normal(0, 0.01, count)
    cells = h3ronpy.cells_to_string(coordinates_to_cells(pa.array(latitude), pa.array(longitude), 9))
    stamps = pa.array(event, pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "id": named(f"{stream}-", np.arange(start, start + count)),
            "vehicle_id": pa.array(f"WAT-{v:05d}" for v in range(VEHICLES)).take(pa.array(vehicle)),
            "event_time": stamps,
            "latitude": latitude,
            "longitude": longitude,
            "h3": pa.array(cells).cast(pa.string()),
            "speed_kmh": np.round(np.clip(random.normal(80, 25, count), 0, 160), 1),
            "heading_deg": np.round(random.random(count) * 360, 1),
            "make": picked(random, ["BMW", "Kia", "Tesla", "Ford", "Audi", "Nissan"], count),
            "fuel_type": picked(random, ["Petrol", "Diesel", "Electric", "Hybrid"], count),
            "vehicle_type": picked(random, ["Car", "Bus", "Van", "Lorry"], count),
            "route": picked(random, [f"M{i}" for i in range(1, 25)] + [None], count),
            "incident_id": named("i", np.arange(start, start + count) // 4),
            "type": picked(random, ["Fire", "Medical", "Accident", "Police"], count),
            "status": picked(random, ["Reported", "Attending", "Resolved", "Active"], count),
            "camera_id": named("c", vehicle % 200),
            "cars": random.integers(0, 40, count).astype(float),
            "temperature_c": random.normal(10, 5, count),
            "humidity_pct": random.random(count) * 100,
            "wind_speed_kmh": random.random(count) * 60,
            "precipitation_mm": random.random(count),
            "weather_condition": picked(random, ["Rain", "Clear", "Cloud", "Fog"], count),
            "_kafka_generation": pa.array(np.zeros(count), pa.int32()),
            "_kafka_partition": pa.array(np.zeros(count), pa.int32()),
            "_kafka_offset": pa.array(np.arange(start, start + count)),
            "_ingested_at": stamps,
        }
    )


def fill(lake: SmallLake, total: int) -> None:
    random = np.random.default_rng(1)
    for stream, share in SHARES.items():
        wanted = max(1, int(total * share))
        names = set(lake.committer.table(stream).schema().column_names)
        for start in range(0, wanted, FILE_ROWS):
            count = min(FILE_ROWS, wanted - start)
            made = rows(random, stream, start, count, wanted)
            files = write_rows(lake.committer.table(stream), made.select([c for c in made.column_names if c in names]))
            delta = PartitionDelta(start, start + count, landed=count)
            result = lake.committer.commit([Batch(stream, 0, {0: delta}, files, None)])[stream]
            if isinstance(result, Exception):
                raise result


def asked(client: TestClient, path: str, times: int, start_ms: int, end_ms: int, **more: Any) -> list[float]:
    """Seconds of each asking, sorted."""
    took = []
    for i in range(times):
        query = {"from": start_ms, "to": end_ms - i - zlib.crc32(path.encode()) % 100 * 10, **more}
        if "at" in more:
            query["at"] = more["at"] - i * 250
        begun = time.perf_counter()
        answer = client.get(path, params=query)
        took.append(seconds(answer, begun))
    return sorted(took)


def seconds(answer: httpx.Response, begun: float) -> float:
    """Since it was asked; endless where the limit stopped it."""
    if answer.status_code == httpx.codes.GATEWAY_TIMEOUT:
        return math.inf
    answer.raise_for_status()
    return time.perf_counter() - begun


def together(client: TestClient, paths: list[str], times: int, start_ms: int, end_ms: int) -> list[float]:
    """Seconds until all paths have answered, asked as one viewer's page asks them: AT_ONCE at once. Sorted."""
    took = []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for i in range(times):
            begun = time.perf_counter()
            query = {"from": start_ms, "to": end_ms - 1_500_000 - i}
            answers = threads.map(lambda p, q=query: client.get(p, params=q), paths)
            took.append(max(seconds(answer, begun) for answer in answers))
    return sorted(took)


def told(took: list[float]) -> str:
    p95 = took[min(len(took) - 1, int(len(took) * 0.95))]
    return " ".join(f"{t * 1000:8.0f}" if t < math.inf else " stopped" for t in (statistics.median(took), p95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        lake = SmallLake(Path(home), tuple(SHARES))
        begun = time.perf_counter()
        fill(lake, given.rows)
        print(f"{given.rows:,} rows written in {time.perf_counter() - begun:.0f} s")
        app = create_app(lake.settings, contracts=lake.contracts, status=NoStatus())
        start, end = MIDNIGHT_US // 1000, MIDNIGHT_US // 1000 + DAY_S * 1000
        with TestClient(app, base_url="http://127.0.0.1:8600") as client:
            tiles = [f"/api/tiles/{t['id']}" for t in client.get("/api/tiles").json()["tiles"]]
            others: list[tuple[str, dict[str, Any]]] = [
                ("/api/cells", {"stream": "gps", "resolution": 7}),
                ("/api/cells", {"stream": "gps", "resolution": 9}),
                ("/api/vehicles/WAT-00042/history", {}),
                ("/api/frame", {"at": end - 60_000}),
                ("/api/extent", {}),
            ]
            print(f"{'':42} whole day, ms      15 minutes, ms\n{'':42}     p50      p95      p50      p95")
            for path, more in [*((t, {}) for t in tiles), *others]:
                day = told(asked(client, path, given.times, start, end, **more))
                quarter = told(asked(client, path, given.times, end - 900_000, end, **more))
                label = path + (f" resolution {more['resolution']}" if "resolution" in more else "")
                print(f"{label:42}{day} {quarter}", flush=True)
            day = told(together(client, tiles, given.times, start, end))
            quarter = told(together(client, tiles, given.times, end - 2_400_000, end))
            print(f"{'all tiles, as the page asks':42}{day} {quarter}")


if __name__ == "__main__":
    main()
