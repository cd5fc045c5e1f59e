"""Receives nothing; gives the fleet's modules the names of lanes and states, and the numbers that they share."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from watling.devices.simulate.roads import LANE_M, LANES

DT = 0.5  # seconds a step
SLIP, SHOULDER, OFF = LANES, LANES + 1, LANES + 2
LATERAL = np.asarray([LANE_M, 0.0, -LANE_M, 2 * LANE_M, 2 * LANE_M - 0.6, 2 * LANE_M])
"""Metres left of the carriageway's middle, by lane."""
GROUP = 1e6  # metres between the keys of two lanes: longer than any road
RAMP_MS = 13.0  # speed on a slip road where it meets other roads


class State(IntEnum):
    GONE = 0  # between trips; sends nothing
    DRIVING = 1
    MERGING = 2  # on a slip road, looking for a gap
    LEAVING = 3  # on a slip road towards the end of the trip
    RESTING = 4  # on a slip road towards a service area
    PARKED = 5
    CALLED = 6  # emergency vehicle on its way
    ON_SCENE = 7
