"""Every view against axe-core's rules, dark and light, wide and narrow: what a screen reader or a keyboard would stumble over."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.integration.dashboard.varied_lake import MINUTE_MS, START_MS
from watling.dashboard.app import STATIC

AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not (STATIC / "index.html").is_file() or not AXE.is_file(), reason="the page is not built: tools/build_page.py"
    ),
]
WAIT_MS = 20_000
SETTLED_MS = 700  # transitions end: a half-faded text has not its colour yet
SQL = "select make, count(*) as events from vehicle group by make"
VIEWS = {
    "live": {},
    "past": {"from": START_MS, "to": START_MS + 60 * MINUTE_MS},
    "moment": {"at": START_MS + 20 * MINUTE_MS, "pick": "vehicle:v3"},
    "explore": {"view": "explore", "sql": SQL, "chart": "bar"},
    "operations": {"view": "operations"},
}
SHAPES = [(theme, width) for width in (1440, 390) for theme in ("Dark", "Light")]


def faults(page: Page) -> list[str]:
    """What axe calls serious or critical, each with the elements it means."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE.read_text(encoding="utf-8"))
    told = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(told["passes"]) > 10, "axe looked at nothing"
    return [
        f"{v['id']} ({v['impact']}): {v['help']}: "
        + "; ".join(
            f"{' '.join(map(str, n['target']))} {n['failureSummary'].splitlines()[-1].strip()}" for n in v["nodes"][:4]
        )
        for v in told["violations"]
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_has_a_serious_fault(whole_page: str, open_page: Any, view: str) -> None:
    """Who uses a screen reader, a keyboard or weak eyes can use each view."""
    page = open_page(f"{whole_page}?{urllib.parse.urlencode(VIEWS[view])}")
    if view == "explore":
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator('[data-value="summary"]')).to_contain_text("rows", timeout=WAIT_MS)
    elif view == "operations":
        expect(page.get_by_role("table").first).to_be_visible(timeout=WAIT_MS)
    else:
        expect(page.locator(".maplibregl-canvas")).to_be_visible(timeout=WAIT_MS)
        expect(page.locator("#panel tbody tr").first).to_be_visible(timeout=WAIT_MS)
    said: dict[str, list[str]] = {}
    for theme, width in SHAPES:
        page.set_viewport_size({"width": width, "height": 900})
        page.get_by_role("button", name=theme, exact=True).click()
        page.wait_for_timeout(SETTLED_MS)
        said[f"{theme} {width}"] = faults(page)
    assert {shape: found for shape, found in said.items() if found} == {}
