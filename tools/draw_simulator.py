"""Receives a run of the simulator and the recorded trips; gives the pictures of docs/simulator.md.

Run `uv run --with matplotlib python tools/draw_simulator.py`. The recorded trips are enviroCar open data (ODbL), read
from ../shared/data; without them only the simulated half is drawn.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from watling.devices.simulate import FleetOptions, Simulation
from watling.devices.simulate.fleet import Fleet
from watling.devices.simulate.lanes import DT, State
from watling.devices.simulate.simulation import _Run

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs/img"
DATA = ROOT.parent / "shared/data/telemetry"
MOTORWAY_TRIP = "58ad9ad8268d1b08d85aa19b"
INK, BLUE, ORANGE, GREY = "#22282e", "#1f6fb4", "#d9701a", "#8a949e"
Trips = dict[str, list[tuple[float, float]]]

plt.rcParams.update(
    {
        "font.size": 10,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "text.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def recorded() -> tuple[Trips, Trips]:
    """Seconds and km/h by trip: all cars, and the one long motorway trip."""
    every: Trips = defaultdict(list)
    motorway: Trips = {}
    if not DATA.is_dir():
        return every, motorway
    with gzip.open(DATA / "envirocar_2017_main.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["Speed [km/h]"]:
                every[row["track_id"]].append(
                    (datetime.fromisoformat(row["time"]).timestamp(), float(row["Speed [km/h]"]))
                )
    features = json.loads((DATA / f"envirocar_raw_json/{MOTORWAY_TRIP}.json").read_text())["features"]
    motorway[MOTORWAY_TRIP] = [
        (datetime.fromisoformat(f["properties"]["time"]).timestamp(), f["properties"]["phenomenons"]["Speed"]["value"])
        for f in features
        if "Speed" in f["properties"]["phenomenons"]
    ]
    return every, motorway


def simulated() -> Trips:
    """The same of a simulated hour, reported every five seconds as enviroCar does."""
    trips: Trips = defaultdict(list)
    options = FleetOptions(
        vehicles=600,
        rate=0.2,
        start=datetime(2026, 11, 24, 8, tzinfo=UTC),
        duration=timedelta(hours=1),
        gap_rate=2,
        pictures=False,
    )
    for batch in Simulation(options).batches():
        if batch.stream == "vehicle":
            for value in batch.records["value"].to_pylist():
                r = json.loads(value)
                if r["vehicleType"] == "Car":
                    trips[r["trip"]].append((datetime.fromisoformat(r["timestamp"]).timestamp(), r["speed"]))
    return trips


def measures(trips: Trips) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Speeds (km/h), accelerations between reports (m/s²) and their intervals (s)."""
    speeds, pulls, intervals = [], [], []
    for points in trips.values():
        t, v = np.asarray(sorted(set(points))).T
        dt = np.diff(t)
        speeds.append(v)
        intervals.append(dt[dt > 0])
        near = (dt > 0) & (dt < 8)
        pulls.append(np.diff(v)[near] / 3.6 / dt[near])
    return np.concatenate(speeds), np.concatenate(pulls), np.concatenate(intervals)


def distributions() -> None:
    every, motorway = recorded()
    rows = [(name, colour, measures(t)) for name, colour, t in (
        ("recorded: 4 cars, 78 trips, mostly in town", GREY, every),
        ("recorded: one motorway trip of 188 km", ORANGE, motorway),
        ("simulated: cars, 8 to 9 in the morning", BLUE, simulated()),
    ) if t]  # fmt: skip
    figure, axes = plt.subplots(len(rows), 3, figsize=(12, 2.8 * len(rows) + 0.6), sharex="col", squeeze=False)
    bins = (np.arange(0, 165, 5), np.arange(-3, 3.05, 0.1), np.arange(0.5, 30.5, 1))
    labels = ("speed, km/h", "acceleration between two reports, m/s²", "time between two reports, s")
    for r, (name, colour, columns) in enumerate(rows):
        for c, values in enumerate(columns):
            axis = axes[r, c]
            axis.hist(
                np.clip(values, bins[c][0], bins[c][-1] - 1e-9),
                bins[c],
                weights=np.full(len(values), 100 / len(values)),
                color=colour,
            )
            if c > 0:
                axis.set_yscale("log")
                axis.set_ylim(0.005, 100)
            low, mid, high = np.quantile(values, (0.05, 0.5, 0.95))
            text = f"5 % {low:.1f} · median {mid:.1f} · 95 % {high:.1f}"
            axis.set_title(text, loc="left", fontsize=8.5, color=INK)
            if r == len(rows) - 1:
                axis.set_xlabel(labels[c])
        axes[r, 0].set_ylabel("share, %")
        axes[r, 0].text(0, 1.17, name, transform=axes[r, 0].transAxes, fontsize=10.5, fontweight="bold")
    figure.text(
        0.01,
        0.005,
        "Recorded: enviroCar open data, ODbL. Accelerations and intervals on a logarithmic scale; the last bar holds all that is longer.",
        fontsize=8.5,
    )
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(OUT / "simulated-and-recorded.png", dpi=110)


def speed_map() -> None:
    """Two morning hours on the M40 northbound: mean speed by 250 m and half a minute."""
    number, low, high, hours = 2, 55_000, 75_000, 2.2
    options = FleetOptions(
        vehicles=8_000,
        start=datetime(2026, 11, 24, 6, 30, tzinfo=UTC),
        duration=timedelta(hours=hours),
        rate=0.001,
        pictures=False,
    )
    run = _Run(options, options.start_utc)
    cells = (int((high - low) / 250), int(hours * 120))
    total, count = np.zeros(cells), np.zeros(cells)
    inner = Fleet.step

    def watch(fleet: Fleet, seconds: float) -> object:
        moved = inner(fleet, seconds)
        if seconds >= 0 and int(seconds / DT) % 10 == 0:
            on = (fleet.state == State.DRIVING) & (fleet.road == number) & (fleet.x >= low) & (fleet.x < high)
            place = ((fleet.x[on] - low) / 250).astype(int)
            np.add.at(total[:, int(seconds / 30)], place, fleet.v[on] * 3.6)
            np.add.at(count[:, int(seconds / 30)], place, 1)
        return moved

    run.fleet.step = watch.__get__(run.fleet)  # type: ignore[method-assign]
    for _ in run.batches():
        pass
    speed = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    figure, axis = plt.subplots(figsize=(11, 5.2), layout="constrained")
    shown = axis.imshow(
        speed,
        origin="lower",
        aspect="auto",
        extent=(6.5, 6.5 + hours, low / 1000, high / 1000),
        cmap="RdYlGn",
        vmin=0,
        vmax=115,
    )
    axis.set_xlabel("time of day (UTC)")
    axis.set_ylabel("km from London along the M40")
    axis.set_title(
        "A jam that grows against the traffic: simulated speed, M40 northbound",
        loc="left",
        fontweight="bold",
        fontsize=11,
    )
    plain = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
    axis.plot((6.95, 6.95 + 6 / 95), (57.2, 63.2), color=INK, lw=2)
    axis.annotate("slope of a vehicle at 95 km/h", (7.0, 57.2), fontsize=9, bbox=plain)
    axis.plot((7.53, 7.53 + 2.9 / 17), (68.2, 65.3), color=INK, lw=2)
    axis.annotate(
        "waves run back at 17 km/h",
        (7.53 + 1.2 / 17, 67.0),
        (7.3, 62.0),
        fontsize=9,
        bbox=plain,
        arrowprops={"arrowstyle": "-", "color": INK},
    )
    ticks = np.arange(6.5, 6.5 + hours, 0.5)
    axis.set_xticks(ticks, [f"{int(t):02d}:{int(t % 1 * 60):02d}" for t in ticks])
    figure.colorbar(shown, label="km/h", pad=0.015)
    figure.savefig(OUT / "simulated-jam.png", dpi=110)


def cameras() -> None:
    """Four camera pictures of a large fleet."""
    frames: list[Image.Image] = []
    for hour, wanted in ((8, (10, 40)), (13, (20,)), (17, (3,))):
        start = datetime(2026, 11, 24, hour, tzinfo=UTC)
        options = FleetOptions(vehicles=12_000, start=start, duration=timedelta(seconds=60), rate=0.01, rain=0.5)
        records = [
            r for b in Simulation(options).batches() if b.stream == "traffic" for r in b.records["value"].to_pylist()
        ]
        frames += [Image.open(io.BytesIO(base64.b64decode(json.loads(records[k])["snapshot"]))) for k in wanted]
    sheet = Image.new("RGB", (352 * 2 + 8, 288 * 2 + 8), "white")
    for i, frame in enumerate(frames):
        sheet.paste(frame, (i % 2 * 360, i // 2 * 296))
    sheet.save(OUT / "simulated-cameras.png", optimize=True)


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    distributions()
    cameras()
    speed_map()
