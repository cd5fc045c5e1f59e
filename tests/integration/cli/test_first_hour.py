"""What a user does in the first hour, by the commands alone, against a real broker: fill, run, ask, look, mend, check."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import uuid
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from watling.config import Settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
STREAMS = ("vehicle", "gps", "traffic", "weather", "emergency")


class City:
    """A home on the shared broker, with topics of its own, and the commands run against it."""

    def __init__(self, folder: Path, kafka: Settings) -> None:
        self.folder = folder
        tag = uuid.uuid4().hex[:8]
        self.contracts = folder / "contracts"
        self.contracts.mkdir()
        for name in STREAMS:
            text = resources.files("watling.contracts").joinpath(f"builtin/{name}.odcs.yaml").read_text()
            (self.contracts / f"{name}.odcs.yaml").write_text(text.replace(f"{name}_data", f"{name}_{tag}"))
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("WATLING_") or k == "WATLING_CACHE"},
            "WATLING_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        }

    def __call__(self, *arguments: str, code: int = 0, stdin: str | None = None) -> str:
        """A command to its end; gives its stdout."""
        done = self.bytes(*arguments, code=code, stdin=stdin)
        return done.decode()

    def bytes(self, *arguments: str, code: int = 0, stdin: str | None = None) -> bytes:
        done = subprocess.run(
            [sys.executable, "-m", "watling", *arguments],
            env=self.environment,
            cwd=self.folder,
            input=stdin.encode() if stdin is not None else None,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        assert b"Traceback" not in done.stderr
        return done.stdout

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory, kafka: Settings) -> City:
    """A city whose minute of traffic, with some bad records among it, is in the lake."""
    city = City(tmp_path_factory.mktemp("city"), kafka)
    sent = city.json("simulate", "--vehicles", "40", "--duration", "30s", "--speed", "max", "--seed", "3")
    assert sent["failed"] == 0
    lines = [
        '{"id": "a", "vehicle_id": "late-1", "timestamp": "2026-05-04T07:00:00Z", "location": [52.0, -1.0], "speed": 900}',
        '{"id": "b", "vehicle_id": "late-1", "timestamp": "2026-05-04T07:00:01Z", "location": [52.0, -1.0], "speed": 50}',
        '{"id": "c", "vehicle_id": "late-1", "timestamp": "2026-05-04T07:00:02Z", "speed": 51}',
    ]
    (city.folder / "more.ndjson").write_text("\n".join([*lines, "this is no record", ""]))
    more = city.json("replay", "ndjson", "more.ndjson", "--set", "stream=vehicle", "--speed", "max")
    assert more["sent"] >= 3
    city.sent = sent["streams"] | {"vehicle": sent["streams"]["vehicle"] + more["sent"]}  # type: ignore[attr-defined]
    report = city.json("run", "--once")
    assert all(s["error"] is None for s in report["streams"].values())
    return city


def test_what_was_sent_is_in_the_lake_or_in_quarantine(city: City) -> None:
    """The one promise: nothing is dropped in silence."""
    audit = city.json("audit")
    assert audit["ok"]
    for name, count in city.sent.items():  # type: ignore[attr-defined]
        assert audit["streams"][name]["consumed"] == count
        assert audit["streams"][name]["landed"] + audit["streams"][name]["quarantined"] == count
    assert "vehicle" in city("audit")
    now = city.json("status", code=3)  # no pipeline runs any more
    assert now["streams"]["vehicle"]["landed"] == audit["streams"]["vehicle"]["landed"]
    assert now["streams"]["vehicle"]["lag_records"] == 0
    assert now["broker"]["running"]
    assert not now["broker"]["embedded"]


def test_a_second_run_over_a_settled_topic_changes_nothing(city: City) -> None:
    """Whoever is unsure and runs it again must not double a row."""
    before = city.json("lake", "info")
    report = city.json("run", "--once")
    assert all(s["landed"] == s["quarantined"] == 0 for s in report["streams"].values())
    after = city.json("lake", "info")
    assert {n: t["rows"] for n, t in before.items()} == {n: t["rows"] for n, t in after.items()}


def test_sql_in_every_form(city: City) -> None:
    """The same answer, whatever reads it next."""
    query = "select vehicle_id, count(*) as n from vehicle group by 1 order by 1"
    as_json = json.loads(city("sql", query, "--format", "json"))
    assert len(as_json) >= 10
    as_csv = list(csv.DictReader(io.StringIO(city("sql", query, "--format", "csv"))))
    assert [{**r, "n": int(r["n"])} for r in as_csv] == as_json
    city("sql", query, "--format", "parquet", "--out", "answer.parquet")
    assert pq.read_table(city.folder / "answer.parquet").to_pylist() == as_json
    piped = city.bytes("sql", query, "--format", "parquet")
    assert pq.read_table(io.BytesIO(piped)).to_pylist() == as_json
    assert "vehicle_id" in city("sql", "-", stdin=query)
    assert len(json.loads(city("sql", query, "--format", "json", "--max-rows", "5"))) == 5


@pytest.mark.parametrize(
    "query",
    [
        "select * from trams",
        "select nonsense from vehicle",
        "selec 1",
        "drop table vehicle",
        "delete from vehicle",
        "copy vehicle to 'x.csv'",
        "select * from read_csv('/etc/passwd')",
        "install httpfs",
        "select 1; select 2",
        "",
    ],
)
def test_a_query_that_may_not_be_is_refused_in_words(city: City, query: str) -> None:
    """SQL reads the lake, and cannot hurt it or look elsewhere."""
    city("sql", query, code=2)


def test_a_snapshot_of_the_past_can_be_asked(city: City) -> None:
    """A report of yesterday must be repeatable."""
    snapshots = city.json("lake", "info", "vehicle")["vehicle"]["snapshots"]
    first = min((s for s in snapshots if s["rows"]), key=lambda s: s["time"])
    text = city("sql", "select count(*) as n from vehicle", "--format", "json", "--snapshot", str(first["id"]))
    assert json.loads(text) == [{"n": first["rows"]}]
    city("sql", "select 1 as x", "--as-of", "2026-05-04", "--snapshot", "1", code=2)


def test_quarantine_is_listed_shown_and_mended(city: City) -> None:
    """Records that a wrong contract turned away must not be lost for ever."""
    groups = {(g["reason"], g["field"]): g for g in city.json("quarantine", "list", "--stream", "vehicle")}
    assert groups.get(("out_of_range", "speed"), {}).get("count") == 1, groups
    name = groups["out_of_range", "speed"]["sample"]
    shown = city.json("quarantine", "show", name)
    assert json.loads(shown["raw"])["speed"] == 900
    assert "900" in shown["message"]
    assert json.loads(city("quarantine", "show", name, "--raw"))["id"] == "a"
    city("quarantine", "show", "vehicle/0/0/999999", code=2)
    city("quarantine", "show", "nonsense", code=2)
    city("quarantine", "replay", "--reason", "nonsense", code=2)

    path = city.contracts / "vehicle.odcs.yaml"
    before = path.read_text()
    lines = before.splitlines()
    speed = next(i for i, line in enumerate(lines) if "name: speed_kmh" in line)
    limit = next(i for i in range(speed, len(lines)) if "400" in lines[i])
    path.write_text("\n".join([*lines[:limit], lines[limit].replace("400", "1000"), *lines[limit + 1 :]]) + "\n")
    done = city.json("quarantine", "replay", "--stream", "vehicle", "--reason", "out_of_range")
    assert done["landed"] == 1
    again = city.json("quarantine", "replay", "--stream", "vehicle", "--reason", "out_of_range")
    assert again["landed"] == 0
    landed = json.loads(city("sql", "select speed_kmh from vehicle where id = 'a'", "--format", "json"))
    assert landed == [{"speed_kmh": 900.0}]
    assert city.json("audit")["ok"]


def test_maintenance_changes_no_row(city: City) -> None:
    """It may run from a timer at any time."""
    before = {n: t["rows"] for n, t in city.json("lake", "info").items()}
    done = city.json("lake", "maintain")
    assert set(done["tables"]) >= {"vehicle", "quarantine"}
    assert {n: t["rows"] for n, t in city.json("lake", "info").items()} == before
    assert city.json("audit")["ok"]


def test_a_stream_of_ones_own_takes_one_file(city: City) -> None:
    """The promise of the README: no code."""
    text = resources.files("watling.contracts").joinpath("builtin/weather.odcs.yaml").read_text()
    topic = f"noise_{uuid.uuid4().hex[:8]}"
    text = text.replace("weather_data", topic).replace("name: weather\n", "name: noise\n")
    text = "\n".join(f"id: {uuid.uuid4()}" if line.startswith("id: ") else line for line in text.splitlines())
    (city.contracts / "noise.odcs.yaml").write_text(text + "\n")
    try:
        city("contracts", "check", "contracts/noise.odcs.yaml")
        assert "noise" in city("contracts", "list")
        event = '{"id": "n1", "vehicle_id": "s1", "timestamp": "2026-05-04T07:00:00Z", "location": [52, -1], "humidity": 40}'
        (city.folder / "noise.ndjson").write_text(event + "\n")
        city("replay", "ndjson", "noise.ndjson", "--set", "stream=noise", "--speed", "max")
        city("run", "--once", "--stream", "noise")
        assert json.loads(city("sql", "select humidity_pct from noise", "--format", "json")) == [{"humidity_pct": 40.0}]
        assert city.json("audit")["streams"]["noise"]["landed"] == 1
    finally:
        (city.contracts / "noise.odcs.yaml").unlink()


def test_a_broker_that_is_away_ends_with_3_everywhere(city: City) -> None:
    """A script must be able to tell 'not there' from 'wrong'."""
    before = city.environment["WATLING_KAFKA__BOOTSTRAP_SERVERS"]
    city.environment["WATLING_KAFKA__BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    try:
        for command in (("run", "--once"), ("simulate", "--duration", "1s"), ("broker", "status"), ("up",)):
            city(*command, code=3)
        audit = city.json("audit")
        assert audit["ok"]
        assert audit["streams"]["vehicle"]["lag"] is None
        assert json.loads(city("sql", "select count(*) > 0 as ok from vehicle", "--format", "json")) == [{"ok": True}]
    finally:
        city.environment["WATLING_KAFKA__BOOTSTRAP_SERVERS"] = before
