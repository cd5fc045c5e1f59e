"""The fleet holds the newest position of each vehicle, whatever order its reports come in."""

from __future__ import annotations

import numpy as np

from tests.e2e.made_up_city import shaped
from watling.dashboard.fleet import TRAIL_POINTS, Fleet

NOW = 1_795_000_000_000


def report(vehicle: str, second: int, latitude: float | None = 51.5, **more: object) -> dict[str, object]:
    place = {} if latitude is None else {"latitude": latitude, "longitude": -0.1}
    return {"id": f"{vehicle}-{second}", "vehicle_id": vehicle, "event_ms": NOW + second * 1000, **place, **more}


def test_newest_report_wins_within_and_over_batches() -> None:
    """A late report must not pull a vehicle back to where it was."""
    fleet = Fleet()
    fleet.update(shaped("vehicle", [report("A", 5, 51.5), report("A", 9, 51.9), report("A", 7, 51.7)]), 0)
    fleet.update(shaped("vehicle", [report("A", 8, 51.8)]), 0)
    positions, names, _ = fleet.changed()
    assert positions.latitude.tolist() == [51.9]
    assert names == [(0, "A", "")]


def test_only_changes_are_sent() -> None:
    """Vehicles that stand still must not cost every viewer a frame."""
    fleet = Fleet()
    fleet.update(shaped("vehicle", [report("A", 1), report("B", 1)]), 0)
    fleet.changed()
    fleet.update(shaped("vehicle", [report("B", 2)]), 0)
    positions, names, gone = fleet.changed()
    assert (positions.slot.tolist(), names, gone) == ([1], [], [])
    assert len(fleet.changed()[0].slot) == 0


def test_vehicle_without_position_is_known_but_not_drawn() -> None:
    """The tutorial's gps has no location: such a vehicle is counted, never drawn at 0, 0."""
    fleet = Fleet()
    fleet.update(shaped("gps", [report("A", 1, None, speed_kmh=50.0)]), 1)
    assert len(fleet.changed()[0].slot) == 0
    assert fleet.tally(NOW + 1000, 60_000)["unplaced"] == 1
    fleet.update(shaped("vehicle", [report("A", 2)]), 0)
    assert fleet.changed()[0].speed.tolist() == [50.0]


def test_heading_comes_from_the_device_or_from_the_movement() -> None:
    """An arrow that points the wrong way is worse than none."""
    fleet = Fleet()
    fleet.update(shaped("vehicle", [report("A", 1)]), 0)
    assert np.isnan(fleet.changed()[0].heading).all()
    fleet.update(shaped("vehicle", [report("A", 2, 51.6)]), 0)
    assert abs(fleet.changed()[0].heading[0]) < 0.01
    fleet.update(shaped("vehicle", [report("A", 3, 51.7, heading_deg=123.0)]), 0)
    assert fleet.changed()[0].heading.tolist() == [123.0]


def test_full_fleet_forgets_the_longest_silent_and_says_so() -> None:
    """Memory stays bounded when ids never repeat, and no ghost stays on a viewer's map."""
    fleet = Fleet(max_vehicles=100)
    for second in range(150):
        fleet.update(shaped("vehicle", [report(f"V{second}", second)], at_ms=NOW + second * 1000), 0)
    assert len(fleet) == 100
    _, names, gone = fleet.changed()
    assert len(gone) == 50
    assert {name for _, name, _ in names} == {f"V{i}" for i in range(50, 150)}
    assert fleet.card("V0") is None
    assert {name for _, name, _ in fleet.everything()[1]} == {f"V{i}" for i in range(50, 150)}


def test_trail_is_bounded_and_in_order() -> None:
    """A trail shows the last way, oldest first, and skips standing still."""
    fleet = Fleet()
    for second in range(TRAIL_POINTS + 20):
        fleet.update(shaped("vehicle", [report("A", second, 51.0 + second / 1000)]), 0)
    fleet.update(shaped("vehicle", [report("A", 999, 51.0 + (TRAIL_POINTS + 19) / 1000)]), 0)
    card = fleet.card("A")
    assert card is not None
    trail = card["trail"]
    assert len(trail) == TRAIL_POINTS
    assert [t[2] for t in trail] == sorted(t[2] for t in trail)
    assert trail[-1][2] == NOW + (TRAIL_POINTS + 19) * 1000


def test_card_has_facts_of_the_newest_reports() -> None:
    """The card names make and model although the gps stream, heard last, has neither."""
    fleet = Fleet()
    fleet.update(shaped("vehicle", [report("A", 1, make="Ford", model="Focus", year=2020)], offset=7), 0)
    fleet.update(shaped("gps", [report("A", 2, vehicle_type="Car")], offset=40), 1)
    card = fleet.card("A")
    assert card is not None
    assert card["facts"] == {"make": "Ford", "model": "Focus", "year": 2020, "vehicle_type": "Car"}
    assert (card["source"], card["offset"]) == (1, 40)


def test_fleet_grows_past_its_first_allocation() -> None:
    """The 1,025th vehicle must not end the page."""
    fleet = Fleet()
    fleet.update(shaped("vehicle", [report(f"V{i}", 1, 50 + i / 1000) for i in range(3000)]), 0)
    positions, _ = fleet.everything()
    assert len(positions.slot) == 3000
    assert positions.latitude[2999] == 52.999
