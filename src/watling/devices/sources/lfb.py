"""Receives incident tables of the London Fire Brigade; gives emergency rows.

`DateTimeOfCall` is on the clock of London. Positions are British National Grid, in metres: the exact ones where the
brigade gives them, else (for homes) rounded to 50 m by the brigade itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.compute as pc

from watling.devices.sources import columns, grid, table
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.rows import Options, Rows, rows
from watling.devices.sources.timed import complete, has_columns

SUFFIXES = (".csv",)
FORMATS = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M")
TYPES = {"Special Service": "Special Service", "Fire": "Fire", "False Alarm": "Other"}
GRID = ("Easting_m", "Northing_m", "Easting_rounded", "Northing_rounded")
WANTED = ("IncidentNumber", "DateTimeOfCall", "TypeOfIncident", "FinalDescription", *GRID)


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield emergency rows with status Reported, at the time of the call."""
    names = table.header(member)
    if not has_columns(
        member, names, ("IncidentNumber", "DateTimeOfCall"), "a table of the London Fire Brigade", faults
    ):
        return
    for block in table.read(member, faults, wanted=WANTED):
        texts = block.column("DateTimeOfCall")
        time = columns.instants(texts, options.timezone or "Europe/London", faults, FORMATS)
        block, time = complete(block, time, texts, "IncidentNumber", faults)
        if not len(block.lines):
            continue
        number = block.column("IncidentNumber")
        exact_e, exact_n, round_e, round_n = (columns.numbers(block.column(c)) for c in GRID)
        rounded = pc.or_(pc.is_null(exact_e), pc.is_null(exact_n))
        place = columns.location(
            *grid.wgs84(pc.if_else(rounded, round_e, exact_e), pc.if_else(rounded, round_n, exact_n))
        )
        kind = block.column("TypeOfIncident")
        fields = {
            "incidentId": number,
            "type": columns.renamed(kind, TYPES),
            "status": columns.constant("Reported", len(time)),
            "location": place,
            "description": pc.utf8_trim_whitespace(block.column("FinalDescription")),
        }
        yield rows("emergency", fields, time=time, device=number)
