"""Receives National Highways WebTRIS 15-minute reports and the list of sites; gives traffic rows.

A row counts the vehicles of one site in the period that ends at `Time Period Ending`, on the clock of the United
Kingdom; the record's time is that end as it is written (00:14 for the period from midnight). Positions come from the
option `sites` (CSV), or from a `webtris_sites*.csv` beside the report.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.compute as pc

from watling.devices.sources import columns, places, table
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.rows import Options, Rows, rows
from watling.devices.sources.timed import complete, has_columns

SUFFIXES = (".csv",)
INTERVAL_S = 900
CARS = ("0 - 520 cm", "521 - 660 cm")
TRUCKS = ("661 - 1160 cm", "1160+ cm")
WANTED = ("SiteId", "Report Date", "Time Period Ending", *CARS, *TRUCKS, "Avg mph", "Total Volume")


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield traffic rows: `flow` in vehicles/h, `meanSpeed` in km/h, `cars` up to 6.6 m and `trucks` above it counted
    in the 900 s of `interval`. A list of sites met in a folder is passed over; periods without any count are skipped."""
    names = table.header(member)
    if {"Id", "Longitude", "Latitude"} <= set(names):
        return
    if not has_columns(member, names, WANTED[:3] + WANTED[-2:], "a WebTRIS 15-minute report", faults):
        return
    known = places.load(member, options.extra.get("sites"), "webtris_sites*.csv", ("id", "siteid"))
    for block in table.read(member, faults, wanted=WANTED):
        empty = pc.and_(pc.is_null(block.column("Total Volume")), pc.is_null(block.column("Avg mph")))
        faults.skip("a period in which the site counted nothing", pc.sum(empty).as_py() or 0)
        block = block.keep(pc.invert(empty))
        day = pc.utf8_slice_codeunits(block.column("Report Date"), 0, 10)
        texts = pc.binary_join_element_wise(day, block.column("Time Period Ending"), "T")
        time = columns.instants(texts, options.timezone or "Europe/London", faults)
        block, time = complete(block, time, texts, "SiteId", faults)
        if not len(block.lines):
            continue
        site = block.column("SiteId")
        place, unplaced = places.location(site, known)
        faults.note("site without a known position", unplaced)
        counts = {wire: _sum(block, parts) for wire, parts in (("cars", CARS), ("trucks", TRUCKS))}
        fields = {
            "camera_id": site,
            "location": place,
            **counts,
            "flow": columns.number(block.column("Total Volume"), 3600 / INTERVAL_S),
            "meanSpeed": columns.number(block.column("Avg mph"), columns.KMH_PER_MPH),
            "interval": columns.constant(INTERVAL_S, len(time)),
        }
        yield rows("traffic", fields, time=time, device=site)


def _sum(block: table.Block, names: tuple[str, ...]) -> columns.Field:
    total = None
    for name in names:
        value = columns.numbers(block.column(name))
        total = value if total is None else pc.add(total, value)
    return total
