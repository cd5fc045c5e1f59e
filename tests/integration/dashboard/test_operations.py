"""The operations view's routes over a real lake: what is in it, and the two buttons."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import wait_until
from tests.integration.dashboard.lake_page import LakePage, served_lake
from watling.audit import keep_verdict, last_verdict, run_audit
from watling.lake.state import read_state
from watling.query.sql import open_lake

pytestmark = pytest.mark.integration


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LakePage]:
    with served_lake(LakePage(tmp_path / "home")) as found:
        yield found


@pytest.fixture
def client(page: LakePage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.address, timeout=30) as found:
        yield found


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job once it has ended."""
    assert wait_until(lambda: client.get(f"/api/jobs/{job['id']}").json()["state"] != "running", 60)
    return client.get(f"/api/jobs/{job['id']}").json()


def test_it_shows_what_is_in_the_lake(page: LakePage, client: httpx.Client) -> None:
    """Whoever is on call must see commits, files and quarantine as they are, with the bytes at fault."""
    body = client.get("/api/operations").json()
    vehicle = body["streams"]["vehicle"]
    assert vehicle["table"]["files"]["rows"] == 54
    assert vehicle["table"]["files"]["count"] == vehicle["table"]["files"]["small"] == 6
    assert [c["rows"] for c in vehicle["table"]["commits"] if c["rows"]] == [8, 10] * 3
    assert sum(minute[2] for minute in vehicle["table"]["minutes"]) == 54
    groups = {g["reason"]: g for g in vehicle["quarantine"]}
    assert {reason: g["records"] for reason, g in groups.items()} == {"not_json": 6, "out_of_range": 3}
    newest = groups["out_of_range"]["samples"][0]
    assert (newest["offset"], newest["field"], newest["name"]) == (62, "speed", "vehicle/0/0/62")
    assert '"speed": 512' in newest["raw"]
    assert newest["raw_bytes"] == len(newest["raw"])
    assert body["streams"]["gps"]["quarantine"] == []
    assert body["streams"]["weather"]["table"] is None
    assert body["audit"] is None


def test_replay_lands_what_now_fits_and_the_numbers_follow(page: LakePage, client: httpx.Client) -> None:
    """After a contract was widened, one button must bring its records into the lake, and only those."""
    job = client.post("/api/quarantine/replay", json={"stream": "vehicle", "reason": "out_of_range"})
    assert job.status_code == 202
    assert ended(client, job.json())["result"]["landed"] == 0  # the contract is as it was
    page.write_contract(maximum=600)
    done = ended(client, client.post("/api/quarantine/replay", json={"stream": "vehicle"}).json())
    assert done["state"] == "done", done
    assert (done["result"]["landed"], done["result"]["remaining"]) == (3, {"not_json": 6})
    lake = open_lake(page.settings)
    fast = lake.execute("select count(*) n from vehicle where speed_kmh = 512").rows.to_pylist()
    lake.close()
    assert fast == [{"n": 3}]
    groups = client.get("/api/operations").json()["streams"]["vehicle"]["quarantine"]
    assert [g["reason"] for g in groups] == ["not_json"]


def test_the_audit_keeps_its_verdict(page: LakePage, client: httpx.Client) -> None:
    """A verdict must be there for the next viewer too, and a loss must not be called clean."""
    done = ended(client, client.post("/api/audit", json={}).json())
    assert (done["state"], done["result"]["clean"]) == ("done", True), done
    assert last_verdict(page.settings) == done["result"] == client.get("/api/operations").json()["audit"]
    page.lake.remove("vehicle", "_kafka_offset = 3")
    keep_verdict(page.settings, run_audit(page.settings, contracts=page.lake.contracts, look_again_s=0.0))
    bad = client.get("/api/operations").json()["audit"]
    assert bad["clean"] is False
    assert "1 missing in partition 0" in bad["problems"][0]
    assert bad["streams"]["vehicle"]["missing"] == 1


def test_one_job_at_a_time_and_it_can_be_stopped(page: LakePage, client: httpx.Client) -> None:
    """Two people who press the button at once must not run it twice; one who regrets it must be heard."""
    first = client.post("/api/audit", json={}).json()
    second = client.post("/api/quarantine/replay", json={})
    assert second.status_code == 409
    assert "audit is running" in second.json()["detail"]
    assert client.post(f"/api/jobs/{first['id']}/stop", json={}).status_code == 200
    assert ended(client, first)["state"] in ("stopped", "done")
    assert client.get("/api/jobs/none").status_code == 404


def test_wrong_orders_are_refused(page: LakePage, client: httpx.Client) -> None:
    """No button of another site, no reason or stream that is none."""
    assert client.post("/api/quarantine/replay", json={"stream": "no"}).status_code == 404
    assert client.post("/api/quarantine/replay", json={"reason": "no"}).status_code == 422
    plain = {"content-type": "text/plain"}
    assert client.post("/api/audit", content=b"{}", headers=plain).status_code == 422
    assert client.post("/api/audit", json={}, headers={"origin": "http://evil.example"}).status_code == 403
    before = read_state(page.lake.committer.table("vehicle"))
    time.sleep(0.2)
    assert read_state(page.lake.committer.table("vehicle")) == before
