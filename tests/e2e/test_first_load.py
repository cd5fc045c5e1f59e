"""What the browser fetches to open the page, weighed."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlparse

import pytest
from playwright.sync_api import expect

from tests.integration.dashboard.varied_lake import MINUTE_MS, START_MS
from watling.dashboard.app import STATIC

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (STATIC / "index.html").is_file(), reason="the page is not built: tools/build_page.py"),
]
MOST_BYTES = 700_000  # as sent, without the basemap and without data
WAIT_MS = 20_000
TALL = {"width": 1440, "height": 1800}  # the first charts are in sight


def test_first_load_is_light(whole_page: str, open_page: Any) -> None:
    """Over a slow line the page opens in seconds: what it is made of, charts included, is at most 700 KB."""
    sizes: dict[str, int] = {}

    def weigh(answer: Any) -> None:
        path = urlparse(answer.url).path
        if not path.startswith(("/api/", "/basemap/")):
            sizes[path] = int(answer.headers["content-length"])

    page = open_page(f"{whole_page}healthz", noise=("404",), viewport=TALL)  # that one has no icon
    page.context.on("response", weigh)
    page.goto(f"{whole_page}?from={START_MS}&to={START_MS + 60 * MINUTE_MS}")
    expect(page.locator(".maplibregl-canvas")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#panel tbody tr").first).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("article", name="Entries by stream").locator("canvas").first.wait_for(timeout=WAIT_MS)
    page.wait_for_load_state("networkidle")
    listed = "\n".join(f"{size:9,} {name}" for name, size in sorted(sizes.items(), key=lambda item: -item[1]))
    assert {"map", "maplibre", "echarts"} <= {name.removeprefix("/assets/").split("-")[0] for name in sizes}, listed
    assert sum(sizes.values()) <= MOST_BYTES, f"{sum(sizes.values()):,} bytes:\n{listed}"
