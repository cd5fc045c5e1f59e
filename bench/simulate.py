"""How fast the simulator is: `python bench/simulate.py [--vehicles 1000,10000,100000] [--seconds 20]`.

For each fleet: records per second of one core, the share of the core that live sending takes, the share of time in
moving, encoding and the rest, and the peak of memory. Nothing is sent. A second run, ten times as long for the smallest
fleet, shows whether memory stays flat.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta


def one(vehicles: int, seconds: float) -> dict[str, float]:
    from watling.devices.simulate import FleetOptions, Simulation
    from watling.devices.simulate.fleet import Fleet
    from watling.devices.simulate.records import Writer

    spent = {"move": 0.0, "encode": 0.0}

    def timed(owner: type, name: str, what: str) -> None:
        inner = getattr(owner, name)

        def outer(*args: object, **kwargs: object) -> object:
            begin = time.process_time()
            try:
                return inner(*args, **kwargs)
            finally:
                spent[what] += time.process_time() - begin

        setattr(owner, name, outer)

    timed(Fleet, "step", "move")
    for name in ("vehicle", "gps", "traffic", "weather", "emergency"):
        timed(Writer, name, "encode")
    start = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    options = FleetOptions(vehicles=vehicles, start=start, duration=timedelta(seconds=seconds))
    begin = time.perf_counter()
    batches = Simulation(options).batches()
    count = len(next(batches).records)
    ready = time.perf_counter() - begin
    spent.update(move=0.0, encode=0.0)
    cpu = time.process_time()
    for batch in batches:
        count += len(batch.records)
    cpu = time.process_time() - cpu
    return {
        "vehicles": vehicles,
        "seconds": seconds,
        "records": count,
        "records_per_core_second": count / cpu,
        "core_percent_live": 100 * cpu / seconds,
        "move_percent": 100 * spent["move"] / cpu,
        "encode_percent": 100 * spent["encode"] / cpu,
        "first_record_s": ready,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vehicles", default="1000,10000,100000")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        vehicles, seconds = options.one.split(":")
        print(json.dumps(one(int(vehicles), float(seconds))))
        return
    fleets = [int(v) for v in options.vehicles.split(",")]
    runs = [(v, options.seconds) for v in fleets] + [(fleets[0], options.seconds * 10)]
    print("vehicles  sim s   records  records/s·core  % of a core live  move %  encode %  first record s  peak MB")
    for vehicles, seconds in runs:
        out = subprocess.run(
            [sys.executable, __file__, "--one", f"{vehicles}:{seconds}"], check=True, capture_output=True, text=True
        ).stdout
        r = json.loads(out)
        print(
            f"{vehicles:8,} {seconds:6.0f} {r['records']:9,} {r['records_per_core_second']:15,.0f} {r['core_percent_live']:17.1f}"
            f" {r['move_percent']:7.0f} {r['encode_percent']:9.0f} {r['first_record_s']:15.1f} {r['peak_mb']:8.0f}"
        )


if __name__ == "__main__":
    main()
