"""A page over a small real lake, served as the command serves it: for the tests of its routes and of its views."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import resources
from pathlib import Path

import pyarrow as pa
import uvicorn
from fastapi import FastAPI

from tests.conftest import free_port
from tests.integration.small_lake import NOON, SmallLake
from watling.app import Status
from watling.config import Settings
from watling.dashboard import create_app
from watling.dashboard.serve import address, config, listen
from watling.lake.commit import Batch
from watling.lake.state import PartitionDelta

FAST_KMH = 512  # beyond the contract's 400, so it is in quarantine until the contract is widened


class LakePage:
    """A home with a lake of `vehicle` and `gps`: rows, unreadable records, and `too_fast` ones."""

    def __init__(self, home: Path, too_fast: int = 3) -> None:
        self.contracts_dir = home / "contracts"
        self.contracts_dir.mkdir(parents=True)
        self.write_contract(maximum=400)
        port = free_port()
        self.lake = SmallLake(
            home, ("vehicle", "gps"), contracts=self.contracts_dir, page={"port": port}, broker={"port": free_port()}
        )
        self.settings = self.lake.settings
        self.address = address(self.settings).rstrip("/")
        for make, start in (("BMW", 0), ("Ford", 20), ("Tesla", 40)):
            self.lake.land("vehicle", start, 10, columns={"make": make, "speed_kmh": 50.0 + start})
            self.lake.land("vehicle", start + 10, 8, 2)
        self.lake.land("gps", 0, 12)
        self.hold_fast(60, too_fast)

    def write_contract(self, maximum: int) -> None:
        """The vehicle contract with another upper limit of speed."""
        text = resources.files("watling.contracts").joinpath("builtin/vehicle.odcs.yaml").read_text()
        changed = text.replace("{minimum: 0, maximum: 400}", f"{{minimum: 0, maximum: {maximum}}}", 1)
        (self.contracts_dir / "vehicle.odcs.yaml").write_text(changed)

    def hold_fast(self, start: int, count: int) -> None:
        """Records that only a wider contract takes, as the pipeline would have put them in quarantine."""
        rows = []
        for offset in range(start, start + count):
            body = {
                "id": f"fast-{offset}",
                "vehicle_id": "racer",
                "timestamp": (NOON + timedelta(seconds=offset)).isoformat(),
                "location": [52.0, -0.7],
                "speed": FAST_KMH,
                "make": "<b>BMW</b>",
            }
            rows.append(
                {
                    "stream": "vehicle",
                    "topic": "vehicle_data",
                    "_kafka_generation": 0,
                    "_kafka_partition": 0,
                    "_kafka_offset": offset,
                    "record_time": NOON + timedelta(minutes=5, seconds=offset),
                    "raw": json.dumps(body).encode(),
                    "reason": "out_of_range",
                    "field": "speed",
                    "message": f"speed {FAST_KMH} is above 400 km/h: mend the device or widen the contract",
                }
            )
        schema = self.lake.rejected("vehicle", [0]).schema
        schema = schema.append(pa.field("field", pa.string())).append(pa.field("message", pa.string()))
        schema = schema.set(schema.get_field_index("record_time"), pa.field("record_time", pa.timestamp("us", "UTC")))
        delta = PartitionDelta(start, start + count, landed=0, quarantined=count)
        result = self.lake.committer.commit(
            [Batch("vehicle", 0, {0: delta}, [], pa.Table.from_pylist(rows, schema=schema))]
        )["vehicle"]
        assert not isinstance(result, Exception), result


@contextmanager
def served_app(settings: Settings, app: FastAPI) -> Iterator[None]:
    """The page in a thread of this process."""
    server = uvicorn.Server(config(app))
    bound = listen(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(15)
        bound.close()


@contextmanager
def served_lake(page: LakePage) -> Iterator[LakePage]:
    """The page over its lake."""
    contracts = page.lake.contracts
    app = create_app(page.settings, contracts=contracts, status=Status(page.settings, contracts))
    with served_app(page.settings, app):
        yield page
