"""Receives nothing; prints how fast the map's vehicles are drawn, as a ratio to MapLibre's own circle layer.

    python bench/page_fps.py [--seconds 4] [--rounds 2] [--points 10000 100000]

Headless Chromium, in software here: only the ratio says something about other machines. The two take turns in one page,
once with points that stand, once with a report of every point each second. No frame is begun before the GPU has finished
the last. No figure is asserted.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import shutil
import statistics
import sys
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import build_page

from tests.e2e.conftest import FLAGS

LEGS = ("ours", "circles")
MEASURE = """asked => Promise.race([
  measure(...asked),
  new Promise((_, fail) => setTimeout(() => fail(new Error(`nothing drawn in time: ${asked}`)), 90_000)),
])"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files without a line for each."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-fps-") as folder, sync_playwright() as playwright:
        with build_page.one_at_a_time():
            build_page.install()
            build_page.node(
                "node_modules/vite/bin/vite.js", "build", "bench", "--outDir", folder, "--logLevel", "error"
            )
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.on("pageerror", lambda error: print(error, file=sys.stderr))
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_function("'measure' in window")
        for points in options.points:
            for live in (False, True):
                rates: dict[str, list[float]] = {leg: [] for leg in LEGS}
                for _ in range(options.rounds):
                    for leg in LEGS:
                        asked = [leg, points, options.seconds, live]
                        rates[leg].append(page.evaluate(MEASURE, asked))
                mine, theirs = (statistics.median(rates[leg]) for leg in LEGS)
                print(
                    f"{points:7d} points, {'a report each second' if live else 'standing':20}  ours {mine:5.1f} frames/s  "
                    f"MapLibre's circles {theirs:5.1f}  ratio {mine / theirs:4.2f}  load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
