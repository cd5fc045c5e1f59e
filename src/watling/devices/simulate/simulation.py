"""Receives options; gives the wire records of a simulated fleet, its cameras, weather stations and incidents, in order.

Nothing here looks at a clock: the same options give the same bytes, whatever the speed at which they are sent.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from watling.devices.port import WIRE, WireBatch
from watling.devices.simulate.cameras import Cameras
from watling.devices.simulate.catalogue import EMERGENCY_KINDS, VARIANT_FUEL
from watling.devices.simulate.clips import Clips
from watling.devices.simulate.fleet import Fleet, Moved
from watling.devices.simulate.incidents import Incidents
from watling.devices.simulate.lanes import DT, OFF, State
from watling.devices.simulate.options import OPTION_NAMES, FleetOptions
from watling.devices.simulate.pictures import draw
from watling.devices.simulate.powertrain import engine
from watling.devices.simulate.receiver import Receivers
from watling.devices.simulate.records import STREAMS, Writer
from watling.devices.simulate.roads import STEP_M, Network, load_roads
from watling.devices.simulate.weather import Weather, keeps_apart, load_stations, slows_to

TICK_US = int(DT * 1e6)
CONDITION_STEPS = 20  # weather and incidents are laid on the roads every 10 s
COARSE = 100  # rows of the road table between two looks at the rain (2 km)
PARKED_EVERY_US = 30_000_000
DENSITY = 13.0  # vehicles per km and lane that the fleet stands for by day
SURGE_S = (400.0, 640.0)  # seconds between two surges of joining traffic
SURGE = 0.9  # what a surge adds to the headway at its height
WARM_UP_S = 300.0
WARM_UP_VEHICLES = 4_000  # larger fleets warm up for less
LONDON = ZoneInfo("Europe/London")
# Traffic by the hour relative to its daily mean from 6 to 20: National Highways' weekday and weekend profiles in outline.
HOURS = (0, 4, 6, 7.5, 9, 11, 14, 16, 17.5, 19, 21, 24)
WEEKDAY = (0.2, 0.15, 0.8, 1.3, 1.1, 0.95, 1.0, 1.25, 1.35, 0.9, 0.5, 0.2)
WEEKEND = (0.25, 0.12, 0.25, 0.45, 0.75, 1.05, 1.05, 1.05, 0.95, 0.75, 0.5, 0.25)


class Simulation:
    """A fleet on the roads between London and Birmingham. With a start given, `batches()` may be
    called again and gives the same."""

    def __init__(self, options: FleetOptions) -> None:
        self.options = options

    def batches(self) -> Iterator[WireBatch]:
        """Batches of all five streams, two ticks a second, in order of `due`. Endless without a duration."""
        return _Run(self.options, self.options.start_utc).batches()


def busy(when: datetime) -> float:
    """Traffic at that moment relative to the daily mean."""
    local = when.astimezone(LONDON)
    profile = WEEKEND if local.weekday() >= 5 else WEEKDAY
    return float(np.interp(local.hour + local.minute / 60 + local.second / 3600, HOURS, profile))


class _Run:
    def __init__(self, options: FleetOptions, start: datetime) -> None:
        self.options = options
        self.start_us = int(start.timestamp() * 1e6)
        # What drives is the same for every choice of receivers, links and cameras; ids differ with every option.
        city = ("seed", "vehicles", "incident_rate", "rain")
        traffic, receiver, weather, incident, link = (
            np.random.default_rng(s) for s in np.random.SeedSequence(self._digest(city)).spawn(5)
        )
        ids = self._digest(tuple(n for n in OPTION_NAMES if n not in ("start", "duration", "clips"))) >> 65
        self.link, self.weather_rng = link, weather
        self.network = Network(load_roads())
        reserve = len(EMERGENCY_KINDS) * max(2, int(options.incident_rate))
        self.fleet = Fleet(self.network, options.vehicles, reserve, options.seed, traffic)
        self.receivers = Receivers(self.fleet.size, options.gps_noise_m, options.gap_rate, options.gap_s, receiver)
        self.weather = Weather(options.seed, options.rain)
        self.stations = load_stations()
        self.incidents = Incidents(self.network, options.incident_rate, options.seed, incident)
        self.cameras = Cameras(self.network)
        self.writer = Writer(self.network, ids, options.seed, self.fleet.size)
        self.clips = Clips(options.clips) if options.clips is not None else None
        self.period_us = round(1e6 / options.rate)
        self.next_us = receiver.integers(0, self.period_us, self.fleet.size) // 1000 * 1000 + 1000
        self.coarse = np.unique(
            np.concatenate(
                [
                    b + np.append(np.arange(0, r.rows, COARSE), r.rows - 1)
                    for b, r in zip(self.network.base, self.network.roads, strict=True)
                ]
            )
        )
        self.raining = False
        self.late: list[tuple[int, int, str, bytes, bytes]] = []
        self.late_number = count()
        self._camera_due = self._stagger(len(self.cameras.cameras), options.camera_every_s)
        self._weather_due = self._stagger(len(self.stations), options.weather_every_s)

    def _digest(self, names: tuple[str, ...]) -> int:
        """128 bits of those options and the start."""
        said = repr([self.start_us, *((n, getattr(self.options, n)) for n in names)])
        return int.from_bytes(hashlib.sha256(said.encode()).digest()[:16])

    @staticmethod
    def _stagger(devices: int, every_s: float) -> NDArray[np.int64]:
        """First due time of each device in µs: spread over the interval."""
        return (np.arange(1, devices + 1) * every_s / devices * 1e6).astype(np.int64)

    def batches(self) -> Iterator[WireBatch]:
        warm_up = max(60.0, WARM_UP_S * min(1.0, WARM_UP_VEHICLES / self.options.vehicles))
        step = -int(warm_up / DT)
        last = None if self.options.duration is None else int(self.options.duration.total_seconds() / DT)
        while last is None or step < last:
            if step % CONDITION_STEPS == 0:
                self._conditions(step * DT)
            if step == 0:  # without a start given the warm-up took its time: begin at the present
                self.start_us = int(self.options.start_utc.timestamp() * 1e6)
            moved = self.fleet.step(step * DT)
            for slots in self.fleet.changed_identity:
                self.writer.name(slots, self.fleet.serial[slots])
            self.fleet.changed_identity.clear()
            told = self.incidents.step(self.fleet, step * DT, self.raining)
            if step >= 0:
                self.cameras.count(moved.road, moved.x, np.where(moved.lane == OFF, moved.x, self.fleet.x), moved.v)
                yield from self._tick(step, moved, told, final=last is not None and step == last - 1)
            step += 1

    def _conditions(self, seconds: float) -> None:
        """Lay traffic, rain and incidents on the roads."""
        net, fleet = self.network, self.fleet
        now = self.start_us / 1e6 + seconds
        self.busy = busy(datetime.fromtimestamp(now, UTC))
        on_road = max(1, int(np.count_nonzero((fleet.state != State.GONE) & (fleet.state != State.PARKED))))
        scale = self.busy * DENSITY * net.lane_km / on_road
        fleet.scale = scale if fleet.steps == 0 else 0.9 * fleet.scale + 0.1 * scale
        rain = self.weather.rain_mmh(net.latitude[self.coarse], net.longitude[self.coarse], now)
        self.raining = bool((rain > 1).any())
        full = np.interp(np.arange(len(net.limit)), self.coarse, rain)
        fleet.speed_factor, fleet.headway_factor = slows_to(full), keeps_apart(full)
        for k, rows in enumerate(net.surge_rows):  # platoons from the slip road: they send waves back along the road
            period = SURGE_S[0] + (SURGE_S[1] - SURGE_S[0]) * (k * 0.618 % 1)
            wave = max(0.0, np.sin(2 * np.pi * (seconds / period + k * 0.381)))
            fleet.headway_factor[rows] *= 1 + SURGE * wave
        self.incidents.slow(fleet.speed_factor, fleet.headway_factor)

    def _tick(self, step: int, moved: Moved, told: list[Any], final: bool) -> Iterator[WireBatch]:
        end_us = (step + 1) * TICK_US
        due_us = self.start_us + end_us
        out: dict[str, list[tuple[pa.Array, pa.Array]]] = {s: [] for s in STREAMS}
        self._reports(step, moved, end_us, out)
        for stream, records in (
            ("traffic", self._pictures(end_us)),
            ("weather", self._measurements(end_us)),
            ("emergency", self._incidents(told, end_us)),
        ):
            if records:
                keys, values = zip(*records, strict=True)
                out[stream].append((pa.array(keys, pa.binary()), pa.array(values, pa.binary())))
        while self.late and (self.late[0][0] <= due_us or final):
            _, _, stream, key, value = heapq.heappop(self.late)
            out[stream].append((pa.array([key], pa.binary()), pa.array([value], pa.binary())))
        for stream, parts in out.items():
            if parts:
                keys = pa.chunked_array([k for k, _ in parts])
                values = pa.chunked_array([v for _, v in parts])
                due = pa.array(np.full(len(keys), due_us, dtype=np.int64)).cast(WIRE.field("due").type)
                yield WireBatch(stream, pa.table([keys, values, due], schema=WIRE))

    def _reports(self, step: int, moved: Moved, end_us: int, out: dict[str, list[tuple[pa.Array, pa.Array]]]) -> None:
        """What the vehicles send within this tick."""
        while True:
            slots = np.flatnonzero(self.next_us <= end_us)
            if not len(slots):
                return
            at = self.next_us[slots]
            self.next_us[slots] += self.period_us
            parked = slots[self.fleet.state[slots] == State.PARKED]
            self.next_us[parked] += max(0, PARKED_EVERY_US - self.period_us)
            on = moved.lane[slots] != OFF
            slots, at = slots[on], at[on]
            if len(slots):
                self._report(slots, at, (at - step * TICK_US) / 1e6, moved, out)

    def _report(
        self,
        slots: NDArray[np.int64],
        at: NDArray[np.int64],
        s: NDArray[np.float64],
        moved: Moved,
        out: dict[str, list[tuple[pa.Array, pa.Array]]],
    ) -> None:
        fleet, net = self.fleet, self.network
        road, v0, a = moved.road[slots], moved.v[slots], moved.a[slots]
        x = moved.x[slots] + v0 * s + 0.5 * a * s * s
        tunnels = np.asarray([r.tunnel_m for r in net.roads])[road]
        hidden = (x > tunnels[:, 0]) & (x < tunnels[:, 1])
        heard = self.receivers.heard(slots, at, self.period_us / 1e6, hidden)
        slots, at, road = slots[heard], at[heard], road[heard]
        s, v0, a, x = s[heard], v0[heard], a[heard], x[heard]
        n = len(slots)
        if not n:
            return
        v = np.maximum(0.0, v0 + a * s)
        left = moved.left_m[slots] + moved.left_rate[slots] * s
        lat, lon, heading, altitude = net.place(road, x, left)
        fix = self.receivers.fix(slots, at, lat, lon)
        row = net.rows(road, x)
        climb = (net.altitude[np.minimum(row + 1, len(net.altitude) - 1)] - net.altitude[row]) / STEP_M
        kind = fleet.kind[slots]
        noise = self.link.standard_normal((3, n), dtype=np.float32)
        moving = v > 0.3
        wheel = np.where(moving, np.maximum(0, v + 0.05 * noise[0]), 0) * 3.6
        sky = np.where(moving, np.maximum(0, v + 0.12 * noise[1]), np.abs(0.05 * noise[1])) * 3.6
        course = np.mod(heading + np.where(moving, np.minimum(20, 4 / np.maximum(v, 1)), 0) * noise[2], 360)
        course = np.where(course >= 359.95, 0.0, course)
        time_us = self.start_us + at
        serial, trip = fleet.serial[slots], fleet.trip[slots]
        height = altitude + 1.5 * self.receivers.sky[slots]
        motor = engine(v, a, climb, kind, VARIANT_FUEL[fleet.variant[slots]])
        vehicle = self.writer.vehicle(
            slots, serial, time_us, fix, wheel, course, height, trip, fleet.variant[slots], kind, road, motor
        )
        gps = self.writer.gps(slots, serial, time_us, fix, sky, course, height, trip, kind, road)
        keys = self.writer.keys(slots)
        for stream, values in (("vehicle", vehicle), ("gps", gps)):
            self._send(stream, keys, values, time_us, out)

    def _send(
        self,
        stream: str,
        keys: pa.Array,
        values: pa.Array,
        time_us: NDArray[np.int64],
        out: dict[str, list[tuple[pa.Array, pa.Array]]],
    ) -> None:
        """Send now, but for the records that a slow link holds back; a few are sent twice, as devices do."""
        o = self.options
        u = self.link.random((2, len(keys)), dtype=np.float32)
        late, again = u[0] < o.late_rate, u[1] < o.repeat_rate
        for i in np.flatnonzero(late | again).tolist():
            delay = 2 + self.link.exponential(o.late_s) if late[i] else 0.5 + self.link.exponential(2.0)
            record = (int(time_us[i] + delay * 1e6), next(self.late_number), stream, keys[i].as_py(), values[i].as_py())
            heapq.heappush(self.late, record)
        if late.any():
            now = pa.array(~late)
            keys, values = keys.filter(now), values.filter(now)
        out[stream].append((keys, values))

    def _pictures(self, end_us: int) -> list[tuple[bytes, bytes]]:
        records = []
        every = self.options.camera_every_s
        for number in np.flatnonzero(self._camera_due <= end_us).tolist():
            self._camera_due[number] += int(every * 1e6)
            camera = self.cameras.cameras[number]
            view = self.cameras.look(number, self.fleet, every)
            time_us = self.start_us + end_us
            when = datetime.fromtimestamp(time_us / 1e6, UTC)
            picture = None
            if self.options.pictures:
                if self.clips is not None:
                    picture = self.clips.frame(number, time_us)
                else:
                    rain = self.weather.rain_mmh([camera.latitude], [camera.longitude], time_us / 1e6)
                    picture = draw(camera, view, when, float(rain[0]))
            records.append((camera.id.encode(), self.writer.traffic(number, camera, view, time_us, every, picture)))
        return records

    def _measurements(self, end_us: int) -> list[tuple[bytes, bytes]]:
        due = np.flatnonzero(self._weather_due <= end_us).tolist()
        if not due:
            return []
        time_us = self.start_us + end_us
        stations = tuple(self.stations[i] for i in due)
        noise = self.weather_rng.standard_normal((4, len(due)))
        values = self.weather.at(stations, time_us / 1e6, self.busy, noise)
        records = []
        for k, number in enumerate(due):
            self._weather_due[number] += int(self.options.weather_every_s * 1e6)
            mine = {name: column[k] for name, column in values.items()}
            records.append((stations[k].id.encode(), self.writer.weather(number, stations[k], mine, time_us)))
        return records

    def _incidents(self, told: list[Any], end_us: int) -> list[tuple[bytes, bytes]]:
        records = []
        for incident, teller in told:
            road = self.network.roads[incident.road]
            lat, lon, _, _ = self.network.place(
                np.asarray([incident.road]), np.asarray([incident.x]), np.asarray([3.6])
            )
            name = f"{road.names[road.section[int(incident.x / STEP_M)]]} towards {road.towards}"
            value = self.writer.emergency(incident, name, float(lat[0]), float(lon[0]), teller, self.start_us + end_us)
            records.append((incident.id.encode(), value))
        return records


def decoded(batch: WireBatch) -> list[dict[str, Any]]:
    """The records of a batch as dictionaries, for people who look at them."""
    return [json.loads(v) for v in batch.records.column("value").to_pylist()]
