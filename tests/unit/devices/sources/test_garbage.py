"""Damaged and hostile files: whatever the bytes, an adapter reports and ends; it never raises and never hangs."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watling.devices.sources import SOURCES, Faults, Options, adapter
from watling.devices.sources.files import of_bytes

from .conftest import DATA, Read

SAMPLES = {
    "envirocar": "telemetry/envirocar_raw_json/58e3ecdc268d1b08a4ad8e46.json",
    "gtfs-rt": "transit/bods_gb_gtfsrt_vehiclepositions_20220108T141648Z.pb",
    "siri-vm": "transit/bods_siri_vm_one_packet.xml",
    "webtris": "traffic/webtris_site7090_15min_20230619_20230625.csv",
    "lfb": "incidents/lfb_animal_special_service_2009_2016.csv",
    "stats19": "incidents/leeds_road_collisions_2016.csv",
    "phone": "telemetry/balzer_car_dresden_2014-03-26.csv",
}
MAPPED = {"csv", "parquet", "ndjson"}


def everything(source: str, name: str, data: bytes, tmp_path: Path) -> tuple[int, Faults]:
    rules = None
    if source in MAPPED:
        rules = tmp_path / "m.yaml"
        rules.write_text("stream: gps\nfields: {vehicle_id: a, timestamp: b}\n")
    faults = Faults()
    _, read = adapter(source)
    count = sum(len(r.table) for r in read(of_bytes(name, data), Options(map=rules, trim_ends=0.0), faults))
    return count, faults


@pytest.mark.parametrize("source", sorted(SOURCES))
@settings(deadline=None, max_examples=60)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(str.encode),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda c: (
                st.lists(c, max_size=4)
                | st.dictionaries(
                    st.sampled_from(["features", "properties", "type", "geometry", "a", "b"]), c, max_size=4
                )
            ),
            max_leaves=20,
        ).map(lambda v: json.dumps(v).encode()),
    )
)
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, source: str, data: bytes) -> None:
    """One file that is something else would end the replay of all others."""
    for name in ("x.json", "x.csv") if source == "envirocar" else ("x",):
        everything(source, name, data, tmp_path_factory.mktemp("g"))


@pytest.mark.parametrize("source", sorted(SAMPLES))
def test_real_files_with_damage(tmp_path: Path, source: str) -> None:
    """A flipped byte would cost more than the records that it stands in."""
    if not DATA.is_dir():
        pytest.skip(f"the recordings are not here: {DATA}")
    raw = (DATA / SAMPLES[source]).read_bytes()[:400_000]
    whole, _ = everything(source, SAMPLES[source], raw, tmp_path)
    chance = random.Random(source)
    for kind in range(12):
        data = bytearray(raw)
        head = 2_000 if source not in {"siri-vm", "gtfs-rt"} else 800
        places = [chance.randrange(head, len(data)) for _ in range(5)]
        for place in places:
            if kind % 3 == 0:
                data[place] = chance.randrange(256)
            elif kind % 3 == 1:
                data[place : place + 50] = b"" if kind % 2 else b'"{[<\n'
            else:
                data[place : place + 1] = b"\n\x00\xff"
        count, faults = everything(source, SAMPLES[source], bytes(data), tmp_path)
        if source == "gtfs-rt":  # a length that is damaged loses the way in the file: what came before is kept
            continue
        assert count >= whole - 25 * len(places), (kind, count, whole, [str(f) for f in faults.sample[:3]])


def test_a_csv_of_quotes_is_read_in_time(tmp_path: Path, read: Read) -> None:
    """A table with a stray quote on each line would take hours."""
    (tmp_path / "m.yaml").write_text("stream: gps\nfields: {vehicle_id: a, timestamp: {column: b, epoch: s}}\n")
    (tmp_path / "a.csv").write_text("a,b\n" + 'x,"1\n' * 20_000 + "y,1500000000\n")
    found, faults = read("csv", tmp_path / "a.csv", map=tmp_path / "m.yaml")
    assert len(found["gps"]) + faults.count >= 1
