"""`watling status` and `watling doctor` where nothing runs, and the forms in which numbers are shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.unit.cli.conftest import Watling
from watling.cli import output
from watling.cli.values import duration, moment, pairs
from watling.errors import UsageError

KEYS = {"rate", "lag_records", "lag_seconds", "freshness_seconds", "landed", "quarantined", "last_commit"}


def test_status_with_everything_stopped(watling: Watling) -> None:
    """A monitor that asks before the first start needs the whole shape, the truth, and code 3."""
    done = watling("status", "--json")
    assert done.exit_code == 3
    now = json.loads(done.stdout)
    assert set(now["streams"]) == {"vehicle", "gps", "traffic", "weather", "emergency"}
    assert all(stream.keys() >= KEYS for stream in now["streams"].values())
    assert now["broker"]["running"] is False
    assert now["pipeline"]["running"] is False
    assert now["streams"]["vehicle"]["lag_records"] is None, "not known is not zero"
    assert not Path(".watling/lake").exists()


def test_what_a_dead_pipeline_told_is_not_taken_for_news(watling: Watling) -> None:
    """After a crash the last numbers must not be shown as if they were of now."""
    import os
    import subprocess
    import sys

    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "from watling.config import load_settings; from watling.ops import progress\n"
            "progress.publish(load_settings(), 'pipeline', {'engine': 'embedded', 'streams': {'vehicle': {'rate': 99.0}}})",
        ],
        env={**os.environ},
        timeout=60,
        check=False,
    )
    assert child.returncode == 0
    now = json.loads(watling("status", "--json").stdout)
    assert now["pipeline"]["state"] == "died"
    assert now["streams"]["vehicle"]["rate"] == 0.0


def test_doctor_looks_without_making_anything(watling: Watling, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is run when something is wrong: it must not change what it looks at."""
    monkeypatch.setenv("WATLING_BROKER__PORT", str(free_port()))
    monkeypatch.setenv("WATLING_PAGE__PORT", str(free_port()))
    done = watling("doctor", "--json")
    body = json.loads(done.stdout)
    assert {f["name"] for f in body["findings"]} >= {"Python", "memory", "disk", "home", "Java", "Kafka's port", "page"}
    assert all(f["todo"] for f in body["findings"] if f["grade"] == "problem")
    assert done.exit_code == (0 if body["ok"] else 1)
    assert not Path(".watling").exists()


def test_doctor_names_who_has_the_port(watling: Watling, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Address already in use` alone sends people searching."""
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        monkeypatch.setenv("WATLING_BROKER__PORT", str(port))
        done = watling("doctor")
    assert done.exit_code == 1
    assert f"127.0.0.1:{port} is taken" in done.stdout
    assert "WATLING_BROKER__PORT" in done.stdout


def test_doctor_says_that_a_home_cannot_be_written(watling: Watling) -> None:
    """The first start would fail on it in a less readable place."""
    Path("file").write_text("")
    done = watling("--home", "file/home", "doctor")
    assert done.exit_code == 1
    assert "--home" in done.stdout


def test_doctor_reports_a_broken_contract(watling: Watling) -> None:
    """It must tell of it, and of everything else too."""
    Path("contracts").mkdir()
    Path("contracts/noise.odcs.yaml").write_text("{")
    done = watling("doctor")
    assert done.exit_code == 1
    assert "noise.odcs.yaml" in done.stdout
    assert "Java" in done.stdout


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800), ("500ms", 0.5), ("15", 15)]
)
def test_durations(text: str, seconds: float) -> None:
    """What people write for a time must mean what they think."""
    assert duration(text, "--x") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", "0", "5 weeks", "1h2", "s", "1..5s", "nan", "1e3"])
def test_what_is_no_duration(text: str) -> None:
    """A typo must not become another time."""
    with pytest.raises(UsageError):
        duration(text, "--x")


def test_moments_without_an_offset_are_utc() -> None:
    """As everywhere else in Watling."""
    assert moment("2026-05-04T07:00:00", "--x").isoformat() == "2026-05-04T07:00:00+00:00"
    assert moment("2026-05-04T07:00:00+01:00", "--x").isoformat() == "2026-05-04T06:00:00+00:00"


def test_pairs() -> None:
    """A value may hold the sign that parts it from its name."""
    assert pairs(["a=b=c", "d="], "--set") == {"a": "b=c", "d": ""}
    with pytest.raises(UsageError):
        pairs(["a"], "--set")


def test_cells_cannot_command_the_terminal() -> None:
    """A record's text may hold escape sequences: they must arrive as text."""
    assert "\x1b" not in output.cell("\x1b[2Jgone\nnext")


@pytest.mark.parametrize(
    ("value", "text"), [(None, None), (0.4, "0.4 s"), (12.0, "12 s"), (180, "3 min"), (7600, "2 h"), (432_000, "5 d")]
)
def test_durations_as_people_say_them(value: float | None, text: str | None) -> None:
    """Lag is read at a glance."""
    assert output.seconds(value) == text
