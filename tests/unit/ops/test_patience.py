"""How long is waited before something is tried again."""

from __future__ import annotations

import threading

import pytest

from watling.ops.patience import Patience


def test_pauses_grow_to_a_limit_and_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away for a night must not be asked each second, nor be waited for long once it is back."""
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    stop, waited = threading.Event(), list[float]()
    monkeypatch.setattr(stop, "wait", lambda seconds: waited.append(seconds))
    patience = Patience(1.0, 10.0)
    for _ in range(6):
        patience.wait(stop)
    patience.over()
    patience.wait(stop)
    assert waited == [1.5, 3, 6, 12, 15, 15, 1.5]


def test_a_stop_ends_the_pause() -> None:
    """Ctrl-C amid a long pause must not wait for its end."""
    stop = threading.Event()
    stop.set()
    assert Patience(60, 60).wait(stop)
