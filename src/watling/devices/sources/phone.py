"""Receives sensor logs of a smartphone in a car (50 Hz, CSV); gives gps rows.

`millis` is the phone's clock in milliseconds since 1970; without it `date` (ddmmyy) and `time` (hhmmssmmm), which are
the GPS receiver's in UTC, are taken. `speed` is in km/h, `epe` the estimated position error in m. Accelerations and turn
rates have no place in the contract and are not sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

import pyarrow as pa
import pyarrow.compute as pc

from watling.devices.sources import columns, table
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.rows import Options, Rows, rows

SUFFIXES = (".csv",)
WANTED = (
    "date",
    "time",
    "millis",
    "speed",
    "course",
    "latitude",
    "longitude",
    "altitude",
    "hdop",
    "epe",
    "satellites_used",
)


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield gps rows of one device: the option `device`, else the file's name without its suffix."""
    names = table.header(member)
    if "latitude" not in names or "longitude" not in names or not ("millis" in names or {"date", "time"} <= set(names)):
        faults.add(member.name, 1, "not a phone's log: it needs latitude, longitude, and millis or date and time")
        return
    name = PurePath(member.name.rpartition("!")[2]).name
    device = options.extra.get("device") or name.removesuffix(".gz").rpartition(".")[0] or name
    for block in table.read(member, faults, wanted=WANTED):
        time = columns.epoch(columns.numbers(block.column("millis")), 1000)
        stamp = pc.binary_join_element_wise(block.column("date"), block.column("time"), "")
        if time.null_count:
            time = pc.coalesce(time, _receiver_time(stamp, options.timezone or "UTC", faults))
        read_time = pc.is_valid(time)
        block = block.reject(
            pc.invert(read_time), "time {} cannot be read", faults, pc.coalesce(block.column("millis"), stamp)
        )
        time = time.filter(read_time)
        if not len(block.lines):
            continue
        course = columns.number(block.column("course"))
        place, _, _ = columns.coordinates(block.column("latitude"), block.column("longitude"))
        who = columns.constant(device, len(time))
        fields = {
            "vehicle_id": who,
            "location": place,
            "speed": columns.number(block.column("speed")),
            "heading": course,
            "direction": columns.compass(course) if isinstance(course, pa.Array) else None,
            "altitude": columns.number(block.column("altitude")),
            "hdop": columns.number(block.column("hdop")),
            "satellites": columns.number(block.column("satellites_used")),
            "accuracy_m": columns.number(block.column("epe")),
            "vehicleType": columns.constant("Car", len(time)),
        }
        yield rows("gps", fields, time=time, device=who, row=pa.array(block.lines).cast(pa.string()))


def _receiver_time(stamp: pa.Array, zone: str, faults: Faults) -> pa.Array:
    """`260314` + `123825300`: 26 March 2014 12:38:25.300."""
    shaped = pc.replace_substring_regex(
        stamp, r"^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{3})$", r"20\3-\2-\1T\4:\5:\6.\7"
    )
    return columns.instants(pc.if_else(pc.equal(shaped, stamp), None, shaped), zone, faults)
