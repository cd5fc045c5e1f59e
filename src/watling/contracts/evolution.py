"""Receives a table's Iceberg schema and today's contract; gives the schema that the table should get to the lake.

Applied by itself: a new optional column, int to long, required to optional, and a column that left the contract
(it stays, optional, and later rows hold null). Everything else is refused: old rows would change or be unreadable.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, IntegerType, LongType, NestedField

from watling.contracts.model import FIRST_RESERVED_FIELD_ID, PROVENANCE, Contract, Field
from watling.contracts.targets.iceberg import nested_field
from watling.errors import UsageError

_NAMES: dict[type[IcebergType], str] = {IntegerType: "integer", LongType: "integer (i64)"}
_OFFSET = next(field for field in PROVENANCE if field.name == "_kafka_offset")


class EvolutionError(UsageError):
    """A table cannot follow its contract by itself. `reasons` has one line for each change that is refused."""

    def __init__(self, contract: Contract, reasons: list[str]) -> None:
        lines = "\n".join(f"  {reason}" for reason in reasons)
        super().__init__(
            f"the table '{contract.name}' cannot follow its contract ({contract.source}):\n{lines}\n"
            "  or give the stream a new name and topic, and with that a table of its own",
            stream=contract.name,
            source=contract.source,
            reasons=reasons,
        )
        self.reasons = reasons


def plan_evolution(current: Schema, contract: Contract, earlier: Iterable[Schema] = ()) -> Schema | None:
    """The schema that follows `contract`, or None where `current` follows it already. Planning again gives None.

    The order of columns stays; new ones stand before provenance. `earlier` are the table's other schemas: an id that
    one of them used is not given to a new column (ids of columns that foreign tools dropped).

    Raises:
        EvolutionError: with every change that is refused, its reason and the way out.
    """
    earlier = tuple(earlier)
    contract = with_table_ids(contract, current, earlier)
    wanted = (*contract.fields, *PROVENANCE)
    used = _used_ids(earlier)
    by_id = {column.field_id: column for column in current.columns}
    by_name = {column.name: column for column in current.columns}
    reasons: list[str] = []
    changed: dict[int, NestedField] = {}
    added: list[NestedField] = []
    for field in wanted:
        column = by_id.get(field.field_id)
        if column is not None and column.name == field.name:
            reason, merged = _follow(column, field)
            if reason:
                reasons.append(reason)
            elif merged != column:
                changed[column.field_id] = merged
        elif reason := _cannot_add(field, column, by_name.get(field.name), used):
            reasons.append(reason)
        else:
            added.append(nested_field(field))
    names = {field.name for field in wanted}
    ids = {field.field_id for field in wanted}
    for column in current.columns:
        if column.name not in names and column.field_id not in ids and column.required:
            reasons.append(
                f"'{column.name}' (id {column.field_id}) left the contract but the table requires it: "
                "keep it in the contract with required: false for a start, and remove it after the table has followed"
            )
    if reasons:
        raise EvolutionError(contract, reasons)
    if not changed and not added:
        return None
    return _assemble(current, changed, added)


def with_table_ids(contract: Contract, current: Schema, earlier: Iterable[Schema] = ()) -> Contract:
    """`contract` with the table's ids in place of assigned ones, found by name; new columns get unused ids.

    A contract that gives its own ids is returned as it is.
    """
    if not contract.ids_assigned:
        return contract
    known = {column.name: column.field_id for column in current.columns}
    used = {*known.values(), *_used_ids(tuple(earlier))}
    highest = max((i for i in used if i < FIRST_RESERVED_FIELD_ID), default=0)
    unused = (i for i in (*range(highest + 1, FIRST_RESERVED_FIELD_ID), *range(1, highest)) if i not in used)
    fields = []
    for field in contract.fields:
        field_id = known.get(field.name) or next(unused, None)
        if field_id is None:
            last = FIRST_RESERVED_FIELD_ID - 1
            raise EvolutionError(
                contract, [f"'{field.name}' is new, but the table has used all {last} ids for columns"]
            )
        fields.append(replace(field, field_id=field_id))
    return replace(contract, fields=tuple(fields))


def _follow(column: NestedField, field: Field) -> tuple[str | None, NestedField]:
    """Why `column` cannot become `field`, or the column as it becomes. A change of description alone is none."""
    wanted = nested_field(field)
    widened = isinstance(column.field_type, IntegerType) and isinstance(wanted.field_type, LongType)
    relaxed = column.required and not wanted.required
    if column.field_type != wanted.field_type and not widened:
        old, new = _type_name(column.field_type), _type_name(wanted.field_type)
        return (
            f"'{field.name}' (id {field.field_id}) is {old} in the table and {new} in the contract: only integer i32 to "
            "i64 can change in place; put the old type back, and add a column of another name and a new fieldId for the "
            "new one (it can read the same wire)"
        ), column
    if wanted.required and not column.required:
        return (
            f"'{field.name}' (id {field.field_id}) is optional in the table and required in the contract: rows that "
            "stand there may hold null; remove required: true"
        ), column
    return None, wanted if widened or relaxed else column


def _cannot_add(
    field: Field, owner: NestedField | None, namesake: NestedField | None, used: dict[int, str]
) -> str | None:
    """Why `field` cannot be a new column; None if it can. `owner` has its id in the table, `namesake` its name."""
    if namesake is not None:
        return (
            f"'{field.name}' has id {namesake.field_id} in the table and {field.field_id} in the contract: "
            f"ids never change; put {namesake.field_id} back"
        )
    if owner is not None:
        return (
            f"id {field.field_id} is the column '{owner.name}' in the table and '{field.name}' in the contract: renaming "
            f"would break every query and reader; keep '{owner.name}' under its id, or leave it away (it stays in the table, "
            f"if it is optional) and give '{field.name}' an id never used before"
        )
    if used.get(field.field_id, field.name) != field.name:
        return (
            f"id {field.field_id} was the column '{used[field.field_id]}' once and files may still hold it: "
            f"give '{field.name}' an id never used before"
        )
    if field.required and field in PROVENANCE:
        return (
            f"the table lacks '{field.name}', which says where a row came from: Watling did not make this table, or "
            "another tool dropped the column; move the table away"
        )
    if field.required:
        return (
            f"'{field.name}' (id {field.field_id}) is new and required: rows that stand in the table have none; "
            "remove required: true"
        )
    return None


def _used_ids(earlier: Iterable[Schema]) -> dict[int, str]:
    """Column names by id over those schemas that rows were written with.

    The one that a catalog makes at creation numbers columns anew and is replaced before the first row; it does not
    have provenance's ids and does not count.
    """
    shaped = [s for s in earlier if any((c.field_id, c.name) == (_OFFSET.field_id, _OFFSET.name) for c in s.columns)]
    return {column.field_id: column.name for schema in shaped for column in schema.columns}


def _assemble(current: Schema, changed: dict[int, NestedField], added: list[NestedField]) -> Schema:
    provenance = {field.field_id for field in PROVENANCE}
    kept = [changed.get(column.field_id, column) for column in current.columns]
    added_own = [column for column in added if column.field_id not in provenance]
    added_provenance = [column for column in added if column.field_id in provenance]
    own = [column for column in kept if column.field_id not in provenance]
    tail = [column for column in kept if column.field_id in provenance]
    return Schema(
        *own,
        *added_own,
        *tail,
        *added_provenance,
        schema_id=current.schema_id + 1,
        identifier_field_ids=list(current.identifier_field_ids),
    )


def _type_name(kind: IcebergType) -> str:
    return _NAMES.get(type(kind), {"double": "number", "timestamptz": "timestamp"}.get(str(kind), str(kind)))
