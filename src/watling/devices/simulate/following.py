"""Receives speeds, gaps and speed differences of many vehicles; gives their accelerations, all at once.

The car-following model is the Intelligent Driver Model (Treiber, Hennecke and Helbing, "Congested traffic states in
empirical observations and microscopic simulations", Physical Review E 62, 2000) with the free-road term above the
desired speed of the improved IDM (Treiber and Kesting, "Traffic Flow Dynamics", Springer 2013, chapter 11). Lane changes
follow MOBIL (Kesting, Treiber and Helbing, "General lane-changing model MOBIL", Transportation Research Record 1999, 2007).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

S0_M = 2.0  # gap at standstill
COMFORT = 2.0  # b, comfortable braking in m/s²
HARDEST = 8.0  # no vehicle brakes harder, m/s²
POLITENESS = 0.2
THRESHOLD = 0.15  # what a lane change must bring, m/s²
KEEP_LEFT = 0.2  # the United Kingdom's rule, as a bias in m/s²
SAFE = 3.0  # nobody behind may have to brake harder for a lane change, m/s²


def free_road(v: Floats, v0: Floats, a: Floats) -> Floats:
    """Acceleration on an empty road in m/s²: `v` speed, `v0` desired speed in m/s, `a` maximum in m/s²."""
    ratio = v / v0
    below = a * (1 - np.square(np.square(np.minimum(ratio, 1))))
    above = -COMFORT * (1 - np.maximum(ratio, 1) ** (-a * 4 / COMFORT))
    return np.asarray(np.where(ratio <= 1, below, above))


def interaction(v: Floats, gap: Floats, closing: Floats, a: Floats, headway: Floats) -> Floats:
    """What the vehicle ahead takes away, in m/s² (0 or less).

    `gap` bumper to bumper in m, `closing` own speed minus the leader's in m/s, `headway` the time gap T in s.
    """
    wanted = S0_M + np.maximum(0, v * headway + v * closing / (2 * np.sqrt(a * COMFORT)))
    return np.asarray(-a * np.square(wanted / np.maximum(gap, 0.5)))


def accelerations(v: Floats, v0: Floats, gap: Floats, closing: Floats, a: Floats, headway: Floats) -> Floats:
    """The IDM's acceleration in m/s², no harder than a vehicle can brake."""
    return np.asarray(np.maximum(free_road(v, v0, a) + interaction(v, gap, closing, a, headway), -HARDEST))


def worth_changing(
    now: Floats, then: Floats, behind_now: Floats, behind_then: Floats, to_the_left: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """MOBIL: who gains by changing lanes, safely for the new follower. All in m/s²; `then` is in the other lane."""
    gain = then - now + POLITENESS * (behind_then - behind_now)
    threshold = np.where(to_the_left, THRESHOLD - KEEP_LEFT, THRESHOLD + KEEP_LEFT)
    return np.asarray((gain > threshold) & (behind_then > -SAFE) & (then > -SAFE))
