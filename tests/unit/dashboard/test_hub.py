"""Viewers share one encoded update; a slow one gets fewer frames, never older ones."""

from __future__ import annotations

from typing import Any, cast

from tests.e2e.made_up_city import CONTRACTS, shaped
from watling.dashboard import HotState
from watling.dashboard.hub import UNCONFIRMED, Update, Viewer, frames_per_second


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
    viewer = Viewer(cast(Any, None))
    drive(hot, 0)
    Update(hot, 1)  # a tick before the viewer came
    viewer.offer(Update(hot, 2))
    first = sent(viewer)
    assert first is not None
    assert b'"whole":true' in first
    assert b'"A"' in first
    drive(hot, 1)
    viewer.offer(Update(hot, 3))
    second = sent(viewer)
    assert second is not None
    assert b'"whole":false' in second


def test_all_viewers_share_one_encoding() -> None:
    """Two hundred viewers must not cost two hundred encodings."""
    hot = HotState(CONTRACTS)
    drive(hot, 0)
    viewers = [Viewer(cast(Any, None)) for _ in range(3)]
    update = Update(hot, 1)
    for viewer in viewers:
        viewer.offer(update)
    frames = [sent(v) for v in viewers]
    assert frames[0] is not None
    assert all(f is frames[0] for f in frames)


def test_slow_viewer_gets_fewer_frames_and_then_the_newest_state() -> None:
    """A phone on a bad line must see now, late, instead of a minute ago."""
    hot = HotState(CONTRACTS)
    viewer = Viewer(cast(Any, None))
    got = []
    for second in range(20):  # it confirms nothing
        drive(hot, second)
        viewer.offer(Update(hot, second + 1))
        got.append(sent(viewer))
    assert [f is not None for f in got] == [True] * UNCONFIRMED + [False] * (20 - UNCONFIRMED)
    assert viewer.skipped == 20 - UNCONFIRMED
    viewer.sent = []  # it caught up
    viewer.offer(Update(hot, 30))  # nothing new in this tick, but it missed some
    frame = sent(viewer)
    assert frame is not None
    assert b'"whole":true' in frame


def test_quiet_tick_sends_nothing() -> None:
    """An idle city costs no bytes."""
    hot = HotState(CONTRACTS)
    viewer = Viewer(cast(Any, None))
    viewer.offer(Update(hot, 1))
    sent(viewer)
    viewer.sent = []
    viewer.offer(Update(hot, 2))
    assert sent(viewer) is None


def test_frames_get_fewer_with_more_viewers() -> None:
    """One viewer sees records at once; two hundred do not take the core from the pipeline."""
    rates = [frames_per_second(n) for n in (0, 1, 30, 60, 200, 500)]
    assert rates[:3] == [12, 12, 12]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 4
