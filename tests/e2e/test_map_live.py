"""The map in a real browser: silent and overlapping vehicles, areas, colours and cells, by mouse and by keyboard."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlparse

import h3
import pytest
from playwright.sync_api import Page, Response, expect

from tests.e2e.made_up_city import MadeUpCity, served, shaped
from tests.integration.dashboard.varied_lake import MINUTE_MS, START_MS, VariedLake
from watling.dashboard import HotState
from watling.dashboard.app import STATIC

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: tools/build_page.py"),
]
WAIT_MS = 20_000
STACK = (52.10, -0.60)  # eight vehicles stand here
SILENT_MS = 200_000


class Parked(MadeUpCity):
    """Eight vehicles on one spot, heard now, and three in a row that were heard minutes ago."""

    began_ms = int(time.time() * 1000)

    def step(self, hot: HotState, tick: int) -> None:
        lat, lon = STACK
        place = {"latitude": lat, "longitude": lon, "speed_kmh": 0.0}
        rows = [{"id": f"{i}-{tick}", "vehicle_id": f"PARK-{i}", "vehicle_type": "Bus", **place} for i in range(8)]
        self._give(hot, "vehicle", rows)
        if tick == 0:
            at = self.began_ms - SILENT_MS
            lost = [
                {"id": f"s{i}", "vehicle_id": f"LOST-{i}", "latitude": 51.9, "longitude": -1.0 - i / 10, "speed_kmh": 90.0,
                 "heading_deg": 90.0, "event_ms": at - i * 60_000, "_ingested_ms": at - i * 60_000} for i in range(3)
            ]  # fmt: skip
            hot.apply("vehicle", shaped("vehicle", lost, offset=1_000_000))


@pytest.fixture(scope="module")
def parked() -> Iterator[str]:
    with served(Parked(hz=2)) as (address, _):
        yield address


def map_box(page: Page) -> dict[str, float]:
    canvas = page.locator(".maplibregl-canvas")
    expect(canvas).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(1500)
    box = canvas.bounding_box()
    assert box is not None
    return dict(box)


def test_silent_vehicles_are_listed_and_do_not_drive_on(parked: str, open_page: Any) -> None:
    """A vehicle that is heard no more must not glide on over the map as if it were."""
    page = open_page(parked)
    silent = page.get_by_test_id("silent")
    expect(silent.locator("summary")).to_have_text("Silent: 3", timeout=WAIT_MS)
    silent.locator("summary").click()
    rows = silent.locator("li")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("LOST-2")  # the longest silent first
    rows.first.locator("button").click()
    card = page.get_by_role("article", name="Vehicle LOST-2")
    expect(card).to_contain_text("51.9000, -1.2000", timeout=WAIT_MS)
    page.wait_for_timeout(1500)
    expect(card).to_contain_text("51.9000, -1.2000")


def test_a_click_on_overlapping_vehicles_lists_them(parked: str, open_page: Any) -> None:
    """Eight buses at one stop: each of them can be reached."""
    page = open_page(parked)
    box = map_box(page)
    page.get_by_role("button", name="PARK-0").first.click()  # the map brings it into the middle
    page.wait_for_timeout(2500)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    stack = page.locator("article .stack")
    expect(stack).to_contain_text("8 vehicles here", timeout=WAIT_MS)
    stack.get_by_role("button", name="PARK-5").click()
    expect(page.get_by_role("article", name="Vehicle PARK-5")).to_be_visible(timeout=WAIT_MS)


def test_an_area_is_drawn_typed_and_cleared(parked: str, open_page: Any) -> None:
    """The area can be set by mouse and without one, and drawing it does not move the map."""
    page = open_page(parked)
    box = map_box(page)
    tools = page.get_by_role("group", name="Map tools")
    clear = tools.get_by_role("button", name="Clear area")
    left, top = box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.4
    page.mouse.move(left, top)
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(left + 150, top + 90, steps=5)
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(clear).to_be_visible(timeout=WAIT_MS)
    tools.get_by_role("button", name="Area in degrees").click()
    form = tools.get_by_role("form", name="Area in degrees")
    drawn = [float(form.locator("input").nth(i).input_value()) for i in range(4)]
    assert drawn[0] < drawn[2]
    assert drawn[1] < drawn[3]
    clear.click()
    tools.get_by_role("button", name="Area", exact=True).click()
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 150, top + 90, steps=5)
    page.mouse.up()
    expect(clear).to_be_visible(timeout=WAIT_MS)
    again = [float(form.locator("input").nth(i).input_value()) for i in range(4)]
    assert again == pytest.approx(drawn, abs=1e-3)  # the same rectangle: the map did not move
    form.locator("input").nth(0).fill("9")
    form.get_by_role("button", name="Apply").click()
    expect(form.get_by_role("alert")).to_contain_text("West must be less than east")
    form.get_by_role("button", name="Use this view").click()
    assert float(form.locator("input").nth(0).input_value()) < drawn[0]


def cells_of_the_hour(resolution: int) -> dict[str, list[float]]:
    """Each H3 cell of the lake's gps rows of the hour, and the speeds there, by h3 itself."""
    found: dict[str, list[float]] = {}
    for i in range(240):
        row = VariedLake.row(None, "gps", i)  # type: ignore[arg-type] - it needs nothing of the lake
        cell = h3.cell_to_parent(row["h3"], resolution)
        found.setdefault(cell, []).append(row["speed_kmh"])
    return found


def test_cells_are_those_of_the_lake_at_the_zooms_resolution(whole_page: str, open_page: Any) -> None:
    """The heat map shows the lake's rows of the range, finer as one zooms in, and a click on a cell filters by it."""
    hour = f"from={START_MS}&to={START_MS + 60 * MINUTE_MS}"
    latitude, longitude = 51.7, -0.4  # a row's place
    page = open_page(f"{whole_page}?{hour}&map={latitude},{longitude},8")
    box = map_box(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tools = page.get_by_role("group", name="Map tools")
    legend = page.get_by_test_id("cells")

    def resolution_of(answer: Response) -> int:
        return int(parse_qs(urlparse(answer.url).query)["resolution"][0])

    with page.expect_response(re.compile(r"/api/cells\?.*measure=count"), timeout=WAIT_MS) as first:
        tools.get_by_role("button", name="Density").click()
    coarse = resolution_of(first.value)
    expected = cells_of_the_hour(coarse)
    expect(legend).to_contain_text(f"{len(expected)} cells", timeout=WAIT_MS)
    assert {cell: count for cell, count, _ in first.value.json()["cells"]} == {c: len(v) for c, v in expected.items()}
    tools.get_by_role("button", name="Mean speed").click()
    expect(legend).to_contain_text("Mean speed in a cell", timeout=WAIT_MS)
    page.mouse.move(x, y)
    with page.expect_response(
        lambda r: "/api/cells" in r.url and resolution_of(r) > coarse and r.status == 200, timeout=WAIT_MS
    ) as finer:
        for _ in range(4):
            page.mouse.wheel(0, -300)
            page.wait_for_timeout(300)
    fine = resolution_of(finer.value)
    expect(legend).to_contain_text(f"{len(cells_of_the_hour(fine))} cells", timeout=WAIT_MS)


def test_colour_by_type_changes_the_legend_and_the_map(parked: str, open_page: Any) -> None:
    """Types are told apart by shape too, and the legend says which is which."""
    page = open_page(parked)
    map_box(page)
    by_speed = page.locator(".maplibregl-canvas").screenshot()
    tools = page.get_by_role("group", name="Map tools")
    tools.get_by_role("button", name="Type").click()
    expect(tools).to_contain_text("motorcycle")
    page.wait_for_timeout(800)
    assert page.locator(".maplibregl-canvas").screenshot() != by_speed


def test_on_the_phone_the_legend_is_folded_and_opens_by_a_button(parked: str, open_page: Any, tmp_path: Any) -> None:
    """On a phone the map is small: what explains it must not lie on it until it is asked for."""
    page = open_page(parked, viewport={"width": 390, "height": 844})
    expect(page.locator(".maplibregl-canvas")).to_be_visible(timeout=WAIT_MS)
    button = page.get_by_role("button", name="Legend and tools")
    marks = page.get_by_text("silent", exact=False).first
    area = page.get_by_role("button", name="Area", exact=True)
    expect(button).to_have_attribute("aria-expanded", "false")
    expect(area).to_be_hidden()
    place = button.bounding_box()
    assert place is not None
    assert place["height"] >= 44
    page.screenshot(path=tmp_path / "folded.png")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    expect(area).to_be_visible()
    expect(marks).to_be_visible()
    page.screenshot(path=tmp_path / "open.png")
    area.focus()
    page.keyboard.press("Escape")
    expect(area).to_be_hidden()
    button.click()
    area.click()  # to draw on the map, which must be free for it
    expect(area).to_be_hidden()
    page.set_viewport_size({"width": 1440, "height": 900})
    expect(button).to_be_hidden()
    expect(page.get_by_role("group", name="Map tools").get_by_role("button", name="Density")).to_be_visible()
