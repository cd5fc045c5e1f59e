"""Receives hourly counts of London's JamCam cameras and the list of cameras; gives traffic rows.

Columns `id, hour, cars, trucks, persons`: means of what was detected in the camera's clips during the hour. No time zone
is stated in them; UTC is taken unless the user says otherwise. Positions come from the option `cameras` (CSV, or TfL's
XML list), or from a `jamcam_locations*.csv` beside the counts.
"""

from __future__ import annotations

from collections.abc import Iterator

from watling.devices.sources import columns, places, table
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.rows import Options, Rows, rows
from watling.devices.sources.timed import complete, has_columns

SUFFIXES = (".csv",)
COUNTS = ("cars", "trucks", "persons")
INTERVAL_S = 3600


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield traffic rows, stamped as recorded. A list of cameras met in a folder is passed over."""
    names = table.header(member)
    if "hour" not in names and {"id", "lon", "lat"} <= set(names):
        return
    if not has_columns(member, names, ("id", "hour", *COUNTS), "JamCam counts", faults):
        return
    known = places.load(member, options.extra.get("cameras"), "jamcam_locations*.csv", ("id",))
    for block in table.read(member, faults, wanted=("id", "hour", *COUNTS)):
        texts = block.column("hour")
        block, time = complete(block, columns.instants(texts, options.timezone or "UTC", faults), texts, "id", faults)
        if not len(block.lines):
            continue
        camera = block.column("id")
        place, unplaced = places.location(camera, known)
        faults.note("camera without a known position", unplaced)
        fields = {"camera_id": camera, "location": place, **{c: columns.number(block.column(c)) for c in COUNTS}}
        yield rows("traffic", {**fields, "interval": columns.constant(INTERVAL_S, len(time))}, time=time, device=camera)
