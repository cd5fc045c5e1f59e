"""The command line as a user meets it: help with examples, exit codes, one clear message, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner, Result

from watling.cli.commands import app

COMMANDS = (
    "up", "run", "simulate", "replay", "replay-guess", "poll", "status", "audit", "doctor", "sql", "page",
    "broker start", "broker stop", "broker status", "quarantine list", "quarantine show", "quarantine replay",
    "lake maintain", "lake info", "contracts list", "contracts show", "contracts check", "contracts compile", "config show",
)  # fmt: skip
JSON = (
    "run", "simulate", "replay", "poll", "status", "audit", "doctor", "broker start", "broker status", "quarantine list",
    "quarantine show", "quarantine replay", "lake maintain", "lake info", "contracts list", "contracts show",
    "contracts check", "config show",
)  # fmt: skip


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("WATLING_") and n != "WATLING_CACHE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WATLING_BROKER__PORT", "1")  # nobody listens there
    monkeypatch.chdir(tmp_path)


def watling(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), prog_name="watling")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_how_it_is_used(command: str) -> None:
    """If this fails, somebody must guess how a command is called."""
    result = watling(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert command in result.stdout.split("Examples:")[1]
    assert max(map(len, result.stdout.splitlines())) <= 140


def test_no_command_is_left_out_of_these_tests() -> None:
    """If this fails, a new command is not looked at."""
    found = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        parts = getattr(command, "commands", None)
        found += [f"{name} {part}" for part in parts] if parts else [name]
    assert sorted(found) == sorted(COMMANDS)


@pytest.mark.parametrize("command", JSON)
def test_scripts_can_ask_for_json(command: str) -> None:
    """If this fails, a script must read a table."""
    assert "--json" in watling(*command.split(), "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "No such command"),
        (("status", "--nonsense"), "No such option"),
        (("run", "--master", "local[2]"), "--engine spark"),
        (("run", "--engine", "flink"), "no engine 'flink'"),
        (("contracts", "show", "nonsense"), "no such stream: nonsense"),
        (("contracts", "compile", "vehicle"), "say --target"),
        (("contracts", "compile", "vehicle", "--target", "cobol"), "no target 'cobol'"),
        (("contracts", "check", "missing.yaml"), "no such file"),
        (("--contracts", "missing", "contracts", "list"), "cannot be read"),
        (("audit", "--accept-loss", "vehicle"), "go together"),
        (("replay", "csv", "missing.csv"), "no such file or folder"),
        (("replay", "nonsense", "."), "no source 'nonsense'"),
        (("poll", "nonsense", "https://city.example/a"), "no source 'nonsense'"),
        (("replay-guess", "missing.csv"), "no such file"),
        (("simulate", "--vehicles", "0"), "vehicles must be 1"),
        (("simulate", "--duration", "soon"), "is no duration"),
        (("poll", "gtfs-rt", "ftp://city.example/a"), "must begin with http"),
        (("poll", "gtfs-rt", "https://city.example/a", "--key-header", "x"), "--key-env"),
        (("up", "--replay", "nonsense=a"), "write SOURCE=PATH"),
        (("up", "--replay", "csv=missing.csv"), "there is no missing.csv"),
        (("sql", "select 1", "--format", "xml"), "no format 'xml'"),
        (("sql", "select 1", "--timeout", "never"), "is no duration"),
        (("sql", "select 1", "--max-rows", "0"), "query.max_rows"),
    ],
)
def test_wrong_use_is_told_in_one_message_and_ends_with_2(arguments: tuple[str, ...], said: str) -> None:
    """If this fails, a typing error looks like a crash, or like success to a script."""
    result = watling(*arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "todo"),
    [
        (("run",), "watling broker start"),
        (("run", "--once", "--stream", "vehicle"), "watling broker start"),
        (("simulate", "--duration", "1s"), "watling broker start"),
        (("quarantine", "list"), "watling up"),
        (("lake", "info"), "watling up"),
        (("lake", "maintain"), "watling up"),
    ],
)
def test_what_does_not_run_ends_with_3_and_says_what_to_do(arguments: tuple[str, ...], todo: str) -> None:
    """If this fails, a supervisor cannot tell 'not there' from 'broken', or a person is left without advice."""
    result = watling(*arguments)
    assert result.exit_code == 3, result.output
    assert todo in result.stderr
    assert "Traceback" not in result.output


def test_status_where_nothing_runs_still_shows_every_stream_and_ends_with_3() -> None:
    """If this fails, a script that watches the lag breaks on the first start."""
    result = watling("status", "--json")
    assert result.exit_code == 3
    body = json.loads(result.stdout)
    assert set(body) >= {"streams", "broker", "pipeline"}
    assert set(body["streams"]) == {"vehicle", "gps", "traffic", "weather", "emergency"}
    for stream in body["streams"].values():
        assert {
            "rate",
            "lag_records",
            "lag_seconds",
            "freshness_seconds",
            "landed",
            "quarantined",
            "last_commit",
        } <= set(stream)
        assert stream["lag_records"] is None  # not known is null, never 0
    assert not body["broker"]["running"]
    assert body["pipeline"]["state"] == "stopped"
    assert "does not run" in watling("status").stdout


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    """If this fails, asking for the status in the wrong folder litters it."""
    for arguments in (
        ("status",),
        ("config", "show"),
        ("contracts", "list"),
        ("doctor",),
        ("broker", "status"),
        ("lake", "info"),
    ):
        watling(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_watling_is_one_line_and_its_trace_is_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, users see tracebacks, or nobody can find out what happened."""

    def breaks(*_: object) -> None:
        raise ZeroDivisionError("of \x1b[31mall things")

    monkeypatch.setattr("watling.contracts.load_contracts", breaks)
    result = watling("--home", str(tmp_path / "h"), "contracts", "list")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "ZeroDivisionError: of \\x1b[31mall things" in result.stderr
    log = Path(result.stderr.split("trace is in ")[1].strip())
    line = json.loads(log.read_text().splitlines()[-1])
    assert "raise ZeroDivisionError" in line["trace"]


def test_a_contract_at_fault_is_told_with_its_line(tmp_path: Path) -> None:
    """If this fails, whoever writes a contract has to search for the fault."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "noise.yaml").write_text("kind: nonsense\nversion: 1\n")
    result = watling("--contracts", "mine", "contracts", "list")
    assert result.exit_code == 2
    assert "noise.yaml:1:" in result.stderr
    checked = watling("contracts", "check", "mine/noise.yaml", "--json")
    assert checked.exit_code == 1
    assert json.loads(checked.stdout)["faults"][0]["line"] == 1


def test_all_problems_of_the_settings_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, settings are put right one start at a time."""
    monkeypatch.setenv("WATLING_PAGE__PORT", "none")
    monkeypatch.setenv("WATLING_PIPELINE__THREADS", "0")
    result = watling("status")
    assert result.exit_code == 2
    assert "page.port" in result.stderr
    assert "pipeline.threads" in result.stderr


def test_config_show_hides_secrets_and_names_where_each_value_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, a password ends up in a terminal, a ticket or a log."""
    monkeypatch.setenv("WATLING_KAFKA__SASL_PASSWORD", "correct horse")
    monkeypatch.setenv(
        "WATLING_KAFKA__PROPERTIES", '{"ssl.key.password": "battery", "sasl.oauthbearer.client.secret": "staple"}'
    )
    monkeypatch.setenv(
        "WATLING_LAKE__CATALOG",
        '{"uri": "postgresql://me:sesame@db/lake", "s3.secret-access-key": "abracadabra", "token": "hocus", "type": "sql"}',
    )
    (tmp_path / "watling.toml").write_text("[page]\nport = 8700\n")
    for arguments in (("config", "show"), ("config", "show", "--json")):
        result = watling("--home", "there", *arguments)
        assert result.exit_code == 0, result.output
        for secret in ("correct horse", "battery", "staple", "sesame", "abracadabra", "hocus"):
            assert secret not in result.output
    text = {line.split()[0]: line for line in watling("--home", "there", "config", "show").stdout.splitlines()}
    assert "flag" in text["home"]
    assert "watling.toml" in text["page.port"]
    assert "8700" in text["page.port"]
    assert "environment" in text["kafka.sasl_password"]
    assert "default" in text["broker.heap_mb"]
    assert "me:••••@db" in text["lake.catalog.uri"]


def test_doctor_names_what_to_do_for_every_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, somebody stands before a problem without a way out."""
    result = watling("doctor", "--json")
    body = json.loads(result.stdout)
    assert result.exit_code == (0 if body["ok"] else 1)
    names = {f["name"] for f in body["findings"]}
    assert {"Python", "memory", "disk", "home", "open files", "Java", "Kafka's jars", "page", "Spark"} <= names
    assert all(f["todo"] for f in body["findings"] if f["grade"] != "ok")
    java = next(f for f in body["findings"] if f["name"] == "Java")
    assert java["grade"] == "ok"


def test_compiled_contracts_are_what_their_readers_expect(tmp_path: Path) -> None:
    """If this fails, a producer's validation or a page's types are not those of the pipeline."""
    schema = json.loads(watling("contracts", "compile", "vehicle", "--target", "json-schema").stdout)
    assert schema["title"] == "vehicle"
    result = watling("contracts", "compile", "--target", "typescript", "--out", "types")
    assert result.exit_code == 0
    assert sorted(p.name for p in (tmp_path / "types").iterdir()) == [
        "emergency.ts", "gps.ts", "traffic.ts", "vehicle.ts", "weather.ts",
    ]  # fmt: skip


def test_a_mapping_is_drafted_from_a_recording(tmp_path: Path) -> None:
    """If this fails, whoever has a CSV of their own begins with an empty file."""
    (tmp_path / "log.csv").write_text("device,time,lat,lon,speed\na,2024-05-01T10:00:00Z,51.5,-0.1,30\n")
    result = watling("replay-guess", "log.csv")
    assert result.exit_code == 0, result.output
    assert "stream:" in result.stdout
    assert "watling replay csv log.csv" in result.stderr


def test_options_for_all_commands_stand_before_them() -> None:
    """If this fails, --version or -v does not work."""
    assert watling("--version").stdout.startswith("watling ")
    assert watling("-vv", "contracts", "list").exit_code == 0
    assert watling().exit_code in (0, 2)
    assert isinstance(app, typer.Typer)


def test_help_is_there_at_once() -> None:
    """If this fails, each look at the help is a wait: no room may be imported for it."""
    loaded = "import sys; from watling.cli.commands import app; print(sorted(m for m in sys.modules if m.split('.')[0] in {'pyarrow','pyiceberg','duckdb','pydantic','confluent_kafka','rich','numpy','fastapi'}))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
    took = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "watling", "--help"], capture_output=True, timeout=60, check=True)
        took.append(time.perf_counter() - began)
    assert min(took) < 2.0  # alone on the machine 0.2; the limit leaves room for busy ones


def test_output_into_a_closed_pipe_is_no_fault() -> None:
    """If this fails, `watling … | head` ends in an error."""
    done = subprocess.run(
        f"{sys.executable} -m watling contracts compile --target plan | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "141")
