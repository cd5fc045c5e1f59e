"""SQL from the page, over a real lake and the real server."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from tests.conftest import wait_until
from tests.integration.dashboard.lake_page import LakePage, served_lake

pytestmark = pytest.mark.integration
SLOW = "select count(*) from range(100000000000) t(i) where i % 7 = 3"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakePage]:
    with served_lake(LakePage(tmp_path_factory.mktemp("explore") / "home")) as found:
        yield found


@pytest.fixture
def client(page: LakePage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.address, timeout=30) as found:
        yield found


def by_command(page: LakePage, sql: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "watling", "--home", str(page.settings.home), "sql", sql, "--format", "json"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip()


def test_rows_are_those_of_the_command(page: LakePage, client: httpx.Client) -> None:
    """The page and `watling sql` must not answer the same question differently."""
    sql = "select make, count(*) n, avg(speed_kmh) speed_kmh, max(event_time) newest from vehicle group by 1 order by 1"
    answer = client.post("/api/sql", json={"sql": sql}).json()
    names = [c["name"] for c in answer["columns"]]
    assert [dict(zip(names, row, strict=True)) for row in answer["rows"]] == by_command(page, sql)
    assert [c["unit"] for c in answer["columns"]] == [None, None, "km/h", None]
    assert answer["truncated"] is False
    assert answer["snapshots"].keys() == {"vehicle"}


def test_the_columns_named_are_those_of_the_tables(client: httpx.Client) -> None:
    """A name that the page offers to insert must be one that the lake knows."""
    listed = {t["name"]: [c["name"] for c in t["columns"]] for t in client.get("/api/sql/tables").json()}
    assert {"vehicle", "gps", "traffic", "weather", "emergency", "quarantine"} == listed.keys()
    for table in ("vehicle", "quarantine"):
        answer = client.post("/api/sql", json={"sql": f"select * from {table} limit 0"}).json()
        assert sorted(c["name"] for c in answer["columns"]) == sorted(listed[table])


def test_what_was_cut_is_said(client: httpx.Client) -> None:
    """A cut answer must not pass for the whole."""
    answer = client.post("/api/sql", json={"sql": "from vehicle", "limit": 5}).json()
    assert (len(answer["rows"]), answer["truncated"], answer["cut_by"], answer["limits"]["rows"]) == (
        5,
        True,
        "rows",
        5,
    )


def test_values_survive_the_way_to_a_browser(client: httpx.Client) -> None:
    """A snapshot's id beyond 2**53, a NaN, bytes or a picture in a cell must not break or falsify the table."""
    sql = (
        "select 9007199254740993 as a, 9007199254740991 as b, 'nan'::double as c, '\\xff\\x00'::blob as d, "
        "repeat('x', 5000) as e, [1, 2] as f, {'a': 1} as g, null as h, date '2026-01-02' as i, "
        "timestamptz '2026-01-02 03:04:05+00' as j"
    )
    answer = client.post("/api/sql", json={"sql": sql})
    assert answer.status_code == 200, answer.text
    row = answer.json()["rows"][0]
    assert row[:4] == ["9007199254740993", 9007199254740991, None, "base64:/wA="]
    assert row[4].startswith("xxxx")
    assert "5,000 characters" in row[4]
    assert row[5:] == [[1, 2], {"a": 1}, None, "2026-01-02", "2026-01-02T03:04:05Z"]


@pytest.mark.parametrize(
    ("sql", "part"),
    [
        ("select * from vehicles", "there is no table vehicles"),
        ("drop table vehicle", "only reads"),
        ("select * from read_csv('/etc/passwd')", "reads the lake's tables and nothing else"),
        ("selec 1", "syntax error"),
        ("select 1; select 2", "one statement at a time"),
    ],
)
def test_a_fault_is_told_as_the_command_tells_it(page: LakePage, client: httpx.Client, sql: str, part: str) -> None:
    """Whoever knows the message from the command line must find it on the page."""
    answer = client.post("/api/sql", json={"sql": sql})
    assert answer.status_code == 422
    assert part in answer.json()["detail"]
    assert answer.json()["detail"] in by_command(page, sql).replace("\n", " ")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_has_the_same_rows(page: LakePage, client: httpx.Client, form: str) -> None:
    """An export must be the answer, whole, and leave nothing behind on the server."""
    sql = "select id, make, speed_kmh from vehicle order by id"
    answer = client.post("/api/sql/export", json={"sql": sql, "format": form})
    assert answer.headers["x-watling-truncated"] == "false"
    assert f'.{form}"' in answer.headers["content-disposition"]
    expected = by_command(page, sql)
    if form == "parquet":
        assert pq.read_table(io.BytesIO(answer.content)).to_pylist() == expected
    else:
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [r["id"] for r in rows] == [r["id"] for r in expected]
        assert [r["make"] or None for r in rows] == [r["make"] for r in expected]
    folder = page.settings.home / "tmp" / "export"
    assert wait_until(lambda: not list(folder.iterdir()), 5)


def test_a_query_ends_with_its_viewer(page: LakePage, client: httpx.Client) -> None:
    """Viewers who close the page during a heavy query must not leave it running for the others to wait on."""
    for _ in range(8):  # twice the slots: had they stayed, the next would wait
        with pytest.raises(httpx.ReadTimeout):
            client.post("/api/sql", json={"sql": SLOW}, timeout=0.3)
    begun = time.monotonic()
    assert client.post("/api/sql", json={"sql": "select 1"}).json()["rows"] == [[1]]
    assert time.monotonic() - begun < 8  # far from the time limit of any of them


def test_bad_questions_are_refused(client: httpx.Client) -> None:
    """No question without bounds, from no other site, in no other form."""
    assert client.post("/api/sql", json={"sql": ""}).status_code == 422
    assert client.post("/api/sql", json={"sql": "select 1", "limit": 10**9}).status_code == 422
    assert client.post("/api/sql/export", json={"sql": "select 1", "format": "exe"}).status_code == 422
    body = json.dumps({"sql": "select 1"})
    assert client.post("/api/sql", content=body, headers={"content-type": "text/plain"}).status_code == 422
    foreign = {"origin": "http://evil.example"}
    assert client.post("/api/sql", json={"sql": "select 1"}, headers=foreign).status_code == 403


def test_without_a_lake_it_says_so(tmp_path: Path) -> None:
    """On the first day the page must say what is missing, not fail."""
    from fastapi.testclient import TestClient

    from watling.app import Status
    from watling.config import load_settings
    from watling.contracts import builtin_contracts
    from watling.dashboard import create_app

    settings, contracts = load_settings(home=tmp_path), builtin_contracts()
    app = create_app(settings, contracts=contracts, status=Status(settings, contracts))
    with TestClient(app, base_url="http://127.0.0.1:8600") as client:
        answer = client.post("/api/sql", json={"sql": "select 1"})
        assert (answer.status_code, "no lake yet" in answer.json()["detail"]) == (503, True)
        assert client.get("/api/operations").status_code == 503
        assert client.post("/api/audit", json={}).status_code == 503
    assert not (tmp_path / "lake").exists()  # asking must not make one
