"""Receives the `properties` of an ODCS schema object; gives the columns of the stream to `odcs`, noting every fault."""

from __future__ import annotations

import datetime
import difflib
from dataclasses import dataclass, replace
from typing import Any

from watling.contracts.custom import custom_properties, property_place
from watling.contracts.document import Document, Place
from watling.contracts.model import FIRST_RESERVED_FIELD_ID, ColumnType, Field
from watling.contracts.names import column_fault
from watling.contracts.wires import read_wires

COLUMN_PROPERTIES = ("fieldId", "wire", "unit", "picture", "derived")
"""What `customProperties` of a column may hold for Watling."""

PERSONAL = frozenset({"personal", "pii"})
NOT_PERSONAL = frozenset({"public", "internal", "restricted", "confidential"})

MAX_COLUMNS = FIRST_RESERVED_FIELD_ID - 1
POSITION_RANGE = {"latitude": (-90.0, 90.0), "longitude": (-180.0, 180.0)}
OPTIONS: dict[str, tuple[str, ...]] = {
    "string": ("maxLength",),
    "integer": ("minimum", "maximum", "format"),
    "number": ("minimum", "maximum", "format"),
    "boolean": (),
    "timestamp": ("timezone", "defaultTimezone"),
}
"""Per logical type, the options that Watling checks. Others would promise what nobody keeps."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a stream say together."""

    fields: tuple[Field, ...]
    event_time_min: str | None
    ids_assigned: bool


def read_columns(document: Document, stream: dict[str, Any], place: Place) -> Columns:
    """The columns of `stream`, which stands at `place`. Those with faults are read as far as they go."""
    listed = stream.get("properties")
    entries: list[tuple[Place, dict[str, Any]]] = [
        ((*place, "properties", index), entry)
        for index, entry in enumerate(listed if isinstance(listed, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("name"), str)
    ]
    if not entries:
        document.fault(place, "the stream has no columns; list them under 'properties', at least 'id' and 'event_time'")
    if len(entries) > MAX_COLUMNS:
        document.fault(place, f"the stream has {len(entries)} columns; {MAX_COLUMNS} is the most")
    fields, seen = [], set()
    for where, entry in entries:
        if entry["name"] in seen:
            document.fault(where, f"the column '{entry['name']}' stands here twice; keep one")
            continue
        seen.add(entry["name"])
        fields.append((where, _column(document, entry, where)))
    assigned = _check_ids(document, fields)
    if assigned:
        fields = [(where, replace(field, field_id=position)) for position, (where, field) in enumerate(fields, 1)]
    _check_together(document, place, fields)
    return Columns(tuple(field for _, field in fields), _event_time_min(document, entries), assigned)


def _column(document: Document, entry: dict[str, Any], where: Place) -> Field:
    name: str = entry["name"]
    if reason := column_fault(name):
        document.fault((*where, "name"), reason)
    custom = custom_properties(document, entry, where, COLUMN_PROPERTIES)
    column_type = _type(document, entry, where)
    options = _options(document, entry, where, column_type)
    derived = _flag(document, custom, where, "derived", default=name == "h3")
    minimum, maximum = _range(document, options, where, name, column_type)
    description = entry.get("description")
    if entry.get("primaryKey") and name != "id":
        document.fault(
            (*where, "primaryKey"), "primaryKey cannot be set here: the column 'id' identifies an event; remove it"
        )
    return Field(
        name=name,
        field_id=_field_id(document, custom, where),
        type=column_type,
        wires=read_wires(document, custom, where, name, column_type, derived=derived),
        required=entry.get("required") is True,
        unit=_unit(document, custom, where),
        minimum=minimum,
        maximum=maximum,
        allowed=_allowed(document, entry, where, column_type),
        max_length=_max_length(document, options, where),
        personal=_personal(document, entry, where),
        picture=_flag(document, custom, where, "picture", default=False),
        derived=derived,
        description=" ".join(description.split()) if isinstance(description, str) else "",
        examples=_examples(entry),
    )


def _type(document: Document, entry: dict[str, Any], where: Place) -> ColumnType:
    logical = entry.get("logicalType")
    if logical is None:
        document.fault(where, f"the column '{entry['name']}' has no logicalType; add one of {', '.join(OPTIONS)}")
        return "string"
    options = entry.get("logicalTypeOptions")
    width = options.get("format") if isinstance(options, dict) else None
    match logical:
        case "string" | "boolean" | "timestamp":
            return logical  # type: ignore[no-any-return]
        case "integer":
            if width not in (None, "i32", "i64"):
                document.fault(
                    (*where, "logicalTypeOptions", "format"), f"integers are i32 (the default) or i64 here, not {width}"
                )
            return "long" if width == "i64" else "int"
        case "number":
            if width not in (None, "f64"):
                document.fault(
                    (*where, "logicalTypeOptions", "format"), f"numbers are f64 here, not {width}; remove 'format'"
                )
            return "double"
    near = difflib.get_close_matches(str(logical), list(OPTIONS), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"use one of {', '.join(OPTIONS)}"
    document.fault((*where, "logicalType"), f"a column cannot be of type {logical!r}; {hint}")
    return "string"


def _options(document: Document, entry: dict[str, Any], where: Place, column_type: ColumnType) -> dict[str, Any]:
    options = entry.get("logicalTypeOptions")
    if not isinstance(options, dict):
        return {}
    logical = {"int": "integer", "long": "integer", "double": "number"}.get(column_type, column_type)
    checked = OPTIONS[logical] + (("minimum",) if entry["name"] == "event_time" else ())
    for option in options:
        if option not in checked:
            does = (
                f"of a {logical} Watling checks {', '.join(checked)}" if checked else f"there are none for a {logical}"
            )
            document.fault(
                (*where, "logicalTypeOptions", option), f"the option '{option}' would not be checked; {does}; remove it"
            )
    if options.get("timezone") is False or options.get("defaultTimezone", "UTC") not in ("UTC", "Etc/UTC"):
        document.fault(
            (*where, "logicalTypeOptions"),
            "timestamps are UTC here; text without an offset is read as UTC; remove the option",
        )
    return options


def _range(
    document: Document, options: dict[str, Any], where: Place, name: str, column_type: ColumnType
) -> tuple[float | None, float | None]:
    if column_type not in ("int", "long", "double"):
        return None, None
    low, high = options.get("minimum"), options.get("maximum")
    minimum = low if isinstance(low, int | float) and not isinstance(low, bool) else None
    maximum = high if isinstance(high, int | float) and not isinstance(high, bool) else None
    for key, bound in (("minimum", minimum), ("maximum", maximum)):
        if bound is not None and not abs(bound) <= 1.7976931348623157e308:
            document.fault(
                (*where, "logicalTypeOptions", key), f"'{key}' must be a finite number; leave it away for no bound"
            )
    if minimum is not None and maximum is not None and minimum > maximum:
        document.fault(
            (*where, "logicalTypeOptions", "minimum"),
            f"minimum {minimum} is above maximum {maximum}; nothing could fit",
        )
    if name in POSITION_RANGE:
        lowest, highest = POSITION_RANGE[name]
        minimum, maximum = lowest if minimum is None else minimum, highest if maximum is None else maximum
        if minimum < lowest or maximum > highest:
            document.fault(
                (*where, "logicalTypeOptions"), f"'{name}' lies within {lowest:g} and {highest:g}; narrow the range"
            )
    return minimum, maximum


def _max_length(document: Document, options: dict[str, Any], where: Place) -> int | None:
    length = options.get("maxLength")
    if length is None or not isinstance(length, int) or isinstance(length, bool):
        return None
    if length < 1:
        document.fault((*where, "logicalTypeOptions", "maxLength"), "maxLength must be at least 1; nothing could fit")
    return length


def _allowed(
    document: Document, entry: dict[str, Any], where: Place, column_type: ColumnType
) -> tuple[str, ...] | None:
    listed = entry.get("enum")
    if not isinstance(listed, list):
        return None
    if column_type != "string":
        document.fault((*where, "enum"), "'enum' is for columns of type string; give a number its minimum and maximum")
        return None
    values = []
    for index, item in enumerate(listed):
        value = item.get("value") if isinstance(item, dict) else None
        if isinstance(item, dict) and not isinstance(value, str):
            document.fault((*where, "enum", index), f"the allowed value {value!r} is not text; put it in quotes")
        elif value in values:
            document.fault((*where, "enum", index), f"the allowed value {value!r} stands here twice; keep one")
        elif isinstance(value, str):
            values.append(value)
    return tuple(values) or None


def _personal(document: Document, entry: dict[str, Any], where: Place) -> bool:
    classification = entry.get("classification")
    if not isinstance(classification, str):
        return False
    if classification.lower() not in PERSONAL | NOT_PERSONAL:
        words = ", ".join(sorted(PERSONAL)) + " (protected) or " + ", ".join(sorted(NOT_PERSONAL))
        document.fault(
            (*where, "classification"),
            f"classification {classification!r} is not known, so nobody would protect it; use {words}",
        )
    return classification.lower() in PERSONAL


def _unit(document: Document, custom: dict[str, Any], where: Place) -> str | None:
    unit = custom.get("unit")
    if unit is None:
        return None
    if not isinstance(unit, str) or not unit.strip() or len(unit) > 32 or not unit.isprintable():
        document.fault(
            property_place(document, where, "unit"),
            "'unit' must be a short text such as km/h (in quotes if it begins with a sign)",
        )
        return None
    return unit


def _flag(document: Document, custom: dict[str, Any], where: Place, name: str, *, default: bool) -> bool:
    value = custom.get(name, default)
    if not isinstance(value, bool):
        document.fault(property_place(document, where, name), f"'{name}' must be true or false")
        return default
    return value


def _field_id(document: Document, custom: dict[str, Any], where: Place) -> int:
    """The id given, 0 where none is."""
    if "fieldId" not in custom:
        return 0
    field_id = custom["fieldId"]
    if not isinstance(field_id, int) or isinstance(field_id, bool) or not 1 <= field_id <= MAX_COLUMNS:
        message = f"fieldId must be a whole number from 1 to {MAX_COLUMNS} (ids from {FIRST_RESERVED_FIELD_ID} are Watling's own)"
        document.fault(property_place(document, where, "fieldId"), message)
        return -1
    return field_id


def _examples(entry: dict[str, Any]) -> tuple[str | float | bool, ...]:
    listed = entry.get("examples")
    return tuple(e for e in listed if isinstance(e, str | int | float)) if isinstance(listed, list) else ()


def _check_ids(document: Document, fields: list[tuple[Place, Field]]) -> bool:
    """True where no column has an id, so that positions stand in."""
    given = {field.name: field.field_id for _, field in fields if field.field_id}
    if not given:
        return True
    free = max(0, *given.values()) + 1
    taken: dict[int, str] = {}
    for where, field in fields:
        if field.field_id == 0:
            message = f"the column '{field.name}' has no fieldId but others have; give it one never used before, such as {free}"
            document.fault(where, message)
            free += 1
        elif field.field_id > 0 and field.field_id in taken:
            message = f"fieldId {field.field_id} is '{taken[field.field_id]}' already; give '{field.name}' one never used before, such as {free}"
            document.fault(property_place(document, where, "fieldId"), message)
            free += 1
        taken.setdefault(field.field_id, field.name)
    return False


def _check_together(document: Document, place: Place, fields: list[tuple[Place, Field]]) -> None:
    by_name = {field.name: (where, field) for where, field in fields}
    for name, wanted in (("id", "string"), ("event_time", "timestamp")):
        if name not in by_name:
            document.fault(
                place,
                f"the column '{name}' is missing; every stream has it: add it with logicalType {wanted} and required: true",
            )
            continue
        where, field = by_name[name]
        if field.type != wanted and document.at((*where, "logicalType")) in OPTIONS:
            document.fault((*where, "logicalType"), f"the column '{name}' must be of type {wanted}")
        if not field.required:
            document.fault(where, f"the column '{name}' must have required: true")
    for name, other in (("latitude", "longitude"), ("longitude", "latitude")):
        if name in by_name:
            where, field = by_name[name]
            if field.type != "double":
                document.fault((*where, "logicalType"), f"the column '{name}' must be of type number")
            if other not in by_name:
                document.fault(where, f"there is '{name}' but no '{other}'; a position has both")
    _check_derived(document, by_name)


def _check_derived(document: Document, by_name: dict[str, tuple[Place, Field]]) -> None:
    pictures = {name for name, (_, field) in by_name.items() if field.picture}
    computed: dict[str, ColumnType] = {"h3": "string"}
    for name in pictures:
        computed |= {f"{name}_bytes": "long", f"{name}_type": "string"}
        where, field = by_name[name]
        if field.type != "string" or field.derived:
            document.fault(where, f"the column '{name}' is a picture: it must be of type string and come from the wire")
    for name, (where, field) in by_name.items():
        if field.derived and name not in computed:
            document.fault(
                where, f"nothing computes the column '{name}'; derived are h3 and, for a picture p, p_bytes and p_type"
            )
        elif name in computed and not field.derived:
            document.fault(
                where, f"the column '{name}' is computed; add {{property: derived, value: true}} or rename it"
            )
        elif field.derived:
            if field.type != computed[name]:
                wanted = "integer with format i64" if computed[name] == "long" else computed[name]
                document.fault((*where, "logicalType"), f"the column '{name}' is computed and must be of type {wanted}")
            if field.required:
                document.fault(
                    (*where, "required"), f"the column '{name}' is computed and may be null; remove required"
                )
    if "h3" in by_name and not {"latitude", "longitude"} <= set(by_name):
        document.fault(by_name["h3"][0], "'h3' is computed from 'latitude' and 'longitude'; add both or remove it")


def _event_time_min(document: Document, entries: list[tuple[Place, dict[str, Any]]]) -> str | None:
    for where, entry in entries:
        options = entry.get("logicalTypeOptions")
        if entry["name"] == "event_time" and isinstance(options, dict) and "minimum" in options:
            moment = _instant(options["minimum"])
            if moment is None:
                message = "minimum must be a time such as 2000-01-01T00:00:00Z"
                document.fault((*where, "logicalTypeOptions", "minimum"), message)
                return None
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
    return None


def _instant(text: object) -> datetime.datetime | None:
    """The UTC time that ISO 8601 `text` names (UTC where it names no offset); None if it names none."""
    try:
        moment = datetime.datetime.fromisoformat(str(text))
        return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None
