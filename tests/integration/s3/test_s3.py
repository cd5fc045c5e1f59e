"""A lake in a real S3 store: the same promises, the same commands, the same page; and the store away."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.conftest import free_port, wait_until
from tests.integration.pipeline.conftest import NOW, City, event, make_city
from tests.integration.s3.server import BUCKET, KEY, SECRET, S3Server
from watling.audit import run_audit
from watling.config import load_settings
from watling.dashboard import create_app
from watling.lake.catalog import open_catalog
from watling.lake.errors import LakeUnreachable
from watling.lake.maintain import maintain
from watling.lake.objects import ObjectStore
from watling.query.errors import QueryError
from watling.query.sql import LakeSql, open_lake

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
__all__ = ["make_city"]


def picture() -> bytes:
    """A small JPEG."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(buffer, "JPEG")
    return buffer.getvalue()


PICTURE = base64.b64encode(picture()).decode()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.kill()


@pytest.fixture
def city(make_city: Any, s3: S3Server, tmp_path: Path) -> City:
    """A city with vehicles and cameras whose lake lies in the store."""
    return make_city("vehicle", "traffic", catalog=s3.catalog(tmp_path / "home"))


@pytest.fixture
def sql(city: City) -> Iterator[LakeSql]:
    found = open_lake(city.settings)
    yield found
    found.close()


def test_records_land_once_and_sql_and_page_answer(city: City, sql: LakeSql, s3: S3Server) -> None:
    """Whoever moves the lake to a store must get the same rows, pictures, numbers and proof."""
    city.send("vehicle", [event(n) for n in range(400)] + [b"junk", event(7)])
    city.send("traffic", [camera(n) for n in range(5)])
    city.drain("data_written", expect=-9)  # the data files are in the store, and no table knows of them
    pipeline = city.start(once=False)
    try:
        for number in range(400, 500, 10):  # ten commits: enough to be merged
            city.send("vehicle", [event(n) for n in range(number, number + 10)])
            assert wait_until(lambda n=number: city.settled("vehicle") == 402 + n - 390, 60)  # type: ignore[misc]
    finally:
        pipeline.terminate()
        pipeline.communicate(timeout=60)
    city.assert_whole("vehicle")
    report = run_audit(city.settings, contracts=city.contracts)
    assert report.ok, report.lines()
    assert sql.execute("select count(*) as n, count(distinct id) as ids from vehicle").rows.to_pylist() == [
        {"n": 500, "ids": 500}
    ]
    reasons = "select reason, count(*) as n from quarantine group by 1 order by 1"
    assert sql.execute(reasons).rows.to_pylist() == [{"reason": "duplicate", "n": 1}, {"reason": "not_json", "n": 1}]
    done = maintain(open_catalog(city.settings), city.settings, city.contracts)
    assert done.tables["vehicle"].compacted.files_before >= 10
    assert sql.execute("select count(*) as n from vehicle").rows.to_pylist() == [{"n": 500}]
    (reference, *_) = sql.execute("select snapshot from traffic").rows["snapshot"].to_pylist()
    stored = ObjectStore(city.settings, open_catalog(city.settings)).get(reference)
    assert stored == base64.b64decode(PICTURE)
    settings = load_settings(
        home=city.settings.home,
        contracts=city.settings.contracts_dir,
        lake={"catalog": s3.catalog(city.settings.home)},
        page={"port": free_port()},
    )
    app = create_app(settings, contracts=city.contracts, status=NoStatus())
    with TestClient(app, base_url=f"http://127.0.0.1:{settings.page.port}") as client:
        at = int(NOW.timestamp() * 1000)
        entries = client.get(f"/api/tiles/entries_by_stream?from={at - 3_600_000}&to={at + 3_600_000}").json()
        assert {s: n for s, n in entries["rows"] if n} == {"vehicle": 500, "traffic": 5}
        picture = client.get("/api/cameras/jam-1/pictures").json()["pictures"][0]["url"]
        assert client.get(picture).content == base64.b64decode(PICTURE)
        said = client.post("/api/sql", json={"sql": "select count(*) from vehicle"})
        assert said.json()["rows"] == [[500]]


def test_sql_reads_the_lake_in_the_bucket_and_nothing_beside_it(city: City, sql: LakeSql, s3: S3Server) -> None:
    """The store's key opens more than the lake: what lies beside it must stay closed, and the key unseen."""
    city.send("vehicle", [event(1)])
    city.drain()
    with s3.files.open_output_stream(f"{BUCKET}/payroll.csv") as out:
        out.write(b"name,pay\nann,1\n")
    assert sql.execute("select count(*) as n from vehicle").rows.to_pylist() == [{"n": 1}]
    for text in (
        f"from read_csv('s3://{BUCKET}/payroll.csv')",
        f"from read_csv('{s3.endpoint}/{BUCKET}/payroll.csv')",
        f"from glob('s3://{BUCKET}/*')",
        "from duckdb_secrets()",
    ):
        with pytest.raises(QueryError) as caught:
            sql.execute(text)
        assert "nothing else" in caught.value.message
        assert SECRET not in caught.value.message


def test_keys_may_come_from_the_environment(city: City, s3: S3Server) -> None:
    """On AWS nobody writes keys into a file; and a wrong one must not look like an outage."""
    city.send("vehicle", [event(1)])
    city.drain()
    keyless = {n: v for n, v in s3.catalog(city.settings.home).items() if not n.endswith(("key-id", "access-key"))}
    chain = {"WATLING_LAKE__CATALOG": json.dumps(keyless), "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    asked = ("sql", "select count(*) as n from vehicle", "--format", "csv")
    assert watling(city, *asked, **chain).stdout.split() == ["n", "1"]
    refused = watling(city, *asked, **{**chain, "AWS_SECRET_ACCESS_KEY": "wrong"})
    assert refused.returncode == 3
    assert "refuses: check the keys" in refused.stderr


def test_a_store_that_is_away_is_waited_for_and_named(city: City, sql: LakeSql, s3: S3Server) -> None:
    """Stores have outages: the pipeline must wait and lose nothing, a command must say what is away and end with 3."""
    city.send("vehicle", [event(n) for n in range(300)])
    pipeline = city.start(once=False)
    try:
        assert wait_until(lambda: city.settled("vehicle") >= 300, 60)
        s3.kill()
        city.send("vehicle", [event(n) for n in range(300, 700)])
        with pytest.raises(LakeUnreachable, match="does not answer"):
            sql.execute("select count(*) from vehicle")
        for command in (["sql", "select 1 from vehicle"], ["audit"], ["lake", "info"], ["quarantine", "list"]):
            ended = watling(city, *command)
            assert ended.returncode == 3, (command, ended.stderr)
            assert "does not answer" in ended.stderr
            assert len(ended.stderr.splitlines()) == 1
            assert SECRET not in ended.stderr
        assert pipeline.poll() is None, "it waits"
        s3.start()
        assert wait_until(lambda: city.settled("vehicle") >= 700, 90)
    finally:
        pipeline.terminate()
        _, log = pipeline.communicate(timeout=60)
    assert SECRET not in log
    city.drain()
    city.assert_whole("vehicle")
    report = run_audit(city.settings, contracts=city.contracts)
    assert report.ok, report.lines()


def watling(city: City, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "watling", *arguments],
        env={**os.environ, **city.environment, **more},
        capture_output=True,
        text=True,
        timeout=120,
    )


def camera(number: int) -> bytes:
    sent = json.loads(event(number))
    kept = {name: sent[name] for name in ("id", "vehicle_id", "timestamp", "location")}
    return json.dumps({**kept, "camera_id": "jam-1", "snapshot": PICTURE}).encode()


class NoStatus:
    """A status source that knows nothing."""

    def read(self) -> dict[str, Any]:
        return {}
