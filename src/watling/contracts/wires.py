"""Receives the `wire` property of a column; gives the places on the wire that the column comes from to `columns`."""

from __future__ import annotations

import difflib
import math
from typing import Any

from watling.contracts.custom import property_place
from watling.contracts.document import Document, Place
from watling.contracts.model import ColumnType, Part, Wire

KEYS = ("name", "part", "scale", "offset")
PARTS: dict[str, Part] = {"latitude": "latitude", "longitude": "longitude"}
MAX_WIRES = 20
FORMS = (
    "a wire is a name (speed), a name with a part of a position (location#latitude), or {name: mph, scale: 1.609344}"
)


def read_wires(
    document: Document, custom: dict[str, Any], where: Place, column: str, column_type: ColumnType, *, derived: bool
) -> tuple[Wire, ...]:
    """Wires of `column`, first choice first. Without the property it is the column's own name."""
    if derived:
        if "wire" in custom:
            document.fault(
                property_place(document, where, "wire"),
                f"the column '{column}' is computed, it has no wire; remove one of the two",
            )
        return ()
    place = property_place(document, where, "wire")
    given = custom.get("wire", column)
    listed = given if isinstance(given, list) else [given]
    if not 1 <= len(listed) <= MAX_WIRES:
        document.fault(place, f"'wire' must list from 1 to {MAX_WIRES} names")
    wires: list[Wire] = []
    for item in listed[:MAX_WIRES]:
        wire = _wire(document, item, place)
        if wire is None:
            continue
        if any((w.name, w.part) == (wire.name, wire.part) for w in wires):
            document.fault(place, f"the wire '{wire.name}' stands here twice; keep one")
        if column_type not in ("int", "long", "double") and (wire.scale != 1.0 or wire.offset != 0.0):
            document.fault(place, f"scale and offset are for numbers; '{column}' is of type {column_type}")
        if wire.part is not None and column_type != "double":
            document.fault(place, f"a part of a position is a number; '{column}' is of type {column_type}")
        wires.append(wire)
    return tuple(wires)


def _wire(document: Document, item: object, place: Place) -> Wire | None:
    if isinstance(item, str):
        name, mark, suffix = item.rpartition("#")
        if mark and suffix in PARTS:
            return _named(document, place, name, PARTS[suffix])
        return _named(document, place, item, None)
    if not isinstance(item, dict):
        document.fault(place, f"{item!r} is no wire: {FORMS}")
        return None
    for key in item:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(KEYS)}"
            document.fault(place, f"a wire has no '{key}'; {hint}")
    part = item.get("part")
    known = PARTS.get(part) if isinstance(part, str) else None
    if part is not None and known is None:
        document.fault(place, f"part is {part!r}; it must be latitude or longitude")
    scale = _number(document, place, item, "scale", 1.0)
    if scale == 0:
        document.fault(
            place, "scale 0 would make every value the same; give the factor from the wire's unit to the column's"
        )
    wire = _named(document, place, item.get("name"), known)
    return wire and Wire(wire.name, wire.part, scale, _number(document, place, item, "offset", 0.0))


def _named(document: Document, place: Place, name: object, part: Part | None) -> Wire | None:
    if not isinstance(name, str) or not name or len(name) > 128 or not name.isprintable():
        document.fault(place, f"{name!r} cannot be a key on the wire: {FORMS}")
        return None
    return Wire(name, part)


def _number(document: Document, place: Place, item: dict[str, Any], key: str, default: float) -> float:
    value = item.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        document.fault(place, f"'{key}' of a wire must be a number, not {value!r}")
        return default
    return float(value)
