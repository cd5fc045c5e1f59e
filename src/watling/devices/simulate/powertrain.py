"""Receives speed, acceleration, climb and vehicle of many rows; gives what their engines report.

Power is that of the road-load equation (mass, rolling resistance 0.009, drag, climb); fuel is power over the engine's
efficiency and the fuel's energy, with a floor at idle. Gears are a table of speeds at which a driver shifts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from watling.devices.simulate.catalogue import CRUISE, DRAG, EFFICIENCY, FUELS, IDLE, LITRE_CO2, LITRE_MJ, MASS, POWER

Floats = NDArray[np.float64]

SHIFTS = np.asarray([0.0, 4.0, 8.0, 12.5, 17.0, 22.5])  # m/s at which the next gear is taken
RATIOS = np.asarray([1.0, 0.56, 0.39, 0.30, 0.245, 0.205]) / 0.205  # engine turns per metre, relative to the top gear
TOP_MS = 31.0  # speed at which the top gear turns at the cruising speed
ROLLING, GRAVITY, AIR = 0.009, 9.81, 1.22
ELECTRIC = FUELS.index("electric")
IDLE_MJ_S = 0.008  # what an idling engine of a car burns


@dataclass(frozen=True, slots=True)
class Engine:
    """`rpm` 1/min, `fuel_lph` l/h, `co2_kgph` kg/h, `throttle` and `load` in percent. NaN where a vehicle has none."""

    rpm: Floats
    fuel_lph: Floats
    co2_kgph: Floats
    throttle: Floats
    load: Floats


def engine(v: Floats, a: Floats, climb: Floats, kind: NDArray[Any], fuel: NDArray[Any]) -> Engine:
    """`v` m/s, `a` m/s², `climb` metres up per metre, `kind` and `fuel` numbers of the catalogue."""
    force = MASS[kind] * (a * 1.04 + GRAVITY * (ROLLING + climb)) + 0.5 * AIR * DRAG[kind] * v * v
    power = force * v / 1e6  # MW, which is MJ/s
    share = np.clip(power * 1000 / POWER[kind], 0, 1)
    idle_mj = IDLE_MJ_S * np.sqrt(MASS[kind] / MASS[0])
    burnt = np.where(power > 0, power / EFFICIENCY[fuel] + idle_mj * 0.7, np.where(v < 1, idle_mj, idle_mj * 0.2))
    fuel_lph = burnt / LITRE_MJ[fuel] * 3600
    turns = CRUISE[kind] * v / TOP_MS * RATIOS[np.searchsorted(SHIFTS, v, side="right") - 1]
    rpm = np.where(fuel == ELECTRIC, np.nan, np.maximum(IDLE[kind], turns))
    load = np.where(fuel == ELECTRIC, np.nan, np.clip(18 + 78 * share, 0, 100))
    throttle = np.clip(12 + 80 * np.sqrt(share) * (share > 0.02), 0, 100)
    return Engine(rpm, fuel_lph, fuel_lph * LITRE_CO2[fuel], throttle, load)
