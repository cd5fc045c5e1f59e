"""Receives the committed geography; gives the simulator its four roads as dense tables over the distance driven.

A road is one route in one direction, a carriageway with `LANES` lanes. Tables have a row every `STEP_M` metres.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEP_M = 20.0
LANES = 3
LANE_M = 3.65
CARRIAGEWAY_M = 9.0  # from the middle of the road to the middle of a carriageway
SMOOTH_M = 60.0
EARTH_M = 6_371_008.8
DEGREE_M = np.pi / 180 * EARTH_M

KMH = 1 / 3.6
LIMITS = {"M1": 113 * KMH, "M6": 113 * KMH, "M40": 113 * KMH, "M42": 113 * KMH, "A38(M)": 80 * KMH, "A40": 80 * KMH}
CITY_LIMIT = 48 * KMH  # 30 mph
INNER_M = {"A5": 9_000.0, "A40": 5_000.0, "A38(M)": 2_200.0}  # from the city's end of the road: 30 mph and signals
SIDEWAYS = 2.5  # comfortable acceleration in a bend, m/s²
SIGNAL_EVERY_M = 650.0
TUNNEL_M = (500.0, 1_700.0)  # the Queensway tunnels: distance from Birmingham's end
HEIGHTS = {  # metres above the sea by kilometre from London: drawn from the map's contours, true to some 20 m
    "M1-M6": ((0, 35), (15, 80), (25, 95), (40, 110), (52, 150), (65, 95), (85, 75), (105, 100), (120, 125), (131, 110), (150, 95), (170, 95), (186, 125)),
    "M40-M42-M6": ((0, 30), (24, 45), (36, 80), (50, 150), (57, 225), (62, 130), (72, 75), (90, 75), (115, 100), (130, 90), (143, 60), (155, 90), (165, 145), (180, 100), (196, 125)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Road:
    """One route in one direction. Tables are over the distance from its start, a row every `STEP_M`; angles in degrees
    clockwise from north (unwrapped, so that they interpolate), speeds in m/s, distances in m.

    `next_signal` is the index into `signals_m` of the next traffic light, or -1. `city_m` is how far the start city
    and from where the end city reaches. `tunnel_m` is where no satellite is seen. `surges_m` are the junctions where
    traffic joins in surges.
    """

    name: str
    route: str
    towards: str
    length_m: float
    latitude: Floats
    longitude: Floats
    heading: Floats
    altitude: Floats
    limit: Floats
    headway: Floats
    names: tuple[str, ...]
    section: Ints
    next_signal: Ints
    signals_m: Floats
    junctions_m: Floats
    surges_m: Floats
    services_m: Floats
    services: tuple[str, ...]
    city_m: tuple[float, float]
    tunnel_m: tuple[float, float]

    @property
    def rows(self) -> int:
        return len(self.latitude)


def haversine_m(lat1: Floats, lon1: Floats, lat2: Floats, lon2: Floats) -> Floats:
    """Great-circle distances in metres between points in degrees."""
    p1, p2 = np.radians(lat1), np.radians(lat2)
    h = np.sin((p2 - p1) / 2) ** 2 + np.cos(p1) * np.cos(p2) * np.sin(np.radians(lon2 - lon1) / 2) ** 2
    return np.asarray(2 * EARTH_M * np.arcsin(np.sqrt(h)))


def _lengths(lat: Floats, lon: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(haversine_m(lat[:-1], lon[:-1], lat[1:], lon[1:]))])


def _resampled(lat: Floats, lon: Floats) -> tuple[Floats, Floats]:
    along = _lengths(lat, lon)
    at = np.arange(0.0, along[-1], STEP_M)
    return np.interp(at, along, lat), np.interp(at, along, lon)


def _smooth(values: Floats) -> Floats:
    reach = int(3 * SMOOTH_M / STEP_M)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP_M / SMOOTH_M) ** 2)
    padded = np.concatenate(  # odd reflection keeps the ends where they are
        [2 * values[0] - values[reach:0:-1], values, 2 * values[-1] - values[-2 : -reach - 2 : -1]]
    )
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _heading(lat: Floats, lon: Floats) -> Floats:
    north = np.gradient(lat)
    east = np.gradient(lon) * np.cos(np.radians(lat))
    return np.degrees(np.unwrap(np.arctan2(east, north)))


def _road(feature: dict[str, Any], northbound: bool) -> Road:
    p = feature["properties"]
    line = np.asarray(feature["geometry"]["coordinates"], dtype=np.float64)
    drawn_m = float(_lengths(line[:, 1], line[:, 0])[-1])
    lat, lon = _resampled(line[:, 1], line[:, 0])
    lat, lon = _smooth(lat), _smooth(lon)
    if not northbound:
        lat, lon = lat[::-1], lon[::-1]
    left = np.radians(_heading(lat, lon) - 90)
    lat = lat + CARRIAGEWAY_M * np.cos(left) / DEGREE_M
    lon = lon + CARRIAGEWAY_M * np.sin(left) / (DEGREE_M * np.cos(np.radians(lat)))
    lat, lon = _resampled(lat, lon)
    length = (len(lat) - 1) * STEP_M
    scale = length / drawn_m

    def along(metres: Any) -> Floats:
        m = np.asarray(metres, dtype=np.float64) * scale
        return m if northbound else np.sort(length - m)

    at = np.arange(len(lat)) * STEP_M
    from_london = at if northbound else length - at
    starts = np.asarray([s["from_m"] * scale for s in p["sections"]])
    names = tuple(s["road"] for s in p["sections"])
    section = np.searchsorted(starts, from_london, side="right") - 1
    limit = np.asarray([LIMITS.get(n, CITY_LIMIT) for n in names])[section]
    inner = (from_london < INNER_M[names[0]]) | (from_london > length - INNER_M["A38(M)"])
    limit = np.where(inner, CITY_LIMIT, limit)
    bend = np.radians(np.abs(np.gradient(_heading(lat, lon)))) / STEP_M
    limit = np.minimum(limit, np.sqrt(SIDEWAYS / np.maximum(np.convolve(bend, np.ones(5) / 5, mode="same"), 1e-6)))
    signals = at[inner][:: int(SIGNAL_EVERY_M / STEP_M)][1:]
    signals = signals[(signals > 300) & (signals < length - 200)]
    following = np.searchsorted(signals, at, side="right")
    near = (following < len(signals)) & (signals[np.minimum(following, len(signals) - 1)] - at < 1_000)
    junctions = along(p["junctions_m"])
    headway = np.ones(len(lat))  # a flow-conserving inhomogeneity: people keep more distance where roads join
    busiest = junctions[2::4]
    for j in busiest:
        headway[(at > j - 200) & (at < j + 1_800)] = 1.3
    edge = (starts[1] + 300, starts[-1] - 300)
    heights = np.asarray(HEIGHTS[p["route"]], dtype=np.float64)
    services = dict(p["services_m"])
    order = sorted(services, key=lambda n: services[n] * (1 if northbound else -1))
    end = length - np.asarray(TUNNEL_M)
    return Road(
        name=f"{p['route']} {'north' if northbound else 'south'}bound",
        route=p["route"],
        towards="Birmingham" if northbound else "London",
        length_m=length,
        latitude=lat,
        longitude=lon,
        heading=_heading(lat, lon),
        altitude=np.interp(from_london / 1000, heights[:, 0], heights[:, 1]),
        limit=limit,
        headway=headway,
        names=names,
        section=section,
        next_signal=np.where(near, following, -1),
        signals_m=np.asarray(signals, dtype=np.float64),
        junctions_m=junctions,
        surges_m=busiest,
        services_m=along([services[n] for n in services]) if services else np.empty(0),
        services=tuple(order),
        city_m=edge if northbound else (length - edge[1], length - edge[0]),
        tunnel_m=(end[1], end[0]) if northbound else (TUNNEL_M[0], TUNNEL_M[1]),
    )


@cache
def load_roads() -> tuple[Road, ...]:
    """Both routes in both directions: M1-M6 north, south, M40-M42-M6 north, south."""
    text = (files("watling.devices") / "data" / "roads.geojson").read_text(encoding="utf-8")
    return tuple(_road(f, northbound) for f in json.loads(text)["features"] for northbound in (True, False))


class Network:
    """All roads in one table, so that one look-up serves vehicles of every road.

    `base[road]` is the first row of a road; a vehicle at `x` metres is at row `base + x / STEP_M`.
    """

    def __init__(self, roads: tuple[Road, ...]) -> None:
        self.roads = roads
        self.base = np.concatenate([[0], np.cumsum([r.rows for r in roads])[:-1]]).astype(np.int64)
        self.length_m = np.asarray([r.length_m for r in roads])
        self.latitude = np.concatenate([r.latitude for r in roads])
        self.longitude = np.concatenate([r.longitude for r in roads])
        self.heading = np.concatenate([r.heading for r in roads])
        self.altitude = np.concatenate([r.altitude for r in roads])
        self.limit = np.concatenate([r.limit for r in roads])
        self.headway = np.concatenate([r.headway for r in roads])
        first = np.concatenate([[0], np.cumsum([len(r.signals_m) for r in roads])[:-1]])
        self.signals_m = np.concatenate([r.signals_m for r in roads])
        self.next_signal = np.concatenate(
            [np.where(r.next_signal < 0, -1, r.next_signal + f) for r, f in zip(roads, first, strict=True)]
        )
        surges = [(b, x) for b, r in zip(self.base, roads, strict=True) for x in r.surges_m]
        self.surge_rows = tuple(slice(int(b + x / STEP_M), int(b + (x + 1_000) / STEP_M)) for b, x in surges)
        self.lane_km = float(self.length_m.sum()) * LANES / 1000

    def rows(self, road: NDArray[Any], x: Floats) -> Ints:
        """Table rows at or just behind each position."""
        return np.asarray(self.base[road] + (x / STEP_M).astype(np.int64))

    def place(self, road: NDArray[Any], x: Floats, left_m: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Latitude, longitude, heading (0 to 360) in degrees and altitude in m, `left_m` metres left of the carriageway's middle."""
        row = self.base[road]
        at = np.minimum(x, self.length_m[road] - 0.01) / STEP_M
        whole = at.astype(np.int64)
        f = at - whole
        row = row + whole
        lat = self.latitude[row] * (1 - f) + self.latitude[row + 1] * f
        lon = self.longitude[row] * (1 - f) + self.longitude[row + 1] * f
        heading = self.heading[row] * (1 - f) + self.heading[row + 1] * f
        altitude = self.altitude[row] * (1 - f) + self.altitude[row + 1] * f
        a = np.radians(heading - 90)
        lat = lat + left_m * np.cos(a) / DEGREE_M
        lon = lon + left_m * np.sin(a) / (DEGREE_M * np.cos(np.radians(lat)))
        return lat, lon, np.mod(heading, 360), altitude

    def nearest(self, latitude: float, longitude: float, within_m: float) -> list[tuple[int, float]]:
        """Roads that pass within that distance, each with the metres along it."""
        found = []
        for number, road in enumerate(self.roads):
            east = (road.longitude - longitude) * np.cos(np.radians(latitude))
            off = np.hypot(east, road.latitude - latitude) * DEGREE_M
            row = int(np.argmin(off))
            if off[row] <= within_m:
                found.append((number, row * STEP_M))
        return found
