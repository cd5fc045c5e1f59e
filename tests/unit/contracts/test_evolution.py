"""Tables that follow their contracts: what is applied by itself, what is refused, and that old rows stay readable."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table.update import AddSchemaUpdate, SetCurrentSchemaUpdate
from pyiceberg.types import IntegerType, LongType, NestedField, StringType

from watling.contracts import Contract, Field, Wire, builtin_contracts, load_contracts
from watling.contracts.evolution import EvolutionError, plan_evolution, with_table_ids
from watling.contracts.targets import arrow, iceberg
from watling.errors import EXIT_USAGE

from .strategies import contracts

GPS = builtin_contracts()["gps"]
TABLE = iceberg.compile(GPS)


def changed(column: str, /, **change: object) -> Contract:
    return replace(GPS, fields=tuple(replace(f, **change) if f.name == column else f for f in GPS.fields))  # type: ignore[arg-type]


def without(name: str) -> Contract:
    return replace(GPS, fields=tuple(f for f in GPS.fields if f.name != name))


def added(*fields: Field) -> Contract:
    return replace(GPS, fields=(*GPS.fields, *fields))


def evolved(current: Schema, contract: Contract) -> Schema:
    schema = plan_evolution(current, contract)
    assert schema is not None
    assert plan_evolution(schema, contract) is None, "a second start would change the table again"
    return schema


def refused(current: Schema, contract: Contract) -> str:
    with pytest.raises(EvolutionError) as caught:
        plan_evolution(current, contract)
    assert caught.value.exit_code == EXIT_USAGE
    return caught.value.message


@settings(max_examples=80, deadline=None)
@given(contract=contracts())
def test_a_table_just_made_follows_its_contract_already(contract: Contract) -> None:
    """Every start plans the evolution: one that changed nothing must not commit."""
    assert plan_evolution(iceberg.compile(contract), contract) is None


@settings(max_examples=150, deadline=None)
@given(old=contracts(), new=contracts())
def test_evolution_is_idempotent_or_refused_and_never_moves_a_column(old: Contract, new: Contract) -> None:
    """Whatever two contracts follow each other, what stood in the table keeps its id, name and a type that reads it."""
    current = iceberg.compile(old)
    try:
        schema = plan_evolution(current, new)
    except EvolutionError:
        return
    after = schema or current
    assert plan_evolution(after, new) is None
    for column in current.columns:
        kept = after.find_field(column.field_id)
        assert kept.name == column.name
        assert kept.field_type == column.field_type or (column.field_type, kept.field_type) == (
            IntegerType(),
            LongType(),
        )
        assert column.required or not kept.required
    assert {f.name for f in new.fields} <= set(after.column_names)


@settings(max_examples=60, deadline=None)
@given(old=contracts(), data=st.data())
def test_relaxing_widening_and_adding_is_always_applied(old: Contract, data: st.DataObject) -> None:
    """The changes that the docs promise never need a person."""
    fields = []
    for field in old.fields:
        kind = "long" if field.type == "int" and data.draw(st.booleans()) else field.type
        fields.append(replace(field, type=kind, required=field.required and data.draw(st.booleans())))
    spare = next(i for i in range(1, 899) if i not in {f.field_id for f in fields})
    new = replace(old, fields=(*fields, Field("wholly_new", spare, "double", (Wire("n"),))))
    after = evolved(iceberg.compile(old), new)
    for field in with_table_ids(new, after).fields:
        column = after.find_field(field.name)
        assert (column.field_id, column.field_type, column.required) == (
            field.field_id,
            iceberg.TYPES[field.type],
            field.required,
        )


def test_a_new_optional_column_stands_before_provenance() -> None:
    """The table reads as the contract does."""
    schema = evolved(TABLE, added(Field("tyre_bar", 40, "double", (Wire("tyre"),), unit="bar")))
    assert schema.column_names[: len(GPS.fields) + 1] == [*(f.name for f in GPS.fields), "tyre_bar"]
    assert schema.find_field("tyre_bar") == NestedField(
        40, "tyre_bar", iceberg.TYPES["double"], required=False, doc="[bar]"
    )
    assert schema.schema_id == TABLE.schema_id + 1


def test_an_integer_widens_and_does_not_narrow() -> None:
    """Numbers that stand in the table must fit."""
    wide = evolved(TABLE, changed("satellites", type="long"))
    assert wide.find_field("satellites").field_type == LongType()
    assert "'satellites' (id 13) is integer (i64) in the table and integer in the contract" in refused(wide, GPS)


@pytest.mark.parametrize("kind", ["string", "long", "boolean", "timestamp"])
def test_another_type_is_refused_with_the_way_out(kind: str) -> None:
    """Files hold the old type; a reader would fail or, worse, give other numbers."""
    assert "add a column of another name and a new fieldId" in refused(TABLE, changed("speed_kmh", type=kind))


def test_required_relaxes_and_does_not_tighten() -> None:
    """Rows of before may hold null."""
    loose = evolved(TABLE, changed("vehicle_id", required=False))
    assert not loose.find_field("vehicle_id").required
    assert "remove required: true" in refused(loose, GPS)
    assert "remove required: true" in refused(TABLE, added(Field("x", 40, "string", required=True)))


def test_an_optional_column_that_left_stays_in_the_table() -> None:
    """Old rows keep their values; bringing the column back continues it."""
    assert plan_evolution(TABLE, without("route")) is None
    schema = evolved(TABLE, replace(without("route"), fields=(*without("route").fields, Field("y", 40, "string"))))
    assert "route" in schema.column_names
    assert plan_evolution(schema, added(Field("y", 40, "string"))) is None


def test_a_required_column_that_left_is_refused() -> None:
    """New rows could not be written: the table demands a value."""
    assert "keep it in the contract with required: false" in refused(TABLE, without("vehicle_id"))


def test_an_id_never_changes_its_column() -> None:
    """Iceberg reads by id: another name under the id would show one column's values as another's."""
    assert "put 7 back" in refused(TABLE, changed("speed_kmh", field_id=40))
    assert "renaming would break every query" in refused(TABLE, changed("speed_kmh", name="velocity_kmh"))
    swapped = replace(GPS, fields=(*without("trip").fields, Field("lap", GPS.field("trip").field_id, "string")))
    assert "renaming would break every query" in refused(TABLE, swapped)


def test_an_id_that_an_earlier_schema_used_is_not_used_again() -> None:
    """A foreign tool dropped the column, its files still hold it under that id."""
    dropped = Schema(*(c for c in TABLE.columns if c.name != "trip"))
    reused = replace(GPS, fields=(*without("trip").fields, Field("lap", GPS.field("trip").field_id, "string")))
    with pytest.raises(EvolutionError, match="never used before"):
        plan_evolution(dropped, reused, [TABLE, dropped])
    as_made_by_a_catalog = Schema(
        *(NestedField(i, c.name, c.field_type, required=c.required) for i, c in enumerate(TABLE.columns, 1))
    )
    lap = added(Field("lap", len(GPS.fields) + 1, "string"))
    assert plan_evolution(TABLE, lap, [as_made_by_a_catalog, TABLE]) is not None


def test_all_refused_changes_are_told_at_once_with_the_file() -> None:
    """One start says all that there is to mend."""
    contract = replace(changed("speed_kmh", type="string"), source="contracts/gps.odcs.yaml")
    contract = replace(contract, fields=(*contract.fields, Field("x", 40, "string", required=True)))
    message = refused(TABLE, contract)
    assert "contracts/gps.odcs.yaml" in message
    assert "speed_kmh" in message
    assert "'x' (id 40)" in message


def test_a_change_of_words_or_rules_changes_no_table() -> None:
    """Descriptions, ranges and aliases live in the contract; the table's history stays quiet."""
    assert (
        plan_evolution(TABLE, changed("speed_kmh", description="v", maximum=90.0, wires=(Wire("v"),), personal=True))
        is None
    )


def test_columns_without_ids_are_found_by_name(write: Callable[..., Path]) -> None:
    """A short file may be reordered, and a column put in the middle, without one column becoming another."""
    path = write()
    old = load_contracts(path.parent)["parking"]
    table = iceberg.compile(old)
    text = path.read_text().replace(
        "      - {name: free", "      - {name: level, logicalType: string}\n      - {name: free"
    )
    write(text)
    new = load_contracts(path.parent)["parking"]
    assert [f.field_id for f in new.fields] == [1, 2, 3, 4]
    schema = evolved(table, new)
    assert [(c.name, c.field_id) for c in schema.columns[:4]] == [
        ("id", 1),
        ("event_time", 2),
        ("free_places", 3),
        ("level", 4),
    ]
    assert [f.field_id for f in with_table_ids(new, schema).fields] == [1, 2, 4, 3]
    write(text.replace("level", "deck"))
    renamed = load_contracts(path.parent)["parking"]
    assert evolved(schema, renamed).find_field("deck").field_id == 5


def test_rows_of_before_read_null_in_a_new_column_and_keep_widened_numbers(tmp_path: Path) -> None:
    """The promise itself, on a real table: nothing that landed is lost or changed when the contract grows."""
    catalog = SqlCatalog("t", uri=f"sqlite:///{tmp_path}/c.db", warehouse=tmp_path.as_uri())
    catalog.create_namespace("t")
    fields = (Field("id", 7, "string", required=True), Field("n", 3, "int"))
    old = Contract("t", "1", "t_data", fields, key="id", sort=("id",))
    table = catalog.create_table("t.t", schema=iceberg.compile(old))

    def follow(schema: Schema) -> None:
        fresh = Schema(*schema.columns, schema_id=max(table.schemas()) + 1)
        table._do_commit((AddSchemaUpdate(schema=fresh), SetCurrentSchemaUpdate(schema_id=-1)), ())

    follow(iceberg.compile(old))  # the catalog numbered the columns anew
    row = {"id": "a", "n": 2**31 - 1, "_kafka_generation": 0, "_kafka_partition": 1, "_kafka_offset": 5}
    moment = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)
    table.append(pa.Table.from_pylist([row | {"_ingested_at": moment}], arrow.compile(old)))
    new = replace(old, fields=(fields[0], replace(fields[1], type="long"), Field("place", 12, "string")))
    follow(evolved(table.schema(), new))
    table.append(pa.Table.from_pylist([row | {"n": 2**40, "place": "x", "_ingested_at": moment}], arrow.compile(new)))
    rows = table.scan().to_arrow().select(["id", "n", "place", "_kafka_offset"]).sort_by("n").to_pylist()
    assert rows == [
        {"id": "a", "n": 2**31 - 1, "place": None, "_kafka_offset": 5},
        {"id": "a", "n": 2**40, "place": "x", "_kafka_offset": 5},
    ]


def test_a_table_without_provenance_is_not_taken_over() -> None:
    """Rows whose origin nobody knows would make the audit worthless."""
    foreign = Schema(*(c for c in TABLE.columns if c.name != "_kafka_offset"))
    assert "move the table away" in refused(foreign, GPS)


def test_a_table_that_has_used_every_id_says_so() -> None:
    """899 columns over the life of a table are the most."""
    full = Schema(*(NestedField(i, f"c{i}", StringType(), required=False) for i in range(1, 900)), *TABLE.columns[-5:])
    short = Contract("t", "1", "t_data", (Field("late", 1, "string"),), ids_assigned=True)
    assert "all 899 ids" in refused(full, short)
