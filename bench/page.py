"""Receives nothing; prints what the page's server costs: CPU, bytes and delay with 10,000 vehicles and many viewers.

Each vehicle reports once a second through the hot state, a twentieth of them at a time, so that every tick of the server
has something to send. Viewers are WebSocket clients in another process, which confirm each frame as the page does. Delay:
from the tick that made a frame to its arrival at the viewer; with many viewers the clients' own work is most of it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import websockets

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e.made_up_city import MadeUpCity, served
from watling.dashboard import HotState

VEHICLES = 10_000
SECONDS = 10
PARTS = 20
HEAD = re.compile(rb'\{"seq":(\d+),"at":(\d+),')


class Steady(MadeUpCity):
    """Vehicles on small circles; at each of PARTS ticks a second another part of them reports."""

    def step(self, hot: HotState, tick: int) -> None:
        rows = [
            {
                "id": f"{i}-{tick}",
                "vehicle_id": f"V{i:05d}",
                "latitude": 51.0 + i % 97 / 97 + tick / PARTS * 0.0003,
                "longitude": -1.5 + i % 101 / 101,
                "speed_kmh": float(i % 110),
                "heading_deg": float(i % 360),
                "vehicle_type": "Car",
            }
            for i in range(tick % PARTS, self.vehicles, PARTS)
        ]
        self._give(hot, "vehicle", rows)


async def watch(address: str, viewers: int, seconds: float) -> tuple[list[float], int, int]:
    """Delays in ms, frames and bytes over all viewers."""
    delays: list[float] = []
    frames = size = 0

    async def viewer() -> None:
        nonlocal frames, size
        async with websockets.connect(address, compression=None, max_size=None) as socket:
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                try:
                    message = await asyncio.wait_for(socket.recv(), left)
                except TimeoutError:
                    return
                size += len(message)
                if isinstance(message, bytes):
                    head = HEAD.match(message, 8)  # not all of the header: two hundred viewers share a core here
                    assert head is not None
                    frames += 1
                    delays.append(time.time() * 1000 - int(head[2]))
                    await socket.send(f'{{"ack": {int(head[1])}}}')

    await asyncio.gather(*(viewer() for _ in range(viewers)))
    return delays, frames, size


def watching(
    address: str, viewers: int, seconds: float, out: multiprocessing.SimpleQueue[tuple[list[float], int, int]]
) -> None:
    out.put(asyncio.run(watch(address, viewers, seconds)))


def main() -> None:
    process = psutil.Process()
    context = multiprocessing.get_context("spawn")
    print(f"{VEHICLES} vehicles at 1 Hz; CPU is of the whole server process, in percent of one core")
    with served(Steady(vehicles=VEHICLES, hz=PARTS)) as (address, _):
        time.sleep(5)
        for viewers in (0, 1, 50, 200):
            out = context.SimpleQueue()
            client = context.Process(
                target=watching, args=(address.replace("http", "ws") + "ws", viewers, SECONDS, out)
            )
            client.start()
            time.sleep(1)
            before, begun = process.cpu_times(), time.monotonic()
            time.sleep(SECONDS - 2)
            after, took = process.cpu_times(), time.monotonic() - begun
            delays, frames, size = out.get()
            client.join()
            cpu = (after.user + after.system - before.user - before.system) / took * 100
            p50, p95 = np.percentile(delays, (50, 95)) if delays else (float("nan"), float("nan"))
            rate = frames / max(viewers, 1) / SECONDS
            print(
                f"viewers {viewers:4d}  CPU {cpu:5.1f} %  delay p50 {p50:5.1f} ms p95 {p95:5.1f} ms  "
                f"frames/s a viewer {rate:4.2f}  KB/s a viewer {size / max(viewers, 1) / SECONDS / 1024:6.0f}"
            )
    print(f"resident {process.memory_info().rss / 2**20:.0f} MB, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
