"""Receives GTFS-Realtime feeds (protobuf); gives vehicle and gps rows of VehiclePositions, emergency rows of Alerts.

A feed is read entity by entity, so that a damaged one costs itself alone. A record is due when its feed was published
(the header's time): positions that were hours old then are hours old in the replay too. Reference:
https://gtfs.org/documentation/realtime/reference/
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pyarrow as pa
from google.protobuf.message import DecodeError
from google.transit import gtfs_realtime_pb2 as gtfs

from watling.devices.sources import columns, places
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import BROKEN, Member
from watling.devices.sources.fleet import Fleet
from watling.devices.sources.rows import JSON, SAME, UTC, Options, Rows, rows

SUFFIXES = (".pb", ".pbf", ".bin", ".gtfsrt")
MAX_FEED = 256 * 1024 * 1024
BATCH = 8_192
LAST_SECOND = 253_402_300_799  # the end of the year 9999

CAUSES = {
    gtfs.Alert.ACCIDENT: "Accident",
    gtfs.Alert.MEDICAL_EMERGENCY: "Medical",
    gtfs.Alert.POLICE_ACTIVITY: "Police",
    gtfs.Alert.TECHNICAL_PROBLEM: "Breakdown",
}
SEVERITIES = {gtfs.Alert.INFO: "Info", gtfs.Alert.WARNING: "Warning", gtfs.Alert.SEVERE: "Severe"}


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield rows of one feed. Trip updates have no position and are skipped; entities without any time are faults.

    Alerts name stops and routes, not places: with the option `stops` (stops.txt or a GTFS zip) they get the position of
    their first known stop, without they have none.
    """
    try:
        with member.open() as stream:
            data = stream.read(MAX_FEED + 1)
    except BROKEN as error:
        faults.add(member.name, 0, f"the file cannot be read: {error or type(error).__name__}")
        return
    if len(data) > MAX_FEED:
        faults.add(member.name, 0, f"larger than {MAX_FEED // 1024 // 1024} MiB: not one feed")
        return
    published = _published(data)
    stops = places.load(member, options.extra["stops"], "", ("stop_id",)) if "stops" in options.extra else {}
    fleet, alerts = Fleet(), _Alerts(published, stops)
    for number, entity in _entities(member.name, data, faults):
        if entity.is_deleted:
            faults.skip("an entity that the feed takes back")
        elif entity.HasField("vehicle"):
            problem = _vehicle(entity, published, fleet)
            if problem:
                faults.add(member.name, 0, f"entity {number} ({entity.id}): {problem}")
        elif entity.HasField("alert"):
            alerts.add(member.name, number, entity, faults)
        elif entity.HasField("trip_update"):
            faults.skip("a trip update, which has no position")
        else:
            faults.skip("an entity that is neither vehicle, alert nor trip update")
        if len(fleet) >= BATCH:
            yield from fleet.rows()
            fleet = Fleet()
    if len(fleet):
        yield from fleet.rows()
    yield from alerts.rows()


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise DecodeError("a number of more than ten bytes")


def _fields(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The fields of the outer message: `(number, begin, end)` of its length-delimited ones."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise DecodeError("the feed ends inside an entity")
            yield tag >> 3, at, at + size
            at += size
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise DecodeError("not a GTFS-Realtime feed")


def _published(data: bytes) -> int:
    """The header's time in microseconds; 0 where there is none."""
    try:
        for number, begin, end in _fields(data):
            if number == 1:
                stamp = gtfs.FeedHeader.FromString(data[begin:end]).timestamp
                return stamp * 1_000_000 if stamp <= LAST_SECOND else 0
    except (DecodeError, IndexError):
        pass
    return 0


def _entities(file: str, data: bytes, faults: Faults) -> Iterator[tuple[int, gtfs.FeedEntity]]:
    count = 0
    try:
        for number, begin, end in _fields(data):
            if number != 2:
                continue
            count += 1
            try:
                yield count, gtfs.FeedEntity.FromString(data[begin:end])
            except DecodeError:
                faults.add(file, 0, f"entity {count} cannot be decoded")
    except (DecodeError, IndexError) as error:
        text = "the feed ends inside an entity" if isinstance(error, IndexError) else str(error)
        faults.add(file, 0, f"after entity {count}: {text}")


def _vehicle(entity: gtfs.FeedEntity, published: int, fleet: Fleet) -> str | None:
    vehicle, place = entity.vehicle, entity.vehicle.position
    who = vehicle.vehicle.id or vehicle.vehicle.label or vehicle.vehicle.license_plate or entity.id
    if not who:
        return "no vehicle id"
    own = 0 < vehicle.timestamp <= LAST_SECOND
    time = vehicle.timestamp * 1_000_000 if own else published
    if not time:
        return "neither the vehicle nor the feed has a time"
    route, trip = vehicle.trip.route_id or None, vehicle.trip.trip_id or None
    if any(isinstance(text, bytes) for text in (who, route, trip)):  # protobuf gives bytes for what is not UTF-8
        return "a text that is not UTF-8"
    placed = vehicle.HasField("position")
    fleet.due.append(published or time)
    fleet.time.append(time)
    fleet.own.append(own)
    fleet.vehicle.append(who)
    fleet.latitude.append(round(place.latitude, 6) if placed else None)  # float32: the sixth digit is the last
    fleet.longitude.append(round(place.longitude, 6) if placed else None)
    fleet.heading.append(round(place.bearing, 2) if place.HasField("bearing") else None)
    fleet.speed.append(round(place.speed * columns.KMH_PER_MS, 3) if place.HasField("speed") else None)
    fleet.route.append(route)
    fleet.trip.append(trip)
    return None


class _Alerts:
    """Alerts of one feed. An alert's time is when it begins to hold, or else the feed's."""

    def __init__(self, published: int, stops: places.Places) -> None:
        self.published, self.stops = published, stops
        self.records: list[dict[str, str | int | None]] = []

    def add(self, file: str, number: int, entity: gtfs.FeedEntity, faults: Faults) -> None:
        alert = entity.alert
        begin = min((p.start for p in alert.active_period if p.start), default=0)
        time = begin * 1_000_000 if 0 < begin <= LAST_SECOND else self.published
        if not time:
            faults.add(file, 0, f"entity {number} ({entity.id}): neither the alert nor the feed has a time")
            return
        told = [
            entity.id,
            *(e.route_id for e in alert.informed_entity),
            *(t.text for t in alert.header_text.translation),
        ]
        if any(isinstance(text, bytes) for text in (*told, *(t.text for t in alert.description_text.translation))):
            faults.add(file, 0, f"entity {number}: a text that is not UTF-8")
            return
        where = next((self.stops[e.stop_id] for e in alert.informed_entity if e.stop_id in self.stops), None)
        if where is None:
            faults.note("alert without a position (give the option stops to place alerts)")
        texts = [_text(alert.header_text), _text(alert.description_text)]
        self.records.append(
            {
                "time": time,
                "due": self.published or time,
                "incidentId": entity.id,
                "type": CAUSES.get(alert.cause, "Other"),
                "status": self._status(alert),
                "severity": SEVERITIES.get(alert.severity_level),
                "description": ". ".join(t for t in texts if t) or None,
                "road": ", ".join(dict.fromkeys(e.route_id for e in alert.informed_entity if e.route_id)) or None,
                "location": None if where is None else f"[{where[0]!r},{where[1]!r}]",
                "digest": hashlib.sha1(alert.SerializeToString(deterministic=True), usedforsecurity=False).hexdigest(),
            }
        )

    def _status(self, alert: gtfs.Alert) -> str:
        now = self.published // 1_000_000
        periods = alert.active_period
        if not periods or not now or any(p.start <= now and (not p.end or now < p.end) for p in periods):
            return "Active"
        return "Reported" if any(p.start > now for p in periods) else "Cleared"

    def rows(self) -> Iterator[Rows]:
        if not self.records:
            return

        def column(name: str, kind: pa.DataType | None = None) -> pa.Array:
            return pa.array([r[name] for r in self.records], kind or pa.string())

        names = ("incidentId", "type", "status", "severity", "description", "road")
        fields = {n: column(n) for n in names} | {"location": (column("location"), JSON)}
        time, due = (column(n, pa.int64()).cast(UTC) for n in ("time", "due"))
        digest = pa.array([f"{r['incidentId']}|{r['digest']}|{r['status']}" for r in self.records], pa.string())
        batch = rows("emergency", fields, time=time, device=column("incidentId"), row=digest, due=due)
        yield Rows("emergency", batch.table.append_column(SAME, digest))


def _text(translated: gtfs.TranslatedString) -> str:
    """The English text, or that without a language, or the first."""
    texts = list(translated.translation)
    best = next((t for t in texts if t.language.lower().startswith("en")), None) or next(
        (t for t in texts if not t.language), None
    )
    return (best or texts[0]).text.strip() if texts else ""
