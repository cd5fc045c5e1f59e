"""An hour of a city with the page watched: `make soak` takes the hour, CI a short form of the same."""

from __future__ import annotations

import json
import re
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable

import psutil
import pytest
from websockets.sync.client import connect

from tests.integration.cli.test_up import Home, home

__all__ = ["home"]

pytestmark = [pytest.mark.integration]
SHORT_S, LONG_S = 20, 3600
EVERY_S = 2.0
VIEWERS = 3
WHOLE_RUN = ("broker", "page", "pipeline", "simulator")
MUCH = 1.2  # of the second quarter, when all is warm
PIPELINE_MB = 500
BROKER_MB = 450  # Java fills the 256 MB of heap that it is let have whenever it likes, and maps its logs
NUMBER = re.compile(rb'"seq":\s*(\d+)')


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(SHORT_S, id="short", marks=pytest.mark.timeout(300)),
        pytest.param(LONG_S, id="long", marks=[pytest.mark.soak, pytest.mark.timeout(LONG_S + 600)]),
    ],
)
def test_an_hour_of_watching_takes_no_more_memory_than_a_quarter_of_it(home: Home, seconds: int) -> None:
    """A wall display that runs for weeks must not be found dead in the morning for want of memory."""
    home.up("--simulate", "--vehicles", "500")
    parts = {name: psutil.Process(home.part(name)["pid"]) for name in WHOLE_RUN}
    held: dict[str, list[float]] = defaultdict(list)
    end = time.monotonic() + seconds
    watching = Viewers(f"ws://127.0.0.1:{home.page}/ws", lambda: time.monotonic() < end)
    while time.monotonic() < end:
        for name, process in parts.items():
            held[name].append(process.memory_info().rss / 1e6)
        time.sleep(EVERY_S)
    watching.join()
    quarter = len(held["page"]) // 4
    grown = {}
    for name, seen in held.items():
        second, last = (statistics.median(seen[i * quarter : (i + 1) * quarter]) for i in (1, 3))
        grown[name] = last / second
        print(f"{name}: {second:.0f} MB in the second quarter, {last:.0f} in the last, at most {max(seen):.0f}")
    if seconds >= LONG_S:
        assert max(held["broker"]) < BROKER_MB
        assert max(held["pipeline"]) < PIPELINE_MB
        assert all(share < MUCH for name, share in grown.items() if name != "broker"), grown
    assert all(frames > seconds / 4 for frames in watching.frames), watching.frames
    assert all(process.is_running() for process in parts.values())
    assert all(home.part(name).get("restarts", 0) == 0 for name in parts)
    assert json.loads(home.run("audit", "--json"))["ok"]


class Viewers:
    """Some who look at the page: each acknowledges every frame, as a browser does."""

    def __init__(self, address: str, go_on: Callable[[], bool]) -> None:
        self.frames = [0] * VIEWERS
        self._threads = [threading.Thread(target=self._watch, args=(i, address, go_on)) for i in range(VIEWERS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)

    def _watch(self, number: int, address: str, go_on: Callable[[], bool]) -> None:
        with connect(address, max_size=None) as socket:
            while go_on():
                try:
                    message = socket.recv(5)
                except TimeoutError:
                    continue
                if isinstance(message, bytes) and (found := NUMBER.search(message, 8)):
                    self.frames[number] += 1
                    socket.send(json.dumps({"ack": int(found[1])}))
