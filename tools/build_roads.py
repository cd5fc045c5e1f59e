"""Receives the recorded geography (`../shared/data`); gives the simulator's roads, cameras and weather stations.

Run `python tools/build_roads.py [DATA]` to write `roads.geojson` and `sites.json` in `src/watling/devices/data` again.
What is derived and from what stands in both files and in docs/simulator.md.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from itertools import pairwise
from pathlib import Path

Point = tuple[float, float]  # longitude, latitude

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "src/watling/devices/data"
TOLERANCE_M = 8.0
EARTH_M = 6_371_008.8

# The city miles are in no recording. Drawn by hand through well-known places, true to some 200 m.
EDGWARE_ROAD = [  # the A5: Watling Street itself
    (-0.1590, 51.5132), (-0.1648, 51.5172), (-0.1700, 51.5203), (-0.1770, 51.5245), (-0.1855, 51.5297),
    (-0.1925, 51.5372), (-0.2044, 51.5472), (-0.2150, 51.5580), (-0.2262, 51.5688),
]  # fmt: skip
WESTERN_AVENUE = [  # A40: Marylebone Road, Westway, Western Avenue
    (-0.1640, 51.5204), (-0.1711, 51.5196), (-0.1810, 51.5190), (-0.1950, 51.5190), (-0.2090, 51.5160),
    (-0.2240, 51.5133), (-0.2370, 51.5155), (-0.2530, 51.5190), (-0.2690, 51.5215), (-0.2820, 51.5268),
    (-0.2930, 51.5305), (-0.3120, 51.5335), (-0.3400, 51.5405), (-0.3690, 51.5475), (-0.4000, 51.5530),
    (-0.4260, 51.5570), (-0.4560, 51.5586), (-0.4750, 51.5592),
]  # fmt: skip
ASTON_EXPRESSWAY = [  # A38(M), then the Queensway with its tunnels
    (-1.8690, 52.5062), (-1.8780, 52.5000), (-1.8842, 52.4945), (-1.8877, 52.4902), (-1.8932, 52.4872),
    (-1.8985, 52.4853), (-1.9045, 52.4825), (-1.9080, 52.4797),
]  # fmt: skip
SERVICES = {  # name: longitude, latitude, true to about a kilometre
    "London Gateway": (-0.2646, 51.6312), "Toddington": (-0.5033, 51.9457), "Newport Pagnell": (-0.7497, 52.0830),
    "Northampton": (-0.9443, 52.2095), "Watford Gap": (-1.1227, 52.3069), "Corley": (-1.5497, 52.4720),
    "Beaconsfield": (-0.6288, 51.5917), "Oxford": (-1.1050, 51.7390), "Cherwell Valley": (-1.2070, 51.9510),
    "Warwick": (-1.5226, 52.2285),
}  # fmt: skip
STATIONS = (  # towns along the roads that get a weather station
    "London", "Hendon", "Uxbridge", "Watford", "St Albans", "Luton", "High Wycombe", "Milton Keynes", "Oxford",
    "Bicester", "Banbury", "Northampton", "Daventry", "Rugby", "Warwick", "Coventry", "Solihull", "Redditch",
    "Birmingham",
)  # fmt: skip


def metres(a: Point, b: Point) -> tuple[float, float]:
    """East and north from a to b."""
    k = math.radians(1) * EARTH_M
    return (b[0] - a[0]) * k * math.cos(math.radians((a[1] + b[1]) / 2)), (b[1] - a[1]) * k


def distance(a: Point, b: Point) -> float:
    return math.hypot(*metres(a, b))


def bearing(a: Point, b: Point) -> float:
    east, north = metres(a, b)
    return math.degrees(math.atan2(east, north)) % 360


def turn(a: Point, b: Point, c: Point) -> float:
    return abs((bearing(b, c) - bearing(a, b) + 180) % 360 - 180)


def without_spikes(line: list[Point], limit: float = 100.0) -> list[Point]:
    """The line without points at which it doubles back: sensors of the other carriageway or of a slip road."""
    line = list(line)
    while True:
        turns = [turn(line[i - 1], line[i], line[i + 1]) for i in range(1, len(line) - 1)]
        worst = max(range(len(turns)), key=turns.__getitem__)
        if turns[worst] <= limit:
            return line
        i = worst + 1
        near = [j for j in (i, i + 1, i - 1) if 0 < j < len(line) - 1]

        def kinks(j: int, line: list[Point] = line) -> float:
            rest = line[max(0, j - 4) : j] + line[j + 1 : j + 5]
            return sum(turn(*rest[k - 1 : k + 2]) for k in range(1, len(rest) - 1))

        del line[min(near, key=kinks)]


def simplified(line: list[Point], tolerance: float = TOLERANCE_M) -> list[Point]:
    """Douglas and Peucker (1973)."""
    if len(line) < 3:
        return line
    dx, dy = metres(line[0], line[-1])
    length = math.hypot(dx, dy)
    off = []
    for p in line[1:-1]:
        px, py = metres(line[0], p)
        off.append(abs(dx * py - dy * px) / length if length else math.hypot(px, py))
    worst = max(range(len(off)), key=off.__getitem__)
    if off[worst] <= tolerance:
        return [line[0], line[-1]]
    return simplified(line[: worst + 2], tolerance)[:-1] + simplified(line[worst + 1 :], tolerance)


def nearest(line: list[Point], p: Point) -> tuple[float, float]:
    """Distance of p from the line and how far along it, both in metres."""
    best, along = (math.inf, 0.0), 0.0
    for a, b in pairwise(line):
        (dx, dy), (px, py) = metres(a, b), metres(a, p)
        length = math.hypot(dx, dy)
        t = min(1.0, max(0.0, (dx * px + dy * py) / length**2)) if length else 0.0
        best = min(best, (math.hypot(px - t * dx, py - t * dy), along + t * length))
        along += length
    return best


def junctions(line: list[Point], sites: list[dict[str, str]]) -> list[float]:
    """Where one can join and leave, metres along the line: groups of sensors on slip roads."""
    at = []
    for site in sites:
        if site["cway"] and site["cway"] in "JKLM":
            off, along = nearest(line, (float(site["Longitude"]), float(site["Latitude"])))
            if off < 250:
                at.append(along)
    groups: list[list[float]] = []
    for along in sorted(at):
        if groups and along - groups[-1][-1] < 1500:
            groups[-1].append(along)
        else:
            groups.append([along])
    return [round(sum(g) / len(g)) for g in groups]


def main(data: Path) -> None:
    geo = data / "geo"
    features = json.loads((geo / "route_london_birmingham_from_webtris_sensors.geojson").read_text())["features"]
    recorded = {f["properties"]["route"]: [tuple(p) for p in f["geometry"]["coordinates"]] for f in features}
    sites = list(csv.DictReader((geo / "webtris_sites_london_birmingham_corridor.csv").open(encoding="utf-8")))

    m1 = without_spikes(recorded["M1-M6"])
    routes = {
        "M1-M6": (EDGWARE_ROAD, m1, [("A5", 0), ("M1", None), ("M6", (-1.1790, 52.4030)), ("A38(M)", m1[-1])]),
        "M40-M42-M6": (
            WESTERN_AVENUE,
            without_spikes(recorded["M40-M42-M6"]),
            [("A40", 0), ("M40", None), ("M42", (-1.8090, 52.3520)), ("M6", (-1.7400, 52.5120)), ("A38(M)", m1[-1])],
        ),
    }
    out = []
    for name, (city, motorway, roads) in routes.items():
        line = simplified([*city, *motorway, *ASTON_EXPRESSWAY])
        length = sum(distance(a, b) for a, b in pairwise(line))
        first = nearest(line, motorway[0])[1]
        last = nearest(line, motorway[-1])[1]
        sections = []
        for road, start in roads:
            at = 0.0 if start == 0 else first if start is None else nearest(line, start)[1]
            sections.append({"road": road, "from_m": round(at)})
        services = {n: nearest(line, p) for n, p in SERVICES.items()}
        properties = {
            "route": name,
            "length_m": round(length),
            "motorway_m": [round(first), round(last)],
            "sections": sections,
            "junctions_m": [j for j in junctions(line, sites) if first + 800 < j < last - 800],
            "services_m": {n: round(along) for n, (off, along) in services.items() if off < 1500},
        }
        geometry = {"type": "LineString", "coordinates": [[round(x, 5), round(y, 5)] for x, y in line]}
        out.append({"type": "Feature", "properties": properties, "geometry": geometry})
        gaps = sorted((distance(a, b) for a, b in pairwise(line)), reverse=True)[:3]
        sys.stdout.write(f"{name}: {len(line)} points, largest gaps {[round(g) for g in gaps]} m, {properties}\n")
    attribution = (
        "Motorways: National Highways WebTRIS sensor sites (via nrennie/national-highways, CC BY 4.0), ordered, spikes "
        "removed, simplified to 8 m; slip-road sensors give the junctions. City miles (A5, A40, A38(M)) and service "
        "areas: drawn by hand through well-known places, true to some 200 m and 1 km."
    )
    text = json.dumps({"type": "FeatureCollection", "attribution": attribution, "features": out}, separators=(",", ":"))
    (OUT / "roads.geojson").write_text(
        text.replace('{"type":"Feature"', '\n{"type":"Feature"') + "\n", encoding="utf-8"
    )

    lines = [[tuple(p) for p in f["geometry"]["coordinates"]] for f in out]
    cameras = motorway_cameras(out, lines, sites) + city_cameras(lines, data)
    stations = weather_stations(geo)
    text = json.dumps(
        {
            "attribution": "Motorway cameras stand at National Highways WebTRIS sites (CC BY 4.0), London's at TfL JamCam "
            "sites (Open Government Licence v3.0; powered by TfL Open Data), weather stations at GeoNames towns (CC BY 4.0).",
            "cameras": cameras,
            "stations": stations,
        },
        indent=0,
        ensure_ascii=False,
    )
    (OUT / "sites.json").write_text(re.sub(r"\n(?=[\"}])(?!\"cam|\"sta|\"att)", "", text) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(cameras)} cameras, {len(stations)} stations\n")


def motorway_cameras(features: list[dict], lines: list[list[Point]], sites: list[dict[str, str]]) -> list[dict]:
    """One WebTRIS site about every 8 km of each route."""
    chosen: list[dict] = []
    for feature, line in zip(features, lines, strict=True):
        first, last = feature["properties"]["motorway_m"]
        near = []
        for site in sites:
            if site["Status"] == "Active" and site["cway"] == "A" and site["road"] in {"M1", "M6", "M40", "M42"}:
                p = (float(site["Longitude"]), float(site["Latitude"]))
                off, along = nearest(line, p)
                if off < 60 and first < along < last:
                    near.append((along, site["road"] + " " + site["post"].split(".")[0], p))
        at = first + 2000
        while at < last:
            along, name, p = min(near, key=lambda s, at=at: abs(s[0] - at))
            camera = {
                "id": "webtris-" + name.replace(" ", "-"),
                "name": name,
                "longitude": round(p[0], 5),
                "latitude": round(p[1], 5),
            }
            if abs(along - at) < 4000 and camera["id"] not in {c["id"] for c in chosen}:
                chosen.append(camera)
            at += 8000
    return chosen


def city_cameras(lines: list[list[Point]], data: Path) -> list[dict]:
    """JamCam sites within 60 m of the two city roads, at least 900 m apart."""
    chosen: list[dict] = []
    for row in csv.DictReader((data / "cameras/jamcam_locations_2019.csv").open(encoding="utf-8")):
        p = (float(row["lon"]), float(row["lat"]))
        if min(nearest(line, p)[0] for line in lines) < 60 and all(
            distance(p, (c["longitude"], c["latitude"])) > 900 for c in chosen
        ):
            number = row["id"].removeprefix("JamCams_")
            chosen.append(
                {
                    "id": f"jamcam-{number}",
                    "name": f"JamCam {number}",
                    "longitude": round(p[0], 5),
                    "latitude": round(p[1], 5),
                }
            )
    return chosen


def weather_stations(geo: Path) -> list[dict]:
    rows = list(csv.reader((geo / "geonames_gb_cities500.csv").open(encoding="utf-8")))
    found = []
    for name in STATIONS:
        best = max((r for r in rows if r[1] == name), key=lambda r: int(r[5]), default=None)
        if best is None:
            raise SystemExit(f"no place {name!r} in geonames_gb_cities500.csv")
        found.append(
            {
                "id": f"met-{name.lower().replace(' ', '-')}",
                "name": name,
                "longitude": round(float(best[3]), 4),
                "latitude": round(float(best[2]), 4),
            }
        )
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared/data")
