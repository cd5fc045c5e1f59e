"""Rubbish, maintenance and quarantine replay beside a running pipeline: the audit must come out clean."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Any

import pytest

from tests.integration.pipeline.conftest import City, event
from watling.audit import run_audit
from watling.lake.catalog import open_catalog
from watling.lake.maintain import maintain
from watling.lake.state import read_state
from watling.lake.tables import load_table
from watling.pipeline.replay import replay
from watling.testing import hostile_records

pytestmark = pytest.mark.integration
STREAMS = ("vehicle", "gps", "traffic", "weather", "emergency")


def audit(city: City) -> dict[str, Any]:
    report = run_audit(city.settings, contracts={s: city.contracts[s] for s in city.streams})
    return dict(report.json())


def widen(city: City, old: str = "maximum: 400", new: str = "maximum: 500") -> None:
    """Change the vehicle's contract as a user would."""
    assert city.settings.contracts is not None
    path = city.settings.contracts / "vehicle.odcs.yaml"
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("stream", STREAMS)
def test_hostile_records_are_kept_aside_and_harm_no_neighbour(make_city: Any, stream: str) -> None:
    """10,000 hostile records mixed with good ones: no crash, no shift, each bad one with its true reason."""
    city = make_city(stream)
    cases = hostile_records(city.contracts[stream], 10_000, seed=7)
    city.send(stream, [value for value, _ in cases], partition=0)
    report = city.drain()[stream]
    expected = Counter(reason for _, reason in cases)
    assert report[0] == expected[None]
    held = {r["_kafka_offset"]: r["reason"] for r in city.rows("quarantine", ["_kafka_offset", "reason"]).to_pylist()}
    assert held == {offset: reason for offset, (_, reason) in enumerate(cases) if reason is not None}
    assert audit(city)["ok"]


def test_maintenance_beside_a_running_pipeline_changes_no_row(city: City) -> None:
    """Small files are merged and snapshots expired while rows come in."""
    process = city.start(once=False)
    catalog = open_catalog(city.settings)
    tight = city.settings.model_copy(
        update={"lake": city.settings.lake.model_copy(update={"snapshots_kept": 3, "snapshot_age_hours": 0})}
    )
    merged = 0
    try:
        for part in range(60):
            if part >= 14 and merged:  # a slow machine needs some rounds until the pipeline has begun
                break
            city.send("vehicle", [event(n) for n in range(part * 200, part * 200 + 200)] + [b"bad"])
            time.sleep(1.1)
            done = maintain(catalog, tight, {"vehicle": city.contracts["vehicle"]})
            merged += sum(t.compacted.files_before for t in done.tables.values())
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
    city.drain()
    assert merged > 0
    assert audit(city)["ok"]
    assert len(city.places("vehicle")) == city.sent["vehicle"] >= 14 * 201


@pytest.mark.parametrize("point", ["compaction_written", "replay_landed"])
def test_death_of_maintenance_or_replay_leaves_the_ledger_whole(city: City, point: str) -> None:
    """kill -9 of the helpers, not of the pipeline: what they were doing is done by the next run."""
    for part in range(10):
        city.send("vehicle", [event(n, speed=450 if n % 5 == 0 else 50) for n in range(part * 50, part * 50 + 50)])
        city.drain()
    widen(city)
    body = (
        "from watling.config import load_settings; from watling.contracts import load_contracts; "
        "from watling.lake.catalog import open_catalog; s = load_settings(); c = load_contracts(s.contracts_dir); "
        "k = open_catalog(s); "
        "from watling.lake.maintain import maintain; from watling.pipeline.replay import replay; "
        "only = {'vehicle': c['vehicle']}; maintain(k, s, only); replay(k, s, only)"
    )
    import os

    environment = {**os.environ, **city.environment, "WATLING_FAILPOINT": point}
    killed = subprocess.run([sys.executable, "-c", body], env=environment, timeout=120, check=False)
    assert killed.returncode == -9
    assert audit(city)["ok"]
    environment.pop("WATLING_FAILPOINT")
    subprocess.run([sys.executable, "-c", body], env=environment, timeout=120, check=True)
    assert audit(city)["ok"]
    result = audit(city)["streams"]["vehicle"]
    assert (result["landed"], result["quarantined"]) == (500, 0)


def test_replay_lands_what_fits_today_beside_a_running_pipeline(city: City) -> None:
    """The contract is widened, the pipeline goes on, and each released record lands exactly once."""
    city.send("vehicle", [event(n, speed=450 if n % 10 == 0 else 50) for n in range(1000)])
    city.send("vehicle", [b"never", event(5)])  # will not fit, and a duplicate
    city.drain()
    widen(city)
    stop = threading.Event()
    process = city.start(once=False)

    def keep_sending() -> None:
        number = 10_000
        while not stop.is_set():
            city.send("vehicle", [event(n) for n in range(number, number + 100)])
            number += 100
            time.sleep(0.1)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    try:
        time.sleep(3)
        from watling.contracts import load_contracts

        contracts = {"vehicle": load_contracts(city.settings.contracts)["vehicle"]}
        done = replay(open_catalog(city.settings), city.settings, contracts)
        assert done.landed == 100
        assert done.remaining == {"not_json": 1, "duplicate": 1}
        again = replay(open_catalog(city.settings), city.settings, contracts)
        assert again.landed == 0
    finally:
        stop.set()
        sender.join(30)
        process.terminate()
        process.communicate(timeout=60)
    city.drain()
    assert audit(city)["ok"]
    city.assert_whole("vehicle")
    ids = city.rows("vehicle")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == city.sent["vehicle"] - 2
    replayed = [r for r in city.rows("vehicle", ["id", "_replay_id"]).to_pylist() if r["_replay_id"]]
    assert len(replayed) == 100
    released = [r for r in city.rows("quarantine", ["released_at"]).to_pylist() if r["released_at"]]
    assert len(released) == 100


def test_a_picture_is_stored_once_and_before_its_row(make_city: Any) -> None:
    """A reference that points to nothing would be a hole in a camera's history."""
    import base64
    import io

    from PIL import Image

    from watling.lake.objects import ObjectStore

    city = make_city("traffic")
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(buffer, "JPEG")
    picture = buffer.getvalue()
    values = [
        json.dumps(
            {
                "id": f"t{n}",
                "vehicle_id": "v",
                "camera_id": "c1",
                "location": [51.5, -0.1],
                "timestamp": json.loads(event(n))["timestamp"],
                "snapshot": base64.b64encode(picture).decode() if n < 3 else "Base64EncodedString",
            }
        ).encode()
        for n in range(4)
    ]
    city.send("traffic", values)
    city.drain(failpoint="data_written", expect=-9)
    assert city.drain()["traffic"][:2] == [4, 0]
    rows = city.rows("traffic", ["snapshot", "snapshot_bytes", "snapshot_type"]).to_pylist()
    store = ObjectStore(city.settings, open_catalog(city.settings))
    assert len(list(store.each())) == 1
    references = {r["snapshot"] for r in rows}
    assert "Base64EncodedString" in references
    (reference,) = references - {"Base64EncodedString"}
    assert store.get(reference) == picture
    assert {r["snapshot_bytes"] for r in rows} == {len(picture), None}
    maintain(open_catalog(city.settings), city.settings, {"traffic": city.contracts["traffic"]})
    assert store.get(reference) == picture


def test_state_and_rows_agree_after_all_of_it(city: City) -> None:
    """`watling status` reads counters, the audit reads rows: they must tell the same."""
    city.send("vehicle", [event(n, speed=450 if n % 4 == 0 else 50) for n in range(200)] + [event(1), b"x"])
    city.drain()
    widen(city)
    from watling.contracts import load_contracts

    replay(open_catalog(city.settings), city.settings, {"vehicle": load_contracts(city.settings.contracts)["vehicle"]})
    table = load_table(open_catalog(city.settings), city.settings, "vehicle")
    assert table is not None
    state = read_state(table)
    found = audit(city)["streams"]["vehicle"]
    for name in ("landed", "quarantined", "duplicates"):
        assert state.total(name) == found[name]
