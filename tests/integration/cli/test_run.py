"""`watling run` in the foreground against a real broker: it ends as it is asked to, and what it committed stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wait_until
from watling.config import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def running(kafka: Settings, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str], Path]]:
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("WATLING_") or k == "WATLING_CACHE"},
        "WATLING_HOME": str(tmp_path / "home"),
        "WATLING_BROKER__PORT": str(kafka.broker.port),
    }
    command = [sys.executable, "-m", "watling", "run", "--stream", "weather"]
    process = subprocess.Popen(
        command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    told = tmp_path / "home" / "run" / "pipeline-weather.json"
    try:
        assert wait_until(lambda: told.is_file() or process.poll() is not None, 60)
        assert process.poll() is None, process.communicate()[0]
        yield process, environment, told
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_ends_in_order_and_withdraws_what_it_told(
    running: tuple[subprocess.Popen[str], dict[str, str], Path], number: signal.Signals, code: int
) -> None:
    """If this fails, Ctrl-C hangs, or status takes a pipeline that has ended for one that died."""
    process, environment, told = running
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(20) == code
    assert time.monotonic() - began < 15
    assert not told.exists()
    status = subprocess.run(
        [sys.executable, "-m", "watling", "status", "--json"], env=environment, cwd=told.parents[2], capture_output=True, timeout=60, check=False
    )  # fmt: skip
    assert json.loads(status.stdout)["pipeline"]["state"] == "stopped"
    assert status.returncode == 3


def test_a_second_writer_of_the_stream_is_refused_by_name(
    running: tuple[subprocess.Popen[str], dict[str, str], Path],
) -> None:
    """If this fails, two pipelines fence each other by mistake, or the numbers of the first are overwritten."""
    process, environment, told = running
    second = subprocess.run(
        [sys.executable, "-m", "watling", "run", "--once", "--stream", "weather"],
        env=environment,
        cwd=told.parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2, second.stderr
    assert f"pid {process.pid}" in second.stderr
    assert "--take-over" in second.stderr
    assert told.is_file()
    assert json.loads(told.read_text())["pid"] == process.pid
