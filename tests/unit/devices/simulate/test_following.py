"""The car-following model against what its authors state of it."""

from __future__ import annotations

import numpy as np
import pytest

from watling.devices.simulate import following


def test_equilibrium_gap_gives_no_acceleration() -> None:
    """If this fails, a queue of equal cars never comes to rest with itself."""
    v = np.linspace(0, 28, 15)
    v0, a, headway = np.full(15, 33.0), np.full(15, 1.2), np.full(15, 1.4)
    gap = (following.S0_M + v * headway) / np.sqrt(1 - (v / v0) ** 4)
    assert following.accelerations(v, v0, gap, np.zeros(15), a, headway) == pytest.approx(0, abs=1e-9)


def test_free_road() -> None:
    """If this fails, cars on an empty road do not reach, or do not keep, the speed they want."""
    v0, a = np.full(3, 30.0), np.full(3, 1.5)
    free = following.free_road(np.asarray([0.0, 30.0, 36.0]), v0, a)
    assert free[0] == pytest.approx(1.5)
    assert free[1] == pytest.approx(0)
    assert -following.COMFORT < free[2] < 0


def test_no_crash_into_a_standing_queue() -> None:
    """If this fails, cars drive through the end of a jam."""
    x, v, dt = 0.0, 33.0, 0.5
    for _ in range(400):
        one = [np.asarray([q]) for q in (v, 33.0, 1_000.0 - x, v, 1.2, 1.3)]
        a = float(following.accelerations(*one)[0])
        assert a >= -following.HARDEST
        new = max(0.0, v + a * dt)
        x, v = x + (v + new) / 2 * dt, new
    assert 985 < x < 1_000
    assert v < 0.2


def test_overtaking_needs_room_behind() -> None:
    """If this fails, vehicles change lanes in front of faster ones that then must brake hard."""
    now, then = np.asarray([-1.0, -1.0]), np.asarray([0.5, 0.5])
    behind = np.asarray([0.0, 0.0])
    right = np.asarray([False, False])
    assert following.worth_changing(now, then, behind, np.asarray([-0.5, -4.0]), right).tolist() == [True, False]
