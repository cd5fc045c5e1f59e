"""Replays end to end: order, time, rounds, and what of each recording the contracts accept."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watling.contracts import builtin_contracts
from watling.contracts.records import RECORDS
from watling.devices.port import WIRE, WireBatch
from watling.devices.replay import SLICE_S, Replay, replay
from watling.devices.sources import Faults, Options, SourceError, open_source
from watling.pipeline.plan import shape
from watling.pipeline.transforms import deduplicate

DATA = Path(__file__).parents[4] / "shared" / "data"
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def line(second: float, car: str = "c", **more: Any) -> bytes:
    time = (BEGIN + timedelta(seconds=second)).isoformat()
    return json.dumps({"id": f"{car}{second}", "vehicle_id": car, "timestamp": time, **more}).encode() + b"\n"


def seconds(batches: list[WireBatch]) -> list[float]:
    return [(d - BEGIN).total_seconds() for b in batches for d in b.records["due"].to_pylist()]


def values(batches: list[WireBatch]) -> list[dict[str, Any]]:
    return [json.loads(v) for b in batches for v in b.records["value"].to_pylist()]


def test_files_are_merged_by_time(tmp_path: Path) -> None:
    """A fleet recorded a file a car would drive one car after the other."""
    for car in range(3):
        (tmp_path / f"gps-{car}.ndjson").write_bytes(b"".join(line(i * 3 + car, f"c{car}") for i in range(2_000)))
    with gzip.open(tmp_path / "gps-late.ndjson.gz", "wb") as packed:
        packed.write(line(1_000_000, "late"))
    batches = list(replay("ndjson", [tmp_path], speed="max"))
    assert seconds(batches) == [*range(6_000), 1_000_000]
    assert all(b.records.schema == WIRE and b.stream == "gps" for b in batches)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 10_000), min_size=1, max_size=300), min_size=1, max_size=5))
def test_unsorted_files_come_out_sorted(tmp_path_factory: pytest.TempPathFactory, files: list[list[int]]) -> None:
    """A recording that is not sorted would run back and forth in time."""
    folder = tmp_path_factory.mktemp("gps")
    for number, times in enumerate(files):
        (folder / f"gps-{number}.ndjson").write_bytes(b"".join(line(t) for t in times))
    assert seconds(list(replay("ndjson", [folder], speed="max"))) == sorted(t for f in files for t in f)


def test_what_is_further_out_of_order_is_sent_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting without bound would fill the memory; dropping would lose records."""
    monkeypatch.setattr("watling.devices.sources.order.WINDOW", 1_000_000)
    (tmp_path / "gps.ndjson").write_bytes(b"".join(line(i) for i in range(1, 50_000)) + line(0))
    faults = Faults()
    found = seconds(list(replay("ndjson", [tmp_path], speed="max", faults=faults)))
    assert len(found) == 50_000
    assert found[0] == 1
    assert faults.notes == {"out of order by more than the sort window, sent late": 1}


def test_two_streams_go_side_by_side(tmp_path: Path) -> None:
    """At speed 1 the positions of a car would come long after what else it reports."""
    path = tmp_path / "t.csv"
    rows = [f"t1,car,Ford,K,2010,diesel,{(BEGIN + timedelta(seconds=i)).isoformat()},7.{i},51" for i in range(100)]
    path.write_text("track_id,vehicle_id,make,model,year,fuel,time,lon,lat\n" + "\n".join(rows))
    batches = list(replay("envirocar", [path], speed=1, trim_ends=0))
    assert [b.stream for b in batches] == ["vehicle", "gps"] * 100
    for speed in (10.0, 200.0):
        for batch in replay("envirocar", [path], speed=speed, trim_ends=0):
            due = batch.records["due"].to_pylist()
            assert (due[-1] - due[0]).total_seconds() <= SLICE_S * speed
    assert len(list(replay("envirocar", [path], speed="max", trim_ends=0))) == 2


def test_shifted_to_now(tmp_path: Path) -> None:
    """An old recording would not show on a live page."""
    (tmp_path / "gps.ndjson").write_bytes(line(5, speed=3) + line(7.5))
    before = datetime.now(UTC)
    batches = list(replay("ndjson", [tmp_path], shift_to="now"))
    found = values(batches)
    first, second = (datetime.fromisoformat(r["timestamp"]) for r in found)
    assert before <= first <= datetime.now(UTC)
    assert (second - first).total_seconds() == 2.5
    assert [d for b in batches for d in b.records["due"].to_pylist()] == [first, second]
    assert found[0]["speed"] == 3
    assert found[0]["id"] != "c5"  # another event than the recorded one
    uuid.UUID(found[0]["id"])


def test_a_replay_repeated_has_the_same_ids_and_a_round_has_others(tmp_path: Path) -> None:
    """Replaying twice would double the lake, or a loop would be thrown away as duplicates."""
    path = tmp_path / "p.csv"
    path.write_text("millis,latitude,longitude\n1395837505119,51,13\n1395837505139,51,13\n")
    once = values(list(replay("phone", [path])))
    assert values(list(replay("phone", [path]))) == once
    assert values(list(open_source("phone", [path]))) == once
    rounds = Replay("phone", [path], loop=True).batches()
    batches = [next(rounds) for _ in range(3)]
    found = values(batches)
    assert found[:2] == once
    assert len({r["id"] for r in found}) == 6
    assert [r["timestamp"] for r in found[2:4]] == [r["timestamp"] for r in once]
    due = [d for b in batches for d in b.records["due"].to_pylist()]
    assert due == sorted(due)
    assert (due[2] - due[1]).total_seconds() == 1


def test_each_shifted_round_begins_now(tmp_path: Path) -> None:
    """A loop at ten times the speed would run into the future, where the contract refuses it."""
    (tmp_path / "gps.ndjson").write_bytes(line(0) + line(3600))
    times = iter([BEGIN + timedelta(days=1), BEGIN + timedelta(days=1, minutes=6)])
    rounds = Replay("ndjson", [tmp_path], speed=10, shift_to="now", loop=True, clock=lambda: next(times)).batches()
    found = values([next(rounds) for _ in range(4)])
    assert [r["timestamp"][11:19] for r in found] == ["00:00:00", "01:00:00", "00:06:00", "01:06:00"]


def test_a_loop_over_nothing_ends(tmp_path: Path) -> None:
    """The command would spin for ever without a word."""
    (tmp_path / "gps.ndjson").write_text("broken\n")
    with pytest.raises(SourceError, match="nothing to repeat"):
        list(replay("ndjson", [tmp_path], loop=True))
    with pytest.raises(SourceError, match="speed"):
        list(replay("ndjson", [tmp_path], speed=0))


def test_faults_are_bounded_and_counted(tmp_path: Path) -> None:
    """A file of a million broken lines would fill the memory and the screen."""
    (tmp_path / "gps.ndjson").write_bytes(b"broken\n" * 50_000 + line(0))
    faults = Faults()
    assert len(list(replay("ndjson", [tmp_path], faults=faults))) == 1
    assert faults.count == 50_000
    assert len(faults.sample) == 100
    assert str(faults.sample[99]).startswith(f"{tmp_path / 'gps.ndjson'}:100: the line is not JSON")


# source, paths, options, stream: rows read, rows that fit, quarantined by (reason, field). docs/replay.md explains each.
LANDS = [
    ("envirocar", "telemetry/envirocar_2017_main.csv.gz", {"trim_ends": 0}, "vehicle", 32_764, {("out_of_range", "heading"): 1, ("out_of_range", "engineLoad"): 3}),
    ("envirocar", "telemetry/envirocar_2017_main.csv.gz", {"trim_ends": 0}, "gps", 32_764, {("out_of_range", "heading"): 1, ("out_of_range", "speed"): 1}),
    ("envirocar", "telemetry/envirocar_2017_main.csv.gz", {}, "vehicle", 30_274, {("out_of_range", "heading"): 1, ("out_of_range", "engineLoad"): 3}),
    ("gtfs-rt", "transit/bods_gb_gtfsrt_vehiclepositions_20220108T141648Z.pb", {}, "vehicle", 16_234, {("duplicate", "id"): 49}),
    ("gtfs-rt", "transit/bods_gb_gtfsrt_vehiclepositions_20220108T141648Z.pb", {}, "gps", 16_234, {("duplicate", "id"): 49}),
    ("siri-vm", "transit/bods_siri_vm_one_packet.xml", {}, "vehicle", 4, {}),
    ("siri-vm", "transit/bods_siri_vm_one_packet.xml", {}, "gps", 4, {}),
    ("jamcam", "cameras/jamcam_hourly_counts_20190726_20190807.csv.gz", {}, "traffic", 243_128, {}),
    ("webtris", "traffic/webtris_site7090_15min_20230619_20230625.csv", {}, "traffic", 672, {}),
    ("aurn", "weather/london_aurn_aq_met_hourly_2009Q1Q3.csv.gz", {}, "weather", 26_208, {("out_of_range", "pm10_ugm3"): 10, ("out_of_range", "pm25_ugm3"): 2}),
    ("lfb", "incidents/lfb_animal_special_service_2009_2016.csv", {}, "emergency", 4_714, {}),
    ("stats19", "incidents/leeds_road_collisions_2016.csv", {}, "emergency", 2_549, {}),
    ("stats19", "incidents/stats19_sample_dft-road-casualty-statistics-collision-2023.csv", {}, "emergency", 8, {}),
    ("phone", "telemetry/balzer_car_dresden_2014-03-26.csv", {}, "gps", 10_800, {}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "file", "options", "stream", "read", "bad"), LANDS)
def test_what_the_contracts_make_of_it(
    source: str, file: str, options: dict[str, Any], stream: str, read: int, bad: dict[tuple[str, str], int]
) -> None:
    """A recording would land in quarantine for a fault of the adapter."""
    if not DATA.is_dir():
        pytest.skip(f"the recordings are not here: {DATA}")
    tables = [b.records for b in replay(source, [DATA / file], speed="max", **options) if b.stream == stream]
    table = pa.concat_tables(tables)
    n = len(table)
    assert n == read
    now = pa.repeat(pa.scalar(datetime.now(UTC), WIRE.field("due").type), n)
    none = pa.nulls(n, RECORDS.field("headers").type)
    place = [pa.array(np.zeros(n, np.int32)), pa.array(np.arange(n, dtype=np.int64))]
    records = pa.Table.from_arrays(
        [table["value"].cast(pa.large_binary()), table["key"].cast(pa.large_binary()), none, *place, now],
        schema=RECORDS,
    )
    contract = builtin_contracts()[stream]
    recent = pa.table({"id": pa.array([], pa.string()), "event_time": pa.array([], WIRE.field("due").type)})
    shaped = deduplicate.step(shape(records.combine_chunks(), contract), contract, recent)
    rejected = shaped.filter(pc.is_valid(shaped["_reason"]))
    assert Counter(zip(rejected["_reason"].to_pylist(), rejected["_field"].to_pylist(), strict=True)) == bad


PEAK = """
import resource, sys
from pathlib import Path
from watling.devices.replay import replay
count = sum(len(b.records) for b in replay("csv", [Path(sys.argv[1])], speed="max", map=Path(sys.argv[2])))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.soak
def test_memory_is_flat_on_a_ten_times_larger_file(tmp_path: Path) -> None:
    """A recording larger than the memory could not be replayed."""
    (tmp_path / "m.yaml").write_text(
        "stream: gps\nfields: {vehicle_id: c, timestamp: {column: t, epoch: s}, location: {latitude: a, longitude: o}, speed: s}\n"
    )
    peaks = []
    for size in (300_000, 3_000_000):
        path = tmp_path / f"{size}.csv"
        with path.open("w") as out:
            out.write("c,t,a,o,s\n")
            out.writelines(
                f"car{i % 500},{1_500_000_000 + i / 100},51.{i % 9973},-0.{i % 997},{i % 120}\n" for i in range(size)
            )
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(path), str(tmp_path / "m.yaml")],
            capture_output=True,
            text=True,
            check=True,
            timeout=150,
        )
        count, peak = map(int, done.stdout.split())
        assert count == size
        peaks.append(peak)
    assert peaks[1] < peaks[0] * 1.15 + 20, peaks


def test_options_reach_the_adapter(tmp_path: Path) -> None:
    """A device's name given on the command line would be ignored."""
    path = tmp_path / "p.csv"
    path.write_text("millis,latitude,longitude\n1395837505119,51,13\n")
    found = values(list(Replay("phone", [path], options=Options(extra={"device": "mine"})).batches()))
    assert found[0]["vehicle_id"] == "mine"
