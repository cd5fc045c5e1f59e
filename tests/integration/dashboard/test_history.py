"""The page's past over a real lake: each number is what SQL says, nothing hostile gets through, limits hold."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h3
import httpx
import numpy as np
import pytest
import uvicorn
from fastapi.testclient import TestClient

from tests.conftest import free_port, wait_until
from tests.integration.dashboard.varied_lake import MINUTE_MS, NOON, START_MS, VariedLake
from watling.dashboard import create_app
from watling.dashboard.history.answers import bucket
from watling.dashboard.history.filter import Filter
from watling.dashboard.history.tiles import BUILTIN, TileFiles
from watling.dashboard.serve import config, listen
from watling.lake.objects import ObjectStore
from watling.query.formats import plain
from watling.query.sql import LakeSql, open_lake

pytestmark = pytest.mark.integration

HOUR = {"from": START_MS, "to": START_MS + 60 * MINUTE_MS}
SLOW = "SELECT count(*) AS n FROM range(10000000) a, range(10000000) b WHERE (a.range + b.range) % 7 = 3"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


class NoStatus:
    def read(self) -> dict[str, Any]:
        return {}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> VariedLake:
    return VariedLake(tmp_path_factory.mktemp("history") / "a home")


@pytest.fixture(scope="module")
def sql(lake: VariedLake) -> Iterator[LakeSql]:
    with closing(open_lake(lake.settings, lake.catalog)) as found:
        yield found


@pytest.fixture(scope="module")
def client(lake: VariedLake) -> Iterator[TestClient]:
    app = create_app(lake.settings, contracts=lake.contracts, status=NoStatus(), read_record=lambda *_: b'{"speed": 1}')
    with TestClient(app, base_url="http://127.0.0.1:8600") as client:
        yield client


FILTERS: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "hour": ({}, "TRUE", set()),
    "minutes": ({"from": START_MS + 90_000, "to": START_MS + 20 * MINUTE_MS + 500}, "TRUE", set()),
    "area": (
        {"area": "-0.4,51.55,-0.15,51.7"},
        "latitude BETWEEN 51.55 AND 51.7 AND longitude BETWEEN -0.4 AND -0.15",
        set(),
    ),
    "make": (
        {"where": ["make:BMW", "make:Kia", "route:A5"]},
        "make IN ('BMW', 'Kia') AND route = 'A5'",
        {"gps", "traffic", "weather", "emergency"},
    ),
    "vehicle": ({"where": ["vehicle_id:v3"]}, "vehicle_id = 'v3'", set()),
    "cell": ({"cell": h3.latlng_to_cell(51.5, -0.1, 5)}, "h3 IN ($cells)", set()),
    "two_days": ({"from": START_MS - 1000, "to": START_MS + 86_400_001}, "TRUE", set()),
}


@pytest.mark.parametrize("name", FILTERS)
def test_each_tile_says_what_sql_says(lake: VariedLake, sql: LakeSql, client: TestClient, name: str) -> None:
    """A number on the wall display is the number that `watling sql` gives for the same range and filter."""
    asked, condition, without = FILTERS[name]
    query = {**HOUR, **asked}
    if "$cells" in condition:
        fine = {h3.latlng_to_cell(51.5 + i * 0.01, -0.1 - i * 0.015, 9) for i in range(40)}
        inside = [c for c in fine if h3.cell_to_parent(c, 5) == asked["cell"]]
        assert 0 < len(inside) < len(fine)
        condition = f"h3 IN ({', '.join(repr(c) for c in inside)})"
    during = f"epoch_ms(event_time) >= {query['from']} AND epoch_ms(event_time) < {query['to']}"
    width = bucket(Filter(query["from"], query["to"])).total_seconds()
    for tile in TileFiles(BUILTIN.with_name("none"), lake.contracts).read().tiles.values():
        answer = client.get(f"/api/tiles/{tile.id}", params=query).json()
        streams = [s for s in tile.reads(tuple(lake.contracts)) if s not in without]
        assert answer["applies"] == bool(streams), tile.id
        expected: list[list[Any]] = []
        seen = late = 0
        views = ", ".join(
            f"{s} AS (SELECT * FROM main.{s} WHERE {during} AND {condition if s not in without else 'FALSE'})"
            for s in tile.reads(tuple(lake.contracts))
        )
        text = tile.sql.replace("$bucket", f"INTERVAL '{width} seconds'")
        for stream in streams if tile.each else streams[:1]:
            mine = text.replace("$stream", f"'{stream}'").replace("FROM entry", f"FROM {stream}")
            rows = sql.execute(f"WITH {views} FROM ({mine})").rows
            expected += [[said(v) for v in row.values()] for row in rows.to_pylist()]
        for stream in streams:
            ((count, behind),) = (
                sql.execute(
                    f"WITH {views} SELECT count(*) AS n, count(*) FILTER (_ingested_at > event_time + INTERVAL '60 seconds') AS l FROM {stream}"
                )
                .rows.to_pylist()[0]
                .values(),
            )
            seen, late = seen + count, late + behind
        assert answer["rows"] == [[pytest.approx(v) if isinstance(v, float) else v for v in r] for r in expected], (
            tile.id
        )
        assert answer["rows_seen"] == seen
        assert answer["late"] == (late if streams else None)


def said(value: Any) -> Any:
    return int(value.timestamp() * 1000) if hasattr(value, "timestamp") else plain(value)


def test_numbers_counted_by_hand(client: TestClient) -> None:
    """The comparison with SQL would not notice a filter that is wrong in both."""

    def rows(tile: str, **more: Any) -> list[list[Any]]:
        return list(client.get(f"/api/tiles/{tile}", params={**HOUR, **more}).json()["rows"])

    assert rows("entries") == [[828, 400, 240, 60, 80, 48]]
    assert sorted(rows("by_make")) == [["BMW", 100], ["Kia", 100], ["Tesla", 100]]
    assert rows("incidents") == [[12, 12]]  # the last reports say Active: none has ended
    assert rows("incidents", to=START_MS + 9_000 * 36) == [[12, 4]]  # eight were resolved by then
    assert rows("entries_by_stream", where="make:Kia") == [["vehicle", 100]]
    answer = client.get("/api/tiles/vehicles_seen", params=HOUR).json()
    assert answer["as_of_ms"] == START_MS + 9_000 * 399
    assert answer["late"] == len(range(0, 400, 13))
    assert answer["committed_ms"] > START_MS


def test_extent_is_that_of_the_rows(client: TestClient) -> None:
    """The time machine's scale begins and ends where there are rows."""
    extent = client.get("/api/extent").json()
    assert extent["vehicle"] == {"first_ms": START_MS, "last_ms": START_MS + 86_400_000, "rows": 401}
    assert extent["weather"] == {"first_ms": START_MS, "last_ms": START_MS + 9_000 * 79, "rows": 80}


@pytest.mark.parametrize("resolution", [3, 6, 8, 9, 10])
def test_cells_are_those_of_h3(lake: VariedLake, client: TestClient, resolution: int) -> None:
    """A cell on the heat map has exactly the rows that H3 puts there."""
    answer = client.get("/api/cells", params={**HOUR, "stream": "gps", "resolution": resolution}).json()
    assert answer["resolution"] == min(resolution, 9)
    want: dict[str, list[float | None]] = {}
    for i in range(240):
        row = lake.row("gps", i)
        want.setdefault(h3.cell_to_parent(row["h3"], answer["resolution"]), []).append(row["speed_kmh"])
    got = {cell: (count, speed) for cell, count, speed in answer["cells"]}
    assert got.keys() == want.keys()
    for cell, speeds in want.items():
        known = [s for s in speeds if s is not None]
        assert got[cell][0] == len(speeds)
        assert got[cell][1] == (pytest.approx(sum(known) / len(known), abs=0.01) if known else None)


def decoded(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    (length,) = struct.unpack("<I", body[4:8])
    header = json.loads(body[8 : 8 + length])
    kinds = {"u32": "<u4", "i32": "<i4", "u16": "<u2"}
    return header, {n: np.frombuffer(body, kinds[k], header["count"], o) for n, k, o in header["columns"]}


@pytest.mark.parametrize("second", [0, 1, 299, 1800, 3590])
def test_a_frame_is_the_city_of_that_moment(lake: VariedLake, client: TestClient, second: int) -> None:
    """Scrubbing shows each vehicle where its last report before the moment put it, and none that was silent."""
    at = START_MS + second * 1000
    answer = client.get("/api/frame", params={"at": at, "seconds": 120})
    header, columns = decoded(answer.content)
    want: dict[str, dict[str, Any]] = {}
    for stream, count in (("vehicle", 400), ("gps", 240)):
        for row in (lake.row(stream, i) for i in range(count)):
            ms = int(row["event_time"].timestamp() * 1000)
            if at - 120_000 < ms <= at:
                known = want.get(row["vehicle_id"])
                if known is None or ms >= int(known["event_time"].timestamp() * 1000):
                    want[row["vehicle_id"]] = row
    names = {slot: vehicle for slot, vehicle, _ in header["names"]}
    assert {names[s] for s in columns["slot"].tolist()} == set(want)
    for i, slot in enumerate(columns["slot"].tolist()):
        row = want[names[slot]]
        assert columns["latitude"][i] == round(row["latitude"] * 1e6)
        assert columns["event"][i] == int(row["event_time"].timestamp())
        assert columns["silent"][i] == at - int(row["event_time"].timestamp() * 1000)


def test_a_vehicle_keeps_its_slot_while_playing(client: TestClient) -> None:
    """A vehicle must glide from frame to frame, not jump into another's place."""
    seen: dict[str, int] = {}
    for step in range(10):
        body = client.get("/api/frame", params={"at": START_MS + 600_000 + step * 7000, "seconds": 120}).content
        for slot, vehicle, _ in decoded(body)[0]["names"]:
            assert seen.setdefault(vehicle, slot) == slot


def test_new_rows_show_in_past_and_present(tmp_path: Path) -> None:
    """A kept answer must not hide what was committed since."""
    lake = VariedLake(tmp_path / "home")
    app = create_app(lake.settings, contracts=lake.contracts, status=NoStatus())
    with TestClient(app, base_url="http://127.0.0.1:8600") as client:
        assert client.get("/api/tiles/entries", params=HOUR).json()["rows"][0][1] == 400
        frame = {"at": START_MS + 3_500_000, "seconds": 10}
        before = decoded(client.get("/api/frame", params=frame).content)[0]["count"]
        fresh = {**lake.row("vehicle", 1001), "vehicle_id": "new", "event_time": NOON + timedelta(seconds=3499)}
        lake.put("vehicle", [fresh])
        time.sleep(0.6)  # what the lake holds is looked at twice a second
        assert client.get("/api/tiles/entries", params=HOUR).json()["rows"][0][1] == 401
        assert decoded(client.get("/api/frame", params=frame).content)[0]["count"] == before + 1
        lake.remove("vehicle", "vehicle_id == 'new'")
        time.sleep(0.6)
        assert client.get("/api/tiles/entries", params=HOUR).json()["rows"][0][1] == 400


@pytest.mark.parametrize("second", [0, 45, 400, 3599])
def test_places_are_those_of_that_moment(lake: VariedLake, client: TestClient, second: int) -> None:
    """In the past the map must not show an incident that was not yet reported, nor how it ended later."""
    at = START_MS + second * 1000
    got = client.get("/api/places", params={"at": at}).json()
    assert got["at"] == at
    for stream, key, count in (
        ("emergency", "incident_id", 48),
        ("traffic", "camera_id", 60),
        ("weather", "station", 80),
    ):
        want: dict[str, tuple[int, int, dict[str, Any]]] = {}
        for row in (lake.row(stream, i) for i in range(count)):
            ms = int(row["event_time"].timestamp() * 1000)
            if ms <= at and (row[key] not in want or ms >= want[row[key]][1]):
                want[row[key]] = (want.get(row[key], (ms,))[0], ms, row)
        assert {p["place"]: (p["first_ms"], p["event_ms"], p["id"]) for p in got["places"][stream]} == {
            name: (first, ms, row["id"]) for name, (first, ms, row) in want.items()
        }
        if stream == "emergency":
            assert {p["place"]: p["status"] for p in got["places"][stream]} == {
                n: r["status"] for n, (_, _, r) in want.items()
            }
    assert client.get("/api/places", params={"at": START_MS + 30 * 3_600_000}).json()["places"]["emergency"] == []


def test_the_cards(lake: VariedLake, client: TestClient) -> None:
    """Vehicle, camera and incident cards show the rows of theirs and no others'."""
    track = client.get("/api/vehicles/v3/history", params={**HOUR, "limit": 10}).json()
    assert track["cut"] is True
    times = track["columns"]["event_ms"]
    assert times == sorted(times)
    assert len(times) == 10
    assert times[-1] == START_MS + 9_000 * 383
    at = track["columns"]["offset"][-1]
    stream = track["columns"]["stream"][-1]
    found = client.get("/api/vehicles/v3/record", params={"stream": stream, "partition": 0, "offset": at}).json()
    assert found["row"]["id"] == f"{stream}-{at}"
    assert (found["raw"], found["raw_state"]) == ('{"speed": 1}', "kept")
    other = client.get("/api/vehicles/v4/record", params={"stream": stream, "partition": 0, "offset": at})
    assert other.status_code == 404
    got = client.get("/api/incidents/i2").json()
    assert [r["id"] for r in got["life"]] == [f"emergency-{i}" for i in (2, 14, 26, 38)]
    assert got["near"]["vehicles"]
    assert all(n["distance_m"] <= 2000 for kind in got["near"].values() for n in kind)
    assert "i2" not in [n["id"] for n in got["near"]["incidents"]]
    assert client.get("/api/incidents/nobody").status_code == 404


def test_pictures_and_nothing_else(lake: VariedLake, client: TestClient) -> None:
    """A camera's pictures show; an object that is no picture is never served, whatever its row says."""
    import hashlib

    import pyarrow as pa

    page = b"<script>alert(1)</script>"
    ObjectStore(lake.settings, lake.catalog).put(pa.chunked_array([pa.array([PNG, page], pa.large_binary())]))
    names = [hashlib.sha256(b).hexdigest() for b in (PNG, page)]
    for i, name in enumerate(names):
        row = {
            **lake.row("traffic", 2000 + i),
            "camera_id": "cam/1 b",
            "snapshot": f"sha256:{name}",
            "snapshot_type": "image/png",
        }
        lake.put("traffic", [row])
    time.sleep(0.6)
    pictures = client.get("/api/cameras/cam%2F1%20b/pictures", params={"before": HOUR["to"]}).json()["pictures"]
    assert [p["url"].rsplit("/", 1)[1] for p in pictures] == names[::-1]
    good = client.get(f"/api/pictures/traffic/{names[0]}")
    assert (good.status_code, good.headers["content-type"], good.content) == (200, "image/png", PNG)
    assert good.headers["x-content-type-options"] == "nosniff"
    assert client.get(f"/api/pictures/traffic/{names[1]}").status_code == 404
    assert client.get(f"/api/pictures/vehicle/{names[0]}").status_code == 404
    assert client.get("/api/pictures/traffic/..%2F..%2Fcatalog.db").status_code in (404, 422)


@pytest.mark.parametrize(
    "path",
    [
        "/api/tiles/entries?from=x",
        "/api/tiles/entries?from=9&to=3",
        "/api/tiles/entries?where=nonsense:1",
        "/api/tiles/entries?area=1,2,3,4,5",
        "/api/cells?stream=gps&resolution=11",
        "/api/cells?stream=emergency&measure=speed",
        "/api/cells?stream=gps&measure=drop",
        "/api/frame",
        "/api/frame?at=1&seconds=100000",
        "/api/places",
        "/api/places?at=-1",
        "/api/vehicles/v/history?limit=0",
        "/api/vehicles/v/record?stream=vehicle&partition=-1&offset=0",
        "/api/cameras/c/pictures?limit=100000",
        "/api/pictures/traffic/abc",
    ],
)
def test_what_does_not_fit_is_refused(client: TestClient, path: str) -> None:
    """A wrong link gives a sentence, never a traceback and never a scan of everything."""
    answer = client.get(path)
    assert answer.status_code == 422, answer.text
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize("value", ["'; DROP TABLE vehicle; --", "x' OR '1'='1", "$from_time", "\\", "%", "🚗"])
def test_hostile_values_match_nothing(client: TestClient, value: str) -> None:
    """A value is a value, whatever it looks like."""
    answer = client.get("/api/tiles/by_make", params={**HOUR, "where": f"make:{value}"})
    assert (answer.status_code, answer.json()["rows"]) == (200, [])
    track = client.get(f"/api/vehicles/{quote(value, safe='')}/history", params=HOUR)
    assert (track.status_code, track.json()["columns"]["event_ms"]) == (200, [])


def test_without_a_lake_it_says_so(tmp_path: Path) -> None:
    """A page opened before the first pipeline says that there is no lake, makes none, and recovers by itself."""
    from watling.config import load_settings
    from watling.contracts import builtin_contracts

    settings = load_settings(home=tmp_path / "home")
    app = create_app(settings, contracts=builtin_contracts(), status=NoStatus())
    with TestClient(app, base_url="http://127.0.0.1:8600") as client:
        for path in ("/api/tiles/entries", "/api/extent", "/api/frame?at=1", "/api/incidents/i"):
            answer = client.get(path)
            assert answer.status_code == 503
            assert "lake" in answer.json()["detail"]
        assert not (tmp_path / "home" / "lake").exists()
        VariedLake(tmp_path / "home")
        assert client.get("/api/tiles/entries", params=HOUR).json()["rows"][0][0] == 828


def test_a_slow_query_is_stopped_at_its_limit(tmp_path: Path) -> None:
    """A tile that asks too much must not hold the machine."""
    lake = VariedLake(tmp_path / "home", page={"query_timeout_s": 0.5})
    (lake.settings.home / "tiles.yaml").write_text(
        f"tiles: [{{id: slow, title: Slow, kind: kpi, streams: [vehicle], sql: '{SLOW}'}}]"
    )
    app = create_app(lake.settings, contracts=lake.contracts, status=NoStatus())
    with TestClient(app, base_url="http://127.0.0.1:8600") as client:
        begun = time.monotonic()
        answer = client.get("/api/tiles/slow")
        assert answer.status_code == 504
        assert "0.5 s" in answer.json()["detail"]
        assert time.monotonic() - begun < 10
        assert wait_until(lambda: client.get("/api/tiles/by_make", params=HOUR).status_code == 200, 20)


def test_a_query_is_stopped_when_its_viewer_leaves(tmp_path: Path) -> None:
    """Four viewers who close a page with slow tiles must not block it for the fifth."""
    lake = VariedLake(tmp_path / "home", page={"query_timeout_s": 60, "port": free_port()}, query={"timeout_s": 60})
    tiles = [f"{{id: s{i}, title: S, kind: kpi, streams: [vehicle], sql: '{SLOW} AND {i} = {i}'}}" for i in range(4)]
    (lake.settings.home / "tiles.yaml").write_text(f"tiles: [{', '.join(tiles)}]")
    app = create_app(lake.settings, contracts=lake.contracts, status=NoStatus())
    server = uvicorn.Server(config(app))
    bound = listen(lake.settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{lake.settings.page.port}"
    try:

        def leave(i: int) -> None:
            with pytest.raises(httpx.TimeoutException):
                httpx.get(f"{base}/api/tiles/s{i}", timeout=1.0)

        leaving = [threading.Thread(target=leave, args=(i,)) for i in range(4)]
        for one in leaving:
            one.start()
        for one in leaving:
            one.join()
        assert httpx.get(f"{base}/api/tiles/entries", params=HOUR, timeout=9).status_code == 200
    finally:
        server.should_exit = True
        thread.join(15)
        bound.close()
