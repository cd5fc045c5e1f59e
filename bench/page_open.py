"""Receives nothing; prints how soon the page can be used, from a cold cache, as times and as a ratio to a bare answer.

    python bench/page_open.py [--times 7] [--vehicles 10000]

The real server with a made-up city, headless Chromium, each time in a fresh context. Measured from the begin of the
navigation: first paint of text, the vehicles' list has rows, a click on another tab of the list is answered, the map has
drawn. Beside it, in turns, the server's answer to `/healthz` in a browser: what opening anything takes here. No figure is
asserted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e.conftest import FLAGS
from tests.e2e.made_up_city import MadeUpCity, served

WAIT_MS = 60_000
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
STEPS = ("first paint", "the list has rows", "a click is answered", "the map has drawn")


def bare(browser: Browser, address: str) -> float:
    """Seconds until `/healthz` is loaded."""
    context = browser.new_context()
    begun = time.perf_counter()
    context.new_page().goto(address + "healthz")
    took = time.perf_counter() - begun
    context.close()
    return took


def opened(browser: Browser, address: str) -> dict[str, float]:
    """Seconds from the begin of the navigation to each step."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator("#panel tbody tr").first.wait_for(timeout=WAIT_MS)
    rows = time.perf_counter() - begun
    tab = page.get_by_role("tab", name="Incidents")
    tab.click()
    expect(tab).to_have_attribute("aria-selected", "true", timeout=WAIT_MS)
    click = time.perf_counter() - begun
    page.locator("[data-draw-ms]").wait_for(timeout=WAIT_MS)
    drawn = time.perf_counter() - begun
    paint = page.evaluate(PAINT) / 1000
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
        for _ in range(options.times):
            seen["bare answer"].append(bare(browser, address))
            for step, took in opened(browser, address).items():
                seen[step].append(took)
        browser.close()
    floor = statistics.median(seen["bare answer"])
    print(f"{options.vehicles:,} vehicles, {options.times} opens, load {os.getloadavg()[0]:.1f}")
    for step, times in seen.items():
        middle = statistics.median(times)
        print(f"  {step:20} median {middle:5.2f} s  max {max(times):5.2f} s  {middle / floor:4.1f} x the bare answer")


if __name__ == "__main__":
    main()
