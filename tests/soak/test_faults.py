"""Deaths at random moments, for a long time: `make soak` takes ten minutes, CI a short form of the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from typing import Any

import pytest

from tests.integration.pipeline.conftest import City, event
from watling.audit import run_audit
from watling.lake.catalog import open_catalog
from watling.lake.maintain import maintain
from watling.lake.tables import load_table

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
POINTS = ["fetched", "data_written", "quarantine_committed", "stream_committed"]
SHORT_S, LONG_S = 25, 600


@pytest.mark.parametrize(
    "seconds", [pytest.param(SHORT_S, id="short"), pytest.param(LONG_S, id="long", marks=pytest.mark.soak)]
)
def test_random_deaths_never_cost_or_double_a_record(city: City, seconds: int) -> None:
    """A machine that fails again and again: in the end each record stands exactly once."""
    rng = random.Random(4)
    stop = threading.Event()
    sent = 0

    def keep_sending() -> None:
        nonlocal sent
        while not stop.is_set():
            again = [event(n) for n in range(max(0, sent - 20), sent, 7)]
            city.send("vehicle", [*(event(n) for n in range(sent, sent + 300)), *again, b"junk"])
            sent += 300
            time.sleep(0.2)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    deaths = 0
    try:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            point = f"{rng.choice(POINTS)}:{rng.randint(1, 6)}" if rng.random() < 0.7 else ""
            process = city.start(failpoint=point, once=False, take_over=rng.random() < 0.3)
            try:
                process.wait(rng.uniform(3, 12))
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)
            deaths += process.returncode == -9
            maintain(open_catalog(city.settings), city.settings, {"vehicle": city.contracts["vehicle"]}, orphans=False)
    finally:
        stop.set()
        sender.join(60)
    city.drain()
    report = run_audit(city.settings, contracts={"vehicle": city.contracts["vehicle"]})
    assert report.ok, report.lines()
    city.assert_whole("vehicle")
    assert len(city.places("vehicle")) == city.sent["vehicle"]
    ids = city.rows("vehicle")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == sent
    assert deaths > 0


@pytest.mark.parametrize(
    "commits", [pytest.param(12, id="short"), pytest.param(3000, id="long", marks=pytest.mark.soak)]
)
def test_tables_stay_small_however_many_commits(make_city: Any, commits: int) -> None:
    """A commit a second for a year must not make the next one slower: files, manifests and snapshots stay bounded."""
    city = make_city(
        "vehicle",
        WATLING_PIPELINE__COMMIT_INTERVAL_S="0.05",
        WATLING_LAKE__MAINTAIN_EVERY_S="3",
        WATLING_LAKE__SNAPSHOTS_KEPT="10",
        WATLING_LAKE__SNAPSHOT_AGE_HOURS="0",
    )
    process = city.start(once=False)
    sent = 0
    try:
        deadline = time.monotonic() + commits * 2 + 60
        while _snapshots_made(city) < commits and time.monotonic() < deadline:
            city.send("vehicle", [event(n) for n in range(sent, sent + 20)])
            sent += 20
    finally:
        process.terminate()
        process.communicate(timeout=60)
    city.drain()
    maintain(
        open_catalog(city.settings),
        city.settings.model_copy(
            update={"lake": city.settings.lake.model_copy(update={"snapshots_kept": 10, "snapshot_age_hours": 0})}
        ),
        {"vehicle": city.contracts["vehicle"]},
    )
    table = load_table(open_catalog(city.settings), city.settings, "vehicle")
    assert table is not None
    current = table.current_snapshot()
    assert current is not None
    assert current.sequence_number is not None
    assert current.sequence_number >= commits
    assert len(list(table.scan().plan_files())) < 40
    assert len(current.manifests(table.io)) < 60
    assert len(table.metadata.snapshots) < 40
    city.assert_whole("vehicle")


def _snapshots_made(city: City) -> int:
    table = load_table(open_catalog(city.settings), city.settings, "vehicle")
    current = table.current_snapshot() if table is not None else None
    return current.sequence_number or 0 if current is not None else 0
