"""Receives a contract; gives its decode plan as plain data: what the pipeline does to a record of the stream, and in which order it looks."""

from __future__ import annotations

from typing import Any

from watling.contracts.model import Contract, Field, Wire


def compile(contract: Contract) -> dict[str, Any]:
    """The decode plan, ready for JSON. Keys without a value are left away; times and windows are in seconds."""
    return {
        "stream": contract.name,
        "version": contract.version,
        "topic": contract.topic,
        "key": contract.key,
        "wire_names": list(contract.wire_names),
        "event_time": {
            "column": contract.time_column,
            "minimum": contract.event_time_min,
            "ahead_s": contract.event_time_ahead_s,
        },
        "deduplicate": {"column": contract.id_column, "window_s": contract.dedup_window_s},
        "h3_resolution": contract.h3_resolution,
        "max_record_bytes": contract.max_record_bytes,
        "sort": list(contract.sort),
        "field_ids": "by name" if contract.ids_assigned else "given",
        "columns": [_column(field) for field in contract.fields],
    }


def _column(field: Field) -> dict[str, Any]:
    plan: dict[str, Any] = {
        "name": field.name,
        "field_id": field.field_id,
        "type": field.type,
        "required": field.required,
        "wires": [_wire(wire) for wire in field.wires],
    }
    optional = {
        "unit": field.unit,
        "minimum": field.minimum,
        "maximum": field.maximum,
        "allowed": list(field.allowed) if field.allowed else None,
        "max_length": field.max_length,
        "personal": field.personal or None,
        "picture": field.picture or None,
        "derived": field.derived or None,
    }
    return plan | {key: value for key, value in optional.items() if value is not None}


def _wire(wire: Wire) -> dict[str, Any]:
    plan: dict[str, Any] = {"name": wire.name}
    if wire.part is not None:
        plan["part"] = wire.part
    if wire.scale != 1.0 or wire.offset != 0.0:
        plan |= {"scale": wire.scale, "offset": wire.offset}
    return plan
