"""A lake whose past the page's tests look at: a vehicle's way with a silence and a jump, a camera's pictures, incidents."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from fastapi import FastAPI

from tests.conftest import free_port
from tests.e2e.made_up_city import MadeUpCity
from tests.integration.dashboard.varied_lake import NOON, VariedLake
from watling.dashboard import create_app
from watling.lake.objects import ObjectStore

TRACKED, CAMERA, PICTURES = "tracked 7/a", "cam/1 b", 11
BEGINS_S, SECONDS = 600, 600  # of the tracked vehicle, after noon
SILENCE = range(200, 291)
JUMP_S, JUMP_DEGREES = 400, 0.2


class PastCity:
    """An hour from NOON on of `VariedLake`, and in it one vehicle with a report a second and one camera's pictures."""

    def __init__(self, home: Path) -> None:
        self.lake = VariedLake(home, page={"port": free_port(), "query_timeout_s": 60}, broker={"port": free_port()})
        self.settings = self.lake.settings
        self.lake.put("vehicle", [self.tracked(s) for s in range(SECONDS) if s not in SILENCE])
        shots = [picture(i) for i in range(PICTURES)]
        ObjectStore(self.settings, self.lake.catalog).put(pa.chunked_array([pa.array(shots, pa.large_binary())]))
        self.lake.put("traffic", [self.taken(i, shot) for i, shot in enumerate(shots)])

    def tracked(self, second: int) -> dict[str, Any]:
        """The tracked vehicle's report of that second: north along a line, and once where no car can be so soon."""
        return {
            **self.lake.row("vehicle", 5000 + second),
            "vehicle_id": TRACKED,
            "vehicle_type": "Van",
            "make": "Ford",
            "event_time": NOON + timedelta(seconds=BEGINS_S + second),
            "latitude": 52.0 + second * 0.0002 + (JUMP_DEGREES if second >= JUMP_S else 0.0),
            "longitude": -1.0,
            "speed_kmh": 80.0 + second % 7,
            "heading_deg": 0.0,
        }

    def taken(self, i: int, shot: bytes) -> dict[str, Any]:
        """The camera's row with picture `i`, one a minute."""
        return {
            **self.lake.row("traffic", 2000 + i),
            "camera_id": CAMERA,
            "event_time": NOON + timedelta(minutes=20 + i),
            "latitude": 51.8,
            "longitude": -0.6,
            "cars": float(i),
            "snapshot": f"sha256:{hashlib.sha256(shot).hexdigest()}",
            "snapshot_bytes": len(shot),
            "snapshot_type": "image/png",
        }

    def record(self, topic: str, partition: int, offset: int) -> bytes:
        """As Kafka would still have it."""
        return json.dumps({"topic": topic, "partition": partition, "offset": offset, "speed": 81}).encode()

    def app(self, city: MadeUpCity | None = None) -> FastAPI:
        """The page over the lake; with a city that moves now, or without."""
        status = city or MadeUpCity(vehicles=1)
        feeds = [city] if city else []
        return create_app(
            self.settings, contracts=self.lake.contracts, status=status, feeds=feeds, read_record=self.record
        )


def picture(i: int) -> bytes:
    """A PNG of one colour. Format: https://www.w3.org/TR/png-3/#5DataRep"""
    width, height = 32, 24
    row = b"\0" + bytes((20 * i % 256, 80, 200 - 10 * i)) * width

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b"")
