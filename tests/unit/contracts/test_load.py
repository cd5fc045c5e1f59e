"""Contracts in force: the package's five, overlaid by a folder of the user's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from watling.contracts import (
    BUILTIN,
    FIRST_RESERVED_FIELD_ID,
    PROVENANCE,
    ContractError,
    Wire,
    builtin_contracts,
    check_file,
    load_contracts,
)
from watling.errors import EXIT_USAGE

Write = Callable[..., Path]


@pytest.mark.parametrize("name", BUILTIN)
def test_a_shipped_contract_is_without_fault_by_the_whole_check(name: str) -> None:
    """A user who copies a built-in document to change it starts from one that `check` accepts."""
    assert check_file(Path(builtin_contracts()[name].source)) == []


def test_the_five_streams_read_the_topics_of_the_tutorial_family() -> None:
    """An unmodified producer writes to these topics; another name would read nothing."""
    topics = {name: contract.topic for name, contract in load_contracts().items()}
    assert topics == {
        "vehicle": "vehicle_data",
        "gps": "gps_data",
        "traffic": "traffic_data",
        "weather": "weather_data",
        "emergency": "emergency_data",
    }


@pytest.mark.parametrize("name", BUILTIN)
def test_the_field_ids_of_the_shipped_contracts_never_change(name: str) -> None:
    """Tables made by an earlier version hold these ids: another order would read one column as another."""
    contract = builtin_contracts()[name]
    assert [f.field_id for f in contract.fields] == list(range(1, len(contract.fields) + 1))
    assert [f.name for f in contract.fields[:6]] == ["id", "vehicle_id", "event_time", "latitude", "longitude", "h3"]
    assert not contract.ids_assigned


COLUMNS = {
    "vehicle": "speed_kmh direction make model year fuel_type vehicle_type heading_deg altitude_m rpm fuel_rate_lph "
    "throttle_pct engine_load_pct co2_kgph hdop route trip",
    "gps": "speed_kmh direction vehicle_type heading_deg altitude_m hdop satellites accuracy_m route trip",
    "traffic": "camera_id snapshot snapshot_bytes snapshot_type cars trucks persons flow_vph mean_speed_kmh "
    "occupancy_pct interval_s",
    "weather": "temperature_c weather_condition precipitation_mm wind_speed_kmh humidity_pct air_quality_index "
    "wind_direction_deg visibility_m no2_ugm3 nox_ugm3 pm10_ugm3 pm25_ugm3 station",
    "emergency": "incident_id type status description severity road",
}


@pytest.mark.parametrize("name", BUILTIN)
def test_the_columns_of_the_shipped_contracts_stand_in_their_order(name: str) -> None:
    """With the ids by position above, this is the format of every lake that exists."""
    assert [f.name for f in builtin_contracts()[name].fields[6:]] == COLUMNS[name].split()


def test_wire_aliases_are_tried_in_the_order_of_the_contract() -> None:
    """`location` wins over `lat`: a device that sends both means the first."""
    latitude = builtin_contracts()["gps"].field("latitude")
    assert latitude.wires == (Wire("location", "latitude"), Wire("latitude"), Wire("lat"))
    assert (latitude.minimum, latitude.maximum, latitude.personal) == (-90, 90, True)
    assert builtin_contracts()["emergency"].field("type").allowed == (
        "Accident", "Fire", "Medical", "Police", "Breakdown", "Flood", "Special Service", "Other", "None",
    )  # fmt: skip


def test_provenance_cannot_meet_a_contract_by_id() -> None:
    """A contract's column under an id of provenance would overwrite where rows came from."""
    assert all(FIRST_RESERVED_FIELD_ID <= field.field_id < 1000 for field in PROVENANCE)


def test_a_stream_of_ones_own_needs_one_short_file(write: Write) -> None:
    """One contract file and no Python: topic, wires, key and sort order have defaults."""
    path = write()
    contract = load_contracts(path.parent)["parking"]
    assert (contract.topic, contract.key, contract.sort) == ("parking_data", "id", ("id", "event_time"))
    assert contract.field("free_places").wires == (Wire("free_places"),)
    assert [f.field_id for f in contract.fields] == [1, 2, 3]
    assert contract.ids_assigned
    assert list(load_contracts(path.parent)) == [*BUILTIN, "parking"]


def test_a_file_under_the_name_of_a_built_in_replaces_it(write: Write) -> None:
    """A city whose weather stations differ brings its own `weather` and keeps the other four."""
    path = write(write().read_text().replace("name: parking", "name: weather"))
    contracts = load_contracts(path.parent)
    assert list(contracts) == list(BUILTIN)
    assert [f.name for f in contracts["weather"].fields] == ["id", "event_time", "free_places"]
    assert len(load_contracts()["weather"].fields) == 19


def test_two_files_of_one_stream_are_a_fault_in_the_second(write: Write) -> None:
    """Which of the two would be in force would depend on the order of file names."""
    write(name="a.yaml")
    second = write(name="b.yml")
    with pytest.raises(ContractError) as caught:
        load_contracts(second.parent)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line) == (str(second), 7)
    assert "a.yaml" in fault.message
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize("topic", ["vehicle_data", "vehicle.data"])
def test_a_topic_belongs_to_one_stream(write: Write, topic: str) -> None:
    """Two streams on one topic would land each record twice; Kafka takes '.' and '_' for the same."""
    path = write(write().read_text().replace("name: parking\n", f"name: parking\n    physicalName: {topic}\n"))
    with pytest.raises(ContractError) as caught:
        load_contracts(path.parent)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line) == (str(path), 8)
    assert "vehicle" in fault.message
    assert check_file(path) == caught.value.faults


def test_a_replaced_stream_is_blamed_for_taking_the_topic_of_a_shipped_one(write: Write) -> None:
    """The user can mend their own file, not the package's."""
    text = write().read_text().replace("name: parking\n", "name: vehicle\n    physicalName: weather_data\n")
    path = write(text)
    assert [fault.file for fault in check_file(path)] == [str(path)]


def test_the_faults_of_all_files_are_told_at_once(write: Write) -> None:
    """One run says all that there is to mend."""
    write("a: [", name="a.yaml")
    path = write(write().read_text().replace("string", "strong"), name="b.yaml")
    with pytest.raises(ContractError) as caught:
        load_contracts(path.parent)
    assert {Path(fault.file).name for fault in caught.value.faults} == {"a.yaml", "b.yaml"}
    assert "b.yaml:9" in caught.value.message


def test_a_folder_that_is_not_there_is_one_clear_message(tmp_path: Path) -> None:
    """A typing error in --contracts must not run the pipeline with the five streams alone."""
    with pytest.raises(ContractError, match="--contracts"):
        load_contracts(tmp_path / "contarcts")


def test_other_files_of_the_folder_are_left_alone(write: Write) -> None:
    """Editors and git leave their own files beside contracts."""
    folder = write().parent
    write("x", name="README.md")
    write("{", name=".parking.yaml")
    write("{", name="parking.yaml~")
    (folder / "sub").mkdir()
    assert "parking" in load_contracts(folder)


def test_loaded_contracts_are_the_callers_own(tmp_path: Path) -> None:
    """Changing one result must not change what the next caller gets."""
    first = load_contracts(tmp_path)
    first["gps"] = replace(first["gps"], topic="elsewhere")
    assert load_contracts()["gps"].topic == "gps_data"
