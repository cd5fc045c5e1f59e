"""Receives nothing; prints how old a record is when the page's server sends it, and when a browser has drawn it.

    python bench/page_live.py [--rate 20000] [--seconds 20] [--vehicles 10000] [--drawn]

Starts an embedded broker and the page's server, each a process of its own, and a producer that sends `--rate` records a
second, half vehicle, half gps, of `--vehicles` vehicles; no pipeline, no simulator. A record's age when it is sent is the
frame's arrival at a viewer less the Kafka timestamp of each vehicle in it, which the frame carries. `--drawn` opens the
page in headless Chromium instead: the age is taken after the map's layer has drawn the frame, by the page itself. The
first seconds are left out. No figure is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import websockets
from confluent_kafka import Producer
from pipeline import free_port

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from watling.broker import admin, embedded
from watling.config import Settings, load_settings
from watling.contracts import load_contracts

TICK_S = 0.02
SETTLE_S = 8.0
LINGER_MS = 5


class NoStatus:
    """There is no pipeline to tell of."""

    def read(self) -> dict[str, Any]:
        return {}


def produce(settings: Settings, topics: dict[str, str], rate: int, vehicles: int, seconds: float) -> None:
    """Send for that long, paced. Runs in a process of its own; prints how many a second it managed."""
    producer = Producer(
        {"bootstrap.servers": settings.bootstrap_servers, "linger.ms": LINGER_MS, "compression.type": "lz4"}
    )
    number = 0
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        now = datetime.now(UTC).isoformat()
        while number < passed * rate:
            vehicle = number // 2 % vehicles
            where = number / rate * 0.0003
            head = (
                f'{{"id": "{number:x}", "vehicle_id": "V{vehicle:06d}", "timestamp": "{now}", '
                f'"location": [{51 + vehicle % 97 / 97 + where:.6f}, {-1.5 + vehicle % 101 / 101:.6f}], "speed": {vehicle % 110}, '
                f'"direction": "North", '
            )
            if number % 2:
                producer.produce(topics["gps"], head + '"vehicleType": "Car"}')
            else:
                producer.produce(
                    topics["vehicle"], head + '"make": "BMW", "model": "C500", "year": 2024, "fuelType": "Hybrid"}'
                )
            number += 1
        producer.poll(0)
        time.sleep(TICK_S)
    producer.flush(10)
    print(f"produced {number / (time.monotonic() - begun):.0f} records/s", flush=True)


async def sent(address: str, seconds: float) -> np.ndarray:
    """Ages in ms of the vehicles in the frames that one viewer gets in that time."""
    ages: list[np.ndarray] = []
    async with websockets.connect(address, compression=None, max_size=None) as socket:
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            try:
                message = await asyncio.wait_for(socket.recv(), seconds - passed)
            except TimeoutError:
                break
            if not isinstance(message, bytes):
                continue
            arrived = time.time() * 1000
            length = int.from_bytes(message[4:8], "little")
            header = json.loads(message[8 : 8 + length])
            await socket.send(json.dumps({"ack": header["seq"]}))
            if header["whole"] or passed < SETTLE_S:
                continue
            offset = next(o for name, _, o in header["columns"] if name == "silent")
            silent = np.frombuffer(message, "<u4", header["count"], offset)
            ages.append(arrived - header["at"] + silent.astype(np.float64))
    return np.concatenate(ages) if ages else np.empty(0)


def drawn(address: str, seconds: float) -> list[float]:
    """What the page says of itself once a second: 95 % of the last reports were drawn within so many ms."""
    from playwright.sync_api import sync_playwright

    from tests.e2e.conftest import FLAGS

    said = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        page.wait_for_selector("[data-draw-ms]", timeout=60_000)
        time.sleep(SETTLE_S)
        end = time.monotonic() + seconds - SETTLE_S
        while time.monotonic() < end:
            time.sleep(1)
            said.append(float(page.locator("[data-draw-ms]").first.get_attribute("data-draw-ms") or "nan"))
        browser.close()
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=None, help="records a second; default 20000, with --drawn 2000")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--vehicles", type=int, default=10_000)
    parser.add_argument("--drawn", action="store_true")
    parser.add_argument("--part", choices=("serve", "produce"), help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    rate = options.rate or (2_000 if options.drawn else 20_000)
    contracts = load_contracts(None)
    if options.part == "serve":
        from watling.dashboard import serve

        serve(
            load_settings(home=options.home),
            contracts=contracts,
            status=NoStatus(),
            ready=lambda _: print("ready", flush=True),
        )
        return
    if options.part == "produce":
        produce(
            load_settings(home=options.home),
            {n: c.topic for n, c in contracts.items()},
            rate,
            options.vehicles,
            options.seconds + SETTLE_S,
        )
        return
    port, page = free_port(), free_port()
    environment = {**os.environ, "WATLING_BROKER__PORT": str(port), "WATLING_PAGE__PORT": str(page)}
    with tempfile.TemporaryDirectory(prefix="bench-page-") as home:
        settings = load_settings(home=Path(home), broker={"port": port}, page={"port": page})
        embedded.start(settings, attached=True)
        started: list[subprocess.Popen[str]] = []
        try:
            admin.ensure_topics(settings, contracts)
            again = [sys.executable, __file__, "--home", home, "--rate", str(rate), "--vehicles", str(options.vehicles)]
            again += ["--seconds", str(options.seconds)]
            server = subprocess.Popen([*again, "--part", "serve"], env=environment, stdout=subprocess.PIPE, text=True)
            started.append(server)
            assert server.stdout is not None
            server.stdout.readline()
            producer = subprocess.Popen([*again, "--part", "produce"], env=environment, text=True)
            started.append(producer)
            watch = psutil.Process(server.pid)
            before: list[float] = []
            timer = threading.Timer(SETTLE_S, lambda: before.extend([sum(watch.cpu_times()[:2]), time.monotonic()]))
            timer.start()
            if options.drawn:
                said = drawn(f"http://127.0.0.1:{page}/", options.seconds)
                result = f"produced to drawn, {options.vehicles} points: p95 {np.nanmedian(said):.0f} ms (worst second {np.nanmax(said):.0f})"
            else:
                ages = asyncio.run(sent(f"ws://127.0.0.1:{page}/ws", options.seconds))
                p50, p95, p99 = np.percentile(ages, (50, 95, 99)) if len(ages) else (np.nan,) * 3
                result = (
                    f"produced to sent: p50 {p50:.0f} ms p95 {p95:.0f} ms p99 {p99:.0f} ms over {len(ages)} reports"
                )
            cpu = (sum(watch.cpu_times()[:2]) - before[0]) / (time.monotonic() - before[1]) * 100
            print(f"at {rate} records/s: {result}; server CPU {cpu:.0f} % of a core; load {os.getloadavg()[0]:.1f}")
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(20)
            embedded.stop(settings)


if __name__ == "__main__":
    main()
