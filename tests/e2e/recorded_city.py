"""Real recordings through the real parts: broker, replay, pipeline, lake, page, each the command that a user runs."""

from __future__ import annotations

import gzip
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.conftest import free_port, wait_until
from watling.config import Settings, load_settings

DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
TRIP = DATA / "telemetry" / "envirocar_raw_json" / "58c23b61268d1b08d804c2f8.json"
ROADS = DATA / "traffic" / "webtris_site7090_15min_20230619_20230625.csv"
SITES = DATA / "traffic" / "webtris_sites_gb.csv"
INCIDENTS = DATA / "incidents" / "lfb_animal_special_service_2009_2016.csv"
AIR = DATA / "weather" / "london_aurn_aq_met_hourly_2009Q1Q3.csv.gz"
LINES = 400
SHORT_S = 120
"""For each command."""


@dataclass(frozen=True)
class RecordedCity:
    """A page that runs, and the home of its lake."""

    address: str
    settings: Settings


def recordings_missing() -> str | None:
    """Why there is nothing to replay, or None."""
    missing = [p.name for p in (TRIP, ROADS, SITES, INCIDENTS, AIR) if not p.is_file()]
    return f"recordings are not there: {', '.join(missing)}" if missing else None


@contextmanager
def recorded_city(home: Path) -> Iterator[RecordedCity]:
    """A trip of enviroCar, a week of a motorway's counters, London's incidents and air of 2009, landed and shown."""
    settings = load_settings(home=home, page={"port": free_port()}, broker={"port": free_port()})
    environment = {
        **os.environ,
        "WATLING_HOME": str(home),
        "WATLING_PAGE__PORT": str(settings.page.port),
        "WATLING_BROKER__PORT": str(settings.broker.port),
    }

    def watling(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "watling", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SHORT_S,
            check=False,
        )
        assert done.returncode == 0, f"watling {' '.join(arguments)}: {done.stdout[-1500:]}{done.stderr[-1500:]}"

    home.mkdir(parents=True, exist_ok=True)
    cut = home.parent / "cut"
    cut.mkdir(exist_ok=True)
    incidents, air = cut / "incidents.csv", cut / "air.csv"
    with INCIDENTS.open(encoding="utf-8-sig") as stream:
        incidents.write_text("".join(itertools.islice(stream, LINES)))
    with gzip.open(AIR, "rt") as stream:
        air.write_text("".join(itertools.islice(stream, LINES)))
    watling("broker", "start")
    page: subprocess.Popen[bytes] | None = None
    try:
        watling("replay", "envirocar", str(TRIP), "--speed", "max")
        watling("replay", "webtris", str(ROADS), "--speed", "max", "--set", f"sites={SITES}")
        watling("replay", "lfb", str(incidents), "--speed", "max")
        watling("replay", "aurn", str(air), "--speed", "max")
        watling("run", "--once")
        page = subprocess.Popen(
            [sys.executable, "-m", "watling", "page"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        address = f"http://127.0.0.1:{settings.page.port}/"
        assert wait_until(lambda: answers(address), 60), "the page did not begin to answer"
        yield RecordedCity(address, settings)
    finally:
        if page is not None:
            page.terminate()
            page.wait(30)
        watling("broker", "stop")


def answers(address: str) -> bool:
    """Whether the page is there."""
    try:
        return httpx.get(f"{address}healthz", timeout=2).status_code == 200
    except httpx.HTTPError:
        time.sleep(0.2)
        return False
