"""The page's own counting begins where the lake's ends, against a real broker and a real lake."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import wait_until
from tests.integration.pipeline.conftest import City, event, make_city  # noqa: F401 - a fixture
from watling.dashboard import HotState
from watling.dashboard.app import follow_broker

pytestmark = pytest.mark.integration


@pytest.mark.timeout(180)
def test_lake_and_page_meet_without_gap_or_overlap(make_city: Any) -> None:  # noqa: F811 - the fixture
    """If this fails, the page counts records twice that the lake has, or none of those between."""
    city: City = make_city("vehicle")
    city.send("vehicle", [event(n, vehicle=n) for n in range(40)])
    city.drain()
    hot = HotState(city.contracts)
    again = [event(n, vehicle=n) for n in (3, 41)]  # one that the lake has, one that comes twice
    city.send("vehicle", [event(n, vehicle=n) for n in range(40, 55)] + again + [b"{}"])
    feeds = [f for f in follow_broker(city.settings, city.contracts) if f.contract.name == "vehicle"]
    for feed in feeds:
        feed.start(hot)
    try:
        assert wait_until(lambda: hot.counts()["vehicle"]["seen"] >= 18, 30)
        city.send("vehicle", [event(60, vehicle=60)])
        assert wait_until(lambda: hot.counts()["vehicle"]["seen"] >= 19, 30)
    finally:
        for feed in feeds:
            feed.stop()
    counts = hot.counts()["vehicle"]
    assert (counts["seen"], counts["skipped"]) == (19, 0)
    assert counts["reasons"]["duplicate"] == 2
    assert counts["bad"] == 3
    assert hot.tally()["fleet"]["total"] == 56  # those of the lake are on the map too
