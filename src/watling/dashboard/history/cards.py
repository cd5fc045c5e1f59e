"""Receives the id of a vehicle, a camera or an incident; gives its past from the lake for the page's cards."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from fastapi import HTTPException

from watling.contracts.model import Contract
from watling.dashboard.history.answers import kind
from watling.dashboard.history.filter import Area, Filter
from watling.dashboard.history.held import HeldFile
from watling.dashboard.history.models import (
    Incident,
    Near,
    Picture,
    Pictures,
    Record,
    Surroundings,
    Track,
    VehicleHistory,
)
from watling.dashboard.history.past import Past
from watling.dashboard.hot import MOVING
from watling.lake.objects import PREFIX
from watling.lake.state import read_state
from watling.query.formats import plain
from watling.query.sql import Answer

MAX_RAW_BYTES = 64 * 1024
MAX_LIFE = 1_000
MAX_NEAR = 100
NEAR_M = 2_000.0
NEAR_MS = 15 * 60_000
PICTURES_BACK_MS = 366 * 86_400_000
M_PER_DEGREE = 111_195.0

ReadRecord = Callable[[str, int, int], bytes | None]
"""(topic, partition, offset) -> the record's value, or None when Kafka no longer has it. May raise."""


def vehicle_history(past: Past, vehicle: str, wanted: Filter, limit: int, cancel: threading.Event) -> VehicleHistory:
    """A vehicle's reports of the range over all streams of moving things."""
    begun = time.monotonic()
    streams = [s for s in MOVING if s in past.contracts]
    rows = " UNION ALL ".join(_track_of(past.contracts[s]) for s in streams)
    sql = f"FROM ({rows}) ORDER BY event_ms DESC, stream, _kafka_partition, _kafka_offset DESC"
    answer = past.ask(sql, streams, _only(wanted, "vehicle_id", vehicle), cancel, max_rows=limit)
    column: dict[str, list[Any]] = {
        name: c.to_pylist()[::-1] for name, c in zip(answer.rows.column_names, answer.rows.columns, strict=True)
    }
    track = Track(
        event_ms=column["event_ms"],
        latitude=column["latitude"],
        longitude=column["longitude"],
        speed_kmh=column["speed_kmh"],
        heading_deg=column["heading_deg"],
        stream=column["stream"],
        topic=[past.contracts[s].topic for s in column["stream"]],
        partition=column["_kafka_partition"],
        offset=column["_kafka_offset"],
    )
    return VehicleHistory(vehicle_id=vehicle, columns=track, cut=answer.cut, seconds=round(time.monotonic() - begun, 4))


def record(
    past: Past, read: ReadRecord | None, vehicle: str, stream: str, partition: int, offset: int, cancel: threading.Event
) -> Record:
    """The landed row of one of the vehicle's records, and the record's bytes as text while Kafka has it."""
    contract = past.contracts.get(stream)
    if contract is None or all(f.name != "vehicle_id" for f in contract.fields):
        raise HTTPException(404, f"no stream {stream!r} has records of vehicles")
    sql = (
        f'FROM "{stream}" WHERE vehicle_id = $id AND _kafka_partition = $partition AND _kafka_offset = $offset '
        "ORDER BY _kafka_generation DESC LIMIT 1"
    )
    values = {"id": vehicle, "partition": partition, "offset": offset}

    def may_hold(file: HeldFile) -> bool:
        return file.partitions[0] <= partition <= file.partitions[1] and file.offsets[0] <= offset <= file.offsets[1]

    answer = past.ask(sql, [stream], None, cancel, max_rows=1, values=values, among=may_hold)
    if answer.rows.num_rows == 0:
        raise HTTPException(404, f"no row of {vehicle!r} at partition {partition}, offset {offset} of {stream}")
    row = rows_of(answer)[0]
    raw, state = _raw(past, read, contract, row, partition, offset)
    return Record(
        stream=stream, topic=contract.topic, partition=partition, offset=offset, row=row, raw=raw, raw_state=state
    )


def _raw(
    past: Past, read: ReadRecord | None, contract: Contract, row: dict[str, Any], partition: int, offset: int
) -> tuple[str | None, Literal["kept", "cut", "gone", "unknown"]]:
    table = past.held(contract.name).table
    if table is None or row["_kafka_generation"] != read_state(table).generation:
        return None, "gone"  # the topic was made anew since: that offset is another record now
    if read is None:
        return None, "unknown"
    try:
        value = read(contract.topic, partition, offset)
    except Exception:  # whatever the broker says, the row is still worth showing
        return None, "unknown"
    if value is None:
        return None, "gone"
    return value[:MAX_RAW_BYTES].decode("utf-8", "replace"), "cut" if len(value) > MAX_RAW_BYTES else "kept"


def camera_pictures(past: Past, camera: str, before_ms: int, limit: int, cancel: threading.Event) -> Pictures:
    """Pictures of the camera with event time before that moment, a year back at most, newest first."""
    if "traffic" not in past.contracts:
        raise HTTPException(404, "no stream has cameras")
    wanted = Filter(max(0, before_ms - PICTURES_BACK_MS), before_ms, where=(("camera_id", (camera,)),))
    sql = (
        "SELECT epoch_ms(event_time) AS event_ms, snapshot, snapshot_bytes, snapshot_type, cars, trucks, persons "  # noqa: S608
        f"FROM traffic WHERE starts_with(snapshot, '{PREFIX}') ORDER BY event_time DESC, _kafka_offset DESC LIMIT $limit"
    )
    answer = past.ask(sql, ["traffic"], wanted, cancel, max_rows=limit, values={"limit": limit})
    return Pictures(
        camera_id=camera,
        pictures=[
            Picture(
                event_ms=r["event_ms"],
                url=f"/api/pictures/traffic/{r['snapshot'].removeprefix(PREFIX)}",
                bytes=r["snapshot_bytes"],
                type=r["snapshot_type"],
                cars=r["cars"],
                trucks=r["trucks"],
                persons=r["persons"],
            )
            for r in answer.rows.to_pylist()
        ],
    )


def incident(past: Past, name: str, cancel: threading.Event) -> Incident:
    """The incident's reports and what was near."""
    if "emergency" not in past.contracts:
        raise HTTPException(404, "no stream has incidents")
    sql = "FROM emergency WHERE incident_id = $id ORDER BY event_time, _kafka_partition, _kafka_offset LIMIT $limit"
    answer = past.ask(sql, ["emergency"], None, cancel, max_rows=MAX_LIFE, values={"id": name, "limit": MAX_LIFE})
    life = rows_of(answer)
    if not life:
        raise HTTPException(404, f"no incident {name!r} is in the lake")
    placed = [r for r in life if r.get("latitude") is not None and r.get("longitude") is not None]
    near = Surroundings(vehicles=[], cameras=[], incidents=[])
    if placed:
        where = (float(placed[-1]["latitude"]), float(placed[-1]["longitude"]))
        wanted = Filter(max(0, life[0]["event_time"] - NEAR_MS), life[0]["event_time"] + NEAR_MS, _around(where))
        near = Surroundings(
            vehicles=_near(past, [s for s in MOVING if s in past.contracts], "vehicle_id", where, wanted, name, cancel),
            cameras=_near(
                past, [s for s in ("traffic",) if s in past.contracts], "camera_id", where, wanted, name, cancel
            ),
            incidents=_near(past, ["emergency"], "incident_id", where, wanted, name, cancel),
        )
    return Incident(incident_id=name, life=life, near=near)


def _near(
    past: Past, streams: list[str], key: str, at: tuple[float, float], wanted: Filter, own: str, cancel: threading.Event
) -> list[Near]:
    if not streams:
        return []
    types = {"vehicle_id": "vehicle_type", "incident_id": "type"}
    parts = " UNION ALL ".join(
        f"SELECT '{s}' AS stream, {key} AS id, epoch_ms(event_time) AS event_ms, latitude, longitude, "  # noqa: S608
        f'{types.get(key, "NULL::VARCHAR")} AS type FROM "{s}" WHERE {key} IS NOT NULL'
        for s in streams
    )
    # haversine on a sphere of 6,371 km: https://en.wikipedia.org/wiki/Haversine_formula
    sql = (
        "SELECT id, min(distance_m) AS distance_m, arg_min(stream, distance_m) AS stream, "  # noqa: S608
        "arg_min(event_ms, distance_m) AS event_ms, arg_min(latitude, distance_m) AS latitude, "
        "arg_min(longitude, distance_m) AS longitude, arg_min(type, distance_m) AS type FROM ("
        "SELECT *, 2 * 6371000 * asin(sqrt(least(1, sin(radians(latitude - $lat) / 2) ** 2 + cos(radians($lat)) "
        f"* cos(radians(latitude)) * sin(radians(longitude - $lon) / 2) ** 2))) AS distance_m FROM ({parts})) "
        "WHERE distance_m <= $near AND id <> $own GROUP BY id ORDER BY distance_m, id LIMIT $limit"
    )
    values = {"lat": at[0], "lon": at[1], "near": NEAR_M, "own": own if key == "incident_id" else "", "limit": MAX_NEAR}
    answer = past.ask(sql, streams, wanted, cancel, max_rows=MAX_NEAR, values=values)
    return [Near(**{**r, "distance_m": round(r["distance_m"], 1)}) for r in answer.rows.to_pylist()]


def _around(at: tuple[float, float]) -> Area:
    """A box of degrees that holds the circle of NEAR_M."""
    north = NEAR_M / M_PER_DEGREE * 1.01
    east = min(180.0, north / max(0.01, math.cos(math.radians(at[0]))))
    west_edge, east_edge = at[1] - east, at[1] + east
    return (
        west_edge + 360 if west_edge < -180 else west_edge,
        max(-90.0, at[0] - north),
        east_edge - 360 if east_edge > 180 else east_edge,
        min(90.0, at[0] + north),
    )


def _only(wanted: Filter, column: str, value: str) -> Filter:
    return Filter(wanted.start_ms, wanted.end_ms, wanted.area, wanted.cell, ((column, (value,)),))


def _track_of(contract: Contract) -> str:
    names = {f.name for f in contract.fields}
    numbers = ", ".join(c if c in names else f"NULL::DOUBLE AS {c}" for c in ("speed_kmh", "heading_deg"))
    return (
        f'SELECT epoch_ms("{contract.time_column}") AS event_ms, latitude, longitude, {numbers}, '  # noqa: S608
        f"'{contract.name}' AS stream, _kafka_partition, _kafka_offset FROM \"{contract.name}\""
    )


def rows_of(answer: Answer) -> list[dict[str, Any]]:
    """Rows as objects that JSON can hold, times in ms since 1970."""
    times = {f.name for f in answer.rows.schema if kind(f.type) == "time"}
    return [
        {k: int(v.timestamp() * 1000) if k in times and v is not None else plain(v) for k, v in row.items()}
        for row in answer.rows.to_pylist()
    ]
