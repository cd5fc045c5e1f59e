"""`watling run --engine spark` as a person starts it, and stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.integration.pipeline.test_exactly_once import mixed
from tests.integration.spark.conftest import SparkCity
from watling.ops import progress

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def start(city: SparkCity, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "watling", "run", "--engine", "spark", "--stream", "vehicle", *arguments]
    return subprocess.Popen(
        command,
        env={**os.environ, **city.environment, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_ctrl_c_ends_it_in_order(city: SparkCity) -> None:
    """Ctrl-C reaches the JVM too: the batch in hand must still be finished, and status must have told of Spark."""
    city.send("vehicle", mixed(500))
    process = start(city, "--master", "local[2]")
    try:
        assert wait_until(lambda: city.landed() == 500 or process.poll() is not None, 180)
        assert process.poll() is None, process.communicate()

        def told() -> Any:
            found = progress.read(city.settings, "pipeline-vehicle")
            return found and found.body["engine"] == "spark" and found.body["streams"]["vehicle"]["landed"] == 500

        assert wait_until(told, 30)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, (out, err[-3000:])
    assert "Traceback" not in err
    assert progress.read(city.settings, "pipeline-vehicle") is None
    city.assert_clean()
