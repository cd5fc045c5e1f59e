"""From one engine to the other and back in mid-stream, and both at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.integration.pipeline.conftest import event
from tests.integration.pipeline.test_exactly_once import mixed
from tests.integration.s3.server import shared
from tests.integration.spark.conftest import Background, SparkCity
from watling.errors import UsageError
from watling.lake.catalog import open_catalog
from watling.lake.errors import FencedError

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def checkpoints(city: SparkCity) -> list[str]:
    return sorted(p.name for p in (Path(city.settings.home) / "spark" / "checkpoints").iterdir())


def test_engines_take_turns_in_one_stream(city: SparkCity) -> None:
    """Who moves to Spark and back must find every record once: duplicates over the seam, stale checkpoints, a death."""
    city.send("vehicle", mixed(400))
    city.drain()
    city.send("vehicle", [event(n) for n in range(300, 500)])
    report = city.land()
    assert (report.landed, report.duplicates, report.error) == (100, 100, None)
    assert checkpoints(city) == ["vehicle"]
    city.send("vehicle", mixed(100, first=500))
    city.drain(failpoint="quarantine_committed", expect=-9)
    city.send("vehicle", mixed(100, first=600))
    report = city.land()  # its checkpoint still fits: the embedded engine died before the table moved
    assert (report.landed, report.error) == (200, None)
    assert checkpoints(city) == ["vehicle"]
    city.send("vehicle", [event(n) for n in range(650, 750)])
    city.drain()
    city.send("vehicle", mixed(50, first=750))
    report = city.land()
    assert (report.landed, report.error) == (50, None)
    assert len(checkpoints(city)) == 2, "the stale checkpoint was not set aside"
    assert city.land().landed == 0
    city.assert_clean()
    ids = city.rows("vehicle")["id"].to_pylist()
    assert len(ids) == len(set(ids)) == 800


def test_a_lake_in_s3_takes_both_engines(make_spark_city: Callable[..., SparkCity], tmp_path: Path) -> None:
    """The executors write to the store themselves: with the same keys, and nothing lost between the engines."""
    city = make_spark_city("vehicle", catalog=shared(tmp_path / "store").catalog(tmp_path / "home"))
    city.send("vehicle", mixed(200))
    assert city.land().error is None
    city.send("vehicle", [event(n) for n in range(150, 250)])
    city.drain()
    city.send("vehicle", mixed(50, first=250))
    report = city.land()
    assert (report.landed, report.error) == (50, None)
    city.assert_clean()
    table = open_catalog(city.settings).load_table(("watling", "vehicle"))
    assert all(file.startswith("s3://") for file in table.inspect.files()["file_path"].to_pylist())


def test_embedded_is_refused_while_spark_writes_and_fences_it_by_take_over(city: SparkCity) -> None:
    """Two engines by mistake: the second learns who owns the stream; on purpose: the first stops and says who took it."""
    city.send("vehicle", mixed(200))
    spark = Background(city)
    try:
        assert wait_until(lambda: city.landed() == 200 or spark.result is not None, 120), spark.result
        assert spark.result is None
        assert "spark engine on" in city.drain(expect=2)["message"]
        assert any(t["vehicle"]["landed"] == 200 for t in spark.told) or wait_until(
            lambda: any(t["vehicle"]["landed"] == 200 for t in spark.told), 20
        )
        city.send("vehicle", mixed(100, first=200))
        city.drain(take_over=True)
        city.send("vehicle", mixed(10, first=300))
        error = spark.wait()
        assert isinstance(error, FencedError)
        assert "embedded engine on" in error.message
    finally:
        spark.end()
    city.drain()
    city.assert_clean()


def test_spark_is_refused_while_embedded_writes_and_fences_it_by_take_over(city: SparkCity) -> None:
    """The same the other way round."""
    city.send("vehicle", mixed(200))
    embedded = city.start(once=False)
    try:
        assert wait_until(lambda: city.landed() == 200, 120)
        with pytest.raises(UsageError, match=f"pid {embedded.pid}"):
            city.land()
        assert city.land(take_over=True).error is None
        city.send("vehicle", mixed(10, first=200))
        out, _ = embedded.communicate(timeout=60)
        assert embedded.returncode == 4, out
        assert "spark engine on" in out
    finally:
        embedded.kill()
    city.land()
    city.assert_clean()


def test_a_stop_finishes_the_batch_in_hand(city: SparkCity) -> None:
    """A stop must end within the batch, commit it, and leave nothing for the next start to repair."""
    city.send("vehicle", mixed(2000))
    spark = Background(city)
    assert wait_until(lambda: city.landed() > 0 or spark.result is not None, 120)
    city.send("vehicle", mixed(500, first=2000))
    time.sleep(1)
    report = spark.end()
    assert not report.failed
    city.land()
    city.assert_clean()
