"""Receives true positions of reporting vehicles; gives what a satellite receiver and a cellular link make of them.

The error of a fix is a first-order Gauss-Markov process (correlation 60 s, as the multipath and atmospheric part has)
plus white noise of a tenth of it, both scaled by the dilution of precision. Signal is lost at random and in tunnels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from watling.devices.simulate.roads import DEGREE_M

Floats = NDArray[np.float64]
Slots = NDArray[np.int64]

CORRELATION_S = 60.0
BOUND = 4.0  # errors are cut at so many standard deviations


@dataclass(frozen=True, slots=True)
class Fix:
    """Positions in degrees, `hdop` without unit, `accuracy_m` (68 % radius), `satellites` in use."""

    latitude: Floats
    longitude: Floats
    hdop: Floats
    accuracy_m: Floats
    satellites: Floats


class Receivers:
    """One receiver a slot."""

    def __init__(self, size: int, noise_m: float, gap_rate: float, gap_s: float, rng: np.random.Generator) -> None:
        self.noise_m, self.gap_rate, self.gap_s, self.rng = noise_m, gap_rate, gap_s, rng
        self.error = rng.standard_normal((2, size)).clip(-BOUND, BOUND)
        self.sky = rng.standard_normal(size)
        self.fixed_us = np.zeros(size, dtype=np.int64)
        self.lost_until_us = np.zeros(size, dtype=np.int64)

    def heard(
        self, slots: Slots, time_us: NDArray[np.int64], since_s: float, hidden: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which of the reports get out: signal is neither lost (newly, or still) nor hidden by a tunnel."""
        starts = self.rng.random(len(slots)) < self.gap_rate * since_s / 3600
        new = slots[starts]
        if len(new):
            length = (3 + self.rng.exponential(max(self.gap_s - 3, 0.1), len(new))) * 1e6
            self.lost_until_us[new] = np.maximum(self.lost_until_us[new], time_us[starts] + length.astype(np.int64))
        return (time_us >= self.lost_until_us[slots]) & ~hidden

    def fix(self, slots: Slots, time_us: NDArray[np.int64], latitude: Floats, longitude: Floats) -> Fix:
        """What the receivers of `slots` say their positions are."""
        n, rng = len(slots), self.rng
        keep = np.exp(-np.minimum((time_us - self.fixed_us[slots]) / 1e6, 3600) / CORRELATION_S)
        self.fixed_us[slots] = time_us
        fresh = np.sqrt(1 - keep * keep)
        draw = rng.standard_normal((5, n), dtype=np.float32)
        error = np.clip(self.error[:, slots] * keep + draw[:2] * fresh, -BOUND, BOUND)
        self.error[:, slots] = error
        sky = np.clip(self.sky[slots] * keep + draw[4] * fresh, -2.5, 2.5)
        self.sky[slots] = sky
        hdop = 0.9 * np.exp(0.22 * sky)
        sigma = self.noise_m * hdop / 0.9 / np.sqrt(2)  # each axis has half of the variance
        north, east = sigma * (error + 0.1 * np.clip(draw[2:4], -BOUND, BOUND)) / DEGREE_M
        satellites = np.clip(np.round(11 - 3 * sky), 5, 20)
        return Fix(
            latitude + north,
            longitude + east / np.cos(np.radians(latitude)),
            hdop,
            self.noise_m * hdop / 0.9,
            satellites,
        )
