"""Receives a contract; gives the TypeScript types of its table's rows to the page and to users' own code."""

from __future__ import annotations

import json

from watling.contracts.model import PROVENANCE, Contract, Field

_TYPES = {
    "string": "string",
    "int": "number",
    "long": "number",
    "double": "number",
    "boolean": "boolean",
    "timestamp": "string",
}


def compile(contract: Contract) -> str:
    """A module with `<Stream>Row`, as the lake's JSON has it, and the facts about its columns. Strict; nothing to import."""
    type_name = "".join(part.capitalize() for part in contract.name.split("_")) + "Row"
    constant = f"{contract.name.upper()}_COLUMNS"
    columns = (*contract.fields, *PROVENANCE)
    lines = [
        f"// Compiled from the contract of the stream '{contract.name}', version {_comment(contract.version)}. Change the contract, not this file.",
        "",
        *_doc("", [_comment(contract.description) or f"One row of the table {contract.name}."]),
        f"export interface {type_name} {{",
    ]
    for field in columns:
        lines += _doc("  ", _facts(field))
        lines.append(f"  readonly {field.name}: {_type(field)};")
    lines += [
        "}",
        "",
        f"/** Columns of {type_name} in the table's order; bounds are inclusive and in the unit. */",
        f"export const {constant} = [",
        *(f"  {_constant(field)}," for field in columns),
        f"] as const satisfies readonly {{ readonly name: keyof {type_name}; readonly [fact: string]: unknown }}[];",
    ]
    return "\n".join(lines) + "\n"


def _type(field: Field) -> str:
    kind = (
        " | ".join(json.dumps(value, ensure_ascii=False) for value in field.allowed)
        if field.allowed
        else _TYPES[field.type]
    )
    return kind if field.required else f"{kind} | null"


def _facts(field: Field) -> list[str]:
    facts = [_comment(field.description)] if field.description else []
    if field.type == "timestamp":
        facts.append("UTC, ISO 8601.")
    if field.unit:
        facts.append(f"Unit: {_comment(field.unit)}.")
    if field.minimum is not None and field.maximum is not None:
        facts.append(f"Range: {field.minimum:.15g} to {field.maximum:.15g}.")
    elif field.minimum is not None:
        facts.append(f"Range: {field.minimum:.15g} or more.")
    elif field.maximum is not None:
        facts.append(f"Range: {field.maximum:.15g} or less.")
    if field.personal:
        facts.append("Personal data.")
    if field.derived:
        facts.append("Computed by Watling.")
    return facts or [field.name]


def _doc(indent: str, facts: list[str]) -> list[str]:
    if len(facts) == 1:
        return [f"{indent}/** {facts[0]} */"]
    return [f"{indent}/**", *(f"{indent} * {fact}" for fact in facts), f"{indent} */"]


def _comment(text: str) -> str:
    return " ".join(text.replace("*/", "* /").split())


def _constant(field: Field) -> str:
    facts: dict[str, object] = {"name": field.name, "type": field.type, "required": field.required}
    facts |= {
        key: value
        for key, value in (("unit", field.unit), ("minimum", field.minimum), ("maximum", field.maximum))
        if value is not None
    }
    if field.personal:
        facts["personal"] = True
    return "{ " + ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in facts.items()) + " }"
