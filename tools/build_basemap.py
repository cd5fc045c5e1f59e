# /// script
# requires-python = ">=3.11"
# dependencies = ["pmtiles==3.8.1", "mapbox-vector-tile==2.2.0", "shapely==2.2.0"]
# ///
"""Receives the outlines, roads and places in `../shared/data/geo`; gives the page's map of Great Britain as PMTiles.

Run it with `uv run tools/build_basemap.py`. The result is committed, so that a page needs no tile server: Natural
Earth (public domain), motorway lines derived from National Highways WebTRIS sensor positions (CC BY 4.0), place names
from GeoNames (CC BY 4.0).
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import mapbox_vector_tile
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer
from shapely import affinity, box, make_valid
from shapely.geometry import Point, mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.ops import transform

ROOT = Path(__file__).resolve().parent.parent
GEO = ROOT.parent / "shared" / "data" / "geo"
TARGET = ROOT / "src" / "watling" / "dashboard" / "basemap" / "gb.pmtiles"
WEST, SOUTH, EAST, NORTH = -11.0, 49.0, 4.0, 61.5
MAX_ZOOM = 9
EXTENT = 4096
BUFFER = 64 / EXTENT
ATTRIBUTION = "Natural Earth · GeoNames CC BY 4.0 · roads from National Highways WebTRIS CC BY 4.0"

# layer -> (file, smallest zoom, simplification in 1/1024 of a tile)
FILES = {
    "land": ("ne_10m_land_gb.geojson", 0, 1.0),
    "urban": ("ne_50m_urban_areas_gb.geojson", 5, 1.0),
    "lake": ("ne_10m_lakes_gb.geojson", 5, 1.0),
    "river": ("ne_10m_rivers_europe_gb.geojson", 5, 1.0),
    "border": ("ne_10m_admin_1_states_provinces_lines_gb.geojson", 6, 1.5),
    "road": ("motorway_centrelines_from_webtris_sensors.geojson", 5, 0.5),
    "route": ("route_london_birmingham_from_webtris_sensors.geojson", 4, 0.5),
}
KEPT = {"road": ("road",), "route": ("route",)}


def to_unit(x: Any, y: Any) -> tuple[Any, Any]:
    """Longitude and latitude in degrees to web mercator in 0..1, y down."""
    pairs = [_unit(a, b) for a, b in zip(x, y, strict=True)]
    return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)


def _unit(lon: float, lat: float) -> tuple[float, float]:
    lat = max(-85.0511, min(85.0511, lat))
    s = math.sin(math.radians(lat))
    return (lon + 180) / 360, 0.5 - math.log((1 + s) / (1 - s)) / (4 * math.pi)


def load() -> dict[str, list[tuple[BaseGeometry, dict[str, Any], int]]]:
    """Per layer: geometry in unit mercator, properties, smallest zoom."""
    layers: dict[str, list[tuple[BaseGeometry, dict[str, Any], int]]] = defaultdict(list)
    frame = box(WEST, SOUTH, EAST, NORTH)
    for layer, (name, zoom, _) in FILES.items():
        for feature in json.loads((GEO / name).read_text())["features"]:
            properties = feature["properties"]
            if layer == "road" and properties.get("carriageway") not in (None, "A"):
                continue  # one carriageway draws the road
            geometry = make_valid(shape(feature["geometry"])).intersection(frame)
            if not geometry.is_empty:
                kept = {k: properties[k] for k in KEPT.get(layer, ()) if properties.get(k)}
                layers[layer].append((transform(to_unit, geometry), kept, zoom))
    with (GEO / "geonames_gb_cities500.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            people = int(row["population"] or 0)
            zoom = next(
                (
                    z
                    for z, least in ((4, 900_000), (6, 250_000), (7, 100_000), (8, 40_000), (9, 8_000))
                    if people >= least
                ),
                None,
            )
            if zoom is not None:
                point = Point(*_unit(float(row["longitude"]), float(row["latitude"])))
                layers["place"].append((point, {"name": row["name"], "rank": zoom, "people": people}, zoom))
    return layers


def parts(geometry: BaseGeometry, kind: str) -> list[BaseGeometry]:
    """The polygons or lines of a geometry; what clipping left of lower dimension is dropped."""
    if geometry.is_empty:
        return []
    if geometry.geom_type.endswith(kind) and not geometry.geom_type.startswith("Multi"):
        return [geometry]
    return [p for g in getattr(geometry, "geoms", ()) for p in parts(g, kind)]


def tile(layers: dict[str, list[tuple[BaseGeometry, dict[str, Any], int]]], z: int, x: int, y: int) -> bytes | None:
    """The gzipped vector tile, or None when nothing lies in it."""
    size = 1 / 2**z
    left, top = x * size, y * size
    window = box(left - BUFFER * size, top - BUFFER * size, left + (1 + BUFFER) * size, top + (1 + BUFFER) * size)
    out = []
    for layer, items in layers.items():
        features = []
        for geometry, properties, zoom in items:
            if z < zoom or not geometry.intersects(window):
                continue
            if layer != "place":
                geometry = geometry.simplify(FILES[layer][2] / 1024 * size, preserve_topology=True)
            clipped = make_valid(geometry).intersection(window)
            kind = {"place": "Point", "land": "Polygon", "urban": "Polygon", "lake": "Polygon"}.get(layer, "LineString")
            for part in parts(clipped, kind):
                local = affinity.affine_transform(
                    part, [EXTENT / size, 0, 0, EXTENT / size, -left * EXTENT / size, -top * EXTENT / size]
                )
                features.append({"geometry": mapping(local), "properties": properties})
        if features:
            out.append({"name": layer, "features": features})
    if not out:
        return None
    data = mapbox_vector_tile.encode(out, default_options={"y_coord_down": True, "extents": EXTENT})
    return gzip.compress(data, 9, mtime=0)


def main() -> None:
    layers = load()
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    temporary = TARGET.with_suffix(".tmp")
    count = 0
    with temporary.open("wb") as file:
        writer = Writer(file)
        jobs = []
        for z in range(MAX_ZOOM + 1):
            (x0, y0), (x1, y1) = _unit(WEST, NORTH), _unit(EAST, SOUTH)
            n = 2**z
            jobs += [
                (zxy_to_tileid(z, x, y), z, x, y)
                for x in range(int(x0 * n), int(x1 * n) + 1)
                for y in range(int(y0 * n), int(y1 * n) + 1)
            ]
        for tile_id, z, x, y in sorted(jobs):
            data = tile(layers, z, x, y)
            if data:
                writer.write_tile(tile_id, data)
                count += 1
        writer.finalize(
            {
                "tile_type": TileType.MVT,
                "tile_compression": Compression.GZIP,
                "min_lon_e7": int(WEST * 1e7),
                "min_lat_e7": int(SOUTH * 1e7),
                "max_lon_e7": int(EAST * 1e7),
                "max_lat_e7": int(NORTH * 1e7),
                "center_zoom": 6,
                "center_lon_e7": int(-1.2 * 1e7),
                "center_lat_e7": int(52.2 * 1e7),
            },
            {
                "name": "Great Britain",
                "attribution": ATTRIBUTION,
                "vector_layers": [{"id": name, "fields": {}} for name in layers],
            },
        )
    temporary.replace(TARGET)
    sys.stdout.write(f"{TARGET.relative_to(ROOT)}: {count} tiles, {TARGET.stat().st_size / 1024:.0f} KB\n")


if __name__ == "__main__":
    main()
