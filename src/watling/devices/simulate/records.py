"""Receives what vehicles, cameras, stations and incidents have to say; gives the wire records of the five streams.

Names on the wire are those of the tutorial family (`speed`, `fuelType`, …) and the optional ones of the contracts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from watling.devices.simulate.cameras import Camera, View
from watling.devices.simulate.catalogue import FUELS, KIND_NAMES, VARIANTS
from watling.devices.simulate.encode import LITERAL, NUMBER, TEXT, TIME, UUID, Piece, Template, Texts, uuid_words
from watling.devices.simulate.incidents import Incident
from watling.devices.simulate.powertrain import Engine
from watling.devices.simulate.receiver import Fix
from watling.devices.simulate.roads import Network
from watling.devices.simulate.weather import Station

STREAMS = ("vehicle", "gps", "traffic", "weather", "emergency")
WINDS = ("North", "North-East", "East", "South-East", "South", "South-West", "West", "North-West")
ID_BYTES = 18  # veh-xxxx-ddddddddd

Floats = NDArray[np.float64]


def _start() -> list[Piece]:
    return [
        Piece('{"id":', UUID),
        Piece(',"vehicle_id":"', TEXT, 0),
        Piece('","timestamp":', TIME),
        Piece(',"location":[', NUMBER, 0, 6),
        Piece(",", NUMBER, 1, 6),
        Piece('],"speed":', NUMBER, 2, 1),
        Piece(',"direction":', TEXT, 1),
    ]


def _trip(text: int, number: int) -> list[Piece]:
    return [
        Piece(',"route":', TEXT, text),
        Piece(',"trip":"', TEXT, 0),
        Piece("-", NUMBER, number, 0),
        Piece('"}', LITERAL),
    ]


VEHICLE = Template(
    [
        *_start(),
        Piece(",", TEXT, 2),
        Piece(',"vehicleType":', TEXT, 3),
        Piece(',"heading":', NUMBER, 3, 1),
        Piece(',"altitude":', NUMBER, 4, 1),
        Piece(',"hdop":', NUMBER, 5, 2),
        Piece(',"rpm":', NUMBER, 7, 0),
        Piece(',"fuelRate":', NUMBER, 8, 2),
        Piece(',"co2":', NUMBER, 9, 2),
        Piece(',"throttle":', NUMBER, 10, 1),
        Piece(',"engineLoad":', NUMBER, 11, 1),
        *_trip(4, 6),
    ]
)
GPS = Template(
    [
        *_start(),
        Piece(',"vehicleType":', TEXT, 2),
        Piece(',"heading":', NUMBER, 3, 1),
        Piece(',"altitude":', NUMBER, 4, 1),
        Piece(',"hdop":', NUMBER, 5, 2),
        Piece(',"satellites":', NUMBER, 7, 0),
        Piece(',"accuracy_m":', NUMBER, 8, 1),
        *_trip(3, 6),
    ]
)


def _quoted(names: Sequence[str]) -> Texts:
    return Texts([json.dumps(n).encode() for n in names])


class Writer:
    """Writes records. `ids` seeds the record ids, `seed` the vehicles' names, `size` is the number of slots."""

    def __init__(self, network: Network, ids: int, seed: int, size: int) -> None:
        self.ids, self.seed = ids, seed
        self._names = np.zeros((size, ID_BYTES), dtype=np.uint8)
        self._vehicle_ids = Texts([])
        self._vehicle_ids.ends = np.arange(size + 1, dtype=np.int64) * ID_BYTES
        self._vehicle_ids.widest = ID_BYTES
        self._keys = pa.array([b""] * size, pa.binary())
        self._winds = _quoted(WINDS)
        self._kinds = _quoted(KIND_NAMES)
        self._routes = _quoted([r.name for r in network.roads])
        self._variants = Texts(
            [
                f'"make":{json.dumps(v.make)},"model":{json.dumps(v.model)},"year":{v.year},"fuelType":"{FUELS[v.fuel]}"'.encode()
                for v in VARIANTS
            ]
        )

    def name(self, slots: NDArray[np.int64], serial: NDArray[np.int64]) -> None:
        """Name the vehicles in these slots by their serial numbers."""
        if not len(slots):
            return
        prefix = f"veh-{self.seed * 0x9E37 & 0xFFFF:04x}-"
        text = b"".join(f"{prefix}{s:09d}".encode() for s in serial.tolist())
        self._names[slots] = np.frombuffer(text, dtype=np.uint8).reshape(len(slots), -1)
        self._vehicle_ids.bytes = self._names.ravel()
        ends = (np.arange(len(self._names) + 1) * ID_BYTES).astype(np.int32)
        self._keys = pa.BinaryArray.from_buffers(
            pa.binary(), len(self._names), [None, pa.py_buffer(ends), pa.py_buffer(self._names.tobytes())]
        )

    def vehicle_id(self, slot: int) -> str:
        return str(self._names[slot].tobytes().decode())

    def keys(self, slots: NDArray[np.int64]) -> pa.Array:
        """Kafka keys: the vehicles' ids."""
        return self._keys.take(pa.array(slots))

    def vehicle(
        self,
        slots: NDArray[np.int64],
        serial: NDArray[np.int64],
        time_us: NDArray[np.int64],
        fix: Fix,
        kmh: Floats,
        heading: Floats,
        altitude: Floats,
        trip: NDArray[np.int64],
        variant: NDArray[np.int32],
        kind: NDArray[np.int8],
        road: NDArray[np.int8],
        engine: Engine,
    ) -> pa.Array:
        """Records of the stream `vehicle`, one a row of the columns given (times in µs since 1970)."""
        return VEHICLE.encode(
            len(slots),
            numbers=[
                fix.latitude, fix.longitude, kmh, heading, altitude, fix.hdop, trip,
                engine.rpm, engine.fuel_lph, engine.co2_kgph, engine.throttle, engine.load,
            ],
            texts=[
                (slots, self._vehicle_ids), (_wind(heading), self._winds), (variant, self._variants), (kind, self._kinds),
                (road, self._routes),
            ],
            times=[time_us],
            uuids=[uuid_words(self.ids, 1, serial, time_us)],
        )  # fmt: skip

    def gps(
        self,
        slots: NDArray[np.int64],
        serial: NDArray[np.int64],
        time_us: NDArray[np.int64],
        fix: Fix,
        kmh: Floats,
        heading: Floats,
        altitude: Floats,
        trip: NDArray[np.int64],
        kind: NDArray[np.int8],
        road: NDArray[np.int8],
    ) -> pa.Array:
        """Records of the stream `gps`."""
        return GPS.encode(
            len(slots),
            numbers=[
                fix.latitude, fix.longitude, kmh, heading, altitude, fix.hdop, trip, fix.satellites, fix.accuracy_m,
            ],
            texts=[(slots, self._vehicle_ids), (_wind(heading), self._winds), (kind, self._kinds), (road, self._routes)],
            times=[time_us],
            uuids=[uuid_words(self.ids, 2, serial, time_us)],
        )  # fmt: skip

    def traffic(
        self, number: int, camera: Camera, view: View, time_us: int, interval_s: float, picture: bytes | None
    ) -> bytes:
        """One record of a camera; the picture as base64."""
        record: dict[str, Any] = {
            "id": self._id(3, number, time_us),
            "vehicle_id": camera.id,
            "camera_id": camera.id,
            "location": [camera.latitude, camera.longitude],
            "timestamp": _time(time_us),
            "snapshot": base64.b64encode(picture).decode() if picture is not None else None,
            "cars": view.cars,
            "trucks": view.trucks,
            "persons": 0,
            "flow": view.flow_vph,
            "meanSpeed": view.mean_speed_kmh,
            "occupancy_pct": view.occupancy_pct,
            "interval": interval_s,
        }
        return _json(record)

    def weather(self, number: int, station: Station, values: dict[str, Any], time_us: int) -> bytes:
        """One record of a weather station; `values` are the measurements by wire name."""
        return _json(
            {
                "id": self._id(4, number, time_us),
                "vehicle_id": station.id,
                "location": [station.latitude, station.longitude],
                "timestamp": _time(time_us),
                "station": station.name,
                **values,
            }
        )

    def emergency(
        self, incident: Incident, road: str, latitude: float, longitude: float, teller: int, time_us: int
    ) -> bytes:
        """One record on an incident, told by the vehicle in slot `teller` (-1 for none)."""
        return _json(
            {
                "id": self._id(5, int(incident.id.rsplit("-", 1)[1]), time_us),
                "vehicle_id": self.vehicle_id(teller) if teller >= 0 else None,
                "incidentId": incident.id,
                "type": incident.type,
                "timestamp": _time(time_us),
                "location": [round(latitude, 6), round(longitude, 6)],
                "status": incident.status,
                "description": incident.description,
                "severity": incident.severity,
                "road": road,
            }
        )

    def _id(self, stream: int, number: int, time_us: int) -> str:
        high, low = uuid_words(self.ids, stream, np.asarray([number]), np.asarray([time_us], dtype=np.int64))[:, 0]
        text = f"{int(high):016x}{int(low):016x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _wind(heading: Floats) -> NDArray[np.int64]:
    return np.floor(heading / 45 + 0.5).astype(np.int64) % 8


def _time(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps({k: v for k, v in record.items() if v is not None}, separators=(",", ":")).encode()
