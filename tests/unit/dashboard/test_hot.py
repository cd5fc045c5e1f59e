"""The hot state counts, samples and places what the pipeline's steps judged."""

from __future__ import annotations

import time

from tests.e2e.made_up_city import CONTRACTS, shaped
from watling.dashboard import HotState
from watling.dashboard.counts import SAMPLES
from watling.dashboard.places import MAX_PLACES

BAD = {"value": b'{"speed": 512}', "_reason": "out_of_range", "_field": "speed_kmh", "_message": "too fast"}


def test_good_and_bad_are_counted_apart_with_reasons_and_samples() -> None:
    """An operator sees why records are refused, with their bytes and where they came from."""
    hot = HotState(CONTRACTS)
    good = {"id": "1", "vehicle_id": "A", "latitude": 51.5, "longitude": -0.1}
    hot.apply("vehicle", shaped("vehicle", [good, BAD, {"value": None, "_reason": "tombstone"}], offset=100))
    counts = hot.counts()["vehicle"]
    assert (counts["seen"], counts["bad"]) == (3, 2)
    assert counts["reasons"] == {"out_of_range": 1, "tombstone": 1}
    newest, older = hot.samples()["vehicle"]
    assert (newest["reason"], newest["raw"], newest["offset"]) == ("tombstone", None, 102)
    assert (older["raw"], older["field"], older["message"]) == ('{"speed": 512}', "speed_kmh", "too fast")
    assert hot.tally()["fleet"]["total"] == 1


def test_samples_are_bounded_in_number_and_size() -> None:
    """A flood of huge bad records must not fill the page's memory."""
    hot = HotState(CONTRACTS)
    huge = {**BAD, "value": b"\xff" * 1_000_000}
    hot.apply("vehicle", shaped("vehicle", [huge] * (SAMPLES + 5)))
    samples = hot.samples()["vehicle"]
    assert len(samples) == SAMPLES
    assert all(len(s["raw"]) <= 400 and s["raw_bytes"] == 1_000_000 for s in samples)


def test_rate_counts_by_arrival_not_by_reading() -> None:
    """A page just started reads ten thousand old records at once; that is no rate of ten thousand a second."""
    hot = HotState(CONTRACTS)
    now = int(time.time() * 1000)
    rows = [{"id": str(i), "vehicle_id": "A", "_ingested_ms": now - 1000 * (i % 100) - 2000} for i in range(1000)]
    hot.apply("vehicle", shaped("vehicle", rows))
    counts = hot.counts()["vehicle"]
    assert 7 <= counts["rate"] <= 10
    assert sum(counts["rates"]) == 1000


def test_incident_keeps_its_newest_state_and_first_time() -> None:
    """A resolved incident is no longer open, and a late report does not open it again."""
    hot = HotState(CONTRACTS)
    now = 1_795_000_000_000

    def report(status: str, second: int) -> dict[str, object]:
        return {
            "id": f"{second}",
            "incident_id": "I1",
            "type": "Fire",
            "status": status,
            "event_ms": now + second * 1000,
        }

    hot.apply("emergency", shaped("emergency", [report("Active", 0)]))
    assert hot.tally()["incidents"] == {"known": 1, "open": 1, "open_by_type": {"Fire": 1}}
    hot.apply("emergency", shaped("emergency", [report("Resolved", 60)]))
    hot.apply("emergency", shaped("emergency", [report("Active", 30)]))
    assert hot.tally()["incidents"]["open"] == 0
    (incident,) = hot.places("emergency")
    assert (incident["status"], incident["first_ms"]) == ("Resolved", now)


def test_places_are_bounded() -> None:
    """Random incident ids must not fill the page's memory."""
    hot = HotState(CONTRACTS)
    rows = [{"id": f"{i}", "incident_id": f"I{i}", "type": "Fire"} for i in range(MAX_PLACES + 10)]
    hot.apply("emergency", shaped("emergency", rows))
    assert len(hot.places("emergency", 10_000)) == MAX_PLACES


def test_station_falls_back_to_its_device() -> None:
    """The tutorial's weather has no station: its device's id names the place."""
    hot = HotState(CONTRACTS)
    hot.apply(
        "weather", shaped("weather", [{"id": "1", "vehicle_id": "WX"}, {"id": "2", "vehicle_id": "WX", "station": "S"}])
    )
    assert {p["place"] for p in hot.places("weather")} == {"WX", "S"}
