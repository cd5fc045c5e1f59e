"""Public transport feeds: every vehicle of a snapshot, messy as it is, and documents that mean harm."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.transit import gtfs_realtime_pb2 as gtfs

from .conftest import Read

SNAPSHOT = "transit/bods_gb_gtfsrt_vehiclepositions_20220108T141648Z.pb"
NOW = 1_641_651_408


def feed(*entities: dict[str, Any], timestamp: int | None = NOW) -> bytes:
    message = gtfs.FeedMessage()
    message.header.gtfs_realtime_version = "2.0"
    if timestamp is not None:
        message.header.timestamp = timestamp
    for number, fields in enumerate(entities):
        entity = message.entity.add()
        entity.id = str(number)
        for name, value in fields.items():
            if isinstance(value, bool):
                setattr(entity, name, value)
            else:
                getattr(entity, name).CopyFrom(value)
    return message.SerializeToString()


def bus(name: str, timestamp: int = NOW, **position: float) -> gtfs.VehiclePosition:
    vehicle = gtfs.VehiclePosition()
    vehicle.vehicle.id = name
    vehicle.timestamp = timestamp
    for key, value in ({"latitude": 51.5, "longitude": -0.1} | position).items():
        setattr(vehicle.position, key, value)
    return vehicle


def test_every_vehicle_of_the_country(data: Path, read: Read) -> None:
    """Buses whose ids repeat, or that are hours old, would be missing."""
    found, faults = read("gtfs-rt", data / SNAPSHOT)
    assert faults.count == 0
    message = gtfs.FeedMessage.FromString((data / SNAPSHOT).read_bytes())
    for stream in ("vehicle", "gps"):
        records = found[stream]
        assert len(records) == 16_234
        by_hand = Counter((e.vehicle.vehicle.id, e.vehicle.timestamp) for e in message.entity)
        assert (
            Counter((r["vehicle_id"], datetime.fromisoformat(r["timestamp"]).timestamp()) for r in records) == by_hand
        )
        old = sum(NOW - datetime.fromisoformat(r["timestamp"]).timestamp() > 3600 for r in records)
        assert old == 5_545
        assert {r["_due"] for r in records} == {datetime.fromtimestamp(NOW, UTC)}
        # 49 entities repeat the vehicle, time, trip and position of another: one observation sent twice
        assert len({r["id"] for r in records}) == 16_234 - 49


def test_a_damaged_snapshot_keeps_what_came_before(data: Path, tmp_path: Path, read: Read) -> None:
    """A broken download would be a city without buses."""
    raw = (data / SNAPSHOT).read_bytes()
    (tmp_path / "half.pb").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "bad.pb").write_bytes(b"<html>503</html>" * 100)
    (tmp_path / "empty.pb").write_bytes(b"")
    found, faults = read("gtfs-rt", tmp_path)
    assert 8_000 < len(found["gps"]) < 8_300
    assert faults.count == 2
    assert any("ends inside an entity" in str(f) for f in faults.sample)


def test_absent_times_units_and_what_is_no_position(tmp_path: Path, read: Read) -> None:
    """A bus without a clock would vanish; its speed would be shown in the wrong unit."""
    update = gtfs.TripUpdate()
    update.trip.trip_id = "t"
    nameless = bus("")
    path = tmp_path / "a.pb"
    path.write_bytes(
        feed(
            {"vehicle": bus("b1", 0, speed=10, bearing=90)},
            {"trip_update": update},
            {"vehicle": nameless},
            {"is_deleted": True},
        )
    )
    found, faults = read("gtfs-rt", path)
    assert [r["vehicle_id"] for r in found["gps"]] == ["b1", "2"]  # the entity's id where the vehicle has none
    first = found["gps"][0]
    assert first["speed"] == 36
    assert first["direction"] == "East"
    assert first["timestamp"] == "2022-01-08T14:16:48Z"
    assert faults.skipped == {"a trip update, which has no position": 1, "an entity that the feed takes back": 1}
    path.write_bytes(feed({"vehicle": bus("b1", 0)}, {"vehicle": bus("b2", 2**63)}, timestamp=None))
    found, faults = read("gtfs-rt", path)
    assert found == {}
    assert faults.count == 2


def test_alerts_become_incidents(tmp_path: Path, read: Read) -> None:
    """A road closed by an accident would not be on the map."""
    alert = gtfs.Alert(cause=gtfs.Alert.ACCIDENT)
    alert.active_period.add(start=NOW - 600, end=NOW + 600)
    alert.informed_entity.add(stop_id="s1", route_id="9")
    alert.header_text.translation.add(text="Unfall", language="de")
    alert.header_text.translation.add(text="Accident", language="en-GB")
    past = gtfs.Alert(cause=gtfs.Alert.STRIKE)
    past.active_period.add(start=NOW - 600, end=NOW - 60)
    (tmp_path / "a.pb").write_bytes(feed({"alert": alert}, {"alert": past}))
    (tmp_path / "stops.txt").write_text("stop_id,stop_lat,stop_lon\ns1,51.5,-0.1\n")
    found, faults = read("gtfs-rt", tmp_path / "a.pb", extra={"stops": str(tmp_path / "stops.txt")})
    first, second = found["emergency"]
    assert (first["type"], first["status"], first["road"], first["description"]) == (
        "Accident",
        "Active",
        "9",
        "Accident",
    )
    assert first["location"] == [51.5, -0.1]
    assert first["timestamp"] == "2022-01-08T14:06:48Z"
    assert (second["type"], second["status"]) == ("Other", "Cleared")
    assert sum(faults.notes.values()) == 1


def test_siri_vehicles(data: Path, read: Read) -> None:
    """Buses of two operators with the same number would be one bus."""
    found, faults = read("siri-vm", data / "transit/bods_siri_vm_one_packet.xml")
    assert faults.count == 0
    assert [r["vehicle_id"] for r in found["gps"]] == ["AKSS-6409", "AKSS-4315", "AMTM-4103", "AKSS-1657"]
    assert [r["timestamp"] for r in found["gps"]] == [
        "2022-01-29T16:09:19Z",
        "2022-01-29T19:49:32Z",
        "2022-01-29T18:14:37Z",
        "2022-01-29T19:49:25Z",
    ]
    last = found["vehicle"][-1]
    assert (last["route"], last["trip"], last["heading"], last["location"]) == (
        "6",
        "6_20220129_19_41",
        90,
        [51.13261, 0.275075],
    )


ACTIVITY = """<VehicleActivity>
<RecordedAtTime>2022-01-29T16:09:{:02d}+00:00</RecordedAtTime>
<MonitoredVehicleJourney><OperatorRef>A</OperatorRef><VehicleLocation><Longitude>0.5</Longitude><Latitude>51.2</Latitude></VehicleLocation>
<VehicleRef>{}</VehicleRef></MonitoredVehicleJourney>
</VehicleActivity>
"""
HEAD = '<Siri xmlns="http://www.siri.org.uk/siri"><ServiceDelivery><ResponseTimestamp>2022-01-29T17:00:00Z</ResponseTimestamp><VehicleMonitoringDelivery>\n'
TAIL = "</VehicleMonitoringDelivery></ServiceDelivery></Siri>"


def test_a_broken_activity_costs_itself_alone(tmp_path: Path, read: Read) -> None:
    """One stray byte would lose the rest of the city's buses."""
    parts = [ACTIVITY.format(i, i) for i in range(6)]
    parts[2] = parts[2].replace("</OperatorRef>", "</Operator>")
    parts[4] = parts[4].replace("<VehicleRef>4</VehicleRef>", "")
    path = tmp_path / "a.xml"
    path.write_text(HEAD + "".join(parts) + TAIL)
    found, faults = read("siri-vm", path)
    assert [r["vehicle_id"] for r in found["gps"]] == ["A-0", "A-1", "A-3", "A-5"]
    assert [(f.line, f.message[:11]) for f in faults.sample] == [(12, "no XML here"), (22, "no VehicleR")]
    path.write_text(HEAD + "".join(parts[:2]) + parts[3][:100])
    found, faults = read("siri-vm", path)
    assert len(found["gps"]) == 2
    assert "ends too early" in faults.sample[0].message


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">'
        + "".join(f'<!ENTITY {chr(99 + i)} "{f"&{chr(98 + i)};" * 10}">' for i in range(9))
        + "]>"
        + HEAD
        + "&k;"
        + TAIL,
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + HEAD + "&x;" + TAIL,
        "<a>" * 100_000,
        HEAD + "<VehicleActivity><VehicleRef>" + "x" * 10_000_000,
        HEAD + "<VehicleActivity a='" + "x" * 10_000_000,
        "no xml at all",
        "",
    ],
)
def test_documents_that_mean_harm(tmp_path: Path, read: Read, document: str) -> None:
    """An entity bomb would fill the machine's memory, an external entity would read its files."""
    path = tmp_path / "a.xml"
    path.write_text(document)
    found, faults = read("siri-vm", path)
    assert found == {}
    assert faults.count >= 1
