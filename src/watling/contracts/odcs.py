"""Receives an Open Data Contract Standard document; gives the `Contract` it describes and every fault of it to `load`.

`docs/contracts.md` has the table of what is read from where. What Watling would not check it does not accept in silence.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from watling.contracts.columns import read_columns
from watling.contracts.custom import custom_properties, property_place
from watling.contracts.document import Document, Place, parse
from watling.contracts.faults import Fault
from watling.contracts.model import Contract, Field
from watling.contracts.names import stream_fault, topic_fault

STREAM_PROPERTIES = ("key", "sort", "dedupWindowSeconds", "eventTimeAheadSeconds", "h3Resolution", "maxRecordBytes")
"""What `schema[0].customProperties` may hold for Watling."""

VERSION = re.compile(r"[A-Za-z0-9._+-]{1,64}\Z")
MAX_WINDOW_S = 31 * 86400
MAX_AHEAD_S = 366 * 86400
MAX_RECORD_BYTES = 1024 * 1024 * 1024


def read_contract(path: Path, *, shipped: bool = False) -> tuple[Contract | None, list[Fault]]:
    """The contract in `path` and its faults, in the order of lines; no contract where there is any fault.

    `shipped` skips the standard's own schema: the tests hold the package's documents to it, and it costs start-up time.
    """
    document = parse(path)
    contract = None
    if isinstance(document.data, dict):
        if not shipped:
            from watling.contracts.standard import check_standard

            check_standard(document)
        contract = _contract(document, document.data)
    elif not document.faults:
        document.fault((), "no contract in it; see docs/contracts.md for the smallest one")
    faults = sorted(document.faults, key=lambda fault: fault.line)
    return (None if faults else contract), faults


def _contract(document: Document, data: dict[str, Any]) -> Contract | None:
    version = data.get("apiVersion")
    if isinstance(version, str) and not version.startswith("v3."):
        document.fault(
            ("apiVersion",), f"apiVersion is {version}; Watling reads version 3 of the standard, such as v3.2.0"
        )
    number = data.get("version")
    if isinstance(number, str) and not VERSION.match(number):
        document.fault(("version",), "version must be up to 64 letters, digits and '.', '-', '+', '_', such as 1.0.0")
    schema = data.get("schema")
    if not isinstance(schema, list) or len(schema) != 1 or not isinstance(schema[0], dict):
        document.fault(("schema",), "'schema' must list exactly one object: one file describes one stream")
        return None
    place: Place = ("schema", 0)
    stream = schema[0]
    name = stream.get("name")
    if not isinstance(name, str):
        return None
    if reason := stream_fault(name):
        document.fault((*place, "name"), reason)
    custom = custom_properties(document, stream, place, STREAM_PROPERTIES)
    columns = read_columns(document, stream, place)
    fields = columns.fields
    by_name = {field.name: field for field in fields}
    topic = _topic(document, stream, place, name)
    key = _key(document, custom, place, by_name)
    numbers = {
        prop: _whole(document, custom, place, prop, default, low, high)
        for prop, default, low, high in (
            ("dedupWindowSeconds", 3600, 0, MAX_WINDOW_S),
            ("eventTimeAheadSeconds", 86400, 0, MAX_AHEAD_S),
            ("h3Resolution", 9, 0, 15),
            ("maxRecordBytes", 16 * 1024 * 1024, 1024, MAX_RECORD_BYTES),
        )
    }
    return Contract(
        name=name,
        version=str(data.get("version", "")),
        topic=topic,
        fields=fields,
        key=key,
        dedup_window_s=numbers["dedupWindowSeconds"],
        event_time_min=columns.event_time_min or "2000-01-01T00:00:00Z",
        event_time_ahead_s=numbers["eventTimeAheadSeconds"],
        h3_resolution=numbers["h3Resolution"],
        max_record_bytes=numbers["maxRecordBytes"],
        sort=_sort(document, custom, place, by_name, key),
        description=_description(data, stream),
        source=document.file,
        ids_assigned=columns.ids_assigned,
    )


def _topic(document: Document, stream: dict[str, Any], place: Place, name: str) -> str:
    if stream.get("physicalType", "topic") != "topic":
        document.fault(
            (*place, "physicalType"),
            "physicalType must be 'topic': a stream comes from a Kafka topic; physicalName names it",
        )
    topic = stream.get("physicalName", f"{name}_data")
    if not isinstance(topic, str):
        return f"{name}_data"
    if "physicalName" in stream and (reason := topic_fault(topic)):
        document.fault((*place, "physicalName"), reason)
    return topic


def _key(document: Document, custom: dict[str, Any], place: Place, fields: dict[str, Field]) -> str:
    default = "vehicle_id" if "vehicle_id" in fields else "id"
    key = custom.get("key", default)
    if not isinstance(key, str) or key not in fields or fields[key].derived or fields[key].type == "timestamp":
        columns = ", ".join(f.name for f in fields.values() if not f.derived and f.type != "timestamp")
        document.fault(
            property_place(document, place, "key"),
            f"'key' must name a column that comes from the wire: {columns or 'none is there yet'}",
        )
        return default
    return key


def _sort(
    document: Document, custom: dict[str, Any], place: Place, fields: dict[str, Field], key: str
) -> tuple[str, ...]:
    sort = custom.get("sort", [key, "event_time"])
    if (
        not isinstance(sort, list)
        or not sort
        or len(set(map(str, sort))) != len(sort)
        or any(str(c) not in fields for c in sort)
    ):
        document.fault(
            property_place(document, place, "sort"),
            "'sort' must list columns of this contract, each once, such as [id, event_time]",
        )
        return (key, "event_time")
    return tuple(str(c) for c in sort)


def _whole(
    document: Document, custom: dict[str, Any], place: Place, name: str, default: int, low: int, high: int
) -> int:
    value = custom.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        document.fault(
            property_place(document, place, name),
            f"'{name}' must be a whole number from {low} to {high}; the default is {default}",
        )
        return default
    return value


def _description(data: dict[str, Any], stream: dict[str, Any]) -> str:
    own = stream.get("description")
    if isinstance(own, str):
        return own.strip()
    whole = data.get("description")
    purpose = whole.get("purpose") if isinstance(whole, dict) else None
    return purpose.strip() if isinstance(purpose, str) else ""
