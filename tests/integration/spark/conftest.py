"""A city whose streams are landed by Spark: in this process with the shared session, or in one that a test may kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.pipeline.conftest import HERE, City, make_city
from watling.audit import run_audit
from watling.contracts import load_contracts
from watling.pipeline.engines.lifecycle import RunReport, StreamReport

__all__ = ["make_city"]

Options = dict[str, Any]


class SparkCity(City):
    """As a City; `drain` and `start` are the embedded engine's, these are Spark's."""

    def run(self, **options: Any) -> RunReport:
        """Spark's engine in this process, until the topics are drained."""
        from watling.pipeline.engines.spark.engine import run

        contracts = load_contracts(self.settings.contracts_dir)
        return run(self.settings, contracts, **{"once": True, "streams": list(self.streams), **options})

    def land(self, stream: str = "vehicle", **options: Any) -> StreamReport:
        """What one drain by Spark did for a stream."""
        return self.run(**options).streams[stream]

    def start_spark(self, failpoint: str = "", **options: Any) -> subprocess.Popen[str]:
        """Spark's engine in a process of its own."""
        body = json.dumps({"once": True, "streams": list(self.streams), **options})
        environment = {
            **os.environ, **self.environment,
            "WATLING_SPARK__MASTER": "local[2]", "WATLING_FAILPOINT": failpoint, "DRAIN_ENGINE": "spark",
        }  # fmt: skip
        command = [sys.executable, str(HERE / "drain.py"), body]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def assert_clean(self, stream: str = "vehicle") -> None:
        """Every record once, and the audit says so too."""
        self.assert_whole(stream)
        report = run_audit(self.settings, contracts={n: self.contracts[n] for n in self.streams})
        assert report.ok, report.lines()
        assert report.json()["streams"][stream]["consumed"] == self.sent[stream]


class Background:
    """A run of Spark's engine in a thread; `end` stops it and gives what it raised or returned."""

    def __init__(self, city: SparkCity, **options: Any) -> None:
        self.stop = threading.Event()
        self.told: list[dict[str, Any]] = []
        self.result: Any = None
        options = {"once": False, "stop": self.stop, "on_progress": self.told.append, **options}
        self._thread = threading.Thread(target=self._run, args=(city, options), daemon=True)
        self._thread.start()

    def _run(self, city: SparkCity, options: Options) -> None:
        try:
            self.result = city.run(**options)
        except Exception as error:
            self.result = error

    def end(self, timeout_s: float = 120) -> Any:
        self.stop.set()
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 120) -> Any:
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the engine did not end"
        return self.result


@pytest.fixture
def make_spark_city(make_city: Callable[..., City], spark: Any) -> Callable[..., SparkCity]:
    def make(*streams: str, **options: Any) -> SparkCity:
        plain = make_city(*streams, **options)
        return SparkCity(plain.settings, plain.contracts, plain.streams, plain.environment)

    return make


@pytest.fixture
def city(make_spark_city: Callable[..., SparkCity]) -> SparkCity:
    """A city with the vehicle stream on three partitions."""
    return make_spark_city("vehicle")
