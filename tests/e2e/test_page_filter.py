"""One filter for the whole page, in a real browser: every part follows it, and a link brings all of it back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, Position, expect

from tests.conftest import free_port, wait_until
from tests.e2e.made_up_city import MadeUpCity
from tests.e2e.tile_reader import WAIT_MS, box
from tests.integration.dashboard.lake_page import served_app
from tests.integration.dashboard.varied_lake import MINUTE_MS, START_MS, VariedLake
from watling.dashboard import create_app
from watling.dashboard.serve import address

pytestmark = pytest.mark.e2e
MANY_SLICES = """
tiles:
  - {id: by_vehicle, title: By vehicle, kind: pie, streams: [vehicle], by: vehicle_id, x: vehicle_id, order: -1,
     sql: "SELECT vehicle_id, count(*) AS entries FROM vehicle GROUP BY 1 ORDER BY 1"}
"""
HOUR = f"from={START_MS}&to={START_MS + 60 * MINUTE_MS}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page over a lake with an hour of each stream, and with a city that moves."""
    home = tmp_path_factory.mktemp("filter") / "home"
    own = tmp_path_factory.mktemp("tiles") / "tiles.yaml"
    own.write_text(MANY_SLICES)
    lake = VariedLake(home, page={"port": free_port(), "tiles": own}, broker={"port": free_port()})
    city = MadeUpCity(vehicles=60, hz=1)
    with served_app(lake.settings, create_app(lake.settings, contracts=lake.contracts, status=city, feeds=[city])):
        yield address(lake.settings)


def said(page: Page, *there: str, gone: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """The address, once the page has written it: with the parameters `there`, without those that are `gone`."""

    def read_() -> dict[str, list[str]]:
        page.wait_for_timeout(300)
        return parse_qs(urlsplit(page.url).query)

    assert wait_until(lambda: (q := read_()) is not None and all(n in q for n in there) and not set(gone) & set(q), 20)
    return read_()


def number(page: Page, tile: str, value: str) -> int:
    """A KPI's number, settled."""
    shown = box(page, tile).locator(f"[data-value={value}]")
    expect(shown).to_have_text(re.compile("^[0-9,]+$"), timeout=WAIT_MS)
    return int(shown.inner_text().replace(",", ""))


def chips(page: Page) -> list[str]:
    """What the filter bar says is chosen."""
    found = page.get_by_label("Filter", exact=True).get_by_role("listitem").all_inner_texts()
    return [" ".join(text.replace("✕", "").split()) for text in found]


def slice_of(page: Page, tile: str, *, first: bool) -> tuple[Locator, Position]:
    """A pie's canvas, and a place on it amid the ring of its first slice (which begins at the top and runs clockwise) or
    of its last (which ends there)."""
    canvas = box(page, tile).locator("canvas")
    expect(canvas).to_be_visible(timeout=WAIT_MS)
    size = canvas.bounding_box()
    assert size is not None
    radius = min(size["height"] / 2 - 6, size["width"] * 0.22)
    aside = radius * 0.54
    return canvas, {"x": radius + 6 + (aside if first else -aside), "y": size["height"] / 2 - aside}


def test_a_click_on_a_slice_filters_and_again_clears(site: str, open_page: Any) -> None:
    """Whoever asks «and the BMWs alone?» clicks the BMWs: every tile follows, and the same click takes it back."""
    page = open_page(f"{site}?{HOUR}")
    everything = number(page, "vehicles_seen", "reports")
    canvas, slice_at = slice_of(page, "by_make", first=True)
    canvas.click(position=slice_at)
    expect(page.get_by_label("Filter", exact=True).get_by_role("listitem")).to_have_count(1, timeout=WAIT_MS)
    (chosen,) = said(page, "where")["where"]
    assert chosen.startswith("make:")
    assert chips(page) == [f"make: {chosen[5:]}"]
    expect(box(page, "vehicles_seen").locator("[data-value=reports]")).to_have_text("100", timeout=WAIT_MS)
    expect(box(page, "by_weather")).to_have_attribute("data-state", "absent")
    others = box(page, "by_make").get_by_role("img")
    expect(others).to_have_attribute("aria-label", re.compile("BMW 100.*Kia 100.*Tesla 100"))  # another can be added
    canvas.click(position=slice_at)
    expect(page.get_by_label("Filter", exact=True).get_by_role("listitem")).to_have_count(0)
    said(page, gone=("where",))
    expect(box(page, "vehicles_seen").locator("[data-value=reports]")).to_have_text(str(everything), timeout=WAIT_MS)


def test_the_slice_of_all_others_opens_the_table_where_each_can_be_chosen(site: str, open_page: Any) -> None:
    """Twenty vehicles are eight slices: the last stands for thirteen, and nobody could pick one of those."""
    page = open_page(f"{site}?{HOUR}")
    canvas, slice_at = slice_of(page, "by_vehicle", first=False)
    canvas.click(position=slice_at)
    rows = box(page, "by_vehicle").locator("tbody tr")
    expect(rows).to_have_count(20, timeout=WAIT_MS)
    rows.last.get_by_role("button").click()
    assert said(page, "where")["where"] == [f"vehicle_id:{rows.last.get_by_role('button').inner_text()}"]


def test_a_bar_and_a_row_filter_by_the_keyboard_too(site: str, open_page: Any) -> None:
    """Nobody needs a mouse: the table twin of a chart and the rows of a table hold the same buttons."""
    page = open_page(f"{site}?{HOUR}")
    box(page, "entries_by_stream").get_by_role("button", name="Show Entries by stream as a table").click()
    weather = box(page, "entries_by_stream").get_by_role("button", name="weather")
    weather.focus()
    page.keyboard.press("Enter")
    assert said(page, "stream")["stream"] == ["weather"]
    expect(page.get_by_label("Filter", exact=True).get_by_label("Stream")).to_have_value("weather")
    expect(box(page, "entries").locator("[data-value=entries]")).to_have_text("80", timeout=WAIT_MS)
    expect(box(page, "mean_speed")).to_have_attribute("data-state", "absent")
    box(page, "entries_by_stream").get_by_role("button", name="weather").click()
    said(page, gone=("stream",))
    row = box(page, "vehicle_rows").get_by_role("button", name="v3", exact=True).first
    row.click()
    assert said(page, "where")["where"] == ["vehicle_id:v3"]
    expect(box(page, "vehicles_seen").locator("[data-value=reports]")).to_have_text("20", timeout=WAIT_MS)
    cells = box(page, "vehicle_rows").locator("tbody td:nth-child(2)")
    expect(cells).to_have_count(20, timeout=WAIT_MS)
    assert set(cells.all_inner_texts()) == {"v3"}
    page.get_by_role("button", name="Clear all").click()
    assert chips(page) == []


def test_a_link_reopens_the_same_view(site: str, open_page: Any) -> None:
    """«Look at this» over the phone: a colleague who opens the link sees the same time, area, values, map and numbers."""
    link = f"{site}?{HOUR}&area=-0.4,51.55,-0.15,51.7&where=make:BMW&where=make:Kia&map=51.6,-0.3,9.5&layer=density"
    first = open_page(link)
    assert chips(first) == ["Area -0.40, 51.55 to -0.15, 51.70", "make: BMW", "make: Kia"]
    there = first.get_by_role("group", name="Map tools")
    expect(there.get_by_role("button", name="Density")).to_have_attribute("aria-pressed", "true", timeout=WAIT_MS)
    expect(there).to_contain_text(re.compile("cells, .* records"), timeout=WAIT_MS)
    first.get_by_role("button", name="Remove make: Kia").click()
    expect(box(first, "vehicles_seen").locator("[data-value=reports]")).to_have_text(re.compile("^[0-9]+$"))
    first.wait_for_timeout(1000)
    before = number(first, "vehicles_seen", "reports")
    address_ = said(first)
    second = open_page(first.url)
    assert chips(second) == ["Area -0.40, 51.55 to -0.15, 51.70", "make: BMW"]
    assert number(second, "vehicles_seen", "reports") == before
    assert said(second) == address_
    assert address_["map"] == ["51.6,-0.3,9.5"]
    assert address_["layer"] == ["density"]


def test_a_range_that_has_ended_says_that_the_map_shows_now(site: str, open_page: Any) -> None:
    """Yesterday's numbers beside today's map would mislead: the page says so, and takes the map there on a click."""
    page = open_page(f"{site}?{HOUR}")
    note = page.locator("[data-note=now]")
    expect(note).to_be_visible(timeout=WAIT_MS)
    note.get_by_role("button").click()
    assert said(page, "at")["at"] == said(page)["to"]
    expect(note).to_have_count(0)


def test_views_change_without_a_load_and_back_goes_back(site: str, open_page: Any) -> None:
    """A view is a place in one page: the filter stays, nothing is loaded anew, and the browser's buttons work."""
    page = open_page(f"{site}?{HOUR}&where=make:BMW")
    box(page, "entries")
    page.evaluate("window.still = true")
    page.get_by_role("link", name="Explore").click()
    page.get_by_label("SQL", exact=True).fill("select 1")
    said(page, "sql")
    page.get_by_role("link", name="Operations").click()
    expect(page.get_by_role("link", name="Operations")).to_have_attribute("aria-current", "page")
    assert said(page) == {
        "view": ["operations"],
        **{k: v for k, v in said(page).items() if k in ("from", "to", "where")},
    }
    assert page.title().startswith("Operations")
    page.go_back()
    expect(page.get_by_label("SQL", exact=True)).to_have_value("select 1")
    page.go_back()
    expect(page.get_by_role("link", name="City")).to_have_attribute("aria-current", "page")
    assert chips(page) == ["make: BMW"]
    said(page, gone=("sql",))
    page.go_forward()
    expect(page.get_by_label("SQL", exact=True)).to_be_visible()
    assert page.evaluate("window.still") is True


def test_the_map_and_its_lists_follow(site: str, open_page: Any) -> None:
    """A vehicle that the filter leaves out must not stand on the map or in the list as if it were meant."""
    page = open_page(site)
    shown = page.locator("#panel").get_by_text(re.compile(r"^\d+ of \d+$"))
    expect(shown).to_have_text(re.compile("of 60"), timeout=WAIT_MS)
    kinds = page.locator("#panel tbody tr td:nth-child(2)").all_inner_texts()
    chosen = max(set(kinds), key=kinds.count)
    page.goto(f"{site}?where=vehicle_type:{chosen}")
    expect(page.locator("#panel")).to_contain_text(f"{kinds.count(chosen)} of 60 match the filter", timeout=WAIT_MS)
    assert set(page.locator("#panel tbody tr td:nth-child(2)").all_inner_texts()) == {chosen}
    page.goto(f"{site}?where=make:NoSuchMake")  # the lake is asked which vehicles those are: none
    expect(page.locator("#panel")).to_contain_text("0 of 60 match the filter", timeout=WAIT_MS)
    page.goto(f"{site}?stream=weather")
    expect(page.locator("#panel")).to_contain_text("0 of 60 match the filter", timeout=WAIT_MS)
    expect(page.locator("dl [data-value=heard]")).to_have_text("–")


def test_any_range_can_be_chosen(site: str, open_page: Any) -> None:
    """The night of the accident is a range between two times, in the zone that the page shows, and live is one click away."""
    page = open_page(site)
    bar = page.get_by_label("Filter", exact=True)
    bar.get_by_role("button", name="Last 1 hour").click()
    assert said(page, "last")["last"] == ["1h"]
    page.get_by_role("button", name="London").click()
    bar.get_by_role("button", name=re.compile("Custom")).click()
    bar.get_by_label("From").fill("2026-07-01T12:00")
    bar.get_by_label("To").fill("2026-07-01T11:00")
    bar.get_by_role("button", name="Show").click()
    expect(bar.get_by_role("alert")).to_contain_text("before the end")
    bar.get_by_label("To").fill("2026-07-01T13:30")
    page.keyboard.press("Enter")
    assert said(page, "from")["from"] == ["1782903600000"]  # 11:00 UTC
    assert said(page, "to")["to"] == ["1782909000000"]
    expect(box(page, "entries")).to_have_attribute("data-state", "empty")
    bar.get_by_role("button", name="Back to live").click()
    said(page, gone=("from",))
    bar.get_by_role("button", name=re.compile("Custom")).click()
    expect(bar.get_by_label("From")).to_be_focused()
    page.keyboard.press("Escape")
    expect(bar.get_by_label("From")).to_have_count(0)
    expect(bar.get_by_role("button", name=re.compile("Custom"))).to_be_focused()
