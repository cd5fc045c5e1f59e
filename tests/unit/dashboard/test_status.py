"""A tile's state is true: unknown is not empty, quiet is not delayed, and a fault is said."""

from __future__ import annotations

import pytest
from page_rows import CONTRACTS

from watling.dashboard import HotState
from watling.dashboard.lake_status import LakeStatus, Standing
from watling.dashboard.status import StatusReader, compose, stream_state

NOW = 1_795_000_000_000
NOTHING = {"landed": None, "quarantined": None, "lag_seconds": None}
SETTLED = {"landed": 10, "quarantined": 0, "lag_seconds": 0.0}


@pytest.mark.parametrize(
    ("counts", "lake", "fault", "state"),
    [
        ({"fault": None, "last_record_ms": None}, NOTHING, None, "unknown"),
        ({"fault": None, "last_record_ms": None}, {**SETTLED, "landed": 0}, None, "empty"),
        ({"fault": None, "last_record_ms": NOW - 500}, SETTLED, None, "live"),
        ({"fault": None, "last_record_ms": NOW - 90_000}, SETTLED, None, "quiet"),
        ({"fault": None, "last_record_ms": NOW - 90_000}, {**SETTLED, "lag_seconds": 30.0}, None, "delayed"),
        ({"fault": "no topic", "last_record_ms": NOW}, SETTLED, None, "failed"),
        ({"fault": None, "last_record_ms": NOW}, SETTLED, "the lake is away", "failed"),
    ],
)
def test_state(counts: dict[str, object], lake: dict[str, object], fault: str | None, state: str) -> None:
    """Each of the states looks different, and none of them lies."""
    found, message = stream_state(counts, lake, NOW, fault)
    assert found == state
    assert (message is None) == (state == "live")


def test_before_the_first_answer_numbers_are_unknown_not_zero() -> None:
    """No zero that means unknown."""

    class Away:
        def read(self) -> dict[str, object]:
            raise RuntimeError

    status = compose(HotState(CONTRACTS), StatusReader(Away()), 0)
    for stream in status["streams"].values():
        assert stream["landed"] is None
        assert stream["lag_records"] is None
        assert stream["state"] == "unknown"


def test_lag_is_dated_by_when_the_records_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline that stops shows a lag that grows by a second a second, in records and in time."""
    clock = [NOW]
    monkeypatch.setattr("watling.dashboard.lake_status.now_ms", lambda: clock[0])
    contracts = {"vehicle": CONTRACTS["vehicle"]}
    ends = {0: 100, 1: 50}
    standing = [Standing(landed=150, next={0: 100, 1: 50}, newest_ms=NOW - 1000, committed_ms=NOW)]
    source = LakeStatus(contracts, lambda _: standing[0], lambda _: dict(ends), lambda: {"running": True})
    first = source.read()["streams"]["vehicle"]
    assert (first["lag_records"], first["lag_seconds"], first["freshness_seconds"]) == (0, 0.0, 1.0)
    clock[0] += 1000
    ends[0] = 130
    assert source.read()["streams"]["vehicle"]["lag_records"] == 30
    clock[0] += 20_000
    late = source.read()["streams"]["vehicle"]
    assert (late["lag_records"], late["lag_seconds"]) == (30, 20.0)
    standing[0] = Standing(landed=180, next={0: 130, 1: 50})
    assert source.read()["streams"]["vehicle"]["lag_seconds"] == 0.0


def test_with_the_broker_away_the_lag_is_unknown() -> None:
    """A broker that is down does not mean that nothing is waiting."""
    contracts = {"vehicle": CONTRACTS["vehicle"]}
    source = LakeStatus(contracts, lambda _: Standing(landed=3), lambda _: {}, lambda: {"running": False})
    stream = source.read()["streams"]["vehicle"]
    assert (stream["landed"], stream["lag_records"], stream["lag_seconds"]) == (3, None, None)
