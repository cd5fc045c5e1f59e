"""The page's address: what it answers, and to whom."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.conftest import wait_until
from tests.e2e.made_up_city import CONTRACTS, MadeUpCity, served
from watling.config import PageConfig, Settings
from watling.dashboard import PortTaken, create_app
from watling.dashboard.serve import listen

HERE = {"host": "127.0.0.1:8600"}


@pytest.fixture
def page() -> Iterator[tuple[str, MadeUpCity]]:
    """The page on a port of its own, as the command serves it."""
    with served(MadeUpCity(vehicles=20, hz=10)) as found:
        yield found


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    city = MadeUpCity(vehicles=50, hz=20)
    (tmp_path / "index.html").write_text("<!doctype html><title>Watling</title>")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "a.js").write_text("let a")
    app = create_app(Settings(), contracts=CONTRACTS, status=city, feeds=[city], static=tmp_path)
    city.step(app.state.hot, 0)
    with TestClient(app, base_url="http://127.0.0.1:8600") as client:
        yield client


def test_status_has_every_stream_with_its_state(client: TestClient) -> None:
    """Whoever reads the page by script gets what the page shows."""
    streams = client.get("/api/status").json()["streams"]
    assert streams.keys() == CONTRACTS.keys()
    assert {"state", "landed", "rate", "lag_records", "freshness_seconds", "quarantined"} <= streams["vehicle"].keys()


def test_health_and_metrics(client: TestClient) -> None:
    """A supervisor and Prometheus find what they expect."""
    assert client.get("/healthz").json()["ok"] is True
    text = client.get("/metrics").text
    assert 'watling_stream_rate_records_per_second{stream="vehicle"}' in text
    assert "process_resident_memory_bytes" in text


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("identity", None),
        ("vibrant", None),
    ],
)
def test_script_comes_in_the_smallest_form_that_the_browser_takes(
    client: TestClient, tmp_path: Path, accepted: str, coding: str | None
) -> None:
    """The page opens fast, and an old client is not sent what it cannot read."""
    for suffix, body in ((".gz", gzip.compress(b"let a")), (".br", b"\x0b\x02\x80let a\x03")):
        (tmp_path / "assets" / f"a.js{suffix}").write_bytes(body)
    with client.stream("GET", "/assets/a.js", headers={"accept-encoding": accepted}) as answer:
        assert answer.headers.get("content-encoding") == coding
        assert "javascript" in answer.headers["content-type"]
        assert answer.headers["vary"] == "accept-encoding"
        kept = {"br": ".br", "gzip": ".gz", None: ""}[coding]
        assert b"".join(answer.iter_raw()) == (tmp_path / "assets" / f"a.js{kept}").read_bytes()


def test_metrics_tell_of_restarts_commits_and_losses(tmp_path: Path) -> None:
    """An alert can fire on a part that dies again and again, on slow commits and on records that are gone."""

    class Restarted(MadeUpCity):
        def read(self) -> dict[str, Any]:
            status = super().read()
            status["streams"]["gps"] |= {"commit_seconds": 0.25, "lost": 7}
            return {**status, "supervisor": {"parts": {"pipeline": {"restarts": 3}}}}

    city = Restarted(vehicles=5, hz=20)
    app = create_app(Settings(), contracts=CONTRACTS, status=city, feeds=[city], static=tmp_path)
    app.state.hot.report_skipped("vehicle", 12)
    with TestClient(app, base_url="http://127.0.0.1:8600") as client:
        assert wait_until(lambda: "watling_part_restarts_total" in client.get("/metrics").text, 10)
        lines = client.get("/metrics").text.splitlines()
    assert {
        'watling_part_restarts_total{part="pipeline"} 3.0',
        'watling_stream_commit_seconds{stream="gps"} 0.25',
        'watling_stream_lost_records_total{stream="gps"} 7.0',
        'watling_page_skipped_records_total{stream="vehicle"} 12.0',
    } <= set(lines)


def test_vehicle_list_card_and_unknown_vehicle(client: TestClient) -> None:
    """A vehicle can be found by part of its id and looked at; an unknown one is a 404 with a reason."""
    listed = client.get("/api/vehicles", params={"search": "wat-0000", "limit": 5}).json()
    assert listed["matching"] == 10
    assert len(listed["vehicles"]) == 5
    card = client.get("/api/vehicles/WAT-00001").json()
    assert card["facts"]["make"] == "Tesla"
    assert card["topic"] in ("vehicle_data", "gps_data")
    missing = client.get("/api/vehicles/nobody")
    assert missing.status_code == 404
    assert "nobody" in missing.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/vehicles?limit=0",
        "/api/vehicles?limit=x",
        f"/api/vehicles?search={'a' * 101}",
        "/api/places/vehicle?limit=-1",
    ],
)
def test_bad_parameters_are_refused(client: TestClient, path: str) -> None:
    """No parameter reaches the state unchecked."""
    assert client.get(path).status_code == 422


def test_websocket_sends_status_and_frames(page: tuple[str, MadeUpCity]) -> None:
    """One socket carries everything that is live, uncompressed."""
    kinds: set[str] = set()
    with connect(page[0].replace("http", "ws") + "ws", compression="deflate") as socket:
        assert socket.protocol.extensions == []
        while not {"status", "quarantine", "frame"} <= kinds:
            message = socket.recv(10)
            if isinstance(message, str):
                kinds.add(json.loads(message)["kind"])
            else:
                assert message[:4] == b"WTL1"
                kinds.add("frame")
                length = int.from_bytes(message[4:8], "little")
                socket.send(json.dumps({"ack": json.loads(message[8 : 8 + length])["seq"]}))


def test_viewer_that_sends_nonsense_is_let_go_alone(page: tuple[str, MadeUpCity]) -> None:
    """One broken viewer must not disturb the others."""
    address = page[0].replace("http", "ws") + "ws"
    with connect(address) as good, connect(address) as bad:
        bad.send("nonsense")
        with pytest.raises(ConnectionClosed):
            any(bad.recv(10) is None for _ in range(100))
        assert good.recv(10)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8600", "127.0.0.1.evil.example", "", "192.168.1.9"])
def test_foreign_host_is_refused(client: TestClient, host: str) -> None:
    """A web site whose name was rebound to 127.0.0.1 must not read the city."""
    answer = client.get("/api/status", headers={"host": host})
    assert answer.status_code == 403
    assert "streams" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8600", "127.0.0.1:8600", "[::1]:8600", "LOCALHOST"])
def test_own_names_are_accepted(client: TestClient, host: str) -> None:
    """All names of this machine's loopback work."""
    assert client.get("/healthz", headers={"host": host}).status_code == 200


def test_foreign_origin_is_refused(client: TestClient) -> None:
    """A foreign site's script must not open the socket or ask the API."""
    foreign = {**HERE, "origin": "http://evil.example"}
    assert client.get("/api/status", headers=foreign).status_code == 403
    assert client.get("/api/status", headers={**HERE, "sec-fetch-site": "cross-site"}).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws", headers=foreign):
        pass
    assert client.get("/api/status", headers={**HERE, "origin": "http://127.0.0.1:8600"}).status_code == 200


def test_page_carries_a_strict_policy(client: TestClient) -> None:
    """Nothing inline and nothing from elsewhere runs on the page."""
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-cache"
    assert "immutable" in client.get("/assets/a.js").headers["cache-control"]


def test_basemap_is_served_in_ranges(client: TestClient) -> None:
    """The map reads a few kilobytes of the file, not all of it for each tile."""
    answer = client.get("/basemap/gb.pmtiles", headers={"range": "bytes=0-6"})
    assert (answer.status_code, answer.content) == (206, b"PMTiles")


def test_unbuilt_page_says_what_to_do(tmp_path: Path) -> None:
    """A clone without the built page answers with the command, not with a blank."""
    city = MadeUpCity(vehicles=1)
    app = create_app(Settings(), contracts=CONTRACTS, status=city, static=tmp_path)
    with TestClient(app, base_url="http://127.0.0.1:8600") as client:
        answer = client.get("/")
    assert answer.status_code == 503
    assert "tools/build_page.py" in answer.text


def test_taken_port_says_what_to_do() -> None:
    """A second page on the port ends with one clear message."""
    first = listen(Settings(page=PageConfig(port=_free())))
    first.listen()
    with pytest.raises(PortTaken, match="WATLING_PAGE__PORT"):
        listen(Settings(page=PageConfig(port=first.getsockname()[1])))
    first.close()


def _free() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
