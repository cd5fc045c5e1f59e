"""Vehicle, camera and incident cards in a browser over a real lake: their rows are the lake's, their way has no made-up lines."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.made_up_city import MadeUpCity
from tests.e2e.past_city import BEGINS_S, CAMERA, PICTURES, SECONDS, SILENCE, TRACKED, PastCity
from tests.e2e.recorded_city import RecordedCity
from tests.integration.dashboard.lake_page import served_app
from tests.integration.dashboard.varied_lake import MINUTE_MS, START_MS
from watling.dashboard.app import STATIC
from watling.dashboard.serve import address
from watling.query.sql import LakeSql, open_lake

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: tools/build_page.py"),
]
WAIT_MS = 20_000
END = START_MS + (BEGINS_S + SECONDS) * 1000
PAGE = 8  # pictures that are read at once


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, PastCity]]:
    past = PastCity(tmp_path_factory.mktemp("cards") / "home")
    with served_app(past.settings, past.app(MadeUpCity(vehicles=30, hz=2))):
        yield address(past.settings), past


@pytest.fixture
def sql(city: tuple[str, PastCity]) -> Iterator[LakeSql]:
    with closing(open_lake(city[1].settings, city[1].lake.catalog)) as found:
        yield found


def link(city: tuple[str, PastCity], kind: str, name: str, **more: Any) -> str:
    return f"{city[0]}?{urllib.parse.urlencode({'pick': f'{kind}:{name}', **more})}"


def pick_of(page: Page) -> str | None:
    said = urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).query).get("pick")
    return said[0] if said else None


def picks(page: Page, want: str | None) -> None:
    """Wait until the address names that pick."""
    for _ in range(100):
        if pick_of(page) == want:
            return
        page.wait_for_timeout(100)
    assert pick_of(page) == want


def middle(page: Page) -> tuple[float, float]:
    """The map's middle on the screen."""
    canvas = page.locator(".maplibregl-canvas")
    expect(canvas).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(2000)
    box = canvas.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def table_rows(table: Locator) -> list[list[str]]:
    rows = table.evaluate(
        "t => [...t.querySelectorAll('tbody tr')].map(r => [...r.querySelectorAll('td')].map(c => c.innerText))"
    )
    assert isinstance(rows, list)
    return rows


def test_a_vehicles_way_has_no_lines_across_gaps(city: tuple[str, PastCity], open_page: Any) -> None:
    """A line over a silence or a jump would show a way that nobody drove."""
    page = open_page(link(city, "vehicle", TRACKED, at=END))
    card = page.get_by_role("article", name=f"Vehicle {TRACKED}")
    points = SECONDS - len(SILENCE)
    expect(card.locator('[data-value="trail"]')).to_have_text(
        f"{points} points in 3 parts, nothing drawn between", timeout=WAIT_MS
    )
    expect(card).to_contain_text("As it was at")
    expect(card).to_contain_text("Ford")  # a fact of the landed row
    page.goto(link(city, "vehicle", TRACKED, at=END - 7 * MINUTE_MS - 1000))  # before the silence and the jump
    expect(card.locator('[data-value="trail"]')).to_have_text("180 points", timeout=WAIT_MS)


def test_a_vehicles_speeds_and_events_are_the_lakes(city: tuple[str, PastCity], sql: LakeSql, open_page: Any) -> None:
    """The chart, its table and the last events are the vehicle's rows; each leads to its record in Kafka."""
    page = open_page(link(city, "vehicle", TRACKED, at=END))
    card = page.get_by_role("article", name=f"Vehicle {TRACKED}")
    card.get_by_label("How far back").select_option("last 5 min")
    chart = card.get_by_role("img", name=re.compile("Speed of .* over 5 minutes"))
    expect(chart).to_be_visible(timeout=WAIT_MS)
    rows = sql.execute(
        f"""SELECT epoch_ms(event_time) AS ms, speed_kmh AS kmh, _kafka_offset AS o FROM vehicle
            WHERE vehicle_id = '{TRACKED}' AND epoch_ms(event_time) >= {END - 5 * MINUTE_MS} ORDER BY event_time"""
    ).rows.to_pylist()
    card.get_by_role("button", name=re.compile("^Show Speed of .* as a table")).click()
    twin = card.get_by_role("group", name=re.compile("Speed of"))
    speeds = [float(r[1]) for r in table_rows(twin)]
    assert speeds == [r["kmh"] for r in rows[:100]]  # the first page of the table
    newest = rows[-1]
    button = card.get_by_title(f"Record of vehicle_data, partition 0, offset {newest['o']}", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    record = page.get_by_test_id("record")
    expect(record).to_contain_text("vehicle_data", timeout=WAIT_MS)
    raw = json.loads(record.locator("pre").inner_text(timeout=WAIT_MS))
    assert raw == {"topic": "vehicle_data", "partition": 0, "offset": newest["o"], "speed": 81}
    record.get_by_text("As it landed").click()
    expect(record.locator("table")).to_contain_text(f"vehicle-{newest['o']}")
    page.keyboard.press("Escape")
    expect(card).to_have_count(0)
    picks(page, None)


def test_a_live_vehicle_is_followed(city: tuple[str, PastCity], open_page: Any) -> None:
    """Follow keeps the vehicle in the middle of the map until the viewer moves it; its way grows from what was heard."""
    page = open_page(f"{city[0]}?map=52.0,-1.0,12")
    page.locator("#panel").get_by_role("button", name="WAT-00003", exact=True).click(timeout=WAIT_MS)
    card = page.get_by_role("article", name="Vehicle WAT-00003")
    expect(card).to_contain_text(re.compile(r"(vehicle|gps)_data · partition 0 · offset \d+"), timeout=WAIT_MS)
    expect(card).to_contain_text("Not in the lake yet", timeout=WAIT_MS)  # this city lands nothing
    follow = card.get_by_role("button", name="Follow", exact=True)
    follow.click()
    before = page.url
    for _ in range(100):  # the map moves with it, and the address with the map
        if page.url != before:
            break
        page.wait_for_timeout(100)
    assert page.url != before
    stop = card.get_by_role("button", name="Stop following")
    expect(stop).to_have_attribute("aria-pressed", "true")
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 80, y, steps=5)
    page.mouse.up()
    expect(card.get_by_role("button", name="Follow", exact=True)).to_have_attribute("aria-pressed", "false")


def test_a_cameras_pictures_newest_first_and_older_on_demand(city: tuple[str, PastCity], open_page: Any) -> None:
    """Who looks at a camera sees its newest picture, and any older one with its time."""
    page = open_page(link(city, "camera", CAMERA))
    card = page.get_by_role("article", name=f"Camera {CAMERA}")
    thumbs = card.locator("li button")
    expect(thumbs).to_have_count(PAGE, timeout=WAIT_MS)
    large = card.locator("figure img")
    expect(large).to_have_attribute("alt", re.compile(r"12:30:00"))
    page.wait_for_timeout(300)
    assert large.evaluate("i => i.naturalWidth") == 32
    expect(card.locator("dd").first).to_have_text("10")  # its cars
    card.get_by_role("button", name="Older pictures").click()
    expect(thumbs).to_have_count(PICTURES, timeout=WAIT_MS)
    expect(card).to_contain_text("There are no older pictures.")
    last = thumbs.last
    last.focus()
    page.keyboard.press("Enter")
    expect(last).to_have_attribute("aria-pressed", "true")
    expect(large).to_have_attribute("alt", re.compile(r"12:20:00"))
    page.goto(link(city, "camera", CAMERA, at=START_MS + 22 * MINUTE_MS + 30_000))
    expect(thumbs).to_have_count(3, timeout=WAIT_MS)  # at that moment there were no others
    expect(large).to_have_attribute("alt", re.compile(r"12:22:00"))


def test_an_incidents_life_and_what_was_near(city: tuple[str, PastCity], sql: LakeSql, open_page: Any) -> None:
    """An incident's card tells how it went on, not how it ended before it did, and leads to what was near."""
    name = "i2"
    reports = sql.execute(
        f"SELECT epoch_ms(event_time) AS ms, status FROM emergency WHERE incident_id = '{name}' ORDER BY event_time"
    ).rows.to_pylist()
    page = open_page(link(city, "incident", name))
    card = page.get_by_role("article", name=f"Incident {name}")
    life = card.locator("table")
    expect(life.locator("tbody tr")).to_have_count(len(reports), timeout=WAIT_MS)
    assert [r[1] for r in table_rows(life)] == [r["status"] for r in reports]
    page.goto(link(city, "incident", name, at=reports[1]["ms"] + 500))
    expect(life.locator("tbody tr")).to_have_count(2, timeout=WAIT_MS)
    expect(card).to_contain_text("2 later reports are not shown")
    expect(card.locator("dd.big")).to_have_text(reports[1]["status"])
    near = card.locator("li button").first
    vehicle = near.inner_text()
    near.click()
    expect(page.get_by_role("article", name=f"Vehicle {vehicle}")).to_be_visible(timeout=WAIT_MS)
    picks(page, f"vehicle:{vehicle}")


def test_cameras_and_incidents_are_picked_on_the_map_and_in_the_lists(
    city: tuple[str, PastCity], sql: LakeSql, open_page: Any
) -> None:
    """A click on a sign on the map opens its card, and so does its name in the list; the address tells it to others."""
    at = START_MS + 31 * MINUTE_MS
    page = open_page(f"{city[0]}?at={at}&map=51.8,-0.6,12")
    expect(page.get_by_test_id("past")).to_contain_text("from the lake", timeout=WAIT_MS)
    page.mouse.click(*middle(page))
    expect(page.get_by_role("article", name=f"Camera {CAMERA}")).to_be_visible(timeout=WAIT_MS)
    picks(page, f"camera:{CAMERA}")
    place = sql.execute(
        f"""SELECT incident_id AS i, latitude, longitude FROM emergency WHERE epoch_ms(event_time) <= {at}
            QUALIFY row_number() OVER (PARTITION BY incident_id ORDER BY event_time DESC) = 1 ORDER BY latitude DESC"""
    ).rows.to_pylist()[0]
    page.goto(f"{city[0]}?at={at}&map={place['latitude']},{place['longitude']},13")
    expect(page.get_by_test_id("past")).to_contain_text("from the lake", timeout=WAIT_MS)
    page.mouse.click(*middle(page))
    expect(page.get_by_role("article", name=re.compile("^Incident "))).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("tab", name=re.compile("Incidents")).click()
    other = page.locator("#panel li button").first
    other.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name=re.compile("^Incident "))).to_be_visible()
    page.get_by_role("tab", name="Places").click()
    page.get_by_role("button", name=CAMERA, exact=True).click()
    expect(page.get_by_role("article", name=f"Camera {CAMERA}")).to_be_visible(timeout=WAIT_MS)
    picks(page, f"camera:{CAMERA}")
    page.go_back()
    page.go_forward()
    expect(page.get_by_role("article", name=f"Camera {CAMERA}")).to_be_visible(timeout=WAIT_MS)


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_a_recorded_trip_and_incident(recorded: RecordedCity, open_page: Any) -> None:
    """Real devices, from Kafka to the card: the trip's points, its speeds, a record's own bytes, a real incident's life."""
    with closing(open_lake(recorded.settings)) as sql:
        trip = sql.execute(
            """SELECT vehicle_id AS v, epoch_ms(max(event_time)) AS last, count(latitude) AS points, count(speed_kmh) AS speeds,
                      arg_max(_kafka_offset, event_time) AS o, arg_max(_kafka_partition, event_time) AS p
               FROM vehicle GROUP BY v ORDER BY points DESC LIMIT 1"""
        ).rows.to_pylist()[0]
        fire = sql.execute("SELECT incident_id AS i, count(*) AS n FROM emergency GROUP BY i ORDER BY i LIMIT 1").rows
        fire = fire.to_pylist()[0]
        ask = "SELECT count(*) AS n FROM gps WHERE vehicle_id = $v"
        gps = sql.execute(ask, parameters={"v": trip["v"]}).rows["n"][0].as_py()
    page = open_page(
        f"{recorded.address}?{urllib.parse.urlencode({'pick': 'vehicle:' + trip['v'], 'at': trip['last']})}"
    )
    card = page.get_by_role("article", name=f"Vehicle {trip['v']}")
    card.get_by_label("How far back").select_option("last 60 min")
    trail = card.locator('[data-value="trail"]')
    expect(trail).to_have_text(re.compile(f"^{trip['points'] + gps:,} points"), timeout=WAIT_MS)
    expect(page.get_by_test_id("past")).to_contain_text("1 vehicle from the lake", timeout=WAIT_MS)
    card.get_by_title(f"Record of vehicle_data, partition {trip['p']}, offset {trip['o']}", exact=True).click()
    raw = json.loads(page.get_by_test_id("record").locator("pre").inner_text(timeout=WAIT_MS))
    assert trip["v"] in json.dumps(raw)
    page.goto(f"{recorded.address}?{urllib.parse.urlencode({'pick': 'incident:' + fire['i']})}")
    card = page.get_by_role("article", name=f"Incident {fire['i']}")
    expect(card.locator("tbody tr").first).to_be_visible(timeout=WAIT_MS)
    told = [int((re.findall(r"×(\d+)", r[1]) or ["1"])[0]) for r in table_rows(card.locator("table"))]
    assert sum(told) == fire["n"]


@pytest.mark.parametrize("kind", ["vehicle", "camera", "incident"])
def test_what_is_not_there_is_said(city: tuple[str, PastCity], open_page: Any, kind: str) -> None:
    """A link to something that the lake does not hold gives a sentence, not an empty frame or an error."""
    page = open_page(link(city, kind, "nobody <b>", at=END), noise=("status of 404",))
    card = page.get_by_role("article", name=re.compile(re.escape("nobody <b>")))
    expect(card).to_contain_text(re.compile("holds no report|holds no picture|Not in the lake"), timeout=WAIT_MS)


@pytest.mark.parametrize(("theme", "width"), [("dark", 1440), ("light", 1440), ("dark", 390)])
def test_the_cards_fit(city: tuple[str, PastCity], open_page: Any, tmp_path: Path, theme: str, width: int) -> None:
    """On no screen may a card stick out of the page."""
    page = open_page(
        link(city, "vehicle", TRACKED, at=END), color_scheme=theme, viewport={"width": width, "height": 900}
    )
    expect(page.get_by_role("img", name=re.compile("Speed of"))).to_be_visible(timeout=WAIT_MS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=tmp_path / f"card-{theme}-{width}.png")
