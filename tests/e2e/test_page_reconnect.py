"""The page while its server is away and after: it blanks nothing, says how old it is, and fills the gap by itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import wait_until
from tests.e2e.made_up_city import MadeUpCity
from tests.e2e.past_city import CAMERA, TRACKED, PastCity
from tests.integration.dashboard.lake_page import served_app
from tests.integration.dashboard.varied_lake import MINUTE_MS, START_MS
from watling.dashboard.app import STATIC
from watling.dashboard.serve import address

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: tools/build_page.py"),
]
WAIT_MS = 30_000
AT = START_MS + 12 * MINUTE_MS
AWAY = ("net::ERR", "status of 500", "status of 503")
"""What a browser itself says of requests to a server that is away."""


@pytest.fixture
def past(tmp_path: Path) -> PastCity:
    return PastCity(tmp_path / "home")


def listed(page: Page) -> set[str]:
    return set(page.locator("#panel tbody th button").all_inner_texts())


def test_the_past_stays_while_the_server_is_away_and_goes_on_after(past: PastCity, open_page: Any) -> None:
    """Who studies a past minute loses neither it nor the open card to a restart, and steps on when the server is back."""
    with served_app(past.settings, past.app(MadeUpCity(vehicles=5, hz=2))):
        page = open_page(f"{address(past.settings)}?at={AT}&pick=vehicle:{TRACKED}", noise=AWAY)
        said = page.get_by_test_id("past")
        expect(said).to_contain_text("from the lake", timeout=WAIT_MS)
        trail = page.locator('[data-value="trail"]')
        expect(trail).to_have_text("121 points", timeout=WAIT_MS)
        expect(page.get_by_role("button", name=TRACKED, exact=True)).to_be_visible(timeout=WAIT_MS)
        before = listed(page)
    expect(page.get_by_test_id("lost")).to_contain_text("Connection lost", timeout=WAIT_MS)
    page.keyboard.press("ArrowRight")
    expect(said).to_contain_text("Not read: the server does not answer", timeout=WAIT_MS)
    assert listed(page) == before  # and the old rows are told to be old by that sentence
    with served_app(past.settings, past.app(MadeUpCity(vehicles=5, hz=2))):
        expect(said).to_contain_text("from the lake", timeout=WAIT_MS)
        expect(said).to_contain_text("12:13:00")
        expect(trail).to_have_text("181 points", timeout=WAIT_MS)
        expect(page.get_by_test_id("lost")).to_have_count(0, timeout=WAIT_MS)


def test_playing_waits_for_the_server(past: PastCity, open_page: Any) -> None:
    """Time that plays must not run over minutes that were not read."""
    with served_app(past.settings, past.app(MadeUpCity(vehicles=5, hz=2))):
        page = open_page(f"{address(past.settings)}?at={AT}&speed=5", noise=AWAY)
        expect(page.get_by_test_id("past")).to_contain_text("from the lake", timeout=WAIT_MS)
        expect(page.locator(".maplibregl-canvas")).to_be_visible(timeout=WAIT_MS)
        page.wait_for_timeout(3000)  # the map's own parts have loaded
    expect(page.get_by_test_id("lost")).to_contain_text("Connection lost", timeout=WAIT_MS)

    def moment() -> str:
        return page.get_by_test_id("past").locator("strong").inner_text()

    assert wait_until(lambda: (a := moment(), page.wait_for_timeout(1500), moment())[::2] == (a, a), 30)
    stood = moment()
    with served_app(past.settings, past.app(MadeUpCity(vehicles=5, hz=2))):
        assert wait_until(lambda: page.wait_for_timeout(200) or moment() != stood, 40)


def test_a_camera_keeps_its_pictures_and_says_that_it_was_not_refreshed(past: PastCity, open_page: Any) -> None:
    """An old picture must not pass for a new one because the server is away."""
    with served_app(past.settings, past.app(MadeUpCity(vehicles=5, hz=2))):
        page = open_page(f"{address(past.settings)}?pick=camera:{CAMERA}", noise=AWAY)
        card = page.get_by_role("article", name=f"Camera {CAMERA}")
        expect(card.locator("li button")).to_have_count(8, timeout=WAIT_MS)
    expect(card.get_by_role("status")).to_contain_text(re.compile("Not refreshed"), timeout=WAIT_MS)
    expect(card.locator("li button")).to_have_count(8)
    with served_app(past.settings, past.app(MadeUpCity(vehicles=5, hz=2))):
        expect(card.get_by_role("status")).to_have_count(0, timeout=60_000)


def test_a_lake_that_is_empty_has_no_past_to_show(open_page: Any, city: tuple[str, MadeUpCity]) -> None:
    """Before the first commit there is nothing to scrub, and the bar says so instead of showing an empty city."""
    page = open_page(city[0], noise=("status of 503",))
    bar = page.get_by_test_id("time")
    expect(bar).to_contain_text("The lake holds nothing yet", timeout=WAIT_MS)
    expect(bar.get_by_role("button", name="Play (Space)")).to_be_disabled()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(500)
    expect(page.get_by_test_id("past")).to_have_count(0)
