"""Receives slots of the fleet; gives them trips: where they begin, where they end, whether they rest on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from watling.devices.simulate.catalogue import Kind
from watling.devices.simulate.lanes import LATERAL, RAMP_MS, SLIP, State

if TYPE_CHECKING:
    from watling.devices.simulate.fleet import Fleet

Slots = NDArray[np.int64]

CITY_SHARE = 0.4  # of trips that begin (end) in the city
REST_SHARE = 0.12  # of long trips that stop at a service area
FIRST_TRIP = 1


def populate(fleet: Fleet) -> None:
    """Spread the fleet over all lanes with trips under way."""
    net, rng = fleet.network, fleet.rng
    slots = rng.permutation(fleet.vehicles)
    resting = rng.random(fleet.vehicles) < 0.06
    fleet.timer[slots[resting]] = rng.exponential(240, resting.sum())
    slots = slots[~resting]
    n = len(slots)
    shares = np.cumsum(net.length_m) / net.length_m.sum()
    spot = (np.arange(n) + rng.random(n)) / max(n, 1)
    road = np.searchsorted(shares, spot, side="right").clip(0, len(shares) - 1)
    start = np.concatenate([[0.0], shares[:-1]])[road]
    x = (spot - start) / (shares[road] - start) * (net.length_m[road] - 600) + 100
    lane = np.searchsorted([0.42, 0.78], rng.random(n)).astype(np.int8)
    truck = fleet.kind[slots] == Kind.TRUCK
    lane[truck] = np.minimum(lane[truck], 1)
    fleet.road[slots], fleet.x[slots], fleet.lane[slots] = road, x, lane
    fleet.state[slots] = State.DRIVING
    limit = net.limit[net.rows(road, x)]
    fleet.v[slots] = 0.8 * np.minimum(fleet.desired[slots], limit)
    fleet.left[slots] = LATERAL[lane]
    choose_exit(fleet, slots)


def choose_exit(fleet: Fleet, slots: Slots) -> None:
    """Where each vehicle's trip ends, ahead of where it is, and whether it rests on the way."""
    rng = fleet.rng
    to_city, pick, rest = rng.random((3, len(slots)))
    spread = rng.random(len(slots))
    for number, road in enumerate(fleet.network.roads):
        mine = np.flatnonzero(fleet.road[slots] == number)
        if not len(mine):
            continue
        s = slots[mine]
        first = np.searchsorted(road.junctions_m, fleet.x[s] + 4_000)
        ahead = len(road.junctions_m) - first
        target = road.junctions_m[np.minimum(first + (pick[mine] * ahead).astype(np.int64), len(road.junctions_m) - 1)]
        kerb = np.maximum(road.city_m[1], fleet.x[s] + 600) + 300
        kerb = kerb + spread[mine] * np.maximum(road.length_m - 150 - kerb, 0)
        city = (to_city[mine] < CITY_SHARE) | (ahead <= 0)
        fleet.exit_x[s] = np.minimum(np.where(city, kerb, target), road.length_m - 60)
        fleet.rest_x[s] = np.inf
        if len(road.services_m):
            place = np.searchsorted(road.services_m, fleet.x[s] + 5_000)
            fits = (rest[mine] < REST_SHARE) & (place < len(road.services_m)) & (fleet.kind[s] < Kind.AMBULANCE)
            where = road.services_m[np.minimum(place, len(road.services_m) - 1)]
            fits &= where < fleet.exit_x[s] - 3_000
            fleet.rest_x[s] = np.where(fits, where, np.inf)
    fleet.rest_s[slots] = 480 + rng.exponential(600, len(slots))


def depart(fleet: Fleet, slots: Slots) -> None:
    """Begin a trip: back the way it came for those that return, else from anywhere."""
    rng, net = fleet.rng, fleet.network
    new = slots[~fleet.returns[slots]]
    if len(new):
        fleet.serial[new] = np.arange(fleet.next_serial, fleet.next_serial + len(new))
        fleet.next_serial += len(new)
        fleet.trip[new] = FIRST_TRIP - 1
        fleet.identify(new)
    fleet.trip[slots] += 1
    shares = np.cumsum(net.length_m) / net.length_m.sum()
    road = np.where(
        fleet.returns[slots], fleet.road[slots] ^ 1, np.searchsorted(shares, rng.random(len(slots)))
    ).astype(np.int8)
    was = net.length_m[road] - fleet.x[slots]
    in_city, spot = rng.random((2, len(slots)))
    for number, r in enumerate(net.roads):
        mine = np.flatnonzero(road == number)
        if not len(mine):
            continue
        s = slots[mine]
        usable = r.junctions_m[:-2]
        nearest = usable[np.argmin(np.abs(was[mine][:, None] - usable[None, :]), axis=1)]
        anywhere = usable[(spot[mine] * len(usable)).astype(np.int64)]
        kerb = 60 + spot[mine] * (r.city_m[0] - 800)
        back = fleet.returns[s]
        from_city = np.where(back, was[mine] < r.city_m[0], in_city[mine] < CITY_SHARE)
        fleet.x[s] = np.where(from_city, kerb, np.where(back, nearest, anywhere))
        fleet.v[s] = np.where(from_city, 0.0, RAMP_MS)
        fleet.goal_x[s] = fleet.x[s] + np.where(from_city, 120, 450)
    fleet.goal_v[slots] = 0.5
    fleet.road[slots], fleet.lane[slots], fleet.state[slots] = road, SLIP, State.MERGING
    fleet.left[slots], fleet.a[slots], fleet.wobble[slots] = LATERAL[SLIP], 0, 0
    choose_exit(fleet, slots)
