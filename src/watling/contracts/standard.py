"""Receives a parsed document from `odcs`; gives back where it departs from the Open Data Contract Standard itself.

The rules are the JSON Schema that the `open-data-contract-standard` package ships (v3.2.0).
"""

from __future__ import annotations

import difflib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft201909Validator, ValidationError
from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject, SchemaProperty
from pydantic import BaseModel

from watling.contracts.document import Document, Place

_TYPES = {
    "string": "text (in quotes if it looks like a number)",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a block of keys and values",
}

_LEFT_TO_COLUMNS = (("logicalType",), ("logicalTypeOptions",))
"""Where `columns` allows less than the standard and says so itself."""


@cache
def _validator() -> Draft201909Validator:
    schema = files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    return Draft201909Validator(json.loads(schema))


def check_standard(document: Document) -> None:
    """Note every departure of `document.data` from the standard as a fault of the document."""
    for error in _validator().iter_errors(document.data):
        place = tuple(error.absolute_path)
        if place[-1:] not in _LEFT_TO_COLUMNS:
            _note(document, error, place)


def _note(document: Document, error: ValidationError, place: Place) -> None:
    match error.validator:
        case "required":
            for key in error.validator_value:
                if key not in error.instance:
                    document.fault(place, f"{_name(document, place)} lacks '{key}'; add it")
        case "unevaluatedProperties" | "additionalProperties":
            _unknown(document, error, place)
        case "type":
            wanted = (
                error.validator_value if isinstance(error.validator_value, str) else "/".join(error.validator_value)
            )
            document.fault(
                place, f"{_name(document, place)} is {_shown(error.instance)}; it must be {_TYPES.get(wanted, wanted)}"
            )
        case "enum" | "const":
            allowed = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
            close = _close(error.instance, allowed)
            document.fault(
                place,
                f"{_name(document, place)} is {_shown(error.instance)}; it must be one of {', '.join(map(str, allowed))}{close}",
            )
        case _:
            document.fault(
                place, f"{_name(document, place)} does not fit the Open Data Contract Standard: {error.message[:200]}"
            )


def _unknown(document: Document, error: ValidationError, place: Place) -> None:
    known = _known_keys(error, place)
    for key in error.instance:
        if key not in known:
            close = _close(key, sorted(known))
            where = _name(document, place)
            document.fault((*place, key), f"{where} has the unknown key '{key}'{close or '; remove it'}")


def _known_keys(error: ValidationError, place: Place) -> set[str]:
    """Keys that the standard knows at `place`. jsonschema calls known keys unevaluated where a neighbour is wrong."""
    model: type[BaseModel] | None = None
    if not place:
        model = OpenDataContractStandard
    elif place[0] == "schema" and isinstance(place[-1], int):
        model = SchemaObject if len(place) == 2 else SchemaProperty if place[-2] == "properties" else None
    if model is not None:
        return {field.alias or name for name, field in model.model_fields.items()}
    schema = error.schema if isinstance(error.schema, dict) else {}
    properties: dict[str, Any] = schema.get("properties", {})
    return set(properties)


def _close(word: object, known: list[Any]) -> str:
    near = difflib.get_close_matches(str(word), [str(k) for k in known], n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def _name(document: Document, place: Place) -> str:
    """What stands at `place`, in words."""
    named = document.at((*place, "name")) if place[:1] == ("schema",) and isinstance(place[-1], int) else None
    if isinstance(named, str):
        return f"the {'stream' if len(place) == 2 else 'column'} '{named}'"
    steps = [str(step + 1) if isinstance(step, int) else step for step in place]
    if not steps:
        return "the contract"
    if isinstance(place[-1], int):
        return f"entry {steps[-1]} of '{steps[-2]}'" if len(steps) > 1 else f"entry {steps[-1]}"
    return f"'{steps[-1]}'"


def _shown(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a block of keys and values"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
