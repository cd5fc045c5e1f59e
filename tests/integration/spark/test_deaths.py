"""kill -9 of Spark's driver at every point of a commit: nothing lost, nothing doubled, nothing left running."""

from __future__ import annotations

import psutil
import pytest

from tests.conftest import wait_until
from tests.integration.pipeline.test_exactly_once import mixed
from tests.integration.spark.conftest import SparkCity

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


@pytest.mark.parametrize("point", ["fetched", "data_written", "quarantine_committed", "stream_committed"])
def test_death_at_any_point_loses_and_doubles_nothing(city: SparkCity, point: str) -> None:
    """A driver that dies, with its checkpoint as it was, must not cost or repeat a record: Spark goes on from the tables."""
    city.send("vehicle", mixed(1000))
    process = city.start_spark(failpoint=point)
    seen: set[psutil.Process] = set()
    while process.poll() is None:
        seen |= _children(process.pid)
        wait_until(lambda: process.poll() is not None, 0.5)
    out, err = process.communicate()
    assert process.returncode == -9, (out, err[-3000:])
    city.send("vehicle", mixed(300, first=1000))
    city.land()
    city.assert_clean()
    ids = city.rows("vehicle")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 1300
    assert seen, "the driver had no JVM"
    assert wait_until(lambda: not any(p.is_running() for p in seen), 30), "a dead driver left processes behind"


def _children(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def test_a_dead_jvm_ends_the_run_with_a_message(city: SparkCity) -> None:
    """Spark out of memory, or killed: the command must end and say so, not hang; the next start goes on."""
    city.send("vehicle", mixed(200))
    process = city.start_spark(once=False)
    try:
        assert wait_until(lambda: city.landed() == 200 or process.poll() is not None, 180)
        for child in psutil.Process(process.pid).children():
            if "java" in child.name():
                child.kill()
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 3, (out, err[-3000:])
    assert "does not answer any more" in out
    city.send("vehicle", mixed(50, first=200))
    city.land()
    city.assert_clean()
