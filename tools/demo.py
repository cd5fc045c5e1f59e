"""Receives a number of seconds; runs the demo: broker, pipeline, page, a simulated city, and a recording where there is one.

With `--seconds 0` it runs until Ctrl-C. Otherwise it then shows status, an answer in SQL and the audit, stops everything and ends
with the audit's exit code.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

WATLING = [sys.executable, "-m", "watling"]
RECORDINGS = Path(os.environ.get("DEMO_DATA", "../shared/data"))
TRIP = RECORDINGS / "telemetry" / "envirocar_raw_json" / "58ad9ad8268d1b08d85aa19b.json"  # 188 km of motorway
READY_S = 120
ENOUGH = 1000  # rows in the lake before the questions are asked

QUESTION = """
select vehicle_type, count(*) as events, count(distinct vehicle_id) as vehicles, round(avg(speed_kmh), 1) as mean_kmh
from vehicle group by all order by events desc
"""


def watling(*arguments: str) -> int:
    """Run a command and show what it says."""
    print(f"\n$ watling {' '.join(arguments)}", flush=True)
    return subprocess.run([*WATLING, *arguments], timeout=300, check=False).returncode


def landed() -> int:
    """Rows of the vehicle stream that the lake holds."""
    done = subprocess.run(
        [*WATLING, "sql", "select count(*) from vehicle", "--format", "csv"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    last = done.stdout.split()[-1:] or ["0"]
    return int(last[0]) if last[0].isdigit() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--vehicles", type=int, default=1000)
    options = parser.parse_args()
    up = subprocess.Popen([*WATLING, "up", "--simulate", "--vehicles", str(options.vehicles), "--open"])
    replay: subprocess.Popen[bytes] | None = None
    try:
        if TRIP.is_file():
            deadline = time.monotonic() + READY_S
            while subprocess.run(
                [*WATLING, "broker", "status"], capture_output=True, timeout=60, check=False
            ).returncode:
                if up.poll() is not None or time.monotonic() > deadline:
                    return up.returncode or 3
                time.sleep(1)
            replay = subprocess.Popen(
                [*WATLING, "replay", "envirocar", str(TRIP), "--shift-to", "now", "--loop"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        if not options.seconds:
            return up.wait()
        deadline = time.monotonic() + options.seconds
        while time.monotonic() < deadline or (landed() < ENOUGH and time.monotonic() < deadline + READY_S):
            if up.poll() is not None:
                return up.returncode or 3
            time.sleep(1)
        for arguments in (("status",), ("sql", " ".join(QUESTION.split())), ("quarantine", "list")):
            watling(*arguments)
        return watling("audit")
    except KeyboardInterrupt:
        return up.wait(30)
    finally:
        for process in (replay, up):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()


if __name__ == "__main__":
    raise SystemExit(main())
