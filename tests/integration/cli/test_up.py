"""`watling up` in a home of its own, as a person at a terminal or a machine under stress would treat it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import free_port, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
READY_S = 120.0


class Home:
    """A home with ports of its own, and the commands run against it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.page = free_port()
        self.environment = {
            **os.environ,
            "WATLING_HOME": str(path),
            "WATLING_BROKER__PORT": str(free_port()),
            "WATLING_PAGE__PORT": str(self.page),
            "COLUMNS": "200",
        }
        self.log = path.parent / "up.log"

    def run(self, *arguments: str, code: int | None = 0) -> str:
        """A command to its end; gives its stdout."""
        done = subprocess.run(
            [sys.executable, "-m", "watling", *arguments],
            env=self.environment,
            cwd=self.path.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert code is None or done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def up(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start it in the background, ready when the page answers and the pipeline tells of its streams."""
        with self.log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "watling", "up", *arguments],
                env=self.environment,
                cwd=self.path.parent,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        assert wait_until(lambda: self.ready() or process.poll() is not None, READY_S), self.log.read_text()
        assert process.poll() is None, self.log.read_text()
        return process

    def ready(self) -> bool:
        """The page answers, and the pipeline works."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/healthz", timeout=2) as answer:
                return bool(answer.status == 200) and bool(self.told("pipeline").get("streams"))
        except OSError:
            return False

    def told(self, process: str) -> dict[str, Any]:
        """What a process told last."""
        try:
            body: dict[str, Any] = json.loads((self.path / "run" / f"{process}.json").read_text())["body"]
            return body
        except (OSError, ValueError):
            return {}

    def part(self, name: str) -> dict[str, Any]:
        """What the supervisor says of a part."""
        found: dict[str, Any] = self.told("up").get("parts", {}).get(name, {})
        return found

    def processes(self) -> list[psutil.Process]:
        """Every process of this home that lives."""
        found = []
        for process in psutil.process_iter(["environ", "status"]):
            environment = process.info["environ"] or {}
            if environment.get("WATLING_HOME") == str(self.path) and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    yield home
    for process in home.processes():
        process.kill()


def test_what_dies_comes_back_and_ctrl_c_stops_all_of_it(home: Home) -> None:
    """A part that crashes must not need a person, nor cost a record; Ctrl-C must leave nothing running."""
    up = home.up("--simulate", "--vehicles", "100")
    assert [home.part(name)["restarts"] for name in ("pipeline", "page", "simulator")] == [0, 0, 0], (
        home.log.read_text()
    )
    before = home.part("pipeline")["pid"]
    os.kill(before, signal.SIGKILL)
    assert wait_until(lambda: home.part("pipeline").get("restarts") == 1, 60), home.log.read_text()
    assert home.part("pipeline")["pid"] != before
    broker = home.part("broker")["pid"]
    os.kill(broker, signal.SIGKILL)
    assert wait_until(lambda: home.part("broker").get("restarts") == 1, 90), home.log.read_text()

    def landed() -> int:
        streams = json.loads(home.run("status", "--json", code=None))["streams"]
        return int(streams["vehicle"]["landed"])

    so_far = landed()
    assert wait_until(lambda: landed() > so_far, 90), home.log.read_text()
    began = time.monotonic()
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 130, home.log.read_text()
    assert time.monotonic() - began < 20  # 10 s on an idle machine
    assert home.processes() == []
    home.run("status", code=3)
    report = json.loads(home.run("audit", "--json"))
    assert report["ok"]
    assert report["streams"]["vehicle"]["landed"] > 0


def test_kill_9_leaves_no_orphan(home: Home) -> None:
    """A supervisor killed by the machine must not leave a broker that holds the port, nor a pipeline that holds the stream."""
    up = home.up()
    assert len(home.processes()) >= 4
    up.kill()
    up.wait()
    assert wait_until(lambda: not home.processes(), 60), [p.cmdline() for p in home.processes()]


def test_a_running_broker_is_used_and_left_running(home: Home) -> None:
    """Whoever started the broker by itself wants it to stay when `up` ends; a second `up` is refused."""
    home.run("broker", "start")
    pid = json.loads(home.run("broker", "status", "--json"))["pid"]
    up = home.up()
    home.run("up", code=2)
    up.send_signal(signal.SIGTERM)
    assert up.wait(30) == 0, home.log.read_text()
    assert json.loads(home.run("broker", "status", "--json"))["pid"] == pid
    assert [p.pid for p in home.processes()] == [pid]
    home.run("broker", "stop")


def test_a_fenced_pipeline_is_not_started_again(home: Home) -> None:
    """Two supervisors must not fence each other for ever: the newest claim wins, the older one stays away."""
    up = home.up("--simulate", "--vehicles", "20")
    home.run("run", "--once", "--take-over")
    home.run("simulate", "--vehicles", "5", "--duration", "2s", "--speed", "max")  # the fence shows at the next commit
    assert wait_until(lambda: home.part("pipeline").get("state") == "fenced", 60), home.log.read_text()
    assert "was fenced by another writer" in home.log.read_text()
    assert home.part("page")["state"] == "running"
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 130


def test_a_taken_page_port_is_said_before_anything_starts(home: Home) -> None:
    """The message must name the port and the way out, not come from a child's log after a minute."""
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", home.page))
        holder.listen()
        done = subprocess.run(
            [sys.executable, "-m", "watling", "up"],
            env=home.environment,
            cwd=home.path.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert str(home.page) in done.stderr
    assert "WATLING_PAGE__PORT" in done.stderr
    assert home.processes() == []
