"""A tile's state is true: unknown is not empty, quiet is not delayed, and a fault is said."""

from __future__ import annotations

import pytest

from tests.e2e.made_up_city import CONTRACTS
from watling.dashboard import HotState
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
