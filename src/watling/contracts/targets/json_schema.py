"""Receives a contract; gives the JSON Schema (2020-12) of its records on the wire, for those who write to the topic.

It describes what a producer should send: aliases, positions in their three forms, numbers also as text. What JSON
Schema cannot say (the range of a number in text, event time against record time) the pipeline checks.
"""

from __future__ import annotations

from typing import Any

from watling.contracts.model import Contract, Field, Part, Wire

NUMBER_TEXT = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"
INTEGER_TEXT = r"^\s*[+-]?[0-9]+(\.0*)?\s*$"
TIME_TEXT = r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?\s*([zZ]|[+-][0-9]{2}(:?[0-9]{2})?)?\s*$"
POSITION_TEXT = r"^\s*\(?\s*[+-]?[0-9]+(\.[0-9]*)?\s*,\s*[+-]?[0-9]+(\.[0-9]*)?\s*\)?\s*$"

INT_RANGE = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}

Schema = dict[str, Any]


def compile(contract: Contract) -> Schema:
    """The schema as a dict. Keys that no column reads are allowed: they are ignored."""
    readers: dict[str, list[tuple[Field, Wire]]] = {}
    for field in contract.fields:
        for wire in field.wires:
            readers.setdefault(wire.name, []).append((field, wire))
    schema: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:watling:contract:{contract.name}:{contract.version}",
        "title": contract.name,
        "description": f"{contract.description} One JSON object a record on the topic {contract.topic}.".strip(),
        "type": "object",
        "properties": {name: _key(found) for name, found in readers.items()},
    }
    required = [_one_of_its_wires(field) for field in contract.fields if field.required and field.wires]
    if required:
        schema["allOf"] = required
    return schema


def _key(found: list[tuple[Field, Wire]]) -> Schema:
    """Schema of one key. Two columns may read it; the value then has to suit one of them."""
    forms: list[Schema] = []
    parts: dict[Part, Field] = {wire.part: field for field, wire in found if wire.part is not None}
    if parts:
        forms += _position(parts)
    for field, wire in found:
        if wire.part is None:
            forms += [form for form in _forms(field, wire) if form not in forms]
    schema: Schema = {"description": " · ".join(dict.fromkeys(_describe(field, wire) for field, wire in found))}
    schema["anyOf"] = [*forms, {"type": "null"}]
    examples = [
        e for field, wire in found if wire.part is None and wire.scale == 1 and wire.offset == 0 for e in field.examples
    ]
    if examples:
        schema["examples"] = list(dict.fromkeys(examples))
    return schema


def _forms(field: Field, wire: Wire) -> list[Schema]:
    match field.type:
        case "string" if field.allowed is not None:
            return [{"enum": list(field.allowed)}]
        case "string":
            text: Schema = {"type": "string"}
            if field.max_length is not None:
                text["maxLength"] = field.max_length
            return [text, {"type": "number"}]
        case "boolean":
            return [{"type": "boolean"}, {"enum": ["true", "false"]}]
        case "timestamp":
            return [{"type": "string", "pattern": TIME_TEXT}]
        case "double":
            return [{"type": "number"} | _range(field, wire), {"type": "string", "pattern": NUMBER_TEXT}]
        case "int" | "long":
            scaled = wire.scale != 1.0 or wire.offset != 0.0
            number: Schema = {"type": "number" if scaled else "integer"} | _range(field, wire)
            return [number, {"type": "string", "pattern": NUMBER_TEXT if scaled else INTEGER_TEXT}]


def _range(field: Field, wire: Wire) -> Schema:
    """Bounds in the wire's unit."""
    lowest, highest = INT_RANGE.get(field.type, (None, None))
    low = field.minimum if field.minimum is not None else lowest
    high = field.maximum if field.maximum is not None else highest
    if wire.scale != 1.0 or wire.offset != 0.0:
        low = None if low is None else (low - wire.offset) / wire.scale
        high = None if high is None else (high - wire.offset) / wire.scale
        if wire.scale < 0:
            low, high = high, low
    bounds = {"minimum": low, "maximum": high}
    return {key: bound for key, bound in bounds.items() if bound is not None}


def _position(parts: dict[Part, Field]) -> list[Schema]:
    def part(name: Part, low: float, high: float) -> Schema:
        field = parts.get(name)
        number = {
            "type": "number",
            "minimum": field.minimum if field and field.minimum is not None else low,
            "maximum": field.maximum if field and field.maximum is not None else high,
        }
        return {"anyOf": [number, {"type": "string", "pattern": NUMBER_TEXT}]}

    latitude, longitude = part("latitude", -90, 90), part("longitude", -180, 180)
    return [
        {"type": "array", "prefixItems": [latitude, longitude], "items": False, "minItems": 2},
        {
            "type": "object",
            "properties": {"latitude": latitude, "longitude": longitude},
            "required": ["latitude", "longitude"],
        },
        {"type": "string", "pattern": POSITION_TEXT},
    ]


def _describe(field: Field, wire: Wire) -> str:
    text = f"{field.name}: {field.description}" if field.description else field.name
    if wire.part is not None:
        return "position, WGS 84: [latitude, longitude], an object of the two, or the text (latitude, longitude)"
    if wire.scale != 1.0 or wire.offset != 0.0:
        turned = f"value × {wire.scale:g}" + (
            f" {'+' if wire.offset > 0 else '-'} {abs(wire.offset):g}" if wire.offset else ""
        )
        return f"{text} ({turned} gives {field.unit or 'the column'})"
    return f"{text} ({field.unit})" if field.unit else text


def _one_of_its_wires(field: Field) -> Schema:
    """A required column: one of its keys is there and not null."""
    names = dict.fromkeys(wire.name for wire in field.wires)
    ways = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]
    return ways[0] if len(ways) == 1 else {"anyOf": ways}
