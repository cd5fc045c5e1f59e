"""Receives tables of road collisions, STATS19's or Leeds City Council's; gives emergency rows of type Accident.

STATS19: a row a collision, with codes as in the Department for Transport's guide; WGS 84 positions as they stand, else
from the British National Grid. Leeds: a row a casualty, with the collision's reference; age and sex are not read.
Dates and times are on the clock of the United Kingdom.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from watling.devices.sources import columns, grid, table
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.rows import Options, Rows, rows
from watling.devices.sources.timed import complete, has_columns

SUFFIXES = (".csv",)
SEVERITY = {"1": "Fatal", "2": "Serious", "3": "Slight"}
ROAD_CLASS = {"1": "Motorway", "2": "A(M)", "3": "A", "4": "B", "5": "C", "6": "Unclassified"}
COLLISION = (
    "date",
    "time",
    "collision_severity",
    "number_of_vehicles",
    "number_of_casualties",
    "first_road_class",
    "first_road_number",
)
POSITION = ("latitude", "longitude", "location_easting_osgr", "location_northing_osgr")
IDS = ("collision_index", "accident_index")  # the name changed in 2024's release
LEEDS = ("Reference Number", "Grid Ref: Easting", "Grid Ref: Northing", "Accident Date", "Time (24hr)")
LEEDS_TOLD = (
    "1st Road Class",
    "Road Surface",
    "Lighting Conditions",
    "Weather Conditions",
    "Casualty Class",
    "Casualty Severity",
    "Type of Vehicle",
)


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield emergency rows with status Reported. Vehicle and casualty tables of STATS19 hold no place or time: they are
    passed over and counted as skipped."""
    names = table.header(member)
    zone = options.timezone or "Europe/London"
    if LEEDS[0] in names and LEEDS[1] in names:
        yield from _leeds(member, zone, faults)
        return
    key = next((n for n in IDS if n in names), IDS[0])
    if key in names and "vehicle_reference" in names:
        faults.skip("a STATS19 table of vehicles or casualties, which has no place and time (files)")
    elif has_columns(member, names, (key, "date", "time"), "a table of collisions", faults):
        yield from _collisions(member, key, zone, faults)


def _collisions(member: Member, key: str, zone: str, faults: Faults) -> Iterator[Rows]:
    for block in table.read(member, faults, wanted=(key, *COLLISION, *POSITION)):
        texts = pc.binary_join_element_wise(block.column("date"), block.column("time"), " ")
        time = columns.instants(texts, zone, faults, ("%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S"))
        block, time = complete(block, time, texts, key, faults)
        if not len(block.lines):
            continue
        latitude, longitude, easting, northing = (columns.numbers(block.column(c)) for c in POSITION)
        from_grid = grid.wgs84(easting, northing)
        place = columns.location(pc.coalesce(latitude, from_grid[0]), pc.coalesce(longitude, from_grid[1]))
        vehicles, casualties = block.column("number_of_vehicles"), block.column("number_of_casualties")
        fields = {
            "severity": columns.renamed(block.column("collision_severity"), SEVERITY),
            "road": _road(block.column("first_road_class"), block.column("first_road_number")),
            "description": pc.binary_join_element_wise("vehicles: ", vehicles, "; casualties: ", casualties, ""),
        }
        yield _accident(block.column(key), place, time, fields)


def _road(kind: pa.Array, number: pa.Array) -> pa.Array:
    """`A1277`, `M6`, `A1(M)`; the class alone where the road has no number."""
    prefix = columns.renamed(kind, {"1": "M", "2": "A", "3": "A", "4": "B", "5": "C", "6": "Unclassified"})
    suffix = pc.if_else(pc.fill_null(pc.equal(kind, "2"), False), "(M)", "")
    numbered = pc.and_(pc.is_valid(number), pc.invert(pc.is_in(number, pa.array(["0", "-1"]))))
    full = pc.binary_join_element_wise(prefix, pc.fill_null(number, ""), suffix, "")
    return pc.if_else(numbered, full, columns.renamed(kind, ROAD_CLASS))


def _leeds(member: Member, zone: str, faults: Faults) -> Iterator[Rows]:
    for block in table.read(member, faults, wanted=(*LEEDS, *LEEDS_TOLD)):
        clock = pc.utf8_lpad(block.column("Time (24hr)"), 4, "0")
        texts = pc.binary_join_element_wise(block.column("Accident Date"), clock, " ")
        time = columns.instants(texts, zone, faults, ("%d/%m/%Y %H%M",))
        block, time = complete(block, time, texts, LEEDS[0], faults)
        if not len(block.lines):
            continue
        told = [
            block.column(c)
            for c in ("Casualty Class", "Type of Vehicle", "Road Surface", "Lighting Conditions", "Weather Conditions")
        ]
        fields = {
            "severity": block.column("Casualty Severity"),
            "road": block.column("1st Road Class"),
            "description": pc.binary_join_element_wise(*told, "; ", null_handling="skip"),
        }
        place = columns.location(
            *grid.wgs84(columns.numbers(block.column(LEEDS[1])), columns.numbers(block.column(LEEDS[2])))
        )
        yield _accident(block.column(LEEDS[0]), place, time, fields, pa.array(block.lines).cast(pa.string()))


def _accident(
    number: pa.Array, place: columns.Field, time: pa.Array, fields: dict[str, pa.Array], row: pa.Array | None = None
) -> Rows:
    known = {"type": columns.constant("Accident", len(time)), "status": columns.constant("Reported", len(time))}
    return rows(
        "emergency", {"incidentId": number, **known, "location": place, **fields}, time=time, device=number, row=row
    )
