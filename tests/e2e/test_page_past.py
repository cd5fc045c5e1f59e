"""The time machine in a browser over a real lake: what it shows of a moment is what SQL says of it, by mouse and keys."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from tests.conftest import wait_until
from tests.e2e.made_up_city import MadeUpCity
from tests.e2e.past_city import PastCity
from tests.e2e.test_accessible import AXE, SETTLED_MS, faults
from tests.integration.dashboard.lake_page import served_app
from tests.integration.dashboard.varied_lake import MINUTE_MS, NOON, START_MS
from watling.dashboard.app import STATIC
from watling.dashboard.serve import address
from watling.query.sql import LakeSql, open_lake

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: tools/build_page.py"),
]
WAIT_MS = 20_000
AT = START_MS + 20 * MINUTE_MS
LIVE = 40  # vehicles that move now


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, PastCity]]:
    past = PastCity(tmp_path_factory.mktemp("past") / "home")
    with served_app(past.settings, past.app(MadeUpCity(vehicles=LIVE, hz=2))):
        yield address(past.settings), past


@pytest.fixture
def sql(city: tuple[str, PastCity]) -> Iterator[LakeSql]:
    with closing(open_lake(city[1].settings, city[1].lake.catalog)) as found:
        yield found


def at_of(page: Page) -> int | None:
    """The moment that the address names."""
    said = urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).query).get("at")
    return int(said[0]) if said else None


def listed(page: Page) -> set[str]:
    return set(page.locator("#panel tbody th button").all_inner_texts())


def lists(page: Page, want: set[str]) -> None:
    """Wait until the fleet list has those vehicles and no others."""
    expect(page.locator("#panel tbody tr")).to_have_count(len(want), timeout=WAIT_MS)
    assert listed(page) == want


def shown(page: Page, words: str) -> None:
    expect(page.get_by_test_id("past")).to_contain_text(words, timeout=WAIT_MS)


def there(sql: LakeSql, at: int, more: str = "TRUE") -> dict[str, float | None]:
    """Vehicles with a report in the two minutes before, and their last speed."""
    ask = f"""
        SELECT vehicle_id AS v, arg_max(coalesce(speed_kmh, -1), event_time) AS kmh FROM (
            SELECT vehicle_id, event_time, speed_kmh FROM vehicle WHERE {more}
            UNION ALL SELECT vehicle_id, event_time, speed_kmh FROM gps WHERE {more.replace("vehicle_type = 'Bus'", "FALSE")})
        WHERE epoch_ms(event_time) > {at - 120_000} AND epoch_ms(event_time) <= {at} GROUP BY v"""
    return {r["v"]: r["kmh"] for r in sql.execute(ask).rows.to_pylist()}


def test_a_moment_is_what_sql_says_of_it(city: tuple[str, PastCity], sql: LakeSql, open_page: Any) -> None:
    """Whoever asks what the city was like then must see those vehicles and incidents, and none of now."""
    page = open_page(f"{city[0]}?at={AT}")
    want = there(sql, AT)
    shown(page, f"{len(want)} vehicles from the lake")
    expect(page.get_by_test_id("past")).to_contain_text(re.compile(r"past: .*12:20:00, not live"))
    lists(page, set(want))
    assert 0 < len(want) < LIVE
    moving = [kmh for kmh in want.values() if kmh is not None and kmh >= 2]
    expect(page.locator('strong[data-value="heard"]')).to_have_text(re.compile(r"^\d+$"))
    assert int(page.locator('strong[data-value="heard"]').inner_text()) <= len(want)
    assert len(moving) > 0
    status = sql.execute(
        f"SELECT incident_id AS i, arg_max(status, event_time) AS s FROM emergency WHERE epoch_ms(event_time) <= {AT} GROUP BY i"
    ).rows.to_pylist()
    open_ones = [r["i"] for r in status if r["s"] != "Resolved"]
    expect(page.locator('strong[data-value="open"]')).to_have_text(str(len(open_ones)), timeout=WAIT_MS)
    page.get_by_role("tab", name=re.compile("Incidents")).click()
    panel = page.locator("#panel")
    for row in status:
        expect(panel.locator("li", has_text=re.compile(rf"\b{row['i']}\b"))).to_contain_text(row["s"])
    page.get_by_role("button", name="Back to live").last.click()
    expect(page.get_by_test_id("past")).to_have_count(0)
    page.get_by_role("tab", name=re.compile("Fleet")).click()
    expect(page.locator("#panel tbody tr")).to_have_count(LIVE, timeout=WAIT_MS)
    assert at_of(page) is None


def test_keys_step_play_and_come_back(city: tuple[str, PastCity], open_page: Any) -> None:
    """Without a mouse: a minute and ten back and forth, play and pause, back to live by one key."""
    page = open_page(f"{city[0]}?at={AT}")
    shown(page, "from the lake")
    for key, minutes in (("ArrowLeft", -1), ("ArrowRight", 0), ("Shift+ArrowLeft", -10), ("Shift+ArrowRight", 0)):
        page.keyboard.press(key)
        page.wait_for_url(re.compile(f"at={AT + minutes * MINUTE_MS}"), timeout=WAIT_MS)
    page.keyboard.press("Space")
    shown(page, "playing at 10×")
    assert wait_until(lambda: page.wait_for_timeout(100) or (at_of(page) or 0) > AT + 5000, 20)
    page.keyboard.press("Space")
    shown(page, "standing still")
    page.wait_for_timeout(600)
    stood = at_of(page)
    page.wait_for_timeout(1500)
    assert at_of(page) == stood
    page.keyboard.press("l")
    expect(page.get_by_test_id("past")).to_have_count(0)
    page.keyboard.press("ArrowLeft")  # from live into the past; the lake has nothing of that minute
    shown(page, "The lake reaches to")
    lists(page, set())
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("past")).to_have_count(0)


def test_keys_stay_with_the_field_that_has_the_focus(city: tuple[str, PastCity], open_page: Any) -> None:
    """Typing a vehicle's name must not send the page through time, and single keys can be switched off."""
    page = open_page(f"{city[0]}?at={AT}")
    shown(page, "from the lake")
    page.get_by_role("searchbox").focus()
    page.keyboard.type("l ?")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("searchbox")).to_have_value("l ?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("tab", name=re.compile("Fleet")).focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name=re.compile("Incidents"))).to_have_attribute("aria-selected", "true")
    page.wait_for_timeout(500)
    assert at_of(page) == AT
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    for _ in range(6):  # the focus stays in the window
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    dialog.get_by_role("checkbox").uncheck()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("tab", name=re.compile("Incidents"))).to_be_focused()
    page.keyboard.press("l")
    page.wait_for_timeout(500)
    assert at_of(page) == AT


def test_scrub_type_and_link(city: tuple[str, PastCity], open_page: Any) -> None:
    """The handle and the field go to any moment, in the zone that is shown; a link brings it all back."""
    page = open_page(f"{city[0]}?at={AT}")
    shown(page, "from the lake")
    page.get_by_label("Length of the bar").select_option("1 h")
    bar = page.get_by_role("slider", name="Moment on the bar")
    bar.fill(str(AT + 5 * MINUTE_MS))
    page.wait_for_url(re.compile(f"at={AT + 5 * MINUTE_MS}"), timeout=WAIT_MS)
    expect(bar).to_have_attribute("aria-valuetext", re.compile("past: .*12:25:00, not live"))
    field = page.get_by_label("Moment", exact=True)
    field.fill("2026-03-01T12:40:05")
    field.press("Enter")
    page.wait_for_url(re.compile(f"at={START_MS + 40 * MINUTE_MS + 5000}"), timeout=WAIT_MS)
    shown(page, "12:40:05")
    expect(page.locator("#panel tbody tr").first).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(500)
    here = listed(page)
    page.reload()
    shown(page, "12:40:05")
    shown(page, "from the lake")
    lists(page, here)


def test_a_filter_narrows_the_past_too(city: tuple[str, PastCity], sql: LakeSql, open_page: Any) -> None:
    """One filter for all: in the past it leaves out the same vehicles as live."""
    page = open_page(f"{city[0]}?at={AT}&where=vehicle_type:Bus")
    want = there(sql, AT, "vehicle_type = 'Bus'")
    shown(page, f"{len(want)} vehicles from the lake")
    lists(page, set(want))


def test_playing_asks_for_one_frame_at_a_time_and_ends_where_the_lake_ends(
    city: tuple[str, PastCity], open_page: Any
) -> None:
    """Sixty times as fast must not mean sixty requests at once; and after the last row comes no made-up time."""
    end = int((NOON + timedelta(days=1)).timestamp() * 1000)
    page = open_page(f"{city[0]}?at={end - 90_000}")
    shown(page, "not live")
    under_way: set[Request] = set()
    most = 0
    asked = 0

    def begun(request: Request) -> None:
        nonlocal most, asked
        if "/api/frame" in request.url:
            under_way.add(request)
            asked += 1
            most = max(most, len(under_way))

    page.on("request", begun)
    page.on("requestfinished", lambda r: under_way.discard(r))
    page.on("requestfailed", lambda r: under_way.discard(r))
    page.get_by_label("Speed", exact=True).select_option("60×")
    page.get_by_role("button", name="Play (Space)").click()
    shown(page, "The end of what the lake holds")
    shown(page, "standing still")
    page.wait_for_url(re.compile(f"at={end}(&|$)"), timeout=WAIT_MS)
    assert "speed=" not in page.url
    expect(page.locator("#panel tbody tr").first).to_be_visible()
    assert most <= 2  # the one that is given up at the end, and the one for the end itself
    assert asked <= 10  # the first, one in 15 s of the past up to the end, and the end itself: none after it


def test_what_tells_of_now_says_so_while_the_past_is_shown(city: tuple[str, PastCity], open_page: Any) -> None:
    """A tired operator must not take the streams' numbers or the quarantine list of now for those of the moment."""
    page = open_page(city[0])
    stream = page.locator("article[data-stream=gps]")
    expect(stream.locator(".state")).to_have_text("Live", timeout=WAIT_MS)
    expect(page.locator("[data-note]")).to_have_count(0)
    whole = stream.locator("[data-value=landed]").evaluate("e => getComputedStyle(e).color")
    page.goto(f"{city[0]}?at={AT}")
    shown(page, "from the lake")
    said = page.locator("[data-note=streams-now]")
    expect(said).to_have_text(re.compile("^Now ?These tiles tell of now.*show 01 Mar 2026, 12:20:00"))
    expect(page.get_by_role("region", name="Streams")).to_have_accessible_description(
        said.inner_text().replace("\n", "")
    )
    expect(stream.locator(".state")).to_have_text("now: live", timeout=WAIT_MS)
    assert stream.locator("[data-value=landed]").evaluate("e => getComputedStyle(e).color") != whole
    page.get_by_role("tab", name=re.compile(r"Quarantine \d+ now")).click()
    expect(page.locator("#panel [data-note=quarantine-now]")).to_contain_text("not of 01 Mar 2026, 12:20:00")
    if AXE.is_file():
        for theme in ("Light", "Dark"):
            page.get_by_role("button", name=theme, exact=True).click()
            page.wait_for_timeout(SETTLED_MS)
            assert faults(page) == [], theme
    page.keyboard.press("l")
    expect(page.locator("[data-note]")).to_have_count(0)
    expect(stream.locator(".state")).to_have_text("Live")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dark", {"color_scheme": "dark"}),
        ("light", {"color_scheme": "light", "reduced_motion": "reduce"}),
        ("phone", {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}}),
    ],
)
def test_the_past_fits_and_says_that_it_is_past(
    city: tuple[str, PastCity], open_page: Any, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    """On no screen may the past be taken for now, or stick out of the page."""
    page = open_page(f"{city[0]}?at={AT}&speed=30", **options)
    shown(page, "playing at 30×")
    expect(page.get_by_test_id("past").get_by_role("button", name="Back to live")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=tmp_path / f"past-{name}.png")
