"""What must hold of every simulated vehicle, whatever the seed: roads, physics, arithmetic."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from watling.devices.simulate import FleetOptions, Simulation
from watling.devices.simulate.following import HARDEST
from watling.devices.simulate.roads import DEGREE_M, LANE_M, haversine_m, load_roads

from .conftest import START, Track, collect, tracks

ROADS = {r.name: r for r in load_roads()}
HALF_ROAD_M = 2 * LANE_M + 0.5  # from the middle of a carriageway to the slip road


def off_road_m(track: Track) -> np.ndarray:
    """Distance of each position from the middle of its carriageway, in metres."""
    road = ROADS[track.route]
    k = np.cos(np.radians(road.latitude.mean()))
    out = np.empty(len(track.t))
    px, py = road.longitude * k * DEGREE_M, road.latitude * DEGREE_M
    for i, (lat, lon) in enumerate(zip(track.lat, track.lon, strict=True)):
        x, y = lon * k * DEGREE_M, lat * DEGREE_M
        j = int(np.argmin((px - x) ** 2 + (py - y) ** 2))
        best = np.inf
        for a, b in ((j - 1, j), (j, j + 1)):
            if a < 0 or b >= len(px):
                continue
            dx, dy = px[b] - px[a], py[b] - py[a]
            f = np.clip(((x - px[a]) * dx + (y - py[a]) * dy) / (dx * dx + dy * dy), 0, 1)
            best = min(best, float(np.hypot(px[a] + f * dx - x, py[a] + f * dy - y)))
        out[i] = best
    return out


def test_never_off_the_road(trips: list[Track]) -> None:
    """If this fails, vehicles on the map drive through fields."""
    worst = max(float(off_road_m(track).max()) for track in trips[::6])
    assert worst < HALF_ROAD_M


def test_noise_stays_within_its_bound() -> None:
    """If this fails, receivers err by more than the option says: the same city, once with perfect receivers."""
    options = {
        "vehicles": 150,
        "seed": 8,
        "start": START,
        "duration": timedelta(seconds=60),
        "gap_rate": 0,
        "late_rate": 0,
        "repeat_rate": 0,
    }
    true, noisy = (collect(FleetOptions(gps_noise_m=m, **options))["gps"] for m in (0.0, 5.0))
    where = {(r["vehicle_id"], r["timestamp"]): r["location"] for r in true}
    error = []
    for record in noisy:
        lat, lon = where[record["vehicle_id"], record["timestamp"]]
        off = haversine_m(*(np.asarray(q) for q in (lat, lon, *record["location"])))
        error.append((float(off), record["accuracy_m"]))
    off, accuracy = np.asarray(error).T
    assert (off <= 4.5 * accuracy + 0.2).all()
    assert 0.5 * 5 < off.mean() < 1.2 * 5
    assert 0.5 < (off < accuracy).mean() < 0.8  # the stated accuracy is a 68 % radius


def test_speed_within_physics(trips: list[Track]) -> None:
    """If this fails, the report on harsh braking is full of impossible events."""
    for track in trips:
        dt = np.diff(track.t)
        near = dt < 1.6
        a = np.diff(track.v)[near] / dt[near]
        assert track.v.max(initial=0) < 50
        assert a.min(initial=0) > -HARDEST - 0.5  # the wheel's speed has noise of its own
        assert a.max(initial=0) < 3.2


def test_no_teleport(trips: list[Track]) -> None:
    """If this fails, markers jump on the map."""
    for track in trips:
        moved = haversine_m(track.lat[:-1], track.lon[:-1], track.lat[1:], track.lon[1:])
        fastest = np.maximum(track.v[:-1], track.v[1:])
        assert (moved <= (fastest + 3) * np.diff(track.t) + 1.5).all()


def test_distance_is_the_integral_of_speed(trips: list[Track]) -> None:
    """If this fails, kilometres by position and kilometres by speed disagree in a report."""
    compared = 0
    for track in trips:
        if len(track.t) < 2 or np.diff(track.t).max() > 1.5:
            continue  # a tunnel or a rest
        moved = float(haversine_m(track.lat[:-1], track.lon[:-1], track.lat[1:], track.lon[1:]).sum())
        driven = float(((track.v[:-1] + track.v[1:]) / 2 * np.diff(track.t)).sum())
        if driven > 2_000:
            assert moved == pytest.approx(driven, rel=0.01)
            compared += 1
    assert compared > 80


def test_heading_is_where_it_goes(trips: list[Track]) -> None:
    """If this fails, arrows on the map point away from the way that vehicles move."""
    for track in trips[::5]:
        east = np.diff(track.lon) * np.cos(np.radians(track.lat[1:]))
        north = np.diff(track.lat)
        course = np.degrees(np.arctan2(east, north)) % 360
        off = np.abs((track.heading[1:] - course + 180) % 360 - 180)
        fast = (track.v[1:] > 12) & (np.diff(track.t) < 1.5)
        if fast.sum() > 20:
            assert np.quantile(off[fast], 0.95) < 8


def test_both_ways_many_trips(city: dict[str, list[dict[str, Any]]]) -> None:
    """If this fails, the roads are one-way or the city empties."""
    first, last = city["gps"][:1_000], city["gps"][-1_000:]
    assert {r["route"] for r in first} == set(ROADS)
    came, left = ({r["vehicle_id"] for r in rows} for rows in (last, first))
    assert came - left
    assert left - came
    assert len(came) > 0.8 * len(left)


def test_vehicles_stay_what_they_are(city: dict[str, list[dict[str, Any]]]) -> None:
    """If this fails, a vehicle changes its make on the way."""
    traits = {
        (r["vehicle_id"], r["make"], r["model"], r["year"], r["fuelType"], r["vehicleType"]) for r in city["vehicle"]
    }
    assert len(traits) == len({t[0] for t in traits})
    assert {"Car", "Van", "Truck"} <= {t[5] for t in traits}
    assert all("rpm" not in r and "fuelRate" not in r for r in city["vehicle"] if r["fuelType"] == "electric")


def test_incidents_live_and_help_comes(city: dict[str, list[dict[str, Any]]]) -> None:
    """If this fails, incidents never end, or nobody drives to them."""
    status: dict[str, list[str]] = {}
    for record in city["emergency"]:
        status.setdefault(record["incidentId"], []).append(record["status"])
    order = ["Reported", "Attending", "Cleared"]
    assert all([order.index(s) for s in seen] == sorted(order.index(s) for s in seen) for seen in status.values())
    assert sum("Attending" in s for s in status.values()) >= 2
    assert any(r["vehicleType"] in ("Police", "Ambulance", "Recovery", "Fire Engine") for r in city["vehicle"])


def test_incident_slows_the_road() -> None:
    """If this fails, an accident leaves no trace in the traffic."""
    from watling.devices.simulate.simulation import _Run

    options = FleetOptions(vehicles=3_000, seed=2, start=START, rate=0.001, incident_rate=40, rain=0, pictures=False)
    run = _Run(options, options.start_utc)
    fleet, slow, fast = run.fleet, [], []
    for step in range(1_800):
        if step % 20 == 0:
            run._conditions(step / 2)
        fleet.step(step / 2)
        run.incidents.step(fleet, step / 2, False)
        if step > 900 and step % 20 == 0:
            for incident in run.incidents.open:
                near = (fleet.road == incident.road) & (fleet.lane < 3)
                on = fleet.v[near & (np.abs(fleet.x - incident.x + 150) < 200)]
                slow.extend(on.tolist())
                fast.extend(fleet.v[near & (np.abs(fleet.x - incident.x - 8_000) < 2_000)].tolist())
    assert len(slow) > 20
    assert np.mean(slow) < 0.7 * np.mean(fast)


def test_same_options_same_bytes() -> None:
    """If this fails, a run cannot be repeated to look at what happened."""
    options = FleetOptions(vehicles=120, seed=3, start=START, duration=timedelta(seconds=30))

    def run(o: FleetOptions) -> list[tuple[str, list[dict[str, Any]]]]:
        return [(b.stream, b.records.to_pylist()) for b in Simulation(o).batches()]

    first = run(options)
    assert run(options) == first
    assert run(FleetOptions(vehicles=120, seed=4, start=START, duration=timedelta(seconds=30))) != first
    longer = run(FleetOptions(vehicles=120, seed=3, start=START, duration=timedelta(seconds=40)))
    early = len(first) * 2 // 3  # the end of a run sends what links still hold back
    assert longer[:early] == first[:early]


def test_faults_come_at_their_rates() -> None:
    """If this fails, the options for late and repeated records and lost signal do something else than they say."""
    options = FleetOptions(
        vehicles=500,
        seed=6,
        start=START,
        duration=timedelta(minutes=4),
        gap_rate=20,
        gap_s=20,
        late_rate=0.02,
        late_s=10,
        repeat_rate=0.01,
    )
    seen: dict[bytes, int] = {}
    late = total = 0
    for batch in Simulation(options).batches():
        if batch.stream != "gps":
            continue
        for value, due in zip(batch.records["value"].to_pylist(), batch.records["due"].to_pylist(), strict=True):
            total += 1
            seen[value] = seen.get(value, 0) + 1
            stamp = value[value.index(b'"timestamp":"') + 13 :][:24].decode()
            late += (due.isoformat(timespec="milliseconds").replace("+00:00", "Z") > stamp) and (
                due.timestamp() - np.datetime64(stamp[:-1]).astype("datetime64[ms]").astype(int) / 1000 > 2
            )
    repeats = total - len(seen)
    assert 0.006 < repeats / total < 0.014
    assert 0.015 < late / total < 0.035
    records = [__import__("json").loads(v) for v in seen]
    gaps = sum(int(((np.diff(t.t) > 3) & (np.diff(t.t) < 25)).sum()) for t in tracks(records))
    hours = len(seen) / 3600
    assert 8 < gaps / hours < 24


def test_due_rises(city: dict[str, list[dict[str, Any]]]) -> None:
    """If this fails, replay at speed 1 sends in the wrong order."""
    last = 0
    for batch in Simulation(FleetOptions(vehicles=50, start=START, duration=timedelta(seconds=20))).batches():
        due = batch.records["due"].cast("int64").to_pylist()
        assert due == sorted(due)
        assert due[0] >= last
        last = due[-1]
