"""The live page in a real browser, over a made-up city."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.conftest import free_port
from tests.e2e.made_up_city import CONTRACTS, MadeUpCity, served
from watling.dashboard.app import STATIC

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: tools/build_page.py"),
]
City = tuple[str, MadeUpCity]
WAIT_MS = 20_000


def tile(page: Page, stream: str) -> Any:
    return page.locator(f"article[data-stream={stream}]")


def canvas(page: Page) -> bytes:
    return page.locator(".maplibregl-canvas").screenshot()


def test_tiles_show_what_the_server_says(city: City, open_page: Any) -> None:
    """If a tile shows another number than the server has, nobody can trust the page."""
    page = open_page(city[0])
    expect(page.locator("article[data-stream]")).to_have_count(len(CONTRACTS), timeout=WAIT_MS)
    for stream in CONTRACTS:
        expect(tile(page, stream)).to_have_attribute("data-state", re.compile("live|quiet|empty"), timeout=WAIT_MS)
    shown = int(tile(page, "vehicle").locator("[data-value=landed]").inner_text().replace(",", ""))
    true = httpx.get(city[0] + "api/status").json()["streams"]["vehicle"]["landed"]
    assert 0 <= true - shown <= 240 * 5  # a few seconds of this city
    expect(tile(page, "vehicle").locator("[data-value=lag]")).to_have_text("12")


def test_numbers_move_without_reload(city: City, open_page: Any) -> None:
    """Live means that the totals grow while one looks."""
    page = open_page(city[0])
    total = tile(page, "vehicle").locator("[data-value=landed]")
    before = total.inner_text(timeout=WAIT_MS)
    expect(total).not_to_have_text(before, timeout=WAIT_MS)


def test_vehicles_move_on_the_map(city: City, open_page: Any) -> None:
    """The map draws the vehicles, and between two looks they have moved."""
    page = open_page(city[0])
    expect(page.locator(".maplibregl-canvas")).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(4000)
    first = canvas(page)
    page.wait_for_timeout(1500)
    assert canvas(page) != first


def test_fleet_list_is_the_maps_table(city: City, open_page: Any) -> None:
    """Who cannot see the map finds each vehicle with speed and heading in the list."""
    page = open_page(city[0])
    expect(page.locator("#panel tbody tr")).to_have_count(120, timeout=WAIT_MS)
    page.get_by_role("searchbox").fill("wat-00007")
    expect(page.locator("#panel tbody tr")).to_have_count(1)
    expect(page.locator("#panel tbody tr td").nth(1)).to_have_text(re.compile(r"^\d+$"))


def test_vehicle_card_by_keyboard(city: City, open_page: Any) -> None:
    """Without a mouse: open a vehicle's card from the list, read its last record, close it by Escape."""
    page = open_page(city[0])
    first = page.locator("#panel tbody button").first
    first.wait_for(timeout=WAIT_MS)
    first.focus()
    page.keyboard.press("Enter")
    card = page.get_by_role("article", name=re.compile("Vehicle WAT-"))
    expect(card).to_contain_text(re.compile(r"(vehicle|gps)_data · partition 0 · offset \d+"), timeout=WAIT_MS)
    expect(card).to_contain_text("km/h")
    page.keyboard.press("Escape")
    expect(card).to_have_count(0)


def test_tabs_by_arrow_keys(city: City, open_page: Any) -> None:
    """The tabs answer to the arrow keys, and the quarantine names reasons with samples."""
    page = open_page(city[0])
    page.get_by_role("tab", name="Fleet").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Quarantine")).to_have_attribute("aria-selected", "true")
    panel = page.locator("#panel")
    expect(panel).to_contain_text("Out of range", timeout=WAIT_MS)
    expect(panel).to_contain_text("speed 512 is above 400 km/h")
    expect(panel).to_contain_text("no bytes")


def test_zone_switch_changes_the_times(city: City, open_page: Any) -> None:
    """UTC or London is always shown and one click away, and is remembered."""
    page = open_page(city[0])
    page.get_by_role("button", name="London").click()
    expect(page.get_by_role("button", name="London")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_role("button", name="London")).to_have_attribute("aria-pressed", "true")


def test_lost_server_blanks_nothing_and_comes_back(open_page: Any) -> None:
    """A restart of the server: the numbers stay with their age, the tiles say disconnected, then all is live again."""
    port = free_port()
    with served(MadeUpCity(vehicles=30, hz=4), port) as (address, _):
        page = open_page(address, noise=("Failed to load resource: net::ERR_",))  # refused, reset or not connected
        expect(page.locator("#panel tbody tr")).to_have_count(30, timeout=WAIT_MS)
        expect(tile(page, "vehicle")).to_have_attribute("data-state", "live", timeout=WAIT_MS)
        expect(page.locator("[data-draw-ms]")).to_be_visible(timeout=WAIT_MS)  # the map's own parts are loaded too
    expect(tile(page, "vehicle")).to_have_attribute("data-state", "disconnected", timeout=WAIT_MS)
    expect(page.get_by_test_id("lost")).to_contain_text("Connection lost")
    expect(tile(page, "vehicle").locator("[data-value=landed]")).to_have_text(re.compile(r"^[\d,]+$"))
    expect(page.locator("#panel tbody tr")).to_have_count(30)
    with served(MadeUpCity(vehicles=30, hz=4), port):
        expect(tile(page, "vehicle")).to_have_attribute("data-state", "live", timeout=WAIT_MS)
        expect(page.get_by_test_id("lost")).to_have_count(0)
        expect(page.locator("#panel tbody tr")).to_have_count(30)


class Troubled(MadeUpCity):
    """Streams in each of the states that a tile can have."""

    def read(self) -> dict[str, Any]:
        status = super().read()
        status["streams"]["gps"]["lag_seconds"] = 42.0
        status["streams"]["traffic"]["error"] = "the topic traffic_data was deleted: make it again"
        status["streams"]["weather"].update(landed=0, quarantined=0)
        return status

    def _give(self, hot: Any, stream: str, rows: list[dict[str, Any]]) -> None:
        if stream != "weather":
            super()._give(hot, stream, rows)


def test_each_state_looks_and_reads_different(open_page: Any) -> None:
    """Delayed, failed and empty are told apart by word, mark and reason, not by colour alone."""
    with served(Troubled(vehicles=10, hz=4)) as (address, _):
        page = open_page(address)
        for stream, state, reason in (
            ("gps", "delayed", "records wait 42 s"),
            ("traffic", "failed", "was deleted"),
            ("weather", "empty", "no record has arrived"),
            ("vehicle", "live", "as of"),
        ):
            expect(tile(page, stream)).to_have_attribute("data-state", state, timeout=WAIT_MS)
            expect(tile(page, stream)).to_contain_text(reason)
            expect(tile(page, stream).locator("svg[data-state]")).to_have_attribute("data-state", state)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dark", {"color_scheme": "dark"}),
        ("light", {"color_scheme": "light"}),
        ("phone", {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}),
    ],
)
def test_views_fit(city: City, open_page: Any, tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    """Nothing is cut off sideways, in any of the views; the pictures are kept for people to look at."""
    page = open_page(city[0], **options)
    expect(page.locator("#panel tbody tr")).to_have_count(120, timeout=WAIT_MS)
    page.wait_for_timeout(1500)
    page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0
    assert page.locator("html").get_attribute("data-theme") == ("light" if name == "light" else "dark")
