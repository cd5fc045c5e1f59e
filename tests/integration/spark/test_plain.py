"""`--sink parquet`: plain Parquet folders by Spark's own sink, with the same rows and reasons as the tables have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from tests.integration.pipeline.conftest import City, event, make_city
from watling.errors import UsageError
from watling.pipeline.engines.spark import plain

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
__all__ = ["make_city"]
BAD = [b"", b"junk", None, b'{"id": "x"}', b'{"id":"y","vehicle_id":"v","timestamp":"never","location":[1,2]}']
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


@pytest.fixture
def city(make_city: Any) -> City:
    """Vehicles, and cameras with pictures."""
    made: City = make_city("vehicle", "traffic")
    return made


def rows(folder: Path) -> pa.Table:
    """All files of a folder, as a reader that knows nothing of Spark finds them."""
    return ds.dataset(sorted(folder.glob("*.parquet")), format="parquet").to_table()


def test_the_rows_are_those_of_the_tables_and_a_second_run_goes_on(city: City, spark: Any, tmp_path: Path) -> None:
    """Whoever wants files alone must get the same values as from the tables, and nothing twice at the next run."""
    to = tmp_path / "out"
    city.send("vehicle", [*(event(n) for n in range(300)), *BAD])
    seen = {"id": "c1", "camera_id": "cam", "timestamp": json.loads(event(0))["timestamp"], "snapshot": PIXEL}
    city.send("traffic", [json.dumps(seen).encode()])
    first = plain.run(city.settings, city.contracts, str(to), once=True, streams=["vehicle", "traffic"])
    assert not first.failed, first.errors
    assert first.streams == {
        "vehicle": {"rows": 300, "quarantined": len(BAD)},
        "traffic": {"rows": 1, "quarantined": 0},
    }
    city.send("vehicle", [event(n) for n in range(300, 400)])
    again = plain.run(city.settings, city.contracts, str(to), once=True, streams=["vehicle"])
    assert again.streams == {"vehicle": {"rows": 100, "quarantined": 0}}

    city.drain()
    written = rows(to / "vehicle")
    order = [("_kafka_partition", "ascending"), ("_kafka_offset", "ascending")]
    names = written.column_names
    tables = city.rows("vehicle", names).sort_by(order)
    assert written.sort_by(order).to_pylist() == tables.to_pylist()
    held = city.rows("quarantine", ["_kafka_partition", "_kafka_offset", "reason", "field", "raw"]).sort_by(order)
    assert rows(to / "quarantine" / "vehicle").select(held.column_names).sort_by(order).to_pylist() == held.to_pylist()
    picture = rows(to / "traffic")[plain.PICTURE].to_pylist()[0]
    assert picture.startswith(b"\x89PNG"), "the bytes stand beside their reference"


@pytest.mark.soak
def test_a_run_that_is_killed_goes_on_from_its_checkpoint(make_city: Any, spark: Any, tmp_path: Path) -> None:
    """A crash must lose no record; Spark's own readers, which know what its log names, see none twice."""
    city: City = make_city("vehicle", partitions=1)
    to = tmp_path / "out"
    city.send("vehicle", [event(n) for n in range(500)])
    body = (
        "import sys; from watling.config import load_settings; from watling.contracts import load_contracts; "
        "from watling.pipeline.engines.spark import plain; s = load_settings(); "
        f"plain.run(s, load_contracts(s.contracts_dir), {str(to)!r}, streams=['vehicle'], master='local[1]')"
    )
    killed = subprocess.Popen([sys.executable, "-c", body], env={**os.environ, **city.environment})
    try:
        folder = to / "vehicle" / "_spark_metadata"
        _wait(lambda: folder.is_dir() and any(folder.iterdir()), killed)
        city.send("vehicle", [event(n) for n in range(500, 900)])
    finally:
        killed.kill()
        killed.wait(30)
    report = plain.run(city.settings, city.contracts, str(to), once=True, streams=["vehicle"])
    assert not report.failed, report.errors
    by_spark = spark.read.parquet((to / "vehicle").as_uri()).toArrow()
    places = list(zip(by_spark["_kafka_partition"].to_pylist(), by_spark["_kafka_offset"].to_pylist(), strict=True))
    assert len(places) == len(set(places)) == 900
    assert pc.count_distinct(by_spark["id"]).as_py() == 900


def _wait(condition: Any, process: subprocess.Popen[bytes]) -> None:
    from tests.conftest import wait_until

    assert wait_until(lambda: condition() or process.poll() is not None, 300)
    assert process.poll() is None


def test_a_folder_of_the_lake_is_refused(city: City) -> None:
    """The lake's upkeep removes files that no table names: rows written there would vanish after a day."""
    for folder in (city.settings.home / "lake" / "x", city.settings.home):
        with pytest.raises(UsageError, match="Choose another"):
            plain.target(city.settings, str(folder))


def test_what_does_not_go_together_is_said(tmp_path: Path) -> None:
    """`--to` without its sink would write tables where files were meant."""
    for options, word in (
        (["--to", "x"], "--sink parquet"),
        (["--sink", "csv"], "no sink 'csv'"),
        (["--sink", "parquet", "--to", "x"], "--engine spark"),
        (["--engine", "spark", "--sink", "parquet"], "--to DIR"),
        (["--engine", "spark", "--sink", "parquet", "--to", "x", "--take-over"], "--take-over"),
    ):
        command = [sys.executable, "-m", "watling", "--home", str(tmp_path), "run", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2, done.stderr
        assert word in done.stderr
