"""Receives nothing; prints how soon the page can be used, from a cold cache, as times and as a ratio to a bare answer.

    python bench/page_open.py [--times 7] [--vehicles 10000]

The real server with a made-up city, headless Chromium, each time in a fresh context. Measured from the begin of the
navigation: first paint of text, the vehicles' list has rows, a click of the mouse on another tab of the list (made at once
then) is answered, the map has drawn vehicles. Beside it, in turns, the server's answer to `/healthz` in a browser: what
opening anything takes here. The first opening is not counted. No figure is asserted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e.conftest import FLAGS
from tests.e2e.made_up_city import MadeUpCity, served

WAIT_MS = 60_000
SIZE: ViewportSize = {"width": 1440, "height": 900}
TAB = "Incidents"
AT = "name => performance.getEntriesByName(name)[0]?.startTime ?? null"
STEPS = ("first paint", "the list has rows", "a click is answered", "the map has drawn")


def bare(browser: Browser, address: str) -> float:
    """Seconds until `/healthz` is loaded."""
    context = browser.new_context()
    begun = time.perf_counter()
    context.new_page().goto(address + "healthz")
    took = time.perf_counter() - begun
    context.close()
    return took


def place(browser: Browser, address: str) -> tuple[float, float]:
    """Where the tab is that is clicked."""
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    page.goto(address)
    box = page.get_by_role("tab", name=TAB).bounding_box(timeout=WAIT_MS)
    assert box is not None
    context.close()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def opened(browser: Browser, address: str, at: tuple[float, float]) -> dict[str, float]:
    """Seconds from the begin of the navigation to each step."""
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator("#panel tbody tr").first.wait_for(timeout=WAIT_MS)
    rows = time.perf_counter() - begun
    page.mouse.click(*at)
    page.locator("[role=tab][aria-selected=true]", has_text=TAB).wait_for(timeout=WAIT_MS)
    click = time.perf_counter() - begun
    page.locator("[data-draw-ms]").wait_for(timeout=WAIT_MS)
    drawn = page.evaluate(AT, "vehicles drawn") / 1000
    paint = page.evaluate(AT, "first-contentful-paint") / 1000
    context.close()
    return dict(zip(STEPS, (paint, rows, click, drawn), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--vehicles", type=int, default=10_000)
    options = parser.parse_args()
    seen: dict[str, list[float]] = {step: [] for step in ("bare answer", *STEPS)}
    with served(MadeUpCity(vehicles=options.vehicles, hz=1)) as (address, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS.split())
        at = place(browser, address)
        for _ in range(options.times):
            seen["bare answer"].append(bare(browser, address))
            for step, took in opened(browser, address, at).items():
                seen[step].append(took)
        browser.close()
    floor = statistics.median(seen["bare answer"])
    print(f"{options.vehicles:,} vehicles, {options.times} opens, load {os.getloadavg()[0]:.1f}")
    for step, times in seen.items():
        middle = statistics.median(times)
        print(f"  {step:20} median {middle:5.2f} s  max {max(times):5.2f} s  {middle / floor:4.1f} x the bare answer")


if __name__ == "__main__":
    main()
