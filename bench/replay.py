"""How fast each adapter reads, and whether memory stays flat: `python bench/replay.py [--large]`.

Each recording of ../shared/data is replayed at full speed in a process of its own, read and encoded but not sent.
Printed: records, records per second of CPU, the share of that time in encoding (ids and JSON), and the peak of memory.
`--large` adds every adapter on its recording repeated ten times (as ten files, or as one longer file), to compare peaks.
"""

from __future__ import annotations

import argparse
import cProfile
import gzip
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MAPS = {
    "csv": "stream: vehicle\nfields: {vehicle_id: vehicle_id, timestamp: time, location: {latitude: lat, longitude: lon}, speed: 'Speed [km/h]', rpm: 'Rpm [u/min]', altitude: 'GPS Altitude [m]', make: make, trip: track_id}\n",
}
MAPS["parquet"] = MAPS["csv"]
RUNS = {
    "envirocar (CSV)": ("envirocar", "telemetry/envirocar_2017_main.csv.gz"),
    "envirocar (GeoJSON)": ("envirocar", "telemetry/envirocar_raw_json"),
    "gtfs-rt": ("gtfs-rt", "transit/bods_gb_gtfsrt_vehiclepositions_20220108T141648Z.pb"),
    "siri-vm": ("siri-vm", "transit/bods_siri_vm_one_packet.xml"),
    "jamcam": ("jamcam", "cameras/jamcam_hourly_counts_20190726_20190807.csv.gz"),
    "webtris": ("webtris", "traffic/webtris_site7090_15min_20230619_20230625.csv"),
    "aurn": ("aurn", "weather/london_aurn_aq_met_hourly_2009Q1Q3.csv.gz"),
    "lfb": ("lfb", "incidents/lfb_animal_special_service_2009_2016.csv"),
    "stats19 (Leeds)": ("stats19", "incidents/leeds_road_collisions_2016.csv"),
    "phone": ("phone", "telemetry/balzer_car_dresden_2014-03-26.csv"),
    "csv (mapping)": ("csv", "telemetry/envirocar_2017_main.csv.gz"),
    "ndjson (as it is)": ("ndjson", "made"),
    "parquet (mapping)": ("parquet", "made"),
}


def one(source: str, path: Path, map_file: Path | None, profile: bool) -> dict[str, float]:
    """Replay once in this process."""
    from watling.devices.replay import replay

    count = 0
    profiler = cProfile.Profile() if profile else None
    next(replay(source, [path], speed="max", map=map_file))  # imports and caches are paid once
    begin = time.process_time()
    if profiler:
        profiler.enable()
    for batch in replay(source, [path], speed="max", map=map_file):
        count += len(batch.records)
    if profiler:
        profiler.disable()
    seconds = time.process_time() - begin
    share = 0.0
    if profiler:
        stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
        encoding = sum(v[3] for k, v in stats.items() if k[2] == "records" and k[0].endswith("wire.py"))
        share = encoding / max(pstats.Stats(profiler).total_tt, 1e-9)  # type: ignore[attr-defined]
    return {
        "count": count,
        "seconds": seconds,
        "share": share,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def made(source: str, path: Path, folder: Path, times: int) -> Path:
    """The recording in the shape the adapter reads, `times` over."""
    if source == "ndjson":
        out = folder / f"vehicle-{times}.ndjson"
        lines = [
            json.dumps({"id": f"{i}", "vehicle_id": f"v{i % 500}", "timestamp": f"2024-01-01T{i // 3600 % 24:02d}:{i // 60 % 60:02d}:{i % 60:02d}Z", "location": {"latitude": 51.5, "longitude": -0.1}, "speed": i % 120, "make": "Ford", "model": "Focus"})
            for i in range(50_000)
        ]  # fmt: skip
        text = "\n".join(lines) + "\n"
        with out.open("w") as file:
            for _ in range(times):
                file.write(text)
        return out
    if source == "parquet":
        import pyarrow as pa
        from pyarrow import csv, parquet

        table = csv.read_csv(DATA / RUNS["envirocar (CSV)"][1])
        out = folder / f"{times}.parquet"
        parquet.write_table(pa.concat_tables([table] * times), out, row_group_size=50_000)
        return out
    if times == 1 and path.is_file() and source not in {"siri-vm", "webtris", "lfb", "stats19", "phone"}:
        return path
    return repeated(source, path, folder, times)


def repeated(source: str, path: Path, folder: Path, times: int) -> Path:
    """Small recordings are repeated until they can be measured; all are repeated `times` over."""
    if path.is_dir() or source == "gtfs-rt":
        out = folder / f"{source}-{times}"
        out.mkdir(exist_ok=True)
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            for i in range(times):
                (out / f"{i}-{file.name}").write_bytes(file.read_bytes())
        return out
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    enough = {"siri-vm": 2_000, "webtris": 50, "lfb": 10, "stats19": 20, "phone": 5}.get(source, 1) * times
    out = folder / f"{source}-{times}{'.xml' if source == 'siri-vm' else '.csv'}"
    if source == "siri-vm":
        begin, end = raw.index(b"<VehicleActivity>"), raw.rindex(b"</VehicleActivity>") + len(b"</VehicleActivity>")
        head, body, tail = raw[:begin], raw[begin:end], raw[end:]
    else:
        begin = raw.index(b"\n") + 1
        head, body, tail = raw[:begin], raw[begin:].rstrip(b"\n") + b"\n", b""
    with out.open("wb") as file:
        file.write(head)
        for _ in range(enough):
            file.write(body)
        file.write(tail)
    return out


def measured(source: str, path: Path, map_file: Path | None, profile: bool) -> dict[str, float]:
    command = [
        sys.executable,
        __file__,
        "--one",
        source,
        str(path),
        *(["--map", str(map_file)] if map_file else []),
        *(["--profile"] if profile else []),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--only", help="adapters whose name begins with this")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--map", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--profile", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one[0], Path(options.one[1]), options.map, options.profile)))
        return
    if not DATA.is_dir():
        sys.exit(f"the recordings are not here: {DATA}")
    print(
        f"{'adapter':<22}{'records':>10}{'records/s':>12}{'encoding':>10}{'peak MB':>9}"
        + ("   x10: records, peak MB" if options.large else "")
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, (source, path) in RUNS.items():
            if options.only and not label.startswith(options.only):
                continue
            map_file = None
            if source in MAPS:
                map_file = folder / f"{source}.yaml"
                map_file.write_text(MAPS[source])
            file = made(source, DATA / path, folder, 1)
            plain, profiled = measured(source, file, map_file, False), measured(source, file, map_file, True)
            text = f"{label:<22}{plain['count']:>10,.0f}{plain['count'] / plain['seconds']:>12,.0f}{profiled['share']:>10.0%}{plain['peak_mb']:>9.0f}"
            if options.large:
                large = measured(source, made(source, DATA / path, folder, 10), map_file, False)
                text += f"   {large['count']:>12,.0f}{large['peak_mb']:>9.0f}"
            print(text, flush=True)


if __name__ == "__main__":
    main()
