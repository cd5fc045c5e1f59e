"""Viewers share one encoded update; a slow one gets fewer frames, never older ones."""

from __future__ import annotations

import json
import random
from collections import deque
from typing import Any, cast

import numpy as np

from tests.e2e.made_up_city import CONTRACTS, shaped
from watling.dashboard import HotState
from watling.dashboard.fleet import Fleet
from watling.dashboard.hub import TICKS_KEPT, UNCONFIRMED, Tick, Update, Viewer, frames_per_second


def drive(hot: HotState, second: int) -> None:
    row = {"id": str(second), "vehicle_id": "A", "latitude": 51.5 + second / 100, "longitude": -0.1}
    hot.apply("vehicle", shaped("vehicle", [{**row, "event_ms": 1_795_000_000_000 + second * 1000}]))


def sent(viewer: Viewer) -> bytes | None:
    """Stand in for the network: take what waits, as `write` does."""
    frame, viewer._frame = viewer._frame, None
    return frame


def test_new_viewer_gets_everything_then_changes() -> None:
    """Who opens the page sees the whole fleet at once."""
    hot = HotState(CONTRACTS)
    ticks: deque[Tick] = deque(maxlen=TICKS_KEPT)
    viewer = Viewer(cast(Any, None))
    drive(hot, 0)
    Update(hot, 1, ticks)  # a tick before the viewer came
    viewer.offer(Update(hot, 2, ticks))
    first = sent(viewer)
    assert first is not None
    assert b'"whole":true' in first
    assert b'"A"' in first
    drive(hot, 1)
    viewer.offer(Update(hot, 3, ticks))
    second = sent(viewer)
    assert second is not None
    assert b'"whole":false' in second


def test_all_viewers_share_one_encoding() -> None:
    """Two hundred viewers must not cost two hundred encodings."""
    hot = HotState(CONTRACTS)
    ticks: deque[Tick] = deque(maxlen=TICKS_KEPT)
    drive(hot, 0)
    viewers = [Viewer(cast(Any, None)) for _ in range(3)]
    update = Update(hot, 1, ticks)
    for viewer in viewers:
        viewer.offer(update)
    frames = [sent(v) for v in viewers]
    assert frames[0] is not None
    assert all(f is frames[0] for f in frames)


def test_slow_viewer_gets_fewer_frames_and_then_what_it_missed_as_it_is_now() -> None:
    """A phone on a bad line must see now, late, instead of a minute ago, and not load the whole fleet each time."""
    hot = HotState(CONTRACTS)
    ticks: deque[Tick] = deque(maxlen=TICKS_KEPT)
    viewer = Viewer(cast(Any, None))
    got = []
    for second in range(20):  # it confirms nothing
        drive(hot, second)
        viewer.offer(Update(hot, second + 1, ticks))
        got.append(sent(viewer))
    assert [f is not None for f in got] == [True] * UNCONFIRMED + [False] * (20 - UNCONFIRMED)
    assert viewer.skipped == 20 - UNCONFIRMED
    viewer.sent = []  # it caught up
    viewer.offer(Update(hot, 21, ticks))  # nothing new in this tick, but it missed some
    frame = sent(viewer)
    assert frame is not None
    assert read(frame)[1] == {0: (51_690_000, -100_000)}
    assert b'"whole":false' in frame
    viewer.sent = list(range(UNCONFIRMED))  # and now it is away for longer than anybody remembers
    for second in range(21, 22 + TICKS_KEPT):
        drive(hot, second)
        viewer.offer(Update(hot, second + 1, ticks))
    viewer.sent = []
    viewer.offer(Update(hot, 23 + TICKS_KEPT, ticks))
    frame = sent(viewer)
    assert frame is not None
    assert b'"whole":true' in frame


def read(frame: bytes) -> tuple[dict[str, Any], dict[int, tuple[int, int]]]:
    """A frame's header, and where each slot is in millionths of a degree."""
    header = json.loads(frame[8 : 8 + int.from_bytes(frame[4:8], "little")])
    at = {name: offset for name, _, offset in header["columns"]}
    count = header["count"]
    slots = np.frombuffer(frame, "<u4", count, at["slot"]).tolist()
    places = (np.frombuffer(frame, "<i4", count, at[c]).tolist() for c in ("latitude", "longitude"))
    return header, dict(zip(slots, zip(*places, strict=True), strict=True))


def test_whatever_a_viewer_misses_it_ends_with_the_same_fleet() -> None:
    """Vehicles that come, go, and take the place of others must be the same on each screen, slow or fast."""
    random.seed(5)
    hot = HotState(CONTRACTS)
    hot._fleet = Fleet(max_vehicles=8)  # so that vehicles are forgotten and slots are used again
    ticks: deque[Tick] = deque(maxlen=TICKS_KEPT)
    viewers = [Viewer(cast(Any, None)) for _ in range(6)]
    names: list[dict[int, str]] = [{} for _ in viewers]
    places: list[dict[str, tuple[int, int]]] = [{} for _ in viewers]
    for tick in range(1, 400):
        for _ in range(random.randrange(3)):
            vehicle = f"V{random.randrange(12 + tick // 20)}"
            row = {
                "id": f"{tick}",
                "vehicle_id": vehicle,
                "latitude": 50 + random.random(),
                "longitude": -random.random(),
            }
            at = 1_795_000_000_000 + tick * 1000
            hot.apply("vehicle", shaped("vehicle", [{**row, "event_ms": at, "_ingested_ms": at}]))
        update = Update(hot, tick, ticks)
        for i, viewer in enumerate(viewers):
            if tick > 390 or random.random() < 0.02 + i / 6:
                viewer.sent = []
            viewer.offer(update)
            frame = sent(viewer)
            if frame is None:
                continue
            header, moved = read(frame)
            if header["whole"]:
                names[i], places[i] = {}, {}
            for slot in header["gone"]:
                places[i].pop(names[i].pop(slot, ""), None)
            names[i] |= {slot: name for slot, name, _ in header["names"]}
            places[i] |= {names[i][slot]: where for slot, where in moved.items()}
    positions, named = hot.everything()
    ids = {slot: vehicle for slot, vehicle, _ in named}
    latitudes = dict(zip(positions.slot.tolist(), np.rint(positions.latitude * 1e6).astype(int).tolist(), strict=True))
    assert len(ids) > 4
    for i in range(len(viewers)):
        assert names[i] == ids
        assert {v: where[0] for v, where in places[i].items()} == {ids[s]: at for s, at in latitudes.items()}


def test_quiet_tick_sends_nothing() -> None:
    """An idle city costs no bytes."""
    hot = HotState(CONTRACTS)
    ticks: deque[Tick] = deque(maxlen=TICKS_KEPT)
    viewer = Viewer(cast(Any, None))
    viewer.offer(Update(hot, 1, ticks))
    sent(viewer)
    viewer.sent = []
    viewer.offer(Update(hot, 2, ticks))
    assert sent(viewer) is None


def test_frames_get_fewer_with_more_viewers() -> None:
    """One viewer sees records at once; two hundred do not take the core from the pipeline."""
    rates = [frames_per_second(n) for n in (0, 1, 30, 60, 200, 500)]
    assert rates[:3] == [12, 12, 12]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 4
